/*
 * x87 loads, stores, constants, exchanges, conditional moves, stack pointer.
 *
 * Loads are exact conversions and done here; stores round, and the host does them. BCD digits above 9, which the manual
 * leaves undefined, count as what they are (10 to 15).
 *
 * Source: SDM 2, the instructions by name; SDM 1, "Data Types and Formats Overview", "Invalid Operation Exception".
 */
#include <string.h>

#include "cpu/cpuid.h"
#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/x87_host.h"

/* --- loads --- */

/* A binary32 or binary64 number: `exponent_bits` and `fraction_bits`. */
INLINE struct fpreg
widen(u64 v, unsigned exponent_bits, unsigned fraction_bits, unsigned *found)
{
	u64 fraction = v & (BIT(fraction_bits) - 1);
	unsigned special = (1u << exponent_bits) - 1, exponent = v >> fraction_bits & special;
	u16 sign = (u16)(v >> (exponent_bits + fraction_bits) << 15);
	struct fpreg r = {fraction << (63 - fraction_bits), sign};
	if (exponent == special) {
		r.sign_exponent |= EXPONENT_MASK;
		r.significand |= SIGNIFICAND_ONE;
		if (is_snan(r)) {
			*found = X87_IE;
			r.significand |= QUIET_BIT;
		}
	} else if (exponent) {
		r.sign_exponent |= (u16)(exponent + EXPONENT_BIAS - (special >> 1));
		r.significand |= SIGNIFICAND_ONE;
	} else if (fraction) {
		unsigned shift = (unsigned)__builtin_clzll(r.significand);
		*found = X87_DE;
		r.sign_exponent |= (u16)(1 + EXPONENT_BIAS - (special >> 1) - shift);
		r.significand <<= shift;
	}
	return r;
}

static struct fpreg
from_integer(u64 magnitude, bool negative)
{
	if (!magnitude)
		return (struct fpreg){0, negative ? 0x8000 : 0};
	unsigned shift = (unsigned)__builtin_clzll(magnitude);
	return (struct fpreg){magnitude << shift, (u16)((EXPONENT_BIAS + 63 - shift) | (negative ? 0x8000 : 0))};
}

static u64
read_memory(struct vcpu *cpu, const struct insn *in, unsigned size)
{
	return mem_read(cpu, insn_linear(cpu, in, size, ACCESS_READ), size);
}

void
op_fld_m32(struct vcpu *cpu, const struct insn *in)
{
	unsigned found = 0;
	struct fpreg v = widen(read_memory(cpu, in, 4), 8, 23, &found);
	x87_push(cpu, in, v, found);
}

void
op_fld_m64(struct vcpu *cpu, const struct insn *in)
{
	unsigned found = 0;
	struct fpreg v = widen(read_memory(cpu, in, 8), 11, 52, &found);
	x87_push(cpu, in, v, found);
}

void
op_fld_m80(struct vcpu *cpu, const struct insn *in)
{
	struct fpreg v = {0};
	mem_read_bytes(cpu, insn_linear(cpu, in, 10, ACCESS_READ), &v, 10);
	x87_push(cpu, in, v, 0);
}

INLINE void
load_integer(struct vcpu *cpu, const struct insn *in, unsigned size)
{
	s64 v = sign_extend(read_memory(cpu, in, size), size);
	x87_push(cpu, in, from_integer(v < 0 ? -(u64)v : (u64)v, v < 0), 0);
}

void
op_fild_m16(struct vcpu *cpu, const struct insn *in)
{
	load_integer(cpu, in, 2);
}

void
op_fild_m32(struct vcpu *cpu, const struct insn *in)
{
	load_integer(cpu, in, 4);
}

void
op_fild_m64(struct vcpu *cpu, const struct insn *in)
{
	load_integer(cpu, in, 8);
}

void
op_fbld(struct vcpu *cpu, const struct insn *in)
{
	u8 bcd[10];
	u64 magnitude = 0;
	mem_read_bytes(cpu, insn_linear(cpu, in, 10, ACCESS_READ), bcd, 10);
	for (int n = 8; n >= 0; n--)
		magnitude = magnitude * 100 + (u64)(bcd[n] >> 4) * 10 + (bcd[n] & 15);
	x87_push(cpu, in, from_integer(magnitude, bcd[9] & 0x80), 0);
}

void
op_fld_sti(struct vcpu *cpu, const struct insn *in)
{
	struct x87 *x = &cpu->x87;
	if (x87_is_empty(x, in->rs))
		x87_push(cpu, in, x87_indefinite, X87_STACK_UNDERFLOW);
	else
		x87_push(cpu, in, *x87_st(x, in->rs), 0);
}

/* --- constants: the longer value rounded by RC, whatever PC says --- */

INLINE void
load_constant(struct vcpu *cpu, const struct insn *in, struct fpreg down, bool up_is_nearest)
{
	unsigned rounding = cpu->x87.control >> 10 & 3;
	if (rounding == 2 || (rounding == 0 && up_is_nearest))
		down.significand++;
	x87_push(cpu, in, down, 0);
}

