/*
 * Intel 82540EM Gigabit Ethernet controller, 8086:100e.
 *
 * Source: PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual.
 * This file is the PCI function, the register windows and the resets; the rest is in e1000_tx.c (transmit ring),
 * e1000_offload.c (checksums, segmentation), e1000_rx.c, e1000_irq.c, e1000_phy.c, e1000_eeprom.c and e1000_stats.c.
 * The registers are rows of e1000_regs.def; time is virtual, and work per doorbell is bounded.
 * Not modelled: Flash, MSI, wake up and management filters (their registers are stored), pausing on received flow
 * control frames, half-duplex collisions, thresholds of descriptor write-back (each descriptor is written back at
 * once).
 */
#include "devices/e1000.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "devices/e1000_internal.h"

LOG_CATEGORY("e1000");

#define IO_WINDOW 64u /* IOADDR, IODATA, reserved */
#define IOADDR 0
#define IODATA 4

#define POWER_CAPABILITY 0xdc
#define POWER_CONTROL (POWER_CAPABILITY + 4)
#define POWER_STATE 3

bool
e1000_loopback(const struct e1000 *e)
{
	return RCTL_LBM(e->r.RCTL[0]) != 0 || e1000_phy_loopback(e);
}

bool
e1000_link_up(const struct e1000 *e)
{
	return e->phy_link && e->r.CTRL[0] & CTRL_SLU;
}

bool
e1000_bus_master(const struct e1000 *e)
{
	return pci_get16(e->pci.config, PCI_COMMAND) & PCI_COMMAND_MASTER;
}

/* Register hooks */

static void
write_ctrl(struct e1000 *e, u32 *reg, u32 value)
{
	u32 old = *reg;

	if (value & CTRL_RST) {
		/* Everything but the PHY and the configuration space; the bit clears itself. */
		e1000_reset_mac(e);
		return;
	}
	*reg = value & 0xd8fc1be9;
	if (old & CTRL_PHY_RST && !(value & CTRL_PHY_RST))
		e1000_phy_reset(e);
	else if (value & CTRL_PHY_RST && !(old & CTRL_PHY_RST))
		e1000_phy_reset(e);
}

static u32
read_status(struct e1000 *e, u32 *reg)
{
	u32 ctrl = e->r.CTRL[0], status = *reg;
	unsigned phy_speed, speed;
	bool full_duplex;

	e1000_phy_line(e, &phy_speed, &full_duplex);
	speed = ctrl & CTRL_FRCSPD ? (unsigned)CTRL_SPEED(ctrl) : phy_speed;
	if (ctrl & CTRL_FRCDPLX ? ctrl & CTRL_FD : full_duplex)
		status |= STATUS_FD;
	if (e1000_link_up(e))
		status |= STATUS_LU;
	return status | speed << 6 | phy_speed << 8;
}

static void
write_ctrl_ext(struct e1000 *e, u32 *reg, u32 value)
{
	*reg = value & 0x00c2cff0;
	if (value & CTRL_EXT_EE_RST)
		e1000_eeprom_load(e);
}

/* The packet buffer has 64 KiB: what receive does not take is transmit's. */
static void
write_pba(struct e1000 *e, u32 *reg, u32 value)
{
	u32 receive = value & 0x3f;

	(void)e;
	*reg = receive | (64 - receive) << 16;
}

static u32
read_counter(struct e1000 *e, u32 *reg)
{
	u32 value = *reg;

	(void)e;
	*reg = 0;
	return value;
}

static u32
read_counter_high(struct e1000 *e, u32 *reg)
{
	u32 value = *reg;

	(void)e;
	reg[-1] = reg[0] = 0;
	return value;
}

struct row {
	const char *name;
	u32 offset, alias, count, stride;
	size_t field; /* of the first u32 in struct e1000_registers */
	u32 reset, writable;
	u32 (*read)(struct e1000 *e, u32 *reg);
	void (*write)(struct e1000 *e, u32 *reg, u32 value);
};

