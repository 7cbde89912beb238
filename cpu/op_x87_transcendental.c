/*
 * F2XM1, FYL2X, FYL2XP1, FPATAN, FSIN, FCOS, FSINCOS, FPTAN.
 *
 * No two processors agree on the last bits, and the manual promises less than one unit in the last place. Here the
 * functions are computed with some 125 bits and rounded once, by RC; PC has no effect. Arguments of the trigonometric
 * functions are reduced by the 66-bit value of pi that the manual gives ("Approximation of Pi" in SDM 1), so that
 * results at large arguments are near those of a processor. Arguments outside the documented ranges: F2XM1 and FYL2XP1
 * compute the function.
 *
 * Source: SDM 2, the instructions by name (tables of special operands); SDM 1, "Transcendental Instruction Accuracy".
 */
#include "cpu/x87_host.h"
#include "cpu/x87_wide.h"

HOST_TWO(fadd, "fadd %%st(1), %%st")

/* --- rounding --- */

static bool
rounds_up(u64 high, u64 low, bool negative, u16 control)
{
	switch (control >> 10 & 3) {
	case 0:
		return low > BIT(63) || (low == BIT(63) && high & 1);
	case 1:
		return low && negative;
	case 2:
		return low && !negative;
	default:
		return false;
	}
}

static struct fpreg
overflow(bool negative, u16 control, unsigned *found)
{
	u16 sign = negative ? 0x8000 : 0;
	unsigned rounding = control >> 10 & 3;
	*found |= X87_OE | X87_PE;
	if (rounding == 3 || rounding == (negative ? 2 : 1))
		return (struct fpreg){~0ull, sign | 0x7ffe};
	*found |= X87_C1;
	return (struct fpreg){SIGNIFICAND_ONE, sign | EXPONENT_MASK};
}

/* To the register format. Adds PE, UE, OE and C1 to *found. */
static struct fpreg
round_wide(struct wide v, u16 control, unsigned *found)
{
	u16 sign = v.negative ? 0x8000 : 0;
	u64 high = (u64)(v.m >> 64), low = (u64)v.m;
	s32 exponent = v.e + EXPONENT_BIAS;
	if (!v.m)
		return (struct fpreg){0, sign};
	bool up = rounds_up(high, low, v.negative, control);
	bool carry = up && high == ~0ull;
	if (exponent + carry < 1) {
		if (control & X87_UE) {
			u128 m = shift_right_jam(v.m, (unsigned)MIN(1 - exponent, 1000));
			high = (u64)(m >> 64);
			low = (u64)m;
			up = rounds_up(high, low, v.negative, control);
			high += up;
			*found |= (low ? X87_UE | X87_PE : 0) | (up ? X87_C1 : 0);
			return (struct fpreg){high, sign | (u16)(high >> 63)};
		}
		*found |= X87_UE;
		exponent += 24576;
	}
	if (exponent + carry > 0x7ffe) {
		if (control & X87_OE)
			return overflow(v.negative, control, found);
		*found |= X87_OE;
		exponent -= 24576;
	}
	*found |= (low ? X87_PE : 0) | (up ? X87_C1 : 0);
	high = carry ? SIGNIFICAND_ONE : high + up;
	return (struct fpreg){high, sign | (u16)(exponent + carry)};
}

/* --- operands --- */

/* A NaN or an unsupported format among them: what an addition answers. */
static bool
nan_operands(struct vcpu *cpu, struct fpreg a, struct fpreg b, struct fpreg *result, unsigned *found)
{
	if (!is_nan(a) && !is_nan(b) && !is_unsupported(a) && !is_unsupported(b))
		return false;
	struct host_result r = host_fadd(cpu->x87.control, a, b);
	*result = r.value;
	*found = r.status & X87_IE;
	return true;
}

static struct fpreg
invalid(unsigned *found)
{
	*found = X87_IE;
	return x87_indefinite;
}

