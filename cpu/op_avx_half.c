/*
 * F16C: VCVTPH2PS, VCVTPS2PH, in integers on every host.
 *
 * To half precision MXCSR.FTZ is ignored and DAZ is not; from half precision neither matters, and denormals are no exception.
 *
 * Source: SDM 2, the instructions by name; SDM 1, "Half-Precision Floating-Point Conversion".
 */
#include "cpu/simd_soft.h"

static u32
half_to_single(u16 h, u32 *flags)
{
	u32 sign = (u32)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 0x3ff;
	if (exponent == 31) {
		if (fraction && !(fraction & 0x200))
			*flags |= MXCSR_IE;
		return sign | 0x7f800000 | fraction << 13 | (fraction ? 0x400000 : 0);
	}
	if (exponent)
		return sign | (exponent + 127 - 15) << 23 | fraction << 13;
	if (!fraction)
		return sign;
	unsigned shift = (unsigned)__builtin_clz(fraction) - 21; /* to bit 10 */
	return sign | (127 - 14 - shift) << 23 | (fraction << shift & 0x3ff) << 13;
}

static u16
single_to_half(u32 x, unsigned rounding, u32 mxcsr, u32 *flags)
{
	static const struct format half = {10, 5};
	u32 sign = x >> 31, exponent = x >> 23 & 255, fraction = x & 0x7fffff;
	u16 sign_bit = (u16)(sign << 15);
	if (exponent == 255) {
		if (fraction && !(fraction & 0x400000))
			*flags |= MXCSR_IE;
		return (u16)(sign_bit | 0x7c00 | fraction >> 13 | (fraction ? 0x200 : 0));
	}
	if (!exponent && fraction) {
		if (mxcsr & MXCSR_DAZ)
			fraction = 0;
		else
			*flags |= MXCSR_DE;
	}
	if (!exponent && !fraction)
		return sign_bit;
	u32 significand = exponent ? fraction | 0x800000 : fraction;
	return (u16)soft_round(sign, significand, (int)(exponent ? exponent : 1) - 127 - 23, half, rounding, mxcsr & ~MXCSR_FTZ, flags);
}

void
op_vcvtph2ps(HANDLER_ARGS)
{
	union lane source = lane_zero(), r[2] = {lane_zero(), lane_zero()};
	u32 flags = 0;
	if (insn_is_mem(in))
		vec_rm_read(cpu, in, &source, is_256(in) ? 16 : 8, false);
	else
		source = lane_get(cpu, in->rs, 0);
	for (unsigned n = 0; n < (is_256(in) ? 8 : 4); n++)
		r[n / 4].d[n % 4] = half_to_single(source.w[n], &flags);
	fp_flags(cpu, flags);
	vec_commit(cpu, in, in->rd, r[0], r[1]);
}

/* Immediate: 1:0 rounding, 2 MXCSR's instead. */
void
op_vcvtps2ph(HANDLER_ARGS)
{
	union lane r = lane_zero();
	unsigned rounding = in->imm & 4 ? cpu->mxcsr >> MXCSR_RC_SHIFT & 3 : in->imm & 3, bytes = is_256(in) ? 16 : 8;
	u32 flags = 0;
	for (unsigned n = 0; n < bytes / 2; n++)
		r.w[n] = single_to_half(cpu->vec[in->rd & 15].d[n], rounding, cpu->mxcsr, &flags);
	if (insn_is_mem(in))
		mem_probe_write(cpu, insn_linear(cpu, in, bytes, ACCESS_WRITE), bytes);
	fp_flags(cpu, flags);
	if (insn_is_mem(in))
		vec_rm_write(cpu, in, &r, bytes, false);
	else
		vec_commit_128(cpu, in, in->rs, r);
}
