/* Delivery of interrupts and exceptions. */
#include "tests/unit/far_fixture.h"

#define GATE_INT16 0x86
#define GATE_TRAP16 0x87
#define GATE_INT 0x8e
#define GATE_TRAP 0x8f

static const struct event_info interrupt_40 = {.vector = 0x40, .type = EVENT_EXTERNAL};

static struct event_info
fault(unsigned vector, u32 error)
{
	return (struct event_info){
		.vector = (u8)vector, .type = EVENT_HARDWARE_EXCEPTION, .has_error = vector != VECTOR_UD && vector != VECTOR_DB, .error = error};
}

static void
assert_words(struct vcpu *cpu, u64 at, unsigned size, const u64 *expect, unsigned count)
{
	for (unsigned n = 0; n < count; n++)
		if (get(cpu, at + n * size, size) != expect[n])
			fail_msg("item %u: %llx, not %llx", n, (unsigned long long)get(cpu, at + n * size, size),
				 (unsigned long long)expect[n]);
}
#define ASSERT_STACK(at, size, ...)                                                                                    \
	assert_words(cpu, at, size, (const u64[]){__VA_ARGS__}, COUNT(((const u64[]){__VA_ARGS__})))

/* --- real mode --- */

static void
real_mode_pushes_three_words_and_no_error_code(void **state)
{
	struct processor *p = new_real();
	struct vcpu *cpu = p->cpu;
	struct event_info e = fault(VECTOR_GP, 0);

	(void)state;
	segment_load_real(cpu, CS, 0x10);
	put(cpu, 13 * 4, 4, 0x12345678);
	cpu_set_rflags(cpu, FLAG_IF | FLAG_TF | FLAG_AC | FLAG_CF | FLAG_IOPL);
	assert_int_equal(deliver_once(cpu, &e, false), NO_FAULT);
	assert_int_equal(cpu->rip, 0x5678);
	assert_int_equal(cpu->seg[CS].base, 0x12340);
	assert_int_equal(cpu_rflags(cpu), FLAG_CF | FLAG_IOPL | 2);
	assert_int_equal(cpu->r[RSP], STACK - 6);
	ASSERT_STACK(STACK - 6, 2, CODE, 0x10, (u16)(FLAG_IF | FLAG_TF | FLAG_CF | FLAG_IOPL | 2));
	assert_false(cpu->is_delivering);
	processor_free(p);
}

static void
real_mode_stack_wraps_at_64k_and_the_table_has_a_limit(void **state)
{
	struct processor *p = new_real();
	struct vcpu *cpu = p->cpu;

	(void)state;
	put(cpu, 0x40 * 4, 4, 0x5678);
	cpu->r[RSP] = 0xabcd0002;
	assert_int_equal(deliver_once(cpu, &interrupt_40, false), NO_FAULT);
	assert_int_equal(cpu->r[RSP], 0xabcdfffc);
	ASSERT_STACK(0xfffc, 2, CODE, 0);
	cpu->r[RSP] = 1; /* a word at FFFFh is beyond the limit */
	assert_int_equal(deliver_once(cpu, &interrupt_40, false), VECTOR_SS);
	assert_false(cpu->event.has_error);
	cpu->is_delivering = false;
	cpu->r[RSP] = STACK;
	cpu->idtr.limit = 0x40 * 4 + 2;
	assert_int_equal(deliver_once(cpu, &interrupt_40, false), VECTOR_GP);
	assert_false(cpu->event.has_error);
	cpu->idtr.limit++;
	assert_int_equal(deliver_once(cpu, &interrupt_40, false), NO_FAULT);
	processor_free(p);
}

/* --- protected mode --- */

static void
same_privilege_pushes_flags_cs_eip(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	cpu_set_rflags(cpu, FLAG_IF | FLAG_TF | FLAG_NT | FLAG_RF | FLAG_AC | FLAG_ZF);
	put_idt(cpu, 0x40, make_gate(SEL_CODE0, 0x12345678, GATE_INT));
	assert_int_equal(deliver_once(cpu, &interrupt_40, false), NO_FAULT);
	assert_int_equal(cpu->rip, 0x12345678);
	assert_int_equal(cpu_rflags(cpu), FLAG_AC | FLAG_ZF | 2);
	assert_int_equal(cpu->r[RSP], STACK - 12);
	ASSERT_STACK(STACK - 12, 4, CODE, SEL_CODE0, FLAG_IF | FLAG_TF | FLAG_NT | FLAG_RF | FLAG_AC | FLAG_ZF | 2);
	processor_free(p);
}

static void
trap_gates_keep_if(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	cpu_set_rflags(cpu, FLAG_IF);
	put_idt(cpu, 0x40, make_gate(SEL_CODE0, HANDLER, GATE_TRAP));
	assert_int_equal(deliver_once(cpu, &interrupt_40, false), NO_FAULT);
	assert_int_equal(cpu_rflags(cpu), FLAG_IF | 2);
	processor_free(p);
}

static void
gates_of_16_bits_push_words(void **state)
{
	struct processor *p = new_protected(3);
	struct vcpu *cpu = p->cpu;
	struct event_info e = fault(VECTOR_GP, 0x12345678);

	(void)state;
	put_idt(cpu, VECTOR_GP, make_gate(SEL_CODE0, 0xffff5678, GATE_INT16));
	cpu->r[RSP] = 0x11119000;
	assert_int_equal(deliver_once(cpu, &e, false), NO_FAULT);
	assert_int_equal(cpu->rip, 0x5678);
	assert_int_equal(cpu->r[RSP], STACK0 - 12);
	ASSERT_STACK(STACK0 - 12, 2, 0x5678, CODE, SEL_CODE3, 2, 0x9000, SEL_DATA3);
	processor_free(p);
}

