/* The debugger's commands against the state of a processor with a hypervisor of a few instructions and its guest. */
#include "tests/unit/debugger_fixture.h"

static void
expressions_know_c_operators_registers_memory_and_fields(void **state)
{
	static const struct {
		const char *text;
		u64 value;
	} rows[] = {
		{"1 + 2 * 3", 7}, {"(1 + 2) * 3", 9}, {"1 << 4 | 3", 19}, {"-1 >> 60", 15}, {"5 & 6 ^ 1", 5}, {"1 || 0 && 0", 1},
		{"3 == 3 && 2 < 1", 0}, {"7 % 4", 3}, {"2k", 2048}, {"010", 10}, {"!5", 0}, {"~0", ~0ull}, {"1 ? 2 : 3", 2},
		{"5 in 1..5", 1}, {"6 in 1..5", 0}, {"rsp", HOST_CODE + 0x8000}, {"esp + 1", HOST_CODE + 0x8001}, {"$rip", ENTRY},
		{"[0x6000]", 0x1122334455667788}, {"u16(0x6000)", 0x7788}, {"u8(0x6000 + 7)", 0x11}, {"phys(0x6000)", 0x1122334455667788},
		{"guest_rip", GUEST_CODE}, {"vmcs.host_rip", HOST_CODE}, {"EPT_VIOLATION", 48}, {"level", 1}, {"cpl", 0},
	};
	const char *at, *error;
	u64 value;

	(void)state;
	poke(f, 0x6000, 8, 0x1122334455667788);
	for (unsigned i = 0; i < COUNT(rows); i++) {
		at = rows[i].text;
		if (!evaluate(d, &at, &value, &error) || *at || value != rows[i].value)
			fail_msg("%s is %llx: %s", rows[i].text, (ull)value, error ? error : "");
	}
}

static void
wrong_expressions_are_refused(void **state)
{
	static const char *const rows[] = {"", "1 +", "(1", "[1", "nonsense", "0x", "12ab", "1 / 0", "u8(1", "1 ? 2", "5 in"};

	(void)state;
	for (unsigned i = 0; i < COUNT(rows); i++) {
		u64 value;

		command("echo");
		d->command_failed = false;
		if (number_argument(d, rows[i], &value))
			fail_msg("'%s' was taken", rows[i]);
	}
}

