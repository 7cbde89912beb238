/*
 * The state of the x87 unit: initial values, tag word, the image in FXSAVE and XSAVE areas, and the exception that
 * waits.
 *
 * ES and B are recomputed whenever flags or masks are loaded. FCS and FDS read as zero on models with "deprecates FPU
 * CS and FPU DS" (CPUID.7.0:EBX[13]), and are then not kept.
 *
 * Source: SDM 1, "x87 FPU Tag Word", "MS-DOS Compatibility Sub-mode"; SDM 2, "FXSAVE".
 * With CR0.NE clear, FERR# goes active at the waiting instruction, not before; the processor stops in front of it until an
 * interrupt comes, as in the HLT state.
 */
#include "cpu/x87.h"

#include <string.h>

#include "cpu/cpuid.h"
#include "cpu/fault.h"
#include "cpu/vcpu.h"
#include "cpu/x87_op.h"

void
x87_pending_exception(struct vcpu *cpu)
{
	struct cpus *cpus = cpu->cpus;
	if (cpu->cr0 & CR0_NE)
		raise_exception(cpu, VECTOR_MF);
	if (cpu->ferr && cpus->ignne)
		return;
	cpu->ferr = true;
	irq_set(&cpus->ferr, 1);
	cpu_sync(cpu);
	cpu->activity = ACTIVITY_HLT;
	cpu_leave(cpu);
}

void
x87_flags_changed(struct vcpu *cpu)
{
	if (likely(!cpu->ferr) || cpu->x87.status & X87_ES)
		return;
	cpu->ferr = false;
	irq_set(&cpu->cpus->ferr, 0);
}

void
x87_init(struct x87 *x)
{
	x->control = X87_CONTROL_INIT;
	x->status = 0;
	x->empty = 0xff;
	x->opcode = 0;
	x->ip = x->dp = 0;
	x->cs = x->ds = 0;
}

static unsigned
tag_of(const struct fpreg *r)
{
	unsigned exponent = r->sign_exponent & 0x7fff;
	if (exponent == 0)
		return r->significand ? 2 : 1;
	return exponent == 0x7fff || !(r->significand >> 63) ? 2 : 0;
}

u16
x87_tag_word(const struct x87 *x)
{
	unsigned tags = 0;
	for (unsigned n = 0; n < 8; n++)
		tags |= (x->empty >> n & 1 ? 3 : tag_of(&x->r[n])) << n * 2;
	return (u16)tags;
}

/*
 *  0 FCW, 2 FSW, 4 FTW (a bit per register: not empty), 6 FOP, 8 FIP, 16 FDP; narrow: FCS at 12, FDS at 20.
 * 24 MXCSR, MXCSR_MASK. 32 ST(0)..ST(7), 16 bytes apart.
 */
void
x87_image_save(const struct vcpu *cpu, bool wide, u8 image[X87_IMAGE_SIZE])
{
	const struct x87 *x = &cpu->x87;
	memset(image, 0, X87_IMAGE_SIZE);
	memcpy(image, &x->control, 2);
	memcpy(image + 2, &x->status, 2);
	image[4] = (u8)~x->empty;
	memcpy(image + 6, &x->opcode, 2);
	memcpy(image + 8, &x->ip, wide ? 8 : 4);
	memcpy(image + 16, &x->dp, wide ? 8 : 4);
	if (!wide && !cpu_has(cpu, FEATURE_ZERO_FCS_FDS)) {
		memcpy(image + 12, &x->cs, 2);
		memcpy(image + 20, &x->ds, 2);
	}
	for (unsigned i = 0; i < 8; i++)
		memcpy(image + 32 + i * 16, &x->r[x87_number(x, i)], 10);
}

