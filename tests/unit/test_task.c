/* Hardware task switches. */
#include "tests/unit/far_fixture.h"

#define NEW_EIP 0x6123
#define NEW_ESP 0x7700

static int
jump_to(struct vcpu *cpu, u16 selector)
{
	return RUN(cpu, 0xea, 0, 0, 0, 0, (char)selector, (char)(selector >> 8));
}

static int
call_to(struct vcpu *cpu, u16 selector)
{
	return RUN(cpu, 0x9a, 0, 0, 0, 0, (char)selector, (char)(selector >> 8));
}

/* A 32-bit TSS of ring 0 at TSS_OTHER. */
static void
put_task(struct vcpu *cpu)
{
	static const u16 segments[6] = {SEL_DATA0, SEL_CODE0, SEL_DATA0, SEL_DATA0, 0, SEL_DATA3};

	put(cpu, TSS_OTHER + 0x20, 4, NEW_EIP);
	put(cpu, TSS_OTHER + 0x24, 4, FLAG_DF | 0xffc00000);
	for (unsigned n = 0; n < 8; n++)
		put(cpu, TSS_OTHER + 0x28 + n * 4, 4, n == RSP ? NEW_ESP : 0x11110000 + n);
	for (unsigned n = 0; n < 6; n++)
		put(cpu, TSS_OTHER + 0x48 + n * 4, 4, segments[n]);
	put(cpu, TSS_OTHER + 0x60, 4, SEL_LDT);
}

static struct processor *
new_tasks(unsigned cpl)
{
	struct processor *p = new_protected(cpl);

	put_task(p->cpu);
	return p;
}

static unsigned
tss_type(struct vcpu *cpu, u16 selector)
{
	return get(cpu, GDT + selector + 5, 1) & 15;
}

