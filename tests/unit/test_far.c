/* Far JMP, CALL, RET, IRET; SYSCALL and SYSENTER and their returns. */
#include "tests/unit/far_fixture.h"

#define CALL_GATE 0x8c
#define CALL_GATE16 0x84
#define TARGET 0x4321

/* Immediate far pointer, 32-bit code. */
static int
jump_to(struct vcpu *cpu, u16 selector, u32 offset)
{
	return RUN(cpu, 0xea, (char)offset, (char)(offset >> 8), (char)(offset >> 16), (char)(offset >> 24), (char)selector, (char)(selector >> 8));
}

static int
call_to(struct vcpu *cpu, u16 selector, u32 offset)
{
	return RUN(cpu, 0x9a, (char)offset, (char)(offset >> 8), (char)(offset >> 16), (char)(offset >> 24), (char)selector, (char)(selector >> 8));
}

static void
put_stack(struct vcpu *cpu, unsigned size, const u64 *items, unsigned count)
{
	cpu->r[RSP] = STACK - count * size;
	for (unsigned n = 0; n < count; n++)
		put(cpu, cpu->r[RSP] + n * size, size, items[n]);
}
#define PUT_STACK(size, ...) put_stack(cpu, size, (const u64[]){__VA_ARGS__}, COUNT(((const u64[]){__VA_ARGS__})))

static void
assert_stack(struct vcpu *cpu, unsigned size, const u64 *expect, unsigned count)
{
	for (unsigned n = 0; n < count; n++)
		if (get(cpu, cpu->r[RSP] + n * size, size) != expect[n])
			fail_msg("item %u: %llx, not %llx", n, (unsigned long long)get(cpu, cpu->r[RSP] + n * size, size),
				 (unsigned long long)expect[n]);
}
#define ASSERT_STACK(size, ...) assert_stack(cpu, size, (const u64[]){__VA_ARGS__}, COUNT(((const u64[]){__VA_ARGS__})))

/* --- real mode --- */

static void
real_mode_far_transfers(void **state)
{
	struct processor *p = new_real();
	struct vcpu *cpu = p->cpu;

	(void)state;
	assert_int_equal(RUN(cpu, 0x9a, 0x34, 0x12, 0x00, 0x02), NO_FAULT);
	assert_int_equal(cpu->seg[CS].base, 0x2000);
	assert_int_equal(cpu->rip, 0x1234);
	ASSERT_STACK(2, CODE + 5, 0);
	assert_int_equal(RUN(cpu, 0xca, 4, 0), NO_FAULT);
	assert_int_equal(cpu->rip, CODE + 5);
	assert_int_equal(cpu->seg[CS].base, 0);
	assert_int_equal(cpu->r[RSP], STACK + 4);
	/* The last byte of the segment is fine. */
	PUT_STACK(2, 0xffff, 0);
	assert_int_equal(RUN(cpu, 0xcb), NO_FAULT);
	assert_int_equal(cpu->rip, 0xffff);
	cpu->rip = CODE;
	/* A 32-bit offset beyond the segment */
	assert_faults(RUN(cpu, 0x66, 0xea, 0x00, 0x00, 0x01, 0x00, 0x00, 0x02), VECTOR_GP, 0);
	assert_int_equal(RUN(cpu, 0xea, 0x34, 0x12, 0x00, 0x02), NO_FAULT);
	assert_int_equal(cpu->rip, 0x1234);
	/* iret */
	PUT_STACK(2, 0x777, 0x30, FLAG_IF | FLAG_CF | 0x7000);
	assert_int_equal(RUN(cpu, 0xcf), NO_FAULT);
	assert_int_equal(cpu->rip, 0x777);
	assert_int_equal(cpu->seg[CS].base, 0x300);
	assert_int_equal(cpu_rflags(cpu), FLAG_IF | FLAG_CF | 0x7000 | 2);
	processor_free(p);
}

/* --- code segments --- */

static const struct {
	const char *name;
	unsigned cpl, rpl, access;
	int fault;
} transfers[] = {
	{"same privilege", 0, 0, 0xc09b, NO_FAULT},
	{"RPL above CPL", 0, 1, 0xc09b, VECTOR_GP},
	{"DPL above CPL", 0, 0, 0xc0fb, VECTOR_GP},
	{"DPL below CPL", 3, 3, 0xc09b, VECTOR_GP},
	{"RPL below CPL", 3, 0, 0xc0fb, NO_FAULT},
	{"conforming, DPL below CPL", 3, 3, 0xc09f, NO_FAULT},
	{"conforming, DPL above CPL", 0, 0, 0xc0ff, VECTOR_GP},
	{"conforming, RPL does not matter", 1, 3, 0xc09f, NO_FAULT},
	{"not present", 0, 0, 0xc01b, VECTOR_NP},
	{"privilege before presence", 0, 0, 0xc07b, VECTOR_GP},
	{"data", 0, 0, 0xc093, VECTOR_GP},
	{"LDT", 0, 0, 0x0082, VECTOR_GP},
	{"interrupt gate", 0, 0, 0x008e, VECTOR_GP},
};

