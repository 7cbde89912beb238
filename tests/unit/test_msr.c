#include "tests/unit/cpu_fixture.h"

#include "cpu/lapic.h"
#include "cpu/msr.h"

#define TSC 0x10
#define APIC_BASE 0x1b
#define FEATURE_CONTROL 0x3a
#define TSC_ADJUST 0x3b
#define PAT 0x277
#define EFER 0xc0000080

static struct processor *p;
static struct vcpu *cpu;

static int
setup(void **state)
{
	(void)state;
	p = processor_new("max", 2);
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
get(u32 address)
{
	u64 value = 0xdead;
	if (!msr_read(cpu, address, &value))
		fail_msg("RDMSR %x", address);
	return value;
}

static const struct row {
	u32 address;
	const char *name;
} rows[] = {
#define MSR_STORED(address, name, feature, reset, writable, check) {address, #name},
#define MSR_FIELD(address, name, feature, field, reset, writable, check) {address, #name},
#define MSR_CONST(address, name, feature, value) {address, #name},
#define MSR_HOOKED(address, name, feature, hook) {address, #name},
#include "cpu/msr.def"
};

static void
every_row_is_found_by_its_address(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (!msr_name(rows[i].address) || strcmp(msr_name(rows[i].address), rows[i].name))
			fail_msg("%s", rows[i].name);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(rows[i].name, rows[k].name);
	}
}

static void
what_was_read_can_be_written_back_unless_it_is_read_only(void **state)
{
	(void)state;
	static const char *const read_only[] = {"IA32_PLATFORM_ID", "MSR_PLATFORM_INFO", "IA32_MTRRCAP",
						"IA32_ARCH_CAPABILITIES", "IA32_MCG_CAP", "IA32_FEATURE_CONTROL"};
	for (size_t i = 0; i < COUNT(rows); i++) {
		u64 value;
		if (!msr_read(cpu, rows[i].address, &value))
			continue; /* write-only */
		bool fixed = false;
		for (size_t k = 0; k < COUNT(read_only); k++)
			fixed |= !strcmp(rows[i].name, read_only[k]);
		if (msr_write(cpu, rows[i].address, value) == fixed)
			fail_msg("%s", rows[i].name);
	}
}

static void
an_unknown_msr_is_refused(void **state)
{
	(void)state;
	u64 value;
	assert_false(msr_read(cpu, 0x12345, &value));
	assert_false(msr_write(cpu, 0x12345, 0));
	assert_false(msr_read(cpu, 0xc5, &value)); /* the performance counters are four */
}

static void
a_row_needs_its_feature(void **state)
{
	(void)state;
	u64 value;
	struct processor *old = processor_new("IvyBridge,-vmx", 1);
	assert_false(msr_read(old->cpu, TSC_ADJUST, &value));
	assert_false(msr_read(old->cpu, 0x48, &value));
	assert_false(msr_read(old->cpu, FEATURE_CONTROL, &value));
	assert_false(msr_read(old->cpu, 0x480, &value));
	assert_true(msr_read(old->cpu, PAT, &value));
	processor_free(old);
}

static void
reset_values_are_the_manuals(void **state)
{
	(void)state;
	assert_int_equal(get(PAT), 0x0007040600070406);
	assert_int_equal(get(EFER), 0);
	assert_int_equal(get(APIC_BASE), 0xfee00900);
	assert_int_equal(p->cpus->cpu[1]->msr.apic_base, 0xfee00800);
	assert_int_equal(get(FEATURE_CONTROL), 5);
	assert_int_equal(get(0x2ff), 0);
	assert_int_equal(get(0x1a0) & MISC_ENABLE_MONITOR, MISC_ENABLE_MONITOR);
}

static void
power_management_is_stored_where_monitor_is(void **state)
{
	(void)state;
	u64 value;
	assert_int_equal(get(0xe2), 0);
	assert_true(msr_write(cpu, 0xe2, 0x8403));
	assert_int_equal(get(0xe2), 0x8403);
	assert_false(msr_write(cpu, 0xe2, BIT(63)));
	assert_true(msr_write(cpu, 0x1fc, 2));
	assert_int_equal(get(0x1fc), 2);
	struct processor *without = processor_new("max,-monitor", 1);
	assert_false(msr_read(without->cpu, 0xe2, &value));
	assert_false(msr_read(without->cpu, 0x1fc, &value));
	processor_free(without);
}

static void
init_keeps_all_but_efer(void **state)
{
	(void)state;
	assert_true(msr_write(cpu, PAT, 0));
	assert_true(msr_write(cpu, 0x2ff, 0x806));
	assert_true(msr_write(cpu, EFER, EFER_NXE));
	msr_reset(cpu, true);
	assert_int_equal(get(PAT), 0);
	assert_int_equal(get(0x2ff), 0x806);
	assert_int_equal(get(EFER), 0);
}

