/*
 * Virtio disk.
 *
 * Source: Virtual I/O Device (VIRTIO) 1.2, "Block Device".
 * One request is in execution at a time; it takes a fixed time and a time per sector, then its data are moved and it is
 * done.
 * Not modelled: multiqueue, discard, write zeroes, a write cache that the driver can switch, zones.
 */
#include "devices/virtio_blk.h"

#include <stdlib.h>
#include <string.h>

#include "base/events.h"
#include "base/log.h"
#include "base/snapshot.h"
#include "bus/block.h"

LOG_CATEGORY("virtio-blk");

#define F_SEG_MAX BIT(2)
#define F_RO BIT(5)
#define F_BLK_SIZE BIT(6)
#define F_FLUSH BIT(9)
#define F_TOPOLOGY BIT(10)

/* Device configuration */
#define CONFIG_CAPACITY 0
#define CONFIG_SEG_MAX 12
#define CONFIG_BLK_SIZE 20
#define CONFIG_SIZE 36

#define REQUEST_HEADER 16u
#define TYPE_IN 0
#define TYPE_OUT 1
#define TYPE_FLUSH 4
#define TYPE_GET_ID 8
#define ID_SIZE 20u

#define STATUS_OK 0
#define STATUS_IOERR 1
#define STATUS_UNSUPP 2

#define QUEUE 0
#define QUEUE_SIZE 256
#define PIECE 65536u
#define REQUEST_MAX (64u << 20) /* bytes; drivers that we know stay below 2 MiB */

#define COMMAND_NS 20000u
#define SECTOR_NS 1000u

struct virtio_blk {
	struct virtio virtio;
	struct events *events;
	struct block *block;
	char serial[ID_SIZE + 1];
	struct event done; /* armed: request `head` is in execution */
	u16 head;
	struct virtio_blk_counters counters;
	/* Used within one call only. */
	struct virtqueue_chain chain;
	u8 buffer[PIECE];
};

struct request {
	u32 type;
	u64 sector;
	u64 size; /* of its data */
};

/* False: there is no room for a header or an answer. */
static bool
read_request(struct virtio_blk *b, const struct virtqueue_chain *chain, struct request *r)
{
	u8 header[REQUEST_HEADER];

	if (chain->readable_size < sizeof(header) || chain->writable_size == 0)
		return false;
	virtqueue_read(&b->virtio.queue[QUEUE], chain, 0, header, sizeof(header));
	r->type = pci_get32(header, 0);
	r->sector = pci_get32(header, 8) | (u64)pci_get32(header, 12) << 32;
	r->size = r->type == TYPE_OUT ? chain->readable_size - sizeof(header) : chain->writable_size - 1;
	return true;
}

static bool
is_transfer(const struct request *r)
{
	return r->type == TYPE_IN || r->type == TYPE_OUT;
}

/* ---- Execution ---- */

static bool
transfer(struct virtio_blk *b, const struct request *r)
{
	struct virtqueue *q = &b->virtio.queue[QUEUE];
	struct block *block = b->block;
	u64 sectors = r->size / BLOCK_SECTOR;

	if (r->size % BLOCK_SECTOR || r->size > REQUEST_MAX || sectors > block->sectors ||
	    r->sector > block->sectors - sectors || (r->type == TYPE_OUT && block->read_only)) {
		b->counters.bad++;
		return false;
	}
	for (u64 at = 0, part; at < r->size; at += part) {
		u64 sector = r->sector + at / BLOCK_SECTOR;

		part = MIN(r->size - at, PIECE);
		if (r->type == TYPE_OUT) {
			virtqueue_read(q, &b->chain, REQUEST_HEADER + at, b->buffer, part);
			if (block->write(block->host, sector, (u32)(part / BLOCK_SECTOR), b->buffer) != 0)
				return false;
		} else {
			if (block->read(block->host, sector, (u32)(part / BLOCK_SECTOR), b->buffer) != 0)
				return false;
			virtqueue_write(q, &b->chain, at, b->buffer, part);
		}
	}
	/* Who has not agreed on flushing cannot ask for it: what it is told is written is on the disk. */
	return r->type == TYPE_IN || virtio_has(&b->virtio, F_FLUSH) || block->flush(block->host) == 0;
}

/* *written: of the data that the driver is to get. */
static u8
execute(struct virtio_blk *b, const struct request *r, u32 *written)
{
	char id[ID_SIZE] = {0};

	*written = 0;
	switch (r->type) {
	case TYPE_IN:
	case TYPE_OUT:
		if (!transfer(b, r))
			return STATUS_IOERR;
		*written = r->type == TYPE_IN ? (u32)r->size : 0;
		return STATUS_OK;
	case TYPE_FLUSH:
		return b->block->flush(b->block->host) == 0 ? STATUS_OK : STATUS_IOERR;
	case TYPE_GET_ID:
		memcpy(id, b->serial, strlen(b->serial));
		*written = (u32)virtqueue_write(&b->virtio.queue[QUEUE], &b->chain, 0, id, MIN(r->size, ID_SIZE));
		return STATUS_OK;
	default:
		return STATUS_UNSUPP;
	}
}

