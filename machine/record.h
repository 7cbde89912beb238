/* Recording a run into a capsule, and running one again: what machine.c calls on the way. All do nothing when neither is asked for. */
#ifndef NB_MACHINE_RECORD_H
#define NB_MACHINE_RECORD_H

#include "base/types.h"

struct machine;

/* The machine is made and loaded. Returns NULL, or what is wrong (heap). */
char *record_begin(struct machine *machine);
/* It is about to run. */
void record_start(struct machine *machine);
/* After each look at host input. */
void record_poll(struct machine *machine);
/* The run has ended: writes the capsule, or compares with it. Prints; false if it could not be written, or the replay was another run. */
bool record_end(struct machine *machine);
/* nestbox stops in the middle of things: what was recorded is written all the same. */
void record_break(struct machine *machine);
void record_free(struct machine *machine);

#endif
