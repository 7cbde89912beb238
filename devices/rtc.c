/*
 * Motorola MC146818A real-time clock with the CMOS memory of a PC.
 *
 * Source: MC146818A data sheet, "Update Cycle", "Divider Control", "Interrupts"; 82371AB (PIIX4) data sheet, "Real Time
 * Clock".
 * The time is computed from virtual time when it is read. UF, AF and PF are found out when register C is read or when
 * an enabled interrupt needs them, so that a clock which nobody listens to costs nothing.
 * Register 0x32 keeps the century, as the FADT says. Not modelled: daylight saving (register B bit 0), the square wave
 * pin, time bases other than 32.768 kHz.
 */
#include "devices/rtc.h"

#include <stdlib.h>
#include <string.h>

#include "base/snapshot.h"
#include "devices/ticks.h"

enum { SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM, WEEKDAY, DAY, MONTH, YEAR, A, B, C, D };
#define CENTURY 0x32

#define A_UIP BIT(7)
#define B_SET BIT(7)
#define B_PIE BIT(6)
#define B_AIE BIT(5)
#define B_UIE BIT(4)
#define B_SQWE BIT(3)
#define B_DM BIT(2) /* binary */
#define B_24 BIT(1)
#define C_IRQF BIT(7)
#define C_PF BIT(6)
#define C_AF BIT(5)
#define C_UF BIT(4)
#define D_VRT BIT(7)

#define NEVER INT64_MAX
#define LIMIT (1ll << 48) /* no clock gets there */
#define DAY_SECONDS 86400
/* The update cycle takes 1984 us and is announced by UIP 244 us ahead: 73 ticks until the new second shows. */
#define UIP_TICKS 73

static s64
floor_div(s64 a, s64 b)
{
	return a / b - (a % b < 0);
}

static s64
floor_mod(s64 a, s64 b)
{
	return a - floor_div(a, b) * b;
}

static u64
tick_now(const struct rtc *rtc)
{
	return ticks_now(rtc->events, RTC_HZ);
}

static bool
divider_reset(const struct rtc *rtc)
{
	return (rtc->cmos[A] & 0x60) == 0x60;
}

/* Ticks between periodic interrupts, 0 for none. */
static s64
period(const struct rtc *rtc)
{
	unsigned rate = rtc->cmos[A] & 15;

	if (rate == 0 || divider_reset(rtc))
		return 0;
	/* 1 and 2 repeat 8 and 9. */
	return 1 << ((rate <= 2 ? rate + 7 : rate) - 1);
}

static s64
seconds_at(const struct rtc *rtc, u64 tick)
{
	return rtc->seconds + floor_div((s64)tick - rtc->chain, RTC_HZ);
}

/*
 * Days since 1970-01-01 of a date of the proleptic Gregorian calendar; years begin in March here, so that leap days
 * come last.
 */
