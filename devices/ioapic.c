/*
 * I/O APIC: 24 inputs, each with a redirection table entry that says which message an edge or a level becomes.
 *
 * Source: 82093AA data sheet (order 290566), "I/O APIC Registers"; version 20h with the EOI register as in the ICH data
 * sheets.
 *
 *    63      56         16  15    14    13    12     11      10:8     7:0
 *   | dest.    |  ...  |mask|level|rIRR |low  |pend. |logical|delivery|vector|
 *
 * Delivery is instantaneous, so delivery status reads idle. Not modelled: the arbitration ID (a copy of the ID), the
 * 3-wire bus.
 */
#include "devices/ioapic.h"

#include <string.h>

#include "base/log.h"
#include "base/snapshot.h"

LOG_CATEGORY("ioapic");

#define VERSION (0x20u | (IOAPIC_INPUTS - 1) << 16)

#define RTE_REMOTE_IRR BIT(14)
#define RTE_LEVEL BIT(15)
#define RTE_MASK BIT(16)
#define RTE_WRITABLE 0xff0000000001afffull /* not delivery status, not remote IRR */

#define REG_SELECT 0x00
#define REG_WINDOW 0x10
#define REG_EOI 0x40

/* Sends input n's message. True when a local APIC took it. */
static bool
deliver(struct ioapic *io, unsigned n)
{
	u64 entry = io->redirection[n];
	struct apic_message message = {
		.destination = (u32)BITS(entry, 63, 56),
		.vector = (u8)entry,
		.delivery = (u8)BITS(entry, 10, 8),
		.logical = BITS(entry, 11, 11),
		.level = entry & RTE_LEVEL,
		.assert_ = true,
	};

	log_debug("input %u: vector %#x to %#x", n, message.vector, message.destination);
	return io->bus->send && io->bus->send(io->bus->cpus, &message);
}

/* A level-triggered input asks while its line is up, until the processor's EOI. */
static void
service_level(struct ioapic *io, unsigned n)
{
	u64 *entry = &io->redirection[n];
	u8 delivery = (u8)BITS(*entry, 10, 8);

	if (!(*entry & RTE_LEVEL) || *entry & (RTE_MASK | RTE_REMOTE_IRR) || !(io->lines & BIT(n)))
		return;
	/* Remote IRR stands for fixed and lowest-priority interrupts only: the others are never EOId. */
	if (deliver(io, n) && (delivery == APIC_FIXED || delivery == APIC_LOWEST))
		*entry |= RTE_REMOTE_IRR;
}

void
ioapic_set(void *opaque, unsigned number, int level)
{
	struct ioapic *io = opaque;
	u64 entry;

	if (number >= IOAPIC_INPUTS || !(io->lines & BIT(number)) == !level)
		return;
	io->lines ^= (u32)BIT(number);
	if (!level)
		return;
	entry = io->redirection[number];
	/* "Edge-sensitive interrupts signaled on a masked interrupt pin are ignored." */
	if (entry & RTE_LEVEL)
		service_level(io, number);
	else if (!(entry & RTE_MASK))
		deliver(io, number);
}

void
ioapic_eoi(void *opaque, u8 vector)
{
	struct ioapic *io = opaque;

	for (unsigned n = 0; n < IOAPIC_INPUTS; n++) {
		u64 *entry = &io->redirection[n];

		if ((u8)*entry != vector || !(*entry & RTE_REMOTE_IRR))
			continue;
		*entry &= ~RTE_REMOTE_IRR;
		service_level(io, n);
	}
}

static void
write_entry(struct ioapic *io, unsigned index, u32 value)
{
	unsigned n = index / 2, shift = index % 2 * 32;
	u64 *entry = &io->redirection[n];
	u64 writable = RTE_WRITABLE & ((u64)~0u << shift);

	*entry = (*entry & ~writable) | ((u64)value << shift & writable);
	/* Remote IRR has no meaning for edges; software clears a stuck one by switching to edge and back. */
	if (!(*entry & RTE_LEVEL))
		*entry &= ~RTE_REMOTE_IRR;
	service_level(io, n);
}

static u32
read_window(const struct ioapic *io)
{
	unsigned index = io->select - 0x10u;

	if (io->select == 0 || io->select == 2)
		return (u32)io->id << 24;
	if (io->select == 1)
		return VERSION;
	if (index < 2 * IOAPIC_INPUTS)
		return (u32)(io->redirection[index / 2] >> index % 2 * 32);
	return 0;
}

static void
write_window(struct ioapic *io, u32 value)
{
	unsigned index = io->select - 0x10u;

	if (io->select == 0)
		io->id = value >> 24 & 15;
	else if (index < 2 * IOAPIC_INPUTS)
		write_entry(io, index, value);
}

/*
 * Registers are 32 bits wide, at multiples of 16. Narrower reads see their part; writes count as if the rest were zero.
 */
static u64
ioapic_read(void *opaque, u64 offset, unsigned size)
{
	struct ioapic *io = opaque;
	unsigned lane = offset & 15;
	u32 value = 0;

	(void)size;
	if (lane >= 4)
		return 0;
	switch (offset & 0xff0) {
	case REG_SELECT:
		value = io->select;
		break;
	case REG_WINDOW:
		value = read_window(io);
		break;
	default:
		break;
	}
	return value >> lane * 8;
}

static void
ioapic_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct ioapic *io = opaque;

	if (offset & 15)
		return;
	switch (offset & 0xff0) {
	case REG_SELECT:
		io->select = (u8)value;
		break;
	case REG_WINDOW:
		if (size >= 4)
			write_window(io, (u32)value);
		break;
	case REG_EOI:
		ioapic_eoi(io, (u8)value);
		break;
	default:
		break;
	}
}

static const struct mmio_ops ioapic_ops = {ioapic_read, ioapic_write};

void
ioapic_init(struct ioapic *io, struct memory *memory, struct apic_bus *bus)
{
	memset(io, 0, sizeof(*io));
	io->bus = bus;
	bus->eoi = ioapic_eoi;
	bus->ioapic = io;
	memory_map_mmio(memory, "ioapic", IOAPIC_BASE, 0x1000, &ioapic_ops, io);
	ioapic_reset(io);
}

void
ioapic_reset(struct ioapic *io)
{
	io->id = 0;
	io->select = 0;
	for (unsigned n = 0; n < IOAPIC_INPUTS; n++)
		io->redirection[n] = RTE_MASK;
}

void
ioapic_state(struct ioapic *io, struct state *s)
{
	state_section(s, "ioapic", 1);
	STATE(s, io->id);
	STATE(s, io->select);
	STATE(s, io->lines);
	STATE(s, io->redirection);
}
