#include "tests/unit/chip_fixture.h"

#include "devices/rtc.h"

#define START 1704067200 /* 2024-01-01 00:00:00, a Monday */
#define SECOND 1000000000ull

struct board {
	struct fixture *f;
	struct rtc rtc;
	unsigned alarms;
};

static void
alarm_rang(void *opaque)
{
	((struct board *)opaque)->alarms++;
}

static int
setup(void **state)
{
	struct board *b = calloc(1, sizeof(*b));
	struct irq_line irq;

	b->f = fixture_new();
	irq = wire(b->f, 8);
	rtc_init(&b->rtc, b->f->events, b->f->ports, &irq, START);
	b->rtc.alarm = alarm_rang;
	b->rtc.alarm_opaque = b;
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

static u8
get(struct board *b, u8 index)
{
	out(b->f, 0x70, index);
	return in(b->f, 0x71);
}

static void
put(struct board *b, u8 index, u8 value)
{
	out(b->f, 0x70, index);
	out(b->f, 0x71, value);
}

static void
assert_time(struct board *b, u8 century, u8 year, u8 month, u8 day, u8 hour, u8 minute, u8 second)
{
	assert_int_equal(get(b, 0x32), century);
	assert_int_equal(get(b, 9), year);
	assert_int_equal(get(b, 8), month);
	assert_int_equal(get(b, 7), day);
	assert_int_equal(get(b, 4), hour);
	assert_int_equal(get(b, 2), minute);
	assert_int_equal(get(b, 0), second);
}

static void
it_starts_at_the_given_date_in_bcd(void **state)
{
	struct board *b = *state;

	assert_time(b, 0x20, 0x24, 0x01, 0x01, 0x00, 0x00, 0x00);
	assert_int_equal(get(b, 6), 2); /* Monday */
	assert_int_equal(get(b, 0x0d), 0x80);
	run_ns(b->f, 59 * 86400 * SECOND + 86399 * SECOND); /* 2024 is a leap year */
	assert_time(b, 0x20, 0x24, 0x02, 0x29, 0x23, 0x59, 0x59);
	run_ns(b->f, SECOND);
	assert_time(b, 0x20, 0x24, 0x03, 0x01, 0x00, 0x00, 0x00);
	assert_int_equal(get(b, 6), 6); /* Friday */
}

static void
setting_the_time_as_linux_does(void **state)
{
	struct board *b = *state;
	u8 control, rate;

	run_ns(b->f, SECOND / 3);
	control = get(b, 0x0b);
	put(b, 0x0b, control | 0x80);
	rate = get(b, 0x0a);
	put(b, 0x0a, rate | 0x70);
	put(b, 9, 0x99);
	put(b, 0x32, 0x19);
	put(b, 8, 0x12);
	put(b, 7, 0x31);
	put(b, 4, 0x23);
	put(b, 2, 0x59);
	put(b, 0, 0x58);
	put(b, 0x0b, control);
	put(b, 0x0a, rate & 0x7f);
	/* The divider was let go: half a second to the first update. */
	assert_time(b, 0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x58);
	run_ns(b->f, SECOND * 49 / 100);
	assert_int_equal(get(b, 0), 0x58);
	run_ns(b->f, SECOND * 2 / 100);
	assert_int_equal(get(b, 0), 0x59);
	run_ns(b->f, SECOND);
	assert_time(b, 0x20, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00);
}

static void
set_stops_the_clock_and_clears_uie(void **state)
{
	struct board *b = *state;

	put(b, 0x0b, 0x12);
	put(b, 0x0b, 0x92);
	assert_int_equal(get(b, 0x0b), 0x82);
	run_ns(b->f, 10 * SECOND);
	assert_int_equal(get(b, 0), 0x00);
	put(b, 0x0b, 0x02);
	run_ns(b->f, SECOND);
	assert_int_equal(get(b, 0), 0x01);
}

static void
binary_and_12_hour_formats(void **state)
{
	struct board *b = *state;

	run_ns(b->f, (13 * 3600 + 45 * 60 + 30) * SECOND);
	put(b, 0x0b, 0x00);
	assert_int_equal(get(b, 4), 0x81);
	put(b, 0x0b, 0x04);
	assert_int_equal(get(b, 4), 0x81);
	assert_int_equal(get(b, 2), 45);
	put(b, 0x0b, 0x06);
	assert_int_equal(get(b, 4), 13);
	run_ns(b->f, 11 * 3600 * SECOND);
	put(b, 0x0b, 0x00);
	assert_int_equal(get(b, 4), 0x12); /* midnight is 12 AM */
	/* 12 PM is noon. */
	put(b, 4, 0x92);
	put(b, 0x0b, 0x02);
	assert_int_equal(get(b, 4), 0x12);
}

static void
uip_announces_the_update(void **state)
{
	struct board *b = *state;

	run_ns(b->f, SECOND - 2300000);
	assert_int_equal(get(b, 0x0a) & 0x80, 0);
	run_ns(b->f, 200000);
	assert_int_equal(get(b, 0x0a) & 0x80, 0x80);
	assert_int_equal(get(b, 0), 0x00);
	run_ns(b->f, 2100000);
	assert_int_equal(get(b, 0x0a) & 0x80, 0);
	assert_int_equal(get(b, 0), 0x01);
}

static void
the_update_interrupt_comes_every_second(void **state)
{
	struct board *b = *state;

	run_ns(b->f, 100000000);
	get(b, 0x0c);
	put(b, 0x0b, 0x12);
	for (unsigned i = 1; i <= 3; i++) {
		run_until(b->f, i * SECOND - 1);
		assert_int_equal(b->f->level[8], 0);
		run_until(b->f, i * SECOND);
		assert_int_equal(b->f->level[8], 1);
		assert_int_equal(get(b, 0x0c) & 0x90, 0x90);
		assert_int_equal(b->f->level[8], 0);
	}
}

static void
the_periodic_interrupt_has_its_rate(void **state)
{
	struct board *b = *state;

	put(b, 0x0a, 0x26); /* 1024 Hz */
	put(b, 0x0b, 0x42);
	for (u64 end = b->f->now + SECOND; b->f->now < end;) {
		run_ns(b->f, 10000);
		if (b->f->level[8])
			assert_int_equal(get(b, 0x0c) & 0xc0, 0xc0);
	}
	assert_in_range(b->f->rises[8], 1023, 1024);
	/* Not read: one interrupt and no more. */
	run_ns(b->f, SECOND);
	assert_in_range(b->f->rises[8], 1024, 1025);
	assert_true(events_next(b->f->events) == UINT64_MAX);
}

static void
the_alarm_rings_at_its_time(void **state)
{
	struct board *b = *state;

	put(b, 5, 0x01);
	put(b, 3, 0x02);
	put(b, 1, 0x03);
	put(b, 0x0b, 0x22);
	run_until(b->f, 3723 * SECOND - 1);
	assert_int_equal(b->f->rises[8], 0);
	run_until(b->f, 3723 * SECOND);
	assert_int_equal(b->f->rises[8], 1);
	assert_int_equal(b->alarms, 1);
	assert_int_equal(get(b, 0x0c) & 0xa0, 0xa0);
	/* And again the next day. */
	run_until(b->f, (86400 + 3723) * SECOND - 1);
	assert_int_equal(b->f->rises[8], 1);
	run_until(b->f, (86400 + 3723) * SECOND);
	assert_int_equal(b->f->rises[8], 2);
}

static void
an_alarm_may_leave_fields_open(void **state)
{
	struct board *b = *state;

	put(b, 5, 0xff);
	put(b, 3, 0xc0);
	put(b, 1, 0x30);
	put(b, 0x0b, 0x22);
	run_until(b->f, 30 * SECOND);
	assert_int_equal(b->f->rises[8], 1);
	get(b, 0x0c);
	run_until(b->f, 90 * SECOND);
	assert_int_equal(b->f->rises[8], 2);
	/* A time that cannot be never comes, and costs nothing. */
	get(b, 0x0c);
	put(b, 1, 0x75);
	assert_true(events_next(b->f->events) == UINT64_MAX);
}

static void
flags_show_without_interrupts(void **state)
{
	struct board *b = *state;

	get(b, 0x0c);
	assert_true(events_next(b->f->events) == UINT64_MAX);
	run_ns(b->f, 1500000000);
	assert_int_equal(get(b, 0x0c), 0x50);
	assert_int_equal(get(b, 0x0c), 0x00);
}

static void
the_memory_keeps_its_bytes(void **state)
{
	struct board *b = *state;

	rtc_set_memory(&b->rtc, 0xc0000000ull, 0x140000000ull);
	assert_int_equal(get(b, 0x15) | get(b, 0x16) << 8, 640);
	assert_int_equal(get(b, 0x30) | get(b, 0x31) << 8, 0xffff);
	assert_int_equal(get(b, 0x34) | get(b, 0x35) << 8, (0xc0000000u - 0x1000000u) >> 16);
	assert_int_equal(get(b, 0x5b) | get(b, 0x5c) << 8 | get(b, 0x5d) << 16, 0x14000);
	put(b, 0x0f, 0x0a);
	rtc_reset(&b->rtc);
	assert_int_equal(get(b, 0x0f), 0x0a);
	assert_int_equal(get(b, 0x8f), 0x0a); /* bit 7 is the NMI mask */
}

static void
visit(void *opaque, struct state *s)
{
	rtc_state(opaque, s);
}

static void
random_accesses_do_no_harm(void **state)
{
	struct board *b = *state;
	u64 seed = 77;

	for (unsigned i = 0; i < 40000; i++) {
		u8 index = (u8)(random_number(&seed) % 3 ? random_number(&seed) % 16 : random_number(&seed));

		if (random_number(&seed) & 1)
			put(b, index, (u8)random_number(&seed));
		else
			get(b, index);
		if (random_number(&seed) % 16 == 0)
			run_ns(b->f, random_number(&seed) % 3000000000u);
		if (i % 1000 == 0)
			assert_state_survives(visit, &b->rtc);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(it_starts_at_the_given_date_in_bcd),
		TEST(setting_the_time_as_linux_does),
		TEST(set_stops_the_clock_and_clears_uie),
		TEST(binary_and_12_hour_formats),
		TEST(uip_announces_the_update),
		TEST(the_update_interrupt_comes_every_second),
		TEST(the_periodic_interrupt_has_its_rate),
		TEST(the_alarm_rings_at_its_time),
		TEST(an_alarm_may_leave_fields_open),
		TEST(flags_show_without_interrupts),
		TEST(the_memory_keeps_its_bytes),
		TEST(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
