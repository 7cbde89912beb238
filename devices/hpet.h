/* High precision event timers: a 100 MHz counter and three comparators. See hpet.c. */
#ifndef NB_DEVICES_HPET_H
#define NB_DEVICES_HPET_H

#include "base/events.h"
#include "base/types.h"
#include "bus/irq.h"
#include "bus/memory.h"

struct state;

#define HPET_BASE 0xfed00000ull
#define HPET_HZ 100000000
#define HPET_TIMERS 3
/* Capabilities, low half: vendor, legacy replacement, 64 bits, 3 timers, revision 1. The ACPI table repeats it. */
#define HPET_CAPABILITIES 0x8086a201u

#define HPET_LEAST_PERIOD 100u /* ticks between interrupts of a periodic timer; ACPI table, too */

struct hpet;

struct hpet_timer {
	struct hpet *hpet;
	u64 config;
	u64 comparator;
	u64 period;
	u64 seen; /* counter value up to which matches are accounted for */
	int line; /* level put out, to the input `routed` */
	u8 routed;
	struct event event;
};

struct hpet {
	struct events *events;
	struct irq_line legacy[2]; /* the board's interrupt 0 and 8 */
	struct irq_line ioapic;    /* input 0; input n has a number higher by n */
	u64 config, status;
	u64 offset; /* counter = offset + ticks while enabled, offset alone while halted */
	u64 latest; /* tick of the latest access */
	struct hpet_timer timer[HPET_TIMERS];
	int legacy_in[2]; /* levels that PIT and RTC would put on interrupts 0 and 8 */
};

/*
 * Maps the registers at HPET_BASE. PIT and RTC pull hpet_legacy_in() 0 and 1; the switch behind it gives `irq0` and
 * `irq8` either to them or, in legacy replacement mode, to timers 0 and 1.
 */
void hpet_init(struct hpet *hpet, struct events *events, struct memory *memory, const struct irq_line *irq0,
	       const struct irq_line *irq8, const struct irq_line *ioapic);
struct irq_line hpet_legacy_in(struct hpet *hpet, unsigned which);
void hpet_reset(struct hpet *hpet);
void hpet_state(struct hpet *hpet, struct state *s);

#endif
