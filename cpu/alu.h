/*
 * Pure integer kernels: operands in, result out, status flags left lazily in the processor (flags.h). `s` is log2 of the size in bytes; callers
 * pass a constant where speed matters, so that everything folds. Results are sign-extended from the size.
 *
 * Flags that the manual leaves undefined get one defined value here, chosen as recent Intel processors do where known.
 */
#ifndef NB_CPU_ALU_H
#define NB_CPU_ALU_H

#include "cpu/flags.h"

#define ALU static inline __attribute__((always_inline)) u64

ALU
alu_sx(u64 v, unsigned s)
{
	switch (s) {
	case 0: return (u64)(s8)v;
	case 1: return (u64)(s16)v;
	case 2: return (u64)(s32)v;
	default: return v;
	}
}

ALU
alu_zx(u64 v, unsigned s)
{
	switch (s) {
	case 0: return (u8)v;
	case 1: return (u16)v;
	case 2: return (u32)v;
	default: return v;
	}
}

ALU
alu_add(struct vcpu *cpu, u64 a, u64 b, unsigned s)
{
	u64 r = alu_sx(a + b, s);
	cc_set(cpu, CC(CC_ADD, s), r, alu_sx(b, s));
	return r;
}

ALU
alu_sub(struct vcpu *cpu, u64 a, u64 b, unsigned s)
{
	u64 x = alu_sx(a, s), y = alu_sx(b, s);
	cc_set(cpu, CC(CC_SUB, s), x, y);
	return x - y;
}

ALU
alu_cmp(struct vcpu *cpu, u64 a, u64 b, unsigned s)
{
	alu_sub(cpu, a, b, s);
	return a;
}

ALU
alu_logic(struct vcpu *cpu, u64 r, unsigned s)
{
	r = alu_sx(r, s);
	cc_set(cpu, CC(CC_LOGIC, s), r, 0);
	return r;
}

ALU
alu_and(struct vcpu *cpu, u64 a, u64 b, unsigned s)
{
	return alu_logic(cpu, a & b, s);
}

ALU
alu_or(struct vcpu *cpu, u64 a, u64 b, unsigned s)
{
	return alu_logic(cpu, a | b, s);
}

ALU
alu_xor(struct vcpu *cpu, u64 a, u64 b, unsigned s)
{
	return alu_logic(cpu, a ^ b, s);
}

/* CF, AF and OF from the vector of carries out of each bit, as CC_RES wants them. */
ALU
alu_carries(u64 carries, unsigned s)
{
	unsigned top = (8u << s) - 1;
	u64 cf = carries >> top & 1;
	return cf | (carries << 1 & FLAG_AF) | (cf ^ (carries >> (top - 1) & 1)) << 11;
}

ALU
alu_adc(struct vcpu *cpu, u64 a, u64 b, unsigned s)
{
	u64 r = a + b + cc_cf(cpu);
	u64 y = alu_carries((a & b) | ((a | b) & ~r), s);
	r = alu_sx(r, s);
	cc_set(cpu, CC(CC_RES, s), r, y);
	return r;
}

ALU
alu_sbb(struct vcpu *cpu, u64 a, u64 b, unsigned s)
{
	u64 r = a - b - cc_cf(cpu);
	u64 y = alu_carries((~a & b) | ((~a | b) & r), s);
	r = alu_sx(r, s);
	cc_set(cpu, CC(CC_RES, s), r, y);
	return r;
}

ALU
alu_inc(struct vcpu *cpu, u64 a, unsigned s)
{
	u64 r = alu_sx(a + 1, s), cf = cc_cf(cpu);
	u64 of = r == alu_sx(1ull << ((8u << s) - 1), s);
	cc_set(cpu, CC(CC_RES, s), r, cf | ((a ^ r) & FLAG_AF) | of << 11);
	return r;
}

ALU
alu_dec(struct vcpu *cpu, u64 a, unsigned s)
{
	u64 r = alu_sx(a - 1, s), cf = cc_cf(cpu);
	u64 of = alu_sx(a, s) == alu_sx(1ull << ((8u << s) - 1), s);
	cc_set(cpu, CC(CC_RES, s), r, cf | ((a ^ r) & FLAG_AF) | of << 11);
	return r;
}

