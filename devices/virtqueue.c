/*
 * The device's side of split virtqueues.
 *
 * Source: Virtual I/O Device (VIRTIO) 1.2, "Split Virtqueues".
 *
 *   descriptor       [ next | flags | length | address ]
 *   available ring   [ used_event | ring[size] | idx | flags ]
 *   used ring        [ avail_event | ring[size] of (length, id) | idx | flags ]
 *
 * Not modelled: packed rings, VIRTIO_F_IN_ORDER, VIRTIO_F_ACCESS_PLATFORM.
 */
#include "devices/virtqueue.h"

#include <string.h>

#include "base/log.h"
#include "base/snapshot.h"

LOG_CATEGORY("virtqueue");

#define DESCRIPTOR 16u
#define DESCRIPTOR_NEXT BIT(0)
#define DESCRIPTOR_WRITE BIT(1)
#define DESCRIPTOR_INDIRECT BIT(2)

#define RING_FLAGS 0
#define RING_INDEX 2
#define RING_ENTRIES 4
#define USED_ENTRY 8u
#define AVAILABLE_NO_INTERRUPT BIT(0)

struct descriptor {
	u64 address;
	u32 size;
	u16 flags, next;
};

void
virtqueue_init(struct virtqueue *q, struct pci_device *pci, unsigned maximum)
{
	assert(maximum && (maximum & (maximum - 1)) == 0 && maximum <= VIRTQUEUE_SEGMENTS);
	q->pci = pci;
	q->maximum = (u16)maximum;
	virtqueue_reset(q);
}

void
virtqueue_reset(struct virtqueue *q)
{
	*q = (struct virtqueue){.pci = q->pci, .maximum = q->maximum, .size = q->maximum, .vector = 0xffff};
}

static u16
read16(struct virtqueue *q, u64 address)
{
	u8 bytes[2];

	pci_dma_read(q->pci, address, bytes, sizeof(bytes));
	return pci_get16(bytes, 0);
}

static void
write16(struct virtqueue *q, u64 address, u16 value)
{
	u8 bytes[2];

	pci_set16(bytes, 0, value);
	pci_dma_write(q->pci, address, bytes, sizeof(bytes));
}

static bool
fail(struct virtqueue *q, const char *what, unsigned value)
{
	log_debug("%s: %s (%u)", q->pci->name, what, value);
	q->broken = true;
	return false;
}

static struct descriptor
read_descriptor(struct virtqueue *q, u64 table, unsigned index)
{
	u8 bytes[DESCRIPTOR];

	pci_dma_read(q->pci, table + (u64)index * DESCRIPTOR, bytes, sizeof(bytes));
	return (struct descriptor){
		.address = pci_get32(bytes, 0) | (u64)pci_get32(bytes, 4) << 32,
		.size = pci_get32(bytes, 8),
		.flags = pci_get16(bytes, 12),
		.next = pci_get16(bytes, 14),
	};
}

static bool
add_segment(struct virtqueue *q, struct virtqueue_chain *chain, const struct descriptor *d)
{
	unsigned n = chain->readable + chain->writable;

	if (n == VIRTQUEUE_SEGMENTS)
		return fail(q, "a chain is too long or a loop", n);
	chain->segment[n] = (struct virtqueue_segment){d->address, d->size};
	if (d->flags & DESCRIPTOR_WRITE) {
		chain->writable++;
		chain->writable_size += d->size;
	} else if (chain->writable) {
		return fail(q, "a readable buffer behind a writable one", n);
	} else {
		chain->readable++;
		chain->readable_size += d->size;
	}
	return true;
}

bool
virtqueue_walk(struct virtqueue *q, u16 head, struct virtqueue_chain *chain)
{
	u64 table = q->descriptors;
	u32 count = q->size, index = head;
	bool indirect = false;
	struct descriptor d;

	chain->head = head;
	chain->readable = chain->writable = 0;
	chain->readable_size = chain->writable_size = 0;
	/* Every turn but one adds a segment, of which there is an end. */
	do {
		if (index >= count)
			return fail(q, "a descriptor outside of its table", index);
		d = read_descriptor(q, table, index);
		index = d.next;
		if (d.flags & DESCRIPTOR_INDIRECT) {
			if (indirect || d.flags & DESCRIPTOR_NEXT || d.size == 0 || d.size % DESCRIPTOR != 0)
				return fail(q, "an impossible indirect table", d.size);
			indirect = true;
			table = d.address;
			count = d.size / DESCRIPTOR;
			index = 0;
			d.flags = DESCRIPTOR_NEXT;
		} else if (!add_segment(q, chain, &d)) {
			return false;
		}
	} while (d.flags & DESCRIPTOR_NEXT);
	return true;
}

