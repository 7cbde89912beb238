/*
 * The physical address space: RAM, ROM and MMIO ranges; marks for pages that hold decoded code.
 *
 * RAM is one lazily populated host mapping. Guest-physical layout as on a PC: RAM from 0 up to at most 3 GiB (`MEMORY_HOLE`), the rest
 * from 4 GiB up. ROM (firmware) and MMIO lie over RAM where they overlap.
 */
#ifndef NB_BUS_MEMORY_H
#define NB_BUS_MEMORY_H

#include "base/types.h"

#define MEMORY_HOLE 0xc0000000ull
#define PAGE_SIZE 4096ull
#define PAGE_MASK (~(u64)0xfff)

struct state;

/* Accesses have size 1, 2, 4 or 8 and never cross the range's end; `offset` is from its start. */
struct mmio_ops {
	u64 (*read)(void *opaque, u64 offset, unsigned size);
	void (*write)(void *opaque, u64 offset, unsigned size, u64 value);
};

struct memory_range {
	u64 base, size; /* size 0: hidden */
	u64 whole;      /* size when shown */
	const struct mmio_ops *ops; /* NULL: ROM or aliased RAM at `host` */
	const struct mmio_ops *writes; /* where stores to ROM go; NULL: nowhere */
	void *opaque;
	u8 *host;
	const char *name;
	bool writable; /* of `host` */
};

#define MEMORY_RANGES 64

struct memory {
	u8 *ram; /* ram_size bytes */
	u64 ram_size, low_size; /* low_size: RAM below 4 GiB */
	/* One byte per RAM page: MEMORY_CODE when decoded code lies in it, MEMORY_WATCHED when somebody wants to hear of writes. */
	u8 *page_flags;
	struct memory_range range[MEMORY_RANGES];
	unsigned ranges;
	/* Told before the bytes of a MEMORY_CODE page change (any store, DMA too). Set by cpu/. */
	void (*code_written)(void *opaque, u64 physical, u64 size);
	/* Told when ranges change: translations may be stale. Set by cpu/. */
	void (*map_changed)(void *opaque);
	void *opaque;
	/* Told before the bytes of a MEMORY_WATCHED page change, by whomever. Set by memory_watch(). */
	void (*watched)(void *watcher, u64 physical, u64 size);
	void *watcher;
	const char *writer; /* for those who watch: whose write is under way; NULL: an instruction's */
	/* RAM behind the display window (memory_set_smram). */
	bool smram_open, smram_in_smm;
	u64 dma_dropped; /* DMA accesses that hit no RAM */
	/* Private to memory.c: what lies over each page below 4 GiB, and whether any range lies above. */
	u8 *page_map; /* 0: no range */
	bool high_ranges;
};
#define MEMORY_CODE 1
#define MEMORY_WATCHED 2

/* Returns NULL and sets *error (heap) when the host has no address space for it. ram_size: multiple of 4 KiB. */
struct memory *memory_new(u64 ram_size, char **error);
void memory_free(struct memory *m);

/* Later ranges lie over earlier ones. All return the range's index for memory_unmap/memory_move. */
unsigned memory_map_mmio(struct memory *m, const char *name, u64 base, u64 size, const struct mmio_ops *ops, void *opaque);
/* `host` must stay valid; read-only unless `writable`. */
unsigned memory_map_host(struct memory *m, const char *name, u64 base, u64 size, u8 *host, bool writable);
/* ROM whose stores somebody hears of: flash. memory_show() switches between this and MMIO. */
unsigned memory_map_rom(struct memory *m, const char *name, u64 base, u64 size, u8 *host, const struct mmio_ops *writes, void *opaque);
/* Moves a range, and shows it if it was hidden. memory_unmap hides it. Neither changes the order. Nothing happens when it is there already. */
void memory_move(struct memory *m, unsigned range, u64 base);
void memory_unmap(struct memory *m, unsigned range);
/* Changes what a range is, and shows it: MMIO if `ops`, else read-only bytes at `host`. For chipsets that switch RAM and ROM. */
void memory_show(struct memory *m, unsigned range, const struct mmio_ops *ops, u8 *host);

