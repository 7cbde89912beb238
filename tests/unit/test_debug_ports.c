/* The small devices for debugging and tests, and the DMA controllers' registers. */
#include "tests/unit/chip_fixture.h"

#include "devices/debug_ports.h"
#include "devices/dma.h"
#include "devices/testdev.h"

struct board {
	struct fixture *f;
	struct debug_ports debug;
	struct testdev testdev;
	struct dma dma;
	struct chardev c;
};

static void
host_write(struct chardev *c, const u8 *data, size_t size)
{
	struct fixture *f = c->host;

	for (size_t i = 0; i < size; i++)
		f->text[f->text_size++ % sizeof(f->text)] = data[i];
}

static int
setup(void **state)
{
	struct board *b = calloc(1, sizeof(*b));
	struct irq_line irq[TESTDEV_IRQS];

	b->f = fixture_new();
	b->c.write = host_write;
	b->c.host = b->f;
	for (unsigned i = 0; i < TESTDEV_IRQS; i++)
		irq[i] = wire(b->f, i);
	debug_ports_init(&b->debug, b->f->ports, &b->c, &b->f->control);
	debug_ports_add_exit(&b->debug, b->f->ports, 0xf4, 4);
	testdev_init(&b->testdev, b->f->memory, b->f->ports, irq);
	dma_init(&b->dma, b->f->ports);
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
text_goes_out_at_both_ports(void **state)
{
	struct board *b = *state;

	assert_int_equal(in(b->f, 0x402), 0xe9);
	assert_int_equal(in(b->f, 0xe9), 0xe9);
	out(b->f, 0x402, 'a');
	out(b->f, 0xe9, 'b');
	assert_int_equal(b->f->text_size, 2);
	assert_memory_equal(b->f->text, "ab", 2);
}

static void
debug_exit_gives_the_status(void **state)
{
	struct board *b = *state;

	ports_write(b->f->ports, 0xf4, 4, 0);
	assert_int_equal(b->f->exit_status, 1);
	ports_write(b->f->ports, 0xf4, 4, 38);
	assert_int_equal(b->f->exit_status, 77);
	ports_write(b->f->ports, 0xf4, 1, 63);
	assert_int_equal(b->f->exit_status, 127);
}

static void
shutdown_is_spelled_out(void **state)
{
	struct board *b = *state;

	for (const char *c = "ShutShutdow"; *c; c++)
		out(b->f, 0x8900, (u8)*c);
	assert_int_equal(b->f->power_offs, 0);
	out(b->f, 0x8900, 'n');
	assert_int_equal(b->f->power_offs, 1);
}

static void
the_latch_takes_all_sizes(void **state)
{
	struct board *b = *state;

	ports_write(b->f->ports, 0xe0, 4, 0x12345678);
	assert_int_equal(ports_read(b->f->ports, 0xe0, 4), 0x12345678);
	assert_int_equal(ports_read(b->f->ports, 0xe0, 2), 0x5678);
	assert_int_equal(ports_read(b->f->ports, 0xe0, 1), 0x78);
	ports_write(b->f->ports, 0xe0, 1, 0xff);
	ports_write(b->f->ports, 0xe2, 2, 0xabcd);
	assert_int_equal(ports_read(b->f->ports, 0xe0, 4), 0xabcd56ff);
}

static void
irq_ports_set_levels(void **state)
{
	struct board *b = *state;

	out(b->f, 0x200b, 1);
	assert_int_equal(b->f->level[11], 1);
	out(b->f, 0x200b, 0);
	assert_int_equal(b->f->level[11], 0);
	out(b->f, 0x2017, 1);
	assert_int_equal(b->f->level[23], 1);
}

static void
the_test_memory_keeps_its_bytes(void **state)
{
	struct board *b = *state;

	memory_write(b->f->memory, TESTDEV_RAM_BASE + 0xfff8, 8, 0x1122334455667788ull);
	assert_true(memory_read(b->f->memory, TESTDEV_RAM_BASE + 0xfff8, 8) == 0x1122334455667788ull);
	assert_null(memory_page(b->f->memory, TESTDEV_RAM_BASE, false));
}

static void
dma_addresses_go_low_byte_first(void **state)
{
	struct board *b = *state;

	out(b->f, 0x0c, 0);
	out(b->f, 0x04, 0x34);
	out(b->f, 0x04, 0x12);
	out(b->f, 0x0c, 0);
	assert_int_equal(in(b->f, 0x04), 0x34);
	assert_int_equal(in(b->f, 0x04), 0x12);
	out(b->f, 0xd8, 0);
	out(b->f, 0xc6, 0x55);
	assert_int_equal(b->dma.chip[1].base_count[1], 0x55);
	out(b->f, 0x81, 0x77);
	assert_int_equal(in(b->f, 0x81), 0x77);
	/* Masks. */
	assert_int_equal(in(b->f, 0x0f) & 15, 15);
	out(b->f, 0x0a, 2);
	assert_int_equal(in(b->f, 0x0f) & 15, 11);
	out(b->f, 0x0d, 0);
	assert_int_equal(in(b->f, 0x0f) & 15, 15);
}

static void
visit(void *opaque, struct state *s)
{
	struct board *b = opaque;

	debug_ports_state(&b->debug, s);
	testdev_state(&b->testdev, s);
	dma_state(&b->dma, s);
}

static void
random_accesses_do_no_harm(void **state)
{
	struct board *b = *state;

	sweep_ports(b->f, 0x00, 16, 2000);
	sweep_ports(b->f, 0x80, 16, 500);
	sweep_ports(b->f, 0xc0, 64, 4000);
	sweep_ports(b->f, 0x2000, TESTDEV_IRQS, 500);
	sweep_ports(b->f, 0x8900, 1, 500);
	sweep_memory(b->f, TESTDEV_RAM_BASE, TESTDEV_RAM_SIZE, 2000);
	assert_state_survives(visit, b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(text_goes_out_at_both_ports),
		TEST(debug_exit_gives_the_status),
		TEST(shutdown_is_spelled_out),
		TEST(the_latch_takes_all_sizes),
		TEST(irq_ports_set_levels),
		TEST(the_test_memory_keeps_its_bytes),
		TEST(dma_addresses_go_low_byte_first),
		TEST(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
