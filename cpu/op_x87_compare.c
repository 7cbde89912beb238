/*
 * x87 comparisons: to condition codes, to RFLAGS; FTST, FXAM.
 *
 * The manual says that an unmasked invalid operation leaves the codes as they were; processors set them to "unordered"
 * all the same.
 *
 * Source: SDM 2, the instructions by name; SDM 1, "Branching and Conditional Moves on Condition Codes".
 */
#include "cpu/cpuid.h"
#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/x87_host.h"

#define UNORDERED (X87_C0 | X87_C2 | X87_C3)

HOST_TWO(fcom, "fcom %%st(1)")
HOST_TWO(fucom, "fucom %%st(1)")
HOST_MEMORY(fcom_m32, "fcoms", u32)
HOST_MEMORY(fcom_m64, "fcoml", u64)
HOST_MEMORY(fcom_i16, "ficoms", u16)
HOST_MEMORY(fcom_i32, "ficoml", u32)
HOST_ONE(ftst, "ftst")

/* The host compares with all exceptions masked: an unmasked one changes nothing but that there is no pop. */
#define ALL_MASKED (X87_CONTROL_INIT)

static void
commit(struct vcpu *cpu, const struct insn *in, unsigned status, unsigned pops)
{
	struct x87 *x = &cpu->x87;
	bool completes = x87_end(cpu, in, status & (X87_EXCEPTIONS | X87_SF));
	x->status = (u16)((x->status & ~UNORDERED) | (status & UNORDERED));
	while (completes && pops--)
		x87_pop(x);
}

INLINE unsigned
compare(struct fpreg a, struct fpreg b, bool unordered)
{
	return unordered ? host_fucom(ALL_MASKED, a, b).status : host_fcom(ALL_MASKED, a, b).status;
}

INLINE void
compare_registers(struct vcpu *cpu, const struct insn *in, unsigned i, bool unordered, unsigned pops)
{
	struct x87 *x = &cpu->x87;
	unsigned status = X87_STACK_UNDERFLOW | UNORDERED;
	if (!x87_is_empty(x, 0) && !x87_is_empty(x, i))
		status = compare(*x87_st(x, 0), *x87_st(x, i), unordered);
	commit(cpu, in, status, pops);
}

void
op_fcom(struct vcpu *cpu, const struct insn *in)
{
	compare_registers(cpu, in, in->rs, false, 0);
}

void
op_fcomp(struct vcpu *cpu, const struct insn *in)
{
	compare_registers(cpu, in, in->rs, false, 1);
}

void
op_fcompp(struct vcpu *cpu, const struct insn *in)
{
	compare_registers(cpu, in, 1, false, 2);
}

void
op_fucom(struct vcpu *cpu, const struct insn *in)
{
	compare_registers(cpu, in, in->rs, true, 0);
}

void
op_fucomp(struct vcpu *cpu, const struct insn *in)
{
	compare_registers(cpu, in, in->rs, true, 1);
}

void
op_fucompp(struct vcpu *cpu, const struct insn *in)
{
	compare_registers(cpu, in, 1, true, 2);
}

#define MEMORY_COMPARE(name, host, type, bytes, pops)                                                                  \
	void op_##name(struct vcpu *cpu, const struct insn *in)                                                        \
	{                                                                                                              \
		type m = (type)mem_read(cpu, insn_linear(cpu, in, bytes, ACCESS_READ), bytes);                         \
		unsigned status = X87_STACK_UNDERFLOW | UNORDERED;                                                     \
		if (!x87_is_empty(&cpu->x87, 0))                                                                       \
			status = host(ALL_MASKED, *x87_st(&cpu->x87, 0), m).status;                                    \
		commit(cpu, in, status, pops);                                                                         \
	}

MEMORY_COMPARE(fcom_m32, host_fcom_m32, u32, 4, 0)
MEMORY_COMPARE(fcom_m64, host_fcom_m64, u64, 8, 0)
MEMORY_COMPARE(fcom_i16, host_fcom_i16, u16, 2, 0)
MEMORY_COMPARE(fcom_i32, host_fcom_i32, u32, 4, 0)
MEMORY_COMPARE(fcomp_m32, host_fcom_m32, u32, 4, 1)
MEMORY_COMPARE(fcomp_m64, host_fcom_m64, u64, 8, 1)
MEMORY_COMPARE(fcomp_i16, host_fcom_i16, u16, 2, 1)
MEMORY_COMPARE(fcomp_i32, host_fcom_i32, u32, 4, 1)

void
op_ftst(struct vcpu *cpu, const struct insn *in)
{
	struct x87 *x = &cpu->x87;
	commit(cpu, in,
	       x87_is_empty(x, 0) ? X87_STACK_UNDERFLOW | UNORDERED : host_ftst(ALL_MASKED, *x87_st(x, 0)).status, 0);
}

/* C3, C2, C0 -> ZF, PF, CF; the other status flags are zero. */
INLINE void
compare_to_flags(struct vcpu *cpu, const struct insn *in, bool unordered, bool pop)
{
	struct x87 *x = &cpu->x87;
	if (!cpu_has(cpu, FEATURE_CMOV))
		raise_ud(cpu);
	unsigned i = in->rs, status = X87_STACK_UNDERFLOW | UNORDERED;
	if (!x87_is_empty(x, 0) && !x87_is_empty(x, i))
		status = compare(*x87_st(x, 0), *x87_st(x, i), unordered);
	bool completes = x87_end(cpu, in, status & (X87_EXCEPTIONS | X87_SF));
	cc_set_raw(cpu,
		   (status & X87_C3 ? FLAG_ZF : 0) | (status & X87_C2 ? FLAG_PF : 0) | (status & X87_C0 ? FLAG_CF : 0));
	if (pop && completes)
		x87_pop(x);
}

void
op_fcomi(struct vcpu *cpu, const struct insn *in)
{
	compare_to_flags(cpu, in, false, false);
}

void
op_fcomip(struct vcpu *cpu, const struct insn *in)
{
	compare_to_flags(cpu, in, false, true);
}

void
op_fucomi(struct vcpu *cpu, const struct insn *in)
{
	compare_to_flags(cpu, in, true, false);
}

void
op_fucomip(struct vcpu *cpu, const struct insn *in)
{
	compare_to_flags(cpu, in, true, true);
}

/* The class of ST(0) in C3, C2, C0, its sign in C1. */
void
op_fxam(struct vcpu *cpu, const struct insn *in)
{
	struct x87 *x = &cpu->x87;
	struct fpreg v = *x87_st(x, 0);
	unsigned code;
	if (x87_is_empty(x, 0))
		code = X87_C3 | X87_C0;
	else if (is_unsupported(v))
		code = 0;
	else if (is_nan(v))
		code = X87_C0;
	else if (is_infinity(v))
		code = X87_C2 | X87_C0;
	else if (is_zero(v))
		code = X87_C3;
	else if (is_denormal(v))
		code = X87_C3 | X87_C2;
	else
		code = X87_C2;
	x87_end(cpu, in, is_negative(v) ? X87_C1 : 0);
	x->status = (u16)((x->status & ~(X87_C0 | X87_C2 | X87_C3)) | code);
}