static struct fpreg
signed_zero(bool negative)
{
	return (struct fpreg){0, negative ? 0x8000 : 0};
}

static struct fpreg
signed_infinity(bool negative)
{
	return (struct fpreg){SIGNIFICAND_ONE, negative ? 0xffff : 0x7fff};
}

/* A sum 1 + something small, in fixed point, that the last bit could not show. */
static u128
just_above_one(u128 p)
{
	return p == WIDE_ONE ? WIDE_ONE + 1 : p;
}

static u128
just_below_one(u128 p)
{
	return p == WIDE_ONE ? WIDE_ONE - 1 : p;
}

/* --- 2^x - 1 --- */

/* (e^t - 1) / t = 1 + t/2 (1 + t/3 (1 + ...)), |t| < 1 */
static struct wide
exponential_minus_one(struct wide t)
{
	u128 z = fixed_of(t), p = WIDE_ONE;
	for (u32 n = 36; n >= 2; n--) {
		u128 term = divide_small(fixed_multiply(z, p), n);
		p = t.negative ? WIDE_ONE - term : WIDE_ONE + term;
	}
	return wide_multiply(t, wide_of_fixed(t.negative ? just_below_one(p) : just_above_one(p)));
}

/* |x| > 1 is outside the documented range: 2^x = 2^n 2^(x - n). */
static struct wide
power_of_two_minus_one(struct wide x)
{
	const struct wide one = {WIDE_ONE, 0, false};
	if (x.e < 0)
		return exponential_minus_one(wide_multiply(x, wide_ln2));
	s32 n = x.e > 20 ? 1 << 20 : (s32)(x.m >> (127 - x.e));
	if (x.negative)
		n = -n;
	struct wide rest = wide_subtract(x, wide_of_int(n));
	struct wide power =
		x.e > 20 || !rest.m ? one : wide_add(exponential_minus_one(wide_multiply(rest, wide_ln2)), one);
	power.e += n;
	return wide_subtract(power, one);
}

static struct fpreg
f2xm1(u16 control, struct fpreg x, unsigned *found)
{
	if (is_zero(x))
		return x;
	if (is_infinity(x))
		return is_negative(x) ? (struct fpreg){SIGNIFICAND_ONE, 0x8000 | EXPONENT_BIAS} : x;
	if (is_denormal(x))
		*found |= X87_DE;
	return round_wide(power_of_two_minus_one(wide_of(x)), control, found);
}

void
op_f2xm1(struct vcpu *cpu, const struct insn *in)
{
	struct x87 *x = &cpu->x87;
	if (x87_is_empty(x, 0)) {
		x87_underflow(cpu, in, 0, false);
		return;
	}
	unsigned found = 0;
	struct fpreg a = *x87_st(x, 0), result;
	if (!nan_operands(cpu, a, a, &result, &found))
		result = f2xm1(x->control, a, &found);
	if (x87_end(cpu, in, found))
		x87_set(x, 0, result);
}

/* --- logarithms --- */

/* log2((1 + s) / (1 - s)) = 2/ln2 * (s + s^3/3 + s^5/5 + ...), |s| < 0.1716 */
static struct wide
log2_of_ratio(struct wide s)
{
	struct wide square = wide_multiply(s, s);
	u128 z = fixed_of(square), p = 0;
	if (!s.m)
		return s;
	for (s32 n = 53; n >= 1; n -= 2)
		p = fixed_multiply(z, p) + divide_small(WIDE_ONE, (u32)n);
	return wide_multiply(wide_multiply(s, wide_two_by_ln2), wide_of_fixed(just_above_one(p)));
}

/* x > 0 */
static struct wide
log2_wide(struct wide x)
{
	const struct wide one = {WIDE_ONE, 0, false};
	const u128 root_two = WIDE_M(0xb504f333f9de6484, 0x597d89b3754abe9f);
	s32 k = x.e + (x.m > root_two);
	x.e -= k;
	struct wide s = wide_divide(wide_subtract(x, one), wide_add(x, one));
	return wide_add(wide_of_int(k), log2_of_ratio(s));
}