static s64
days_from_date(s64 year, unsigned month, s64 day)
{
	s64 y = month <= 2 ? year - 1 : year, era = floor_div(y, 400);
	s64 year_of_era = y - era * 400;
	s64 day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static void
date_from_days(s64 days, s64 *year, unsigned *month, unsigned *day)
{
	s64 shifted = days + 719468, era = floor_div(shifted, 146097), day_of_era = shifted - era * 146097;
	s64 year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	s64 day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	s64 shifted_month = (5 * day_of_year + 2) / 153;

	*day = (unsigned)(day_of_year - (153 * shifted_month + 2) / 5 + 1);
	*month = (unsigned)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
	*year = year_of_era + era * 400 + (*month <= 2);
}

static u8
encode(const struct rtc *rtc, unsigned value)
{
	return (u8)(rtc->cmos[B] & B_DM ? value : (value / 10 << 4 | value % 10));
}

static unsigned
decode(const struct rtc *rtc, u8 byte)
{
	return rtc->cmos[B] & B_DM ? byte : (byte >> 4) * 10u + (byte & 15);
}

static unsigned
decode_hour(const struct rtc *rtc, u8 byte)
{
	if (rtc->cmos[B] & B_24)
		return decode(rtc, byte);
	return decode(rtc, byte & 0x7f) % 12 + (byte & 0x80 ? 12 : 0);
}

/* The running clock's time into the register bytes. */
static void
show(struct rtc *rtc, u64 tick)
{
	s64 seconds = seconds_at(rtc, tick), days = floor_div(seconds, DAY_SECONDS), year;
	unsigned of_day = (unsigned)floor_mod(seconds, DAY_SECONDS), hour = of_day / 3600, month, day;

	date_from_days(days, &year, &month, &day);
	rtc->cmos[SECONDS] = encode(rtc, of_day % 60);
	rtc->cmos[MINUTES] = encode(rtc, of_day / 60 % 60);
	if (rtc->cmos[B] & B_24)
		rtc->cmos[HOURS] = encode(rtc, hour);
	else
		rtc->cmos[HOURS] = encode(rtc, (hour + 11) % 12 + 1) | (hour >= 12 ? 0x80 : 0);
	rtc->cmos[WEEKDAY] = encode(rtc, (unsigned)floor_mod(days + 4 + rtc->weekday_offset, 7) + 1);
	rtc->cmos[DAY] = encode(rtc, day);
	rtc->cmos[MONTH] = encode(rtc, month);
	rtc->cmos[YEAR] = encode(rtc, (unsigned)floor_mod(year, 100));
	rtc->cmos[CENTURY] = encode(rtc, (unsigned)floor_mod(floor_div(year, 100), 100));
}

/* The register bytes become the running clock's time. Bytes that are no time carry over into the next unit. */
static void
take(struct rtc *rtc, u64 tick)
{
	unsigned month = decode(rtc, rtc->cmos[MONTH]);
	s64 year = decode(rtc, rtc->cmos[CENTURY]) * 100 + decode(rtc, rtc->cmos[YEAR]);
	s64 days = days_from_date(year, MIN(MAX(month, 1u), 12u), decode(rtc, rtc->cmos[DAY]));
	s64 of_day = decode_hour(rtc, rtc->cmos[HOURS]) * 3600 + decode(rtc, rtc->cmos[MINUTES]) * 60 +
		     decode(rtc, rtc->cmos[SECONDS]);

	rtc->weekday_offset = (u8)floor_mod((s64)decode(rtc, rtc->cmos[WEEKDAY]) - 1 - (days + 4), 7);
	rtc->seconds = days * DAY_SECONDS + of_day - floor_div((s64)tick - rtc->chain, RTC_HZ);
}

static bool
alarm_matches(u8 byte, unsigned decoded, unsigned value)
{
	return (byte & 0xc0) == 0xc0 || decoded == value;
}

/* The first second after `after` at which the alarm goes off. */
static s64
next_alarm(const struct rtc *rtc, s64 after)
{
	const u8 *r = rtc->cmos;
	unsigned hour = decode_hour(rtc, r[HOURS_ALARM]);
	s64 t = after + 1;

	/*
	 * Each step skips an hour, a minute or a second that does not match: a day is searched in fewer steps than
	 * this.
	 */
	for (unsigned step = 0; step < 400; step++) {
		unsigned of_day = (unsigned)floor_mod(t, DAY_SECONDS);

		if (!alarm_matches(r[HOURS_ALARM], hour, of_day / 3600))
			t += 3600 - of_day % 3600;
		else if (!alarm_matches(r[MINUTES_ALARM], decode(rtc, r[MINUTES_ALARM]), of_day / 60 % 60))
			t += 60 - of_day % 60;
		else if (!alarm_matches(r[SECONDS_ALARM], decode(rtc, r[SECONDS_ALARM]), of_day % 60))
			t++;
		else
			return t;
	}
	return NEVER;
}

/* Brings the flags of register C up to `tick`. Needed before anything that they depend on changes. */
static void
account(struct rtc *rtc, u64 tick)
{
	s64 from = (s64)rtc->seen - rtc->chain, to = (s64)tick - rtc->chain;

	if (tick <= rtc->seen)
		return;
	rtc->seen = tick;
	if (period(rtc) && floor_div(to, period(rtc)) != floor_div(from, period(rtc)))
		rtc->cmos[C] |= C_PF;
	if (!rtc->running || floor_div(to, RTC_HZ) == floor_div(from, RTC_HZ))
		return;
	rtc->cmos[C] |= C_UF;
	if (next_alarm(rtc, rtc->seconds + floor_div(from, RTC_HZ)) <= seconds_at(rtc, tick))
		rtc->cmos[C] |= C_AF;
}

/* IRQF, the line, and the event for what may raise it next. */
static void
update(struct rtc *rtc)
{
	u8 enabled = rtc->cmos[B] & (B_PIE | B_AIE | B_UIE);
	bool level = rtc->cmos[C] & enabled;
	s64 at = (s64)rtc->seen - rtc->chain, next = NEVER;

	rtc->cmos[C] = (u8)((rtc->cmos[C] & ~C_IRQF) | (level ? C_IRQF : 0));
	if (level != rtc->irq_level) {
		rtc->irq_level = level;
		irq_set(&rtc->irq, level);
		if (level && rtc->cmos[C] & C_AF && rtc->alarm)
			rtc->alarm(rtc->alarm_opaque);
	}
	if (!level) {
		if (enabled & B_PIE && period(rtc))
			next = (floor_div(at, period(rtc)) + 1) * period(rtc);
		if (enabled & B_UIE && rtc->running)
			next = MIN(next, (floor_div(at, RTC_HZ) + 1) * RTC_HZ);
		if (enabled & B_AIE && rtc->running) {
			s64 alarm = next_alarm(rtc, rtc->seconds + floor_div(at, RTC_HZ));

			if (alarm != NEVER)
				next = MIN(next, (alarm - rtc->seconds) * RTC_HZ);
		}
	}
	if (next == NEVER)
		event_disarm(rtc->events, &rtc->event);
	else
		event_arm(rtc->events, &rtc->event, ticks_time(rtc->events, RTC_HZ, (u64)(next + rtc->chain)));
}

static void
fire(void *opaque, u64 now)
{
	struct rtc *rtc = opaque;

	account(rtc, ticks_at(rtc->events, RTC_HZ, now));
	update(rtc);
}

/* Registers A and B decide whether the clock runs. */
static void
write_control(struct rtc *rtc, unsigned index, u8 value, u64 tick)
{
	bool was_reset = divider_reset(rtc), run;

	if (index == A) {
		rtc->cmos[A] = value & 0x7f;
		run = !(rtc->cmos[B] & B_SET) && !divider_reset(rtc);
	} else {
		run = !(value & B_SET) && !divider_reset(rtc);
	}
	/* The bytes are shown in the old format, and read in the new one. */
	if (rtc->running && !run)
		show(rtc, tick);
	if (index == B)
		rtc->cmos[B] = value & B_SET ? value & (u8)~B_UIE : value;
	/* The first update comes half a second after the divider is let go. */
	if (was_reset && !divider_reset(rtc)) {
		rtc->chain = (s64)tick - RTC_HZ / 2;
		rtc->seen = tick;
	}
	if (!rtc->running && run)
		take(rtc, tick);
	rtc->running = run;
}

static bool
is_time(unsigned index)
{
	return index == SECONDS || index == MINUTES || index == HOURS || (index >= WEEKDAY && index <= YEAR) ||
	       index == CENTURY;
}

static u32
rtc_read(void *opaque, u16 port, unsigned size)
{
	struct rtc *rtc = opaque;
	u64 tick = tick_now(rtc);
	u8 value;

	(void)size;
	if (!(port & 1))
		return 0xff; /* the index cannot be read */
	if (rtc->running && is_time(rtc->index))
		show(rtc, tick);
	value = rtc->cmos[rtc->index];
	switch (rtc->index) {
	case A:
		if (rtc->running && floor_mod((s64)tick - rtc->chain, RTC_HZ) >= RTC_HZ - UIP_TICKS)
			value |= A_UIP;
		break;
	case C:
		account(rtc, tick);
		update(rtc);
		value = rtc->cmos[C];
		rtc->cmos[C] = 0;
		update(rtc);
		break;
	default:
		break;
	}
	return value;
}

static void
rtc_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct rtc *rtc = opaque;
	u64 tick = tick_now(rtc);

	(void)size;
	if (!(port & 1)) {
		rtc->index = value & 0x7f; /* bit 7 would mask NMI */
		return;
	}
	account(rtc, tick);
	switch (rtc->index) {
	case A:
	case B:
		write_control(rtc, rtc->index, (u8)value, tick);
		break;
	case C:
	case D:
		break;
	default:
		if (rtc->running && is_time(rtc->index)) {
			show(rtc, tick);
			rtc->cmos[rtc->index] = (u8)value;
			take(rtc, tick);
		} else {
			rtc->cmos[rtc->index] = (u8)value;
		}
		break;
	}
	update(rtc);
}

