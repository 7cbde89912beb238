/*
 * Vector moves: SSE to SSE4.1 and their VEX forms, non-temporal and masked stores, MXCSR.
 * Caches are not modelled: a non-temporal store is a store.
 *
 * Source: SDM 2, the instructions by name.
 */
#include "cpu/simd.h"

INLINE void
copy(const struct insn *in, u8 *to, const u8 *from)
{
	lane_store(to, lane_load(from));
	if (is_vex(in))
		lane_store(to + 16, is_256(in) ? lane_load(from + 16) : lane_zero());
}

/* A whole vector from or to ModRM.rm. `align`: memory must be aligned to the vector's size, with VEX too. */
INLINE void
load(struct vcpu *cpu, const struct insn *in, bool align)
{
	u8 memory[32];
	const u8 *from = cpu->vec[in->rs & 15].b;
	if (insn_is_mem(in)) {
		vec_rm_read(cpu, in, memory, is_256(in) ? 32 : 16, align);
		from = memory;
	}
	copy(in, cpu->vec[in->rd & 15].b, from);
}

INLINE void
store(struct vcpu *cpu, const struct insn *in, bool align)
{
	if (insn_is_mem(in))
		vec_rm_write(cpu, in, &cpu->vec[in->rd & 15], is_256(in) ? 32 : 16, align);
	else
		copy(in, cpu->vec[in->rs & 15].b, cpu->vec[in->rd & 15].b);
}

/* MOVUPS, MOVUPD, MOVDQU, LDDQU */
void
op_movu_load(HANDLER_ARGS)
{
	load(cpu, in, false);
}

void
op_movu_store(HANDLER_ARGS)
{
	store(cpu, in, false);
}

/* MOVAPS, MOVAPD, MOVDQA, MOVNTDQA; MOVNTPS, MOVNTPD, MOVNTDQ */
void
op_mova_load(HANDLER_ARGS)
{
	load(cpu, in, true);
}

void
op_mova_store(HANDLER_ARGS)
{
	store(cpu, in, true);
}

/* MOVD, MOVQ from a general register or memory: the rest of the register is zero. */
void
op_movd_load(HANDLER_ARGS)
{
	union lane r = {.q = {rm_read(cpu, in, y_size(cpu, in)), 0}};
	vec_commit_128(cpu, in, in->rd, r);
}

void
op_movd_store(HANDLER_ARGS)
{
	rm_write(cpu, in, y_size(cpu, in), cpu->vec[in->rd & 15].q[0]);
}

/* MOVQ between vector registers, or with memory. */
void
op_movq_load(HANDLER_ARGS)
{
	union lane r = {.q = {insn_is_mem(in) ? mem_read(cpu, insn_linear(cpu, in, 8, ACCESS_READ), 8) : cpu->vec[in->rs & 15].q[0], 0}};
	vec_commit_128(cpu, in, in->rd, r);
}

void
op_movq_store(HANDLER_ARGS)
{
	union lane r = {.q = {cpu->vec[in->rd & 15].q[0], 0}};
	if (insn_is_mem(in))
		mem_write(cpu, insn_linear(cpu, in, 8, ACCESS_WRITE), 8, r.q[0]);
	else
		vec_commit_128(cpu, in, in->rs, r);
}

/* MOVSS, MOVSD. From memory: zero above. Between registers: the rest comes from the first source. */
INLINE void
scalar_load(HANDLER_ARGS, unsigned size)
{
	union lane r = lane_zero();
	if (insn_is_mem(in)) {
		r.q[0] = mem_read(cpu, insn_linear(cpu, in, size, ACCESS_READ), size);
	} else {
		r = lane_get(cpu, is_vex(in) ? in->rv : in->rd, 0);
		memcpy(&r, &cpu->vec[in->rs & 15], size);
	}
	vec_commit_128(cpu, in, in->rd, r);
}

INLINE void
scalar_store(HANDLER_ARGS, unsigned size)
{
	if (insn_is_mem(in)) {
		mem_write(cpu, insn_linear(cpu, in, size, ACCESS_WRITE), size, cpu->vec[in->rd & 15].q[0]);
		return;
	}
	union lane r = lane_get(cpu, is_vex(in) ? in->rv : in->rs, 0);
	memcpy(&r, &cpu->vec[in->rd & 15], size);
	vec_commit_128(cpu, in, in->rs, r);
}

void
op_movss_load(HANDLER_ARGS)
{
	scalar_load(cpu, in, 4);
}

void
op_movss_store(HANDLER_ARGS)
{
	scalar_store(cpu, in, 4);
}

void
op_movsd_load(HANDLER_ARGS)
{
	scalar_load(cpu, in, 8);
}

void
op_movsd_store(HANDLER_ARGS)
{
	scalar_store(cpu, in, 8);
}

/* MOVLPS, MOVLPD, MOVHLPS, MOVHPS, MOVHPD, MOVLHPS: one quadword is replaced by memory or by a quadword of a register. */
INLINE void
replace_half(struct vcpu *cpu, const struct insn *in, unsigned half, unsigned from)
{
	union lane r = lane_get(cpu, is_vex(in) ? in->rv : in->rd, 0);
	r.q[half] = insn_is_mem(in) ? mem_read(cpu, insn_linear(cpu, in, 8, ACCESS_READ), 8) : cpu->vec[in->rs & 15].q[from];
	vec_commit_128(cpu, in, in->rd, r);
}