void
x87_image_load(struct vcpu *cpu, bool wide, const u8 image[X87_IMAGE_SIZE])
{
	struct x87 *x = &cpu->x87;
	u16 control;
	memcpy(&control, image, 2);
	memcpy(&x->status, image + 2, 2);
	x->empty = (u8)~image[4];
	memcpy(&x->opcode, image + 6, 2);
	x->opcode &= 0x7ff;
	x->ip = x->dp = 0;
	x->cs = x->ds = 0;
	memcpy(&x->ip, image + 8, wide ? 8 : 4);
	memcpy(&x->dp, image + 16, wide ? 8 : 4);
	if (!wide && !cpu_has(cpu, FEATURE_ZERO_FCS_FDS)) {
		memcpy(&x->cs, image + 12, 2);
		memcpy(&x->ds, image + 20, 2);
	}
	x87_set_control(x, control);
	x87_flags_changed(cpu);
	for (unsigned i = 0; i < 8; i++)
		memcpy(x87_st(x, i), image + 32 + i * 16, 10);
}

/* --- the end of every non-control instruction --- */

/*
 * FOP is the low three bits of the first opcode byte and the second one. It is needed so rarely that nobody keeps it.
 */
static u16
opcode_of(struct vcpu *cpu, const struct insn *in)
{
	u8 bytes[15];
	unsigned length = insn_length(in);
	u64 linear = insn_rip(cpu, in) + (cpu->long64 ? 0 : cpu->seg[CS].base);
	if (!mem_peek(cpu, cpu->long64 ? linear : (u32)linear, bytes, length))
		return 0;
	for (unsigned n = 0; n + 1 < length; n++)
		if ((bytes[n] & 0xf8) == 0xd8)
			return (u16)((bytes[n] & 7) << 8 | bytes[n + 1]);
	return 0;
}

/*
 * FIP changes with every instruction. FOP is that of the last instruction with an unmasked exception (SDM 1, "Fopcode
 * Compatibility Sub-mode"), and so is FDP on models with CPUID.7.0:EBX[6]; on others FDP changes with every memory
 * operand.
 */
static void
set_pointers(struct vcpu *cpu, const struct insn *in, bool exception)
{
	struct x87 *x = &cpu->x87;
	x->ip = insn_rip(cpu, in);
	x->cs = cpu->seg[CS].selector;
	if (insn_is_mem(in) && (exception || !cpu_has(cpu, FEATURE_FDP_EXCPTN_ONLY))) {
		x->dp = insn_offset(cpu, in);
		x->ds = cpu->seg[EA_SEG(in->ea)].selector;
	}
	if (exception)
		x->opcode = opcode_of(cpu, in);
}

bool
x87_end(struct vcpu *cpu, const struct insn *in, unsigned found)
{
	struct x87 *x = &cpu->x87;
	unsigned unmasked = found & ~x->control & X87_EXCEPTIONS;
	if (unlikely(unmasked & X87_BEFORE)) { /* nothing was computed that could be inexact or out of range */
		found &= X87_BEFORE | X87_SF | (found & X87_SF ? X87_C1 : 0);
		unmasked &= X87_BEFORE;
	}
	x->status = (u16)((x->status & ~X87_C1) | found);
	if (unlikely(unmasked))
		x->status |= (u16)(X87_ES | X87_B);
	set_pointers(cpu, in, unmasked);
	return !(unmasked & X87_BEFORE);
}

void
x87_underflow(struct vcpu *cpu, const struct insn *in, unsigned i, bool pop)
{
	if (!x87_end(cpu, in, X87_STACK_UNDERFLOW))
		return;
	x87_set(&cpu->x87, i, x87_indefinite);
	if (pop)
		x87_pop(&cpu->x87);
}

void
x87_push(struct vcpu *cpu, const struct insn *in, struct fpreg value, unsigned found)
{
	struct x87 *x = &cpu->x87;
	if (!x87_is_empty(x, 7) && !(found & X87_SF)) {
		found = X87_STACK_OVERFLOW;
		value = x87_indefinite;
	}
	/* an unmasked denormal exception does not hold back a load */
	if (!x87_end(cpu, in, found) && found & X87_IE)
		return;
	x87_set_top(x, x87_top(x) - 1);
	x87_set(x, 0, value);
}
