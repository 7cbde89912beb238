/* VMX instructions in root operation: VMfail numbers, the VMCS region, operand checks. */
#include "tests/unit/vmx_fixture.h"

#include "vmx/vmx.h"

/* Operands are at [RAX]; encodings and types in RCX. */
#define VMXON "\xf3\x0f\xc7\x30"
#define VMXOFF "\x0f\x01\xc4"
#define VMCLEAR "\x66\x0f\xc7\x30"
#define VMPTRLD "\x0f\xc7\x30"
#define VMPTRST "\x0f\xc7\x38"
#define VMREAD_RBX_RCX "\x0f\x78\xcb"
#define VMREAD_MEM_RCX "\x0f\x78\x08"
#define VMWRITE_RCX_RBX "\x0f\x79\xcb"
#define VMLAUNCH "\x0f\x01\xc2"
#define VMRESUME "\x0f\x01\xc3"
#define VMCALL "\x0f\x01\xc1"
#define VMFUNC "\x0f\x01\xd4"
#define INVEPT "\x66\x0f\x38\x80\x08"
#define INVVPID "\x66\x0f\x38\x81\x08"

static struct vmx_fixture fixture, *f = &fixture;

static int
setup(void **state)
{
	(void)state;
	fixture_make(f, "max");
	fixture_root(f);
	f->cpu->r[RAX] = OPERAND;
	cc_set_raw(f->cpu, FLAGS_STATUS);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	fixture_free(f);
	return 0;
}

static void
expect_success(void)
{
	assert_int_equal(fixture_flags(f), 0);
}

static void
expect_invalid(void)
{
	assert_int_equal(fixture_flags(f), FLAG_CF);
}

static void
expect_error(u32 number)
{
	if (fixture_flags(f) != FLAG_ZF || f->v->vm_instruction_error != number)
		fail_msg("flags %llx, error %u, not %u", (unsigned long long)fixture_flags(f),
			 f->v->vm_instruction_error, number);
}

static void
expect_exception(unsigned vector)
{
	assert_int_equal(f->cpu->event.vector, vector);
	f->cpu->event.vector = 0;
}

static void
vmxon_enters_vmx_operation_without_a_current_vmcs(void **state)
{
	(void)state;
	f->cpu->vmx->operation = false;
	poke(f, OPERAND, 8, VMXON_REGION);
	assert_false(EXECUTE(f, VMXON));
	expect_success();
	assert_true(f->cpu->vmx->operation);
	assert_int_equal(f->cpu->vmx->current, NO_VMCS);
}

static void
vmx_operation_ignores_a20m_and_is_not_entered_with_it(void **state)
{
	(void)state;
	cpus_set_a20(f->cpu->cpus, false);
	assert_int_equal(f->cpu->physical_mask, ~0ull);
	assert_false(EXECUTE(f, VMXOFF));
	assert_int_equal(f->cpu->physical_mask, ~0x100000ull);
	poke(f, OPERAND, 8, VMXON_REGION);
	assert_true(EXECUTE(f, VMXON));
	expect_exception(VECTOR_GP);
	cpus_set_a20(f->cpu->cpus, true);
	assert_int_equal(f->cpu->physical_mask, ~0ull);
	assert_false(EXECUTE(f, VMXON));
	expect_success();
}

static void
vmxon_refuses_bad_pointers_and_revisions(void **state)
{
	(void)state;
	f->cpu->vmx->operation = false;
	poke(f, OPERAND, 8, VMXON_REGION + 8);
	assert_false(EXECUTE(f, VMXON));
	expect_invalid();
	poke(f, OPERAND, 8, 1ull << 52);
	assert_false(EXECUTE(f, VMXON));
	expect_invalid();
	poke(f, OPERAND, 8, VMXON_REGION);
	poke(f, VMXON_REGION, 4, VMCS_REVISION + 1);
	assert_false(EXECUTE(f, VMXON));
	expect_invalid();
	poke(f, VMXON_REGION, 4, VMCS_REVISION | VMCS_SHADOW);
	assert_false(EXECUTE(f, VMXON));
	expect_invalid();
	assert_false(f->cpu->vmx->operation);
}

static void
vmxon_faults_as_the_manual_orders(void **state)
{
	(void)state;
	f->cpu->vmx->operation = false;
	f->cpu->cr4 &= ~CR4_VMXE;
	assert_true(EXECUTE(f, VMXON));
	expect_exception(VECTOR_UD);
	f->cpu->cr4 |= CR4_VMXE;
	f->cpu->msr.feature_control = 1;
	assert_true(EXECUTE(f, VMXON));
	expect_exception(VECTOR_GP);
	f->cpu->msr.feature_control = 4;
	assert_true(EXECUTE(f, VMXON));
	expect_exception(VECTOR_GP);
	f->cpu->msr.feature_control = 5;
	f->cpu->cr0 &= ~CR0_NE;
	assert_true(EXECUTE(f, VMXON));
	expect_exception(VECTOR_GP);
}

