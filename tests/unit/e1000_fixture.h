/* An e1000 on a bus of its own, with memory, a clock that the test moves, and a cable that ends in a list of frames. */
#ifndef NB_TESTS_UNIT_E1000_FIXTURE_H
#define NB_TESTS_UNIT_E1000_FIXTURE_H

#include "tests/unit/unit.h"

#include "base/events.h"
#include "bus/memory.h"
#include "bus/packet.h"
#include "bus/ports.h"
#include "devices/e1000_internal.h"
#include "tests/unit/frames.h"

#define HZ 1000000000ull /* a cycle is a nanosecond */
#define RAM_SIZE (16u << 20)
#define BAR_MEMORY 0xfebc0000u
#define BAR_PORT 0xc000u
#define SLOT PCI_DEVFN(3, 0)

#define RX_RING 0x10000u
#define TX_RING 0x20000u
#define RX_BUFFERS 0x100000u
#define TX_BUFFERS 0x800000u
#define RING 32u
#define FRAMES 2048u

struct sent {
	u64 time;
	u32 size;
	u8 data[PACKET_MAX];
};

struct fixture {
	struct events *events;
	struct memory *memory;
	struct ports *ports;
	struct pci_bus bus;
	struct packet_link link;
	struct e1000 *e;
	struct sent *sent; /* FRAMES of them */
	unsigned frames, ready_calls;
	int irq;
	unsigned rises;
	u32 tx_tail, rx_tail, tx_ring, rx_ring;
};

/* Register accesses as a driver makes them: through the memory window. The alias names are offsets from the table. */
enum reg_offset {
#define REG(name, offset, alias, count, stride, reset, writable, read, write) AT_##name = offset,
#include "devices/e1000_regs.def"
};

static inline u32
rd(struct fixture *f, u32 offset)
{
	return (u32)memory_read(f->memory, BAR_MEMORY + offset, 4);
}

static inline void
wr(struct fixture *f, u32 offset, u32 value)
{
	memory_write(f->memory, BAR_MEMORY + offset, 4, value);
}

static inline u64
now(struct fixture *f)
{
	return events_now(f->events);
}

/* Virtual time passes; every event fires at its own time. Fails when there are more than `limit`. */
static inline void
pass_bounded(struct fixture *f, u64 ns, unsigned limit)
{
	u64 end = now(f) + ns;

	for (unsigned n = 0; events_next(f->events) <= end; n++) {
		if (n == limit)
			fail_msg("%u events in %llu ns", n, (unsigned long long)ns);
		events_run(f->events, MAX(events_next(f->events), now(f)));
	}
	events_run(f->events, end);
}

static inline void
pass_ns(struct fixture *f, u64 ns)
{
	pass_bounded(f, ns, ~0u);
}

static inline void
fixture_transmit(void *opaque, const u8 *frame, size_t size)
{
	struct fixture *f = opaque;

	if (f->frames == FRAMES)
		return;
	f->sent[f->frames].time = now(f);
	f->sent[f->frames].size = (u32)size;
	memcpy(f->sent[f->frames++].data, frame, size);
}

static inline void
fixture_ready(void *opaque)
{
	((struct fixture *)opaque)->ready_calls++;
}

static inline void
fixture_pirq(void *opaque, unsigned pirq, int level)
{
	struct fixture *f = opaque;

	(void)pirq;
	f->irq = level;
	f->rises += level != 0;
}

#define FIXTURE_ROM 0x2000u

