/* The layers that block_host.c stacks. Private to machine/block_*.c. Calls of their blocks return 0 or an errno, silently. */
#ifndef NB_MACHINE_BLOCK_LAYERS_H
#define NB_MACHINE_BLOCK_LAYERS_H

#include <sys/types.h>

#include "bus/block.h"

/* All of it, or an errno. */
int block_read_all(int fd, u8 *buffer, u64 size, u64 offset);
int block_write_all(int fd, const u8 *buffer, u64 size, u64 offset);

/* block_raw.c: a file or host disk, byte for byte. Functions that open return NULL, or what is wrong (heap). */
struct block_raw;
char *block_raw_open(const char *path, bool writes, u64 unit, struct block_raw **out);
void block_raw_close(struct block_raw *raw);
struct block *block_raw_block(struct block_raw *raw);

/*
 * block_lock.c: NULL, or who else uses the image (heap). The lock goes with the descriptor. Both flock() and the locks
 * that QEMU's programs take are taken and respected.
 */
char *block_lock(int fd, const char *path, bool writes);

/* block_nbd.c: a server that is there (URI), or qemu-nbd, started for an image of `format`. */
struct block_nbd;
char *block_nbd_open(const char *path, const char *format, bool writes, struct block_nbd **out);
void block_nbd_close(struct block_nbd *nbd);
struct block *block_nbd_block(struct block_nbd *nbd);
bool block_nbd_is_uri(const char *path);

/* block_overlay.c: sectors written over `base`, in a temporary file without a name. */
struct block_overlay;
char *block_overlay_open(struct block *base, const char *path, struct block_overlay **out);
void block_overlay_close(struct block_overlay *overlay);
struct block *block_overlay_block(struct block_overlay *overlay);

/* block_format.c: the name of the format that an image with this first sector has; "raw" if it is none. */
const char *block_format_probe(const u8 sector[BLOCK_SECTOR]);

#endif
