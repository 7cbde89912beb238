/*
 * Intel 8259A programmable interrupt controllers, cascaded through IR2 as on every PC, with the edge/level registers of
 * PIIX.
 *
 * Source: 8259A data sheet (order 231468), "Programming the 8259A"; 82371AB (PIIX4) data sheet, "Edge/Level Control
 * Registers".
 * The data sheet wants an edge's line to stay high until INTA, or IR7 is given instead. Here the latched edge stays, as
 * in the controllers inside chipsets and as software that pulses lines expects.
 * Not modelled: MCS-80 mode (8-bit CALL sequences), buffered mode (no effect on software), other cascades than the
 * PC's.
 */
#include "devices/pic.h"

#include <string.h>

#include "base/log.h"
#include "base/snapshot.h"

LOG_CATEGORY("pic");

#define CASCADE 2

static u8
requests(const struct i8259a *c)
{
	u8 level = c->level ? 0xff : c->elcr;

	return (u8)((c->irr & ~level) | (c->lines & level));
}

/* Steps from the highest priority, 0..7, of the first input in `set`; 8 when there is none. */
static unsigned
priority_of(const struct i8259a *c, u8 set)
{
	unsigned step = 0;

	while (step < 8 && !(set & BIT((c->lowest + 1 + step) & 7)))
		step++;
	return step;
}

/* The input that INTA would acknowledge now, or -1. */
static int
pending(const struct i8259a *c, bool master)
{
	u8 ready = (u8)(requests(c) & ~c->imr), blocking = c->isr;
	unsigned step;

	/* In special fully nested mode the master lets its slave interrupt the slave's own service. */
	if (master && c->special_nested)
		blocking &= (u8)~BIT(CASCADE);
	if (c->special_mask) {
		/* Every other input may interrupt, of lower priority too: only an input's own service blocks it. */
		step = priority_of(c, ready & (u8)~blocking);
		return step == 8 ? -1 : (int)((c->lowest + 1 + step) & 7);
	}
	step = priority_of(c, ready);
	return step < priority_of(c, blocking) ? (int)((c->lowest + 1 + step) & 7) : -1;
}

static void
update(struct pic *pic)
{
	struct i8259a *master = &pic->chip[0];
	bool slave = pending(&pic->chip[1], false) >= 0, intr;

	/*
	 * The slave's INT pin is an input like any other, so it latches edges unless it is made level-triggered by
	 * ICW1.
	 */
	if (slave)
		master->irr |= BIT(CASCADE);
	else
		master->irr &= (u8)~BIT(CASCADE);
	master->lines = (u8)((master->lines & ~BIT(CASCADE)) | (slave ? BIT(CASCADE) : 0));
	intr = pending(master, true) >= 0;
	if (intr != pic->intr_level) {
		pic->intr_level = intr;
		irq_set(&pic->intr, intr);
	}
}

void
pic_set(void *opaque, unsigned number, int level)
{
	struct pic *pic = opaque;
	struct i8259a *c = &pic->chip[number >> 3 & 1];
	u8 bit = (u8)BIT(number & 7);

	if (!(c->lines & bit) == !level)
		return;
	c->lines ^= bit;
	if (level)
		c->irr |= bit;
	update(pic);
}

/* Moves input `n` from request to service. */
static void
acknowledge(struct i8259a *c, unsigned n)
{
	c->irr &= (u8)~BIT(n);
	if (!c->auto_eoi)
		c->isr |= (u8)BIT(n);
	else if (c->rotate_on_auto_eoi)
		c->lowest = (u8)n;
}

u8
pic_acknowledge(void *opaque)
{
	struct pic *pic = opaque;
	struct i8259a *master = &pic->chip[0], *slave = &pic->chip[1];
	int n = pending(master, true);
	u8 vector;

	if (n < 0) {
		log_debug("spurious interrupt 7");
		return master->base | 7;
	}
	vector = (u8)(master->base | n);
	acknowledge(master, (unsigned)n);
	if (n == CASCADE) {
		n = pending(slave, false);
		if (n < 0) {
			log_debug("spurious interrupt 15");
			vector = slave->base | 7;
		} else {
			vector = (u8)(slave->base | n);
			acknowledge(slave, (unsigned)n);
		}
	}
	update(pic);
	return vector;
}

static void
write_icw1(struct i8259a *c, u8 value)
{
	c->irr = 0;
	c->imr = 0;
	c->isr = 0;
	c->lowest = 7;
	c->special_mask = c->read_isr = c->poll = false;
	c->auto_eoi = c->special_nested = c->rotate_on_auto_eoi = false;
	c->needs_icw4 = value & 1;
	c->single = value & 2;
	c->level = value & 8;
	c->init = 2;
}

