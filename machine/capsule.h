/*
 * A recorded run in one file that another person can run again: the options, which images were used (names, sizes, checksums), where the run
 * began (power on, or a snapshot that is part of the file), all input from outside, and how it ended.
 *
 * A container (container.h) with the sections "options", "images", "start", those of the machine if it began from a snapshot, "input", "outcome".
 * Images are not part of the file. They are looked for where they were, beside the capsule, and in the present folder.
 */
#ifndef NB_MACHINE_CAPSULE_H
#define NB_MACHINE_CAPSULE_H

#include "base/types.h"

struct capsule;
struct config;
struct input;
struct machine;
struct state;

/* How the recorded run ended. */
struct outcome {
	u64 time, icount, hash;
	u32 status;
	/* What made it end: the guest or a limit among the options, which will again; or the host, and then a replay must be stopped there. */
	u8 by_host; /* 1: when it looked at its input, 2: otherwise */
	u8 broken; /* in the middle of things, without a hash */
	u8 zero[2];
};

/* All return NULL, or what is wrong (heap). */

/* Recording, of a machine that has not run yet. */
char *capsule_begin(struct machine *machine, const char *path, struct capsule **out);
char *capsule_end(struct capsule *c, const struct outcome *outcome);
/*
 * What is there so far, as a whole capsule of its own beside the other, with ".part" behind its name, until capsule_end(): for a nestbox that is
 * killed. Nothing is written where nothing came since the last time, nor ever for a run that began from a snapshot. `outcome`: as if the host had
 * ended the run at this look at its input.
 */
char *capsule_part(struct capsule *c, const struct outcome *outcome);

void capsule_abandon(struct capsule *c);

/* Replaying: the options, one by one; value NULL for a flag. */
char *capsule_options(const char *path, char *(*one)(void *opaque, const char *name, const char *value), void *opaque);
/* Finds the images and puts their places into `config`. */
char *capsule_images(const char *path, struct config *config);
/* Into a machine that has been made: where it began, and the input. */
char *capsule_load(const char *path, struct machine *machine, struct outcome *outcome);

#endif
