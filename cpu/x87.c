/*
 * The state of the x87 unit: initial values, tag word, the image in FXSAVE and XSAVE areas, and the exception that waits.
 *
 * ES and B are recomputed whenever flags or masks are loaded. FCS and FDS read as zero on models with "deprecates FPU CS and FPU DS"
 * (CPUID.7.0:EBX[13]), and are then not kept.
 *
 * Source: SDM 1, "x87 FPU Tag Word", "MS-DOS Compatibility Sub-mode"; SDM 2, "FXSAVE".
 * Not modelled: FERR# and IGNNE# (CR0.NE = 0): the run stops.
 */
#include "cpu/x87.h"

#include <string.h>

#include "base/stop.h"
#include "cpu/cpuid.h"
#include "cpu/fault.h"

void
x87_pending_exception(struct vcpu *cpu)
{
	if (!(cpu->cr0 & CR0_NE))
		stop_unimplemented("x87 exception with CR0.NE = 0 (FERR# and IRQ 13)");
	raise_exception(cpu, VECTOR_MF);
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
	for (unsigned i = 0; i < 8; i++)
		memcpy(x87_st(x, i), image + 32 + i * 16, 10);
}
