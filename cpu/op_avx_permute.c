/*
 * AVX and AVX2: what crosses 128-bit lanes. Broadcasts, permutations, inserts, extracts, VZEROALL.
 *
 * Source: SDM 2, the instructions by name.
 */
#include "cpu/simd.h"

static void
commit(struct vcpu *cpu, const struct insn *in, const union vec *r)
{
	union vec *d = &cpu->vec[in->rd & 15];
	*d = *r;
	if (!is_256(in))
		memset(d->b + 16, 0, 16);
}

/* VBROADCASTSS, VBROADCASTSD, VPBROADCASTB and so on; VBROADCASTF128 and VBROADCASTI128 (size 16). */
static void
broadcast(struct vcpu *cpu, const struct insn *in, unsigned size)
{
	union vec r;
	u8 source[16];
	if (!insn_is_mem(in))
		memcpy(source, &cpu->vec[in->rs & 15], 16);
	else
		mem_read_bytes(cpu, insn_linear(cpu, in, size, ACCESS_READ), source, size);
	for (unsigned n = 0; n < 32; n += size)
		memcpy(r.b + n, source, size);
	commit(cpu, in, &r);
}

#define BROADCAST(suffix, size)                              \
	void op_vbroadcast_##suffix(HANDLER_ARGS)            \
	{                                                    \
		broadcast(cpu, in, size);                    \
	}
BROADCAST(b, 1)
BROADCAST(w, 2)
BROADCAST(d, 4)
BROADCAST(q, 8)
BROADCAST(128, 16)

/* VPERM2F128, VPERM2I128: each half is one of the four lanes of both sources, or zero. */
void
op_vperm2f128(HANDLER_ARGS)
{
	union lane b[2], r[2];
	vec_read_b(cpu, in, b, 16);
	for (unsigned half = 0; half < 2; half++) {
		unsigned control = (u8)in->imm >> 4 * half;
		r[half] = control & 8 ? lane_zero() : control & 2 ? b[control & 1] : lane_get(cpu, in->rv, control & 1);
	}
	vec_commit(cpu, in, in->rd, r[0], r[1]);
}

void
op_vinsertf128(HANDLER_ARGS)
{
	union lane r[2] = {lane_get(cpu, in->rv, 0), lane_get(cpu, in->rv, 1)}, b;
	if (insn_is_mem(in))
		vec_rm_read(cpu, in, &b, 16, false);
	else
		b = lane_get(cpu, in->rs, 0);
	r[in->imm & 1] = b;
	vec_commit(cpu, in, in->rd, r[0], r[1]);
}

void
op_vextractf128(HANDLER_ARGS)
{
	union lane r = lane_get(cpu, in->rd, in->imm & 1);
	if (insn_is_mem(in))
		vec_rm_write(cpu, in, &r, 16, false);
	else
		vec_commit_128(cpu, in, in->rs, r);
}

/* VPERMD, VPERMPS: vvvv holds the indexes. */
void
op_vpermd(HANDLER_ARGS)
{
	union lane b[2];
	union vec r;
	vec_read_b(cpu, in, b, 16);
	for (unsigned n = 0; n < 8; n++) {
		unsigned index = cpu->vec[in->rv & 15].d[n] & 7;
		r.d[n] = b[index / 4].d[index % 4];
	}
	commit(cpu, in, &r);
}

/* VPERMQ, VPERMPD by immediate */
void
op_vpermq(HANDLER_ARGS)
{
	union lane b[2];
	union vec r;
	vec_read_b(cpu, in, b, 16);
	for (unsigned n = 0; n < 4; n++) {
		unsigned index = (u8)in->imm >> 2 * n & 3;
		r.q[n] = b[index / 2].q[index % 2];
	}
	commit(cpu, in, &r);
}

/* Outside 64-bit mode only the registers that exist there change. */
void
op_vzeroupper(HANDLER_ARGS)
{
	(void)in;
	for (unsigned n = 0; n < (cpu->long64 ? 16 : 8); n++)
		memset(cpu->vec[n].b + 16, 0, 16);
}

void
op_vzeroall(HANDLER_ARGS)
{
	(void)in;
	for (unsigned n = 0; n < (cpu->long64 ? 16 : 8); n++)
		memset(&cpu->vec[n], 0, 32);
}
