/*
 * Undo logs of RAM: see dirty.h.
 *
 * A trap costs as much as copying twenty pages, so a trap frees what lies around the page too, and more of it where pages are written one after
 * the other; pages that are zero need no copy at all. Measured on boots of Linux, that halves what traps and copies take together, against four
 * pages for each trap.
 *
 * Copies are pages of a pool, and a log has those of the pages that changed: nothing is copied twice, and a page from the host, which costs more
 * than the copy, is used again.
 *
 * Source for what a handler of SIGSEGV may do: signal-safety(7); mprotect() is a bare system call on Linux. The kernel bounds the number of
 * mappings (vm.max_map_count, 65530 by default): a trap makes two more at most, and after TRAPS of them one frees a whole BLOCKth of RAM.
 * proc_pid_pagemap(5) tells which pages were never touched.
 */
#define _GNU_SOURCE
#include "machine/dirty.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/stop.h"

#define PAGE 4096u
/* Pages; powers of two. */
#define AROUND_KEPT 8u
#define AROUND_RUN 64u
#define AROUND_ZERO 512u
/* Together at most half of 65530, and some for the rest of the process. */
#define TRAPS 20000u
#define BLOCKS 8192u
#define CHUNK 512u
/* More free pages in the pool than this go back to the host, but for half. */
#define MOST_FREE 65536u

/* What is known of a page since the mark. */
enum {
	KEPT, /* write-protected, and not zero */
	ZERO, /* write-protected, and zero */
	WAS_ZERO, /* may have been written; it was zero */
	COPIED, /* may have been written; + number of its copy in the pool */
};

/* Room for all that logs and copies may need at a time, lazily populated. */
struct pool {
	u8 *data;
	u32 pages, used; /* those from `used` on were never taken */
	u32 free, empty;
	u32 *number; /* a stack of free pages from the beginning on; of empty ones, which the host has again, from the end */
};

struct dirty {
	u8 *ram;
	u64 size;
	u32 pages, block;
	u32 *page; /* KEPT... of each */
	struct pool pool;
	u32 traps;
	bool marked;
	/* The part of pagemap that was last looked at: CHUNK pages from `chunk` on. */
	int pagemap;
	u32 chunk;
	u64 entry[CHUNK];
	struct dirty *next;
};

struct dirty_log {
	struct pool *pool;
	u32 count, kept;
	u32 *page; /* ascending */
	u32 *copy; /* numbers in the pool; ZEROS */
	/* Pages that may have been written, but hold at the end what they held at the beginning; ascending. */
	u32 sames;
	u32 *same;
};

#define ZEROS UINT32_MAX

static struct {
	struct dirty *all; /* one for each machine of a process */
	struct sigaction former;
} process;

/* --- the pool --- */

static u8 *
pool_page(const struct pool *pool, u32 number)
{
	return pool->data + (u64)number * PAGE;
}

/* Within the trap too. */
static u32
pool_take(struct pool *pool)
{
	static const char text[] = "nestbox: the pool for going back is exhausted\n";

	if (pool->free)
		return pool->number[--pool->free];
	if (pool->empty)
		return pool->number[pool->pages - pool->empty--];
	if (pool->used < pool->pages)
		return pool->used++;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0) {
		/* nobody to tell */
	}
	_exit(1);
}

static void
pool_give(struct pool *pool, u32 number)
{
	if (number != ZEROS)
		pool->number[pool->free++] = number;
}

static void
pool_trim(struct pool *pool)
{
	if (pool->free <= MOST_FREE)
		return;
	while (pool->free > MOST_FREE / 2) {
		u32 number = pool->number[--pool->free];

		madvise(pool_page(pool, number), PAGE, MADV_DONTNEED);
		pool->number[pool->pages - ++pool->empty] = number;
	}
}

/* --- the trap --- */

