/* The PCI bus with its host bridge, the south bridge and a card made up for the test. */
#include "tests/unit/chip_fixture.h"

#include "devices/i440fx.h"
#include "devices/piix3.h"

#define CARD PCI_DEVFN(4, 0)

struct board {
	struct fixture *f;
	struct pci_bus bus;
	struct i440fx i440fx;
	struct piix3 piix3;
	struct pci_device card;
	u8 rom[2048];
	u64 last_offset, last_value;
	unsigned last_size, card_resets;
};

static u64
card_read(void *opaque, u64 offset, unsigned size)
{
	struct board *b = opaque;

	b->last_offset = offset;
	b->last_size = size;
	return 0x1122334455667788ull;
}

static void
card_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct board *b = opaque;

	b->last_offset = offset;
	b->last_size = size;
	b->last_value = value;
}

static const struct mmio_ops card_ops = {card_read, card_write};

static void
card_reset(void *opaque)
{
	((struct board *)opaque)->card_resets++;
}

static int
setup(void **state)
{
	struct board *b = calloc(1, sizeof(*b));
	struct irq_line isa[16];

	b->f = fixture_new();
	for (unsigned i = 0; i < 16; i++)
		isa[i] = wire(b->f, i);
	pci_bus_init(&b->bus, b->f->memory, b->f->ports);
	i440fx_init(&b->i440fx, &b->bus);
	piix3_init(&b->piix3, &b->bus, isa, &b->f->control);
	pci_device_init(&b->card, "card", b, 0x1234, 0x5678, 3, 0x020000);
	b->card.config[PCI_INTERRUPT_PIN] = 1;
	b->card.reset = card_reset;
	pci_bar(&b->card, 0, PCI_BAR_MEMORY, 0x20000, &card_ops, b, "memory");
	pci_bar(&b->card, 1, PCI_BAR_IO, 64, &card_ops, b, "io");
	pci_bar(&b->card, 2, PCI_BAR_MEMORY64, 0x4000, &card_ops, b, "memory64");
	memset(b->rom, 0x5a, sizeof(b->rom));
	pci_rom(&b->card, sizeof(b->rom), b->rom, "rom");
	pci_add(&b->bus, &b->card, CARD);
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

static void
address(struct board *b, unsigned devfn, unsigned offset)
{
	ports_write(b->f->ports, 0xcf8, 4, 0x80000000 | devfn << 8 | (offset & 0xfc));
}

static u32
get(struct board *b, unsigned devfn, unsigned offset, unsigned size)
{
	address(b, devfn, offset);
	return ports_read(b->f->ports, (u16)(0xcfc + (offset & 3)), size);
}

static void
put(struct board *b, unsigned devfn, unsigned offset, unsigned size, u32 value)
{
	address(b, devfn, offset);
	ports_write(b->f->ports, (u16)(0xcfc + (offset & 3)), size, value);
}

static void
mechanism_1_finds_the_functions(void **state)
{
	struct board *b = *state;

	/* pci_check_type1() */
	ports_write(b->f->ports, 0xcfb, 1, 0x01);
	ports_write(b->f->ports, 0xcf8, 4, 0x80000000);
	assert_int_equal(ports_read(b->f->ports, 0xcf8, 4), 0x80000000);
	assert_int_equal(get(b, 0, 0, 4), 0x12378086);
	assert_int_equal(get(b, PCI_DEVFN(1, 0), 0, 4), 0x70008086);
	assert_int_equal(get(b, PCI_DEVFN(1, 0), PCI_HEADER_TYPE, 1), 0x80);
	assert_int_equal(get(b, CARD, 0, 4), 0x56781234);
	assert_int_equal(get(b, CARD, 2, 2), 0x5678);
	assert_int_equal(get(b, CARD, 0x0b, 1), 0x02);
	assert_int_equal(get(b, PCI_DEVFN(5, 0), 0, 4), 0xffffffff);
	/* Another bus, or not enabled. */
	ports_write(b->f->ports, 0xcf8, 4, 0x80010000);
	assert_int_equal(ports_read(b->f->ports, 0xcfc, 4), 0xffffffff);
	ports_write(b->f->ports, 0xcf8, 4, 0x00000000);
	assert_int_equal(ports_read(b->f->ports, 0xcfc, 4), 0xffffffff);
}

static void
identification_cannot_be_written(void **state)
{
	struct board *b = *state;

	put(b, CARD, 0, 4, 0);
	put(b, CARD, 8, 4, 0);
	assert_int_equal(get(b, CARD, 0, 4), 0x56781234);
	assert_int_equal(get(b, CARD, 8, 4), 0x02000003);
	put(b, CARD, PCI_COMMAND, 2, 0xffff);
	assert_int_equal(get(b, CARD, PCI_COMMAND, 2), 0x0407);
	put(b, CARD, PCI_INTERRUPT_LINE, 1, 11);
	assert_int_equal(get(b, CARD, PCI_INTERRUPT_LINE, 2), 0x010b);
}

static void
bars_tell_their_size(void **state)
{
	struct board *b = *state;

	for (unsigned bar = 0x10; bar <= 0x24; bar += 4)
		put(b, CARD, bar, 4, 0xffffffff);
	put(b, CARD, PCI_ROM_BAR, 4, 0xfffff800);
	assert_int_equal(get(b, CARD, 0x10, 4), 0xfffe0000);
	assert_int_equal(get(b, CARD, 0x14, 4), 0xffffffc1);
	assert_int_equal(get(b, CARD, 0x18, 4), 0xffffc004);
	assert_int_equal(get(b, CARD, 0x1c, 4), 0xffffffff);
	assert_int_equal(get(b, CARD, 0x20, 4), 0);
	assert_int_equal(get(b, CARD, PCI_ROM_BAR, 4), 0xfffff800);
}

static void
a_memory_window_answers_where_it_is_put(void **state)
{
	struct board *b = *state;

	put(b, CARD, 0x10, 4, 0xfe000000);
	assert_int_equal(memory_read(b->f->memory, 0xfe000010, 4), 0xffffffff);
	put(b, CARD, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(memory_read(b->f->memory, 0xfe000010, 4), 0x55667788);
	assert_int_equal(b->last_offset, 0x10);
	put(b, CARD, 0x10, 4, 0xfd000000);
	memory_write(b->f->memory, 0xfd01fffc, 4, 0xabcd);
	assert_int_equal(b->last_offset, 0x1fffc);
	assert_int_equal(b->last_value, 0xabcd);
	assert_int_equal(memory_read(b->f->memory, 0xfe000010, 4), 0xffffffff);
	/* Sizing while decoding is on must not cover firmware and APICs. */
	put(b, CARD, 0x10, 4, 0xffffffff);
	assert_int_equal(memory_read(b->f->memory, 0xffffff00, 4), 0xffffffff);
	put(b, CARD, 0x10, 4, 0xfd000000);
	assert_int_equal(memory_read(b->f->memory, 0xfd000000, 4), 0x55667788);
	put(b, CARD, PCI_COMMAND, 2, 0);
	assert_int_equal(memory_read(b->f->memory, 0xfd000000, 4), 0xffffffff);
}

static void
a_64_bit_window_lies_above_4_gib(void **state)
{
	struct board *b = *state;

	put(b, CARD, 0x18, 4, 0x10000000);
	put(b, CARD, 0x1c, 4, 0x2);
	put(b, CARD, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_true(memory_read(b->f->memory, 0x210003ff8ull, 8) == 0x1122334455667788ull);
	assert_int_equal(b->last_offset, 0x3ff8);
}

static void
an_io_window_answers_where_it_is_put(void **state)
{
	struct board *b = *state;

	put(b, CARD, 0x14, 4, 0xc000);
	put(b, CARD, PCI_COMMAND, 2, PCI_COMMAND_IO);
	assert_int_equal(ports_read(b->f->ports, 0xc004, 2), 0x7788);
	assert_int_equal(b->last_offset, 4);
	ports_write(b->f->ports, 0xc03c, 4, 0x12345678);
	assert_int_equal(b->last_offset, 0x3c);
	assert_int_equal(b->last_value, 0x12345678);
	/* An access that would cross the end reaches nobody. */
	assert_int_equal(ports_read(b->f->ports, 0xc03e, 4), 0xffffffff);
	put(b, CARD, 0x14, 4, 0xd000);
	assert_int_equal(ports_read(b->f->ports, 0xc004, 1), 0xff);
	assert_int_equal(ports_read(b->f->ports, 0xd004, 1), 0x88);
}

static void
the_rom_needs_its_enable_bit(void **state)
{
	struct board *b = *state;

	put(b, CARD, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	put(b, CARD, PCI_ROM_BAR, 4, 0xfc000000);
	assert_int_equal(memory_read(b->f->memory, 0xfc000000, 4), 0xffffffff);
	put(b, CARD, PCI_ROM_BAR, 4, 0xfc000001);
	assert_int_equal(memory_read(b->f->memory, 0xfc0007fc, 4), 0x5a5a5a5a);
	memory_write(b->f->memory, 0xfc000000, 4, 0);
	assert_int_equal(memory_read(b->f->memory, 0xfc000000, 4), 0x5a5a5a5a);
}

static void
bus_mastering_needs_its_enable_bit(void **state)
{
	struct board *b = *state;
	u32 value = 0x01020304;

	assert_false(pci_dma_write(&b->card, 0x1000, &value, 4));
	assert_int_equal(memory_read(b->f->memory, 0x1000, 4), 0);
	assert_false(pci_dma_read(&b->card, 0x1000, &value, 4));
	assert_int_equal(value, 0xffffffff);
	put(b, CARD, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	value = 0x01020304;
	assert_true(pci_dma_write(&b->card, 0x1000, &value, 4));
	assert_int_equal(memory_read(b->f->memory, 0x1000, 4), 0x01020304);
}

static void
intx_goes_where_the_pirq_register_says(void **state)
{
	struct board *b = *state;

	/* INTA# of slot 4 is PIRQD. */
	pci_intx(&b->card, 1);
	assert_int_equal(get(b, CARD, PCI_STATUS, 2) & 8, 8);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(b->f->level[i], 0);
	put(b, PCI_DEVFN(1, 0), 0x63, 1, 11);
	assert_int_equal(b->f->level[11], 1);
	put(b, PCI_DEVFN(1, 0), 0x63, 1, 10);
	assert_int_equal(b->f->level[11], 0);
	assert_int_equal(b->f->level[10], 1);
	put(b, PCI_DEVFN(1, 0), 0x63, 1, 0x8a);
	assert_int_equal(b->f->level[10], 0);
	put(b, PCI_DEVFN(1, 0), 0x63, 1, 10);
	put(b, CARD, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	assert_int_equal(b->f->level[10], 0);
	put(b, CARD, PCI_COMMAND, 2, 0);
	assert_int_equal(b->f->level[10], 1);
	pci_intx(&b->card, 0);
	assert_int_equal(b->f->level[10], 0);
}

static void
two_functions_share_a_pirq(void **state)
{
	struct board *b = *state;
	struct pci_device other;

	pci_device_init(&other, "other", NULL, 1, 2, 0, 0);
	other.config[PCI_INTERRUPT_PIN] = 4; /* INTD# of slot 5 is PIRQD, as INTA# of slot 4 */
	pci_add(&b->bus, &other, PCI_DEVFN(5, 0));
	put(b, PCI_DEVFN(1, 0), 0x63, 1, 11);
	pci_intx(&b->card, 1);
	pci_intx(&other, 1);
	pci_intx(&b->card, 0);
	assert_int_equal(b->f->level[11], 1);
	pci_intx(&other, 0);
	assert_int_equal(b->f->level[11], 0);
}

static void
port_cf9_resets(void **state)
{
	struct board *b = *state;

	out(b->f, 0xcf9, 0x02);
	assert_int_equal(b->f->resets, 0);
	out(b->f, 0xcf9, 0x06);
	assert_int_equal(b->f->resets, 1);
	out(b->f, 0xcf9, 0x00);
	out(b->f, 0xcf9, 0x04);
	assert_int_equal(b->f->inits, 1);
	assert_int_equal(in(b->f, 0xcf9), 0x04);
	/* CONFIG_ADDRESS is something else. */
	ports_write(b->f->ports, 0xcf8, 4, 0x80000600);
	assert_int_equal(b->f->resets, 1);
}

static void
smram_is_hidden_until_opened_and_locked_for_good(void **state)
{
	struct board *b = *state;
	struct memory *m = b->f->memory;

	m->ram[0xa8000] = 0x5a;
	assert_int_equal(memory_read(m, 0xa8000, 1), 0xff);
	put(b, 0, 0x72, 1, 0x4a); /* D_OPEN, G_SMRAME */
	assert_int_equal(memory_read(m, 0xa8000, 1), 0x5a);
	memory_write(m, 0xa8001, 1, 0xa5);
	put(b, 0, 0x72, 1, 0x0a);
	assert_int_equal(m->ram[0xa8001], 0xa5);
	assert_int_equal(memory_read(m, 0xa8001, 1), 0xff);
	assert_ptr_equal(memory_smram(m, 0xbffff), m->ram + 0xbffff);
	assert_null(memory_smram(m, 0xc0000));
	assert_null(memory_smram(m, 0x9ffff));
	put(b, 0, 0x72, 1, 0x5a); /* locking closes */
	assert_int_equal(get(b, 0, 0x72, 1), 0x1a);
	put(b, 0, 0x72, 1, 0x42);
	assert_int_equal(get(b, 0, 0x72, 1), 0x1a);
	assert_int_equal(memory_read(m, 0xa8000, 1), 0xff);
	pci_bus_reset(&b->bus);
	assert_int_equal(get(b, 0, 0x72, 1), 0x02);
	assert_null(memory_smram(m, 0xa8000));
}

static void
port_92_pulses_init(void **state)
{
	struct board *b = *state;

	assert_int_equal(in(b->f, 0x92), 0x02);
	out(b->f, 0x92, 0x02);
	assert_true(b->f->a20_open);
	out(b->f, 0x92, 0x00);
	assert_false(b->f->a20_open);
	out(b->f, 0x92, 0x03);
	assert_true(b->f->a20_open);
	out(b->f, 0x92, 0x03);
	assert_int_equal(b->f->inits, 1);
}

static void
reset_takes_everything_back(void **state)
{
	struct board *b = *state;

	put(b, CARD, 0x10, 4, 0xfe000000);
	put(b, CARD, PCI_COMMAND, 2, 7);
	put(b, PCI_DEVFN(1, 0), 0x63, 1, 11);
	pci_intx(&b->card, 1);
	pci_bus_reset(&b->bus);
	assert_int_equal(b->card_resets, 1);
	assert_int_equal(b->f->level[11], 0);
	assert_int_equal(memory_read(b->f->memory, 0xfe000000, 4), 0xffffffff);
	assert_int_equal(get(b, CARD, PCI_COMMAND, 2), 0);
	assert_int_equal(get(b, PCI_DEVFN(1, 0), 0x63, 1), 0x80);
}

static void
visit(void *opaque, struct state *s)
{
	struct board *b = opaque;

	pci_bus_state(&b->bus, s);
	i440fx_state(&b->i440fx, s);
	piix3_state(&b->piix3, s);
	state_section(s, "card", 1);
	pci_device_state(&b->card, s);
}

static void
loading_a_state_moves_the_windows(void **state)
{
	struct board *b = *state;
	size_t size;
	u8 *saved;

	put(b, CARD, 0x10, 4, 0xfe000000);
	put(b, CARD, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	saved = state_save(visit, b, &size);
	put(b, CARD, 0x10, 4, 0xfd000000);
	assert_null(state_load(visit, b, saved, size));
	assert_int_equal(memory_read(b->f->memory, 0xfe000000, 4), 0x55667788);
	assert_int_equal(memory_read(b->f->memory, 0xfd000000, 4), 0xffffffff);
	free(saved);
}

static void
random_accesses_do_no_harm(void **state)
{
	struct board *b = *state;
	u64 seed = 1;

	for (unsigned i = 0; i < 20000; i++) {
		static const unsigned devfns[] = {0, PCI_DEVFN(1, 0), CARD};
		unsigned size = 1u << random_number(&seed) % 3;

		/* Unaligned ones cross CONFIG_DATA's end. */
		address(b, devfns[random_number(&seed) % 3], (unsigned)random_number(&seed) % 256);
		ports_write(b->f->ports, (u16)(0xcfc + random_number(&seed) % 4), size, (u32)random_number(&seed));
		ports_read(b->f->ports, (u16)(0xcfc + random_number(&seed) % 4), size);
		pci_intx(&b->card, random_number(&seed) & 1);
		if (i % 1000 == 0)
			assert_state_survives(visit, b);
	}
	sweep_ports(b->f, 0xcf8, 8, 2000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(mechanism_1_finds_the_functions),
		TEST(identification_cannot_be_written),
		TEST(bars_tell_their_size),
		TEST(a_memory_window_answers_where_it_is_put),
		TEST(a_64_bit_window_lies_above_4_gib),
		TEST(an_io_window_answers_where_it_is_put),
		TEST(the_rom_needs_its_enable_bit),
		TEST(bus_mastering_needs_its_enable_bit),
		TEST(intx_goes_where_the_pirq_register_says),
		TEST(two_functions_share_a_pirq),
		TEST(port_cf9_resets),
		TEST(smram_is_hidden_until_opened_and_locked_for_good),
		TEST(port_92_pulses_init),
		TEST(reset_takes_everything_back),
		TEST(loading_a_state_moves_the_windows),
		TEST(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