static void
jump_switches_and_leaves_the_old_task_available(void **state)
{
	struct processor *p = new_tasks(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	cpu->r[RAX] = 0xaaaaaaaa;
	cpu->r[RDI] = 0xdddddddd;
	cpu->dr[7] = 0x7ff;
	cpu_set_rflags(cpu, FLAG_CF | FLAG_NT);
	assert_int_equal(jump_to(cpu, SEL_OTHER), NO_FAULT);
	assert_int_equal(cpu->rip, NEW_EIP);
	assert_int_equal(cpu->r[RAX], 0x11110000);
	assert_int_equal(cpu->r[RDI], 0x11110007);
	assert_int_equal(cpu->r[RSP], NEW_ESP);
	assert_int_equal(cpu_rflags(cpu), FLAG_DF | 2);
	assert_true(cpu->cr0 & CR0_TS);
	assert_int_equal(cpu->dr[7], 0x7ff & ~0x155);
	assert_int_equal(cpu->tr.selector, SEL_OTHER);
	assert_int_equal(cpu->tr.base, TSS_OTHER);
	assert_int_equal(cpu->tr.access & 15, 11);
	assert_int_equal(cpu->ldtr.base, LDT);
	assert_int_equal(cpu->seg[CS].selector, SEL_CODE0);
	assert_int_equal(cpu->seg[GS].selector, SEL_DATA3);
	assert_true(cpu->seg[FS].access & SEG_UNUSABLE);
	assert_int_equal(tss_type(cpu, SEL_TSS), 9);
	assert_int_equal(tss_type(cpu, SEL_OTHER), 11);
	/* The old state */
	assert_int_equal(get(cpu, TSS + 0x20, 4), CODE + 7);
	assert_int_equal(get(cpu, TSS + 0x24, 4), FLAG_CF | FLAG_NT | 2);
	assert_int_equal(get(cpu, TSS + 0x28, 4), 0xaaaaaaaa);
	assert_int_equal(get(cpu, TSS + 0x38, 4), STACK);
	assert_int_equal(get(cpu, TSS + 0x44, 4), 0xdddddddd);
	assert_int_equal(get(cpu, TSS + 0x4c, 2), SEL_CODE0);
	assert_int_equal(get(cpu, TSS + 0x5c, 2), SEL_DATA0);
	processor_free(p);
}

static void
call_nests_and_iret_returns(void **state)
{
	struct processor *p = new_tasks(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	assert_int_equal(call_to(cpu, SEL_OTHER), NO_FAULT);
	assert_int_equal(cpu_rflags(cpu), FLAG_DF | FLAG_NT | 2);
	assert_int_equal(get(cpu, TSS_OTHER, 2), SEL_TSS);
	assert_int_equal(tss_type(cpu, SEL_TSS), 11);
	assert_int_equal(tss_type(cpu, SEL_OTHER), 11);
	cpu->cr0 &= ~CR0_TS;
	assert_int_equal(RUN(cpu, 0xcf), NO_FAULT);
	assert_int_equal(cpu->rip, CODE + 7);
	assert_int_equal(cpu->r[RSP], STACK);
	assert_int_equal(cpu->tr.selector, SEL_TSS);
	assert_int_equal(cpu_rflags(cpu), 2);
	assert_int_equal(tss_type(cpu, SEL_TSS), 11);
	assert_int_equal(tss_type(cpu, SEL_OTHER), 9);
	/* The saved image of the task left by IRET has NT clear; its EIP is behind the IRET. */
	assert_int_equal(get(cpu, TSS_OTHER + 0x24, 4), FLAG_DF | 2);
	assert_int_equal(get(cpu, TSS_OTHER + 0x20, 4), NEW_EIP + 1);
	processor_free(p);
}

static void
interrupts_go_through_task_gates_and_push_the_error_code(void **state)
{
	struct processor *p = new_tasks(3);
	struct vcpu *cpu = p->cpu;
	struct event_info e = {.vector = VECTOR_GP, .type = EVENT_HARDWARE_EXCEPTION, .has_error = true, .error = 0x1234};

	(void)state;
	put_idt(cpu, VECTOR_GP, make_gate(SEL_OTHER, 0, 0x85));
	assert_int_equal(deliver_once(cpu, &e, false), NO_FAULT);
	assert_int_equal(cpu->rip, NEW_EIP);
	assert_int_equal(cpu->cpl, 0);
	assert_int_equal(cpu->r[RSP], NEW_ESP - 4);
	assert_int_equal(get(cpu, NEW_ESP - 4, 4), 0x1234);
	assert_int_equal(get(cpu, TSS + 0x20, 4), CODE);
	assert_int_equal(get(cpu, TSS + 0x24, 4), FLAG_RF | 2);
	assert_int_equal(get(cpu, TSS_OTHER, 2), SEL_TSS);
	assert_false(cpu->is_delivering);
	processor_free(p);
}

static void
task_gates_in_the_gdt(void **state)
{
	struct processor *p = new_tasks(3);
	struct vcpu *cpu = p->cpu;

	(void)state;
	assert_faults(jump_to(cpu, SEL_OTHER), VECTOR_GP, SEL_OTHER); /* TSS of DPL 0 */
	put_gdt(cpu, SEL_TEST, make_gate(SEL_OTHER, 0, 0x85));
	assert_faults(jump_to(cpu, SEL_TEST), VECTOR_GP, SEL_TEST);
	put_gdt(cpu, SEL_TEST, make_gate(SEL_OTHER, 0, 0x65));
	assert_faults(jump_to(cpu, SEL_TEST), VECTOR_NP, SEL_TEST);
	put_gdt(cpu, SEL_TEST, make_gate(SEL_OTHER, 0, 0xe5));
	assert_int_equal(jump_to(cpu, SEL_TEST), NO_FAULT);
	assert_int_equal(cpu->cpl, 0);
	assert_int_equal(cpu->rip, NEW_EIP);
	processor_free(p);
}

static void
new_tss_is_checked_before_anything_is_written(void **state)
{
	static const struct {
		const char *name;
		unsigned access;
		u32 limit;
		int fault;
	} rows[] = {
		{"busy", 0x8b, 0x67, VECTOR_GP},
		{"not present", 0x09, 0x67, VECTOR_NP},
		{"short", 0x89, 0x66, VECTOR_TS},
		{"short, 16 bits", 0x81, 0x2a, VECTOR_TS},
	};
	(void)state;
	for (unsigned n = 0; n < COUNT(rows); n++) {
		struct processor *p = new_tasks(0);
		struct vcpu *cpu = p->cpu;

		put_gdt(cpu, SEL_OTHER, make_descriptor(TSS_OTHER, rows[n].limit, rows[n].access));
		int fault = jump_to(cpu, SEL_OTHER);
		if (fault != rows[n].fault)
			fail_msg("%s: %d", rows[n].name, fault);
		assert_int_equal(cpu->event.error, SEL_OTHER);
		assert_int_equal(cpu->rip, CODE);
		assert_int_equal(get(cpu, TSS + 0x20, 4), 0);
		assert_int_equal(tss_type(cpu, SEL_TSS), 11);
		processor_free(p);
	}
	/* Return to a task that is not busy */
	struct processor *p = new_tasks(0);
	struct vcpu *cpu = p->cpu;
	cpu->rflags |= FLAG_NT;
	put(cpu, TSS, 2, SEL_OTHER);
	assert_faults(RUN(cpu, 0xcf), VECTOR_TS, SEL_OTHER);
	put(cpu, TSS, 2, SEL_OTHER | 4);
	assert_faults(RUN(cpu, 0xcf), VECTOR_TS, SEL_OTHER | 4);
	processor_free(p);
}

/* What is wrong with a segment of the new task: offset in the TSS, selector, access of SEL_TEST. */
static const struct {
	const char *name;
	unsigned offset;
	u16 selector;
	unsigned access;
	int fault;
	u32 error;
} segments[] = {
	{"LDT in the LDT", 0x60, SEL_LDT | 4, 0, VECTOR_TS, SEL_LDT | 4},
	{"LDT is none", 0x60, SEL_DATA0, 0, VECTOR_TS, SEL_DATA0},
	{"LDT not present", 0x60, SEL_TEST, 0x02, VECTOR_TS, SEL_TEST},
	{"CS null", 0x4c, 0, 0, VECTOR_TS, 0},
	{"CS data", 0x4c, SEL_DATA0, 0, VECTOR_TS, SEL_DATA0},
	{"CS DPL", 0x4c, SEL_TEST, 0xfb, VECTOR_TS, SEL_TEST},
	{"CS conforming of outer DPL", 0x4c, SEL_TEST, 0xff, VECTOR_TS, SEL_TEST},
	{"CS not present", 0x4c, SEL_TEST, 0x1b, VECTOR_NP, SEL_TEST},
	{"SS null", 0x50, 0, 0, VECTOR_TS, 0},
	{"SS beyond the table", 0x50, 0x108, 0, VECTOR_TS, 0x108},
	{"SS read-only", 0x50, SEL_TEST, 0x91, VECTOR_TS, SEL_TEST},
	{"SS RPL", 0x50, SEL_DATA0 | 1, 0, VECTOR_TS, SEL_DATA0},
	{"SS DPL", 0x50, SEL_DATA3 & ~3, 0, VECTOR_TS, SEL_DATA3 & ~3},
	{"SS not present", 0x50, SEL_TEST, 0x13, VECTOR_SS, SEL_TEST},
	{"DS execute-only", 0x54, SEL_TEST, 0x99, VECTOR_TS, SEL_TEST},
	{"DS RPL", 0x54, SEL_DATA0 | 1, 0, VECTOR_TS, SEL_DATA0},
	{"ES not present", 0x48, SEL_TEST, 0x13, VECTOR_NP, SEL_TEST},
	{"GS beyond the table", 0x5c, 0x108, 0, VECTOR_TS, 0x108},
	{"EIP beyond CS", 0x4c, SEL_TEST, 0x409b, VECTOR_GP, 0},
};

static void
segment_faults_belong_to_the_new_task(void **state)
{
	(void)state;
	for (unsigned n = 0; n < COUNT(segments); n++) {
		struct processor *p = new_tasks(0);
		struct vcpu *cpu = p->cpu;

		put_gdt(cpu, SEL_TEST, make_descriptor(0, 0xfff, segments[n].access));
		put(cpu, TSS_OTHER + segments[n].offset, 2, segments[n].selector);
		int fault = jump_to(cpu, SEL_OTHER);
		if (fault != segments[n].fault || cpu->event.error != segments[n].error)
			fail_msg("%s: %d with %x", segments[n].name, fault, cpu->event.error);
		assert_int_equal(cpu->rip, NEW_EIP);
		assert_int_equal(cpu->tr.selector, SEL_OTHER);
		assert_int_equal(cpu->r[RAX], 0x11110000);
		processor_free(p);
	}
}

static void
faults_of_the_new_task_in_a_delivery_have_ext(void **state)
{
	struct processor *p = new_tasks(3);
	struct vcpu *cpu = p->cpu;
	struct event_info e = {.vector = 0x40, .type = EVENT_EXTERNAL};

	(void)state;
	put_idt(cpu, 0x40, make_gate(SEL_OTHER, 0, 0x85));
	put(cpu, TSS_OTHER + 0x50, 2, SEL_DATA3);
	assert_faults(deliver_once(cpu, &e, false), VECTOR_TS, (SEL_DATA3 & ~3) | 1);
	processor_free(p);
}

static void
trap_bit_makes_a_debug_exception(void **state)
{
	struct processor *p = new_tasks(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put(cpu, TSS_OTHER + 0x64, 2, 1);
	assert_int_equal(jump_to(cpu, SEL_OTHER), NO_FAULT);
	assert_int_equal(cpu->pending_db, BIT(15));
	assert_true(cpu->pending & PEND_DB);
	processor_free(p);
}

static void
vm86_task(void **state)
{
	struct processor *p = new_tasks(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put(cpu, TSS_OTHER + 0x24, 4, FLAG_VM | FLAG_IOPL);
	put(cpu, TSS_OTHER + 0x4c, 2, 0x123);
	assert_int_equal(jump_to(cpu, SEL_OTHER), NO_FAULT);
	assert_true(cpu_vm86(cpu));
	assert_int_equal(cpu->cpl, 3);
	assert_int_equal(cpu->seg[CS].base, 0x1230);
	assert_int_equal(cpu->seg[CS].access, 0xf3);
	processor_free(p);
}

static void
tss_of_16_bits(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put_gdt(cpu, SEL_OTHER, make_descriptor(TSS_OTHER, 0x2b, 0x81));
	put(cpu, TSS_OTHER + 0x0e, 2, 0x1456);
	put(cpu, TSS_OTHER + 0x10, 2, FLAG_DF);
	for (unsigned n = 0; n < 8; n++)
		put(cpu, TSS_OTHER + 0x12 + n * 2, 2, 0x2220 + n);
	put(cpu, TSS_OTHER + 0x22, 2, SEL_DATA3);
	put(cpu, TSS_OTHER + 0x24, 2, SEL_CODE0);
	put(cpu, TSS_OTHER + 0x26, 2, SEL_DATA0);
	put(cpu, TSS_OTHER + 0x28, 2, SEL_DATA0);
	assert_int_equal(call_to(cpu, SEL_OTHER), NO_FAULT);
	assert_int_equal(cpu->rip, 0x1456);
	assert_int_equal(cpu->r[RBX], 0x2223);
	assert_int_equal(cpu->seg[ES].selector, SEL_DATA3);
	assert_int_equal(cpu->seg[FS].selector, 0);
	assert_int_equal(cpu->tr.access & 15, 3);
	assert_int_equal(get(cpu, TSS_OTHER, 2), SEL_TSS);
	/* Back: words are saved. */
	cpu->r[RBX] = 0x98765432;
	put(cpu, TSS_OTHER + 0x1a, 2, 0xffff);
	assert_int_equal(RUN(cpu, 0xcf), NO_FAULT);
	assert_int_equal(get(cpu, TSS_OTHER + 0x18, 2), 0x5432);
	assert_int_equal(get(cpu, TSS_OTHER + 0x1a, 2), 0x2224);
	assert_int_equal(cpu->tr.selector, SEL_TSS);
	processor_free(p);
}

static void
conforming_code_segment_gives_its_rpl(void **state)
{
	struct processor *p = new_tasks(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put(cpu, TSS_OTHER + 0x4c, 2, SEL_CONFORMING);
	assert_int_equal(jump_to(cpu, SEL_OTHER), NO_FAULT);
	assert_int_equal(cpu->cpl, 0);
	assert_int_equal(cpu->seg[CS].selector, SEL_CONFORMING);
	processor_free(p);
}

static void
paging_loads_cr3_and_page_faults_come_first(void **state)
{
	struct processor *p = new_tasks(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	/* 32-bit paging, 4 MByte pages: the first maps itself, in both directories. */
	put(cpu, 0x100000, 4, 0x83);
	put(cpu, 0x101000, 4, 0x83);
	cpu->cr3 = 0x100000;
	cpu->cr4 |= CR4_PSE;
	cpu->cr0 |= CR0_PG;
	cpu_mode_changed(cpu);
	put(cpu, TSS_OTHER + 0x1c, 4, 0x101000);
	put_gdt(cpu, SEL_TEST, make_descriptor(0x400000, 0x67, A_TSS));
	assert_int_equal(jump_to(cpu, SEL_TEST), VECTOR_PF);
	assert_int_equal(cpu->rip, CODE);
	assert_int_equal(cpu->tr.selector, SEL_TSS);
	assert_int_equal(tss_type(cpu, SEL_TSS), 11);
	assert_int_equal(jump_to(cpu, SEL_OTHER), NO_FAULT);
	assert_int_equal(cpu->cr3, 0x101000);
	processor_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jump_switches_and_leaves_the_old_task_available),
		cmocka_unit_test(call_nests_and_iret_returns),
		cmocka_unit_test(interrupts_go_through_task_gates_and_push_the_error_code),
		cmocka_unit_test(task_gates_in_the_gdt),
		cmocka_unit_test(new_tss_is_checked_before_anything_is_written),
		cmocka_unit_test(segment_faults_belong_to_the_new_task),
		cmocka_unit_test(faults_of_the_new_task_in_a_delivery_have_ext),
		cmocka_unit_test(trap_bit_makes_a_debug_exception),
		cmocka_unit_test(vm86_task),
		cmocka_unit_test(tss_of_16_bits),
		cmocka_unit_test(conforming_code_segment_gives_its_rpl),
		cmocka_unit_test(paging_loads_cr3_and_page_faults_come_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
