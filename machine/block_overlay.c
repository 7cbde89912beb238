/*
 * What snapshot=on keeps of a guest's writes: a temporary file without a name, with the written sectors at their own
 * offsets, and a bit per sector that says where to read. A snapshot of the machine has these sectors, and says which image
 * they lie over: name, size, time of its last change, and checksum if it is not too large to be read for that.
 *
 * For going back in time there is a journal of what sectors held before the first write after a checkpoint. The guest
 * decides how much that is: machine/history.c has it forgotten with the checkpoints that it was kept for.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/snapshot.h"
#include "base/stop.h"
#include "machine/block_host.h"
#include "machine/block_layers.h"

struct block_overlay {
	struct block block;
	struct block *base;
	FILE *file;
	u8 *written; /* a bit per sector */
	char *path;  /* of the image */
	/* Of the newest checkpoint; 0: there was none, and there is no journal. */
	u64 mark;
	u8 *noted; /* a bit per sector: the journal has it since that checkpoint */
	struct undo {
		u64 sector;
		u64 mark; /* after which it was written; ascending */
		u8 *old;  /* NULL: what the image has */
	} *journal;
	u64 journal_count, journal_room, journal_old;
};

#define OLD_SIZE (BLOCK_SECTOR + 16u) /* with what malloc() adds */
#define JOURNAL_ROOM 256u

#define RUN 256u              /* sectors of a snapshot's piece */
#define SUM_LIMIT (64u << 20)  /* larger images are not read for a checksum */
#define PATH_LIMIT 4096u

static bool
is_written(const struct block_overlay *o, u64 sector)
{
	return o->written[sector / 8] & BIT(sector % 8);
}

static int
overlay_read(void *host, u64 sector, u32 count, u8 *buffer)
{
	struct block_overlay *o = host;

	while (count) {
		bool written = is_written(o, sector);
		u32 run = 1;
		int error;

		while (run < count && is_written(o, sector + run) == written)
			run++;
		error = written ? block_read_all(fileno(o->file), buffer, (u64)run * BLOCK_SECTOR, sector * BLOCK_SECTOR)
				: o->base->read(o->base->host, sector, run, buffer);
		if (error)
			return error;
		buffer += (u64)run * BLOCK_SECTOR;
		sector += run;
		count -= run;
	}
	return 0;
}

/* --- the journal --- */

static void
set_room(struct block_overlay *o, u64 room)
{
	struct undo *journal = realloc(o->journal, room * sizeof(*journal));

	if (!journal)
		stop_host_error("out of memory for going back");
	o->journal = journal;
	o->journal_room = room;
}

static void
free_old(struct block_overlay *o, struct undo *u)
{
	o->journal_old -= u->old != NULL;
	free(u->old);
}

/* Sectors of the newest mark may be noted again. */
static void
forget_noted(struct block_overlay *o)
{
	for (u64 i = o->journal_count; i-- > 0 && o->journal[i].mark == o->mark;)
		o->noted[o->journal[i].sector / 8] &= (u8)~BIT(o->journal[i].sector % 8);
}

/* Before `count` sectors are written. */
static int
note_old(struct block_overlay *o, u64 sector, u32 count)
{
	int error = 0;

	for (u64 end = sector + count; sector < end && !error; sector++) {
		struct undo u = {.sector = sector, .mark = o->mark};

		if (o->noted[sector / 8] & BIT(sector % 8))
			continue;
		if (o->journal_count == o->journal_room)
			set_room(o, MAX(o->journal_room * 2, JOURNAL_ROOM));
		if (is_written(o, sector)) {
			u.old = malloc(BLOCK_SECTOR);
			if (!u.old)
				stop_host_error("out of memory for going back");
			o->journal_old++;
			error = block_read_all(fileno(o->file), u.old, BLOCK_SECTOR, sector * BLOCK_SECTOR);
		}
		if (error) {
			free_old(o, &u);
			break;
		}
		o->journal[o->journal_count++] = u;
		o->noted[sector / 8] |= (u8)BIT(sector % 8);
	}
	return error;
}

static void
undo_to(struct block_overlay *o, u64 mark)
{
	forget_noted(o);
	while (o->journal_count && o->journal[o->journal_count - 1].mark >= mark) {
		struct undo *u = &o->journal[--o->journal_count];

		if (u->old && block_write_all(fileno(o->file), u->old, BLOCK_SECTOR, u->sector * BLOCK_SECTOR) != 0)
			stop_host_error("%s: what was written over it cannot be put back", o->path);
		if (!u->old)
			o->written[u->sector / 8] &= (u8)~BIT(u->sector % 8);
		free_old(o, u);
	}
	o->mark = mark;
}

