/*
 * Rounding an exact number to a binary format, in integers: what FMA and half precision need where the host's unit cannot be asked.
 *
 * Source: SDM 1, "Floating-Point Formats", "Underflow" (tininess is detected after rounding), "Flush-To-Zero".
 */
#ifndef NB_CPU_SIMD_SOFT_H
#define NB_CPU_SIMD_SOFT_H

#include "cpu/simd_fp.h"

struct format {
	unsigned fraction_bits, exponent_bits;
};

/*
 * significand * 2^exponent, not zero, rounded. Bit 0 may stand for everything below it ("jammed") if there are spare bits. Of MXCSR count FTZ and the
 * masks of overflow and underflow; when one of these is unmasked and happens, the result is of no use.
 */
static inline u64
soft_round(u64 sign, u128 significand, int exponent, struct format f, unsigned rounding, u32 mxcsr, u32 *flags)
{
	int bias = (1 << (f.exponent_bits - 1)) - 1, lowest = 1 - bias; /* exponent of the smallest normal number */
	u64 sign_bit = sign ? BIT(f.fraction_bits + f.exponent_bits) : 0;
	int top = (u64)(significand >> 64) ? 127 - __builtin_clzll((u64)(significand >> 64)) : 63 - __builtin_clzll((u64)significand);
	bool toward_infinity = rounding == (sign ? 1 : 2);
	/* First as if exponents were unbounded, to see whether the result is tiny; then with the exponent held. */
	bool tiny = false, inexact = false, inexact_unbounded = false;
	u64 kept = 0;
	int unit = 0;
	for (int bounded = 0; bounded < 2; bounded++) {
		unit = exponent + top - (int)f.fraction_bits;
		if (bounded)
			unit = MAX(unit, lowest - (int)f.fraction_bits);
		int drop = unit - exponent;
		u128 rest = 0, half = 0;
		if (drop <= 0) {
			kept = (u64)(significand << -drop);
		} else if (drop > 127) {
			kept = 0;
			rest = 1;
			half = 2;
		} else {
			kept = (u64)(significand >> drop);
			rest = significand & (((u128)1 << drop) - 1);
			half = (u128)1 << (drop - 1);
		}
		inexact = rest != 0;
		if (rounding == 0 ? rest > half || (rest == half && inexact && kept & 1) : toward_infinity && inexact)
			kept++;
		if (!bounded) {
			int magnitude = unit + (int)f.fraction_bits + (kept >> (f.fraction_bits + 1) ? 1 : 0);
			tiny = magnitude < lowest;
			inexact_unbounded = inexact;
		}
	}
	if (tiny && !(mxcsr & MXCSR_UM)) {
		*flags |= MXCSR_UE | (inexact_unbounded ? MXCSR_PE : 0);
		return sign_bit;
	}
	if (tiny && mxcsr & MXCSR_FTZ) {
		*flags |= MXCSR_UE | MXCSR_PE;
		return sign_bit;
	}
	if (inexact)
		*flags |= MXCSR_PE | (tiny ? MXCSR_UE : 0);
	if (kept >> (f.fraction_bits + 1)) {
		kept >>= 1;
		unit++;
	}
	if (unit + (int)f.fraction_bits > bias) {
		*flags |= MXCSR_OE | (inexact_unbounded || mxcsr & MXCSR_OM ? MXCSR_PE : 0);
		u64 infinity = ((1ull << f.exponent_bits) - 1) << f.fraction_bits;
		return sign_bit | (rounding == 0 || toward_infinity ? infinity : infinity - 1);
	}
	/* A significand without its leading bit is a denormal number: exponent field 0. The leading bit adds 1 to the field. */
	u64 field = (u64)(unit + (int)f.fraction_bits + bias - 1);
	return sign_bit | ((field << f.fraction_bits) + kept);
}

struct fma_operation {
	u8 x, y, z; /* operand numbers, from 0 */
	u8 size, bytes;
	bool negate_product, negate_even, negate_odd; /* negate the addend of even, odd elements */
};

/* An FMA instruction without the host's unit. */
void fma_soft(struct vcpu *cpu, const struct insn *in, const struct fma_operation *op);

#endif
