/*
 * Far RET and IRET in every mode.
 *
 * SDM 2, RET and IRET (Operation), whose labels the functions are named after.
 */
#include "cpu/access.h"
#include "cpu/deliver.h"
#include "cpu/fault.h"
#include "cpu/frame.h"
#include "cpu/segment.h"
#include "vmx/intercept.h"

/* What IRET takes from the image, by mode. Reserved bits never. */
#define IRET_COMMON (FLAGS_STATUS | FLAG_TF | FLAG_DF | FLAG_NT)
#define IRET_WIDE (FLAG_RF | FLAG_AC | FLAG_ID) /* operand size 32 or 64 */

/* Where a far return goes: CS:RIP, and SS:RSP where they come from the stack. */
struct far_return {
	u64 rip, rsp;
	u16 cs, ss;
	struct descriptor code, stack;
	bool outer;
	bool loads_stack;
};

static void
interrupts_may_open(struct vcpu *cpu)
{
	if (cpu->nonroot)
		vmx_window_changed(cpu);
	if (cpu->pending)
		cpu->exit_request = 1;
}

/* The return CS. */
static void
check_return_code(struct vcpu *cpu, struct far_return *r)
{
	u32 error = selector_error(r->cs);
	unsigned rpl = SELECTOR_RPL(r->cs), dpl;

	if (!descriptor_read(cpu, r->cs, &r->code) || !descriptor_is_code(r->code.low)) /* null: #GP(0) */
		raise_gp(cpu, error);
	dpl = descriptor_dpl(r->code.low);
	if (rpl < cpu->cpl || descriptor_bad_size(cpu, r->code.low))
		raise_gp(cpu, error);
	if (descriptor_is_conforming(r->code.low) ? dpl > rpl : dpl != rpl)
		raise_gp(cpu, error);
	if (!descriptor_present(r->code.low))
		raise_error(cpu, VECTOR_NP, error);
	r->outer = rpl > cpu->cpl;
}

/* The return SS. It may be null only on the way to 64-bit code of CPL 0 to 2. */
static void
check_return_stack(struct vcpu *cpu, struct far_return *r)
{
	u32 error = selector_error(r->ss);
	unsigned cpl = SELECTOR_RPL(r->cs);

	if (selector_null(r->ss)) {
		if (!descriptor_is_64bit(cpu, r->code.low) || cpl == 3 || SELECTOR_RPL(r->ss) != cpl)
			raise_gp(cpu, 0);
		return;
	}
	if (!descriptor_read(cpu, r->ss, &r->stack) || SELECTOR_RPL(r->ss) != cpl || !descriptor_is_writable(r->stack.low) ||
	    descriptor_dpl(r->stack.low) != cpl)
		raise_gp(cpu, error);
	if (!descriptor_present(r->stack.low))
		raise_error(cpu, VECTOR_SS, error);
}

/* The last step that can fault. */
static void
mark_accessed(struct vcpu *cpu, struct far_return *r)
{
	descriptor_set_accessed(cpu, r->cs, &r->code);
	if (r->loads_stack && !selector_null(r->ss))
		descriptor_set_accessed(cpu, r->ss, &r->stack);
}

/* SS:RSP as popped. A 16-bit stack takes 16 bits only, and the rest of RSP stays the inner program's. */
static void
load_stack(struct vcpu *cpu, const struct far_return *r, u64 rsp)
{
	unsigned cpl = SELECTOR_RPL(r->cs);
	u64 mask;

	if (selector_null(r->ss))
		segment_set_null(&cpu->seg[SS], r->ss, cpl);
	else
		segment_from_descriptor(&cpu->seg[SS], r->ss, &r->stack);
	mask = descriptor_is_64bit(cpu, r->code.low) || cpu->seg[SS].access & SEG_DB ? ~0ull : 0xffff;
	cpu->r[RSP] = (cpu->r[RSP] & ~mask) | (rsp & mask);
}

/*
 * The outer program must not keep segments that it could not load itself. Only the selector goes: the bases of FS and GS stay, and 64-bit mode
 * goes on using them.
 */
static void
drop_inner_segments(struct vcpu *cpu)
{
	for (unsigned n = ES; n <= GS; n++) {
		struct segment *s = &cpu->seg[n];
		unsigned type = s->access & SEG_TYPE;
		if (n == CS || n == SS)
			continue;
		if (selector_null(s->selector)) {
			s->selector = 0;
		} else if (SEG_DPL(s->access) < cpu->cpl && !((type & TYPE_CODE) && (type & TYPE_CODE_CONFORMING))) {
			s->selector = 0;
			s->access |= SEG_UNUSABLE;
		}
	}
}