static void
inner_privilege_switches_to_the_stack_of_the_tss(void **state)
{
	struct processor *p = new_protected(3);
	struct vcpu *cpu = p->cpu;
	struct event_info e = fault(VECTOR_PF, 7);

	(void)state;
	e.cr2 = 0x89abcdef;
	put_idt(cpu, VECTOR_PF, make_gate(SEL_CODE0, HANDLER, GATE_INT));
	assert_int_equal(deliver_once(cpu, &e, false), NO_FAULT);
	assert_int_equal(cpu->cpl, 0);
	assert_int_equal(cpu->seg[CS].selector, SEL_CODE0);
	assert_int_equal(cpu->seg[SS].selector, SEL_DATA0);
	assert_int_equal(SEG_DPL(cpu->seg[SS].access), 0);
	assert_int_equal(cpu->r[RSP], STACK0 - 24);
	assert_int_equal(cpu->cr2, 0x89abcdef);
	/* A fault pushes RF set. */
	ASSERT_STACK(STACK0 - 24, 4, 7, CODE, SEL_CODE3, FLAG_RF | 2, STACK, SEL_DATA3);
	assert_int_equal(cpu_rflags(cpu), 2);
	processor_free(p);
}

static void
tss_of_16_bits_gives_a_16_bit_stack_pointer(void **state)
{
	struct processor *p = new_protected(3);
	struct vcpu *cpu = p->cpu;

	(void)state;
	cpu->tr.access = 0x83;
	put(cpu, TSS + 2, 2, 0x7000);
	put(cpu, TSS + 4, 2, SEL_DATA0);
	put_idt(cpu, 0x40, make_gate(SEL_CODE0, HANDLER, GATE_INT));
	assert_int_equal(deliver_once(cpu, &interrupt_40, false), NO_FAULT);
	assert_int_equal(cpu->r[RSP], 0x7000 - 20);
	processor_free(p);
}

static void
conforming_handler_keeps_cpl(void **state)
{
	struct processor *p = new_protected(3);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put_idt(cpu, 0x40, make_gate(SEL_CONFORMING, HANDLER, GATE_INT));
	assert_int_equal(deliver_once(cpu, &interrupt_40, false), NO_FAULT);
	assert_int_equal(cpu->cpl, 3);
	assert_int_equal(cpu->seg[CS].selector, SEL_CONFORMING | 3);
	assert_int_equal(cpu->r[RSP], STACK - 12);
	processor_free(p);
}

/* Faults of a delivery from ring 3 in protected mode; EXT is set for the interrupt. */
#define ERROR_GATE (0x40 * 8 + 2)

static void
gate_faults_name_the_vector(void **state)
{
	struct processor *p = new_protected(3);
	struct vcpu *cpu = p->cpu;

	(void)state;
	for (unsigned type = 0; type < 32; type++) {
		bool valid = type == 6 || type == 7 || type == 14 || type == 15 || type == 5;
		if (valid)
			continue;
		put_idt(cpu, 0x40, make_gate(SEL_CODE0, HANDLER, 0x80 | type));
		assert_faults(deliver_once(cpu, &interrupt_40, false), VECTOR_GP, ERROR_GATE | 1);
		cpu->is_delivering = false;
	}
	put_idt(cpu, 0x40, make_gate(SEL_CODE0, HANDLER, GATE_INT & ~0x80));
	assert_faults(deliver_once(cpu, &interrupt_40, false), VECTOR_NP, ERROR_GATE | 1);
	cpu->is_delivering = false;
	cpu->idtr.limit = 0x40 * 8 + 6;
	assert_faults(deliver_once(cpu, &interrupt_40, false), VECTOR_GP, ERROR_GATE | 1);
	assert_int_equal(cpu->rip, CODE);
	assert_int_equal(cpu->r[RSP], STACK);
	processor_free(p);
}

static void
int_n_needs_the_gates_dpl_and_has_no_ext(void **state)
{
	struct processor *p = new_protected(3);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put_idt(cpu, 0x40, make_gate(SEL_CODE0, HANDLER, GATE_INT));
	assert_faults(RUN(cpu, 0xcd, 0x40), VECTOR_GP, ERROR_GATE);
	assert_int_equal(cpu->rip, CODE);
	cpu->is_delivering = false;
	/* DPL comes before P. */
	put_idt(cpu, 0x40, make_gate(SEL_CODE0, HANDLER, GATE_INT & ~0x80));
	assert_faults(RUN(cpu, 0xcd, 0x40), VECTOR_GP, ERROR_GATE);
	cpu->is_delivering = false;
	put_idt(cpu, 0x40, make_gate(SEL_CODE0, HANDLER, (GATE_INT | A_DPL(3)) & ~0x80));
	assert_faults(RUN(cpu, 0xcd, 0x40), VECTOR_NP, ERROR_GATE);
	cpu->is_delivering = false;
	put_idt(cpu, 0x40, make_gate(SEL_CODE0, HANDLER, GATE_INT | A_DPL(3)));
	assert_int_equal(RUN(cpu, 0xcd, 0x40), NO_FAULT);
	assert_int_equal(cpu->rip, HANDLER);
	ASSERT_STACK(STACK0 - 20, 4, CODE + 2, SEL_CODE3, 2, STACK, SEL_DATA3);
	processor_free(p);
}

