/*
 * Virtio functions under hostile drivers: random registers, rings, chains, frames, times and snapshots.
 *
 * What must hold, besides the sanitizers' silence: frames have legal sizes, time passes in boundedly many events.
 */
#include "../unit/virtio_fixture.h"
#include "tests/fuzz/fuzz.h"

#define EVENTS_PER_PASS 100000
#define FUZZ_RAM (1u << 20)

static unsigned long long sent_frames, received_frames, broken;

static void
check_transmit(void *opaque, const u8 *frame, size_t size)
{
	struct fixture *f = opaque;
	u8 sum = 0;

	assert_in_range(size, 14, PACKET_MAX);
	for (size_t i = 0; i < size; i++)
		sum ^= frame[i]; /* every byte is there */
	f->frames += sum < 255;
}

static u32
some_size(struct input *in)
{
	static const u32 size[] = {0, 1, 12, 16, 60, 64, 1526, 2048, 4096, 65536, 70000, 0xffffffff};

	return size[take(in, 1) % COUNT(size)];
}

/* Descriptors of a ring, mostly sensible ones. */
static void
put_chain(struct fixture *f, struct input *in, unsigned queue)
{
	struct ring *r = &f->ring[queue];
	u64 table = r->descriptors;
	unsigned kind = (unsigned)take(in, 1), first = (unsigned)take(in, 1) % RING, count = 1 + kind % 4;

	if (kind & 0x40) {
		u64 indirect = BUFFERS + take(in, 1) * 64;

		put_descriptor(f, table, first, indirect, kind & 0x80 ? 16 * count : (u32)take(in, 2), INDIRECT, 0);
		table = indirect;
	}
	for (unsigned i = 0; i < count; i++) {
		bool last = i + 1 == count;
		unsigned at = kind & 0x40 ? i : (first + i) % RING, flags = (queue == RX || (queue == CTRL && last) ? WRITE : 0u);

		if (take(in, 1) < 8)
			flags ^= (unsigned)take(in, 1) & 7;
		put_descriptor(f, table, at, take(in, 1) < 4 ? take(in, 8) : BUFFERS + take(in, 2) * 16, some_size(in),
			       flags | (last ? 0 : NEXT), take(in, 1) < 4 ? (unsigned)take(in, 2) : (at + 1) % RING);
	}
	offer(f, queue, take(in, 1) < 2 ? (unsigned)take(in, 2) : first);
	if (take(in, 1) < 2)
		memory_write(f->memory, r->driver + 2, 2, take(in, 2));
	memory_write(f->memory, NOTIFY + 4 * queue, 2, queue);
}

/* What a chain of transmission or control points at: a header or command, and frame that looks like TCP. */
static void
put_content(struct fixture *f, struct input *in)
{
	u8 bytes[160];
	u32 kind = (u32)take(in, 1);

	memset(bytes, 0, 12);
	fill_ip(bytes + 12, kind & 1, kind & 2, 40);
	if (kind & 4)
		bytes[0] = 1;
	if (kind & 8)
		bytes[1] = kind & 1 ? 4 : 1;
	pci_set16(bytes, 4, (u16)(take(in, 1) * 16));
	pci_set16(bytes, 6, kind & 16 ? (u16)take(in, 2) : kind & 1 ? 54 : 34);
	pci_set16(bytes, 8, kind & 32 ? (u16)take(in, 2) : 16);
	for (u32 n = kind >> 6; n; n--)
		bytes[take(in, 1) % sizeof(bytes)] = (u8)take(in, 1);
	dma_write(f->memory, BUFFERS + take(in, 2) * 16, bytes, sizeof(bytes));
}

static void
put_frame(struct fixture *f, struct input *in)
{
	static u8 frame[PACKET_MAX];
	u32 kind = (u32)take(in, 1), size = kind & 1 ? (u32)take(in, 2) % (PACKET_MAX + 1) : (u32)take(in, 1) + 14;

	fill_frame(frame, PACKET_MAX, kind & 2 ? station : peer, peer, kind & 4 ? 0x8100 : 0x0800);
	if (f->link.can_receive(f->link.card) || kind & 64)
		receive(f, frame, size);
}

