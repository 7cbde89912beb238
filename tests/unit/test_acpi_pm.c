#include "tests/unit/chip_fixture.h"

#include "devices/acpi_pm.h"

#define SCI 9
#define FUNCTION PCI_DEVFN(1, 3)

struct board {
	struct fixture *f;
	struct pci_bus bus;
	struct acpi_pm pm;
};

static int
setup(void **state)
{
	struct board *b = calloc(1, sizeof(*b));
	struct irq_line sci;

	b->f = fixture_new();
	sci = wire(b->f, SCI);
	pci_bus_init(&b->bus, b->f->memory, b->f->ports);
	acpi_pm_init(&b->pm, &b->bus, b->f->events, &sci, &b->f->control);
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	struct board *b = *state;

	fixture_free(b->f);
	free(b);
	return 0;
}

static u32
get(struct board *b, unsigned offset, unsigned size)
{
	return ports_read(b->f->ports, (u16)(ACPI_PM_BASE + offset), size);
}

static void
put(struct board *b, unsigned offset, unsigned size, u32 value)
{
	ports_write(b->f->ports, (u16)(ACPI_PM_BASE + offset), size, value);
}

static void
smi_command_raises_an_smi_where_firmware_wants_it(void **state)
{
	struct board *b = *state;

	ports_write(b->f->ports, ACPI_SMI_COMMAND, 1, 1);
	assert_int_equal(b->f->smis, 0);
	put(b, 0x28, 4, 1);
	assert_int_equal(get(b, 0x28, 4), 1);
	ports_write(b->f->ports, ACPI_SMI_COMMAND, 1, 1);
	assert_int_equal(b->f->smis, 1);
	acpi_pm_set_firmware(&b->pm);
	ports_write(b->f->ports, ACPI_SMI_COMMAND, 1, 1);
	assert_int_equal(b->f->smis, 1);
	pci_config_write(&b->bus, FUNCTION, 0x58, 4, 0x02000000);
	ports_write(b->f->ports, ACPI_SMI_COMMAND, 1, 1);
	assert_int_equal(b->f->smis, 2);
}

static void
the_timer_runs_at_3_58_mhz(void **state)
{
	struct board *b = *state;

	run_ns(b->f, 1000000000);
	assert_int_equal(get(b, 8, 4), 3579545);
	assert_int_equal(get(b, 8, 2), 3579545 & 0xffff);
	assert_int_equal(get(b, 10, 1), 3579545 >> 16);
	run_ns(b->f, 4000000000);
	assert_int_equal(get(b, 8, 4), 17897725 & 0xffffff);
}

static void
the_timer_interrupts_when_its_top_bit_changes(void **state)
{
	struct board *b = *state;
	u64 half = (8388608ull * HZ + ACPI_PM_HZ - 1) / ACPI_PM_HZ;

	out(b->f, ACPI_SMI_COMMAND, ACPI_ENABLE_VALUE);
	assert_int_equal(get(b, 4, 2), 1);
	put(b, 2, 2, 0x0001);
	run_until(b->f, half - 1);
	assert_int_equal(b->f->level[SCI], 0);
	run_until(b->f, half);
	assert_int_equal(b->f->level[SCI], 1);
	assert_int_equal(get(b, 0, 2), 1);
	put(b, 0, 2, 1);
	assert_int_equal(b->f->level[SCI], 0);
	run_until(b->f, 2 * half);
	assert_int_equal(b->f->level[SCI], 1);
}

static void
the_timer_status_shows_without_interrupt(void **state)
{
	struct board *b = *state;

	assert_true(events_next(b->f->events) == UINT64_MAX);
	run_ns(b->f, 2500000000);
	assert_int_equal(get(b, 0, 2), 1);
	put(b, 0, 2, 1);
	assert_int_equal(get(b, 0, 2), 0);
}

static void
a_look_from_a_little_earlier_is_no_overflow(void **state)
{
	struct board *b = *state;

	run_ns(b->f, 2343485100); /* just behind the change */
	assert_int_equal(get(b, 0, 2), 1);
	put(b, 0, 2, 1);
	b->f->now -= 10000;
	assert_int_equal(get(b, 0, 2), 0);
	b->f->now += 20000;
	assert_int_equal(get(b, 0, 2), 0);
}

static void
acpi_mode_is_entered_and_left_by_smi_command(void **state)
{
	struct board *b = *state;

	assert_int_equal(get(b, 4, 2) & 1, 0);
	out(b->f, ACPI_SMI_COMMAND, ACPI_ENABLE_VALUE);
	assert_int_equal(get(b, 4, 2) & 1, 1);
	out(b->f, ACPI_SMI_COMMAND, ACPI_DISABLE_VALUE);
	assert_int_equal(get(b, 4, 2) & 1, 0);
	out(b->f, ACPI_SMI_COMMAND + 1, 0x77);
	assert_int_equal(in(b->f, ACPI_SMI_COMMAND + 1), 0x77);
}

