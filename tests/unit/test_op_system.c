#include "tests/unit/cpu_fixture.h"

#include "cpu/decode.h"
#include "cpu/flags.h"
#include "cpu/lapic.h"
#include "cpu/monitor.h"
#include "cpu/msr.h"

#define DATA 0x4000u

static struct processor *p;
static struct vcpu *cpu;

static int
setup(void **state)
{
	(void)state;
	p = processor_new("max", 2);
	cpu = p->cpu;
	processor_protected(cpu, 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	processor_free(p);
	return 0;
}

/* Decodes and executes one instruction, with the check of CPL that precedes handlers. */
static int
run(const char *bytes, unsigned n)
{
	struct insn in;
	enum code_size size = cpu->long64 ? CODE64 : cpu->seg[CS].access & SEG_DB ? CODE32 : CODE16;
	u8 code[16] = {0};
	memcpy(code, bytes, n);
	if (decode(cpu, size, code, sizeof(code), &in) != DECODE_OK)
		return VECTOR_UD;
	if (insn_length(&in) != n)
		fail_msg("length %u, not %u", insn_length(&in), n);
	if (insn_rows[in.op].attributes & CPL0 && cpu->cpl)
		return VECTOR_GP;
	return execute(cpu, insn_rows[in.op].op, &in);
}
#define RUN(bytes) run(bytes, sizeof(bytes) - 1)

#define MOV_CR0_RAX "\x0f\x22\xc0"
#define MOV_CR3_RAX "\x0f\x22\xd8"
#define MOV_CR4_RAX "\x0f\x22\xe0"

static int
write_cr(unsigned cr, u64 value)
{
	cpu->r[RAX] = value;
	return cr == 0 ? RUN(MOV_CR0_RAX) : cr == 3 ? RUN(MOV_CR3_RAX) : RUN(MOV_CR4_RAX);
}

static void
cr0_refuses_impossible_combinations(void **state)
{
	(void)state;
	assert_int_equal(write_cr(0, CR0_PG), VECTOR_GP);
	assert_int_equal(write_cr(0, CR0_PE | CR0_NW), VECTOR_GP);
	assert_int_equal(write_cr(0, CR0_PE | CR0_NW | CR0_CD), NO_FAULT);
	assert_int_equal(write_cr(0, CR0_PE | BIT(7)), NO_FAULT); /* reserved bits of the low half are ignored */
	assert_int_equal(cpu->cr0, CR0_PE | CR0_ET);
	processor_long(cpu, 0);
	assert_int_equal(write_cr(0, cpu->cr0 | BIT(32)), VECTOR_GP);
	cpu->cpl = 3;
	assert_int_equal(write_cr(0, cpu->cr0), VECTOR_GP);
	assert_int_equal(RUN("\x0f\x22\xc8"), VECTOR_UD); /* CR1, whatever the CPL */
	assert_int_equal(RUN("\x44\x0f\x22\xc8"), VECTOR_UD); /* CR9 */
}

static void
long_mode_is_activated_by_paging_and_left_with_it(void **state)
{
	(void)state;
	cpu->cr3 = 0x100000;
	cpu->efer = EFER_LME;
	assert_int_equal(write_cr(0, CR0_PE | CR0_PG), VECTOR_GP); /* no PAE */
	assert_int_equal(write_cr(4, CR4_PAE), NO_FAULT);
	cpu->seg[CS].access |= SEG_L;
	assert_int_equal(write_cr(0, CR0_PE | CR0_PG), VECTOR_GP); /* CS.L */
	cpu->seg[CS].access &= (u16)~SEG_L;
	assert_int_equal(write_cr(0, CR0_PE | CR0_PG), NO_FAULT);
	assert_int_equal(cpu->efer, EFER_LME | EFER_LMA);
	assert_false(cpu->long64);
	assert_int_equal(write_cr(4, 0), VECTOR_GP); /* PAE stays */
	assert_int_equal(write_cr(4, CR4_PAE | CR4_PCIDE), NO_FAULT);
	assert_int_equal(write_cr(0, CR0_PE), VECTOR_GP); /* PCIDE */
	assert_int_equal(write_cr(4, CR4_PAE), NO_FAULT);
	assert_int_equal(write_cr(0, CR0_PE), NO_FAULT);
	assert_int_equal(cpu->efer, EFER_LME);
	processor_long(cpu, 0);
	assert_int_equal(write_cr(0, CR0_PE), VECTOR_GP); /* in 64-bit mode */
}

static void
cr4_bits_need_their_feature(void **state)
{
	(void)state;
	static const struct {
		u64 bit;
		const char *model;
	} bits[] = {{CR4_SMEP, "max,-smep"}, {CR4_SMAP, "max,-smap"}, {CR4_UMIP, "max,-umip"}, {CR4_PKE, "max,-pku"},
		    {CR4_FSGSBASE, "max,-fsgsbase"}, {CR4_OSXSAVE, "max,-xsave"}, {CR4_PGE, "max,-pge"}, {CR4_VMXE, "max,-vmx"}};
	for (size_t i = 0; i < COUNT(bits); i++) {
		assert_int_equal(write_cr(4, bits[i].bit), NO_FAULT);
		struct processor *without = processor_new(bits[i].model, 1);
		struct vcpu *saved = cpu;
		cpu = without->cpu;
		processor_protected(cpu, 0);
		if (write_cr(4, bits[i].bit) != VECTOR_GP)
			fail_msg("%s", bits[i].model);
		cpu = saved;
		processor_free(without);
	}
	assert_int_equal(write_cr(4, CR4_SMXE), VECTOR_GP);
	assert_int_equal(write_cr(4, BIT(31)), VECTOR_GP);
	assert_int_equal(write_cr(4, CR4_LA57), VECTOR_GP); /* max has it only on request */
}

static void
pcids_come_only_in_long_mode_and_from_pcid_zero(void **state)
{
	(void)state;
	assert_int_equal(write_cr(4, CR4_PCIDE), VECTOR_GP);
	processor_long(cpu, 0);
	cpu->cr3 |= 5;
	assert_int_equal(write_cr(4, CR4_PAE | CR4_PCIDE), VECTOR_GP);
	cpu->cr3 &= ~5ull;
	assert_int_equal(write_cr(3, cpu->cr3 | BIT(63)), VECTOR_GP);
	assert_int_equal(write_cr(4, CR4_PAE | CR4_PCIDE), NO_FAULT);
	assert_int_equal(write_cr(3, cpu->cr3 | 5 | BIT(63)), NO_FAULT);
	assert_int_equal(cpu->cr3, 0x100005);
	assert_int_equal(write_cr(3, BIT(46)), VECTOR_GP);
	assert_int_equal(write_cr(3, BIT(62)), VECTOR_GP);
}

static void
la57_cannot_change_in_long_mode(void **state)
{
	(void)state;
	struct processor *wide = processor_new("max,+la57", 1);
	struct vcpu *saved = cpu;
	cpu = wide->cpu;
	processor_protected(cpu, 0);
	assert_int_equal(write_cr(4, CR4_LA57), NO_FAULT);
	assert_int_equal(write_cr(4, 0), NO_FAULT);
	processor_long(cpu, 0);
	assert_int_equal(write_cr(4, CR4_PAE | CR4_LA57), VECTOR_GP);
	cpu = saved;
	processor_free(wide);
}

static void
pae_loads_pdptes_and_checks_them(void **state)
{
	(void)state;
	memory_write(p->memory, 0x5000, 8, 0x6001);
	memory_write(p->memory, 0x5008, 8, 0x7002); /* reserved bit, but not present */
	assert_int_equal(write_cr(3, 0x5000), NO_FAULT);
	assert_int_equal(write_cr(4, CR4_PAE), NO_FAULT);
	assert_int_equal(write_cr(0, CR0_PE | CR0_PG), NO_FAULT);
	assert_int_equal(cpu->pdpte[0], 0x6001);
	memory_write(p->memory, 0x5008, 8, 0x7003);
	assert_int_equal(write_cr(3, 0x5000), VECTOR_GP);
	assert_int_equal(cpu->pdpte[1], 0x7002);
	assert_int_equal(write_cr(4, CR4_PAE | CR4_PGE), VECTOR_GP);
	assert_int_equal(cpu->cr4, CR4_PAE);
	memory_write(p->memory, 0x5008, 8, 0x8001);
	assert_int_equal(write_cr(4, CR4_PAE | CR4_PGE), NO_FAULT);
	assert_int_equal(cpu->pdpte[1], 0x8001);
}

static void
cr8_is_the_task_priority(void **state)
{
	(void)state;
	processor_long(cpu, 0);
	cpu->r[RAX] = 9;
	assert_int_equal(RUN("\x44\x0f\x22\xc0"), NO_FAULT);
	assert_int_equal(lapic_read(cpu, 0x80, 4), 0x90);
	cpu->r[RAX] = ~0ull;
	assert_int_equal(RUN("\x44\x0f\x20\xc0"), NO_FAULT);
	assert_int_equal(cpu->r[RAX], 9);
	cpu->r[RAX] = 16;
	assert_int_equal(RUN("\x44\x0f\x22\xc0"), VECTOR_GP);
}

static void
mov_cr_uses_whole_registers_whatever_the_prefixes(void **state)
{
	(void)state;
	processor_long(cpu, 0);
	cpu->cr2 = 0x123456789abcdef0;
	assert_int_equal(RUN("\x66\x0f\x20\xd1"), NO_FAULT); /* mov rcx, cr2 */
	assert_int_equal(cpu->r[RCX], 0x123456789abcdef0);
	cpu->r[RCX] = 0;
	cpu->r[RAX] = 0x4242;
	assert_int_equal(RUN("\x0f\x20\x11"), NO_FAULT); /* mod is ignored */
	assert_int_equal(cpu->r[RAX], 0x4242);
	assert_int_equal(cpu->r[RCX], 0x123456789abcdef0);
}

static void
lmsw_sets_pe_and_never_clears_it(void **state)
{
	(void)state;
	cpu->r[RAX] = 0xfffe;
	assert_int_equal(RUN("\x0f\x01\xf0"), NO_FAULT);
	assert_int_equal(cpu->cr0, CR0_ET | CR0_PE | CR0_MP | CR0_EM | CR0_TS);
	cpu->r[RAX] = 0;
	assert_int_equal(RUN("\x0f\x01\xf0"), NO_FAULT);
	assert_int_equal(cpu->cr0, CR0_ET | CR0_PE);
	cpu->cr0 |= CR0_TS;
	assert_int_equal(RUN("\x0f\x06"), NO_FAULT); /* clts */
	assert_int_equal(cpu->cr0, CR0_ET | CR0_PE);
	cpu->cpl = 3;
	assert_int_equal(RUN("\x0f\x06"), VECTOR_GP);
	assert_int_equal(RUN("\x0f\x01\xf0"), VECTOR_GP);
	assert_int_equal(RUN("\x0f\x01\xe0"), NO_FAULT); /* smsw */
	assert_int_equal((u32)cpu->r[RAX], CR0_ET | CR0_PE);
}

static void
umip_hides_descriptor_tables_from_programs(void **state)
{
	(void)state;
	static const struct {
		const char *bytes, *name;
	} insns[] = {{"\x0f\x01\x05\x00\x40\x00\x00", "sgdt"}, {"\x0f\x01\x0d\x00\x40\x00\x00", "sidt"},
		     {"\x0f\x00\x05\x00\x40\x00\x00", "sldt"}, {"\x0f\x00\x0d\x00\x40\x00\x00", "str"},
		     {"\x0f\x01\x25\x00\x40\x00\x00", "smsw"}};
	for (size_t i = 0; i < COUNT(insns); i++)
		for (unsigned cpl = 0; cpl < 4; cpl += 3)
			for (unsigned umip = 0; umip < 2; umip++) {
				processor_protected(cpu, cpl);
				cpu->cr4 = umip ? CR4_UMIP : 0;
				if (run(insns[i].bytes, 7) != (cpl && umip ? VECTOR_GP : NO_FAULT))
					fail_msg("%s at CPL %u, UMIP %u", insns[i].name, cpl, umip);
			}
}

static void
descriptor_table_registers_go_to_memory_and_back(void **state)
{
	(void)state;
	cpu->gdtr.base = 0x12345678;
	cpu->gdtr.limit = 0x9abc;
	assert_int_equal(RUN("\x0f\x01\x05\x00\x40\x00\x00"), NO_FAULT);
	assert_int_equal(memory_read(p->memory, DATA, 8) & 0xffffffffffff, 0x123456789abc);
	assert_int_equal(RUN("\x0f\x01\x1d\x00\x40\x00\x00"), NO_FAULT); /* lidt */
	assert_int_equal(cpu->idtr.base, 0x12345678);
	assert_int_equal(cpu->idtr.limit, 0x9abc);
	assert_int_equal(RUN("\x66\x0f\x01\x1d\x00\x40\x00\x00"), NO_FAULT);
	assert_int_equal(cpu->idtr.base, 0x345678); /* 24 bits with a 16-bit operand */
	processor_long(cpu, 0);
	memory_write(p->memory, DATA + 2, 8, 0x800000000000);
	assert_int_equal(RUN("\x0f\x01\x14\x25\x00\x40\x00\x00"), VECTOR_GP);
	assert_int_equal(cpu->gdtr.base, 0x12345678);
	memory_write(p->memory, DATA + 2, 8, 0xffff800000000000);
	assert_int_equal(RUN("\x0f\x01\x14\x25\x00\x40\x00\x00"), NO_FAULT);
	assert_int_equal(cpu->gdtr.base, 0xffff800000000000);
	cpu->cpl = 3;
	assert_int_equal(RUN("\x0f\x01\x14\x25\x00\x40\x00\x00"), VECTOR_GP);
}

static void
debug_registers_keep_their_fixed_bits(void **state)
{
	(void)state;
	cpu->r[RAX] = 0xffffffff;
	assert_int_equal(RUN("\x0f\x23\xf0"), NO_FAULT); /* dr6 */
	assert_int_equal(cpu->dr[6], 0xffffefff);
	cpu->r[RAX] = 0;
	assert_int_equal(RUN("\x0f\x23\xf0"), NO_FAULT);
	assert_int_equal(cpu->dr[6], 0xffff0ff0);
	assert_int_equal(RUN("\x0f\x23\xf8"), NO_FAULT); /* dr7 */
	assert_int_equal(cpu->dr[7], 0x400);
	cpu->r[RAX] = 0x1000;
	assert_int_equal(RUN("\x0f\x23\xd0"), NO_FAULT); /* dr2 */
	assert_int_equal(RUN("\x0f\x21\xd1"), NO_FAULT);
	assert_int_equal(cpu->r[RCX], 0x1000);
	cpu->r[RAX] = 0xffffffff;
	assert_int_equal(RUN("\x0f\x23\xf8"), NO_FAULT);
	assert_int_equal(cpu->dr[7], 0xffff27ff);
	processor_long(cpu, 0);
	cpu->dr[7] = 0x400;
	cpu->r[RAX] = BIT(32);
	assert_int_equal(RUN("\x0f\x23\xf8"), VECTOR_GP);
	assert_int_equal(RUN("\x0f\x23\xf0"), VECTOR_GP);
	assert_int_equal(RUN("\x44\x0f\x23\xc0"), VECTOR_UD); /* dr8 */
}

static void
dr4_and_dr5_are_aliases_unless_cr4_de(void **state)
{
	(void)state;
	cpu->r[RAX] = 0x155;
	assert_int_equal(RUN("\x0f\x23\xe8"), NO_FAULT); /* dr5 */
	assert_int_equal(cpu->dr[7], 0x555);
	cpu->cr4 |= CR4_DE;
	assert_int_equal(RUN("\x0f\x23\xe8"), VECTOR_UD);
	assert_int_equal(RUN("\x0f\x21\xe0"), VECTOR_UD);
}

static void
general_detect_traps_accesses_to_debug_registers(void **state)
{
	(void)state;
	cpu->dr[7] |= BIT(13);
	assert_int_equal(RUN("\x0f\x21\xd1"), VECTOR_DB);
	assert_int_equal(cpu->event.cr2, BIT(13));
	cpu->cpl = 3;
	assert_int_equal(RUN("\x0f\x21\xd1"), VECTOR_GP);
}

static void
invpcid_checks_its_descriptor(void **state)
{
	(void)state;
	static const char insn[] = "\x66\x0f\x38\x82\x04\x25\x00\x40\x00\x00";
	processor_long(cpu, 0);
	static const struct {
		u64 type, low, high;
		bool pcide;
		int result;
	} cases[] = {
		{0, 0, 0x1000, false, NO_FAULT}, {0, 1, 0x1000, false, VECTOR_GP}, {0, 1, 0x1000, true, NO_FAULT},
		{0, 0, BIT(47), true, VECTOR_GP}, {0, 0x1000, 0, true, VECTOR_GP}, {1, 5, BIT(47), true, NO_FAULT},
		{1, 5, 0, false, VECTOR_GP}, {2, 0, 0, false, NO_FAULT}, {2, 0x1000, 0, false, VECTOR_GP}, {3, 5, 0, false, NO_FAULT},
		{4, 0, 0, true, VECTOR_GP}, {BIT(32), 0, 0, true, VECTOR_GP},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		memory_write(p->memory, DATA, 8, cases[i].low);
		memory_write(p->memory, DATA + 8, 8, cases[i].high);
		cpu->cr4 = CR4_PAE | (cases[i].pcide ? CR4_PCIDE : 0);
		cpu->r[RAX] = cases[i].type;
		if (run(insn, 10) != cases[i].result)
			fail_msg("case %zu", i);
	}
	cpu->cpl = 3;
	assert_int_equal(run(insn, 10), VECTOR_GP);
}

static void
invlpg_drops_a_stale_translation_and_takes_any_address(void **state)
{
	(void)state;
	processor_long(cpu, 0);
	memory_write(p->memory, 0x102000, 8, 0x103007); /* 4 KiB pages now */
	memory_write(p->memory, 0x103000 + 4 * 8, 8, 0x4007);
	memory_write(p->memory, 0x4000, 4, 0x11111111);
	memory_write(p->memory, 0x5000, 4, 0x22222222);
	assert_int_equal(mem_read(cpu, 0x4000, 4), 0x11111111);
	memory_write(p->memory, 0x103000 + 4 * 8, 8, 0x5007);
	assert_int_equal(RUN("\x0f\x01\x3c\x25\x00\x40\x00\x00"), NO_FAULT);
	assert_int_equal(mem_read(cpu, 0x4000, 4), 0x22222222);
	cpu->r[RAX] = BIT(47);
	assert_int_equal(RUN("\x0f\x01\x38"), NO_FAULT); /* not canonical */
}

static void
time_stamp_can_be_denied_to_programs(void **state)
{
	(void)state;
	processor_at(p, 0x123456789);
	assert_int_equal(RUN("\x0f\x31"), NO_FAULT);
	assert_int_equal(cpu->r[RAX], 0x23456789);
	assert_int_equal(cpu->r[RDX], 1);
	cpu->msr.tsc_aux = 77;
	assert_int_equal(RUN("\x0f\x01\xf9"), NO_FAULT);
	assert_int_equal(cpu->r[RCX], 77);
	cpu->cr4 |= CR4_TSD;
	assert_int_equal(RUN("\x0f\x31"), NO_FAULT);
	cpu->cpl = 3;
	assert_int_equal(RUN("\x0f\x31"), VECTOR_GP);
	assert_int_equal(RUN("\x0f\x01\xf9"), VECTOR_GP);
	assert_int_equal(RUN("\x0f\x33"), VECTOR_GP);
}

static void
random_numbers_repeat_with_the_seed_and_set_carry(void **state)
{
	(void)state;
	cpu->seed = 5;
	cc_set_raw(cpu, FLAGS_STATUS);
	assert_int_equal(RUN("\x0f\xc7\xf0"), NO_FAULT);
	assert_int_equal(cc_flags(cpu), FLAG_CF);
	u64 first = cpu->r[RAX];
	assert_int_equal(RUN("\x0f\xc7\xf8"), NO_FAULT); /* rdseed */
	assert_int_not_equal(cpu->r[RAX], first);
	cpu->seed = 5;
	assert_int_equal(RUN("\x0f\xc7\xf0"), NO_FAULT);
	assert_int_equal(cpu->r[RAX], first);
	cpu->r[RAX] = 0xffffffffffffffff;
	assert_int_equal(RUN("\x66\x0f\xc7\xf0"), NO_FAULT);
	assert_int_equal(cpu->r[RAX] >> 16, 0xffffffffffff);
}

static void
msr_instructions_fault_on_unknown_msrs_and_at_cpl_3(void **state)
{
	(void)state;
	cpu->r[RCX] = 0xc0000103;
	cpu->r[RAX] = 0xffffffff00000012;
	cpu->r[RDX] = 0;
	assert_int_equal(RUN("\x0f\x30"), NO_FAULT);
	cpu->r[RAX] = cpu->r[RDX] = ~0ull;
	assert_int_equal(RUN("\x0f\x32"), NO_FAULT);
	assert_int_equal(cpu->r[RAX], 0x12);
	assert_int_equal(cpu->r[RDX], 0);
	cpu->r[RCX] = 0x9999;
	assert_int_equal(RUN("\x0f\x32"), VECTOR_GP);
	assert_int_equal(RUN("\x0f\x30"), VECTOR_GP);
	cpu->cpl = 3;
	cpu->r[RCX] = 0xc0000103;
	assert_int_equal(RUN("\x0f\x32"), VECTOR_GP);
}

static void
segment_base_instructions_need_cr4_and_canonical_values(void **state)
{
	(void)state;
	assert_int_equal(RUN("\xf3\x0f\xae\xc0"), VECTOR_UD); /* not outside 64-bit mode */
	processor_long(cpu, 3);
	assert_int_equal(RUN("\xf3\x48\x0f\xae\xc0"), VECTOR_UD);
	cpu->cr4 |= CR4_FSGSBASE;
	cpu->r[RAX] = 0x7fff12345678;
	assert_int_equal(RUN("\xf3\x48\x0f\xae\xd8"), NO_FAULT); /* wrgsbase rax */
	assert_int_equal(cpu->seg[GS].base, 0x7fff12345678);
	assert_int_equal(RUN("\xf3\x0f\xae\xc9"), NO_FAULT); /* rdgsbase ecx */
	assert_int_equal(cpu->r[RCX], 0x12345678);
	cpu->r[RAX] = BIT(47);
	assert_int_equal(RUN("\xf3\x48\x0f\xae\xd8"), VECTOR_GP);
	assert_int_equal(RUN("\x0f\x01\xf8"), VECTOR_GP); /* swapgs */
	cpu->cpl = 0;
	cpu->msr.kernel_gs_base = 3;
	assert_int_equal(RUN("\x0f\x01\xf8"), NO_FAULT);
	assert_int_equal(cpu->seg[GS].base, 3);
	assert_int_equal(cpu->msr.kernel_gs_base, 0x7fff12345678);
}

static void
xsetbv_takes_only_possible_sets_of_components(void **state)
{
	(void)state;
	static const struct {
		u32 index, low, high;
		int result;
	} cases[] = {{0, 1, 0, NO_FAULT}, {0, 7, 0, NO_FAULT}, {0, 0x207, 0, NO_FAULT}, {0, 3, 0, NO_FAULT}, {0, 0, 0, VECTOR_GP},
		     {0, 2, 0, VECTOR_GP}, {0, 5, 0, VECTOR_GP}, {0, 0xe7, 0, VECTOR_GP}, {0, 1, 1, VECTOR_GP}, {1, 1, 0, VECTOR_GP}};
	cpu->r[RCX] = 0;
	cpu->r[RAX] = 1;
	assert_int_equal(RUN("\x0f\x01\xd1"), VECTOR_UD);
	assert_int_equal(RUN("\x0f\x01\xd0"), VECTOR_UD);
	cpu->cr4 |= CR4_OSXSAVE;
	for (size_t i = 0; i < COUNT(cases); i++) {
		cpu->r[RCX] = cases[i].index;
		cpu->r[RAX] = cases[i].low;
		cpu->r[RDX] = cases[i].high;
		if (RUN("\x0f\x01\xd1") != cases[i].result)
			fail_msg("case %zu", i);
	}
	assert_int_equal(cpu->xcr0, 3);
	cpu->r[RCX] = 0;
	assert_int_equal(RUN("\x0f\x01\xd0"), NO_FAULT);
	assert_int_equal(cpu->r[RAX], 3);
	cpu->r[RCX] = 2;
	assert_int_equal(RUN("\x0f\x01\xd0"), VECTOR_GP);
	cpu->cpl = 3;
	assert_int_equal(RUN("\x0f\x01\xd1"), VECTOR_GP);
}

static void
protection_keys_need_cr4_and_zero_operands(void **state)
{
	(void)state;
	cpu->r[RCX] = cpu->r[RDX] = 0;
	cpu->r[RAX] = 0x55;
	assert_int_equal(RUN("\x0f\x01\xef"), VECTOR_UD);
	cpu->cr4 |= CR4_PKE;
	assert_int_equal(RUN("\x0f\x01\xef"), NO_FAULT);
	assert_int_equal(cpu->pkru, 0x55);
	cpu->r[RDX] = 1;
	assert_int_equal(RUN("\x0f\x01\xef"), VECTOR_GP);
	assert_int_equal(RUN("\x0f\x01\xee"), NO_FAULT);
	assert_int_equal(cpu->r[RDX], 0);
	cpu->r[RCX] = 1;
	assert_int_equal(RUN("\x0f\x01\xee"), VECTOR_GP);
}

static void
stac_and_clac_are_the_kernels(void **state)
{
	(void)state;
	assert_int_equal(RUN("\x0f\x01\xcb"), NO_FAULT);
	assert_true(cpu_rflags(cpu) & FLAG_AC);
	assert_int_equal(RUN("\x0f\x01\xca"), NO_FAULT);
	assert_false(cpu_rflags(cpu) & FLAG_AC);
	cpu->cpl = 3;
	assert_int_equal(RUN("\x0f\x01\xcb"), VECTOR_UD);
}

static void
hlt_stops_the_kernel_only(void **state)
{
	(void)state;
	assert_int_equal(RUN("\xf4"), NO_FAULT);
	assert_int_equal(cpu->activity, ACTIVITY_HLT);
	cpu->activity = ACTIVITY_ACTIVE;
	cpu->cpl = 3;
	assert_int_equal(RUN("\xf4"), VECTOR_GP);
	assert_int_equal(cpu->activity, ACTIVITY_ACTIVE);
}

static void
mwait_sleeps_until_the_line_is_written(void **state)
{
	(void)state;
	cpu->r[RCX] = cpu->r[RDX] = 0;
	cpu->r[RAX] = DATA + 8;
	assert_int_equal(RUN("\x0f\x01\xc9"), NO_FAULT); /* not armed: goes on */
	assert_int_equal(cpu->activity, ACTIVITY_ACTIVE);
	assert_int_equal(RUN("\x0f\x01\xc8"), NO_FAULT);
	assert_int_equal(RUN("\x0f\x01\xc9"), NO_FAULT);
	assert_int_equal(cpu->activity, ACTIVITY_MWAIT);
	assert_false(monitor_triggered(cpu));
	memory_write(p->memory, DATA + 64, 1, 1);
	assert_false(monitor_triggered(cpu));
	memory_write(p->memory, DATA + 63, 1, 1);
	assert_true(monitor_triggered(cpu));
	/* written between MONITOR and MWAIT */
	cpu->activity = ACTIVITY_ACTIVE;
	assert_int_equal(RUN("\x0f\x01\xc8"), NO_FAULT);
	memory_write(p->memory, DATA, 1, 1);
	assert_int_equal(RUN("\x0f\x01\xc9"), NO_FAULT);
	assert_int_equal(cpu->activity, ACTIVITY_ACTIVE);
	cpu->r[RCX] = 1;
	assert_int_equal(RUN("\x0f\x01\xc8"), VECTOR_GP);
	cpu->r[RCX] = 2;
	assert_int_equal(RUN("\x0f\x01\xc9"), VECTOR_GP);
	cpu->cpl = 3;
	assert_int_equal(RUN("\x0f\x01\xc9"), VECTOR_UD);
}

static void
hints_touch_no_memory(void **state)
{
	(void)state;
	static const char *const insns[] = {"\x0f\x18\x05", "\x0f\x0d\x0d", "\x0f\x1f\x05", "\x0f\x1e\x0d"};
	processor_long(cpu, 0);
	for (size_t i = 0; i < COUNT(insns); i++) {
		char bytes[8] = {0};
		memcpy(bytes, insns[i], 3);
		memcpy(bytes + 3, "\x00\x00\x00\x70", 4); /* nothing is mapped there */
		assert_int_equal(run(bytes, 7), NO_FAULT);
	}
	assert_int_equal(RUN("\x0f\xae\x3c\x25\x00\x00\x00\x70"), VECTOR_PF); /* clflush loads */
	assert_int_equal(RUN("\xf3\x90"), NO_FAULT);
	assert_int_equal(RUN("\xf3\x0f\x1e\xfa"), NO_FAULT); /* endbr64 */
	assert_int_equal(RUN("\x0f\xae\xe8"), NO_FAULT);
	cpu->cr0 |= CR0_TS | CR0_EM;
	cpu_mode_changed(cpu);
	assert_int_equal(RUN("\x0f\xae\xf0"), NO_FAULT);
	assert_int_equal(RUN("\x0f\x0b"), VECTOR_UD);
}

/* --- I/O --- */

static u32
port_read(void *opaque, u16 port, unsigned size)
{
	(void)opaque;
	return 0x01010101u * (port & 0xff) & (size == 4 ? ~0u : (1u << size * 8) - 1);
}

static u32 written[8];
static unsigned writes;

static void
port_write(void *opaque, u16 port, unsigned size, u32 value)
{
	(void)opaque, (void)port, (void)size;
	if (writes < COUNT(written))
		written[writes] = value;
	writes++;
}

static const struct port_ops port_ops = {port_read, port_write, PORT_BYTE | PORT_WORD | PORT_LONG};

static void
in_and_out_move_al_ax_and_eax(void **state)
{
	(void)state;
	ports_map(p->ports, "test", 0x80, 8, &port_ops, NULL);
	cpu->r[RAX] = 0xffffffffffffffff;
	assert_int_equal(RUN("\xe4\x85"), NO_FAULT);
	assert_int_equal(cpu->r[RAX], 0xffffffffffffff85);
	assert_int_equal(RUN("\x66\xe5\x82"), NO_FAULT);
	assert_int_equal(cpu->r[RAX], 0xffffffffffff8282);
	cpu->r[RDX] = 0x80;
	assert_int_equal(RUN("\xed"), NO_FAULT);
	assert_int_equal(cpu->r[RAX], 0x80808080);
	writes = 0;
	cpu->r[RAX] = 0x12345678;
	assert_int_equal(RUN("\xe6\x80"), NO_FAULT);
	assert_int_equal(RUN("\xef"), NO_FAULT);
	assert_int_equal(writes, 2);
	assert_int_equal(written[0], 0x78);
	assert_int_equal(written[1], 0x12345678);
}

static void
the_permission_bitmap_decides_above_iopl(void **state)
{
	(void)state;
	ports_map(p->ports, "test", 0x80, 8, &port_ops, NULL);
	processor_protected(cpu, 3);
	cpu->tr = (struct segment){.base = DATA, .limit = 0x68 + 0x10 + 1, .selector = 8, .access = SEG_P | 0xb};
	memory_write(p->memory, DATA + 0x66, 2, 0x68);
	memory_write(p->memory, DATA + 0x68 + 0x10, 2, 0xff06); /* 81h and 82h are forbidden */
	assert_int_equal(RUN("\xe4\x80"), NO_FAULT);
	assert_int_equal(RUN("\xe4\x81"), VECTOR_GP);
	assert_int_equal(RUN("\xe5\x80"), VECTOR_GP);
	assert_int_equal(RUN("\x66\xe5\x83"), NO_FAULT);
	assert_int_equal(RUN("\x66\xe5\x87"), VECTOR_GP); /* 88h */
	memory_write(p->memory, DATA + 0x68 + 0x11, 1, 0);
	assert_int_equal(RUN("\x66\xe5\x87"), NO_FAULT);
	assert_int_equal(RUN("\xe4\x88"), VECTOR_GP); /* its second byte lies beyond the limit */
	cpu->rflags |= FLAG_IOPL;
	assert_int_equal(RUN("\xe4\x81"), NO_FAULT);
	cpu->rflags |= FLAG_VM;
	assert_int_equal(RUN("\xe4\x81"), VECTOR_GP);
	cpu->rflags &= ~(FLAG_VM | FLAG_IOPL);
	cpu->tr.access = SEG_P | 3; /* a 16-bit TSS has no bitmap */
	assert_int_equal(RUN("\xe4\x80"), VECTOR_GP);
}

static void
repeated_string_io_does_one_element_and_stays(void **state)
{
	(void)state;
	ports_map(p->ports, "test", 0x80, 8, &port_ops, NULL);
	cpu->r[RDX] = 0x82;
	cpu->r[RCX] = 3;
	cpu->r[RDI] = DATA;
	for (unsigned left = 3; left; left--) {
		assert_int_equal(RUN("\xf3\x66\x6d"), NO_FAULT); /* rep insw */
		assert_int_equal(cpu->r[RCX], left - 1);
		assert_int_equal(cpu->next_rip, left > 1 ? 0x1000 : 0x1002);
	}
	assert_int_equal(cpu->r[RDI], DATA + 6);
	assert_int_equal(memory_read(p->memory, DATA, 8), 0x828282828282);
	assert_int_equal(RUN("\xf3\x66\x6d"), NO_FAULT); /* count 0 */
	assert_int_equal(cpu->r[RDI], DATA + 6);
	cpu->rflags |= FLAG_DF;
	cpu->r[RSI] = DATA;
	writes = 0;
	assert_int_equal(RUN("\x6e"), NO_FAULT); /* outsb */
	assert_int_equal(cpu->r[RSI], DATA - 1);
	assert_int_equal(writes, 1);
	assert_int_equal(written[0], 0x82);
}

static unsigned reads;

static u32
count_read(void *opaque, u16 port, unsigned size)
{
	(void)opaque, (void)port, (void)size;
	reads++;
	return 0;
}

static void
ins_reads_no_port_when_its_store_faults(void **state)
{
	(void)state;
	static const struct port_ops counting = {count_read, port_write, PORT_BYTE};
	ports_map(p->ports, "test", 0x80, 8, &counting, NULL);
	processor_long(cpu, 0);
	cpu->r[RDX] = 0x80;
	cpu->r[RDI] = 0x70000000;
	reads = 0;
	assert_int_equal(RUN("\x6c"), VECTOR_PF);
	assert_int_equal(reads, 0);
	assert_int_equal(cpu->r[RDI], 0x70000000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void
a20_masks_bit_20_behind_paging_and_is_forgotten_at_once(void **state)
{
	(void)state;
	memory_write(p->memory, 0x3000, 4, 0x11111111);
	memory_write(p->memory, 0x103000, 4, 0x22222222);
	assert_int_equal(mem_read(cpu, 0x103000, 4), 0x22222222);
	cpus_set_a20(p->cpus, false);
	assert_int_equal(mem_read(cpu, 0x103000, 4), 0x11111111);
	assert_int_equal(p->cpus->cpu[1]->physical_mask, ~0x100000ull);
	mem_write(cpu, 0x103004, 4, 0x33333333);
	assert_int_equal(memory_read(p->memory, 0x3004, 4), 0x33333333);
	assert_int_equal(mem_read(cpu, 0x203000, 4), 0);
	/* The tables too are looked up at masked addresses: here those at 1 MiB are those at 0. */
	cpus_set_a20(p->cpus, true);
	processor_long(cpu, 0);
	for (u32 at = 0; at < 0x3000; at += 8)
		memory_write(p->memory, at, 8, memory_read(p->memory, 0x100000 + at, 8));
	memory_write(p->memory, 0x100000, 8, 0);
	cpus_set_a20(p->cpus, false);
	assert_int_equal(mem_read(cpu, 0x103000, 4), 0x11111111);
	memory_write(p->memory, 0x100000, 8, 0x101007);
	cpus_set_a20(p->cpus, true);
	assert_int_equal(mem_read(cpu, 0x103000, 4), 0x22222222);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a20_masks_bit_20_behind_paging_and_is_forgotten_at_once),
		TEST(cr0_refuses_impossible_combinations),
		TEST(long_mode_is_activated_by_paging_and_left_with_it),
		TEST(cr4_bits_need_their_feature),
		TEST(pcids_come_only_in_long_mode_and_from_pcid_zero),
		TEST(la57_cannot_change_in_long_mode),
		TEST(pae_loads_pdptes_and_checks_them),
		TEST(cr8_is_the_task_priority),
		TEST(mov_cr_uses_whole_registers_whatever_the_prefixes),
		TEST(lmsw_sets_pe_and_never_clears_it),
		TEST(umip_hides_descriptor_tables_from_programs),
		TEST(descriptor_table_registers_go_to_memory_and_back),
		TEST(debug_registers_keep_their_fixed_bits),
		TEST(dr4_and_dr5_are_aliases_unless_cr4_de),
		TEST(general_detect_traps_accesses_to_debug_registers),
		TEST(invpcid_checks_its_descriptor),
		TEST(invlpg_drops_a_stale_translation_and_takes_any_address),
		TEST(time_stamp_can_be_denied_to_programs),
		TEST(random_numbers_repeat_with_the_seed_and_set_carry),
		TEST(msr_instructions_fault_on_unknown_msrs_and_at_cpl_3),
		TEST(segment_base_instructions_need_cr4_and_canonical_values),
		TEST(xsetbv_takes_only_possible_sets_of_components),
		TEST(protection_keys_need_cr4_and_zero_operands),
		TEST(stac_and_clac_are_the_kernels),
		TEST(hlt_stops_the_kernel_only),
		TEST(mwait_sleeps_until_the_line_is_written),
		TEST(hints_touch_no_memory),
		TEST(in_and_out_move_al_ax_and_eax),
		TEST(the_permission_bitmap_decides_above_iopl),
		TEST(repeated_string_io_does_one_element_and_stays),
		TEST(ins_reads_no_port_when_its_store_faults),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
