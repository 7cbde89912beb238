/* Making lazy status flags real. SDM 1, "EFLAGS Register". */
#include "cpu/flags.h"

u64
cc_flags(const struct vcpu *cpu)
{
	unsigned s = cpu->cc_op & 3;
	u64 x = cpu->cc_x, y = cpu->cc_y, r = x, flags;
	switch (cpu->cc_op >> 2) {
	case CC_RAW: return y;
	case CC_ADD: {
		u64 a = x - y;
		flags = (x < y ? FLAG_CF : 0) | ((a ^ y ^ x) & FLAG_AF);
		/* Overflow: both operands have the sign that the result has not. */
		unsigned top = (8u << s) - 1;
		flags |= ((a ^ x) & (y ^ x)) >> top & 1 ? FLAG_OF : 0;
		break;
	}
	case CC_SUB: {
		r = x - y;
		unsigned top = (8u << s) - 1;
		flags = (x < y ? FLAG_CF : 0) | ((x ^ y ^ r) & FLAG_AF) | (((x ^ y) & (x ^ r)) >> top & 1 ? FLAG_OF : 0);
		break;
	}
	case CC_LOGIC: flags = 0; break;
	default: flags = y & (FLAG_CF | FLAG_AF | FLAG_OF); break;
	}
	s64 signed_result = sign_extend(r, 1u << s);
	if (!signed_result)
		flags |= FLAG_ZF;
	if (signed_result < 0)
		flags |= FLAG_SF;
	if (cc_parity(r))
		flags |= FLAG_PF;
	return flags;
}

bool
cc_condition(const struct vcpu *cpu, unsigned condition)
{
	bool result;
	u64 f;
	switch (condition >> 1) {
	case 0: result = cc_flags(cpu) & FLAG_OF; break;
	case 1: result = cc_cf(cpu); break;
	case 2: result = cc_zf(cpu); break;
	case 3: result = cc_cf(cpu) || cc_zf(cpu); break;
	case 4: result = cc_flags(cpu) & FLAG_SF; break;
	case 5: result = cc_flags(cpu) & FLAG_PF; break;
	case 6:
		f = cc_flags(cpu);
		result = !(f & FLAG_SF) != !(f & FLAG_OF);
		break;
	default:
		f = cc_flags(cpu);
		result = f & FLAG_ZF || !(f & FLAG_SF) != !(f & FLAG_OF);
		break;
	}
	return result ^ (condition & 1);
}

u64
cpu_rflags(struct vcpu *cpu)
{
	return (cpu->rflags & ~FLAGS_STATUS) | cc_flags(cpu) | BIT(1);
}

void
cpu_set_rflags(struct vcpu *cpu, u64 rflags)
{
	u64 changed = cpu->rflags ^ rflags;
	cpu->rflags = (rflags & ~FLAGS_STATUS) | BIT(1);
	cc_set_raw(cpu, rflags);
	if (changed & (FLAG_TF | FLAG_AC | FLAG_VM))
		cpu_mode_changed(cpu);
}
