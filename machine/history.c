/* Checkpoints in memory: see history.h. */
#include "machine/history.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/snapshot.h"
#include "base/stop.h"
#include "bus/input.h"
#include "bus/memory.h"
#include "cpu/vcpu.h"
#include "machine/block_host.h"
#include "machine/config.h"
#include "machine/dirty.h"
#include "machine/machine.h"

/*
 * Running again takes about as long as running did, and going back one instruction is to take a second at most: this much of the
 * processor's time lies between two checkpoints.
 */
#define INTERVAL_NS 600000000u
#define FEWEST 8 /* that are not thinned out */
/* A guest that writes to disks much faster than to RAM: this part of the limit lies between two checkpoints, too. */
#define DISKS_PART 8

struct checkpoint {
	u64 icount;
	u8 *state;
	size_t size;
	struct input_position input;
	struct dirty_log *log; /* what changed until the next one; NULL for the newest: `dirty` has it */
	u64 mark[CONFIG_DRIVES]; /* its number in the disks' journals */
};

struct history {
	struct machine *machine;
	struct dirty *dirty;
	u64 limit, size;
	struct checkpoint *checkpoint; /* ascending */
	unsigned count, room;
	u64 taken; /* processor time */
	u64 disks; /* disks_size() then */
};

static u64
processor_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

static void
visit(void *opaque, struct state *s)
{
	machine_state(opaque, s);
}

static u64
size_of(const struct checkpoint *c)
{
	return c->size + sizeof(*c) + (c->log ? dirty_log_size(c->log) : 0);
}

/* What is written to a drive is kept for going back; NULL: is not. */
static struct block_overlay *
journal_of(const struct history *h, unsigned drive)
{
	return h->machine->drive[drive] ? block_host_overlay(h->machine->drive[drive]) : NULL;
}

/* Of all journals of disks. They are no part of `size`: they grow while the machine runs. */
static u64
disks_size(const struct history *h)
{
	u64 size = 0;

	for (unsigned i = 0; i < CONFIG_DRIVES; i++)
		size += journal_of(h, i) ? block_overlay_journal_size(journal_of(h, i)) : 0;
	return size;
}

/* Here the time for the next one begins. */
static void
begin_interval(struct history *h)
{
	h->taken = processor_time();
	h->disks = disks_size(h);
}

/* Frees what checkpoint `i` has; its log is no longer of use. */
static void
forget(struct history *h, unsigned i)
{
	struct checkpoint *c = &h->checkpoint[i];

	h->size -= size_of(c);
	free(c->state);
	dirty_log_free(c->log);
	memmove(c, c + 1, (h->count - i - 1) * sizeof(*c));
	h->count--;
}

static void
forget_oldest(struct history *h)
{
	for (unsigned i = 0; i < CONFIG_DRIVES; i++)
		if (journal_of(h, i))
			block_overlay_forget(journal_of(h, i), h->count > 1 ? h->checkpoint[1].mark[i] : UINT64_MAX);
	forget(h, 0);
}

/* Checkpoint `i` goes, and the one before reaches to the one after. */
static void
thin(struct history *h, unsigned i)
{
	struct checkpoint *c = &h->checkpoint[i], *before = c - 1;

	h->size -= size_of(before) + size_of(c);
	before->log = dirty_log_merge(before->log, c->log);
	c->log = NULL;
	h->size += size_of(before) + size_of(c);
	for (unsigned drive = 0; drive < CONFIG_DRIVES; drive++)
		if (journal_of(h, drive))
			block_overlay_merge(journal_of(h, drive), before->mark[drive], c->mark[drive]);
	forget(h, i);
}

/* The one that is missed least: what its going leaves between its neighbours is the smallest part of its age. */
static unsigned
least_missed(const struct history *h)
{
	u64 now = cpus_icount(h->machine->cpus);
	double best = 0;
	unsigned found = 0;

	for (unsigned i = 1; i + 2 < h->count; i++) {
		const struct checkpoint *c = &h->checkpoint[i];
		double part = (double)(c[1].icount - c[-1].icount) / (double)(now - c->icount + 1);

		if (!found || part < best) {
			best = part;
			found = i;
		}
	}
	return found;
}

static void
keep_limit(struct history *h)
{
	while (history_size(h) + input_log_size(h->machine->input) > h->limit && h->count > FEWEST) {
		unsigned i = least_missed(h);

		if (!i)
			return;
		thin(h, i);
	}
	/* Even few may be too much. What was written to disks until now goes with all but the newest. */
	while (history_size(h) > h->limit && h->count > (disks_size(h) > h->limit ? 1 : 2))
		forget_oldest(h);
}

