/*
 * User networking from a guest's side: ARP, DHCP, ping of the gateway and TFTP, spoken by a small client, and that all
 * of it is the same, frame by frame and nanosecond by nanosecond, in each run and in another process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>

#include "base/events.h"
#include "base/snapshot.h"
#include "bus/input.h"
#include "bus/packet.h"
#include "net/net.h"

#define HZ 1000000000ull
#define QUEUE 64
#define FILE_SIZE 300001u
#define CLIENT_PORT 1069

struct frame {
	u64 time;
	u32 size;
	u8 data[2000];
};

struct client {
	struct events *events;
	struct input *input;
	struct packet_link link;
	struct net_backend *net;
	struct frame queue[QUEUE];
	unsigned first, count;
	bool full; /* the card has no descriptors */
	bool reload; /* save and load between the blocks of a transfer */
	u64 trace; /* hash of all frames and their times, in both directions */
	u64 frames;
	u8 address[4], gateway_mac[6];
	u16 ip_id, tftp_port;
};

static const u8 mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
static const u8 everyone[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const u8 gateway[4] = {10, 0, 2, 2};
static char directory[] = "/tmp/nestbox-test-net-XXXXXX";

static void
trace(struct client *c, const void *data, size_t size)
{
	const u8 *byte = data;

	for (size_t i = 0; i < size; i++)
		c->trace = (c->trace ^ byte[i]) * 0x100000001b3ull;
}

static bool
card_receive(void *opaque, const u8 *data, size_t size)
{
	struct client *c = opaque;
	struct frame *f = &c->queue[(c->first + c->count) % QUEUE];

	assert_true(size <= sizeof(f->data));
	assert_true(c->count < QUEUE);
	f->time = events_now(c->events);
	f->size = (u32)size;
	memcpy(f->data, data, size);
	c->count++;
	c->frames++;
	trace(c, &f->time, sizeof(f->time));
	trace(c, data, size);
	return true;
}

static bool
card_can_receive(void *opaque)
{
	return !((struct client *)opaque)->full;
}

static void
pass(struct client *c, u64 ns)
{
	u64 end = events_now(c->events) + events_from_ns(c->events, ns);

	while (events_next(c->events) <= end)
		events_run(c->events, MAX(events_next(c->events), events_now(c->events)));
	events_run(c->events, end);
}

static struct client *
client_new(const char *options)
{
	struct client *c = calloc(1, sizeof(*c));
	char *error;

	c->events = events_new(HZ);
	c->input = input_new();
	c->trace = 0xcbf29ce484222325ull;
	c->ip_id = 1;
	c->tftp_port = CLIENT_PORT;
	c->link = (struct packet_link){.card = c, .receive = card_receive, .can_receive = card_can_receive};
	error = net_create(options, c->events, c->input, &c->link, &c->net);
	if (error)
		fail_msg("%s", error);
	return c;
}

static void
client_free(struct client *c)
{
	net_free(c->net);
	input_free(c->input);
	events_free(c->events);
	free(c);
}

static struct client *
client_with_files(const char *more)
{
	char options[200];

	snprintf(options, sizeof(options), "user,id=n0,tftp=%s%s", directory, more);
	return client_new(options);
}

static void
transmit(struct client *c, const u8 *data, u32 size)
{
	u64 time = events_now(c->events);

	trace(c, &time, sizeof(time));
	trace(c, data, size);
	c->link.transmit(c->link.backend, data, size);
}

/* The next frame, or NULL when none comes within `ns`. Valid until the next call. */
static const struct frame *
wait_frame(struct client *c, u64 ns)
{
	u64 end = events_now(c->events) + ns;

	while (!c->count && events_next(c->events) <= end)
		events_run(c->events, MAX(events_next(c->events), events_now(c->events)));
	if (!c->count)
		return NULL;
	c->first = (c->first + 1) % QUEUE;
	c->count--;
	return &c->queue[(c->first + QUEUE - 1) % QUEUE];
}

static void
be16(u8 *at, u32 value)
{
	at[0] = (u8)(value >> 8);
	at[1] = (u8)value;
}

static u32
get16(const u8 *at)
{
	return (u32)at[0] << 8 | at[1];
}

static u16
sum16(const u8 *data, u32 size, u32 sum)
{
	for (u32 i = 0; i < size; i++)
		sum += i & 1 ? data[i] : (u32)data[i] << 8;
	while (sum > 0xffff)
		sum = (sum >> 16) + (sum & 0xffff);
	return (u16)sum;
}

/* Puts Ethernet and IPv4 headers before `size` bytes of payload at frame + 34, and sends it. */
static void
send_ip(struct client *c, u8 *frame, const u8 *to_mac, const u8 *to, u8 protocol, u32 size)
{
	u8 *ip = frame + 14;

	memcpy(frame, to_mac, 6);
	memcpy(frame + 6, mac, 6);
	be16(frame + 12, 0x0800);
	memset(ip, 0, 20);
	ip[0] = 0x45;
	be16(ip + 2, 20 + size);
	be16(ip + 4, c->ip_id++);
	ip[8] = 64;
	ip[9] = protocol;
	memcpy(ip + 12, c->address, 4);
	memcpy(ip + 16, to, 4);
	be16(ip + 10, 0xffff - sum16(ip, 20, 0));
	transmit(c, frame, 34 + size);
}

static void
send_udp(struct client *c, u8 *frame, const u8 *to_mac, const u8 *to, u16 from_port, u16 to_port, u32 payload)
{
	be16(frame + 34, from_port);
	be16(frame + 36, to_port);
	be16(frame + 38, 8 + payload);
	be16(frame + 40, 0);
	send_ip(c, frame, to_mac, to, 17, 8 + payload);
}

static bool
arp(struct client *c, const u8 *who)
{
	u8 frame[60] = {0};
	const struct frame *answer;

	memcpy(frame, everyone, 6);
	memcpy(frame + 6, mac, 6);
	memcpy(frame + 12, (u8[]){8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, 10);
	memcpy(frame + 22, mac, 6);
	memcpy(frame + 28, c->address, 4);
	memcpy(frame + 38, who, 4);
	transmit(c, frame, sizeof(frame));
	answer = wait_frame(c, 1000000);
	if (!answer || get16(answer->data + 12) != 0x0806 || get16(answer->data + 20) != 2)
		return false;
	assert_memory_equal(answer->data + 28, who, 4);
	memcpy(c->gateway_mac, answer->data + 22, 6);
	return true;
}

/* One DHCP message; returns the answer's message type and puts the address offered into c->address. */
static u8
dhcp(struct client *c, u8 type, const u8 *wanted, struct frame *copy)
{
	static const u8 none[4], all[4] = {255, 255, 255, 255};
	u8 frame[600] = {0}, *bootp = frame + 42, *option = bootp + 240;
	const struct frame *answer;

	memcpy(bootp, (u8[]){1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78}, 8);
	memcpy(bootp + 28, mac, 6);
	memcpy(bootp + 236, (u8[]){99, 130, 83, 99}, 4);
	memcpy(option, (u8[]){53, 1, type}, 3);
	option += 3;
	if (wanted) {
		memcpy(option, (u8[]){50, 4, wanted[0], wanted[1], wanted[2], wanted[3]}, 6);
		option += 6;
	}
	*option = 255;
	memcpy(c->address, none, 4);
	send_udp(c, frame, everyone, all, 68, 67, 300);
	answer = wait_frame(c, 1000000);
	assert_non_null(answer);
	assert_int_equal(get16(answer->data + 36), 68);
	memcpy(c->address, answer->data + 42 + 16, 4);
	if (copy)
		*copy = *answer;
	return answer->data[42 + 240 + 2];
}

static void
get_address(struct client *c)
{
	u8 offered[4];

	assert_int_equal(dhcp(c, 1, NULL, NULL), 2);
	memcpy(offered, c->address, 4);
	assert_int_equal(dhcp(c, 3, offered, NULL), 5);
	assert_memory_equal(c->address, offered, 4);
}

static bool
ping(struct client *c, const u8 *who, u16 sequence)
{
	u8 frame[98];
	const struct frame *answer;

	memset(frame, 0, sizeof(frame));
	frame[34] = 8;
	be16(frame + 38, 0x1234);
	be16(frame + 40, sequence);
	for (u32 i = 42; i < sizeof(frame); i++)
		frame[i] = (u8)i;
	be16(frame + 36, 0xffff - sum16(frame + 34, 64, 0));
	send_ip(c, frame, c->gateway_mac, who, 1, 64);
	answer = wait_frame(c, 1000000);
	return answer && answer->size == 98 && answer->data[34] == 0 && get16(answer->data + 40) == sequence &&
	       sum16(answer->data + 34, 64, 0) == 0xffff;
}

static u32
put_text(u8 *at, const char *text)
{
	strcpy((char *)at, text);
	return (u32)strlen(text) + 1;
}

/* Fetches a file; every byte must be the one that file_byte() says. Returns its size, or -1 when there is none. */
static u8
file_byte(u32 i)
{
	return (u8)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

static void
visit_net(void *opaque, struct state *s)
{
	net_state(opaque, s);
}

/* Saves and loads in place, and looks whether it changed anything. */
static void
reload(struct client *c)
{
	u64 hash = state_hash(visit_net, c->net);
	size_t size;
	u8 *data = state_save(visit_net, c->net, &size);

	assert_null(state_load(visit_net, c->net, data, size));
	assert_true(state_hash(visit_net, c->net) == hash);
	free(data);
}

static s64
tftp(struct client *c, const char *name, const char *block_size)
{
	u8 request[200] = {0}, *tp = request + 42;
	const struct frame *answer;
	u32 size = 2, done = 0, block = 512, number = 1;
	u16 server;

	be16(tp, 1);
	size += put_text(tp + size, name);
	size += put_text(tp + size, "octet");
	if (block_size) {
		size += put_text(tp + size, "blksize");
		size += put_text(tp + size, block_size);
		size += put_text(tp + size, "tsize");
		size += put_text(tp + size, "0");
	}
	c->tftp_port++;
	send_udp(c, request, c->gateway_mac, gateway, c->tftp_port, 69, size);
	answer = wait_frame(c, 10000000);
	assert_non_null(answer);
	server = (u16)get16(answer->data + 34);
	if (get16(answer->data + 42) == 6) {
		assert_string_equal((const char *)answer->data + 44, "blksize");
		block = (u32)atoi((const char *)answer->data + 52);
		be16(tp, 4);
		be16(tp + 2, 0);
		send_udp(c, request, c->gateway_mac, gateway, c->tftp_port, server, 4);
		answer = wait_frame(c, 10000000);
		assert_non_null(answer);
	}
	for (;;) {
		u32 part = (u32)get16(answer->data + 38) - 12;

		if (get16(answer->data + 42) == 5)
			return -1;
		assert_int_equal(get16(answer->data + 42), 3);
		assert_int_equal(get16(answer->data + 44), number & 0xffff);
		for (u32 i = 0; i < part; i++)
			if (answer->data[46 + i] != file_byte(done + i))
				fail_msg("byte %u of %s", done + i, name);
		done += part;
		be16(tp, 4);
		be16(tp + 2, number++);
		send_udp(c, request, c->gateway_mac, gateway, c->tftp_port, server, 4);
		if (part < block)
			return done;
		if (c->reload)
			reload(c);
		answer = wait_frame(c, 10000000);
		if (!answer)
			fail_msg("%s: no block %u", name, number);
	}
}

static void
make_file(const char *name, u32 size)
{
	char path[200];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "wb");
	for (u32 i = 0; i < size; i++)
		putc(file_byte(i), file);
	fclose(file);
}

static void
remove_file(const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	unlink(path);
}

/* ---- Tests ---- */

static void
dhcp_hands_out_the_configured_network(void **state)
{
	struct client *c = client_new("user,id=n0,net=192.168.76.0/24,host=192.168.76.1,dhcpstart=192.168.76.9,"
				      "dns=192.168.76.4,hostname=inner,bootfile=boot.ipxe,domainname=example");
	struct frame answer;
	u8 *option = answer.data + 42 + 240, seen[256] = {0};

	(void)state;
	assert_int_equal(dhcp(c, 1, NULL, &answer), 2);
	assert_memory_equal(c->address, ((u8[]){192, 168, 76, 9}), 4);
	assert_string_equal((char *)answer.data + 42 + 108, "boot.ipxe");
	for (; *option != 255; option += 2 + option[1]) {
		seen[*option] = 1;
		if (*option == 3)
			assert_memory_equal(option + 2, ((u8[]){192, 168, 76, 1}), 4);
		if (*option == 6)
			assert_memory_equal(option + 2, ((u8[]){192, 168, 76, 4}), 4);
		if (*option == 12)
			assert_memory_equal(option + 2, "inner", 5);
	}
	assert_true(seen[1] && seen[3] && seen[6] && seen[12] && seen[15]);
	client_free(c);
}

static void
gateway_and_name_server_answer_arp_and_ping(void **state)
{
	struct client *c = client_new("user");

	(void)state;
	get_address(c);
	assert_memory_equal(c->address, ((u8[]){10, 0, 2, 15}), 4);
	assert_true(arp(c, (u8[]){10, 0, 2, 3}));
	assert_true(arp(c, gateway));
	assert_false(arp(c, (u8[]){10, 0, 2, 99}));
	assert_true(ping(c, gateway, 1));
	assert_true(ping(c, (u8[]){10, 0, 2, 3}, 2));
	client_free(c);
}

static void
answers_come_after_ten_microseconds_at_gigabit_rate(void **state)
{
	struct client *c = client_new("user");
	u64 sent;

	(void)state;
	get_address(c);
	assert_true(arp(c, gateway));
	pass(c, 1000000);
	sent = events_now(c->events);
	assert_true(ping(c, gateway, 1));
	assert_int_equal(events_now(c->events) - sent, 10000);
	client_free(c);
}

static void
frames_wait_while_the_card_is_full(void **state)
{
	struct client *c = client_new("user");

	(void)state;
	get_address(c);
	c->full = true;
	assert_false(arp(c, gateway));
	c->full = false;
	assert_null(wait_frame(c, 1000000));
	c->link.ready(c->link.backend);
	assert_int_equal(c->count, 0); /* not inside of the register write */
	assert_non_null(wait_frame(c, 2000));
	client_free(c);
}

static void
tftp_serves_files_of_every_size(void **state)
{
	static const u32 size[] = {0, 1, 511, 512, 513, 1428, 2856, FILE_SIZE};
	struct client *c = client_with_files("");

	(void)state;
	get_address(c);
	assert_true(arp(c, gateway));
	for (unsigned i = 0; i < COUNT(size); i++) {
		make_file("f", size[i]);
		assert_int_equal(tftp(c, "f", NULL), size[i]);
		assert_int_equal(tftp(c, "f", "1428"), size[i]);
		assert_int_equal(tftp(c, "f", "100"), size[i]);
	}
	remove_file("f");
	client_free(c);
}

/* libslirp has room for 20 transfers; one that is left alone makes room after five seconds of its clock. */
static void
abandoned_transfers_time_out_in_virtual_time(void **state)
{
	struct client *c = client_with_files("");
	u8 request[200] = {0};
	u32 size = 2;

	(void)state;
	make_file("f", 2000);
	get_address(c);
	assert_true(arp(c, gateway));
	be16(request + 42, 1);
	size += put_text(request + 42 + size, "f");
	size += put_text(request + 42 + size, "octet");
	for (u16 i = 0; i < 25; i++) {
		send_udp(c, request, c->gateway_mac, gateway, (u16)(2000 + i), 69, size);
		assert_int_equal(wait_frame(c, 1000000) != NULL, i < 20);
	}
	pass(c, 4000000000);
	send_udp(c, request, c->gateway_mac, gateway, 3000, 69, size);
	assert_null(wait_frame(c, 1000000));
	pass(c, 2000000000);
	assert_int_equal(tftp(c, "f", NULL), 2000);
	/* slirp_cleanup() forgets the names of files in transfer: end them all with an error. */
	be16(request + 42, 5);
	for (u16 i = 0; i < 20; i++)
		send_udp(c, request, c->gateway_mac, gateway, (u16)(2000 + i), 69, 4);
	remove_file("f");
	client_free(c);
}

static void
tftp_block_numbers_may_wrap(void **state)
{
	struct client *c = client_with_files("");
	u32 size = 66000u * 512 + 77;

	(void)state;
	make_file("big", size);
	get_address(c);
	assert_true(arp(c, gateway));
	assert_int_equal(tftp(c, "big", NULL), size);
	remove_file("big");
	client_free(c);
}

static void
tftp_stays_inside_of_its_directory(void **state)
{
	struct client *c = client_with_files("");

	(void)state;
	get_address(c);
	assert_true(arp(c, gateway));
	assert_int_equal(tftp(c, "no-such-file", NULL), -1);
	assert_int_equal(tftp(c, "../../../etc/passwd", NULL), -1);
	client_free(c);
}

static void
restrict_keeps_tftp_and_ping(void **state)
{
	struct client *c = client_with_files(",restrict=on");

	(void)state;
	make_file("f", 1000);
	get_address(c);
	assert_true(arp(c, gateway));
	assert_true(ping(c, gateway, 1));
	assert_false(ping(c, (u8[]){127, 0, 0, 1}, 2));
	assert_int_equal(tftp(c, "f", NULL), 1000);
	remove_file("f");
	client_free(c);
}

/* Everything that is to be deterministic, with pauses and idle time in between. */
static u64
scenario(u64 *frames)
{
	struct client *c = client_with_files(",hostname=inner");
	u64 hash;

	get_address(c);
	assert_true(arp(c, gateway));
	for (u16 i = 0; i < 5; i++) {
		assert_true(ping(c, gateway, i));
		pass(c, 1000000000 + i * 12345);
		input_poll(c->input, events_now(c->events));
	}
	assert_int_equal(tftp(c, "f", NULL), FILE_SIZE);
	pass(c, 7000000000);
	assert_int_equal(tftp(c, "f", "1400"), FILE_SIZE);
	assert_int_equal(tftp(c, "none", NULL), -1);
	get_address(c);
	assert_true(ping(c, gateway, 99));
	pass(c, 2000000000);
	hash = c->trace;
	*frames = c->frames;
	client_free(c);
	return hash;
}

static void
two_runs_give_the_same_frames_at_the_same_times(void **state)
{
	u64 first, second, frames, again;

	(void)state;
	make_file("f", FILE_SIZE);
	first = scenario(&frames);
	second = scenario(&again);
	assert_true(frames > 700);
	assert_int_equal(frames, again);
	assert_true(first == second);
	remove_file("f");
}

/* Uninitialised memory, addresses and time differ in another process. */
static void
another_process_gives_the_same_frames_at_the_same_times(void **state)
{
	char command[400], line[100] = "";
	unsigned long long other = 0;
	FILE *pipe;
	u64 frames;

	(void)state;
	make_file("f", FILE_SIZE);
	snprintf(command, sizeof(command), "MALLOC_PERTURB_=85 /proc/%d/exe trace %s", (int)getpid(), directory);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	assert_non_null(fgets(line, sizeof(line), pipe));
	assert_int_equal(pclose(pipe), 0);
	assert_int_equal(sscanf(line, "%llx", &other), 1);
	assert_true(other == scenario(&frames));
	remove_file("f");
}

static void
an_idle_network_arms_no_events(void **state)
{
	struct client *c = client_new("user");

	(void)state;
	assert_true(events_next(c->events) == UINT64_MAX);
	get_address(c);
	assert_true(arp(c, gateway));
	assert_true(ping(c, gateway, 1));
	pass(c, 1000000000);
	assert_true(events_next(c->events) == UINT64_MAX);
	client_free(c);
}

static void
visit(void *opaque, struct state *s)
{
	net_state(opaque, s);
}

static void
saved_state_brings_back_leases_and_frames_on_the_way(void **state)
{
	struct client *c = client_new("user"), *d = client_new("user");
	u8 frame[60] = {0}, *data;
	size_t size;
	u64 hash;

	(void)state;
	get_address(c);
	memcpy(frame, everyone, 6);
	memcpy(frame + 6, mac, 6);
	memcpy(frame + 12, (u8[]){8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, 10);
	memcpy(frame + 22, mac, 6);
	memcpy(frame + 28, c->address, 4);
	memcpy(frame + 38, gateway, 4);
	transmit(c, frame, sizeof(frame));
	data = state_save(visit, c->net, &size);
	hash = state_hash(visit, c->net);
	assert_null(state_load(visit, d->net, data, size));
	assert_true(state_hash(visit, d->net) == hash);
	assert_non_null(wait_frame(d, 1000000000));
	for (size_t i = 0; i < size; i += 7) {
		struct client *e = client_new("user");
		char *error = state_load(visit, e->net, data, i);
		assert_non_null(error);
		free(error);
		client_free(e);
	}
	free(data);
	client_free(c);
	client_free(d);
}

/* A run that is saved and loaded all the time shows the same frames at the same times as one that is not. */
static void
transfers_go_on_after_loading(void **state)
{
	u64 trace[2];

	(void)state;
	make_file("f", 20000);
	for (unsigned i = 0; i < 2; i++) {
		struct client *c = client_with_files("");

		get_address(c);
		assert_true(arp(c, gateway));
		c->reload = i;
		assert_int_equal(tftp(c, "f", "1000"), 20000);
		assert_true(ping(c, gateway, 1));
		trace[i] = c->trace;
		client_free(c);
	}
	assert_true(trace[0] == trace[1]);
	remove_file("f");
}

/* ---- Host sockets ---- */

/* A forwarded port: what the host sends reaches the guest as TCP, by bus/input only. */
static void
a_forwarded_port_reaches_the_guest(void **state)
{
	int probe = socket(AF_INET, SOCK_STREAM, 0), peer;
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(at);
	char options[100];
	const struct frame *syn = NULL;
	struct client *c;

	(void)state;
	assert_int_equal(bind(probe, (struct sockaddr *)&at, sizeof(at)), 0);
	getsockname(probe, (struct sockaddr *)&at, &length);
	close(probe);
	snprintf(options, sizeof(options), "user,hostfwd=tcp:127.0.0.1:%u-:22", ntohs(at.sin_port));
	c = client_new(options);
	get_address(c);
	assert_true(arp(c, gateway));
	peer = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(peer, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_null(wait_frame(c, 1000000));
	for (unsigned i = 0; i < 100 && !syn; i++) {
		input_poll(c->input, events_now(c->events));
		syn = wait_frame(c, 1000000);
		usleep(1000);
	}
	assert_non_null(syn);
	assert_int_equal(syn->data[23], 6);
	assert_int_equal(get16(syn->data + 36), 22);
	assert_int_equal(syn->data[47] & 0x12, 0x02);
	/* Not answered, it comes again, by libslirp's timers and without another look at the host. */
	syn = wait_frame(c, 20000000000);
	assert_non_null(syn);
	assert_int_equal(syn->data[23], 6);
	close(peer);
	client_free(c);
}

/* ---- Options ---- */

static void
bad_options_are_refused_with_a_reason(void **state)
{
	static const struct {
		const char *options, *reason;
	} test[] = {
		{"user,net=10.0.2.0/40", "net="},
		{"user,net=ten", "net="},
		{"user,host=10.0.3.2", "host=10.0.3.2"},
		{"user,dns=10.0.2.255", "dns=10.0.2.255"},
		{"user,dns=10.0.2.2", "same address"},
		{"user,dhcpstart=x", "dhcpstart=x"},
		{"user,tftp=/no/such/directory", "/no/such/directory"},
		{"user,tftp=/etc/passwd", "not a directory"},
		{"user,restrict=maybe", "restrict=maybe"},
		{"user,hostfwd=tcp:22", "hostfwd=tcp:22"},
		{"user,hostfwd=sctp::1-:2", "sctp"},
		{"user,hostfwd=tcp::99999-:22", "99999"},
		{"user,colour=blue", "colour"},
		{"user,id=a,id=b", "id"},
		{"user,tftp", "key=value"},
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(test); i++) {
		struct events *events = events_new(HZ);
		struct input *input = input_new();
		struct packet_link link = {0};
		struct net_backend *net;
		char *error = net_create(test[i].options, events, input, &link, &net);

		if (!error || !strstr(error, test[i].reason) || net)
			fail_msg("%s: %s", test[i].options, error ? error : "accepted");
		free(error);
		input_free(input);
		events_free(events);
	}
}

static int
make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int
remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dhcp_hands_out_the_configured_network),
		cmocka_unit_test(gateway_and_name_server_answer_arp_and_ping),
		cmocka_unit_test(answers_come_after_ten_microseconds_at_gigabit_rate),
		cmocka_unit_test(frames_wait_while_the_card_is_full),
		cmocka_unit_test(tftp_serves_files_of_every_size),
		cmocka_unit_test(abandoned_transfers_time_out_in_virtual_time),
		cmocka_unit_test(tftp_block_numbers_may_wrap),
		cmocka_unit_test(tftp_stays_inside_of_its_directory),
		cmocka_unit_test(restrict_keeps_tftp_and_ping),
		cmocka_unit_test(two_runs_give_the_same_frames_at_the_same_times),
		cmocka_unit_test(another_process_gives_the_same_frames_at_the_same_times),
		cmocka_unit_test(an_idle_network_arms_no_events),
		cmocka_unit_test(saved_state_brings_back_leases_and_frames_on_the_way),
		cmocka_unit_test(transfers_go_on_after_loading),
		cmocka_unit_test(a_forwarded_port_reaches_the_guest),
		cmocka_unit_test(bad_options_are_refused_with_a_reason),
	};

	if (argc == 3 && strcmp(argv[1], "trace") == 0) {
		u64 frames;

		strcpy(directory, argv[2]);
		printf("%llx\n", (unsigned long long)scenario(&frames));
		return 0;
	}
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
