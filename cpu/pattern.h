/* A row of insn.def, parsed: what decode.c matches bytes with, and what tests make bytes from. Read only after decode_init(). */
#ifndef NB_CPU_PATTERN_H
#define NB_CPU_PATTERN_H

#include "base/types.h"

enum { MAP_ONE, MAP_0F, MAP_0F38, MAP_0F3A, MAPS };
enum { PP_ANY, PP_NONE, PP_66, PP_F3, PP_F2, PP_NFX };
enum { MOD_ANY, MOD_MEM, MOD_REG };
enum { W_ANY, W_0, W_1 };
enum { L_ANY, L_0, L_1 };
enum { IMM_NONE, IMM_B, IMM_W, IMM_D, IMM_Z, IMM_V, IMM_REL8, IMM_RELZ, IMM_FAR, IMM_MOFFS, IMM_WB };
enum { REG_NONE, REG_GPR8, REG_GPR, REG_NUMBER, REG_NUMBER3 };

struct pattern {
	u8 vex, map, opcode, plus;
	u8 pp, w, l;
	u8 modrm, mod; /* has ModRM; restriction */
	u8 register_only; /* the mod field is ignored, rm is a register */
	s8 digit;      /* required reg field, or -1 */
	s16 second;    /* required ModRM byte, or -1 */
	u8 second_plus;
	u8 imm;
	u8 rd, rs, rv, zreg; /* REG_*: how the reg field, the rm field, vvvv and the opcode's register are read */
	u8 byte, specific;
};

const struct pattern *insn_pattern(unsigned op);

#endif