/* y * log2(x), x is not zero; both finite */
static struct fpreg
fyl2x_finite(u16 control, struct fpreg y, struct wide x, unsigned *found)
{
	struct wide log = log2_wide(x);
	struct wide product = wide_multiply(wide_of(y), log);
	product.negative = is_negative(y) != (log.m && log.negative);
	return round_wide(product, control, found);
}

/* Zero, one, below or above one, infinite: what the special cases look at. */
static struct fpreg
fyl2x(u16 control, struct fpreg y, struct fpreg x, unsigned *found)
{
	if (is_negative(x) && !is_zero(x))
		return invalid(found);
	bool below_one = exponent_of(x) < EXPONENT_BIAS;
	bool is_one = exponent_of(x) == EXPONENT_BIAS && x.significand == SIGNIFICAND_ONE;
	if (is_zero(x)) {
		if (is_zero(y))
			return invalid(found);
		if (!is_infinity(y))
			*found |= X87_ZE;
		return signed_infinity(!is_negative(y));
	}
	if (is_infinity(x) && is_zero(y))
		return invalid(found);
	if (is_infinity(y) && is_one)
		return invalid(found);
	if (is_denormal(x) || is_denormal(y))
		*found |= X87_DE;
	if (is_infinity(x))
		return signed_infinity(is_negative(y));
	if (is_infinity(y))
		return signed_infinity(is_negative(y) != below_one);
	if (is_zero(y) || is_one)
		return signed_zero(is_negative(y) != (below_one && !is_one));
	return fyl2x_finite(control, y, wide_of(x), found);
}

/* y * log2(x + 1) */
static struct fpreg
fyl2xp1(u16 control, struct fpreg y, struct fpreg x, unsigned *found)
{
	const struct wide one = {WIDE_ONE, 0, false}, two = {WIDE_ONE, 1, false};
	bool negative = is_negative(y) != is_negative(x);
	if (is_infinity(x) && (is_negative(x) || is_zero(y)))
		return invalid(found);
	if (is_zero(x) && is_infinity(y))
		return invalid(found);
	if (is_negative(x) && exponent_of(x) >= EXPONENT_BIAS &&
	    (exponent_of(x) > EXPONENT_BIAS || x.significand != SIGNIFICAND_ONE))
		return invalid(found);
	if (is_denormal(x) || is_denormal(y))
		*found |= X87_DE;
	if (is_infinity(x) || is_infinity(y))
		return signed_infinity(negative);
	if (is_zero(x) || is_zero(y))
		return signed_zero(negative);
	struct wide w = wide_of(x), log;
	if (w.e < -2) {
		log = log2_of_ratio(wide_divide(w, wide_add(w, two)));
	} else {
		w = wide_add(w, one);
		if (!w.m) {
			*found |= X87_ZE;
			return signed_infinity(!is_negative(y));
		}
		log = log2_wide(w);
	}
	return round_wide(wide_multiply(wide_of(y), log), control, found);
}

/* ST(1) = f(ST(1), ST(0)), pop */
INLINE void
two_operands(struct vcpu *cpu, const struct insn *in, struct fpreg (*f)(u16, struct fpreg, struct fpreg, unsigned *))
{
	struct x87 *x = &cpu->x87;
	if (x87_is_empty(x, 0) || x87_is_empty(x, 1)) {
		x87_underflow(cpu, in, 1, true);
		return;
	}
	unsigned found = 0;
	struct fpreg a = *x87_st(x, 0), b = *x87_st(x, 1), result;
	if (!nan_operands(cpu, a, b, &result, &found))
		result = f(x->control, b, a, &found);
	if (!x87_end(cpu, in, found))
		return;
	x87_set(x, 1, result);
	x87_pop(x);
}