static void
direct_transfers_follow_type_and_privilege(void **state)
{
	(void)state;
	for (unsigned n = 0; n < COUNT(transfers); n++)
		for (unsigned call = 0; call < 2; call++) {
			struct processor *p = new_protected(transfers[n].cpl);
			struct vcpu *cpu = p->cpu;
			u16 selector = (u16)(SEL_TEST | transfers[n].rpl);

			put_gdt(cpu, SEL_TEST, make_descriptor(0, 0xfffff, transfers[n].access & ~1u));
			int fault = call ? call_to(cpu, selector, TARGET) : jump_to(cpu, selector, TARGET);
			if (fault != transfers[n].fault)
				fail_msg("%s: %d, not %d", transfers[n].name, fault, transfers[n].fault);
			if (fault == NO_FAULT) {
				assert_int_equal(cpu->rip, TARGET);
				assert_int_equal(cpu->seg[CS].selector, SEL_TEST | transfers[n].cpl);
				assert_int_equal(cpu->cpl, transfers[n].cpl);
				assert_int_equal(get(cpu, GDT + SEL_TEST + 5, 1) & 1, 1);
				assert_int_equal(cpu->r[RSP], STACK - (call ? 8 : 0));
				if (call)
					assert_int_equal(get(cpu, STACK - 8, 4), CODE + 7);
			} else {
				assert_int_equal(cpu->event.error, SEL_TEST);
				assert_int_equal(cpu->rip, CODE);
				assert_int_equal(cpu->r[RSP], STACK);
			}
			processor_free(p);
		}
}

static void
null_and_limits_fault(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	assert_faults(jump_to(cpu, 0, TARGET), VECTOR_GP, 0);
	assert_faults(jump_to(cpu, 0x108, TARGET), VECTOR_GP, 0x108);
	put_gdt(cpu, SEL_TEST, make_descriptor(0, TARGET - 1, 0x409b));
	assert_faults(jump_to(cpu, SEL_TEST, TARGET), VECTOR_GP, 0);
	assert_faults(call_to(cpu, SEL_TEST, TARGET), VECTOR_GP, 0);
	put_gdt(cpu, SEL_TEST, make_descriptor(0, TARGET, 0x409b));
	assert_int_equal(jump_to(cpu, SEL_TEST, TARGET), NO_FAULT);
	processor_free(p);
}

