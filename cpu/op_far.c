/*
 * Far JMP and CALL: in real and virtual-8086 mode, to code segments, through call gates, task gates and TSSs.
 *
 * SDM 2, JMP and CALL (Operation), whose labels the functions are named after.
 */
#include "cpu/access.h"
#include "cpu/deliver.h"
#include "cpu/fault.h"
#include "cpu/frame.h"
#include "cpu/segment.h"

struct far_pointer {
	u16 selector;
	u64 offset;
};

static struct far_pointer
immediate_pointer(const struct insn *in)
{
	return (struct far_pointer){(u16)((u64)in->imm >> 32), (u32)in->imm};
}

static struct far_pointer
memory_pointer(struct vcpu *cpu, const struct insn *in)
{
	unsigned size = insn_osize(in);
	u64 linear = insn_linear(cpu, in, size + 2, ACCESS_READ);
	struct far_pointer p;

	p.offset = mem_read(cpu, linear, size);
	p.selector = (u16)mem_read(cpu, cpu->long64 ? linear + size : (u32)(linear + size), 2);
	return p;
}

static _Noreturn void
refuse(struct vcpu *cpu, u16 selector)
{
	raise_gp(cpu, selector_error(selector));
}

static void
require_present(struct vcpu *cpu, u16 selector, u64 low)
{
	if (!descriptor_present(low))
		raise_error(cpu, VECTOR_NP, selector_error(selector));
}

/* CONFORMING-CODE-SEGMENT and NONCONFORMING-CODE-SEGMENT, up to the stack. */
static void
check_direct_code(struct vcpu *cpu, u16 selector, u64 low)
{
	unsigned dpl = descriptor_dpl(low);

	if (descriptor_bad_size(cpu, low))
		refuse(cpu, selector);
	if (descriptor_is_conforming(low)) {
		if (dpl > cpu->cpl)
			refuse(cpu, selector);
	} else if (SELECTOR_RPL(selector) > cpu->cpl || dpl != cpu->cpl) {
		refuse(cpu, selector);
	}
	require_present(cpu, selector, low);
}

static u64
direct_target(const struct vcpu *cpu, u64 low, u64 offset, unsigned size)
{
	if (size == 2)
		return (u16)offset;
	return descriptor_is_64bit(cpu, low) ? offset : (u32)offset;
}

struct call_gate {
	unsigned size; /* 2, 4, 8: of the items pushed */
	unsigned params;
	u16 selector;
	u64 offset;
	struct descriptor code;
};

/* CALL-GATE: the gate and its code segment. A jump may not change the CPL. */
static void
read_call_gate(struct vcpu *cpu, u16 selector, const struct descriptor *d, bool jump, struct call_gate *g)
{
	unsigned gate_dpl = descriptor_dpl(d->low), dpl;

	if (gate_dpl < cpu->cpl || gate_dpl < SELECTOR_RPL(selector))
		refuse(cpu, selector);
	require_present(cpu, selector, d->low);
	g->size = cpu->efer & EFER_LMA ? 8 : descriptor_type(d->low) & 8 ? 4 : 2;
	g->params = g->size == 8 ? 0 : BITS(d->low, 36, 32);
	g->selector = (u16)BITS(d->low, 31, 16);
	g->offset = BITS(d->low, 15, 0);
	if (g->size != 2)
		g->offset |= BITS(d->low, 63, 48) << 16 | d->high << 32;

	if (!descriptor_read(cpu, g->selector, &g->code) || !descriptor_is_code(g->code.low))
		refuse(cpu, g->selector);
	dpl = descriptor_dpl(g->code.low);
	if (jump && !descriptor_is_conforming(g->code.low) ? dpl != cpu->cpl : dpl > cpu->cpl)
		refuse(cpu, g->selector);
	if (cpu->efer & EFER_LMA && (!descriptor_is_64bit(cpu, g->code.low) || descriptor_bad_size(cpu, g->code.low)))
		refuse(cpu, g->selector);
	require_present(cpu, g->selector, g->code.low);
}

