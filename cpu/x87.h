/* The x87 unit: names of its bits, and what several files need of it. SDM 1, "Programming with the x87 FPU". */
#ifndef NB_CPU_X87_H
#define NB_CPU_X87_H

#include "cpu/state.h"

struct insn;

/* Exceptions: flags in the status word, masks in the control word. */
#define X87_IE BIT(0)
#define X87_DE BIT(1)
#define X87_ZE BIT(2)
#define X87_OE BIT(3)
#define X87_UE BIT(4)
#define X87_PE BIT(5)
#define X87_EXCEPTIONS 0x3fu
/* Status word */
#define X87_SF BIT(6) /* stack fault */
#define X87_ES BIT(7) /* status word: an unmasked exception is pending */
#define X87_C0 BIT(8)
#define X87_C1 BIT(9)
#define X87_C2 BIT(10)
#define X87_C3 BIT(14)
#define X87_CC (X87_C0 | X87_C1 | X87_C2 | X87_C3)
#define X87_TOP 0x3800u
#define X87_TOP_SHIFT 11
#define X87_B BIT(15) /* follows ES */
/* Control word: precision control 9:8, rounding control 11:10, infinity control 12 (no effect); bit 6 is always 1 */
#define X87_CONTROL_VALID 0x1f7fu
#define X87_CONTROL_ONE 0x0040u
#define X87_CONTROL_INIT 0x037fu

/*
 * An unmasked x87 exception is pending at a waiting instruction: #MF with CR0.NE, else the external way (IRQ 13). May
 * return.
 */
void x87_pending_exception(struct vcpu *cpu);

/* After whatever may have cleared ES: FERR# follows. */
void x87_flags_changed(struct vcpu *cpu);

/* FNINIT. */
void x87_init(struct x87 *x);

/*
 * The first 416 bytes of the FXSAVE and XSAVE area, without MXCSR and XMM. `wide`: REX.W, 64-bit instruction and data
 * pointers.
 */
#define X87_IMAGE_SIZE 160
void x87_image_save(const struct vcpu *cpu, bool wide, u8 image[X87_IMAGE_SIZE]);
void x87_image_load(struct vcpu *cpu, bool wide, const u8 image[X87_IMAGE_SIZE]);

/* The full tag word: 00 valid, 01 zero, 10 special, 11 empty. */
u16 x87_tag_word(const struct x87 *x);

static inline unsigned
x87_top(const struct x87 *x)
{
	return x->status >> X87_TOP_SHIFT & 7;
}

static inline void
x87_set_top(struct x87 *x, unsigned top)
{
	x->status = (u16)((x->status & ~X87_TOP) | (top & 7) << X87_TOP_SHIFT);
}

/* ST(i) and its physical number. */
static inline unsigned
x87_number(const struct x87 *x, unsigned i)
{
	return (x87_top(x) + i) & 7;
}

static inline struct fpreg *
x87_st(struct x87 *x, unsigned i)
{
	return &x->r[x87_number(x, i)];
}

static inline bool
x87_is_empty(const struct x87 *x, unsigned i)
{
	return x->empty >> x87_number(x, i) & 1;
}

/* ES and B say whether a flag is set whose mask is clear. */
static inline void
x87_update_es(struct x87 *x)
{
	x->status &= (u16) ~(X87_ES | X87_B);
	if (x->status & ~x->control & X87_EXCEPTIONS)
		x->status |= (u16)(X87_ES | X87_B);
}

static inline void
x87_set_control(struct x87 *x, u16 control)
{
	x->control = (u16)((control & X87_CONTROL_VALID) | X87_CONTROL_ONE);
	x87_update_es(x);
}

#endif