static const struct port_ops rtc_ports = {rtc_read, rtc_write, PORT_BYTE};

void
rtc_init(struct rtc *rtc, struct events *events, struct ports *ports, const struct irq_line *irq, s64 start)
{
	memset(rtc, 0, sizeof(*rtc));
	rtc->events = events;
	rtc->irq = *irq;
	rtc->start = start;
	event_init(&rtc->event, "rtc", EVENT_DEVICE, fire, rtc);
	ports_map(ports, "rtc", 0x70, 2, &rtc_ports, rtc);
	rtc->cmos[A] = 0x26;
	rtc->cmos[B] = B_24;
	rtc->cmos[D] = D_VRT;
	rtc->seconds = start;
	rtc->running = true;
}

void
rtc_reset(struct rtc *rtc)
{
	account(rtc, tick_now(rtc));
	rtc->cmos[B] &= (u8)~(B_PIE | B_AIE | B_UIE | B_SQWE);
	rtc->cmos[C] = 0;
	update(rtc);
}

void
rtc_set_cmos(struct rtc *rtc, unsigned index, u8 value)
{
	assert(index > D && index < sizeof(rtc->cmos) && index != CENTURY);
	rtc->cmos[index] = value;
}

static void
set_cmos16(struct rtc *rtc, unsigned index, u64 value)
{
	value = MIN(value, 0xffffu);
	rtc_set_cmos(rtc, index, (u8)value);
	rtc_set_cmos(rtc, index + 1, (u8)(value >> 8));
}