bool
virtqueue_waiting(struct virtqueue *q)
{
	u16 waiting;

	if (!q->enabled || q->broken || !(pci_get16(q->pci->config, PCI_COMMAND) & PCI_COMMAND_MASTER))
		return false;
	waiting = (u16)(read16(q, q->driver + RING_INDEX) - q->next);
	return waiting > q->size ? fail(q, "more chains available than the ring has", waiting) : waiting != 0;
}

/* Where the driver sees how far the device has come, to tell it of more (VIRTIO_F_EVENT_IDX). */
static void
ask_for_more(struct virtqueue *q)
{
	if (q->event_index)
		write16(q, q->device + RING_ENTRIES + (u64)q->size * USED_ENTRY, q->next);
}

bool
virtqueue_take(struct virtqueue *q, struct virtqueue_chain *chain)
{
	u16 head;

	if (!virtqueue_waiting(q)) {
		if (q->enabled && !q->broken)
			ask_for_more(q);
		return false;
	}
	head = read16(q, q->driver + RING_ENTRIES + (u64)(q->next & (q->size - 1)) * 2);
	if (!virtqueue_walk(q, head, chain))
		return false;
	q->next++;
	ask_for_more(q);
	return true;
}

void
virtqueue_break(struct virtqueue *q)
{
	q->broken = true;
}

void
virtqueue_untake(struct virtqueue *q, unsigned chains)
{
	/* Where the driver is to tell of more stays behind those that were looked at. */
	q->next = (u16)(q->next - chains);
}

/* The part of segments first..first+count that is inside [offset, offset + size). */
static u64
transfer(struct virtqueue *q, const struct virtqueue_segment *segment, unsigned count, u64 offset, u8 *to, const u8 *from,
	 u64 size)
{
	u64 done = 0;

	for (unsigned i = 0; i < count && done < size; i++) {
		u64 part;

		if (offset >= segment[i].size) {
			offset -= segment[i].size;
			continue;
		}
		part = MIN(segment[i].size - offset, size - done);
		if (to)
			pci_dma_read(q->pci, segment[i].address + offset, to + done, part);
		else
			pci_dma_write(q->pci, segment[i].address + offset, from + done, part);
		done += part;
		offset = 0;
	}
	return done;
}

u64
virtqueue_read(struct virtqueue *q, const struct virtqueue_chain *chain, u64 offset, void *buffer, u64 size)
{
	return transfer(q, chain->segment, chain->readable, offset, buffer, NULL, size);
}

u64
virtqueue_write(struct virtqueue *q, const struct virtqueue_chain *chain, u64 offset, const void *buffer, u64 size)
{
	return transfer(q, chain->segment + chain->readable, chain->writable, offset, NULL, buffer, size);
}

void
virtqueue_put(struct virtqueue *q, u16 head, u32 written, unsigned ahead)
{
	u16 place = (u16)((q->used + ahead) & (q->size - 1u));
	u8 bytes[USED_ENTRY];

	pci_set32(bytes, 0, head);
	pci_set32(bytes, 4, written);
	pci_dma_write(q->pci, q->device + RING_ENTRIES + (u64)place * USED_ENTRY, bytes, sizeof(bytes));
}

bool
virtqueue_publish(struct virtqueue *q, unsigned chains)
{
	u16 before = q->told, event;

	q->used = (u16)(q->used + chains);
	write16(q, q->device + RING_INDEX, q->used);
	q->told = q->used;
	if (!q->event_index)
		return !(read16(q, q->driver + RING_FLAGS) & AVAILABLE_NO_INTERRUPT);
	/* "Used Buffer Notification Suppression": did the index step over used_event? */
	event = read16(q, q->driver + RING_ENTRIES + (u64)q->size * 2);
	return (u16)(q->used - event - 1) < (u16)(q->used - before);
}

void
virtqueue_state(struct virtqueue *q, struct state *s)
{
	STATE(s, q->size);
	state_bool(s, &q->enabled);
	STATE(s, q->descriptors);
	STATE(s, q->driver);
	STATE(s, q->device);
	STATE(s, q->vector);
	state_bool(s, &q->event_index);
	STATE(s, q->next);
	STATE(s, q->used);
	STATE(s, q->told);
	state_bool(s, &q->broken);
	if (q->size == 0 || q->size > q->maximum || (q->size & (q->size - 1)) != 0) {
		state_fail(s, "virtqueue of an impossible size");
		q->size = q->maximum;
	}
}
