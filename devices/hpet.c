/*
 * High precision event timers.
 *
 * Source: IA-PC HPET Specification 1.0a, "Memory Mapped Registers", "Theory of Operation".
 * The main counter is virtual time in units of 10 ns. A timer's event is armed only while its match would be an
 * interrupt.
 * Not modelled: FSB delivery (its capability bits are clear).
 */
#include "devices/hpet.h"

#include <string.h>

#include "base/log.h"
#include "base/snapshot.h"
#include "devices/ticks.h"

LOG_CATEGORY("hpet");

#define PERIOD_FS 10000000ull

#define REG_CAPABILITIES 0x000
#define REG_CONFIG 0x010
#define REG_STATUS 0x020
#define REG_COUNTER 0x0f0
#define REG_TIMER 0x100 /* + 0x20 n: configuration, +8 comparator, +16 FSB route */

#define CONFIG_ENABLE BIT(0)
#define CONFIG_LEGACY BIT(1)

#define TIMER_LEVEL BIT(1)
#define TIMER_ENABLE BIT(2)
#define TIMER_PERIODIC BIT(3)
#define TIMER_PERIODIC_CAPABLE BIT(4)
#define TIMER_64_CAPABLE BIT(5)
#define TIMER_SET_VALUE BIT(6)
#define TIMER_32 BIT(8)
#define TIMER_ROUTE(config) BITS(config, 13, 9)
#define TIMER_WRITABLE (TIMER_LEVEL | TIMER_ENABLE | TIMER_PERIODIC | TIMER_SET_VALUE | TIMER_32 | 0x3e00)
/* IOAPIC inputs 16..23, which nothing else on the board uses. */
#define TIMER_ROUTES 0x00ff0000ull
#define TIMER_FIXED (TIMER_PERIODIC_CAPABLE | TIMER_64_CAPABLE | TIMER_ROUTES << 32)

/*
 * The tick of the present access. Processors take turns in slices of time, so the next one may look from a little
 * earlier than the last: the chip's time stands still then, so that its counter never runs backwards.
 */
static u64
present(struct hpet *h)
{
	h->latest = MAX(h->latest, ticks_now(h->events, HPET_HZ));
	return h->latest;
}

static u64
counter(struct hpet *h)
{
	return h->config & CONFIG_ENABLE ? h->offset + present(h) : h->offset;
}

static u64
width_mask(const struct hpet_timer *t)
{
	return t->config & TIMER_32 ? 0xffffffffu : ~0ull;
}

static unsigned
number(const struct hpet_timer *t)
{
	return (unsigned)(t - t->hpet->timer);
}

static bool
legacy(const struct hpet_timer *t)
{
	return t->hpet->config & CONFIG_LEGACY && number(t) < 2;
}

static void
put_line(struct hpet_timer *t, unsigned where, int level)
{
	struct hpet *h = t->hpet;
	struct irq_line line = h->ioapic;

	/* 32 and 33 stand for the legacy interrupts. */
	if (where >= 32) {
		irq_set(&h->legacy[where - 32], level);
	} else if (TIMER_ROUTES & BIT(where)) {
		line.number += where;
		irq_set(&line, level);
	}
}

/* Takes the line to what the status bit says, for level-triggered timers; edge-triggered ones rest low. */
static void
update_line(struct hpet_timer *t)
{
	unsigned where = legacy(t) ? 32 + number(t) : (unsigned)TIMER_ROUTE(t->config);
	int level = (t->config & (TIMER_LEVEL | TIMER_ENABLE)) == (TIMER_LEVEL | TIMER_ENABLE) &&
		    t->hpet->status & BIT(number(t));

	if (t->line && (!level || where != t->routed))
		put_line(t, t->routed, 0);
	if (level && (!t->line || where != t->routed))
		put_line(t, where, 1);
	t->line = level;
	t->routed = (u8)where;
}

/* The distance from counter value `seen` to the next match, at least 1. 0 stands for 2^64. */
static u64
distance(const struct hpet_timer *t)
{
	u64 d = (t->comparator - t->seen) & width_mask(t);

	return d == 0 && t->config & TIMER_32 ? 0x100000000ull : d;
}

/* Accounts for matches up to counter value `now`. True when there was one. */
static bool
advance(struct hpet_timer *t, u64 now)
{
	u64 d = distance(t), gone = now - t->seen;

	/* A comparator written this very tick is seen from one tick before. */
	if ((s64)gone <= 0)
		return false;
	t->seen = now;
	if (d == 0 || gone < d)
		return false;
	if (t->config & TIMER_PERIODIC && t->period)
		t->comparator = (t->comparator + (1 + (gone - d) / t->period) * t->period) & width_mask(t);
	return true;
}

