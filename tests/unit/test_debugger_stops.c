/* Each kind of event that can stop the machine, and what lets it pass. */
#include "tests/unit/debugger_fixture.h"

/* Runs guest code until the breakpoint; the processor is then in the guest. */
static void
stops(const char *breakpoint, const char *says)
{
	char line[200];

	snprintf(line, sizeof(line), "break %s", breakpoint);
	command(line);
	if (d->command_failed)
		fail_msg("%s: %s", line, output);
	expect("continue", says);
}

static void
control_registers_are_watched_by_number_and_name(void **state)
{
	(void)state;
	/* mov rax,cr4; mov cr4,rax; mov rax,cr3; mov cr3,rax; hlt */
	CODE(f, "\x0f\x20\xe0\x0f\x22\xe0\x0f\x20\xd8\x0f\x22\xd8\xf4");
	stops("cr cr3", "CR3: 0x20000 -> 0x20000");
	assert_int_equal(f->cpu->rip, GUEST_CODE + 12);
	f->cpu->rip = GUEST_CODE;
	f->cpu->link = NULL;
	command("delete");
	stops("cr 4", "CR4: ");
	assert_int_equal(f->cpu->rip, GUEST_CODE + 6);
	expect("info breakpoints", "cr       0x4");
}

static void
clts_and_lmsw_write_cr0(void **state)
{
	(void)state;
	f->v->guest_cr0 |= CR0_TS;
	CODE(f, "\x0f\x06\x90\xb8\x0b\x00\x00\x00\x0f\x01\xf0\xf4"); /* clts; nop; mov eax,11; lmsw ax; hlt */
	stops("cr cr0", "CR0: 0x80010039 -> 0x80010031");
	assert_int_equal(f->cpu->rip, GUEST_CODE + 2);
	assert_false(f->cpu->cr0 & CR0_TS);
	expect("continue", "CR0: 0x80010031 -> 0x8001003b");
	assert_int_equal(f->cpu->rip, GUEST_CODE + 11);
	assert_true(f->cpu->cr0 & CR0_TS);
}

static void
xsetbv_writes_xcr0(void **state)
{
	(void)state;
	f->cpu->cr4 |= CR4_OSXSAVE;
	/* xor ecx,ecx; xor edx,edx; mov eax,7; xsetbv */
	for (unsigned i = 0; i < 12; i++)
		poke(f, ENTRY + i, 1, (u8)"\x31\xc9\x31\xd2\xb8\x07\x00\x00\x00\x0f\x01\xd1"[i]);
	stops("cr xcr0", "XCR0: 0x1 -> 0x7");
	assert_int_equal(f->cpu->rip, ENTRY + 12);
	assert_int_equal(f->cpu->xcr0, 7);
}

/* From 64-bit mode to compatibility mode by a far return. */
static void
modes_are_told_when_they_change(void **state)
{
	(void)state;
	/* push 0x20; push 0x30020; retfq */
	CODE(f, "\x6a\x20\x68\x20\x00\x03\x00\x48\xcb");
	poke(f, GUEST_CODE + 0x20, 8, 0x90909090);
	poke(f, 0x7100 + 0x20, 8, 0x00cf9b000000ffff);
	f->v->guest_gdtr_base = 0x7100;
	f->v->guest_gdtr_limit = 0x27;
	stops("mode compatibility", "mode long -> compatibility");
	assert_int_equal(f->cpu->rip, GUEST_CODE + 0x20);
	assert_false(f->cpu->long64);
	expect("regs ctl", "compatibility mode");
	command("delete");
	stops("mode", "mode compatibility -> long"); /* the exit at the end of the code */
	assert_false(f->cpu->nonroot);
}

static void
a_breakpoint_by_selector_and_offset_knows_the_segment(void **state)
{
	(void)state;
	CODE(f, "\x90\x90\x90\x90\xf4");
	stops("virtual 8:0x30002", "breakpoint 1");
	assert_int_equal(f->cpu->rip, GUEST_CODE + 2);
	expect("info breakpoints", "virtual 0x8:0x30002");
	command("delete");
	/* The same offset in another segment. */
	command("break virtual 0x10:0x30003");
	command("break 0x30004");
	expect("continue", "breakpoint 3");
	expect("x/1bx virtual 8:0x30004", "30004: f4");
}

static void
io_and_msr_breakpoints_tell_the_value(void **state)
{
	(void)state;
	/* mov al,0x5a; out 0x80,al; in al,0x61; mov ecx,0xc0000103; rdmsr; hlt */
	CODE(f, "\xb0\x5a\xe6\x80\xe4\x61\xb9\x03\x01\x00\xc0\x0f\x32\xf4");
	f->cpu->msr.tsc_aux = 0x77;
	f->v->proc_controls |= (u32)VMX_MASK(PROC, MSR_BITMAPS);
	f->v->msr_bitmap = MSR_BITMAP;
	stops("io 0x80", "out port 0x80, 1 bytes: 0x5a");
	stops("io 0x60..0x6f if write == 0", "in port 0x61, 1 bytes");
	stops("msr IA32_TSC_AUX", "rdmsr 0xc0000103 IA32_TSC_AUX: 0x77");
	assert_int_equal(f->cpu->rip, GUEST_CODE + 13);
}

static void
injections_are_stopped_at_by_vector(void **state)
{
	(void)state;
	f->v->entry_interruption_info = 0x80000000 | 0x21;
	f->v->guest_rflags |= FLAG_IF;
	CODE(f, "\x90");
	command("break inject 0x20");
	stops("exit", "exit 0 TRIPLE_FAULT"); /* there is no IDT */
	expect("info breakpoints", "inject   0x20, 0 hits");
}

