/* Shifts, rotates and bit instructions: the complete forms. */
#include "cpu/access.h"
#include "cpu/alu.h"
#include "cpu/fault.h"

#define SIZE_LOG2(in) PREFIX_OSIZE((in)->prefix)
#define SIZE(in) (1u << SIZE_LOG2(in))

#define SHIFT(name, kernel)                                                                                                                \
	static void name##_by(struct vcpu *cpu, const struct insn *in, unsigned count)                                                     \
	{                                                                                                                                  \
		u64 a = rm_read_modify(cpu, in, SIZE(in));                                                                                 \
		rm_write_back(cpu, in, SIZE(in), kernel(cpu, a, count, SIZE_LOG2(in)));                                                    \
	}                                                                                                                                  \
	void op_##name##_I(struct vcpu *cpu, const struct insn *in)                                                                        \
	{                                                                                                                                  \
		name##_by(cpu, in, (u8)in->imm);                                                                                           \
	}                                                                                                                                  \
	void op_##name##_1(struct vcpu *cpu, const struct insn *in)                                                                        \
	{                                                                                                                                  \
		name##_by(cpu, in, 1);                                                                                                     \
	}                                                                                                                                  \
	void op_##name##_C(struct vcpu *cpu, const struct insn *in)                                                                        \
	{                                                                                                                                  \
		name##_by(cpu, in, (u8)cpu->r[RCX]);                                                                                       \
	}

SHIFT(rol, alu_rol)
SHIFT(ror, alu_ror)
SHIFT(rcl, alu_rcl)
SHIFT(rcr, alu_rcr)
SHIFT(shl, alu_shl)
SHIFT(shr, alu_shr)
SHIFT(sar, alu_sar)

/*
 * SHLD and SHRD. For 16-bit operands and counts over 16 the result is undefined; here the pair rotates on, as a 48-bit dest:src:dest value
 * would.
 */
static void
double_shift(struct vcpu *cpu, const struct insn *in, unsigned count, bool left)
{
	unsigned s = SIZE_LOG2(in), bits = 8u << s;
	u64 a = alu_zx(rm_read_modify(cpu, in, 1u << s), s), b = alu_zx(reg_get(cpu, in->rd, 1u << s), s), r, cf;
	count &= s == 3 ? 63 : 31;
	if (!count) {
		rm_write_back(cpu, in, 1u << s, a);
		return;
	}
	if (left) {
		u128 v = s == 1 ? (u128)a << 32 | b << 16 | a : (u128)a << bits | b;
		unsigned width = s == 1 ? 48 : 2 * bits;
		cf = (u64)(v >> (width - count)) & 1;
		r = (u64)(v >> (width - bits - count));
	} else {
		u128 v = s == 1 ? (u128)a << 32 | b << 16 | a : (u128)b << bits | a;
		cf = (u64)(v >> (count - 1)) & 1;
		r = (u64)(v >> count);
	}
	r = alu_sx(r, s);
	u64 of = (r ^ alu_sx(a, s)) >> 63;
	rm_write_back(cpu, in, 1u << s, r);
	cc_set(cpu, CC(CC_RES, s), r, cf | of << 11);
}

void
op_shld_I(struct vcpu *cpu, const struct insn *in)
{
	double_shift(cpu, in, (u8)in->imm, true);
}

void
op_shld_C(struct vcpu *cpu, const struct insn *in)
{
	double_shift(cpu, in, (u8)cpu->r[RCX], true);
}

void
op_shrd_I(struct vcpu *cpu, const struct insn *in)
{
	double_shift(cpu, in, (u8)in->imm, false);
}

void
op_shrd_C(struct vcpu *cpu, const struct insn *in)
{
	double_shift(cpu, in, (u8)cpu->r[RCX], false);
}

/* --- bit test --- */

