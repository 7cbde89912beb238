/*
 * Packed integer arithmetic, compare, logic and shift: MMX, SSE2, SSSE3, SSE4.1, SSE4.2 and their AVX and AVX2 forms. One body each: simd.h.
 *
 * Source: SDM 2, the instructions by name.
 */
#include "cpu/simd.h"

#include "cpu/flags.h"

/* A body of its own for both kinds. */
#define BOTH(name)                                 \
	INLINE union lane lane_##name(LANE_ARGS); \
	MMX_BINARY(name, 8)                       \
	VEC_BINARY(name)
/* One statement on whole lanes. The MMX form shares it: what happens in the upper half is dropped. */
#define LANES(name, statement)                    \
	VEC_BINARY(name)                          \
	{                                         \
		statement;                        \
		return a;                         \
	}
#define LANES_BOTH(name, statement)               \
	LANES(name, statement)                    \
	MMX_BINARY(name, 8)
/* One statement per element n. */
#define ELEMENTS(name, size, statement)                          \
	VEC_BINARY(name)                                         \
	{                                                        \
		union lane r;                                    \
		for (unsigned n = 0; n < 16 / (size); n++)       \
			statement;                               \
		return r;                                        \
	}
#define ELEMENTS_BOTH(name, size, statement)                     \
	ELEMENTS(name, size, statement)                          \
	MMX_BINARY(name, 8)

LANES_BOTH(paddb, a.vb += b.vb)
LANES_BOTH(paddw, a.vw += b.vw)
LANES_BOTH(paddd, a.vd += b.vd)
LANES_BOTH(paddq, a.vq += b.vq)
LANES_BOTH(psubb, a.vb -= b.vb)
LANES_BOTH(psubw, a.vw -= b.vw)
LANES_BOTH(psubd, a.vd -= b.vd)
LANES_BOTH(psubq, a.vq -= b.vq)
LANES_BOTH(paddsb, a.i = _mm_adds_epi8(a.i, b.i))
LANES_BOTH(paddsw, a.i = _mm_adds_epi16(a.i, b.i))
LANES_BOTH(paddusb, a.i = _mm_adds_epu8(a.i, b.i))
LANES_BOTH(paddusw, a.i = _mm_adds_epu16(a.i, b.i))
LANES_BOTH(psubsb, a.i = _mm_subs_epi8(a.i, b.i))
LANES_BOTH(psubsw, a.i = _mm_subs_epi16(a.i, b.i))
LANES_BOTH(psubusb, a.i = _mm_subs_epu8(a.i, b.i))
LANES_BOTH(psubusw, a.i = _mm_subs_epu16(a.i, b.i))
LANES_BOTH(pavgb, a.i = _mm_avg_epu8(a.i, b.i))
LANES_BOTH(pavgw, a.i = _mm_avg_epu16(a.i, b.i))
LANES_BOTH(pmullw, a.vw *= b.vw)
LANES_BOTH(pmulhw, a.i = _mm_mulhi_epi16(a.i, b.i))
LANES_BOTH(pmulhuw, a.i = _mm_mulhi_epu16(a.i, b.i))
LANES_BOTH(pmuludq, a.i = _mm_mul_epu32(a.i, b.i))
LANES_BOTH(pmaddwd, a.i = _mm_madd_epi16(a.i, b.i))
LANES_BOTH(psadbw, a.i = _mm_sad_epu8(a.i, b.i))
LANES(pmulld, a.vd *= b.vd)
ELEMENTS(pmuldq, 8, r.sq[n] = (s64)a.sd[2 * n] * b.sd[2 * n])

LANES_BOTH(pcmpeqb, a.vsb = (a.vsb == b.vsb))
LANES_BOTH(pcmpeqw, a.vsw = (a.vsw == b.vsw))
LANES_BOTH(pcmpeqd, a.vsd = (a.vsd == b.vsd))
LANES_BOTH(pcmpgtb, a.vsb = (a.vsb > b.vsb))
LANES_BOTH(pcmpgtw, a.vsw = (a.vsw > b.vsw))
LANES_BOTH(pcmpgtd, a.vsd = (a.vsd > b.vsd))
ELEMENTS(pcmpeqq, 8, r.q[n] = a.q[n] == b.q[n] ? ~0ull : 0)
ELEMENTS(pcmpgtq, 8, r.q[n] = a.sq[n] > b.sq[n] ? ~0ull : 0)

