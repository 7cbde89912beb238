/* Packing and writing: see packer.h. */
#define _GNU_SOURCE
#include "machine/packer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/snapshot.h"
#include "base/stop.h"

/* Memory that does not pack costs little at this level, and text still shrinks to a tenth. */
#define LEVEL (-3)
#define CHUNK ((size_t)1 << 20)
#define SLOTS 8u
#define WORKERS 4u
/* Is written at once; a multiple of what any disk wants O_DIRECT to be aligned to. */
#define GATHER ((size_t)2 << 20)
#define ALIGNMENT 4096u
/* The checksum is folded over pieces of this size. */
#define PIECE 65536u

/* Chunks go round: filled, packed, written. */
enum slot_state { SLOT_FREE, SLOT_FULL, SLOT_TAKEN, SLOT_PACKED };

struct slot {
	enum slot_state state;
	u8 *in, *out;
	size_t size, packed;
};

struct packer {
	int fd, direct; /* direct: the same file with O_DIRECT, or -1 */
	_Atomic int error_number; /* the first; set by whoever writes */
	u8 *gather;
	u64 base; /* where the gathered bytes go: a multiple of GATHER */
	size_t gathered;
	/* Of the bytes since packer_end(). */
	u64 packed, sum;
	u8 piece[PIECE];
	size_t in_piece;
	struct slot slot[SLOTS];
	unsigned fill, take, write; /* the slots whose turn it is */
	ZSTD_CCtx *context; /* of chunks that are packed without threads */
	bool some, tried, threads, leave; /* some: chunks since packer_end() */
	unsigned workers;
	pthread_t worker[WORKERS], writer;
	pthread_mutex_t lock; /* slot[].state, take, write, leave */
	pthread_cond_t changed;
};

/* --- the file --- */

