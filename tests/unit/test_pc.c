/* The whole board without processors: what software finds after reset, and interrupts from chip to APIC. */
#include "tests/unit/chip_fixture.h"

#include "machine/pc.h"

struct board {
	struct fixture *f;
	struct config config;
	struct apic_bus bus;
	struct chardev com1;
	struct packet_link cable;
	struct pc *pc;
	struct apic_message last;
	unsigned messages;
};

static bool
take(void *cpus, const struct apic_message *message)
{
	struct board *b = cpus;

	b->last = *message;
	b->messages++;
	return true;
}

static int
setup(void **state)
{
	struct board *b = calloc(1, sizeof(*b));
	struct pc_sockets sockets = {0};
	char *error;

	b->f = fixture_new();
	b->config.cpus = 2;
	b->config.kernel = "vmlinuz";
	b->config.rtc = 1704067200;
	b->config.testdev = true;
	b->config.debug_exit.present = true;
	b->config.debug_exit.iobase = 0xf4;
	b->config.debug_exit.iosize = 4;
	b->config.nics = 1;
	b->config.nic[0] = (struct config_nic){.netdev = 0, .mac = {0x50, 1, 0, 0x1a, 0, 0}, .slot = -1};
	b->bus.send = take;
	b->bus.cpus = b;
	sockets = (struct pc_sockets){
		.memory = b->f->memory,
		.ports = b->f->ports,
		.events = b->f->events,
		.apic_bus = &b->bus,
		.intr = wire(b->f, 31),
		.control = &b->f->control,
		.serial = {&b->com1},
		.link = {&b->cable},
	};
	b->pc = pc_new(&b->config, &sockets, &error);
	assert_non_null(b->pc);
	pc_reset(b->pc);
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	struct board *b = *state;

	pc_free(b->pc);
	fixture_free(b->f);
	free(b);
	return 0;
}

static u32
config_get(struct board *b, unsigned devfn, unsigned offset)
{
	ports_write(b->f->ports, 0xcf8, 4, 0x80000000 | devfn << 8 | offset);
	return ports_read(b->f->ports, 0xcfc, 4);
}

static void
redirect(struct board *b, unsigned input, u32 low)
{
	memory_write(b->f->memory, IOAPIC_BASE, 4, 0x10 + 2 * input);
	memory_write(b->f->memory, IOAPIC_BASE + 0x10, 4, low);
}

static void
all_functions_are_there_and_assigned(void **state)
{
	struct board *b = *state;
	u32 window;

	assert_int_equal(config_get(b, PCI_DEVFN(0, 0), 0), 0x12378086);
	assert_int_equal(config_get(b, PCI_DEVFN(1, 0), 0), 0x70008086);
	assert_int_equal(config_get(b, PCI_DEVFN(1, 3), 0), 0x71138086);
	assert_int_equal(config_get(b, PCI_DEVFN(3, 0), 0), 0x100e8086);
	window = config_get(b, PCI_DEVFN(3, 0), 0x10);
	assert_in_range(window, 0xfe000000, 0xfebfffff);
	assert_int_equal(config_get(b, PCI_DEVFN(3, 0), 4) & 3, 3);
	/* The card's STATUS register answers at its window. */
	assert_int_not_equal(memory_read(b->f->memory, window + 8, 4), 0xffffffff);
	/* INTA# of slot 3 is PIRQC, which goes to 10: a level, as ACPI's 9 is, while 11 is free. */
	assert_int_equal(config_get(b, PCI_DEVFN(3, 0), 0x3c) & 0xffff, 0x010a);
	assert_int_equal(config_get(b, PCI_DEVFN(1, 0), 0x60), 0x0a0a0b0b);
	assert_int_equal(in(b->f, 0x4d1), 0x06);
}

static void
software_finds_acpi_by_scanning(void **state)
{
	struct board *b = *state;
	char signature[8], facs[4];
	u64 at = 0xe0000;

	for (; at < 0x100000; at += 16) {
		dma_read(b->f->memory, at, signature, 8);
		if (!memcmp(signature, "RSD PTR ", 8))
			break;
	}
	assert_int_equal(at, 0xe0000);
	dma_read(b->f->memory, b->pc->facs, facs, 4);
	assert_memory_equal(facs, "FACS", 4);
}

static void
the_display_is_not_there(void **state)
{
	struct board *b = *state;

	assert_int_equal(memory_read(b->f->memory, 0xb8000, 2), 0xffff);
	memory_write(b->f->memory, 0xb8000, 2, 0x0741);
	assert_int_equal(memory_read(b->f->memory, 0xb8000, 2), 0xffff);
}

static void
the_pit_reaches_pic_input_0_and_ioapic_input_2(void **state)
{
	struct board *b = *state;

	redirect(b, 2, 0x30);
	out(b->f, 0x21, 0xfe);
	out(b->f, 0x43, 0x34);
	out(b->f, 0x40, 0xa9);
	out(b->f, 0x40, 0x04); /* 1 kHz */
	b->messages = 0;
	run_ns(b->f, 10500000);
	assert_int_equal(b->messages, 10);
	assert_int_equal(b->last.vector, 0x30);
	assert_int_equal(b->f->level[31], 1);
	assert_int_equal(b->bus.acknowledge(b->bus.pic), 0x08);
}

