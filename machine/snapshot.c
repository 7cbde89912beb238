/* Snapshot files: see snapshot.h for the format. */
#include "machine/snapshot.h"

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

#define FORMAT 1u
#define LEVEL 1
#define MARK 0x6365736eu /* "nsec" */
#define NAME_MAX_SIZE 24
/* The checksum is folded over pieces of this size. */
#define PIECE 65536u

static const char magic[16] = "nestbox snapshot";
static const char end_name[] = "end";

struct file_head {
	char magic[16];
	u32 format, zero;
};

struct section_head {
	u32 mark, version;
	u64 size, packed; /* bytes of the section, and of the zstd frame that follows */
	u64 sum;          /* of the frame */
	char name[NAME_MAX_SIZE];
	u64 head_sum; /* of all before */
};
_Static_assert(sizeof(struct file_head) == 24 && sizeof(struct section_head) == 64, "no padding in the file");

static u64
head_sum(const struct section_head *head)
{
	return state_checksum(0, head, offsetof(struct section_head, head_sum));
}

/* ---- Saving ---- */

struct writer {
	FILE *file;
	bool open, failed;
	int error_number;
	ZSTD_CCtx *context;
	struct section_head head;
	long head_at;
	u32 sections;
	u8 piece[PIECE];
	size_t filled;
};

static void
write_bytes(struct writer *w, const void *data, size_t size)
{
	if (!w->failed && fwrite(data, 1, size, w->file) != size) {
		w->failed = true;
		w->error_number = errno;
	}
}

static void
flush_piece(struct writer *w)
{
	if (!w->filled)
		return;
	w->head.sum = state_checksum(w->head.sum, w->piece, w->filled);
	w->head.packed += w->filled;
	write_bytes(w, w->piece, w->filled);
	w->filled = 0;
}

static void
pack(struct writer *w, const void *data, size_t size, ZSTD_EndDirective directive)
{
	ZSTD_inBuffer in = {data, size, 0};
	size_t left;

	do {
		ZSTD_outBuffer out = {w->piece, PIECE, w->filled};

		left = ZSTD_compressStream2(w->context, &out, &in, directive);
		if (ZSTD_isError(left))
			stop_host_error("zstd: %s", ZSTD_getErrorName(left));
		w->filled = out.pos;
		if (w->filled == PIECE)
			flush_piece(w);
	} while (in.pos < in.size || (directive == ZSTD_e_end && left));
}

static void
end_section(struct writer *w)
{
	if (!w->open)
		return;
	pack(w, NULL, 0, ZSTD_e_end);
	flush_piece(w);
	w->head.head_sum = head_sum(&w->head);
	if (!w->failed && fseek(w->file, w->head_at, SEEK_SET) != 0)
		w->failed = true;
	write_bytes(w, &w->head, sizeof(w->head));
	if (!w->failed && fseek(w->file, 0, SEEK_END) != 0)
		w->failed = true;
	w->open = false;
}

static void
begin_section(void *opaque, const char *name, u32 version)
{
	struct writer *w = opaque;

	end_section(w);
	assert(strlen(name) < NAME_MAX_SIZE);
	w->head = (struct section_head){.mark = MARK, .version = version};
	memcpy(w->head.name, name, strlen(name));
	w->head_at = ftell(w->file);
	write_bytes(w, &w->head, sizeof(w->head));
	w->open = true;
	w->sections++;
}

static void
put(void *opaque, const void *data, size_t size)
{
	struct writer *w = opaque;

	if (w->failed)
		return;
	w->head.size += size;
	pack(w, data, size, ZSTD_e_continue);
}

static void
write_all(struct writer *w, void (*visit)(void *opaque, struct state *s), void *opaque)
{
	const struct state_store store = {.opaque = w, .section = begin_section, .put = put};
	struct file_head head = {.format = FORMAT};

	memcpy(head.magic, magic, sizeof(magic));
	write_bytes(w, &head, sizeof(head));
	state_save_to(visit, opaque, &store);
	begin_section(w, end_name, w->sections);
	end_section(w);
}

/* A new file in the same folder as `path`, named after it. */
static char *
create_beside(const char *path, char **temporary, FILE **file)
{
	struct stat status;
	int fd;

	/* Renaming over a device node would replace it. */
	if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
		return error_string("%s: not a regular file", path);
	*temporary = error_string("%s.XXXXXX", path);
	fd = mkstemp(*temporary);
	*file = fd < 0 ? NULL : fdopen(fd, "wb");
	if (!*file)
		return error_string("%s: %s", *temporary, strerror(errno));
	if (stat(path, &status) == 0) {
		fchmod(fd, status.st_mode & 07777);
	} else {
		mode_t mask = umask(0);

		umask(mask);
		fchmod(fd, 0666 & ~mask);
	}
	return NULL;
}

