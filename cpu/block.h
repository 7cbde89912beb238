/*
 * Blocks of decoded instructions, cached by (host address of the first byte, mode).
 *
 * A block lies in one page (or is one instruction across two) and ends at the first END instruction, unconditional jump, page end or
 * BLOCK_MAX instructions; conditional jumps leave from the middle. It runs only if all of it fits before the next event; else its first instructions
 * are decoded again into a scratch block of exactly the right length. A dead block has n = INT64_MAX, so that every way into it fails the
 * same compare that guards the budget.
 */
#ifndef NB_CPU_BLOCK_H
#define NB_CPU_BLOCK_H

#include "cpu/insn.h"

#define BLOCK_MAX 32

/* What decoded code depends on besides its bytes. */
enum mode_bits {
	MODE_CODE32 = BIT(0),
	MODE_CODE64 = BIT(1),
	MODE_STACK32 = BIT(2),
	MODE_FLAT = BIT(3),    /* DS, ES, SS: base 0, limit 4 GiB, writable; or 64-bit mode */
	MODE_CS_FLAT = BIT(4), /* CS: base 0, limit 4 GiB; or 64-bit mode */
	MODE_CPL0 = BIT(5),
	MODE_PROTECTED = BIT(6), /* CR0.PE and not virtual-8086 */
	MODE_EM = BIT(7),
	MODE_TS = BIT(8),
	MODE_OSFXSR = BIT(9),
	MODE_AVX = BIT(10), /* CR4.OSXSAVE and XCR0[2:1] = 3 */
	MODE_CHECKED = BIT(11), /* every access is looked at: alignment checking or data breakpoints */
};

struct block {
	s64 n; /* instructions; INT64_MAX: dead, must not be entered */
	const u8 *code; /* host address of the first byte */
	struct block *hash_next, *page_next;
	u32 mode;
	u16 bytes;
	u8 pad[26];
	struct insn insn[];
};
_Static_assert(sizeof(struct block) == 64, "the header is found from the first instruction");

static inline const struct block *
block_of(const struct insn *first)
{
	return (const struct block *)first - 1;
}

/* The block that is never entered: what unresolved jumps point at. */
struct stub_block {
	struct block header;
	struct insn insn[1];
};
extern struct stub_block block_stub;

struct block_cache *block_cache_new(struct memory *m);
void block_cache_free(struct block_cache *c);

/*
 * The first instruction of the block at cpu->rip, decoded if need be; sets cpu->rip_page. Raises the fetch's faults. Never a dead block, and
 * not necessarily one that fits the budget. NULL: a listener stopped the machine here (hooks.h).
 */
const struct insn *block_find(struct vcpu *cpu);
/* A scratch block of at most `limit` instructions from cpu->rip, for now. `limit` is all that is left before the next event. */
const struct insn *block_scratch(struct vcpu *cpu, unsigned limit);
/* The one instruction at cpu->rip, which returns to the run loop whatever it is. */
const struct insn *block_alone(struct vcpu *cpu);

/* Empties the cache: what blocks depend on besides code and mode has changed. Not while a block is being executed. */
void block_forget_all(struct vcpu *cpu);

/* Jump `link` has led to the block of `to`, in the same page: next time it goes there directly. */
void block_link(struct vcpu *cpu, const struct insn *link, const struct insn *to);

/* memory.code_written: bytes of a page with decoded code change. */
void block_code_written(void *cpus, u64 physical, u64 size);

/* Data breakpoints that an access hits become pending #DB traps. */
void cpu_data_breakpoints(struct vcpu *cpu, u64 linear, unsigned size, bool write);
/* I/O breakpoints (CR4.DE): a trap after the access. */
void cpu_io_breakpoints(struct vcpu *cpu, u16 port, unsigned size);

/* fast.c: the fast form for the instruction in this mode, or NULL. May rewrite operands to suit it. */
void fast_init(void);
handler fast_form(struct insn *in, u32 mode);
/* Does `in` have a linkable target (its imm is unused)? */
bool fast_is_direct_jump(const struct insn *in);
/* Gives a block's instructions handlers that know their neighbours: flags, pairs. */
void fast_fuse(struct insn *in, unsigned n);

/* dispatch.c: the handlers around op_x, chosen by row and mode */
handler slow_form(const struct insn *in, u32 mode);
hret h_slow(HARGS); /* run op_x, go on */
hret h_slow_end(HARGS); /* run op_x, leave the block */
hret h_jump_slow(HARGS); /* direct branch taken, all but RIP committed; no valid target linked */
hret h_fall(HARGS); /* end of block without a branch */
hret h_stop(HARGS); /* end of a scratch block */
hret h_undefined(HARGS);
hret h_general_protection(HARGS);

#endif
