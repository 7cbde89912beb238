/*
 * The event queue: a binary heap of pointers, ordered by (time, priority, sequence). Stops that wait and those by instruction count are few, and in
 * a list.
 */
#include "base/events.h"

#include <stdlib.h>

#include "base/snapshot.h"
#include "base/stop.h"

#define SECOND_NS 1000000000ull
#define ASIDE_MOST 64
enum { SLOT_STOP = -2, SLOT_ICOUNT = -3 }; /* not in the heap, but aside */

struct events {
	struct event **heap;
	unsigned count, room;
	struct event *aside[ASIDE_MOST];
	unsigned asides;
	bool stops_wait;
	u64 hz;
	u64 sequence; /* the next one */
	u64 ran;      /* time of the last events_run() */
	const struct event *firing;
	u64 ran_icount;
	u64 (*now)(void *opaque);
	void (*sooner)(void *opaque, u64 time);
	void *opaque;
};

struct events *
events_new(u64 hz)
{
	struct events *events = calloc(1, sizeof(*events));

	assert(hz != 0);
	if (!events)
		stop_host_error("out of memory");
	events->hz = hz;
	return events;
}

void
events_free(struct events *events)
{
	if (!events)
		return;
	free(events->heap);
	free(events);
}

void
event_init(struct event *event, const char *name, int priority, void (*fire)(void *, u64), void *opaque)
{
	*event = (struct event){.name = name, .priority = priority, .fire = fire, .opaque = opaque, .slot = -1};
}

static bool
before(const struct event *a, const struct event *b)
{
	if (a->time != b->time)
		return a->time < b->time;
	if (a->priority != b->priority)
		return a->priority < b->priority;
	return a->sequence < b->sequence;
}

static void
place(struct events *events, unsigned slot, struct event *event)
{
	events->heap[slot] = event;
	event->slot = (int)slot;
}

/* Puts `event` where it belongs, starting from the hole at `slot`. */
static void
sift(struct events *events, unsigned slot, struct event *event)
{
	while (slot > 0 && before(event, events->heap[(slot - 1) / 2])) {
		place(events, slot, events->heap[(slot - 1) / 2]);
		slot = (slot - 1) / 2;
	}
	for (;;) {
		unsigned child = slot * 2 + 1;

		if (child >= events->count)
			break;
		if (child + 1 < events->count && before(events->heap[child + 1], events->heap[child]))
			child++;
		if (!before(events->heap[child], event))
			break;
		place(events, slot, events->heap[child]);
		slot = child;
	}
	place(events, slot, event);
}

static void
insert(struct events *events, struct event *event)
{
	if (events->count == events->room) {
		unsigned room = events->room ? events->room * 2 : 32;
		struct event **heap = realloc(events->heap, room * sizeof(*heap));

		if (!heap)
			stop_host_error("out of memory");
		events->heap = heap;
		events->room = room;
	}
	events->count++;
	sift(events, events->count - 1, event);
}

static void
put_aside(struct events *events, struct event *event, int slot)
{
	assert(event->priority >= EVENT_STOP && events->asides < ASIDE_MOST);
	event->slot = slot;
	events->aside[events->asides++] = event;
}

/* The first of those aside; NULL if there is none. */
static struct event *
first_aside(const struct events *events, int slot)
{
	struct event *first = NULL;

	for (unsigned i = 0; i < events->asides; i++)
		if (events->aside[i]->slot == slot && (!first || before(events->aside[i], first)))
			first = events->aside[i];
	return first;
}

void
event_arm_icount(struct events *events, struct event *event, u64 icount)
{
	event_disarm(events, event);
	if (event == events->firing && icount <= events->ran_icount)
		icount = events->ran_icount + 1;
	event->time = icount;
	event->sequence = events->sequence++;
	put_aside(events, event, SLOT_ICOUNT);
}

