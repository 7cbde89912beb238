/*
 * A chip's own clock, derived from virtual time: tick n begins at the first cycle whose time is at least n periods.
 * Counters are computed from these when somebody looks; nothing runs per tick.
 */
#ifndef NB_DEVICES_TICKS_H
#define NB_DEVICES_TICKS_H

#include "base/events.h"
#include "base/types.h"

/* Whole ticks of a clock of `rate` Hz that have passed at `cycles`. */
static inline u64
ticks_at(const struct events *events, u64 rate, u64 cycles)
{
	return mul_div(cycles, rate, events_hz(events));
}

static inline u64
ticks_now(const struct events *events, u64 rate)
{
	return ticks_at(events, rate, events_now(events));
}

/* The first cycle at which ticks_at() is `tick`; never overflows to the past. */
static inline u64
ticks_time(const struct events *events, u64 rate, u64 tick)
{
	u128 time = ((u128)tick * events_hz(events) + rate - 1) / rate;
	return time > UINT64_MAX ? UINT64_MAX : (u64)time;
}

#endif
