/*
 * Registration of fast forms. Each fast_*.c makes handlers by macro from the kernels of alu.h and registers them by row, operand size and
 * operand form; fast.c chooses among them when code is decoded.
 */
#ifndef NB_CPU_FAST_H
#define NB_CPU_FAST_H

#include "cpu/dispatch.h"

enum fast_operand { FORM_REG, FORM_BD, FORM_BX, FORM_A32, FORMS };

/* What an instruction does to the status flags, for conditions that follow it in the block. */
enum flags_effect { EFFECT_UNKNOWN, EFFECT_NONE, EFFECT_SUB, EFFECT_LOGIC };

/* Register forms are written with the destination in rd and the source in rs; rows whose destination is the rm operand say so. */
enum fast_order { ORDER_RD, ORDER_RM_DESTINATION, ORDER_RAX };

struct fast_row {
	handler form[4][FORMS]; /* by log2 of the operand size */
	u8 effect, order;
	bool only64; /* 64-bit mode only (stack and near branches) */
};

/* A pair whose second is a conditional jump: one handler does both. Conditions without a handler stay apart. */
struct fast_jump_pair {
	handler first;
	const handler *by_condition; /* 16 */
};

void fast_jump_pair_add(handler first, const handler by_condition[16]);
struct fast_row *fast_row(unsigned op);
extern handler fast_nop; /* set by fast_move_register() */
void fast_alu_register(void);
void fast_move_register(void);
void fast_jump_register(void);
void fast_pair_register(void); /* after the others */
/* One handler for two, or NULL. */
handler fast_pair_of(handler first, handler second);

/* X-macro iterators. */
#define FAST_SIZES(M, ...) M(__VA_ARGS__, 0) M(__VA_ARGS__, 1) M(__VA_ARGS__, 2) M(__VA_ARGS__, 3)
#define FAST_EAS(M, ...) M(__VA_ARGS__, bd) M(__VA_ARGS__, bx) M(__VA_ARGS__, a32)

/* The handler of a conditional jump, SETcc of a register or CMOVcc between registers, when the last flags came from `known`. */
handler fast_jcc(unsigned condition, enum flags_effect known);
handler fast_setcc(unsigned condition, enum flags_effect known);
handler fast_cmovcc(unsigned condition, enum flags_effect known, unsigned size_log2);

/* Conditions on the operands of a subtraction (sign-extended x - y) and on the result of a logic operation. */
#define SUB_B (x < y)
#define SUB_NB (x >= y)
#define SUB_Z (x == y)
#define SUB_NZ (x != y)
#define SUB_BE (x <= y)
#define SUB_NBE (x > y)
#define SUB_L ((s64)x < (s64)y)
#define SUB_NL ((s64)x >= (s64)y)
#define SUB_LE ((s64)x <= (s64)y)
#define SUB_NLE ((s64)x > (s64)y)
#define LOGIC_Z (x == 0)
#define LOGIC_NZ (x != 0)
#define LOGIC_BE LOGIC_Z
#define LOGIC_NBE LOGIC_NZ
#define LOGIC_S ((s64)x < 0)
#define LOGIC_NS ((s64)x >= 0)
#define LOGIC_L LOGIC_S
#define LOGIC_NL LOGIC_NS
#define LOGIC_LE ((s64)x <= 0)
#define LOGIC_NLE ((s64)x > 0)
/* Numbers of conditions. */
enum { COND_O, COND_NO, COND_B, COND_NB, COND_Z, COND_NZ, COND_BE, COND_NBE, COND_S, COND_NS, COND_P, COND_NP, COND_L, COND_NL, COND_LE, COND_NLE };
#define SUB_CONDITIONS(M, ...)                                                                                                             \
	M(__VA_ARGS__, B) M(__VA_ARGS__, NB) M(__VA_ARGS__, Z) M(__VA_ARGS__, NZ) M(__VA_ARGS__, BE) M(__VA_ARGS__, NBE) M(__VA_ARGS__, L)     \
	M(__VA_ARGS__, NL) M(__VA_ARGS__, LE) M(__VA_ARGS__, NLE)
#define LOGIC_CONDITIONS(M, ...)                                                                                                           \
	M(__VA_ARGS__, Z) M(__VA_ARGS__, NZ) M(__VA_ARGS__, BE) M(__VA_ARGS__, NBE) M(__VA_ARGS__, S) M(__VA_ARGS__, NS) M(__VA_ARGS__, L)     \
	M(__VA_ARGS__, NL) M(__VA_ARGS__, LE) M(__VA_ARGS__, NLE)

#endif