static void
complete(struct virtio_blk *b)
{
	struct virtqueue *q = &b->virtio.queue[QUEUE];
	struct request r;
	u32 written;
	u8 status;

	/* The driver may have changed the chain meanwhile: it is looked at as if for the first time. */
	if (!virtqueue_walk(q, b->head, &b->chain))
		return;
	if (!read_request(b, &b->chain, &r)) {
		virtqueue_break(q);
		return;
	}
	status = execute(b, &r, &written);
	b->counters.requests++;
	b->counters.errors += status != STATUS_OK;
	/* The last byte of all. What is told as written is so from the first byte on ("The Virtqueue Used Ring"). */
	virtqueue_write(q, &b->chain, b->chain.writable_size - 1, &status, 1);
	written += written == b->chain.writable_size - 1;
	virtqueue_put(q, b->head, written, 0);
	if (virtqueue_publish(q, 1))
		virtio_interrupt(&b->virtio, QUEUE);
}

/* Takes the next request, if there is one. */
static void
begin(struct virtio_blk *b)
{
	struct virtqueue *q = &b->virtio.queue[QUEUE];
	struct request r;
	u64 ns = COMMAND_NS;

	if (!virtio_running(&b->virtio) || !virtqueue_take(q, &b->chain))
		return;
	if (!read_request(b, &b->chain, &r)) {
		log_debug("request without room for header or answer");
		b->counters.bad++;
		virtqueue_break(q);
		return;
	}
	b->head = b->chain.head;
	if (is_transfer(&r))
		ns += MIN(r.size, REQUEST_MAX) / BLOCK_SECTOR * SECTOR_NS;
	event_arm(b->events, &b->done, events_now(b->events) + events_from_ns(b->events, ns));
}

static void
done(void *opaque, u64 now)
{
	struct virtio_blk *b = opaque;

	(void)now;
	complete(b);
	begin(b);
	virtio_check(&b->virtio);
}

/* ---- The device ---- */

static void
notify(void *opaque, unsigned queue)
{
	struct virtio_blk *b = opaque;

	(void)queue;
	if (!event_armed(&b->done))
		begin(b);
}

static void
reset(void *opaque)
{
	struct virtio_blk *b = opaque;

	event_disarm(b->events, &b->done);
	b->head = 0;
}

static const struct virtio_class class = {
	.name = "virtio-blk",
	.id = 2,
	.transitional = 0x1001,
	.pci_class = 0x010000,
	.queues = 1,
	.queue_size = {QUEUE_SIZE},
	.config_size = CONFIG_SIZE,
	.notify = notify,
	.reset = reset,
};

struct virtio_blk *
virtio_blk_new(struct pci_bus *bus, unsigned devfn, struct events *events, struct block *block, const char *serial,
	       enum virtio_generation generation)
{
	struct virtio_blk *b = calloc(1, sizeof(*b));
	u8 *config;

	if (!b)
		return NULL;
	b->events = events;
	b->block = block;
	strncpy(b->serial, serial, ID_SIZE);
	event_init(&b->done, "virtio-blk", EVENT_DEVICE, done, b);
	virtio_init(&b->virtio, &class, b, generation,
		    F_SEG_MAX | F_BLK_SIZE | F_FLUSH | F_TOPOLOGY | (block->read_only ? F_RO : 0));
	config = b->virtio.config;
	pci_set32(config, CONFIG_CAPACITY, (u32)block->sectors);
	pci_set32(config, CONFIG_CAPACITY + 4, (u32)(block->sectors >> 32));
	/* Besides header and answer. */
	pci_set32(config, CONFIG_SEG_MAX, QUEUE_SIZE - 2);
	pci_set32(config, CONFIG_BLK_SIZE, BLOCK_SECTOR);
	virtio_plug(&b->virtio, bus, devfn);
	return b;
}

void
virtio_blk_free(struct virtio_blk *b)
{
	if (!b)
		return;
	event_disarm(b->events, &b->done);
	free(b);
}

void
virtio_blk_state(struct virtio_blk *b, struct state *s)
{
	state_section(s, "virtio-blk", 1);
	virtio_state(&b->virtio, s);
	STATE(s, b->head);
	state_event(s, b->events, &b->done);
}

const struct virtio_blk_counters *
virtio_blk_counters(const struct virtio_blk *b)
{
	return &b->counters;
}

const struct virtio_counters *
virtio_blk_common(const struct virtio_blk *b)
{
	return &b->virtio.counters;
}
