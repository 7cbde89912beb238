/* Integer arithmetic and logic: the complete forms. SDM 2, each instruction's Operation section. */
#include "cpu/access.h"
#include "cpu/alu.h"
#include "cpu/fault.h"

#define SIZE_LOG2(in) PREFIX_OSIZE((in)->prefix)
#define SIZE(in) (1u << SIZE_LOG2(in))

/* The four operand forms of one two-operand instruction; `stores` false for CMP and TEST. */
#define TWO_OPERANDS(name, kernel, stores)                                                                                                 \
	void op_##name##_EG(struct vcpu *cpu, const struct insn *in)                                                                       \
	{                                                                                                                                  \
		unsigned s = SIZE_LOG2(in);                                                                                                \
		u64 a = stores ? rm_read_modify(cpu, in, 1u << s) : rm_read(cpu, in, 1u << s);                                             \
		u64 r = kernel(cpu, a, reg_get(cpu, in->rd, 1u << s), s);                                                                  \
		if (stores)                                                                                                                \
			rm_write_back(cpu, in, 1u << s, r);                                                                                \
	}                                                                                                                                  \
	void op_##name##_EI(struct vcpu *cpu, const struct insn *in)                                                                       \
	{                                                                                                                                  \
		unsigned s = SIZE_LOG2(in);                                                                                                \
		u64 a = stores ? rm_read_modify(cpu, in, 1u << s) : rm_read(cpu, in, 1u << s);                                             \
		u64 r = kernel(cpu, a, (u64)in->imm, s);                                                                                   \
		if (stores)                                                                                                                \
			rm_write_back(cpu, in, 1u << s, r);                                                                                \
	}                                                                                                                                  \
	void op_##name##_GE(struct vcpu *cpu, const struct insn *in)                                                                       \
	{                                                                                                                                  \
		unsigned s = SIZE_LOG2(in);                                                                                                \
		u64 b = rm_read(cpu, in, 1u << s);                                                                                         \
		u64 r = kernel(cpu, reg_get(cpu, in->rd, 1u << s), b, s);                                                                  \
		if (stores)                                                                                                                \
			reg_set(cpu, in->rd, 1u << s, r);                                                                                  \
	}                                                                                                                                  \
	void op_##name##_AI(struct vcpu *cpu, const struct insn *in)                                                                       \
	{                                                                                                                                  \
		unsigned s = SIZE_LOG2(in);                                                                                                \
		u64 r = kernel(cpu, cpu->r[RAX], (u64)in->imm, s);                                                                         \
		if (stores)                                                                                                                \
			reg_set(cpu, RAX * 8, 1u << s, r);                                                                                 \
	}

TWO_OPERANDS(add, alu_add, true)
TWO_OPERANDS(or, alu_or, true)
TWO_OPERANDS(adc, alu_adc, true)
TWO_OPERANDS(sbb, alu_sbb, true)
TWO_OPERANDS(and, alu_and, true)
TWO_OPERANDS(sub, alu_sub, true)
TWO_OPERANDS(xor, alu_xor, true)
TWO_OPERANDS(cmp, alu_cmp, false)
TWO_OPERANDS(test, alu_and, false)

#define ONE_OPERAND(name, kernel)                                                                                                          \
	void op_##name(struct vcpu *cpu, const struct insn *in)                                                                            \
	{                                                                                                                                  \
		unsigned s = SIZE_LOG2(in);                                                                                                \
		u64 a = rm_read_modify(cpu, in, 1u << s);                                                                                  \
		rm_write_back(cpu, in, 1u << s, kernel(cpu, a, s));                                                                        \
	}

ONE_OPERAND(inc, alu_inc)
ONE_OPERAND(dec, alu_dec)
ONE_OPERAND(neg, alu_neg)

void
op_not(struct vcpu *cpu, const struct insn *in)
{
	u64 a = rm_read_modify(cpu, in, SIZE(in));
	rm_write_back(cpu, in, SIZE(in), ~a);
}

void
op_inc_Z(struct vcpu *cpu, const struct insn *in)
{
	reg_set(cpu, in->rd, SIZE(in), alu_inc(cpu, reg_get(cpu, in->rd, SIZE(in)), SIZE_LOG2(in)));
}

void
op_dec_Z(struct vcpu *cpu, const struct insn *in)
{
	reg_set(cpu, in->rd, SIZE(in), alu_dec(cpu, reg_get(cpu, in->rd, SIZE(in)), SIZE_LOG2(in)));
}

