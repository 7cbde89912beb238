#include "tests/unit/chip_fixture.h"

#include "devices/fw_cfg.h"

struct board {
	struct fixture *f;
	struct fw_cfg cfg;
};

static int
setup(void **state)
{
	struct board *b = calloc(1, sizeof(*b));

	b->f = fixture_new();
	fw_cfg_init(&b->cfg, b->f->memory, b->f->ports);
	fw_cfg_add_number(&b->cfg, FW_CFG_RAM_SIZE, 0x123456789ull, 8);
	fw_cfg_add_number(&b->cfg, FW_CFG_CPUS, 2, 2);
	fw_cfg_add_file(&b->cfg, "etc/second", "second", 6);
	fw_cfg_add_file(&b->cfg, "etc/first", "1st", 3);
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	struct board *b = *state;

	fixture_free(b->f);
	free(b);
	return 0;
}

static void
choose(struct board *b, u16 item)
{
	ports_write(b->f->ports, 0x510, 2, item);
}

static u64
number(struct board *b, u16 item, unsigned size)
{
	u64 value = 0;

	choose(b, item);
	for (unsigned i = 0; i < size; i++)
		value |= (u64)in(b->f, 0x511) << 8 * i;
	return value;
}

static void
items_are_read_byte_by_byte(void **state)
{
	struct board *b = *state;

	assert_int_equal(number(b, 0, 4), 0x554d4551); /* "QEMU" */
	assert_int_equal(in(b->f, 0x511), 0);
	assert_int_equal(number(b, 1, 4), 3);
	assert_true(number(b, 3, 8) == 0x123456789ull);
	assert_int_equal(number(b, 5, 2), 2);
	assert_int_equal(number(b, 0x11, 8), 0);
	assert_int_equal(number(b, 0x8003, 4), 0);
	assert_int_equal(number(b, 0x3fff, 4), 0);
}

static void
the_directory_lists_files_by_name(void **state)
{
	struct board *b = *state;
	u8 directory[4 + 128];

	choose(b, FW_CFG_DIRECTORY);
	for (unsigned i = 0; i < sizeof(directory); i++)
		directory[i] = in(b->f, 0x511);
	assert_memory_equal(directory, "\0\0\0\2", 4);
	assert_memory_equal(directory + 4, "\0\0\0\3\0\x21\0\0etc/first", 18);
	assert_memory_equal(directory + 68, "\0\0\0\6\0\x20\0\0etc/second", 19);
	assert_int_equal(number(b, 0x20, 6), 0x646e6f636573); /* "second" */
}

static void
put_big(u8 *at, u64 value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		at[i] = (u8)(value >> 8 * (size - 1 - i));
}

/* Returns what the control word became. */
static u32
request(struct board *b, u32 control, u32 length, u64 address)
{
	u8 bytes[16];

	put_big(bytes, control, 4);
	put_big(bytes + 4, length, 4);
	put_big(bytes + 8, address, 8);
	dma_write(b->f->memory, 0x1000, bytes, 16);
	ports_write(b->f->ports, 0x514, 4, 0);
	ports_write(b->f->ports, 0x518, 4, __builtin_bswap32(0x1000));
	return __builtin_bswap32((u32)memory_read(b->f->memory, 0x1000, 4));
}

static void
dma_reads_skips_and_selects(void **state)
{
	struct board *b = *state;
	char text[9];

	assert_int_equal(ports_read(b->f->ports, 0x514, 4), 0x554d4551);
	assert_int_equal(ports_read(b->f->ports, 0x518, 4), 0x47464320);
	memory_write(b->f->memory, 0x2000, 8, ~0ull);
	assert_int_equal(request(b, 0x20 << 16 | 8 | 2, 8, 0x2000), 0);
	dma_read(b->f->memory, 0x2000, text, 8);
	assert_memory_equal(text, "second\0\0", 8);
	assert_int_equal(request(b, 0x20 << 16 | 8 | 4, 2, 0), 0);
	assert_int_equal(request(b, 2, 3, 0x2000), 0);
	dma_read(b->f->memory, 0x2000, text, 3);
	assert_memory_equal(text, "con", 3);
	assert_int_equal(in(b->f, 0x511), 'd');
}

static void
change(void *opaque)
{
	memcpy(opaque, "SECOND", 6);
}

/* Tables that follow what firmware has done. */
static void
the_owner_hears_before_the_guest_looks(void **state)
{
	struct board *b = *state;
	char text[] = "second";

	b->cfg.file[0].data = (u8 *)text;
	b->cfg.look = change;
	b->cfg.look_opaque = text;
	assert_int_equal(number(b, 0x20, 6), 0x444e4f434553); /* "SECOND" */
	memcpy(text, "second", 6);
	assert_int_equal(request(b, 0x20 << 16 | BIT(3) | BIT(1), 6, 0x2000), 0);
	memcpy(text, "second", 6);
	dma_read(b->f->memory, 0x2000, text, 6);
	assert_memory_equal(text, "SECOND", 6);
}

static void
dma_writes_are_refused(void **state)
{
	struct board *b = *state;

	assert_int_equal(request(b, 0x20 << 16 | 8 | 16, 4, 0x2000), 1);
	assert_int_equal(number(b, 0x20, 6), 0x646e6f636573);
}

static void
absurd_requests_end(void **state)
{
	struct board *b = *state;

	request(b, 0x20 << 16 | 8 | 2, 0xffffffff, 0xffffffffffffff00ull);
	request(b, 0x20 << 16 | 8 | 4, 0xffffffff, 0);
	assert_int_equal(in(b->f, 0x511), 0);
	request(b, 0xffffu << 16 | 8 | 2, 0xffffffff, 0x1000);
}

static void
visit(void *opaque, struct state *s)
{
	fw_cfg_state(opaque, s);
}

static void
random_accesses_do_no_harm(void **state)
{
	struct board *b = *state;

	for (unsigned i = 0; i < 10; i++) {
		sweep_ports(b->f, 0x510, 12, 500);
		assert_state_survives(visit, &b->cfg);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(items_are_read_byte_by_byte),
		TEST(the_directory_lists_files_by_name),
		TEST(dma_reads_skips_and_selects),
		TEST(the_owner_hears_before_the_guest_looks),
		TEST(dma_writes_are_refused),
		TEST(absurd_requests_end),
		TEST(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
