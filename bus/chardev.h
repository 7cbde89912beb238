/* Byte streams between serial-like devices and the host. */
#ifndef NB_BUS_CHARDEV_H
#define NB_BUS_CHARDEV_H

#include "base/types.h"

/* A host side (stdio, file, pty, socket, none) implements write; the device fills in the receive hooks. */
struct chardev {
	/* Device -> host. Never blocks the machine for long, never fails towards the guest. */
	void (*write)(struct chardev *c, const u8 *data, size_t size);
	/* Host -> device, called only through bus/input at a stamped virtual time. Set by the device. NULL: input is dropped. */
	void (*receive)(void *device, const u8 *data, size_t size);
	/* How many bytes the device can take now. */
	size_t (*room)(void *device);
	void *device;
	void *host; /* private to the implementation */
};

static inline void
chardev_write(struct chardev *c, const void *data, size_t size)
{
	if (c && c->write)
		c->write(c, data, size);
}

#endif