static void
write_ocw2(struct i8259a *c, u8 value)
{
	unsigned highest, level = value & 7;
	/* In special mask mode a nonspecific EOI does not clear what is masked. */
	u8 clearable = c->special_mask ? c->isr & (u8)~c->imr : c->isr;

	switch (value >> 5) {
	case 0: /* rotate in automatic EOI mode: clear */
		c->rotate_on_auto_eoi = false;
		break;
	case 4: /* and set */
		c->rotate_on_auto_eoi = true;
		break;
	case 1: /* nonspecific EOI */
	case 5: /* and rotate */
		if (!clearable)
			break;
		highest = (c->lowest + 1 + priority_of(c, clearable)) & 7;
		c->isr &= (u8)~BIT(highest);
		if (value >> 5 == 5)
			c->lowest = (u8)highest;
		break;
	case 3: /* specific EOI */
	case 7: /* and rotate */
		c->isr &= (u8)~BIT(level);
		if (value >> 5 == 7)
			c->lowest = (u8)level;
		break;
	case 6: /* set priority */
		c->lowest = (u8)level;
		break;
	default: /* no operation */
		break;
	}
}

static void
write_ocw3(struct i8259a *c, u8 value)
{
	c->poll = value & 4;
	if (value & 2)
		c->read_isr = value & 1;
	if (value & 0x40)
		c->special_mask = value & 0x20;
}

static void
pic_write(void *opaque, u16 port, unsigned size, u32 word)
{
	struct pic *pic = opaque;
	struct i8259a *c = &pic->chip[port >> 7 & 1];
	u8 value = (u8)word;

	(void)size;
	if (!(port & 1)) {
		if (value & 0x10)
			write_icw1(c, value);
		else if (value & 8)
			write_ocw3(c, value);
		else
			write_ocw2(c, value);
	} else {
		switch (c->init) {
		case 2:
			c->base = value & 0xf8;
			c->init = !c->single ? 3 : c->needs_icw4 ? 4 : 0;
			break;
		case 3: /* the cascade is fixed by the board */
			c->init = c->needs_icw4 ? 4 : 0;
			break;
		case 4:
			c->auto_eoi = value & 2;
			c->special_nested = value & 0x10;
			c->init = 0;
			break;
		default:
			c->imr = value;
			break;
		}
	}
	update(pic);
}

static u32
pic_read(void *opaque, u16 port, unsigned size)
{
	struct pic *pic = opaque;
	struct i8259a *c = &pic->chip[port >> 7 & 1];
	int n;

	(void)size;
	if (c->poll) {
		/* The read is the acknowledge: bit 7 says whether there was a request, bits 2:0 which. */
		c->poll = false;
		n = pending(c, c == &pic->chip[0]);
		if (n < 0)
			return 0;
		acknowledge(c, (unsigned)n);
		update(pic);
		return 0x80u | (u32)n;
	}
	if (port & 1)
		return c->imr;
	return c->read_isr ? c->isr : requests(c);
}

/* IRQ 0, 1, 2, 8 and 13 are always edge-triggered. */
static const u8 elcr_writable[2] = {0xf8, 0xde};

static u32
elcr_read(void *opaque, u16 port, unsigned size)
{
	struct pic *pic = opaque;

	(void)size;
	return pic->chip[port & 1].elcr;
}

static void
elcr_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct pic *pic = opaque;

	(void)size;
	pic->chip[port & 1].elcr = (u8)value & elcr_writable[port & 1];
	update(pic);
}

static const struct port_ops pic_ports = {pic_read, pic_write, PORT_BYTE};
static const struct port_ops elcr_ports = {elcr_read, elcr_write, PORT_BYTE};

void
pic_init(struct pic *pic, struct ports *ports, const struct irq_line *intr)
{
	memset(pic, 0, sizeof(*pic));
	pic->intr = *intr;
	ports_map(ports, "pic-master", 0x20, 2, &pic_ports, pic);
	ports_map(ports, "pic-slave", 0xa0, 2, &pic_ports, pic);
	ports_map(ports, "elcr", 0x4d0, 2, &elcr_ports, pic);
	pic_reset(pic);
}

void
pic_reset(struct pic *pic)
{
	for (unsigned i = 0; i < 2; i++) {
		u8 lines = pic->chip[i].lines;

		memset(&pic->chip[i], 0, sizeof(pic->chip[i]));
		pic->chip[i].lines = lines;
		pic->chip[i].lowest = 7;
		/*
		 * The data sheet leaves the state before ICW1 open; a chip that asks for nothing is what firmware
		 * expects.
		 */
		pic->chip[i].imr = 0xff;
	}
	update(pic);
}

void
pic_state(struct pic *pic, struct state *s)
{
	state_section(s, "pic", 1);
	for (unsigned i = 0; i < 2; i++) {
		struct i8259a *c = &pic->chip[i];

		STATE(s, c->lines);
		STATE(s, c->irr);
		STATE(s, c->imr);
		STATE(s, c->isr);
		STATE(s, c->elcr);
		STATE(s, c->base);
		STATE(s, c->lowest);
		STATE(s, c->init);
		state_bool(s, &c->needs_icw4);
		state_bool(s, &c->single);
		state_bool(s, &c->level);
		state_bool(s, &c->auto_eoi);
		state_bool(s, &c->special_nested);
		state_bool(s, &c->rotate_on_auto_eoi);
		state_bool(s, &c->special_mask);
		state_bool(s, &c->read_isr);
		state_bool(s, &c->poll);
		c->lowest &= 7; /* a damaged snapshot must not index beyond */
	}
	state_bool(s, &pic->intr_level);
}
