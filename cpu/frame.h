/*
 * Stack frames of event delivery and far calls: collected, checked as a whole, and only then written.
 *
 * Rights. A frame on the present stack is written with the program's rights (mem_*: the CPL does not change). A frame on a stack of inner
 * privilege belongs to CPL 0, 1 or 2, all of them supervisor for paging, while cpu->cpl is still the outer one: it is written by sys_*.
 */
#ifndef NB_CPU_FRAME_H
#define NB_CPU_FRAME_H

#include "cpu/state.h"

#define FRAME_MAX 40 /* a call gate copies at most 31 parameters, and four more are pushed */

struct frame {
	struct segment ss;
	u64 sp;    /* RSP: before the frame until frame_write(), after it then */
	bool wide; /* IA-32e mode: 64-bit stack addresses, no segment */
	bool inner; /* the stack of another privilege level: SS and RSP are to be loaded from here */
	u32 error;  /* error code of #SS */
	unsigned size, count;
	u64 item[FRAME_MAX];
};

/* The present stack; items of `size` bytes. */
void frame_current(struct vcpu *cpu, struct frame *f, unsigned size, bool wide);
/* The stack that the TSS has for `level` (0..2), with the checks of its selector: #TS, #SS. Outside IA-32e mode. */
void frame_inner(struct vcpu *cpu, struct frame *f, unsigned size, unsigned level);
/* IA-32e mode: the stack pointer at `offset` in the TSS; SS becomes null with DPL `level` if that is not the CPL. */
void frame_tss64(struct vcpu *cpu, struct frame *f, unsigned offset, unsigned level);
#define TSS64_RSP(level) ((level) * 8u + 4u)
#define TSS64_IST(ist) ((ist) * 8u + 28u)

static inline void
frame_push(struct frame *f, u64 value)
{
	assert(f->count < FRAME_MAX);
	f->item[f->count++] = value;
}

/* #SS unless there is room for all of the frame. */
void frame_check(struct vcpu *cpu, const struct frame *f);
/* Writes it, or faults with nothing written. */
void frame_write(struct vcpu *cpu, struct frame *f);
/* Loads RSP, and SS if the stack is another one. */
void frame_commit(struct vcpu *cpu, const struct frame *f);

/* The stack address size as a mask. */
u64 stack_mask(const struct vcpu *cpu);
u64 segment_stack_mask(const struct segment *ss);
/* #SS(0) unless the `bytes` above the top of the stack lie within its limit. */
void stack_check_pop(struct vcpu *cpu, unsigned bytes);

#endif
