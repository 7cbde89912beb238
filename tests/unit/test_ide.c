/* IDE disks and CD-ROM drives as drivers use them. */
#include "tests/unit/chip_fixture.h"

#include "devices/ide.h"

#define DISK_SECTORS 3000u
#define CD_SECTORS 400u /* of 512 bytes: 100 blocks */
#define IDE PCI_DEVFN(1, 1)
#define BM 0xc000
#define TABLE 0x1000u
#define DATA 0x10000u

struct image {
	struct block block;
	u8 bytes[DISK_SECTORS * BLOCK_SECTOR];
	int error;
	unsigned flushes;
	u64 read, written; /* sectors */
};

struct bench {
	struct fixture *f;
	struct pci_bus bus;
	struct ide *ide;
	struct image disk, cd;
};

static int
image_read(void *host, u64 sector, u32 count, u8 *buffer)
{
	struct image *image = host;

	assert_true(sector + count <= image->block.sectors);
	if (!image->error)
		memcpy(buffer, image->bytes + sector * BLOCK_SECTOR, count * BLOCK_SECTOR);
	image->read += count;
	return image->error;
}

static int
image_write(void *host, u64 sector, u32 count, const u8 *buffer)
{
	struct image *image = host;

	assert_true(sector + count <= image->block.sectors && !image->block.read_only);
	if (!image->error)
		memcpy(image->bytes + sector * BLOCK_SECTOR, buffer, count * BLOCK_SECTOR);
	image->written += count;
	return image->error;
}

static int
image_flush(void *host)
{
	struct image *image = host;

	image->flushes++;
	return image->error;
}

static void
make_image(struct image *image, u64 sectors, bool read_only)
{
	image->block = (struct block){image_read, image_write, image_flush, image, sectors, read_only};
	for (u64 i = 0; i < sectors; i++)
		image->bytes[i * BLOCK_SECTOR] = (u8)i, image->bytes[i * BLOCK_SECTOR + 1] = (u8)(i >> 8);
}

