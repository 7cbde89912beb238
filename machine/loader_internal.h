/* Between loader.c and the formats: load_linux.c, load_elf.c, load_multiboot.c. */
#ifndef NB_MACHINE_LOADER_INTERNAL_H
#define NB_MACHINE_LOADER_INTERNAL_H

#include "bus/memory.h"
#include "machine/config.h"
#include "machine/loader.h"

/* The PC's first megabyte, as kernels know it. */
#define LOW_END 0x9fc00ull /* the extended BIOS data area follows */
#define LOW_TOP 0xa0000ull
#define BIOS_START 0xe0000ull /* ACPI's tables are found from here on */
#define HIGH_START 0x100000ull

/* A file in memory. */
struct image {
	const char *path;
	u8 *data;
	size_t size;
};

struct loading {
	const struct config *config;
	struct memory *memory;
	struct boot_state *state;
	struct image kernel;
	u64 kernel_start, kernel_end; /* what the kernel occupies, its zeroed part too */
	u64 at, end;                  /* the loader's own structures grow from `at` */
};

/* Each returns NULL when the kernel was loaded, or an error (heap). */
char *load_linux(struct loading *l);
char *load_pvh(struct loading *l, u32 entry);
char *load_multiboot(struct loading *l, size_t header);

bool linux_recognise(const struct image *image);
bool elf_recognise(const struct image *image);
/* True with *entry set if there is a PVH note; errors of the ELF structure go to *error. */
bool elf_pvh_entry(const struct image *image, u32 *entry, char **error);
/* Loads the PT_LOAD segments at their physical addresses and sets kernel_start and kernel_end. */
char *elf_load(struct loading *l, u64 *entry);
/* Offset of a valid multiboot header in the first 8 KiB. */
bool multiboot_recognise(const struct image *image, size_t *header);

/*
 * True when [start, start + size) lies in RAM below the PCI hole. Kernels may name any of it: linkers like to put ELF
 * headers just below 1 MiB. The loader's own things go where `usable` says, outside the areas that firmware keeps.
 */
bool loader_is_ram(const struct memory *m, u64 start, u64 size);
bool loader_usable(const struct memory *m, u64 start, u64 size);
/* Writes zeros where there are none yet, so that untouched RAM stays so. */
void loader_clear(struct memory *m, u64 start, u64 size);
/* Room for `size` bytes of the loader's own, once loader_reserve() has found a place clear of the kernel. */
char *loader_reserve(struct loading *l, u64 size);
u64 loader_place(struct loading *l, const void *data, u64 size);
u64 loader_place_string(struct loading *l, const char *string);
/*
 * A GDT with flat code at selector 0x10 and data at 0x18, and a TSS at 0x20; fills in the segment half of the boot
 * state.
 */
void loader_place_gdt(struct loading *l);

/* Size of a file that is to be loaded whole, and its loading. */
char *loader_file_size(const char *path, u64 *size);
char *loader_file_load(struct memory *m, const char *path, u64 to, u64 size);
/*
 * Puts the initial RAM disk (all of -initrd is its name) as high as allowed, below `limit`. *size is 0 if there is
 * none.
 */
char *loader_initrd(struct loading *l, u64 limit, u64 *start, u64 *size);

/* The map of physical memory, in the types of the e820 BIOS call: 1 RAM, 2 reserved. */
#define E820_MAX 8
struct e820 {
	u64 start, size;
	u32 type;
} __attribute__((packed));
unsigned loader_e820(const struct memory *m, struct e820 map[E820_MAX]);

static inline u16
get16(const u8 *p)
{
	return (u16)(p[0] | p[1] << 8);
}

static inline u32
get32(const u8 *p)
{
	return get16(p) | (u32)get16(p + 2) << 16;
}

static inline u64
get64(const u8 *p)
{
	return get32(p) | (u64)get32(p + 4) << 32;
}

static inline void
put16(u8 *p, u16 v)
{
	p[0] = (u8)v;
	p[1] = (u8)(v >> 8);
}

static inline void
put32(u8 *p, u32 v)
{
	put16(p, (u16)v);
	put16(p + 2, (u16)(v >> 16));
}

static inline void
put64(u8 *p, u64 v)
{
	put32(p, (u32)v);
	put32(p + 4, (u32)(v >> 32));
}

#endif