/* The journal has got shorter. */
static void
give_room_back(struct block_overlay *o)
{
	if (o->journal_room > JOURNAL_ROOM && o->journal_count < o->journal_room / 4)
		set_room(o, MAX(o->journal_count * 2, JOURNAL_ROOM));
}

static void
checkpoint_state(struct block_overlay *o, struct state *s)
{
	u64 mark = o->mark + 1;

	if (!o->noted)
		o->noted = calloc(1, o->block.sectors / 8 + 1);
	if (!o->noted)
		stop_host_error("out of memory for going back");
	STATE(s, mark);
	if (state_mode(s) == STATE_LOAD) {
		undo_to(o, mark);
		give_room_back(o);
	} else {
		forget_noted(o);
		o->mark = mark;
	}
}

u64
block_overlay_mark(const struct block_overlay *o)
{
	return o->mark;
}

u64
block_overlay_journal_size(const struct block_overlay *o)
{
	return o->journal_room * sizeof(*o->journal) + o->journal_old * OLD_SIZE;
}

void
block_overlay_forget(struct block_overlay *o, u64 mark)
{
	u64 gone = 0;

	if (mark > o->mark)
		forget_noted(o);
	while (gone < o->journal_count && o->journal[gone].mark < mark)
		free_old(o, &o->journal[gone++]);
	o->journal_count -= gone;
	if (gone)
		memmove(o->journal, o->journal + gone, o->journal_count * sizeof(*o->journal));
	give_room_back(o);
}

void
block_overlay_merge(struct block_overlay *o, u64 before, u64 mark)
{
	u8 *has = calloc(1, o->block.sectors / 8 + 1);
	u64 kept = 0;

	if (!has)
		stop_host_error("out of memory for going back");
	for (u64 i = 0; i < o->journal_count; i++) {
		struct undo *u = &o->journal[i];

		if (u->mark == before)
			has[u->sector / 8] |= (u8)BIT(u->sector % 8);
		if (u->mark == mark) {
			u->mark = before;
			/* As it was first. */
			if (has[u->sector / 8] & BIT(u->sector % 8)) {
				free_old(o, u);
				continue;
			}
		}
		o->journal[kept++] = *u;
	}
	o->journal_count = kept;
	free(has);
	give_room_back(o);
}

/* --- sectors --- */

static int
overlay_write(void *host, u64 sector, u32 count, const u8 *buffer)
{
	struct block_overlay *o = host;
	int error = o->mark ? note_old(o, sector, count) : 0;

	if (!error)
		error = block_write_all(fileno(o->file), buffer, (u64)count * BLOCK_SECTOR, sector * BLOCK_SECTOR);

	for (u32 i = 0; !error && i < count; i++)
		o->written[(sector + i) / 8] |= (u8)BIT((sector + i) % 8);
	return error;
}

/* What is forgotten at the end need not be on any disk. */
static int
overlay_flush(void *host)
{
	(void)host;
	return 0;
}

char *
block_overlay_open(struct block *base, const char *path, struct block_overlay **out)
{
	struct block_overlay *o = calloc(1, sizeof(*o));
	char *error;

	*out = NULL;
	if (!o)
		stop_host_error("out of memory");
	o->base = base;
	o->path = error_string("%s", path);
	o->block = (struct block){.read = overlay_read, .write = overlay_write, .flush = overlay_flush, .host = o};
	o->block.sectors = base->sectors;
	o->written = calloc(1, base->sectors / 8 + 1);
	if (!o->written)
		stop_host_error("out of memory");
	o->file = tmpfile();
	if (!o->file) {
		error = error_string("%s: no temporary file for snapshot=on: %s", path, strerror(errno));
		block_overlay_close(o);
		return error;
	}
	*out = o;
	return NULL;
}

void
block_overlay_close(struct block_overlay *o)
{
	if (!o)
		return;
	if (o->file)
		fclose(o->file);
	block_overlay_forget(o, UINT64_MAX);
	free(o->written);
	free(o->noted);
	free(o->journal);
	free(o->path);
	free(o);
}

/* --- in snapshots --- */

/* What the sectors lie over. */
struct base_image {
	u64 sectors, mtime, sum; /* sum: 0 if it was not taken; mtime: nanoseconds, 0 if there is no file */
};

