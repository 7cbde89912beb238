/*
 * Floating-point arithmetic of SSE, SSE2, SSE3, SSE4.1 and AVX: one body each, for the host's unit (simd_fp.h).
 *
 * RCPPS, RCPSS, RSQRTPS, RSQRTSS: the manual only bounds the relative error (1.5 * 2^-12). Here the result is the exact one rounded to nearest at
 * 12 fraction bits, on every host; denormal sources count as zeros and tiny results are zeros, as the manual says.
 *
 * Source: SDM 2, the instructions by name; SDM 1, "Floating-Point Exceptions".
 */
#define _GNU_SOURCE /* REG_RIP */
#include "cpu/simd_fp.h"

#include <signal.h>
#include <ucontext.h>

#include "cpu/flags.h"

#define BEFORE (MXCSR_IE | MXCSR_DE | MXCSR_ZE) /* found before the computation */
#define AFTER (MXCSR_OE | MXCSR_UE)

static u32
unmasked_flags(const struct vcpu *cpu)
{
	return ~(cpu->mxcsr >> MXCSR_MASK_SHIFT) & MXCSR_FLAGS;
}

void
fp_flags(struct vcpu *cpu, u32 flags)
{
	u32 unmasked = unmasked_flags(cpu);
	/* What is found before the computation prevents it, and the flags that it would set. */
	if (flags & unmasked & BEFORE)
		flags &= BEFORE;
	cpu->mxcsr |= flags;
	if (likely(!(flags & unmasked)))
		return;
	if (cpu->cr4 & CR4_OSXMMEXCPT)
		raise_exception(cpu, VECTOR_XM);
	raise_ud(cpu);
}

/* Does any of `count` results of `size` bytes have a denormal? Then it is tiny, which unmasked underflow signals even if exact. */
static bool
any_denormal(const void *results, unsigned size, unsigned count)
{
	for (unsigned n = 0; n < count; n++) {
		u64 x = 0;
		memcpy(&x, (const u8 *)results + n * size, size);
		if (fp_is_denormal(x, size))
			return true;
	}
	return false;
}

/* The operation that is done once more: see simd_fp.h. */
static struct {
	bool again;
	u32 flags; /* found so far */
	struct sigaction former;
} trap;

/* Goes on behind the instruction: the guest gets an exception, and nobody the result. */
static void
on_trap(int number, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	const u8 *code = (const u8 *)u->uc_mcontext.gregs[REG_RIP];
	(void)number, (void)info;
	trap.flags |= u->uc_mcontext.fpregs->mxcsr & MXCSR_FLAGS;
	u->uc_mcontext.fpregs->mxcsr &= ~MXCSR_FLAGS;
	/* Prefix, REX, 0Fh, opcode and ModRM of two registers; or VEX of three bytes, opcode and ModRM. */
	code += *code == 0x66 || *code == 0xf2 || *code == 0xf3;
	code += (*code & 0xf0) == 0x40;
	code += *code == 0xc4 ? 5 : 3;
	u->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)code;
}

bool
fp_end_unmasked(struct vcpu *cpu, u32 flags, const void *results, unsigned size, unsigned count)
{
	struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
	u32 unmasked = unmasked_flags(cpu);
	if (trap.again) {
		trap.again = false;
		sigaction(SIGFPE, &trap.former, NULL);
		host_set_mxcsr(MXCSR_MASKS);
		fp_flags(cpu, flags | trap.flags);
		return false;
	}
	if (size && unmasked & MXCSR_UE && any_denormal(results, size, count))
		flags |= MXCSR_UE;
	trap.flags = flags & unmasked & AFTER;
	if (!trap.flags || flags & unmasked & BEFORE) {
		fp_flags(cpu, flags);
		return false;
	}
	trap.again = true;
	sigaction(SIGFPE, &action, &trap.former);
	host_set_mxcsr((cpu->mxcsr & MXCSR_MODES) | (MXCSR_MASKS & ~((unmasked & AFTER) << MXCSR_MASK_SHIFT)));
	return true;
}

