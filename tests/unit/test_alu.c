/*
 * Integer kernels and lazy flags against the host's own instructions, over edge-case and random operands. Flags that the manual leaves undefined are
 * not compared.
 */
#include "tests/unit/unit.h"

#include "cpu/alu.h"

#define ARITHMETIC (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

static const u64 edge[] = {0, 1, 2, 0x7f, 0x80, 0x81, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
			   0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff, 0x0123456789abcdef};

static u64
next(u64 *seed)
{
	u64 z = *seed += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static u64
operand(u64 *seed)
{
	u64 r = next(seed);
	return r & 3 ? edge[(r >> 8) % COUNT(edge)] : next(seed);
}

/* The host executes `insn` on a and b (count in CL) with CF as given. */
#define HOST(name, insn)                                                                                                                   \
	static u64 host_##name(u64 a, u64 b, bool cf, u64 *flags)                                                                          \
	{                                                                                                                                  \
		__asm__ volatile("add $-1, %b[cf]\n\t" insn "\n\tpushfq\n\tpop %[f]"                                                       \
				 : [a] "+r"(a), [f] "=&r"(*flags), [cf] "+&a"(cf)                                                          \
				 : [b] "c"(b)                                                                                              \
				 : "cc", "memory");                                                                                        \
		return a;                                                                                                                  \
	}
#define HOST_SIZES(name, op, src)                                                                                                          \
	HOST(name##0, op " %b[" src "], %b[a]")                                                                                            \
	HOST(name##1, op " %w[" src "], %w[a]")                                                                                            \
	HOST(name##2, op " %k[" src "], %k[a]")                                                                                            \
	HOST(name##3, op " %q[" src "], %q[a]")
#define HOST_COUNT(name, op)                                                                                                               \
	HOST(name##0, op " %%cl, %b[a]")                                                                                                   \
	HOST(name##1, op " %%cl, %w[a]")                                                                                                   \
	HOST(name##2, op " %%cl, %k[a]")                                                                                                   \
	HOST(name##3, op " %%cl, %q[a]")
#define HOST_ONE(name, op)                                                                                                                 \
	HOST(name##0, op " %b[a]")                                                                                                         \
	HOST(name##1, op " %w[a]")                                                                                                         \
	HOST(name##2, op " %k[a]")                                                                                                         \
	HOST(name##3, op " %q[a]")

HOST_SIZES(add, "add", "b")
HOST_SIZES(adc, "adc", "b")
HOST_SIZES(sub, "sub", "b")
HOST_SIZES(sbb, "sbb", "b")
HOST_SIZES(and, "and", "b")
HOST_SIZES(or, "or", "b")
HOST_SIZES(xor, "xor", "b")
HOST_ONE(inc, "inc")
HOST_ONE(dec, "dec")
HOST_ONE(neg, "neg")
HOST_COUNT(shl, "shl")
HOST_COUNT(shr, "shr")
HOST_COUNT(sar, "sar")
HOST_COUNT(rol, "rol")
HOST_COUNT(ror, "ror")
HOST_COUNT(rcl, "rcl")
HOST_COUNT(rcr, "rcr")

typedef u64 (*host_function)(u64 a, u64 b, bool cf, u64 *flags);
enum kind { TWO, ONE, SHIFT, ROTATE };

struct kernel {
	const char *name;
	enum kind kind;
	u64 defined; /* flags that the manual defines */
	host_function host[4];
};
#define KERNEL(name, kind, defined) {#name, kind, defined, {host_##name##0, host_##name##1, host_##name##2, host_##name##3}}
#define LOGIC (ARITHMETIC & ~FLAG_AF)

static const struct kernel kernels[] = {
	KERNEL(add, TWO, ARITHMETIC), KERNEL(adc, TWO, ARITHMETIC), KERNEL(sub, TWO, ARITHMETIC), KERNEL(sbb, TWO, ARITHMETIC),
	KERNEL(and, TWO, LOGIC),      KERNEL(or, TWO, LOGIC),       KERNEL(xor, TWO, LOGIC),      KERNEL(inc, ONE, ARITHMETIC),
	KERNEL(dec, ONE, ARITHMETIC), KERNEL(neg, ONE, ARITHMETIC), KERNEL(shl, SHIFT, LOGIC),    KERNEL(shr, SHIFT, LOGIC),
	KERNEL(sar, SHIFT, LOGIC),    KERNEL(rol, ROTATE, ARITHMETIC), KERNEL(ror, ROTATE, ARITHMETIC), KERNEL(rcl, ROTATE, ARITHMETIC),
	KERNEL(rcr, ROTATE, ARITHMETIC),
};

static u64
ours(struct vcpu *cpu, unsigned n, u64 a, u64 b, unsigned s)
{
	switch (n) {
	case 0: return alu_add(cpu, a, b, s);
	case 1: return alu_adc(cpu, a, b, s);
	case 2: return alu_sub(cpu, a, b, s);
	case 3: return alu_sbb(cpu, a, b, s);
	case 4: return alu_and(cpu, a, b, s);
	case 5: return alu_or(cpu, a, b, s);
	case 6: return alu_xor(cpu, a, b, s);
	case 7: return alu_inc(cpu, a, s);
	case 8: return alu_dec(cpu, a, s);
	case 9: return alu_neg(cpu, a, s);
	case 10: return alu_shl(cpu, a, (u8)b, s);
	case 11: return alu_shr(cpu, a, (u8)b, s);
	case 12: return alu_sar(cpu, a, (u8)b, s);
	case 13: return alu_rol(cpu, a, (u8)b, s);
	case 14: return alu_ror(cpu, a, (u8)b, s);
	case 15: return alu_rcl(cpu, a, (u8)b, s);
	default: return alu_rcr(cpu, a, (u8)b, s);
	}
}

/* Which flags mean something: shifts by more than one leave OF undefined, by more than the size CF too; a zero count changes nothing. */
static u64
defined_flags(const struct kernel *k, u64 b, unsigned s)
{
	unsigned count = b & (s == 3 ? 63 : 31), bits = 8u << s;
	if (k->kind != SHIFT && k->kind != ROTATE)
		return k->defined;
	if (!count)
		return ARITHMETIC & (k->kind == SHIFT ? ~0ull : ~0ull);
	u64 defined = k->defined;
	if (count != 1)
		defined &= ~FLAG_OF;
	if (k->kind == SHIFT && count > bits)
		defined &= ~FLAG_CF;
	return defined;
}

static void
kernels_agree_with_the_host(void **state)
{
	(void)state;
	static struct vcpu cpu;
	u64 seed = 1;
	for (unsigned n = 0; n < COUNT(kernels); n++)
		for (unsigned s = 0; s < 4; s++)
			for (unsigned trial = 0; trial < 4000; trial++) {
				const struct kernel *k = &kernels[n];
				u64 a = operand(&seed), b = operand(&seed), flags, mask = ~0ull >> (64 - (8u << s));
				bool cf = next(&seed) & 1;
				if (k->kind >= SHIFT && trial & 1)
					b = next(&seed) & 63;
				u64 want = k->host[s](a, b, cf, &flags) & mask;
				/* What the host's flags were before: ADD of -1 to AL = cf. */
				cc_set(&cpu, CC(CC_ADD, 0), (u64)(s64)(s8)(u8)(cf - 1), ~0ull);
				u64 before = cc_flags(&cpu);
				u64 got = ours(&cpu, n, a, b, s) & mask;
				u64 defined = defined_flags(k, b, s);
				if (got != want || (cc_flags(&cpu) ^ flags) & defined)
					fail_msg("%s size %u: a=%llx b=%llx cf=%d: got %llx flags %llx, host %llx flags %llx (before %llx)", k->name,
						 1u << s, (unsigned long long)a, (unsigned long long)b, cf, (unsigned long long)got,
						 (unsigned long long)cc_flags(&cpu), (unsigned long long)want,
						 (unsigned long long)(flags & ARITHMETIC), (unsigned long long)before);
			}
}

/* Each condition code, for every kind of lazy flags, is what the manual's formula gives on the flags made real. */
static void
conditions_follow_from_the_flags(void **state)
{
	(void)state;
	static struct vcpu cpu;
	u64 seed = 2;
	for (unsigned trial = 0; trial < 20000; trial++) {
		unsigned kind = (unsigned)(next(&seed) % 5), s = (unsigned)(next(&seed) % 4);
		u64 a = operand(&seed), b = operand(&seed);
		switch (kind) {
		case CC_RAW: cc_set_raw(&cpu, a); break;
		case CC_ADD: alu_add(&cpu, a, b, s); break;
		case CC_SUB: alu_sub(&cpu, a, b, s); break;
		case CC_LOGIC: alu_and(&cpu, a, b, s); break;
		default: alu_adc(&cpu, a, b, s); break;
		}
		u64 f = cc_flags(&cpu);
		bool cf = f & FLAG_CF, zf = f & FLAG_ZF, sf = f & FLAG_SF, of = f & FLAG_OF, pf = f & FLAG_PF;
		const bool want[8] = {of, cf, zf, cf || zf, sf, pf, sf != of, zf || sf != of};
		for (unsigned c = 0; c < 16; c++)
			if (cc_condition(&cpu, c) != (want[c / 2] ^ (c & 1)))
				fail_msg("condition %u, kind %u, size %u, a=%llx b=%llx", c, kind, 1u << s, (unsigned long long)a,
					 (unsigned long long)b);
		assert_int_equal(cc_cf(&cpu), cf);
		assert_int_equal(cc_zf(&cpu), zf);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernels_agree_with_the_host),
		cmocka_unit_test(conditions_follow_from_the_flags),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
