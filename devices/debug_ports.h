/* Ports for debugging: text output, exit status, shutdown. See debug_ports.c. */
#ifndef NB_DEVICES_DEBUG_PORTS_H
#define NB_DEVICES_DEBUG_PORTS_H

#include "base/types.h"
#include "bus/chardev.h"
#include "bus/machine_control.h"
#include "bus/ports.h"

struct state;

struct debug_ports {
	struct chardev *output;
	const struct machine_control *control;
	u8 matched; /* how much of "Shutdown" port 0x8900 has heard */
};

/* Ports 0x402, 0xe9 and 0x8900. `output` may be NULL. */
void debug_ports_init(struct debug_ports *d, struct ports *ports, struct chardev *output,
		      const struct machine_control *control);
/* isa-debug-exit: `size` ports from `base`; a write of n ends the run with exit status n << 1 | 1. */
void debug_ports_add_exit(struct debug_ports *d, struct ports *ports, u16 base, unsigned size);
void debug_ports_state(struct debug_ports *d, struct state *s);

#endif