static inline struct fixture *
fixture_new(void)
{
	static const u8 rom[FIXTURE_ROM] = {0x55, 0xaa, [FIXTURE_ROM - 1] = 0xa5};
	struct nic_parts parts = {.rom = rom, .rom_size = sizeof(rom)};
	struct fixture *f = calloc(1, sizeof(*f));
	char *error = NULL;

	memcpy(parts.mac, station, sizeof(parts.mac));
	f->sent = calloc(FRAMES, sizeof(*f->sent));
	f->events = events_new(HZ);
	f->memory = memory_new(RAM_SIZE, &error);
	f->ports = ports_new();
	pci_bus_init(&f->bus, f->memory, f->ports);
	f->bus.pirq = fixture_pirq;
	f->bus.pirq_opaque = f;
	f->link = (struct packet_link){.transmit = fixture_transmit, .ready = fixture_ready, .backend = f, .up = true};
	f->e = e1000_new(&f->bus, SLOT, f->memory, f->events, &f->link, &parts);
	pci_config_write(&f->bus, SLOT, PCI_BAR0, 4, BAR_MEMORY);
	pci_config_write(&f->bus, SLOT, PCI_BAR0 + 8, 4, BAR_PORT);
	pci_config_write(&f->bus, SLOT, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	return f;
}

static inline void
fixture_free(struct fixture *f)
{
	e1000_free(f->e);
	ports_free(f->ports);
	memory_free(f->memory);
	events_free(f->events);
	free(f->sent);
	free(f);
}

static inline int
setup(void **state)
{
	*state = fixture_new();
	return 0;
}

static inline int
teardown(void **state)
{
	fixture_free(*state);
	return 0;
}

/* What Linux's driver does between probe and the first packet, as far as the rings are concerned. */
static inline void
bring_up(struct fixture *f)
{
	wr(f, AT_CTRL, rd(f, AT_CTRL) | (u32)CTRL_SLU);
	pass_ns(f, 50000000); /* autonegotiation */
	rd(f, AT_ICR);
	f->tx_ring = f->rx_ring = RING;
	wr(f, AT_TDBAL, TX_RING);
	wr(f, AT_TDBAH, 0);
	wr(f, AT_TDLEN, RING * 16);
	wr(f, AT_TDH, 0);
	wr(f, AT_TDT, 0);
	wr(f, AT_TCTL, 0x0003f0fa); /* EN, PSP, CT, COLD */
	wr(f, AT_RDBAL, RX_RING);
	wr(f, AT_RDBAH, 0);
	wr(f, AT_RDLEN, RING * 16);
	wr(f, AT_RDH, 0);
	wr(f, AT_RDT, 0);
	for (u32 i = 0; i < RING; i++) {
		memory_write(f->memory, RX_RING + i * 16, 8, RX_BUFFERS + i * 16384);
		memory_write(f->memory, RX_RING + i * 16 + 8, 8, 0);
	}
	f->tx_tail = 0;
	f->rx_tail = RING - 1;
	wr(f, AT_RDT, f->rx_tail);
	wr(f, AT_RCTL, (u32)(RCTL_EN | RCTL_BAM | RCTL_SECRC));
	f->ready_calls = 0;
}

/* Puts a descriptor in place; doorbell() tells the card. */
static inline u32
tx_put(struct fixture *f, u64 low, u64 high)
{
	u32 at = f->tx_tail;

	memory_write(f->memory, TX_RING + at * 16, 8, low);
	memory_write(f->memory, TX_RING + at * 16 + 8, 8, high);
	f->tx_tail = (f->tx_tail + 1) % f->tx_ring;
	return at;
}

static inline void
doorbell(struct fixture *f)
{
	wr(f, AT_TDT, f->tx_tail);
}

static inline u8
tx_status(struct fixture *f, u32 at)
{
	return (u8)memory_read(f->memory, TX_RING + at * 16 + 12, 1);
}

#define TX_EOP BIT(24)
#define TX_IFCS BIT(25)
#define TX_IC BIT(26)
#define TX_TSE BIT(26)
#define TX_RS BIT(27)
#define TX_DEXT BIT(29)
#define TX_VLE BIT(30)
#define TX_IDE BIT(31)
#define TX_DATA (TX_DEXT | BIT(20))

static inline void
put_bytes(struct fixture *f, u64 at, const void *data, u32 size)
{
	dma_write(f->memory, at, data, size);
}

/* Receive side */
static inline u8
rx_status(struct fixture *f, u32 at)
{
	return (u8)memory_read(f->memory, RX_RING + at * 16 + 12, 1);
}

static inline u8
rx_errors(struct fixture *f, u32 at)
{
	return (u8)memory_read(f->memory, RX_RING + at * 16 + 13, 1);
}

static inline u32
rx_size(struct fixture *f, u32 at)
{
	return (u32)memory_read(f->memory, RX_RING + at * 16 + 8, 2);
}

static inline bool
receive(struct fixture *f, const u8 *frame, u32 size)
{
	return f->link.receive(f->link.card, frame, size);
}

#endif
