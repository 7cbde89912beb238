/*
 * Virtio over PCI: what all virtio devices have in common, legacy and modern. See virtio.c.
 *
 * A device embeds a `struct virtio`, describes itself by `struct virtio_class`, fills `config` (what the specification calls
 * device configuration) and serves its queues when `notify` says so.
 */
#ifndef NB_DEVICES_VIRTIO_H
#define NB_DEVICES_VIRTIO_H

#include "base/types.h"
#include "devices/msix.h"
#include "devices/pci.h"
#include "devices/virtqueue.h"

#define VIRTIO_QUEUES 4u
#define VIRTIO_CONFIG 64u /* bytes of device configuration */

/* Status */
#define VIRTIO_DRIVER_OK BIT(2)

/* Features that are not of one device. */
#define VIRTIO_F_ANY_LAYOUT BIT(27) /* legacy only */
#define VIRTIO_F_INDIRECT_DESC BIT(28)
#define VIRTIO_F_EVENT_IDX BIT(29)
#define VIRTIO_F_VERSION_1 BIT(32)

/* Which drivers a function serves. */
enum virtio_generation { VIRTIO_TRANSITIONAL, VIRTIO_MODERN, VIRTIO_LEGACY };

struct virtio_class {
	const char *name;
	u16 id;            /* virtio device ID: 1 network, 2 block */
	u16 transitional;  /* PCI device ID of transitional functions */
	u32 pci_class;
	unsigned queues;
	u16 queue_size[VIRTIO_QUEUES];
	unsigned config_size;
	/* The driver rang queue `queue`, or it may go on (bus mastering, DRIVER_OK). */
	void (*notify)(void *opaque, unsigned queue);
	/* The driver's reset, or the bus's: nothing may be under way afterwards. */
	void (*reset)(void *opaque);
	/* A byte of device configuration; NULL: read only. */
	void (*config_written)(void *opaque, unsigned offset, u8 value);
};

struct virtio_counters {
	u64 broken;     /* queues given up because of what the driver put there */
	u64 stray;      /* register accesses of a size or place that is not there */
	u64 interrupts;
	u64 notifications; /* doorbells */
};

struct virtio {
	struct pci_device pci;
	struct msix msix;
	const struct virtio_class *class;
	void *opaque;
	enum virtio_generation generation;
	struct virtqueue queue[VIRTIO_QUEUES];
	u64 offered, accepted;
	u32 offered_select, accepted_select;
	u16 queue_select, config_vector;
	u8 status, isr, config_generation;
	u8 config[VIRTIO_CONFIG];
	struct virtio_counters counters;
};

/* Prepares the PCI function. `features`: those of the device; the common ones are added. */
void virtio_init(struct virtio *v, const struct virtio_class *class, void *opaque, enum virtio_generation generation,
		 u64 features);
/* Plugs it in, reset. */
void virtio_plug(struct virtio *v, struct pci_bus *bus, unsigned devfn);
static inline bool
virtio_has(const struct virtio *v, u64 feature)
{
	return (v->accepted & feature) != 0;
}
/* May buffers be taken from the queues? Legacy drivers may start before they say so. */
bool virtio_running(const struct virtio *v);
/* Interrupts the driver for `queue`, after virtqueue_publish() said so. Notices a broken queue. */
void virtio_interrupt(struct virtio *v, unsigned queue);
/* `config` has changed. */
void virtio_config_changed(struct virtio *v);
/* To be called when a queue may have broken: the device then needs a reset, of which the driver is told. */
void virtio_check(struct virtio *v);
/* Of the common part, the PCI function included. */
void virtio_state(struct virtio *v, struct state *s);

#endif
