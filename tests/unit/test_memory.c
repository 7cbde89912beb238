/* bus/memory.c: RAM, holes, overlapping ranges, DMA, code marks, state. */
#include "bus/memory.h"

#include "base/snapshot.h"
#include "tests/unit/unit.h"

#define MIB 0x100000ull
#define GIB 0x40000000ull

static struct memory *
new_memory(u64 size)
{
	char *error = NULL;
	struct memory *m = memory_new(size, &error);

	if (!m)
		fail_msg("%s", error);
	return m;
}

/* An MMIO range that remembers its last access and reads as its offsets. */
struct probe {
	u64 offset, value;
	unsigned size, reads, writes;
};

static u64
probe_read(void *opaque, u64 offset, unsigned size)
{
	struct probe *p = opaque;
	u64 value = 0;

	if (offset % size != 0)
		fail_msg("%u bytes at %#llx", size, (unsigned long long)offset);
	p->reads++;
	p->offset = offset;
	p->size = size;
	for (unsigned i = 0; i < size; i++)
		value |= ((offset + i) & 0xff) << (i * 8);
	return value;
}

static void
probe_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct probe *p = opaque;

	if (offset % size != 0)
		fail_msg("%u bytes at %#llx", size, (unsigned long long)offset);
	p->writes++;
	p->offset = offset;
	p->size = size;
	p->value = value;
}

static const struct mmio_ops probe_ops = {probe_read, probe_write};

static void
ram_holds_what_was_written_in_every_size(void **state)
{
	struct memory *m = new_memory(MIB);

	(void)state;
	for (unsigned size = 1; size <= 8; size++) {
		u64 mask = ~0ull >> (64 - size * 8), value = 0x1122334455667788ull & mask;

		memory_write(m, 0x2000 - size / 2, 8, 0);
		memory_write(m, 0x2000 - size / 2, size, 0x1122334455667788ull); /* across a page's end */
		assert_int_equal(memory_read(m, 0x2000 - size / 2, size), value);
		assert_int_equal(memory_read(m, 0x2000 - size / 2, 8), value);
	}
	memory_free(m);
}

static void
beyond_ram_reads_are_ones_and_writes_are_dropped(void **state)
{
	struct memory *m = new_memory(MIB);

	(void)state;
	assert_int_equal(memory_read(m, MIB, 4), 0xffffffff);
	memory_write(m, MIB, 8, 0);
	assert_int_equal(memory_read(m, UINT64_MAX - 3, 8), (u64)0xffffffff);
	memory_write(m, MIB - 2, 4, 0x11223344);
	assert_int_equal(memory_read(m, MIB - 2, 4), 0xffff3344);
	assert_null(memory_page(m, MIB, false));
	assert_null(memory_page(m, 1ull << 50, true));
	memory_free(m);
}

static void
ram_above_the_hole_continues_at_4_gib(void **state)
{
	struct memory *m = new_memory(4 * GIB);

	(void)state;
	assert_int_equal(m->low_size, MEMORY_HOLE);
	assert_null(memory_page(m, MEMORY_HOLE, false));
	assert_null(memory_page(m, 0xfffff000, false));
	assert_ptr_equal(memory_page(m, 0x100000000ull, true), m->ram + MEMORY_HOLE);
	assert_ptr_equal(memory_page(m, 0x13ffff123ull, true), m->ram + 0xfffff000);
	assert_null(memory_page(m, 0x140000000ull, true));
	memory_write(m, 0x100000000ull, 4, 7);
	assert_int_equal(m->ram[MEMORY_HOLE], 7);
	memory_free(m);
}

static void
mmio_gets_naturally_aligned_pieces_inside_the_range(void **state)
{
	struct memory *m = new_memory(MIB);
	struct probe p = {0};

	(void)state;
	memory_map_mmio(m, "probe", 0xfe000000, 0x1000, &probe_ops, &p);
	assert_int_equal(memory_read(m, 0xfe000010, 4), 0x13121110);
	assert_int_equal(p.size, 4);
	assert_int_equal(p.reads, 1);
	assert_int_equal(memory_read(m, 0xfe000021, 4), 0x24232221);
	assert_int_equal(p.reads, 1 + 3);
	assert_int_equal(memory_read(m, 0xfe000028, 8), 0x2f2e2d2c2b2a2928);
	memory_write(m, 0xfe000ffe, 4, 0xaabbccdd); /* the upper half is beyond the end */
	assert_int_equal(p.writes, 1);
	assert_int_equal(p.offset, 0xffe);
	assert_int_equal(p.size, 2);
	assert_int_equal(p.value, 0xccdd);
	assert_null(memory_page(m, 0xfe000000, false));
	memory_free(m);
}