enum bit_action { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

static u64
bit_apply(u64 value, unsigned bit, enum bit_action action)
{
	switch (action) {
	case BIT_SET: return value | BIT(bit);
	case BIT_RESET: return value & ~BIT(bit);
	case BIT_COMPLEMENT: return value ^ BIT(bit);
	default: return value;
	}
}

/* Only CF changes (OF, SF, AF, PF are undefined and kept; ZF is kept). */
static void
set_cf(struct vcpu *cpu, bool cf)
{
	cc_set_raw(cpu, (cc_flags(cpu) & ~FLAG_CF) | cf);
}

/* A register bit offset reaches beyond a memory operand: the address moves by whole operands. */
static void
bit_by_register(struct vcpu *cpu, const struct insn *in, enum bit_action action)
{
	unsigned size = SIZE(in), bit = reg_get(cpu, in->rd, size) & (size * 8 - 1);
	if (!insn_is_mem(in)) {
		u64 v = reg_get(cpu, in->rs, size);
		if (action != BIT_TEST)
			reg_set(cpu, in->rs, size, bit_apply(v, bit, action));
		set_cf(cpu, v >> bit & 1);
		return;
	}
	s64 offset = sign_extend(reg_get(cpu, in->rd, size), size) >> (3 + SIZE_LOG2(in));
	u64 ea = insn_offset(cpu, in) + (u64)offset * size;
	unsigned asize = EA_ASIZE(in->ea);
	if (asize < 3)
		ea &= asize == 1 ? 0xffff : 0xffffffff;
	unsigned access = action == BIT_TEST ? ACCESS_READ : ACCESS_READ | ACCESS_WRITE;
	u64 linear = segment_linear(cpu, EA_SEG(in->ea), ea, size, access);
	if (action != BIT_TEST)
		mem_probe_write(cpu, linear, size);
	u64 v = mem_read(cpu, linear, size);
	if (action != BIT_TEST)
		mem_write(cpu, linear, size, bit_apply(v, bit, action));
	set_cf(cpu, v >> bit & 1);
}

static void
bit_by_immediate(struct vcpu *cpu, const struct insn *in, enum bit_action action)
{
	unsigned size = SIZE(in), bit = (u8)in->imm & (size * 8 - 1);
	u64 v = action == BIT_TEST ? rm_read(cpu, in, size) : rm_read_modify(cpu, in, size);
	if (action != BIT_TEST)
		rm_write_back(cpu, in, size, bit_apply(v, bit, action));
	set_cf(cpu, v >> bit & 1);
}

#define BIT_OP(name, action)                                                                                                               \
	void op_##name##_EG(struct vcpu *cpu, const struct insn *in)                                                                       \
	{                                                                                                                                  \
		bit_by_register(cpu, in, action);                                                                                          \
	}                                                                                                                                  \
	void op_##name##_EI(struct vcpu *cpu, const struct insn *in)                                                                       \
	{                                                                                                                                  \
		bit_by_immediate(cpu, in, action);                                                                                         \
	}

BIT_OP(bt, BIT_TEST)
BIT_OP(bts, BIT_SET)
BIT_OP(btr, BIT_RESET)
BIT_OP(btc, BIT_COMPLEMENT)

/* --- bit scan and count --- */

/* A zero source leaves the destination unchanged (all 64 bits), as processors do though the manual says undefined; ZF tells. */
void
op_bsf(struct vcpu *cpu, const struct insn *in)
{
	u64 v = alu_zx(rm_read(cpu, in, SIZE(in)), SIZE_LOG2(in));
	if (v)
		reg_set(cpu, in->rd, SIZE(in), (u64)__builtin_ctzll(v));
	cc_set_raw(cpu, (cc_flags(cpu) & ~FLAG_ZF) | (v ? 0 : FLAG_ZF));
}

void
op_bsr(struct vcpu *cpu, const struct insn *in)
{
	u64 v = alu_zx(rm_read(cpu, in, SIZE(in)), SIZE_LOG2(in));
	if (v)
		reg_set(cpu, in->rd, SIZE(in), 63u - (u64)__builtin_clzll(v));
	cc_set_raw(cpu, (cc_flags(cpu) & ~FLAG_ZF) | (v ? 0 : FLAG_ZF));
}

static void
count_flags(struct vcpu *cpu, bool cf, bool zf)
{
	cc_set_raw(cpu, (cf ? FLAG_CF : 0) | (zf ? FLAG_ZF : 0));
}

void
op_tzcnt(struct vcpu *cpu, const struct insn *in)
{
	u64 v = alu_zx(rm_read(cpu, in, SIZE(in)), SIZE_LOG2(in));
	u64 n = v ? (u64)__builtin_ctzll(v) : SIZE(in) * 8;
	reg_set(cpu, in->rd, SIZE(in), n);
	count_flags(cpu, !v, !n);
}

void
op_lzcnt(struct vcpu *cpu, const struct insn *in)
{
	u64 v = alu_zx(rm_read(cpu, in, SIZE(in)), SIZE_LOG2(in));
	u64 n = v ? (u64)__builtin_clzll(v) - (64 - SIZE(in) * 8) : SIZE(in) * 8;
	reg_set(cpu, in->rd, SIZE(in), n);
	count_flags(cpu, !v, !n);
}

void
op_popcnt(struct vcpu *cpu, const struct insn *in)
{
	u64 v = alu_zx(rm_read(cpu, in, SIZE(in)), SIZE_LOG2(in));
	reg_set(cpu, in->rd, SIZE(in), (u64)__builtin_popcountll(v));
	count_flags(cpu, false, !v);
}

/* 16-bit BSWAP is undefined; processors clear the register's low word. */
void
op_bswap(struct vcpu *cpu, const struct insn *in)
{
	unsigned size = SIZE(in);
	u64 v = reg_get(cpu, in->rd, size);
	reg_set(cpu, in->rd, size, size == 8 ? __builtin_bswap64(v) : size == 4 ? __builtin_bswap32((u32)v) : 0);
}

static u64
swap_bytes(u64 v, unsigned size)
{
	return __builtin_bswap64(v) >> (64 - size * 8);
}

void
op_movbe_GM(struct vcpu *cpu, const struct insn *in)
{
	reg_set(cpu, in->rd, SIZE(in), swap_bytes(rm_read(cpu, in, SIZE(in)), SIZE(in)));
}

void
op_movbe_MG(struct vcpu *cpu, const struct insn *in)
{
	rm_write(cpu, in, SIZE(in), swap_bytes(reg_get(cpu, in->rd, SIZE(in)), SIZE(in)));
}
