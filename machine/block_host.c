/*
 * A drive on the host: its layers, its messages, its counters.
 *
 * One message per drive: a guest may try again for ever. What the guest is told about writes and flushes is what happened
 * to them.
 */
#include "machine/block_host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/stop.h"
#include "machine/block_layers.h"

#define CD_SECTOR 2048u

struct block_host {
	struct block block;
	struct block *lower; /* the layer below */
	struct block_raw *raw;
	struct block_nbd *nbd;
	struct block_overlay *overlay;
	char *path;
	const char *format;
	bool guessed;  /* nobody said that it is raw */
	bool reported;
	struct block_statistics statistics;
};

static int
outcome(struct block_host *h, const char *what, int error)
{
	if (!error)
		return 0;
	h->statistics.errors++;
	if (!h->reported)
		fprintf(stderr, "nestbox: %s: %s: %s (the guest is told)\n", h->path, what, strerror(error));
	h->reported = true;
	return error;
}

static int
block_read(void *host, u64 sector, u32 count, u8 *buffer)
{
	struct block_host *h = host;

	h->statistics.reads++;
	h->statistics.bytes_read += (u64)count * BLOCK_SECTOR;
	return outcome(h, "cannot read", h->lower->read(h->lower->host, sector, count, buffer));
}

/*
 * An image whose format was guessed stays what it is: a guest that writes the head of another format into it would have
 * any file of the host as its disk the next time.
 */
static bool
changes_format(const struct block_host *h, u64 sector, u32 count, const u8 *buffer)
{
	return h->guessed && sector == 0 && count && !h->overlay && strcmp(block_format_probe(buffer), "raw") != 0;
}

static int
block_write(void *host, u64 sector, u32 count, const u8 *buffer)
{
	struct block_host *h = host;

	h->statistics.writes++;
	h->statistics.bytes_written += (u64)count * BLOCK_SECTOR;
	if (changes_format(h, sector, count, buffer))
		return outcome(h, "would become an image of another format; give format=raw to allow it", EPERM);
	return outcome(h, "cannot write", h->lower->write(h->lower->host, sector, count, buffer));
}

static int
block_flush(void *host)
{
	struct block_host *h = host;

	h->statistics.flushes++;
	return outcome(h, "cannot flush", h->block.read_only ? 0 : h->lower->flush(h->lower->host));
}

/* The format that the image itself claims. */
static char *
probe(const char *path, const char **format)
{
	u8 head[BLOCK_SECTOR] = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), error = 0;

	if (fd < 0)
		return error_string("%s: %s", path, strerror(errno));
	/* Shorter ones are raw, and too short, which block_raw.c says. */
	if (pread(fd, head, sizeof(head), 0) < 0 && errno != EISDIR && errno != ESPIPE)
		error = errno;
	close(fd);
	*format = block_format_probe(head);
	return error ? error_string("%s: %s", path, strerror(error)) : NULL;
}

static char *
open_layers(struct block_host *h, const struct block_host_options *options)
{
	bool writes = !options->cdrom && !options->snapshot;
	char *error = NULL;

	h->format = options->format;
	if (block_nbd_is_uri(h->path)) {
		h->format = "nbd";
	} else if (!h->format) {
		error = probe(h->path, &h->format);
		h->guessed = true;
	}
	if (error)
		return error;
	if (!strcmp(h->format, "raw")) {
		error = block_raw_open(h->path, writes, options->cdrom ? CD_SECTOR : BLOCK_SECTOR, &h->raw);
		h->lower = h->raw ? block_raw_block(h->raw) : NULL;
	} else {
		error = block_nbd_open(h->path, h->format, writes, &h->nbd);
		h->lower = h->nbd ? block_nbd_block(h->nbd) : NULL;
	}
	if (!error && options->snapshot && !options->cdrom) {
		error = block_overlay_open(h->lower, h->path, &h->overlay);
		h->lower = h->overlay ? block_overlay_block(h->overlay) : h->lower;
	}
	if (error)
		return error;
	h->block.sectors = h->lower->sectors;
	h->block.read_only = options->cdrom;
	return NULL;
}

char *
block_host_new(const struct block_host_options *options, struct block_host **out)
{
	struct block_host *h = calloc(1, sizeof(*h));
	char *error;

	if (!h)
		stop_host_error("out of memory");
	h->block = (struct block){.read = block_read, .write = block_write, .flush = block_flush, .host = h};
	h->path = error_string("%s", options->path);
	error = open_layers(h, options);
	*out = h;
	if (error) {
		h->lower = NULL;
		block_host_free(h);
		*out = NULL;
	}
	return error;
}

void
block_host_free(struct block_host *h)
{
	if (!h)
		return;
	if (h->lower && !h->block.read_only)
		outcome(h, "cannot flush", h->lower->flush(h->lower->host));
	block_overlay_close(h->overlay);
	block_nbd_close(h->nbd);
	block_raw_close(h->raw);
	free(h->path);
	free(h);
}

struct block *
block_host_block(struct block_host *h)
{
	return h ? &h->block : NULL;
}

struct block_overlay *
block_host_overlay(struct block_host *h)
{
	return h->overlay;
}

const char *
block_host_path(const struct block_host *h)
{
	return h->path;
}

const char *
block_host_format(const struct block_host *h)
{
	return h->format;
}

const struct block_statistics *
block_host_statistics(const struct block_host *h)
{
	return &h->statistics;
}
