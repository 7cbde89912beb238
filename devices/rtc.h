/* MC146818 real-time clock with 128 bytes of CMOS memory. See rtc.c. */
#ifndef NB_DEVICES_RTC_H
#define NB_DEVICES_RTC_H

#include "base/events.h"
#include "base/types.h"
#include "bus/irq.h"
#include "bus/ports.h"

struct state;

#define RTC_HZ 32768

struct rtc {
	struct events *events;
	struct irq_line irq;
	bool irq_level;
	/* Told when the alarm goes off, for wake-up from sleep. May be NULL. */
	void (*alarm)(void *opaque);
	void *alarm_opaque;
	s64 start; /* of the clock at power on: configuration */

	u8 index;     /* port 0x70 */
	u8 cmos[128]; /* registers and memory; the time's bytes are meaningful only while the clock stands */
	bool running; /* not SET, and the divider counts */
	/* Second boundaries lie at ticks `chain` + n * 32768; at tick `chain` the clock showed `seconds` since 1970. */
	s64 chain;
	s64 seconds;
	u8 weekday_offset; /* the day-of-week counter is its own */
	u64 seen;          /* tick up to which PF, AF and UF are accounted for */
	struct event event;
};

/* Ports 0x70, 0x71. `start`: seconds since 1970-01-01 shown at power on (time 0). */
void rtc_init(struct rtc *rtc, struct events *events, struct ports *ports, const struct irq_line *irq, s64 start);
/* RESET#: interrupt enables and flags only; time and memory live on. */
void rtc_reset(struct rtc *rtc);
/* A byte of CMOS memory (0x0e..0x7f), as firmware would have stored it. */
void rtc_set_cmos(struct rtc *rtc, unsigned index, u8 value);
/* The usual bytes for a machine of so much RAM below and above 4 GiB. */
void rtc_set_memory(struct rtc *rtc, u64 below, u64 above);
void rtc_state(struct rtc *rtc, struct state *s);

#endif
