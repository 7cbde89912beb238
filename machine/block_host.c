/*
 * Raw image files and host disks. The file is locked, so that no two machines write to it. With `snapshot`, written
 * sectors go to a temporary file without a name, at the same offsets; a bit per sector says where to read.
 */
#include "machine/block_host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/stop.h"

struct block_host {
	struct block block;
	char *path;
	int fd;
	FILE *overlay; /* of a snapshot */
	u8 *written;   /* a bit per sector: in the overlay */
	bool reported; /* one message per image; a guest may try again for ever */
};

static int
fail(struct block_host *h, const char *what, int error)
{
	if (!h->reported)
		fprintf(stderr, "nestbox: %s: %s: %s (the guest is told)\n", h->path, what, strerror(error));
	h->reported = true;
	return error;
}

/* All of it, or an errno. */
static int
read_all(int fd, u8 *buffer, u64 size, u64 offset)
{
	while (size) {
		ssize_t got = pread(fd, buffer, size, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? errno : EIO; /* shorter than when it was opened */
		buffer += got;
		offset += (u64)got;
		size -= (u64)got;
	}
	return 0;
}

static int
write_all(int fd, const u8 *buffer, u64 size, u64 offset)
{
	while (size) {
		ssize_t put = pwrite(fd, buffer, size, (off_t)offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put < 0 ? errno : EIO;
		buffer += put;
		offset += (u64)put;
		size -= (u64)put;
	}
	return 0;
}

static bool
in_overlay(const struct block_host *h, u64 sector)
{
	return h->written && h->written[sector / 8] & BIT(sector % 8);
}

static int
block_read(void *host, u64 sector, u32 count, u8 *buffer)
{
	struct block_host *h = host;

	while (count) {
		bool overlay = in_overlay(h, sector);
		u32 run = 1;
		int error;

		while (run < count && in_overlay(h, sector + run) == overlay)
			run++;
		error = read_all(overlay ? fileno(h->overlay) : h->fd, buffer, (u64)run * BLOCK_SECTOR,
				 sector * BLOCK_SECTOR);
		if (error)
			return fail(h, "cannot read", error);
		buffer += (u64)run * BLOCK_SECTOR;
		sector += run;
		count -= run;
	}
	return 0;
}

static int
block_write(void *host, u64 sector, u32 count, const u8 *buffer)
{
	struct block_host *h = host;
	int fd = h->overlay ? fileno(h->overlay) : h->fd;
	int error = write_all(fd, buffer, (u64)count * BLOCK_SECTOR, sector * BLOCK_SECTOR);

	if (error)
		return fail(h, "cannot write", error);
	for (u32 i = 0; h->written && i < count; i++)
		h->written[(sector + i) / 8] |= (u8)BIT((sector + i) % 8);
	return 0;
}

static int
block_flush(void *host)
{
	struct block_host *h = host;

	if (h->block.read_only || h->overlay)
		return 0;
	return fdatasync(h->fd) == 0 ? 0 : fail(h, "cannot flush", errno);
}

static char *
check_format(const struct block_host *h)
{
	static const struct {
		const char *magic, *name;
	} formats[] = {{"QFI\xfb", "qcow2"}, {"KDMV", "VMDK"}, {"vhdxfile", "VHDX"}, {"<<< ", "VDI"}};
	u8 head[BLOCK_SECTOR];

	if (read_all(h->fd, head, sizeof(head), 0) != 0)
		return error_string("%s: cannot be read", h->path);
	for (unsigned i = 0; i < COUNT(formats); i++)
		if (!memcmp(head, formats[i].magic, strlen(formats[i].magic)))
			return error_string("%s: a %s image; only raw images are there yet", h->path, formats[i].name);
	return NULL;
}

static char *
open_overlay(struct block_host *h)
{
	h->overlay = tmpfile();
	if (!h->overlay)
		return error_string("%s: no temporary file for snapshot=on: %s", h->path, strerror(errno));
	h->written = calloc(1, h->block.sectors / 8 + 1);
	return h->written ? NULL : error_string("out of memory");
}

static char *
open_image(struct block_host *h, const struct block_host_options *options)
{
	bool writes = !options->read_only && !options->snapshot;
	u64 unit = options->read_only ? 2048 : BLOCK_SECTOR;
	struct stat status;
	off_t size;
	char *error;

	h->fd = open(h->path, (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (h->fd < 0)
		return error_string("%s: %s", h->path, strerror(errno));
	if (fstat(h->fd, &status) != 0 || !(S_ISREG(status.st_mode) || S_ISBLK(status.st_mode)))
		return error_string("%s: neither a file nor a disk", h->path);
	if (flock(h->fd, (writes ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0 && errno == EWOULDBLOCK)
		return error_string("%s: another process has it locked", h->path);
	size = lseek(h->fd, 0, SEEK_END);
	if (size <= 0)
		return error_string("%s: empty", h->path);
	if ((u64)size % unit != 0)
		return error_string("%s: %lld bytes are no multiple of %llu; is it truncated?", h->path, (long long)size,
				    (unsigned long long)unit);
	h->block.sectors = (u64)size / BLOCK_SECTOR;
	h->block.read_only = options->read_only;
	error = check_format(h);
	return !error && options->snapshot ? open_overlay(h) : error;
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
	h->fd = -1;
	error = open_image(h, options);
	*out = NULL;
	if (error)
		block_host_free(h);
	else
		*out = h;
	return error;
}

void
block_host_free(struct block_host *h)
{
	if (!h)
		return;
	if (h->fd >= 0) {
		block_flush(h);
		close(h->fd);
	}
	if (h->overlay)
		fclose(h->overlay);
	free(h->written);
	free(h->path);
	free(h);
}

struct block *
block_host_block(struct block_host *h)
{
	return h ? &h->block : NULL;
}