static void
int3_into_and_int1_push_the_next_address(void **state)
{
	struct processor *p = new_protected(3);
	struct vcpu *cpu = p->cpu;

	(void)state;
	for (unsigned vector = 1; vector <= 4; vector++)
		put_idt(cpu, vector, make_gate(SEL_CODE0, HANDLER + vector, GATE_INT));
	assert_faults(RUN(cpu, 0xcc), VECTOR_GP, 3 * 8 + 2);
	cpu->is_delivering = false;
	put_idt(cpu, 3, make_gate(SEL_CODE0, HANDLER + 3, GATE_INT | A_DPL(3)));
	put_idt(cpu, 4, make_gate(SEL_CODE0, HANDLER + 4, GATE_INT | A_DPL(3)));
	assert_int_equal(RUN(cpu, 0xcc), NO_FAULT);
	assert_int_equal(cpu->rip, HANDLER + 3);
	assert_int_equal(get(cpu, STACK0 - 20, 4), CODE + 1);
	processor_free(p);

	p = new_protected(0);
	cpu = p->cpu;
	put_idt(cpu, 4, make_gate(SEL_CODE0, HANDLER + 4, GATE_INT));
	assert_int_equal(RUN(cpu, 0xce), NO_FAULT);
	assert_int_equal(cpu->rip, CODE + 1);
	cc_set_raw(cpu, FLAG_OF);
	assert_int_equal(RUN(cpu, 0xce), NO_FAULT);
	assert_int_equal(cpu->rip, HANDLER + 4);
	/* INT1 asks no gate's DPL, and leaves DR6 and DR7. */
	processor_free(p);
	p = new_protected(3);
	cpu = p->cpu;
	put_idt(cpu, 1, make_gate(SEL_CODE0, HANDLER + 1, GATE_INT));
	cpu->dr[6] = 0xffff0ff0;
	cpu->dr[7] = 0x2400;
	assert_int_equal(RUN(cpu, 0xf1), NO_FAULT);
	assert_int_equal(cpu->rip, HANDLER + 1);
	assert_int_equal(cpu->dr[6], 0xffff0ff0);
	assert_int_equal(cpu->dr[7], 0x2400);
	processor_free(p);
}

/* The code segment of a gate used from ring 3. */
static const struct {
	const char *name;
	u16 selector;
	unsigned access;
	int fault;
	u32 error;
} code_faults[] = {
	{"null", 0, 0x9b, VECTOR_GP, 1},
	{"beyond the table", 0x108, 0x9b, VECTOR_GP, 0x109},
	{"in a missing LDT", SEL_TEST | 4, 0x9b, VECTOR_GP, SEL_TEST | 5},
	{"data", SEL_TEST, 0x93, VECTOR_GP, SEL_TEST | 1},
	{"system", SEL_TEST, 0x8c, VECTOR_GP, SEL_TEST | 1},
	{"not present", SEL_TEST, 0x1b, VECTOR_NP, SEL_TEST | 1},
	{"limit below the handler", SEL_TEST, 0x9b, VECTOR_GP, 1},
};

static void
handler_code_segments_are_checked(void **state)
{
	(void)state;
	for (unsigned n = 0; n < COUNT(code_faults); n++) {
		struct processor *p = new_protected(3);
		struct vcpu *cpu = p->cpu;

		put_idt(cpu, 0x40, make_gate(code_faults[n].selector, HANDLER, GATE_INT));
		put_gdt(cpu, SEL_TEST, make_descriptor(0, 0xfff, code_faults[n].access | 0x4000));
		int vector = deliver_once(cpu, &interrupt_40, false);
		if (vector != code_faults[n].fault || cpu->event.error != code_faults[n].error)
			fail_msg("%s: %d with %x", code_faults[n].name, vector, cpu->event.error);
		assert_int_equal(cpu->cpl, 3);
		assert_int_equal(cpu->rip, CODE);
		processor_free(p);
	}
	/* To an outer level */
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;
	put_idt(cpu, 0x40, make_gate(SEL_CODE3, HANDLER, GATE_INT));
	assert_faults(deliver_once(cpu, &interrupt_40, false), VECTOR_GP, (SEL_CODE3 & ~3) | 1);
	processor_free(p);
}

/* The stack that the TSS names. */
static const struct {
	const char *name;
	u16 selector;
	unsigned access;
	u32 limit, tss_limit;
	int fault;
	u32 error;
} stack_faults[] = {
	{"TSS too short", SEL_DATA0, 0x93, 0xffff, 8, VECTOR_TS, SEL_TSS | 1},
	{"TSS just long enough", SEL_TEST, 0x93, 0xffff, 9, NO_FAULT, 0},
	{"null", 0, 0x93, 0xffff, 0x67, VECTOR_TS, 1},
	{"beyond the table", 0x108, 0x93, 0xffff, 0x67, VECTOR_TS, 0x109},
	{"RPL", SEL_TEST | 1, 0x93, 0xffff, 0x67, VECTOR_TS, SEL_TEST | 1},
	{"DPL", SEL_TEST, 0xf3, 0xffff, 0x67, VECTOR_TS, SEL_TEST | 1},
	{"read-only", SEL_TEST, 0x91, 0xffff, 0x67, VECTOR_TS, SEL_TEST | 1},
	{"code", SEL_TEST, 0x9b, 0xffff, 0x67, VECTOR_TS, SEL_TEST | 1},
	{"not present", SEL_TEST, 0x13, 0xffff, 0x67, VECTOR_SS, SEL_TEST | 1},
	{"no room", SEL_TEST, 0x93, STACK0 - 2, 0x67, VECTOR_SS, SEL_TEST | 1},
	{"room", SEL_TEST, 0x93, STACK0 - 1, 0x67, NO_FAULT, 0},
	{"expand-down without room", SEL_TEST, 0x97, STACK0 - 20, 0x67, VECTOR_SS, SEL_TEST | 1},
	{"expand-down with room", SEL_TEST, 0x97, STACK0 - 21, 0x67, NO_FAULT, 0},
};