static void
later_ranges_lie_over_earlier_ones_even_within_a_page(void **state)
{
	struct memory *m = new_memory(MIB);
	struct probe p = {0};
	static u8 rom[0x2000];

	(void)state;
	memset(rom, 0x5a, sizeof(rom));
	memory_map_host(m, "rom", 0x10000, sizeof(rom), rom, false);
	memory_map_mmio(m, "probe", 0x10800, 0x10, &probe_ops, &p);
	memory_write(m, 0x10000, 4, 0);
	assert_int_equal(memory_read(m, 0x10000, 4), 0x5a5a5a5a);
	assert_int_equal(memory_read(m, 0x107fe, 4), 0x01005a5a);
	assert_int_equal(memory_read(m, 0x1080e, 4), 0x5a5a0f0e);
	assert_null(memory_page(m, 0x10000, false)); /* mixed */
	assert_ptr_equal(memory_page(m, 0x11000, false), rom + 0x1000);
	assert_null(memory_page(m, 0x11000, true));
	assert_ptr_equal(memory_page(m, 0x12000, true), m->ram + 0x12000);
	memory_free(m);
}

static unsigned changes;

static void
count_change(void *opaque)
{
	(void)opaque;
	changes++;
}

static void
ranges_move_hide_and_come_back(void **state)
{
	struct memory *m = new_memory(MIB);
	struct probe p = {0};
	unsigned r;

	(void)state;
	changes = 0;
	m->map_changed = count_change;
	r = memory_map_mmio(m, "probe", 0x10000, 0x1000, &probe_ops, &p);
	assert_int_equal(memory_read(m, 0x10001, 1), 1);
	memory_unmap(m, r);
	assert_int_equal(memory_read(m, 0x10001, 1), 0);
	memory_move(m, r, 0x240000000ull); /* above 4 GiB */
	assert_int_equal(memory_read(m, 0x240000001ull, 1), 1);
	assert_int_equal(memory_read(m, 0x10001, 1), 0);
	assert_null(memory_page(m, 0x240000000ull, false));
	memory_move(m, r, 0x20000);
	assert_int_equal(memory_read(m, 0x20001, 1), 1);
	assert_int_equal(memory_read(m, 0x240000001ull, 1), 0xff);
	assert_int_equal(changes, 4);
	memory_move(m, r, 0x20000);
	assert_int_equal(changes, 4);
	memory_free(m);
}

static u64 written_at, written_size;
static u8 byte_before;

static void
code_written(void *opaque, u64 physical, u64 size)
{
	struct memory *m = opaque;

	written_at = physical;
	written_size = size;
	byte_before = m->ram[physical];
	m->page_flags[physical / PAGE_SIZE] &= (u8)~MEMORY_CODE;
}

static void
stores_and_dma_into_code_pages_are_told_before_the_bytes_change(void **state)
{
	struct memory *m = new_memory(MIB);
	u8 data[3 * PAGE_SIZE] = {9};

	(void)state;
	m->code_written = code_written;
	m->opaque = m;
	m->ram[0x5008] = 0xcc;
	m->page_flags[5] = MEMORY_CODE;
	written_size = 0;
	memory_write(m, 0x4000, 8, 1);
	(void)memory_read(m, 0x5008, 1);
	assert_int_equal(written_size, 0);
	memory_write(m, 0x5008, 4, 1);
	assert_int_equal(written_at, 0x5008);
	assert_int_equal(written_size, 4);
	assert_int_equal(byte_before, 0xcc);
	m->page_flags[5] = MEMORY_CODE;
	dma_write(m, 0x4800, data, sizeof(data));
	assert_int_equal(written_at, 0x5000);
	assert_int_equal(written_size, PAGE_SIZE);
	memory_free(m);
}

