/* base/events.c: order, arming from inside, time conversions, state. */
#include "base/events.h"

#include "base/snapshot.h"
#include "tests/unit/unit.h"

#define MANY 500

struct probe {
	struct event event;
	struct events *events;
	u64 rearm; /* distance, 0: none */
	unsigned fired;
	u64 last;
};

static unsigned fired_order[MANY];
static unsigned fired_count;

static void
note(void *opaque, u64 now)
{
	struct probe *p = opaque;

	p->fired++;
	p->last = now;
	if (p->rearm)
		event_arm(p->events, &p->event, now + p->rearm);
}

static void
note_order(void *opaque, u64 now)
{
	(void)now;
	fired_order[fired_count++] = (unsigned)(uintptr_t)opaque;
}

static void
events_fire_in_order_of_time_whatever_the_order_of_arming(void **state)
{
	static struct event event[MANY];
	static u64 time[MANY];
	struct events *events = events_new(1000);
	u64 seed = 1, before = 0;

	(void)state;
	fired_count = 0;
	for (unsigned i = 0; i < MANY; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		time[i] = seed >> 50;
		event_init(&event[i], "e", 0, note_order, (void *)(uintptr_t)i);
		event_arm(events, &event[i], 0);
		event_arm(events, &event[i], time[i]);
	}
	for (unsigned i = 0; i < MANY; i += 7)
		event_disarm(events, &event[i]);
	while (events_next(events) != UINT64_MAX)
		events_run(events, events_next(events));
	assert_int_equal(fired_count, MANY - (MANY + 6) / 7);
	for (unsigned i = 0; i < fired_count; i++) {
		assert_true(time[fired_order[i]] >= before);
		assert_int_not_equal(fired_order[i] % 7, 0);
		before = time[fired_order[i]];
	}
	events_free(events);
}