void
history_take(struct history *h)
{
	struct machine *machine = h->machine;
	struct dirty_log *log;
	struct checkpoint *c;

	if (h->count && h->checkpoint[h->count - 1].icount == cpus_icount(machine->cpus) &&
	    h->checkpoint[h->count - 1].input.points == input_position(machine->input).points) {
		begin_interval(h);
		return;
	}
	if (h->count == h->room) {
		h->room = h->room ? h->room * 2 : 64;
		h->checkpoint = realloc(h->checkpoint, h->room * sizeof(*h->checkpoint));
		if (!h->checkpoint)
			stop_host_error("out of memory for going back");
	}
	log = dirty_mark(h->dirty);
	if (h->count) {
		c = &h->checkpoint[h->count - 1];
		h->size -= size_of(c);
		c->log = log;
		h->size += size_of(c);
	} else {
		dirty_log_free(log);
	}
	c = &h->checkpoint[h->count++];
	*c = (struct checkpoint){.icount = cpus_icount(machine->cpus), .input = input_position(machine->input)};
	c->state = state_checkpoint(visit, machine, &c->size);
	h->size += size_of(c);
	for (unsigned i = 0; i < CONFIG_DRIVES; i++)
		if (journal_of(h, i))
			c->mark[i] = block_overlay_mark(journal_of(h, i));
	keep_limit(h);
	begin_interval(h);
}

bool
history_due(struct history *h)
{
	return processor_time() - h->taken > INTERVAL_NS || disks_size(h) > h->disks + h->limit / DISKS_PART;
}

bool
history_back(struct history *h, u64 icount)
{
	unsigned i = h->count;
	struct checkpoint *c;

	while (i > 0 && h->checkpoint[i - 1].icount >= icount)
		i--;
	if (i == 0)
		return false;
	i--;
	dirty_return(h->dirty);
	while (h->count - 1 > i) {
		c = &h->checkpoint[h->count - 2];
		dirty_return_further(h->dirty, c->log);
		h->size -= size_of(c);
		dirty_log_free(c->log);
		c->log = NULL;
		h->size += size_of(c);
		forget(h, h->count - 1);
	}
	c = &h->checkpoint[i];
	state_return(visit, h->machine, c->state, c->size);
	input_return(h->machine->input, &c->input);
	begin_interval(h);
	return true;
}

void
history_begin(struct history *h)
{
	while (h->count)
		forget_oldest(h);
	if (!input_replays(h->machine->input))
		input_forget_future(h->machine->input);
	history_take(h);
}

struct history *
history_new(struct machine *machine, u64 limit)
{
	struct history *h = calloc(1, sizeof(*h));

	if (!h)
		stop_host_error("out of memory");
	h->machine = machine;
	h->limit = limit;
	h->dirty = dirty_new(machine->memory->ram, machine->memory->ram_size, limit);
	if (!input_logs(machine->input))
		input_log(machine->input);
	history_take(h);
	return h;
}

void
history_free(struct history *h)
{
	if (!h)
		return;
	while (h->count)
		forget(h, h->count - 1);
	dirty_free(h->dirty);
	free(h->checkpoint);
	free(h);
}

static bool
may_have_written(const struct history *h, unsigned i, u64 first, u64 last)
{
	const struct memory *m = h->machine->memory;

	for (u64 page = first & PAGE_MASK; page <= last && page >= (first & PAGE_MASK); page += PAGE_SIZE) {
		s64 offset = memory_ram_offset(m, page);
		const struct dirty_log *log = h->checkpoint[i].log;

		if (offset < 0)
			return true;
		if (log ? dirty_log_written(log, (u32)((u64)offset / PAGE_SIZE)) : dirty_written(h->dirty, (u32)((u64)offset / PAGE_SIZE)))
			return true;
	}
	return false;
}

u64
history_written(const struct history *h, u64 icount, u64 first, u64 last)
{
	for (unsigned i = h->count; i-- > 0;) {
		if (h->checkpoint[i].icount >= icount || !may_have_written(h, i, first, last))
			continue;
		return i + 1 < h->count ? MIN(icount, h->checkpoint[i + 1].icount) : icount;
	}
	return 0;
}

u64
history_oldest(const struct history *h)
{
	return h->checkpoint[0].icount;
}

unsigned
history_count(const struct history *h)
{
	return h->count;
}

u64
history_size(const struct history *h)
{
	return h->size + disks_size(h);
}
