/*
 * 82540EM: interrupt causes, mask, throttle and delay timers.
 *
 * Source: "Interrupt Control Registers", "Interrupt Moderation", "Receive Interrupt Delay Timer", "Transmit Interrupt
 * Delay Value". Delay timers count 1.024 us, the throttle 256 ns, both in virtual time.
 */
#include "devices/e1000_internal.h"

#define DELAY_UNIT_NS 1024
#define THROTTLE_UNIT_NS 256

/* The line follows ICR & IMS, except that it may not rise again before the throttle interval is over. */
static void
update_line(struct e1000 *e)
{
	bool level = (e->r.ICR[0] & e->r.IMS[0]) != 0;
	u64 now = events_now(e->events);

	if (!level)
		event_disarm(e->events, &e->throttle);
	if (level == e->irq_level)
		return;
	if (level && now < e->throttle_end) {
		event_arm(e->events, &e->throttle, e->throttle_end);
		return;
	}
	if (level) {
		e->throttle_end = now + e1000_ns(e, (u64)e->r.ITR[0] * THROTTLE_UNIT_NS);
		e->counters.interrupts++;
	}
	e->irq_level = level;
	pci_intx(&e->pci, level);
}

void
e1000_cause(struct e1000 *e, u32 causes)
{
	e->r.ICR[0] |= causes & ICR_CAUSES;
	update_line(e);
}

static void
throttle_over(void *opaque, u64 now)
{
	(void)now;
	update_line(opaque);
}

u32
e1000_read_icr(struct e1000 *e, u32 *reg)
{
	u32 value = *reg;

	*reg = 0;
	update_line(e);
	return value;
}

void
e1000_write_icr(struct e1000 *e, u32 *reg, u32 value)
{
	*reg &= ~value;
	update_line(e);
}

void
e1000_write_itr(struct e1000 *e, u32 *reg, u32 value)
{
	*reg = value & 0xffff;
	/* A shorter interval shortens the one that runs. */
	e->throttle_end = MIN(e->throttle_end, events_now(e->events) + e1000_ns(e, (u64)*reg * THROTTLE_UNIT_NS));
	if (event_armed(&e->throttle))
		event_arm(e->events, &e->throttle, e->throttle_end);
}

void
e1000_write_ics(struct e1000 *e, u32 *reg, u32 value)
{
	(void)reg;
	e1000_cause(e, value);
}

void
e1000_write_ims(struct e1000 *e, u32 *reg, u32 value)
{
	*reg |= value & ICR_CAUSES;
	update_line(e);
}

void
e1000_write_imc(struct e1000 *e, u32 *reg, u32 value)
{
	(void)reg;
	e->r.IMS[0] &= ~value;
	update_line(e);
}

/* Starts a pair of timers: `delay` starts anew with each packet, `absolute` bounds the wait from the first one. */
static void
start_timers(struct e1000 *e, struct event *delay, u32 delay_ticks, struct event *absolute, u32 absolute_ticks)
{
	u64 now = events_now(e->events);

	event_arm(e->events, delay, now + e1000_ns(e, (u64)delay_ticks * DELAY_UNIT_NS));
	if (absolute_ticks && !event_armed(absolute))
		event_arm(e->events, absolute, now + e1000_ns(e, (u64)absolute_ticks * DELAY_UNIT_NS));
}

static void
stop_timers(struct e1000 *e, struct event *delay, struct event *absolute, u32 cause)
{
	event_disarm(e->events, delay);
	event_disarm(e->events, absolute);
	e1000_cause(e, cause);
}

static void
rx_timer_over(void *opaque, u64 now)
{
	struct e1000 *e = opaque;

	(void)now;
	stop_timers(e, &e->rx_delay, &e->rx_absolute, ICR_RXT0);
}

static void
tx_timer_over(void *opaque, u64 now)
{
	struct e1000 *e = opaque;

	(void)now;
	stop_timers(e, &e->tx_delay, &e->tx_absolute, ICR_TXDW);
}

/* A frame was stored. RDTR 0 turns both timers off. */
void
e1000_rx_moderated(struct e1000 *e)
{
	if (e->r.RDTR[0] == 0)
		e1000_cause(e, ICR_RXT0);
	else
		start_timers(e, &e->rx_delay, e->r.RDTR[0], &e->rx_absolute, e->r.RADV[0]);
}

/* A descriptor with RS was written back; `delay` is its IDE. */
void
e1000_tx_moderated(struct e1000 *e, bool delay)
{
	if (!delay || e->r.TIDV[0] == 0)
		stop_timers(e, &e->tx_delay, &e->tx_absolute, ICR_TXDW);
	else
		start_timers(e, &e->tx_delay, e->r.TIDV[0], &e->tx_absolute, e->r.TADV[0]);
}

void
e1000_write_rdtr(struct e1000 *e, u32 *reg, u32 value)
{
	*reg = value & 0xffff;
	if (value & DELAY_FLUSH && (event_armed(&e->rx_delay) || event_armed(&e->rx_absolute)))
		stop_timers(e, &e->rx_delay, &e->rx_absolute, ICR_RXT0);
}

void
e1000_irq_init(struct e1000 *e)
{
	event_init(&e->throttle, "e1000 throttle", EVENT_DEVICE, throttle_over, e);
	event_init(&e->rx_delay, "e1000 rx delay", EVENT_DEVICE, rx_timer_over, e);
	event_init(&e->rx_absolute, "e1000 rx absolute", EVENT_DEVICE, rx_timer_over, e);
	event_init(&e->tx_delay, "e1000 tx delay", EVENT_DEVICE, tx_timer_over, e);
	event_init(&e->tx_absolute, "e1000 tx absolute", EVENT_DEVICE, tx_timer_over, e);
}

void
e1000_irq_disarm(struct e1000 *e)
{
	event_disarm(e->events, &e->throttle);
	event_disarm(e->events, &e->rx_delay);
	event_disarm(e->events, &e->rx_absolute);
	event_disarm(e->events, &e->tx_delay);
	event_disarm(e->events, &e->tx_absolute);
}

/* After the registers have their reset values. */
void
e1000_irq_reset(struct e1000 *e)
{
	e1000_irq_disarm(e);
	e->throttle_end = 0;
	update_line(e);
}

void
e1000_irq_state(struct e1000 *e, struct state *s)
{
	e1000_flag_state(s, &e->irq_level);
	STATE(s, e->throttle_end);
	state_event(s, e->events, &e->throttle);
	state_event(s, e->events, &e->rx_delay);
	state_event(s, e->events, &e->rx_absolute);
	state_event(s, e->events, &e->tx_delay);
	state_event(s, e->events, &e->tx_absolute);
}
