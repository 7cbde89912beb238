/* Virtio disk: one PCI function over a bus/block. See virtio_blk.c. */
#ifndef NB_DEVICES_VIRTIO_BLK_H
#define NB_DEVICES_VIRTIO_BLK_H

#include "base/types.h"
#include "devices/virtio.h"

struct block;
struct events;
struct state;
struct virtio_blk;

/* `serial`: up to 20 characters that the guest can ask for. NULL: out of memory. */
struct virtio_blk *virtio_blk_new(struct pci_bus *bus, unsigned devfn, struct events *events, struct block *block,
				  const char *serial, enum virtio_generation generation);
void virtio_blk_free(struct virtio_blk *b);
void virtio_blk_state(struct virtio_blk *b, struct state *s);

struct virtio_blk_counters {
	u64 requests, errors;
	u64 bad; /* requests without room for an answer, or of impossible size */
};
const struct virtio_blk_counters *virtio_blk_counters(const struct virtio_blk *b);
const struct virtio_counters *virtio_blk_common(const struct virtio_blk *b);

#endif
