/*
 * FMA: x * y + z with one rounding. On the host's unit if it has FMA, else in integers; both give the same bits.
 *
 * The digits of a mnemonic say which operand (1 destination, 2 vvvv, 3 ModRM.rm) is x, y and z.
 *
 * Source: SDM 1, "Fused-Multiply-ADD (FMA) Extensions" and "FMA Instruction Operand Order and Arithmetic Behavior"; SDM 2, by name.
 */
#include "cpu/simd_soft.h"

struct number {
	u64 sign, significand; /* 0: zero */
	int exponent;          /* of bit 0 of the significand */
};

static struct number
unpack(u64 x, unsigned size)
{
	unsigned fraction_bits = fp_fraction_bits(size);
	int field = (int)((x & ~fp_sign(size)) >> fraction_bits), bias = size == 4 ? 127 : 1023;
	u64 fraction = x & (BIT(fraction_bits) - 1);
	return (struct number){x & fp_sign(size), field ? fraction | BIT(fraction_bits) : fraction, MAX(field, 1) - bias - (int)fraction_bits};
}

/* Moves the leading bit to bit 125. */
static u128
normalise(u128 significand, int *exponent)
{
	int zeros = (u64)(significand >> 64) ? __builtin_clzll((u64)(significand >> 64)) : 64 + __builtin_clzll((u64)significand);
	*exponent -= zeros - 2;
	return zeros >= 2 ? significand << (zeros - 2) : significand >> (2 - zeros);
}

static u128
shift_right_jam(u128 x, unsigned count)
{
	if (count > 127)
		return x != 0;
	return x >> count | ((x & (((u128)1 << count) - 1)) != 0);
}

/* x * y + z of finite numbers. */
static u64
multiply_add(struct number x, struct number y, struct number z, unsigned size, u32 mxcsr, u32 *flags)
{
	unsigned rounding = mxcsr >> MXCSR_RC_SHIFT & 3;
	u64 product_sign = x.sign ^ y.sign;
	u128 product = (u128)x.significand * y.significand, addend = z.significand;
	int product_exponent = x.exponent + y.exponent, exponent = z.exponent;
	struct format f = size == 4 ? (struct format){23, 8} : (struct format){52, 11};
	if (!product && !addend)
		return product_sign == z.sign ? z.sign : rounding == 1 ? fp_sign(size) : 0;
	if (!product)
		return soft_round(z.sign, addend, exponent, f, rounding, mxcsr, flags);
	product = normalise(product, &product_exponent);
	if (!addend)
		return soft_round(product_sign, product, product_exponent, f, rounding, mxcsr, flags);
	addend = normalise(addend, &exponent);
	if (product_exponent > exponent) {
		addend = shift_right_jam(addend, (unsigned)(product_exponent - exponent));
		exponent = product_exponent;
	} else {
		product = shift_right_jam(product, (unsigned)(exponent - product_exponent));
	}
	u64 sign = product_sign;
	u128 sum;
	if (product_sign == z.sign) {
		sum = product + addend;
	} else if (product >= addend) {
		sum = product - addend;
	} else {
		sum = addend - product;
		sign = z.sign;
	}
	if (!sum)
		return rounding == 1 ? fp_sign(size) : 0;
	return soft_round(sign, sum, exponent, f, rounding, mxcsr, flags);
}

static u64
soft_fma(u64 x, u64 y, u64 z, bool negate_product, bool negate_addend, unsigned size, u32 mxcsr, u32 *flags)
{
	u64 sign = fp_sign(size), infinity = fp_infinity(size), *operand[3] = {&x, &y, &z};
	bool any_denormal = false;
	for (unsigned n = 0; n < 3; n++)
		if (fp_is_denormal(*operand[n], size)) {
			any_denormal = true;
			if (mxcsr & MXCSR_DAZ)
				*operand[n] &= sign;
		}
	bool x_infinite = (x & ~sign) == infinity, y_infinite = (y & ~sign) == infinity, z_infinite = (z & ~sign) == infinity;
	bool x_zero = !(x & ~sign), y_zero = !(y & ~sign);
	if (fp_is_nan(x, size) || fp_is_nan(y, size) || fp_is_nan(z, size)) {
		if (fp_is_snan(x, size) || fp_is_snan(y, size) || fp_is_snan(z, size))
			*flags |= MXCSR_IE;
		u64 nan = fp_is_nan(x, size) ? x : fp_is_nan(y, size) ? y : z;
		return nan | fp_quiet_bit(size);
	}
	u64 product_sign = (x ^ y) & sign;
	if (negate_product)
		product_sign ^= sign;
	if (negate_addend)
		z ^= sign;
	if ((x_infinite && y_zero) || (y_infinite && x_zero) || ((x_infinite || y_infinite) && z_infinite && product_sign != (z & sign))) {
		*flags |= MXCSR_IE;
		return fp_default_nan(size);
	}
	if (any_denormal && !(mxcsr & MXCSR_DAZ))
		*flags |= MXCSR_DE;
	if (x_infinite || y_infinite)
		return product_sign | infinity;
	if (z_infinite)
		return z;
	struct number p = unpack(x, size), q = unpack(y, size);
	p.sign = product_sign;
	q.sign = 0;
	return multiply_add(p, q, unpack(z, size), size, mxcsr, flags);
}