static void
events_of_one_time_fire_by_priority_then_by_order_of_arming(void **state)
{
	struct events *events = events_new(1000);
	struct event stop, device1, device2, clock;

	(void)state;
	fired_count = 0;
	event_init(&stop, "stop", EVENT_STOP, note_order, (void *)3);
	event_init(&device1, "device1", EVENT_DEVICE, note_order, (void *)1);
	event_init(&device2, "device2", EVENT_DEVICE, note_order, (void *)2);
	event_init(&clock, "clock", EVENT_CLOCK, note_order, (void *)0);
	event_arm(events, &stop, 5);
	event_arm(events, &device2, 5);
	event_arm(events, &device1, 5);
	event_arm(events, &clock, 5);
	event_arm(events, &device2, 5); /* moved behind device1 */
	events_run(events, 5);
	assert_int_equal(fired_count, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(fired_order[i], i);
	events_free(events);
}

static void
an_event_may_arm_itself_again(void **state)
{
	struct events *events = events_new(1000);
	struct probe p = {.events = events, .rearm = 10};

	(void)state;
	event_init(&p.event, "p", 0, note, &p);
	event_arm(events, &p.event, 10);
	for (u64 now = 0; now <= 100; now++)
		events_run(events, now);
	assert_int_equal(p.fired, 10);
	assert_int_equal(p.last, 100);
	assert_int_equal(events_next(events), 110);
	events_free(events);
}

static void
arm_in_the_past(void *opaque, u64 now)
{
	struct probe *p = opaque;

	p->fired++;
	event_arm(p->events, &p->event, now - 1);
}

static void
an_event_that_arms_itself_in_the_past_does_not_hold_time_still(void **state)
{
	struct events *events = events_new(1000);
	struct probe p = {.events = events};

	(void)state;
	event_init(&p.event, "p", 0, arm_in_the_past, &p);
	event_arm(events, &p.event, 10);
	events_run(events, 10);
	assert_int_equal(p.fired, 1);
	assert_int_equal(events_next(events), 11);
	events_free(events);
}

static void
a_disarmed_event_does_not_fire(void **state)
{
	struct events *events = events_new(1000);
	struct probe p = {.events = events};

	(void)state;
	event_init(&p.event, "p", 0, note, &p);
	assert_false(event_armed(&p.event));
	event_arm(events, &p.event, 10);
	assert_true(event_armed(&p.event));
	event_disarm(events, &p.event);
	event_disarm(events, &p.event);
	events_run(events, 20);
	assert_int_equal(p.fired, 0);
	events_free(events);
}

static u64 heard;

static void
hear(void *opaque, u64 time)
{
	(void)opaque;
	heard = time;
}

static u64
source(void *opaque)
{
	return *(u64 *)opaque;
}

static void
the_run_loop_hears_only_of_earlier_events(void **state)
{
	struct events *events = events_new(1000);
	struct probe a = {.events = events}, b = {.events = events};
	u64 now = 3;

	(void)state;
	heard = 0;
	events_set_source(events, source, hear, &now);
	assert_int_equal(events_now(events), 3);
	event_init(&a.event, "a", 0, note, &a);
	event_init(&b.event, "b", 0, note, &b);
	event_arm(events, &a.event, 50);
	assert_int_equal(heard, 50);
	event_arm(events, &b.event, 60);
	assert_int_equal(heard, 50);
	event_arm(events, &b.event, 40);
	assert_int_equal(heard, 40);
	events_free(events);
}

static void
cycles_and_nanoseconds_convert_without_overflow(void **state)
{
	struct events *events = events_new(3000000000ull);

	(void)state;
	assert_int_equal(events_hz(events), 3000000000ull);
	assert_int_equal(events_to_ns(events, 3), 1);
	assert_int_equal(events_from_ns(events, 1000000000ull * 3600 * 24 * 365), 3000000000ull * 3600 * 24 * 365);
	assert_int_equal(events_to_ns(events, 1ull << 62), mul_div(1ull << 62, 1, 3));
	events_free(events);
}

struct pair {
	struct events *events;
	struct event a, b;
};

static void
visit(void *opaque, struct state *s)
{
	struct pair *p = opaque;

	state_section(s, "pair", 1);
	state_event(s, p->events, &p->a);
	state_event(s, p->events, &p->b);
}

static void
loaded_events_fire_in_the_order_they_were_saved_with(void **state)
{
	struct pair p = {.events = events_new(1000)}, q = {.events = events_new(1000)};
	size_t size;
	u8 *saved;

	(void)state;
	event_init(&p.a, "a", 0, note_order, (void *)0);
	event_init(&p.b, "b", 0, note_order, (void *)1);
	event_init(&q.a, "a", 0, note_order, (void *)0);
	event_init(&q.b, "b", 0, note_order, (void *)1);
	event_arm(p.events, &p.b, 7);
	event_arm(p.events, &p.a, 7);
	event_arm(q.events, &q.a, 1);
	saved = state_save(visit, &p, &size);
	assert_null(state_load(visit, &q, saved, size));
	assert_int_equal(state_hash(visit, &p), state_hash(visit, &q));
	fired_count = 0;
	events_run(q.events, 7);
	assert_int_equal(fired_count, 2);
	assert_int_equal(fired_order[0], 1);
	assert_int_equal(fired_order[1], 0);
	assert_int_not_equal(state_hash(visit, &p), state_hash(visit, &q));
	free(saved);
	events_free(p.events);
	events_free(q.events);
}

static void
the_hash_does_not_depend_on_how_often_others_were_armed(void **state)
{
	struct pair p = {.events = events_new(1000)};
	struct event other;
	u64 before;

	(void)state;
	event_init(&p.a, "a", 0, note_order, (void *)0);
	event_init(&p.b, "b", 0, note_order, (void *)1);
	event_init(&other, "other", EVENT_STOP, note_order, (void *)2);
	event_arm(p.events, &p.a, 7);
	before = state_hash(visit, &p);
	event_arm(p.events, &other, 3);
	event_arm(p.events, &p.a, 7);
	assert_int_equal(state_hash(visit, &p), before);
	event_arm(p.events, &p.a, 8);
	assert_int_not_equal(state_hash(visit, &p), before);
	events_free(p.events);
}

static void
stops_that_wait_are_nobodys_next_event(void **state)
{
	struct events *events = events_new(1000);
	struct event stop, device;

	(void)state;
	fired_count = 0;
	events_stops_wait(events);
	event_init(&stop, "stop", EVENT_STOP, note_order, (void *)0);
	event_init(&device, "device", EVENT_DEVICE, note_order, (void *)1);
	event_arm(events, &device, 20);
	event_arm(events, &stop, 10);
	assert_int_equal(events_next(events), 20);
	assert_int_equal(events_next_stop(events), 10);
	event_arm(events, &stop, 30);
	events_run(events, 25);
	assert_int_equal(fired_count, 1);
	assert_int_equal(fired_order[0], 1);
	event_arm(events, &device, 30);
	events_run(events, 30);
	assert_int_equal(fired_count, 3);
	assert_int_equal(fired_order[2], 0); /* of the same time, after the device */
	assert_int_equal(events_next_stop(events), UINT64_MAX);
	assert_false(event_armed(&stop));
	events_free(events);
}

static void
events_by_instruction_count_know_no_time(void **state)
{
	struct events *events = events_new(1000);
	struct event first, second;

	(void)state;
	fired_count = 0;
	event_init(&first, "first", EVENT_STOP, note_order, (void *)1);
	event_init(&second, "second", EVENT_STOP, note_order, (void *)2);
	event_arm_icount(events, &second, 200);
	event_arm_icount(events, &first, 100);
	assert_true(event_armed(&first));
	assert_int_equal(events_next(events), UINT64_MAX);
	assert_int_equal(events_next_icount(events), 100);
	events_run(events, 1000);
	assert_int_equal(fired_count, 0);
	events_run_icount(events, 150, 1000);
	assert_int_equal(fired_count, 1);
	assert_int_equal(fired_order[0], 1);
	/* Armed otherwise, or disarmed, it is no longer there. */
	event_arm(events, &second, 2000);
	assert_int_equal(events_next_icount(events), UINT64_MAX);
	assert_int_equal(events_next(events), 2000);
	event_arm_icount(events, &second, 300);
	assert_int_equal(events_next(events), UINT64_MAX);
	event_disarm(events, &second);
	assert_int_equal(events_next_icount(events), UINT64_MAX);
	events_free(events);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_fire_in_order_of_time_whatever_the_order_of_arming),
		cmocka_unit_test(events_of_one_time_fire_by_priority_then_by_order_of_arming),
		cmocka_unit_test(an_event_may_arm_itself_again),
		cmocka_unit_test(an_event_that_arms_itself_in_the_past_does_not_hold_time_still),
		cmocka_unit_test(a_disarmed_event_does_not_fire),
		cmocka_unit_test(the_run_loop_hears_only_of_earlier_events),
		cmocka_unit_test(cycles_and_nanoseconds_convert_without_overflow),
		cmocka_unit_test(loaded_events_fire_in_the_order_they_were_saved_with),
		cmocka_unit_test(the_hash_does_not_depend_on_how_often_others_were_armed),
		cmocka_unit_test(stops_that_wait_are_nobodys_next_event),
		cmocka_unit_test(events_by_instruction_count_know_no_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
