/* Moves, exchanges and conversions: the complete forms. */
#include "cpu/access.h"
#include "cpu/alu.h"
#include "cpu/fault.h"

#define SIZE_LOG2(in) PREFIX_OSIZE((in)->prefix)
#define SIZE(in) (1u << SIZE_LOG2(in))

void
op_mov_EG(struct vcpu *cpu, const struct insn *in)
{
	rm_write(cpu, in, SIZE(in), reg_get(cpu, in->rd, SIZE(in)));
}

void
op_mov_GE(struct vcpu *cpu, const struct insn *in)
{
	reg_set(cpu, in->rd, SIZE(in), rm_read(cpu, in, SIZE(in)));
}

void
op_mov_ZI(struct vcpu *cpu, const struct insn *in)
{
	reg_set(cpu, in->rd, SIZE(in), (u64)in->imm);
}

void
op_mov_EI(struct vcpu *cpu, const struct insn *in)
{
	rm_write(cpu, in, SIZE(in), (u64)in->imm);
}

void
op_mov_AO(struct vcpu *cpu, const struct insn *in)
{
	u64 linear = segment_linear(cpu, EA_SEG(in->ea), (u64)in->imm, SIZE(in), ACCESS_READ);
	reg_set(cpu, RAX * 8, SIZE(in), mem_read(cpu, linear, SIZE(in)));
}

void
op_mov_OA(struct vcpu *cpu, const struct insn *in)
{
	u64 linear = segment_linear(cpu, EA_SEG(in->ea), (u64)in->imm, SIZE(in), ACCESS_WRITE);
	mem_write(cpu, linear, SIZE(in), cpu->r[RAX]);
}

void
op_lea(struct vcpu *cpu, const struct insn *in)
{
	reg_set(cpu, in->rd, SIZE(in), insn_offset(cpu, in));
}

void
op_movzx_b(struct vcpu *cpu, const struct insn *in)
{
	reg_set(cpu, in->rd, SIZE(in), rm_read(cpu, in, 1));
}

void
op_movzx_w(struct vcpu *cpu, const struct insn *in)
{
	reg_set(cpu, in->rd, SIZE(in), rm_read(cpu, in, 2));
}

void
op_movsx_b(struct vcpu *cpu, const struct insn *in)
{
	reg_set(cpu, in->rd, SIZE(in), (u64)sign_extend(rm_read(cpu, in, 1), 1));
}

void
op_movsx_w(struct vcpu *cpu, const struct insn *in)
{
	reg_set(cpu, in->rd, SIZE(in), (u64)sign_extend(rm_read(cpu, in, 2), 2));
}

void
op_movsxd(struct vcpu *cpu, const struct insn *in)
{
	unsigned size = MIN(SIZE(in), 4);
	reg_set(cpu, in->rd, SIZE(in), (u64)sign_extend(rm_read(cpu, in, size), size));
}

void
op_xchg_EG(struct vcpu *cpu, const struct insn *in)
{
	u64 b = reg_get(cpu, in->rd, SIZE(in)), a = rm_read_modify(cpu, in, SIZE(in));
	rm_write_back(cpu, in, SIZE(in), b);
	reg_set(cpu, in->rd, SIZE(in), a);
}

/* 90 without REX.B is NOP: it does not clear the upper half of RAX. */
void
op_xchg_ZA(struct vcpu *cpu, const struct insn *in)
{
	if (in->rd == RAX * 8)
		return;
	u64 a = reg_get(cpu, in->rd, SIZE(in));
	reg_set(cpu, in->rd, SIZE(in), cpu->r[RAX]);
	reg_set(cpu, RAX * 8, SIZE(in), a);
}

/* The destination is always written, as the manual says ("receives a write cycle without regard to the result of the comparison"). */
void
op_cmpxchg(struct vcpu *cpu, const struct insn *in)
{
	unsigned s = SIZE_LOG2(in);
	u64 old = rm_read_modify(cpu, in, 1u << s);
	if (alu_zx(old, s) == alu_zx(cpu->r[RAX], s)) {
		alu_sub(cpu, cpu->r[RAX], old, s);
		rm_write_back(cpu, in, 1u << s, reg_get(cpu, in->rd, 1u << s));
		return;
	}
	u64 accumulator = cpu->r[RAX];
	/* Memory is written in any case. A register is not: its upper half stays. */
	if (insn_is_mem(in))
		rm_write_back(cpu, in, 1u << s, old);
	alu_sub(cpu, accumulator, old, s);
	reg_set(cpu, RAX * 8, 1u << s, old);
}

void
op_xadd(struct vcpu *cpu, const struct insn *in)
{
	unsigned s = SIZE_LOG2(in);
	u64 a = rm_read_modify(cpu, in, 1u << s), b = reg_get(cpu, in->rd, 1u << s);
	u64 sum = alu_add(cpu, a, b, s);
	if (insn_is_mem(in)) {
		rm_write_back(cpu, in, 1u << s, sum);
		reg_set(cpu, in->rd, 1u << s, a);
	} else {
		/* One register for both: the sum stays. */
		reg_set(cpu, in->rd, 1u << s, a);
		reg_set(cpu, in->rs, 1u << s, sum);
	}
}

