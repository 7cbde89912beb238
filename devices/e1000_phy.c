/*
 * 82540EM: the internal PHY behind MDIC, and the cable.
 *
 * Source: "MDI Control Register", "PHY Registers"; IEEE 802.3 clause 22 and 28 registers. The identifiers are those of
 * the Marvell 88E1011. The far end offers everything up to 1000 Mb/s full duplex.
 * Autonegotiation takes 0.5 ms of virtual time, MDIO accesses none. (A real link takes seconds; but drivers look once soon
 * after a reset, and if the link is not up by then, not again for seconds.)
 * Not modelled: PHY interrupts, next pages, errors on the wire, the vendor pages behind registers 29 and 30 (stored
 * only).
 */
#include "devices/e1000_internal.h"

#define MDIC_REG(mdic) BITS(mdic, 20, 16)
#define MDIC_PHY(mdic) BITS(mdic, 25, 21)
#define MDIC_OP(mdic) BITS(mdic, 27, 26)
#define MDIC_WRITE 1
#define MDIC_READ 2
#define MDIC_READY BIT(28)
#define MDIC_INTERRUPT BIT(29)
#define MDIC_ERROR BIT(30)
#define PHY_ADDRESS 1

enum {
	PHY_CONTROL = 0,
	PHY_STATUS = 1,
	PHY_ID1 = 2,
	PHY_ID2 = 3,
	PHY_ADVERTISE = 4,
	PHY_PARTNER = 5,
	PHY_EXPANSION = 6,
	PHY_NEXT_PAGE = 7,
	PHY_1000T_CONTROL = 9,
	PHY_1000T_STATUS = 10,
	PHY_EXTENDED_STATUS = 15,
	PHY_SPECIFIC_CONTROL = 16,
	PHY_SPECIFIC_STATUS = 17,
	PHY_INTERRUPT_ENABLE = 18,
	PHY_EXTENDED_CONTROL = 20,
	PHY_EXTENDED_CONTROL2 = 26,
	PHY_PAGE_SELECT = 29,
	PHY_PAGE_DATA = 30,
};

#define CONTROL_RESET 0x8000
#define CONTROL_LOOPBACK 0x4000
#define CONTROL_SPEED_LOW 0x2000
#define CONTROL_NEGOTIATE 0x1000
#define CONTROL_POWER_DOWN 0x0800
#define CONTROL_ISOLATE 0x0400
#define CONTROL_RESTART 0x0200
#define CONTROL_DUPLEX 0x0100
#define CONTROL_SPEED_HIGH 0x0040

#define STATUS_ABLE 0x7949
#define STATUS_NEGOTIATED 0x0020
#define STATUS_LINK 0x0004

#define NEGOTIATION_NS 500000ull

static const u16 reset_value[PHY_REGISTERS] = {
	[PHY_CONTROL] = CONTROL_NEGOTIATE | CONTROL_DUPLEX | CONTROL_SPEED_HIGH,
	[PHY_STATUS] = STATUS_ABLE,
	[PHY_ID1] = 0x0141,
	[PHY_ID2] = 0x0c20,
	[PHY_ADVERTISE] = 0x0de1,
	[PHY_NEXT_PAGE] = 0x2001,
	[PHY_1000T_CONTROL] = 0x0300,
	[PHY_EXTENDED_STATUS] = 0x3000,
	[PHY_SPECIFIC_CONTROL] = 0x0068,
	[PHY_EXTENDED_CONTROL] = 0x0c60,
};

static const u16 writable[PHY_REGISTERS] = {
	[PHY_CONTROL] = 0x7dc0,          [PHY_ADVERTISE] = 0xffff,         [PHY_NEXT_PAGE] = 0xffff,
	[PHY_1000T_CONTROL] = 0xff00,    [PHY_SPECIFIC_CONTROL] = 0xffff,  [PHY_INTERRUPT_ENABLE] = 0xffff,
	[PHY_EXTENDED_CONTROL] = 0xffff, [PHY_EXTENDED_CONTROL2] = 0xffff, [PHY_PAGE_SELECT] = 0x00ff,
};

bool
e1000_phy_loopback(const struct e1000 *e)
{
	return e->phy[PHY_CONTROL] & CONTROL_LOOPBACK && !(e->phy[PHY_CONTROL] & CONTROL_POWER_DOWN);
}

/* The best mode of both ends ("auto-negotiation priority resolution"), or the forced one. False: no common mode. */
static bool
resolve(const struct e1000 *e, unsigned *speed, bool *full_duplex)
{
	u16 control = e->phy[PHY_CONTROL], advertised = e->phy[PHY_ADVERTISE], gigabit = e->phy[PHY_1000T_CONTROL];

	*speed = 0;
	*full_duplex = false;
	if (!(control & CONTROL_NEGOTIATE)) {
		*speed = control & CONTROL_SPEED_HIGH ? 2 : control & CONTROL_SPEED_LOW ? 1 : 0;
		*full_duplex = control & CONTROL_DUPLEX;
		return true;
	}
	if (gigabit & 0x0300) {
		*speed = 2;
		*full_duplex = gigabit & 0x0200;
	} else if (advertised & 0x0180) {
		*speed = 1;
		*full_duplex = advertised & 0x0100;
	} else {
		*full_duplex = advertised & 0x0040;
		return advertised & 0x0060;
	}
	return true;
}