static void
inner_stacks_are_checked(void **state)
{
	(void)state;
	for (unsigned n = 0; n < COUNT(stack_faults); n++) {
		struct processor *p = new_protected(3);
		struct vcpu *cpu = p->cpu;

		put_idt(cpu, 0x40, make_gate(SEL_CODE0, HANDLER, GATE_INT));
		put(cpu, TSS + 8, 2, stack_faults[n].selector);
		put_gdt(cpu, SEL_TEST, make_descriptor(0, stack_faults[n].limit, stack_faults[n].access | 0x4000));
		cpu->tr.limit = stack_faults[n].tss_limit;
		put(cpu, STACK0 - 20, 4, 0x5a5a5a5a);
		int vector = deliver_once(cpu, &interrupt_40, false);
		if (vector != stack_faults[n].fault)
			fail_msg("%s: %d", stack_faults[n].name, vector);
		if (vector != NO_FAULT) {
			assert_int_equal(cpu->event.error, stack_faults[n].error);
			assert_int_equal(cpu->seg[SS].selector, SEL_DATA3);
			assert_int_equal(get(cpu, STACK0 - 20, 4), 0x5a5a5a5a);
		}
		processor_free(p);
	}
}

static void
no_room_on_the_same_stack_is_ss_with_ext_only(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put_idt(cpu, 0x40, make_gate(SEL_CODE0, HANDLER, GATE_INT));
	cpu->seg[SS].limit = 0xffff;
	cpu->r[RSP] = 8; /* the third push would be at FFFFFFFCh */
	assert_faults(deliver_once(cpu, &interrupt_40, false), VECTOR_SS, 1);
	assert_int_equal(cpu->r[RSP], 8);
	processor_free(p);
}

/* --- virtual-8086 mode --- */

static void
vm86_is_left_with_all_segments_on_the_stack(void **state)
{
	struct processor *p = new_vm86(3);
	struct vcpu *cpu = p->cpu;
	u64 flags = FLAG_VM | FLAG_IOPL | 2;

	(void)state;
	for (unsigned seg = 0; seg < 6; seg++)
		segment_load_real(cpu, seg, (u16)(0x10 + seg));
	put_idt(cpu, 0x40, make_gate(SEL_CODE0, HANDLER, GATE_INT));
	assert_int_equal(deliver_once(cpu, &interrupt_40, false), NO_FAULT);
	assert_int_equal(cpu->r[RSP], STACK0 - 36);
	ASSERT_STACK(STACK0 - 36, 4, CODE, 0x11, flags, STACK, 0x12, 0x10, 0x13, 0x14, 0x15);
	assert_int_equal(cpu->cpl, 0);
	assert_int_equal(cpu_rflags(cpu), FLAG_IOPL | 2);
	assert_int_equal(cpu->seg[ES].selector, 0);
	assert_true(cpu->seg[GS].access & SEG_UNUSABLE);
	processor_free(p);
}

static void
vm86_is_left_for_ring_0_only(void **state)
{
	struct processor *p = new_vm86(3);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put_idt(cpu, 0x40, make_gate(SEL_CODE1, HANDLER, GATE_INT));
	assert_faults(deliver_once(cpu, &interrupt_40, false), VECTOR_GP, SEL_CODE1 | 1);
	cpu->is_delivering = false;
	put_idt(cpu, 0x40, make_gate(SEL_CONFORMING, HANDLER, GATE_INT));
	assert_faults(deliver_once(cpu, &interrupt_40, false), VECTOR_GP, SEL_CONFORMING | 1);
	processor_free(p);
}