static void
set_zf(struct vcpu *cpu, bool zf)
{
	cc_set_raw(cpu, (cc_flags(cpu) & ~FLAG_ZF) | (zf ? FLAG_ZF : 0));
}

void
op_cmpxchg8b(struct vcpu *cpu, const struct insn *in)
{
	u64 linear = insn_linear(cpu, in, 8, ACCESS_READ | ACCESS_WRITE);
	mem_probe_write(cpu, linear, 8);
	u64 old = mem_read(cpu, linear, 8);
	bool equal = old == ((u32)cpu->r[RAX] | cpu->r[RDX] << 32);
	mem_write(cpu, linear, 8, equal ? (u32)cpu->r[RBX] | cpu->r[RCX] << 32 : old);
	if (!equal) {
		cpu->r[RAX] = (u32)old;
		cpu->r[RDX] = old >> 32;
	}
	set_zf(cpu, equal);
}

void
op_cmpxchg16b(struct vcpu *cpu, const struct insn *in)
{
	u64 linear = insn_linear(cpu, in, 16, ACCESS_READ | ACCESS_WRITE);
	if (linear & 15)
		raise_gp(cpu, 0);
	mem_probe_write(cpu, linear, 16);
	u64 old[2];
	mem_read_bytes(cpu, linear, old, 16);
	bool equal = old[0] == cpu->r[RAX] && old[1] == cpu->r[RDX];
	if (equal) {
		u64 new[2] = {cpu->r[RBX], cpu->r[RCX]};
		mem_write_bytes(cpu, linear, new, 16);
	} else {
		mem_write_bytes(cpu, linear, old, 16);
		cpu->r[RAX] = old[0];
		cpu->r[RDX] = old[1];
	}
	set_zf(cpu, equal);
}

/* CBW, CWDE, CDQE */
void
op_cbw(struct vcpu *cpu, const struct insn *in)
{
	unsigned size = SIZE(in);
	reg_set(cpu, RAX * 8, size, (u64)sign_extend(cpu->r[RAX], size / 2));
}

/* CWD, CDQ, CQO */
void
op_cwd(struct vcpu *cpu, const struct insn *in)
{
	unsigned size = SIZE(in);
	reg_set(cpu, RDX * 8, size, (u64)(sign_extend(cpu->r[RAX], size) >> 63));
}

void
op_lahf(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	reg_set(cpu, RAX * 8 + 1, 1, (cc_flags(cpu) & 0xff) | 2);
}

void
op_sahf(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	cc_set_raw(cpu, (cc_flags(cpu) & FLAG_OF) | ((cpu->r[RAX] >> 8) & 0xff));
}

void
op_clc(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	cc_set_raw(cpu, cc_flags(cpu) & ~FLAG_CF);
}

void
op_stc(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	cc_set_raw(cpu, cc_flags(cpu) | FLAG_CF);
}

void
op_cmc(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	cc_set_raw(cpu, cc_flags(cpu) ^ FLAG_CF);
}

void
op_cld(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	cpu->rflags &= ~FLAG_DF;
}

void
op_std(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	cpu->rflags |= FLAG_DF;
}

void
op_xlat(struct vcpu *cpu, const struct insn *in)
{
	u64 offset = cpu->r[RBX] + (u8)cpu->r[RAX];
	unsigned asize = EA_ASIZE(in->ea);
	offset = asize == 1 ? (u16)offset : asize == 2 ? (u32)offset : offset;
	reg_set(cpu, RAX * 8, 1, mem_read(cpu, segment_linear(cpu, EA_SEG(in->ea), offset, 1, ACCESS_READ), 1));
}

/* The condition is the low nibble of the opcode, which is the row's place in its group. */
void
op_setcc(struct vcpu *cpu, const struct insn *in)
{
	rm_write(cpu, in, 1, cc_condition(cpu, in->op - INSN_SETO));
}

/* The source is read, and may fault, whatever the condition; a 32-bit destination is zero-extended either way. */
void
op_cmovcc(struct vcpu *cpu, const struct insn *in)
{
	unsigned size = SIZE(in);
	u64 v = rm_read(cpu, in, size);
	reg_set(cpu, in->rd, size, cc_condition(cpu, in->op - INSN_CMOVO) ? v : reg_get(cpu, in->rd, size));
}

void
op_bound(struct vcpu *cpu, const struct insn *in)
{
	unsigned size = SIZE(in);
	u64 linear = insn_linear(cpu, in, 2 * size, ACCESS_READ);
	s64 low = sign_extend(mem_read(cpu, linear, size), size), high = sign_extend(mem_read(cpu, linear + size, size), size);
	s64 index = sign_extend(reg_get(cpu, in->rd, size), size);
	if (index < low || index > high)
		raise_exception(cpu, VECTOR_BR);
}
