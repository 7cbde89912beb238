/* The files that a machine is made from: kernel, initial RAM disks, firmware, drives; by content, so that another machine's can be compared. */
#ifndef NB_MACHINE_IMAGES_H
#define NB_MACHINE_IMAGES_H

#include "base/types.h"

struct config;

struct image {
	const char *role; /* "kernel", "initrd0"..., "bios", "vga rom", "drive0".. */
	const char *path; /* absolute */
	u64 size, sum;    /* sum: state_checksum() of the contents */
};

/* Reads them all. Both return NULL, or what is wrong (heap). */
char *images_of(const struct config *config, void (*one)(void *opaque, const struct image *image), void *opaque);
/*
 * Looks for the image that `wanted` describes where it was, then by its name beside the file `beside` and in the present folder, and makes `config`
 * use it. An error names it, and says whether it is missing or different.
 */
char *images_find(struct config *config, const struct image *wanted, const char *beside);

#endif
