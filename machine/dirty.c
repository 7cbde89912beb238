/*
 * Undo logs of RAM: see dirty.h.
 *
 * A trap costs as much as copying several pages, so a trap frees what lies around the page too: pages that were written before are likely written
 * together, and pages that never were need no copy at all, for they are zero.
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
#define AROUND_KEPT 4u
#define AROUND_ZERO 512u
/* Together at most half of 65530, and some for the rest of the process. */
#define TRAPS 20000u
#define BLOCKS 8192u
#define CHUNK 512u

/* What is known of a page since the mark. */
enum {
	KEPT, /* write-protected, with whatever it holds */
	ZERO, /* write-protected, and zero */
	WAS_ZERO, /* may have been written; it was zero */
	COPIED, /* may have been written; + number of its copy */
};

struct dirty {
	u8 *ram;
	u64 size;
	u32 pages, block;
	u32 *page; /* KEPT... of each */
	/* As they were at the mark; room for all, lazily populated. */
	u8 *copies;
	u32 copied, traps;
	bool marked;
	/* The part of pagemap that was last looked at: CHUNK pages from `chunk` on. */
	int pagemap;
	u32 chunk;
	u64 entry[CHUNK];
	struct dirty *next;
};

struct dirty_log {
	u32 count, kept;
	u32 *page; /* ascending */
	u8 **data; /* NULL: zeros */
};

static struct {
	struct dirty *all; /* one for each machine of a process */
	struct sigaction former;
} process;

/* --- the trap --- */

/* The pages that a trap at `page` frees: [first, end). */
static void
free_around(struct dirty *d, u32 page, u32 *first, u32 *end)
{
	u32 around = d->traps > TRAPS ? d->block : d->page[page] == ZERO ? AROUND_ZERO : AROUND_KEPT;
	u32 low = page & ~(around - 1), high = MIN(low + around, d->pages);

	*first = low;
	*end = high;
	if (d->traps > TRAPS)
		return;
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
			memcpy(d->copies + (u64)d->copied * PAGE, d->ram + (u64)i * PAGE, PAGE);
			d->page[i] = COPIED + d->copied++;
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
dirty_new(u8 *ram, u64 size)
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
	d->copies = lazily(size);
	/* Where the host has none, it only takes longer. */
	madvise(d->copies, size, MADV_HUGEPAGE);
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
	munmap(d->copies, d->size);
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
	/* Some stays populated, since the next moment is much like the last. */
	u64 keep = 64u << 20;

	if ((u64)d->copied * PAGE > keep)
		madvise(d->copies + keep, d->size - keep, MADV_DONTNEED);
	d->copied = d->traps = 0;
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
log_new(u32 room)
{
	struct dirty_log *log = need(sizeof(*log));

	log->count = log->kept = 0;
	log->page = need(room * sizeof(*log->page));
	log->data = need(room * sizeof(*log->data));
	return log;
}

static void
log_add(struct dirty_log *log, u32 page, u8 *data)
{
	log->page[log->count] = page;
	log->data[log->count] = data;
	log->count++;
	log->kept += data != NULL;
}

/* The pages that really changed. */
static struct dirty_log *
collect(struct dirty *d)
{
	struct dirty_log *log;
	u32 opened = 0;

	for (u32 i = 0; i < d->pages; i++)
		opened += d->page[i] >= WAS_ZERO;
	log = log_new(opened);
	look_anew(d);
	for (u32 i = 0; i < d->pages; i++) {
		const u8 *now = d->ram + (u64)i * PAGE;

		if (d->page[i] == WAS_ZERO) {
			d->page[i] = touched(d, i) && !is_zero(now) ? KEPT : ZERO;
			if (d->page[i] == KEPT)
				log_add(log, i, NULL);
		} else if (d->page[i] >= COPIED) {
			const u8 *old = d->copies + (u64)(d->page[i] - COPIED) * PAGE;
			u8 *kept = NULL;

			d->page[i] = KEPT;
			if (!memcmp(old, now, PAGE))
				continue;
			if (!is_zero(old)) {
				kept = need(PAGE);
				memcpy(kept, old, PAGE);
			}
			log_add(log, i, kept);
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
			d->page[i] = touched(d, i) ? KEPT : ZERO;
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
			memcpy(page, d->copies + (u64)(d->page[i] - COPIED) * PAGE, PAGE);
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

		d->page[log->page[i]] = log->data[i] ? KEPT : ZERO;
		if (log->data[i])
			memcpy(to, log->data[i], PAGE);
		else
			memset(to, 0, PAGE);
	}
	begin(d);
}

/* --- logs --- */

u64
dirty_log_size(const struct dirty_log *log)
{
	return log->kept * (u64)(PAGE + 16) + log->count * 12ull;
}

struct dirty_log *
dirty_log_merge(struct dirty_log *earlier, struct dirty_log *later)
{
	struct dirty_log *both = log_new(earlier->count + later->count);
	u32 i = 0, j = 0;

	while (i < earlier->count || j < later->count) {
		if (j == later->count || (i < earlier->count && earlier->page[i] <= later->page[j])) {
			/* As it was first. */
			if (j < later->count && earlier->page[i] == later->page[j])
				free(later->data[j++]);
			log_add(both, earlier->page[i], earlier->data[i]);
			i++;
		} else {
			log_add(both, later->page[j], later->data[j]);
			j++;
		}
	}
	free(earlier->page);
	free(earlier->data);
	free(earlier);
	free(later->page);
	free(later->data);
	free(later);
	return both;
}

void
dirty_log_free(struct dirty_log *log)
{
	if (!log)
		return;
	for (u32 i = 0; i < log->count; i++)
		free(log->data[i]);
	free(log->page);
	free(log->data);
	free(log);
}