static void
bad_memory_types_are_refused(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		bool mtrr = type == 0 || type == 1 || type == 4 || type == 5 || type == 6;
		assert_int_equal(msr_write(cpu, PAT, (u64)type << 56), mtrr || type == 7);
		assert_int_equal(msr_write(cpu, 0x250, (u64)type << 8), mtrr);
		assert_int_equal(msr_write(cpu, 0x200, type), mtrr);
		assert_int_equal(msr_write(cpu, 0x2ff, type), mtrr);
	}
	assert_false(msr_write(cpu, 0x200, 0x100));
	assert_false(msr_write(cpu, 0x200, BIT(46)));
	assert_true(msr_write(cpu, 0x200, BIT(45) | 6));
	assert_false(msr_write(cpu, 0x201, 0x400));
	assert_true(msr_write(cpu, 0x201, 0x800));
	assert_false(msr_write(cpu, 0x2ff, 0x1000));
	assert_false(msr_write(cpu, 0xfe, 0x50a));
}

static void
efer_lma_follows_paging_and_lme_cannot_change_with_paging_on(void **state)
{
	(void)state;
	assert_true(msr_write(cpu, EFER, EFER_LMA | EFER_SCE));
	assert_int_equal(get(EFER), EFER_SCE);
	assert_true(msr_write(cpu, EFER, EFER_LME));
	processor_long(cpu, 0);
	assert_false(msr_write(cpu, EFER, EFER_NXE));
	assert_true(msr_write(cpu, EFER, EFER_LME | EFER_NXE));
	assert_int_equal(get(EFER), EFER_LME | EFER_LMA | EFER_NXE);
	assert_false(msr_write(cpu, EFER, EFER_LME | BIT(1)));
	assert_false(msr_write(cpu, EFER, EFER_LME | BIT(12)));
	assert_true(msr_write(cpu, 0x1a0, MISC_ENABLE_XD_DISABLE));
	assert_false(msr_write(cpu, EFER, EFER_LME | EFER_NXE));
}

static void
addresses_must_be_canonical_for_the_widest_mode(void **state)
{
	(void)state;
	static const u32 addresses[] = {0x175, 0x176, 0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101, 0xc0000102};
	struct processor *wide = processor_new("max,+la57", 1);
	for (size_t i = 0; i < COUNT(addresses); i++) {
		assert_true(msr_write(cpu, addresses[i], 0xffff800000000000));
		assert_true(msr_write(cpu, addresses[i], 0x00007fffffffffff));
		assert_int_equal(get(addresses[i]), 0x00007fffffffffff);
		assert_false(msr_write(cpu, addresses[i], 0x0000800000000000));
		assert_false(msr_write(cpu, addresses[i], 0xff00000000000000));
		assert_true(msr_write(wide->cpu, addresses[i], 0xff00000000000000));
		assert_false(msr_write(wide->cpu, addresses[i], 0xfe00000000000000));
	}
	processor_free(wide);
}

static void
segment_bases_are_the_msrs(void **state)
{
	(void)state;
	assert_true(msr_write(cpu, 0xc0000101, 0x123456789000));
	assert_int_equal(cpu->seg[GS].base, 0x123456789000);
	cpu->seg[FS].base = 0x42;
	assert_int_equal(get(0xc0000100), 0x42);
}

static void
the_locked_feature_control_is_read_only(void **state)
{
	(void)state;
	assert_false(msr_write(cpu, FEATURE_CONTROL, 5));
	cpu->msr.feature_control = 0;
	assert_false(msr_write(cpu, FEATURE_CONTROL, 2)); /* no SMX */
	assert_true(msr_write(cpu, FEATURE_CONTROL, 4));
	assert_true(msr_write(cpu, FEATURE_CONTROL, 5));
	assert_false(msr_write(cpu, FEATURE_CONTROL, 0));
}

static void
writing_the_tsc_moves_its_adjustment_and_back(void **state)
{
	(void)state;
	processor_at(p, 1000);
	assert_int_equal(get(TSC), 1000);
	assert_true(msr_write(cpu, TSC, 5000));
	assert_int_equal(get(TSC), 5000);
	assert_int_equal(get(TSC_ADJUST), 4000);
	processor_at(p, 1500);
	assert_int_equal(get(TSC), 5500);
	assert_true(msr_write(cpu, TSC_ADJUST, 0));
	assert_int_equal(get(TSC), 1500);
	assert_int_equal(get(TSC_ADJUST), 0);
	assert_true(msr_write(cpu, TSC_ADJUST, (u64)-500));
	assert_int_equal(get(TSC), 1000);
}

static void
the_tsc_starts_at_zero_after_reset(void **state)
{
	(void)state;
	processor_at(p, 12345);
	msr_reset(cpu, false);
	assert_int_equal(get(TSC), 0);
}