static void
commit_return(struct vcpu *cpu, const struct far_return *r)
{
	if (r->loads_stack)
		load_stack(cpu, r, r->rsp);
	cs_load(cpu, r->cs, &r->code, SELECTOR_RPL(r->cs));
	if (r->outer)
		drop_inner_segments(cpu);
	cpu->next_rip = r->rip;
}

/* --- RETF --- */

static void
ret_real(struct vcpu *cpu, unsigned size, unsigned release)
{
	u64 rip;
	u16 cs;

	stack_check_pop(cpu, 2 * size);
	rip = stack_peek(cpu, size, 0);
	cs = (u16)stack_peek(cpu, size, size);
	if (rip > cpu->seg[CS].limit)
		raise_gp(cpu, 0);

	stack_move(cpu, 2 * size + release);
	segment_load_real(cpu, CS, cs);
	cpu->next_rip = rip;
}

static void
ret_protected(struct vcpu *cpu, unsigned size, unsigned release)
{
	struct far_return r = {0};

	stack_check_pop(cpu, 2 * size);
	r.cs = (u16)stack_peek(cpu, size, size);
	r.rip = stack_peek(cpu, size, 0);
	check_return_code(cpu, &r);
	if (r.outer) {
		r.loads_stack = true;
		stack_check_pop(cpu, 4 * size + release);
		r.rsp = stack_peek(cpu, size, 2 * size + release);
		r.ss = (u16)stack_peek(cpu, size, 3 * size + release);
		check_return_stack(cpu, &r);
	}
	code_target_check(cpu, r.code.low, r.rip);
	mark_accessed(cpu, &r);

	if (!r.outer)
		stack_move(cpu, 2 * size + release);
	commit_return(cpu, &r);
	cpu_mode_changed(cpu);
	if (r.outer) /* the parameters are on both stacks */
		stack_move(cpu, release);
}

static void
ret_far(struct vcpu *cpu, unsigned size, unsigned release)
{
	if (!cpu_protected(cpu) || cpu_vm86(cpu))
		ret_real(cpu, size, release);
	else
		ret_protected(cpu, size, release);
}

void
op_retf(struct vcpu *cpu, const struct insn *in)
{
	ret_far(cpu, insn_osize(in), 0);
}

void
op_retf_I(struct vcpu *cpu, const struct insn *in)
{
	ret_far(cpu, insn_osize(in), (u16)in->imm);
}

/* --- IRET --- */

/* REAL-ADDRESS-MODE and RETURN-FROM-VIRTUAL-8086-MODE: `taken` flags come from the image. */
static void
iret_short(struct vcpu *cpu, unsigned size, u64 taken)
{
	u64 rip, flags;
	u16 cs;

	stack_check_pop(cpu, 3 * size);
	rip = stack_peek(cpu, size, 0);
	cs = (u16)stack_peek(cpu, size, size);
	flags = stack_peek(cpu, size, 2 * size);
	if (rip > cpu->seg[CS].limit)
		raise_gp(cpu, 0);

	stack_move(cpu, 3 * size);
	segment_set_real(cpu, CS, cs);
	cpu->next_rip = rip;
	cpu_set_rflags(cpu, (cpu_rflags(cpu) & ~taken) | (flags & taken));
	cpu_mode_changed(cpu);
}

static void
iret_real(struct vcpu *cpu, unsigned size)
{
	u64 taken = IRET_COMMON | FLAG_IF | FLAG_IOPL;

	iret_short(cpu, size, size == 4 ? taken | IRET_WIDE : taken);
}

/* CR4.VME and IOPL < 3: IF stands for VIF. */
static void
iret_vme(struct vcpu *cpu)
{
	u64 flags, old = cpu_rflags(cpu);

	stack_check_pop(cpu, 6);
	flags = stack_peek(cpu, 2, 4);
	if (flags & FLAG_TF || (flags & FLAG_IF && old & FLAG_VIP))
		raise_gp(cpu, 0);
	iret_short(cpu, 2, IRET_COMMON);
	cpu->rflags = (cpu->rflags & ~FLAG_VIF) | (flags & FLAG_IF ? FLAG_VIF : 0);
}