static const struct row rows[] = {
#define REG(name, offset, alias, count, stride, reset, writable, read, write)                                          \
	{#name, offset, alias, count, stride, offsetof(struct e1000_registers, name), reset, writable, read, write},
#include "devices/e1000_regs.def"
};
_Static_assert(COUNT(rows) < 256, "row_at holds bytes");

static u32 *
row_register(struct e1000 *e, const struct row *row, unsigned index)
{
	return (u32 *)((u8 *)&e->r + row->field) + index;
}

static void
index_rows(struct e1000 *e)
{
	for (unsigned i = 0; i < COUNT(rows); i++) {
		for (unsigned k = 0; k < rows[i].count; k++) {
			e->row_at[(rows[i].offset + k * rows[i].stride) / 4] = (u8)(i + 1);
			if (rows[i].alias)
				e->row_at[(rows[i].alias + k * rows[i].stride) / 4] = (u8)(i + 1);
		}
	}
}

/* The row and register at `offset`, or NULL. */
static const struct row *
find(struct e1000 *e, u32 offset, u32 **reg)
{
	const struct row *row;
	u32 first;

	if (offset >= E1000_REGISTER_SPACE || e->row_at[offset / 4] == 0)
		return NULL;
	row = &rows[e->row_at[offset / 4] - 1];
	/* An alias window may lie below or above its register. */
	first = offset >= row->offset && offset < row->offset + row->count * row->stride ? row->offset : row->alias;
	*reg = row_register(e, row, (offset - first) / row->stride);
	return row;
}

static u32
register_read(struct e1000 *e, u32 offset)
{
	const struct row *row;
	u32 *reg;

	if (offset >= E1000_PACKET_BUFFER && offset < E1000_WINDOW)
		return e->packet_buffer[(offset - E1000_PACKET_BUFFER) / 4];
	row = find(e, offset, &reg);
	if (!row) {
		e->counters.unknown_reads++;
		log_debug("read of register 0x%05x, which does not exist", offset);
		return 0;
	}
	return row->read ? row->read(e, reg) : *reg;
}

static void
register_write(struct e1000 *e, u32 offset, u32 value)
{
	const struct row *row;
	u32 *reg;

	if (offset >= E1000_PACKET_BUFFER && offset < E1000_WINDOW) {
		e->packet_buffer[(offset - E1000_PACKET_BUFFER) / 4] = value;
		return;
	}
	row = find(e, offset, &reg);
	if (!row) {
		e->counters.unknown_writes++;
		log_debug("write of 0x%08x to register 0x%05x, which does not exist", value, offset);
		return;
	}
	if (row->write)
		row->write(e, reg, value);
	else
		*reg = (*reg & ~row->writable) | (value & row->writable);
}

/* Windows */

static u64
memory_window_read(void *opaque, u64 offset, unsigned size)
{
	struct e1000 *e = opaque;
	u32 at = (u32)offset & ~3u;
	u64 value = register_read(e, at);

	/* Narrow reads take lanes of the register; a wide one is two cycles on the 32-bit bus. */
	if ((offset & 3) + size > 4 && at + 4 < E1000_WINDOW)
		value |= (u64)register_read(e, at + 4) << 32;
	value >>= (offset & 3) * 8;
	if (e->observer)
		e->observer(e->observer_opaque, (u32)offset, size, false, size < 8 ? value & (BIT(size * 8) - 1) : value);
	return value;
}

static void
memory_window_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct e1000 *e = opaque;

	if (e->observer)
		e->observer(e->observer_opaque, (u32)offset, size, true, value);
	if (offset & 3 || size < 4) {
		/* "Registers ... must be accessed as 32-bit": the effect of others is not defined, so there is none. */
		e->counters.unknown_writes++;
		log_debug("%u-byte write at 0x%05x ignored", size, (u32)offset);
		return;
	}
	register_write(e, (u32)offset, (u32)value);
	if (size == 8)
		register_write(e, (u32)offset + 4, (u32)(value >> 32));
}

static u64
io_window_read(void *opaque, u64 offset, unsigned size)
{
	struct e1000 *e = opaque;

	if (offset == IOADDR && size == 4)
		return e->io_address;
	if (offset == IODATA && size == 4 && e->io_address < E1000_WINDOW)
		return register_read(e, e->io_address & ~3u);
	return 0;
}

static void
io_window_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct e1000 *e = opaque;

	if (offset == IOADDR && size == 4)
		e->io_address = (u32)value;
	else if (offset == IODATA && size == 4 && e->io_address < E1000_WINDOW)
		register_write(e, e->io_address & ~3u, (u32)value);
	else
		e->counters.unknown_writes++;
}

static const struct mmio_ops memory_window = {memory_window_read, memory_window_write};
static const struct mmio_ops io_window = {io_window_read, io_window_write};

/* Resets */

void
e1000_reset_mac(struct e1000 *e)
{
	for (unsigned i = 0; i < COUNT(rows); i++)
		for (unsigned k = 0; k < rows[i].count; k++)
			*row_register(e, &rows[i], k) = rows[i].reset;
	e1000_eeprom_load(e);
	e1000_tx_reset(e);
	e1000_irq_reset(e);
}

