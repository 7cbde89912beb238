/*
 * How one body serves the MMX, the legacy SSE, the VEX.128 and the VEX.256 form of an instruction.
 *
 * An operation is written once, as a function of one 128-bit lane: a (first source), b (second source), imm. `bytes` is 16, or 8 when the lane is an
 * MMX register in the low half; it is a constant in every copy. The macros VEC_BINARY and so on make the handlers around it:
 *
 *	VEC_BINARY(paddb) { a.vb += b.vb; return a; }	defines op_paddb: paddb, vpaddb xmm, vpaddb ymm
 *	MMX_BINARY(paddb, 8)				defines op_mmx_paddb from the same body
 *
 * Operands: a is vvvv with VEX, else the destination; b is ModRM.rm. The destination's bits above the vector length are zeroed with VEX, else kept.
 * Legacy 128-bit memory operands must be aligned.
 *
 * Lanes hold host vectors: the host is an x86-64, whose SSE2 the floating-point operations need anyway.
 */
#ifndef NB_CPU_SIMD_H
#define NB_CPU_SIMD_H

#include <emmintrin.h>
#include <string.h>

#include "cpu/access.h"
#include "cpu/fault.h"
#include "cpu/insn.h"
#include "cpu/x87.h"

#define UNUSED __attribute__((unused))
#define INLINE static inline __attribute__((always_inline, unused))

union lane {
	u8 b[16];
	u16 w[8];
	u32 d[4];
	u64 q[2];
	s8 sb[16];
	s16 sw[8];
	s32 sd[4];
	s64 sq[2];
	u8 vb __attribute__((vector_size(16)));
	u16 vw __attribute__((vector_size(16)));
	u32 vd __attribute__((vector_size(16)));
	u64 vq __attribute__((vector_size(16)));
	s8 vsb __attribute__((vector_size(16)));
	s16 vsw __attribute__((vector_size(16)));
	s32 vsd __attribute__((vector_size(16)));
	s64 vsq __attribute__((vector_size(16)));
	__m128i i;
	__m128 ps;
	__m128d pd;
};

#define LANE_ARGS union lane a UNUSED, union lane b UNUSED, unsigned bytes UNUSED, unsigned imm UNUSED
#define HANDLER_ARGS struct vcpu *cpu, const struct insn *in

INLINE bool
is_vex(const struct insn *in)
{
	return in->prefix & PREFIX_VEX;
}

INLINE bool
is_256(const struct insn *in)
{
	return in->prefix & PREFIX_L;
}

/* Size of a y operand: a general register of 32 bits, or 64 by W. */
INLINE unsigned
y_size(const struct vcpu *cpu, const struct insn *in)
{
	return in->prefix & PREFIX_W && cpu->long64 ? 8 : 4;
}

INLINE union lane
lane_get(const struct vcpu *cpu, unsigned number, unsigned half)
{
	union lane r;
	memcpy(&r, cpu->vec[number & 15].b + half * 16, 16);
	return r;
}

INLINE union lane
lane_load(const u8 *from)
{
	union lane r;
	memcpy(&r, from, 16);
	return r;
}

INLINE void
lane_store(u8 *to, union lane value)
{
	memcpy(to, &value, 16);
}

INLINE union lane
lane_zero(void)
{
	return (union lane){.q = {0, 0}};
}

/* Writes a result of 16 bytes (and 32 with VEX.L) to a register. */
INLINE void
vec_commit(struct vcpu *cpu, const struct insn *in, unsigned number, union lane low, union lane high)
{
	union vec *v = &cpu->vec[number & 15];
	memcpy(v->b, &low, 16);
	if (!is_vex(in))
		return;
	if (!is_256(in))
		high = lane_zero();
	memcpy(v->b + 16, &high, 16);
}

/* A result of 16 bytes: all above is zeroed with VEX. */
INLINE void
vec_commit_128(struct vcpu *cpu, const struct insn *in, unsigned number, union lane low)
{
	union vec *v = &cpu->vec[number & 15];
	memcpy(v->b, &low, 16);
	if (is_vex(in))
		memset(v->b + 16, 0, 16);
}

struct operands {
	union lane a0, a1; /* first source: vvvv with VEX, else the destination */
	union lane b[2];   /* second source: ModRM.rm */
};

/* The rm operand of `bytes`: 4, 8, or 16 for a whole vector (32 with VEX.L). */
INLINE void
vec_read_b(struct vcpu *cpu, const struct insn *in, union lane b[2], unsigned bytes)
{
	b[0] = b[1] = lane_zero();
	if (insn_is_mem(in)) {
		if (bytes == 16)
			vec_rm_read(cpu, in, b, is_256(in) ? 32 : 16, !is_vex(in));
		else
			vec_rm_read(cpu, in, b, bytes, false);
	} else {
		b[0] = lane_get(cpu, in->rs, 0);
		if (bytes == 16 && is_256(in))
			b[1] = lane_get(cpu, in->rs, 1);
	}
}

INLINE void
vec_operands(struct vcpu *cpu, const struct insn *in, struct operands *o, unsigned bytes)
{
	unsigned a = is_vex(in) ? in->rv : in->rd;
	vec_read_b(cpu, in, o->b, bytes);
	o->a0 = lane_get(cpu, a, 0);
	o->a1 = bytes == 16 && is_256(in) ? lane_get(cpu, a, 1) : lane_zero();
}

/*
 * The handler works in place, a lane at a time: the lanes do not see each other. `b` may be the destination too.
 * shift: by how many bits of the immediate the upper lane is further on.
 */