/* How many pages next to `page`, downwards or upwards, have been freed since the mark, which were as it is? */
static u32
freed_beside(const struct dirty *d, u32 page, int step)
{
	bool zero = d->page[page] == ZERO;
	u32 n = 0;

	while (n < AROUND_RUN && page + step < d->pages && (zero ? d->page[page + step] == WAS_ZERO : d->page[page + step] >= COPIED)) {
		page += step;
		n++;
	}
	return n;
}

/* The pages that a trap at `page` frees: [first, end). */
static void
free_around(struct dirty *d, u32 page, u32 *first, u32 *end)
{
	u32 around = d->traps > TRAPS ? d->block : d->page[page] == ZERO ? AROUND_ZERO : AROUND_KEPT;
	u32 low = page & ~(around - 1), high = MIN(low + around, d->pages), below, above;

	*first = low;
	*end = high;
	if (d->traps > TRAPS)
		return;
	/* As many as were before it, where it goes on in one direction. */
	below = freed_beside(d, page, -1);
	above = freed_beside(d, page, 1);
	if (below > above)
		high = MAX(high, MIN(page + below, d->pages));
	else if (above)
		low = MIN(low, page - MIN(above, page));
	for (*first = page; *first > low && d->page[*first - 1] == d->page[page];)
		--*first;
	for (*end = page + 1; *end < high && d->page[*end] == d->page[page];)
		++*end;
}

static void
on_fault(int number, siginfo_t *info, void *context)
{
	struct dirty *d = process.all;

	while (d && (u64)((u8 *)info->si_addr - d->ram) >= d->size)
		d = d->next;
	if (!d || !d->marked || info->si_code != SEGV_ACCERR) {
		/* Not ours: as if we were not there. */
		if (process.former.sa_flags & SA_SIGINFO && process.former.sa_sigaction) {
			process.former.sa_sigaction(number, info, context);
			return;
		}
		signal(SIGSEGV, SIG_DFL);
		return;
	}
	u32 first, end;

	d->traps++;
	free_around(d, (u32)((u64)((u8 *)info->si_addr - d->ram) / PAGE), &first, &end);
	for (u32 i = first; i < end; i++) {
		if (d->page[i] == ZERO) {
			d->page[i] = WAS_ZERO;
		} else if (d->page[i] == KEPT) {
			u32 number = pool_take(&d->pool);

			memcpy(pool_page(&d->pool, number), d->ram + (u64)i * PAGE, PAGE);
			d->page[i] = COPIED + number;
		}
	}
	if (mprotect(d->ram + (u64)first * PAGE, (u64)(end - first) * PAGE, PROT_READ | PROT_WRITE) != 0) {
		static const char text[] = "nestbox: the host has no more mappings for going back (vm.max_map_count)\n";

		if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0) {
			/* nobody to tell */
		}
		_exit(1);
	}
}

/* --- making --- */

static void *
lazily(u64 size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		stop_host_error("no address space for going back");
	return p;
}

struct dirty *
dirty_new(u8 *ram, u64 size, u64 logs)
{
	struct dirty *d = calloc(1, sizeof(*d));
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART};

	if (!d)
		stop_host_error("out of memory");
	d->ram = ram;
	d->size = size;
	d->pages = (u32)(size / PAGE);
	d->block = AROUND_ZERO;
	while (d->pages / d->block > BLOCKS)
		d->block *= 2;
	/* The logs, the one that is being made, and what is written meanwhile. */
	d->pool.pages = (u32)MIN(logs / PAGE, 1u << 30) + 2 * d->pages;
	d->pool.data = lazily((u64)d->pool.pages * PAGE);
	d->pool.number = lazily((u64)d->pool.pages * sizeof(*d->pool.number));
	d->page = lazily(d->pages * sizeof(*d->page));
	d->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (!process.all)
		sigaction(SIGSEGV, &action, &process.former);
	d->next = process.all;
	process.all = d;
	return d;
}