static void
write_at(struct packer *p, int fd, const u8 *from, size_t size, u64 at)
{
	while (size && !p->error_number) {
		ssize_t done = pwrite(fd, from, size, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		/* A file system that took the flag may still not take the write; and short writes leave the alignment. */
		if (fd == p->direct && fd >= 0 && (done < 0 || (size_t)done % ALIGNMENT)) {
			close(p->direct);
			p->direct = -1;
			fd = p->fd;
			if (done < 0)
				continue;
		}
		if (done <= 0) {
			p->error_number = done < 0 ? errno : EIO;
			return;
		}
		from += done;
		at += (u64)done;
		size -= (size_t)done;
	}
}

static void
append(struct packer *p, const u8 *data, size_t size)
{
	while (size) {
		size_t part = MIN(size, GATHER - p->gathered);

		memcpy(p->gather + p->gathered, data, part);
		p->gathered += part;
		data += part;
		size -= part;
		if (p->gathered == GATHER) {
			write_at(p, p->direct >= 0 ? p->direct : p->fd, p->gather, GATHER, p->base);
			p->base += GATHER;
			p->gathered = 0;
		}
	}
}

u64
packer_at(const struct packer *p)
{
	return p->base + p->gathered;
}

void
packer_plain(struct packer *p, const void *data, size_t size)
{
	append(p, data, size);
}

void
packer_patch(struct packer *p, const void *data, size_t size, u64 at)
{
	const u8 *from = data;
	size_t before = at < p->base ? (size_t)MIN(size, p->base - at) : 0;

	write_at(p, p->fd, from, before, at);
	if (before < size)
		memcpy(p->gather + (at + before - p->base), from + before, size - before);
}

/* --- packing --- */

u64
packer_sum(const u8 *data, u64 size)
{
	u64 sum = 0;

	for (u64 at = 0; at < size; at += PIECE)
		sum = state_checksum(sum, data + at, MIN(size - at, (u64)PIECE));
	return sum;
}

static void
pack(struct slot *slot, ZSTD_CCtx *context)
{
	slot->packed = ZSTD_compressCCtx(context, slot->out, ZSTD_compressBound(CHUNK), slot->in, slot->size, LEVEL);
	if (ZSTD_isError(slot->packed))
		stop_host_error("zstd: %s", ZSTD_getErrorName(slot->packed));
}

static void
write_packed(struct packer *p, const struct slot *slot)
{
	const u8 *from = slot->out;
	size_t left = slot->packed;

	append(p, from, left);
	p->packed += left;
	while (left) {
		size_t part = MIN(left, PIECE - p->in_piece);

		/* Whole pieces from where they are. */
		if (part < PIECE)
			memcpy(p->piece + p->in_piece, from, part);
		p->in_piece += part;
		if (p->in_piece == PIECE) {
			p->sum = state_checksum(p->sum, part == PIECE ? from : p->piece, PIECE);
			p->in_piece = 0;
		}
		from += part;
		left -= part;
	}
}

static struct slot *
slot_of(struct packer *p, unsigned turn)
{
	return &p->slot[turn % SLOTS];
}

static void
need_slot(struct slot *slot)
{
	if (slot->in)
		return;
	slot->in = malloc(CHUNK);
	slot->out = malloc(ZSTD_compressBound(CHUNK));
	if (!slot->in || !slot->out)
		stop_host_error("out of memory for packing");
}

static ZSTD_CCtx *
new_context(void)
{
	ZSTD_CCtx *context = ZSTD_createCCtx();

	if (!context)
		stop_host_error("out of memory for packing");
	return context;
}

/* --- threads --- */

static void
set_state(struct packer *p, struct slot *slot, enum slot_state state)
{
	slot->state = state;
	pthread_cond_broadcast(&p->changed);
}

static void *
work(void *opaque)
{
	struct packer *p = opaque;
	ZSTD_CCtx *context = new_context();

	pthread_mutex_lock(&p->lock);
	while (!p->leave) {
		struct slot *slot = slot_of(p, p->take);

		if (slot->state != SLOT_FULL) {
			pthread_cond_wait(&p->changed, &p->lock);
			continue;
		}
		p->take++;
		slot->state = SLOT_TAKEN;
		pthread_mutex_unlock(&p->lock);
		pack(slot, context);
		pthread_mutex_lock(&p->lock);
		set_state(p, slot, SLOT_PACKED);
	}
	pthread_mutex_unlock(&p->lock);
	ZSTD_freeCCtx(context);
	return NULL;
}

static void *
write_out(void *opaque)
{
	struct packer *p = opaque;

	pthread_mutex_lock(&p->lock);
	while (!p->leave) {
		struct slot *slot = slot_of(p, p->write);

		if (slot->state != SLOT_PACKED) {
			pthread_cond_wait(&p->changed, &p->lock);
			continue;
		}
		pthread_mutex_unlock(&p->lock);
		write_packed(p, slot);
		pthread_mutex_lock(&p->lock);
		p->write++;
		set_state(p, slot, SLOT_FREE);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void
end_threads(struct packer *p)
{
	if (!p->workers)
		return;
	pthread_mutex_lock(&p->lock);
	p->leave = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->workers; i++)
		pthread_join(p->worker[i], NULL);
	if (p->threads)
		pthread_join(p->writer, NULL);
	p->workers = 0;
	p->threads = p->leave = false;
}

/* A host that has no threads for us: then it goes without. */
static void
begin_threads(struct packer *p)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned wanted = processors < 2 ? 1 : processors > (long)WORKERS ? WORKERS : (unsigned)processors;
	sigset_t all, former;

	p->tried = true;
	/* Signals are for the thread that runs the machine. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &former);
	while (p->workers < wanted && pthread_create(&p->worker[p->workers], NULL, work, p) == 0)
		p->workers++;
	p->threads = p->workers && pthread_create(&p->writer, NULL, write_out, p) == 0;
	pthread_sigmask(SIG_SETMASK, &former, NULL);
	if (!p->threads)
		end_threads(p);
}

static void
wait_for_free(struct packer *p, struct slot *slot)
{
	pthread_mutex_lock(&p->lock);
	while (slot->state != SLOT_FREE)
		pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

/* --- chunks --- */

/* The slot that is being filled has what it gets. */
static void
chunk_is_full(struct packer *p)
{
	struct slot *slot = slot_of(p, p->fill);

	p->some = true;
	if (!p->tried && slot->size == CHUNK)
		begin_threads(p);
	if (!p->threads) {
		if (!p->context)
			p->context = new_context();
		pack(slot, p->context);
		write_packed(p, slot);
		slot->size = 0;
		return;
	}
	pthread_mutex_lock(&p->lock);
	set_state(p, slot, SLOT_FULL);
	pthread_mutex_unlock(&p->lock);
	slot = slot_of(p, ++p->fill);
	wait_for_free(p, slot);
	slot->size = 0;
}

void
packer_put(struct packer *p, const void *data, size_t size)
{
	const u8 *from = data;

	while (size && !p->error_number) {
		struct slot *slot = slot_of(p, p->fill);
		size_t part = MIN(size, CHUNK - slot->size);

		need_slot(slot);
		memcpy(slot->in + slot->size, from, part);
		slot->size += part;
		from += part;
		size -= part;
		if (slot->size == CHUNK)
			chunk_is_full(p);
	}
}

void
packer_end(struct packer *p, u64 *packed, u64 *sum)
{
	/* Nothing is a frame too. */
	need_slot(slot_of(p, p->fill));
	if (slot_of(p, p->fill)->size || !p->some)
		chunk_is_full(p);
	p->some = false;
	/* All before the one to be filled next. */
	if (p->threads)
		for (unsigned i = 0; i < SLOTS; i++)
			wait_for_free(p, &p->slot[i]);
	if (p->in_piece)
		p->sum = state_checksum(p->sum, p->piece, p->in_piece);
	*packed = p->packed;
	*sum = p->sum;
	p->packed = p->sum = 0;
	p->in_piece = 0;
}

int
packer_flush(struct packer *p)
{
	write_at(p, p->fd, p->gather, p->gathered, p->base);
	return p->error_number;
}

struct packer *
packer_new(int fd)
{
	struct packer *p = calloc(1, sizeof(*p));
	void *gather = NULL;
	char *by_number;

	if (!p || posix_memalign(&gather, ALIGNMENT, GATHER) != 0)
		stop_host_error("out of memory for packing");
	p->gather = gather;
	p->fd = fd;
	by_number = error_string("/proc/self/fd/%d", fd);
	p->direct = open(by_number, O_WRONLY | O_DIRECT | O_CLOEXEC);
	free(by_number);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	return p;
}

void
packer_free(struct packer *p)
{
	/* What is under way is written first: threads leave between two chunks. */
	end_threads(p);
	for (unsigned i = 0; i < SLOTS; i++) {
		free(p->slot[i].in);
		free(p->slot[i].out);
	}
	ZSTD_freeCCtx(p->context);
	if (p->direct >= 0)
		close(p->direct);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->changed);
	free(p->gather);
	free(p);
}