void
event_arm(struct events *events, struct event *event, u64 time)
{
	if (event->slot < -1)
		event_disarm(events, event);
	/*
	 * An event that arms itself for a time that has come would fire for ever within one instant: a cycle must pass.
	 */
	if (event == events->firing && time <= events->ran)
		time = events->ran + 1;
	event->time = time;
	event->sequence = events->sequence++;
	if (events->stops_wait && event->priority >= EVENT_STOP) {
		event_disarm(events, event);
		put_aside(events, event, SLOT_STOP);
		return;
	}
	if (event->slot < 0)
		insert(events, event);
	else
		sift(events, (unsigned)event->slot, event);
	if (event->slot == 0 && events->sooner)
		events->sooner(events->opaque, time);
}

void
event_disarm(struct events *events, struct event *event)
{
	unsigned slot = (unsigned)event->slot;
	struct event *last;

	if (event->slot < -1) {
		for (unsigned i = 0; i < events->asides; i++)
			if (events->aside[i] == event)
				events->aside[i] = events->aside[--events->asides];
		event->slot = -1;
	}
	if (event->slot < 0)
		return;
	last = events->heap[--events->count];
	event->slot = -1;
	if (last != event)
		sift(events, slot, last);
}

bool
event_armed(const struct event *event)
{
	return event->slot != -1;
}

u64
events_now(const struct events *events)
{
	return events->now ? events->now(events->opaque) : events->ran;
}

u64
events_hz(const struct events *events)
{
	return events->hz;
}

u64
events_to_ns(const struct events *events, u64 cycles)
{
	return mul_div(cycles, SECOND_NS, events->hz);
}

u64
events_from_ns(const struct events *events, u64 ns)
{
	return mul_div(ns, events->hz, SECOND_NS);
}

u64
events_next(const struct events *events)
{
	return events->count ? events->heap[0]->time : UINT64_MAX;
}

void
events_run(struct events *events, u64 now)
{
	events->ran = now;
	for (;;) {
		struct event *event = events->count ? events->heap[0] : NULL, *stop = first_aside(events, SLOT_STOP);

		if (stop && (!event || before(stop, event)))
			event = stop;
		if (!event || event->time > now)
			break;
		event_disarm(events, event);
		events->firing = event;
		event->fire(event->opaque, now);
		events->firing = NULL;
	}
}

void
events_stops_wait(struct events *events)
{
	assert(!events->count && !events->asides);
	events->stops_wait = true;
}

u64
events_next_stop(const struct events *events)
{
	const struct event *first = events->asides ? first_aside(events, SLOT_STOP) : NULL;

	return first ? first->time : UINT64_MAX;
}

u64
events_next_icount(const struct events *events)
{
	const struct event *first = events->asides ? first_aside(events, SLOT_ICOUNT) : NULL;

	return first ? first->time : UINT64_MAX;
}

void
events_run_icount(struct events *events, u64 icount, u64 now)
{
	struct event *event;

	events->ran_icount = icount;
	while ((event = first_aside(events, SLOT_ICOUNT)) && event->time <= icount) {
		event_disarm(events, event);
		events->firing = event;
		event->fire(event->opaque, now);
		events->firing = NULL;
	}
}

void
events_set_source(struct events *events, u64 (*now)(void *opaque), void (*sooner)(void *opaque, u64 time), void *opaque)
{
	events->now = now;
	events->sooner = sooner;
	events->opaque = opaque;
}

void
state_event(struct state *s, struct events *events, struct event *event)
{
	u8 armed = event->slot >= 0;
	u64 time = armed ? event->time : 0;
	u64 sequence = armed ? event->sequence : 0;

	STATE(s, armed);
	STATE(s, time);
	/*
	 * The sequence decides ties only. Its absolute value counts every arming, those of -hash and -stop-after too,
	 * and a hash must not depend on how often it is taken.
	 */
	if (state_mode(s) != STATE_HASH)
		STATE(s, sequence);
	if (state_mode(s) != STATE_LOAD)
		return;
	event_disarm(events, event);
	if (armed > 1 || sequence >= STATE_TIME_END) {
		state_fail(s, "snapshot has an event that cannot be");
		return;
	}
	if (!armed)
		return;
	event->time = time;
	event->sequence = sequence;
	if (events->sequence <= sequence)
		events->sequence = sequence + 1;
	insert(events, event);
	if (event->slot == 0 && events->sooner)
		events->sooner(events->opaque, time);
}