static void
unprotect(struct dirty *d)
{
	if (d->marked)
		mprotect(d->ram, d->size, PROT_READ | PROT_WRITE);
	d->marked = false;
}

void
dirty_free(struct dirty *d)
{
	struct dirty **link = &process.all;

	if (!d)
		return;
	unprotect(d);
	while (*link != d)
		link = &(*link)->next;
	*link = d->next;
	if (!process.all)
		sigaction(SIGSEGV, &process.former, NULL);
	munmap(d->pool.data, (u64)d->pool.pages * PAGE);
	munmap(d->pool.number, (u64)d->pool.pages * sizeof(*d->pool.number));
	munmap(d->page, d->pages * sizeof(*d->page));
	if (d->pagemap >= 0)
		close(d->pagemap);
	free(d);
}

/* --- marks --- */

/* Begins to ask which pages were touched. */
static void
look_anew(struct dirty *d)
{
	d->chunk = UINT32_MAX;
}

/* Was it ever touched? If the host will not say, it was. Asked in ascending order. */
static bool
touched(struct dirty *d, u32 page)
{
	u32 chunk = page & ~(CHUNK - 1);

	if (chunk != d->chunk) {
		u64 number = (uintptr_t)d->ram / PAGE + chunk;

		d->chunk = chunk;
		if (pread(d->pagemap, d->entry, sizeof(d->entry), (off_t)(number * 8)) != sizeof(d->entry))
			memset(d->entry, 0xff, sizeof(d->entry));
	}
	/* Present, or swapped out. */
	return d->entry[page - chunk] >> 62;
}

static void
begin(struct dirty *d)
{
	pool_trim(&d->pool);
	d->traps = 0;
	d->marked = true;
	if (mprotect(d->ram, d->size, PROT_READ) != 0)
		stop_host_error("RAM cannot be write-protected");
}

static bool
is_zero(const u8 *page)
{
	return page[0] == 0 && !memcmp(page, page + 1, PAGE - 1);
}

static void *
need(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (!p)
		stop_host_error("out of memory for going back");
	return p;
}

static struct dirty_log *
log_new(struct pool *pool, u32 room)
{
	struct dirty_log *log = need(sizeof(*log));

	log->pool = pool;
	log->count = log->kept = log->sames = 0;
	log->same = need(room * sizeof(*log->same));
	log->page = need(room * sizeof(*log->page));
	log->copy = need(room * sizeof(*log->copy));
	return log;
}

static void
log_add(struct dirty_log *log, u32 page, u32 copy)
{
	log->page[log->count] = page;
	log->copy[log->count] = copy;
	log->count++;
	log->kept += copy != ZEROS;
}

/* Its copies are elsewhere by now. */
static void
log_drop(struct dirty_log *log)
{
	free(log->page);
	free(log->copy);
	free(log->same);
	free(log);
}

/* The pages that really changed. */
static struct dirty_log *
collect(struct dirty *d)
{
	struct dirty_log *log;
	u32 opened = 0;

	for (u32 i = 0; i < d->pages; i++)
		opened += d->page[i] >= WAS_ZERO;
	log = log_new(&d->pool, opened);
	look_anew(d);
	for (u32 i = 0; i < d->pages; i++) {
		const u8 *now = d->ram + (u64)i * PAGE;

		if (d->page[i] == WAS_ZERO) {
			d->page[i] = touched(d, i) && !is_zero(now) ? KEPT : ZERO;
			if (d->page[i] == KEPT)
				log_add(log, i, ZEROS);
			else if (touched(d, i))
				log->same[log->sames++] = i;
		} else if (d->page[i] >= COPIED) {
			u32 copy = d->page[i] - COPIED;

			d->page[i] = KEPT;
			if (!memcmp(pool_page(&d->pool, copy), now, PAGE)) {
				pool_give(&d->pool, copy);
				log->same[log->sames++] = i;
				continue;
			}
			log_add(log, i, copy);
			if (is_zero(now))
				d->page[i] = ZERO;
		}
	}
	return log;
}