static void
interrupt(struct hpet_timer *t)
{
	unsigned where = legacy(t) ? 32 + number(t) : (unsigned)TIMER_ROUTE(t->config);

	if (!(t->config & TIMER_ENABLE))
		return;
	if (t->config & TIMER_LEVEL) {
		t->hpet->status |= BIT(number(t));
		update_line(t);
	} else {
		put_line(t, where, 1);
		put_line(t, where, 0);
	}
}

static void
rearm(struct hpet_timer *t)
{
	struct hpet *h = t->hpet;
	u64 d = distance(t), ticks = t->seen - h->offset;

	/*
	 * Nobody hears: matches are accounted for when somebody looks. A level that is already up needs no second
	 * event.
	 */
	if (!(h->config & CONFIG_ENABLE) || !(t->config & TIMER_ENABLE) || d == 0 || ticks + d < ticks ||
	    (t->config & TIMER_LEVEL && h->status & BIT(number(t)))) {
		event_disarm(h->events, &t->event);
		return;
	}
	if (t->config & TIMER_PERIODIC && t->period < HPET_LEAST_PERIOD)
		d = MAX(d, HPET_LEAST_PERIOD); /* faster than promised to software: matches merge */
	event_arm(h->events, &t->event, ticks_time(h->events, HPET_HZ, ticks + d));
}

static void
fire(void *opaque, u64 now)
{
	struct hpet_timer *t = opaque;

	(void)now;
	if (advance(t, counter(t->hpet)))
		interrupt(t);
	rearm(t);
}

/* Brings all timers to the present, before anything that matches depend on changes. */
static void
settle(struct hpet *h)
{
	u64 now = counter(h);

	for (unsigned i = 0; i < HPET_TIMERS; i++)
		if (h->config & CONFIG_ENABLE && advance(&h->timer[i], now))
			interrupt(&h->timer[i]);
}

static void
rearm_all(struct hpet *h)
{
	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		update_line(&h->timer[i]);
		rearm(&h->timer[i]);
	}
}

static void
write_config(struct hpet *h, u64 value)
{
	u64 now = counter(h), changed = (h->config ^ value) & (CONFIG_ENABLE | CONFIG_LEGACY);

	if (changed & CONFIG_LEGACY) {
		bool replace = value & CONFIG_LEGACY;

		log_info("legacy replacement %s", replace ? "on" : "off");
		/* Whoever loses the lines lets go of them; who gets them puts its level there. */
		for (unsigned i = 0; i < 2; i++) {
			struct hpet_timer *t = &h->timer[i];

			if (t->line)
				put_line(t, t->routed, 0);
			t->line = 0;
			irq_set(&h->legacy[i], replace ? 0 : h->legacy_in[i]);
		}
	}
	h->config = value & (CONFIG_ENABLE | CONFIG_LEGACY);
	if (changed & CONFIG_ENABLE)
		h->offset = value & CONFIG_ENABLE ? now - present(h) : now;
}

static void
write_counter(struct hpet *h, u64 value)
{
	/* Written while it runs, which the specification leaves open: it goes on from there. */
	h->offset = h->config & CONFIG_ENABLE ? value - present(h) : value;
	for (unsigned i = 0; i < HPET_TIMERS; i++)
		h->timer[i].seen = value;
}

static void
write_timer_config(struct hpet_timer *t, u64 value)
{
	t->config = (value & TIMER_WRITABLE) | TIMER_FIXED;
	if (t->config & TIMER_32) {
		t->comparator &= 0xffffffffu;
		t->period &= 0xffffffffu;
	}
	if (!(t->config & TIMER_LEVEL))
		t->hpet->status &= ~BIT(number(t));
}

/* `mask`: the bytes that are written. */
static void
write_comparator(struct hpet_timer *t, u64 value, u64 mask)
{
	bool periodic = t->config & TIMER_PERIODIC;

	/*
	 * Periodic: with "set value" a write is the next match, too; without it, only the period. Each write clears the
	 * bit.
	 */
	if (!periodic || t->config & TIMER_SET_VALUE)
		t->comparator = ((t->comparator & ~mask) | value) & width_mask(t);
	if (periodic)
		t->period = ((t->period & ~mask) | value) & width_mask(t);
	t->config &= ~TIMER_SET_VALUE;
	/* A value equal to the counter matches at once. */
	t->seen = counter(t->hpet) - 1;
}