/* TASK-GATE and TASK-STATE-SEGMENT: checks of privilege; the TSS itself is task_switch()'s. */
static void
far_task(struct vcpu *cpu, u16 selector, u64 low, enum task_switch_source source)
{
	u16 tss = selector;

	if (descriptor_dpl(low) < cpu->cpl || descriptor_dpl(low) < SELECTOR_RPL(selector))
		refuse(cpu, selector);
	if (descriptor_type(low) == TYPE_TASK_GATE) {
		require_present(cpu, selector, low);
		tss = (u16)BITS(low, 31, 16);
	}
	task_switch(cpu, tss, source, false, 0);
	cpu->next_rip = cpu->rip;
}

enum far_kind { FAR_CODE, FAR_CALL_GATE, FAR_TASK };

static enum far_kind
read_far_target(struct vcpu *cpu, u16 selector, struct descriptor *d)
{
	bool ia32e = cpu->efer & EFER_LMA;

	if (!descriptor_read(cpu, selector, d)) /* null: #GP(0) */
		refuse(cpu, selector);
	if (!descriptor_is_system(d->low)) {
		if (!descriptor_is_code(d->low))
			refuse(cpu, selector);
		return FAR_CODE;
	}
	switch (descriptor_type(d->low)) {
	case TYPE_CALL_GATE32: return FAR_CALL_GATE;
	case TYPE_CALL_GATE16:
		if (!ia32e)
			return FAR_CALL_GATE;
		break;
	case TYPE_TASK_GATE:
	case TYPE_TSS16:
	case TYPE_TSS32:
	case TYPE_TSS16_BUSY: /* its DPL is looked at before "busy" makes it fail */
	case TYPE_TSS32_BUSY:
		if (!ia32e)
			return FAR_TASK;
		break;
	default: break;
	}
	refuse(cpu, selector);
}

static void
enter_code(struct vcpu *cpu, u16 selector, const struct descriptor *d, u64 rip, unsigned cpl)
{
	cs_load(cpu, selector, d, cpl);
	cpu->next_rip = rip;
	cpu_mode_changed(cpu);
}

/* --- JMP --- */

static void
jump_real(struct vcpu *cpu, struct far_pointer p)
{
	if (p.offset > cpu->seg[CS].limit)
		raise_gp(cpu, 0);
	segment_load_real(cpu, CS, p.selector);
	cpu->next_rip = p.offset;
}

static void
jump_code(struct vcpu *cpu, struct far_pointer p, struct descriptor *d, unsigned size)
{
	u64 rip = direct_target(cpu, d->low, p.offset, size);

	check_direct_code(cpu, p.selector, d->low);
	code_target_check(cpu, d->low, rip);
	descriptor_set_accessed(cpu, p.selector, d);
	enter_code(cpu, p.selector, d, rip, cpu->cpl);
}

static void
jump_call_gate(struct vcpu *cpu, u16 selector, const struct descriptor *d)
{
	struct call_gate g;

	read_call_gate(cpu, selector, d, true, &g);
	code_target_check(cpu, g.code.low, g.offset);
	descriptor_set_accessed(cpu, g.selector, &g.code);
	enter_code(cpu, g.selector, &g.code, g.offset, cpu->cpl);
}

static void
jump_far(struct vcpu *cpu, const struct insn *in, struct far_pointer p)
{
	struct descriptor d;

	if (!cpu_protected(cpu) || cpu_vm86(cpu)) {
		jump_real(cpu, p);
		return;
	}
	switch (read_far_target(cpu, p.selector, &d)) {
	case FAR_CODE: jump_code(cpu, p, &d, insn_osize(in)); break;
	case FAR_CALL_GATE: jump_call_gate(cpu, p.selector, &d); break;
	case FAR_TASK: far_task(cpu, p.selector, d.low, TASK_JUMP); break;
	}
}

void
op_jmp_A(struct vcpu *cpu, const struct insn *in)
{
	jump_far(cpu, in, immediate_pointer(in));
}