static void
apic_base_takes_only_the_allowed_transitions(void **state)
{
	(void)state;
	enum { OFF = 0, XAPIC = 0x800, X2APIC = 0xc00, BAD = 0x400 };
	static const struct {
		u32 from, to;
		bool allowed;
	} t[] = {
		{OFF, OFF, true}, {OFF, XAPIC, true}, {OFF, X2APIC, false}, {OFF, BAD, false},
		{XAPIC, OFF, true}, {XAPIC, XAPIC, true}, {XAPIC, X2APIC, true}, {XAPIC, BAD, false},
		{X2APIC, OFF, true}, {X2APIC, XAPIC, false}, {X2APIC, X2APIC, true}, {X2APIC, BAD, false},
	};
	for (size_t i = 0; i < COUNT(t); i++) {
		cpu->msr.apic_base = 0xfee00100 | t[i].from;
		if (msr_write(cpu, APIC_BASE, 0xfee00100 | t[i].to) != t[i].allowed)
			fail_msg("from %x to %x", t[i].from, t[i].to);
	}
	cpu->msr.apic_base = 0xfee00900;
	assert_false(msr_write(cpu, APIC_BASE, 0xfee00901));
	assert_false(msr_write(cpu, APIC_BASE, 0xfee00b00));
	assert_false(msr_write(cpu, APIC_BASE, BIT(46) | 0x900));
	assert_true(msr_write(cpu, APIC_BASE, 0xfed00900));
}

static void
x2apic_registers_are_msrs_in_x2apic_mode_only(void **state)
{
	(void)state;
	u64 value;
	assert_false(msr_read(cpu, 0x802, &value));
	assert_false(msr_write(cpu, 0x808, 0));
	assert_true(msr_write(cpu, APIC_BASE, 0xfee00d00));
	assert_int_equal(get(0x802), 0);
	assert_true(msr_write(cpu, 0x808, 0x30));
	assert_int_equal(get(0x808), 0x30);
}

static void
machine_check_status_takes_only_zero(void **state)
{
	(void)state;
	assert_int_equal(get(0x179) & 0xff, 4);
	for (u32 bank = 0x400; bank < 0x410; bank += 4) {
		assert_true(msr_write(cpu, bank, ~0ull));
		assert_int_equal(get(bank), ~0ull);
		assert_false(msr_write(cpu, bank, 0xaaaa));
		assert_true(msr_write(cpu, bank + 1, 0));
		assert_false(msr_write(cpu, bank + 1, 1));
	}
	u64 value;
	assert_false(msr_read(cpu, 0x410, &value));
}

static void
prediction_commands_are_write_only(void **state)
{
	(void)state;
	u64 value;
	assert_false(msr_read(cpu, 0x49, &value));
	assert_true(msr_write(cpu, 0x49, 1));
	assert_false(msr_write(cpu, 0x49, 2));
	assert_true(msr_write(cpu, 0x48, 0x407));
	assert_false(msr_write(cpu, 0x48, 8));
}

static void
the_microcode_revision_survives_the_ritual_of_reading_it(void **state)
{
	(void)state;
	u64 before = get(0x8b);
	assert_int_not_equal(before >> 32, 0);
	assert_true(msr_write(cpu, 0x8b, 0));
	assert_int_equal(get(0x8b), before);
}

static void
vmx_capabilities_are_read_only(void **state)
{
	(void)state;
	assert_int_not_equal(get(0x480), 0);
	assert_false(msr_write(cpu, 0x480, get(0x480)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_row_is_found_by_its_address),
		TEST(what_was_read_can_be_written_back_unless_it_is_read_only),
		TEST(an_unknown_msr_is_refused),
		TEST(a_row_needs_its_feature),
		TEST(reset_values_are_the_manuals),
		TEST(power_management_is_stored_where_monitor_is),
		TEST(init_keeps_all_but_efer),
		TEST(bad_memory_types_are_refused),
		TEST(efer_lma_follows_paging_and_lme_cannot_change_with_paging_on),
		TEST(addresses_must_be_canonical_for_the_widest_mode),
		TEST(segment_bases_are_the_msrs),
		TEST(the_locked_feature_control_is_read_only),
		TEST(writing_the_tsc_moves_its_adjustment_and_back),
		TEST(the_tsc_starts_at_zero_after_reset),
		TEST(apic_base_takes_only_the_allowed_transitions),
		TEST(x2apic_registers_are_msrs_in_x2apic_mode_only),
		TEST(machine_check_status_takes_only_zero),
		TEST(prediction_commands_are_write_only),
		TEST(the_microcode_revision_survives_the_ritual_of_reading_it),
		TEST(vmx_capabilities_are_read_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
