/*
 * Packs, unpacks, shuffles, blends, inserts, extracts and width changes inside 128-bit lanes: MMX to SSE4.1, and their AVX and AVX2 forms.
 * What crosses lanes is in op_avx_permute.c.
 *
 * Source: SDM 2, the instructions by name.
 */
#include "cpu/simd.h"

#define LANES(name, statement)                    \
	VEC_BINARY(name)                          \
	{                                         \
		statement;                        \
		return a;                         \
	}

/* Both halves of an MMX pack's result are in one quadword: the sources are joined first. */
#define PACK(name, expression)                                           \
	VEC_BINARY(name)                                                 \
	{                                                                \
		if (bytes == 8)                                          \
			a.q[1] = b.q[0];                                 \
		a.i = expression;                                        \
		return a;                                                \
	}
PACK(packsswb, _mm_packs_epi16(a.i, b.i))
PACK(packssdw, _mm_packs_epi32(a.i, b.i))
PACK(packuswb, _mm_packus_epi16(a.i, b.i))
MMX_BINARY(packsswb, 8)
MMX_BINARY(packssdw, 8)
MMX_BINARY(packuswb, 8)

VEC_BINARY(packusdw)
{
	union lane r;
	for (unsigned n = 0; n < 4; n++) {
		r.w[n] = (u16)(a.sd[n] < 0 ? 0 : MIN(a.sd[n], 0xffff));
		r.w[4 + n] = (u16)(b.sd[n] < 0 ? 0 : MIN(b.sd[n], 0xffff));
	}
	return r;
}