static u64
sum_of(struct block *base)
{
	u8 *piece = malloc(RUN * BLOCK_SECTOR);
	u64 sum = 0;

	if (!piece)
		stop_host_error("out of memory");
	for (u64 at = 0; at < base->sectors; at += RUN) {
		u32 count = (u32)MIN(base->sectors - at, RUN);

		if (base->read(base->host, at, count, piece) != 0)
			break;
		sum = state_checksum(sum, piece, (size_t)count * BLOCK_SECTOR);
	}
	free(piece);
	return sum;
}

static struct base_image
identify(const struct block_overlay *o, bool with_sum)
{
	struct base_image base = {.sectors = o->base->sectors};
	struct stat status;

	if (stat(o->path, &status) == 0)
		base.mtime = (u64)status.st_mtim.tv_sec * 1000000000u + (u64)status.st_mtim.tv_nsec;
	if (with_sum && base.sectors <= SUM_LIMIT / BLOCK_SECTOR)
		base.sum = sum_of(o->base);
	return base;
}

/* Saved: which image it was. Loaded: is it this one? */
static void
base_state(struct block_overlay *o, struct state *s)
{
	struct base_image found = identify(o, state_mode(s) == STATE_SAVE), own;
	char path[PATH_LIMIT] = "";
	u32 length = (u32)MIN(strlen(o->path), PATH_LIMIT - 1);

	memcpy(path, o->path, length);
	STATE(s, length);
	if (length >= PATH_LIMIT) {
		state_fail(s, "disk: a name that is too long");
		return;
	}
	state_bytes(s, path, length);
	path[length] = 0;
	STATE(s, found.sectors);
	STATE(s, found.mtime);
	STATE(s, found.sum);
	if (state_mode(s) != STATE_LOAD || state_failed(s))
		return;
	own = identify(o, found.sum && found.sectors == o->base->sectors);
	if (found.sectors != own.sectors || (found.sum ? found.sum != own.sum : found.mtime != own.mtime)) {
		char *reason = error_string("%s is not the image that it was saved over (%s, %llu sectors)%s", o->path, path,
					    (unsigned long long)found.sectors, found.sectors == own.sectors ? ": it has been changed since" : "");

		state_fail(s, reason);
		free(reason);
	}
}

static void
save_sectors(struct block_overlay *o, struct state *s)
{
	u64 end = UINT64_MAX;
	u8 *data = malloc(RUN * BLOCK_SECTOR);

	if (!data)
		stop_host_error("out of memory");
	for (u64 sector = 0; sector < o->block.sectors;) {
		u32 run = 0;

		if (sector % 8 == 0 && !o->written[sector / 8]) {
			sector += 8;
			continue;
		}
		while (run < RUN && sector + run < o->block.sectors && is_written(o, sector + run))
			run++;
		if (run) {
			if (block_read_all(fileno(o->file), data, (u64)run * BLOCK_SECTOR, sector * BLOCK_SECTOR) != 0)
				stop_host_error("%s: what was written over it cannot be read", o->path);
			STATE(s, sector);
			STATE(s, run);
			state_bytes(s, data, (size_t)run * BLOCK_SECTOR);
		}
		sector += MAX(run, 1u);
	}
	STATE(s, end);
	free(data);
}

static void
load_sectors(struct block_overlay *o, struct state *s)
{
	u8 *data = malloc(RUN * BLOCK_SECTOR);

	if (!data)
		stop_host_error("out of memory");
	memset(o->written, 0, o->block.sectors / 8 + 1);
	block_overlay_forget(o, UINT64_MAX);
	/* In ascending order only, which also bounds the loop. */
	for (u64 next = 0;;) {
		u64 sector;
		u32 run;

		STATE(s, sector);
		if (state_failed(s) || sector == UINT64_MAX)
			break;
		STATE(s, run);
		if (sector < next || sector >= o->block.sectors || run == 0 || run > RUN || run > o->block.sectors - sector) {
			state_fail(s, "disk: sectors that cannot be");
			break;
		}
		state_bytes(s, data, (size_t)run * BLOCK_SECTOR);
		if (!state_failed(s) && overlay_write(o, sector, run, data) != 0)
			stop_host_error("%s: no room for what was written over it", o->path);
		next = sector + run;
	}
	free(data);
}

void
block_overlay_state(struct block_overlay *o, struct state *s)
{
	if (state_is_checkpoint(s)) {
		checkpoint_state(o, s);
		return;
	}
	base_state(o, s);
	if (state_mode(s) == STATE_SAVE)
		save_sectors(o, s);
	else if (!state_failed(s))
		load_sectors(o, s);
}

struct block *
block_overlay_block(struct block_overlay *o)
{
	return &o->block;
}
