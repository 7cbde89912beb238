/* Between walk.c, ranges.c and memory_type.c. */
#ifndef NB_DEBUGGER_WALK_H
#define NB_DEBUGGER_WALK_H

#include "debugger/internal.h"

#define ENTRY_ADDRESS(entry) ((entry)&BITS(~0ull, 51, 12) << 12)

/* What a translation depends on: of the processor as it is, or of the guest of the current VMCS. */
struct view {
	u64 cr0, cr3, cr4, efer, pat, pdpte[4];
	bool ept;
	u64 eptp;
};

/* False: there is no guest. In the guest both are the same. */
bool view_get(const struct debugger *d, bool guest, struct view *v);
bool ept_on(const struct debugger *d);

/* --- ranges.c --- */
void ept_dump(struct debugger *d);

/* --- memory_type.c --- */
enum { MEMORY_UC, MEMORY_WC, MEMORY_WT = 4, MEMORY_WP, MEMORY_WB, MEMORY_UC_MINUS };
const char *memory_type_name(unsigned type);
/* By the MTRRs of `cpu`. SDM 3, "Memory Type Range Registers (MTRRs)". */
unsigned mtrr_type(const struct vcpu *cpu, u64 physical);
/* Of a type by MTRR or EPT and one by PAT. SDM 3, "Effective Page-Level Memory Types". */
unsigned memory_type_effective(unsigned below, unsigned pat);

#endif
