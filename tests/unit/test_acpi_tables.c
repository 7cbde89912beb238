/* The ACPI tables as software finds them; and the AML of the DSDT, if iasl is there to judge it. */
#include "tests/unit/unit.h"

#include <unistd.h>

#include "devices/acpi_tables.h"
#include "devices/aml.h"

#define BASE 0xe0000

struct tables {
	u8 *bytes;
	u32 size, facs;
};

static int
setup(void **state)
{
	static const struct acpi_board board = {.cpus = 3, .serial = {true, true}, .s3 = true, .pm_base = 0x600, .pci_start = 0xc0000000};
	struct tables *t = calloc(1, sizeof(*t));

	t->bytes = acpi_tables_build(&board, BASE, &t->size, &t->facs);
	*state = t;
	return 0;
}

static int
teardown(void **state)
{
	struct tables *t = *state;

	free(t->bytes);
	free(t);
	return 0;
}

static u64
number(const u8 *at, unsigned size)
{
	u64 value = 0;

	memcpy(&value, at, size);
	return value;
}

static u8
sum(const u8 *bytes, u32 size)
{
	u8 total = 0;

	for (u32 i = 0; i < size; i++)
		total += bytes[i];
	return total;
}

/* The table at a physical address, with its checksum looked at. */
static const u8 *
table_at(const struct tables *t, u64 address, const char *signature)
{
	const u8 *table = t->bytes + address - BASE;

	assert_in_range(address, BASE, BASE + t->size - 36);
	assert_memory_equal(table, signature, 4);
	assert_true(address - BASE + number(table + 4, 4) <= t->size);
	assert_int_equal(sum(table, (u32)number(table + 4, 4)), 0);
	return table;
}

static const u8 *
find(const struct tables *t, unsigned index, const char *signature)
{
	const u8 *xsdt = table_at(t, number(t->bytes + 24, 8), "XSDT");

	assert_true(36 + 8 * (index + 1) <= number(xsdt + 4, 4));
	return table_at(t, number(xsdt + 36 + 8 * index, 8), signature);
}

static void
the_root_pointer_leads_to_both_root_tables(void **state)
{
	const struct tables *t = *state;
	const u8 *rsdt, *xsdt;

	assert_memory_equal(t->bytes, "RSD PTR ", 8);
	assert_int_equal(sum(t->bytes, 20), 0);
	assert_int_equal(sum(t->bytes, 36), 0);
	rsdt = table_at(t, number(t->bytes + 16, 4), "RSDT");
	xsdt = table_at(t, number(t->bytes + 24, 8), "XSDT");
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(number(rsdt + 36 + 4 * i, 4), number(xsdt + 36 + 8 * i, 8));
}

static void
the_fadt_names_the_fixed_registers(void **state)
{
	const struct tables *t = *state;
	const u8 *fadt = find(t, 0, "FACP");

	assert_int_equal(number(fadt + 46, 2), 9);     /* SCI */
	assert_int_equal(number(fadt + 48, 4), 0xb2);  /* SMI_CMD */
	assert_int_equal(number(fadt + 56, 4), 0x600); /* PM1a_EVT */
	assert_int_equal(number(fadt + 64, 4), 0x604);
	assert_int_equal(number(fadt + 76, 4), 0x608); /* PM_TMR */
	assert_int_equal(number(fadt + 80, 4), 0x60c);
	assert_int_equal(fadt[88], 4);
	assert_int_equal(fadt[89], 2);
	assert_int_equal(fadt[91], 4);
	assert_int_equal(fadt[92], 4);
	assert_int_equal(fadt[108], 0x32); /* century */
	assert_int_equal(number(fadt + 120, 8), 0xcf9);
	assert_int_equal(fadt[128], 0x06);
	assert_int_equal(number(fadt + 36, 4), BASE + t->facs);
	assert_int_equal(t->facs % 64, 0);
	assert_memory_equal(t->bytes + t->facs, "FACS", 4);
	table_at(t, number(fadt + 40, 4), "DSDT");
	assert_int_equal(number(fadt + 140, 8), number(fadt + 40, 4));
}

