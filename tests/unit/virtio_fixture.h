/*
 * A virtio network card on a bus of its own, and as much of a driver as tests need: rings at fixed places, accesses through
 * the modern or the legacy window. Frames that it sends and interrupt messages are recorded.
 */
#ifndef NB_TESTS_UNIT_VIRTIO_FIXTURE_H
#define NB_TESTS_UNIT_VIRTIO_FIXTURE_H

#include "tests/unit/unit.h"

#include "base/events.h"
#include "base/snapshot.h"
#include "bus/irq.h"
#include "bus/memory.h"
#include "bus/packet.h"
#include "bus/ports.h"
#include "devices/virtio_net.h"
#include "tests/unit/frames.h"

#define HZ 1000000000ull
#define RAM_SIZE (16u << 20)
#define SLOT PCI_DEVFN(3, 0)
#define BAR_PORT 0xc000u
#define BAR_MSIX 0xfe000000u
#define BAR_MODERN 0xfe004000u
#define DEVICE_CONFIG (BAR_MODERN + 0x2000)
#define NOTIFY (BAR_MODERN + 0x3000)

/* Common configuration, as the specification's table has it. */
enum {
	AT_OFFERED_SELECT = 0,
	AT_OFFERED = 4,
	AT_ACCEPTED_SELECT = 8,
	AT_ACCEPTED = 12,
	AT_CONFIG_VECTOR = 16,
	AT_QUEUES = 18,
	AT_STATUS = 20,
	AT_QUEUE_SELECT = 22,
	AT_QUEUE_SIZE = 24,
	AT_QUEUE_VECTOR = 26,
	AT_QUEUE_ENABLE = 28,
	AT_QUEUE_DESCRIPTORS = 32,
	AT_QUEUE_DRIVER = 40,
	AT_QUEUE_DEVICE = 48,
};

#define RX 0u
#define TX 1u
#define CTRL 2u
#define RING 16u
#define RINGS 3u
#define RING_SPACE 0x4000u
#define BUFFERS 0x100000u
#define FRAMES 64u
#define MESSAGES 64u

#define NEXT 1u
#define WRITE 2u
#define INDIRECT 4u

struct ring {
	u64 descriptors, driver, device;
	u16 size, available, seen;
};

struct sent {
	u32 size;
	u8 data[PACKET_MAX];
};

struct fixture {
	struct events *events;
	struct memory *memory;
	struct ports *ports;
	struct apic_bus apic;
	struct pci_bus bus;
	struct packet_link link;
	struct virtio_net *n;
	struct sent *sent;
	unsigned frames, ready_calls;
	struct apic_message message[MESSAGES];
	unsigned messages;
	int pin;
	struct ring ring[RINGS];
};

static inline void
fixture_transmit(void *opaque, const u8 *frame, size_t size)
{
	struct fixture *f = opaque;

	if (f->frames == FRAMES)
		return;
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
	(void)pirq;
	((struct fixture *)opaque)->pin = level;
}

static inline bool
fixture_message(void *opaque, const struct apic_message *message)
{
	struct fixture *f = opaque;

	if (f->messages < MESSAGES)
		f->message[f->messages++] = *message;
	return true;
}

static inline struct fixture *
fixture_new(enum virtio_generation generation)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct nic_parts parts = {.rom = NULL};
	char *error = NULL;

	assert_non_null(f);
	memcpy(parts.mac, station, sizeof(station));
	f->sent = calloc(FRAMES, sizeof(*f->sent));
	f->events = events_new(HZ);
	f->memory = memory_new(RAM_SIZE, &error);
	f->ports = ports_new();
	f->apic = (struct apic_bus){.send = fixture_message, .cpus = f};
	pci_bus_init(&f->bus, f->memory, f->ports);
	f->bus.apic = &f->apic;
	f->bus.pirq = fixture_pirq;
	f->bus.pirq_opaque = f;
	f->link = (struct packet_link){.transmit = fixture_transmit, .ready = fixture_ready, .backend = f, .up = true};
	f->n = virtio_net_new(&f->bus, SLOT, f->events, &f->link, &parts, generation);
	pci_config_write(&f->bus, SLOT, PCI_BAR0, 4, BAR_PORT);
	pci_config_write(&f->bus, SLOT, PCI_BAR0 + 4, 4, BAR_MSIX);
	pci_config_write(&f->bus, SLOT, PCI_BAR0 + 16, 4, BAR_MODERN);
	pci_config_write(&f->bus, SLOT, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	return f;
}

static inline void
fixture_free(struct fixture *f)
{
	virtio_net_free(f->n);
	ports_free(f->ports);
	memory_free(f->memory);
	events_free(f->events);
	free(f->sent);
	free(f);
}

/* Virtual time passes; every event fires at its own time. Fails when there are more than `limit`. */
static inline void
pass_bounded(struct fixture *f, u64 ns, unsigned limit)
{
	u64 end = events_now(f->events) + ns;

	for (unsigned n = 0; events_next(f->events) <= end; n++) {
		if (n == limit)
			fail_msg("%u events in %llu ns", n, (unsigned long long)ns);
		events_run(f->events, MAX(events_next(f->events), events_now(f->events)));
	}
	events_run(f->events, end);
}

