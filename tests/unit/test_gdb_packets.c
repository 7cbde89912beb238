/* The gdb stub by its packets, as a client on a socket that is not gdb: what gdb itself seldom sends, or checks too little. */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "tests/unit/debugger_fixture.h"

#define RAM (16ull << 20)
#define MOST 64

static int client;
static char answer[MOST][20000];
static size_t length[MOST];
static unsigned answers, naks;

static void
send_raw(const char *bytes, size_t size)
{
	assert_int_equal(send(client, bytes, size, MSG_NOSIGNAL), size);
}

/* `data` as it is, escapes and all. */
static void
packet(const char *data, size_t size)
{
	char tail[4];
	u8 sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += (u8)data[i];
	snprintf(tail, sizeof(tail), "#%02x", sum);
	send_raw("$", 1);
	send_raw(data, size);
	send_raw(tail, 3);
}

#define P(text) packet(text, sizeof(text) - 1)

/* Connects. What is sent waits in the socket until serve(). */
static void
connect_client(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char where[32], *error = NULL;
	unsigned port = 20000 + (unsigned)getpid() % 20000;

	for (unsigned i = 0; i < 100; i++, port++) {
		snprintf(where, sizeof(where), "127.0.0.1:%u", port);
		error = debugger_listen(d, where);
		if (!error)
			break;
		free(error);
	}
	assert_null(error);
	client = socket(AF_INET, SOCK_STREAM, 0);
	to.sin_port = htons((u16)port);
	assert_int_equal(connect(client, (struct sockaddr *)&to, sizeof(to)), 0);
	answers = naks = 0;
}

/* Lets the stub work through all that was sent, until it is told to kill the machine; then takes its answers apart. */
static void
serve(void)
{
	static char all[200000];
	size_t n = 0;
	ssize_t got;

	P("k");
	debugger_serve(d, true);
	assert_int_equal(quit_status, 0);
	while ((got = recv(client, all + n, sizeof(all) - n, 0)) > 0)
		n += (size_t)got;
	close(client);
	for (size_t i = 0; i < n; i++) {
		u8 sum = 0;

		if (all[i] != '$') {
			naks += all[i] == '-';
			continue;
		}
		assert_true(answers < MOST);
		length[answers] = 0;
		for (i++; all[i] != '#'; i++) {
			char c = all[i];

			assert_true(i < n && length[answers] < sizeof(answer[0]) - 1);
			sum += (u8)c;
			if (c == '}') {
				c = all[++i];
				sum += (u8)c;
				c ^= 0x20;
			}
			answer[answers][length[answers]++] = c;
		}
		answer[answers][length[answers]] = 0;
		assert_int_equal(strtoul((char[]){all[i + 1], all[i + 2], 0}, NULL, 16), sum);
		answers++;
	}
}

static void
answered(unsigned number, const char *data, size_t size)
{
	assert_true(number < answers);
	if (length[number] != size || memcmp(answer[number], data, size) != 0)
		fail_msg("answer %u is '%s'", number, answer[number]);
}

#define A(number, text) answered(number, text, sizeof(text) - 1)

static void
binary_memory_is_escaped_both_ways(void **state)
{
	static const char bytes[] = "#$}*\0\xff{|";
	char line[9] = "b";

	(void)state;
	connect_client();
	P("QStartNoAckMode");
	send_raw("+", 1);
	P("X8000,8:}\x03}\x04}\x5d}\x0a\0\xff{|"); /* as gdb escapes; * needs it in answers only */
	P("x8000,8");
	P("m8000,8");
	P("X8000,2:**");
	P("x8000,3");
	P("X8000,0:");
	P("x8000,0");
	P("M8002,2:4142");
	P("x8000,4");
	P("X8000,9:short");
	P("X8000");
	P("Mff0000000,1:41");
	serve();
	A(0, "OK");
	A(1, "OK");
	memcpy(line + 1, bytes, 8);
	answered(2, line, 9);
	A(3, "23247d2a00ff7b7c");
	A(4, "OK");
	A(5, "b**}");
	A(6, "OK");
	A(7, "b");
	A(8, "OK");
	A(9, "b**AB");
	A(10, "E01");
	A(11, "E01");
	A(12, "E14");
	assert_int_equal(answers, 13);
	assert_int_equal(naks, 0);
}