static void
vmxon_in_root_operation_is_error_15(void **state)
{
	(void)state;
	assert_false(EXECUTE(f, VMXON));
	expect_error(15);
}

static void
vmxoff_forgets_everything_and_vmx_instructions_are_undefined_again(void **state)
{
	(void)state;
	assert_false(EXECUTE(f, VMXOFF));
	expect_success();
	assert_false(vmx_operation(f->cpu));
	assert_true(EXECUTE(f, VMXOFF));
	expect_exception(VECTOR_UD);
	assert_true(EXECUTE(f, VMCALL));
	expect_exception(VECTOR_UD);
	assert_true(EXECUTE(f, VMPTRST));
	expect_exception(VECTOR_UD);
}

static void
vmclear_errors(void **state)
{
	(void)state;
	poke(f, OPERAND, 8, 0x123);
	assert_false(EXECUTE(f, VMCLEAR));
	expect_error(2);
	poke(f, OPERAND, 8, VMXON_REGION);
	assert_false(EXECUTE(f, VMCLEAR));
	expect_error(3);
}

static void
vmclear_of_the_current_vmcs_leaves_none(void **state)
{
	(void)state;
	poke(f, OPERAND, 8, VMCS_REGION);
	assert_false(EXECUTE(f, VMCLEAR));
	expect_success();
	assert_false(EXECUTE(f, VMPTRST));
	assert_int_equal(peek(f, OPERAND, 8), NO_VMCS);
	f->cpu->r[RCX] = VMCS_guest_rip;
	assert_false(EXECUTE(f, VMREAD_RBX_RCX));
	expect_invalid();
	assert_false(EXECUTE(f, VMLAUNCH));
	expect_invalid();
}

static void
vmptrld_errors_are_stored_in_the_old_vmcs(void **state)
{
	(void)state;
	poke(f, OPERAND, 8, 0x123);
	assert_false(EXECUTE(f, VMPTRLD));
	expect_error(9);
	poke(f, OPERAND, 8, VMXON_REGION);
	assert_false(EXECUTE(f, VMPTRLD));
	expect_error(10);
	poke(f, OPERAND, 8, OTHER_REGION);
	poke(f, OTHER_REGION, 4, VMCS_REVISION ^ 1);
	assert_false(EXECUTE(f, VMPTRLD));
	expect_error(11);
	assert_int_equal(f->cpu->vmx->current, VMCS_REGION);
}

static void
a_vmcs_survives_being_cleared_and_copied(void **state)
{
	u64 copy[512];

	(void)state;
	f->v->guest_rip = 0x1122334455667788ull;
	f->v->cr0_mask = 77;
	poke(f, OPERAND, 8, VMCS_REGION);
	assert_false(EXECUTE(f, VMCLEAR));
	dma_read(f->memory, VMCS_REGION, copy, sizeof(copy));
	dma_write(f->memory, OTHER_REGION, copy, sizeof(copy));
	poke(f, OPERAND, 8, OTHER_REGION);
	f->v->guest_rip = f->v->cr0_mask = 0;
	assert_false(EXECUTE(f, VMPTRLD));
	expect_success();
	assert_int_equal(f->v->guest_rip, 0x1122334455667788ull);
	assert_int_equal(f->v->cr0_mask, 77);
}

static void
switching_between_two_vmcss_keeps_both(void **state)
{
	(void)state;
	f->v->guest_rip = 1;
	f->cpu->vmx->launched = 1;
	poke(f, OTHER_REGION, 4, VMCS_REVISION);
	poke(f, OPERAND, 8, OTHER_REGION);
	assert_false(EXECUTE(f, VMCLEAR));
	assert_false(EXECUTE(f, VMPTRLD));
	assert_int_equal(f->cpu->vmx->launched, 0);
	f->v->guest_rip = 2;
	poke(f, OPERAND, 8, VMCS_REGION);
	assert_false(EXECUTE(f, VMPTRLD));
	assert_int_equal(f->v->guest_rip, 1);
	assert_int_equal(f->cpu->vmx->launched, 1);
	poke(f, OPERAND, 8, OTHER_REGION);
	assert_false(EXECUTE(f, VMPTRLD));
	assert_int_equal(f->v->guest_rip, 2);
}

static void
vmclear_of_another_vmcs_makes_it_clear_in_memory(void **state)
{
	(void)state;
	poke(f, OTHER_REGION + VMCS_REGION_LAUNCHED, 4, 1);
	poke(f, OPERAND, 8, OTHER_REGION);
	assert_false(EXECUTE(f, VMCLEAR));
	assert_int_equal(peek(f, OTHER_REGION + VMCS_REGION_LAUNCHED, 4), 0);
	assert_int_equal(f->cpu->vmx->current, VMCS_REGION);
}