LANES_BOTH(pand, a.vq &= b.vq)
LANES_BOTH(pandn, a.vq = ~a.vq & b.vq)
LANES_BOTH(por, a.vq |= b.vq)
LANES_BOTH(pxor, a.vq ^= b.vq)

LANES_BOTH(pminub, a.i = _mm_min_epu8(a.i, b.i))
LANES_BOTH(pmaxub, a.i = _mm_max_epu8(a.i, b.i))
LANES_BOTH(pminsw, a.i = _mm_min_epi16(a.i, b.i))
LANES_BOTH(pmaxsw, a.i = _mm_max_epi16(a.i, b.i))
ELEMENTS(pminsb, 1, r.sb[n] = MIN(a.sb[n], b.sb[n]))
ELEMENTS(pmaxsb, 1, r.sb[n] = MAX(a.sb[n], b.sb[n]))
ELEMENTS(pminuw, 2, r.w[n] = MIN(a.w[n], b.w[n]))
ELEMENTS(pmaxuw, 2, r.w[n] = MAX(a.w[n], b.w[n]))
ELEMENTS(pminsd, 4, r.sd[n] = MIN(a.sd[n], b.sd[n]))
ELEMENTS(pmaxsd, 4, r.sd[n] = MAX(a.sd[n], b.sd[n]))
ELEMENTS(pminud, 4, r.d[n] = MIN(a.d[n], b.d[n]))
ELEMENTS(pmaxud, 4, r.d[n] = MAX(a.d[n], b.d[n]))

ELEMENTS_BOTH(pabsb, 1, r.b[n] = (u8)(b.sb[n] < 0 ? -b.sb[n] : b.sb[n]))
ELEMENTS_BOTH(pabsw, 2, r.w[n] = (u16)(b.sw[n] < 0 ? -b.sw[n] : b.sw[n]))
ELEMENTS_BOTH(pabsd, 4, r.d[n] = b.sd[n] < 0 ? -b.d[n] : b.d[n])
ELEMENTS_BOTH(psignb, 1, r.b[n] = (u8)(b.sb[n] < 0 ? -a.b[n] : b.sb[n] ? a.b[n] : 0))
ELEMENTS_BOTH(psignw, 2, r.w[n] = (u16)(b.sw[n] < 0 ? -a.w[n] : b.sw[n] ? a.w[n] : 0))
ELEMENTS_BOTH(psignd, 4, r.d[n] = b.sd[n] < 0 ? -a.d[n] : b.sd[n] ? a.d[n] : 0)
ELEMENTS_BOTH(pmulhrsw, 2, r.w[n] = (u16)((((a.sw[n] * b.sw[n]) >> 14) + 1) >> 1))

static inline s16
saturate_16(s32 x)
{
	return (s16)(x > 0x7fff ? 0x7fff : x < -0x8000 ? -0x8000 : x);
}

ELEMENTS_BOTH(pmaddubsw, 2, r.sw[n] = saturate_16(a.b[2 * n] * b.sb[2 * n] + a.b[2 * n + 1] * b.sb[2 * n + 1]))

/* Neighbours of a, then of b. */
#define HORIZONTAL(name, size, element, expression)                      \
	BOTH(name)                                                       \
	{                                                                \
		union lane r = lane_zero();                              \
		unsigned half = bytes / (size) / 2;                      \
		for (unsigned n = 0; n < half; n++) {                    \
			union lane s = a;                                \
			r.element[n] = expression;                       \
			s = b;                                           \
			r.element[half + n] = expression;                \
		}                                                        \
		return r;                                                \
	}
HORIZONTAL(phaddw, 2, w, (u16)(s.w[2 * n] + s.w[2 * n + 1]))
HORIZONTAL(phaddd, 4, d, s.d[2 * n] + s.d[2 * n + 1])
HORIZONTAL(phaddsw, 2, sw, saturate_16(s.sw[2 * n] + s.sw[2 * n + 1]))
HORIZONTAL(phsubw, 2, w, (u16)(s.w[2 * n] - s.w[2 * n + 1]))
HORIZONTAL(phsubd, 4, d, s.d[2 * n] - s.d[2 * n + 1])
HORIZONTAL(phsubsw, 2, sw, saturate_16(s.sw[2 * n] - s.sw[2 * n + 1]))

VEC_BINARY(phminposuw)
{
	unsigned best = 0;
	for (unsigned n = 1; n < 8; n++)
		if (b.w[n] < b.w[best])
			best = n;
	return (union lane){.q = {b.w[best] | (u64)best << 16, 0}};
}

