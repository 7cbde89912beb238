/*
 * Intel 8254 programmable interval timer. Counter 0 drives interrupt 0, counter 2 the speaker; port 0x61 carries its
 * gate and output.
 *
 * Source: 8254 data sheet (order 231164), "Mode Definitions", "Read-Back Command"; IBM AT Technical Reference, port
 * 61h.
 * Nothing is counted: each counter knows the tick at which it took its count, and the rest follows from virtual time.
 * The gates of counters 0 and 1 are tied high. Not modelled: sound; two bytes of a count that are written around a
 * mode's reload are taken together at the second one.
 */
#include "devices/pit.h"

#include <string.h>

#include "base/snapshot.h"
#include "devices/ticks.h"

static u32
modulus(const struct i8254_counter *c)
{
	return c->bcd ? 10000 : 65536;
}

/* Clock pulses since the counting element took its count. */
static u64
elapsed(const struct i8254_counter *c, u64 tick)
{
	if (c->paused || c->half_written)
		return c->stopped;
	return (s64)(tick - c->start) > 0 ? tick - c->start : 0;
}

/* Mode 3: pulses for which OUT is high in each period. */
static u32
high_half(u32 count)
{
	return (count + 1) / 2;
}

static bool
output(const struct i8254_counter *c, u64 tick)
{
	u64 e = elapsed(c, tick);
	bool running = c->loaded && (s64)(tick - c->start) >= 0;

	switch (c->mode) {
	case 0:
		return running && !c->half_written && e >= c->count;
	case 1:
		return !(running && c->triggered && e < c->count);
	case 2:
		return !(running && !c->paused && e % c->count == c->count - 1);
	case 3:
		return !(running && !c->paused && e % c->count >= high_half(c->count));
	case 4:
		return !(running && !c->paused && e == c->count);
	default:
		return !(running && c->triggered && e == c->count);
	}
}

/* The counting element, as software reads it. */
static u16
counting_element(const struct i8254_counter *c, u64 tick)
{
	u64 e = elapsed(c, tick);
	u32 n = c->count, value;

	if (!c->loaded)
		return 0;
	switch (c->mode) {
	case 2:
		value = n - (u32)(e % n);
		break;
	case 3: {
		/*
		 * Counts down by two, in the high and again in the low half; an odd count is taken as the even one
		 * below.
		 */
		u32 phase = (u32)(e % n), high = high_half(n);

		value = (n & ~1u) - 2 * (phase < high ? phase : phase - high);
		break;
	}
	case 1:
	case 5:
		if (!c->triggered) {
			value = n;
			break;
		}
		/* fall through */
	default:
		value = (u32)((n + modulus(c) - e % modulus(c)) % modulus(c));
		break;
	}
	value %= modulus(c);
	if (c->bcd)
		value = value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10;
	return (u16)value;
}

/* Modes 2 and 3: takes over the count that waits for the end of a (half) period, once that has come. */
static void
settle(struct i8254_counter *c, u64 tick)
{
	bool low_half;

	if (!c->changing || (c->mode != 2 && c->mode != 3) || c->paused || tick < c->change_at)
		return;
	low_half = c->mode == 3 && (c->change_at - c->start) % c->count != 0;
	c->count = c->next;
	c->start = c->change_at - (low_half ? high_half(c->count) : 0);
	c->changing = false;
}

/* The tick after `tick` at which OUT may rise or the count changes; UINT64_MAX if never. */
static u64
next_edge(const struct i8254_counter *c, u64 tick)
{
	u64 e = elapsed(c, tick), next = UINT64_MAX;

	if (!c->loaded || c->paused || c->half_written)
		return UINT64_MAX;
	switch (c->mode) {
	case 0:
		next = e < c->count ? c->start + c->count : UINT64_MAX;
		break;
	case 2:
	case 3:
		next = c->start + (e / c->count + 1) * c->count;
		break;
	case 4:
		next = e <= c->count ? c->start + c->count + 1 : UINT64_MAX;
		break;
	default: /* the gate of counter 0 never rises */
		break;
	}
	return c->changing ? MIN(next, c->change_at) : next;
}

/* Counter 0 may have changed: its line now, and the event for its next edge. */
static void
update(struct pit *pit, u64 tick)
{
	struct i8254_counter *c = &pit->counter[0];
	bool level = output(c, tick);
	u64 next = next_edge(c, tick);

	if (level != pit->irq_level) {
		pit->irq_level = level;
		irq_set(&pit->irq, level);
	}
	if (next == UINT64_MAX)
		event_disarm(pit->events, &pit->edge);
	else
		event_arm(pit->events, &pit->edge, ticks_time(pit->events, PIT_HZ, next));
}

