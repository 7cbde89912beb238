/*
 * Intel 8237A DMA controllers, cascaded, with the page registers of the AT.
 *
 * Source: 8237A data sheet (order 231466), "Register Description"; IBM AT Technical Reference, "DMA Page Registers".
 * Not modelled: transfers. No device on the board asks for DMA; software requests end at once with terminal count.
 */
#include "devices/dma.h"

#include <string.h>

#include "base/snapshot.h"

static void
master_clear(struct i8237a *c)
{
	c->command = c->status = c->request = c->temporary = 0;
	c->high = false;
	c->mask = 15;
}

/* The two bytes of a 16-bit register go through one port, low byte first. */
static u8
read_half(struct i8237a *c, u16 value)
{
	u8 byte = (u8)(c->high ? value >> 8 : value);

	c->high = !c->high;
	return byte;
}

static u8
chip_read(struct i8237a *c, unsigned reg)
{
	u8 value;

	if (reg < 8)
		return read_half(c, reg & 1 ? c->count[reg >> 1] : c->address[reg >> 1]);
	switch (reg) {
	case 8: /* reading takes the terminal counts back */
		value = c->status;
		c->status &= 0xf0;
		return value;
	case 13:
		return c->temporary;
	case 15: /* on the chips inside chipsets */
		return c->mask | 0xf0;
	default:
		return 0;
	}
}

static void
write_half(struct i8237a *c, u16 *base, u16 *current, u8 value)
{
	*base = (u16)(c->high ? (*base & 0x00ff) | value << 8 : (*base & 0xff00) | value);
	*current = *base;
	c->high = !c->high;
}

static void
chip_write(struct i8237a *c, unsigned reg, u8 value)
{
	u8 channel = value & 3, bit = (u8)BIT(channel);

	if (reg < 8) {
		if (reg & 1)
			write_half(c, &c->base_count[reg >> 1], &c->count[reg >> 1], value);
		else
			write_half(c, &c->base_address[reg >> 1], &c->address[reg >> 1], value);
		return;
	}
	switch (reg) {
	case 8:
		c->command = value;
		break;
	case 9:
		if (value & 4)
			c->status |= bit;
		break;
	case 10:
		c->mask = (u8)((c->mask & ~bit) | (value & 4 ? bit : 0));
		break;
	case 11:
		c->mode[channel] = value;
		break;
	case 12:
		c->high = false;
		break;
	case 13:
		master_clear(c);
		break;
	case 14:
		c->mask = 0;
		break;
	default:
		c->mask = value & 15;
		break;
	}
}

static u32
low_read(void *opaque, u16 port, unsigned size)
{
	struct dma *dma = opaque;

	(void)size;
	return chip_read(&dma->chip[0], port & 15);
}

static void
low_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct dma *dma = opaque;

	(void)size;
	chip_write(&dma->chip[0], port & 15, (u8)value);
}

/* The second chip's address lines are shifted by one: each register is there twice. */
static u32
high_read(void *opaque, u16 port, unsigned size)
{
	struct dma *dma = opaque;

	(void)size;
	return chip_read(&dma->chip[1], port >> 1 & 15);
}

static void
high_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct dma *dma = opaque;

	(void)size;
	chip_write(&dma->chip[1], port >> 1 & 15, (u8)value);
}

/* Port 0x80 is no channel's page; it takes the codes of power-on self tests, and software's delays. */
static u32
page_read(void *opaque, u16 port, unsigned size)
{
	struct dma *dma = opaque;

	(void)size;
	return dma->page[port & 15];
}

static void
page_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct dma *dma = opaque;

	(void)size;
	dma->page[port & 15] = (u8)value;
}

static const struct port_ops low_ports = {low_read, low_write, PORT_BYTE};
static const struct port_ops high_ports = {high_read, high_write, PORT_BYTE};
static const struct port_ops page_ports = {page_read, page_write, PORT_BYTE};

void
dma_init(struct dma *dma, struct ports *ports)
{
	dma_reset(dma);
	ports_map(ports, "dma", 0x00, 16, &low_ports, dma);
	ports_map(ports, "dma-page", 0x80, 16, &page_ports, dma);
	ports_map(ports, "dma", 0xc0, 32, &high_ports, dma);
}

void
dma_reset(struct dma *dma)
{
	memset(dma, 0, sizeof(*dma));
	master_clear(&dma->chip[0]);
	master_clear(&dma->chip[1]);
}

void
dma_state(struct dma *dma, struct state *s)
{
	state_section(s, "dma", 1);
	for (unsigned i = 0; i < 2; i++) {
		struct i8237a *c = &dma->chip[i];

		STATE(s, c->base_address);
		STATE(s, c->base_count);
		STATE(s, c->address);
		STATE(s, c->count);
		STATE(s, c->mode);
		STATE(s, c->command);
		STATE(s, c->status);
		STATE(s, c->request);
		STATE(s, c->mask);
		STATE(s, c->temporary);
		state_bool(s, &c->high);
	}
	STATE(s, dma->page);
}