void
e1000_reset(struct e1000 *e)
{
	e->io_address = 0;
	memset(e->packet_buffer, 0, sizeof(e->packet_buffer));
	memset(&e->microwire, 0, sizeof(e->microwire));
	e1000_reset_mac(e);
	e1000_phy_reset(e);
	/* The PHY saw the link drop; nobody could have asked for the interrupt yet. */
	e->r.ICR[0] = 0;
	e1000_irq_reset(e);
}

static void
pci_reset(void *opaque)
{
	e1000_reset(opaque);
}

static void
config_written(void *opaque, unsigned offset, unsigned size)
{
	struct e1000 *e = opaque;
	u8 *power = &e->pci.config[POWER_CONTROL];

	if (offset <= PCI_COMMAND && offset + size > PCI_COMMAND)
		e1000_tx_run(e); /* bus mastering may have been switched on */
	if (offset <= POWER_CONTROL && offset + size > POWER_CONTROL) {
		/* The way back from D3hot goes through a reset: "Power Management". */
		bool d3 = (*power & POWER_STATE) == POWER_STATE;
		if (e->power_off && !d3)
			e1000_reset_mac(e);
		e->power_off = d3;
	}
}

/* The configuration space of "PCI Local Bus Interface". */
static void
init_pci(struct e1000 *e, const struct nic_parts *parts)
{
	struct pci_device *d = &e->pci;

	pci_device_init(d, "e1000", e, 0x8086, 0x100e, 0x02, 0x020000);
	pci_set16(d->config, PCI_STATUS, 0x0230); /* medium DEVSEL#, 66 MHz, capabilities */
	pci_set16(d->config, PCI_SUBSYSTEM_VENDOR_ID, 0x8086);
	pci_set16(d->config, PCI_SUBSYSTEM_ID, 0x001e);
	d->config[PCI_CAPABILITIES] = POWER_CAPABILITY;
	d->config[PCI_INTERRUPT_PIN] = 1;
	d->config[0x3e] = 0xff; /* Min_Gnt */
	d->config[POWER_CAPABILITY] = 0x01;
	pci_set16(d->config, POWER_CAPABILITY + 2, 0x0022); /* version 2, device specific initialisation; no PME# */
	d->writable[POWER_CONTROL] = POWER_STATE;
	pci_bar(d, 0, PCI_BAR_MEMORY, E1000_WINDOW, &memory_window, e, "e1000");
	pci_bar(d, 2, PCI_BAR_IO, IO_WINDOW, &io_window, e, "e1000 io");
	if (parts->rom)
		pci_rom(d, parts->rom_size, parts->rom, "e1000 rom");
	d->config_written = config_written;
	d->reset = pci_reset;
}

struct e1000 *
e1000_new(struct pci_bus *bus, int devfn, struct memory *memory, struct events *events, struct packet_link *link,
	  const struct nic_parts *parts)
{
	struct e1000 *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	(void)memory; /* DMA goes through the bus, which knows it */
	e->events = events;
	e->link = link;
	memcpy(e->mac, parts->mac, sizeof(e->mac));
	index_rows(e);
	init_pci(e, parts);
	e1000_irq_init(e);
	e1000_phy_init(e);
	e1000_tx_init(e);
	e1000_eeprom_fill(e);
	link->card = e;
	link->receive = e1000_receive;
	link->can_receive = e1000_can_receive;
	pci_add(bus, &e->pci, (unsigned)devfn);
	e1000_reset(e);
	return e;
}

void
e1000_free(struct e1000 *e)
{
	if (!e)
		return;
	e1000_irq_disarm(e);
	e1000_phy_disarm(e);
	e1000_tx_disarm(e);
	e->link->card = NULL;
	e->link->receive = NULL;
	e->link->can_receive = NULL;
	free(e);
}

void
e1000_state(struct e1000 *e, struct state *s)
{
	state_section(s, "e1000", 1);
	pci_device_state(&e->pci, s);
	STATE(s, e->r);
	STATE(s, e->packet_buffer);
	STATE(s, e->io_address);
	e1000_flag_state(s, &e->power_off);
	e1000_eeprom_state(e, s);
	e1000_phy_state(e, s);
	e1000_irq_state(e, s);
	e1000_tx_state(e, s);
}

const struct e1000_counters *
e1000_counters(const struct e1000 *e)
{
	return &e->counters;
}

void
e1000_observe(struct e1000 *e, void (*access)(void *opaque, u32 offset, unsigned size, bool write, u64 value), void *opaque)
{
	e->observer = access;
	e->observer_opaque = opaque;
}

const char *
e1000_register_name(const struct e1000 *e, u32 offset)
{
	unsigned row = offset < E1000_REGISTER_SPACE ? e->row_at[offset / 4] : 0;

	return row ? rows[row - 1].name : NULL;
}