char *
snapshot_save(const char *path, void (*visit)(void *opaque, struct state *s), void *opaque)
{
	struct writer *w = calloc(1, sizeof(*w));
	char *temporary = NULL, *error;
	bool written = false;

	if (!w)
		stop_host_error("out of memory");
	error = create_beside(path, &temporary, &w->file);
	if (!error) {
		w->context = ZSTD_createCCtx();
		if (!w->context)
			stop_host_error("out of memory");
		ZSTD_CCtx_setParameter(w->context, ZSTD_c_compressionLevel, LEVEL);
		write_all(w, visit, opaque);
		ZSTD_freeCCtx(w->context);
		/* On the disk before the name changes: after a power failure, too, one of the two is there. */
		written = !w->failed && fflush(w->file) == 0 && fsync(fileno(w->file)) == 0;
		if (!written)
			w->error_number = w->error_number ? w->error_number : errno;
		if (fclose(w->file) != 0)
			written = false;
		if (written && rename(temporary, path) != 0) {
			w->error_number = errno;
			written = false;
		}
		if (!written) {
			unlink(temporary);
			error = error_string("%s: %s", path, strerror(w->error_number));
		}
	}
	free(temporary);
	free(w);
	return error;
}

/* ---- Loading ---- */

struct reader {
	const u8 *data;
	size_t size, at; /* `at`: the next section's head */
	u32 number;
	struct section_head head;
	u64 left; /* bytes of the section not yet given */
	ZSTD_DCtx *context;
	ZSTD_inBuffer in;
};

static u64
frame_sum(const u8 *data, u64 size)
{
	u64 sum = 0;

	for (u64 at = 0; at < size; at += PIECE)
		sum = state_checksum(sum, data + at, MIN(size - at, (u64)PIECE));
	return sum;
}

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
check(const u8 *data, size_t size)
{
	struct file_head file;
	struct section_head head = {.name = "head of the file"};
	size_t at = sizeof(file);

	if (size < sizeof(file))
		return error_string("ends in the head of the file");
	memcpy(&file, data, sizeof(file));
	if (memcmp(file.magic, magic, sizeof(magic)) != 0)
		return error_string("not a snapshot of nestbox");
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
		if (frame_sum(data + at, head.packed) != head.sum)
			return error_string("section %u '%s' is damaged", number, head.name);
		at += head.packed;
		if (strcmp(head.name, end_name) != 0)
			continue;
		if (head.version != number)
			return error_string("section '%s': %u sections instead of %u", end_name, number, head.version);
		return at == size ? NULL : error_string("%zu bytes behind section '%s'", size - at, end_name);
	}
}

static char *
finish_section(struct reader *r)
{
	return r->left ? error_string("section '%s' has %llu bytes too many", r->head.name, (unsigned long long)r->left)
		       : NULL;
}

static char *
open_section(void *opaque, const char *name, u32 version)
{
	struct reader *r = opaque;
	char *error = finish_section(r);

	if (error)
		return error;
	memcpy(&r->head, r->data + r->at, sizeof(r->head));
	if (strcmp(r->head.name, name) != 0)
		return error_string("section %u is '%s', where this machine has '%s'", r->number, r->head.name, name);
	if (r->head.version != version)
		return error_string("section '%s' has version %u, this nestbox reads %u", name, r->head.version, version);
	r->at += sizeof(r->head);
	r->in = (ZSTD_inBuffer){r->data + r->at, r->head.packed, 0};
	r->at += r->head.packed;
	r->left = r->head.size;
	r->number++;
	ZSTD_DCtx_reset(r->context, ZSTD_reset_session_only);
	return NULL;
}

static char *
get(void *opaque, void *data, size_t size)
{
	struct reader *r = opaque;
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

static char *
load_checked(struct reader *r, void (*visit)(void *opaque, struct state *s), void *opaque)
{
	const struct state_store store = {.opaque = r, .open = open_section, .get = get};
	char *error, *reason;

	r->context = ZSTD_createDCtx();
	if (!r->context)
		stop_host_error("out of memory");
	error = state_load_from(visit, opaque, &store);
	if (error && !strstr(error, "section '")) {
		reason = error;
		error = error_string("section '%s': %s", r->head.name, reason);
		free(reason);
	}
	if (!error)
		error = open_section(r, end_name, r->number);
	ZSTD_freeDCtx(r->context);
	return error;
}

char *
snapshot_load(const char *path, void (*visit)(void *opaque, struct state *s), void *opaque)
{
	struct reader r = {.at = sizeof(struct file_head)};
	char *reason = NULL, *error;
	struct stat status;
	void *data = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

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
	if (!reason) {
		r.data = data;
		r.size = (size_t)status.st_size;
		reason = check(r.data, r.size);
	}
	if (!reason)
		reason = load_checked(&r, visit, opaque);
	if (data)
		munmap(data, (size_t)status.st_size);
	if (fd >= 0)
		close(fd);
	if (!reason)
		return NULL;
	error = error_string("%s: %s", path, reason);
	free(reason);
	return error;
}
