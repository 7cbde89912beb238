/* The flash chip: what its commands do, and that the host gets what is programmed. */
#include "tests/unit/chip_fixture.h"

#include "devices/flash.h"

#define BASE 0xffe00000u
#define SIZE (4 * FLASH_BLOCK)

struct board {
	struct fixture *f;
	u8 disk[SIZE];
	unsigned writes;
	struct block block;
	struct flash *flash;
};

static int
disk_read(void *host, u64 sector, u32 count, u8 *buffer)
{
	struct board *b = host;

	memcpy(buffer, b->disk + sector * BLOCK_SECTOR, (size_t)count * BLOCK_SECTOR);
	return 0;
}

static int
disk_write(void *host, u64 sector, u32 count, const u8 *buffer)
{
	struct board *b = host;

	assert_true((sector + count) * BLOCK_SECTOR <= SIZE);
	memcpy(b->disk + sector * BLOCK_SECTOR, buffer, (size_t)count * BLOCK_SECTOR);
	b->writes++;
	return 0;
}

static int
setup(void **state)
{
	struct board *b = calloc(1, sizeof(*b));
	char *error;

	b->f = fixture_new();
	memset(b->disk, 0xff, sizeof(b->disk));
	b->disk[0] = 0x5f;
	b->block = (struct block){.read = disk_read, .write = disk_write, .host = b, .sectors = SIZE / BLOCK_SECTOR};
	b->flash = flash_new(b->f->memory, BASE, &b->block, &error);
	assert_non_null(b->flash);
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	struct board *b = *state;

	flash_free(b->flash);
	fixture_free(b->f);
	free(b);
	return 0;
}

static void
put(struct board *b, u32 offset, u8 value)
{
	memory_write(b->f->memory, BASE + offset, 1, value);
}

static u8
get(struct board *b, u32 offset)
{
	return (u8)memory_read(b->f->memory, BASE + offset, 1);
}

static void
the_array_is_memory_and_stores_are_commands(void **state)
{
	struct board *b = *state;

	assert_non_null(memory_page(b->f->memory, BASE, false));
	assert_null(memory_page(b->f->memory, BASE, true));
	assert_int_equal(get(b, 0), 0x5f);
	put(b, 0, 0x70);
	assert_int_equal(get(b, 0), 0x00);
	assert_null(memory_page(b->f->memory, BASE, false));
	put(b, 0, 0xff);
	assert_int_equal(get(b, 0), 0x5f);
	put(b, 0, 0x98);
	assert_int_equal(get(b, 0x10), 'Q');
	assert_int_equal(1u << get(b, 0x27), SIZE);
	assert_int_equal(get(b, 0x2d) + 1, SIZE / FLASH_BLOCK);
	put(b, 0, 0x90);
	assert_int_equal(get(b, 0), 0x89);
	flash_reset(b->flash);
	assert_int_equal(get(b, 0), 0x5f);
	assert_int_equal(b->writes, 0);
}

static void
programming_takes_bits_away_and_erasing_brings_them_back(void **state)
{
	struct board *b = *state;

	put(b, 5000, 0x40);
	put(b, 5000, 0x3c);
	assert_int_equal(get(b, 0), 0x80);
	put(b, 5000, 0x10);
	put(b, 5000, 0xf0);
	put(b, 0, 0x50);
	assert_int_equal(get(b, 5000), 0x30);
	assert_int_equal(b->disk[5000], 0x30);
	put(b, 5001, 0x20);
	put(b, 5001, 0x00); /* not confirmed */
	assert_int_equal(get(b, 0), 0xb0);
	put(b, 0, 0x50);
	assert_int_equal(b->disk[5000], 0x30);
	put(b, 5001, 0x20);
	put(b, 5001, 0xd0);
	put(b, 0, 0xff);
	assert_int_equal(get(b, 5000), 0xff);
	assert_int_equal(b->disk[5000], 0xff);
	assert_int_equal(b->disk[0], 0x5f);
}

static void
a_buffer_is_programmed_byte_by_byte(void **state)
{
	struct board *b = *state;

	put(b, 8192, 0xe8);
	put(b, 8192, 2);
	for (unsigned i = 0; i < 3; i++)
		put(b, 8192 + i, (u8)(0x10 + i));
	put(b, 8192, 0xd0);
	assert_int_equal(get(b, 0), 0x80);
	put(b, 0, 0xff);
	assert_memory_equal(b->disk + 8192, "\x10\x11\x12\xff", 4);
	assert_int_equal(get(b, 8194), 0x12);
	/* A store wider than what is still to come. */
	put(b, 12288, 0xe8);
	put(b, 12288, 1);
	put(b, 12288, 0x20);
	memory_write(b->f->memory, BASE + 12292, 4, 0x24232221);
	put(b, 12288, 0xd0);
	assert_int_equal(get(b, 0), 0x80);
	put(b, 0, 0xff);
	assert_memory_equal(b->disk + 12288, "\x20\xff\xff\xff\x21\xff", 6);
}

static void
visit(void *opaque, struct state *s)
{
	flash_state(opaque, s);
}

static void
accesses_at_the_end_and_random_ones_do_no_harm(void **state)
{
	struct board *b = *state;
	u64 seed = 1;

	for (unsigned i = 0; i < 20000; i++) {
		u64 r = random_number(&seed);
		u32 offset = r & 0x100 ? SIZE - 8 + (u32)(r >> 16) % 8 : (u32)(r >> 16) % SIZE;
		static const u8 commands[] = {0x10, 0x20, 0x40, 0x50, 0x60, 0x70, 0x90, 0x98, 0xd0, 0xe8, 0xff, 0x03};

		if (r & 1)
			memory_read(b->f->memory, BASE + offset, 1u << (r >> 1 & 3));
		else
			memory_write(b->f->memory, BASE + offset, 1u << (r >> 1 & 3), commands[(r >> 4) % COUNT(commands)]);
	}
	flash_reset(b->flash);
	for (unsigned i = 0; i < SIZE; i++)
		if (get(b, i) != b->disk[i])
			fail_msg("byte %u", i);
	size_t size;
	u8 *data = state_save(visit, b->flash, &size);
	u8 first = get(b, 0);
	put(b, 0, 0x20);
	put(b, 0, 0xd0);
	put(b, 0, 0x40);
	put(b, 0, (u8)~first);
	assert_null(state_load(visit, b->flash, data, size));
	assert_int_equal(get(b, 0), first);
	free(data);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_array_is_memory_and_stores_are_commands),
		TEST(programming_takes_bits_away_and_erasing_brings_them_back),
		TEST(a_buffer_is_programmed_byte_by_byte),
		TEST(accesses_at_the_end_and_random_ones_do_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
