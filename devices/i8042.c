/*
 * Intel 8042 as the PC's keyboard controller, a 102-key keyboard and a wheel mouse.
 *
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller", "Keyboard",
 * "Mouse".
 * Bytes take no time on the cables: the next one is there when the last has been read.
 * Not modelled: password, scan code set 3's per-key commands (acknowledged only), key repeat, keyboard lock.
 */
#include "devices/i8042.h"

#include <string.h>

#include "base/log.h"
#include "base/snapshot.h"

LOG_CATEGORY("i8042");

enum { KEYBOARD, MOUSE };

#define STATUS_FULL BIT(0)
#define STATUS_SYSTEM BIT(2)
#define STATUS_COMMAND BIT(3)
#define STATUS_UNLOCKED BIT(4)
#define STATUS_AUX BIT(5)

/* Command byte: interrupts, system flag, clocks held, translation. Bit n of the first two groups: keyboard, mouse. */
#define CB_INTERRUPT(n) BIT(n)
#define CB_SYSTEM BIT(2)
#define CB_DISABLE(n) BIT(4 + (n))
#define CB_TRANSLATE BIT(6)

#define OUT_RESET BIT(0)
#define OUT_A20 BIT(1)

#define ACK 0xfa
#define RESEND 0xfe
#define SELF_TEST_PASSED 0xaa

/* Scan code set 2 to set 1, as the controller's ROM has it. */
static const u8 translation[128] = {
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59, /* 00 */
	0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b, /* 10 */
	0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d, /* 20 */
	0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f, /* 30 */
	0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61, /* 40 */
	0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, /* 50 */
	0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, /* 60 */
	0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54, /* 70 */
};

static u8
translate(u8 code)
{
	if (code < 0x80)
		return translation[code];
	return code == 0x83 ? 0x41 : code == 0x84 ? 0x54 : code;
}

/* The set 2 code of a set 1 code, or 0. F7's 0x83 is the one that lies outside the table. */
static u8
set2_of(u8 set1)
{
	if (set1 == 0x41)
		return 0x83;
	for (unsigned i = 1; i < 128; i++)
		if (translation[i] == set1)
			return (u8)i;
	return 0;
}

static void
update_irqs(struct i8042 *k)
{
	for (unsigned n = 0; n < 2; n++) {
		bool level = k->full && k->from_aux == (n == MOUSE) && k->command_byte & CB_INTERRUPT(n);

		if (level != k->irq_level[n]) {
			k->irq_level[n] = level;
			irq_set(&k->irq[n], level);
		}
	}
}

static u8
unqueue(struct ps2 *d)
{
	u8 byte = d->queue[d->head];

	d->head = (u8)((d->head + 1) % PS2_QUEUE);
	d->count--;
	d->last_sent = byte;
	return byte;
}

/* Fills the empty output buffer from a device whose clock is not held. */
static void
pump(struct i8042 *k)
{
	while (!k->full && k->device[KEYBOARD].count && !(k->command_byte & CB_DISABLE(KEYBOARD))) {
		u8 byte = unqueue(&k->device[KEYBOARD]);

		if (k->command_byte & CB_TRANSLATE) {
			if (byte == 0xf0) {
				k->release = true;
				continue;
			}
			byte = (u8)(translate(byte) | (k->release ? 0x80 : 0));
			k->release = false;
		}
		k->output = byte;
		k->full = true;
		k->from_aux = false;
	}
	if (!k->full && k->device[MOUSE].count && !(k->command_byte & CB_DISABLE(MOUSE))) {
		k->output = unqueue(&k->device[MOUSE]);
		k->full = true;
		k->from_aux = true;
	}
	update_irqs(k);
}

/* The controller's own answer; it overwrites what nobody has read. */
static void
answer(struct i8042 *k, u8 byte, bool aux)
{
	k->full = false;
	update_irqs(k);
	k->output = byte;
	k->full = true;
	k->from_aux = aux;
	update_irqs(k);
}

static bool
queue(struct ps2 *d, const u8 *bytes, unsigned size)
{
	if (d->count + size > PS2_QUEUE)
		return false;
	for (unsigned i = 0; i < size; i++)
		d->queue[(d->head + d->count++) % PS2_QUEUE] = bytes[i];
	return true;
}