void
op_jmp_M(struct vcpu *cpu, const struct insn *in)
{
	jump_far(cpu, in, memory_pointer(cpu, in));
}

/* --- CALL --- */

static void
push_return(struct vcpu *cpu, struct frame *f)
{
	frame_push(f, cpu->seg[CS].selector);
	frame_push(f, cpu->next_rip);
}

static void
call_real(struct vcpu *cpu, struct far_pointer p, unsigned size)
{
	struct frame f;

	frame_current(cpu, &f, size, false);
	push_return(cpu, &f);
	frame_check(cpu, &f);
	if (p.offset > cpu->seg[CS].limit)
		raise_gp(cpu, 0);
	frame_write(cpu, &f);

	frame_commit(cpu, &f);
	segment_load_real(cpu, CS, p.selector);
	cpu->next_rip = p.offset;
}

/* The same CPL: a direct call, or a gate of SAME-PRIVILEGE. */
static void
call_code(struct vcpu *cpu, u16 selector, struct descriptor *d, u64 rip, unsigned size, bool wide)
{
	struct frame f;

	frame_current(cpu, &f, size, wide);
	push_return(cpu, &f);
	frame_check(cpu, &f);
	code_target_check(cpu, d->low, rip);
	descriptor_set_accessed(cpu, selector, d);
	frame_write(cpu, &f);

	frame_commit(cpu, &f);
	enter_code(cpu, selector, d, rip, cpu->cpl);
}

/* MORE-PRIVILEGE */
static void
call_inner(struct vcpu *cpu, struct call_gate *g, unsigned cpl)
{
	struct frame f;

	if (g->size == 8)
		frame_tss64(cpu, &f, TSS64_RSP(cpl), cpl);
	else
		frame_inner(cpu, &f, g->size, cpl);
	frame_push(&f, cpu->seg[SS].selector);
	frame_push(&f, cpu->r[RSP]);
	for (unsigned n = g->params; n-- > 0;)
		frame_push(&f, 0);
	push_return(cpu, &f);
	frame_check(cpu, &f);
	code_target_check(cpu, g->code.low, g->offset);
	for (unsigned n = 0; n < g->params; n++)
		f.item[2 + n] = stack_peek(cpu, g->size, (g->params - 1 - n) * g->size);
	descriptor_set_accessed(cpu, g->selector, &g->code);
	frame_write(cpu, &f);

	frame_commit(cpu, &f);
	enter_code(cpu, g->selector, &g->code, g->offset, cpl);
}

static void
call_call_gate(struct vcpu *cpu, u16 selector, const struct descriptor *d)
{
	struct call_gate g;

	read_call_gate(cpu, selector, d, false, &g);
	if (!descriptor_is_conforming(g.code.low) && descriptor_dpl(g.code.low) < cpu->cpl)
		call_inner(cpu, &g, descriptor_dpl(g.code.low));
	else
		call_code(cpu, g.selector, &g.code, g.offset, g.size, g.size == 8);
}

static void
call_far(struct vcpu *cpu, const struct insn *in, struct far_pointer p)
{
	unsigned size = insn_osize(in);
	struct descriptor d;

	if (!cpu_protected(cpu) || cpu_vm86(cpu)) {
		call_real(cpu, p, size);
		return;
	}
	switch (read_far_target(cpu, p.selector, &d)) {
	case FAR_CODE:
		check_direct_code(cpu, p.selector, d.low);
		call_code(cpu, p.selector, &d, direct_target(cpu, d.low, p.offset, size), size, cpu->long64);
		break;
	case FAR_CALL_GATE: call_call_gate(cpu, p.selector, &d); break;
	case FAR_TASK: far_task(cpu, p.selector, d.low, TASK_CALL); break;
	}
}

void
op_call_A(struct vcpu *cpu, const struct insn *in)
{
	call_far(cpu, in, immediate_pointer(in));
}

void
op_call_M(struct vcpu *cpu, const struct insn *in)
{
	call_far(cpu, in, memory_pointer(cpu, in));
}
