#include "tests/unit/chip_fixture.h"

#include "devices/pit.h"
#include "devices/ticks.h"

struct board {
	struct fixture *f;
	struct pit pit;
};

static int
setup(void **state)
{
	struct board *b = calloc(1, sizeof(*b));
	struct irq_line irq;

	b->f = fixture_new();
	irq = wire(b->f, 0);
	pit_init(&b->pit, b->f->events, b->f->ports, &irq);
	run_ns(b->f, 12345);
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

/* To the beginning of the tick that is `ticks` after the present one. */
static void
run_ticks(struct board *b, u64 ticks)
{
	run_until(b->f, ticks_time(b->f->events, PIT_HZ, ticks_now(b->f->events, PIT_HZ) + ticks));
}

static void
program(struct board *b, unsigned counter, u8 control, u16 count)
{
	out(b->f, 0x43, (u8)(counter << 6 | control));
	out(b->f, (u16)(0x40 + counter), (u8)count);
	out(b->f, (u16)(0x40 + counter), (u8)(count >> 8));
}

static u16
read_count(struct board *b, unsigned counter)
{
	u8 low;

	out(b->f, 0x43, (u8)(counter << 6));
	low = in(b->f, (u16)(0x40 + counter));
	return (u16)(low | in(b->f, (u16)(0x40 + counter)) << 8);
}

static bool
out2(struct board *b)
{
	return in(b->f, 0x61) & 0x20;
}

static void
mode_2_interrupts_every_period_exactly(void **state)
{
	struct board *b = *state;
	u64 first;

	program(b, 0, 0x34, 11932); /* 100 Hz, as Linux with HZ=100 */
	run_ns(b->f, 20000000);
	first = b->f->rose_at[0];
	b->f->rises[0] = 0;
	run_until(b->f, first + 1000000000);
	/* 1193182 / 11932 = 99.998 Hz */
	assert_int_equal(b->f->rises[0], 99);
	run_ns(b->f, 100000);
	assert_int_equal(b->f->rises[0], 100);
	assert_in_range(b->f->rose_at[0] - first, 1000015000, 1000016500);
}

static void
mode_2_counts_down_and_reloads(void **state)
{
	struct board *b = *state;

	program(b, 0, 0x34, 100);
	run_ticks(b, 1);
	assert_int_equal(read_count(b, 0), 100);
	run_ticks(b, 30);
	assert_int_equal(read_count(b, 0), 70);
	run_ticks(b, 69);
	assert_int_equal(read_count(b, 0), 1);
	run_ticks(b, 1);
	assert_int_equal(read_count(b, 0), 100);
}

static void
mode_0_raises_its_output_once(void **state)
{
	struct board *b = *state;

	program(b, 0, 0x30, 1000);
	assert_int_equal(b->f->level[0], 0);
	run_ticks(b, 1000);
	assert_int_equal(b->f->rises[0], 0);
	run_ticks(b, 1);
	assert_int_equal(b->f->rises[0], 1);
	run_ticks(b, 200000);
	assert_int_equal(b->f->rises[0], 1);
	/* It goes on counting from 0 to 0xffff. */
	program(b, 0, 0x30, 10);
	assert_int_equal(b->f->level[0], 0);
	run_ticks(b, 1 + 10 + 3);
	assert_int_equal(read_count(b, 0), 0xfffd);
}

static void
mode_4_strobes_once_as_linux_one_shot_wants(void **state)
{
	struct board *b = *state;

	program(b, 0, 0x38, 500);
	assert_int_equal(b->f->level[0], 1);
	b->f->rises[0] = 0;
	run_ticks(b, 501);
	assert_int_equal(b->f->rises[0], 0);
	run_ticks(b, 1);
	assert_int_equal(b->f->rises[0], 1);
	run_ticks(b, 140000);
	assert_int_equal(b->f->rises[0], 1);
	/* The next count alone starts the next shot. */
	out(b->f, 0x40, 100);
	out(b->f, 0x40, 0);
	run_ticks(b, 102);
	assert_int_equal(b->f->rises[0], 2);
}

static void
mode_3_is_a_square_wave(void **state)
{
	struct board *b = *state;

	out(b->f, 0x61, 1);
	program(b, 2, 0x36, 10);
	run_ticks(b, 1);
	for (unsigned i = 0; i < 30; i++) {
		assert_int_equal(out2(b), i % 10 < 5);
		assert_int_equal(read_count(b, 2), 10 - 2 * (i % 5));
		run_ticks(b, 1);
	}
	/* Odd: high one tick longer. */
	program(b, 2, 0x36, 7);
	run_ticks(b, 1);
	for (unsigned i = 0; i < 21; i++) {
		assert_int_equal(out2(b), i % 7 < 4);
		run_ticks(b, 1);
	}
}

static void
mode_1_is_triggered_by_the_gate(void **state)
{
	struct board *b = *state;

	out(b->f, 0x61, 0);
	program(b, 2, 0x32, 50);
	run_ticks(b, 500);
	assert_true(out2(b));
	out(b->f, 0x61, 1);
	run_ticks(b, 1);
	assert_false(out2(b));
	run_ticks(b, 49);
	assert_false(out2(b));
	run_ticks(b, 1);
	assert_true(out2(b));
	/* Triggered again on the way: the pulse grows. */
	out(b->f, 0x61, 0);
	out(b->f, 0x61, 1);
	run_ticks(b, 31);
	out(b->f, 0x61, 0);
	out(b->f, 0x61, 1);
	run_ticks(b, 31);
	assert_false(out2(b));
	run_ticks(b, 20);
	assert_true(out2(b));
}

static void
mode_5_strobes_after_the_gate(void **state)
{
	struct board *b = *state;

	program(b, 2, 0x3a, 20);
	out(b->f, 0x61, 1);
	run_ticks(b, 20);
	assert_true(out2(b));
	run_ticks(b, 1);
	assert_false(out2(b));
	run_ticks(b, 1);
	assert_true(out2(b));
}

static void
the_gate_stops_mode_0(void **state)
{
	struct board *b = *state;

	/* As Linux calibrates the TSC: gate on, mode 0, wait for OUT. */
	out(b->f, 0x61, 1);
	program(b, 2, 0x30, 0xffff);
	run_ticks(b, 101);
	assert_int_equal(read_count(b, 2), 0xffff - 100);
	out(b->f, 0x61, 0);
	run_ticks(b, 5000);
	assert_int_equal(read_count(b, 2), 0xffff - 100);
	out(b->f, 0x61, 1);
	run_ticks(b, 100);
	assert_int_equal(read_count(b, 2), 0xffff - 200);
	assert_false(out2(b));
	run_ticks(b, 0xffff - 200);
	assert_true(out2(b));
}

static void
the_gate_restarts_mode_2(void **state)
{
	struct board *b = *state;

	out(b->f, 0x61, 1);
	program(b, 2, 0x34, 1000);
	run_ticks(b, 301);
	out(b->f, 0x61, 0);
	assert_true(out2(b));
	run_ticks(b, 10);
	out(b->f, 0x61, 1);
	run_ticks(b, 1);
	assert_int_equal(read_count(b, 2), 1000);
}

static void
a_new_count_of_mode_2_waits_for_the_period(void **state)
{
	struct board *b = *state;

	program(b, 0, 0x34, 100);
	run_ticks(b, 41);
	out(b->f, 0x40, 30);
	out(b->f, 0x40, 0);
	assert_int_equal(read_count(b, 0), 60);
	run_ticks(b, 60);
	assert_int_equal(read_count(b, 0), 30);
	b->f->rises[0] = 0;
	run_ticks(b, 90);
	assert_int_equal(b->f->rises[0], 3);
}

static void
bcd_counts_in_decimal(void **state)
{
	struct board *b = *state;

	program(b, 0, 0x35, 0x1000);
	run_ticks(b, 2);
	assert_int_equal(read_count(b, 0), 0x0999);
	program(b, 0, 0x31, 0);
	run_ticks(b, 2);
	assert_int_equal(read_count(b, 0), 0x9999);
}

static void
read_back_latches_count_and_status(void **state)
{
	struct board *b = *state;
	u8 low;

	program(b, 0, 0x34, 1000);
	/* The count is written but not yet taken: null count. */
	out(b->f, 0x43, 0xe2);
	assert_int_equal(in(b->f, 0x40), 0xf4);
	run_ticks(b, 1);
	out(b->f, 0x43, 0xc2);
	run_ticks(b, 100);
	assert_int_equal(in(b->f, 0x40), 0xb4);
	low = in(b->f, 0x40);
	assert_int_equal(low | in(b->f, 0x40) << 8, 1000);
	low = in(b->f, 0x40);
	assert_int_equal(low | in(b->f, 0x40) << 8, 900);
}

static void
single_byte_access_modes_work(void **state)
{
	struct board *b = *state;

	out(b->f, 0x43, 0x14);
	out(b->f, 0x40, 200);
	run_ticks(b, 1);
	assert_int_equal(in(b->f, 0x40), 200);
	out(b->f, 0x43, 0x24);
	out(b->f, 0x40, 2);
	run_ticks(b, 2);
	assert_int_equal(in(b->f, 0x40), 1); /* 0x1ff */
}

static void
the_refresh_bit_toggles(void **state)
{
	struct board *b = *state;
	unsigned changes = 0;
	u8 last = in(b->f, 0x61) & 0x10;

	for (unsigned i = 0; i < 1000; i++) {
		run_ns(b->f, 1000);
		changes += (in(b->f, 0x61) & 0x10) != last;
		last = in(b->f, 0x61) & 0x10;
	}
	assert_in_range(changes, 65, 67); /* 1 ms / 15.08 us */
}

static void
a_counter_without_count_costs_nothing(void **state)
{
	struct board *b = *state;

	assert_true(events_next(b->f->events) == UINT64_MAX);
	program(b, 2, 0x34, 100);
	assert_true(events_next(b->f->events) == UINT64_MAX);
	program(b, 0, 0x30, 0); /* as Linux shuts it down */
	run_ticks(b, 70000);
	assert_true(events_next(b->f->events) == UINT64_MAX);
}

static void
visit(void *opaque, struct state *s)
{
	pit_state(opaque, s);
}

static void
random_accesses_do_no_harm(void **state)
{
	struct board *b = *state;

	for (unsigned i = 0; i < 20; i++) {
		sweep_ports(b->f, 0x40, 4, 2000);
		sweep_ports(b->f, 0x61, 1, 20);
		assert_state_survives(visit, &b->pit);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(mode_2_interrupts_every_period_exactly),
		TEST(mode_2_counts_down_and_reloads),
		TEST(mode_0_raises_its_output_once),
		TEST(mode_4_strobes_once_as_linux_one_shot_wants),
		TEST(mode_3_is_a_square_wave),
		TEST(mode_1_is_triggered_by_the_gate),
		TEST(mode_5_strobes_after_the_gate),
		TEST(the_gate_stops_mode_0),
		TEST(the_gate_restarts_mode_2),
		TEST(a_new_count_of_mode_2_waits_for_the_period),
		TEST(bcd_counts_in_decimal),
		TEST(read_back_latches_count_and_status),
		TEST(single_byte_access_modes_work),
		TEST(the_refresh_bit_toggles),
		TEST(a_counter_without_count_costs_nothing),
		TEST(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