static void
int_n_in_vm86_needs_iopl_3_or_redirection(void **state)
{
	struct processor *p = new_vm86(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put_idt(cpu, 0x40, make_gate(SEL_CODE0, HANDLER, GATE_INT | A_DPL(3)));
	put_idt(cpu, 3, make_gate(SEL_CODE0, HANDLER, GATE_INT | A_DPL(3)));
	assert_faults(RUN(cpu, 0xcd, 0x40), VECTOR_GP, 0);
	assert_false(cpu->is_delivering);
	/* Redirected: bit 40h of the map at 88h - 20h is clear. */
	cpu->cr4 |= CR4_VME;
	put(cpu, 0x40 * 4, 4, 0x00201234);
	cpu->rflags |= FLAG_VIF | FLAG_IF;
	assert_int_equal(RUN(cpu, 0xcd, 0x40), NO_FAULT);
	assert_int_equal(cpu->rip, 0x1234);
	assert_int_equal(cpu->seg[CS].selector, 0x20);
	assert_int_equal(cpu_rflags(cpu), FLAG_VM | FLAG_IF | 2);
	ASSERT_STACK(STACK - 6, 2, CODE + 2, 0, 0x3000 | FLAG_IF | 2);
	/* Not redirected */
	put(cpu, TSS + 0x68 + 8, 1, 1);
	assert_faults(RUN(cpu, 0xcd, 0x40), VECTOR_GP, 0);
	assert_false(cpu->is_delivering);
	cpu->rflags |= FLAG_IOPL;
	assert_int_equal(RUN(cpu, 0xcd, 0x40), NO_FAULT);
	assert_int_equal(cpu->cpl, 0);
	processor_free(p);
	/* INT3 does not ask IOPL. */
	p = new_vm86(0);
	cpu = p->cpu;
	put_idt(cpu, 3, make_gate(SEL_CODE0, HANDLER, GATE_INT | A_DPL(3)));
	assert_int_equal(RUN(cpu, 0xcc), NO_FAULT);
	assert_int_equal(cpu->cpl, 0);
	processor_free(p);
}

static void
injected_int_n_in_vm86_does_not_ask_iopl(void **state)
{
	struct processor *p = new_vm86(0);
	struct vcpu *cpu = p->cpu;
	struct event_info e = {.vector = 0x40, .type = EVENT_SOFTWARE_INTERRUPT, .insn_len = 2};

	(void)state;
	put_idt(cpu, 0x40, make_gate(SEL_CODE0, HANDLER, GATE_INT | A_DPL(3)));
	assert_int_equal(deliver_once(cpu, &e, true), NO_FAULT);
	assert_int_equal(get(cpu, STACK0 - 36, 4), CODE + 2);
	processor_free(p);
}

/* --- IA-32e mode --- */

static void
long_mode_aligns_and_pushes_five_quadwords(void **state)
{
	struct processor *p = new_long(0);
	struct vcpu *cpu = p->cpu;
	struct event_info e = fault(VECTOR_GP, 0x1234);

	(void)state;
	put_idt(cpu, VECTOR_GP, make_gate(SEL_CODE64, HANDLER, GATE_INT));
	cpu->r[RSP] = STACK + 9;
	assert_int_equal(deliver_once(cpu, &e, false), NO_FAULT);
	assert_int_equal(cpu->r[RSP], STACK - 48);
	ASSERT_STACK(STACK - 48, 8, 0x1234, CODE, SEL_CODE64, FLAG_RF | 2, STACK + 9, SEL_DATA0);
	assert_int_equal(cpu->seg[SS].selector, SEL_DATA0);
	processor_free(p);
}

static void
long_mode_inner_privilege_makes_ss_null(void **state)
{
	struct processor *p = new_long(3);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put(cpu, IDT + 0x40 * 16 + 8, 8, 0);
	put_idt(cpu, 0x40, make_gate(SEL_CODE64, HANDLER, GATE_INT));
	put(cpu, TSS + 4, 8, 0x200000 + STACK0); /* pages of the supervisor */
	assert_int_equal(deliver_once(cpu, &interrupt_40, false), NO_FAULT);
	assert_int_equal(cpu->r[RSP], 0x200000 + STACK0 - 40);
	ASSERT_STACK(STACK0 - 40, 8, CODE, SEL_CODE64_3, 2, STACK, SEL_DATA3);
	assert_int_equal(cpu->cpl, 0);
	assert_int_equal(cpu->seg[SS].selector, 0);
	assert_true(cpu->seg[SS].access & SEG_UNUSABLE);
	assert_int_equal(SEG_DPL(cpu->seg[SS].access), 0);
	assert_true(cpu->long64);
	processor_free(p);
}

static void
interrupt_stack_table_applies_at_any_privilege(void **state)
{
	for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
		struct processor *p = new_long(cpl);
		struct vcpu *cpu = p->cpu;

		(void)state;
		put_idt(cpu, 0x40, make_gate(SEL_CODE64, HANDLER, GATE_INT) | BIT(32));
		assert_int_equal(deliver_once(cpu, &interrupt_40, false), NO_FAULT);
		assert_int_equal(cpu->r[RSP], (STACK_IST & ~15) - 40);
		assert_int_equal(get(cpu, (STACK_IST & ~15) - 16, 8), STACK);
		assert_int_equal(cpu->seg[SS].selector, cpl ? 0 : SEL_DATA0);
		processor_free(p);
	}
}

