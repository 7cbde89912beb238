#include "tests/unit/cpu_fixture.h"

#include "cpu/msr.h"
enum { EAX, EBX, ECX, EDX };

static struct processor *p;

static int
setup(void **state)
{
	(void)state;
	p = processor_new("max", 1);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	processor_free(p);
	return 0;
}

static u32
query(u32 leaf, u32 subleaf, unsigned reg)
{
	u32 regs[4];
	cpuid_query(p->cpu, leaf, subleaf, regs);
	return regs[reg];
}

static void
every_row_names_another_bit_and_another_name(void **state)
{
	(void)state;
	static const struct {
		const char *id, *name;
		u64 place;
	} rows[] = {
#define ARCH_CAP 0xffffu
#define NO_LEAF 0xfffeu
#define FEATURE(id, name, leaf, subleaf, reg, bit) {#id, name, (u64)(leaf) << 16 | (subleaf) << 12 | (reg) << 8 | (bit)},
#include "cpu/cpuid.def"
#undef FEATURE
	};
	for (size_t i = 0; i < COUNT(rows); i++)
		for (size_t k = 0; k < i; k++)
			if (rows[i].place == rows[k].place || !strcmp(rows[i].name, rows[k].name))
				fail_msg("%s and %s", rows[i].id, rows[k].id);
}

static void
max_is_an_intel_processor_of_the_v3_level_that_admits_to_no_hypervisor(void **state)
{
	(void)state;
	u32 regs[4];
	cpuid_query(p->cpu, 0, 0, regs);
	assert_int_equal(regs[EAX], 0x16);
	assert_memory_equal(&regs[EBX], "Genu", 4);
	assert_memory_equal(&regs[EDX], "ineI", 4);
	assert_memory_equal(&regs[ECX], "ntel", 4);
	/* SSE3 SSSE3 FMA CX16 SSE4.1 SSE4.2 MOVBE POPCNT XSAVE AVX F16C, and VMX */
	u32 wanted = 1u | 1u << 9 | 1u << 12 | 1u << 13 | 3u << 19 | 3u << 22 | 1u << 26 | 3u << 28 | 1u << 5;
	assert_int_equal(query(1, 0, ECX) & wanted, wanted);
	assert_int_equal(query(1, 0, ECX) >> 31, 0);
	assert_int_equal(query(7, 0, EBX) & (1u << 3 | 1u << 5 | 1u << 8), 1u << 3 | 1u << 5 | 1u << 8);
	assert_int_equal(query(0x80000001, 0, ECX) & (1u << 5), 1u << 5);
	assert_int_equal(query(0x40000000, 0, EAX), query(0x16, 0, EAX));
}

static void
switches_add_and_drop_features_and_what_depends_on_them(void **state)
{
	(void)state;
	struct cpu_model model;
	assert_null(cpu_model_parse("max,-avx,+la57,sse4_2=off,rdseed=off,rdseed=on", &model));
	assert_false(model.has[FEATURE_AVX]);
	assert_false(model.has[FEATURE_AVX2]);
	assert_false(model.has[FEATURE_FMA]);
	assert_true(model.has[FEATURE_XSAVE]);
	assert_false(model.has[FEATURE_SSE4_2]);
	assert_true(model.has[FEATURE_RDSEED]);
	assert_int_equal(model.linear_bits, 57);
	assert_null(cpu_model_parse("max", &model));
	assert_int_equal(model.linear_bits, 48);
}

static void
errors_name_the_part_that_is_wrong(void **state)
{
	(void)state;
	struct cpu_model model;
	static const struct {
		const char *spec, *part;
	} bad[] = {{"i486", "i486"}, {"", "model"}, {"max,+warp", "warp"}, {"max,avx=maybe", "maybe"}};
	for (size_t i = 0; i < COUNT(bad); i++) {
		char *error = cpu_model_parse(bad[i].spec, &model);
		assert_non_null(error);
		if (!strstr(error, bad[i].part))
			fail_msg("%s: %s", bad[i].spec, error);
		free(error);
	}
}

static void
vmx_capabilities_can_be_switched_off(void **state)
{
	(void)state;
	struct cpu_model with, without;
	assert_null(cpu_model_parse("max", &with));
	assert_null(cpu_model_parse("max,-ept", &without));
	assert_memory_not_equal(with.vmx_disabled, without.vmx_disabled, sizeof(with.vmx_disabled));
}

