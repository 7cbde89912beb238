/*
 * The decoded instruction, and how handlers see it.
 *
 * insn.def has one row per instruction; decode.c turns bytes into struct insn by those rows. Every row names one handler
 *	void op_x(struct vcpu *cpu, const struct insn *in)
 * that executes the instruction completely, for every operand form and size, by ordinary calls (access.h). It reads like the manual's Operation
 * section: checks, loads, compute, stores, flags; nothing is committed before the last access that can fault. Hot families have fast
 * forms besides (fast_*.c), made from the same kernels; whenever a fast form meets anything unusual it leaves the work to op_x.
 */
#ifndef NB_CPU_INSN_H
#define NB_CPU_INSN_H

#include "cpu/state.h"

#define HARGS struct vcpu *cpu, const struct insn *i
#define HPASS cpu, i
/*
 * A dispatch handler executes its instruction and goes on to the next by a tail call; it returns only to leave the block. In builds that
 * cannot count on tail calls (sanitizers) it returns the next instruction instead, NULL to leave.
 */
#ifdef NB_NO_TAILCALL
typedef const struct insn *hret;
#else
typedef void hret;
#endif
typedef hret (*handler)(HARGS);

struct insn {
	handler fn;
	union {
		s64 imm; /* immediate, sign-extended as the instruction wants it; far pointers: offset | selector << 32; ENTER: iw | ib << 16 */
		const struct insn *target; /* direct jumps, patched */
	};
	s32 disp; /* memory: displacement. Direct jumps: displacement from the next instruction */
	/*
	 * Registers. General registers are byte offsets into struct vcpu (AH..BH at reg*8+1). Vector, MMX, segment, control and debug registers are
	 * numbers.
	 */
	u8 rd; /* the ModRM.reg operand, or the register in the opcode byte */
	u8 rs; /* the ModRM.rm operand when it is a register (mod = 3) */
	u8 rb, rx; /* memory base and index, byte offsets; ZERO_SLOT when absent; rip_page for RIP-relative */
	u16 op; /* enum insn_op: the row */
	u8 ea; /* EA_*: address form */
	u8 prefix; /* PREFIX_*: operand size, REP, LOCK, VEX.L, W */
	u16 where; /* offset of the first byte in its page (11:0), length in bytes (15:12) */
	u8 idx; /* instructions before this one in the block */
	u8 rv; /* VEX.vvvv operand: register number, or byte offset for general registers */
};
_Static_assert(sizeof(struct insn) == 32, "two to a cache line");

#define ZERO_SLOT offsetof(struct vcpu, zero)
#define RIP_SLOT offsetof(struct vcpu, rip_page)
#define TWO_GIB_SLOT offsetof(struct vcpu, two_gib)

#define EA_SCALE(ea) ((ea) & 3)          /* shift count of the index */
#define EA_SEG(ea) (((ea) >> 2) & 7)     /* ES..GS, override applied */
#define EA_ASIZE(ea) (((ea) >> 5) & 3)   /* 1: 16-bit, 2: 32-bit, 3: 64-bit addresses */
#define EA_MEM 0x80                      /* the rm operand is memory */

#define PREFIX_OSIZE(p) ((p) & 3)        /* log2 of the operand size: 0 byte rows, 1 word, 2 dword, 3 qword */
#define PREFIX_REPNE 0x04                /* F2 */
#define PREFIX_REP 0x08                  /* F3 */
#define PREFIX_LOCK 0x10
#define PREFIX_L 0x20                    /* VEX.L: 256 bits */
#define PREFIX_W 0x40                    /* REX.W or VEX.W */
#define PREFIX_VEX 0x80                  /* VEX encoded: vector destination bits above VL are zeroed */

static inline unsigned
insn_length(const struct insn *in)
{
	return in->where >> 12;
}

/* Operand size in bytes: 2, 4 or 8 for v and z operands; 1 in rows whose first operand is a byte (Eb, Gb, Zb, AL, Xb, Yb). */
static inline unsigned
insn_osize(const struct insn *in)
{
	return 1u << PREFIX_OSIZE(in->prefix);
}

static inline bool
insn_is_mem(const struct insn *in)
{
	return in->ea & EA_MEM;
}

/* The address of the executing instruction (RIP, masked to 32 bits outside 64-bit mode) and of the one after it. */
static inline u64
insn_rip(const struct vcpu *cpu, const struct insn *in)
{
	u64 rip = cpu->rip_page + (in->where & 0xfff);
	return cpu->long64 ? rip : (u32)rip;
}

static inline u64
insn_next_rip(const struct vcpu *cpu, const struct insn *in)
{
	u64 rip = cpu->rip_page + (in->where & 0xfff) + insn_length(in);
	return cpu->long64 ? rip : (u32)rip;
}

enum insn_op {
#define INSN(id, syntax, opcode, feature, attributes, fn) INSN_##id,
#include "cpu/insn.def"
#undef INSN
	INSN_COUNT
};

#define INSN(id, syntax, opcode, feature, attributes, fn) void fn(struct vcpu *cpu, const struct insn *in);
#include "cpu/insn.def"
#undef INSN

#endif