/*
 * System management RAM: the RAM at MEMORY_SMRAM, which the display window lies over. `open`: everybody sees it instead; `in_smm`:
 * processors in system management mode do.
 */
#define MEMORY_SMRAM 0xa0000u
#define MEMORY_SMRAM_SIZE 0x20000u
void memory_set_smram(struct memory *m, bool open, bool in_smm);

/* Where a processor in system management mode finds the byte at `physical`, if that is in RAM that is hidden otherwise; else NULL. */
static inline u8 *
memory_smram(const struct memory *m, u64 physical)
{
	return m->smram_in_smm && physical - MEMORY_SMRAM < MEMORY_SMRAM_SIZE ? m->ram + physical : NULL;
}

/* Offset into m->ram of a physical address, or -1 if plain RAM is not what answers there (ranges are not looked at). */
static inline s64
memory_ram_offset(const struct memory *m, u64 physical)
{
	if (physical < m->low_size)
		return (s64)physical;
	if (physical >= 0x100000000ull && physical - 0x100000000ull < m->ram_size - m->low_size)
		return (s64)(physical - 0x100000000ull + m->low_size);
	return -1;
}

/*
 * The host address of the whole 4 KiB page at `physical`, or NULL when reads (writes) of that page do not simply go to host memory
 * (MMIO, nothing there, ROM for writes). Does not look at page_flags.
 */
u8 *memory_page(struct memory *m, u64 physical, bool write);

/* The host address behind `physical` if its page is plain RAM for sure: cheap, for reads. NULL: ask memory_page(). */
static inline u8 *
memory_plain(const struct memory *m, u64 physical)
{
	if (physical < m->low_size)
		return m->page_map[physical / PAGE_SIZE] ? NULL : m->ram + physical;
	s64 offset = m->high_ranges ? -1 : memory_ram_offset(m, physical);
	return offset < 0 ? NULL : m->ram + offset;
}

/*
 * One access of 1..8 bytes as a processor makes it. Nothing there: reads all ones, writes are dropped. Does the code-page check.
 * An MMIO range sees naturally aligned pieces only.
 */
u64 memory_read(struct memory *m, u64 physical, unsigned size);
void memory_write(struct memory *m, u64 physical, unsigned size, u64 value);

/* DMA: to and from RAM or ROM only. Bytes that hit neither read as ones / are dropped, and counted. Any size, any address. */
void dma_read(struct memory *m, u64 physical, void *buffer, u64 size);
void dma_write(struct memory *m, u64 physical, const void *buffer, u64 size);

/* The same for somebody whose name those hear who watch. */
void dma_write_by(struct memory *m, const char *writer, u64 physical, const void *buffer, u64 size);
/* To be called before the RAM at `offset`, which is at `physical`, changes in a way that this file does not know of. */
static inline void
memory_written(struct memory *m, u64 offset, u64 physical, u64 size)
{
	u8 flags = m->page_flags[offset / PAGE_SIZE];

	if (likely(!flags))
		return;
	if (flags & MEMORY_CODE && m->code_written)
		m->code_written(m->opaque, physical, size);
	if (flags & MEMORY_WATCHED)
		m->watched(m->watcher, physical, size);
}

/*
 * `watched` hears of writes to the RAM pages that [first, last] lies in, until memory_unwatch(): of processors, too, that do not write past this
 * file (hooks_watch_writes()). One watcher at a time.
 */
void memory_watch(struct memory *m, u64 first, u64 last, void (*watched)(void *watcher, u64 physical, u64 size), void *watcher);
void memory_unwatch(struct memory *m);

/* Debugger's read: no side effect. False if nothing but RAM or ROM is there for all bytes. */
bool memory_peek(struct memory *m, u64 physical, void *buffer, u64 size);

void memory_state(struct memory *m, struct state *s);

#endif