static void
legacy_replacement_silences_the_pit(void **state)
{
	struct board *b = *state;

	redirect(b, 2, 0x30);
	out(b->f, 0x43, 0x34);
	out(b->f, 0x40, 0xa9);
	out(b->f, 0x40, 0x04);
	memory_write(b->f->memory, HPET_BASE + 0x10, 4, 3);
	b->messages = 0;
	run_ns(b->f, 10000000);
	assert_int_equal(b->messages, 0);
	memory_write(b->f->memory, HPET_BASE + 0x100, 4, 0x04);
	memory_write(b->f->memory, HPET_BASE + 0x108, 8, memory_read(b->f->memory, HPET_BASE + 0xf0, 8) + 100);
	run_ns(b->f, 10000000);
	assert_int_equal(b->messages, 1);
}

static void
the_serial_port_interrupts_on_4(void **state)
{
	struct board *b = *state;

	redirect(b, 4, 0x34);
	out(b->f, 0x3fc, 0x08);
	out(b->f, 0x3f9, 0x01);
	b->com1.receive(b->com1.device, (const u8 *)"x", 1);
	assert_int_equal(b->messages, 1);
	assert_int_equal(b->last.vector, 0x34);
	/* COM2 has no host end: it is not there. */
	assert_int_equal(in(b->f, 0x2fd), 0xff);
}

static void
a_pci_interrupt_is_a_level_at_the_ioapic(void **state)
{
	struct board *b = *state;

	redirect(b, 10, 0x803b);
	pci_intx(b->pc->pci.device[PCI_DEVFN(3, 0)], 1);
	assert_int_equal(b->messages, 1);
	assert_true(b->last.level);
	pci_intx(b->pc->pci.device[PCI_DEVFN(3, 0)], 0);
	b->bus.eoi(b->bus.ioapic, 0x3b);
	assert_int_equal(b->messages, 1);
	/* And at the PIC, at the vectors of real mode. */
	pci_intx(b->pc->pci.device[PCI_DEVFN(3, 0)], 1);
	assert_int_equal(b->f->level[31], 1);
	assert_int_equal(b->bus.acknowledge(b->bus.pic), 0x72);
}

static void
the_test_device_pulls_inputs(void **state)
{
	struct board *b = *state;

	redirect(b, 14, 0x81);
	out(b->f, 0x200e, 1);
	out(b->f, 0x200e, 0);
	assert_int_equal(b->messages, 1);
	ports_write(b->f->ports, 0xf4, 4, 0);
	assert_int_equal(b->f->exit_status, 1);
}

static void
firmware_configuration_tells_the_machine(void **state)
{
	struct board *b = *state;

	ports_write(b->f->ports, 0x510, 2, FW_CFG_CPUS);
	assert_int_equal(in(b->f, 0x511), 2);
	ports_write(b->f->ports, 0x510, 2, FW_CFG_RAM_SIZE);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(in(b->f, 0x511), (u64)RAM_SIZE >> 8 * i & 0xff);
}

/* Linux with reboot=k: what follows is up to firmware. */
static void
a_keyboard_pulse_is_an_init(void **state)
{
	struct board *b = *state;

	out(b->f, 0x64, 0xfe);
	assert_int_equal(b->f->resets, 0);
	assert_int_equal(b->f->inits, 1);
}

static void
a_taken_slot_is_an_error(void **state)
{
	struct board *b = *state;
	struct fixture *f = fixture_new();
	struct apic_bus bus = {0};
	struct pc_sockets sockets = {
		.memory = f->memory,
		.ports = f->ports,
		.events = f->events,
		.apic_bus = &bus,
		.control = &f->control,
	};
	char *error;

	b->config.nic[0].slot = 1;
	assert_null(pc_new(&b->config, &sockets, &error));
	assert_non_null(strstr(error, "slot 1"));
	free(error);
	fixture_free(f);
}

static void
visit(void *opaque, struct state *s)
{
	pc_state(opaque, s);
}

static void
reset_brings_the_same_state_again(void **state)
{
	struct board *b = *state;
	u64 before = state_hash(visit, b->pc);

	out(b->f, 0x3fc, 0x0b);
	out(b->f, 0x43, 0x34);
	out(b->f, 0x40, 1);
	out(b->f, 0x40, 1);
	redirect(b, 4, 0x34);
	out(b->f, 0x64, 0xad);
	memory_write(b->f->memory, HPET_BASE + 0x10, 4, 3);
	assert_true(state_hash(visit, b->pc) != before);
	pc_reset(b->pc);
	assert_true(state_hash(visit, b->pc) == before);
	assert_state_survives(visit, b->pc);
}

static void
random_accesses_to_all_ports_do_no_harm(void **state)
{
	struct board *b = *state;

	for (unsigned i = 0; i < 20; i++) {
		sweep_ports(b->f, 0, 0x1000, 20000);
		sweep_ports(b->f, 0xc000, 0x100, 500);
		sweep_memory(b->f, 0xfec00000, 0x1000, 1000);
		sweep_memory(b->f, HPET_BASE, 0x1000, 1000);
		assert_state_survives(visit, b->pc);
	}
	pc_reset(b->pc);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(all_functions_are_there_and_assigned),
		TEST(software_finds_acpi_by_scanning),
		TEST(the_display_is_not_there),
		TEST(the_pit_reaches_pic_input_0_and_ioapic_input_2),
		TEST(legacy_replacement_silences_the_pit),
		TEST(the_serial_port_interrupts_on_4),
		TEST(a_pci_interrupt_is_a_level_at_the_ioapic),
		TEST(the_test_device_pulls_inputs),
		TEST(firmware_configuration_tells_the_machine),
		TEST(a_keyboard_pulse_is_an_init),
		TEST(a_taken_slot_is_an_error),
		TEST(reset_brings_the_same_state_again),
		TEST(random_accesses_to_all_ports_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