static void
adx(struct vcpu *cpu, const struct insn *in, u64 flag)
{
	unsigned size = in->prefix & PREFIX_W ? 8 : 4;
	u64 a = reg_get(cpu, in->rd, size), b = rm_read(cpu, in, size), flags = cc_flags(cpu);
	u128 sum = (u128)a + b + !!(flags & flag);
	cc_set_raw(cpu, (flags & ~flag) | ((u64)(sum >> (size * 8)) & 1 ? flag : 0));
	reg_set(cpu, in->rd, size, (u64)sum);
}

void
op_adcx(struct vcpu *cpu, const struct insn *in)
{
	adx(cpu, in, FLAG_CF);
}

void
op_adox(struct vcpu *cpu, const struct insn *in)
{
	adx(cpu, in, FLAG_OF);
}

/* --- multiply and divide --- */

/* CF = OF = the upper half matters; SF, ZF, PF follow the lower half (the manual leaves them undefined). */
static void
multiply_flags(struct vcpu *cpu, u64 low, bool overflow, unsigned s)
{
	cc_set(cpu, CC(CC_RES, s), alu_sx(low, s), overflow ? FLAG_CF | FLAG_OF : 0);
}

static void
write_product(struct vcpu *cpu, u128 product, unsigned s)
{
	if (s == 0) {
		reg_set(cpu, RAX * 8, 2, (u64)product);
	} else {
		reg_set(cpu, RAX * 8, 1u << s, (u64)product);
		reg_set(cpu, RDX * 8, 1u << s, (u64)(product >> (8u << s)));
	}
}

void
op_mul(struct vcpu *cpu, const struct insn *in)
{
	unsigned s = SIZE_LOG2(in);
	u128 product = (u128)alu_zx(rm_read(cpu, in, 1u << s), s) * alu_zx(cpu->r[RAX], s);
	write_product(cpu, product, s);
	multiply_flags(cpu, (u64)product, product >> (8u << s) != 0, s);
}

void
op_imul(struct vcpu *cpu, const struct insn *in)
{
	unsigned s = SIZE_LOG2(in);
	s128 product = (s128)(s64)alu_sx(rm_read(cpu, in, 1u << s), s) * (s64)alu_sx(cpu->r[RAX], s);
	write_product(cpu, (u128)product, s);
	multiply_flags(cpu, (u64)product, product != (s64)alu_sx((u64)product, s), s);
}

static void
imul_to_register(struct vcpu *cpu, const struct insn *in, s64 a, s64 b)
{
	unsigned s = SIZE_LOG2(in);
	s128 product = (s128)(s64)alu_sx((u64)a, s) * (s64)alu_sx((u64)b, s);
	reg_set(cpu, in->rd, 1u << s, (u64)product);
	multiply_flags(cpu, (u64)product, product != (s64)alu_sx((u64)product, s), s);
}

void
op_imul_GE(struct vcpu *cpu, const struct insn *in)
{
	imul_to_register(cpu, in, (s64)reg_get(cpu, in->rd, SIZE(in)), (s64)rm_read(cpu, in, SIZE(in)));
}

void
op_imul_GEI(struct vcpu *cpu, const struct insn *in)
{
	imul_to_register(cpu, in, (s64)rm_read(cpu, in, SIZE(in)), in->imm);
}

/* The dividend: AX, DX:AX, EDX:EAX or RDX:RAX. */
static u128
dividend(const struct vcpu *cpu, unsigned s)
{
	if (s == 0)
		return (u16)cpu->r[RAX];
	return (u128)alu_zx(cpu->r[RDX], s) << (8u << s) | alu_zx(cpu->r[RAX], s);
}

static void
write_quotient(struct vcpu *cpu, u64 quotient, u64 remainder, unsigned s)
{
	if (s == 0) {
		reg_set(cpu, RAX * 8, 2, (u8)quotient | (u64)(u8)remainder << 8);
	} else {
		reg_set(cpu, RAX * 8, 1u << s, quotient);
		reg_set(cpu, RDX * 8, 1u << s, remainder);
	}
}

