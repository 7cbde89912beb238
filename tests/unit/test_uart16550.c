#include "tests/unit/chip_fixture.h"

#include "devices/uart16550.h"

#define COM1 0x3f8
enum { DATA = COM1, IER, IIR, LCR, MCR, LSR, MSR, SCR };
#define FCR IIR

struct board {
	struct fixture *f;
	struct uart16550 u;
	struct chardev c;
	char sent[4096];
	size_t size;
};

static void
host_write(struct chardev *c, const u8 *data, size_t size)
{
	struct board *b = c->host;

	assert_true(b->size + size < sizeof(b->sent));
	memcpy(b->sent + b->size, data, size);
	b->size += size;
}

static int
setup(void **state)
{
	struct board *b = calloc(1, sizeof(*b));
	struct irq_line irq;

	b->f = fixture_new();
	irq = wire(b->f, 4);
	b->c.write = host_write;
	b->c.host = b;
	uart16550_init(&b->u, b->f->events, b->f->ports, COM1, &irq, &b->c);
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
type(struct board *b, const char *text)
{
	b->c.receive(b->c.device, (const u8 *)text, strlen(text));
}

/* 115200 8n1, FIFO with trigger level 8, interrupts through OUT2: as Linux opens it. */
static void
linux_open(struct board *b)
{
	out(b->f, FCR, 0x01);
	out(b->f, FCR, 0x07);
	out(b->f, FCR, 0x00);
	out(b->f, LCR, 0x83);
	out(b->f, DATA, 1);
	out(b->f, IER, 0);
	out(b->f, LCR, 0x03);
	out(b->f, FCR, 0x81);
	out(b->f, MCR, 0x0b);
	out(b->f, IER, 0x05);
}

static void
polled_output_as_an_early_console(void **state)
{
	struct board *b = *state;

	for (const char *c = "hello"; *c; c++) {
		assert_int_equal(in(b->f, LSR) & 0x60, 0x60);
		out(b->f, DATA, (u8)*c);
	}
	assert_int_equal(b->size, 5);
	assert_memory_equal(b->sent, "hello", 5);
	assert_int_equal(b->f->rises[4], 0);
}

static void
registers_keep_their_bits(void **state)
{
	struct board *b = *state;

	out(b->f, SCR, 0xa5);
	assert_int_equal(in(b->f, SCR), 0xa5);
	out(b->f, IER, 0xff);
	assert_int_equal(in(b->f, IER), 0x0f);
	out(b->f, MCR, 0xff);
	assert_int_equal(in(b->f, MCR), 0x1f);
	out(b->f, LCR, 0x80);
	out(b->f, DATA, 0x34);
	out(b->f, IER, 0x12);
	assert_int_equal(in(b->f, DATA), 0x34);
	assert_int_equal(in(b->f, IER), 0x12);
	out(b->f, LCR, 0x00);
	assert_int_equal(in(b->f, IER), 0x0f);
	/* No FIFO, then FIFO: how a driver tells a 16550A. */
	assert_int_equal(in(b->f, IIR) & 0xc0, 0);
	out(b->f, FCR, 0x01);
	assert_int_equal(in(b->f, IIR) & 0xc0, 0xc0);
}

/* serial8250_do_startup(): the transmitter interrupt must come when it is switched on with an empty THR, and again. */
static void
the_transmitter_interrupt_comes_when_enabled(void **state)
{
	struct board *b = *state;

	linux_open(b);
	out(b->f, IER, 0x02);
	assert_int_equal(b->f->level[4], 1);
	assert_int_equal(in(b->f, IIR), 0xc2);
	assert_int_equal(b->f->level[4], 0);
	assert_int_equal(in(b->f, IIR), 0xc1);
	out(b->f, IER, 0x00);
	out(b->f, IER, 0x02);
	assert_int_equal(in(b->f, IIR), 0xc2);
}

static void
a_driver_that_writes_16_per_interrupt_sends_everything(void **state)
{
	struct board *b = *state;
	unsigned left = 1000, passes = 0;

	linux_open(b);
	out(b->f, IER, 0x07);
	while (left) {
		assert_int_equal(b->f->level[4], 1);
		assert_int_equal(in(b->f, IIR) & 0x0f, 0x02);
		for (unsigned i = 0; i < 16 && left; i++, left--)
			out(b->f, DATA, 'x');
		passes++;
	}
	assert_int_equal(passes, 63);
	assert_int_equal(b->size, 1000);
	assert_int_equal(in(b->f, IIR) & 0x0f, 0x02);
	assert_int_equal(b->f->level[4], 0);
}

static void
the_receiver_interrupts_at_its_trigger_level(void **state)
{
	struct board *b = *state;

	linux_open(b);
	type(b, "1234567");
	assert_int_equal(b->f->level[4], 0);
	type(b, "8");
	assert_int_equal(b->f->level[4], 1);
	assert_int_equal(in(b->f, IIR), 0xc4);
	assert_int_equal(in(b->f, DATA), '1');
	assert_int_equal(b->f->level[4], 0);
}

static void
a_single_character_is_reported_after_four_character_times(void **state)
{
	struct board *b = *state;

	linux_open(b);
	type(b, "a");
	run_ns(b->f, 340000);
	assert_int_equal(b->f->level[4], 0);
	run_ns(b->f, 10000); /* 40 bits at 115200 baud: 347 us */
	assert_int_equal(b->f->level[4], 1);
	assert_int_equal(in(b->f, IIR), 0xcc);
	assert_int_equal(in(b->f, LSR) & 1, 1);
	assert_int_equal(in(b->f, DATA), 'a');
	assert_int_equal(in(b->f, IIR), 0xc1);
	assert_int_equal(in(b->f, LSR) & 1, 0);
	assert_true(events_next(b->f->events) == UINT64_MAX);
}

static void
without_fifo_every_character_interrupts(void **state)
{
	struct board *b = *state;

	out(b->f, MCR, 0x08);
	out(b->f, IER, 0x01);
	type(b, "q");
	assert_int_equal(b->f->level[4], 1);
	assert_int_equal(in(b->f, IIR), 0x04);
	assert_int_equal(b->c.room(b->c.device), 0);
	assert_int_equal(in(b->f, DATA), 'q');
	assert_int_equal(b->c.room(b->c.device), 1);
}

static void
overrun_is_a_line_status_interrupt_of_highest_priority(void **state)
{
	struct board *b = *state;

	linux_open(b);
	assert_int_equal(b->c.room(b->c.device), 16);
	type(b, "0123456789abcdefg");
	assert_int_equal(b->c.room(b->c.device), 0);
	assert_int_equal(in(b->f, IIR), 0xc6);
	assert_int_equal(in(b->f, LSR) & 0x03, 0x03);
	assert_int_equal(in(b->f, IIR), 0xc4);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(in(b->f, DATA), "0123456789abcdef"[i]);
}

static void
out2_gates_the_line(void **state)
{
	struct board *b = *state;

	out(b->f, IER, 0x02);
	assert_int_equal(b->f->level[4], 0);
	out(b->f, MCR, 0x08);
	assert_int_equal(b->f->level[4], 1);
}

static void
loopback_connects_outputs_to_inputs(void **state)
{
	struct board *b = *state;

	assert_int_equal(in(b->f, MSR), 0xb0);
	/* autoconfig(): loop with RTS and OUT2 must read CTS and DCD. */
	out(b->f, MCR, 0x1a);
	assert_int_equal(in(b->f, MSR) & 0xf0, 0x90);
	out(b->f, DATA, 'z');
	assert_int_equal(b->size, 0);
	assert_int_equal(in(b->f, LSR) & 1, 1);
	assert_int_equal(in(b->f, DATA), 'z');
	/* The host's bytes wait meanwhile. */
	assert_int_equal(b->c.room(b->c.device), 0);
	/* A break is a zero with BI. */
	out(b->f, LCR, 0x43);
	assert_int_equal(in(b->f, LSR) & 0x11, 0x11);
	assert_int_equal(in(b->f, DATA), 0);
}

static void
modem_changes_interrupt_and_clear_by_reading(void **state)
{
	struct board *b = *state;

	out(b->f, MCR, 0x18);
	in(b->f, MSR);
	out(b->f, IER, 0x08);
	out(b->f, MCR, 0x1a);
	assert_int_equal(in(b->f, IIR), 0x00);
	assert_int_equal(in(b->f, MSR) & 0x0f, 0x01);
	assert_int_equal(in(b->f, IIR), 0x01);
	/* RI counts at its trailing edge only. */
	out(b->f, MCR, 0x1e);
	assert_int_equal(in(b->f, MSR) & 0x0f, 0x00);
	out(b->f, MCR, 0x1a);
	assert_int_equal(in(b->f, MSR) & 0x0f, 0x04);
}

static void
fcr_clears_the_receiver(void **state)
{
	struct board *b = *state;

	linux_open(b);
	type(b, "abc");
	out(b->f, FCR, 0x83);
	assert_int_equal(in(b->f, LSR) & 1, 0);
	run_ns(b->f, 10000000);
	assert_int_equal(b->f->level[4], 0);
}

static void
visit(void *opaque, struct state *s)
{
	uart16550_state(opaque, s);
}

static void
random_accesses_do_no_harm(void **state)
{
	struct board *b = *state;
	u64 seed = 9;

	for (unsigned i = 0; i < 500; i++) {
		sweep_ports(b->f, COM1, 8, 100);
		b->size = 0;
		if (random_number(&seed) & 1)
			type(b, "some input that may be too long");
		if (i % 10 == 0)
			assert_state_survives(visit, &b->u);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(polled_output_as_an_early_console),
		TEST(registers_keep_their_bits),
		TEST(the_transmitter_interrupt_comes_when_enabled),
		TEST(a_driver_that_writes_16_per_interrupt_sends_everything),
		TEST(the_receiver_interrupts_at_its_trigger_level),
		TEST(a_single_character_is_reported_after_four_character_times),
		TEST(without_fifo_every_character_interrupts),
		TEST(overrun_is_a_line_status_interrupt_of_highest_priority),
		TEST(out2_gates_the_line),
		TEST(loopback_connects_outputs_to_inputs),
		TEST(modem_changes_interrupt_and_clear_by_reading),
		TEST(fcr_clears_the_receiver),
		TEST(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