void
op_fyl2x(struct vcpu *cpu, const struct insn *in)
{
	two_operands(cpu, in, fyl2x);
}

void
op_fyl2xp1(struct vcpu *cpu, const struct insn *in)
{
	two_operands(cpu, in, fyl2xp1);
}

/* --- arc tangent --- */

/* t - t^3/3 + t^5/5 - ..., |t| <= 1/16 */
static struct wide
arc_tangent_series(struct wide t)
{
	struct wide square = wide_multiply(t, t);
	u128 z = fixed_of(square), p = 0;
	for (s32 n = 33; n >= 1; n -= 2)
		p = divide_small(WIDE_ONE, (u32)n) - fixed_multiply(z, p);
	return wide_multiply(t, wide_of_fixed(just_below_one(p)));
}

/* 0 < t <= 1: atan(t) = atan(c) + atan((t - c) / (1 + t c)), c the nearest sixteenth */
static struct wide
arc_tangent(struct wide t)
{
	static const struct wide table[17] = {
		{0, 0, false},
		{WIDE_M(0xffaaddb967ef4e36, 0xcb2792dc0e2e0d51), -5, false},
		{WIDE_M(0xfeadd4d5617b6e32, 0xc897989f3e888ef8), -4, false},
		{WIDE_M(0xbdcbda5e72d81134, 0x7b0b4f881c9c7488), -3, false},
		{WIDE_M(0xfadbafc96406eb15, 0x6dc79ef5f7a217e6), -3, false},
		{WIDE_M(0x9b13b9b83f5e5e69, 0xc5abb498d27af328), -2, false},
		{WIDE_M(0xb7b0ca0f26f78473, 0x8aa32122dcfe4483), -2, false},
		{WIDE_M(0xd327761e611fe5b6, 0x427c95e9001e7136), -2, false},
		{WIDE_M(0xed63382b0dda7b45, 0x6fe445ecbc3a8d03), -2, false},
		{WIDE_M(0x832bf4a6d9867e2a, 0x4b6a09cb61a515c1), -1, false},
		{WIDE_M(0x8f005d5ef7f59f9b, 0x5c835e1665c43748), -1, false},
		{WIDE_M(0x9a2f80e671bdda20, 0x4226f8e2204ff3bd), -1, false},
		{WIDE_M(0xa4bc7d1934f70924, 0x19a87f2a457dac9f), -1, false},
		{WIDE_M(0xaeac4c38b4d8c080, 0x14725e2f3e52070a), -1, false},
		{WIDE_M(0xb8053e2bc2319e73, 0xcb2da55210a4443d), -1, false},
		{WIDE_M(0xc0ce85b8ac526640, 0x89dd62c46e92fa25), -1, false},
		{WIDE_M(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1), -1, false},
	};
	const struct wide one = {WIDE_ONE, 0, false};
	unsigned sixteenths = (unsigned)((fixed_of(t) + (WIDE_ONE >> 5)) >> 123);
	if (!sixteenths)
		return arc_tangent_series(t);
	struct wide c = wide_of_int((s32)sixteenths);
	c.e -= 4;
	struct wide rest = wide_divide(wide_subtract(t, c), wide_add(one, wide_multiply(t, c)));
	return rest.m ? wide_add(table[sixteenths], arc_tangent_series(rest)) : table[sixteenths];
}

/* The angle of the point (|x|, |y|), finite and not both zero */
static struct wide
angle(struct wide y, struct wide x)
{
	struct wide half_pi = wide_pi;
	half_pi.e--;
	y.negative = x.negative = false;
	if (!x.m)
		return half_pi;
	if (y.e < x.e || (y.e == x.e && y.m <= x.m))
		return arc_tangent(wide_divide(y, x));
	return wide_subtract(half_pi, arc_tangent(wide_divide(x, y)));
}

