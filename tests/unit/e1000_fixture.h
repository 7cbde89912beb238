/* An e1000 on a bus of its own, with memory, a clock that the test moves, and a cable that ends in a list of frames. */
#ifndef NB_TESTS_UNIT_E1000_FIXTURE_H
#define NB_TESTS_UNIT_E1000_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/events.h"
#include "bus/memory.h"
#include "bus/packet.h"
#include "bus/ports.h"
#include "devices/e1000_internal.h"

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

static const u8 station[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
static const u8 peer[6] = {0x02, 0x00, 0x5e, 0x10, 0x00, 0x01};

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

/* Virtual time passes; every event fires at its own time. */
static inline void
pass_ns(struct fixture *f, u64 ns)
{
	u64 end = now(f) + events_from_ns(f->events, ns);

	while (events_next(f->events) <= end)
		events_run(f->events, MAX(events_next(f->events), now(f)));
	events_run(f->events, end);
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
	struct e1000_parts parts = {.rom = rom, .rom_size = sizeof(rom)};
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

/* An Ethernet frame with a counting payload. */
static inline void
fill_frame(u8 *frame, u32 size, const u8 *to, const u8 *from, u16 type)
{
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	frame[12] = (u8)(type >> 8);
	frame[13] = (u8)type;
	for (u32 i = 14; i < size; i++)
		frame[i] = (u8)(i * 7 + (i >> 8));
}

/* RFC 1071, straight from its text. */
static inline u16
internet_sum(const u8 *data, u32 size, u32 sum)
{
	for (u32 i = 0; i < size; i++)
		sum += i & 1 ? data[i] : (u32)data[i] << 8;
	while (sum > 0xffff)
		sum = (sum >> 16) + (sum & 0xffff);
	return (u16)sum;
}

static inline void
be16(u8 *at, u32 value)
{
	at[0] = (u8)(value >> 8);
	at[1] = (u8)value;
}

static inline u32
get16(const u8 *at)
{
	return (u32)at[0] << 8 | at[1];
}

static inline u32
get32(const u8 *at)
{
	return get16(at) << 16 | get16(at + 2);
}

/* The sum over a whole IP datagram's transport part with its pseudo header: 0xffff when the checksum is right. */
static inline u16
transport_sum(const u8 *ip)
{
	u32 v6 = ip[0] >> 4 == 6, header = v6 ? 40 : (ip[0] & 15) * 4u;
	u32 size = v6 ? get16(ip + 4) : get16(ip + 2) - header;
	u32 sum = internet_sum(v6 ? ip + 8 : ip + 12, v6 ? 32 : 8, 0);

	return internet_sum(ip + header, size, sum + (v6 ? ip[6] : ip[9]) + size);
}

/* Headers of a TCP or UDP packet behind an Ethernet header; checksum fields zero. Returns the offset of the payload. */
static inline u32
fill_ip(u8 *frame, bool v6, bool tcp, u32 payload)
{
	u32 transport = tcp ? 20 : 8, ip_size = v6 ? 40 : 20;
	u8 *ip = frame + 14, *t = ip + ip_size;

	fill_frame(frame, 14 + ip_size + transport + payload, peer, station, v6 ? 0x86dd : 0x0800);
	memset(ip, 0, ip_size + transport);
	if (v6) {
		ip[0] = 0x60;
		be16(ip + 4, transport + payload);
		ip[6] = tcp ? 6 : 17;
		ip[7] = 64;
		ip[8] = 0xfe;
		ip[23] = 1;
		ip[24] = 0xfe;
		ip[39] = 2;
	} else {
		ip[0] = 0x45;
		be16(ip + 2, 20 + transport + payload);
		be16(ip + 4, 0x1fff);
		ip[8] = 64;
		ip[9] = tcp ? 6 : 17;
		memcpy(ip + 12, (u8[]){10, 0, 2, 15, 10, 0, 2, 2}, 8);
	}
	be16(t, 40000);
	be16(t + 2, 80);
	if (tcp) {
		be16(t + 4, 0xfffe);
		be16(t + 6, 0xff00); /* wraps soon */
		t[12] = 0x50;
		t[13] = 0x19; /* FIN, PSH, ACK */
		be16(t + 14, 0x2000);
	} else {
		be16(t + 4, 8 + payload);
	}
	return 14 + ip_size + transport;
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
