/* The handlers around op_x: account for the instruction, run its complete form, go on or leave. */
#include "cpu/dispatch.h"

#include "cpu/cpuid.h"
#include "cpu/decode.h"
#include "cpu/fault.h"
#include "cpu/paging.h"
#include "cpu/x87.h"

static inline void
leave_after(HARGS)
{
	cpu->rip = insn_next_rip(cpu, i);
	cpu->left -= i->idx + 1;
}

hret
h_slow(HARGS)
{
	cpu->current = i;
	insn_rows[i->op].op(cpu, i);
	cpu->current = NULL;
	if (unlikely(cpu->exit_request)) {
		leave_after(HPASS);
		LEAVE;
	}
	NEXT;
}

hret
h_slow_end(HARGS)
{
	cpu->current = i;
	cpu->rip = insn_rip(cpu, i);
	cpu->next_rip = insn_next_rip(cpu, i);
	insn_rows[i->op].op(cpu, i);
	/* An op that made RIP and count real itself (cpu_sync) has charged what came before the instruction. */
	cpu->left -= cpu->current ? i->idx + 1 : 1;
	cpu->current = NULL;
	cpu->rip = cpu->next_rip;
	LEAVE;
}

static hret
h_x87(HARGS)
{
	if (unlikely(cpu->x87.status & X87_ES)) {
		cpu->current = i;
		x87_pending_exception(cpu);
		cpu->current = NULL;
	}
	TAIL(h_slow);
}

hret
h_undefined(HARGS)
{
	cpu->current = i;
	raise_ud(cpu);
}

hret
h_general_protection(HARGS)
{
	cpu->current = i;
	raise_gp(cpu, 0);
}

static hret
h_no_math(HARGS)
{
	cpu->current = i;
	raise_exception(cpu, VECTOR_NM);
}

/* Goes on at the linear continuation `rip`; `charge` instructions of this block have retired. Same-page jumps get linked by the run loop. */
static inline void
leave_to(HARGS, u64 rip, unsigned charge)
{
	cpu->rip = rip;
	cpu->left -= charge;
	cpu->link = i;
}

hret
h_jump_slow(HARGS)
{
	u64 rip = insn_next_rip(cpu, i) + (u64)(s64)i->disp;
	if (cpu->mode & MODE_CODE64) {
		if (unlikely(!linear_canonical(cpu, rip))) {
			if (i->op == INSN_CALL_Jz)
				cpu->r[RSP] += 8; /* the complete form faults before it pushes */
			TAIL(h_slow_end);
		}
	} else {
		rip = (u32)rip;
	}
	s64 left = cpu->left - i->idx - 1;
	if ((rip & PAGE_MASK) != cpu->rip_page) {
		const struct insn *to = jump_lookup(cpu, rip, left);
		if (likely(to != NULL)) {
			cpu->left = left;
			cpu->rip_page = rip & PAGE_MASK;
			GO(to);
		}
	}
	leave_to(HPASS, rip, i->idx + 1u);
	LEAVE;
}

hret
h_fall(HARGS)
{
	s64 left = cpu->left - i->idx;
	if (likely(left >= block_of(i->target)->n)) {
		cpu->left = left;
		GO(i->target);
	}
	u64 rip = cpu->rip_page + (u64)(s64)i->disp;
	if (!(cpu->mode & MODE_CODE64))
		rip = (u32)rip;
	if (i->disp == (s32)PAGE_SIZE && cpu->mode & MODE_CS_FLAT) {
		const struct insn *to = jump_lookup(cpu, rip, left);
		if (likely(to != NULL)) {
			cpu->left = left;
			cpu->rip_page = rip & PAGE_MASK;
			GO(to);
		}
	}
	leave_to(HPASS, rip, i->idx);
	LEAVE;
}

hret
h_stop(HARGS)
{
	u64 rip = cpu->rip_page + (u64)(s64)i->disp;
	cpu->rip = cpu->mode & MODE_CODE64 ? rip : (u32)rip;
	cpu->left -= i->idx;
	LEAVE;
}

/* --- which of them --- */

enum register_class { CLASS_NONE, CLASS_X87, CLASS_MMX, CLASS_SSE, CLASS_AVX };

static enum register_class
class_of(const struct insn_row *row, const struct insn *in)
{
	if (row->attributes & NOFP)
		return CLASS_NONE;
	if (in->prefix & PREFIX_VEX)
		return CLASS_AVX;
	switch (row->feature) {
	case FEATURE_FPU: return CLASS_X87;
	case FEATURE_MMX: return CLASS_MMX;
	case FEATURE_SSE:
	case FEATURE_SSE2:
	case FEATURE_SSE3:
	case FEATURE_SSSE3:
	case FEATURE_SSE4_1:
	case FEATURE_SSE4_2:
	case FEATURE_AES:
	case FEATURE_PCLMULQDQ:
	case FEATURE_SHA: return CLASS_SSE;
	default: return CLASS_NONE;
	}
}

handler
slow_form(const struct insn *in, u32 mode)
{
	const struct insn_row *row = &insn_rows[in->op];
	if (row->attributes & CPL0 && !(mode & MODE_CPL0))
		return h_general_protection;
	switch (class_of(row, in)) {
	case CLASS_X87:
		if (mode & (MODE_EM | MODE_TS))
			return h_no_math;
		return row->attributes & NOMF ? h_slow : h_x87;
	case CLASS_MMX:
		if (mode & MODE_EM)
			return h_undefined;
		return mode & MODE_TS ? h_no_math : h_x87;
	case CLASS_SSE:
		if (mode & MODE_EM || !(mode & MODE_OSFXSR))
			return h_undefined;
		if (mode & MODE_TS)
			return h_no_math;
		break;
	case CLASS_AVX:
		if (!(mode & MODE_AVX) || !(mode & MODE_PROTECTED))
			return h_undefined;
		if (mode & MODE_TS)
			return h_no_math;
		break;
	default: break;
	}
	/* A conditional jump without fast form may change RIP. */
	bool jcc = (in->op >= INSN_JO_Jb && in->op <= INSN_JNLE_Jb) || (in->op >= INSN_JO_Jz && in->op <= INSN_JNLE_Jz);
	return row->attributes & END || jcc ? h_slow_end : h_slow;
}
