/*
 * Disks, CDs and the display adapter under hostile drivers: commands with random registers, packets, bus-master tables,
 * virtio requests, hosts that fail, display modes; times and damaged snapshots.
 *
 * What must hold, besides the sanitizers' silence: sectors lie inside their disk, nothing is written to a CD, time passes in
 * boundedly many events, a saved state loads, pictures have a legal size.
 */
#include "../unit/chip_fixture.h"

#include "devices/ide.h"
#include "devices/vga.h"
#include "devices/virtio_blk.h"
#include "tests/fuzz/fuzz.h"

#define EVENTS_PER_PASS 100000
#define SECTORS 512u

#define IDE_SLOT PCI_DEVFN(1, 1)
#define VGA_SLOT PCI_DEVFN(2, 0)
#define BLK_SLOT PCI_DEVFN(3, 0)
#define BUS_MASTER 0xc000u
#define FRAMEBUFFER 0xe0000000u
#define REGISTERS 0xe2000000u
#define COMMON 0xfe004000u
#define RING 0x10000u
#define RING_SIZE 16u
#define DRIVER (RING + 16 * RING_SIZE)
#define DEVICE (RING + 0x1000)
#define TABLE 0x20000u
#define DATA 0x40000u

struct media {
	struct block block;
	bool cdrom;
	bool fails;
	u8 bytes[SECTORS * BLOCK_SECTOR];
};

struct bench {
	struct fixture *f;
	struct apic_bus apic;
	struct pci_bus bus;
	struct media disk, cd, blk_disk;
	struct ide *ide;
	struct virtio_blk *blk;
	struct vga *vga;
	u16 available;
};

static unsigned long long transfers, requests, pictures;

/* ---- The host's side ---- */

static int
media_read(void *host, u64 sector, u32 count, u8 *buffer)
{
	struct media *m = host;

	assert_true(count && sector < SECTORS && count <= SECTORS - sector);
	memcpy(buffer, m->bytes + sector * BLOCK_SECTOR, (size_t)count * BLOCK_SECTOR);
	transfers++;
	return m->fails ? 5 : 0;
}

static int
media_write(void *host, u64 sector, u32 count, const u8 *buffer)
{
	struct media *m = host;

	assert_true(count && sector < SECTORS && count <= SECTORS - sector && !m->cdrom);
	memcpy(m->bytes + sector * BLOCK_SECTOR, buffer, (size_t)count * BLOCK_SECTOR);
	transfers++;
	return m->fails ? 28 : 0;
}

static int
media_flush(void *host)
{
	return ((struct media *)host)->fails ? 5 : 0;
}

static struct block *
media_init(struct media *m, bool cdrom)
{
	m->cdrom = cdrom;
	m->block = (struct block){media_read, media_write, media_flush, m, SECTORS, cdrom};
	return &m->block;
}

static bool
send(void *cpus, const struct apic_message *message)
{
	(void)cpus;
	return message->destination != 1;
}

/* ---- The guest's side ---- */

static const u8 commands[] = {
	0x20, 0x24, 0x25, 0x29, 0x30, 0x34, 0x35, 0x39, 0xc4, 0xc5, 0xc6, 0xc8, 0xca, 0xe7, 0xea, 0xec,
	0xa1, 0xa0, 0xa0, 0xa0, 0xef, 0x91, 0x08, 0x40, 0x42, 0x70, 0xf8, 0x27, 0xe0, 0xe1, 0xe5, 0xb0,
};
static const u8 packets[] = {0x00, 0x03, 0x12, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2b, 0x43, 0x46, 0x4a, 0x51, 0x5a, 0xa8, 0xbe, 0xad};

