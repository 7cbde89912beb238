/* Descriptor loads, instructions with segment registers, flag instructions. */
#include "tests/unit/far_fixture.h"

static int
load(struct vcpu *cpu, unsigned seg, u16 selector)
{
	int door = setjmp(cpu->door);

	if (door)
		return cpu->event.vector;
	segment_load(cpu, seg, selector);
	return NO_FAULT;
}

static void
load_takes_base_limit_and_access_from_the_table(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put_gdt(cpu, SEL_TEST, make_descriptor(0x12345678, 0xabcde, 0x4092));
	assert_int_equal(load(cpu, FS, SEL_TEST), NO_FAULT);
	assert_int_equal(cpu->seg[FS].base, 0x12345678);
	assert_int_equal(cpu->seg[FS].limit, 0xabcde);
	assert_int_equal(cpu->seg[FS].access, 0x4093);
	assert_int_equal(cpu->seg[FS].selector, SEL_TEST);
	/* The accessed bit went to the table. */
	assert_int_equal(get(cpu, GDT + SEL_TEST + 5, 1), 0x93);
	put_gdt(cpu, SEL_TEST, make_descriptor(0, 0xfffff, 0xc093));
	assert_int_equal(load(cpu, FS, SEL_TEST), NO_FAULT);
	assert_int_equal(cpu->seg[FS].limit, 0xffffffff);
	processor_free(p);
}

/* With SEL_TEST | rpl. */
static const struct {
	const char *name;
	unsigned cpl, seg, rpl, access;
	int fault;
} loads[] = {
	{"data, same privilege", 0, DS, 0, 0x93, NO_FAULT},
	{"RPL above DPL", 0, DS, 1, 0x93, VECTOR_GP},
	{"CPL above DPL", 1, DS, 0, 0x93, VECTOR_GP},
	{"outer DPL", 1, DS, 1, 0xf3, NO_FAULT},
	{"outer DPL with its RPL", 0, DS, 3, 0xf3, NO_FAULT},
	{"execute-only code", 0, DS, 0, 0x99, VECTOR_GP},
	{"readable code", 0, DS, 0, 0x9b, NO_FAULT},
	{"readable code of inner privilege", 3, DS, 3, 0x9b, VECTOR_GP},
	{"conforming code of inner privilege", 3, DS, 3, 0x9f, NO_FAULT},
	{"conforming but execute-only", 3, DS, 3, 0x9d, VECTOR_GP},
	{"system descriptor", 0, DS, 0, 0x82, VECTOR_GP},
	{"not present", 0, DS, 0, 0x13, VECTOR_NP},
	{"privilege before presence", 0, DS, 1, 0x13, VECTOR_GP},
	{"read-only data", 0, DS, 0, 0x91, NO_FAULT},
	{"SS", 0, SS, 0, 0x93, NO_FAULT},
	{"SS expand-down", 0, SS, 0, 0x97, NO_FAULT},
	{"SS with RPL above CPL", 0, SS, 1, 0x93, VECTOR_GP},
	{"SS with another DPL", 0, SS, 0, 0xf3, VECTOR_GP},
	{"SS read-only", 0, SS, 0, 0x91, VECTOR_GP},
	{"SS code", 0, SS, 0, 0x9b, VECTOR_GP},
	{"SS not present", 0, SS, 0, 0x13, VECTOR_SS},
	{"SS of ring 3", 3, SS, 3, 0xf3, NO_FAULT},
};

static void
loads_follow_type_and_privilege(void **state)
{
	(void)state;
	for (unsigned n = 0; n < COUNT(loads); n++) {
		struct processor *p = new_protected(loads[n].cpl);
		struct vcpu *cpu = p->cpu;
		struct segment before = cpu->seg[loads[n].seg];

		put_gdt(cpu, SEL_TEST, make_descriptor(0x1000, 0xfff, loads[n].access));
		int fault = load(cpu, loads[n].seg, (u16)(SEL_TEST | loads[n].rpl));
		if (fault != loads[n].fault)
			fail_msg("%s: %d, not %d", loads[n].name, fault, loads[n].fault);
		if (fault != NO_FAULT) {
			assert_int_equal(cpu->event.error, SEL_TEST);
			assert_memory_equal(&before, &cpu->seg[loads[n].seg], sizeof(before));
		}
		processor_free(p);
	}
}