/* The MMX forms that take the high halves: what the low unpack puts into the upper quadword. */
#define UNPACK(suffix, size)                                             \
	LANES(punpckl##suffix, a.i = _mm_unpacklo_epi##size(a.i, b.i))   \
	VEC_BINARY(punpckh##suffix)                                      \
	{                                                                \
		if (bytes == 8) {                                        \
			a.i = _mm_unpacklo_epi##size(a.i, b.i);          \
			a.q[0] = a.q[1];                                 \
		} else {                                                 \
			a.i = _mm_unpackhi_epi##size(a.i, b.i);          \
		}                                                        \
		return a;                                                \
	}
UNPACK(bw, 8)
UNPACK(wd, 16)
UNPACK(dq, 32)
UNPACK(qdq, 64)
MMX_BINARY(punpcklbw, 4)
MMX_BINARY(punpcklwd, 4)
MMX_BINARY(punpckldq, 4)
MMX_BINARY(punpckhbw, 8)
MMX_BINARY(punpckhwd, 8)
MMX_BINARY(punpckhdq, 8)

/* --- shuffles --- */

VEC_BINARY(pshufb)
{
	union lane r = lane_zero();
	for (unsigned n = 0; n < bytes; n++)
		r.b[n] = b.b[n] & 0x80 ? 0 : a.b[b.b[n] & (bytes - 1)];
	return r;
}
MMX_BINARY(pshufb, 8)

VEC_BINARY(pshufd)
{
	return (union lane){.d = {b.d[imm & 3], b.d[imm >> 2 & 3], b.d[imm >> 4 & 3], b.d[imm >> 6 & 3]}};
}

VEC_BINARY(pshuflw)
{
	union lane r = b;
	for (unsigned n = 0; n < 4; n++)
		r.w[n] = b.w[imm >> 2 * n & 3];
	return r;
}
MMX_BINARY(pshuflw, 8)

VEC_BINARY(pshufhw)
{
	union lane r = b;
	for (unsigned n = 0; n < 4; n++)
		r.w[4 + n] = b.w[4 + (imm >> 2 * n & 3)];
	return r;
}

VEC_BINARY(shufps)
{
	return (union lane){.d = {a.d[imm & 3], a.d[imm >> 2 & 3], b.d[imm >> 4 & 3], b.d[imm >> 6 & 3]}};
}

VEC_BINARY_SHIFTED(shufpd, 2)
{
	return (union lane){.q = {a.q[imm & 1], b.q[imm >> 1 & 1]}};
}

VEC_BINARY_SHIFTED(vpermilpd_imm, 2)
{
	return (union lane){.q = {b.q[imm & 1], b.q[imm >> 1 & 1]}};
}

VEC_BINARY(vpermilps)
{
	union lane r;
	for (unsigned n = 0; n < 4; n++)
		r.d[n] = a.d[b.d[n] & 3];
	return r;
}

VEC_BINARY(vpermilpd)
{
	return (union lane){.q = {a.q[b.q[0] >> 1 & 1], a.q[b.q[1] >> 1 & 1]}};
}

VEC_BINARY(movsldup)
{
	return (union lane){.d = {b.d[0], b.d[0], b.d[2], b.d[2]}};
}

VEC_BINARY(movshdup)
{
	return (union lane){.d = {b.d[1], b.d[1], b.d[3], b.d[3]}};
}

/* Bytes imm.. of a:b, zeros beyond. */
VEC_BINARY(palignr)
{
	u8 buffer[48] = {0};
	union lane r = lane_zero();
	memcpy(buffer, &b, bytes);
	memcpy(buffer + bytes, &a, bytes);
	memcpy(&r, buffer + MIN(imm, 2 * bytes), bytes);
	return r;
}
MMX_BINARY(palignr, 8)

/* --- blends --- */

#define BLEND(name, size, element, shift)                                \
	VEC_BINARY_SHIFTED(name, shift)                                  \
	{                                                                \
		for (unsigned n = 0; n < 16 / (size); n++)               \
			if (imm >> n & 1)                                \
				a.element[n] = b.element[n];             \
		return a;                                                \
	}
BLEND(pblendw, 2, w, 0)
BLEND(blendps, 4, d, 4)
BLEND(vpblendd, 4, d, 4)
BLEND(blendpd, 8, q, 2)

/* By the sign bits of a mask: XMM0, or with VEX the register in the immediate. */
#define BLENDV(name, size, element, sign)                                                                 \
	void op_##name(HANDLER_ARGS)                                                                      \
	{                                                                                                 \
		struct operands o;                                                                        \
		unsigned mask = is_vex(in) ? ((u8)in->imm >> 4) & (cpu->long64 ? 15 : 7) : 0;             \
		union lane m0 = lane_get(cpu, mask, 0), m1 = lane_get(cpu, mask, 1);                      \
		vec_operands(cpu, in, &o, 16);                                                            \
		for (unsigned n = 0; n < 16 / (size); n++) {                                              \
			if (m0.sign[n] < 0)                                                               \
				o.a0.element[n] = o.b[0].element[n];                                      \
			if (m1.sign[n] < 0)                                                               \
				o.a1.element[n] = o.b[1].element[n];                                      \
		}                                                                                         \
		vec_commit(cpu, in, in->rd, o.a0, o.a1);                                                  \
	}
BLENDV(pblendvb, 1, b, sb)
BLENDV(blendvps, 4, d, sd)
BLENDV(blendvpd, 8, q, sq)

/* --- inserts and extracts --- */

#define INSERT(name, size, element)                                                                       \
	void op_##name(HANDLER_ARGS)                                                                      \
	{                                                                                                 \
		union lane a = lane_get(cpu, is_vex(in) ? in->rv : in->rd, 0);                            \
		a.element[(u8)in->imm & (16 / (size) - 1)] = insn_is_mem(in) ?                            \
			mem_read(cpu, insn_linear(cpu, in, size, ACCESS_READ), size) :                    \
			reg_get(cpu, in->rs, size);                                                       \
		vec_commit_128(cpu, in, in->rd, a);                                                       \
	}
INSERT(pinsrb, 1, b)
INSERT(pinsrw, 2, w)
INSERT(pinsrd_d, 4, d)
INSERT(pinsrd_q, 8, q)

/* To memory by the element's size, to a general register zero-extended. */
#define EXTRACT(name, size, element)                                                                      \
	void op_##name(HANDLER_ARGS)                                                                      \
	{                                                                                                 \
		union lane a = lane_get(cpu, in->rd, 0);                                                  \
		u64 value = a.element[(u8)in->imm & (16 / (size) - 1)];                                   \
		if (insn_is_mem(in))                                                                      \
			mem_write(cpu, insn_linear(cpu, in, size, ACCESS_WRITE), size, value);            \
		else                                                                                      \
			reg_set(cpu, in->rs, 8, value);                                                   \
	}
EXTRACT(pextrb, 1, b)
EXTRACT(pextrw, 2, w)
EXTRACT(pextrd_d, 4, d)
EXTRACT(pextrd_q, 8, q)

void
op_pinsrd(HANDLER_ARGS)
{
	if (y_size(cpu, in) == 8)
		op_pinsrd_q(cpu, in);
	else
		op_pinsrd_d(cpu, in);
}

void
op_pextrd(HANDLER_ARGS)
{
	if (y_size(cpu, in) == 8)
		op_pextrd_q(cpu, in);
	else
		op_pextrd_d(cpu, in);
}

/* The form whose destination is ModRM.reg. */
void
op_pextrw_reg(HANDLER_ARGS)
{
	union lane b = lane_get(cpu, in->rs, 0);
	reg_set(cpu, in->rd, 8, b.w[in->imm & 7]);
}

void
op_mmx_pinsrw(HANDLER_ARGS)
{
	mmx_check(cpu);
	union lane a = {.q = {mmx_get(cpu, in->rd), 0}};
	a.w[in->imm & 3] = (u16)(insn_is_mem(in) ? mem_read(cpu, insn_linear(cpu, in, 2, ACCESS_READ), 2) : reg_get(cpu, in->rs, 2));
	mmx_commit(cpu, in->rd, a.q[0]);
}

void
op_mmx_pextrw(HANDLER_ARGS)
{
	mmx_check(cpu);
	mmx_enter(cpu);
	union lane b = {.q = {mmx_get(cpu, in->rs), 0}};
	reg_set(cpu, in->rd, 8, b.w[in->imm & 3]);
}

/* Immediate: 7:6 source element (0 for memory), 5:4 destination element, 3:0 elements to zero. */
void
op_insertps(HANDLER_ARGS)
{
	struct operands o;
	unsigned imm = (u8)in->imm;
	vec_operands(cpu, in, &o, 4);
	o.a0.d[imm >> 4 & 3] = o.b[0].d[insn_is_mem(in) ? 0 : imm >> 6];
	for (unsigned n = 0; n < 4; n++)
		if (imm >> n & 1)
			o.a0.d[n] = 0;
	vec_commit_128(cpu, in, in->rd, o.a0);
}

/* --- sign masks to a general register --- */

void
op_pmovmskb(HANDLER_ARGS)
{
	u32 mask = (u32)_mm_movemask_epi8(lane_get(cpu, in->rs, 0).i);
	if (is_256(in))
		mask |= (u32)_mm_movemask_epi8(lane_get(cpu, in->rs, 1).i) << 16;
	reg_set(cpu, in->rd, 8, mask);
}

void
op_mmx_pmovmskb(HANDLER_ARGS)
{
	mmx_check(cpu);
	mmx_enter(cpu);
	union lane b = {.q = {mmx_get(cpu, in->rs), 0}};
	reg_set(cpu, in->rd, 8, (u64)_mm_movemask_epi8(b.i));
}

void
op_movmskps(HANDLER_ARGS)
{
	u64 mask = 0;
	for (unsigned n = 0; n < (is_256(in) ? 8 : 4); n++)
		mask |= (u64)(cpu->vec[in->rs & 15].d[n] >> 31) << n;
	reg_set(cpu, in->rd, 8, mask);
}

void
op_movmskpd(HANDLER_ARGS)
{
	u64 mask = 0;
	for (unsigned n = 0; n < (is_256(in) ? 4 : 2); n++)
		mask |= (cpu->vec[in->rs & 15].q[n] >> 63) << n;
	reg_set(cpu, in->rd, 8, mask);
}

/* --- width changes: the source has as many elements as the destination --- */

#define EXTEND(name, from, from_size, to, to_size)                                                        \
	void op_##name(HANDLER_ARGS)                                                                      \
	{                                                                                                 \
		unsigned count = (is_256(in) ? 32 : 16) / (to_size);                                      \
		union vec b = {.q = {0, 0, 0, 0}}, r = b;                                                 \
		if (insn_is_mem(in))                                                                      \
			mem_read_bytes(cpu, insn_linear(cpu, in, count * (from_size), ACCESS_READ), &b,   \
				       count * (from_size));                                              \
		else                                                                                      \
			memcpy(&b, &cpu->vec[in->rs & 15], 16);                                           \
		for (unsigned n = 0; n < count; n++)                                                      \
			r.to[n] = b.from[n];                                                              \
		memcpy(&cpu->vec[in->rd & 15], &r, is_vex(in) ? 32 : 16);                                 \
	}
EXTEND(pmovsxbw, sb, 1, sw, 2)
EXTEND(pmovsxbd, sb, 1, sd, 4)
EXTEND(pmovsxbq, sb, 1, sq, 8)
EXTEND(pmovsxwd, sw, 2, sd, 4)
EXTEND(pmovsxwq, sw, 2, sq, 8)
EXTEND(pmovsxdq, sd, 4, sq, 8)
EXTEND(pmovzxbw, b, 1, w, 2)
EXTEND(pmovzxbd, b, 1, d, 4)
EXTEND(pmovzxbq, b, 1, q, 8)
EXTEND(pmovzxwd, w, 2, d, 4)
EXTEND(pmovzxwq, w, 2, q, 8)
EXTEND(pmovzxdq, d, 4, q, 8)
