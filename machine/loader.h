/*
 * Direct boot: kernel, initial RAM disk and command line straight into RAM, and the processor as the boot protocol
 * wants it. Linux bzImage, ELF by its PVH note, ELF or a.out-kludge by its multiboot 1 header. No firmware runs.
 */
#ifndef NB_MACHINE_LOADER_H
#define NB_MACHINE_LOADER_H

#include "base/types.h"

struct config;
struct memory;

/*
 * Processor 0 at the kernel's first instruction: 32-bit protected mode without paging, interrupts off, flat segments.
 * Selectors cs and ds (for DS, ES, SS) point into a table in RAM; `tr` is a 32-bit busy TSS of 104 bytes at 0. All
 * registers that are not here are zero.
 */
struct boot_state {
	u32 eip, eax, ebx, esi;
	u32 gdt_base;
	u16 gdt_limit;
	u16 cs, ds, tr;
};

/* Returns NULL, or what is wrong with which file (heap). May be called again after a reset. */
char *loader_load(const struct config *config, struct memory *m, struct boot_state *state);

#endif
