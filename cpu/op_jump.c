/* Near control transfers: the complete forms. */
#include "cpu/access.h"
#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/paging.h"

/* Cuts a near target to the operand size; outside the code segment or not canonical: #GP(0) at the branch. */
static u64
near_target(struct vcpu *cpu, const struct insn *in, u64 target)
{
	switch (insn_osize(in)) {
	case 2: target = (u16)target; break;
	case 4: target = (u32)target; break;
	default: break;
	}
	if (cpu->long64 ? !linear_canonical(cpu, target) : target > cpu->seg[CS].limit)
		raise_gp(cpu, 0);
	return target;
}

static u64
relative_target(struct vcpu *cpu, const struct insn *in)
{
	return near_target(cpu, in, insn_next_rip(cpu, in) + (u64)(s64)in->disp);
}

/* The condition is the row's place in its group of 16. */
void
op_jcc(struct vcpu *cpu, const struct insn *in)
{
	unsigned condition = in->op >= INSN_JO_Jz ? in->op - INSN_JO_Jz : in->op - INSN_JO_Jb;
	if (cc_condition(cpu, condition))
		cpu->next_rip = relative_target(cpu, in);
}

void
op_jmp_J(struct vcpu *cpu, const struct insn *in)
{
	cpu->next_rip = relative_target(cpu, in);
}

void
op_jmp_E(struct vcpu *cpu, const struct insn *in)
{
	cpu->next_rip = near_target(cpu, in, rm_read(cpu, in, insn_osize(in)));
}

void
op_call_J(struct vcpu *cpu, const struct insn *in)
{
	u64 target = relative_target(cpu, in);
	stack_push(cpu, insn_osize(in), cpu->next_rip);
	cpu->next_rip = target;
}

void
op_call_E(struct vcpu *cpu, const struct insn *in)
{
	u64 target = near_target(cpu, in, rm_read(cpu, in, insn_osize(in)));
	stack_push(cpu, insn_osize(in), cpu->next_rip);
	cpu->next_rip = target;
}

void
op_ret(struct vcpu *cpu, const struct insn *in)
{
	u64 target = near_target(cpu, in, stack_peek(cpu, insn_osize(in), 0));
	stack_move(cpu, insn_osize(in));
	cpu->next_rip = target;
}

void
op_ret_I(struct vcpu *cpu, const struct insn *in)
{
	u64 target = near_target(cpu, in, stack_peek(cpu, insn_osize(in), 0));
	stack_move(cpu, insn_osize(in) + (u16)in->imm);
	cpu->next_rip = target;
}

/* rCX by address size, minus `by`; returns the new value. */
static u64
count_register(struct vcpu *cpu, const struct insn *in, u64 by, bool write)
{
	unsigned size = 1u << EA_ASIZE(in->ea);
	u64 count = reg_get(cpu, RCX * 8, size) - by;
	if (size < 8)
		count &= BIT(size * 8) - 1;
	if (write)
		reg_set(cpu, RCX * 8, size, count);
	return count;
}

void
op_jcxz(struct vcpu *cpu, const struct insn *in)
{
	if (!count_register(cpu, in, 0, false))
		cpu->next_rip = relative_target(cpu, in);
}

static void
loop_if(struct vcpu *cpu, const struct insn *in, bool condition)
{
	u64 target = cpu->next_rip;
	if (count_register(cpu, in, 1, false) && condition)
		target = relative_target(cpu, in);
	count_register(cpu, in, 1, true);
	cpu->next_rip = target;
}

void
op_loop(struct vcpu *cpu, const struct insn *in)
{
	loop_if(cpu, in, true);
}

void
op_loope(struct vcpu *cpu, const struct insn *in)
{
	loop_if(cpu, in, cc_zf(cpu));
}

void
op_loopne(struct vcpu *cpu, const struct insn *in)
{
	loop_if(cpu, in, !cc_zf(cpu));
}
