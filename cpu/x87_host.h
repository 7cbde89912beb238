/*
 * x87 operations on the host's own unit, with the guest's control word.
 *
 * The host runs with the guest's masks too: then an unmasked overflow or underflow leaves the result with the biased
 * exponent in the register, and one found before the computation leaves none; nothing traps, because the status is read
 * and cleared before the next waiting instruction. The control word is the one of the C environment (0x037f) outside.
 */
#ifndef NB_CPU_X87_HOST_H
#define NB_CPU_X87_HOST_H

#include "cpu/x87_op.h"

struct host_result {
	struct fpreg value;
	u16 status; /* flags, C0..C3; TOP is the host's */
};

#define HOST_CLOBBERS "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"
#define HOST_BEGIN "fldcw %[control]\n\t"
#define HOST_END "\n\tfnstsw %[status]\n\tfnclex\n\tfldcw %[host]\n\t"

static const u16 host_control = X87_CONTROL_INIT;

/* value = op(a) */
#define HOST_ONE(name, op)                                                                                             \
	INLINE struct host_result host_##name(u16 control, struct fpreg a)                                             \
	{                                                                                                              \
		struct host_result r = {.status = 0};                                                                  \
		asm volatile("fnclex\n\tfldt %[a]\n\t" HOST_BEGIN op HOST_END "fstpt %[value]"                         \
			     : [value] "=m"(r.value), [status] "=m"(r.status)                                          \
			     : [a] "m"(a), [control] "m"(control), [host] "m"(host_control)                            \
			     : HOST_CLOBBERS);                                                                         \
		return r;                                                                                              \
	}

/* value = op(a, b), a in ST(0), b in ST(1) */
#define HOST_TWO(name, op)                                                                                             \
	INLINE struct host_result host_##name(u16 control, struct fpreg a, struct fpreg b)                             \
	{                                                                                                              \
		struct host_result r = {.status = 0};                                                                  \
		asm volatile("fnclex\n\tfldt %[b]\n\tfldt %[a]\n\t" HOST_BEGIN op HOST_END                             \
			     "fstpt %[value]\n\tfstp %%st(0)"                                                          \
			     : [value] "=m"(r.value), [status] "=m"(r.status)                                          \
			     : [a] "m"(a), [b] "m"(b), [control] "m"(control), [host] "m"(host_control)                \
			     : HOST_CLOBBERS);                                                                         \
		return r;                                                                                              \
	}

/* value = op(a, memory operand) */
#define HOST_MEMORY(name, op, type)                                                                                    \
	INLINE struct host_result host_##name(u16 control, struct fpreg a, type m)                                     \
	{                                                                                                              \
		struct host_result r = {.status = 0};                                                                  \
		asm volatile("fnclex\n\tfldt %[a]\n\t" HOST_BEGIN op " %[m]" HOST_END "fstpt %[value]"                 \
			     : [value] "=m"(r.value), [status] "=m"(r.status)                                          \
			     : [a] "m"(a), [m] "m"(m), [control] "m"(control), [host] "m"(host_control)                \
			     : HOST_CLOBBERS);                                                                         \
		return r;                                                                                              \
	}

/* *m = op(a), without a pop; `pops`: the host instruction has no other form */
#define HOST_STORE(name, op, pops, type)                                                                               \
	INLINE u16 host_##name(u16 control, struct fpreg a, type *m)                                                   \
	{                                                                                                              \
		u16 status = 0;                                                                                        \
		asm volatile("fnclex\n\tfldt %[a]\n\t" pops HOST_BEGIN op " %[m]" HOST_END "fstp %%st(0)"              \
			     : [m] "+m"(*m), [status] "=m"(status)                                                     \
			     : [a] "m"(a), [control] "m"(control), [host] "m"(host_control)                            \
			     : HOST_CLOBBERS);                                                                         \
		return status;                                                                                         \
	}
#define HOST_POPS "fld %%st(0)\n\t"

#endif
