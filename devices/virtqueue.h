/*
 * A split virtqueue, as the device sees it: rings in guest memory, checked and bounded. See virtqueue.c.
 */
#ifndef NB_DEVICES_VIRTQUEUE_H
#define NB_DEVICES_VIRTQUEUE_H

#include "base/types.h"
#include "devices/pci.h"

#define VIRTQUEUE_SEGMENTS 1024u /* of one chain, those of its indirect table included */

struct virtqueue {
	struct pci_device *pci;
	u16 maximum; /* entries: a power of two */
	/* What the driver set up. */
	u16 size;
	bool enabled;
	u64 descriptors, driver, device; /* addresses: table, available ring, used ring */
	u16 vector;                      /* of MSI-X; 0xffff: none */
	bool event_index;                /* negotiated */
	/* Progress */
	u16 next;  /* index in the available ring of the next chain to take */
	u16 used;  /* index of the used ring */
	u16 told;  /* `used` when the driver was last told, or could have been */
	bool broken; /* a chain or index was impossible: nothing more is taken before a reset */
};

struct virtqueue_segment {
	u64 address;
	u32 size;
};

/* A chain of buffers: first those that the device reads, then those that it writes. */
struct virtqueue_chain {
	u16 head;
	unsigned readable, writable;     /* segments */
	u64 readable_size, writable_size; /* bytes */
	struct virtqueue_segment segment[VIRTQUEUE_SEGMENTS];
};

void virtqueue_init(struct virtqueue *q, struct pci_device *pci, unsigned maximum);
void virtqueue_reset(struct virtqueue *q);
/* Is there a chain to take? An impossible ring breaks the queue. */
bool virtqueue_waiting(struct virtqueue *q);
/* Takes the next chain. False: none, or it was impossible and the queue is broken. */
bool virtqueue_take(struct virtqueue *q, struct virtqueue_chain *chain);
/* The chain that begins with descriptor `head`, again. False: impossible, the queue is broken. */
bool virtqueue_walk(struct virtqueue *q, u16 head, struct virtqueue_chain *chain);
/* The driver did what it must not do: nothing more is taken before a reset. */
void virtqueue_break(struct virtqueue *q);
/* Gives back the last `chains` taken, as if they had not been. */
void virtqueue_untake(struct virtqueue *q, unsigned chains);
/* From the readable, to the writable segments. Returns the bytes that were there. */
u64 virtqueue_read(struct virtqueue *q, const struct virtqueue_chain *chain, u64 offset, void *buffer, u64 size);
u64 virtqueue_write(struct virtqueue *q, const struct virtqueue_chain *chain, u64 offset, const void *buffer, u64 size);
/*
 * Puts chain `head` into the used ring, `ahead` places beyond its end; they become the driver's by virtqueue_publish().
 */
void virtqueue_put(struct virtqueue *q, u16 head, u32 written, unsigned ahead);
/* Moves the used ring's end over `chains` entries. True: the driver wants to be interrupted. */
bool virtqueue_publish(struct virtqueue *q, unsigned chains);
void virtqueue_state(struct virtqueue *q, struct state *s);

#endif
