/*
 * Packs bytes with zstd and writes them to a file: the lower half of container.c.
 *
 * What is put is cut into chunks of a fixed size, each a zstd frame of its own, so that host threads can pack them side by side and what they make
 * does not depend on them. Threads are there from the first whole chunk on; a thread of its own writes, past the host's page cache where it can:
 * filling that costs more than packing.
 */
#ifndef NB_MACHINE_PACKER_H
#define NB_MACHINE_PACKER_H

#include <stddef.h>

#include "base/types.h"

struct packer;

/* Writes `fd` from its beginning. The descriptor stays the caller's. */
struct packer *packer_new(int fd);
void packer_free(struct packer *p);
/* Where the next byte goes, once nothing is under way: after packer_new(), packer_end(), packer_plain(). */
u64 packer_at(const struct packer *p);
/* Bytes as they are; only where packer_at() is known. */
void packer_plain(struct packer *p, const void *data, size_t size);
/* Over bytes that were written. */
void packer_patch(struct packer *p, const void *data, size_t size, u64 at);
/* Bytes to be packed, up to packer_end(), which tells their packed size and its checksum (packer_sum()). */
void packer_put(struct packer *p, const void *data, size_t size);
void packer_end(struct packer *p, u64 *packed, u64 *sum);
/* All is with the host. Returns 0, or the errno of the first thing that failed; nothing is written after it. */
int packer_flush(struct packer *p);

/* The checksum of packed bytes, which is folded over pieces. */
u64 packer_sum(const u8 *data, u64 size);

#endif