static void
an_injection_of_the_vector_stops(void **state)
{
	(void)state;
	f->v->entry_interruption_info = 0x80000000 | 0x21;
	f->v->guest_rflags |= FLAG_IF;
	CODE(f, "\x90");
	stops("inject 0x21", "injection of vector 33");
}

static void
exceptions_are_stopped_at_by_vector(void **state)
{
	(void)state;
	CODE(f, "\x0f\x0b");
	f->v->exception_bitmap = 0;
	stops("exception 6", "exception 6, error code 0");
}

static void
a_triple_fault_stops(void **state)
{
	(void)state;
	poke(f, ENTRY, 2, 0x0b0f); /* ud2, and no IDT */
	stops("triple-fault", "triple fault");
	expect("info breakpoints", "1 hits");
}

static void
a_vmx_abort_stops(void **state)
{
	(void)state;
	CODE(f, "\x0f\xa2"); /* cpuid, whose exit is to store an MSR that there is not */
	poke(f, MSR_LIST, 8, 0x808);
	f->v->exit_msr_store_address = MSR_LIST;
	f->v->exit_msr_store_count = 1;
	command("break triple-fault");
	stops("vmx-abort 1", "VMX abort 1: saving guest MSRs");
	expect("info breakpoints", "vmx-abort 0x1, 1 hits");
	expect("info breakpoints", "triple-fault, 0 hits");
	assert_string_equal(f->cpus->shutdown_cause, "VMX shutdown (VMX abort)");
}

static void
interrupts_are_stopped_at_by_vector(void **state)
{
	(void)state;
	CODE(f, "\xcd\x31"); /* int 0x31 */
	command("break interrupt 0x30");
	command("break exception 0x31");
	stops("interrupt 0x31", "breakpoint 3: interrupt 49");
}

static void
time_ends_a_run(void **state)
{
	(void)state;
	CODE(f, "\x31\xc9\x90\xff\xc1\x90\xeb\xfa");
	expect("until time 777", "reached time 777");
	assert_int_equal(cpu_time(f->cpu), 777);
	expect("until time 5", "that is over");
}

static void
entries_and_refused_entries_stop(void **state)
{
	(void)state;
	CODE(f, "\x0f\xa2\xf4");
	stops("entry", "VM entry to 0x30000");
	assert_true(f->cpu->nonroot);
	command("delete");
	command("break exit");
	command("continue");
	command("delete");
	f->v->guest_rflags = 0;
	stops("entry-fail", "VM entry refused by");
	expect("why", "refused by");
}

static void
only_vpid_restricts_to_a_guest(void **state)
{
	(void)state;
	CODE(f, "\x90\x90\x0f\xa2\x90\xf4");
	f->v->sec_controls |= (u32)VMX_MASK(SEC, ENABLE_VPID);
	f->v->vpid = 3;
	command("break 0x30001");
	command("break exit");
	command("only vpid 4");
	command("tbreak 0x30004");
	expect("info breakpoints", "only vpid 4");
	command("until 0x30005");
	assert_int_equal(f->cpu->rip, GUEST_CODE + 5);
	command("only vpid 3");
	f->cpu->rip = GUEST_CODE;
	f->cpu->link = NULL;
	expect("continue", "breakpoint 1");
	command("only off");
	expect("info breakpoints", "1 hits");
}

static void
temporary_breakpoints_go_after_their_stop(void **state)
{
	(void)state;
	CODE(f, "\x31\xc9\x90\xff\xc1\x90\xeb\xfa");
	command("tbreak 0x30005");
	expect("continue", "breakpoint 1");
	expect("info breakpoints", "no breakpoints");
}

static void
execution_of_a_range_stops_at_its_first_instruction(void **state)
{
	(void)state;
	CODE(f, "\x90\x90\x90\x90\x90\x90\xf4");
	stops("0x30003..0x30010", "breakpoint 1");
	assert_int_equal(f->cpu->rip, GUEST_CODE + 3);
	expect("continue", "breakpoint 1");
	assert_int_equal(f->cpu->rip, GUEST_CODE + 4);
}

static void
a_vmwrite_breakpoint_names_its_field(void **state)
{
	(void)state;
	CODE(f, "\x0f\xa2\xf4");
	stops("vmwrite guest_rip", "vmwrite guest_rip: 0x30000 -> 0x30002");
	expect("info breakpoints", "vmwrite  guest_rip");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(control_registers_are_watched_by_number_and_name),
		T(clts_and_lmsw_write_cr0),
		T(xsetbv_writes_xcr0),
		T(modes_are_told_when_they_change),
		T(a_breakpoint_by_selector_and_offset_knows_the_segment),
		T(io_and_msr_breakpoints_tell_the_value),
		T(injections_are_stopped_at_by_vector),
		T(an_injection_of_the_vector_stops),
		T(exceptions_are_stopped_at_by_vector),
		T(a_triple_fault_stops),
		T(a_vmx_abort_stops),
		T(interrupts_are_stopped_at_by_vector),
		T(time_ends_a_run),
		T(entries_and_refused_entries_stop),
		T(only_vpid_restricts_to_a_guest),
		T(temporary_breakpoints_go_after_their_stop),
		T(execution_of_a_range_stops_at_its_first_instruction),
		T(a_vmwrite_breakpoint_names_its_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
