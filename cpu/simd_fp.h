/*
 * Floating point of vector instructions on the host's own unit.
 *
 * Between fp_begin() and fp_end() the host's MXCSR has the guest's rounding, DAZ and FTZ, and all exceptions masked; the operations in
 * between are asm volatile between registers, so the compiler keeps them there. fp_end() adds the new flags to the guest's MXCSR, or raises
 * #XM (or #UD, if the operating system does not ask for #XM) when one is unmasked; results are stored only after it.
 *
 * Flags are sticky in the host as in the guest: while all exceptions are masked, the host keeps the guest's flags from one instruction to the
 * next, and MXCSR is not loaded at all. That harms nobody, because nestbox itself uses no floating point that looks at flags.
 *
 * After an unmasked overflow or underflow, PE is about the result with an unbounded exponent, and only a unit that has them unmasked tells. So
 * fp_end() may ask for the operation once more, this time with them unmasked in the host; the host's signal is caught.
 *
 * Source: SDM 1, "SIMD Floating-Point Exceptions" and "SIMD Floating-Point Exception Priority".
 */
#ifndef NB_CPU_SIMD_FP_H
#define NB_CPU_SIMD_FP_H

#include "cpu/simd.h"

#define MXCSR_IE BIT(0)
#define MXCSR_DE BIT(1)
#define MXCSR_ZE BIT(2)
#define MXCSR_OE BIT(3)
#define MXCSR_UE BIT(4)
#define MXCSR_PE BIT(5)
#define MXCSR_FLAGS 0x3fu
#define MXCSR_DAZ BIT(6)
#define MXCSR_MASKS 0x1f80u
#define MXCSR_MASK_SHIFT 7
#define MXCSR_OM BIT(10)
#define MXCSR_UM BIT(11)
#define MXCSR_RC_SHIFT 13
#define MXCSR_FTZ BIT(15)
#define MXCSR_MODES 0xe040u /* FTZ, RC, DAZ */

INLINE u32
host_mxcsr(void)
{
	u32 value;
	asm volatile("stmxcsr %0" : "=m"(value));
	return value;
}

INLINE void
host_set_mxcsr(u32 value)
{
	asm volatile("ldmxcsr %0" : : "m"(value));
}

INLINE void
fp_begin(struct vcpu *cpu)
{
	u32 want = cpu->mxcsr | MXCSR_MASKS;
	if (unlikely((cpu->mxcsr & MXCSR_MASKS) != MXCSR_MASKS)) {
		want &= ~MXCSR_FLAGS;
		if (!(cpu->mxcsr & MXCSR_UM))
			want &= (u32)~MXCSR_FTZ; /* it acts only when underflow is masked */
	}
	if (host_mxcsr() != want)
		host_set_mxcsr(want);
}

/* Adds flags that an operation has found; leaves by #XM when one is unmasked. */
void fp_flags(struct vcpu *cpu, u32 flags);
/* The rest of fp_end() with exceptions unmasked. */
bool fp_end_unmasked(struct vcpu *cpu, u32 flags, const void *results, unsigned size, unsigned count);

/*
 * `size`: of the elements of the result if the operation can overflow or underflow, else 0; `count` of them in *results. True: the operation must
 * be done once more, with the same operands, and fp_end() called again. Never with size 0.
 */
INLINE bool
fp_end(struct vcpu *cpu, const void *results, unsigned size, unsigned count)
{
	u32 now = host_mxcsr();
	if (unlikely(now & MXCSR_MODES))
		host_set_mxcsr(MXCSR_MASKS);
	if (likely((cpu->mxcsr & MXCSR_MASKS) == MXCSR_MASKS)) {
		cpu->mxcsr |= now & MXCSR_FLAGS;
		return false;
	}
	return fp_end_unmasked(cpu, now & MXCSR_FLAGS, results, size, count) && size;
}

/* --- the formats, as bits; size is 4 or 8 --- */

INLINE unsigned
fp_fraction_bits(unsigned size)
{
	return size == 4 ? 23 : 52;
}

INLINE u64
fp_infinity(unsigned size)
{
	return size == 4 ? 0x7f800000 : 0x7ff0000000000000;
}

INLINE u64
fp_sign(unsigned size)
{
	return size == 4 ? 0x80000000 : 0x8000000000000000;
}

INLINE u64
fp_quiet_bit(unsigned size)
{
	return size == 4 ? 0x00400000 : 0x0008000000000000;
}

INLINE u64
fp_default_nan(unsigned size)
{
	return size == 4 ? 0xffc00000 : 0xfff8000000000000;
}

INLINE bool
fp_is_nan(u64 x, unsigned size)
{
	return (x & ~fp_sign(size)) > fp_infinity(size);
}

INLINE bool
fp_is_snan(u64 x, unsigned size)
{
	return fp_is_nan(x, size) && !(x & fp_quiet_bit(size));
}

INLINE bool
fp_is_denormal(u64 x, unsigned size)
{
	u64 magnitude = x & ~fp_sign(size);
	return magnitude && magnitude >> fp_fraction_bits(size) == 0;
}

#endif
