/*
 * A whole machine in one file.
 *
 * A container (container.h) with one section per state_section() of the machine, in the order of the visit. RAM is stored
 * without its pages of zeros.
 */
#ifndef NB_MACHINE_SNAPSHOT_H
#define NB_MACHINE_SNAPSHOT_H

#include "base/types.h"

struct state;

/* Both return NULL, or what is wrong (heap). */
/* Writes beside `path` and renames: `path` holds its former contents or the whole snapshot. */
char *snapshot_save(const char *path, void (*visit)(void *opaque, struct state *s), void *opaque);
/* Checks the whole file before the first byte goes into the machine. After an error from `visit` the machine is unusable. */
char *snapshot_load(const char *path, void (*visit)(void *opaque, struct state *s), void *opaque);

#endif