ALU
alu_neg(struct vcpu *cpu, u64 a, unsigned s)
{
	return alu_sub(cpu, 0, a, s);
}

/* --- shifts; `count` as given, masked here; zero changes nothing --- */

ALU
alu_shl(struct vcpu *cpu, u64 a, unsigned count, unsigned s)
{
	unsigned bits = 8u << s;
	count &= s == 3 ? 63 : 31;
	if (!count)
		return a;
	u64 cf = count <= bits ? alu_zx(a, s) >> (bits - count) & 1 : 0;
	u64 r = alu_sx(a << count, s);
	cc_set(cpu, CC(CC_RES, s), r, cf | (cf ^ (r >> 63)) << 11);
	return r;
}

ALU
alu_shr(struct vcpu *cpu, u64 a, unsigned count, unsigned s)
{
	unsigned bits = 8u << s;
	count &= s == 3 ? 63 : 31;
	if (!count)
		return a;
	a = alu_zx(a, s);
	u64 cf = a >> (count - 1) & 1;
	u64 r = alu_sx(a >> count, s);
	cc_set(cpu, CC(CC_RES, s), r, cf | (a >> (bits - 1) & 1) << 11);
	return r;
}

ALU
alu_sar(struct vcpu *cpu, u64 a, unsigned count, unsigned s)
{
	count &= s == 3 ? 63 : 31;
	if (!count)
		return a;
	s64 v = (s64)alu_sx(a, s);
	u64 cf = v >> (count - 1) & 1;
	u64 r = (u64)(v >> count);
	cc_set(cpu, CC(CC_RES, s), r, cf);
	return r;
}

/* Rotates change CF and OF only. */
ALU
alu_rotate_flags(struct vcpu *cpu, u64 cf, u64 of)
{
	cc_set_raw(cpu, (cc_flags(cpu) & ~(FLAG_CF | FLAG_OF)) | cf | of << 11);
	return 0;
}

ALU
alu_rol(struct vcpu *cpu, u64 a, unsigned count, unsigned s)
{
	unsigned bits = 8u << s;
	count &= s == 3 ? 63 : 31;
	if (!count)
		return a;
	a = alu_zx(a, s);
	count &= bits - 1;
	u64 r = alu_sx(count ? a << count | a >> (bits - count) : a, s);
	alu_rotate_flags(cpu, r & 1, (r & 1) ^ (r >> 63));
	return r;
}

ALU
alu_ror(struct vcpu *cpu, u64 a, unsigned count, unsigned s)
{
	unsigned bits = 8u << s;
	count &= s == 3 ? 63 : 31;
	if (!count)
		return a;
	a = alu_zx(a, s);
	count &= bits - 1;
	u64 r = alu_sx(count ? a >> count | a << (bits - count) : a, s);
	alu_rotate_flags(cpu, r >> 63, (r >> 63) ^ (r >> (bits - 2) & 1));
	return r;
}

ALU
alu_rcl(struct vcpu *cpu, u64 a, unsigned count, unsigned s)
{
	unsigned bits = 8u << s;
	count &= s == 3 ? 63 : 31;
	count %= bits + 1;
	if (!count)
		return a;
	u128 v = (u128)cc_cf(cpu) << bits | alu_zx(a, s);
	v = v << count | v >> (bits + 1 - count);
	u64 r = alu_sx((u64)v, s), cf = (u64)(v >> bits) & 1;
	alu_rotate_flags(cpu, cf, cf ^ (r >> 63));
	return r;
}

ALU
alu_rcr(struct vcpu *cpu, u64 a, unsigned count, unsigned s)
{
	unsigned bits = 8u << s;
	count &= s == 3 ? 63 : 31;
	count %= bits + 1;
	if (!count)
		return a;
	u128 v = (u128)cc_cf(cpu) << bits | alu_zx(a, s);
	v = v >> count | v << (bits + 1 - count);
	u64 r = alu_sx((u64)v, s), cf = (u64)(v >> bits) & 1;
	alu_rotate_flags(cpu, cf, (r >> 63) ^ (r >> (bits - 2) & 1));
	return r;
}

#undef ALU

#endif