void
op_movlps_load(HANDLER_ARGS)
{
	replace_half(cpu, in, 0, 1);
}

void
op_movhps_load(HANDLER_ARGS)
{
	replace_half(cpu, in, 1, 0);
}

void
op_movlps_store(HANDLER_ARGS)
{
	mem_write(cpu, insn_linear(cpu, in, 8, ACCESS_WRITE), 8, cpu->vec[in->rd & 15].q[0]);
}

void
op_movhps_store(HANDLER_ARGS)
{
	mem_write(cpu, insn_linear(cpu, in, 8, ACCESS_WRITE), 8, cpu->vec[in->rd & 15].q[1]);
}

/* Reads 8 bytes in the 128-bit form, 32 in the 256-bit one. */
void
op_movddup(HANDLER_ARGS)
{
	union lane b[2];
	vec_read_b(cpu, in, b, is_256(in) ? 16 : 8);
	b[0].q[1] = b[0].q[0];
	b[1].q[1] = b[1].q[0];
	vec_commit(cpu, in, in->rd, b[0], b[1]);
}

void
op_movnti(HANDLER_ARGS)
{
	unsigned size = y_size(cpu, in);
	mem_write(cpu, insn_linear(cpu, in, size, ACCESS_WRITE), size, reg_get(cpu, in->rd, size));
}

/*
 * MASKMOVDQU, MASKMOVQ: bytes whose mask byte has its sign bit set go to DS:rDI (the segment can be overridden). All are probed before one is
 * written.
 */
static void
masked_store(struct vcpu *cpu, const struct insn *in, const u8 *data, const u8 *mask, unsigned bytes)
{
	static const u64 cut[4] = {0, 0xffff, 0xffffffff, ~0ull};
	u64 linear[16], address_mask = cut[EA_ASIZE(in->ea)];
	for (unsigned n = 0; n < bytes; n++) {
		if (!(mask[n] & 0x80))
			continue;
		linear[n] = segment_linear(cpu, EA_SEG(in->ea), (cpu->r[RDI] + n) & address_mask, 1, ACCESS_WRITE);
		mem_probe_write(cpu, linear[n], 1);
	}
	for (unsigned n = 0; n < bytes; n++)
		if (mask[n] & 0x80)
			mem_write(cpu, linear[n], 1, data[n]);
}

void
op_maskmovdqu(HANDLER_ARGS)
{
	masked_store(cpu, in, cpu->vec[in->rd & 15].b, cpu->vec[in->rs & 15].b, 16);
}

void
op_mmx_maskmovq(HANDLER_ARGS)
{
	mmx_check(cpu);
	u64 data = mmx_get(cpu, in->rd), mask = mmx_get(cpu, in->rs);
	masked_store(cpu, in, (const u8 *)&data, (const u8 *)&mask, 8);
	mmx_enter(cpu);
}

/* --- MMX moves --- */

void
op_mmx_movd_load(HANDLER_ARGS)
{
	mmx_check(cpu);
	mmx_commit(cpu, in->rd, rm_read(cpu, in, y_size(cpu, in)));
}

void
op_mmx_movd_store(HANDLER_ARGS)
{
	mmx_check(cpu);
	rm_write(cpu, in, y_size(cpu, in), mmx_get(cpu, in->rd));
	mmx_enter(cpu);
}

void
op_mmx_movq_load(HANDLER_ARGS)
{
	mmx_check(cpu);
	mmx_commit(cpu, in->rd, mmx_rm_read(cpu, in, 8));
}

/* MOVQ, MOVNTQ */
void
op_mmx_movq_store(HANDLER_ARGS)
{
	mmx_check(cpu);
	u64 value = mmx_get(cpu, in->rd);
	if (insn_is_mem(in)) {
		mem_write(cpu, insn_linear(cpu, in, 8, ACCESS_WRITE), 8, value);
		mmx_enter(cpu);
	} else {
		mmx_commit(cpu, in->rs, value);
	}
}

void
op_movq2dq(HANDLER_ARGS)
{
	mmx_check(cpu);
	mmx_enter(cpu);
	vec_commit_128(cpu, in, in->rd, (union lane){.q = {mmx_get(cpu, in->rs), 0}});
}

void
op_movdq2q(HANDLER_ARGS)
{
	mmx_check(cpu);
	mmx_commit(cpu, in->rd, cpu->vec[in->rs & 15].q[0]);
}

void
op_emms(HANDLER_ARGS)
{
	(void)in;
	mmx_check(cpu);
	mmx_enter(cpu);
	cpu->x87.empty = 0xff;
}

/* --- MXCSR --- */

void
op_ldmxcsr(HANDLER_ARGS)
{
	u32 value = (u32)mem_read(cpu, insn_linear(cpu, in, 4, ACCESS_READ), 4);
	if (value >> 16)
		raise_gp(cpu, 0);
	cpu->mxcsr = value;
}

void
op_stmxcsr(HANDLER_ARGS)
{
	mem_write(cpu, insn_linear(cpu, in, 4, ACCESS_WRITE), 4, cpu->mxcsr);
}