static struct fpreg
fpatan(u16 control, struct fpreg y, struct fpreg x, unsigned *found)
{
	struct wide a;
	if (is_denormal(x) || is_denormal(y))
		*found |= X87_DE;
	if (is_infinity(x) || is_infinity(y)) {
		/* an infinity counts as one, the other operand then as zero */
		const struct wide one = {WIDE_ONE, 0, false}, zero = {0, 0, false};
		a = is_infinity(y) ? angle(one, is_infinity(x) ? one : zero) : zero;
	} else if (is_zero(y)) {
		a = (struct wide){0, 0, false};
	} else {
		a = angle(wide_of(y), wide_of(x));
	}
	if (is_negative(x))
		a = wide_subtract(wide_pi, a);
	a.negative = is_negative(y);
	return round_wide(a, control, found);
}

void
op_fpatan(struct vcpu *cpu, const struct insn *in)
{
	two_operands(cpu, in, fpatan);
}

/* --- sine, cosine, tangent --- */

struct angle {
	struct wide rest; /* |rest| <= pi/4, about */
	unsigned quadrant;
};

/*
 * |x| = n * pi/2 + rest, by the 66-bit pi, exactly: it is an integer in units of 2^-64, and half of it one in units of
 * 2^-65. Numbers below 1/4 need no reduction; in larger ones no bit is below 2^-65.
 */
static struct angle
reduce(struct wide x)
{
	const u128 half_pi = WIDE_M(0x3, 0x243f6a8885a308d3);
	struct angle a = {x, 0};
	a.rest.negative = false;
	if (x.e < -2)
		return a;
	u128 scaled = x.m >> (62 - x.e), n = scaled / half_pi, rest = scaled % half_pi;
	a.quadrant = (unsigned)n & 3;
	bool beyond = rest > half_pi / 2;
	if (beyond) {
		rest = half_pi - rest;
		a.quadrant = (a.quadrant + 1) & 3;
	}
	a.rest = wide_normal(beyond, 62, rest);
	return a;
}

/* r - r^3/3! + r^5/5! - ... */
static struct wide
sine_series(struct wide r)
{
	struct wide square = wide_multiply(r, r);
	u128 z = fixed_of(square), p = WIDE_ONE;
	for (u32 n = 36; n >= 2; n -= 2)
		p = WIDE_ONE - divide_small(fixed_multiply(z, p), n * (n + 1));
	return wide_multiply(r, wide_of_fixed(just_below_one(p)));
}

static struct wide
cosine_series(struct wide r)
{
	struct wide square = wide_multiply(r, r);
	u128 z = fixed_of(square), p = WIDE_ONE;
	for (s32 n = 35; n >= 1; n -= 2)
		p = WIDE_ONE - divide_small(fixed_multiply(z, p), (u32)(n * (n + 1)));
	return wide_of_fixed(just_below_one(p));
}

static struct wide
sine(struct wide x)
{
	struct angle a = reduce(x);
	struct wide r = a.quadrant & 1 ? cosine_series(a.rest) : sine_series(a.rest);
	if (a.quadrant & 2)
		r.negative = !r.negative;
	if (x.negative)
		r.negative = !r.negative;
	return r;
}

static struct wide
cosine(struct wide x)
{
	struct angle a = reduce(x);
	struct wide r = a.quadrant & 1 ? sine_series(a.rest) : cosine_series(a.rest);
	if (a.quadrant == 1 || a.quadrant == 2)
		r.negative = !r.negative;
	return r;
}

static struct wide
tangent(struct wide x)
{
	struct angle a = reduce(x);
	struct wide r;
	if (a.rest.e < -64) /* r + r^3/3: the quotient would not show the second term */
		r = wide_multiply(a.rest, wide_of_fixed(WIDE_ONE + 1));
	else
		r = wide_divide(sine_series(a.rest), cosine_series(a.rest));
	if (a.quadrant & 1)
		r = wide_negate(wide_divide((struct wide){WIDE_ONE, 0, false}, r));
	if (x.negative)
		r.negative = !r.negative;
	return r;
}

