/* Macros of the fast handlers: registers, addresses, the inlined TLB hit, going on and leaving. Only for dispatch.c and fast_*.c. */
#ifndef NB_CPU_DISPATCH_H
#define NB_CPU_DISPATCH_H

#include "bus/memory.h"
#include "cpu/alu.h"
#include "cpu/block.h"
#include "cpu/tlb.h"

/* Guest memory and registers are seen through types that may alias anything and need no alignment. */
typedef u8 __attribute__((may_alias, aligned(1))) m8;
typedef u16 __attribute__((may_alias, aligned(1))) m16;
typedef u32 __attribute__((may_alias, aligned(1))) m32;
typedef u64 __attribute__((may_alias, aligned(1))) m64;
#define MTYPE_0 m8
#define MTYPE_1 m16
#define MTYPE_2 m32
#define MTYPE_3 m64

#ifdef NB_NO_TAILCALL
#define TAIL(f) return f(HPASS)
#define GO(to) return to
#define LEAVE return NULL
#else
#ifdef __clang__
#define MUSTTAIL __attribute__((musttail))
#else
#define MUSTTAIL
#endif
#define TAIL(f) MUSTTAIL return f(HPASS)
#define GO(to)                                                                                                                             \
	do {                                                                                                                               \
		i = (to);                                                                                                                  \
		MUSTTAIL return i->fn(HPASS);                                                                                              \
	} while (0)
#define LEAVE return
#endif
#define NEXT GO(i + 1)

#define REG(s, offset) (*(MTYPE_##s *)((char *)cpu + (offset)))
/* 32-bit results clear the upper half. */
#define SET_0(offset, v) (REG(0, offset) = (u8)(v))
#define SET_1(offset, v) (REG(1, offset) = (u16)(v))
#define SET_2(offset, v) (REG(3, offset) = (u32)(v))
#define SET_3(offset, v) (REG(3, offset) = (v))
#define SET(s, offset, v) SET_##s(offset, v)

/* The three address forms. */
#define EA_bd (REG(3, i->rb) + (u64)(s64)i->disp)
#define EA_bx (REG(3, i->rb) + (REG(3, i->rx) << EA_SCALE(i->ea)) + (u64)(s64)i->disp)
#define EA_a32 ((u64)(u32)EA_bx)

/* One compare decides hit, permission, page crossing, MMIO, dirty and code pages; all else is h_slow's. */
#define HOST_OR(s, tag, host, address, otherwise)                                                                                          \
	u64 host##_a = (address);                                                                                                          \
	struct tlb_entry *host##_e = tlb_at(cpu->tlb, host##_a);                                                                           \
	if (unlikely(((host##_a + (1u << s) - 1) & PAGE_MASK) != host##_e->tag))                                                           \
		TAIL(otherwise);                                                                                                           \
	MTYPE_##s *host = (MTYPE_##s *)(uintptr_t)(host##_a + (u64)host##_e->addend)
#define HOST_R(s, host, address) HOST_OR(s, tag_r, host, address, h_slow)
#define HOST_W(s, host, address) HOST_OR(s, tag_w, host, address, h_slow)

/* Taken direct branch: one compare covers budget, unlinked and dead targets. */
#define JUMP                                                                                                                               \
	do {                                                                                                                               \
		const struct insn *jump_to = i->target;                                                                                    \
		s64 jump_left = cpu->left - i->idx - 1;                                                                                    \
		if (unlikely(jump_left < block_of(jump_to)->n))                                                                            \
			TAIL(h_jump_slow);                                                                                                 \
		cpu->left = jump_left;                                                                                                     \
		GO(jump_to);                                                                                                               \
	} while (0)

/* The jump cache's target for `to_rip`, or NULL when unknown, in another mode or too long for the budget. */
static inline const struct insn *
jump_lookup(struct vcpu *cpu, u64 to_rip, s64 left)
{
	struct jump_entry *e = &cpu->jumps[jump_index(to_rip)];
	const struct block *b = block_of(e->target);
	return likely(e->rip == to_rip && b->mode == cpu->mode && left >= b->n) ? e->target : NULL;
}

/* Indirect branch to `to`, with `commit` done only when it goes through; else the complete form. CS is flat here. */
#define JUMP_INDIRECT(to, commit)                                                                                                          \
	do {                                                                                                                               \
		u64 to_rip = (to);                                                                                                         \
		s64 to_left = cpu->left - i->idx - 1;                                                                                      \
		const struct insn *to_insn = jump_lookup(cpu, to_rip, to_left);                                                            \
		if (unlikely(!to_insn))                                                                                                    \
			TAIL(h_slow_end);                                                                                                  \
		commit;                                                                                                                    \
		cpu->left = to_left;                                                                                                       \
		cpu->rip_page = to_rip & PAGE_MASK;                                                                                        \
		GO(to_insn);                                                                                                               \
	} while (0)

#endif
