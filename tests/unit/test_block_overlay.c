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
	};

	return cmocka_run_group_tests(tests, make_image, remove_image);
}
