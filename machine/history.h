/*
 * Moments to which the machine can return: checkpoints in memory, taken often enough that running from one to any later moment takes less than a
 * second. What came from outside since is in the log of bus/input, so running again is exact.
 *
 * A checkpoint is what x_state() functions visit (state_checkpoint()), the door's position, and an undo log of RAM (dirty.h) and of each disk
 * (block_overlay.c). When memory runs short, checkpoints go where they are densest for their age; the oldest goes last.
 */
#ifndef NB_MACHINE_HISTORY_H
#define NB_MACHINE_HISTORY_H

#include "base/types.h"

struct history;
struct machine;

/* `limit`: bytes. The first checkpoint is taken now. */
struct history *history_new(struct machine *machine, u64 limit);
void history_free(struct history *h);

/*
 * Is it time for a checkpoint, or has much been written to disks since the last one? From an event; then the machine is to be stopped and
 * history_take() called.
 */
bool history_due(struct history *h);
void history_take(struct history *h);
/* Returns to the newest checkpoint from before instruction `icount` of all processors together. False: there is none, and nothing changed. */
bool history_back(struct history *h, u64 icount);
/* Somebody has changed the machine: running again from before would not come here. History begins here. */
void history_begin(struct history *h);
/*
 * The end of the newest stretch between two checkpoints, or a checkpoint and instruction `icount`, in which RAM at [first, last] may have been
 * written: an instruction count. 0: in none of those that are kept.
 */
u64 history_written(const struct history *h, u64 icount, u64 first, u64 last);
/* Of the oldest checkpoint; how many there are; bytes. */
u64 history_oldest(const struct history *h);
unsigned history_count(const struct history *h);
u64 history_size(const struct history *h);

#endif
