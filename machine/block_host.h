/*
 * Disk images on the host behind bus/block: what format they have, who else uses them, what goes wrong with them.
 *
 * A drive is a stack of layers, each a `struct block`: an image (block_raw.c, block_nbd.c), over it what a snapshot wrote
 * (block_overlay.c), over it block_host.c, which reports and counts.
 */
#ifndef NB_MACHINE_BLOCK_HOST_H
#define NB_MACHINE_BLOCK_HOST_H

#include "bus/block.h"

struct block_host;
struct block_overlay;
struct state;

struct block_host_options {
	const char *path;   /* a file, a host disk, or an NBD URI */
	const char *format; /* raw, qcow2...; NULL: by what the image begins with */
	bool snapshot;      /* writes go to a temporary file that nobody sees */
	bool cdrom;         /* read only, sectors of 2048 bytes */
};

/* Returns NULL, or what is wrong (heap). */
char *block_host_new(const struct block_host_options *options, struct block_host **out);
/* Hands what was written to the host's disk; a failure is reported. */
void block_host_free(struct block_host *h);
/* The device's view; NULL for NULL. */
struct block *block_host_block(struct block_host *h);
/* Of snapshot=on, else NULL. */
struct block_overlay *block_host_overlay(struct block_host *h);
/* What has been written to it, for snapshots and checkpoints; not in hashes. */
void block_overlay_state(struct block_overlay *overlay, struct state *s);
/*
 * From the first checkpoint on, what sectors held at each is kept in memory. The number of the newest checkpoint, which is
 * larger than those of all others; bytes that are kept for all; checkpoints before `mark` are no longer of use; nor is
 * `mark`, which comes after `before` and is not the newest: from then on one can return to those around it.
 */
u64 block_overlay_mark(const struct block_overlay *overlay);
u64 block_overlay_journal_size(const struct block_overlay *overlay);
void block_overlay_forget(struct block_overlay *overlay, u64 mark);
void block_overlay_merge(struct block_overlay *overlay, u64 before, u64 mark);
const char *block_host_path(const struct block_host *h);
/* "raw", "qcow2"..., "nbd" */
const char *block_host_format(const struct block_host *h);

struct block_statistics {
	u64 reads, writes, flushes; /* requests */
	u64 bytes_read, bytes_written;
	u64 errors; /* that the guest was told of */
};
const struct block_statistics *block_host_statistics(const struct block_host *h);

/* Formats that -drive format= takes, as a text; and whether `name` is one. */
const char *block_formats(void);
bool block_format_known(const char *name);

#endif