static void
vmread_and_vmwrite_of_nothing_is_error_12(void **state)
{
	static const u64 encodings[] = {0x6828, 0x0010, 0x6801, 0x1800, 0x26802ull << 16, 0x680200000000ull | 0x6802,
					0x2040};

	(void)state;
	for (unsigned i = 0; i < COUNT(encodings); i++) {
		f->cpu->r[RCX] = encodings[i];
		f->cpu->r[RBX] = 0xabc;
		assert_false(EXECUTE(f, VMREAD_RBX_RCX));
		expect_error(12);
		assert_int_equal(f->cpu->r[RBX], 0xabc);
		assert_false(EXECUTE(f, VMWRITE_RCX_RBX));
		expect_error(12);
	}
}

static void
vmwrite_and_vmread_move_a_field(void **state)
{
	(void)state;
	f->cpu->r[RCX] = VMCS_guest_cs_selector;
	f->cpu->r[RBX] = 0xffff0123;
	assert_false(EXECUTE(f, VMWRITE_RCX_RBX));
	expect_success();
	assert_int_equal(f->v->guest_cs_selector, 0x123);
	assert_false(EXECUTE(f, VMREAD_MEM_RCX));
	expect_success();
	assert_int_equal(peek(f, OPERAND, 8), 0x123);
}

static void
read_only_fields_can_be_written_only_when_misc_says_so(void **state)
{
	(void)state;
	f->cpu->r[RCX] = VMCS_exit_reason;
	f->cpu->r[RBX] = 5;
	assert_false(EXECUTE(f, VMWRITE_RCX_RBX));
	expect_success();
	assert_int_equal(f->v->exit_reason, 5);
	f->cpu->vmx->cap.allowed[VMX_MISC] &= ~VMX_MASK(MISC, VMWRITE_READ_ONLY);
	assert_false(EXECUTE(f, VMWRITE_RCX_RBX));
	expect_error(13);
}

static void
entry_checks_the_launch_state_and_mov_ss_first(void **state)
{
	(void)state;
	assert_false(EXECUTE(f, VMRESUME));
	expect_error(5);
	f->cpu->vmx->launched = 1;
	assert_false(EXECUTE(f, VMLAUNCH));
	expect_error(4);
	f->cpu->shadow = SHADOW_MOV_SS;
	assert_false(EXECUTE(f, VMLAUNCH));
	expect_error(26);
}

static void
vmcall_in_root_operation_is_error_1(void **state)
{
	(void)state;
	assert_false(EXECUTE(f, VMCALL));
	expect_error(1);
}

static void
user_mode_gets_gp_and_compatibility_mode_ud(void **state)
{
	(void)state;
	f->cpu->cpl = 3;
	assert_true(EXECUTE(f, VMCALL));
	expect_exception(VECTOR_GP);
	assert_true(EXECUTE(f, VMPTRST));
	expect_exception(VECTOR_GP);
	f->cpu->cpl = 0;
	f->cpu->long64 = false;
	assert_true(LEAVES(op_vmxoff(f->cpu, NULL)));
	expect_exception(VECTOR_UD);
}

static void
vmfunc_outside_a_guest_is_undefined(void **state)
{
	(void)state;
	f->cpu->r[RAX] = 0;
	assert_true(EXECUTE(f, VMFUNC));
	expect_exception(VECTOR_UD);
}

static void
invept_checks_type_and_eptp(void **state)
{
	static const struct {
		u64 type, eptp;
		bool good;
	} cases[] = {
		{0, 0x1e, false},
		{3, 0x1e, false},
		{1, EPT_TABLES | 0x1e, true},
		{1, EPT_TABLES | 0x5e, true},
		{2, 0, true},
		{1, EPT_TABLES | 0x1f, false},
		{1, EPT_TABLES | 0x26, false},
		{1, 1ull << 52 | 0x1e, false},
		{1ull << 32 | 1, 0x1e, false},
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		f->cpu->r[RCX] = cases[i].type;
		poke(f, OPERAND, 8, cases[i].eptp);
		f->v->vm_instruction_error = 0;
		assert_false(EXECUTE(f, INVEPT));
		if (cases[i].good)
			expect_success();
		else
			expect_error(28);
	}
}

