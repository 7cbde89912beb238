/*
 * AVX and AVX2: loads and stores under a mask, and gathers. An element whose mask has its sign bit clear is not accessed, so it cannot fault.
 *
 * Source: SDM 2, "VMASKMOV", "VPMASKMOV", "VGATHERDPS/VGATHERDPD" and so on; "VSIB Byte".
 */
#include "cpu/simd.h"

/* `offset` cut to the address size of the instruction. */
static u64
cut(const struct insn *in, u64 offset)
{
	return EA_ASIZE(in->ea) == 3 ? offset : EA_ASIZE(in->ea) == 2 ? (u32)offset : (u16)offset;
}

static bool
selected(const union vec *mask, unsigned n, unsigned size)
{
	return mask->b[n * size + size - 1] & 0x80;
}

static void
masked_load(struct vcpu *cpu, const struct insn *in, unsigned size)
{
	union vec mask = cpu->vec[in->rv & 15], r = {.q = {0, 0, 0, 0}};
	u64 offset = insn_offset(cpu, in);
	for (unsigned n = 0; n < (is_256(in) ? 32 : 16) / size; n++) {
		if (!selected(&mask, n, size))
			continue;
		u64 linear = segment_linear(cpu, EA_SEG(in->ea), cut(in, offset + n * size), size, ACCESS_READ);
		u64 value = mem_read(cpu, linear, size);
		memcpy(r.b + n * size, &value, size);
	}
	cpu->vec[in->rd & 15] = r;
}

/* Nothing is stored before all selected elements are known not to fault. */
static void
masked_store(struct vcpu *cpu, const struct insn *in, unsigned size)
{
	const union vec *mask = &cpu->vec[in->rv & 15], *data = &cpu->vec[in->rd & 15];
	u64 offset = insn_offset(cpu, in), linear[8];
	unsigned count = (is_256(in) ? 32 : 16) / size;
	for (unsigned n = 0; n < count; n++) {
		if (!selected(mask, n, size))
			continue;
		linear[n] = segment_linear(cpu, EA_SEG(in->ea), cut(in, offset + n * size), size, ACCESS_WRITE);
		mem_probe_write(cpu, linear[n], size);
	}
	for (unsigned n = 0; n < count; n++)
		if (selected(mask, n, size))
			mem_write(cpu, linear[n], size, size == 4 ? data->d[n] : data->q[n]);
}

void
op_vmaskmov_load_d(HANDLER_ARGS)
{
	masked_load(cpu, in, 4);
}

void
op_vmaskmov_load_q(HANDLER_ARGS)
{
	masked_load(cpu, in, 8);
}

void
op_vmaskmov_store_d(HANDLER_ARGS)
{
	masked_store(cpu, in, 4);
}

void
op_vmaskmov_store_q(HANDLER_ARGS)
{
	masked_store(cpu, in, 8);
}

/*
 * vvvv is the mask, rx the number of the vector register with the indexes. Each element that has been gathered is in the destination and out of
 * the mask before the next one is read: after a fault the instruction starts again with what is left.
 */
static void
gather(struct vcpu *cpu, const struct insn *in, unsigned index_size, unsigned size)
{
	unsigned index_register = in->rx & 15, d = in->rd & 15, m = in->rv & 15;
	if (d == m || d == index_register || m == index_register)
		raise_ud(cpu);
	union vec *mask = &cpu->vec[m], *r = &cpu->vec[d];
	const union vec *index = &cpu->vec[index_register];
	unsigned count = (is_256(in) ? 32 : 16) / MAX(size, index_size);
	for (unsigned n = 0; n < count; n++)
		memset(mask->b + n * size, selected(mask, n, size) ? 0xff : 0, size);
	memset(mask->b + count * size, 0, 32 - count * size);
	u64 base = reg_get(cpu, in->rb, 8) + (u64)(s64)in->disp;
	for (unsigned n = 0; n < count; n++) {
		if (!selected(mask, n, size))
			continue;
		u64 scaled = (u64)(index_size == 4 ? index->sd[n] : index->sq[n]) << EA_SCALE(in->ea);
		u64 linear = segment_linear(cpu, EA_SEG(in->ea), cut(in, base + scaled), size, ACCESS_READ);
		u64 value = mem_read(cpu, linear, size);
		memcpy(r->b + n * size, &value, size);
		memset(mask->b + n * size, 0, size);
	}
	memset(r->b + count * size, 0, 32 - count * size);
}

void
op_vgather_dd(HANDLER_ARGS)
{
	gather(cpu, in, 4, 4);
}

void
op_vgather_dq(HANDLER_ARGS)
{
	gather(cpu, in, 4, 8);
}

void
op_vgather_qd(HANDLER_ARGS)
{
	gather(cpu, in, 8, 4);
}

void
op_vgather_qq(HANDLER_ARGS)
{
	gather(cpu, in, 8, 8);
}