/* A rising edge of counter 0. Its falling edges interest nobody, so they are made up here. */
static void
edge(void *opaque, u64 now)
{
	struct pit *pit = opaque;
	struct i8254_counter *c = &pit->counter[0];
	u64 tick = ticks_at(pit->events, PIT_HZ, now);

	settle(c, tick);
	if (output(c, tick) && pit->irq_level) {
		pit->irq_level = false;
		irq_set(&pit->irq, 0);
	}
	update(pit, tick);
}

/* Takes a new initial count at the next clock pulse. */
static void
load(struct i8254_counter *c, u32 count, u64 tick)
{
	c->count = count;
	c->loaded = true;
	c->start = tick + 1;
	c->stopped = 0;
	c->changing = false;
}

static void
write_count(struct i8254_counter *c, u16 value, u64 tick)
{
	u32 count = value;

	if (c->bcd)
		count = (value >> 12) * 1000 + (value >> 8 & 15) * 100 + (value >> 4 & 15) * 10 + (value & 15);
	/* Zero is the largest count. Digits above 9 are undefined; they may not leave the counter's range. */
	count %= modulus(c);
	if (count == 0)
		count = modulus(c);
	c->written = true;
	c->half_written = false;
	if (c->mode == 0 || c->mode == 4 || !c->loaded) {
		load(c, count, tick);
		return;
	}
	if ((c->mode == 1 || c->mode == 5) && !c->triggered) {
		c->count = count;
		return;
	}
	c->next = count;
	c->changing = true;
	if (c->mode == 2 || c->mode == 3) {
		u64 e = elapsed(c, tick), phase = e % c->count;
		u32 high = high_half(c->count);

		c->change_at = c->start + (e - phase) + (c->mode == 3 && phase < high ? high : c->count);
	}
}

static void
write_byte(struct i8254_counter *c, u8 value, u64 tick)
{
	switch (c->access) {
	case 1:
		write_count(c, value, tick);
		break;
	case 2:
		write_count(c, (u16)(value << 8), tick);
		break;
	default:
		if (!c->high_next_write) {
			c->written_low = value;
			c->high_next_write = true;
			/* Mode 0: the first byte stops counting and takes OUT low. */
			if (c->mode == 0) {
				c->stopped = elapsed(c, tick);
				c->half_written = true;
			}
		} else {
			c->high_next_write = false;
			write_count(c, (u16)(value << 8 | c->written_low), tick);
		}
		break;
	}
}

static u8
status(const struct i8254_counter *c, u64 tick)
{
	bool waits = (c->mode == 1 || c->mode == 5) && !c->triggered;
	bool null = !c->written || c->changing || waits || (s64)(tick - c->start) < 0;

	return (u8)(output(c, tick) << 7 | null << 6 | c->access << 4 | c->mode << 1 | c->bcd);
}

static void
latch_count(struct i8254_counter *c, u64 tick)
{
	if (c->count_latched)
		return;
	c->count_latched = true;
	c->latched_count = counting_element(c, tick);
}

static void
write_control(struct pit *pit, u8 value, u64 tick)
{
	struct i8254_counter *c;

	if (value >> 6 == 3) {
		/* Read-back: bits 1..3 choose counters; bit 5 low latches counts, bit 4 low latches status. */
		for (unsigned i = 0; i < 3; i++) {
			c = &pit->counter[i];
			if (!(value & BIT(i + 1)))
				continue;
			if (!(value & 0x20))
				latch_count(c, tick);
			if (!(value & 0x10) && !c->status_latched) {
				c->status_latched = true;
				c->latched_status = status(c, tick);
			}
		}
		return;
	}
	c = &pit->counter[value >> 6];
	if (!(value & 0x30)) {
		latch_count(c, tick);
		return;
	}
	*c = (struct i8254_counter){
		.access = value >> 4 & 3,
		.mode = value >> 1 & 7,
		.bcd = value & 1,
		.gate = c->gate,
		.count = 1,
		.next = 1,
	};
	if (c->mode >= 6)
		c->mode -= 4;
	c->paused = !c->gate && c->mode != 1 && c->mode != 5;
}

static void
set_gate(struct i8254_counter *c, bool gate, u64 tick)
{
	if (gate == c->gate)
		return;
	c->gate = gate;
	switch (c->mode) {
	case 1:
	case 5:
		if (!gate || !c->loaded)
			break;
		load(c, c->changing ? c->next : c->count, tick);
		c->triggered = true;
		break;
	case 2:
	case 3:
		if (!gate) {
			c->stopped = elapsed(c, tick);
			c->paused = true;
			break;
		}
		c->paused = false;
		if (c->loaded)
			load(c, c->changing ? c->next : c->count, tick);
		break;
	default:
		if (!gate) {
			c->stopped = elapsed(c, tick);
			c->paused = true;
		} else {
			c->paused = false;
			c->start = tick - c->stopped;
		}
		break;
	}
}

