/* The 64 K I/O port map: for each port the number of the range that owns it. */
#include "bus/ports.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/stop.h"

LOG_CATEGORY("ports");

#define PORTS 65536
#define RANGES 256
#define NOBODY 0 /* range[0] is never used */

struct port_range {
	const struct port_ops *ops;
	void *opaque;
	const char *name;
	unsigned owned; /* ports; 0: this entry is free */
};

struct ports {
	struct port_range range[RANGES];
	u8 owner[PORTS];
};

struct ports *
ports_new(void)
{
	struct ports *p = calloc(1, sizeof(*p));

	if (!p)
		stop_host_error("out of memory");
	return p;
}

void
ports_free(struct ports *p)
{
	free(p);
}

static void
give(struct ports *p, unsigned port, unsigned to)
{
	if (p->owner[port] != NOBODY)
		p->range[p->owner[port]].owned--;
	p->owner[port] = (u8)to;
	if (to != NOBODY)
		p->range[to].owned++;
}

void
ports_map(struct ports *p, const char *name, u16 first, unsigned count, const struct port_ops *ops, void *opaque)
{
	unsigned free_range = 1;

	assert(first + count <= PORTS);
	while (free_range < RANGES && p->range[free_range].owned)
		free_range++;
	assert(free_range < RANGES);
	p->range[free_range] = (struct port_range){.ops = ops, .opaque = opaque, .name = name};
	for (unsigned port = first; port < first + count; port++)
		give(p, port, free_range);
}

void
ports_unmap(struct ports *p, u16 first, unsigned count)
{
	assert(first + count <= PORTS);
	for (unsigned port = first; port < first + count; port++)
		give(p, port, NOBODY);
}

static const struct port_range *
find(const struct ports *p, u16 port)
{
	return p->owner[port] == NOBODY ? NULL : &p->range[p->owner[port]];
}

u32
ports_read(struct ports *p, u16 port, unsigned size)
{
	const struct port_range *r = find(p, port);
	u32 value = 0;

	if (likely(r && r->ops->sizes & size)) {
		value = r->ops->read(r->opaque, port, size);
		return size == 4 ? value : value & ((1u << size * 8) - 1);
	}
	if (size == 1) {
		log_debug("read of port 0x%04x, where nobody is", port);
		return 0xff;
	}
	for (unsigned i = 0; i < size; i++) {
		u32 byte = port + i < PORTS ? ports_read(p, (u16)(port + i), 1) : 0xff;

		value |= byte << (i * 8);
	}
	return value;
}

void
ports_write(struct ports *p, u16 port, unsigned size, u32 value)
{
	const struct port_range *r = find(p, port);

	if (size < 4)
		value &= (1u << size * 8) - 1;
	if (likely(r && r->ops->sizes & size)) {
		r->ops->write(r->opaque, port, size, value);
		return;
	}
	if (size == 1) {
		log_debug("write of 0x%02x to port 0x%04x, where nobody is", value, port);
		return;
	}
	for (unsigned i = 0; i < size && port + i < PORTS; i++)
		ports_write(p, (u16)(port + i), 1, value >> (i * 8) & 0xff);
}