/* Sums of absolute differences of a block of b with eight overlapping blocks of a. The immediate has three bits for each lane. */
VEC_BINARY_SHIFTED(mpsadbw, 3)
{
	union lane r;
	unsigned from = imm & 4, block = (imm & 3) * 4;
	for (unsigned n = 0; n < 8; n++) {
		unsigned sum = 0;
		for (unsigned k = 0; k < 4; k++) {
			int difference = a.b[from + n + k] - b.b[block + k];
			sum += (unsigned)(difference < 0 ? -difference : difference);
		}
		r.w[n] = (u16)sum;
	}
	return r;
}

/* --- shifts: the host's own take the whole 64-bit count, as the guest's do --- */

#define SHIFT(name, function)                     \
	VEC_SHIFT(name)                           \
	{                                         \
		a.i = function(a.i, b.i);         \
		return a;                         \
	}                                         \
	MMX_SHIFT(name)

SHIFT(psrlw, _mm_srl_epi16)
SHIFT(psrld, _mm_srl_epi32)
SHIFT(psrlq, _mm_srl_epi64)
SHIFT(psraw, _mm_sra_epi16)
SHIFT(psrad, _mm_sra_epi32)
SHIFT(psllw, _mm_sll_epi16)
SHIFT(pslld, _mm_sll_epi32)
SHIFT(psllq, _mm_sll_epi64)

/* By bytes: only with an immediate. */
#define SHIFT_BYTES(name, low, high)                                                                             \
	INLINE union lane lane_##name(union lane a, unsigned count)                                              \
	{                                                                                                        \
		u8 buffer[48] = {0};                                                                             \
		union lane r;                                                                                    \
		count = MIN(count, 16);                                                                          \
		memcpy(buffer + 16, &a, 16);                                                                     \
		memcpy(&r, buffer + 16 + (low) * count - (high) * count, 16);                                    \
		return r;                                                                                        \
	}                                                                                                        \
	void op_##name##_imm(HANDLER_ARGS)                                                                       \
	{                                                                                                        \
		union lane low_lane = lane_##name(lane_get(cpu, in->rs, 0), (u8)in->imm), high_lane = lane_zero(); \
		if (is_256(in))                                                                                  \
			high_lane = lane_##name(lane_get(cpu, in->rs, 1), (u8)in->imm);                          \
		vec_commit(cpu, in, is_vex(in) ? in->rv : in->rs, low_lane, high_lane);                          \
	}
SHIFT_BYTES(psrldq, 1, 0)
SHIFT_BYTES(pslldq, 0, 1)

/* AVX2: each element by its own count. */
ELEMENTS(psllvd, 4, r.d[n] = b.d[n] < 32 ? a.d[n] << b.d[n] : 0)
ELEMENTS(psllvq, 8, r.q[n] = b.q[n] < 64 ? a.q[n] << b.q[n] : 0)
ELEMENTS(psrlvd, 4, r.d[n] = b.d[n] < 32 ? a.d[n] >> b.d[n] : 0)
ELEMENTS(psrlvq, 8, r.q[n] = b.q[n] < 64 ? a.q[n] >> b.q[n] : 0)
ELEMENTS(psravd, 4, r.sd[n] = a.sd[n] >> MIN(b.d[n], 31))

/* --- tests --- */

/* PTEST, VTESTPS, VTESTPD: ZF and CF by the bits of `mask` in each quadword. */
static void
test(struct vcpu *cpu, const struct insn *in, u64 mask)
{
	union lane b[2];
	vec_read_b(cpu, in, b, 16);
	u64 and = 0, and_not = 0;
	for (unsigned half = 0; half <= is_256(in); half++) {
		union lane a = lane_get(cpu, in->rd, half);
		for (unsigned n = 0; n < 2; n++) {
			and |= a.q[n] & b[half].q[n] & mask;
			and_not |= ~a.q[n] & b[half].q[n] & mask;
		}
	}
	cc_set_raw(cpu, (and ? 0 : FLAG_ZF) | (and_not ? 0 : FLAG_CF));
}

void
op_ptest(HANDLER_ARGS)
{
	test(cpu, in, ~0ull);
}

void
op_vtestps(HANDLER_ARGS)
{
	test(cpu, in, BIT(63) | BIT(31));
}

void
op_vtestpd(HANDLER_ARGS)
{
	test(cpu, in, BIT(63));
}