#define CONSTANT(name, significand, sign_exponent, up_is_nearest)                                                      \
	void op_##name(struct vcpu *cpu, const struct insn *in)                                                        \
	{                                                                                                              \
		load_constant(cpu, in, (struct fpreg){significand, sign_exponent}, up_is_nearest);                     \
	}
CONSTANT(fldl2t, 0xd49a784bcd1b8afe, 0x4000, false)
CONSTANT(fldl2e, 0xb8aa3b295c17f0bb, 0x3fff, true)
CONSTANT(fldpi, 0xc90fdaa22168c234, 0x4000, true)
CONSTANT(fldlg2, 0x9a209a84fbcff798, 0x3ffd, true)
CONSTANT(fldln2, 0xb17217f7d1cf79ab, 0x3ffe, true)

void
op_fld1(struct vcpu *cpu, const struct insn *in)
{
	x87_push(cpu, in, (struct fpreg){SIGNIFICAND_ONE, EXPONENT_BIAS}, 0);
}

void
op_fldz(struct vcpu *cpu, const struct insn *in)
{
	x87_push(cpu, in, (struct fpreg){0, 0}, 0);
}

/* --- stores --- */

HOST_STORE(fst_m32, "fsts", "", u32)
HOST_STORE(fst_m64, "fstl", "", u64)
HOST_STORE(fist_m16, "fistps", HOST_POPS, u16)
HOST_STORE(fist_m32, "fistpl", HOST_POPS, u32)
HOST_STORE(fist_m64, "fistpll", HOST_POPS, u64)
HOST_STORE(fisttp_m16, "fisttps", HOST_POPS, u16)
HOST_STORE(fisttp_m32, "fisttpl", HOST_POPS, u32)
HOST_STORE(fisttp_m64, "fisttpll", HOST_POPS, u64)

struct bcd {
	u8 byte[10];
};
HOST_STORE(fbstp, "fbstp", HOST_POPS, struct bcd)

/* Nothing is stored, and nothing popped, if one of `fatal` is found unmasked. */
static void
store(struct vcpu *cpu, const struct insn *in, const void *value, unsigned size, unsigned found,
	unsigned fatal, bool pop)
{
	struct x87 *x = &cpu->x87;
	u64 linear = insn_linear(cpu, in, size, ACCESS_WRITE);
	if (found & fatal & ~x->control) {
		mem_probe_write(cpu, linear, size);
		x87_end(cpu, in, found);
		return;
	}
	mem_write_bytes(cpu, linear, value, size);
	x87_end(cpu, in, found);
	if (pop)
		x87_pop(x);
}

#define STORE_REAL(name, host, type, indefinite, pop)                                                                  \
	void op_##name(struct vcpu *cpu, const struct insn *in)                                                        \
	{                                                                                                              \
		struct x87 *x = &cpu->x87;                                                                             \
		type value = indefinite;                                                                               \
		unsigned found = X87_STACK_UNDERFLOW;                                                                  \
		if (!x87_is_empty(x, 0))                                                                               \
			found = host(x->control, *x87_st(x, 0), &value) & (X87_EXCEPTIONS | X87_C1);                   \
		store(cpu, in, &value, sizeof value, found, X87_BEFORE | X87_OE | X87_UE, pop);                        \
	}
STORE_REAL(fst_m32, host_fst_m32, u32, 0xffc00000, false)
STORE_REAL(fst_m64, host_fst_m64, u64, 0xfff8000000000000, false)
STORE_REAL(fstp_m32, host_fst_m32, u32, 0xffc00000, true)
STORE_REAL(fstp_m64, host_fst_m64, u64, 0xfff8000000000000, true)