static void
invvpid_checks_type_vpid_and_address(void **state)
{
	static const struct {
		u64 type, low, high;
		bool good;
	} cases[] = {
		{4, 1, 0, false},       {0, 1, 0x1000, true},      {1, 1, 0, true},           {2, 0, 0, true},
		{3, 1, 0, true},        {0, 0, 0x1000, false},     {1, 0, 0, false},          {3, 0, 0, false},
		{1, 0x10000, 0, false}, {2, 1ull << 63, 0, false}, {0, 1, 1ull << 62, false}, {1, 1, 1ull << 62, true},
		{~0ull, 1, 0, false},
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		f->cpu->r[RCX] = cases[i].type;
		poke(f, OPERAND, 8, cases[i].low);
		poke(f, OPERAND + 8, 8, cases[i].high);
		f->v->vm_instruction_error = 0;
		assert_false(EXECUTE(f, INVVPID));
		if (cases[i].good)
			expect_success();
		else
			expect_error(28);
	}
}

static void
a_shadow_vmcs_can_be_current_but_not_entered(void **state)
{
	(void)state;
	poke(f, SHADOW_REGION, 4, VMCS_REVISION | VMCS_SHADOW);
	poke(f, OPERAND, 8, SHADOW_REGION);
	assert_false(EXECUTE(f, VMCLEAR));
	assert_false(EXECUTE(f, VMPTRLD));
	expect_success();
	f->cpu->r[RCX] = VMCS_guest_rip;
	f->cpu->r[RBX] = 0x4711;
	assert_false(EXECUTE(f, VMWRITE_RCX_RBX));
	expect_success();
	assert_false(EXECUTE(f, VMLAUNCH));
	expect_invalid();
}

static void
vmread_of_a_guest_goes_to_the_shadow_vmcs_where_the_bitmap_lets_it(void **state)
{
	(void)state;
	poke(f, SHADOW_REGION, 4, VMCS_REVISION | VMCS_SHADOW);
	poke(f, SHADOW_REGION + VMCS_REGION_FIELDS + offsetof(struct vmcs, guest_rip), 8, 0xfeed);
	f->v->vmcs_link_pointer = SHADOW_REGION;
	f->v->proc_controls |= (u32)(VMX_MASK(PROC, SECONDARY_CONTROLS));
	f->v->sec_controls = (u32)(VMX_MASK(SEC, VMCS_SHADOWING));
	f->v->vmread_bitmap = f->v->vmwrite_bitmap = MSR_BITMAP;
	fixture_enter(f);
	f->cpu->r[RCX] = VMCS_guest_rip;
	assert_false(EXECUTE(f, VMREAD_RBX_RCX));
	assert_int_equal(f->cpu->r[RBX], 0xfeed);
	f->cpu->r[RBX] = 0xbeef;
	assert_false(EXECUTE(f, VMWRITE_RCX_RBX));
	assert_int_equal(peek(f, SHADOW_REGION + VMCS_REGION_FIELDS + offsetof(struct vmcs, guest_rip), 8), 0xbeef);
	poke(f, MSR_BITMAP + VMCS_guest_rip / 8, 1, 1 << (VMCS_guest_rip & 7));
	assert_true(EXECUTE(f, VMREAD_RBX_RCX));
	assert_int_equal(f->v->exit_reason, REASON_VMREAD);
	/* Reg1 = RBX (3), register form, Reg2 = RCX (1) */
	assert_int_equal(f->v->exit_instruction_info, 3 << 3 | 1 << 10 | 1u << 28);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(vmxon_enters_vmx_operation_without_a_current_vmcs),
		TEST(vmx_operation_ignores_a20m_and_is_not_entered_with_it),
		TEST(vmxon_refuses_bad_pointers_and_revisions),
		TEST(vmxon_faults_as_the_manual_orders),
		TEST(vmxon_in_root_operation_is_error_15),
		TEST(vmxoff_forgets_everything_and_vmx_instructions_are_undefined_again),
		TEST(vmclear_errors),
		TEST(vmclear_of_the_current_vmcs_leaves_none),
		TEST(vmptrld_errors_are_stored_in_the_old_vmcs),
		TEST(a_vmcs_survives_being_cleared_and_copied),
		TEST(switching_between_two_vmcss_keeps_both),
		TEST(vmclear_of_another_vmcs_makes_it_clear_in_memory),
		TEST(vmread_and_vmwrite_of_nothing_is_error_12),
		TEST(vmwrite_and_vmread_move_a_field),
		TEST(read_only_fields_can_be_written_only_when_misc_says_so),
		TEST(entry_checks_the_launch_state_and_mov_ss_first),
		TEST(vmcall_in_root_operation_is_error_1),
		TEST(user_mode_gets_gp_and_compatibility_mode_ud),
		TEST(vmfunc_outside_a_guest_is_undefined),
		TEST(invept_checks_type_and_eptp),
		TEST(invvpid_checks_type_vpid_and_address),
		TEST(a_shadow_vmcs_can_be_current_but_not_entered),
		TEST(vmread_of_a_guest_goes_to_the_shadow_vmcs_where_the_bitmap_lets_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