/* Speed as in STATUS: 0, 1, 2 for 10, 100, 1000 Mb/s. */
void
e1000_phy_line(struct e1000 *e, unsigned *speed, bool *full_duplex)
{
	resolve(e, speed, full_duplex);
}

static void
set_link(struct e1000 *e, bool up)
{
	if (!up)
		e->phy_was_down = true;
	if (up == e->phy_link)
		return;
	e->phy_link = up;
	e1000_cause(e, ICR_LSC);
	if (up && e->link->ready)
		e->link->ready(e->link->backend);
}

static void
negotiate(struct e1000 *e)
{
	set_link(e, false);
	event_disarm(e->events, &e->negotiated);
	if (!(e->phy[PHY_CONTROL] & (CONTROL_POWER_DOWN | CONTROL_ISOLATE)))
		event_arm(e->events, &e->negotiated, events_now(e->events) + e1000_ns(e, NEGOTIATION_NS));
}

static void
negotiation_over(void *opaque, u64 now)
{
	struct e1000 *e = opaque;
	unsigned speed;
	bool full_duplex;

	(void)now;
	set_link(e, resolve(e, &speed, &full_duplex) && (e->link->up || e1000_phy_loopback(e)));
}

static u16
read_specific_status(struct e1000 *e)
{
	unsigned speed;
	bool full_duplex;

	if (!e->phy_link)
		return 0;
	resolve(e, &speed, &full_duplex);
	return (u16)(speed << 14 | full_duplex << 13 | 1 << 11 | 1 << 10);
}

static u16
phy_read(struct e1000 *e, unsigned reg)
{
	bool negotiated = e->phy_link && e->phy[PHY_CONTROL] & CONTROL_NEGOTIATE;
	u16 value;

	switch (reg) {
	case PHY_STATUS:
		value = STATUS_ABLE | (negotiated ? STATUS_NEGOTIATED : 0);
		if (e->phy_link && !e->phy_was_down)
			value |= STATUS_LINK;
		e->phy_was_down = !e->phy_link;
		return value;
	case PHY_PARTNER:
		return negotiated ? 0x45e1 : 0; /* acknowledge, symmetric pause, 10 and 100 Mb/s */
	case PHY_EXPANSION:
		return negotiated ? 0x000d : 0x0004;
	case PHY_1000T_STATUS:
		return negotiated ? 0x7c00 : 0; /* master, both receivers good, 1000 Mb/s full and half */
	case PHY_SPECIFIC_STATUS:
		return read_specific_status(e);
	case PHY_PAGE_DATA:
		return e->phy_page[e->phy[PHY_PAGE_SELECT]];
	default:
		return e->phy[reg];
	}
}

static void
phy_write(struct e1000 *e, unsigned reg, u16 value)
{
	u16 old = e->phy[reg];

	if (reg == PHY_PAGE_DATA) {
		e->phy_page[e->phy[PHY_PAGE_SELECT]] = value;
		return;
	}
	e->phy[reg] = (u16)((old & ~writable[reg]) | (value & writable[reg]));
	if (reg == PHY_CONTROL && (value & (CONTROL_RESET | CONTROL_RESTART) || e->phy[reg] != old))
		negotiate(e);
}

void
e1000_write_mdic(struct e1000 *e, u32 *reg, u32 value)
{
	unsigned number = MDIC_REG(value);

	value &= (u32) ~(MDIC_READY | MDIC_ERROR | BIT(31));
	if (MDIC_PHY(value) != PHY_ADDRESS)
		value |= MDIC_ERROR;
	else if (MDIC_OP(value) == MDIC_READ)
		value = (value & 0xffff0000) | phy_read(e, number);
	else if (MDIC_OP(value) == MDIC_WRITE)
		phy_write(e, number, (u16)value);
	else
		value |= MDIC_ERROR;
	*reg = value | MDIC_READY;
	if (value & MDIC_INTERRUPT)
		e1000_cause(e, ICR_MDAC);
}

/* The cable goes in or out. */
void
e1000_set_link(struct e1000 *e, bool up)
{
	e->link->up = up;
	negotiate(e);
}

void
e1000_phy_init(struct e1000 *e)
{
	event_init(&e->negotiated, "e1000 autonegotiation", EVENT_DEVICE, negotiation_over, e);
}

void
e1000_phy_disarm(struct e1000 *e)
{
	event_disarm(e->events, &e->negotiated);
}

/* The PHY's reset pin: power on, PCI reset, CTRL.PHY_RST. */
void
e1000_phy_reset(struct e1000 *e)
{
	for (unsigned i = 0; i < PHY_REGISTERS; i++)
		e->phy[i] = reset_value[i];
	for (unsigned i = 0; i < COUNT(e->phy_page); i++)
		e->phy_page[i] = 0;
	negotiate(e);
}

void
e1000_phy_state(struct e1000 *e, struct state *s)
{
	STATE(s, e->phy);
	e->phy[PHY_PAGE_SELECT] &= writable[PHY_PAGE_SELECT]; /* from a damaged file */
	STATE(s, e->phy_page);
	e1000_flag_state(s, &e->phy_link);
	e1000_flag_state(s, &e->phy_was_down);
	e1000_flag_state(s, &e->link->up);
	state_event(s, e->events, &e->negotiated);
}
