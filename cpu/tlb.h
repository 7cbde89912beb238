/*
 * Software TLB in contexts, and what invalidates it. CORE.md's measurements led here: one tag compare decides hit, permission, page crossing,
 * dirty and code-page cases at once; a context is chosen by (EP4TA, VPID, PCID, paging mode), so that VM entry and exit and MOV CR3 with PCID
 * switch a pointer instead of flushing.
 */
#ifndef NB_CPU_TLB_H
#define NB_CPU_TLB_H

#include "cpu/state.h"

#define TLB_BITS 10
#define TLB_SIZE (1u << TLB_BITS)

/* tags hold the page's linear address, or ~0 (which no access compares equal to). */
struct tlb_entry {
	u64 tag_r, tag_w, tag_x;
	s64 addend; /* host address = linear + addend */
};

/* After MOV CR3, CR0/CR4/EFER paging bits, VM entry/exit, CPL or AC/SMAP changes: find (or make) the right context. Cheap when nothing changed. */
void tlb_select(struct vcpu *cpu);

/* Flushes as the instruction of that name demands (it may drop more, never less). */
void tlb_flush_all(struct vcpu *cpu); /* every context of this processor */
void tlb_flush_current(struct vcpu *cpu, bool globals); /* present VPID (and EP4TA); present PCID, or all PCIDs with globals */
void tlb_flush_page(struct vcpu *cpu, u64 linear); /* INVLPG: present VPID, present PCID and globals */
void tlb_flush_pcid(struct vcpu *cpu, u16 pcid); /* INVPCID 1 / MOV CR3: non-global of one PCID, present VPID */
void tlb_flush_pcid_page(struct vcpu *cpu, u16 pcid, u64 linear); /* INVPCID 0 */
void tlb_flush_vpid(struct vcpu *cpu, u16 vpid); /* INVVPID 1 and 3; VM entry/exit with VPID disabled: vpid 0 */
void tlb_flush_vpid_page(struct vcpu *cpu, u16 vpid, u64 linear); /* INVVPID 0 */
void tlb_flush_vpid_all(struct vcpu *cpu); /* INVVPID 2 */
void tlb_flush_ept(struct vcpu *cpu, u64 ep4ta); /* INVEPT 1; ep4ta: EPTP bits 51:12 */
void tlb_flush_ept_all(struct vcpu *cpu); /* INVEPT 2 */
/* One guest-physical page changed rights in place and the processor itself knows (A/D write protection of PML and the like): present EP4TA. */
void tlb_flush_guest_physical(struct vcpu *cpu, u64 guest_physical);

#endif