static u8
read_byte(struct i8254_counter *c, u64 tick)
{
	u16 value;
	bool high = c->access == 2 || (c->access == 3 && c->high_next_read);

	if (c->status_latched) {
		c->status_latched = false;
		return c->latched_status;
	}
	value = c->count_latched ? c->latched_count : counting_element(c, tick);
	if (c->access == 3)
		c->high_next_read = !c->high_next_read;
	if (c->access != 3 || high)
		c->count_latched = false;
	return (u8)(high ? value >> 8 : value);
}

/* Brings all counters up to the present, which every access needs first. */
static u64
present(struct pit *pit)
{
	u64 tick = ticks_now(pit->events, PIT_HZ);

	for (unsigned i = 0; i < 3; i++)
		settle(&pit->counter[i], tick);
	return tick;
}

static u32
pit_read(void *opaque, u16 port, unsigned size)
{
	struct pit *pit = opaque;
	u64 tick = present(pit);

	(void)size;
	return (port & 3) == 3 ? 0xff : read_byte(&pit->counter[port & 3], tick);
}

static void
pit_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct pit *pit = opaque;
	u64 tick = present(pit);

	(void)size;
	if ((port & 3) == 3)
		write_control(pit, (u8)value, tick);
	else
		write_byte(&pit->counter[port & 3], (u8)value, tick);
	update(pit, tick);
}

/*
 * Port 0x61: bit 0 gate of counter 2, bit 1 speaker data, bit 4 toggles with every refresh request (15 us), bit 5 OUT
 * of counter 2.
 */
static u32
speaker_read(void *opaque, u16 port, unsigned size)
{
	struct pit *pit = opaque;
	u64 tick = present(pit);

	(void)port;
	(void)size;
	return (u32)(pit->counter[2].gate | pit->speaker << 1 | (tick / 18 & 1) << 4 |
		     output(&pit->counter[2], tick) << 5);
}

static void
speaker_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct pit *pit = opaque;
	u64 tick = present(pit);

	(void)port;
	(void)size;
	pit->speaker = value & 2;
	set_gate(&pit->counter[2], value & 1, tick);
}

static const struct port_ops pit_ports = {pit_read, pit_write, PORT_BYTE};
static const struct port_ops speaker_ports = {speaker_read, speaker_write, PORT_BYTE};

void
pit_init(struct pit *pit, struct events *events, struct ports *ports, const struct irq_line *irq)
{
	memset(pit, 0, sizeof(*pit));
	pit->events = events;
	pit->irq = *irq;
	event_init(&pit->edge, "pit", EVENT_DEVICE, edge, pit);
	ports_map(ports, "pit", 0x40, 4, &pit_ports, pit);
	ports_map(ports, "speaker", 0x61, 1, &speaker_ports, pit);
	pit_reset(pit);
}

void
pit_reset(struct pit *pit)
{
	/* The chip comes up undefined; no count written, and OUT low, is the quietest. */
	for (unsigned i = 0; i < 3; i++)
		pit->counter[i] =
			(struct i8254_counter){.access = 3, .gate = i != 2, .paused = i == 2, .count = 1, .next = 1};
	pit->speaker = false;
	update(pit, ticks_now(pit->events, PIT_HZ));
}

void
pit_state(struct pit *pit, struct state *s)
{
	state_section(s, "pit", 1);
	for (unsigned i = 0; i < 3; i++) {
		struct i8254_counter *c = &pit->counter[i];

		STATE(s, c->mode);
		STATE(s, c->access);
		state_bool(s, &c->bcd);
		state_bool(s, &c->gate);
		state_bool(s, &c->high_next_write);
		state_bool(s, &c->high_next_read);
		STATE(s, c->written_low);
		state_bool(s, &c->written);
		state_bool(s, &c->loaded);
		state_bool(s, &c->half_written);
		state_bool(s, &c->triggered);
		STATE(s, c->count);
		STATE(s, c->start);
		STATE(s, c->stopped);
		state_bool(s, &c->paused);
		state_bool(s, &c->changing);
		STATE(s, c->next);
		STATE(s, c->change_at);
		state_bool(s, &c->count_latched);
		state_bool(s, &c->status_latched);
		STATE(s, c->latched_count);
		STATE(s, c->latched_status);
		if (c->mode > 5 || c->access > 3 || !c->count || c->count > 65536 || !c->next || c->next > 65536) {
			state_fail(s, "snapshot of the PIT has a counter that cannot be");
			*c = (struct i8254_counter){.access = 3, .count = 1, .next = 1};
		}
	}
	state_bool(s, &pit->irq_level);
	state_bool(s, &pit->speaker);
	state_event(s, pit->events, &pit->edge);
}
