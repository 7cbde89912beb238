/* Symbols in several address spaces, and backtraces by each kind of table. */
#include "tests/unit/debugger_fixture.h"

#include "debugger/symbols.h"

#define STACK 0x48000ull

/* A System.map of these lines; its name. */
static const char *
map_of(const char *text)
{
	static char path[40];
	int fd;

	snprintf(path, sizeof(path), "/tmp/nestbox-map-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	return path;
}

static void
load(const char *map, const char *arguments, const char *says)
{
	const char *path = map_of(map);
	char line[200];

	snprintf(line, sizeof(line), "symbols %s %s", path, arguments);
	expect(line, says);
	remove(path);
}

static void
in_guest(void)
{
	CODE(f, "\x90\x90\x90\x90\xf4");
	command("step");
	assert_true(f->cpu->nonroot);
}

static void
spaces_are_kept_apart_by_level_cr3_and_eptp(void **state)
{
	char eptp[60];

	(void)state;
	in_guest();
	load("0000000000030000 T host_function\n0000000000031000 T host_only\n", "level 1", "2 symbols");
	load("0000000000030000 T guest_kernel\n", "level 2", "1 symbols");
	load("0000000000030000 T guest_program\n", "level 2 cr3 0x60000", "1 symbols");
	expect("p 0x30001", "<guest_kernel+0x1>");
	f->cpu->cr3 = 0x60000;
	expect("p 0x30001", "<guest_program+0x1>");
	f->cpu->nonroot = false;
	expect("p 0x30001", "<host_function+0x1>");
	f->cpu->nonroot = true;
	snprintf(eptp, sizeof(eptp), "eptp %#llx", (ull)f->v->eptp);
	load("0000000000030000 T this_guest\n", eptp, "1 symbols");
	load("0000000000030000 T other_guest\n", "eptp 0x77777000", "1 symbols");
	expect("p 0x30001", "<this_guest+0x1>");
	f->v->eptp = 0x77777000 | 0x5e;
	expect("p 0x30001", "<other_guest+0x1>");
	/* By name: those of the present space first, then any. */
	expect("p host_only", "0x31000");
	expect("symbols", "level 2, cr3 0x60000");
}

static void
files_can_lie_elsewhere(void **state)
{
	(void)state;
	load("0000000000001000 T early\n", "at 0x400000", "1 symbols");
	expect("p early", "0x401000");
	f->cpu->msr.lstar = 0xffffffff9c000080;
	load("ffffffff81c00080 T entry_SYSCALL_64\nffffffff81000000 T _text\n0000000000000040 A per_cpu\n", "kaslr", "3 symbols");
	expect("p _text", "0xffffffff9b400000");
	expect("p per_cpu", "0x40");
	load("ffffffff81c00080 T something\n", "kaslr", "IA32_LSTAR does not hold");
}

static void
loading_again_replaces(void **state)
{
	char path[] = "/tmp/nestbox-map-XXXXXX", line[100];
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(write(fd, "1000 T one\n", 11), 11);
	snprintf(line, sizeof(line), "symbols %s", path);
	command(line);
	command(line);
	close(fd);
	remove(path);
	assert_non_null(d->symbols->first);
	assert_null(d->symbols->first->next);
}

/* Three frames: the innermost has its return address on top, the next 16 bytes further, and that is where the tables end. */
static void
orc_tables_lead_up_the_stack(void **state)
{
	/* struct orc_entry: sp_offset, bp_offset, registers, type and end. */
	static const u8 entries[][6] = {
		{8, 0, 0, 0, 5, 0},                /* CFA RSP+8 */
		{24, 0, 0xf0, 0xff, 0x15, 0},      /* CFA RSP+24, RBP at CFA-16 */
		{8, 0, 0, 0, 4, 0},                /* CFA RBP+8 */
		{0, 0, 0, 0, 0, 4},                /* the end */
	};
	const u64 at[] = {GUEST_CODE, GUEST_CODE + 0x100, GUEST_CODE + 0x200, GUEST_CODE + 0x300};
	const struct space any = {-1, 0, 0};
	struct table *t = table_new("hand-made", &any);
	s32 ip[4];

	(void)state;
	in_guest();
	t->first = GUEST_CODE;
	t->last = GUEST_CODE + 0xfff;
	for (unsigned i = 0; i < 4; i++)
		ip[i] = (s32)(at[i] - (0x1000 + i * 4));
	table_add(t, GUEST_CODE, 0x100, "leaf", true);
	table_add(t, GUEST_CODE + 0x100, 0x100, "middle", true);
	table_add(t, GUEST_CODE + 0x200, 0x100, "outer", true);
	table_add(t, GUEST_CODE + 0x300, 0x100, "start", true);
	orc_take(t, ip, 0x1000, &entries[0][0], 4);
	table_finish(d, t);
	f->cpu->r[RSP] = STACK;
	f->cpu->r[RBP] = 0;
	poke(f, STACK, 8, GUEST_CODE + 0x150);
	poke(f, STACK + 16, 8, STACK + 0x100); /* RBP of outer: 8 + 24 - 16 */
	poke(f, STACK + 24, 8, GUEST_CODE + 0x250);
	poke(f, STACK + 0x100, 8, GUEST_CODE + 0x350);
	expect("bt", "#0  0000000000030000 <leaf>\n#1  0000000000030150 <middle+0x50> (ORC)\n"
		     "#2  0000000000030250 <outer+0x50> (ORC)\n#3  0000000000030350 <start+0x50> (ORC)\n");
	assert_null(strstr(output, "#4"));
	expect("bt 2", "#1 ");
	assert_null(strstr(output, "#2"));
}

/* Registers that an interrupt saved: the whole frame comes from memory, and its RIP is no return address. */
static void
orc_goes_through_interrupts(void **state)
{
	static const u8 entries[][6] = {{0, 0, 0, 0, 5, 1}, {8, 0, 0, 0, 5, 0}};
	const struct space any = {-1, 0, 0};
	struct table *t = table_new("hand-made", &any);
	const s32 ip[] = {(s32)(GUEST_CODE - 0x1000), (s32)(GUEST_CODE + 0x100 - 0x1004)};

	(void)state;
	in_guest();
	t->first = GUEST_CODE;
	t->last = GUEST_CODE + 0xfff;
	table_add(t, GUEST_CODE, 0x100, "handler", true);
	table_add(t, GUEST_CODE + 0x100, 0x100, "interrupted", true);
	orc_take(t, ip, 0x1000, &entries[0][0], 2);
	table_finish(d, t);
	f->cpu->r[RSP] = STACK;
	poke(f, STACK + 128, 8, GUEST_CODE + 0x100); /* its first instruction: one less would be in the handler */
	poke(f, STACK + 152, 8, STACK + 0x400);
	poke(f, STACK + 0x400, 8, GUEST_CODE + 0x180);
	expect("bt", "#1  0000000000030100 <interrupted> (ORC)\n#2  0000000000030180 <interrupted+0x80> (ORC)\n");
}

/* This program's own tables: at a function's first instruction the return address is on top of the stack. */
static void
call_frame_information_leads_up_the_stack(void **state)
{
	u64 value;

	(void)state;
	in_guest();
	/* Where the guest has memory. */
	command("symbols /proc/self/exe at 0x400000");
	assert_true(symbol_value(d, "main", &value));
	assert_in_range(value, 0x400000, 0xffffff);
	f->cpu->rip = value;
	f->cpu->r[RSP] = STACK;
	f->cpu->r[RBP] = 0;
	assert_true(symbol_value(d, "capture_line", &value));
	poke(f, STACK, 8, value + 5);
	expect("bt 2", "<main>");
	expect("bt 2", "<capture_line+0x5> (DWARF)");
}

static void
frame_pointers_lead_up_the_stack(void **state)
{
	(void)state;
	in_guest();
	f->cpu->r[RSP] = STACK;
	f->cpu->r[RBP] = STACK + 0x20;
	poke(f, STACK + 0x20, 8, STACK + 0x40);
	poke(f, STACK + 0x28, 8, 0x31000);
	poke(f, STACK + 0x40, 8, 0);
	poke(f, STACK + 0x48, 8, 0x32000);
	expect("bt", "#1  0000000000031000 (frame pointer)\n");
	assert_null(strstr(output, "#2"));
}

/* Where nothing is known about the innermost place: a value behind a call. */
static void
the_first_frame_may_be_guessed(void **state)
{
	(void)state;
	in_guest();
	load("0000000000031000 T caller\n0000000000032000 T next\n", "", "2 symbols");
	f->cpu->r[RSP] = STACK;
	f->cpu->r[RBP] = 7;
	poke(f, STACK, 8, 0x31100); /* no call before it */
	poke(f, STACK + 8, 8, 0x31205);
	poke(f, 0x31200, 1, 0xe8);
	expect("bt", "#1  0000000000031205 <caller+0x205> (guess");
}

static void
modules_need_a_kernel(void **state)
{
	(void)state;
	expect("symbols modules", "needs the symbols of a kernel");
	assert_true(d->command_failed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(spaces_are_kept_apart_by_level_cr3_and_eptp),
		T(files_can_lie_elsewhere),
		T(loading_again_replaces),
		T(orc_tables_lead_up_the_stack),
		T(orc_goes_through_interrupts),
		T(call_frame_information_leads_up_the_stack),
		T(frame_pointers_lead_up_the_stack),
		T(the_first_frame_may_be_guessed),
		T(modules_need_a_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