/* Not inlined: 60 handlers share it. */
void
fma_soft(struct vcpu *cpu, const struct insn *in, const struct fma_operation *op)
{
	union lane s[3][2], r[2];
	u32 flags = 0;
	for (unsigned half = 0; half < 2; half++) {
		s[0][half] = lane_get(cpu, in->rd, half);
		s[1][half] = lane_get(cpu, in->rv, half);
		r[half] = s[0][half];
	}
	vec_read_b(cpu, in, s[2], op->bytes);
	for (unsigned at = 0; at < (op->bytes < 16 ? op->bytes : is_256(in) ? 32u : 16u); at += op->size) {
		u64 x = 0, y = 0, z = 0;
		memcpy(&x, (u8 *)s[op->x] + at, op->size);
		memcpy(&y, (u8 *)s[op->y] + at, op->size);
		memcpy(&z, (u8 *)s[op->z] + at, op->size);
		bool negate_addend = at / op->size & 1 ? op->negate_odd : op->negate_even;
		x = soft_fma(x, y, z, op->negate_product, negate_addend, op->size, cpu->mxcsr, &flags);
		memcpy((u8 *)r + at, &x, op->size);
	}
	fp_flags(cpu, flags);
	if (op->bytes == 16)
		vec_commit(cpu, in, in->rd, r[0], r[1]);
	else
		vec_commit_128(cpu, in, in->rd, r[0]);
}

#define FMA(name, suffix, form, x, y, z, size, bytes, negate_product, negate_even, negate_odd)                            \
	INLINE union lane lane_##name##form##suffix(union lane a, union lane b, union lane c)                             \
	{                                                                                                                 \
		asm volatile(#name #form #suffix " %2, %1, %0" : "+x"(a.ps) : "x"(b.ps), "x"(c.ps));                      \
		return a;                                                                                                 \
	}                                                                                                                 \
	void op_##name##form##suffix(HANDLER_ARGS)                                                                        \
	{                                                                                                                 \
		static const struct fma_operation op = {x, y, z, size, bytes, negate_product, negate_even, negate_odd};   \
		if (!__builtin_cpu_supports("fma")) {                                                                     \
			fma_soft(cpu, in, &op);                                                                           \
			return;                                                                                           \
		}                                                                                                         \
		union lane c[2], r[2];                                                                                    \
		vec_read_b(cpu, in, c, bytes);                                                                            \
		r[1] = lane_zero();                                                                                       \
		fp_begin(cpu);                                                                                            \
		do {                                                                                                      \
			r[0] = lane_##name##form##suffix(lane_get(cpu, in->rd, 0), lane_get(cpu, in->rv, 0), c[0]);       \
			if ((bytes) == 16 && is_256(in))                                                                  \
				r[1] = lane_##name##form##suffix(lane_get(cpu, in->rd, 1), lane_get(cpu, in->rv, 1), c[1]); \
		} while (fp_end(cpu, r, size, (bytes) < 16 ? 1 : (is_256(in) ? 32 : 16) / (size)));                       \
		if ((bytes) == 16)                                                                                        \
			vec_commit(cpu, in, in->rd, r[0], r[1]);                                                          \
		else                                                                                                      \
			vec_commit_128(cpu, in, in->rd, r[0]);                                                            \
	}
#define FMA_FORMS(name, suffix, size, bytes, negate_product, negate_even, negate_odd)                   \
	FMA(name, suffix, 132, 0, 2, 1, size, bytes, negate_product, negate_even, negate_odd)           \
	FMA(name, suffix, 213, 1, 0, 2, size, bytes, negate_product, negate_even, negate_odd)           \
	FMA(name, suffix, 231, 1, 2, 0, size, bytes, negate_product, negate_even, negate_odd)
#define FMA_PACKED(name, negate_product, negate_even, negate_odd)                         \
	FMA_FORMS(name, ps, 4, 16, negate_product, negate_even, negate_odd)               \
	FMA_FORMS(name, pd, 8, 16, negate_product, negate_even, negate_odd)
#define FMA_ALL(name, negate_product, negate_addend)                                      \
	FMA_PACKED(name, negate_product, negate_addend, negate_addend)                    \
	FMA_FORMS(name, ss, 4, 4, negate_product, negate_addend, negate_addend)           \
	FMA_FORMS(name, sd, 8, 8, negate_product, negate_addend, negate_addend)

FMA_ALL(vfmadd, false, false)
FMA_ALL(vfmsub, false, true)
FMA_ALL(vfnmadd, true, false)
FMA_ALL(vfnmsub, true, true)
FMA_PACKED(vfmaddsub, false, true, false)
FMA_PACKED(vfmsubadd, false, false, true)