static inline void
pass_ns(struct fixture *f, u64 ns)
{
	pass_bounded(f, ns, ~0u);
}

/* ---- Registers ---- */

static inline u32
rd(struct fixture *f, unsigned at, unsigned size)
{
	return (u32)memory_read(f->memory, BAR_MODERN + at, size);
}

static inline void
wr(struct fixture *f, unsigned at, unsigned size, u64 value)
{
	memory_write(f->memory, BAR_MODERN + at, size, value);
}

static inline u8
status(struct fixture *f)
{
	return (u8)rd(f, AT_STATUS, 1);
}

static inline u64
offered(struct fixture *f)
{
	u64 low;

	wr(f, AT_OFFERED_SELECT, 4, 0);
	low = rd(f, AT_OFFERED, 4);
	wr(f, AT_OFFERED_SELECT, 4, 1);
	return low | (u64)rd(f, AT_OFFERED, 4) << 32;
}

static inline void
accept(struct fixture *f, u64 features)
{
	for (unsigned i = 0; i < 2; i++) {
		wr(f, AT_ACCEPTED_SELECT, 4, i);
		wr(f, AT_ACCEPTED, 4, (u32)(features >> 32 * i));
	}
}

static inline void
clear_ring(struct fixture *f, unsigned i, unsigned size)
{
	struct ring *r = &f->ring[i];
	static const u8 zeros[RING_SPACE];

	r->descriptors = 0x10000 + (u64)i * RING_SPACE;
	r->driver = r->descriptors + 16ull * size;
	r->device = (r->driver + 6 + 2ull * size + 4095) & ~4095ull;
	r->size = (u16)size;
	r->available = r->seen = 0;
	dma_write(f->memory, r->descriptors, zeros, sizeof(zeros));
}

static inline void
set_queue(struct fixture *f, unsigned i)
{
	clear_ring(f, i, RING);
	wr(f, AT_QUEUE_SELECT, 2, i);
	wr(f, AT_QUEUE_SIZE, 2, RING);
	wr(f, AT_QUEUE_DESCRIPTORS, 8, f->ring[i].descriptors);
	wr(f, AT_QUEUE_DRIVER, 8, f->ring[i].driver);
	wr(f, AT_QUEUE_DEVICE, 8, f->ring[i].device);
	wr(f, AT_QUEUE_ENABLE, 2, 1);
}

/* "Device Initialization" up to DRIVER_OK, with these features (VERSION_1 is added). */
static inline void
bring_up(struct fixture *f, u64 features)
{
	wr(f, AT_STATUS, 1, 0);
	wr(f, AT_STATUS, 1, 1);
	wr(f, AT_STATUS, 1, 3);
	accept(f, features | VIRTIO_F_VERSION_1);
	wr(f, AT_STATUS, 1, 11);
	for (unsigned i = 0; i < RINGS; i++)
		set_queue(f, i);
	wr(f, AT_STATUS, 1, 15);
}

/* ---- Rings ---- */

static inline void
put_descriptor(struct fixture *f, u64 table, unsigned index, u64 address, u32 size, unsigned flags, unsigned next)
{
	u8 bytes[16];

	pci_set32(bytes, 0, (u32)address);
	pci_set32(bytes, 4, (u32)(address >> 32));
	pci_set32(bytes, 8, size);
	pci_set16(bytes, 12, (u16)flags);
	pci_set16(bytes, 14, (u16)next);
	dma_write(f->memory, table + 16ull * index, bytes, sizeof(bytes));
}

static inline void
offer(struct fixture *f, unsigned queue, unsigned head)
{
	struct ring *r = &f->ring[queue];

	memory_write(f->memory, r->driver + 4 + 2ull * (r->available % r->size), 2, head);
	r->available++;
	memory_write(f->memory, r->driver + 2, 2, r->available);
}

static inline void
ring_bell(struct fixture *f, unsigned queue)
{
	memory_write(f->memory, NOTIFY + 4 * queue, 2, queue);
	pass_ns(f, 1000000);
}

static inline u16
used_index(struct fixture *f, unsigned queue)
{
	return (u16)memory_read(f->memory, f->ring[queue].device + 2, 2);
}

static inline u32
used_size(struct fixture *f, unsigned queue, unsigned entry)
{
	return (u32)memory_read(f->memory, f->ring[queue].device + 8 + 8ull * entry, 4);
}

/* One chain of one descriptor: `header` zeros, then the frame. */
static inline void
send_frame(struct fixture *f, const u8 *header, u32 header_size, const u8 *frame, u32 size)
{
	dma_write(f->memory, BUFFERS, header, header_size);
	dma_write(f->memory, BUFFERS + header_size, frame, size);
	put_descriptor(f, f->ring[TX].descriptors, 0, BUFFERS, header_size + size, 0, 0);
	offer(f, TX, 0);
}

static inline bool
receive(struct fixture *f, const u8 *frame, u32 size)
{
	return f->link.receive(f->link.card, frame, size);
}

#endif