static void
queue1(struct ps2 *d, u8 byte)
{
	queue(d, &byte, 1);
}

static void
queue2(struct ps2 *d, u8 first, u8 second)
{
	queue1(d, first);
	queue1(d, second);
}

static void
keyboard_defaults(struct ps2 *d)
{
	d->command = 0;
	d->rate = 0x2b;
	d->scan_set = 2;
}

static void
keyboard_argument(struct ps2 *d, u8 command, u8 value)
{
	queue1(d, ACK);
	switch (command) {
	case 0xed:
		d->leds = value & 7;
		break;
	case 0xf0:
		if (value == 0)
			queue1(d, d->scan_set);
		else if (value <= 3)
			d->scan_set = value;
		break;
	case 0xf3:
		d->rate = value;
		break;
	default: /* set 3's lists of keys */
		break;
	}
}

static void
keyboard_write(struct ps2 *d, u8 value)
{
	u8 command = d->command;

	d->command = 0;
	if (command && value < 0x80) {
		keyboard_argument(d, command, value);
		return;
	}
	/* A command drops what has not been sent. */
	if (value != 0xfe)
		d->count = 0;
	switch (value) {
	case 0xed: /* LEDs */
	case 0xf0: /* scan code set */
	case 0xf3: /* repeat */
	case 0xfb: /* set 3, one key... */
	case 0xfc:
	case 0xfd:
		d->command = value;
		queue1(d, ACK);
		break;
	case 0xee:
		queue1(d, 0xee);
		break;
	case 0xf2:
		queue1(d, ACK);
		queue2(d, 0xab, 0x83);
		break;
	case 0xf4:
	case 0xf5:
		if (value == 0xf5)
			keyboard_defaults(d);
		d->reporting = value == 0xf4;
		queue1(d, ACK);
		break;
	case 0xf6:
		keyboard_defaults(d);
		queue1(d, ACK);
		break;
	case 0xf7: /* set 3, all keys */
	case 0xf8:
	case 0xf9:
	case 0xfa:
		queue1(d, ACK);
		break;
	case 0xfe:
		queue1(d, d->last_sent);
		break;
	case 0xff:
		keyboard_defaults(d);
		d->reporting = true;
		d->leds = 0;
		queue2(d, ACK, SELF_TEST_PASSED);
		break;
	default:
		queue1(d, RESEND);
		break;
	}
}

static void
mouse_defaults(struct ps2 *d)
{
	d->rate = 100;
	d->resolution = 2;
	d->scaling = 0;
	d->reporting = d->remote = d->wrap = false;
	d->command = 0;
}

/* The wheel announces itself after sample rates 200, 100, 80. */
static void
mouse_rate(struct ps2 *d, u8 rate)
{
	static const u8 sequence[3] = {200, 100, 80};

	d->rate = rate;
	d->knock = rate == sequence[d->knock] ? d->knock + 1 : rate == 200;
	if (d->knock == 3) {
		d->id = 3;
		d->knock = 0;
	}
}

static void
mouse_packet(struct ps2 *d, int dx, int dy, int dz, unsigned buttons)
{
	u8 packet[4] = {(u8)(8 | (buttons & 7) | (dx < 0) << 4 | (dy < 0) << 5), (u8)dx, (u8)dy, (u8)dz};

	queue(d, packet, d->id == 3 ? 4 : 3);
}

static void
mouse_write(struct ps2 *d, u8 value)
{
	u8 command = d->command;

	d->command = 0;
	if (d->wrap && value != 0xec && value != 0xff) {
		queue1(d, value);
		return;
	}
	if (command) {
		if (command == 0xf3)
			mouse_rate(d, value);
		else
			d->resolution = value & 3;
		queue1(d, ACK);
		return;
	}
	if (value != 0xfe) {
		d->count = 0;
		queue1(d, ACK);
	}
	switch (value) {
	case 0xe6:
	case 0xe7:
		d->scaling = value & 1;
		break;
	case 0xe8:
	case 0xf3:
		d->command = value;
		break;
	case 0xe9:
		queue1(d, (u8)(d->remote << 6 | d->reporting << 5 | d->scaling << 4));
		queue2(d, d->resolution, d->rate);
		break;
	case 0xea:
		d->remote = false;
		break;
	case 0xeb:
		mouse_packet(d, 0, 0, 0, 0);
		break;
	case 0xec:
	case 0xee:
		d->wrap = value == 0xee;
		break;
	case 0xf0:
		d->remote = true;
		break;
	case 0xf2:
		queue1(d, d->id);
		break;
	case 0xf4:
	case 0xf5:
		d->reporting = value == 0xf4;
		break;
	case 0xf6:
		mouse_defaults(d);
		break;
	case 0xfe:
		queue1(d, d->last_sent);
		break;
	case 0xff:
		mouse_defaults(d);
		d->id = d->knock = 0;
		queue2(d, SELF_TEST_PASSED, 0x00);
		break;
	default:
		d->count = 0;
		queue1(d, RESEND);
		break;
	}
}

