#include "tests/unit/chip_fixture.h"

#include "devices/ioapic.h"

struct board {
	struct fixture *f;
	struct apic_bus bus;
	struct ioapic io;
	struct apic_message last;
	unsigned messages;
	bool deaf; /* no APIC takes messages */
};

static bool
take(void *cpus, const struct apic_message *message)
{
	struct board *b = cpus;

	b->last = *message;
	b->messages++;
	return !b->deaf;
}

static int
setup(void **state)
{
	struct board *b = calloc(1, sizeof(*b));

	b->f = fixture_new();
	b->bus.send = take;
	b->bus.cpus = b;
	ioapic_init(&b->io, b->f->memory, &b->bus);
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
put(struct board *b, u8 index, u32 value)
{
	memory_write(b->f->memory, IOAPIC_BASE, 4, index);
	memory_write(b->f->memory, IOAPIC_BASE + 0x10, 4, value);
}

static u32
get(struct board *b, u8 index)
{
	memory_write(b->f->memory, IOAPIC_BASE, 4, index);
	return (u32)memory_read(b->f->memory, IOAPIC_BASE + 0x10, 4);
}

static void
entry(struct board *b, unsigned n, u32 high, u32 low)
{
	put(b, (u8)(0x11 + 2 * n), high);
	put(b, (u8)(0x10 + 2 * n), low);
}

static void
registers_read_as_the_data_sheet_says(void **state)
{
	struct board *b = *state;

	assert_int_equal(get(b, 1), 0x00170020);
	put(b, 1, 0xffffffff);
	assert_int_equal(get(b, 1), 0x00170020);
	put(b, 0, 0xffffffff);
	assert_int_equal(get(b, 0), 0x0f000000);
	assert_int_equal(get(b, 2), 0x0f000000);
	put(b, 2, 0);
	assert_int_equal(get(b, 2), 0x0f000000);
	for (u8 n = 0; n < 24; n++)
		assert_int_equal(get(b, 0x10 + 2 * n), 0x10000);
	/* Delivery status and remote IRR cannot be written. */
	entry(b, 5, 0xffffffff, 0xffffffff);
	assert_int_equal(get(b, 0x1a), 0x0001afff);
	assert_int_equal(get(b, 0x1b), 0xff000000);
	assert_int_equal(get(b, 0x40), 0);
}

static void
an_edge_becomes_one_message(void **state)
{
	struct board *b = *state;

	entry(b, 4, 0x03000000, 0x0931); /* logical, lowest priority */
	ioapic_set(&b->io, 4, 1);
	ioapic_set(&b->io, 4, 1);
	assert_int_equal(b->messages, 1);
	assert_int_equal(b->last.vector, 0x31);
	assert_int_equal(b->last.destination, 3);
	assert_int_equal(b->last.delivery, APIC_LOWEST);
	assert_true(b->last.logical);
	assert_false(b->last.level);
	ioapic_set(&b->io, 4, 0);
	ioapic_set(&b->io, 4, 1);
	assert_int_equal(b->messages, 2);
	assert_int_equal(get(b, 0x18) & 0x4000, 0);
}

static void
a_masked_edge_is_lost(void **state)
{
	struct board *b = *state;

	entry(b, 4, 0, 0x10031);
	ioapic_set(&b->io, 4, 1);
	entry(b, 4, 0, 0x31);
	assert_int_equal(b->messages, 0);
	ioapic_set(&b->io, 4, 0);
	ioapic_set(&b->io, 4, 1);
	assert_int_equal(b->messages, 1);
}

static void
a_level_waits_for_its_eoi(void **state)
{
	struct board *b = *state;

	entry(b, 10, 0, 0x8041);
	ioapic_set(&b->io, 10, 1);
	assert_int_equal(b->messages, 1);
	assert_true(b->last.level);
	assert_int_equal(get(b, 0x24) & 0x4000, 0x4000);
	ioapic_set(&b->io, 10, 0);
	ioapic_set(&b->io, 10, 1);
	assert_int_equal(b->messages, 1);
	b->bus.eoi(b->bus.ioapic, 0x42);
	assert_int_equal(b->messages, 1);
	/* Still up: it asks again. */
	b->bus.eoi(b->bus.ioapic, 0x41);
	assert_int_equal(b->messages, 2);
	ioapic_set(&b->io, 10, 0);
	b->bus.eoi(b->bus.ioapic, 0x41);
	assert_int_equal(b->messages, 2);
	assert_int_equal(get(b, 0x24) & 0x4000, 0);
}

static void
a_masked_level_is_delivered_when_unmasked(void **state)
{
	struct board *b = *state;

	entry(b, 10, 0, 0x18041);
	ioapic_set(&b->io, 10, 1);
	assert_int_equal(b->messages, 0);
	entry(b, 10, 0, 0x8041);
	assert_int_equal(b->messages, 1);
}

static void
the_eoi_register_ends_a_level(void **state)
{
	struct board *b = *state;

	entry(b, 10, 0, 0x8041);
	ioapic_set(&b->io, 10, 1);
	ioapic_set(&b->io, 10, 0);
	memory_write(b->f->memory, IOAPIC_BASE + 0x40, 4, 0x41);
	assert_int_equal(get(b, 0x24) & 0x4000, 0);
}

static void
switching_to_edge_clears_remote_irr(void **state)
{
	struct board *b = *state;

	entry(b, 10, 0, 0x8041);
	ioapic_set(&b->io, 10, 1);
	put(b, 0x24, 0x10041);
	assert_int_equal(get(b, 0x24), 0x10041);
	put(b, 0x24, 0x8041);
	assert_int_equal(b->messages, 2);
}

static void
a_level_that_nobody_took_is_not_in_service(void **state)
{
	struct board *b = *state;

	b->deaf = true;
	entry(b, 10, 0x7f000000, 0x8041);
	ioapic_set(&b->io, 10, 1);
	assert_int_equal(get(b, 0x24) & 0x4000, 0);
}

static void
visit(void *opaque, struct state *s)
{
	ioapic_state(opaque, s);
}

static void
random_accesses_do_no_harm(void **state)
{
	struct board *b = *state;
	u64 seed = 3;

	sweep_memory(b->f, IOAPIC_BASE, 0x1000, 20000);
	for (unsigned i = 0; i < 50000; i++) {
		ioapic_set(&b->io, random_number(&seed) % 32, random_number(&seed) & 1);
		put(b, (u8)random_number(&seed), (u32)random_number(&seed));
		get(b, (u8)random_number(&seed));
		ioapic_eoi(&b->io, (u8)random_number(&seed));
	}
	assert_state_survives(visit, &b->io);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(registers_read_as_the_data_sheet_says),
		TEST(an_edge_becomes_one_message),
		TEST(a_masked_edge_is_lost),
		TEST(a_level_waits_for_its_eoi),
		TEST(a_masked_level_is_delivered_when_unmasked),
		TEST(the_eoi_register_ends_a_level),
		TEST(switching_to_edge_clears_remote_irr),
		TEST(a_level_that_nobody_took_is_not_in_service),
		TEST(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
