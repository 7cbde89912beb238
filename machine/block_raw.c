/* Raw images: a file or a host disk, byte for byte. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/stop.h"
#include "machine/block_layers.h"

struct block_raw {
	struct block block;
	int fd;
	int flush_error; /* once writing back has failed, nobody knows what of the data there is */
};

int
block_read_all(int fd, u8 *buffer, u64 size, u64 offset)
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

int
block_write_all(int fd, const u8 *buffer, u64 size, u64 offset)
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

static int
raw_read(void *host, u64 sector, u32 count, u8 *buffer)
{
	struct block_raw *raw = host;

	return block_read_all(raw->fd, buffer, (u64)count * BLOCK_SECTOR, sector * BLOCK_SECTOR);
}

static int
raw_write(void *host, u64 sector, u32 count, const u8 *buffer)
{
	struct block_raw *raw = host;

	return block_write_all(raw->fd, buffer, (u64)count * BLOCK_SECTOR, sector * BLOCK_SECTOR);
}

static int
raw_flush(void *host)
{
	struct block_raw *raw = host;

	if (!raw->flush_error && fdatasync(raw->fd) != 0)
		raw->flush_error = errno;
	return raw->flush_error;
}

static char *
open_raw(struct block_raw *raw, const char *path, bool writes, u64 unit)
{
	struct stat status;
	char *error;
	off_t size;

	raw->fd = open(path, (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (raw->fd < 0)
		return error_string("%s: %s", path, strerror(errno));
	if (fstat(raw->fd, &status) != 0 || !(S_ISREG(status.st_mode) || S_ISBLK(status.st_mode)))
		return error_string("%s: neither a file nor a disk", path);
	error = block_lock(raw->fd, path, writes);
	if (error)
		return error;
	size = lseek(raw->fd, 0, SEEK_END);
	if (size <= 0)
		return error_string("%s: empty", path);
	if ((u64)size % unit != 0)
		return error_string("%s: %lld bytes are no multiple of %llu; is it truncated?", path, (long long)size,
				    (unsigned long long)unit);
	raw->block.sectors = (u64)size / BLOCK_SECTOR;
	raw->block.read_only = !writes;
	return NULL;
}

char *
block_raw_open(const char *path, bool writes, u64 unit, struct block_raw **out)
{
	struct block_raw *raw = calloc(1, sizeof(*raw));
	char *error;

	if (!raw)
		stop_host_error("out of memory");
	raw->block = (struct block){.read = raw_read, .write = raw_write, .flush = raw_flush, .host = raw};
	error = open_raw(raw, path, writes, unit);
	*out = raw;
	if (error) {
		block_raw_close(raw);
		*out = NULL;
	}
	return error;
}

void
block_raw_close(struct block_raw *raw)
{
	if (raw && raw->fd >= 0)
		close(raw->fd);
	free(raw);
}

struct block *
block_raw_block(struct block_raw *raw)
{
	return &raw->block;
}