static void
the_madt_lists_processors_and_inputs(void **state)
{
	const struct tables *t = *state;
	const u8 *madt = find(t, 1, "APIC");
	unsigned processors = 0, ioapics = 0, overrides = 0;

	for (u32 at = 44; at < number(madt + 4, 4); at += madt[at + 1]) {
		assert_true(madt[at + 1] >= 2);
		if (madt[at] == 0)
			assert_int_equal(madt[at + 3], processors++);
		if (madt[at] == 1) {
			ioapics++;
			assert_int_equal(number(madt + at + 4, 4), 0xfec00000);
		}
		if (madt[at] == 2)
			overrides++;
	}
	assert_int_equal(processors, 3);
	assert_int_equal(ioapics, 1);
	assert_int_equal(overrides, 5);
}

static void
many_processors_fit(void **state)
{
	static const struct acpi_board board = {.cpus = 300, .pm_base = 0x600, .pci_start = 0xc0000000};
	struct tables t;
	const u8 *madt;
	unsigned x2apics = 0;

	(void)state;
	t.bytes = acpi_tables_build(&board, BASE, &t.size, &t.facs);
	madt = find(&t, 1, "APIC");
	for (u32 at = 44; at < number(madt + 4, 4); at += madt[at + 1])
		x2apics += madt[at] == 9;
	assert_int_equal(x2apics, 45);
	free(t.bytes);
}

/* A package's length is 1, 2 or 3 bytes; it counts itself. */
static void
lengths_are_encoded_as_short_as_they_can_be(void **state)
{
	static const struct {
		u32 inside;
		u8 size, first;
	} cases[] = {{0, 1, 0x01}, {62, 1, 0x3f}, {63, 2, 0x41}, {4093, 2, 0x4f}, {4094, 3, 0x81}};

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		struct aml a = {0};
		u32 before;

		aml_open_method(&a, "ABCD", 0);
		before = 5; /* name and flags */
		while (a.size < 1 + MAX(before, cases[i].inside))
			aml_op(&a, 0xa3);
		aml_close(&a);
		if (cases[i].inside >= before) {
			assert_int_equal(a.size, 1 + cases[i].size + cases[i].inside);
			assert_int_equal(a.bytes[1], cases[i].first);
		}
		free(a.bytes);
	}
}

static void
names_and_identifiers_are_packed(void **state)
{
	struct aml a = {0};

	(void)state;
	aml_name(&a, "\\_SB.PCI0.ISA");
	assert_int_equal(a.size, 15);
	assert_memory_equal(a.bytes, "\\\x2f\x03_SB_PCI0ISA_", 15);
	a.size = 0;
	aml_name(&a, "^AB.CD");
	assert_memory_equal(a.bytes, "^\x2e" "AB__CD__", 10);
	a.size = 0;
	aml_eisa_id(&a, "PNP0A03");
	assert_memory_equal(a.bytes, "\x0c\x41\xd0\x0a\x03", 5);
	free(a.bytes);
}

static void
iasl_finds_no_fault_in_the_dsdt(void **state)
{
	const struct tables *t = *state;
	const u8 *fadt = find(t, 0, "FACP"), *dsdt = table_at(t, number(fadt + 40, 4), "DSDT");
	char directory[] = "/tmp/nestbox-acpi-XXXXXX", command[512], path[64];
	FILE *file;
	int status;

	if (system("iasl -v >/dev/null 2>&1") != 0)
		skip();
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/dsdt.aml", directory);
	file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(dsdt, number(dsdt + 4, 4), 1, file), 1);
	fclose(file);
	/* Disassembles, and compiles again with neither errors nor warnings. */
	snprintf(command, sizeof(command),
		 "cd %s && iasl -d dsdt.aml >log 2>&1 && iasl -p again dsdt.dsl >log2 2>&1 &&"
		 " grep -q '0 Errors, 0 Warnings' log2 && ! grep -qi 'error' log",
		 directory);
	status = system(command);
	snprintf(command, sizeof(command), "rm -r %s", directory);
	assert_int_equal(system(command), 0);
	assert_int_equal(status, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(the_root_pointer_leads_to_both_root_tables),
		TEST(the_fadt_names_the_fixed_registers),
		TEST(the_madt_lists_processors_and_inputs),
		TEST(many_processors_fit),
		TEST(lengths_are_encoded_as_short_as_they_can_be),
		TEST(names_and_identifiers_are_packed),
		TEST(iasl_finds_no_fault_in_the_dsdt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
