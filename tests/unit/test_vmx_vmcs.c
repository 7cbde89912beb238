/* The field table: encodings, what exists, VMREAD and VMWRITE storage. */
#include "tests/unit/vmx_fixture.h"

static void
capability_of(const char *spec, struct vmx_capability *cap)
{
	struct cpu_model model;

	assert_null(cpu_model_parse(spec, &model));
	vmx_capability_compute(&model, cap);
}

static unsigned
count_fields(const struct vmx_capability *cap, unsigned width, unsigned type)
{
	unsigned found = 0;

	for (u32 encoding = 0; encoding < 0x10000; encoding++)
		if (vmcs_lookup(cap, encoding) && BITS(encoding, 14, 13) == width && BITS(encoding, 11, 10) == type &&
		    !(encoding & 1))
			found++;
	return found;
}

static void
profile_p1_has_the_fields_of_the_tables(void **state)
{
	/* How many fields there are: [width][type] */
	static const unsigned expected[4][4] = {
		{3, 0, 10,
		 7}, /* 16-bit: VPID, PI vector, EPTP index; 8 selectors, interrupt status, PML index; 7 host */
		{24, 1, 9, 3},  /* 64-bit */
		{18, 8, 23, 1}, /* 32-bit */
		{8, 6, 20, 12}, /* natural */
	};
	struct vmx_capability cap;

	(void)state;
	capability_of("max", &cap);
	for (unsigned width = 0; width < 4; width++)
		for (unsigned type = 0; type < 4; type++)
			if (count_fields(&cap, width, type) != expected[width][type])
				fail_msg("width %u type %u: %u fields", width, type, count_fields(&cap, width, type));
}

static void
every_row_is_found_by_its_encoding_only(void **state)
{
	unsigned rows = 0, found = 0;

	(void)state;
	for (const struct vmcs_field *field; (field = vmcs_field_at(rows)); rows++)
		assert_ptr_equal(vmcs_field(field->encoding), field);
	for (u64 encoding = 0; encoding < 0x10000; encoding++) {
		const struct vmcs_field *field = vmcs_field(encoding);

		if (!field)
			continue;
		assert_int_equal(field->encoding, encoding & ~1ull);
		found += !(encoding & 1);
		if (encoding & 1)
			assert_int_equal(field->size, 8);
	}
	assert_int_equal(found, rows);
}

static void
reserved_bits_of_an_encoding_make_it_nobodys(void **state)
{
	(void)state;
	assert_non_null(vmcs_field(VMCS_guest_rip));
	for (unsigned bit = 15; bit < 64; bit++)
		assert_null(vmcs_field(VMCS_guest_rip | BIT(bit)));
	assert_null(vmcs_field(VMCS_guest_rip | BIT(12)));
	assert_null(vmcs_field(VMCS_guest_rip | 1));
	assert_null(vmcs_field(VMCS_guest_es_selector | 1));
	assert_null(vmcs_field(VMCS_guest_activity | 1));
	assert_null(vmcs_field(VMCS_guest_rip + 0x40));
}

static void
fields_exist_only_with_their_control(void **state)
{
	struct vmx_capability with, without;

	(void)state;
	capability_of("max", &with);
	capability_of("max,-ept,-vpid,-preemption-timer,-tsc-scaling", &without);
	assert_non_null(vmcs_lookup(&with, VMCS_eptp));
	assert_null(vmcs_lookup(&without, VMCS_eptp));
	assert_null(vmcs_lookup(&without, VMCS_eptp + 1));
	assert_null(vmcs_lookup(&without, VMCS_guest_physical_address));
	assert_null(vmcs_lookup(&without, VMCS_vpid));
	assert_null(vmcs_lookup(&without, VMCS_preemption_timer_value));
	assert_non_null(vmcs_lookup(&without, VMCS_guest_cr3));
	assert_true(vmcs_highest_index(&without) < vmcs_highest_index(&with));
}

static void
high_half_and_whole_of_a_64_bit_field_are_one(void **state)
{
	const struct vmcs_field *field = vmcs_field(VMCS_tsc_offset);
	struct vmcs v = {0};

	(void)state;
	vmcs_set(&v, field, VMCS_tsc_offset, 0x1122334455667788ull);
	assert_int_equal(vmcs_get(&v, field, VMCS_tsc_offset + 1), 0x11223344);
	vmcs_set(&v, field, VMCS_tsc_offset + 1, 0xffffffffaabbccddull);
	assert_int_equal(v.tsc_offset, 0xaabbccdd55667788ull);
}

static void
writes_are_cut_to_the_width_and_leave_the_neighbours(void **state)
{
	struct vmcs v = {0};

	(void)state;
	vmcs_set(&v, vmcs_field(VMCS_guest_cs_selector), VMCS_guest_cs_selector, 0xdeadbeefcafe1234ull);
	assert_int_equal(v.guest_cs_selector, 0x1234);
	assert_int_equal(v.guest_ss_selector, 0);
	vmcs_set(&v, vmcs_field(VMCS_guest_activity), VMCS_guest_activity, ~0ull);
	assert_int_equal(v.guest_activity, 0xffffffff);
	assert_int_equal(v.guest_smbase, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(profile_p1_has_the_fields_of_the_tables),
		cmocka_unit_test(every_row_is_found_by_its_encoding_only),
		cmocka_unit_test(reserved_bits_of_an_encoding_make_it_nobodys),
		cmocka_unit_test(fields_exist_only_with_their_control),
		cmocka_unit_test(high_half_and_whole_of_a_64_bit_field_are_one),
		cmocka_unit_test(writes_are_cut_to_the_width_and_leave_the_neighbours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
