/*
 * Images in formats that others know: qemu-nbd serves them to us by the NBD protocol, through libnbd. It is started when
 * the image is opened, and ends when we close it, or go away without.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libnbd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/stop.h"
#include "machine/block_layers.h"

#define PIECE (2u << 20) /* bytes in one request: servers take at least 32 MiB */

struct block_nbd {
	struct block block;
	struct nbd_handle *nbd;
};

bool
block_nbd_is_uri(const char *path)
{
	return !strncmp(path, "nbd:", 4) || !strncmp(path, "nbds:", 5) || !strncmp(path, "nbd+", 4) || !strncmp(path, "nbds+", 5);
}

static int
last_errno(void)
{
	int error = nbd_get_errno();

	return error ? error : EIO;
}

static int
remote_read(void *host, u64 sector, u32 count, u8 *buffer)
{
	struct block_nbd *n = host;
	u64 size = (u64)count * BLOCK_SECTOR;

	for (u64 done = 0, part; done < size; done += part) {
		part = MIN(size - done, PIECE);
		if (nbd_pread(n->nbd, buffer + done, part, sector * BLOCK_SECTOR + done, 0) != 0)
			return last_errno();
	}
	return 0;
}

static int
remote_write(void *host, u64 sector, u32 count, const u8 *buffer)
{
	struct block_nbd *n = host;
	u64 size = (u64)count * BLOCK_SECTOR;

	for (u64 done = 0, part; done < size; done += part) {
		part = MIN(size - done, PIECE);
		if (nbd_pwrite(n->nbd, buffer + done, part, sector * BLOCK_SECTOR + done, 0) != 0)
			return last_errno();
	}
	return 0;
}

static int
remote_flush(void *host)
{
	struct block_nbd *n = host;

	/* A server that knows no flush says that it needs none. */
	if (nbd_can_flush(n->nbd) != 1)
		return 0;
	return nbd_flush(n->nbd, 0) == 0 ? 0 : last_errno();
}

/* What the server had to say before it gave up: its first line, without its name. NULL: nothing. */
static char *
server_message(int fd)
{
	char text[1024], *start = text, *end;
	ssize_t size = pread(fd, text, sizeof(text) - 1, 0);

	if (size <= 0)
		return NULL;
	text[size] = 0;
	text[strcspn(text, "\n")] = 0;
	if (!strncmp(text, "qemu-nbd: ", 10))
		start += 10;
	/* "Failed to blk_new_open 'FILE': what is wrong" */
	end = strstr(start, "': ");
	if (!strncmp(start, "Failed to ", 10) && end)
		start = end + 3;
	return *start ? error_string("%s", start) : NULL;
}

/*
 * The server does not belong to our terminal: Ctrl-C would end it before what it has to write. What it says on standard
 * error is ours to tell.
 */
static char *
start_server(struct block_nbd *n, const char *path, const char *format, bool writes)
{
	int fd = memfd_create("qemu-nbd", 0), high = fd < 0 ? -1 : fcntl(fd, F_DUPFD, 10);
	char *messages = error_string("/proc/self/fd/%d", high), *message, *error = NULL;
	/* A leading dash or a colon would mean something else. */
	char *file = error_string("%s%s", path[0] == '/' ? "" : "./", path);
	char *const server[] = {
		"sh", "-c", "exec setsid \"$@\" 2>\"$0\"", messages, "qemu-nbd", "-f", (char *)format, "--cache=writeback",
		writes ? "--discard=unmap" : "-r", file, NULL};

	if (nbd_connect_systemd_socket_activation(n->nbd, (char **)server) != 0) {
		message = server_message(high);
		if (message && strstr(message, "qemu-nbd: not found"))
			error = error_string("%s: a %s image; please install qemu-utils", path, format);
		else if (message && strstr(message, "lock"))
			error = error_string("%s: another process has it locked", path);
		else
			error = error_string("%s: %s image: %s", path, format, message ? message : nbd_get_error());
		free(message);
	}
	if (fd >= 0)
		close(fd);
	if (high >= 0)
		close(high);
	free(messages);
	free(file);
	return error;
}

static char *
open_remote(struct block_nbd *n, const char *path, const char *format, bool writes)
{
	s64 size;
	char *error;

	n->nbd = nbd_create();
	if (!n->nbd)
		return error_string("%s: %s", path, nbd_get_error());
	if (block_nbd_is_uri(path)) {
		if (nbd_connect_uri(n->nbd, path) != 0)
			return error_string("%s: %s", path, nbd_get_error());
	} else {
		error = start_server(n, path, format, writes);
		if (error)
			return error;
	}
	size = nbd_get_size(n->nbd);
	if (size < 0)
		return error_string("%s: %s", path, nbd_get_error());
	if (size < (s64)BLOCK_SECTOR)
		return error_string("%s: empty", path);
	if (writes && nbd_is_read_only(n->nbd) == 1)
		return error_string("%s: read only; only with snapshot=on can it be a disk", path);
	n->block.sectors = (u64)size / BLOCK_SECTOR;
	n->block.read_only = !writes;
	return NULL;
}

char *
block_nbd_open(const char *path, const char *format, bool writes, struct block_nbd **out)
{
	struct block_nbd *n = calloc(1, sizeof(*n));
	char *error;

	if (!n)
		stop_host_error("out of memory");
	n->block = (struct block){.read = remote_read, .write = remote_write, .flush = remote_flush, .host = n};
	error = open_remote(n, path, format, writes);
	*out = n;
	if (error) {
		block_nbd_close(n);
		*out = NULL;
	}
	return error;
}

void
block_nbd_close(struct block_nbd *n)
{
	if (!n)
		return;
	/* By then everything is flushed. The server ends with its last client; nbd_close() waits for it. */
	if (n->nbd && nbd_aio_is_ready(n->nbd))
		nbd_shutdown(n->nbd, 0);
	nbd_close(n->nbd);
	free(n);
}

struct block *
block_nbd_block(struct block_nbd *n)
{
	return &n->block;
}