static void
long_mode_gates_and_handlers_are_checked(void **state)
{
	struct processor *p = new_long(3);
	struct vcpu *cpu = p->cpu;
	static const u8 bad[] = {0x85, 0x86, 0x87, 0x8c, 0x9e};

	(void)state;
	for (unsigned n = 0; n < COUNT(bad); n++) {
		put_idt(cpu, 0x40, make_gate(SEL_CODE64, HANDLER, bad[n]));
		assert_faults(deliver_once(cpu, &interrupt_40, false), VECTOR_GP, ERROR_GATE | 1);
		cpu->is_delivering = false;
	}
	/* 32-bit code, and L with D */
	put_idt(cpu, 0x40, make_gate(SEL_CODE0, HANDLER, GATE_INT));
	assert_faults(deliver_once(cpu, &interrupt_40, false), VECTOR_GP, SEL_CODE0 | 1);
	cpu->is_delivering = false;
	put_gdt(cpu, SEL_TEST, make_descriptor(0, 0xfffff, A_CODE64 | 0x4000));
	put_idt(cpu, 0x40, make_gate(SEL_TEST, HANDLER, GATE_INT));
	assert_faults(deliver_once(cpu, &interrupt_40, false), VECTOR_GP, SEL_TEST | 1);
	cpu->is_delivering = false;
	/* Handler not canonical */
	put_idt(cpu, 0x40, make_gate(SEL_CODE64, HANDLER, GATE_INT));
	put(cpu, IDT + 0x408, 8, 0x00008000);
	assert_faults(deliver_once(cpu, &interrupt_40, false), VECTOR_GP, 1);
	cpu->is_delivering = false;
	/* Stack not canonical; TSS too short; the table's limit counts 16 bytes */
	put_idt(cpu, 0x40, make_gate(SEL_CODE64, HANDLER, GATE_INT));
	put(cpu, TSS + 4, 8, 0x800000000000);
	assert_int_equal(deliver_once(cpu, &interrupt_40, false), VECTOR_PF); /* the frame lies below: canonical */
	cpu->is_delivering = false;
	put(cpu, TSS + 4, 8, 0x800000000020);
	assert_faults(deliver_once(cpu, &interrupt_40, false), VECTOR_SS, 1);
	cpu->is_delivering = false;
	cpu->tr.limit = 10;
	assert_faults(deliver_once(cpu, &interrupt_40, false), VECTOR_TS, SEL_TSS | 1);
	cpu->is_delivering = false;
	cpu->tr.limit = 11;
	assert_faults(deliver_once(cpu, &interrupt_40, false), VECTOR_SS, 1);
	cpu->is_delivering = false;
	cpu->idtr.limit = 0x40e;
	assert_faults(deliver_once(cpu, &interrupt_40, false), VECTOR_GP, ERROR_GATE | 1);
	processor_free(p);
}

/* --- effects --- */

static void
debug_exceptions_update_dr6_and_clear_gd(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;
	struct event_info e = {.vector = VECTOR_DB, .type = EVENT_HARDWARE_EXCEPTION, .cr2 = BIT(14) | 2};

	(void)state;
	put_idt(cpu, VECTOR_DB, make_gate(SEL_CODE0, HANDLER, GATE_INT));
	cpu->dr[6] = 0xffff0ff0 | BIT(13) | 1;
	cpu->dr[7] = 0x2401;
	cpu->msr.debugctl = 3;
	assert_int_equal(deliver_once(cpu, &e, false), NO_FAULT);
	/* B0-B3 are those of this exception, the causes from 13 up add. */
	assert_int_equal(cpu->dr[6], 0xffff0ff0 | BIT(13) | BIT(14) | 2);
	assert_int_equal(cpu->dr[7], 0x401);
	assert_int_equal(cpu->msr.debugctl, 0);
	/* A trap pushes RF clear, a general-detect fault pushes it set. */
	assert_int_equal(get(cpu, STACK - 4, 4), 2);
	e.cr2 = BIT(13);
	cpu->r[RSP] = STACK;
	assert_int_equal(deliver_once(cpu, &e, false), NO_FAULT);
	assert_int_equal(get(cpu, STACK - 4, 4), FLAG_RF | 2);
	/* Injected: nothing of that. */
	cpu->dr[7] = 0x2401;
	cpu->dr[6] = 0xffff0ff0;
	assert_int_equal(deliver_once(cpu, &e, true), NO_FAULT);
	assert_int_equal(cpu->dr[7], 0x2401);
	assert_int_equal(cpu->dr[6], 0xffff0ff0);
	processor_free(p);
}

static void
debug_traps_held_back_outlive_program_requests_only(void **state)
{
	static const struct {
		u8 type;
		bool stays;
	} rows[] = {{EVENT_EXTERNAL, false},	   {EVENT_NMI, false},		     {EVENT_HARDWARE_EXCEPTION, false},
		    {EVENT_SOFTWARE_INTERRUPT, true}, {EVENT_PRIVILEGED_SOFTWARE, false}, {EVENT_SOFTWARE_EXCEPTION, true}};
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put_idt(cpu, 3, make_gate(SEL_CODE0, HANDLER, GATE_INT));
	for (unsigned n = 0; n < COUNT(rows); n++) {
		struct event_info e = {.vector = 3, .type = rows[n].type};
		cpu->pending_db = BIT(14);
		cpu->pending = PEND_DB | PEND_INTR;
		assert_int_equal(deliver_once(cpu, &e, false), NO_FAULT);
		assert_int_equal(cpu->pending, rows[n].stays ? PEND_DB | PEND_INTR : PEND_INTR);
		assert_int_equal(cpu->pending_db, rows[n].stays ? BIT(14) : 0);
	}
	processor_free(p);
}

static void
injected_events_keep_cr2_and_rf(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;
	struct event_info e = fault(VECTOR_PF, 0);

	(void)state;
	put_idt(cpu, VECTOR_PF, make_gate(SEL_CODE0, HANDLER, GATE_INT));
	e.cr2 = 0x1234;
	cpu->cr2 = 0x5678;
	assert_int_equal(deliver_once(cpu, &e, true), NO_FAULT);
	assert_int_equal(cpu->cr2, 0x5678);
	assert_int_equal(get(cpu, STACK - 4, 4), 2);
	processor_free(p);
}

