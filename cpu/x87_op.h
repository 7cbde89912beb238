/*
 * What the files of x87 instructions share.
 *
 * An instruction reads its operands (stack faults found on the way are answered at once), computes, writes memory, and
 * only then ends: x87_end() sets the pointers and the flags and says whether the result counts. An unmasked exception
 * does not fault here but at the next waiting instruction.
 *
 * Source: SDM 1, "x87 FPU Floating-Point Exception Conditions" and "x87 FPU Exception Synchronization".
 */
#ifndef NB_CPU_X87_OP_H
#define NB_CPU_X87_OP_H

#include "cpu/access.h"
#include "cpu/x87.h"

#define INLINE static inline __attribute__((always_inline))

#define SIGNIFICAND_ONE 0x8000000000000000ull /* the integer bit */
#define QUIET_BIT 0x4000000000000000ull
#define EXPONENT_MASK 0x7fff
#define EXPONENT_BIAS 0x3fff

static const struct fpreg x87_indefinite = {0xc000000000000000, 0xffff};

/* Exceptions found before the computation: if unmasked, there is no result. */
#define X87_BEFORE (X87_IE | X87_DE | X87_ZE)
#define X87_STACK_UNDERFLOW (X87_IE | X87_SF)
#define X87_STACK_OVERFLOW (X87_IE | X87_SF | X87_C1)

/*
 * Ends a non-control instruction. `found`: exception flags, SF and C1. Sets FIP and, as the model does, FDP and FOP.
 * False if an unmasked exception of X87_BEFORE was found.
 */
bool x87_end(struct vcpu *cpu, const struct insn *in, unsigned found);

/* Stack underflow of an instruction whose masked answer is an indefinite in ST(i), then a pop if `pop`. */
void x87_underflow(struct vcpu *cpu, const struct insn *in, unsigned i, bool pop);

/* Pushes a value, or answers a stack overflow. `found` as in x87_end(). */
void x87_push(struct vcpu *cpu, const struct insn *in, struct fpreg value, unsigned found);

INLINE void
x87_set(struct x87 *x, unsigned i, struct fpreg value)
{
	unsigned n = x87_number(x, i);
	x->r[n] = value;
	x->empty &= (u8)~BIT(n);
}

INLINE void
x87_pop(struct x87 *x)
{
	x->empty |= (u8)BIT(x87_top(x));
	x87_set_top(x, x87_top(x) + 1);
}

/* --- classes --- */

INLINE unsigned
exponent_of(struct fpreg v)
{
	return v.sign_exponent & EXPONENT_MASK;
}

INLINE bool
is_negative(struct fpreg v)
{
	return v.sign_exponent >> 15;
}

INLINE bool
is_zero(struct fpreg v)
{
	return !exponent_of(v) && !v.significand;
}

/* Pseudo-NaN, pseudo-infinity, unnormal. */
INLINE bool
is_unsupported(struct fpreg v)
{
	return exponent_of(v) && !(v.significand & SIGNIFICAND_ONE);
}

INLINE bool
is_infinity(struct fpreg v)
{
	return exponent_of(v) == EXPONENT_MASK && v.significand == SIGNIFICAND_ONE;
}

INLINE bool
is_nan(struct fpreg v)
{
	return exponent_of(v) == EXPONENT_MASK && v.significand > SIGNIFICAND_ONE;
}

INLINE bool
is_snan(struct fpreg v)
{
	return is_nan(v) && !(v.significand & QUIET_BIT);
}

/* Denormal or pseudo-denormal: both raise #D. */
INLINE bool
is_denormal(struct fpreg v)
{
	return !exponent_of(v) && v.significand;
}

#endif
