/*
 * x87 arithmetic: add, subtract, multiply, divide in all forms, and the operations on ST(0) that the host does exactly.
 *
 * Source: SDM 2, the instructions by name; SDM 1, "x87 FPU Floating-Point Exception Conditions".
 */
#include "cpu/x87_host.h"

/* The destination ST(i) holds the first operand. */
static void
commit(struct vcpu *cpu, const struct insn *in, unsigned i, struct host_result r, bool pop)
{
	if (!x87_end(cpu, in, r.status & (X87_EXCEPTIONS | X87_C1)))
		return;
	x87_set(&cpu->x87, i, r.value);
	if (pop)
		x87_pop(&cpu->x87);
}

#define MEMORY_FORM(name, suffix, mnemonic, type, bytes)                                                               \
	HOST_MEMORY(name##_##suffix, mnemonic, type)                                                                   \
	void op_##name##_##suffix(struct vcpu *cpu, const struct insn *in)                                             \
	{                                                                                                              \
		type m = (type)mem_read(cpu, insn_linear(cpu, in, bytes, ACCESS_READ), bytes);                         \
		if (x87_is_empty(&cpu->x87, 0))                                                                        \
			x87_underflow(cpu, in, 0, false);                                                              \
		else                                                                                                   \
			commit(cpu, in, 0, host_##name##_##suffix(cpu->x87.control, *x87_st(&cpu->x87, 0), m), false); \
	}

#define REGISTER_FORM(name, suffix, to, from, pop)                                                                     \
	void op_##name##_##suffix(struct vcpu *cpu, const struct insn *in)                                             \
	{                                                                                                              \
		struct x87 *x = &cpu->x87;                                                                             \
		if (x87_is_empty(x, to) || x87_is_empty(x, from))                                                      \
			x87_underflow(cpu, in, to, pop);                                                               \
		else                                                                                                   \
			commit(cpu, in, to, host_##name(x->control, *x87_st(x, to), *x87_st(x, from)), pop);           \
	}

#define ARITHMETIC(name, integer_name)                                                                                 \
	HOST_TWO(name, #name " %%st(1), %%st")                                                                         \
	MEMORY_FORM(name, m32, #name "s", u32, 4)                                                                      \
	MEMORY_FORM(name, m64, #name "l", u64, 8)                                                                      \
	MEMORY_FORM(name, i16, #integer_name "s", u16, 2)                                                              \
	MEMORY_FORM(name, i32, #integer_name "l", u32, 4)                                                              \
	REGISTER_FORM(name, to_st0, 0, in->rs, false)                                                                  \
	REGISTER_FORM(name, to_sti, in->rs, 0, false)                                                                  \
	REGISTER_FORM(name, pop, in->rs, 0, true)

ARITHMETIC(fadd, fiadd)
ARITHMETIC(fsub, fisub)
ARITHMETIC(fsubr, fisubr)
ARITHMETIC(fmul, fimul)
ARITHMETIC(fdiv, fidiv)
ARITHMETIC(fdivr, fidivr)

#define ONE_OPERAND(name)                                                                                              \
	HOST_ONE(name, #name)                                                                                          \
	void op_##name(struct vcpu *cpu, const struct insn *in)                                                        \
	{                                                                                                              \
		if (x87_is_empty(&cpu->x87, 0))                                                                        \
			x87_underflow(cpu, in, 0, false);                                                              \
		else                                                                                                   \
			commit(cpu, in, 0, host_##name(cpu->x87.control, *x87_st(&cpu->x87, 0)), false);               \
	}

ONE_OPERAND(fsqrt)
ONE_OPERAND(frndint)

HOST_TWO(fscale, "fscale")

void
op_fscale(struct vcpu *cpu, const struct insn *in)
{
	struct x87 *x = &cpu->x87;
	if (x87_is_empty(x, 0) || x87_is_empty(x, 1))
		x87_underflow(cpu, in, 0, false);
	else
		commit(cpu, in, 0, host_fscale(x->control, *x87_st(x, 0), *x87_st(x, 1)), false);
}

/*
 * Partial remainders: C2 says "not done", C0, C3, C1 are the low bits of the quotient; without a quotient C0 and C3
 * stay.
 */
static void
commit_remainder(struct vcpu *cpu, const struct insn *in, struct host_result r)
{
	struct x87 *x = &cpu->x87;
	x->status &= (u16)~X87_C2;
	if (!x87_end(cpu, in, r.status & (X87_EXCEPTIONS | X87_C1)))
		return;
	x87_set(x, 0, r.value);
	if (!is_nan(r.value))
		x->status = (u16)((x->status & ~(X87_C0 | X87_C3)) | (r.status & (X87_C0 | X87_C2 | X87_C3)));
}

#define REMAINDER(name)                                                                                                \
	HOST_TWO(name, #name)                                                                                          \
	void op_##name(struct vcpu *cpu, const struct insn *in)                                                        \
	{                                                                                                              \
		struct x87 *x = &cpu->x87;                                                                             \
		if (x87_is_empty(x, 0) || x87_is_empty(x, 1)) {                                                        \
			x->status &= (u16)~X87_C2;                                                                     \
			x87_underflow(cpu, in, 0, false);                                                              \
		} else {                                                                                               \
			commit_remainder(cpu, in, host_##name(x->control, *x87_st(x, 0), *x87_st(x, 1)));              \
		}                                                                                                      \
	}

REMAINDER(fprem)
REMAINDER(fprem1)

/*
 * ST(0) -> exponent, then push the significand. Only exceptions before the computation: the host runs it with all
 * masked.
 */
static u16
host_fxtract(struct fpreg a, struct fpreg *significand, struct fpreg *exponent)
{
	u16 status = 0;
	asm volatile("fnclex\n\tfldt %[a]\n\tfxtract\n\tfnstsw %[status]\n\tfnclex\n\tfstpt %[significand]\n\tfstpt "
		     "%[exponent]"
		     : [significand] "=m"(*significand), [exponent] "=m"(*exponent), [status] "=m"(status)
		     : [a] "m"(a)
		     : HOST_CLOBBERS);
	return status;
}

void
op_fxtract(struct vcpu *cpu, const struct insn *in)
{
	struct x87 *x = &cpu->x87;
	struct fpreg significand = x87_indefinite, exponent = x87_indefinite;
	unsigned found = 0;
	if (x87_is_empty(x, 0))
		found = X87_STACK_UNDERFLOW;
	else if (!x87_is_empty(x, 7))
		found = X87_STACK_OVERFLOW;
	else
		found = host_fxtract(*x87_st(x, 0), &significand, &exponent) & (X87_EXCEPTIONS | X87_C1);
	if (!x87_end(cpu, in, found))
		return;
	x87_set(x, 0, exponent);
	x87_set_top(x, x87_top(x) - 1);
	x87_set(x, 0, significand);
}

void
op_fchs(struct vcpu *cpu, const struct insn *in)
{
	if (x87_is_empty(&cpu->x87, 0)) {
		x87_underflow(cpu, in, 0, false);
		return;
	}
	x87_st(&cpu->x87, 0)->sign_exponent ^= 0x8000;
	x87_end(cpu, in, 0);
}

void
op_fabs(struct vcpu *cpu, const struct insn *in)
{
	if (x87_is_empty(&cpu->x87, 0)) {
		x87_underflow(cpu, in, 0, false);
		return;
	}
	x87_st(&cpu->x87, 0)->sign_exponent &= 0x7fff;
	x87_end(cpu, in, 0);
}
