/* machine/block_overlay.c in snapshots and checkpoints: what was written comes back, over the same image only. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/snapshot.h"
#include "machine/block_host.h"
#include "tests/unit/unit.h"

#define SECTORS 1000u

static char path[] = "/tmp/nb-overlay-XXXXXX";

static void
visit(void *opaque, struct state *s)
{
	state_section(s, "disk", 1);
	block_overlay_state(block_host_overlay(opaque), s);
}

static struct block_host *
open_disk(void)
{
	const struct block_host_options options = {.path = path, .format = "raw", .snapshot = true};
	struct block_host *h;
	char *error = block_host_new(&options, &h);

	if (error)
		fail_msg("%s", error);
	return h;
}

static void
put(struct block_host *h, u64 sector, u32 count, u8 value)
{
	struct block *b = block_host_block(h);
	u8 *data = malloc(count * BLOCK_SECTOR);

	memset(data, value, count * BLOCK_SECTOR);
	assert_int_equal(b->write(b->host, sector, count, data), 0);
	free(data);
}

static u8
get(struct block_host *h, u64 sector)
{
	struct block *b = block_host_block(h);
	u8 data[BLOCK_SECTOR];

	assert_int_equal(b->read(b->host, sector, 1, data), 0);
	return data[100];
}

static void
what_was_written_is_in_the_snapshot(void **state)
{
	struct block_host *h = open_disk(), *other = open_disk();
	size_t size;
	u8 *data;

	(void)state;
	put(h, 7, 600, 5);
	put(h, 999, 1, 6);
	data = state_save(visit, h, &size);
	assert_true(size > 601 * BLOCK_SECTOR && size < 602 * BLOCK_SECTOR);
	put(other, 0, 10, 9); /* goes */
	assert_null(state_load(visit, other, data, size));
	assert_int_equal(get(other, 6), 0x11);
	assert_int_equal(get(other, 7), 5);
	assert_int_equal(get(other, 606), 5);
	assert_int_equal(get(other, 607), 0x11);
	assert_int_equal(get(other, 999), 6);
	free(data);
	block_host_free(h);
	block_host_free(other);
}

static void
another_image_is_refused_by_its_name(void **state)
{
	struct block_host *h = open_disk();
	size_t size;
	char *error;
	u8 *data, byte = 0x12;
	int fd;

	(void)state;
	put(h, 1, 1, 5);
	data = state_save(visit, h, &size);
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, &byte, 1, 5000), 1);
	error = state_load(visit, h, data, size);
	assert_non_null(error);
	assert_non_null(strstr(error, path));
	assert_non_null(strstr(error, "changed since"));
	free(error);
	/* The same bytes again are the same image, whenever they were written. */
	byte = 0x11;
	assert_int_equal(pwrite(fd, &byte, 1, 5000), 1);
	assert_null(state_load(visit, h, data, size));
	close(fd);
	free(data);
	block_host_free(h);
}

static void
sectors_that_cannot_be_are_refused(void **state)
{
	struct block_host *h = open_disk();
	size_t size, at;
	u8 *data, *copy;

	(void)state;
	put(h, 10, 3, 5);
	put(h, 20, 1, 6);
	data = state_save(visit, h, &size);
	copy = malloc(size);
	/* Whatever stands in any four bytes: refused, or harmless. */
	for (at = 0; at + 4 <= size; at += at < 200 || at + 40 > size ? 1 : 61) {
		static const u32 values[] = {0, 1, 0x7fffffff, 0xffffffff, SECTORS - 1};

		for (unsigned i = 0; i < COUNT(values); i++) {
			memcpy(copy, data, size);
			memcpy(copy + at, &values[i], 4);
			free(state_load(visit, h, copy, size));
		}
	}
	for (at = 0; at < size; at += 37) {
		char *error = state_load(visit, h, data, at);

		assert_non_null(error);
		free(error);
	}
	assert_null(state_load(visit, h, data, size));
	assert_int_equal(get(h, 20), 6);
	free(copy);
	free(data);
	block_host_free(h);
}

static void
a_checkpoint_brings_back_what_was_there(void **state)
{
	struct block_host *h = open_disk();
	size_t early_size, late_size;
	u8 *early, *late;

	(void)state;
	put(h, 3, 1, 1);
	early = state_checkpoint(visit, h, &early_size);
	put(h, 3, 2, 2);
	put(h, 3, 1, 3);
	late = state_checkpoint(visit, h, &late_size);
	put(h, 2, 4, 4);
	state_return(visit, h, late, late_size);
	assert_int_equal(get(h, 2), 0x11);
	assert_int_equal(get(h, 3), 3);
	assert_int_equal(get(h, 4), 2);
	state_return(visit, h, early, early_size);
	assert_int_equal(get(h, 3), 1);
	assert_int_equal(get(h, 4), 0x11);
	put(h, 4, 1, 9);
	state_return(visit, h, early, early_size);
	assert_int_equal(get(h, 4), 0x11);
	free(early);
	free(late);
	block_host_free(h);
}

