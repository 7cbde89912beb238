/*
 * What snapshot=on keeps of a guest's writes: a temporary file without a name, with the written sectors at their own
 * offsets, and a bit per sector that says where to read.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "machine/block_layers.h"

struct block_overlay {
	struct block block;
	struct block *base;
	FILE *file;
	u8 *written; /* a bit per sector */
};

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

static int
overlay_write(void *host, u64 sector, u32 count, const u8 *buffer)
{
	struct block_overlay *o = host;
	int error = block_write_all(fileno(o->file), buffer, (u64)count * BLOCK_SECTOR, sector * BLOCK_SECTOR);

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
	free(o->written);
	free(o);
}

struct block *
block_overlay_block(struct block_overlay *o)
{
	return &o->block;
}
