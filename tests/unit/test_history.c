/* machine/dirty.c: RAM as it was, by undo logs, whatever was written between. */
#include <sys/mman.h>

#include "machine/dirty.h"
#include "tests/unit/unit.h"

#define PAGES 300u
#define MARKS 20u

static u32 seed = 1;

static u32
chance(u32 bound)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % bound;
}

static void
scribble(u8 *ram)
{
	for (unsigned i = chance(40); i; i--) {
		u32 page = chance(PAGES);

		if (chance(4) == 0)
			memset(ram + page * 4096, 0, 4096);
		else
			ram[page * 4096 + chance(4096)] = (u8)chance(256);
	}
}

static void
every_mark_is_returned_to_whatever_was_merged(void **state)
{
	size_t size = PAGES * 4096;
	u8 *ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	u8 *then[MARKS];

	(void)state;
	for (unsigned run = 0; run < 50; run++) {
		struct dirty *d = dirty_new(ram, size, MARKS * size);
		struct dirty_log *log[MARKS] = {NULL};
		unsigned marks = 2 + chance(MARKS - 2), merged = chance(marks), stop = chance(marks);

		memset(ram, 0, size);
		for (unsigned i = 0; i < marks; i++) {
			struct dirty_log *complete = dirty_mark(d);

			if (i)
				log[i - 1] = complete;
			then[i] = malloc(size);
			memcpy(then[i], ram, size);
			scribble(ram);
		}
		if (merged > 0 && merged < marks - 1) {
			log[merged - 1] = dirty_log_merge(log[merged - 1], log[merged]);
			log[merged] = NULL;
		}
		dirty_return(d);
		assert_memory_equal(ram, then[marks - 1], size);
		for (unsigned i = marks - 1; i-- > stop;) {
			if (!log[i])
				continue;
			dirty_return_further(d, log[i]);
			assert_memory_equal(ram, then[i], size);
			/* And again, after something else has happened. */
			scribble(ram);
			dirty_return(d);
			assert_memory_equal(ram, then[i], size);
		}
		for (unsigned i = 0; i < marks; i++) {
			free(then[i]);
			dirty_log_free(log[i]);
		}
		dirty_free(d);
		ram[0] = 1; /* can be written as before */
	}
	munmap(ram, size);
}

static void
unchanged_pages_are_not_kept(void **state)
{
	size_t size = PAGES * 4096;
	u8 *ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct dirty *d = dirty_new(ram, size, 0);
	struct dirty_log *log;

	(void)state;
	memset(ram, 7, size);
	assert_null(dirty_mark(d));
	for (unsigned i = 0; i < PAGES; i++)
		*(volatile u8 *)(ram + i * 4096) = 7;
	ram[5 * 4096] = 8;
	log = dirty_mark(d);
	assert_true(dirty_log_size(log) < 2 * 4096);
	dirty_log_free(log);
	dirty_free(d);
	munmap(ram, size);
}

/* What logs had is there for others when they are gone: without, there would be room for two of them. */
static void
pages_of_logs_are_used_again(void **state)
{
	size_t size = PAGES * 4096;
	u8 *ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct dirty *d = dirty_new(ram, size, 0);

	(void)state;
	memset(ram, 1, size);
	dirty_mark(d);
	for (unsigned round = 2; round < 40; round++) {
		/* One after the other, upwards and downwards; some back to what they were; some zero. */
		for (unsigned i = 0; i < PAGES; i++) {
			u8 *page = ram + (round % 3 ? i : PAGES - 1 - i) * 4096;

			memset(page, i % 7 == round % 7 ? 0 : (int)round, 4096);
		}
		if (round % 5 == 0)
			dirty_return(d);
		dirty_log_free(dirty_mark(d));
	}
	dirty_free(d);
	munmap(ram, size);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_mark_is_returned_to_whatever_was_merged),
		cmocka_unit_test(unchanged_pages_are_not_kept),
		cmocka_unit_test(pages_of_logs_are_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
