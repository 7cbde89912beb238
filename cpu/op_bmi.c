/*
 * BMI1 and BMI2: the VEX-encoded instructions on general registers. (TZCNT is with the bit scans.)
 * Flags that the manual leaves undefined are zero.
 *
 * Source: SDM 2, the instructions by name.
 */
#include "cpu/flags.h"
#include "cpu/simd.h"

static u64
size_mask(unsigned size)
{
	return size == 8 ? ~0ull : 0xffffffff;
}

/* SF and ZF by the result, CF as given, OF 0. */
static void
set_flags(struct vcpu *cpu, u64 result, unsigned size, bool cf)
{
	cc_set_raw(cpu, (cf ? FLAG_CF : 0) | (result ? 0 : FLAG_ZF) | (result >> (size * 8 - 1) & 1 ? FLAG_SF : 0));
}

void
op_andn(HANDLER_ARGS)
{
	unsigned size = y_size(cpu, in);
	u64 result = rm_read(cpu, in, size) & ~reg_get(cpu, in->rv, size);
	reg_set(cpu, in->rd, size, result);
	set_flags(cpu, result, size, false);
}

void
op_bextr(HANDLER_ARGS)
{
	unsigned size = y_size(cpu, in);
	u64 source = rm_read(cpu, in, size), control = reg_get(cpu, in->rv, 2);
	unsigned start = control & 255, length = (unsigned)(control >> 8);
	u64 result = start < 64 ? source >> start : 0;
	if (length < 64)
		result &= BIT(length) - 1;
	reg_set(cpu, in->rd, size, result);
	cc_set_raw(cpu, result ? 0 : FLAG_ZF);
}

void
op_blsi(HANDLER_ARGS)
{
	unsigned size = y_size(cpu, in);
	u64 source = rm_read(cpu, in, size), result = source & -source;
	reg_set(cpu, in->rv, size, result);
	set_flags(cpu, result, size, source != 0);
}

void
op_blsmsk(HANDLER_ARGS)
{
	unsigned size = y_size(cpu, in);
	u64 source = rm_read(cpu, in, size), result = (source ^ (source - 1)) & size_mask(size);
	reg_set(cpu, in->rv, size, result);
	set_flags(cpu, result, size, source == 0);
}

void
op_blsr(HANDLER_ARGS)
{
	unsigned size = y_size(cpu, in);
	u64 source = rm_read(cpu, in, size), result = source & (source - 1);
	reg_set(cpu, in->rv, size, result);
	set_flags(cpu, result, size, source == 0);
}

void
op_bzhi(HANDLER_ARGS)
{
	unsigned size = y_size(cpu, in);
	u64 result = rm_read(cpu, in, size);
	unsigned index = (unsigned)reg_get(cpu, in->rv, 1);
	if (index < size * 8)
		result &= BIT(index) - 1;
	reg_set(cpu, in->rd, size, result);
	set_flags(cpu, result, size, index > size * 8 - 1);
}

/* The high half wins when both destinations are one register. */
void
op_mulx(HANDLER_ARGS)
{
	unsigned size = y_size(cpu, in);
	u128 product = (u128)rm_read(cpu, in, size) * reg_get(cpu, RDX * 8, size);
	reg_set(cpu, in->rv, size, (u64)product);
	reg_set(cpu, in->rd, size, (u64)(product >> (size * 8)));
}

void
op_pdep(HANDLER_ARGS)
{
	unsigned size = y_size(cpu, in);
	u64 mask = rm_read(cpu, in, size), source = reg_get(cpu, in->rv, size), result = 0;
	for (; mask; mask &= mask - 1, source >>= 1)
		if (source & 1)
			result |= mask & -mask;
	reg_set(cpu, in->rd, size, result);
}

void
op_pext(HANDLER_ARGS)
{
	unsigned size = y_size(cpu, in), at = 0;
	u64 mask = rm_read(cpu, in, size), source = reg_get(cpu, in->rv, size), result = 0;
	for (; mask; mask &= mask - 1, at++)
		if (source & mask & -mask)
			result |= BIT(at);
	reg_set(cpu, in->rd, size, result);
}

void
op_rorx(HANDLER_ARGS)
{
	unsigned size = y_size(cpu, in), bits = size * 8, count = (u8)in->imm & (bits - 1);
	u64 source = rm_read(cpu, in, size);
	reg_set(cpu, in->rd, size, count ? source >> count | source << (bits - count) : source);
}

void
op_sarx(HANDLER_ARGS)
{
	unsigned size = y_size(cpu, in);
	s64 source = sign_extend(rm_read(cpu, in, size), size);
	reg_set(cpu, in->rd, size, (u64)(source >> (reg_get(cpu, in->rv, 1) & (size * 8 - 1))));
}

void
op_shlx(HANDLER_ARGS)
{
	unsigned size = y_size(cpu, in);
	reg_set(cpu, in->rd, size, rm_read(cpu, in, size) << (reg_get(cpu, in->rv, 1) & (size * 8 - 1)));
}

void
op_shrx(HANDLER_ARGS)
{
	unsigned size = y_size(cpu, in);
	reg_set(cpu, in->rd, size, rm_read(cpu, in, size) >> (reg_get(cpu, in->rv, 1) & (size * 8 - 1)));
}