static void
iret_from_vm86(struct vcpu *cpu, unsigned size)
{
	u64 taken = IRET_COMMON | FLAG_IF;

	if ((cpu->rflags & FLAG_IOPL) == FLAG_IOPL)
		iret_short(cpu, size, size == 4 ? taken | IRET_WIDE : taken);
	else if (cpu->cr4 & CR4_VME && size == 2)
		iret_vme(cpu);
	else
		raise_gp(cpu, 0);
}

static void
iret_to_vm86(struct vcpu *cpu, u64 rip, u16 cs, u64 flags)
{
	static const u8 order[] = {SS, ES, DS, FS, GS};
	u16 selector[COUNT(order)];
	u64 rsp;

	stack_check_pop(cpu, 9 * 4);
	rsp = stack_peek(cpu, 4, 3 * 4);
	for (unsigned n = 0; n < COUNT(order); n++)
		selector[n] = (u16)stack_peek(cpu, 4, (4 + n) * 4);
	if (rip > 0xffff)
		raise_gp(cpu, 0);

	cpu_set_rflags(cpu, flags & (IRET_COMMON | IRET_WIDE | FLAG_IF | FLAG_IOPL | FLAG_VM | FLAG_VIF | FLAG_VIP));
	cpu->cpl = 3;
	for (unsigned n = 0; n < COUNT(order); n++)
		segment_set_real(cpu, order[n], selector[n]);
	segment_set_real(cpu, CS, cs);
	cpu->r[RSP] = rsp;
	cpu->next_rip = rip;
	cpu_mode_changed(cpu);
}

/* By the CPL that executes IRET. */
static u64
flags_taken(const struct vcpu *cpu, unsigned size)
{
	u64 taken = IRET_COMMON;

	if (size > 2)
		taken |= IRET_WIDE;
	if (cpu->cpl <= BITS(cpu->rflags, 13, 12))
		taken |= FLAG_IF;
	if (cpu->cpl == 0)
		taken |= size > 2 ? FLAG_IOPL | FLAG_VIF | FLAG_VIP : FLAG_IOPL;
	return taken;
}

static void
iret_protected(struct vcpu *cpu, unsigned size)
{
	struct far_return r = {0};
	u64 flags, taken;

	stack_check_pop(cpu, 3 * size);
	r.rip = stack_peek(cpu, size, 0);
	r.cs = (u16)stack_peek(cpu, size, size);
	flags = stack_peek(cpu, size, 2 * size);
	if (!(cpu->efer & EFER_LMA) && size == 4 && flags & FLAG_VM && cpu->cpl == 0) {
		iret_to_vm86(cpu, r.rip, r.cs, flags);
		return;
	}
	check_return_code(cpu, &r);
	r.loads_stack = r.outer || cpu->long64;
	if (r.loads_stack) {
		stack_check_pop(cpu, 5 * size);
		r.rsp = stack_peek(cpu, size, 3 * size);
		r.ss = (u16)stack_peek(cpu, size, 4 * size);
		check_return_stack(cpu, &r);
	}
	code_target_check(cpu, r.code.low, r.rip);
	mark_accessed(cpu, &r);

	taken = flags_taken(cpu, size);
	if (!r.loads_stack)
		stack_move(cpu, 3 * size);
	commit_return(cpu, &r);
	cpu_set_rflags(cpu, (cpu_rflags(cpu) & ~taken) | (flags & taken));
	cpu_mode_changed(cpu);
}

/* TASK-RETURN */
static void
iret_task(struct vcpu *cpu)
{
	u16 link = (u16)sys_read(cpu, table_linear(cpu, cpu->tr.base, 0), 2);

	task_switch(cpu, link, TASK_IRET, false, 0);
	cpu->next_rip = cpu->rip;
}

/* NMIs are unblocked even when IRET faults. In VMX non-root operation the controls decide which blocking that is. */
static void
unblock_nmi(struct vcpu *cpu)
{
	cpu->iret_unblocks_nmi = false;
	if (cpu->nonroot)
		vmx_iret(cpu);
	else
		cpu->nmi_blocked = false;
}

void
op_iret(struct vcpu *cpu, const struct insn *in)
{
	unsigned size = insn_osize(in);

	unblock_nmi(cpu);
	if (!cpu_protected(cpu)) {
		iret_real(cpu, size);
	} else if (cpu_vm86(cpu)) {
		iret_from_vm86(cpu, size);
	} else if (cpu->rflags & FLAG_NT) {
		if (cpu->efer & EFER_LMA)
			raise_gp(cpu, 0);
		iret_task(cpu);
	} else {
		iret_protected(cpu, size);
	}
	cpu->iret_unblocks_nmi = false;
	interrupts_may_open(cpu);
}
