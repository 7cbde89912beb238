/* Between symbols.c, modules.c, unwind.c and cfi.c. */
#ifndef NB_DEBUGGER_SYMBOLS_H
#define NB_DEBUGGER_SYMBOLS_H

#include <elfutils/libdw.h>
#include <gelf.h>

#include "debugger/internal.h"

struct symbol {
	u64 value, size;
	char *name;
	bool code;
};

/* One entry of Linux's ORC tables, whatever the kernel's version. */
struct orc {
	s16 sp_offset, bp_offset;
	u8 sp_reg, bp_reg, type;
	bool end;
};
enum { ORC_CALL, ORC_REGS, ORC_REGS_PARTIAL, ORC_UNDEFINED };

struct table {
	char *path; /* or a module's name */
	struct symbol *symbol; /* sorted by value */
	struct symbol **by_name;
	unsigned count, room;
	struct space space;
	u64 bias; /* of loaded addresses against the file's */
	u64 first, last; /* of a module: where it is; else both 0 */
	int fd;
	Elf *elf;
	/* Unwind tables: ORC, sorted by address; call frame information as libdw has it, opened when first wanted. */
	u64 *orc_ip;
	struct orc *orc;
	unsigned orcs;
	bool orc_new; /* the format since Linux 6.4 */
	Dwarf *dwarf;
	Dwarf_CFI *cfi, *eh_cfi;
	bool cfi_tried;
	struct table *next;
};

struct symbols {
	struct table *first;
};

struct table *table_new(const char *path, const struct space *space);
void table_add(struct table *t, u64 value, u64 size, const char *name, bool code);
void table_finish(struct debugger *d, struct table *t);
bool table_applies(const struct table *t, const struct space *space);
bool table_value(const struct table *t, const char *name, u64 *value);
const struct symbol *table_find(const struct table *t, u64 address);

/* --- modules.c --- */
/* The modules of the Linux that runs in `space`, or here if that names no level. Complains. */
void symbols_of_modules(struct debugger *d, const struct space *space);

/* --- unwind.c --- */
void orc_from_file(struct table *t);
/* Takes over tables as the kernel has them, `n` entries; ip: 32-bit offsets from themselves, which lie at `base`. */
void orc_take(struct table *t, const s32 *ip, u64 base, const u8 *entries, unsigned n);

/* --- cfi.c --- */
/* x86-64 registers by DWARF number: RAX RDX RCX RBX RSI RDI RBP RSP R8..R15 and the return address. */
#define DWARF_REGISTERS 17
enum { DWARF_RBP = 6, DWARF_RSP = 7, DWARF_RIP = 16 };
struct frame {
	u64 r[DWARF_REGISTERS];
	bool interrupted; /* RIP is an instruction's own address, not a return address */
};
/* One frame up by the file's call frame information; false if it knows nothing about RIP. */
bool cfi_step(struct debugger *d, struct table *t, struct frame *f);
void cfi_open(struct table *t);
void cfi_free(struct table *t);

#endif