static void
put_table(struct bench *b, struct input *in)
{
	unsigned entries = 1 + take(in, 1) % 6;

	for (unsigned i = 0; i < entries; i++) {
		u32 kind = (u32)take(in, 1);
		u32 address = kind & 1 ? (u32)take(in, 4) : DATA + (u32)take(in, 2);
		u32 size = kind & 2 ? (u32)take(in, 2) : 512u << (kind >> 2 & 7);

		memory_write(b->f->memory, TABLE + 8 * i, 4, address);
		memory_write(b->f->memory, TABLE + 8 * i + 4, 4, size | (i + 1 == entries && kind < 250 ? BIT(31) : 0));
	}
}

/* Data goes by the port while the drive wants it. */
static void
ide_data(struct bench *b, struct input *in)
{
	u64 kind = take(in, 1);
	u16 base = kind & 1 ? 0x1f0 : 0x170;

	for (u64 n = take(in, 1) * 4; n; n--)
		if (kind & 2)
			ports_write(b->f->ports, base, kind & 4 ? 4 : 2, (u32)n);
		else
			ports_read(b->f->ports, base, kind & 4 ? 4 : 2);
	run_bounded(b->f, b->f->now + take(in, 2) * 16, EVENTS_PER_PASS);
}

static void
ide_command(struct bench *b, struct input *in)
{
	u64 kind = take(in, 1);
	u16 base = kind & 1 ? 0x1f0 : 0x170, master = (u16)(BUS_MASTER + (kind & 1 ? 0 : 8));
	u8 command = kind < 250 ? commands[take(in, 1) % COUNT(commands)] : (u8)take(in, 1);
	bool write = kind & 2;

	/* Features, count, three of the address; mostly such that the sectors are there. */
	static const u8 usual[6] = {0, 1, 7, 255, 1, 0};

	/* What another command has left. */
	if (kind & 0x40 && ports_read(b->f->ports, base + 7, 1) & 0x88)
		ide_data(b, in);
	out(b->f, base + 6, (u8)(0xe0 | (take(in, 1) & 0x10 && kind & 8 ? 0x10 : 0)));
	for (unsigned i = 1; i < 6; i++) {
		bool any = take(in, 1) < 10;

		/* The byte before, for 48-bit commands. */
		out(b->f, (u16)(base + i), any ? (u8)take(in, 1) : 0);
		out(b->f, (u16)(base + i), (u8)take(in, 1) & (any ? 255 : usual[i]));
	}
	put_table(b, in);
	ports_write(b->f->ports, master + 4, 4, TABLE);
	out(b->f, master, write ? 0 : 8);
	out(b->f, base + 7, command);
	if (kind & 16)
		out(b->f, master, write ? 1 : 9);
	run_bounded(b->f, b->f->now + take(in, 2) * 64, EVENTS_PER_PASS);
	if (command == 0xa0 && kind & 32) {
		u8 packet[12];

		packet[0] = packets[take(in, 1) % COUNT(packets)];
		for (unsigned i = 1; i < 12; i++)
			packet[i] = (u8)(take(in, 1) & (i < 5 || (i >= 6 && i <= 8) ? 1 : 255));
		for (unsigned i = 0; i < 12; i += 2)
			ports_write(b->f->ports, base, 2, packet[i] | (u32)packet[i + 1] << 8);
		out(b->f, master, 9);
		run_bounded(b->f, b->f->now + take(in, 2) * 64, EVENTS_PER_PASS);
	}
}

