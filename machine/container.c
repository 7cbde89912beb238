/* Files of sections: see container.h for the format. */
#define _GNU_SOURCE
#include "machine/container.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/snapshot.h"
#include "base/stop.h"
#include "machine/packer.h"

#define FORMAT 1u
#define MARK 0x6365736eu /* "nsec" */
#define NAME_MAX_SIZE 24

static const char end_name[] = "end";

struct file_head {
	char magic[CONTAINER_MAGIC];
	u32 format, zero;
};

struct section_head {
	u32 mark, version;
	u64 size, packed; /* bytes of the section, and of the zstd frames that follow */
	u64 sum;          /* of the frames */
	char name[NAME_MAX_SIZE];
	u64 head_sum; /* of all before */
};
_Static_assert(sizeof(struct file_head) == 24 && sizeof(struct section_head) == 64, "no padding in the file");

static u64
head_sum(const struct section_head *head)
{
	return state_checksum(0, head, offsetof(struct section_head, head_sum));
}

/* ---- Writing ---- */

struct container_writer {
	struct state_store store;
	char *path, *temporary; /* temporary: NULL while the file has no name */
	int fd;
	bool open;
	struct packer *packer;
	struct section_head head;
	u64 head_at;
	u32 sections;
};

static void
end_section(struct container_writer *w)
{
	if (!w->open)
		return;
	packer_end(w->packer, &w->head.packed, &w->head.sum);
	w->head.head_sum = head_sum(&w->head);
	packer_patch(w->packer, &w->head, sizeof(w->head), w->head_at);
	w->open = false;
}

void
container_section(struct container_writer *w, const char *name, u32 version)
{
	end_section(w);
	assert(strlen(name) < NAME_MAX_SIZE);
	w->head = (struct section_head){.mark = MARK, .version = version};
	memcpy(w->head.name, name, strlen(name));
	w->head_at = packer_at(w->packer);
	packer_plain(w->packer, &w->head, sizeof(w->head));
	w->open = true;
	w->sections++;
}

void
container_put(struct container_writer *w, const void *data, size_t size)
{
	w->head.size += size;
	packer_put(w->packer, data, size);
}

static void
store_section(void *opaque, const char *name, u32 version)
{
	container_section(opaque, name, version);
}

static void
store_put(void *opaque, const void *data, size_t size)
{
	container_put(opaque, data, size);
}

const struct state_store *
container_store(struct container_writer *w)
{
	return &w->store;
}

/* A file in the folder of `path`: without a name if the file system can (nothing is left over by a crash), else with one. */
static char *
create_beside(struct container_writer *w)
{
	const char *slash = strrchr(w->path, '/');
	char *folder = slash ? error_string("%.*s", (int)(slash - w->path) + 1, w->path) : error_string(".");
	struct stat status;

	/* Renaming over a device node would replace it. */
	if (stat(w->path, &status) == 0 && !S_ISREG(status.st_mode)) {
		free(folder);
		return error_string("%s: not a regular file", w->path);
	}
	w->fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
	free(folder);
	if (w->fd < 0) {
		mode_t mask = umask(0);

		umask(mask);
		w->temporary = error_string("%s.XXXXXX", w->path);
		w->fd = mkostemp(w->temporary, O_CLOEXEC);
		if (w->fd < 0)
			return error_string("%s: %s", w->temporary, strerror(errno));
		fchmod(w->fd, 0666 & ~mask);
	}
	if (stat(w->path, &status) == 0)
		fchmod(w->fd, status.st_mode & 07777);
	return NULL;
}

static void
free_writer(struct container_writer *w)
{
	if (w->packer)
		packer_free(w->packer);
	if (w->fd >= 0)
		close(w->fd);
	free(w->temporary);
	free(w->path);
	free(w);
}

