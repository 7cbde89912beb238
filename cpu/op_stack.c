/* Near stack instructions: the complete forms. */
#include "cpu/access.h"
#include "cpu/fault.h"

#define SIZE(in) insn_osize(in)

void
op_push_Z(struct vcpu *cpu, const struct insn *in)
{
	stack_push(cpu, SIZE(in), reg_get(cpu, in->rd, SIZE(in)));
}

void
op_push_E(struct vcpu *cpu, const struct insn *in)
{
	stack_push(cpu, SIZE(in), rm_read(cpu, in, SIZE(in)));
}

void
op_push_I(struct vcpu *cpu, const struct insn *in)
{
	stack_push(cpu, SIZE(in), (u64)in->imm);
}

/* POP rSP: the popped value wins over the increment. */
void
op_pop_Z(struct vcpu *cpu, const struct insn *in)
{
	u64 v = stack_pop(cpu, SIZE(in));
	reg_set(cpu, in->rd, SIZE(in), v);
}

/* The address of a memory destination is computed after RSP has been incremented. */
void
op_pop_E(struct vcpu *cpu, const struct insn *in)
{
	u64 rsp = cpu->r[RSP];
	u64 v = stack_peek(cpu, SIZE(in), 0);
	if (insn_is_mem(in)) {
		stack_move(cpu, SIZE(in));
		u64 offset = insn_offset(cpu, in);
		u64 moved = cpu->r[RSP];
		cpu->r[RSP] = rsp; /* faults below leave RSP as it was */
		u64 linear = segment_linear(cpu, EA_SEG(in->ea), offset, SIZE(in), ACCESS_WRITE);
		mem_write(cpu, linear, SIZE(in), v);
		cpu->r[RSP] = moved;
	} else {
		stack_move(cpu, SIZE(in));
		reg_set(cpu, in->rs, SIZE(in), v);
	}
}

void
op_pusha(struct vcpu *cpu, const struct insn *in)
{
	unsigned size = SIZE(in);
	u64 rsp = cpu->r[RSP];
	u64 mask = cpu->seg[SS].access & SEG_DB ? 0xffffffff : 0xffff;
	/* In their order, all before the first store. */
	for (unsigned n = 0; n < 8; n++)
		mem_probe_write(cpu, segment_linear(cpu, SS, (rsp - (n + 1) * size) & mask, size, ACCESS_WRITE), size);
	for (unsigned n = 0; n < 8; n++) {
		u64 v = n == RSP ? rsp : cpu->r[n];
		u64 at = (rsp - (n + 1) * size) & mask;
		mem_write(cpu, segment_linear(cpu, SS, at, size, ACCESS_WRITE), size, v);
	}
	stack_move(cpu, -8 * (s64)size);
}

void
op_popa(struct vcpu *cpu, const struct insn *in)
{
	unsigned size = SIZE(in);
	u64 v[8];
	for (unsigned n = 0; n < 8; n++)
		v[n] = n == 3 ? 0 : stack_peek(cpu, size, n * size);
	for (unsigned n = 0; n < 8; n++)
		if (n != 3)
			reg_set(cpu, (7 - n) * 8, size, v[n]);
	stack_move(cpu, 8 * (s64)size);
}

void
op_enter(struct vcpu *cpu, const struct insn *in)
{
	unsigned size = SIZE(in), level = (unsigned)(in->imm >> 16) & 31;
	u64 allocate = in->imm & 0xffff, rsp = cpu->r[RSP], rbp = cpu->r[RBP];
	u64 mask = cpu->long64 ? ~0ull : cpu->seg[SS].access & SEG_DB ? 0xffffffff : 0xffff;
	unsigned count = 1 + level;
	u64 frame_pointer = (rsp - size) & mask;
	/*
	 * Everything that can fault, in its order, before any store. The stores then go one by one: where old and new frames overlap, later ones
	 * copy what earlier ones wrote. The manual checks a write at the final RSP last.
	 */
	for (unsigned n = 0; n < count; n++) {
		if (n && n < level)
			mem_probe_read(cpu, segment_linear(cpu, SS, (rbp - n * size) & mask, size, ACCESS_READ), size);
		mem_probe_write(cpu, segment_linear(cpu, SS, (rsp - (n + 1) * size) & mask, size, ACCESS_WRITE), size);
	}
	u64 final = (rsp - count * size - allocate) & mask;
	mem_probe_write(cpu, segment_linear(cpu, SS, final, size, ACCESS_WRITE), size);
	for (unsigned n = 0; n < count; n++) {
		u64 value = n == 0 ? rbp : n == level ? frame_pointer : 0;
		if (n && n < level)
			value = mem_read(cpu, segment_linear(cpu, SS, (rbp - n * size) & mask, size, ACCESS_READ), size);
		mem_write(cpu, segment_linear(cpu, SS, (rsp - (n + 1) * size) & mask, size, ACCESS_WRITE), size, value);
	}
	reg_set(cpu, RBP * 8, size, frame_pointer);
	cpu->r[RSP] = (cpu->r[RSP] & ~mask) | final;
}

void
op_leave(struct vcpu *cpu, const struct insn *in)
{
	unsigned size = SIZE(in);
	u64 mask = cpu->long64 ? ~0ull : cpu->seg[SS].access & SEG_DB ? 0xffffffff : 0xffff;
	u64 rbp = cpu->r[RBP] & mask;
	u64 v = mem_read(cpu, segment_linear(cpu, SS, rbp, size, ACCESS_READ), size);
	cpu->r[RSP] = (cpu->r[RSP] & ~mask) | ((rbp + size) & mask);
	reg_set(cpu, RBP * 8, size, v);
}