static void
selectors_beyond_the_table_fault(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	cpu->gdtr.limit = SEL_TEST + 6;
	put_gdt(cpu, SEL_TEST, make_descriptor(0, 0xfff, 0x93));
	assert_faults(load(cpu, ES, SEL_TEST), VECTOR_GP, SEL_TEST);
	cpu->gdtr.limit++;
	assert_int_equal(load(cpu, ES, SEL_TEST), NO_FAULT);
	/* Local table: none yet, then one of eight entries. */
	put(cpu, LDT, 8, make_descriptor(0x777, 0xfff, 0x93));
	assert_faults(load(cpu, ES, 4), VECTOR_GP, 4);
	cpu->ldtr = (struct segment){.base = LDT, .limit = 0x3f, .access = 0x82};
	assert_int_equal(load(cpu, ES, 4), NO_FAULT);
	assert_int_equal(cpu->seg[ES].base, 0x777);
	assert_faults(load(cpu, ES, 0x44), VECTOR_GP, 0x44);
	processor_free(p);
}

static void
null_selectors_make_data_segments_unusable(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	assert_int_equal(load(cpu, DS, 3), NO_FAULT);
	assert_int_equal(cpu->seg[DS].selector, 3);
	assert_true(cpu->seg[DS].access & SEG_UNUSABLE);
	assert_faults(load(cpu, SS, 0), VECTOR_GP, 0);
	processor_free(p);
}

