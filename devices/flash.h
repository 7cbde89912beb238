/* A CFI flash chip that firmware keeps its variables in, mapped anywhere. See flash.c. */
#ifndef NB_DEVICES_FLASH_H
#define NB_DEVICES_FLASH_H

#include "base/types.h"
#include "bus/block.h"
#include "bus/memory.h"

struct state;
struct flash;

/*
 * A chip of `contents->sectors` sectors, which must be whole blocks of 4 KiB, at physical address `base`. Returns NULL and sets *error (heap) when
 * its contents cannot be read. What the guest programs is written to `contents` at once, unless that is read-only.
 */
#define FLASH_BLOCK 4096u
struct flash *flash_new(struct memory *memory, u64 base, struct block *contents, char **error);
void flash_free(struct flash *f);
void flash_reset(struct flash *f);
void flash_state(struct flash *f, struct state *s);

#endif