static void
write_output_port(struct i8042 *k, u8 value)
{
	k->output_port = value;
	k->control->a20(k->control->opaque, value & OUT_A20);
	if (!(value & OUT_RESET))
		k->control->init(k->control->opaque, "keyboard controller");
}

static void
write_command(struct i8042 *k, u8 value)
{
	k->command = 0;
	switch (value) {
	case 0x20 ... 0x3f:
		answer(k, value == 0x20 ? k->command_byte : k->ram[value & 31], false);
		break;
	case 0x60 ... 0x7f:
	case 0xd1 ... 0xd4:
		k->command = value;
		break;
	case 0xa4: /* password: none */
		answer(k, 0xf1, false);
		break;
	case 0xa7:
	case 0xa8:
		k->command_byte =
			(u8)((k->command_byte & ~CB_DISABLE(MOUSE)) | (value == 0xa7 ? CB_DISABLE(MOUSE) : 0));
		break;
	case 0xa9: /* interface tests: no error */
	case 0xab:
		answer(k, 0x00, false);
		break;
	case 0xaa: /* self test */
		k->command_byte |= CB_SYSTEM;
		answer(k, 0x55, false);
		break;
	case 0xad:
	case 0xae:
		k->command_byte =
			(u8)((k->command_byte & ~CB_DISABLE(KEYBOARD)) | (value == 0xad ? CB_DISABLE(KEYBOARD) : 0));
		break;
	case 0xc0: /* input port: not locked, no manufacturing jumper */
		answer(k, 0xa0, false);
		break;
	case 0xd0:
		answer(k,
		       (u8)((k->output_port & 0xcf) | (k->full && !k->from_aux) << 4 | (k->full && k->from_aux) << 5),
		       false);
		break;
	case 0xdd:
		write_output_port(k, k->output_port & (u8)~OUT_A20);
		break;
	case 0xdf:
		write_output_port(k, k->output_port | OUT_A20);
		break;
	case 0xe0: /* test inputs: clock lines of both devices idle */
		answer(k, 0x00, false);
		break;
	case 0xf0 ... 0xff: /* pulses the output bits that are 0 */
		if (!(value & OUT_RESET))
			k->control->init(k->control->opaque, "keyboard controller");
		break;
	default:
		log_debug("unknown command %#x", value);
		break;
	}
}

static void
write_data(struct i8042 *k, u8 value)
{
	u8 command = k->command;

	k->command = 0;
	switch (command) {
	case 0x60:
		k->command_byte = value;
		break;
	case 0x61 ... 0x7f:
		k->ram[command & 31] = value;
		break;
	case 0xd1:
		write_output_port(k, value);
		break;
	case 0xd2:
		answer(k, value, false);
		break;
	case 0xd3:
		answer(k, value, true);
		break;
	case 0xd4:
		mouse_write(&k->device[MOUSE], value);
		break;
	default:
		keyboard_write(&k->device[KEYBOARD], value);
		break;
	}
}

static u32
i8042_read(void *opaque, u16 port, unsigned size)
{
	struct i8042 *k = opaque;
	u8 value;

	(void)size;
	if (port & 4)
		return (u32)(k->full * STATUS_FULL | (k->command_byte & CB_SYSTEM) |
			     k->last_was_command * STATUS_COMMAND | STATUS_UNLOCKED |
			     (k->full && k->from_aux) * STATUS_AUX);
	/* An empty buffer still shows its last byte. */
	value = k->output;
	k->full = false;
	update_irqs(k);
	pump(k);
	return value;
}