static void
an_older_model_lacks_what_came_later(void **state)
{
	(void)state;
	struct cpu_model model;
	assert_null(cpu_model_parse("IvyBridge", &model));
	assert_true(model.has[FEATURE_AVX]);
	assert_true(model.has[FEATURE_VMX]);
	assert_true(model.has[FEATURE_F16C]);
	assert_false(model.has[FEATURE_AVX2]);
	assert_false(model.has[FEATURE_INVPCID]);
	assert_false(model.has[FEATURE_ARCH_CAPABILITIES]);
	assert_int_equal(model.signature, 0x306e4);
}

static void
an_older_model_lacks_later_vmx_capabilities_until_they_are_asked_for(void **state)
{
	(void)state;
	struct cpu_model old, asked, newest;
	assert_null(cpu_model_parse("SandyBridge", &old));
	assert_null(cpu_model_parse("SandyBridge,+pml,+ept-ad", &asked));
	assert_null(cpu_model_parse("max", &newest));
	assert_memory_not_equal(old.vmx_disabled, asked.vmx_disabled, sizeof(old.vmx_disabled));
	for (size_t i = 0; i < COUNT(newest.vmx_disabled); i++)
		assert_int_equal(newest.vmx_disabled[i], 0);
}

static void
every_model_of_the_list_can_be_had(void **state)
{
	(void)state;
	static const char *const names[] = {"Nehalem", "Westmere", "SandyBridge", "IvyBridge", "Haswell", "Broadwell",
					    "Skylake-Server", "Cascadelake-Server", "Icelake-Server"};
	for (size_t i = 0; i < COUNT(names); i++) {
		struct processor *q = processor_new(names[i], 1);
		u64 control;
		assert_true(msr_read(q->cpu, 0x482, &control));
		assert_true(control >> 63); /* secondary controls, so EPT */
		assert_true(msr_read(q->cpu, 0x48b, &control));
		assert_true(control & BIT(33));
		processor_free(q);
	}
}

static void
branch_history_control_is_in_subleaf_2_of_leaf_7(void **state)
{
	(void)state;
	assert_int_equal(query(7, 0, EAX), 2);
	assert_int_equal(query(7, 2, EDX), 1u << 4);
	assert_int_equal(query(7, 1, EDX), 0);
	processor_free(p);
	p = processor_new("Icelake-Server", 1);
	assert_int_equal(query(7, 0, EAX), 0);
}

static void
topology_leaves_agree_for_any_number_of_processors(void **state)
{
	(void)state;
	static const unsigned counts[] = {2, 3, 8, 64};
	for (size_t i = 0; i < COUNT(counts); i++) {
		processor_free(p);
		p = processor_new("max", counts[i]);
		p->cpu = p->cpus->cpu[counts[i] - 1];
		u32 shift = query(0xb, 1, EAX);
		assert_true(1u << shift >= counts[i] && 1u << shift < 2 * counts[i]);
		assert_int_equal(query(0xb, 1, EBX), counts[i]);
		assert_int_equal(query(0xb, 1, ECX), 0x201);
		assert_int_equal(query(0xb, 0, ECX), 0x100);
		assert_int_equal(query(0xb, 0, EDX), counts[i] - 1);
		assert_int_equal(query(0xb, 2, EBX), 0);
		assert_int_equal(query(1, 0, EBX) >> 24, counts[i] - 1);
		assert_int_equal(query(1, 0, EBX) >> 16 & 0xff, 1u << shift);
		assert_int_equal(query(1, 0, EDX) >> 28 & 1, 1);
		assert_int_equal((query(4, 0, EAX) >> 26) + 1, 1u << shift);
	}
}

static void
one_processor_has_no_htt(void **state)
{
	(void)state;
	assert_int_equal(query(1, 0, EDX) >> 28 & 1, 0);
	assert_int_equal(query(0xb, 1, EBX), 1);
}

static void
xsave_sizes_follow_xcr0(void **state)
{
	(void)state;
	p->cpu->xcr0 = 1;
	assert_int_equal(query(0xd, 0, EBX), 576);
	p->cpu->xcr0 = 7;
	assert_int_equal(query(0xd, 0, EBX), 832);
	assert_int_equal(query(0xd, 1, EBX), 832);
	p->cpu->xcr0 = 0x207;
	assert_int_equal(query(0xd, 0, EBX), 2696);
	assert_int_equal(query(0xd, 1, EBX), 840);
	assert_int_equal(query(0xd, 0, EAX), 0x207);
	assert_int_equal(query(0xd, 0, ECX), 2696);
	assert_int_equal(query(0xd, 2, EAX), 256);
	assert_int_equal(query(0xd, 9, EBX), 2688);
	assert_int_equal(query(0xd, 3, EAX), 0);
}

