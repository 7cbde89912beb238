#include "tests/unit/cpu_fixture.h"

#include "cpu/flags.h"
#include "cpu/smm.h"

static struct processor *p;
static struct vcpu *cpu;
static const struct insn rsm;

static int
setup(void **state)
{
	(void)state;
	p = processor_new("max", 1);
	cpu = p->cpu;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	processor_free(p);
	return 0;
}

static u64
saved(u32 offset, unsigned size)
{
	return memory_read(p->memory, cpu->smbase + offset, size);
}

static void
save(u32 offset, unsigned size, u64 value)
{
	memory_write(p->memory, cpu->smbase + offset, size, value);
}

/* A 64-bit program state in which every register has its own value. */
static void
distinct_state(void)
{
	processor_long(cpu, 3);
	for (unsigned i = 0; i < 16; i++)
		cpu->r[i] = 0x1111111111111111u * i + 7;
	cpu->rip = 0x123456789abc;
	for (unsigned i = 0; i < 6; i++) {
		cpu->seg[i].selector = (u16)(0x10 + i * 8);
		if (i >= FS)
			cpu->seg[i].base = 0x7f0000000000 + i;
	}
	cpu->ldtr = (struct segment){.base = 0x1000, .limit = 0xff, .selector = 0x50, .access = SEG_P | 2};
	cpu->tr = (struct segment){.base = 0xffff800000002000, .limit = 0x67, .selector = 0x60, .access = SEG_P | 0xb};
	cpu->gdtr.base = 0xffff800000003000;
	cpu->gdtr.limit = 0x7f;
	cpu->idtr.base = 0xffff800000004000;
	cpu->idtr.limit = 0xfff;
	cpu->dr[7] = 0x455;
	cpu_set_rflags(cpu, 0x246);
	cpu_mode_changed(cpu);
}

static void
an_smi_starts_at_smbase_with_a_flat_real_mode(void **state)
{
	(void)state;
	distinct_state();
	smm_enter(cpu);
	assert_true(cpu->in_smm);
	assert_int_equal(cpu->rip, 0x8000);
	assert_int_equal(cpu->seg[CS].selector, 0x3000);
	assert_int_equal(cpu->seg[CS].base, 0x30000);
	assert_int_equal(cpu->seg[DS].limit, 0xffffffff);
	assert_int_equal(cpu->cr0 & (CR0_PE | CR0_PG | CR0_TS | CR0_EM), 0);
	assert_int_equal(cpu->cr4, 0);
	assert_int_equal(cpu->efer, 0);
	assert_int_equal(cpu->dr[7], 0x400);
	assert_int_equal(cpu_rflags(cpu), 2);
	assert_int_equal(cpu->cpl, 0);
	assert_true(cpu->nmi_blocked);
	assert_false(cpu->long64);
}

static void
the_save_map_is_the_documented_one(void **state)
{
	(void)state;
	distinct_state();
	u64 cr0 = cpu->cr0, cr4 = cpu->cr4;
	smm_enter(cpu);
	assert_int_equal(saved(0xfff8, 8), 7); /* RAX */
	assert_int_equal(saved(0xff80, 8), 0x1111111111111111u * 15 + 7);
	assert_int_equal(saved(0xff78, 8), 0x123456789abc);
	assert_int_equal(saved(0xff70, 8), 0x246);
	assert_int_equal(saved(0xff58, 8), cr0);
	assert_int_equal(saved(0xff48, 8), cr4);
	assert_int_equal(saved(0xfed0, 8), EFER_LME | EFER_LMA);
	assert_int_equal(saved(0xff00, 4), 0x30000);
	assert_int_equal(saved(0xfefc, 4), 0x20064);
	assert_int_equal(saved(0xfe10, 2), 0x18); /* CS */
	assert_int_equal(saved(0xfe12, 2), 0xafb);
	assert_int_equal(saved(0xfe58, 8), 0x7f0000000005); /* GS base */
	assert_int_equal(saved(0xfe98, 8), 0xffff800000002000); /* TR base */
}

static void
rsm_brings_everything_back(void **state)
{
	(void)state;
	distinct_state();
	cpu->seg[ES] = (struct segment){.access = SEG_UNUSABLE | SEG_P};
	struct vcpu before = *cpu;
	smm_enter(cpu);
	for (unsigned i = 0; i < 16; i++)
		cpu->r[i] = 0;
	cpu->gdtr.limit = 1;
	assert_int_equal(execute(cpu, op_rsm, &rsm), NO_FAULT);
	assert_memory_equal(cpu->r, before.r, sizeof(before.r));
	assert_memory_equal(cpu->seg, before.seg, sizeof(before.seg));
	assert_memory_equal(&cpu->ldtr, &before.ldtr, sizeof(before.ldtr));
	assert_memory_equal(&cpu->tr, &before.tr, sizeof(before.tr));
	assert_int_equal(cpu->gdtr.limit, before.gdtr.limit);
	assert_int_equal(cpu->idtr.base, before.idtr.base);
	assert_int_equal(cpu->next_rip, before.rip);
	assert_int_equal(cpu->cr0, before.cr0);
	assert_int_equal(cpu->cr3, before.cr3);
	assert_int_equal(cpu->cr4, before.cr4);
	assert_int_equal(cpu->efer, before.efer);
	assert_int_equal(cpu->dr[7], before.dr[7]);
	assert_int_equal(cpu_rflags(cpu), 0x246);
	assert_int_equal(cpu->cpl, 3);
	assert_true(cpu->long64);
	assert_false(cpu->in_smm);
	assert_false(cpu->nmi_blocked);
}

