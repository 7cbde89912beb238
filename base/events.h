/*
 * Virtual time and the event queue.
 *
 * Time is counted in cycles of the machine's one clock (u64, from 0 at power on; -clock gives the rate in Hz). With
 * -timing insn a processor spends one cycle per instruction. Nothing here or above reads the host's clock.
 * Events fire in the order (time, priority, sequence of arming), each at exactly its time as seen by a lone processor.
 */
#ifndef NB_BASE_EVENTS_H
#define NB_BASE_EVENTS_H

#include "base/types.h"

struct events;

/* Lower fires first among events of the same time. */
enum event_priority { EVENT_CLOCK = 0, EVENT_DEVICE = 10, EVENT_INPUT = 20, EVENT_STOP = 30 };

/* One timer, embedded in its owner. Fields are private to events.c. `fire` may arm or disarm any event, itself too. */
struct event {
	u64 time;
	u64 sequence;
	void (*fire)(void *opaque, u64 now);
	void *opaque;
	const char *name;
	int priority;
	int slot; /* place in the heap, -1 when not armed */
};

struct events *events_new(u64 hz);
void events_free(struct events *events);

void event_init(struct event *event, const char *name, int priority, void (*fire)(void *, u64), void *opaque);

/* Arms (or moves) the event to fire at `time`; a time in the past fires as soon as the processor allows. */
void event_arm(struct events *events, struct event *event, u64 time);
void event_disarm(struct events *events, struct event *event);
bool event_armed(const struct event *event);

/*
 * The present time. While an instruction executes this is the time at which it began: the processor sets the source.
 * Devices call it from register accesses and from events.
 */
u64 events_now(const struct events *events);
u64 events_hz(const struct events *events);

/* a * b / c without overflow in between. */
static inline u64
mul_div(u64 a, u64 b, u64 c)
{
	return (u64)((u128)a * b / c);
}

/* Cycles <-> nanoseconds of the machine's clock, rounding down. */
u64 events_to_ns(const struct events *events, u64 cycles);
u64 events_from_ns(const struct events *events, u64 ns);

/* For the run loop only: time of the next event (UINT64_MAX if none); fire all that are due at or before `now`. */
u64 events_next(const struct events *events);
void events_run(struct events *events, u64 now);
/* For the run loop only: where events_now() reads, and who is told that an earlier event was armed. */
void events_set_source(struct events *events, u64 (*now)(void *opaque), void (*sooner)(void *opaque, u64 time),
		       void *opaque);

#endif