static void
bits_of_control_registers_show(void **state)
{
	(void)state;
	assert_int_equal(query(1, 0, ECX) >> 27 & 1, 0);
	assert_int_equal(query(7, 0, ECX) >> 4 & 1, 0);
	p->cpu->cr4 |= CR4_OSXSAVE | CR4_PKE;
	assert_int_equal(query(1, 0, ECX) >> 27 & 1, 1);
	assert_int_equal(query(7, 0, ECX) >> 4 & 1, 1);
	assert_int_equal(query(0x80000001, 0, EDX) >> 11 & 1, 0);
	p->cpu->long64 = true;
	assert_int_equal(query(0x80000001, 0, EDX) >> 11 & 1, 1);
}

static void
bits_of_msrs_show(void **state)
{
	(void)state;
	assert_int_equal(query(1, 0, EDX) >> 9 & 1, 1);
	assert_true(msr_write(p->cpu, 0x1b, 0xfee00100));
	assert_int_equal(query(1, 0, EDX) >> 9 & 1, 0);
	assert_int_equal(query(1, 0, ECX) >> 3 & 1, 1);
	assert_true(msr_write(p->cpu, 0x1a0, MISC_ENABLE_XD_DISABLE | MISC_ENABLE_LIMIT_CPUID));
	assert_int_equal(query(1, 0, ECX) >> 3 & 1, 0);
	assert_int_equal(query(0x80000001, 0, EDX) >> 20 & 1, 0);
	assert_int_equal(query(0, 0, EAX), 2);
}

static void
the_tsc_frequency_is_the_clock(void **state)
{
	(void)state;
	u32 regs[4];
	cpuid_query(p->cpu, 0x15, 0, regs);
	assert_int_equal((u64)regs[ECX] * regs[EBX] / regs[EAX], p->model.hz);
	assert_int_equal(query(0x16, 0, EAX), p->model.hz / 1000000);
	assert_int_equal(query(0x80000007, 0, EDX) >> 8 & 1, 1);
}

static void
a_leaf_beyond_the_last_gives_the_last(void **state)
{
	(void)state;
	u32 last[4], beyond[4];
	cpuid_query(p->cpu, 0x16, 0, last);
	cpuid_query(p->cpu, 0x1234, 0, beyond);
	assert_memory_equal(last, beyond, sizeof(last));
	assert_int_equal(query(0x80000000, 0, EAX), 0x80000008);
	assert_int_equal(query(0x80000008, 0, EAX), 48 << 8 | 46);
}

static void
performance_monitoring_is_announced_where_it_is(void **state)
{
	(void)state;
	assert_int_equal(query(0xa, 0, EAX) & 0xff, 2);
	struct processor *without = processor_new("max,-pmu", 1);
	u32 regs[4];
	cpuid_query(without->cpu, 0xa, 0, regs);
	assert_int_equal(regs[0] & 0xff, 0);
	cpuid_query(without->cpu, 1, 0, regs);
	assert_int_equal(regs[ECX] >> 15 & 1, 0); /* PDCM */
	processor_free(without);
}

static void
cpuid_faulting_raises_gp_for_programs(void **state)
{
	(void)state;
	struct insn in = {0};
	processor_protected(p->cpu, 3);
	assert_int_equal(execute(p->cpu, op_cpuid, &in), NO_FAULT);
	assert_true(msr_write(p->cpu, 0x140, 1));
	assert_int_equal(execute(p->cpu, op_cpuid, &in), VECTOR_GP);
	p->cpu->cpl = 0;
	assert_int_equal(execute(p->cpu, op_cpuid, &in), NO_FAULT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_row_names_another_bit_and_another_name),
		TEST(max_is_an_intel_processor_of_the_v3_level_that_admits_to_no_hypervisor),
		TEST(switches_add_and_drop_features_and_what_depends_on_them),
		TEST(errors_name_the_part_that_is_wrong),
		TEST(vmx_capabilities_can_be_switched_off),
		TEST(an_older_model_lacks_what_came_later),
		TEST(an_older_model_lacks_later_vmx_capabilities_until_they_are_asked_for),
		TEST(every_model_of_the_list_can_be_had),
		TEST(branch_history_control_is_in_subleaf_2_of_leaf_7),
		TEST(topology_leaves_agree_for_any_number_of_processors),
		TEST(one_processor_has_no_htt),
		TEST(xsave_sizes_follow_xcr0),
		TEST(bits_of_control_registers_show),
		TEST(bits_of_msrs_show),
		TEST(the_tsc_frequency_is_the_clock),
		TEST(a_leaf_beyond_the_last_gives_the_last),
		TEST(performance_monitoring_is_announced_where_it_is),
		TEST(cpuid_faulting_raises_gp_for_programs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