struct dirty_log *
dirty_mark(struct dirty *d)
{
	struct dirty_log *log = NULL;

	if (d->marked) {
		log = collect(d);
	} else {
		look_anew(d);
		for (u32 i = 0; i < d->pages; i++)
			d->page[i] = touched(d, i) && !is_zero(d->ram + (u64)i * PAGE) ? KEPT : ZERO;
	}
	begin(d);
	return log;
}

void
dirty_return(struct dirty *d)
{
	assert(d->marked);
	unprotect(d);
	look_anew(d);
	for (u32 i = 0; i < d->pages; i++) {
		u8 *page = d->ram + (u64)i * PAGE;

		if (d->page[i] == WAS_ZERO) {
			if (touched(d, i) && !is_zero(page))
				memset(page, 0, PAGE);
			d->page[i] = ZERO;
		} else if (d->page[i] >= COPIED) {
			memcpy(page, pool_page(&d->pool, d->page[i] - COPIED), PAGE);
			pool_give(&d->pool, d->page[i] - COPIED);
			d->page[i] = KEPT;
		}
	}
	begin(d);
}

void
dirty_return_further(struct dirty *d, struct dirty_log *log)
{
	/* Nothing was written since dirty_return(). */
	unprotect(d);
	for (u32 i = 0; i < log->count; i++) {
		u8 *to = d->ram + (u64)log->page[i] * PAGE;

		d->page[log->page[i]] = log->copy[i] == ZEROS ? ZERO : KEPT;
		if (log->copy[i] == ZEROS)
			memset(to, 0, PAGE);
		else
			memcpy(to, pool_page(log->pool, log->copy[i]), PAGE);
	}
	begin(d);
}

/* --- logs --- */

u64
dirty_log_size(const struct dirty_log *log)
{
	return log->kept * (u64)PAGE + log->count * 8ull + log->sames * 4ull;
}

static bool
has_page(const u32 *pages, u32 count, u32 page)
{
	u32 low = 0, high = count;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (pages[middle] < page)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && pages[low] == page;
}

bool
dirty_written(const struct dirty *d, u32 page)
{
	return d->page[page] >= WAS_ZERO;
}

bool
dirty_log_written(const struct dirty_log *log, u32 page)
{
	return has_page(log->page, log->count, page) || has_page(log->same, log->sames, page);
}

/* The union of both lists, which are ascending. */
static u32
unite(const u32 *a, u32 as, const u32 *b, u32 bs, u32 *out)
{
	u32 i = 0, j = 0, count = 0;

	while (i < as || j < bs) {
		u32 next = j == bs || (i < as && a[i] < b[j]) ? a[i] : b[j];

		i += i < as && a[i] == next;
		j += j < bs && b[j] == next;
		out[count++] = next;
	}
	return count;
}

struct dirty_log *
dirty_log_merge(struct dirty_log *earlier, struct dirty_log *later)
{
	struct dirty_log *both = log_new(earlier->pool, earlier->count + later->count + earlier->sames + later->sames);
	u32 i = 0, j = 0;

	while (i < earlier->count || j < later->count) {
		if (j == later->count || (i < earlier->count && earlier->page[i] <= later->page[j])) {
			/* As it was first. */
			if (j < later->count && earlier->page[i] == later->page[j])
				pool_give(later->pool, later->copy[j++]);
			log_add(both, earlier->page[i], earlier->copy[i]);
			i++;
		} else {
			log_add(both, later->page[j], later->copy[j]);
			j++;
		}
	}
	both->sames = unite(earlier->same, earlier->sames, later->same, later->sames, both->same);
	log_drop(earlier);
	log_drop(later);
	return both;
}

void
dirty_log_free(struct dirty_log *log)
{
	if (!log)
		return;
	for (u32 i = 0; i < log->count; i++)
		pool_give(log->pool, log->copy[i]);
	log_drop(log);
}