static void
null_stack_segment_only_in_64_bit_mode_below_ring_3(void **state)
{
	struct processor *p = new_long(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	assert_faults(load(cpu, SS, 3), VECTOR_GP, 0);
	assert_int_equal(load(cpu, SS, 0), NO_FAULT);
	assert_true(cpu->seg[SS].access & SEG_UNUSABLE);
	processor_free(p);
	p = new_long(3);
	cpu = p->cpu;
	assert_faults(load(cpu, SS, 3), VECTOR_GP, 0);
	processor_free(p);
}

static void
real_mode_keeps_the_limit_and_vm86_sets_it(void **state)
{
	struct processor *p = new_real();
	struct vcpu *cpu = p->cpu;

	(void)state;
	cpu->seg[DS].limit = 0xffffffff;
	assert_int_equal(load(cpu, DS, 0x1234), NO_FAULT);
	assert_int_equal(cpu->seg[DS].base, 0x12340);
	assert_int_equal(cpu->seg[DS].limit, 0xffffffff);
	segment_set_null(&cpu->seg[ES], 0, 0);
	assert_int_equal(load(cpu, ES, 0x10), NO_FAULT);
	assert_int_equal(cpu->seg[ES].limit, 0xffff);
	assert_int_equal(cpu->seg[ES].access, 0x93);
	processor_free(p);
	p = new_vm86(3);
	cpu = p->cpu;
	cpu->seg[DS].limit = 0xffffffff;
	assert_int_equal(load(cpu, DS, 0xffff), NO_FAULT);
	assert_int_equal(cpu->seg[DS].base, 0xffff0);
	assert_int_equal(cpu->seg[DS].limit, 0xffff);
	assert_int_equal(cpu->seg[DS].access, 0xf3);
	processor_free(p);
}

static int
load_system(struct vcpu *cpu, void (*loader)(struct vcpu *, u16), u16 selector)
{
	int door = setjmp(cpu->door);

	if (door)
		return cpu->event.vector;
	loader(cpu, selector);
	return NO_FAULT;
}

static void
task_register_takes_available_tss_and_marks_it_busy(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	assert_faults(load_system(cpu, tr_load, 0), VECTOR_GP, 0);
	assert_faults(load_system(cpu, tr_load, SEL_TSS), VECTOR_GP, SEL_TSS); /* busy */
	assert_faults(load_system(cpu, tr_load, SEL_LDT), VECTOR_GP, SEL_LDT);
	assert_faults(load_system(cpu, tr_load, SEL_OTHER | 4), VECTOR_GP, SEL_OTHER | 4);
	put_gdt(cpu, SEL_TEST, make_descriptor(0x9000, 0x67, 0x09));
	assert_faults(load_system(cpu, tr_load, SEL_TEST), VECTOR_NP, SEL_TEST);
	assert_int_equal(load_system(cpu, tr_load, SEL_OTHER), NO_FAULT);
	assert_int_equal(cpu->tr.base, TSS_OTHER);
	assert_int_equal(cpu->tr.access, A_TSS_BUSY);
	assert_int_equal(get(cpu, GDT + SEL_OTHER + 5, 1), A_TSS_BUSY);
	processor_free(p);
}

static void
system_descriptors_have_16_bytes_in_ia32e_mode(void **state)
{
	struct processor *p = new_long(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put_gdt(cpu, SEL_TEST, make_descriptor(0x89abcdef, 0x67, A_TSS));
	put(cpu, GDT + SEL_TEST + 8, 8, 0xffff8000);
	assert_int_equal(load_system(cpu, tr_load, SEL_TEST), NO_FAULT);
	assert_true(cpu->tr.base == 0xffff800089abcdef);
	put_gdt(cpu, SEL_TEST, make_descriptor(0, 0x67, 0x82));
	assert_int_equal(load_system(cpu, ldtr_load, SEL_TEST), NO_FAULT);
	assert_true(cpu->ldtr.base == 0xffff800000000000);
	/* Not canonical; upper type field; upper half beyond the limit; 16-bit TSS. */
	put(cpu, GDT + SEL_TEST + 8, 8, 0x00008000);
	assert_faults(load_system(cpu, ldtr_load, SEL_TEST), VECTOR_GP, SEL_TEST);
	put(cpu, GDT + SEL_TEST + 8, 8, 1ull << 40);
	assert_faults(load_system(cpu, ldtr_load, SEL_TEST), VECTOR_GP, SEL_TEST);
	put(cpu, GDT + SEL_TEST + 8, 8, 0);
	cpu->gdtr.limit = SEL_TEST + 14;
	assert_faults(load_system(cpu, ldtr_load, SEL_TEST), VECTOR_GP, SEL_TEST);
	cpu->gdtr.limit++;
	assert_int_equal(load_system(cpu, ldtr_load, SEL_TEST), NO_FAULT);
	put_gdt(cpu, SEL_TEST, make_descriptor(0, 0x67, 0x81));
	assert_faults(load_system(cpu, tr_load, SEL_TEST), VECTOR_GP, SEL_TEST);
	assert_int_equal(load_system(cpu, ldtr_load, 2), NO_FAULT);
	assert_true(cpu->ldtr.access & SEG_UNUSABLE);
	processor_free(p);
}

static void
mov_sreg_refuses_cs_and_missing_registers(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	assert_int_equal(RUN(cpu, 0x8e, 0xc8), VECTOR_UD); /* mov cs,ax */
	assert_int_equal(RUN(cpu, 0x8e, 0xf0), VECTOR_UD);
	assert_int_equal(RUN(cpu, 0x8c, 0xf8), VECTOR_UD);
	cpu->r[RAX] = 0xffffffff;
	assert_int_equal(RUN(cpu, 0x8c, 0xd8), NO_FAULT); /* mov eax,ds */
	assert_int_equal(cpu->r[RAX], SEL_DATA0);
	assert_int_equal(RUN(cpu, 0x8e, 0xd0), NO_FAULT); /* mov ss,ax */
	assert_int_equal(cpu->shadow, SHADOW_MOV_SS);
	processor_free(p);
}

static void
pop_ss_moves_esp_by_the_old_stack_size(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	cpu->r[RSP] = 0x18ffe;
	put(cpu, 0x18ffe, 4, SEL_TEST);
	put_gdt(cpu, SEL_TEST, make_descriptor(0, 0xffff, 0x93)); /* a 16-bit stack */
	assert_int_equal(RUN(cpu, 0x17), NO_FAULT);
	assert_int_equal(cpu->r[RSP], 0x19002);
	assert_int_equal(cpu->seg[SS].selector, SEL_TEST);
	assert_int_equal(cpu->shadow, SHADOW_MOV_SS);
	/* A fault leaves ESP. */
	cpu->r[RSP] = 0x18ffe;
	put(cpu, 0x8ffe, 4, 0xffff);
	assert_faults(RUN(cpu, 0x07), VECTOR_GP, 0xfffc);
	assert_int_equal(cpu->r[RSP], 0x18ffe);
	processor_free(p);
}

static void
push_and_pop_of_fs_use_64_bits_in_64_bit_mode(void **state)
{
	struct processor *p = new_long(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put(cpu, STACK - 8, 8, ~0ull);
	assert_int_equal(RUN(cpu, 0x0f, 0xa0), NO_FAULT);
	assert_int_equal(cpu->r[RSP], STACK - 8);
	assert_int_equal(get(cpu, STACK - 8, 8), SEL_DATA0);
	assert_int_equal(RUN(cpu, 0x0f, 0xa9), NO_FAULT);
	assert_int_equal(cpu->r[RSP], STACK);
	processor_free(p);
}

static void
les_loads_both_or_neither(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put(cpu, 0xc000, 4, 0x11223344);
	put(cpu, 0xc004, 2, SEL_TEST);
	put_gdt(cpu, SEL_TEST, make_descriptor(0, 0xffff, 0x13));
	cpu->r[RBX] = 0xc000;
	assert_faults(RUN(cpu, 0xc4, 0x0b), VECTOR_NP, SEL_TEST);
	assert_int_equal(cpu->r[RCX], 0);
	put_gdt(cpu, SEL_TEST, make_descriptor(0, 0xffff, 0x93));
	assert_int_equal(RUN(cpu, 0xc4, 0x0b), NO_FAULT);
	assert_int_equal(cpu->r[RCX], 0x11223344);
	assert_int_equal(cpu->seg[ES].selector, SEL_TEST);
	processor_free(p);
	/* lfs rcx,[rbx] with REX.W */
	p = new_long(0);
	cpu = p->cpu;
	put(cpu, 0xc000, 8, 0x1122334455667788);
	put(cpu, 0xc008, 2, SEL_DATA0);
	cpu->r[RBX] = 0xc000;
	assert_int_equal(RUN(cpu, 0x48, 0x0f, 0xb4, 0x0b), NO_FAULT);
	assert_true(cpu->r[RCX] == 0x1122334455667788);
	assert_int_equal(cpu->seg[FS].selector, SEL_DATA0);
	assert_int_equal(RUN(cpu, 0x0f, 0xb2, 0x0b), VECTOR_GP); /* lss with the upper half as selector */
	processor_free(p);
}

static void
lar_and_lsl_answer_for_known_and_visible_descriptors(void **state)
{
	static const struct {
		unsigned access, rpl;
		bool lar, lsl;
	} rows[] = {
		{0xc093, 0, true, true},   {0xc09b, 0, true, true},   {0x0013, 0, true, true},	{0x0093, 1, false, false},
		{0x009f, 3, true, true},   {0x0089, 0, true, true},   {0x008b, 0, true, true},	{0x0081, 0, true, true},
		{0x0082, 0, true, true},   {0x0084, 0, true, false},  {0x0085, 0, true, false}, {0x008c, 0, true, false},
		{0x0086, 0, false, false}, {0x008e, 0, false, false}, {0x0088, 0, false, false},
	};
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	for (unsigned n = 0; n < COUNT(rows); n++) {
		put_gdt(cpu, SEL_TEST, make_descriptor(0x345678, 0x1ffff, rows[n].access));
		cpu->r[RCX] = SEL_TEST | rows[n].rpl;
		cpu->r[RAX] = 0xdead;
		assert_int_equal(RUN(cpu, 0x0f, 0x02, 0xc1), NO_FAULT);
		assert_int_equal(cc_zf(cpu), rows[n].lar);
		assert_int_equal(cpu->r[RAX], rows[n].lar ? (rows[n].access & 0xff) << 8 | (rows[n].access >> 12) << 20 : 0xdead);
		cpu->r[RAX] = 0xdead;
		assert_int_equal(RUN(cpu, 0x0f, 0x03, 0xc1), NO_FAULT);
		assert_int_equal(cc_zf(cpu), rows[n].lsl);
		assert_int_equal(cpu->r[RAX], !rows[n].lsl ? 0xdead : rows[n].access & 0x8000 ? 0x1fffffff : 0x1ffff);
	}
	cpu->r[RCX] = 0;
	assert_int_equal(RUN(cpu, 0x0f, 0x02, 0xc1), NO_FAULT);
	assert_false(cc_zf(cpu));
	processor_free(p);
	/* Call gates of 16 bits and task gates are unknown in IA-32e mode. */
	p = new_long(0);
	cpu = p->cpu;
	put_gdt(cpu, SEL_TEST, make_descriptor(0, 0, 0x85));
	cpu->r[RCX] = SEL_TEST;
	assert_int_equal(RUN(cpu, 0x0f, 0x02, 0xc1), NO_FAULT);
	assert_false(cc_zf(cpu));
	processor_free(p);
}

static void
verr_verw_and_arpl_set_zf(void **state)
{
	struct processor *p = new_protected(1);
	struct vcpu *cpu = p->cpu;

	(void)state;
	put_gdt(cpu, SEL_TEST, make_descriptor(0, 0, 0xb1)); /* read-only, DPL 1 */
	cpu->r[RAX] = SEL_TEST;
	assert_int_equal(RUN(cpu, 0x0f, 0x00, 0xe0), NO_FAULT);
	assert_true(cc_zf(cpu));
	assert_int_equal(RUN(cpu, 0x0f, 0x00, 0xe8), NO_FAULT);
	assert_false(cc_zf(cpu));
	put_gdt(cpu, SEL_TEST, make_descriptor(0, 0, 0xb3));
	assert_int_equal(RUN(cpu, 0x0f, 0x00, 0xe8), NO_FAULT);
	assert_true(cc_zf(cpu));
	cpu->r[RAX] = SEL_TEST | 2;
	assert_int_equal(RUN(cpu, 0x0f, 0x00, 0xe8), NO_FAULT);
	assert_false(cc_zf(cpu));
	put_gdt(cpu, SEL_TEST, make_descriptor(0, 0, 0xe2)); /* LDT */
	cpu->r[RAX] = SEL_TEST;
	assert_int_equal(RUN(cpu, 0x0f, 0x00, 0xe0), NO_FAULT);
	assert_false(cc_zf(cpu));
	put_gdt(cpu, SEL_TEST, make_descriptor(0, 0, 0xb9)); /* execute-only */
	assert_int_equal(RUN(cpu, 0x0f, 0x00, 0xe0), NO_FAULT);
	assert_false(cc_zf(cpu));
	/* arpl ax,cx */
	cpu->r[RAX] = 0x71;
	cpu->r[RCX] = 3;
	assert_int_equal(RUN(cpu, 0x63, 0xc8), NO_FAULT);
	assert_true(cc_zf(cpu));
	assert_int_equal(cpu->r[RAX], 0x73);
	cpu->r[RCX] = 1;
	assert_int_equal(RUN(cpu, 0x63, 0xc8), NO_FAULT);
	assert_false(cc_zf(cpu));
	assert_int_equal(cpu->r[RAX], 0x73);
	processor_free(p);
}

/* --- flags --- */

static void
popf_honours_cpl_and_iopl(void **state)
{
	static const struct {
		unsigned cpl;
		u64 iopl, expect;
	} rows[] = {
		{0, 0, 0x3000 | FLAG_IF}, {3, 0x3000, 0x3000 | FLAG_IF}, {3, 0x1000, 0x1000}, {1, 0x1000, 0x1000 | FLAG_IF},
	};
	(void)state;
	for (unsigned n = 0; n < COUNT(rows); n++) {
		struct processor *p = new_protected(rows[n].cpl);
		struct vcpu *cpu = p->cpu;

		cpu_set_rflags(cpu, rows[n].iopl | FLAG_RF | FLAG_VIP);
		put(cpu, STACK, 4, 0xffffffff & ~FLAG_TF);
		assert_int_equal(RUN(cpu, 0x9d), NO_FAULT);
		assert_int_equal(cpu_rflags(cpu),
				 rows[n].expect | FLAGS_STATUS | FLAG_DF | FLAG_NT | FLAG_AC | FLAG_ID | FLAG_VIP | 2);
		assert_int_equal(cpu->r[RSP], STACK + 4);
		processor_free(p);
	}
}

static void
popf_of_16_bits_leaves_the_upper_half(void **state)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	cpu_set_rflags(cpu, FLAG_ID | FLAG_AC);
	put(cpu, STACK, 4, FLAG_CF);
	assert_int_equal(RUN(cpu, 0x66, 0x9d), NO_FAULT);
	assert_int_equal(cpu_rflags(cpu), FLAG_ID | FLAG_AC | FLAG_CF | 2);
	assert_int_equal(cpu->r[RSP], STACK + 2);
	processor_free(p);
}

static void
pushf_hides_vm_and_rf(void **state)
{
	struct processor *p = new_vm86(3);
	struct vcpu *cpu = p->cpu;

	(void)state;
	cpu->rflags |= FLAG_RF;
	assert_int_equal(RUN(cpu, 0x66, 0x9c), NO_FAULT);
	assert_int_equal(get(cpu, STACK - 4, 4), 0x3002);
	processor_free(p);
}

static void
vm86_flags_need_iopl_3_or_vme(void **state)
{
	struct processor *p = new_vm86(0);
	struct vcpu *cpu = p->cpu;

	(void)state;
	assert_faults(RUN(cpu, 0x9c), VECTOR_GP, 0);
	assert_faults(RUN(cpu, 0x9d), VECTOR_GP, 0);
	assert_faults(RUN(cpu, 0xfa), VECTOR_GP, 0);
	assert_faults(RUN(cpu, 0xfb), VECTOR_GP, 0);
	cpu->cr4 |= CR4_VME;
	assert_int_equal(RUN(cpu, 0xfb), NO_FAULT);
	assert_true(cpu->rflags & FLAG_VIF);
	assert_false(cpu->rflags & FLAG_IF);
	assert_int_equal(RUN(cpu, 0x9c), NO_FAULT);
	assert_int_equal(get(cpu, STACK - 2, 2), 0x3000 | FLAG_IF | 2);
	assert_faults(RUN(cpu, 0x66, 0x9c), VECTOR_GP, 0);
	put(cpu, STACK - 2, 2, FLAG_CF);
	assert_int_equal(RUN(cpu, 0x9d), NO_FAULT);
	assert_int_equal(cpu_rflags(cpu), FLAG_VM | FLAG_CF | 2);
	/* VIP and IF together, or TF: #GP */
	cpu->rflags |= FLAG_VIP;
	put(cpu, STACK, 2, FLAG_IF);
	assert_faults(RUN(cpu, 0x9d), VECTOR_GP, 0);
	assert_faults(RUN(cpu, 0xfb), VECTOR_GP, 0);
	put(cpu, STACK, 2, FLAG_TF);
	assert_faults(RUN(cpu, 0x9d), VECTOR_GP, 0);
	assert_int_equal(RUN(cpu, 0xfa), NO_FAULT);
	processor_free(p);
}

static void
cli_and_sti_follow_iopl_and_pvi(void **state)
{
	struct processor *p = new_protected(3);
	struct vcpu *cpu = p->cpu;

	(void)state;
	assert_faults(RUN(cpu, 0xfa), VECTOR_GP, 0);
	cpu->cr4 |= CR4_PVI;
	assert_int_equal(RUN(cpu, 0xfb), NO_FAULT);
	assert_true(cpu->rflags & FLAG_VIF);
	assert_int_equal(cpu->shadow, 0);
	cpu_set_rflags(cpu, 0x3002);
	assert_int_equal(RUN(cpu, 0xfb), NO_FAULT);
	assert_true(cpu->rflags & FLAG_IF);
	assert_int_equal(cpu->shadow, SHADOW_STI);
	assert_int_equal(RUN(cpu, 0xfa), NO_FAULT);
	assert_int_equal(cpu_rflags(cpu), 0x3002);
	assert_int_equal(RUN(cpu, 0xfb), NO_FAULT);
	cpu->shadow = 0;
	assert_int_equal(RUN(cpu, 0xfb), NO_FAULT);
	assert_int_equal(cpu->shadow, 0); /* IF was set already */
	processor_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(load_takes_base_limit_and_access_from_the_table),
		cmocka_unit_test(loads_follow_type_and_privilege),
		cmocka_unit_test(selectors_beyond_the_table_fault),
		cmocka_unit_test(null_selectors_make_data_segments_unusable),
		cmocka_unit_test(null_stack_segment_only_in_64_bit_mode_below_ring_3),
		cmocka_unit_test(real_mode_keeps_the_limit_and_vm86_sets_it),
		cmocka_unit_test(task_register_takes_available_tss_and_marks_it_busy),
		cmocka_unit_test(system_descriptors_have_16_bytes_in_ia32e_mode),
		cmocka_unit_test(mov_sreg_refuses_cs_and_missing_registers),
		cmocka_unit_test(pop_ss_moves_esp_by_the_old_stack_size),
		cmocka_unit_test(push_and_pop_of_fs_use_64_bits_in_64_bit_mode),
		cmocka_unit_test(les_loads_both_or_neither),
		cmocka_unit_test(lar_and_lsl_answer_for_known_and_visible_descriptors),
		cmocka_unit_test(verr_verw_and_arpl_set_zf),
		cmocka_unit_test(popf_honours_cpl_and_iopl),
		cmocka_unit_test(popf_of_16_bits_leaves_the_upper_half),
		cmocka_unit_test(pushf_hides_vm_and_rf),
		cmocka_unit_test(vm86_flags_need_iopl_3_or_vme),
		cmocka_unit_test(cli_and_sti_follow_iopl_and_pvi),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