static void
the_power_button_raises_sci(void **state)
{
	struct board *b = *state;

	out(b->f, ACPI_SMI_COMMAND, ACPI_ENABLE_VALUE);
	put(b, 2, 2, 0x0100);
	acpi_pm_power_button(&b->pm);
	assert_int_equal(b->f->level[SCI], 1);
	assert_int_equal(get(b, 0, 2), 0x0100);
	put(b, 0, 2, 0x0100);
	assert_int_equal(b->f->level[SCI], 0);
}

/* As Linux powers off: SLP_TYP, then SLP_TYP with SLP_EN. */
static void
s5_powers_off(void **state)
{
	struct board *b = *state;

	put(b, 4, 2, ACPI_S5_TYPE << 10 | 1);
	assert_int_equal(b->f->power_offs, 0);
	put(b, 4, 2, ACPI_S5_TYPE << 10 | 1 | 1 << 13);
	assert_int_equal(b->f->power_offs, 1);
	assert_int_equal(get(b, 4, 2) & 0x2000, 0);
}

static void
s3_sleeps_until_the_alarm(void **state)
{
	struct board *b = *state;

	put(b, 4, 2, ACPI_S3_TYPE << 10 | 1 << 13);
	assert_int_equal(b->f->suspends, 1);
	acpi_pm_rtc_alarm(&b->pm);
	assert_int_equal(b->f->wakes, 0);
	put(b, 2, 2, 0x0400);
	acpi_pm_rtc_alarm(&b->pm);
	assert_int_equal(b->f->wakes, 1);
	assert_int_equal(get(b, 0, 2), 0x8400);
	acpi_pm_rtc_alarm(&b->pm);
	assert_int_equal(b->f->wakes, 1);
}

static void
firmware_may_move_the_ports(void **state)
{
	struct board *b = *state;

	pci_config_write(&b->bus, FUNCTION, 0x40, 4, 0xb001);
	assert_int_equal(ports_read(b->f->ports, 0xb004, 2), 0);
	assert_int_equal(get(b, 4, 2), 0xffff);
	pci_config_write(&b->bus, FUNCTION, 0x80, 1, 0);
	assert_int_equal(ports_read(b->f->ports, 0xb004, 2), 0xffff);
	pci_bus_reset(&b->bus);
	assert_int_equal(get(b, 4, 2), 0);
}

static void
visit(void *opaque, struct state *s)
{
	acpi_pm_state(opaque, s);
}

static void
with_firmware_there_are_none_until_it_says_where(void **state)
{
	struct board *b = *state;

	acpi_pm_set_firmware(&b->pm);
	assert_int_equal(get(b, 4, 2), 0xffff);
	pci_config_write(&b->bus, FUNCTION, 0x40, 4, 0xb001);
	assert_int_equal(ports_read(b->f->ports, 0xb004, 2), 0xffff);
	pci_config_write(&b->bus, FUNCTION, 0x80, 1, 1);
	assert_int_equal(ports_read(b->f->ports, 0xb004, 2), 0);
	assert_int_equal(b->pm.base, 0xb000);
	pci_bus_reset(&b->bus);
	assert_int_equal(ports_read(b->f->ports, 0xb004, 2), 0xffff);
	assert_int_equal(get(b, 4, 2), 0xffff);
}

static void
random_accesses_do_no_harm(void **state)
{
	struct board *b = *state;

	for (unsigned i = 0; i < 20; i++) {
		sweep_ports(b->f, ACPI_PM_BASE, 64, 1000);
		sweep_ports(b->f, ACPI_SMI_COMMAND, 2, 100);
		assert_state_survives(visit, &b->pm);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(smi_command_raises_an_smi_where_firmware_wants_it),
		TEST(the_timer_runs_at_3_58_mhz),
		TEST(the_timer_interrupts_when_its_top_bit_changes),
		TEST(the_timer_status_shows_without_interrupt),
		TEST(a_look_from_a_little_earlier_is_no_overflow),
		TEST(acpi_mode_is_entered_and_left_by_smi_command),
		TEST(the_power_button_raises_sci),
		TEST(s5_powers_off),
		TEST(s3_sleeps_until_the_alarm),
		TEST(firmware_may_move_the_ports),
		TEST(with_firmware_there_are_none_until_it_says_where),
		TEST(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
