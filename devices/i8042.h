/* 8042 keyboard controller with a keyboard and a mouse behind it. See i8042.c. */
#ifndef NB_DEVICES_I8042_H
#define NB_DEVICES_I8042_H

#include "base/types.h"
#include "bus/irq.h"
#include "bus/machine_control.h"
#include "bus/ports.h"

struct state;

#define PS2_QUEUE 32

/* A device at the end of a PS/2 cable: what it is about to send, and the command whose argument it awaits. */
struct ps2 {
	u8 queue[PS2_QUEUE];
	u8 head, count;
	u8 command; /* 0: none */
	u8 last_sent;
	bool reporting;      /* F4 */
	u8 rate, resolution; /* mouse; typematic rate of the keyboard */
	u8 scan_set;         /* keyboard */
	u8 leds;             /* keyboard */
	u8 id;               /* mouse: 0, or 3 after the wheel's knock */
	u8 knock;            /* mouse: how much of the sample rates 200, 100, 80 has been heard */
	u8 scaling;          /* mouse: 2:1 */
	bool remote, wrap;   /* mouse */
};

struct i8042 {
	struct irq_line irq[2]; /* keyboard, mouse */
	bool irq_level[2];
	const struct machine_control *control;
	u8 command_byte;
	u8 output_port;
	u8 command;          /* controller command that awaits its argument, or 0 */
	u8 last_was_command; /* status bit 3 */
	bool full, from_aux; /* output buffer */
	u8 output;
	bool release; /* translation: a break prefix was swallowed */
	u8 ram[32];
	struct ps2 device[2]; /* keyboard, mouse */
};

/* Ports 0x60 and 0x64. */
void i8042_init(struct i8042 *k, struct ports *ports, const struct irq_line *keyboard, const struct irq_line *mouse,
		const struct machine_control *control);
void i8042_reset(struct i8042 *k);
void i8042_state(struct i8042 *k, struct state *s);

/*
 * A key went down or up, from bus/input. `code` is its scan code of set 1 (0x01..0x7f), or 0xe000 | code for the
 * extended keys.
 * False: the keyboard's buffer is full, the key is lost.
 */
bool i8042_key(struct i8042 *k, unsigned code, bool down);
/*
 * The mouse moved or its buttons (bit 0 left, 1 right, 2 middle) changed. False: no room, or the guest does not listen.
 */
bool i8042_mouse(struct i8042 *k, int dx, int dy, int dz, unsigned buttons);

#endif