static void
dma_outside_ram_is_dropped_and_counted(void **state)
{
	struct memory *m = new_memory(MIB);
	struct probe p = {0};
	u8 data[0x2000];

	(void)state;
	memory_map_mmio(m, "probe", 0x20000, 0x1000, &probe_ops, &p);
	memset(data, 7, sizeof(data));
	dma_write(m, 0x1f800, data, sizeof(data));
	assert_int_equal(p.writes, 0);
	assert_int_equal(m->dma_dropped, 1);
	assert_int_equal(m->ram[0x1f800], 7);
	assert_int_equal(m->ram[0x20000], 0);
	assert_int_equal(m->ram[0x217ff], 7);
	memset(data, 0, sizeof(data));
	dma_read(m, 0x1f800, data, sizeof(data));
	assert_int_equal(m->dma_dropped, 2);
	assert_int_equal(data[0], 7);
	assert_int_equal(data[0x800], 0xff);
	assert_int_equal(data[0x1800], 7);
	dma_read(m, UINT64_MAX - 0xfff, data, sizeof(data)); /* wraps to address 0 */
	assert_int_equal(data[0xfff], 0xff);
	assert_int_equal(data[0x1000], 0);
	memory_free(m);
}

static void
peek_has_no_side_effects(void **state)
{
	struct memory *m = new_memory(MIB);
	struct probe p = {0};
	u8 data[16];

	(void)state;
	memory_map_mmio(m, "probe", 0x20000, 0x1000, &probe_ops, &p);
	m->ram[0x1fff8] = 3;
	assert_true(memory_peek(m, 0x1fff8, data, 8));
	assert_int_equal(data[0], 3);
	assert_false(memory_peek(m, 0x1fff8, data, 9));
	assert_int_equal(p.reads, 0);
	assert_int_equal(m->dma_dropped, 0);
	memory_free(m);
}

static void
visit(void *opaque, struct state *s)
{
	memory_state(opaque, s);
}

static void
zero_pages_do_not_count_for_the_hash_whether_touched_or_not(void **state)
{
	struct memory *m = new_memory(64 * MIB);
	u64 empty = state_hash(visit, m), one;

	(void)state;
	m->ram[5 * MIB] = 1;
	one = state_hash(visit, m);
	assert_int_not_equal(one, empty);
	m->ram[5 * MIB] = 0;
	assert_int_equal(state_hash(visit, m), empty);
	m->ram[5 * MIB + PAGE_SIZE] = 1; /* the same page at another place */
	assert_int_not_equal(state_hash(visit, m), one);
	memory_free(m);
}

static void
ram_is_restored_from_a_snapshot(void **state)
{
	struct memory *m = new_memory(4 * MIB), *n = new_memory(4 * MIB), *other = new_memory(8 * MIB);
	size_t size;
	u8 *saved;
	char *error;

	(void)state;
	m->ram[0] = 1;
	m->ram[4 * MIB - 1] = 2;
	n->ram[MIB] = 3;
	saved = state_save(visit, m, &size);
	assert_true(size < 3 * PAGE_SIZE);
	assert_null(state_load(visit, n, saved, size));
	assert_memory_equal(m->ram, n->ram, 4 * MIB);
	error = state_load(visit, other, saved, size);
	assert_non_null(error);
	free(error);
	for (size_t at = 0; at < size; at += 509) {
		saved[at] ^= 0x80;
		free(state_load(visit, n, saved, size)); /* must not crash, whatever it says */
		saved[at] ^= 0x80;
	}
	free(saved);
	memory_free(m);
	memory_free(n);
	memory_free(other);
}

static void
more_ram_than_address_space_is_an_error_with_a_message(void **state)
{
	char *error = NULL;

	(void)state;
	assert_null(memory_new(1ull << 50, &error));
	assert_non_null(strstr(error, "RAM"));
	free(error);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ram_holds_what_was_written_in_every_size),
		cmocka_unit_test(beyond_ram_reads_are_ones_and_writes_are_dropped),
		cmocka_unit_test(ram_above_the_hole_continues_at_4_gib),
		cmocka_unit_test(mmio_gets_naturally_aligned_pieces_inside_the_range),
		cmocka_unit_test(later_ranges_lie_over_earlier_ones_even_within_a_page),
		cmocka_unit_test(ranges_move_hide_and_come_back),
		cmocka_unit_test(stores_and_dma_into_code_pages_are_told_before_the_bytes_change),
		cmocka_unit_test(dma_outside_ram_is_dropped_and_counted),
		cmocka_unit_test(peek_has_no_side_effects),
		cmocka_unit_test(zero_pages_do_not_count_for_the_hash_whether_touched_or_not),
		cmocka_unit_test(ram_is_restored_from_a_snapshot),
		cmocka_unit_test(more_ram_than_address_space_is_an_error_with_a_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
