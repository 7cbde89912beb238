/*
 * The e1000 under hostile drivers: random registers, descriptors, frames, times and snapshots.
 *
 * What must hold, besides the sanitizers' silence: frames have legal sizes, time passes in boundedly many events.
 */
#include <stdio.h>

#include "../unit/e1000_fixture.h"
#include "tests/fuzz/fuzz.h"

#define EVENTS_PER_PASS 100000
#define FUZZ_RAM (1u << 20)

static const struct {
	u32 offset, count, stride;
} rows[] = {
#define REG(name, offset, alias, count, stride, reset, writable, read, write) {offset, count, stride},
#include "devices/e1000_regs.def"
};

static const u32 interesting[] = {
	AT_CTRL, AT_RCTL, AT_TCTL, AT_TDT,  AT_RDT,  AT_TDH,  AT_RDH,  AT_TDLEN, AT_RDLEN, AT_TDBAL, AT_RDBAL,
	AT_MDIC, AT_ITR,  AT_IMS,  AT_RDTR, AT_TIDV, AT_EECD, AT_EERD, AT_ICS,   AT_PBA,   AT_VET,   AT_RXCSUM,
};

static u32
choose_offset(struct input *in)
{
	u32 kind = (u32)take(in, 1);

	if (kind < 160)
		return interesting[kind % COUNT(interesting)];
	if (kind < 240) {
		u32 row = (u32)take(in, 1) % COUNT(rows);
		return rows[row].offset + (u32)take(in, 1) % rows[row].count * rows[row].stride;
	}
	return (u32)take(in, 3) % E1000_WINDOW;
}

/* Small numbers, bit patterns and anything, so that rings and lengths are often nearly right. */
static u32
choose_value(struct input *in)
{
	u32 kind = (u32)take(in, 1);

	switch (kind & 7) {
	case 0:
		return kind >> 3;
	case 1:
		return 1u << (kind >> 3);
	case 2:
		return (u32)take(in, 2);
	case 3:
		return (u32)take(in, 1) << 7;
	case 4:
		return (u32)take(in, 2) << 4;
	case 5:
		return UINT32_MAX;
	case 6:
		return 0x0003f0fa; /* a TCTL, and as RCTL: enable, promiscuous, long packets */
	default:
		return (u32)take(in, 4);
	}
}

static void
check_transmit(void *opaque, const u8 *frame, size_t size)
{
	struct fixture *f = opaque;
	u8 sum = 0;

	assert_in_range(size, FRAME_HEADER, PACKET_MAX);
	for (size_t i = 0; i < size; i++)
		sum ^= frame[i]; /* every byte is there */
	f->frames += sum < 255;
}

static void
put_descriptor(struct fixture *f, struct input *in)
{
	u64 low, high, at = take(in, 2) % 4096 * 16;
	u32 kind = (u32)take(in, 1), ring = f->e->r.TDLEN[0] / 16;

	/* Mostly the next one in the transmit ring. */
	if (kind < 192 && ring) {
		at = f->e->r.TDBAL[0] + (f->e->r.TDT[0] % ring) * 16;
		f->tx_tail = (f->e->r.TDT[0] + 1) % ring;
	}

	low = kind & 1 ? take(in, 3) % FUZZ_RAM : take(in, 8);
	high = kind & 2 ? take(in, 2) | take(in, 1) << 24 | take(in, 4) << 32 : take(in, 8);
	if (kind & 4)
		high |= TX_DEXT;
	if (kind & 8)
		high = (high & ~0xf00000ull) | 0x100000; /* data */
	else if (kind & 16)
		high &= ~0xf00000ull; /* context */
	memory_write(f->memory, at, 8, low);
	memory_write(f->memory, at + 8, 8, high);
	if (kind < 192 && ring)
		doorbell(f);
}

static void
put_frame(struct fixture *f, struct input *in)
{
	static u8 frame[PACKET_MAX];
	u32 kind = (u32)take(in, 1), size = kind & 1 ? (u32)take(in, 2) % (PACKET_MAX + 1) : (u32)take(in, 1) + 14;
	static const u16 type[] = {0x0800, 0x86dd, 0x8100, 0x8808};

	fill_frame(frame, PACKET_MAX, kind & 2 ? station : peer, peer, type[kind >> 2 & 3]);
	for (unsigned i = 0; i < 32; i++)
		frame[14 + i] = (u8)take(in, 1);
	if (f->link.can_receive(f->link.card) || kind & 64)
		receive(f, frame, size);
}

static void
visit(void *opaque, struct state *s)
{
	e1000_state(opaque, s);
}

/* A driver that knows what it does, with its rings in the memory that put_descriptor() writes. */
static void
start_driver(struct fixture *f)
{
	pci_config_write(&f->bus, SLOT, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	f->link.up = true;
	wr(f, AT_MDIC, 1u << 21 | 1u << 26 | 0x1340);
	bring_up(f);
	wr(f, AT_TDBAL, 0);
	wr(f, AT_RDBAL, 0x8000);
}

static void
step(struct fixture *f, struct input *in)
{
	u32 kind = (u32)take(in, 1);

	if (kind < 4) {
		start_driver(f);
	} else if (kind < 80) {
		u32 at = choose_offset(in);
		wr(f, at, choose_value(in));
	} else if (kind < 100) {
		rd(f, choose_offset(in));
	} else if (kind < 200) {
		put_descriptor(f, in);
	} else if (kind < 225) {
		put_frame(f, in);
	} else if (kind < 245) {
		pass_bounded(f, take(in, 3), EVENTS_PER_PASS);
	} else if (kind < 248) {
		ports_write(f->ports, (u16)(BAR_PORT + take(in, 1) % 64), 4, (u32)take(in, 3));
	} else if (kind < 250) {
		memory_read(f->memory, BAR_MEMORY + take(in, 3) % (E1000_WINDOW - 8), 8);
		memory_write(f->memory, BAR_MEMORY + take(in, 3) % (E1000_WINDOW - 8), 8, take(in, 8));
	} else if (kind < 252) {
		e1000_set_link(f->e, kind & 1);
	} else if (kind < 253) {
		pci_config_write(&f->bus, SLOT, PCI_COMMAND, 2, (u32)take(in, 1) | 2);
		pci_config_write(&f->bus, SLOT, PCI_ROM_BAR, 4, (u32)take(in, 4));
	} else if (kind < 254) {
		pci_config_write(&f->bus, SLOT, 0xe0, 2, (u32)take(in, 1));
	} else {
		fuzz_shake(visit, f->e, in);
	}
}

static unsigned long long sent_frames, interrupts;

int
LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = {data, size, 0};
	struct fixture *f = fixture_new();

	f->link.transmit = check_transmit;
	start_driver(f);
	while (in.at < in.size)
		step(f, &in);
	pass_bounded(f, 100000000, EVENTS_PER_PASS);
	sent_frames += f->frames;
	interrupts += e1000_counters(f->e)->interrupts;
	fixture_free(f);
	return 0;
}

#ifndef NB_LIBFUZZER
static void
random_drivers_do_no_harm(void **state)
{
	(void)state;
	fuzz_all(1);
	/* The inputs must reach something. */
	print_message("%llu frames sent, %llu interrupts\n", sent_frames, interrupts);
	assert_true(sent_frames > inputs / 10);
	assert_true(interrupts > inputs / 10);
}

int
main(int argc, char **argv)
{
	return fuzz_main(argc, argv, 300, (struct CMUnitTest)cmocka_unit_test(random_drivers_do_no_harm));
}
#endif
