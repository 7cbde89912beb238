/*
 * Numbers with significands of 128 bits, for the x87 functions that no unit computes exactly: one result on every host,
 * by integer arithmetic alone.
 *
 * value = m / 2^127 * 2^e, m has its top bit set or is 0 (zero). What an operation drops is kept as a one in the last
 * bit, so that a rounding to 64 bits still knows that the result is inexact, and in which direction.
 */
#ifndef NB_CPU_X87_WIDE_H
#define NB_CPU_X87_WIDE_H

#include "cpu/x87_op.h"

struct wide {
	u128 m;
	s32 e;
	bool negative;
};

#define WIDE_M(high, low) ((u128)(high) << 64 | (low))
#define WIDE_ONE ((u128)1 << 127) /* the significand 1.0, and 1.0 in fixed point */

static const struct wide wide_pi = {WIDE_M(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1), 1, false};
static const struct wide wide_ln2 = {WIDE_M(0xb17217f7d1cf79ab, 0xc9e3b39803f2f6af), -1, false};
static const struct wide wide_two_by_ln2 = {WIDE_M(0xb8aa3b295c17f0bb, 0xbe87fed0691d3e89), 1, false};

static inline unsigned
leading_zeros_128(u128 m)
{
	u64 high = (u64)(m >> 64);
	return (unsigned)(high ? __builtin_clzll(high) : 64 + __builtin_clzll((u64)m));
}

static inline struct wide
wide_normal(bool negative, s32 e, u128 m)
{
	if (!m)
		return (struct wide){0, 0, negative};
	unsigned shift = leading_zeros_128(m);
	return (struct wide){m << shift, e - (s32)shift, negative};
}

/* Of a finite number. */
static inline struct wide
wide_of(struct fpreg v)
{
	s32 exponent = (s32)exponent_of(v);
	return wide_normal(is_negative(v), (exponent ? exponent : 1) - EXPONENT_BIAS, (u128)v.significand << 64);
}

static inline struct wide
wide_of_int(s32 n)
{
	return wide_normal(n < 0, 127, (u128)(n < 0 ? -(s64)n : (s64)n));
}

/* m >> n, dropped bits kept in the last one */
static inline u128
shift_right_jam(u128 m, unsigned n)
{
	if (n == 0)
		return m;
	if (n > 127)
		return m != 0;
	return m >> n | ((m << (128 - n)) != 0);
}

/* The upper half of the product; dropped bits are kept in the last one of it if `jam`. */
static inline u128
multiply_high(u128 a, u128 b, bool jam)
{
	u64 a1 = (u64)(a >> 64), a0 = (u64)a, b1 = (u64)(b >> 64), b0 = (u64)b;
	u128 low = (u128)a0 * b0, cross1 = (u128)a1 * b0, cross2 = (u128)a0 * b1;
	u128 middle = (low >> 64) + (u64)cross1 + (u64)cross2;
	u128 high = (u128)a1 * b1 + (cross1 >> 64) + (cross2 >> 64) + (middle >> 64);
	return high | (jam && ((u64)middle || (u64)low));
}

static inline struct wide
wide_multiply(struct wide a, struct wide b)
{
	return wide_normal(a.negative != b.negative, a.e + b.e + 1, multiply_high(a.m, b.m, true));
}

static inline struct wide
wide_add(struct wide a, struct wide b)
{
	if (!b.m)
		return a;
	if (!a.m)
		return b;
	if (a.e < b.e || (a.e == b.e && a.m < b.m)) {
		struct wide swap = a;
		a = b;
		b = swap;
	}
	/* one bit of room for the carry; what it costs is kept in the last bit */
	u128 x = shift_right_jam(a.m, 1), y = shift_right_jam(b.m, (unsigned)MIN(a.e - b.e, 1000) + 1);
	if (a.negative == b.negative)
		return wide_normal(a.negative, a.e + 1, x + y);
	if (a.e == b.e) /* exact: no bit need be dropped */
		return wide_normal(a.negative, a.e, a.m - b.m);
	if (a.e == b.e + 1 && !(b.m & 1))
		return wide_normal(a.negative, a.e, a.m - (b.m >> 1));
	return wide_normal(a.negative, a.e + 1, x - y);
}

static inline struct wide
wide_negate(struct wide a)
{
	a.negative = !a.negative;
	return a;
}

static inline struct wide
wide_subtract(struct wide a, struct wide b)
{
	return wide_add(a, wide_negate(b));
}

/* b is not zero. */
static inline struct wide
wide_divide(struct wide a, struct wide b)
{
	u128 quotient = 0, rest = a.m;
	s32 e = a.e - b.e;
	if (!a.m)
		return (struct wide){0, 0, a.negative != b.negative};
	if (rest < b.m) {                 /* then the first bit of the quotient is that of 2a / b */
		rest = (rest << 1) - b.m; /* below b.m, modulo 2^128 */
		e--;
	} else {
		rest -= b.m;
	}
	quotient = 1;
	for (unsigned n = 1; n < 128; n++) {
		bool carry = rest >> 127;
		rest <<= 1;
		quotient <<= 1;
		if (carry || rest >= b.m) {
			rest -= b.m;
			quotient |= 1;
		}
	}
	return (struct wide){quotient | (rest != 0), e, a.negative != b.negative};
}

/* |a| < 2 in fixed point, 1.0 = 2^127. Less than 2^-127 counts as that. */
static inline u128
fixed_of(struct wide a)
{
	assert(a.e <= 0);
	return shift_right_jam(a.m, (unsigned)MIN(-a.e, 1000));
}

static inline u128
fixed_multiply(u128 a, u128 b)
{
	return multiply_high(a, b, false) << 1;
}

static inline struct wide
wide_of_fixed(u128 m)
{
	return wide_normal(false, 0, m);
}

/* m / n for a small n */
static inline u128
divide_small(u128 m, u32 n)
{
	u64 high = (u64)(m >> 64), q = high / n;
	u128 rest = (u128)(high % n) << 64 | (u64)m;                    /* below n * 2^64 */
	u64 part = (u64)(rest >> 32) / n, left = (u64)(rest >> 32) % n; /* below 2^32 each */
	return (u128)q << 64 | part << 32 | ((left << 32 | (u32)m) / n);
}

#endif