static void
smbase_can_be_moved(void **state)
{
	(void)state;
	smm_enter(cpu);
	save(0xff00, 4, 0xa0000);
	assert_int_equal(execute(cpu, op_rsm, &rsm), NO_FAULT);
	assert_int_equal(cpu->smbase, 0xa0000);
	smm_enter(cpu);
	assert_int_equal(cpu->seg[CS].base, 0xa0000);
	assert_int_equal(cpu->seg[CS].selector, 0xa000);
}

static void
an_smi_in_hlt_halts_again_unless_the_handler_says_otherwise(void **state)
{
	(void)state;
	cpu->activity = ACTIVITY_HLT;
	smm_enter(cpu);
	assert_int_equal(cpu->activity, ACTIVITY_ACTIVE);
	assert_int_equal(saved(0xfec9, 1), 1);
	assert_int_equal(execute(cpu, op_rsm, &rsm), NO_FAULT);
	assert_int_equal(cpu->activity, ACTIVITY_HLT);
	smm_enter(cpu);
	save(0xfec9, 1, 0);
	assert_int_equal(execute(cpu, op_rsm, &rsm), NO_FAULT);
	assert_int_equal(cpu->activity, ACTIVITY_ACTIVE);
}

static void
rsm_outside_smm_is_undefined(void **state)
{
	(void)state;
	assert_int_equal(execute(cpu, op_rsm, &rsm), VECTOR_UD);
}

static void
rsm_to_an_impossible_state_shuts_down(void **state)
{
	(void)state;
	static const struct {
		u32 offset;
		u64 value;
	} bad[] = {
		{0xff58, CR0_PG}, {0xff58, CR0_NW}, {0xff58, BIT(32)}, {0xff48, BIT(31)}, {0xfed0, BIT(1)},
	};
	for (size_t i = 0; i < COUNT(bad); i++) {
		processor_protected(cpu, 0);
		cpu->activity = ACTIVITY_ACTIVE;
		cpu->in_smm = cpu->cpus->stop = cpu->cpus->triple_fault = false;
		smm_enter(cpu);
		save(bad[i].offset, 8, bad[i].value);
		assert_int_equal(execute(cpu, op_rsm, &rsm), NO_FAULT);
		if (cpu->activity != ACTIVITY_SHUTDOWN || !cpu->cpus->triple_fault)
			fail_msg("%x: %llx", bad[i].offset, (unsigned long long)bad[i].value);
	}
}

static void
non_root_operation_is_left_and_resumed(void **state)
{
	(void)state;
	processor_protected(cpu, 0);
	cpu->nonroot = true;
	cpu->pdpte[2] = 0x5001;
	smm_enter(cpu);
	assert_false(cpu->nonroot);
	cpu->pdpte[2] = 0;
	assert_int_equal(execute(cpu, op_rsm, &rsm), NO_FAULT);
	assert_true(cpu->nonroot);
	assert_int_equal(cpu->pdpte[2], 0x5001);
	RULE("NR-38");
	cpu->nonroot = false;
}

/* What lies over SMRAM outside SMM. */
static u64
window_read(void *opaque, u64 offset, unsigned size)
{
	(void)opaque, (void)offset, (void)size;
	return 0x77777777;
}

static void
window_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	(void)offset, (void)size, (void)value;
	++*(unsigned *)opaque;
}

static const struct mmio_ops window = {window_read, window_write};

static void
smram_is_seen_in_smm_only(void **state)
{
	(void)state;
	unsigned writes = 0;
	memory_map_mmio(p->memory, "window", MEMORY_SMRAM, MEMORY_SMRAM_SIZE, &window, &writes);
	memory_set_smram(p->memory, false, true);
	cpu->smbase = MEMORY_SMRAM;
	cpu->r[RAX] = 0x1234;
	cpu_mode_changed(cpu);
	assert_int_equal(mem_read(cpu, 0xa8000, 4), 0x77777777);
	smm_enter(cpu);
	assert_int_equal(*(u16 *)(p->memory->ram + 0xafff8), 0x1234); /* the saved state is there */
	assert_int_equal(mem_read(cpu, 0xafff8, 2), 0x1234);
	mem_write(cpu, 0xa8000, 4, 0xf4f4f4f4);
	assert_int_equal(p->memory->ram[0xa8001], 0xf4);
	assert_int_equal(execute(cpu, op_rsm, &rsm), NO_FAULT);
	assert_int_equal(cpu->r[RAX], 0x1234);
	assert_int_equal(mem_read(cpu, 0xa8000, 4), 0x77777777);
	assert_int_equal(writes, 0);
	mem_write(cpu, 0xa8000, 4, 0);
	assert_int_equal(writes, 1);
	assert_int_equal(p->memory->ram[0xa8001], 0xf4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_smi_starts_at_smbase_with_a_flat_real_mode),
		TEST(the_save_map_is_the_documented_one),
		TEST(rsm_brings_everything_back),
		TEST(smbase_can_be_moved),
		TEST(an_smi_in_hlt_halts_again_unless_the_handler_says_otherwise),
		TEST(rsm_outside_smm_is_undefined),
		TEST(rsm_to_an_impossible_state_shuts_down),
		TEST(smram_is_seen_in_smm_only),
		TEST(non_root_operation_is_left_and_resumed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
