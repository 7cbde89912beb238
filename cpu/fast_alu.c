/* Fast forms of arithmetic, logic and shifts. Each macro line is one operand form; the work is in alu.h. */
#include "cpu/fast.h"

#define H(name) static __attribute__((unused)) hret name(HARGS)

#define ALU_REGISTER(name, kernel, s)                                                                                                      \
	H(name##_rr##s)                                                                                                                    \
	{                                                                                                                                  \
		SET(s, i->rd, kernel(cpu, REG(s, i->rd), REG(s, i->rs), s));                                                               \
		NEXT;                                                                                                                      \
	}                                                                                                                                  \
	H(name##_ri##s)                                                                                                                    \
	{                                                                                                                                  \
		SET(s, i->rd, kernel(cpu, REG(s, i->rd), (u64)i->imm, s));                                                                 \
		NEXT;                                                                                                                      \
	}
#define ALU_MEMORY_EA(name, kernel, s, ea)                                                                                                 \
	H(name##_rm##s##ea)                                                                                                                \
	{                                                                                                                                  \
		HOST_R(s, host, EA_##ea);                                                                                                  \
		SET(s, i->rd, kernel(cpu, REG(s, i->rd), *host, s));                                                                       \
		NEXT;                                                                                                                      \
	}                                                                                                                                  \
	H(name##_mr##s##ea)                                                                                                                \
	{                                                                                                                                  \
		HOST_W(s, host, EA_##ea);                                                                                                  \
		*host = (MTYPE_##s)kernel(cpu, *host, REG(s, i->rd), s);                                                                   \
		NEXT;                                                                                                                      \
	}                                                                                                                                  \
	H(name##_mi##s##ea)                                                                                                                \
	{                                                                                                                                  \
		HOST_W(s, host, EA_##ea);                                                                                                  \
		*host = (MTYPE_##s)kernel(cpu, *host, (u64)i->imm, s);                                                                     \
		NEXT;                                                                                                                      \
	}
#define ALU_MEMORY(name, kernel, s) FAST_EAS(ALU_MEMORY_EA, name, kernel, s)
#define ALU_FAMILY(name, kernel) FAST_SIZES(ALU_REGISTER, name, kernel) FAST_SIZES(ALU_MEMORY, name, kernel)

ALU_FAMILY(add, alu_add)
ALU_FAMILY(or, alu_or)
ALU_FAMILY(adc, alu_adc)
ALU_FAMILY(sbb, alu_sbb)
ALU_FAMILY(and, alu_and)
ALU_FAMILY(sub, alu_sub)
ALU_FAMILY(xor, alu_xor)

/* Compare and test: flags only. */
#define FLAGS_REGISTER(name, kernel, s)                                                                                                    \
	H(name##_rr##s)                                                                                                                    \
	{                                                                                                                                  \
		kernel(cpu, REG(s, i->rd), REG(s, i->rs), s);                                                                              \
		NEXT;                                                                                                                      \
	}                                                                                                                                  \
	H(name##_ri##s)                                                                                                                    \
	{                                                                                                                                  \
		kernel(cpu, REG(s, i->rd), (u64)i->imm, s);                                                                                \
		NEXT;                                                                                                                      \
	}
#define FLAGS_MEMORY_EA(name, kernel, s, ea)                                                                                               \
	H(name##_rm##s##ea)                                                                                                                \
	{                                                                                                                                  \
		HOST_R(s, host, EA_##ea);                                                                                                  \
		kernel(cpu, REG(s, i->rd), *host, s);                                                                                      \
		NEXT;                                                                                                                      \
	}                                                                                                                                  \
	H(name##_mr##s##ea)                                                                                                                \
	{                                                                                                                                  \
		HOST_R(s, host, EA_##ea);                                                                                                  \
		kernel(cpu, *host, REG(s, i->rd), s);                                                                                      \
		NEXT;                                                                                                                      \
	}                                                                                                                                  \
	H(name##_mi##s##ea)                                                                                                                \
	{                                                                                                                                  \
		HOST_R(s, host, EA_##ea);                                                                                                  \
		kernel(cpu, *host, (u64)i->imm, s);                                                                                        \
		NEXT;                                                                                                                      \
	}
#define FLAGS_MEMORY(name, kernel, s) FAST_EAS(FLAGS_MEMORY_EA, name, kernel, s)
#define FLAGS_FAMILY(name, kernel) FAST_SIZES(FLAGS_REGISTER, name, kernel) FAST_SIZES(FLAGS_MEMORY, name, kernel)

FLAGS_FAMILY(cmp, alu_sub)
FLAGS_FAMILY(test, alu_and)

#define ONE_REGISTER(name, kernel, s)                                                                                                      \
	H(name##_r##s)                                                                                                                     \
	{                                                                                                                                  \
		SET(s, i->rd, kernel(cpu, REG(s, i->rd), s));                                                                              \
		NEXT;                                                                                                                      \
	}
#define ONE_MEMORY_EA(name, kernel, s, ea)                                                                                                 \
	H(name##_m##s##ea)                                                                                                                 \
	{                                                                                                                                  \
		HOST_W(s, host, EA_##ea);                                                                                                  \
		*host = (MTYPE_##s)kernel(cpu, *host, s);                                                                                  \
		NEXT;                                                                                                                      \
	}
#define ONE_MEMORY(name, kernel, s) FAST_EAS(ONE_MEMORY_EA, name, kernel, s)
#define ONE_FAMILY(name, kernel) FAST_SIZES(ONE_REGISTER, name, kernel) FAST_SIZES(ONE_MEMORY, name, kernel)

static inline u64
alu_not(struct vcpu *cpu, u64 a, unsigned s)
{
	(void)cpu, (void)s;
	return ~a;
}

ONE_FAMILY(inc, alu_inc)
ONE_FAMILY(dec, alu_dec)
ONE_FAMILY(neg, alu_neg)
ONE_FAMILY(not, alu_not)

/* Shifts of registers; a constant count that is zero when masked is left to the complete form. */
#define SHIFT_REGISTER(name, kernel, s)                                                                                                    \
	H(name##_i##s)                                                                                                                     \
	{                                                                                                                                  \
		SET(s, i->rd, kernel(cpu, REG(s, i->rd), (u8)i->imm, s));                                                                  \
		NEXT;                                                                                                                      \
	}                                                                                                                                  \
	H(name##_1##s)                                                                                                                     \
	{                                                                                                                                  \
		SET(s, i->rd, kernel(cpu, REG(s, i->rd), 1, s));                                                                           \
		NEXT;                                                                                                                      \
	}                                                                                                                                  \
	H(name##_c##s)                                                                                                                     \
	{                                                                                                                                  \
		SET(s, i->rd, kernel(cpu, REG(s, i->rd), (u8)cpu->r[RCX], s));                                                             \
		NEXT;                                                                                                                      \
	}

FAST_SIZES(SHIFT_REGISTER, shl, alu_shl)
FAST_SIZES(SHIFT_REGISTER, shr, alu_shr)
FAST_SIZES(SHIFT_REGISTER, sar, alu_sar)
FAST_SIZES(SHIFT_REGISTER, rol, alu_rol)
FAST_SIZES(SHIFT_REGISTER, ror, alu_ror)

/* --- IMUL to a register --- */

#define MULTIPLY(s, dest, a, b)                                                                                                            \
	do {                                                                                                                               \
		s128 product = (s128)(s64)alu_sx(a, s) * (s64)alu_sx(b, s);                                                                \
		u64 low = alu_sx((u64)product, s);                                                                                         \
		SET(s, dest, low);                                                                                                         \
		cc_set(cpu, CC(CC_RES, s), low, product != (s64)low ? FLAG_CF | FLAG_OF : 0);                                              \
	} while (0)
#define IMUL_REGISTER(name, s)                                                                                                             \
	H(name##_rr##s)                                                                                                                    \
	{                                                                                                                                  \
		MULTIPLY(s, i->rd, REG(s, i->rd), REG(s, i->rs));                                                                          \
		NEXT;                                                                                                                      \
	}                                                                                                                                  \
	H(name##_rri##s)                                                                                                                   \
	{                                                                                                                                  \
		MULTIPLY(s, i->rd, REG(s, i->rs), (u64)i->imm);                                                                            \
		NEXT;                                                                                                                      \
	}
#define IMUL_MEMORY_EA(name, s, ea)                                                                                                        \
	H(name##_rm##s##ea)                                                                                                                \
	{                                                                                                                                  \
		HOST_R(s, host, EA_##ea);                                                                                                  \
		MULTIPLY(s, i->rd, REG(s, i->rd), *host);                                                                                  \
		NEXT;                                                                                                                      \
	}
IMUL_REGISTER(imul, 2)
IMUL_REGISTER(imul, 3)
FAST_EAS(IMUL_MEMORY_EA, imul, 2)
FAST_EAS(IMUL_MEMORY_EA, imul, 3)

/* --- registration --- */

#define PUT_EAS(op, s, prefix)                                                                                                             \
	fast_row(op)->form[s][FORM_BD] = prefix##s##bd;                                                                                    \
	fast_row(op)->form[s][FORM_BX] = prefix##s##bx;                                                                                    \
	fast_row(op)->form[s][FORM_A32] = prefix##s##a32;
#define PUT_REG(op, s, h) fast_row(op)->form[s][FORM_REG] = h;
#define PUT_TWO(op, s, reg, mem)                                                                                                           \
	PUT_REG(op, s, reg##s)                                                                                                             \
	PUT_EAS(op, s, mem)
#define PUT_TWO_V(op, reg, mem) PUT_TWO(op, 1, reg, mem) PUT_TWO(op, 2, reg, mem) PUT_TWO(op, 3, reg, mem)
#define DESCRIBE(op, e, o)                                                                                                                 \
	fast_row(op)->effect = e;                                                                                                          \
	fast_row(op)->order = o;

#define REGISTER_ALU(NAME, name, effect)                                                                                                   \
	PUT_TWO(INSN_##NAME##_Eb_Gb, 0, name##_rr, name##_mr)                                                                              \
	PUT_TWO_V(INSN_##NAME##_Ev_Gv, name##_rr, name##_mr)                                                                               \
	PUT_TWO(INSN_##NAME##_Gb_Eb, 0, name##_rr, name##_rm)                                                                              \
	PUT_TWO_V(INSN_##NAME##_Gv_Ev, name##_rr, name##_rm)                                                                               \
	PUT_TWO(INSN_##NAME##_Eb_Ib, 0, name##_ri, name##_mi)                                                                              \
	PUT_TWO_V(INSN_##NAME##_Ev_Iz, name##_ri, name##_mi)                                                                               \
	PUT_TWO_V(INSN_##NAME##_Ev_Ib, name##_ri, name##_mi)                                                                               \
	PUT_REG(INSN_##NAME##_AL_Ib, 0, name##_ri0)                                                                                        \
	PUT_REG(INSN_##NAME##_rAX_Iz, 1, name##_ri1)                                                                                       \
	PUT_REG(INSN_##NAME##_rAX_Iz, 2, name##_ri2)                                                                                       \
	PUT_REG(INSN_##NAME##_rAX_Iz, 3, name##_ri3)                                                                                       \
	DESCRIBE(INSN_##NAME##_Eb_Gb, effect, ORDER_RM_DESTINATION)                                                                        \
	DESCRIBE(INSN_##NAME##_Ev_Gv, effect, ORDER_RM_DESTINATION)                                                                        \
	DESCRIBE(INSN_##NAME##_Gb_Eb, effect, ORDER_RD)                                                                                    \
	DESCRIBE(INSN_##NAME##_Gv_Ev, effect, ORDER_RD)                                                                                    \
	DESCRIBE(INSN_##NAME##_Eb_Ib, effect, ORDER_RM_DESTINATION)                                                                        \
	DESCRIBE(INSN_##NAME##_Ev_Iz, effect, ORDER_RM_DESTINATION)                                                                        \
	DESCRIBE(INSN_##NAME##_Ev_Ib, effect, ORDER_RM_DESTINATION)                                                                        \
	DESCRIBE(INSN_##NAME##_AL_Ib, effect, ORDER_RAX)                                                                                   \
	DESCRIBE(INSN_##NAME##_rAX_Iz, effect, ORDER_RAX)

#define REGISTER_ONE(NAME, name, effect)                                                                                                   \
	PUT_TWO(INSN_##NAME##_Eb, 0, name##_r, name##_m)                                                                                   \
	PUT_TWO_V(INSN_##NAME##_Ev, name##_r, name##_m)                                                                                    \
	DESCRIBE(INSN_##NAME##_Eb, effect, ORDER_RM_DESTINATION)                                                                           \
	DESCRIBE(INSN_##NAME##_Ev, effect, ORDER_RM_DESTINATION)

#define REGISTER_SHIFT(NAME, name)                                                                                                         \
	REGISTER_SHIFT_BY(NAME##_Eb_Ib, NAME##_Ev_Ib, name##_i)                                                                            \
	REGISTER_SHIFT_BY(NAME##_Eb_1, NAME##_Ev_1, name##_1)                                                                              \
	REGISTER_SHIFT_BY(NAME##_Eb_CL, NAME##_Ev_CL, name##_c)
#define REGISTER_SHIFT_BY(B, V, h)                                                                                                         \
	PUT_REG(INSN_##B, 0, h##0)                                                                                                         \
	PUT_REG(INSN_##V, 1, h##1)                                                                                                         \
	PUT_REG(INSN_##V, 2, h##2)                                                                                                         \
	PUT_REG(INSN_##V, 3, h##3)                                                                                                         \
	DESCRIBE(INSN_##B, EFFECT_UNKNOWN, ORDER_RM_DESTINATION)                                                                           \
	DESCRIBE(INSN_##V, EFFECT_UNKNOWN, ORDER_RM_DESTINATION)

/* --- pairs with a conditional jump: compare or arithmetic, then jump, in one handler --- */

#define PAIR_SUB(name, s, first, c)                                                                                                        \
	H(name##_##s##_j##c)                                                                                                               \
	{                                                                                                                                  \
		first(s);                                                                                                                  \
		cc_set(cpu, CC(CC_SUB, s), x, y);                                                                                          \
		i++;                                                                                                                       \
		if (SUB_##c)                                                                                                               \
			JUMP;                                                                                                              \
		NEXT;                                                                                                                      \
	}
#define PAIR_LOGIC(name, s, first, c)                                                                                                      \
	H(name##_##s##_j##c)                                                                                                               \
	{                                                                                                                                  \
		first(s);                                                                                                                  \
		cc_set(cpu, CC(CC_LOGIC, s), x, 0);                                                                                        \
		i++;                                                                                                                       \
		if (LOGIC_##c)                                                                                                             \
			JUMP;                                                                                                              \
		NEXT;                                                                                                                      \
	}
#define SX(s, v) alu_sx(v, s)
#define CMP_RR(s) u64 x = SX(s, REG(s, i->rd)), y = SX(s, REG(s, i->rs))
#define CMP_RI(s) u64 x = SX(s, REG(s, i->rd)), y = SX(s, (u64)i->imm)
#define CMP_RM(s, ea)                                                                                                                      \
	HOST_R(s, host, EA_##ea);                                                                                                          \
	u64 x = SX(s, REG(s, i->rd)), y = SX(s, *host)
#define CMP_MR(s, ea)                                                                                                                      \
	HOST_R(s, host, EA_##ea);                                                                                                          \
	u64 x = SX(s, *host), y = SX(s, REG(s, i->rd))
#define CMP_MI(s, ea)                                                                                                                      \
	HOST_R(s, host, EA_##ea);                                                                                                          \
	u64 x = SX(s, *host), y = SX(s, (u64)i->imm)
#define SUB_RR(s)                                                                                                                          \
	CMP_RR(s);                                                                                                                         \
	SET(s, i->rd, x - y)
#define SUB_RI(s)                                                                                                                          \
	CMP_RI(s);                                                                                                                         \
	SET(s, i->rd, x - y)
#define TEST_RR(s) u64 x = SX(s, REG(s, i->rd) & REG(s, i->rs))
#define TEST_RI(s) u64 x = SX(s, REG(s, i->rd) & (u64)i->imm)
#define TEST_MI(s, ea)                                                                                                                     \
	HOST_R(s, host, EA_##ea);                                                                                                          \
	u64 x = SX(s, *host & (u64)i->imm)
#define AND_RR(s)                                                                                                                          \
	TEST_RR(s);                                                                                                                        \
	SET(s, i->rd, x)
#define AND_RI(s)                                                                                                                          \
	TEST_RI(s);                                                                                                                        \
	SET(s, i->rd, x)

#define CMP_RM_bd(s) CMP_RM(s, bd)
#define CMP_RM_bx(s) CMP_RM(s, bx)
#define CMP_MR_bd(s) CMP_MR(s, bd)
#define CMP_MR_bx(s) CMP_MR(s, bx)
#define CMP_MI_bd(s) CMP_MI(s, bd)
#define CMP_MI_bx(s) CMP_MI(s, bx)
#define TEST_MI_bd(s) TEST_MI(s, bd)
#define TEST_MI_bx(s) TEST_MI(s, bx)

#define TABLE_ENTRY(name, s, c) [COND_##c] = name##_##s##_j##c,
#define PAIRS_SUB(name, s, first)                                                                                                          \
	SUB_CONDITIONS(PAIR_SUB, name, s, first)                                                                                           \
	static const handler name##_##s##_table[16] = {SUB_CONDITIONS(TABLE_ENTRY, name, s)};
#define PAIRS_LOGIC(name, s, first)                                                                                                        \
	LOGIC_CONDITIONS(PAIR_LOGIC, name, s, first)                                                                                       \
	static const handler name##_##s##_table[16] = {LOGIC_CONDITIONS(TABLE_ENTRY, name, s)};

#define PAIRS_OF_SIZE(s)                                                                                                                   \
	PAIRS_SUB(cmp_rr, s, CMP_RR)                                                                                                    \
	PAIRS_SUB(cmp_ri, s, CMP_RI)                                                                                                    \
	PAIRS_SUB(cmp_rmbd, s, CMP_RM_bd)                                                                                              \
	PAIRS_SUB(cmp_rmbx, s, CMP_RM_bx)                                                                                              \
	PAIRS_SUB(cmp_mrbd, s, CMP_MR_bd)                                                                                              \
	PAIRS_SUB(cmp_mrbx, s, CMP_MR_bx)                                                                                              \
	PAIRS_SUB(cmp_mibd, s, CMP_MI_bd)                                                                                              \
	PAIRS_SUB(cmp_mibx, s, CMP_MI_bx)                                                                                              \
	PAIRS_SUB(sub_rr, s, SUB_RR)                                                                                                    \
	PAIRS_SUB(sub_ri, s, SUB_RI)                                                                                                    \
	PAIRS_LOGIC(test_rr, s, TEST_RR)                                                                                                \
	PAIRS_LOGIC(test_ri, s, TEST_RI)                                                                                                \
	PAIRS_LOGIC(test_mibd, s, TEST_MI_bd)                                                                                          \
	PAIRS_LOGIC(test_mibx, s, TEST_MI_bx)                                                                                          \
	PAIRS_LOGIC(and_rr, s, AND_RR)                                                                                                  \
	PAIRS_LOGIC(and_ri, s, AND_RI)

PAIRS_OF_SIZE(0)
PAIRS_OF_SIZE(1)
PAIRS_OF_SIZE(2)
PAIRS_OF_SIZE(3)

/* INC, DEC and ADD before a jump on zero or sign. */
#define PAIR_RESULT(name, s, kernel_call, c)                                                                                               \
	H(name##_##s##_j##c)                                                                                                               \
	{                                                                                                                                  \
		u64 x = kernel_call;                                                                                                       \
		SET(s, i->rd, x);                                                                                                          \
		i++;                                                                                                                       \
		if (LOGIC_##c)                                                                                                             \
			JUMP;                                                                                                              \
		NEXT;                                                                                                                      \
	}
#define RESULT_CONDITIONS(M, ...) M(__VA_ARGS__, Z) M(__VA_ARGS__, NZ) M(__VA_ARGS__, S) M(__VA_ARGS__, NS)
#define PAIRS_RESULT(name, s, kernel_call)                                                                                                 \
	RESULT_CONDITIONS(PAIR_RESULT, name, s, kernel_call)                                                                               \
	static const handler name##_##s##_table[16] = {RESULT_CONDITIONS(TABLE_ENTRY, name, s)};
PAIRS_RESULT(add_rr, 2, alu_add(cpu, REG(2, i->rd), REG(2, i->rs), 2))
PAIRS_RESULT(add_rr, 3, alu_add(cpu, REG(3, i->rd), REG(3, i->rs), 3))
PAIRS_RESULT(add_ri, 2, alu_add(cpu, REG(2, i->rd), (u64)i->imm, 2))
PAIRS_RESULT(add_ri, 3, alu_add(cpu, REG(3, i->rd), (u64)i->imm, 3))
PAIRS_RESULT(inc_r, 2, alu_inc(cpu, REG(2, i->rd), 2))
PAIRS_RESULT(inc_r, 3, alu_inc(cpu, REG(3, i->rd), 3))
PAIRS_RESULT(dec_r, 2, alu_dec(cpu, REG(2, i->rd), 2))
PAIRS_RESULT(dec_r, 3, alu_dec(cpu, REG(3, i->rd), 3))

#define ADD_PAIR(name, s) fast_jump_pair_add(name##s, name##_##s##_table);
#define ADD_PAIR_EA(base, s, ea) fast_jump_pair_add(base##s##ea, base##ea##_##s##_table);
#define ADD_PAIRS_OF_SIZE(s)                                                                                                               \
	ADD_PAIR(cmp_rr, s)                                                                                                                \
	ADD_PAIR(cmp_ri, s)                                                                                                                \
	ADD_PAIR_EA(cmp_rm, s, bd)                                                                                                         \
	ADD_PAIR_EA(cmp_rm, s, bx)                                                                                                         \
	ADD_PAIR_EA(cmp_mr, s, bd)                                                                                                         \
	ADD_PAIR_EA(cmp_mr, s, bx)                                                                                                         \
	ADD_PAIR_EA(cmp_mi, s, bd)                                                                                                         \
	ADD_PAIR_EA(cmp_mi, s, bx)                                                                                                         \
	ADD_PAIR(sub_rr, s)                                                                                                                \
	ADD_PAIR(sub_ri, s)                                                                                                                \
	ADD_PAIR(test_rr, s)                                                                                                               \
	ADD_PAIR(test_ri, s)                                                                                                               \
	ADD_PAIR_EA(test_mi, s, bd)                                                                                                        \
	ADD_PAIR_EA(test_mi, s, bx)                                                                                                        \
	ADD_PAIR(and_rr, s)                                                                                                                \
	ADD_PAIR(and_ri, s)

static void
register_pairs(void)
{
	ADD_PAIRS_OF_SIZE(0)
	ADD_PAIRS_OF_SIZE(1)
	ADD_PAIRS_OF_SIZE(2)
	ADD_PAIRS_OF_SIZE(3)
	ADD_PAIR(add_rr, 2)
	ADD_PAIR(add_rr, 3)
	ADD_PAIR(add_ri, 2)
	ADD_PAIR(add_ri, 3)
	ADD_PAIR(inc_r, 2)
	ADD_PAIR(inc_r, 3)
	ADD_PAIR(dec_r, 2)
	ADD_PAIR(dec_r, 3)
}

void
fast_alu_register(void)
{
	REGISTER_ALU(ADD, add, EFFECT_UNKNOWN)
	REGISTER_ALU(OR, or, EFFECT_LOGIC)
	REGISTER_ALU(ADC, adc, EFFECT_UNKNOWN)
	REGISTER_ALU(SBB, sbb, EFFECT_UNKNOWN)
	REGISTER_ALU(AND, and, EFFECT_LOGIC)
	REGISTER_ALU(SUB, sub, EFFECT_SUB)
	REGISTER_ALU(XOR, xor, EFFECT_LOGIC)
	REGISTER_ALU(CMP, cmp, EFFECT_SUB)
	PUT_TWO(INSN_TEST_Eb_Gb, 0, test_rr, test_mr)
	PUT_TWO_V(INSN_TEST_Ev_Gv, test_rr, test_mr)
	PUT_TWO(INSN_TEST_Eb_Ib, 0, test_ri, test_mi)
	PUT_TWO_V(INSN_TEST_Ev_Iz, test_ri, test_mi)
	PUT_REG(INSN_TEST_AL_Ib, 0, test_ri0)
	PUT_REG(INSN_TEST_rAX_Iz, 1, test_ri1)
	PUT_REG(INSN_TEST_rAX_Iz, 2, test_ri2)
	PUT_REG(INSN_TEST_rAX_Iz, 3, test_ri3)
	DESCRIBE(INSN_TEST_Eb_Gb, EFFECT_LOGIC, ORDER_RM_DESTINATION)
	DESCRIBE(INSN_TEST_Ev_Gv, EFFECT_LOGIC, ORDER_RM_DESTINATION)
	DESCRIBE(INSN_TEST_Eb_Ib, EFFECT_LOGIC, ORDER_RM_DESTINATION)
	DESCRIBE(INSN_TEST_Ev_Iz, EFFECT_LOGIC, ORDER_RM_DESTINATION)
	DESCRIBE(INSN_TEST_AL_Ib, EFFECT_LOGIC, ORDER_RAX)
	DESCRIBE(INSN_TEST_rAX_Iz, EFFECT_LOGIC, ORDER_RAX)
	REGISTER_ONE(INC, inc, EFFECT_UNKNOWN)
	REGISTER_ONE(DEC, dec, EFFECT_UNKNOWN)
	REGISTER_ONE(NEG, neg, EFFECT_UNKNOWN)
	REGISTER_ONE(NOT, not, EFFECT_NONE)
	PUT_REG(INSN_INC_Zv, 1, inc_r1)
	PUT_REG(INSN_INC_Zv, 2, inc_r2)
	PUT_REG(INSN_DEC_Zv, 1, dec_r1)
	PUT_REG(INSN_DEC_Zv, 2, dec_r2)
	REGISTER_SHIFT(SHL, shl)
	REGISTER_SHIFT(SAL, shl)
	REGISTER_SHIFT(SHR, shr)
	REGISTER_SHIFT(SAR, sar)
	REGISTER_SHIFT(ROL, rol)
	REGISTER_SHIFT(ROR, ror)
	PUT_TWO(INSN_IMUL_Gv_Ev, 2, imul_rr, imul_rm)
	PUT_TWO(INSN_IMUL_Gv_Ev, 3, imul_rr, imul_rm)
	PUT_REG(INSN_IMUL_Gv_Ev_Iz, 2, imul_rri2)
	PUT_REG(INSN_IMUL_Gv_Ev_Iz, 3, imul_rri3)
	PUT_REG(INSN_IMUL_Gv_Ev_Ib, 2, imul_rri2)
	PUT_REG(INSN_IMUL_Gv_Ev_Ib, 3, imul_rri3)
	register_pairs();
}