char *
container_create(const char *path, const char *magic, struct container_writer **out)
{
	struct container_writer *w = calloc(1, sizeof(*w));
	struct file_head head = {.format = FORMAT};
	char *error;

	*out = NULL;
	if (!w)
		stop_host_error("out of memory");
	w->store = (struct state_store){.opaque = w, .section = store_section, .put = store_put};
	w->path = error_string("%s", path);
	w->fd = -1;
	error = create_beside(w);
	if (error) {
		if (w->temporary && w->fd < 0) {
			free(w->temporary);
			w->temporary = NULL;
		}
		container_abandon(w);
		return error;
	}
	w->packer = packer_new(w->fd);
	memcpy(head.magic, magic, CONTAINER_MAGIC);
	packer_plain(w->packer, &head, sizeof(head));
	*out = w;
	return NULL;
}

/* Gives an unnamed file a name beside `path`. */
static bool
name_it(struct container_writer *w)
{
	char *by_number = error_string("/proc/self/fd/%d", w->fd);

	for (unsigned i = 0; !w->temporary && i < 1000; i++) {
		char *name = error_string("%s.%d.%u", w->path, (int)getpid(), i);

		if (linkat(AT_FDCWD, by_number, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0) {
			w->temporary = name;
			break;
		}
		free(name);
		if (errno != EEXIST)
			break;
	}
	free(by_number);
	return w->temporary;
}

char *
container_commit(struct container_writer *w)
{
	int error_number;

	container_section(w, end_name, w->sections);
	end_section(w);
	error_number = packer_flush(w->packer);
	/* On the disk before the name changes: after a power failure, too, one of the two is there. */
	if (!error_number && (fsync(w->fd) != 0 || !name_it(w) || rename(w->temporary, w->path) != 0))
		error_number = errno;
	if (error_number) {
		char *error = error_string("%s: %s", w->path, strerror(error_number));

		container_abandon(w);
		return error;
	}
	free_writer(w);
	return NULL;
}

void
container_abandon(struct container_writer *w)
{
	if (w->temporary)
		unlink(w->temporary);
	free_writer(w);
}

/* ---- Reading ---- */

struct container_reader {
	struct state_store store;
	char *path;
	u8 *data;
	size_t size, at; /* `at`: the next section's head */
	u32 number;
	struct section_head head;
	u64 left; /* bytes of the section not yet given */
	ZSTD_DCtx *context;
	ZSTD_inBuffer in;
	char next[NAME_MAX_SIZE];
};

/* Reads the head at `at`; `former` is the name of the section before. */
static char *
read_head(const u8 *data, size_t size, size_t at, u32 number, const char *former, struct section_head *head)
{
	if (at == size)
		return error_string("ends after section '%s'", former);
	if (size - at < sizeof(*head))
		return error_string("ends in the head of section %u, after '%s'", number, former);
	memcpy(head, data + at, sizeof(*head));
	if (head->mark != MARK || head->head_sum != head_sum(head) || head->name[NAME_MAX_SIZE - 1])
		return error_string("the head of section %u, after '%s', is damaged", number, former);
	if (head->packed > size - at - sizeof(*head))
		return error_string("ends in section %u '%s'", number, head->name);
	return NULL;
}

/* Every section, before anything is believed. */
static char *
check(const u8 *data, size_t size, const char *magic, const char *what)
{
	struct file_head file;
	struct section_head head = {.name = "head of the file"};
	size_t at = sizeof(file);

	if (size < sizeof(file))
		return error_string("ends in the head of the file");
	memcpy(&file, data, sizeof(file));
	if (memcmp(file.magic, magic, CONTAINER_MAGIC) != 0)
		return error_string("not a %s of nestbox", what);
	if (file.format != FORMAT || file.zero)
		return error_string("head of the file: format %u, this nestbox reads %u", file.format, FORMAT);
	for (u32 number = 0;; number++) {
		char former[NAME_MAX_SIZE];
		char *error;

		memcpy(former, head.name, sizeof(former));
		error = read_head(data, size, at, number, former, &head);
		if (error)
			return error;
		at += sizeof(head);
		if (packer_sum(data + at, head.packed) != head.sum)
			return error_string("section %u '%s' is damaged", number, head.name);
		at += head.packed;
		if (strcmp(head.name, end_name) != 0)
			continue;
		if (head.version != number)
			return error_string("section '%s': %u sections instead of %u", end_name, number, head.version);
		return at == size ? NULL : error_string("%zu bytes behind section '%s'", size - at, end_name);
	}
}

static void
peek_next(struct container_reader *r)
{
	struct section_head head = {.name = ""};

	if (r->size - r->at >= sizeof(head))
		memcpy(&head, r->data + r->at, sizeof(head));
	memcpy(r->next, head.name, sizeof(r->next));
}

static char *
finish_section(struct container_reader *r)
{
	return r->left ? error_string("section '%s' has %llu bytes too many", r->head.name, (unsigned long long)r->left)
		       : NULL;
}

static char *
open_section(void *opaque, const char *name, u32 version)
{
	struct container_reader *r = opaque;
	char *error = finish_section(r);

	if (error)
		return error;
	if (strcmp(r->next, name) != 0)
		return error_string("section %u is '%s', where this machine has '%s'", r->number, r->next, name);
	memcpy(&r->head, r->data + r->at, sizeof(r->head));
	if (r->head.version != version)
		return error_string("section '%s' has version %u, this nestbox reads %u", name, r->head.version, version);
	r->at += sizeof(r->head);
	r->in = (ZSTD_inBuffer){r->data + r->at, r->head.packed, 0};
	r->at += r->head.packed;
	r->left = r->head.size;
	r->number++;
	peek_next(r);
	ZSTD_DCtx_reset(r->context, ZSTD_reset_session_only);
	return NULL;
}

static char *
get(void *opaque, void *data, size_t size)
{
	struct container_reader *r = opaque;
	ZSTD_outBuffer out = {data, size, 0};

	if (size > r->left)
		return error_string("section '%s' ends too early", r->head.name);
	while (out.pos < size) {
		size_t before = out.pos, taken = r->in.pos, status = ZSTD_decompressStream(r->context, &out, &r->in);

		if (ZSTD_isError(status) || (out.pos == before && r->in.pos == taken))
			return error_string("section '%s' does not unpack", r->head.name);
	}
	r->left -= size;
	return NULL;
}

char *
container_open(const char *path, const char *magic, const char *what, struct container_reader **out)
{
	struct container_reader *r = calloc(1, sizeof(*r));
	char *reason = NULL;
	struct stat status;
	void *data = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	*out = NULL;
	if (!r || !(r->context = ZSTD_createDCtx()))
		stop_host_error("out of memory");
	r->store = (struct state_store){.opaque = r, .open = open_section, .get = get};
	r->path = error_string("%s", path);
	r->at = sizeof(struct file_head);
	if (fd < 0 || fstat(fd, &status) != 0)
		reason = error_string("%s", strerror(errno));
	else if (!S_ISREG(status.st_mode))
		reason = error_string("not a regular file");
	else if (status.st_size)
		data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED) {
		reason = error_string("%s", strerror(errno));
		data = NULL;
	}
	if (fd >= 0)
		close(fd);
	if (!reason) {
		r->data = data;
		r->size = (size_t)status.st_size;
		reason = check(r->data, r->size, magic, what);
	}
	if (reason) {
		reason = container_error(r, reason);
		container_close(r);
		return reason;
	}
	peek_next(r);
	*out = r;
	return NULL;
}

const struct state_store *
container_sections(struct container_reader *r)
{
	return &r->store;
}

u64
container_left(const struct container_reader *r)
{
	return r->left;
}

char *
container_finish(struct container_reader *r)
{
	return open_section(r, end_name, r->number);
}

char *
container_error(const struct container_reader *r, char *error)
{
	bool named = !r->number || strstr(error, "section '");
	char *whole = named ? error_string("%s: %s", r->path, error) : error_string("%s: section '%s': %s", r->path, r->head.name, error);

	free(error);
	return whole;
}

void
container_close(struct container_reader *r)
{
	if (r->data)
		munmap(r->data, r->size);
	ZSTD_freeDCtx(r->context);
	free(r->path);
	free(r);
}
