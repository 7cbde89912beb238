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

/* Where control goes for a RIP that indirect and cross-page branches have reached before, in this context. The target's block tells the mode. */
struct jump_entry {
	u64 rip; /* ~0 and the stub block when empty */
	struct insn *target;
};
#define JUMP_PAGES 64 /* groups, by linear page */
#define JUMP_SLOTS 32 /* entries of a group */

static inline unsigned
jump_index(u64 rip)
{
	return (unsigned)((rip >> 12 & (JUMP_PAGES - 1)) * JUMP_SLOTS + ((rip ^ rip >> 5) & (JUMP_SLOTS - 1)));
}

#define TLB_VICTIMS 8

enum { TLB_SUPERVISOR, TLB_USER, TLB_SUPERVISOR_AC, TLB_KINDS };

/* Entries of a context that a flush finds without looking through all. */
#define TLB_RECENT 32

/* Whose translations a context has: one address space, as seen with one set of paging-mode bits. */
struct tlb_key {
	u64 eptp, mode; /* mode: CR0, CR4, EFER bits that translations depend on, and PKRU */
	u16 vpid, pcid;
	bool valid;
	bool filled; /* entries or jumps may be there: else there is nothing to flush */
	u64 stamp;
};

/*
 * The paging-structure entries that all walks of a context have read, for flushes that are likely to find them unchanged. While they are, walking
 * again would give what the context has.
 */
#define TLB_BASIS 48
struct tlb_basis {
	bool complete; /* no walk is missing; else the rest means nothing */
	u8 count;
	u64 cr3;
	struct {
		const u8 *host;
		u64 value;
	} entry[TLB_BASIS];
};

struct tlb_context {
	struct tlb_key *key;
	struct tlb_basis basis;
	/* Which 4 MiB and 1 GiB regions (number modulo 64) have entries that are pieces of larger pages; and which have such ones for fetching. */
	u64 large[2], large_code[2];
	u64 used[TLB_KINDS][TLB_SIZE / 64];
	/* The entries in `used` are among these while there are not more than TLB_RECENT. */
	u16 recent[TLB_RECENT];
	unsigned recents;
	struct tlb_entry entry[TLB_KINDS][TLB_SIZE];
	/* What lately had to make room for a page of the same slot: programs use two such pages in turns. Emptied by every flush. */
	struct tlb_entry victim[TLB_KINDS][TLB_VICTIMS];
	u8 next_victim[TLB_KINDS];
	bool victims;
	struct jump_entry jump[2][JUMP_PAGES * JUMP_SLOTS]; /* supervisor, user */
	u64 jump_used[2];
};
#define TLB_CONTEXTS 16

struct tlb_contexts {
	struct tlb_key key[TLB_CONTEXTS]; /* of the context with the same number */
	struct tlb_context context[TLB_CONTEXTS];
	u64 clock;
};

struct state;
/* Translations as they are, for checkpoints of this process: stale ones stay as stale as they were. When loading, after everything else. */
void tlb_state(struct vcpu *cpu, struct state *s);

struct tlb_contexts *tlb_new(void);
void tlb_free(struct tlb_contexts *t);

static inline struct tlb_entry *
tlb_at(struct tlb_entry *tlb, u64 linear)
{
	return (struct tlb_entry *)((char *)tlb + (linear >> 7 & ((u64)(TLB_SIZE - 1) << 5)));
}

/* Where an access goes. */
struct tlb_target {
	u8 *host;     /* of the byte; NULL: by physical address */
	u64 physical; /* always valid */
	bool special; /* the APIC-access page of VMX */
};
/* Translates, raising what must be raised, and remembers what may be remembered. */
void tlb_translate(struct vcpu *cpu, u64 linear, unsigned access, struct tlb_target *out);
/* A page got its first decoded code: stores to it must be seen. All contexts. */
void tlb_protect_code(struct vcpu *cpu, const u8 *host_page);

/* Empties the jump caches: blocks are about to be freed. */
void tlb_forget_jumps(struct vcpu *cpu);

/* After MOV CR3, CR0/CR4/EFER paging bits, VM entry/exit, CPL or AC/SMAP changes: find (or make) the right context. Cheap when nothing changed. */
void tlb_select(struct vcpu *cpu);

/* A20M# or what decides whether it counts has changed: VMX operation ignores it (SDM 3, "Restrictions on VMX Operation"). */
void tlb_address_mask_changed(struct vcpu *cpu);

/* Flushes as the instruction of that name demands (it may drop more, never less). */
void tlb_flush_all(struct vcpu *cpu); /* every context of this processor */
void tlb_flush_current(struct vcpu *cpu, bool globals); /* present VPID (and EP4TA); present PCID, or all PCIDs with globals */
/*
 * A toggle of CR4.PGE: as tlb_flush_current() with globals, but translations whose paging-structure entries are unchanged stay, as
 * if the processor had walked again at once; it may at any time (SDM 3, "Caching Translation Information").
 */
void tlb_renew(struct vcpu *cpu);
void tlb_flush_page(struct vcpu *cpu, u64 linear); /* INVLPG: present VPID, present PCID and globals */
void tlb_flush_pcid(struct vcpu *cpu, u16 pcid); /* INVPCID 1 / MOV CR3: non-global of one PCID, present VPID */
void tlb_flush_pcid_page(struct vcpu *cpu, u16 pcid, u64 linear); /* INVPCID 0 */
void tlb_flush_vpid(struct vcpu *cpu, u16 vpid); /* INVVPID 1 and 3; VM entry/exit with VPID disabled: vpid 0 */
void tlb_flush_vpid_page(struct vcpu *cpu, u16 vpid, u64 linear); /* INVVPID 0 */
void tlb_flush_vpid_all(struct vcpu *cpu); /* INVVPID 2 */
void tlb_flush_ept(struct vcpu *cpu, u64 ep4ta); /* INVEPT 1; ep4ta: EPTP bits 51:12, as a number */
void tlb_flush_ept_all(struct vcpu *cpu); /* INVEPT 2 */

#endif
