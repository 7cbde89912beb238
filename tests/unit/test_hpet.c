#include "tests/unit/chip_fixture.h"

#include "devices/hpet.h"

#define ENABLE 1
#define LEGACY 2

struct board {
	struct fixture *f;
	struct hpet hpet;
};

static int
setup(void **state)
{
	struct board *b = calloc(1, sizeof(*b));
	struct irq_line irq0, irq8, ioapic;

	b->f = fixture_new();
	irq0 = wire(b->f, 0);
	irq8 = wire(b->f, 8);
	ioapic = wire(b->f, 0);
	run_ns(b->f, 1000);
	hpet_init(&b->hpet, b->f->events, b->f->memory, &irq0, &irq8, &ioapic);
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
get(struct board *b, unsigned offset)
{
	return (u32)memory_read(b->f->memory, HPET_BASE + offset, 4);
}

static u64
get64(struct board *b, unsigned offset)
{
	return memory_read(b->f->memory, HPET_BASE + offset, 8);
}

static void
put(struct board *b, unsigned offset, u32 value)
{
	memory_write(b->f->memory, HPET_BASE + offset, 4, value);
}

static void
put64(struct board *b, unsigned offset, u64 value)
{
	memory_write(b->f->memory, HPET_BASE + offset, 8, value);
}

static void
capabilities_tell_100_mhz_and_three_timers(void **state)
{
	struct board *b = *state;

	assert_int_equal(get(b, 0), HPET_CAPABILITIES);
	assert_int_equal(get(b, 4), 10000000);
	assert_true(get64(b, 0) == (10000000ull << 32 | HPET_CAPABILITIES));
	assert_int_equal(get(b, 0x100), 0x30);
	assert_int_equal(get(b, 0x104), 0x00ff0000);
	assert_int_equal(get(b, 0x400), 0);
}

static void
the_counter_runs_only_while_enabled(void **state)
{
	struct board *b = *state;

	assert_true(get64(b, 0xf0) == 0);
	run_ns(b->f, 5000);
	assert_true(get64(b, 0xf0) == 0);
	put(b, 0x10, ENABLE);
	run_ns(b->f, 5000);
	assert_true(get64(b, 0xf0) == 500);
	put(b, 0x10, 0);
	run_ns(b->f, 5000);
	assert_true(get64(b, 0xf0) == 500);
	put64(b, 0xf0, 0x1fffffff0ull);
	put(b, 0x10, ENABLE);
	run_ns(b->f, 1000);
	assert_int_equal(get(b, 0xf4), 2);
	assert_int_equal(get(b, 0xf0), 84);
}

/* hpet_set_periodic() of Linux's clockevent. */
static void
linux_periodic_gives_exact_ticks_on_irq_0(void **state)
{
	struct board *b = *state;
	u64 first;

	put(b, 0x10, ENABLE | LEGACY);
	run_ns(b->f, 777770);
	put(b, 0x100, 0x14c | get(b, 0x100)); /* periodic, enabled, set value, 32 bits */
	put(b, 0x108, get(b, 0xf0) + 400000);
	run_ns(b->f, 1000);
	put(b, 0x108, 400000); /* 4 ms */
	assert_int_equal(get(b, 0x100) & 0x40, 0);
	run_ns(b->f, 4000000);
	assert_int_equal(b->f->rises[0], 1);
	first = b->f->rose_at[0];
	run_ns(b->f, 1000000000);
	assert_int_equal(b->f->rises[0], 251);
	assert_true(b->f->rose_at[0] - first == 1000000000);
	/* An edge is a pulse. */
	assert_int_equal(b->f->level[0], 0);
}

/* hpet_set_oneshot() and hpet_next_event(). */
static void
linux_one_shot_fires_once(void **state)
{
	struct board *b = *state;

	put(b, 0x10, ENABLE | LEGACY);
	put(b, 0x100, 0x104 | get(b, 0x100));
	put(b, 0x108, get(b, 0xf0) + 1000);
	run_ns(b->f, 9990);
	assert_int_equal(b->f->rises[0], 0);
	run_ns(b->f, 10);
	assert_int_equal(b->f->rises[0], 1);
	run_ns(b->f, 1000000000);
	assert_int_equal(b->f->rises[0], 1);
	/* 32 bits: it matches again when the counter has gone round, 42.9 s later. */
	run_ns(b->f, 42000000000ull);
	assert_int_equal(b->f->rises[0], 2);
}

static void
a_level_interrupt_stays_until_its_status_is_cleared(void **state)
{
	struct board *b = *state;

	put(b, 0x10, ENABLE);
	put(b, 0x140, 0x06 | 20 << 9);
	put64(b, 0x148, get64(b, 0xf0) + 100);
	run_ns(b->f, 1000);
	assert_int_equal(b->f->level[20], 1);
	assert_int_equal(get(b, 0x20), 4);
	put(b, 0x20, 3);
	assert_int_equal(b->f->level[20], 1);
	put(b, 0x20, 4);
	assert_int_equal(b->f->level[20], 0);
	assert_int_equal(get(b, 0x20), 0);
}

static void
legacy_replacement_takes_the_lines_from_pit_and_rtc(void **state)
{
	struct board *b = *state;
	struct irq_line pit = hpet_legacy_in(&b->hpet, 0), rtc = hpet_legacy_in(&b->hpet, 1);

	irq_set(&pit, 1);
	irq_set(&rtc, 1);
	assert_int_equal(b->f->level[0], 1);
	assert_int_equal(b->f->level[8], 1);
	put(b, 0x10, LEGACY);
	assert_int_equal(b->f->level[0], 0);
	assert_int_equal(b->f->level[8], 0);
	irq_set(&rtc, 0);
	put(b, 0x10, 0);
	assert_int_equal(b->f->level[0], 1);
	assert_int_equal(b->f->level[8], 0);
}

static void
timer_1_reaches_irq_8_in_legacy_mode(void **state)
{
	struct board *b = *state;

	put(b, 0x10, ENABLE | LEGACY);
	put(b, 0x120, 0x04);
	put64(b, 0x128, get64(b, 0xf0) + 10);
	run_ns(b->f, 100);
	assert_int_equal(b->f->rises[8], 1);
}

static void
a_periodic_comparator_reads_as_the_next_match(void **state)
{
	struct board *b = *state;

	put(b, 0x10, ENABLE);
	put(b, 0x100, 0x48); /* not enabled: nobody hears */
	put64(b, 0x108, 1000);
	put64(b, 0x108, 300);
	assert_true(events_next(b->f->events) == UINT64_MAX);
	run_ns(b->f, 20000);
	assert_true(get64(b, 0x108) == 2200);
}

static void
disabled_timers_cost_nothing(void **state)
{
	struct board *b = *state;

	put(b, 0x10, ENABLE);
	assert_true(events_next(b->f->events) == UINT64_MAX);
	put(b, 0x100, 0x04);
	put64(b, 0x108, 100000);
	assert_true(events_next(b->f->events) != UINT64_MAX);
	put(b, 0x10, 0);
	assert_true(events_next(b->f->events) == UINT64_MAX);
}

static void
the_counter_never_runs_backwards(void **state)
{
	struct board *b = *state;
	u64 last;

	put(b, 0x10, ENABLE);
	run_ns(b->f, 5000);
	last = get64(b, 0xf0);
	b->f->now -= 3000;
	assert_true(get64(b, 0xf0) == last);
	put(b, 0x10, 0);
	assert_true(get64(b, 0xf0) == last);
	put(b, 0x10, ENABLE);
	run_ns(b->f, 3000);
	assert_true(get64(b, 0xf0) == last);
	run_ns(b->f, 100);
	assert_true(get64(b, 0xf0) == last + 10);
}

/* With several processors the next one's slice begins where the last one's began. */
static void
a_look_from_a_little_earlier_is_no_match(void **state)
{
	struct board *b = *state;

	put(b, 0x10, ENABLE | LEGACY);
	put(b, 0x100, 0x04);
	put64(b, 0x108, get64(b, 0xf0) + 1000);
	run_ns(b->f, 5000);
	get64(b, 0x108);
	b->f->now -= 3000;
	get64(b, 0x108);
	put(b, 0x120, 0x04);
	assert_int_equal(b->f->rises[0], 0);
	run_ns(b->f, 8000);
	assert_int_equal(b->f->rises[0], 1);
}

static void
visit(void *opaque, struct state *s)
{
	hpet_state(opaque, s);
}

static void
random_accesses_do_no_harm(void **state)
{
	struct board *b = *state;

	for (unsigned i = 0; i < 20; i++) {
		sweep_memory(b->f, HPET_BASE, 0x180, 2000);
		sweep_memory(b->f, HPET_BASE, 0x1000, 200);
		assert_state_survives(visit, &b->hpet);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(capabilities_tell_100_mhz_and_three_timers),
		TEST(the_counter_runs_only_while_enabled),
		TEST(linux_periodic_gives_exact_ticks_on_irq_0),
		TEST(linux_one_shot_fires_once),
		TEST(a_level_interrupt_stays_until_its_status_is_cleared),
		TEST(legacy_replacement_takes_the_lines_from_pit_and_rtc),
		TEST(timer_1_reaches_irq_8_in_legacy_mode),
		TEST(a_periodic_comparator_reads_as_the_next_match),
		TEST(disabled_timers_cost_nothing),
		TEST(the_counter_never_runs_backwards),
		TEST(a_look_from_a_little_earlier_is_no_match),
		TEST(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