/* The handler around lane_name: `bytes` as for vec_operands; `tiny`: size of the result's elements if it can underflow, else 0. */
#define FP_HANDLER(name, bytes, tiny)                                                                                     \
	void op_##name(HANDLER_ARGS)                                                                                      \
	{                                                                                                                 \
		struct operands o;                                                                                        \
		vec_operands(cpu, in, &o, bytes);                                                                         \
		union lane r[2] = {lane_zero(), lane_zero()};                                                             \
		fp_begin(cpu);                                                                                            \
		do {                                                                                                      \
			r[0] = lane_##name(o.a0, o.b[0], 16, (u8)in->imm);                                                \
			if ((bytes) == 16 && is_256(in))                                                                  \
				r[1] = lane_##name(o.a1, o.b[1], 16, (u8)in->imm);                                        \
		} while (fp_end(cpu, r, tiny, (tiny) == 0 ? 0 : (bytes) < 16 ? 1 : (is_256(in) ? 32 : 16) / (tiny)));     \
		if ((bytes) == 16)                                                                                        \
			vec_commit(cpu, in, in->rd, r[0], r[1]);                                                          \
		else                                                                                                      \
			vec_commit_128(cpu, in, in->rd, r[0]);                                                            \
	}
#define FP(name, bytes, tiny)                                                            \
	INLINE union lane lane_##name(LANE_ARGS)                                         \
	{                                                                                \
		asm volatile(#name " %1, %0" : "+x"(a.ps) : "x"(b.ps));                  \
		return a;                                                                \
	}                                                                                \
	FP_HANDLER(name, bytes, tiny)
#define FP_FOUR(name, tiny_single, tiny_double) \
	FP(name##ps, 16, tiny_single)           \
	FP(name##pd, 16, tiny_double)           \
	FP(name##ss, 4, tiny_single)            \
	FP(name##sd, 8, tiny_double)

FP_FOUR(add, 4, 8)
FP_FOUR(sub, 4, 8)
FP_FOUR(mul, 4, 8)
FP_FOUR(div, 4, 8)
FP_FOUR(sqrt, 0, 0)
FP_FOUR(min, 0, 0)
FP_FOUR(max, 0, 0)
FP(cvtss2sd, 4, 0)
FP(cvtsd2ss, 8, 4)
FP(cvtdq2ps, 16, 0)
FP(cvtps2dq, 16, 0)
FP(cvttps2dq, 16, 0)

/* --- logic: no exceptions --- */

#define LOGIC(name, statement)            \
	VEC_BINARY(name)                  \
	{                                 \
		statement;                \
		return a;                 \
	}
LOGIC(andps, a.vq &= b.vq)
LOGIC(andnps, a.vq = ~a.vq & b.vq)
LOGIC(orps, a.vq |= b.vq)
LOGIC(xorps, a.vq ^= b.vq)
LOGIC(unpcklps, a.ps = _mm_unpacklo_ps(a.ps, b.ps))
LOGIC(unpckhps, a.ps = _mm_unpackhi_ps(a.ps, b.ps))
LOGIC(unpcklpd, a.pd = _mm_unpacklo_pd(a.pd, b.pd))
LOGIC(unpckhpd, a.pd = _mm_unpackhi_pd(a.pd, b.pd))

/* --- across elements: made of shuffles and the plain operations, so that SSE2 is enough --- */

INLINE union lane
even_ps(union lane a, union lane b)
{
	return (union lane){.d = {a.d[0], a.d[2], b.d[0], b.d[2]}};
}

INLINE union lane
odd_ps(union lane a, union lane b)
{
	return (union lane){.d = {a.d[1], a.d[3], b.d[1], b.d[3]}};
}

#define HORIZONTAL(name, plain)                                                                                           \
	INLINE union lane lane_##name##ps(LANE_ARGS)                                                                      \
	{                                                                                                                 \
		return lane_##plain##ps(even_ps(a, b), odd_ps(a, b), 16, 0);                                              \
	}                                                                                                                 \
	INLINE union lane lane_##name##pd(LANE_ARGS)                                                                      \
	{                                                                                                                 \
		union lane low = {.q = {a.q[0], b.q[0]}}, high = {.q = {a.q[1], b.q[1]}};                                 \
		return lane_##plain##pd(low, high, 16, 0);                                                                \
	}                                                                                                                 \
	FP_HANDLER(name##ps, 16, 4)                                                                                       \
	FP_HANDLER(name##pd, 16, 8)
HORIZONTAL(hadd, add)
HORIZONTAL(hsub, sub)

/* Each operation sees only its own elements, twice, so that the other's flags do not mix in. */
INLINE union lane
lane_addsubps(LANE_ARGS)
{
	union lane difference = lane_subps(even_ps(a, a), even_ps(b, b), 16, 0), sum = lane_addps(odd_ps(a, a), odd_ps(b, b), 16, 0);
	return (union lane){.d = {difference.d[0], sum.d[0], difference.d[1], sum.d[1]}};
}
FP_HANDLER(addsubps, 16, 4)

INLINE union lane
lane_addsubpd(LANE_ARGS)
{
	union lane a1 = {.q = {a.q[1], 0}}, b1 = {.q = {b.q[1], 0}};
	return (union lane){.q = {lane_subsd(a, b, 16, 0).q[0], lane_addsd(a1, b1, 16, 0).q[0]}};
}
FP_HANDLER(addsubpd, 16, 8)

/*
 * Dot products. Immediate: 7:4 which products enter the sum, 3:0 where it goes. Each stage's exceptions come before the next one's, so each
 * stands between its own fp_begin and fp_end.
 */
#define STAGE(r, size, operation)                                                                                         \
	do {                                                                                                              \
		union lane out[2] = {(r)[0], (r)[1]};                                                                     \
		fp_begin(cpu);                                                                                            \
		do {                                                                                                      \
			for (unsigned h = 0; h <= is_256(in); h++)                                                        \
				out[h] = operation;                                                                       \
		} while (fp_end(cpu, out, size, (is_256(in) ? 32 : 16) / (size)));                                        \
		(r)[0] = out[0], (r)[1] = out[1];                                                                         \
	} while (0)

void
op_dpps(HANDLER_ARGS)
{
	struct operands o;
	unsigned imm = (u8)in->imm;
	vec_operands(cpu, in, &o, 16);
	union lane r[2] = {o.a0, o.a1}, second[2], *b = o.b;
	for (unsigned h = 0; h < 2; h++)
		for (unsigned n = 0; n < 4; n++)
			if (!(imm >> (4 + n) & 1))
				r[h].d[n] = b[h].d[n] = 0;
	STAGE(r, 4, lane_mulps(r[h], b[h], 16, 0));
	STAGE(r, 4, lane_addps(even_ps(r[h], lane_zero()), odd_ps(r[h], lane_zero()), 16, 0));
	for (unsigned h = 0; h < 2; h++)
		second[h] = (union lane){.d = {r[h].d[1], 0, 0, 0}}, r[h].d[1] = 0;
	STAGE(r, 4, lane_addss(r[h], second[h], 16, 0));
	for (unsigned h = 0; h < 2; h++)
		for (unsigned n = 4; n-- > 0;)
			r[h].d[n] = imm >> n & 1 ? r[h].d[0] : 0;
	vec_commit(cpu, in, in->rd, r[0], r[1]);
}

void
op_dppd(HANDLER_ARGS)
{
	struct operands o;
	unsigned imm = (u8)in->imm;
	vec_operands(cpu, in, &o, 16);
	union lane r[2] = {o.a0, o.a1}, second[2], *b = o.b;
	for (unsigned n = 0; n < 2; n++)
		if (!(imm >> (4 + n) & 1))
			r[0].q[n] = b[0].q[n] = 0;
	STAGE(r, 8, lane_mulpd(r[h], b[h], 16, 0));
	second[0] = second[1] = (union lane){.q = {r[0].q[1], 0}};
	r[0].q[1] = 0;
	STAGE(r, 8, lane_addsd(r[h], second[h], 16, 0));
	u64 sum = r[0].q[0];
	vec_commit_128(cpu, in, in->rd, (union lane){.q = {imm & 1 ? sum : 0, imm & 2 ? sum : 0}});
}

/* --- compare --- */

enum relation { UNORDERED = 1, EQUAL = 2, LESS = 4, GREATER = 8 };

/* `signals`: a quiet NaN is invalid too. */
static enum relation
compare(u64 a, u64 b, unsigned size, bool signals, u32 mxcsr, u32 *flags)
{
	if (fp_is_nan(a, size) || fp_is_nan(b, size)) {
		if (signals || fp_is_snan(a, size) || fp_is_snan(b, size))
			*flags |= MXCSR_IE;
		return UNORDERED;
	}
	u64 sign = fp_sign(size);
	if (fp_is_denormal(a, size) || fp_is_denormal(b, size)) {
		if (!(mxcsr & MXCSR_DAZ))
			*flags |= MXCSR_DE;
		else {
			a = fp_is_denormal(a, size) ? 0 : a;
			b = fp_is_denormal(b, size) ? 0 : b;
		}
	}
	s64 x = a & sign ? -(s64)(a & ~sign) : (s64)a, y = b & sign ? -(s64)(b & ~sign) : (s64)b;
	return x < y ? LESS : x > y ? GREATER : EQUAL;
}

/* The relations under which predicates 0..15 are true (16..31: the same), and whether a quiet NaN signals (16..31: the opposite). SDM 2, CMPPD. */
static const struct {
	u8 true_for, signals;
} predicates[16] = {
	{EQUAL, 0},
	{LESS, 1},
	{LESS | EQUAL, 1},
	{UNORDERED, 0},
	{UNORDERED | LESS | GREATER, 0},
	{UNORDERED | EQUAL | GREATER, 1},
	{UNORDERED | GREATER, 1},
	{EQUAL | LESS | GREATER, 0},
	{UNORDERED | EQUAL, 0},
	{UNORDERED | LESS, 1},
	{UNORDERED | LESS | EQUAL, 1},
	{0, 0},
	{LESS | GREATER, 0},
	{GREATER | EQUAL, 1},
	{GREATER, 1},
	{UNORDERED | EQUAL | LESS | GREATER, 0},
};

static void
compare_packed(struct vcpu *cpu, const struct insn *in, unsigned size, unsigned bytes)
{
	struct operands o;
	unsigned predicate = (u8)in->imm & (is_vex(in) ? 31 : 7);
	u32 flags = 0;
	vec_operands(cpu, in, &o, bytes);
	union lane a[2] = {o.a0, o.a1};
	for (unsigned at = 0; at < (bytes < 16 ? bytes : is_256(in) ? 32 : 16); at += size) {
		u64 x = 0, y = 0;
		memcpy(&x, (u8 *)a + at, size);
		memcpy(&y, (u8 *)o.b + at, size);
		bool signals = predicates[predicate & 15].signals ^ predicate >> 4;
		bool result = predicates[predicate & 15].true_for & compare(x, y, size, signals, cpu->mxcsr, &flags);
		memset((u8 *)a + at, result ? 0xff : 0, size);
	}
	fp_flags(cpu, flags);
	if (bytes == 16)
		vec_commit(cpu, in, in->rd, a[0], a[1]);
	else
		vec_commit_128(cpu, in, in->rd, a[0]);
}

#define COMPARE(suffix, size, bytes)                        \
	void op_cmp##suffix(HANDLER_ARGS)                   \
	{                                                   \
		compare_packed(cpu, in, size, bytes);       \
	}
COMPARE(ps, 4, 16)
COMPARE(pd, 8, 16)
COMPARE(ss, 4, 4)
COMPARE(sd, 8, 8)

static void
compare_flags(struct vcpu *cpu, const struct insn *in, unsigned size, bool signals)
{
	union lane b[2];
	u64 x = 0, y = 0;
	u32 flags = 0;
	vec_read_b(cpu, in, b, size);
	memcpy(&x, &cpu->vec[in->rd & 15], size);
	memcpy(&y, b, size);
	enum relation relation = compare(x, y, size, signals, cpu->mxcsr, &flags);
	fp_flags(cpu, flags);
	cc_set_raw(cpu, relation == UNORDERED ? FLAG_ZF | FLAG_PF | FLAG_CF : relation == EQUAL ? FLAG_ZF : relation == LESS ? FLAG_CF : 0);
}

void
op_ucomiss(HANDLER_ARGS)
{
	compare_flags(cpu, in, 4, false);
}

void
op_ucomisd(HANDLER_ARGS)
{
	compare_flags(cpu, in, 8, false);
}

void
op_comiss(HANDLER_ARGS)
{
	compare_flags(cpu, in, 4, true);
}

void
op_comisd(HANDLER_ARGS)
{
	compare_flags(cpu, in, 8, true);
}

/* --- ROUND: immediate 1:0 rounding, 2 MXCSR's instead, 3 no precision exception --- */

static u64
round_integral(u64 x, unsigned size, unsigned imm, u32 mxcsr, u32 *flags)
{
	unsigned fraction_bits = fp_fraction_bits(size), rounding = imm & 4 ? mxcsr >> MXCSR_RC_SHIFT & 3 : imm & 3;
	u64 sign = x & fp_sign(size), magnitude = x ^ sign;
	if (fp_is_nan(x, size)) {
		if (fp_is_snan(x, size))
			*flags |= MXCSR_IE;
		return x | fp_quiet_bit(size);
	}
	if (fp_is_denormal(x, size) && mxcsr & MXCSR_DAZ)
		return sign;
	unsigned bias = size == 4 ? 127 : 1023;
	int exponent = (int)(magnitude >> fraction_bits) - (int)bias;
	if (exponent >= (int)fraction_bits || magnitude == 0)
		return x;
	u64 one = (u64)bias << fraction_bits, result, rest, half;
	if (exponent < 0) {
		result = 0;
		rest = exponent == -1 ? (magnitude & ((1ull << fraction_bits) - 1)) + 2 : 1; /* against half = 2 */
		half = 2;
	} else {
		u64 unit = 1ull << ((int)fraction_bits - exponent);
		rest = magnitude & (unit - 1);
		half = unit >> 1;
		result = magnitude - rest;
	}
	if (!rest)
		return x;
	if (!(imm & 8))
		*flags |= MXCSR_PE;
	bool odd = exponent >= 0 && (exponent == 0 || result & (half << 1));
	bool away = rounding == 0 ? rest > half || (rest == half && odd) : rounding == 1 ? sign != 0 : rounding == 2 ? sign == 0 : false;
	if (away)
		result = exponent < 0 ? one : result + (half << 1);
	return result | sign;
}

static void
round_vector(struct vcpu *cpu, const struct insn *in, unsigned size, unsigned bytes)
{
	struct operands o;
	u32 flags = 0;
	vec_operands(cpu, in, &o, bytes);
	union lane r[2] = {o.a0, o.a1};
	for (unsigned at = 0; at < (bytes < 16 ? bytes : is_256(in) ? 32 : 16); at += size) {
		u64 x = 0;
		memcpy(&x, (u8 *)o.b + at, size);
		x = round_integral(x, size, (u8)in->imm, cpu->mxcsr, &flags);
		memcpy((u8 *)r + at, &x, size);
	}
	fp_flags(cpu, flags);
	if (bytes == 16)
		vec_commit(cpu, in, in->rd, r[0], r[1]);
	else
		vec_commit_128(cpu, in, in->rd, r[0]);
}

#define ROUND(suffix, size, bytes)                          \
	void op_round##suffix(HANDLER_ARGS)                 \
	{                                                   \
		round_vector(cpu, in, size, bytes);         \
	}
ROUND(ps, 4, 16)
ROUND(pd, 8, 16)
ROUND(ss, 4, 4)
ROUND(sd, 8, 8)

/* --- approximations --- */

/* Rounds numerator / denominator, which has at least 13 significant bits, to 13 significant bits; *exponent gains what was dropped. */
static u64
round_quotient(u64 quotient, bool inexact, int *exponent)
{
	int drop = 63 - __builtin_clzll(quotient) - 12;
	u64 half = 1ull << (drop - 1), rest = quotient & (half * 2 - 1), kept = quotient >> drop;
	if (rest > half || (rest == half && (inexact || kept & 1)))
		kept++;
	*exponent += drop;
	return kept;
}

/* kept * 2^exponent, kept of 13 bits (or 2^13), as a single; too small: zero. */
static u32
make_single(u32 sign, u64 kept, int exponent)
{
	if (kept >> 13)
		kept >>= 1, exponent++;
	int biased = exponent + 12 + 127;
	if (biased <= 0)
		return sign;
	return sign | (u32)biased << 23 | (u32)(kept & 0xfff) << 11;
}

static u32
reciprocal(u32 x)
{
	u32 sign = x & 0x80000000, magnitude = x ^ sign;
	if (magnitude > 0x7f800000)
		return x | 0x00400000;
	if (magnitude == 0x7f800000)
		return sign;
	if (magnitude < 0x00800000)
		return sign | 0x7f800000;
	u64 significand = (magnitude & 0x7fffff) | 0x800000;
	int exponent = -((int)(magnitude >> 23) - 127 - 23) - 62;
	u64 quotient = (1ull << 62) / significand;
	u64 kept = round_quotient(quotient, quotient * significand != 1ull << 62, &exponent);
	return make_single(sign, kept, exponent);
}

static u64
square_root(u64 x)
{
	u64 root = 0;
	for (u64 bit = 1ull << 31; bit; bit >>= 1)
		if ((root | bit) * (root | bit) <= x)
			root |= bit;
	return root;
}

static u32
reciprocal_root(u32 x)
{
	u32 sign = x & 0x80000000, magnitude = x ^ sign;
	if (magnitude > 0x7f800000)
		return x | 0x00400000;
	if (magnitude < 0x00800000)
		return sign | 0x7f800000;
	if (sign)
		return 0xffc00000;
	if (magnitude == 0x7f800000)
		return 0;
	/* x = significand * 2^exponent with an even exponent; 1/sqrt(x) = sqrt(2^86 / significand) * 2^(-43 - exponent/2) */
	u64 significand = (magnitude & 0x7fffff) | 0x800000;
	int exponent = (int)(magnitude >> 23) - 127 - 23;
	if (exponent & 1)
		significand *= 2, exponent--;
	u64 quotient = (u64)(((u128)1 << 86) / significand), root = square_root(quotient);
	int result_exponent = -43 - exponent / 2;
	bool inexact = root * root != quotient || (u128)quotient * significand != (u128)1 << 86;
	u64 kept = round_quotient(root, inexact, &result_exponent);
	return make_single(0, kept, result_exponent);
}

#define APPROXIMATE(name, function)                                                      \
	VEC_BINARY(name##ps)                                                             \
	{                                                                                \
		union lane r;                                                            \
		for (unsigned n = 0; n < 4; n++)                                         \
			r.d[n] = function(b.d[n]);                                       \
		return r;                                                                \
	}                                                                                \
	void op_##name##ss(HANDLER_ARGS)                                                 \
	{                                                                                \
		struct operands o;                                                       \
		vec_operands(cpu, in, &o, 4);                                            \
		o.a0.d[0] = function(o.b[0].d[0]);                                       \
		vec_commit_128(cpu, in, in->rd, o.a0);                                   \
	}
APPROXIMATE(rcp, reciprocal)
APPROXIMATE(rsqrt, reciprocal_root)
