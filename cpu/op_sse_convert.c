/*
 * Conversions between integers and floating point, and between single and double precision, where source and destination differ in shape:
 * SSE, SSE2, AVX. (Those of equal shape are in op_sse_fp.c.)
 *
 * Source: SDM 2, the instructions by name.
 */
#include "cpu/simd_fp.h"

#define ASM_UNARY(name)                                                                          \
	INLINE union lane lane_##name(union lane b)                                              \
	{                                                                                        \
		union lane r = lane_zero();                                                      \
		asm volatile(#name " %1, %0" : "+x"(r.ps) : "x"(b.ps));                          \
		return r;                                                                        \
	}
ASM_UNARY(cvtps2pd)
ASM_UNARY(cvtdq2pd)
ASM_UNARY(cvtpd2ps)
ASM_UNARY(cvtpd2dq)
ASM_UNARY(cvttpd2dq)
ASM_UNARY(cvtdq2ps)
ASM_UNARY(cvtps2dq)
ASM_UNARY(cvttps2dq)

/* The source has half the destination's size. */
#define WIDEN(name)                                                                              \
	void op_##name(HANDLER_ARGS)                                                             \
	{                                                                                        \
		union lane b = lane_zero(), high = lane_zero();                                  \
		if (insn_is_mem(in))                                                             \
			vec_rm_read(cpu, in, &b, is_256(in) ? 16 : 8, false);                    \
		else                                                                             \
			b = lane_get(cpu, in->rs, 0);                                            \
		fp_begin(cpu);                                                                   \
		union lane low = lane_##name((union lane){.q = {b.q[0], 0}});                    \
		if (is_256(in))                                                                  \
			high = lane_##name((union lane){.q = {b.q[1], 0}});                      \
		fp_end(cpu, NULL, 0, 0);                                                         \
		vec_commit(cpu, in, in->rd, low, high);                                          \
	}
WIDEN(cvtps2pd)
WIDEN(cvtdq2pd)

/* The destination has half the source's size. */
#define NARROW(name, tiny)                                                                       \
	void op_##name(HANDLER_ARGS)                                                             \
	{                                                                                        \
		union lane b[2], r;                                                              \
		vec_read_b(cpu, in, b, 16);                                                      \
		fp_begin(cpu);                                                                   \
		do {                                                                             \
			r = lane_##name(b[0]);                                                   \
			if (is_256(in))                                                          \
				r.q[1] = lane_##name(b[1]).q[0];                                 \
		} while (fp_end(cpu, &r, tiny, 4));                                              \
		vec_commit_128(cpu, in, in->rd, r);                                              \
	}
NARROW(cvtpd2ps, 4)
NARROW(cvtpd2dq, 0)
NARROW(cvttpd2dq, 0)

/* --- general registers --- */

#define FROM_INTEGER(name)                                                                       \
	void op_##name(HANDLER_ARGS)                                                             \
	{                                                                                        \
		unsigned size = y_size(cpu, in);                                                 \
		u64 value = rm_read(cpu, in, size);                                              \
		union lane a = lane_get(cpu, is_vex(in) ? in->rv : in->rd, 0);                   \
		fp_begin(cpu);                                                                   \
		if (size == 8)                                                                   \
			asm volatile(#name "q %1, %0" : "+x"(a.ps) : "r"(value));                \
		else                                                                             \
			asm volatile(#name "l %k1, %0" : "+x"(a.ps) : "r"(value));               \
		fp_end(cpu, NULL, 0, 0);                                                         \
		vec_commit_128(cpu, in, in->rd, a);                                              \
	}
FROM_INTEGER(cvtsi2ss)
FROM_INTEGER(cvtsi2sd)

#define TO_INTEGER(name, bytes)                                                                  \
	void op_##name(HANDLER_ARGS)                                                             \
	{                                                                                        \
		union lane b[2];                                                                 \
		u64 value;                                                                       \
		vec_read_b(cpu, in, b, bytes);                                                   \
		fp_begin(cpu);                                                                   \
		if (y_size(cpu, in) == 8)                                                        \
			asm volatile(#name " %1, %0" : "=r"(value) : "x"(b[0].ps));              \
		else                                                                             \
			asm volatile(#name " %1, %k0" : "=r"(value) : "x"(b[0].ps));             \
		fp_end(cpu, NULL, 0, 0);                                                         \
		reg_set(cpu, in->rd, y_size(cpu, in), value);                                    \
	}
TO_INTEGER(cvtss2si, 4)
TO_INTEGER(cvttss2si, 4)
TO_INTEGER(cvtsd2si, 8)
TO_INTEGER(cvttsd2si, 8)

/* --- MMX registers: the packed conversions on two elements --- */

void
op_cvtpi2ps(HANDLER_ARGS)
{
	mmx_check(cpu);
	union lane a = lane_get(cpu, in->rd, 0), b = {.q = {mmx_rm_read(cpu, in, 8), 0}};
	fp_begin(cpu);
	a.q[0] = lane_cvtdq2ps(b).q[0];
	fp_end(cpu, NULL, 0, 0);
	mmx_enter(cpu);
	vec_commit_128(cpu, in, in->rd, a);
}

/* With a memory operand it leaves the x87 state alone. */
void
op_cvtpi2pd(HANDLER_ARGS)
{
	if (!insn_is_mem(in))
		mmx_check(cpu);
	union lane b = {.q = {mmx_rm_read(cpu, in, 8), 0}};
	if (!insn_is_mem(in))
		mmx_enter(cpu);
	vec_commit_128(cpu, in, in->rd, lane_cvtdq2pd(b));
}

#define TO_MMX(name, conversion, bytes)                                                          \
	void op_##name(HANDLER_ARGS)                                                             \
	{                                                                                        \
		mmx_check(cpu);                                                                  \
		union lane b[2];                                                                 \
		vec_read_b(cpu, in, b, bytes);                                                   \
		if ((bytes) == 8)                                                                \
			b[0].q[1] = 0;                                                           \
		fp_begin(cpu);                                                                   \
		union lane r = lane_##conversion(b[0]);                                          \
		fp_end(cpu, NULL, 0, 0);                                                         \
		mmx_commit(cpu, in->rd, r.q[0]);                                                 \
	}
TO_MMX(cvtps2pi, cvtps2dq, 8)
TO_MMX(cvttps2pi, cvttps2dq, 8)
TO_MMX(cvtpd2pi, cvtpd2dq, 16)
TO_MMX(cvttpd2pi, cvttpd2dq, 16)
