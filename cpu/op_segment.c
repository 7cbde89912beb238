/*
 * Segment registers as operands: MOV, PUSH, POP, LDS to LSS; and the instructions that ask about descriptors: LAR, LSL, VERR, VERW, ARPL.
 *
 * SDM 2, their Operation sections.
 */
#include "cpu/access.h"
#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/frame.h"
#include "cpu/segment.h"
#include "vmx/intercept.h"

static void
load_ss_shadow(struct vcpu *cpu)
{
	cpu->shadow = SHADOW_MOV_SS;
	if (cpu->nonroot)
		vmx_window_changed(cpu);
}

void
op_mov_ES(struct vcpu *cpu, const struct insn *in)
{
	if (in->rd > GS)
		raise_ud(cpu);
	if (insn_is_mem(in))
		rm_write(cpu, in, 2, cpu->seg[in->rd].selector);
	else
		rm_write(cpu, in, insn_osize(in), cpu->seg[in->rd].selector);
}

void
op_mov_SE(struct vcpu *cpu, const struct insn *in)
{
	unsigned seg = in->rd;

	if (seg == CS || seg > GS)
		raise_ud(cpu);
	segment_load(cpu, seg, (u16)rm_read(cpu, in, 2));
	if (seg == SS)
		load_ss_shadow(cpu);
}

/* The rows of PUSH and POP name their register. */
static unsigned
row_segment(const struct insn *in)
{
	switch (in->op) {
	case INSN_PUSH_ES:
	case INSN_POP_ES: return ES;
	case INSN_PUSH_CS: return CS;
	case INSN_PUSH_SS:
	case INSN_POP_SS: return SS;
	case INSN_PUSH_DS:
	case INSN_POP_DS: return DS;
	case INSN_PUSH_FS:
	case INSN_POP_FS: return FS;
	default: return GS;
	}
}

void
op_push_S(struct vcpu *cpu, const struct insn *in)
{
	stack_push(cpu, insn_osize(in), cpu->seg[row_segment(in)].selector);
}

/* RSP moves by the stack size from before the load: POP SS may change it. */
void
op_pop_S(struct vcpu *cpu, const struct insn *in)
{
	unsigned seg = row_segment(in);
	u64 mask = stack_mask(cpu), rsp = cpu->r[RSP];

	segment_load(cpu, seg, (u16)stack_peek(cpu, insn_osize(in), 0));
	rsp = (rsp & ~mask) | ((rsp + insn_osize(in)) & mask);
	cpu->r[RSP] = mask == 0xffffffff ? (u32)rsp : rsp;
	if (seg == SS)
		load_ss_shadow(cpu);
}

static void
load_far_pointer(struct vcpu *cpu, const struct insn *in, unsigned seg)
{
	unsigned size = insn_osize(in);
	u64 linear = insn_linear(cpu, in, size + 2, ACCESS_READ);
	u64 offset = mem_read(cpu, linear, size);
	u64 after = cpu->long64 ? linear + size : (u32)(linear + size);

	segment_load(cpu, seg, (u16)mem_read(cpu, after, 2));
	reg_set(cpu, in->rd, size, offset);
}

void
op_les(struct vcpu *cpu, const struct insn *in)
{
	load_far_pointer(cpu, in, ES);
}

void
op_lds(struct vcpu *cpu, const struct insn *in)
{
	load_far_pointer(cpu, in, DS);
}

void
op_lss(struct vcpu *cpu, const struct insn *in)
{
	load_far_pointer(cpu, in, SS);
}

void
op_lfs(struct vcpu *cpu, const struct insn *in)
{
	load_far_pointer(cpu, in, FS);
}

void
op_lgs(struct vcpu *cpu, const struct insn *in)
{
	load_far_pointer(cpu, in, GS);
}

/* --- questions --- */

static void
set_zf(struct vcpu *cpu, bool zf)
{
	u64 flags = cc_flags(cpu) & ~FLAG_ZF;

	cc_set_raw(cpu, zf ? flags | FLAG_ZF : flags);
}

/* System descriptors that LAR and LSL know; 16-bit ones and gates only outside IA-32e mode. */
#define LAR_TYPES (1u << TYPE_CALL_GATE16 | 1u << TYPE_TASK_GATE | 1u << TYPE_CALL_GATE32 | LSL_TYPES)
#define LSL_TYPES \
	(1u << TYPE_TSS16 | 1u << TYPE_LDT | 1u << TYPE_TSS16_BUSY | 1u << TYPE_TSS32 | 1u << TYPE_TSS32_BUSY)
#define IA32E_TYPES (1u << TYPE_LDT | 1u << TYPE_TSS32 | 1u << TYPE_TSS32_BUSY | 1u << TYPE_CALL_GATE32)

/* Is the descriptor there, of a known type, and visible at the CPL and RPL? */
static bool
descriptor_visible(struct vcpu *cpu, u16 selector, unsigned system_types, struct descriptor *d)
{
	unsigned dpl;

	if (!descriptor_read(cpu, selector, d))
		return false;
	if (descriptor_is_system(d->low)) {
		unsigned types = cpu->efer & EFER_LMA ? system_types & IA32E_TYPES : system_types;
		if (!(types >> descriptor_type(d->low) & 1))
			return false;
	}
	dpl = descriptor_dpl(d->low);
	return descriptor_is_conforming(d->low) || (dpl >= cpu->cpl && dpl >= SELECTOR_RPL(selector));
}

void
op_lar(struct vcpu *cpu, const struct insn *in)
{
	u16 selector = (u16)rm_read(cpu, in, 2);
	struct descriptor d;
	bool visible = descriptor_visible(cpu, selector, LAR_TYPES, &d);

	if (visible)
		reg_set(cpu, in->rd, insn_osize(in), (d.low >> 32) & (insn_osize(in) == 2 ? 0xff00 : 0xf0ff00));
	set_zf(cpu, visible);
}

void
op_lsl(struct vcpu *cpu, const struct insn *in)
{
	u16 selector = (u16)rm_read(cpu, in, 2);
	struct descriptor d;
	bool visible = descriptor_visible(cpu, selector, LSL_TYPES, &d);

	if (visible)
		reg_set(cpu, in->rd, insn_osize(in), descriptor_limit(d.low));
	set_zf(cpu, visible);
}

void
op_verr(struct vcpu *cpu, const struct insn *in)
{
	u16 selector = (u16)rm_read(cpu, in, 2);
	struct descriptor d;

	set_zf(cpu, descriptor_visible(cpu, selector, 0, &d) && descriptor_is_readable(d.low));
}

void
op_verw(struct vcpu *cpu, const struct insn *in)
{
	u16 selector = (u16)rm_read(cpu, in, 2);
	struct descriptor d;

	set_zf(cpu, descriptor_visible(cpu, selector, 0, &d) && descriptor_is_writable(d.low));
}

void
op_arpl(struct vcpu *cpu, const struct insn *in)
{
	u16 selector = (u16)rm_read_modify(cpu, in, 2);
	unsigned rpl = reg_get(cpu, in->rd, 2) & 3;
	bool raise = SELECTOR_RPL(selector) < rpl;

	/* The destination is written in either case, like a locked read-modify-write. */
	rm_write_back(cpu, in, 2, raise ? (selector & ~3u) | rpl : selector);
	set_zf(cpu, raise);
}
