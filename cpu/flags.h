/*
 * Lazy status flags, and the pure kernels that produce them.
 *
 * cc_op = kind * 4 + log2(size). All operands are kept sign-extended to 64 bits, so the common conditions need no size:
 *   CC_RAW    cc_y = the six flags at their RFLAGS places
 *   CC_ADD    cc_x = result, cc_y = second operand               CF: x < y unsigned
 *   CC_SUB    cc_x = first operand, cc_y = second operand        CF: x < y unsigned; ZF: x == y; SF != OF: x < y signed
 *   CC_LOGIC  cc_x = result; CF, OF, AF = 0
 *   CC_RES    cc_x = result for SF, ZF, PF; cc_y = CF (bit 0) | AF (bit 4) | OF (bit 11)
 */
#ifndef NB_CPU_FLAGS_H
#define NB_CPU_FLAGS_H

#include "cpu/state.h"

#define CC(kind, log2size) ((kind) * 4 + (log2size))

static inline void
cc_set(struct vcpu *cpu, u32 op, u64 x, u64 y)
{
	cpu->cc_op = op;
	cpu->cc_x = x;
	cpu->cc_y = y;
}

/* Sets all six status flags at once; other bits of `flags` are ignored. */
static inline void
cc_set_raw(struct vcpu *cpu, u64 flags)
{
	cpu->cc_op = CC(CC_RAW, 0);
	cpu->cc_y = flags & FLAGS_STATUS;
}

static inline bool
cc_cf(const struct vcpu *cpu)
{
	switch (cpu->cc_op >> 2) {
	case CC_RAW:
	case CC_RES: return cpu->cc_y & FLAG_CF;
	case CC_ADD:
	case CC_SUB: return cpu->cc_x < cpu->cc_y;
	default: return false;
	}
}

static inline bool
cc_zf(const struct vcpu *cpu)
{
	switch (cpu->cc_op >> 2) {
	case CC_RAW: return cpu->cc_y & FLAG_ZF;
	case CC_SUB: return cpu->cc_x == cpu->cc_y;
	default: return cpu->cc_x == 0;
	}
}

/* All six status flags at their RFLAGS places. */
u64 cc_flags(const struct vcpu *cpu);
/* Condition code 0..15 as in Jcc. */
bool cc_condition(const struct vcpu *cpu, unsigned condition);

static inline bool
cc_parity(u64 x)
{
	return !__builtin_parity((u8)x);
}

#endif
