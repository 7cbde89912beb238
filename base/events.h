/*
 * Virtual time and the event queue.
 *
 * Time is counted in cycles of the machine's one clock (u64, from 0 at power on; -clock gives the rate in Hz). With
 * -timing insn a processor spends one cycle per instruction. Nothing here or above reads the host's clock.
 * Events fire in the order (time, priority, sequence of arming), each at exactly its time as seen by a lone processor.
 *
 * Those of priority EVENT_STOP are nobody's in the machine: hashes, limits, a debugger's. With several processors they must not decide
 * how these take turns, so they wait for a moment when no processor is in the middle of its turn (events_stops_wait()). An event can also be
 * armed for an instruction count; that is exact with any number of processors.
 */
#ifndef NB_BASE_EVENTS_H
#define NB_BASE_EVENTS_H

#include "base/types.h"

struct events;

/* Lower fires first among events of the same time. */
enum event_priority { EVENT_CLOCK = 0, EVENT_DEVICE = 10, EVENT_INPUT = 20, EVENT_STOP = 30 };

/* One timer, embedded in its owner. Fields are private to events.c. `fire` may arm or disarm any event, itself too. */
struct event {
	u64 time; /* or instruction count */
	u64 sequence;
	void (*fire)(void *opaque, u64 now);
	void *opaque;
	const char *name;
	int priority;
	int slot; /* place in the heap, -1 when not armed, or where else it is */
};

struct events *events_new(u64 hz);
void events_free(struct events *events);

void event_init(struct event *event, const char *name, int priority, void (*fire)(void *, u64), void *opaque);

/* Arms (or moves) the event to fire at `time`; a time in the past fires as soon as the processor allows. */
void event_arm(struct events *events, struct event *event, u64 time);
/* The same for the moment when all processors together have executed `icount` instructions. Only of priority EVENT_STOP. */
void event_arm_icount(struct events *events, struct event *event, u64 icount);
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

/* For the run loop only: from now on, EVENT_STOP is not in events_next(), but in events_next_stop() (UINT64_MAX if none). */
void events_stops_wait(struct events *events);
u64 events_next_stop(const struct events *events);
/* For the run loop only: the earliest instruction count (UINT64_MAX if none); fire all that are due at `icount`, `now` being the time. */
u64 events_next_icount(const struct events *events);
void events_run_icount(struct events *events, u64 icount, u64 now);

#endif