static int
setup(void **state)
{
	static const bool cdrom[IDE_PLACES] = {false, false, true, false};
	struct bench *b = calloc(1, sizeof(*b));
	struct irq_line irq[2];

	assert_non_null(b);
	b->f = fixture_new();
	irq[0] = wire(b->f, 14);
	irq[1] = wire(b->f, 15);
	make_image(&b->disk, DISK_SECTORS, false);
	make_image(&b->cd, CD_SECTORS, true);
	pci_bus_init(&b->bus, b->f->memory, b->f->ports);
	b->ide = ide_new(&b->bus, b->f->events, irq,
			 (struct block *const[IDE_PLACES]){&b->disk.block, NULL, &b->cd.block, NULL}, cdrom);
	pci_config_write(&b->bus, IDE, 0x20, 4, BM);
	pci_config_write(&b->bus, IDE, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	struct bench *b = *state;

	ide_free(b->ide);
	fixture_free(b->f);
	free(b);
	return 0;
}

/* LBA28 on the primary master. */
static void
command(struct bench *b, u8 number, u32 sector, u8 count)
{
	out(b->f, 0x1f6, (u8)(0xe0 | sector >> 24));
	out(b->f, 0x1f2, count);
	out(b->f, 0x1f3, (u8)sector);
	out(b->f, 0x1f4, (u8)(sector >> 8));
	out(b->f, 0x1f5, (u8)(sector >> 16));
	out(b->f, 0x1f7, number);
}

static u16
word(struct bench *b, u16 port)
{
	return (u16)ports_read(b->f->ports, port, 2);
}

static void
visit(void *opaque, struct state *s)
{
	ide_state(((struct bench *)opaque)->ide, s);
}

static void
identify_tells_the_size(void **state)
{
	struct bench *b = *state;
	u16 words[256];

	command(b, 0xec, 0, 0);
	assert_int_equal(in(b->f, 0x1f7), 0x58);
	for (unsigned i = 0; i < 256; i++)
		words[i] = word(b, 0x1f0);
	assert_int_equal(in(b->f, 0x1f7), 0x50);
	assert_int_equal(words[60] | words[61] << 16, DISK_SECTORS);
	assert_int_equal(words[100], DISK_SECTORS);
	assert_int_equal(words[83] & 0x0400, 0x0400);
	assert_int_equal(words[27], 'N' << 8 | 'E');
}

static void
sectors_are_read_by_pio_with_an_interrupt_each(void **state)
{
	struct bench *b = *state;

	command(b, 0x20, 0x123, 2);
	assert_int_equal(in(b->f, 0x3f6), 0x80);
	run_ns(b->f, 100000);
	assert_int_equal(b->f->level[14], 1);
	assert_int_equal(in(b->f, 0x1f7), 0x58);
	assert_int_equal(b->f->level[14], 0);
	assert_int_equal(word(b, 0x1f0), 0x123);
	for (unsigned i = 1; i < 256; i++)
		word(b, 0x1f0);
	run_ns(b->f, 100000);
	assert_int_equal(b->f->rises[14], 2);
	assert_int_equal(ports_read(b->f->ports, 0x1f0, 4), 0x124);
	for (unsigned i = 1; i < 128; i++)
		ports_read(b->f->ports, 0x1f0, 4);
	assert_int_equal(in(b->f, 0x1f7), 0x50);
}

static void
sectors_are_written_by_pio(void **state)
{
	struct bench *b = *state;

	command(b, 0x30, 77, 1);
	assert_int_equal(in(b->f, 0x1f7), 0x58);
	for (unsigned i = 0; i < 256; i++)
		ports_write(b->f->ports, 0x1f0, 2, 0xa500 | i);
	assert_int_equal(in(b->f, 0x3f6), 0x80);
	run_ns(b->f, 100000);
	assert_int_equal(in(b->f, 0x1f7), 0x50);
	assert_int_equal(b->disk.bytes[77 * 512 + 2], 1);
	assert_int_equal(b->disk.bytes[77 * 512 + 511], 0xa5);
	assert_int_equal(b->disk.bytes[78 * 512], 78);
}

static void
addresses_of_48_bits_come_from_both_writes(void **state)
{
	struct bench *b = *state;

	out(b->f, 0x1f6, 0xe0);
	for (unsigned i = 0; i < 2; i++) { /* high bytes, then low ones */
		out(b->f, 0x1f2, i ? 1 : 0);
		out(b->f, 0x1f3, i ? 0x34 : 0);
		out(b->f, 0x1f4, i ? 0x02 : 0);
		out(b->f, 0x1f5, 0);
	}
	out(b->f, 0x1f7, 0x24);
	run_ns(b->f, 100000);
	assert_int_equal(word(b, 0x1f0), 0x234);
}

static void
sectors_behind_the_end_are_not_found(void **state)
{
	struct bench *b = *state;

	command(b, 0x20, DISK_SECTORS - 1, 2);
	assert_int_equal(in(b->f, 0x1f7), 0x51);
	assert_int_equal(in(b->f, 0x1f1), 0x10);
	command(b, 0x20, 0x0fffffff, 0);
	assert_int_equal(in(b->f, 0x1f7), 0x51);
}

static void
host_errors_are_errors_of_the_medium(void **state)
{
	struct bench *b = *state;

	b->disk.error = 5;
	command(b, 0x20, 5, 1);
	run_ns(b->f, 100000);
	assert_int_equal(in(b->f, 0x1f7), 0x51);
	assert_int_equal(in(b->f, 0x1f1), 0x40);
	command(b, 0xe7, 0, 0);
	run_ns(b->f, 100000);
	assert_int_equal(in(b->f, 0x1f7), 0x51);
	b->disk.error = 0;
	command(b, 0xe7, 0, 0);
	run_ns(b->f, 100000);
	assert_int_equal(in(b->f, 0x1f7), 0x50);
	assert_int_equal(b->disk.flushes, 2);
}

static void
put_region(struct bench *b, unsigned n, u32 address, u32 size, bool last)
{
	memory_write(b->f->memory, TABLE + 8 * n, 4, address);
	memory_write(b->f->memory, TABLE + 8 * n + 4, 4, (size & 0xffff) | (last ? 0x80000000u : 0));
}

static void
the_bus_master_scatters_a_read(void **state)
{
	struct bench *b = *state;

	put_region(b, 0, DATA, 512, false);
	put_region(b, 1, DATA + 0x8000, 1024, true);
	ports_write(b->f->ports, BM + 4, 4, TABLE);
	command(b, 0xc8, 9, 3);
	out(b->f, BM, 0x09);
	assert_int_equal(in(b->f, BM + 2) & 1, 1);
	run_ns(b->f, 100000);
	assert_int_equal(in(b->f, BM + 2) & 7, 4);
	out(b->f, BM, 0x08);
	assert_int_equal(in(b->f, 0x1f7), 0x50);
	assert_int_equal(b->f->memory->ram[DATA], 9);
	assert_int_equal(b->f->memory->ram[DATA + 0x8000], 10);
	assert_int_equal(b->f->memory->ram[DATA + 0x8200], 11);
	assert_int_equal(b->f->memory->ram[DATA + 512], 0);
}

static void
the_bus_master_gathers_a_write(void **state)
{
	struct bench *b = *state;

	b->f->memory->ram[DATA + 3] = 0x77;
	put_region(b, 0, DATA, 512, true);
	ports_write(b->f->ports, BM + 4, 4, TABLE);
	command(b, 0xca, 20, 1);
	out(b->f, BM, 0x01);
	run_ns(b->f, 100000);
	assert_int_equal(b->disk.bytes[20 * 512 + 3], 0x77);
}

static void
a_table_too_short_stops_without_an_interrupt(void **state)
{
	struct bench *b = *state;

	put_region(b, 0, DATA, 512, true);
	ports_write(b->f->ports, BM + 4, 4, TABLE);
	command(b, 0xc8, 9, 2);
	out(b->f, BM, 0x09);
	run_ns(b->f, 100000);
	assert_int_equal(in(b->f, BM + 2) & 5, 0);
	assert_int_equal(b->f->rises[14], 0);
	/* A reset gets the drive back. */
	out(b->f, 0x3f6, 0x04);
	out(b->f, 0x3f6, 0x00);
	assert_int_equal(in(b->f, 0x1f7), 0x50);
}

static void
interrupts_can_be_switched_off(void **state)
{
	struct bench *b = *state;

	out(b->f, 0x3f6, 0x02);
	command(b, 0x20, 0, 1);
	run_ns(b->f, 100000);
	assert_int_equal(b->f->rises[14], 0);
}

static void
absent_drives_do_not_answer(void **state)
{
	struct bench *b = *state;

	out(b->f, 0x1f6, 0xf0);
	assert_int_equal(in(b->f, 0x1f7), 0);
	out(b->f, 0x1f2, 0x55);
	assert_int_equal(in(b->f, 0x1f2), 0);
}

/* ---- CD ---- */

static void
packet(struct bench *b, const u8 *bytes, bool dma)
{
	u8 whole[12] = {0};

	memcpy(whole, bytes, 10);
	out(b->f, 0x176, 0xa0);
	out(b->f, 0x171, dma);
	out(b->f, 0x174, 0x00);
	out(b->f, 0x175, 0x08); /* 2048 bytes at once */
	out(b->f, 0x177, 0xa0);
	for (unsigned i = 0; i < 6; i++)
		ports_write(b->f->ports, 0x170, 2, (u32)(whole[2 * i] | whole[2 * i + 1] << 8));
	run_ns(b->f, 300000);
}

static void
clear_attention(struct bench *b)
{
	packet(b, (const u8[10]){0x00}, false);
	assert_int_equal(in(b->f, 0x177), 0x51);
	assert_int_equal(in(b->f, 0x171) >> 4, 6);
}

static void
a_cd_shows_its_signature(void **state)
{
	struct bench *b = *state;

	assert_int_equal(in(b->f, 0x174), 0x14);
	assert_int_equal(in(b->f, 0x175), 0xeb);
	out(b->f, 0x177, 0xec);
	assert_int_equal(in(b->f, 0x177), 0x51);
	assert_int_equal(in(b->f, 0x174), 0x14);
	out(b->f, 0x177, 0xa1);
	assert_int_equal(word(b, 0x170), 0x85c0);
}

static void
the_first_command_after_reset_is_told_of_it(void **state)
{
	struct bench *b = *state;

	clear_attention(b);
	packet(b, (const u8[10]){0x00}, false);
	assert_int_equal(in(b->f, 0x177), 0x50);
}

static void
blocks_of_a_cd_are_read_in_portions(void **state)
{
	struct bench *b = *state;

	clear_attention(b);
	packet(b, (const u8[10]){0x28, 0, 0, 0, 0, 16, 0, 0, 2, 0}, false);
	for (unsigned block = 16; block < 18; block++) {
		assert_int_equal(in(b->f, 0x177), 0x58);
		assert_int_equal(in(b->f, 0x172), 2);
		assert_int_equal(in(b->f, 0x175) << 8 | in(b->f, 0x174), 2048);
		assert_int_equal(word(b, 0x170), block * 4);
		for (unsigned i = 1; i < 1024; i++)
			word(b, 0x170);
		run_ns(b->f, 300000);
	}
	assert_int_equal(in(b->f, 0x177), 0x50);
	assert_int_equal(in(b->f, 0x172), 3);
}

/* Of the last store only what the packet has room for counts. */
static void
a_packet_may_come_in_pieces_of_any_width(void **state)
{
	struct bench *b = *state;

	clear_attention(b);
	out(b->f, 0x176, 0xa0);
	out(b->f, 0x177, 0xa0);
	run_ns(b->f, 100000);
	/* READ (10) of block 5. */
	ports_write(b->f->ports, 0x170, 2, 0x0028);
	ports_write(b->f->ports, 0x170, 4, 0x05000000);
	ports_write(b->f->ports, 0x170, 4, 0x00010000);
	ports_write(b->f->ports, 0x170, 4, 0xffff0000);
	assert_state_survives(visit, b);
	run_ns(b->f, 1000000);
	assert_int_equal(word(b, 0x170), 5 * 4);
}

static void
blocks_of_a_cd_are_read_by_the_bus_master(void **state)
{
	struct bench *b = *state;

	clear_attention(b);
	put_region(b, 0, DATA, 4096, true);
	ports_write(b->f->ports, BM + 12, 4, TABLE);
	packet(b, (const u8[10]){0x28, 0, 0, 0, 0, 50, 0, 0, 2, 0}, true);
	out(b->f, BM + 8, 0x09);
	run_ns(b->f, 300000);
	assert_int_equal(in(b->f, 0x177), 0x50);
	assert_int_equal(b->f->memory->ram[DATA], 200);
	assert_int_equal(b->f->memory->ram[DATA + 2048], 204);
	assert_int_equal(in(b->f, BM + 10) & 7, 4);
}

static void
blocks_behind_the_end_of_a_cd_are_refused(void **state)
{
	struct bench *b = *state;

	clear_attention(b);
	packet(b, (const u8[10]){0x28, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 2, 0}, false);
	assert_int_equal(in(b->f, 0x177), 0x51);
	packet(b, (const u8[10]){0x28, 0, 0, 0, 0, 99, 0, 0, 2, 0}, false);
	assert_int_equal(in(b->f, 0x177), 0x51);
	packet(b, (const u8[10]){0x03, 0, 0, 0, 18}, false);
	for (unsigned i = 0; i < 6; i++)
		word(b, 0x170);
	assert_int_equal(word(b, 0x170), 0x21);
}

/* ---- All of it ---- */

static void
the_state_survives_in_the_middle_of_a_command(void **state)
{
	struct bench *b = *state;

	command(b, 0x20, 5, 2);
	assert_state_survives(visit, b);
	run_ns(b->f, 100000);
	assert_state_survives(visit, b);
	assert_int_equal(word(b, 0x1f0), 5);
}

/* Of what crafted snapshots say; a drive that believed it would transfer beyond its buffer or its image. */
static void
commands_that_cannot_be_are_not_loaded(void **state)
{
	static const struct {
		const char *name;
		unsigned channel; /* 0 has a disk, 1 a CD */
		enum ide_phase phase;
		u64 sector;
		u32 sectors, size, limit;
		bool writes;
	} bad[] = {
		{"a block larger than the buffer", 0, IDE_READ, 0, 2000, 0, 2000, false},
		{"a disk's read by a CD", 1, IDE_READ, 0, 99, 0, 99, false},
		{"a disk's DMA by a CD", 1, IDE_DMA, 0, 99, 0, 1, false},
		{"a write by a CD", 1, IDE_WRITE_DATA, 0, 4, 2048, 4, true},
		{"a write from a CD's DMA", 1, IDE_DMA_WAIT, 0, 4, 0, 4, true},
		{"more given than there are sectors", 0, IDE_WRITE_DATA, DISK_SECTORS - 1, 1, 1024, 2, true},
		{"the same, busy", 0, IDE_WRITE, DISK_SECTORS - 1, 1, 1024, 2, true},
		{"a read that writes", 0, IDE_READ, 0, 1, 0, 1, true},
		{"sectors behind the end", 0, IDE_READ_DATA, DISK_SECTORS - 1, 2, 512, 1, false},
		{"a packet for a disk", 0, IDE_PACKET, 0, 0, 12, 1, false},
		{"a packet's data from a disk", 0, IDE_PACKET_NEXT, 0, 8, 0, 8, false},
		{"no such phase", 0, IDE_PHASES, 0, 0, 0, 0, false},
	};
	struct bench *b = *state;

	for (unsigned i = 0; i < COUNT(bad); i++) {
		struct ide_channel *c = &b->ide->channel[bad[i].channel];
		size_t size;
		char *error;
		u8 *saved;

		c->phase = (u8)bad[i].phase;
		c->sector = bad[i].sector;
		c->sectors = bad[i].sectors;
		c->size = bad[i].size;
		c->limit = bad[i].limit;
		c->writes = bad[i].writes;
		saved = state_save(visit, b, &size);
		error = state_load(visit, b, saved, size);
		if (!error || c->phase != IDE_IDLE)
			fail_msg("%s was loaded", bad[i].name);
		free(error);
		free(saved);
	}
}

static void
what_a_packet_left_does_not_spoil_a_disks_state(void **state)
{
	struct bench *b = *state;

	command(b, 0xec, 0, 1);
	b->ide->channel[0].limit = 0xfffe; /* as a CD-ROM drive on the same cable leaves it */
	assert_state_survives(visit, b);
	assert_int_equal(word(b, 0x1f0), 0x0040);
}

static void
random_software_does_no_harm(void **state)
{
	static const u8 likely_command[] = {0x20, 0x30, 0xc4, 0xc5, 0xc8, 0xca, 0x24, 0x25, 0x34, 0x35,
					    0xa0, 0xec, 0xa1, 0xef, 0xe7, 0x08};
	static const u8 likely_packet[] = {0x28, 0xa8, 0xbe, 0x43, 0x5a, 0x12, 0x03, 0x25};
	struct bench *b = *state;
	u64 seed = 1, moved;

	for (unsigned i = 0; i < 60000; i++) {
		u16 base = random_number(&seed) & 1 ? 0x1f0 : 0x170;
		u64 what = random_number(&seed) % 16;

		/* Mostly small numbers, so that commands hit the disk. */
		if (what < 5)
			out(b->f, (u16)(base + 1 + random_number(&seed) % 6),
			    (u8)(random_number(&seed) & (random_number(&seed) & 7 ? 3 : 0xff)));
		else if (what < 7)
			out(b->f, base + 7, random_number(&seed) & 7 ? likely_command[random_number(&seed) % 16]
								    : (u8)random_number(&seed));
		else if (what < 9)
			for (unsigned n = (unsigned)random_number(&seed) % 1100; n; n--)
				ports_read(b->f->ports, base, 2);
		else if (what < 10)
			for (unsigned n = (unsigned)random_number(&seed) % 300; n; n--)
				ports_write(b->f->ports, base, n % 8 ? 2 : 4, (u32)random_number(&seed));
		else if (what < 12) {
			ports_write(b->f->ports, base, 2, likely_packet[random_number(&seed) % 8]);
			for (unsigned n = 0; n < 5; n++)
				ports_write(b->f->ports, base, 2, (u32)random_number(&seed) & 0x1f00);
		} else if (what < 14)
			ports_write(b->f->ports, (u16)(BM + random_number(&seed) % 16), 1u << random_number(&seed) % 3,
				    (u32)random_number(&seed) & 0xff0f);
		else if (what < 15)
			run_ns(b->f, random_number(&seed) % 200000);
		else if (random_number(&seed) % 16 == 0)
			out(b->f, base + 0x206, (u8)random_number(&seed) & 0x86);
		if (i % 2000 == 0)
			assert_state_survives(visit, b);
	}
	/* The sweep must reach something. */
	moved = b->disk.read + b->cd.read + b->disk.written;
	assert_true(b->disk.written > 10);
	assert_true(moved > 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(identify_tells_the_size),
		TEST(sectors_are_read_by_pio_with_an_interrupt_each),
		TEST(sectors_are_written_by_pio),
		TEST(addresses_of_48_bits_come_from_both_writes),
		TEST(sectors_behind_the_end_are_not_found),
		TEST(host_errors_are_errors_of_the_medium),
		TEST(the_bus_master_scatters_a_read),
		TEST(the_bus_master_gathers_a_write),
		TEST(a_table_too_short_stops_without_an_interrupt),
		TEST(interrupts_can_be_switched_off),
		TEST(absent_drives_do_not_answer),
		TEST(a_cd_shows_its_signature),
		TEST(the_first_command_after_reset_is_told_of_it),
		TEST(blocks_of_a_cd_are_read_in_portions),
		TEST(a_packet_may_come_in_pieces_of_any_width),
		TEST(blocks_of_a_cd_are_read_by_the_bus_master),
		TEST(blocks_behind_the_end_of_a_cd_are_refused),
		TEST(the_state_survives_in_the_middle_of_a_command),
		TEST(commands_that_cannot_be_are_not_loaded),
		TEST(what_a_packet_left_does_not_spoil_a_disks_state),
		TEST(random_software_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
