/*
 * PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM.
 *
 * Source: SDM 1, "SSE4.2 text processing"; SDM 2, "Imm8 Control Byte Operation for PCMPESTRI / PCMPESTRM / PCMPISTRI / PCMPISTRM".
 *
 * Control byte:
 *	1:0  elements: u8, u16, s8, s16          3:2  aggregation: any, ranges, each, ordered
 *	5:4  polarity: bit 4 negates, bit 5 only where the second string is valid
 *	6    index: most significant; mask: expanded to elements
 */
#include "cpu/flags.h"
#include "cpu/simd.h"

enum aggregation { EQUAL_ANY, RANGES, EQUAL_EACH, EQUAL_ORDERED };

static s32
element(const union lane *s, unsigned n, unsigned control)
{
	switch (control & 3) {
	case 0: return s->b[n];
	case 1: return s->w[n];
	case 2: return s->sb[n];
	default: return s->sw[n];
	}
}

static unsigned
implicit_length(const union lane *s, unsigned control, unsigned count)
{
	unsigned n = 0;
	while (n < count && element(s, n, control))
		n++;
	return n;
}

/* The absolute value, saturated. */
static unsigned
explicit_length(struct vcpu *cpu, const struct insn *in, unsigned reg, unsigned count)
{
	unsigned size = y_size(cpu, in);
	s64 length = sign_extend(reg_get(cpu, reg * 8, size), size);
	u64 magnitude = length < 0 ? -(u64)length : (u64)length;
	return (unsigned)MIN(magnitude, count);
}

/* Bit n of the result before polarity. */
static bool
aggregate(const union lane *a, unsigned a_length, const union lane *b, unsigned b_length, unsigned control, unsigned count, unsigned n)
{
	switch ((enum aggregation)(control >> 2 & 3)) {
	case EQUAL_ANY:
		for (unsigned k = 0; n < b_length && k < a_length; k++)
			if (element(a, k, control) == element(b, n, control))
				return true;
		return false;
	case RANGES:
		for (unsigned k = 0; n < b_length && k + 1 < a_length; k += 2)
			if (element(a, k, control) <= element(b, n, control) && element(b, n, control) <= element(a, k + 1, control))
				return true;
		return false;
	case EQUAL_EACH:
		if (n < a_length && n < b_length)
			return element(a, n, control) == element(b, n, control);
		return n >= a_length && n >= b_length;
	default:
		for (unsigned k = 0; k < a_length && n + k < count; k++)
			if (n + k >= b_length || element(a, k, control) != element(b, n + k, control))
				return false;
		return true;
	}
}

/* Returns the result bits after polarity, and sets the flags. */
static u32
compare_strings(struct vcpu *cpu, const struct insn *in, bool explicit)
{
	union lane a = lane_get(cpu, in->rd, 0), b;
	unsigned control = (u8)in->imm, count = control & 1 ? 8 : 16;
	if (insn_is_mem(in))
		vec_rm_read(cpu, in, &b, 16, false);
	else
		b = lane_get(cpu, in->rs, 0);
	unsigned a_length = explicit ? explicit_length(cpu, in, RAX, count) : implicit_length(&a, control, count);
	unsigned b_length = explicit ? explicit_length(cpu, in, RDX, count) : implicit_length(&b, control, count);
	u32 result = 0;
	for (unsigned n = 0; n < count; n++) {
		bool bit = aggregate(&a, a_length, &b, b_length, control, count, n);
		if (control & 0x10 && (!(control & 0x20) || n < b_length))
			bit = !bit;
		result |= (u32)bit << n;
	}
	cc_set_raw(cpu, (result ? FLAG_CF : 0) | (b_length < count ? FLAG_ZF : 0) | (a_length < count ? FLAG_SF : 0) | (result & 1 ? FLAG_OF : 0));
	return result;
}

static void
set_index(struct vcpu *cpu, const struct insn *in, u32 result)
{
	unsigned count = in->imm & 1 ? 8 : 16, index = count;
	if (result)
		index = in->imm & 0x40 ? 31 - (unsigned)__builtin_clz(result) : (unsigned)__builtin_ctz(result);
	reg_set(cpu, RCX * 8, 8, index);
}

static void
set_mask(struct vcpu *cpu, const struct insn *in, u32 result)
{
	union lane mask = {.q = {result, 0}};
	if (in->imm & 0x40)
		for (unsigned n = 0; n < 16; n++)
			mask.b[n] = result >> (in->imm & 1 ? n / 2 : n) & 1 ? 0xff : 0;
	vec_commit_128(cpu, in, 0, mask);
}

void
op_pcmpestri(HANDLER_ARGS)
{
	set_index(cpu, in, compare_strings(cpu, in, true));
}

void
op_pcmpestrm(HANDLER_ARGS)
{
	set_mask(cpu, in, compare_strings(cpu, in, true));
}

void
op_pcmpistri(HANDLER_ARGS)
{
	set_index(cpu, in, compare_strings(cpu, in, false));
}

void
op_pcmpistrm(HANDLER_ARGS)
{
	set_mask(cpu, in, compare_strings(cpu, in, false));
}
