/* Raw image files and host disks behind bus/block. See block_host.c. */
#ifndef NB_MACHINE_BLOCK_HOST_H
#define NB_MACHINE_BLOCK_HOST_H

#include "bus/block.h"

struct block_host;

struct block_host_options {
	const char *path;
	bool snapshot;  /* writes go to a temporary file that nobody sees */
	bool read_only; /* a CD */
};

/* Returns NULL, or what is wrong (heap). */
char *block_host_new(const struct block_host_options *options, struct block_host **out);
/* Hands what was written to the host's disk; a failure is reported. */
void block_host_free(struct block_host *h);
/* The device's view; NULL for NULL. */
struct block *block_host_block(struct block_host *h);

#endif