static void
deeply_nested_expressions_are_refused(void **state)
{
	char text[5000];
	u64 value;

	(void)state;
	memset(text, '(', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	assert_false(number_argument(d, text, &value));
	memset(text, '-', sizeof(text) - 1);
	assert_false(number_argument(d, text, &value));
}

static void
step_executes_so_many_instructions(void **state)
{
	(void)state;
	CODE(f, "\x90\x90\x90\x90\xf4");
	command("step");
	assert_true(f->cpu->nonroot);
	assert_int_equal(f->cpu->rip, GUEST_CODE);
	command("step 3");
	assert_int_equal(f->cpu->rip, GUEST_CODE + 3);
	assert_int_equal(cpu_icount(f->cpu), 4);
}

static void
a_breakpoint_in_the_middle_of_a_loop_stops_each_time(void **state)
{
	(void)state;
	CODE(f, "\x31\xc9\x90\xff\xc1\x90\xeb\xfa"); /* xor ecx,ecx; nop; 3: inc ecx; nop; jmp 2 */
	expect("break 0x30005", "execute");
	for (unsigned i = 1; i < 100; i++) {
		expect("continue", "breakpoint 1");
		assert_int_equal(f->cpu->rip, GUEST_CODE + 5);
		assert_int_equal(f->cpu->r[RCX], i);
	}
	command("delete");
	command("until icount 1000");
	assert_int_equal(cpu_icount(f->cpu), 1000);
}

static void
conditions_and_ignore_counts_let_it_pass(void **state)
{
	(void)state;
	CODE(f, "\x31\xc9\x90\xff\xc1\x90\xeb\xfa");
	command("break 0x30005 if rcx >= 7 && rcx != 8");
	command("continue");
	assert_int_equal(f->cpu->r[RCX], 7);
	command("continue");
	assert_int_equal(f->cpu->r[RCX], 9);
	command("ignore 1 10");
	command("continue");
	assert_int_equal(f->cpu->r[RCX], 20);
	expect("info breakpoints", "13 hits");
}

static void
a_breakpoint_set_while_the_code_is_cached_works(void **state)
{
	(void)state;
	CODE(f, "\x31\xc9\x90\xff\xc1\x90\xeb\xfa");
	command("until icount 5000");
	command("break 0x30003");
	expect("continue", "breakpoint 1");
	assert_int_equal(f->cpu->rip, GUEST_CODE + 3);
	command("disable");
	command("until icount 9000");
	assert_int_equal(cpu_icount(f->cpu), 9000);
}

static void
physical_breakpoints_see_through_the_page_tables(void **state)
{
	(void)state;
	CODE(f, "\x31\xc9\x90\xff\xc1\x90\xeb\xfa");
	/* guest-physical 2 MiB and up is physical 0: linear 0x230000 is the same code */
	poke(f, EPT_TABLES + 0x2008, 8, 0xb7);
	f->v->guest_rip = GUEST_CODE + 0x200000;
	command("break phys 0x30005");
	expect("continue", "breakpoint 1");
	assert_int_equal(f->cpu->rip, GUEST_CODE + 0x200005);
	command("delete");
	command("break gpa 0x230003");
	expect("continue", "breakpoint 2");
	assert_int_equal(f->cpu->rip, GUEST_CODE + 0x200003);
}

static void
watchpoints_tell_the_old_and_new_value(void **state)
{
	(void)state;
	/* 0: inc ecx; mov [0xd000],ecx; mov eax,[0xd000]; jmp 0 */
	CODE(f, "\xff\xc1\x89\x0c\x25\x00\xd0\x00\x00\x8b\x04\x25\x00\xd0\x00\x00\xeb\xee");
	command("until icount 1000");
	command("watch 0xd000,4 if value == 500");
	expect("continue", "0x1f3 -> 0x1f4");
	assert_int_equal(f->cpu->rip, GUEST_CODE + 9);
	command("delete");
	command("rwatch phys 0xd000,1");
	expect("continue", "read of 4 bytes");
	assert_int_equal(f->cpu->rip, GUEST_CODE + 16);
}

static void
exits_are_stopped_at_remembered_and_explained(void **state)
{
	(void)state;
	CODE(f, "\x31\xc0\x0f\xa2\x31\xc0\x0f\xa2\xf4"); /* xor eax,eax; cpuid; xor eax,eax; cpuid; hlt */
	command("break exit CPUID");
	expect("continue", "exit 0 CPUID");
	assert_false(f->cpu->nonroot);
	assert_int_equal(f->cpu->rip, HOST_CODE);
	expect("why", "always");
	expect("info vmcs exit_reason", "CPUID");
	expect("continue", "exit 1 CPUID");
	assert_int_equal(f->cpu->r[RBX], 1); /* the hypervisor has run once */
	expect("vmcs diff", "guest_rip");
	expect("info exits", "CPUID");
	expect("exits 5", "0x30006 CPUID");
	expect("info vmcs control", "enable EPT");
}

static void
why_names_who_wrote_the_field(void **state)
{
	(void)state;
	CODE(f, "\x0f\xa2\x0f\xa2\xf4");
	command("break vmwrite guest_rip");
	expect("continue", "vmwrite guest_rip: 0x30000 -> 0x30002");
	expect("why", "CPUID");
	command("delete");
	command("break exit");
	command("continue");
	assert_true(d->vmwritten[0].known == false);
}

static void
an_ept_violation_is_explained_to_the_entry(void **state)
{
	(void)state;
	poke(f, EPT_TABLES + 0x2010, 8, 0); /* 4 MiB: not present */
	CODE(f, "\x8b\x04\x25\x00\x10\x40\x00\xf4"); /* mov eax,[0x401000] */
	command("break exit EPT_VIOLATION if gpa in 0x400000..0x5fffff");
	expect("continue", "read of gpa 0x401000");
	expect("why", "EPT PDE   at 0x12010: 0000000000000000");
	expect("ept 0x1000", "physical 0x1000, page of 2M, rights RWX, memory type WB");
	expect("ept dump", "000000600000..");
	expect("walk 0x1000", "physical 0x1000");
}

static void
walk_tells_both_dimensions(void **state)
{
	(void)state;
	CODE(f, "\x90\x90");
	command("step");
	expect("walk 0x1000", "EPT PDPTE at 0x11000");
	expect("walk 0x1000", "rights RWX, user");
	expect("walk 0x4000000000", "not present: #PF");
}

static void
vmcs_check_lists_all_broken_rules(void **state)
{
	(void)state;
	expect("vmcs check", "would pass");
	f->v->host_cs_selector = 0;
	f->v->guest_rflags = 0;
	expect("vmcs check", "2 checks would fail");
}

static void
vmcs_check_in_a_real_mode_guest_judges_the_hypervisors_mode(void **state)
{
	(void)state;
	CODE(f, "\x90\x90\xf4");
	command("step");
	f->cpu->efer = 0;
	expect("vmcs check", "would pass");
	assert_int_equal(f->cpu->efer, 0);
}

static void
only_restricts_breakpoints_to_a_level(void **state)
{
	(void)state;
	CODE(f, "\x0f\xa2\x90\x90\xf4");
	command("break 0x50000");
	command("break 0x30002");
	command("only level 2");
	expect("continue", "breakpoint 2");
	assert_true(f->cpu->nonroot);
}

static void
events_are_named_in_any_case(void **state)
{
	(void)state;
	expect("break msr efer", "msr      0xc0000080");
	expect("break msr IA32_efer", "msr      0xc0000080");
	expect("break msr 0x48", "msr      0x48");
	expect("break msr nonsense", "nonsense: no register");
	expect("break exception #PF", "exception 0xe");
	expect("break exception pf", "exception 0xe");
	expect("break exception 13", "exception 0xd");
	expect("break exit ept_violation", "exit     EPT_VIOLATION");
	expect("break vmwrite GUEST_RIP", "vmwrite  guest_rip");
	expect("msr efer", "c0000080 IA32_EFER");
	expect("msr 0xc0000080", "c0000080 IA32_EFER");
	expect("info vmcs GUEST_RIP", "guest_rip");
	assert_null(strstr(output, "vpid"));
	expect("info vmcs 681e", "guest_rip");
	expect("p/x 17", "0x11 17");
	expect("p /d 17", "0x11 17");
}

static void
watchpoints_are_as_long_as_they_say(void **state)
{
	(void)state;
	expect("watch 0x1000", "0x1000..0x1007,");
	expect("watch 0x1000,1", "0x1000, 0 hits");
	expect("watch 0x1000..0x1000", "0x1000, 0 hits");
	expect("watch virtual cs:0x40,4", "0x40..0x43,");
	expect("watch virtual cs:0x40", "0x40..0x47,");
	expect("watch 0x1000,0", "an empty range");
	expect("watch 0,0", "an empty range");
}

static void
only_tells_what_it_was_told(void **state)
{
	(void)state;
	expect("only", "breakpoints stop everywhere");
	command("only level 2");
	command("only cpu 0");
	expect("only", "only level 2\nonly cpu 0\n");
	command("only off");
	expect("only", "breakpoints stop everywhere");
}

/* Going back would begin anew. */
static void
what_cannot_be_set_changes_nothing(void **state)
{
	(void)state;
	expect("set u8 phys 0xfffffff00000 = 3", "no RAM");
	expect("set nonsense = 3", "cannot be set");
	assert_false(d->changed);
	command("set rax = 3");
	assert_true(d->changed);
	d->changed = false;
	command("set u8 phys 0x8000 = 3");
	assert_true(d->changed);
}

static void
next_goes_over_exits_and_step_where_only_says_so(void **state)
{
	(void)state;
	CODE(f, "\x0f\xa2\x0f\xa2\x0f\xa2\x90\x0f\xa2"); /* cpuid, three times; nop; cpuid */
	command("break 0x30000");
	command("continue");
	expect("next", "L2 #");
	assert_int_equal(f->cpu->rip, GUEST_CODE + 2);
	command("only level 2");
	expect("step", "L2 #");
	assert_int_equal(f->cpu->rip, GUEST_CODE + 4);
	command("only off");
	expect("step", "L1 #");
	assert_int_equal(f->cpu->rip, HOST_CODE);
	/* Outside of what `only` names it does not count. */
	command("only level 2");
	expect("step", "L1 #");
	assert_int_equal(f->cpu->rip, HOST_CODE + 3);
	command("break 0x50012");
	command("only off");
	command("continue");
	/* Over the guest: vmresume, nop, cpuid. */
	expect("next", "L1 #");
	assert_int_equal(f->cpu->rip, HOST_CODE);
	assert_int_equal(f->v->guest_rip, GUEST_CODE + 7);
}

/* The hypervisor executes what lies at the return address, too. */
static void
next_returns_in_its_own_level(void **state)
{
	(void)state;
	CODE(f, "\x0f\xa2\xc3"); /* cpuid; ret */
	f->v->guest_rip = HOST_CODE - 5;
	f->v->host_rsp = f->v->guest_rsp + 16;
	poke(f, HOST_CODE - 5, 1, 0xe8);
	poke(f, HOST_CODE - 4, 4, (u32)(GUEST_CODE - HOST_CODE));
	command("break 0x4fffb");
	command("continue");
	expect("next", "L2 #");
	assert_int_equal(f->cpu->rip, HOST_CODE);
	assert_int_equal(f->cpu->r[RSP], GUEST_STACK);
	assert_int_equal(f->v->exit_reason, 10);
}

static void
commands_run_at_their_breakpoint(void **state)
{
	(void)state;
	CODE(f, "\x31\xc9\x90\xff\xc1\x90\xeb\xfa");
	command("break 0x30005 if rcx == 3");
	command("commands 1 echo here; p rcx");
	expect("continue", "here\n0x3");
}

static void
looking_changes_nothing(void **state)
{
	static const char *const lines[] = {
		"regs all", "info gdt",  "info idt", "info tss", "info tlb", "info cpus", "info mtrr", "info memory",
		"info pages", "walk", "ept dump",
		"info vmcs", "msr",      "disasm",   "x/100gx 0", "x/10i rip", "bt",       "exits",     "info exits",  "vmcs check", "info lapic"};
	struct vcpu before = *f->cpu;
	struct vmcs vmcs = f->cpu->vmx->vmcs;

	(void)state;
	for (unsigned i = 0; i < COUNT(lines); i++) {
		command(lines[i]);
		if (memcmp(&before, f->cpu, sizeof(before)) != 0 || memcmp(&vmcs, &f->cpu->vmx->vmcs, sizeof(vmcs)) != 0)
			fail_msg("%s changes the processor", lines[i]);
	}
}

static void
wrong_commands_are_refused_in_words(void **state)
{
	static const char *const lines[] = {
		"nonsense", "i nonsense", "break (", "delete 7", "x/9q 0", "until", "vmcs", "regs foo", "set", "set foo = 1", "symbols /nonexistent",
		"source /nonexistent", "only foo 1", "trace foo", "cpu 9", "ept zzz", "search 0..1", "break exit FOO", "condition 9 1", "watch",
		"syntax foo", "ignore"};

	(void)state;
	for (unsigned i = 0; i < COUNT(lines); i++) {
		command(lines[i]);
		if (!d->command_failed || !*output)
			fail_msg("%s was taken", lines[i]);
	}
}

static void
every_command_has_help_and_an_example(void **state)
{
	const struct command *c;
	char line[64];

	(void)state;
	for (unsigned i = 0; (c = command_at(i)); i++) {
		assert_non_null(c->help);
		snprintf(line, sizeof(line), "help %s", c->name);
		expect(line, c->help);
		if (strncmp(c->name, "info ", 5) != 0 && !c->example)
			fail_msg("%s has no example", c->name);
		for (unsigned j = 0; j < i; j++)
			if (c->alias && command_at(j)->alias && !strcmp(c->alias, command_at(j)->alias))
				fail_msg("%s is short for two", c->alias);
	}
}

static void
traces_are_written_in_each_format(void **state)
{
	static const struct {
		const char *format, *text;
	} rows[] = {
		{"text", "L2 exit CPUID rip=0x30000"},
		{"jsonl", "\"event\":\"exit\""},
		{"perfetto", "\"name\":\"CPUID\"}"},
		{"kvm", "kvm_exit:             vcpu 0 reason CPUID rip 0x30000"},
	};
	char path[] = "/tmp/nestbox-trace-XXXXXX", line[100], text[8192];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	CODE(f, "\x0f\xa2\x0f\xa2\x0f\xa2\x0f\xa2\x0f\xa2\x0f\xa2\x0f\xa2\x0f\xa2\xf4");
	command("break exit");
	for (unsigned i = 0; i < COUNT(rows); i++) {
		FILE *file;
		size_t size;

		f->v->guest_rip = GUEST_CODE;
		f->cpu->nonroot = false;
		f->cpu->rip = ENTRY;
		f->cpu->vmx->launched = 0;
		cpu_mode_changed(f->cpu);
		snprintf(line, sizeof(line), "trace vmx,%s %s", rows[i].format, path);
		command(line);
		command("continue");
		command("trace off");
		file = fopen(path, "r");
		assert_non_null(file);
		size = fread(text, 1, sizeof(text) - 1, file);
		text[size] = 0;
		fclose(file);
		if (!strstr(text, rows[i].text))
			fail_msg("%s: %s", rows[i].format, text);
	}
	remove(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(expressions_know_c_operators_registers_memory_and_fields),
		T(wrong_expressions_are_refused),
		T(deeply_nested_expressions_are_refused),
		T(step_executes_so_many_instructions),
		T(a_breakpoint_in_the_middle_of_a_loop_stops_each_time),
		T(conditions_and_ignore_counts_let_it_pass),
		T(a_breakpoint_set_while_the_code_is_cached_works),
		T(physical_breakpoints_see_through_the_page_tables),
		T(watchpoints_tell_the_old_and_new_value),
		T(exits_are_stopped_at_remembered_and_explained),
		T(why_names_who_wrote_the_field),
		T(an_ept_violation_is_explained_to_the_entry),
		T(walk_tells_both_dimensions),
		T(vmcs_check_lists_all_broken_rules),
		T(vmcs_check_in_a_real_mode_guest_judges_the_hypervisors_mode),
		T(only_restricts_breakpoints_to_a_level),
		T(events_are_named_in_any_case),
		T(watchpoints_are_as_long_as_they_say),
		T(only_tells_what_it_was_told),
		T(what_cannot_be_set_changes_nothing),
		T(next_goes_over_exits_and_step_where_only_says_so),
		T(next_returns_in_its_own_level),
		T(commands_run_at_their_breakpoint),
		T(looking_changes_nothing),
		T(wrong_commands_are_refused_in_words),
		T(every_command_has_help_and_an_example),
		T(traces_are_written_in_each_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