static u64
reg_read(struct hpet *h, u64 offset)
{
	unsigned n = (unsigned)(offset - REG_TIMER) / 0x20;

	switch (offset) {
	case REG_CAPABILITIES:
		return HPET_CAPABILITIES | PERIOD_FS << 32;
	case REG_CONFIG:
		return h->config;
	case REG_STATUS:
		settle(h);
		return h->status;
	case REG_COUNTER:
		return counter(h);
	default:
		break;
	}
	if (offset < REG_TIMER || n >= HPET_TIMERS)
		return 0;
	switch (offset & 0x18) {
	case 0x00:
		return h->timer[n].config;
	case 0x08:
		settle(h);
		return h->timer[n].comparator;
	default:
		return 0;
	}
}

static void
reg_write(struct hpet *h, u64 offset, u64 value, u64 mask)
{
	unsigned n = (unsigned)(offset - REG_TIMER) / 0x20;

	settle(h);
	switch (offset) {
	case REG_CONFIG:
		write_config(h, (h->config & ~mask) | value);
		break;
	case REG_STATUS:
		h->status &= ~value;
		break;
	case REG_COUNTER:
		write_counter(h, (counter(h) & ~mask) | value);
		break;
	default:
		if (offset < REG_TIMER || n >= HPET_TIMERS)
			break;
		if ((offset & 0x18) == 0x00)
			write_timer_config(&h->timer[n], (h->timer[n].config & ~mask) | value);
		else if ((offset & 0x18) == 0x08)
			write_comparator(&h->timer[n], value, mask);
		break;
	}
	rearm_all(h);
}

static u64
hpet_read(void *opaque, u64 offset, unsigned size)
{
	(void)size;
	return reg_read(opaque, offset & ~7ull) >> (offset & 7) * 8;
}

static void
hpet_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	unsigned shift = (offset & 7) * 8;
	u64 mask = (~0ull >> (64 - size * 8)) << shift;

	/* The specification allows 32 and 64 bits; narrower writes change their bytes. */
	reg_write(opaque, offset & ~7ull, value << shift & mask, mask);
}

static const struct mmio_ops hpet_ops = {hpet_read, hpet_write};

static void
legacy_set(void *opaque, unsigned which, int level)
{
	struct hpet *h = opaque;

	h->legacy_in[which] = level;
	if (!(h->config & CONFIG_LEGACY))
		irq_set(&h->legacy[which], level);
}

struct irq_line
hpet_legacy_in(struct hpet *hpet, unsigned which)
{
	assert(which < 2);
	return (struct irq_line){legacy_set, hpet, which};
}

void
hpet_init(struct hpet *h, struct events *events, struct memory *memory, const struct irq_line *irq0,
	  const struct irq_line *irq8, const struct irq_line *ioapic)
{
	static const char *const names[HPET_TIMERS] = {"hpet0", "hpet1", "hpet2"};

	memset(h, 0, sizeof(*h));
	h->events = events;
	h->legacy[0] = *irq0;
	h->legacy[1] = *irq8;
	h->ioapic = *ioapic;
	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		h->timer[i].hpet = h;
		event_init(&h->timer[i].event, names[i], EVENT_DEVICE, fire, &h->timer[i]);
	}
	memory_map_mmio(memory, "hpet", HPET_BASE, 0x1000, &hpet_ops, h);
	hpet_reset(h);
}

void
hpet_reset(struct hpet *h)
{
	write_config(h, 0);
	h->offset = h->status = 0;
	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		struct hpet_timer *t = &h->timer[i];

		t->config = TIMER_FIXED;
		t->comparator = ~0ull;
		t->period = t->seen = 0;
	}
	rearm_all(h);
}

void
hpet_state(struct hpet *h, struct state *s)
{
	state_section(s, "hpet", 1);
	STATE(s, h->config);
	STATE(s, h->status);
	STATE(s, h->offset);
	STATE(s, h->latest);
	STATE(s, h->legacy_in);
	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		struct hpet_timer *t = &h->timer[i];

		STATE(s, t->config);
		STATE(s, t->comparator);
		STATE(s, t->period);
		STATE(s, t->seen);
		STATE(s, t->line);
		STATE(s, t->routed);
		t->routed = MIN(t->routed, 33);
		state_event(s, h->events, &t->event);
	}
}
