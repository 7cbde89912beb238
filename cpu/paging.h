/* Page walks: linear -> guest-physical -> physical; permissions, accessed and dirty bits. SDM 3, "Paging". */
#ifndef NB_CPU_PAGING_H
#define NB_CPU_PAGING_H

#include "cpu/access.h"

/* The outcome of a walk; all of it cacheable in the TLB. */
struct translation {
	u64 physical; /* of the access's byte, after EPT */
	u64 guest_physical;
	u8 page_shift; /* 12, 21, 22, 30: of the guest's own page, which INVLPG drops as a whole, whatever EPT makes of it */
	bool write_ok, fetch_ok; /* at the access's privilege; write_ok only if D is already set (guest and EPT) */
	bool global;
	bool special; /* must not be cached: APIC-access page, EPT permissions that differ within the page... */
};

/*
 * Translates for `access` (enum access, one of read/write/fetch, with or without SYSTEM) at the present CPL; raises #PF or a VM exit. Sets
 * A and D bits.
 */
void page_walk(struct vcpu *cpu, u64 linear, unsigned access, struct translation *out);

/* PAE: reads the four PDPTEs that `cr3` points at. Raises #GP(0) when a reserved bit is set, with nothing loaded. */
void load_pdptes(struct vcpu *cpu, u64 cr3);

static inline bool
linear_canonical(const struct vcpu *cpu, u64 linear)
{
	unsigned unused = cpu->cr4 & CR4_LA57 ? 64 - 57 : 64 - 48;
	return (s64)(linear << unused) >> unused == (s64)linear;
}
/* MAXPHYADDR mask of reserved bits in a physical address: bits 63:PAW. */
u64 physical_reserved(const struct vcpu *cpu);

#endif