static void
nmi_blocks_nmis_until_iret(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;
	struct event_info e = {.vector = VECTOR_NMI, .type = EVENT_NMI};

	(void)state;
	put_idt(cpu, VECTOR_NMI, make_gate(SEL_CODE0, HANDLER, GATE_INT));
	cpu->activity = ACTIVITY_HLT;
	cpu->shadow = SHADOW_STI;
	assert_int_equal(deliver_once(cpu, &e, false), NO_FAULT);
	assert_true(cpu->nmi_blocked);
	assert_int_equal(cpu->activity, ACTIVITY_ACTIVE);
	assert_int_equal(cpu->shadow, 0);
	assert_int_equal(RUN(cpu, 0xcf), NO_FAULT);
	assert_false(cpu->nmi_blocked);
	assert_int_equal(cpu->rip, CODE);
	assert_int_equal(cpu->r[RSP], STACK);
	/* Even by an IRET that faults */
	cpu->nmi_blocked = true;
	put(cpu, STACK + 4, 4, 0);
	assert_faults(RUN(cpu, 0xcf), VECTOR_GP, 0);
	assert_false(cpu->nmi_blocked);
	processor_free(p);
}

/* --- faults during delivery --- */

static void
contributory_pairs_make_a_double_fault(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;
	struct event_info e = fault(VECTOR_GP, 0x50);

	(void)state;
	put_idt(cpu, VECTOR_GP, make_gate(SEL_CODE0, HANDLER, GATE_INT & ~0x80)); /* #NP */
	put_idt(cpu, VECTOR_DF, make_gate(SEL_CODE0, HANDLER + 8, GATE_INT));
	deliver_through(cpu, &e);
	assert_int_equal(cpu->rip, HANDLER + 8);
	ASSERT_STACK(STACK - 16, 4, 0, CODE, SEL_CODE0, FLAG_RF | 2);
	assert_false(cpu->is_delivering);
	assert_false(cpu->cpus->triple_fault);
	processor_free(p);
}

static void
benign_events_are_followed_serially(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put_idt(cpu, VECTOR_NP, make_gate(SEL_CODE0, HANDLER, GATE_INT));
	put_idt(cpu, 0x40, make_gate(SEL_CODE0, HANDLER, GATE_INT & ~0x80));
	deliver_through(cpu, &interrupt_40);
	assert_int_equal(cpu->rip, HANDLER);
	ASSERT_STACK(STACK - 16, 4, ERROR_GATE | 1, CODE, SEL_CODE0, FLAG_RF | 2);
	processor_free(p);
}

static void
page_fault_during_contributory_fault_is_serial_and_twice_is_double(void **state)
{
	struct processor *p = new_long(3);
	struct vcpu *cpu = p->cpu;
	struct event_info e = fault(VECTOR_GP, 0);

	(void)state;
	/* #GP goes to a stack that is not mapped; #PF has one. */
	put(cpu, TSS + 4, 8, 0x500000);
	put_idt(cpu, VECTOR_GP, make_gate(SEL_CODE64, HANDLER, GATE_INT));
	put_idt(cpu, VECTOR_PF, make_gate(SEL_CODE64, HANDLER + 14, GATE_INT) | BIT(32));
	put_idt(cpu, VECTOR_DF, make_gate(SEL_CODE64, HANDLER + 8, GATE_INT) | BIT(32));
	deliver_through(cpu, &e);
	assert_int_equal(cpu->rip, HANDLER + 14);
	assert_int_equal(cpu->cr2, 0x500000 - 48);
	assert_int_equal(get(cpu, 0xa000 - 48, 8), 2); /* write, supervisor, not present */
	processor_free(p);

	p = new_long(3);
	cpu = p->cpu;
	put(cpu, TSS + 4, 8, 0x500000);
	put_idt(cpu, VECTOR_PF, make_gate(SEL_CODE64, HANDLER + 14, GATE_INT));
	put_idt(cpu, VECTOR_DF, make_gate(SEL_CODE64, HANDLER + 8, GATE_INT) | BIT(32));
	e = fault(VECTOR_PF, 4);
	e.cr2 = 0x123000;
	deliver_through(cpu, &e);
	assert_int_equal(cpu->rip, HANDLER + 8);
	assert_int_equal(cpu->cr2, 0x500000 - 48); /* of the second */
	assert_int_equal(get(cpu, 0xa000 - 48, 8), 0);
	assert_int_equal(get(cpu, 0xa000 - 40, 8), CODE);
	processor_free(p);
}

static void
fault_during_double_fault_shuts_down(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;
	struct event_info e = fault(VECTOR_GP, 0);

	(void)state;
	cpu->idtr.limit = 0;
	deliver_through(cpu, &e);
	assert_int_equal(cpu->activity, ACTIVITY_SHUTDOWN);
	assert_true(cpu->cpus->triple_fault);
	assert_true(cpu->cpus->stop);
	assert_ptr_equal(cpu->cpus->culprit, cpu);
	assert_int_equal(cpu->rip, CODE);
	assert_int_equal(cpu->r[RSP], STACK);
	processor_free(p);
}

static int
deliver_second(struct vcpu *cpu)
{
	if (setjmp(cpu->door))
		return cpu->event.vector;
	deliver_exception(cpu);
	return NO_FAULT;
}