#define VEC_BINARY_SHIFTED(name, shift)                                                                                   \
	INLINE union lane lane_##name(LANE_ARGS);                                                                         \
	void op_##name(HANDLER_ARGS)                                                                                      \
	{                                                                                                                 \
		u8 memory[32];                                                                                            \
		const u8 *b = cpu->vec[in->rs & 15].b;                                                                    \
		if (insn_is_mem(in)) {                                                                                    \
			vec_rm_read(cpu, in, memory, is_256(in) ? 32 : 16, !is_vex(in));                                  \
			b = memory;                                                                                       \
		}                                                                                                         \
		u8 *d = cpu->vec[in->rd & 15].b;                                                                          \
		const u8 *a = is_vex(in) ? cpu->vec[in->rv & 15].b : d;                                                   \
		lane_store(d, lane_##name(lane_load(a), lane_load(b), 16, (u8)in->imm));                                  \
		if (!is_vex(in))                                                                                          \
			return;                                                                                           \
		if (is_256(in))                                                                                           \
			lane_store(d + 16, lane_##name(lane_load(a + 16), lane_load(b + 16), 16, (u8)in->imm >> (shift))); \
		else                                                                                                      \
			memset(d + 16, 0, 16);                                                                            \
	}                                                                                                                 \
	INLINE union lane lane_##name(LANE_ARGS)
#define VEC_BINARY(name) VEC_BINARY_SHIFTED(name, 0)

/* Shifts: the count is the low quadword of one 128-bit operand for both lanes, or an immediate; then ModRM.rm is shifted into vvvv or itself. */
#define VEC_SHIFT(name)                                                                                                   \
	INLINE union lane lane_##name(LANE_ARGS);                                                                         \
	static void shift_##name(const struct insn *in, u8 *d, const u8 *a, union lane count)                             \
	{                                                                                                                 \
		lane_store(d, lane_##name(lane_load(a), count, 16, 0));                                                   \
		if (!is_vex(in))                                                                                          \
			return;                                                                                           \
		if (is_256(in))                                                                                           \
			lane_store(d + 16, lane_##name(lane_load(a + 16), count, 16, 0));                                 \
		else                                                                                                      \
			memset(d + 16, 0, 16);                                                                            \
	}                                                                                                                 \
	void op_##name(HANDLER_ARGS)                                                                                      \
	{                                                                                                                 \
		union lane count;                                                                                         \
		if (insn_is_mem(in))                                                                                      \
			vec_rm_read(cpu, in, &count, 16, !is_vex(in));                                                    \
		else                                                                                                      \
			count = lane_get(cpu, in->rs, 0);                                                                 \
		shift_##name(in, cpu->vec[in->rd & 15].b, cpu->vec[(is_vex(in) ? in->rv : in->rd) & 15].b, count);        \
	}                                                                                                                 \
	void op_##name##_imm(HANDLER_ARGS)                                                                                \
	{                                                                                                                 \
		union lane count = {.q = {(u8)in->imm, 0}};                                                               \
		shift_##name(in, cpu->vec[(is_vex(in) ? in->rv : in->rs) & 15].b, cpu->vec[in->rs & 15].b, count);        \
	}                                                                                                                 \
	INLINE union lane lane_##name(LANE_ARGS)

/* --- MMX --- */

/* A pending x87 exception comes before anything an MMX instruction does. */
INLINE void
mmx_check(struct vcpu *cpu)
{
	if (unlikely(cpu->x87.status & X87_ES))
		x87_pending_exception(cpu);
}

/*
 * Every MMX instruction but EMMS makes all x87 registers valid, and TOP 0:
 * SDM 1, "Effect of MMX, x87 FPU, FXSAVE, and FXRSTOR Instructions on the x87 FPU Tag Word".
 */
INLINE void
mmx_enter(struct vcpu *cpu)
{
	cpu->x87.status &= (u16)~0x3800;
	cpu->x87.empty = 0;
}

INLINE u64
mmx_get(const struct vcpu *cpu, unsigned number)
{
	return cpu->x87.r[number & 7].significand;
}

INLINE void
mmx_commit(struct vcpu *cpu, unsigned number, u64 value)
{
	mmx_enter(cpu);
	cpu->x87.r[number & 7] = (struct fpreg){value, 0xffff};
}

INLINE u64
mmx_rm_read(struct vcpu *cpu, const struct insn *in, unsigned size)
{
	return insn_is_mem(in) ? mem_read(cpu, insn_linear(cpu, in, size, ACCESS_READ), size) : mmx_get(cpu, in->rs);
}

#define MMX_BINARY(name, size)                                                                                            \
	void op_mmx_##name(HANDLER_ARGS)                                                                                  \
	{                                                                                                                 \
		mmx_check(cpu);                                                                                           \
		union lane b = {.q = {mmx_rm_read(cpu, in, size), 0}}, a = {.q = {mmx_get(cpu, in->rd), 0}};              \
		mmx_commit(cpu, in->rd, lane_##name(a, b, 8, (u8)in->imm).q[0]);                                          \
	}

#define MMX_SHIFT(name)                                                                                                   \
	MMX_BINARY(name, 8)                                                                                               \
	void op_mmx_##name##_imm(HANDLER_ARGS)                                                                            \
	{                                                                                                                 \
		mmx_check(cpu);                                                                                           \
		union lane count = {.q = {(u8)in->imm, 0}}, a = {.q = {mmx_get(cpu, in->rs), 0}};                         \
		mmx_commit(cpu, in->rs, lane_##name(a, count, 8, 0).q[0]);                                                \
	}

#endif
