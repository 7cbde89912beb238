/*
 * Undo logs of RAM: see dirty.h.
 *
 * Source for what a handler of SIGSEGV may do: signal-safety(7); mprotect() is a bare system call on Linux. The kernel bounds the number of
 * mappings (vm.max_map_count, 65530 by default), so RAM is traced in pieces of which there are at most 32768; what a log keeps
 * is pages.
 */
#define _GNU_SOURCE
#include "machine/dirty.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/stop.h"

#define PAGE 4096u
#define PIECES 32768u

struct dirty {
	u8 *ram;
	u64 size, piece;
	/* Pieces written since the mark, as they were; room for all, lazily populated. */
	u8 *copies;
	u32 *number;
	u32 count;
	bool marked;
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
	u64 piece = (u64)((u8 *)info->si_addr - d->ram) / d->piece, at = piece * d->piece, length = MIN(d->piece, d->size - at);

	d->number[d->count] = (u32)piece;
	memcpy(d->copies + d->count * d->piece, d->ram + at, length);
	d->count++;
	if (mprotect(d->ram + at, length, PROT_READ | PROT_WRITE) != 0) {
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
	d->piece = PAGE;
	while ((size + d->piece - 1) / d->piece > PIECES)
		d->piece *= 2;
	d->copies = lazily(size + d->piece);
	d->number = lazily((size / d->piece + 1) * sizeof(*d->number));
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
	munmap(d->copies, d->size + d->piece);
	munmap(d->number, (d->size / d->piece + 1) * sizeof(*d->number));
	free(d);
}

/* --- marks --- */

static void
begin(struct dirty *d)
{
	/* A little stays populated, since the next moment is much like the last. */
	u64 keep = 16u << 20;

	if (d->count * d->piece > keep)
		madvise(d->copies + keep, d->size + d->piece - keep, MADV_DONTNEED);
	d->count = 0;
	d->marked = true;
	if (mprotect(d->ram, d->size, PROT_READ) != 0)
		stop_host_error("RAM cannot be write-protected");
}

static bool
is_zero(const u8 *page)
{
	return page[0] == 0 && !memcmp(page, page + 1, PAGE - 1);
}

static int
compare_numbers(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
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
	u32 per_piece = (u32)(d->piece / PAGE), pages = (u32)(d->size / PAGE);
	struct dirty_log *log = log_new(d->count * per_piece);
	u64 *order = need(d->count * sizeof(*order)); /* piece, copy */

	for (u32 i = 0; i < d->count; i++)
		order[i] = (u64)d->number[i] << 32 | i;
	qsort(order, d->count, sizeof(*order), compare_numbers);
	for (u32 i = 0; i < d->count; i++) {
		u32 first = (u32)(order[i] >> 32) * per_piece;
		const u8 *copy = d->copies + (order[i] & UINT32_MAX) * d->piece;

		for (u32 n = 0; n < per_piece && first + n < pages; n++) {
			const u8 *old = copy + n * PAGE;
			u8 *kept = NULL;

			if (!memcmp(old, d->ram + (u64)(first + n) * PAGE, PAGE))
				continue;
			if (!is_zero(old)) {
				kept = need(PAGE);
				memcpy(kept, old, PAGE);
			}
			log_add(log, first + n, kept);
		}
	}
	free(order);
	return log;
}

struct dirty_log *
dirty_mark(struct dirty *d)
{
	struct dirty_log *log = d->marked ? collect(d) : NULL;

	begin(d);
	return log;
}

void
dirty_return(struct dirty *d)
{
	assert(d->marked);
	unprotect(d);
	for (u32 i = 0; i < d->count; i++) {
		u64 at = d->number[i] * d->piece;

		memcpy(d->ram + at, d->copies + i * d->piece, MIN(d->piece, d->size - at));
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