void
op_div(struct vcpu *cpu, const struct insn *in)
{
	unsigned s = SIZE_LOG2(in);
	u64 divisor = alu_zx(rm_read(cpu, in, 1u << s), s);
	u128 value = dividend(cpu, s);
	/* The quotient fits exactly if the upper half is below the divisor. */
	if (value >> (8u << s) >= divisor)
		raise_exception(cpu, VECTOR_DE);
	if (!(value >> 64))
		write_quotient(cpu, (u64)value / divisor, (u64)value % divisor, s);
	else
		write_quotient(cpu, (u64)(value / divisor), (u64)(value % divisor), s);
}

void
op_idiv(struct vcpu *cpu, const struct insn *in)
{
	unsigned s = SIZE_LOG2(in), bits = 8u << s;
	s64 divisor = (s64)alu_sx(rm_read(cpu, in, 1u << s), s);
	u128 raw = dividend(cpu, s);
	s128 value = s == 3 ? (s128)raw : (s64)((u64)raw << (64 - 2 * bits)) >> (64 - 2 * bits);
	if (!divisor)
		raise_exception(cpu, VECTOR_DE);
	/* In magnitudes: the most negative dividend divided by -1 would overflow the host's division. */
	u128 magnitude = value < 0 ? -(u128)value : (u128)value;
	u64 divisor_magnitude = divisor < 0 ? -(u64)divisor : (u64)divisor;
	u128 quotient = magnitude / divisor_magnitude;
	u64 remainder = (u64)(magnitude % divisor_magnitude);
	bool negative = (value < 0) != (divisor < 0);
	if (quotient > ((u128)1 << (bits - 1)) - !negative)
		raise_exception(cpu, VECTOR_DE);
	write_quotient(cpu, negative ? -(u64)quotient : (u64)quotient, value < 0 ? -remainder : remainder, s);
}

/* --- decimal adjustment --- */

void
op_daa(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	u64 flags = cc_flags(cpu), cf = flags & FLAG_CF, af = 0;
	u8 old = (u8)cpu->r[RAX], al = old;
	if ((al & 15) > 9 || flags & FLAG_AF) {
		al += 6;
		af = FLAG_AF;
	}
	if (old > 0x99 || cf) {
		al += 0x60;
		cf = FLAG_CF;
	}
	reg_set(cpu, RAX * 8, 1, al);
	cc_set(cpu, CC(CC_RES, 0), (u64)(s8)al, cf | af);
}

void
op_das(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	u64 flags = cc_flags(cpu), old_cf = flags & FLAG_CF, cf = 0, af = 0;
	u8 old = (u8)cpu->r[RAX], al = old;
	if ((al & 15) > 9 || flags & FLAG_AF) {
		cf = old_cf || al < 6;
		al -= 6;
		af = FLAG_AF;
	}
	if (old > 0x99 || old_cf) {
		al -= 0x60;
		cf = FLAG_CF;
	}
	reg_set(cpu, RAX * 8, 1, al);
	cc_set(cpu, CC(CC_RES, 0), (u64)(s8)al, cf | af);
}

static void
ascii_adjust(struct vcpu *cpu, int direction)
{
	bool adjust = (cpu->r[RAX] & 15) > 9 || cc_flags(cpu) & FLAG_AF;
	u16 ax = (u16)cpu->r[RAX];
	if (adjust)
		ax = (u16)(ax + direction * 0x106);
	ax &= 0xff0f;
	reg_set(cpu, RAX * 8, 2, ax);
	cc_set(cpu, CC(CC_RES, 0), (u64)(s8)ax, adjust ? FLAG_CF | FLAG_AF : 0);
}

void
op_aaa(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	ascii_adjust(cpu, 1);
}

void
op_aas(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	ascii_adjust(cpu, -1);
}

void
op_aam(struct vcpu *cpu, const struct insn *in)
{
	u8 base = (u8)in->imm, al = (u8)cpu->r[RAX];
	if (!base)
		raise_exception(cpu, VECTOR_DE);
	reg_set(cpu, RAX * 8, 2, (u64)(al / base) << 8 | al % base);
	alu_logic(cpu, al % base, 0);
}

void
op_aad(struct vcpu *cpu, const struct insn *in)
{
	u8 al = (u8)(cpu->r[RAX] + (u8)(cpu->r[RAX] >> 8) * (u8)in->imm);
	reg_set(cpu, RAX * 8, 2, al);
	alu_logic(cpu, al, 0);
}

void
op_salc(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	reg_set(cpu, RAX * 8, 1, cc_cf(cpu) ? 0xff : 0);
}