static void
exception_classes_combine_as_in_the_table(void **state)
{
	static const u8 vectors[] = {VECTOR_DE, VECTOR_DB, VECTOR_BR, VECTOR_UD, VECTOR_NM, VECTOR_TS, VECTOR_NP, VECTOR_SS,
				     VECTOR_GP, VECTOR_PF, VECTOR_MF, VECTOR_AC, VECTOR_XM, VECTOR_VE};
	(void)state;
	for (unsigned a = 0; a < COUNT(vectors); a++)
		for (unsigned b = 0; b < COUNT(vectors); b++) {
			struct processor *p = new_protected(0);
			struct vcpu *cpu = p->cpu;
			unsigned x = vectors[a], y = vectors[b];
			bool cx = x == 0 || (x >= 10 && x <= 13), cy = y == 0 || (y >= 10 && y <= 13);
			bool px = x == 14 || x == 20, py = y == 14 || y == 20;
			bool dbl = (cx && cy) || (px && (cy || py));

			for (unsigned n = 0; n < 32; n++)
				put_idt(cpu, n, make_gate(SEL_CODE0, HANDLER + n, GATE_INT));
			cpu->is_delivering = true;
			cpu->delivering = fault(x, 0);
			cpu->event = fault(y, 0);
			assert_int_equal(deliver_second(cpu), NO_FAULT);
			if (cpu->rip != HANDLER + (dbl ? 8 : y))
				fail_msg("%u then %u: %llx", x, y, (unsigned long long)cpu->rip);
			processor_free(p);
		}
}

static void
interrupts_and_traps_between_iterations_push_rf(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;
	struct event_info trap = {.vector = VECTOR_DB, .type = EVENT_HARDWARE_EXCEPTION, .cr2 = BIT(14)};
	/* Interrupts too that share their vectors with exceptions, as the timer's in a PC that starts. */
	struct event_info timer = {.vector = VECTOR_DF, .type = EVENT_EXTERNAL};
	u64 rip = cpu->rip;

	(void)state;
	put_idt(cpu, VECTOR_DF, make_gate(SEL_CODE0, HANDLER, GATE_INT));
	put_idt(cpu, 0x40, make_gate(SEL_CODE0, HANDLER, GATE_INT));
	put_idt(cpu, VECTOR_DB, make_gate(SEL_CODE0, HANDLER, GATE_INT));
	cpu->rep_rip = rip;
	cpu->rep_icount = cpu_icount(cpu);
	cpu->r[RSP] = STACK;
	assert_int_equal(deliver_once(cpu, &interrupt_40, false), NO_FAULT);
	ASSERT_STACK(STACK - 12, 4, rip, SEL_CODE0, FLAG_RF | 2);
	assert_false(cpu->rflags & FLAG_RF);
	cpu->rip = rip;
	cpu->r[RSP] = STACK;
	assert_int_equal(deliver_once(cpu, &trap, false), NO_FAULT);
	ASSERT_STACK(STACK - 12, 4, rip, SEL_CODE0, FLAG_RF | 2);
	cpu->rip = rip;
	cpu->r[RSP] = STACK;
	assert_int_equal(deliver_once(cpu, &timer, false), NO_FAULT);
	ASSERT_STACK(STACK - 12, 4, rip, SEL_CODE0, FLAG_RF | 2);
	cpu->rip = rip;
	cpu->r[RSP] = STACK;
	cpu->rep_icount--;
	assert_int_equal(deliver_once(cpu, &interrupt_40, false), NO_FAULT);
	ASSERT_STACK(STACK - 12, 4, rip, SEL_CODE0, 2);
	processor_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interrupts_and_traps_between_iterations_push_rf),
		cmocka_unit_test(real_mode_pushes_three_words_and_no_error_code),
		cmocka_unit_test(real_mode_stack_wraps_at_64k_and_the_table_has_a_limit),
		cmocka_unit_test(same_privilege_pushes_flags_cs_eip),
		cmocka_unit_test(trap_gates_keep_if),
		cmocka_unit_test(gates_of_16_bits_push_words),
		cmocka_unit_test(inner_privilege_switches_to_the_stack_of_the_tss),
		cmocka_unit_test(tss_of_16_bits_gives_a_16_bit_stack_pointer),
		cmocka_unit_test(conforming_handler_keeps_cpl),
		cmocka_unit_test(gate_faults_name_the_vector),
		cmocka_unit_test(int_n_needs_the_gates_dpl_and_has_no_ext),
		cmocka_unit_test(int3_into_and_int1_push_the_next_address),
		cmocka_unit_test(handler_code_segments_are_checked),
		cmocka_unit_test(inner_stacks_are_checked),
		cmocka_unit_test(no_room_on_the_same_stack_is_ss_with_ext_only),
		cmocka_unit_test(vm86_is_left_with_all_segments_on_the_stack),
		cmocka_unit_test(vm86_is_left_for_ring_0_only),
		cmocka_unit_test(int_n_in_vm86_needs_iopl_3_or_redirection),
		cmocka_unit_test(injected_int_n_in_vm86_does_not_ask_iopl),
		cmocka_unit_test(long_mode_aligns_and_pushes_five_quadwords),
		cmocka_unit_test(long_mode_inner_privilege_makes_ss_null),
		cmocka_unit_test(interrupt_stack_table_applies_at_any_privilege),
		cmocka_unit_test(long_mode_gates_and_handlers_are_checked),
		cmocka_unit_test(debug_exceptions_update_dr6_and_clear_gd),
		cmocka_unit_test(debug_traps_held_back_outlive_program_requests_only),
		cmocka_unit_test(injected_events_keep_cr2_and_rf),
		cmocka_unit_test(nmi_blocks_nmis_until_iret),
		cmocka_unit_test(contributory_pairs_make_a_double_fault),
		cmocka_unit_test(benign_events_are_followed_serially),
		cmocka_unit_test(page_fault_during_contributory_fault_is_serial_and_twice_is_double),
		cmocka_unit_test(fault_during_double_fault_shuts_down),
		cmocka_unit_test(exception_classes_combine_as_in_the_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
