/* Capability MSRs: the values of profile P1, and what switching things off does. */
#include "tests/unit/vmx_fixture.h"

static u64
capability(struct vmx_fixture *f, u32 address)
{
	u64 value = 0;

	if (!vmx_capability_read(f->cpu, address, &value))
		fail_msg("MSR %x does not exist", address);
	return value;
}

static void
profile_p1_has_the_values_of_the_table(void **state)
{
	/*
	 * User wait and pause (bit 26 of 48Bh) follows CPUID, and the model has no WAITPKG. The preemption timer's shift (485h)
	 * is not 5: see struct vmx_capability.
	 */
	static const struct {
		u32 address;
		u64 value;
	} p1[] = {
		{0x480, 0x00d8100000000000ull | VMCS_REVISION},
		{0x481, 0x000000ff00000016ull},
		{0x482, 0xfff9fffe0401e172ull},
		{0x483, 0x007fffff00036dffull},
		{0x484, 0x0000f3ff000011ffull},
		{0x485, 0x00000000600401e2ull},
		{0x486, 0x80000021},
		{0x487, 0xffffffff},
		{0x488, 0x2000},
		{0x48a, 0x32},
		{0x48b, 0x02577fff00000000ull},
		{0x48c, 0x00000f0106734141ull},
		{0x48d, 0x000000ff00000016ull},
		{0x48e, 0xfff9fffe04006172ull},
		{0x48f, 0x007fffff00036dfbull},
		{0x490, 0x0000f3ff000011fbull},
		{0x491, 1},
	};
	struct vmx_fixture f;
	u64 value;

	(void)state;
	fixture_make(&f, "max");
	for (unsigned i = 0; i < COUNT(p1); i++)
		if (capability(&f, p1[i].address) != p1[i].value)
			fail_msg("MSR %x is %llx, not %llx", p1[i].address,
				 (unsigned long long)capability(&f, p1[i].address), (unsigned long long)p1[i].value);
	for (u32 address = 0x492; address < 0x4a0; address++)
		assert_false(vmx_capability_read(f.cpu, address, &value));
	fixture_free(&f);
}

static void
true_msrs_agree_with_the_plain_ones(void **state)
{
	static const struct {
		u32 plain, exact, default1;
	} pair[] = {{0x481, 0x48d, 0x16}, {0x482, 0x48e, 0x401e172}, {0x483, 0x48f, 0x36dff}, {0x484, 0x490, 0x11ff}};
	struct vmx_fixture f;

	(void)state;
	fixture_make(&f, "max");
	for (unsigned i = 0; i < COUNT(pair); i++) {
		u64 plain = capability(&f, pair[i].plain), exact = capability(&f, pair[i].exact);

		assert_int_equal(plain >> 32, exact >> 32);
		assert_int_equal((u32)plain, (u32)exact | pair[i].default1);
		assert_int_equal((u32)plain & ~(plain >> 32), 0);
	}
	fixture_free(&f);
}

static void
cr4_fixed1_is_what_cr4_may_hold(void **state)
{
	struct vmx_fixture f;

	(void)state;
	fixture_make(&f, "max");
	assert_true(capability(&f, 0x489) & CR4_VMXE);
	assert_false(capability(&f, 0x489) & CR4_SMXE);
	assert_int_equal(capability(&f, 0x489) & CR4_FIXED0, CR4_FIXED0);
	fixture_free(&f);
}

static void
switching_off_ept_takes_what_needs_it(void **state)
{
	u64 needs_ept = VMX_MASK(SEC, ENABLE_EPT) | VMX_MASK(SEC, UNRESTRICTED_GUEST) | VMX_MASK(SEC, ENABLE_PML) |
			VMX_MASK(SEC, MODE_BASED_EXECUTE) | VMX_MASK(SEC, EPT_VIOLATION_VE) |
			VMX_MASK(SEC, ENABLE_VMFUNC);
	struct vmx_capability cap;
	struct cpu_model model;

	(void)state;
	assert_null(cpu_model_parse("max", &model));
	assert_true(vmx_capability_switch(&model, "ept", false));
	vmx_capability_compute(&model, &cap);
	assert_int_equal(cap.allowed[VMX_SEC] & needs_ept, 0);
	assert_int_equal((u32)cap.allowed[VMX_EPTCAP], 0);
	assert_true(VMX_ALLOWED(&cap, EPTCAP, INVVPID));
	assert_null(vmx_capability_check(&model));
}

static void
switching_off_vpid_or_the_tpr_shadow_takes_what_needs_it(void **state)
{
	struct vmx_capability cap;
	struct cpu_model model;

	(void)state;
	assert_null(cpu_model_parse("max", &model));
	assert_true(vmx_capability_switch(&model, "vmx-vpid", false));
	assert_true(vmx_capability_switch(&model, "flexpriority", false));
	vmx_capability_compute(&model, &cap);
	assert_int_equal(cap.allowed[VMX_EPTCAP] >> 32, 0);
	assert_false(VMX_ALLOWED(&cap, SEC, VIRTUAL_INTERRUPT_DELIVERY));
	assert_false(VMX_ALLOWED(&cap, PIN, POSTED_INTERRUPTS));
	assert_true(VMX_ALLOWED(&cap, SEC, VIRTUALIZE_APIC_ACCESSES));
}

static void
an_unknown_capability_name_is_refused(void **state)
{
	struct cpu_model model;

	(void)state;
	assert_null(cpu_model_parse("max", &model));
	assert_false(vmx_capability_switch(&model, "eptt", false));
}

static void
switching_back_on_restores(void **state)
{
	struct vmx_capability before, after;
	struct cpu_model model;

	(void)state;
	assert_null(cpu_model_parse("max", &model));
	vmx_capability_compute(&model, &before);
	vmx_capability_switch(&model, "pml", false);
	vmx_capability_switch(&model, "pml", true);
	vmx_capability_compute(&model, &after);
	assert_memory_equal(&before, &after, sizeof(before));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(profile_p1_has_the_values_of_the_table),
		cmocka_unit_test(true_msrs_agree_with_the_plain_ones),
		cmocka_unit_test(cr4_fixed1_is_what_cr4_may_hold),
		cmocka_unit_test(switching_off_ept_takes_what_needs_it),
		cmocka_unit_test(switching_off_vpid_or_the_tpr_shadow_takes_what_needs_it),
		cmocka_unit_test(an_unknown_capability_name_is_refused),
		cmocka_unit_test(switching_back_on_restores),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