static void
reading_ends_where_memory_does(void **state)
{
	char line[64];

	(void)state;
	poke(f, RAM - 4, 4, 0x44434241);
	connect_client();
	P("QStartNoAckMode");
	send_raw("+", 1);
	snprintf(line, sizeof(line), "x%llx,40", RAM - 4);
	packet(line, strlen(line));
	snprintf(line, sizeof(line), "m%llx,40", RAM - 4);
	packet(line, strlen(line));
	snprintf(line, sizeof(line), "x%llx,40", RAM);
	packet(line, strlen(line));
	P("xdead000000000000,8");
	P("mdead000000000000,8");
	P("x8000,fffffffffffffff");
	serve();
	A(1, "bABCD");
	A(2, "41424344");
	A(3, "E14");
	A(4, "E14");
	A(5, "E14");
	assert_true(length[6] > 1000 && answer[6][0] == 'b');
}

static void
each_kind_of_breakpoint_stops_and_says_so(void **state)
{
	/* nop; mov [0x9000],eax; mov eax,[0x9000]; nop; nop; jmp to itself */
	static const char code[] = "\x90\x89\x04\x25\x00\x90\x00\x00\x8b\x04\x25\x00\x90\x00\x00\x90\x90\xeb\xfe";

	(void)state;
	for (unsigned i = 0; i < sizeof(code) - 1; i++)
		poke(f, 0x8000 + i, 1, (u8)code[i]);
	f->cpu->rip = 0x8000;
	connect_client();
	P("QStartNoAckMode");
	send_raw("+", 1);
	P("Z2,9000,4");
	P("vCont;c");
	P("p10"); /* rip */
	P("z2,9000,4");
	P("Z3,9000,4");
	P("vCont;c");
	P("z3,9000,4");
	P("Z4,9000,4");
	P("z4,9000,4");
	P("Z0,8010,1");
	P("vCont;c");
	P("Z1,8011,1");
	P("vCont;c:1");
	P("z0,8010,1");
	P("z1,8011,1");
	P("Z5,9000,4");
	P("vCont;s:1");
	P("p10");
	serve();
	A(1, "OK");
	A(2, "T05thread:1;watch:9000;");
	A(3, "0880000000000000");
	A(4, "OK");
	A(5, "OK");
	A(6, "T05thread:1;rwatch:9000;");
	A(7, "OK");
	A(8, "OK");
	A(9, "OK");
	A(10, "OK");
	A(11, "T05thread:1;swbreak:;");
	A(12, "OK");
	A(13, "T05thread:1;hwbreak:;");
	A(14, "OK");
	A(15, "OK");
	A(16, "");
	A(17, "T05thread:1;");
	A(18, "1180000000000000");
	expect("info breakpoints", "no breakpoints");
}

static void
sums_threads_and_questions(void **state)
{
	(void)state;
	connect_client();
	send_raw("+$?#00", 6); /* a wrong sum */
	P("?");
	send_raw("+", 1);
	P("vCont?");
	send_raw("+", 1);
	P("T1");
	send_raw("+", 1);
	P("T2");
	send_raw("-+", 2); /* not understood: again */
	P("Hg9");
	send_raw("+", 1);
	P("qRcmd,70203432"); /* p 42 */
	send_raw("++", 2);
	P("nonsense");
	send_raw("+", 1);
	serve();
	assert_int_equal(naks, 1);
	A(0, "T05thread:1;");
	A(1, "vCont;c;C;s;S");
	A(2, "OK");
	A(3, "E01");
	A(4, "E01");
	A(5, "E01");
	A(6, "O307832612034320a");
	A(7, "OK");
	A(8, "");
}

static void
only_threads_that_are_there_are_resumed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 16; i++)
		poke(f, 0x8000 + i, 1, 0x90);
	f->cpu->rip = 0x8000;
	connect_client();
	P("QStartNoAckMode");
	send_raw("+", 1);
	P("vCont;s:2");
	P("vCont;c:7;s:1");
	P("vCont;s:1;c:2");
	P("vCont;s:x");
	P("vCont;t");
	P("vCont;");
	P("vCont;s-2");
	P("vCont;s:-2");
	P("p10");
	P("vCont;s:1;c");
	P("vCont;s:-1");
	P("vCont;s");
	P("vCont;S05:1;c");
	P("p10");
	serve();
	for (unsigned i = 1; i <= 8; i++)
		A(i, "E01");
	A(9, "0080000000000000");
	for (unsigned i = 10; i <= 13; i++)
		A(i, "T05thread:1;");
	A(14, "0480000000000000");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(binary_memory_is_escaped_both_ways),
		T(reading_ends_where_memory_does),
		T(each_kind_of_breakpoint_stops_and_says_so),
		T(sums_threads_and_questions),
		T(only_threads_that_are_there_are_resumed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