/* The host has only popping forms for some sizes, and pops only if #I is masked. */
#define STORE_INTEGER(name, host, type, indefinite, pop, feature)                                                      \
	void op_##name(struct vcpu *cpu, const struct insn *in)                                                        \
	{                                                                                                              \
		struct x87 *x = &cpu->x87;                                                                             \
		if (!cpu_has(cpu, FEATURE_##feature))                                                                  \
			raise_ud(cpu);                                                                                 \
		type value = indefinite;                                                                               \
		unsigned found = X87_STACK_UNDERFLOW;                                                                  \
		if (!x87_is_empty(x, 0))                                                                               \
			found = host((u16)(x->control | X87_IE), *x87_st(x, 0), &value) & (X87_EXCEPTIONS | X87_C1);   \
		store(cpu, in, &value, sizeof value, found, X87_BEFORE, pop);                                          \
	}
STORE_INTEGER(fist_m16, host_fist_m16, u16, 0x8000, false, BASE)
STORE_INTEGER(fist_m32, host_fist_m32, u32, 0x80000000, false, BASE)
STORE_INTEGER(fistp_m16, host_fist_m16, u16, 0x8000, true, BASE)
STORE_INTEGER(fistp_m32, host_fist_m32, u32, 0x80000000, true, BASE)
STORE_INTEGER(fistp_m64, host_fist_m64, u64, 0x8000000000000000, true, BASE)
STORE_INTEGER(fisttp_m16, host_fisttp_m16, u16, 0x8000, true, SSE3)
STORE_INTEGER(fisttp_m32, host_fisttp_m32, u32, 0x80000000, true, SSE3)
STORE_INTEGER(fisttp_m64, host_fisttp_m64, u64, 0x8000000000000000, true, SSE3)

#define BCD_INDEFINITE                                                                                                 \
	{                                                                                                              \
		{                                                                                                      \
			0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff                                                          \
		}                                                                                                      \
	}
STORE_INTEGER(fbstp, host_fbstp, struct bcd, BCD_INDEFINITE, true, BASE)

void
op_fstp_m80(struct vcpu *cpu, const struct insn *in)
{
	struct x87 *x = &cpu->x87;
	bool empty = x87_is_empty(x, 0);
	store(cpu, in, empty ? &x87_indefinite : x87_st(x, 0), 10, empty ? X87_STACK_UNDERFLOW : 0, X87_BEFORE, true);
}

static void
store_register(struct vcpu *cpu, const struct insn *in, bool pop)
{
	struct x87 *x = &cpu->x87;
	if (x87_is_empty(x, 0)) {
		x87_underflow(cpu, in, in->rs, pop);
		return;
	}
	x87_end(cpu, in, 0);
	x87_set(x, in->rs, *x87_st(x, 0));
	if (pop)
		x87_pop(x);
}

void
op_fst_sti(struct vcpu *cpu, const struct insn *in)
{
	store_register(cpu, in, false);
}

void
op_fstp_sti(struct vcpu *cpu, const struct insn *in)
{
	store_register(cpu, in, true);
}

/* FSTP to a register that knows no stack underflow: from an empty register it only pops. Not in the manual. */
void
op_fstpnce(struct vcpu *cpu, const struct insn *in)
{
	struct x87 *x = &cpu->x87;
	x87_end(cpu, in, 0);
	if (!x87_is_empty(x, 0))
		x87_set(x, in->rs, *x87_st(x, 0));
	x87_pop(x);
}

/* --- registers and stack pointer --- */

void
op_fxch(struct vcpu *cpu, const struct insn *in)
{
	struct x87 *x = &cpu->x87;
	unsigned found = x87_is_empty(x, 0) || x87_is_empty(x, in->rs) ? X87_STACK_UNDERFLOW : 0;
	if (!x87_end(cpu, in, found))
		return;
	struct fpreg a = x87_is_empty(x, 0) ? x87_indefinite : *x87_st(x, 0);
	struct fpreg b = x87_is_empty(x, in->rs) ? x87_indefinite : *x87_st(x, in->rs);
	x87_set(x, 0, b);
	x87_set(x, in->rs, a);
}

INLINE void
move_if(struct vcpu *cpu, const struct insn *in, u64 flags, bool wanted)
{
	struct x87 *x = &cpu->x87;
	if (!cpu_has(cpu, FEATURE_CMOV))
		raise_ud(cpu);
	if (x87_is_empty(x, 0) || x87_is_empty(x, in->rs)) {
		x87_underflow(cpu, in, 0, false);
		return;
	}
	x87_end(cpu, in, x->status & X87_C1);
	if (!!(cc_flags(cpu) & flags) == wanted)
		x87_set(x, 0, *x87_st(x, in->rs));
}

#define MOVE_IF(name, flags, wanted)                                                                                   \
	void op_##name(struct vcpu *cpu, const struct insn *in)                                                        \
	{                                                                                                              \
		move_if(cpu, in, flags, wanted);                                                                       \
	}
MOVE_IF(fcmovb, FLAG_CF, true)
MOVE_IF(fcmove, FLAG_ZF, true)
MOVE_IF(fcmovbe, FLAG_CF | FLAG_ZF, true)
MOVE_IF(fcmovu, FLAG_PF, true)
MOVE_IF(fcmovnb, FLAG_CF, false)
MOVE_IF(fcmovne, FLAG_ZF, false)
MOVE_IF(fcmovnbe, FLAG_CF | FLAG_ZF, false)
MOVE_IF(fcmovnu, FLAG_PF, false)

void
op_ffree(struct vcpu *cpu, const struct insn *in)
{
	struct x87 *x = &cpu->x87;
	x87_end(cpu, in, 0);
	x->empty |= (u8)BIT(x87_number(x, in->rs));
}

/* FFREE, and a pop: not in the manual, but every processor has it. */
void
op_ffreep(struct vcpu *cpu, const struct insn *in)
{
	op_ffree(cpu, in);
	x87_pop(&cpu->x87);
}

void
op_fincstp(struct vcpu *cpu, const struct insn *in)
{
	x87_end(cpu, in, 0);
	x87_set_top(&cpu->x87, x87_top(&cpu->x87) + 1);
}

void
op_fdecstp(struct vcpu *cpu, const struct insn *in)
{
	x87_end(cpu, in, 0);
	x87_set_top(&cpu->x87, x87_top(&cpu->x87) - 1);
}

void
op_fnop(struct vcpu *cpu, const struct insn *in)
{
	x87_end(cpu, in, cpu->x87.status & X87_C1);
}