/* |x| >= 2^63: C2, and nothing else happens. The callers have cleared C2. */
static bool
out_of_range(struct vcpu *cpu, const struct insn *in, struct fpreg a)
{
	struct x87 *x = &cpu->x87;
	unsigned exponent = exponent_of(a);
	bool out = exponent >= EXPONENT_BIAS + 63 && exponent != EXPONENT_MASK && a.significand & SIGNIFICAND_ONE;
	if (out) {
		x87_end(cpu, in, 0);
		x->status |= X87_C2;
	}
	return out;
}

/* One function of ST(0), special operands included. `at_zero`: its value at +0. */
static struct fpreg
trigonometric(struct vcpu *cpu, struct fpreg a, struct wide (*f)(struct wide), bool one_at_zero, unsigned *found)
{
	struct fpreg result;
	if (nan_operands(cpu, a, a, &result, found))
		return result;
	if (is_infinity(a))
		return invalid(found);
	if (is_zero(a))
		return one_at_zero ? (struct fpreg){SIGNIFICAND_ONE, EXPONENT_BIAS} : a;
	if (is_denormal(a))
		*found |= X87_DE;
	return round_wide(f(wide_of(a)), cpu->x87.control, found);
}

static void
one_result(struct vcpu *cpu, const struct insn *in, struct wide (*f)(struct wide), bool one_at_zero)
{
	struct x87 *x = &cpu->x87;
	x->status &= (u16)~X87_C2;
	if (x87_is_empty(x, 0)) {
		x87_underflow(cpu, in, 0, false);
		return;
	}
	if (out_of_range(cpu, in, *x87_st(x, 0)))
		return;
	unsigned found = 0;
	struct fpreg result = trigonometric(cpu, *x87_st(x, 0), f, one_at_zero, &found);
	if (x87_end(cpu, in, found))
		x87_set(x, 0, result);
}

void
op_fsin(struct vcpu *cpu, const struct insn *in)
{
	one_result(cpu, in, sine, false);
}

void
op_fcos(struct vcpu *cpu, const struct insn *in)
{
	one_result(cpu, in, cosine, true);
}

/* ST(0) = f(ST(0)), then push the other: a second function, or 1.0 */
static void
two_results(struct vcpu *cpu, const struct insn *in, struct wide (*f)(struct wide), struct wide (*second)(struct wide))
{
	struct x87 *x = &cpu->x87;
	struct fpreg results[2] = {x87_indefinite, x87_indefinite};
	unsigned found = 0;
	x->status &= (u16)~X87_C2;
	if (x87_is_empty(x, 0)) {
		found = X87_STACK_UNDERFLOW;
	} else if (!x87_is_empty(x, 7)) {
		found = X87_STACK_OVERFLOW;
	} else {
		struct fpreg a = *x87_st(x, 0);
		if (out_of_range(cpu, in, a))
			return;
		results[0] = trigonometric(cpu, a, f, false, &found);
		if (second) {
			found &= ~X87_C1;
			results[1] = trigonometric(cpu, a, second, true, &found);
		} else if (is_nan(a) || found & X87_IE) {
			results[1] = results[0];
		} else {
			results[1] = (struct fpreg){SIGNIFICAND_ONE, EXPONENT_BIAS};
		}
	}
	if (!x87_end(cpu, in, found))
		return;
	x87_set(x, 0, results[0]);
	x87_set_top(x, x87_top(x) - 1);
	x87_set(x, 0, results[1]);
}

void
op_fsincos(struct vcpu *cpu, const struct insn *in)
{
	two_results(cpu, in, sine, cosine);
}

void
op_fptan(struct vcpu *cpu, const struct insn *in)
{
	two_results(cpu, in, tangent, NULL);
}