void
rtc_set_memory(struct rtc *rtc, u64 below, u64 above)
{
	const u64 mib = 1 << 20;
	u64 extended = below > mib ? (below - mib) >> 10 : 0, blocks = below > 16 * mib ? (below - 16 * mib) >> 16 : 0;

	set_cmos16(rtc, 0x15, MIN(below >> 10, 640u)); /* KiB of base memory */
	set_cmos16(rtc, 0x17, extended);               /* KiB above 1 MiB, twice */
	set_cmos16(rtc, 0x30, extended);
	set_cmos16(rtc, 0x34, blocks); /* 64 KiB blocks above 16 MiB */
	above >>= 16;                  /* 64 KiB blocks above 4 GiB */
	rtc_set_cmos(rtc, 0x5b, (u8)above);
	rtc_set_cmos(rtc, 0x5c, (u8)(above >> 8));
	rtc_set_cmos(rtc, 0x5d, (u8)(above >> 16));
}

void
rtc_state(struct rtc *rtc, struct state *s)
{
	state_section(s, "rtc", 1);
	STATE(s, rtc->index);
	STATE(s, rtc->cmos);
	state_bool(s, &rtc->running);
	STATE(s, rtc->chain);
	STATE(s, rtc->seconds);
	STATE(s, rtc->weekday_offset);
	STATE(s, rtc->seen);
	state_bool(s, &rtc->irq_level);
	state_event(s, rtc->events, &rtc->event);
	rtc->index &= 0x7f;
	if (llabs(rtc->chain) > LIMIT || llabs(rtc->seconds) > LIMIT) {
		state_fail(s, "snapshot of the RTC has a time that cannot be");
		rtc->chain = rtc->seconds = 0;
	}
}