static void
visit(void *opaque, struct state *s)
{
	virtio_net_state(opaque, s);
}

static void
start_driver(struct fixture *f, struct input *in)
{
	u64 features = take(in, 4);

	pci_config_write(&f->bus, SLOT, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	bring_up(f, features & offered(f));
	if (take(in, 1) & 1)
		pci_config_write(&f->bus, SLOT, 0x42, 2, 0x8000);
}

static void
poke(struct fixture *f, struct input *in)
{
	unsigned size = 1u << (take(in, 1) & 3), kind = (unsigned)take(in, 1);

	switch (kind & 7) {
	case 0:
		memory_write(f->memory, BAR_MSIX + take(in, 1) * 4, 4, take(in, 4));
		break;
	case 1:
		memory_read(f->memory, BAR_MSIX + take(in, 2) % 4096 / size * size, size);
		break;
	case 2:
		memory_read(f->memory, BAR_MODERN + take(in, 2) % 0x4000 / size * size, size);
		break;
	case 3:
		ports_write(f->ports, (u16)(BAR_PORT + take(in, 1) % 128), MIN(size, 4), (u32)take(in, 4));
		break;
	case 4:
		ports_read(f->ports, (u16)(BAR_PORT + take(in, 1) % 128), MIN(size, 4));
		break;
	case 5:
		pci_config_write(&f->bus, SLOT, 0x94 + take(in, 1) % 20 / 4 * 4, 4, (u32)take(in, 1));
		break;
	case 6:
		pci_config_write(&f->bus, SLOT, kind & 8 ? 0x42 : PCI_COMMAND, 2, (u32)take(in, 2));
		break;
	default:
		memory_write(f->memory, BAR_MODERN + take(in, 2) % 0x4000 / size * size, size, take(in, size));
		break;
	}
}

static void
step(struct fixture *f, struct input *in)
{
	u32 kind = (u32)take(in, 1);

	if (kind < 4)
		start_driver(f, in);
	else if (kind < 20)
		poke(f, in);
	else if (kind < 25)
		wr(f, (u32)take(in, 1) % 56, 1u << (kind & 3), take(in, 2));
	else if (kind < 130)
		put_chain(f, in, (unsigned)take(in, 1) % RINGS);
	else if (kind < 170)
		put_content(f, in);
	else if (kind < 220)
		put_frame(f, in);
	else if (kind < 248)
		pass_bounded(f, take(in, 3), EVENTS_PER_PASS);
	else if (kind < 252)
		virtio_net_set_link(f->n, kind & 1);
	else
		fuzz_shake(visit, f->n, in);
}

int
LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = {data, size, 0};
	struct fixture *f = fixture_new(size % 3 == 0 ? VIRTIO_MODERN : VIRTIO_TRANSITIONAL);

	f->link.transmit = check_transmit;
	start_driver(f, &in);
	while (in.at < in.size) {
		step(f, &in);
		/* Broken rings end a driver; the next one comes. */
		if (status(f) & 0x40)
			start_driver(f, &in);
	}
	pass_bounded(f, 100000000, EVENTS_PER_PASS);
	sent_frames += virtio_net_counters(f->n)->tx_frames;
	received_frames += virtio_net_counters(f->n)->rx_frames;
	broken += virtio_net_common(f->n)->broken;
	fixture_free(f);
	return 0;
}

#ifndef NB_LIBFUZZER
static void
random_drivers_do_no_harm(void **state)
{
	(void)state;
	fuzz_all(3);
	/* The inputs must reach something. */
	print_message("%llu frames sent, %llu received, %llu queues broken\n", sent_frames, received_frames, broken);
	assert_true(sent_frames > inputs);
	assert_true(received_frames > inputs);
	assert_true(broken > inputs / 10);
}

int
main(int argc, char **argv)
{
	return fuzz_main(argc, argv, 300, (struct CMUnitTest)cmocka_unit_test(random_drivers_do_no_harm));
}
#endif