static void
indirect_far_pointers_of_each_size(void **state)
{
	struct processor *p = new_long(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	cpu->r[RBX] = 0xc000;
	put(cpu, 0xc000, 8, 0xffff800012345678);
	put(cpu, 0xc008, 2, SEL_CODE64);
	assert_int_equal(RUN(cpu, 0x48, 0xff, 0x2b), NO_FAULT); /* jmp far [rbx], REX.W */
	assert_true(cpu->rip == 0xffff800012345678);
	cpu->rip = CODE;
	put(cpu, 0xc000, 8, 0x0000800012345678);
	assert_faults(RUN(cpu, 0x48, 0xff, 0x2b), VECTOR_GP, 0);
	put(cpu, 0xc000, 4, TARGET);
	put(cpu, 0xc004, 2, SEL_CODE0);
	assert_int_equal(RUN(cpu, 0xff, 0x1b), NO_FAULT); /* call far [rbx], to compatibility mode */
	assert_int_equal(cpu->rip, TARGET);
	assert_false(cpu->long64);
	ASSERT_STACK(4, CODE + 2, SEL_CODE64);
	/* and back */
	assert_int_equal(jump_to(cpu, SEL_CODE64, CODE), NO_FAULT);
	assert_true(cpu->long64);
	/* L and D together */
	put_gdt(cpu, SEL_TEST, make_descriptor(0, 0xfffff, A_CODE64 | 0x4000));
	put(cpu, 0xc004, 2, SEL_TEST);
	assert_faults(RUN(cpu, 0xff, 0x2b), VECTOR_GP, SEL_TEST);
	processor_free(p);
}

/* --- call gates --- */

static void
call_gate_copies_parameters_to_the_inner_stack(void **state)
{
	struct processor *p = new_protected(3);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put_gdt(cpu, SEL_TEST, make_gate(SEL_CODE0, 0x12345678, CALL_GATE | A_DPL(3)) | 3ull << 32);
	PUT_STACK(4, 0x111, 0x222, 0x333);
	assert_int_equal(call_to(cpu, SEL_TEST | 3, 0), NO_FAULT);
	assert_int_equal(cpu->cpl, 0);
	assert_int_equal(cpu->rip, 0x12345678);
	assert_int_equal(cpu->r[RSP], STACK0 - 28);
	assert_int_equal(cpu->seg[SS].selector, SEL_DATA0);
	ASSERT_STACK(4, CODE + 7, SEL_CODE3, 0x111, 0x222, 0x333, STACK - 12, SEL_DATA3);
	/* retf 12 goes back and releases both copies. */
	cpu->rip = CODE;
	cpu->seg[DS] = cpu->seg[SS];
	assert_int_equal(RUN(cpu, 0xca, 12, 0), NO_FAULT);
	assert_int_equal(cpu->cpl, 3);
	assert_int_equal(cpu->rip, CODE + 7);
	assert_int_equal(cpu->r[RSP], STACK);
	assert_int_equal(cpu->seg[SS].selector, SEL_DATA3);
	/* DS of ring 0 does not come along, ES of ring 3 stays. */
	assert_int_equal(cpu->seg[DS].selector, 0);
	assert_true(cpu->seg[DS].access & SEG_UNUSABLE);
	assert_int_equal(cpu->seg[ES].selector, SEL_DATA3);
	processor_free(p);
}

static void
call_gate_of_16_bits(void **state)
{
	struct processor *p = new_protected(3);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put_gdt(cpu, SEL_TEST, make_gate(SEL_CODE0, 0x12345678, CALL_GATE16 | A_DPL(3)) | 2ull << 32);
	PUT_STACK(2, 0x111, 0x222);
	assert_int_equal(call_to(cpu, SEL_TEST, 0), NO_FAULT);
	assert_int_equal(cpu->rip, 0x5678);
	assert_int_equal(cpu->r[RSP], STACK0 - 12);
	ASSERT_STACK(2, CODE + 7, SEL_CODE3, 0x111, 0x222, STACK - 4, SEL_DATA3);
	processor_free(p);
}

static void
call_gate_of_the_same_privilege_keeps_the_stack(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put_gdt(cpu, SEL_TEST, make_gate(SEL_CODE0, TARGET, CALL_GATE));
	assert_int_equal(call_to(cpu, SEL_TEST, 0), NO_FAULT);
	assert_int_equal(cpu->rip, TARGET);
	ASSERT_STACK(4, CODE + 7, SEL_CODE0);
	assert_int_equal(jump_to(cpu, SEL_TEST, 0), NO_FAULT);
	assert_int_equal(cpu->r[RSP], STACK - 8);
	processor_free(p);
}

static void
call_gates_are_checked(void **state)
{
	static const struct {
		const char *name;
		unsigned gate_access, rpl;
		u16 code;
		bool jump;
		int fault;
		u32 error;
	} rows[] = {
		{"gate DPL below CPL", CALL_GATE, 0, SEL_CODE0, false, VECTOR_GP, SEL_TEST},
		{"gate not present", 0x0c | A_DPL(3), 0, SEL_CODE0, false, VECTOR_NP, SEL_TEST},
		{"null code segment", CALL_GATE | A_DPL(3), 0, 0, false, VECTOR_GP, 0},
		{"code segment beyond the table", CALL_GATE | A_DPL(3), 0, 0x108, false, VECTOR_GP, 0x108},
		{"data segment", CALL_GATE | A_DPL(3), 0, SEL_DATA0, false, VECTOR_GP, SEL_DATA0},
		{"jump to inner code", CALL_GATE | A_DPL(3), 0, SEL_CODE0, true, VECTOR_GP, SEL_CODE0},
		{"jump to conforming code", CALL_GATE | A_DPL(3), 0, SEL_CONFORMING, true, NO_FAULT, 0},
		{"call to conforming code", CALL_GATE | A_DPL(3), 0, SEL_CONFORMING, false, NO_FAULT, 0},
	};
	(void)state;
	for (unsigned n = 0; n < COUNT(rows); n++) {
		struct processor *p = new_protected(3);
		struct vcpu *cpu = p->cpu;

		put_gdt(cpu, SEL_TEST, make_gate(rows[n].code, TARGET, rows[n].gate_access));
		int fault = rows[n].jump ? jump_to(cpu, SEL_TEST, 0) : call_to(cpu, SEL_TEST, 0);
		if (fault != rows[n].fault || (fault != NO_FAULT && cpu->event.error != rows[n].error))
			fail_msg("%s: %d with %x", rows[n].name, fault, cpu->event.error);
		assert_int_equal(cpu->cpl, 3);
		processor_free(p);
	}
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;
	put_gdt(cpu, SEL_TEST, make_gate(SEL_CODE0, TARGET, CALL_GATE));
	assert_faults(call_to(cpu, SEL_TEST | 1, 0), VECTOR_GP, SEL_TEST);
	processor_free(p);
}

static void
call_gate_of_64_bits(void **state)
{
	struct processor *p = new_long(3);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put_gdt(cpu, SEL_TEST, make_gate(SEL_CODE64, 0x12345678, CALL_GATE | A_DPL(3)) | 3ull << 32);
	put(cpu, GDT + SEL_TEST + 8, 8, 0xffff8000);
	cpu->r[RBX] = 0xc000;
	put(cpu, 0xc004, 2, SEL_TEST);
	assert_int_equal(RUN(cpu, 0xff, 0x1b), NO_FAULT);
	assert_true(cpu->rip == 0xffff800012345678);
	assert_int_equal(cpu->cpl, 0);
	assert_int_equal(cpu->seg[SS].selector, 0);
	assert_int_equal(cpu->r[RSP], STACK0 - 32);
	ASSERT_STACK(8, CODE + 2, SEL_CODE64_3, STACK, SEL_DATA3);
	processor_free(p);
	/* From ring 0 to ring 0 in compatibility mode: quadwords as well. */
	p = new_long(0);
	cpu = p->cpu;
	processor_long(cpu, 0);
	put_gdt(cpu, SEL_TEST, make_gate(SEL_CODE64, TARGET, CALL_GATE));
	put(cpu, GDT + SEL_TEST + 8, 8, 0);
	segment_set_flat(&cpu->seg[CS], SEL_CODE0, A_CODE);
	cpu_mode_changed(cpu);
	assert_int_equal(call_to(cpu, SEL_TEST, 0), NO_FAULT);
	assert_int_equal(cpu->rip, TARGET);
	ASSERT_STACK(8, CODE + 7, SEL_CODE0);
	processor_free(p);
}

/* --- returns --- */

static const struct {
	const char *name;
	unsigned cpl;
	u16 cs;
	unsigned access;
	int fault;
	u32 error;
} return_codes[] = {
	{"null", 0, 0, 0xc09b, VECTOR_GP, 0},
	{"null with RPL", 0, 3, 0xc09b, VECTOR_GP, 0},
	{"beyond the table", 0, 0x108, 0xc09b, VECTOR_GP, 0x108},
	{"RPL below CPL", 3, SEL_TEST, 0xc09b, VECTOR_GP, SEL_TEST},
	{"data", 0, SEL_TEST, 0xc093, VECTOR_GP, SEL_TEST},
	{"DPL is not RPL", 0, SEL_TEST, 0xc0fb, VECTOR_GP, SEL_TEST},
	{"conforming, DPL above RPL", 0, SEL_TEST, 0xc0ff, VECTOR_GP, SEL_TEST},
	{"not present", 0, SEL_TEST, 0xc01b, VECTOR_NP, SEL_TEST},
	{"limit", 0, SEL_TEST, 0x409b, VECTOR_GP, 0},
	{"fine", 0, SEL_TEST, 0xc09b, NO_FAULT, 0},
	{"conforming, DPL of the RPL", 0, SEL_TEST, 0xc09f, NO_FAULT, 0},
};

static void
return_code_segments_are_checked(void **state)
{
	(void)state;
	for (unsigned n = 0; n < COUNT(return_codes); n++)
		for (unsigned iret = 0; iret < 2; iret++) {
			struct processor *p = new_protected(return_codes[n].cpl);
			struct vcpu *cpu = p->cpu;

			put_gdt(cpu, SEL_TEST, make_descriptor(0, 0x1234, return_codes[n].access));
			PUT_STACK(4, TARGET, return_codes[n].cs, 2, 0x7000, SEL_DATA3);
			u64 rsp = cpu->r[RSP];
			int fault = iret ? RUN(cpu, 0xcf) : RUN(cpu, 0xcb);
			if (fault != return_codes[n].fault || (fault != NO_FAULT && cpu->event.error != return_codes[n].error))
				fail_msg("%s: %d with %x", return_codes[n].name, fault, cpu->event.error);
			assert_int_equal(cpu->r[RSP], fault == NO_FAULT ? rsp + (iret ? 12 : 8) : rsp);
			assert_int_equal(cpu->rip, fault == NO_FAULT ? TARGET : CODE);
			processor_free(p);
		}
}

static const struct {
	const char *name;
	u16 ss;
	unsigned access;
	int fault;
	u32 error;
} return_stacks[] = {
	{"null", 3, 0, VECTOR_GP, 0},
	{"beyond the table", 0x10b, 0, VECTOR_GP, 0x108},
	{"RPL", SEL_TEST, 0xf3, VECTOR_GP, SEL_TEST},
	{"DPL", SEL_TEST | 3, 0x93, VECTOR_GP, SEL_TEST},
	{"read-only", SEL_TEST | 3, 0xf1, VECTOR_GP, SEL_TEST},
	{"code", SEL_TEST | 3, 0xfb, VECTOR_GP, SEL_TEST},
	{"not present", SEL_TEST | 3, 0x73, VECTOR_SS, SEL_TEST},
	{"fine", SEL_TEST | 3, 0x40f3, NO_FAULT, 0},
};

static void
retf_releases_parameters_of_the_same_privilege(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	PUT_STACK(4, TARGET, SEL_CODE0);
	assert_int_equal(RUN(cpu, 0xca, 0x10, 0), NO_FAULT);
	assert_int_equal(cpu->rip, TARGET);
	assert_int_equal(cpu->r[RSP], STACK + 0x10);
	processor_free(p);
}

static void
return_stack_segments_are_checked(void **state)
{
	(void)state;
	for (unsigned n = 0; n < COUNT(return_stacks); n++)
		for (unsigned iret = 0; iret < 2; iret++) {
			struct processor *p = new_protected(0);
			struct vcpu *cpu = p->cpu;

			put_gdt(cpu, SEL_TEST, make_descriptor(0, 0xffff, return_stacks[n].access));
			if (iret)
				PUT_STACK(4, TARGET, SEL_CODE3, 2, 0x7000, return_stacks[n].ss);
			else
				PUT_STACK(4, TARGET, SEL_CODE3, 0x7000, return_stacks[n].ss);
			int fault = iret ? RUN(cpu, 0xcf) : RUN(cpu, 0xcb);
			if (fault != return_stacks[n].fault || (fault != NO_FAULT && cpu->event.error != return_stacks[n].error))
				fail_msg("%s: %d with %x", return_stacks[n].name, fault, cpu->event.error);
			assert_int_equal(cpu->cpl, fault == NO_FAULT ? 3 : 0);
			if (fault == NO_FAULT)
				assert_int_equal(cpu->r[RSP], 0x7000);
			processor_free(p);
		}
}

static void
iret_takes_flags_by_the_cpl_it_leaves(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	PUT_STACK(4, TARGET, SEL_CODE3, 0xffffffff & ~(FLAG_VM | FLAG_TF), 0x7000, SEL_DATA3);
	assert_int_equal(RUN(cpu, 0xcf), NO_FAULT);
	assert_int_equal(cpu_rflags(cpu), 0x3f7fd7 & ~(FLAG_VM | FLAG_TF));
	processor_free(p);
	/* Ring 3 with IOPL 0: neither IF, IOPL, VIF nor VIP. */
	p = new_protected(3);
	cpu = p->cpu;
	PUT_STACK(4, TARGET, SEL_CODE3, 0xffffffff & ~(FLAG_TF));
	assert_int_equal(RUN(cpu, 0xcf), NO_FAULT);
	assert_int_equal(cpu_rflags(cpu), FLAGS_STATUS | FLAG_DF | FLAG_NT | FLAG_RF | FLAG_AC | FLAG_ID | 2);
	processor_free(p);
	/* 16 bits */
	p = new_protected(0);
	cpu = p->cpu;
	cpu_set_rflags(cpu, FLAG_ID);
	PUT_STACK(2, TARGET, SEL_CODE0, 0xffff & ~(FLAG_TF));
	assert_int_equal(RUN(cpu, 0x66, 0xcf), NO_FAULT);
	assert_int_equal(cpu_rflags(cpu), FLAG_ID | (0x7fd7 & ~FLAG_TF));
	assert_int_equal(cpu->rip, TARGET);
	processor_free(p);
}

static void
return_to_a_16_bit_stack_loads_16_bits(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put_gdt(cpu, SEL_TEST, make_descriptor(0, 0xffff, 0x00f3));
	PUT_STACK(4, TARGET, SEL_CODE3, 2, 0x12347000, SEL_TEST | 3);
	cpu->r[RSP] = STACK - 20;
	assert_int_equal(RUN(cpu, 0xcf), NO_FAULT);
	assert_int_equal(cpu->r[RSP], 0x7000);
	processor_free(p);
}

static void
iret_enters_and_stays_in_vm86(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	PUT_STACK(4, 0x10000, 0x11, FLAG_VM, 0, 0, 0, 0, 0, 0);
	assert_faults(RUN(cpu, 0xcf), VECTOR_GP, 0);
	assert_int_equal(cpu->cpl, 0);
	PUT_STACK(4, TARGET, 0x11, FLAG_VM | FLAG_IOPL | FLAG_IF | 2, 0x12345678, 0x12, 0x13, 0x14, 0x15, 0x16);
	assert_int_equal(RUN(cpu, 0xcf), NO_FAULT);
	assert_true(cpu_vm86(cpu));
	assert_int_equal(cpu->cpl, 3);
	assert_int_equal(cpu->rip, TARGET);
	assert_int_equal(cpu->r[RSP], 0x12345678);
	assert_int_equal(cpu->seg[CS].base, 0x110);
	assert_int_equal(cpu->seg[SS].base, 0x120);
	assert_int_equal(cpu->seg[ES].base, 0x130);
	assert_int_equal(cpu->seg[DS].base, 0x140);
	assert_int_equal(cpu->seg[FS].base, 0x150);
	assert_int_equal(cpu->seg[GS].base, 0x160);
	assert_int_equal(cpu->seg[GS].access, 0xf3);
	processor_free(p);

	p = new_vm86(3);
	cpu = p->cpu;
	PUT_STACK(2, 0x777, 0x30, FLAG_CF);
	assert_int_equal(RUN(cpu, 0xcf), NO_FAULT);
	assert_int_equal(cpu_rflags(cpu), FLAG_VM | FLAG_IOPL | FLAG_CF | 2); /* IOPL stays */
	assert_int_equal(cpu->seg[CS].base, 0x300);
	processor_free(p);

	p = new_vm86(0);
	cpu = p->cpu;
	PUT_STACK(2, 0x777, 0x30, FLAG_CF | FLAG_IF);
	assert_faults(RUN(cpu, 0xcf), VECTOR_GP, 0);
	cpu->cr4 |= CR4_VME;
	assert_int_equal(RUN(cpu, 0xcf), NO_FAULT);
	assert_int_equal(cpu_rflags(cpu), FLAG_VM | FLAG_VIF | FLAG_CF | 2);
	processor_free(p);
}

static void
iretq_always_takes_ss_and_rsp(void **state)
{
	struct processor *p = new_long(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	PUT_STACK(8, TARGET, SEL_CODE64, FLAG_IF | 2, 0x7777777777777777, 0);
	assert_int_equal(RUN(cpu, 0x48, 0xcf), NO_FAULT);
	assert_int_equal(cpu->rip, TARGET);
	assert_true(cpu->r[RSP] == 0x7777777777777777);
	assert_int_equal(cpu->seg[SS].selector, 0); /* null at ring 0 */
	assert_int_equal(cpu_rflags(cpu), FLAG_IF | 2);
	/* To user code */
	cpu->rip = CODE;
	cpu->seg[GS].selector = 3;
	cpu->seg[GS].access = SEG_UNUSABLE;
	cpu->seg[GS].base = 0xffff888800000000;
	cpu->seg[FS].base = 0x77770000;
	PUT_STACK(8, TARGET, SEL_CODE64_3, 2, 0x7000, SEL_DATA3);
	assert_int_equal(RUN(cpu, 0x48, 0xcf), NO_FAULT);
	assert_int_equal(cpu->cpl, 3);
	assert_int_equal(cpu->seg[SS].selector, SEL_DATA3);
	/* A null selector loses its RPL; segments of ring 0 lose their selectors; bases stay. */
	assert_int_equal(cpu->seg[FS].selector, 0);
	assert_int_equal(cpu->seg[FS].base, 0x77770000);
	assert_int_equal(cpu->seg[GS].selector, 0);
	assert_true(cpu->seg[GS].base == 0xffff888800000000);
	assert_true(cpu->seg[DS].access & SEG_UNUSABLE);
	processor_free(p);
}

static void
iretq_faults_change_nothing(void **state)
{
	struct processor *p = new_long(0);
	struct vcpu *cpu = p->cpu;
	u64 rsp;

	(void)state;
	PUT_STACK(8, 0x800000000000, SEL_CODE64, 2, 0x7000, 0);
	rsp = cpu->r[RSP];
	assert_faults(RUN(cpu, 0x48, 0xcf), VECTOR_GP, 0);
	PUT_STACK(8, TARGET, SEL_CODE64_3, 2, 0x7000, 3);
	assert_faults(RUN(cpu, 0x48, 0xcf), VECTOR_GP, 0); /* null SS at ring 3 */
	PUT_STACK(8, TARGET, SEL_CODE0, 2, 0x7000, 0);
	assert_faults(RUN(cpu, 0x48, 0xcf), VECTOR_GP, 0); /* null SS in compatibility mode */
	PUT_STACK(8, TARGET, SEL_CODE64, 2, 0x7000, 1);
	assert_faults(RUN(cpu, 0x48, 0xcf), VECTOR_GP, 0);
	assert_int_equal(cpu->r[RSP], rsp);
	assert_int_equal(cpu->rip, CODE);
	cpu->rflags |= FLAG_NT;
	PUT_STACK(8, TARGET, SEL_CODE64, 2, 0x7000, 0);
	assert_faults(RUN(cpu, 0x48, 0xcf), VECTOR_GP, 0);
	/* The stack ends in a page that is not there. */
	cpu->rflags &= ~FLAG_NT;
	cpu->r[RSP] = 0x400000 - 24;
	put(cpu, 0x200000 - 24, 8, TARGET);
	put(cpu, 0x200000 - 16, 8, SEL_CODE64);
	put(cpu, 0x200000 - 8, 8, 2);
	assert_int_equal(RUN(cpu, 0x48, 0xcf), VECTOR_PF);
	assert_true(cpu->event.cr2 == 0x400000);
	assert_int_equal(cpu->r[RSP], 0x400000 - 24);
	processor_free(p);
}

static void
iret_to_compatibility_mode_and_back_out_of_16_bit_stacks(void **state)
{
	struct processor *p = new_long(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put_gdt(cpu, SEL_TEST, make_descriptor(0, 0xffff, 0x00f3));
	PUT_STACK(8, TARGET, SEL_CODE3, 2, 0x12347000, SEL_TEST | 3);
	u64 rsp = cpu->r[RSP];
	assert_int_equal(RUN(cpu, 0x48, 0xcf), NO_FAULT);
	assert_false(cpu->long64);
	assert_int_equal(cpu->r[RSP], (rsp & ~0xffffull) | 0x7000);
	processor_free(p);
}

/* --- fast system calls --- */

static void
syscall_and_sysret(void **state)
{
	struct processor *p = new_long(3);
	struct vcpu *cpu = p->cpu;

	(void)state;
	cpu->msr.star = 0x0023001000000000ull;
	cpu->msr.lstar = 0x1800;
	cpu->msr.fmask = FLAG_IF | FLAG_TF;
	cpu_set_rflags(cpu, FLAG_IF | FLAG_CF | FLAG_AC);
	assert_int_equal(RUN(cpu, 0x0f, 0x05), VECTOR_UD);
	cpu->efer |= EFER_SCE;
	assert_int_equal(RUN(cpu, 0x0f, 0x05), NO_FAULT);
	assert_int_equal(cpu->rip, 0x1800);
	assert_int_equal(cpu->r[RCX], CODE + 2);
	assert_int_equal(cpu->r[R11], FLAG_IF | FLAG_CF | FLAG_AC | 2);
	assert_int_equal(cpu_rflags(cpu), FLAG_CF | FLAG_AC | 2);
	assert_int_equal(cpu->cpl, 0);
	assert_int_equal(cpu->seg[CS].selector, 0x10);
	assert_int_equal(cpu->seg[CS].access, 0xa09b);
	assert_int_equal(cpu->seg[CS].limit, 0xffffffff);
	assert_int_equal(cpu->seg[SS].selector, 0x18);
	assert_int_equal(cpu->seg[SS].access, 0xc093);
	/* sysret to 64-bit code, then to compatibility mode */
	assert_int_equal(RUN(cpu, 0x48, 0x0f, 0x07), NO_FAULT);
	assert_int_equal(cpu->rip, CODE + 2);
	assert_int_equal(cpu_rflags(cpu), FLAG_IF | FLAG_CF | FLAG_AC | 2);
	assert_int_equal(cpu->cpl, 3);
	assert_int_equal(cpu->seg[CS].selector, 0x33);
	assert_int_equal(cpu->seg[CS].access, 0xa0fb);
	assert_int_equal(cpu->seg[SS].selector, 0x2b);
	assert_true(cpu->long64);
	assert_faults(RUN(cpu, 0x0f, 0x07), VECTOR_GP, 0);
	assert_int_equal(RUN(cpu, 0x0f, 0x05), NO_FAULT);
	assert_int_equal(RUN(cpu, 0x0f, 0x07), NO_FAULT);
	assert_false(cpu->long64);
	assert_int_equal(cpu->seg[CS].selector, 0x23);
	assert_int_equal(cpu->seg[CS].access, 0xc0fb);
	assert_int_equal(RUN(cpu, 0x0f, 0x05), VECTOR_UD);
	processor_free(p);
	p = new_long(0);
	cpu = p->cpu;
	cpu->efer |= EFER_SCE;
	cpu->r[RCX] = 0x800000000000;
	assert_faults(RUN(cpu, 0x48, 0x0f, 0x07), VECTOR_GP, 0);
	processor_free(p);
}

static void
syscall_traps_if_tf_outlives_the_mask(void **state)
{
	struct processor *p = new_long(3);
	struct vcpu *cpu = p->cpu;

	(void)state;
	cpu->msr.star = 0x0023001000000000ull;
	cpu->efer |= EFER_SCE;
	cpu->msr.lstar = CODE;
	cpu_set_rflags(cpu, FLAG_TF);
	assert_int_equal(RUN(cpu, 0x0f, 0x05), NO_FAULT);
	assert_true(cpu->pending & PEND_DB);
	assert_int_equal(cpu->pending_db, BIT(14));
	processor_free(p);
}

static void
sysenter_and_sysexit(void **state)
{
	struct processor *p = new_protected(3);
	struct vcpu *cpu = p->cpu;

	(void)state;
	assert_faults(RUN(cpu, 0x0f, 0x34), VECTOR_GP, 0);
	cpu->cpl = 0;
	assert_faults(RUN(cpu, 0x0f, 0x35), VECTOR_GP, 0);
	cpu->cpl = 3;
	cpu->msr.sysenter_cs = 0x13;
	cpu->msr.sysenter_esp = 0x7000;
	cpu->msr.sysenter_eip = 0x1900;
	cpu_set_rflags(cpu, FLAG_IF | FLAG_DF);
	assert_int_equal(RUN(cpu, 0x0f, 0x34), NO_FAULT);
	assert_int_equal(cpu->rip, 0x1900);
	assert_int_equal(cpu->r[RSP], 0x7000);
	assert_int_equal(cpu->seg[CS].selector, 0x10);
	assert_int_equal(cpu->seg[CS].access, 0xc09b);
	assert_int_equal(cpu->seg[SS].selector, 0x18);
	assert_int_equal(cpu_rflags(cpu), FLAG_DF | 2);
	cpu->r[RCX] = 0x6000;
	cpu->r[RDX] = CODE;
	assert_int_equal(RUN(cpu, 0x0f, 0x35), NO_FAULT);
	assert_int_equal(cpu->rip, CODE);
	assert_int_equal(cpu->r[RSP], 0x6000);
	assert_int_equal(cpu->cpl, 3);
	assert_int_equal(cpu->seg[CS].selector, 0x23);
	assert_int_equal(cpu->seg[SS].selector, 0x2b);
	assert_faults(RUN(cpu, 0x0f, 0x35), VECTOR_GP, 0);
	processor_free(p);
	/* 64-bit */
	p = new_long(0);
	cpu = p->cpu;
	cpu->msr.sysenter_cs = 0x10;
	cpu->r[RCX] = 0x6000;
	cpu->r[RDX] = 0x800000000000;
	assert_faults(RUN(cpu, 0x48, 0x0f, 0x35), VECTOR_GP, 0);
	cpu->r[RDX] = CODE;
	assert_int_equal(RUN(cpu, 0x48, 0x0f, 0x35), NO_FAULT);
	assert_int_equal(cpu->seg[CS].selector, 0x33);
	assert_int_equal(cpu->seg[SS].selector, 0x3b);
	assert_true(cpu->long64);
	processor_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_mode_far_transfers),
		cmocka_unit_test(direct_transfers_follow_type_and_privilege),
		cmocka_unit_test(null_and_limits_fault),
		cmocka_unit_test(indirect_far_pointers_of_each_size),
		cmocka_unit_test(call_gate_copies_parameters_to_the_inner_stack),
		cmocka_unit_test(call_gate_of_16_bits),
		cmocka_unit_test(call_gate_of_the_same_privilege_keeps_the_stack),
		cmocka_unit_test(call_gates_are_checked),
		cmocka_unit_test(call_gate_of_64_bits),
		cmocka_unit_test(return_code_segments_are_checked),
		cmocka_unit_test(retf_releases_parameters_of_the_same_privilege),
		cmocka_unit_test(return_stack_segments_are_checked),
		cmocka_unit_test(iret_takes_flags_by_the_cpl_it_leaves),
		cmocka_unit_test(return_to_a_16_bit_stack_loads_16_bits),
		cmocka_unit_test(iret_enters_and_stays_in_vm86),
		cmocka_unit_test(iretq_always_takes_ss_and_rsp),
		cmocka_unit_test(iretq_faults_change_nothing),
		cmocka_unit_test(iret_to_compatibility_mode_and_back_out_of_16_bit_stacks),
		cmocka_unit_test(syscall_and_sysret),
		cmocka_unit_test(syscall_traps_if_tf_outlives_the_mask),
		cmocka_unit_test(sysenter_and_sysexit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
