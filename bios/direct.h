/* The page of code that stands for a BIOS in direct boot: bios/direct.S. */
#ifndef NB_BIOS_DIRECT_H
#define NB_BIOS_DIRECT_H

#ifndef __ASSEMBLER__
#include "base/types.h"
#endif

#define BIOS_DIRECT_SIZE 4096
#define BIOS_DIRECT_LOW 0xff000     /* f000:f000, where interrupt vectors point to */
#define BIOS_DIRECT_HIGH 0xfffff000 /* below 4 GiB, with the reset vector */
#define BIOS_DIRECT_SEGMENT 0xf000
#define BIOS_DIRECT_CALL_PORT 0xea /* a write: nestbox is to do what firmware does at the reset vector */
#define BIOS_DIRECT_MAP_MAX 16

#ifndef __ASSEMBLER__
extern const u8 bios_direct[BIOS_DIRECT_SIZE];
/* Within it: 256 little-endian words, the offsets in segment f000 of the interrupt handlers ... */
extern const u8 bios_direct_vectors[512];
/* ... and, to be filled in, a word with the number of e820 entries, and these, 20 bytes each. */
extern const u8 bios_direct_map[2 + 20 * BIOS_DIRECT_MAP_MAX];
#endif

#endif