static void
start_blk(struct bench *b, struct input *in)
{
	static const u8 zeros[0x2000];

	pci_config_write(&b->bus, BLK_SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	memory_write(b->f->memory, COMMON + 20, 1, 0);
	memory_write(b->f->memory, COMMON + 8, 4, 0);
	memory_write(b->f->memory, COMMON + 12, 4, take(in, 4) & 0x30000200);
	memory_write(b->f->memory, COMMON + 8, 4, 1);
	memory_write(b->f->memory, COMMON + 12, 4, 1);
	memory_write(b->f->memory, COMMON + 20, 1, 11);
	dma_write(b->f->memory, RING, zeros, sizeof(zeros));
	b->available = 0;
	memory_write(b->f->memory, COMMON + 24, 2, RING_SIZE);
	memory_write(b->f->memory, COMMON + 32, 8, RING);
	memory_write(b->f->memory, COMMON + 40, 8, DRIVER);
	memory_write(b->f->memory, COMMON + 48, 8, DEVICE);
	memory_write(b->f->memory, COMMON + 28, 2, 1);
	memory_write(b->f->memory, COMMON + 20, 1, 15);
}

static void
put_descriptor(struct bench *b, unsigned index, u64 address, u32 size, unsigned flags, unsigned next)
{
	u8 bytes[16];

	pci_set32(bytes, 0, (u32)address);
	pci_set32(bytes, 4, (u32)(address >> 32));
	pci_set32(bytes, 8, size);
	pci_set16(bytes, 12, (u16)flags);
	pci_set16(bytes, 14, (u16)next);
	dma_write(b->f->memory, RING + 16ull * index, bytes, sizeof(bytes));
}

static void
blk_request(struct bench *b, struct input *in)
{
	u64 kind = take(in, 1), at = DATA + take(in, 1) * 16;
	static const u8 types[] = {0, 0, 0, 1, 1, 1, 4, 8, 11, 13, 77};
	u32 type = types[take(in, 1) % COUNT(types)], size = kind & 1 ? (u32)(take(in, 1) % 20) * 512 : (u32)take(in, 4);

	if (memory_read(b->f->memory, COMMON + 20, 1) & 0x40)
		start_blk(b, in);
	memory_write(b->f->memory, at, 4, type);
	memory_write(b->f->memory, at + 8, 8, kind & 2 ? take(in, 1) : take(in, 8));
	put_descriptor(b, 0, at, kind & 0x80 ? (u32)take(in, 1) : 16, 1, 1);
	put_descriptor(b, 1, DATA + 0x1000, size, (type == 1 ? 0 : 2) | 1, kind & 0x40 ? (unsigned)take(in, 1) & 15 : 2);
	put_descriptor(b, 2, DATA + 0x800, 1, kind < 8 ? (unsigned)take(in, 1) : 2, 0);
	memory_write(b->f->memory, DRIVER + 4 + 2 * (b->available % RING_SIZE), 2, kind & 0x20 ? take(in, 1) & 31 : 0);
	memory_write(b->f->memory, DRIVER + 2, 2, ++b->available);
	memory_write(b->f->memory, COMMON + 0x3000, 2, 0);
	run_bounded(b->f, b->f->now + take(in, 3) * 8, EVENTS_PER_PASS);
}

static void
draw(struct bench *b, bool all)
{
	static u32 pixels[DISPLAY_MAX_WIDTH * DISPLAY_MAX_HEIGHT];
	struct display *display = &b->vga->display;
	unsigned width, height;

	display->size(display->adapter, &width, &height);
	assert_true(width <= DISPLAY_MAX_WIDTH && height <= DISPLAY_MAX_HEIGHT);
	/* Small ones only: this is about limits, not about speed. */
	if (width && height && (u64)width * height <= 1024 * 768) {
		pictures += display->draw(display->adapter, pixels, all);
		free(display->text(display->adapter));
	}
}

static void
vga_access(struct bench *b, struct input *in)
{
	static const u16 ports[] = {0x3c0, 0x3c2, 0x3c4, 0x3c5, 0x3c6, 0x3c7, 0x3c8, 0x3c9, 0x3ce, 0x3cf, 0x3d4, 0x3d5, 0x3da, 0x3b4};
	u32 kind = (u32)take(in, 1);
	unsigned size = 1u << (kind & 3);

	if (kind < 60) {
		/* An index and its data. */
		ports_write(b->f->ports, ports[take(in, 1) % COUNT(ports)] & (u16)~1, 2, (u32)take(in, 2));
	} else if (kind < 120) {
		out(b->f, ports[take(in, 1) % COUNT(ports)], (u8)take(in, 1));
		ports_read(b->f->ports, ports[take(in, 1) % COUNT(ports)], 1);
	} else if (kind < 160) {
		ports_write(b->f->ports, 0x1ce, 2, (u32)take(in, 1) % 12);
		ports_write(b->f->ports, 0x1cf, 2, (u32)take(in, 2) & (kind & 4 ? 0x3ff : 0xffff));
	} else if (kind < 170) {
		memory_write(b->f->memory, REGISTERS + (take(in, 2) % 4096 & ~(u64)(size - 1)), size, take(in, size));
		memory_read(b->f->memory, REGISTERS + (take(in, 2) % 4096 & ~(u64)(size - 1)), size);
	} else if (kind < 210) {
		memory_write(b->f->memory, (0xa0000 + take(in, 3) % 0x20000) & ~(u64)(size - 1), size, take(in, size));
		memory_read(b->f->memory, (0xa0000 + take(in, 3) % 0x20000) & ~(u64)(size - 1), size);
	} else if (kind < 240) {
		memory_write(b->f->memory, (FRAMEBUFFER + take(in, 3)) & ~(u64)(size - 1), size, take(in, size));
	} else {
		draw(b, kind & 1);
	}
}

/* ---- Snapshots ---- */

static void
visit_drives(void *opaque, struct state *s)
{
	struct bench *b = opaque;

	ide_state(b->ide, s);
	virtio_blk_state(b->blk, s);
}

static void
visit_vga(void *opaque, struct state *s)
{
	vga_state(((struct bench *)opaque)->vga, s);
}

/* Saves, damages now and then, loads; a refused state is followed by a whole one. */
static void
shake_state(struct bench *b, struct input *in, void (*visit)(void *opaque, struct state *s), size_t within)
{
	size_t size;
	u8 *data = state_save(visit, b, &size), *damaged = malloc(size);
	char *error;

	memcpy(damaged, data, size);
	for (u64 n = take(in, 1) & 3; n; n--)
		damaged[take(in, 4) % MIN(size, within)] ^= (u8)take(in, 1);
	error = state_load(visit, b, damaged, size);
	if (error) {
		free(error);
		error = state_load(visit, b, data, size);
		assert_null(error);
	}
	free(damaged);
	free(data);
}

static void
step(struct bench *b, struct input *in, bool *shaken)
{
	u32 kind = (u32)take(in, 1);

	if (kind < 80) {
		ide_command(b, in);
	} else if (kind < 120) {
		ide_data(b, in);
	} else if (kind < 160) {
		blk_request(b, in);
	} else if (kind < 230) {
		vga_access(b, in);
	} else if (kind < 238) {
		/* Hosts fail now and then. */
		kind = take(in, 1) < 80 ? kind : 0;
		b->disk.fails = kind & 1;
		b->blk_disk.fails = kind & 2;
		b->cd.fails = kind & 4;
	} else if (kind < 244) {
		/* Software reset of a channel. */
		out(b->f, kind & 1 ? 0x3f6 : 0x376, (u8)take(in, 1) & 6);
		run_bounded(b->f, b->f->now + 1000000, EVENTS_PER_PASS);
		out(b->f, kind & 1 ? 0x3f6 : 0x376, kind & 2);
	} else if (kind < 246) {
		unsigned slot = kind & 1 ? IDE_SLOT : BLK_SLOT;

		pci_config_write(&b->bus, slot, PCI_COMMAND, 2, (u32)take(in, 1) & 7);
		run_bounded(b->f, b->f->now + take(in, 2) * 64, EVENTS_PER_PASS);
		pci_config_write(&b->bus, slot, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	} else if (kind < 248) {
		pci_bus_reset(&b->bus);
		pci_config_write(&b->bus, IDE_SLOT, PCI_BAR0 + 16, 4, BUS_MASTER);
		pci_config_write(&b->bus, IDE_SLOT, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
		pci_config_write(&b->bus, BLK_SLOT, PCI_BAR0 + 16, 4, COMMON);
		start_blk(b, in);
	} else if (kind == 255 && !*shaken) {
		/* Sixteen MiB: once per input. Damage goes where the registers are. */
		*shaken = true;
		shake_state(b, in, visit_vga, 2048);
	} else {
		shake_state(b, in, visit_drives, SIZE_MAX);
	}
}

/* 80 columns and 25 rows of 16 lines, as far as pictures depend on it. */
static void
text_mode(struct bench *b)
{
	static const u8 crtc[][2] = {{0x11, 0}, {1, 79}, {6, 0xbf}, {7, 0x1f}, {9, 0x4f}, {0x12, 0x8f}, {0x13, 40}, {0x17, 0xa3}};

	out(b->f, 0x3c2, 0x67);
	for (unsigned i = 0; i < COUNT(crtc); i++)
		ports_write(b->f->ports, 0x3d4, 2, crtc[i][0] | (u32)crtc[i][1] << 8);
	ports_write(b->f->ports, 0x3c4, 2, 0x0003 | 0x0100);
	ports_write(b->f->ports, 0x3ce, 2, 0x0e06);
	ports_read(b->f->ports, 0x3da, 1);
	out(b->f, 0x3c0, 0x20);
}

static void
plug(struct bench *b)
{
	const struct irq_line irq[2] = {wire(b->f, 14), wire(b->f, 15)};
	struct block *const drive[IDE_PLACES] = {media_init(&b->disk, false), NULL, media_init(&b->cd, true), NULL};
	const bool cdrom[IDE_PLACES] = {false, false, true, false};

	b->apic.send = send;
	pci_bus_init(&b->bus, b->f->memory, b->f->ports);
	b->bus.apic = &b->apic;
	b->ide = ide_new(&b->bus, b->f->events, irq, drive, cdrom);
	b->vga = vga_new(&b->bus, VGA_SLOT, b->f->events, NULL, 0);
	b->blk = virtio_blk_new(&b->bus, BLK_SLOT, b->f->events, media_init(&b->blk_disk, false), "fuzz", VIRTIO_TRANSITIONAL);
	pci_config_write(&b->bus, IDE_SLOT, PCI_BAR0 + 16, 4, BUS_MASTER);
	pci_config_write(&b->bus, IDE_SLOT, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	pci_config_write(&b->bus, VGA_SLOT, PCI_BAR0, 4, FRAMEBUFFER);
	pci_config_write(&b->bus, VGA_SLOT, PCI_BAR0 + 8, 4, REGISTERS);
	pci_config_write(&b->bus, VGA_SLOT, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	pci_config_write(&b->bus, BLK_SLOT, PCI_BAR0 + 16, 4, COMMON);
	text_mode(b);
	for (unsigned i = 0; i < sizeof(b->disk.bytes); i++)
		b->disk.bytes[i] = b->cd.bytes[i] = (u8)(i * 31);
}

int
LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = {data, size, 0};
	struct bench *b = calloc(1, sizeof(*b));
	bool shaken = false;

	assert_non_null(b);
	b->f = fixture_new();
	plug(b);
	start_blk(b, &in);
	while (in.at < in.size)
		step(b, &in, &shaken);
	run_bounded(b->f, b->f->now + 100000000, EVENTS_PER_PASS);
	requests += virtio_blk_counters(b->blk)->requests;
	virtio_blk_free(b->blk);
	vga_free(b->vga);
	ide_free(b->ide);
	fixture_free(b->f);
	free(b);
	return 0;
}

#ifndef NB_LIBFUZZER
static void
random_drivers_do_no_harm(void **state)
{
	(void)state;
	fuzz_all(1);
	/* The inputs must reach something. */
	print_message("%llu transfers, %llu virtio requests, %llu pictures\n", transfers, requests, pictures);
	assert_true(transfers > 4 * inputs);
	assert_true(requests > 4 * inputs);
	assert_true(pictures > inputs / 4);
}

int
main(int argc, char **argv)
{
	return fuzz_main(argc, argv, 200, (struct CMUnitTest)cmocka_unit_test(random_drivers_do_no_harm));
}
#endif