/* However often the guest writes: what a sector held at a checkpoint is kept once, and goes with the checkpoint. */
static void
the_journal_is_bounded_and_goes_with_its_checkpoint(void **state)
{
	struct block_host *h = open_disk();
	struct block_overlay *o = block_host_overlay(h);
	size_t size;
	u64 empty, mark;

	(void)state;
	free(state_checkpoint(visit, h, &size));
	put(h, 0, 500, 1); /* the image has what they held */
	put(h, 0, 500, 2);
	assert_true(block_overlay_journal_size(o) < 500 * 128);
	empty = block_overlay_journal_size(o);
	free(state_checkpoint(visit, h, &size));
	for (unsigned i = 0; i < 1000; i++)
		put(h, i % 2, 400, (u8)i);
	assert_true(block_overlay_journal_size(o) > 401 * BLOCK_SECTOR);
	assert_true(block_overlay_journal_size(o) < empty + 401 * (BLOCK_SECTOR + 128));
	for (unsigned i = 0; i < 200; i++) {
		free(state_checkpoint(visit, h, &size));
		mark = block_overlay_mark(o);
		put(h, 0, 400, (u8)i);
		block_overlay_forget(o, mark);
		assert_true(block_overlay_journal_size(o) < empty + 400 * (BLOCK_SECTOR + 128));
	}
	block_overlay_forget(o, UINT64_MAX);
	assert_true(block_overlay_journal_size(o) <= empty);
	block_host_free(h);
}

#define FEW 40u    /* sectors, so that they meet */
#define MARKS 12u

static void
expect_sectors(struct block_host *h, const u8 *then)
{
	for (unsigned i = 0; i < FEW; i++)
		assert_int_equal(get(h, i), then[i]);
}

static void
checkpoints_come_back_whatever_was_merged_or_forgotten(void **state)
{
	u32 seed = 1;
#define CHANCE(bound) (seed = seed * 1664525 + 1013904223, (seed >> 8) % (bound))

	(void)state;
	for (unsigned run = 0; run < 100; run++) {
		struct block_host *h = open_disk();
		struct block_overlay *o = block_host_overlay(h);
		u8 *data[MARKS], now[FEW], then[MARKS][FEW];
		size_t size[MARKS];
		u64 mark[MARKS];
		unsigned count = 0;

		memset(now, 0x11, sizeof(now));
		for (unsigned step = 0; step < 60; step++) {
			unsigned i = count ? CHANCE(count) : 0;

			switch (CHANCE(8)) {
			case 0:
			case 1:
				if (count == MARKS)
					break;
				data[count] = state_checkpoint(visit, h, &size[count]);
				mark[count] = block_overlay_mark(o);
				memcpy(then[count++], now, sizeof(now));
				break;
			case 2: /* one goes */
				if (count < 2 || i + 1 == count)
					break;
				if (i == 0)
					block_overlay_forget(o, mark[1]);
				else
					block_overlay_merge(o, mark[i - 1], mark[i]);
				free(data[i]);
				for (count--; i < count; i++) {
					data[i] = data[i + 1];
					size[i] = size[i + 1];
					mark[i] = mark[i + 1];
					memcpy(then[i], then[i + 1], sizeof(now));
				}
				break;
			case 3: /* back */
				if (!count || CHANCE(2))
					break;
				state_return(visit, h, data[i], size[i]);
				memcpy(now, then[i], sizeof(now));
				while (count > i + 1)
					free(data[--count]);
				break;
			default: {
				u32 first = CHANCE(FEW), n = 1 + CHANCE(FEW - first);

				put(h, first, n, (u8)(step + run));
				memset(now + first, (u8)(step + run), n);
			}
			}
			expect_sectors(h, now);
		}
		while (count-- > 0) {
			state_return(visit, h, data[count], size[count]);
			expect_sectors(h, then[count]);
			free(data[count]);
		}
		block_host_free(h);
	}
#undef CHANCE
}

static int
make_image(void **state)
{
	int fd = mkstemp(path);
	u8 sector[BLOCK_SECTOR];

	(void)state;
	memset(sector, 0x11, sizeof(sector));
	for (unsigned i = 0; i < SECTORS; i++)
		if (write(fd, sector, sizeof(sector)) != sizeof(sector))
			return -1;
	return close(fd);
}

static int
remove_image(void **state)
{
	(void)state;
	return unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_in_the_snapshot),
		cmocka_unit_test(another_image_is_refused_by_its_name),
		cmocka_unit_test(sectors_that_cannot_be_are_refused),
		cmocka_unit_test(a_checkpoint_brings_back_what_was_there),
		cmocka_unit_test(the_journal_is_bounded_and_goes_with_its_checkpoint),
		cmocka_unit_test(checkpoints_come_back_whatever_was_merged_or_forgotten),
	};

	return cmocka_run_group_tests(tests, make_image, remove_image);
}
