/* The 64 K I/O port map. */
#ifndef NB_BUS_PORTS_H
#define NB_BUS_PORTS_H

#include "base/types.h"

/*
 * `size` is 1, 2 or 4. A range answers accesses that start inside it; `sizes` is the set (bit 0: 1, bit 1: 2, bit 2: 4 bytes) that it takes
 * whole: other sizes are split into bytes, each to the range that owns the byte's port.
 */
struct port_ops {
	u32 (*read)(void *opaque, u16 port, unsigned size);
	void (*write)(void *opaque, u16 port, unsigned size, u32 value);
	u8 sizes;
};
#define PORT_BYTE 1
#define PORT_WORD 2
#define PORT_LONG 4

struct ports;
struct ports *ports_new(void);
void ports_free(struct ports *p);
/* `opaque` and `ops` stay the caller's. A later range takes ports over from an earlier one; ports_unmap gives back to nobody. */
void ports_map(struct ports *p, const char *name, u16 first, unsigned count, const struct port_ops *ops, void *opaque);
void ports_unmap(struct ports *p, u16 first, unsigned count);
/* Nobody there: reads all ones, logs at debug level. */
u32 ports_read(struct ports *p, u16 port, unsigned size);
void ports_write(struct ports *p, u16 port, unsigned size, u32 value);

#endif