static void
i8042_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct i8042 *k = opaque;

	(void)size;
	k->last_was_command = port >> 2 & 1;
	if (port & 4)
		write_command(k, (u8)value);
	else
		write_data(k, (u8)value);
	pump(k);
}

static const struct port_ops i8042_ports = {i8042_read, i8042_write, PORT_BYTE};

void
i8042_init(struct i8042 *k, struct ports *ports, const struct irq_line *keyboard, const struct irq_line *mouse,
	   const struct machine_control *control)
{
	memset(k, 0, sizeof(*k));
	k->irq[KEYBOARD] = *keyboard;
	k->irq[MOUSE] = *mouse;
	k->control = control;
	ports_map(ports, "i8042", 0x60, 1, &i8042_ports, k);
	ports_map(ports, "i8042", 0x64, 1, &i8042_ports, k);
	i8042_reset(k);
}

void
i8042_reset(struct i8042 *k)
{
	/* As firmware leaves it after power on: translation on, both devices ready, keyboard interrupt on. */
	k->command_byte = CB_INTERRUPT(KEYBOARD) | CB_SYSTEM | CB_TRANSLATE;
	k->output_port = 0xc0 | OUT_A20 | OUT_RESET;
	k->command = k->last_was_command = k->output = 0;
	k->full = k->from_aux = k->release = false;
	memset(k->ram, 0, sizeof(k->ram));
	memset(k->device, 0, sizeof(k->device));
	keyboard_defaults(&k->device[KEYBOARD]);
	k->device[KEYBOARD].reporting = true;
	mouse_defaults(&k->device[MOUSE]);
	update_irqs(k);
}

bool
i8042_key(struct i8042 *k, unsigned code, bool down)
{
	struct ps2 *d = &k->device[KEYBOARD];
	u8 bytes[3], set1 = code & 0x7f;
	unsigned size = 0;

	if (!d->reporting || set1 == 0)
		return false;
	if (code & 0xe000)
		bytes[size++] = 0xe0;
	/* On the cable keys speak set 2 (or 1 when told so); set 3 is not spoken. */
	if (d->scan_set == 1) {
		bytes[size++] = (u8)(set1 | (down ? 0 : 0x80));
	} else {
		u8 set2 = set2_of(set1);

		if (set2 == 0)
			return false;
		if (!down)
			bytes[size++] = 0xf0;
		bytes[size++] = set2;
	}
	if (!queue(d, bytes, size))
		return false;
	pump(k);
	return true;
}

bool
i8042_mouse(struct i8042 *k, int dx, int dy, int dz, unsigned buttons)
{
	struct ps2 *d = &k->device[MOUSE];

	/* One packet carries nine signed bits per axis. */
	if (!d->reporting || d->remote || d->count + 4 > PS2_QUEUE || dx < -255 || dx > 255 || dy < -255 || dy > 255 ||
	    dz < -8 || dz > 7)
		return false;
	mouse_packet(d, dx, dy, dz, buttons);
	pump(k);
	return true;
}

void
i8042_state(struct i8042 *k, struct state *s)
{
	state_section(s, "i8042", 1);
	for (unsigned n = 0; n < 2; n++)
		state_bool(s, &k->irq_level[n]);
	STATE(s, k->command_byte);
	STATE(s, k->output_port);
	STATE(s, k->command);
	STATE(s, k->last_was_command);
	state_bool(s, &k->full);
	state_bool(s, &k->from_aux);
	STATE(s, k->output);
	state_bool(s, &k->release);
	STATE(s, k->ram);
	for (unsigned n = 0; n < 2; n++) {
		struct ps2 *d = &k->device[n];

		STATE(s, d->queue);
		STATE(s, d->head);
		STATE(s, d->count);
		STATE(s, d->command);
		STATE(s, d->last_sent);
		state_bool(s, &d->reporting);
		STATE(s, d->rate);
		STATE(s, d->resolution);
		STATE(s, d->scan_set);
		STATE(s, d->leds);
		STATE(s, d->id);
		STATE(s, d->knock);
		STATE(s, d->scaling);
		state_bool(s, &d->remote);
		state_bool(s, &d->wrap);
		d->head %= PS2_QUEUE;
		d->count = MIN(d->count, PS2_QUEUE);
		d->knock %= 3;
	}
}
