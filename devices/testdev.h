/* pc-testdev: what kvm-unit-tests wants to find on a board. See testdev.c. */
#ifndef NB_DEVICES_TESTDEV_H
#define NB_DEVICES_TESTDEV_H

#include "base/types.h"
#include "bus/irq.h"
#include "bus/memory.h"
#include "bus/ports.h"

struct state;

#define TESTDEV_IRQS 24
#define TESTDEV_RAM_BASE 0xff000000ull
#define TESTDEV_RAM_SIZE 0x10000

struct testdev {
	bool present;
	u32 latch; /* ports 0xe0..0xe3 */
	struct irq_line irq[TESTDEV_IRQS];
	u8 ram[TESTDEV_RAM_SIZE];
};

/* `irq`: the end for each of the board's inputs. */
void testdev_init(struct testdev *t, struct memory *memory, struct ports *ports,
		  const struct irq_line irq[TESTDEV_IRQS]);
void testdev_reset(struct testdev *t);
void testdev_state(struct testdev *t, struct state *s);

#endif
