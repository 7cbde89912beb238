/* Fast forms of near branches, for flat code segments. */
#include "cpu/fast.h"

#define H(name) static hret name(HARGS)

#define JCC_DYNAMIC(c)                                                                                                                     \
	H(jcc_dynamic_##c)                                                                                                                 \
	{                                                                                                                                  \
		if (cc_condition(cpu, COND_##c))                                                                                           \
			JUMP;                                                                                                              \
		NEXT;                                                                                                                      \
	}
JCC_DYNAMIC(O) JCC_DYNAMIC(NO) JCC_DYNAMIC(BE) JCC_DYNAMIC(NBE)
JCC_DYNAMIC(S) JCC_DYNAMIC(NS) JCC_DYNAMIC(P) JCC_DYNAMIC(NP) JCC_DYNAMIC(L) JCC_DYNAMIC(NL) JCC_DYNAMIC(LE) JCC_DYNAMIC(NLE)

/* Carry and zero are worth an inlined look. */
#define JCC_INLINE(c, condition)                                                                                                           \
	H(jcc_dynamic_##c)                                                                                                                 \
	{                                                                                                                                  \
		if (condition)                                                                                                             \
			JUMP;                                                                                                              \
		NEXT;                                                                                                                      \
	}
JCC_INLINE(B, cc_cf(cpu))
JCC_INLINE(NB, !cc_cf(cpu))
JCC_INLINE(Z, cc_zf(cpu))
JCC_INLINE(NZ, !cc_zf(cpu))

#define JCC_KNOWN(name, effect, c)                                                                                                         \
	H(jcc_##name##_##c)                                                                                                                \
	{                                                                                                                                  \
		u64 x = cpu->cc_x, y = cpu->cc_y;                                                                                          \
		(void)y;                                                                                                                   \
		if (effect##_##c)                                                                                                          \
			JUMP;                                                                                                              \
		NEXT;                                                                                                                      \
	}
SUB_CONDITIONS(JCC_KNOWN, sub, SUB)
LOGIC_CONDITIONS(JCC_KNOWN, logic, LOGIC)

#define ENTRY(name, c) [COND_##c] = name##_##c,
static const handler jcc_table[3][16] = {
	{ENTRY(jcc_dynamic, O) ENTRY(jcc_dynamic, NO) ENTRY(jcc_dynamic, B) ENTRY(jcc_dynamic, NB) ENTRY(jcc_dynamic, Z) ENTRY(jcc_dynamic, NZ)
		 ENTRY(jcc_dynamic, BE) ENTRY(jcc_dynamic, NBE) ENTRY(jcc_dynamic, S) ENTRY(jcc_dynamic, NS) ENTRY(jcc_dynamic, P)
			 ENTRY(jcc_dynamic, NP) ENTRY(jcc_dynamic, L) ENTRY(jcc_dynamic, NL) ENTRY(jcc_dynamic, LE) ENTRY(jcc_dynamic, NLE)},
	{SUB_CONDITIONS(ENTRY, jcc_sub)},
	{LOGIC_CONDITIONS(ENTRY, jcc_logic)},
};

handler
fast_jcc(unsigned condition, enum flags_effect known)
{
	handler h = known == EFFECT_SUB ? jcc_table[1][condition] : known == EFFECT_LOGIC ? jcc_table[2][condition] : NULL;
	return h ? h : jcc_table[0][condition];
}

H(jmp)
{
	JUMP;
}

/* 64-bit mode from here on. */

H(call)
{
	HOST_OR(3, tag_w, host, cpu->r[RSP] - 8, h_slow_end);
	*host = cpu->rip_page + (i->where & 0xfff) + (i->where >> 12);
	cpu->r[RSP] -= 8;
	JUMP;
}

H(ret)
{
	HOST_OR(3, tag_r, host, cpu->r[RSP], h_slow_end);
	JUMP_INDIRECT(*host, cpu->r[RSP] += 8);
}

H(ret_i)
{
	HOST_OR(3, tag_r, host, cpu->r[RSP], h_slow_end);
	JUMP_INDIRECT(*host, cpu->r[RSP] += 8u + (u16)i->imm);
}

H(jmp_r)
{
	JUMP_INDIRECT(REG(3, i->rs), (void)0);
}

#define JMP_M(ea)                                                                                                                          \
	H(jmp_m##ea)                                                                                                                       \
	{                                                                                                                                  \
		HOST_OR(3, tag_r, host, EA_##ea, h_slow_end);                                                                              \
		JUMP_INDIRECT(*host, (void)0);                                                                                             \
	}
JMP_M(bd)
JMP_M(bx)
JMP_M(a32)

#define RETURN_ADDRESS (cpu->rip_page + (i->where & 0xfff) + (i->where >> 12))

H(call_r)
{
	HOST_OR(3, tag_w, stack, cpu->r[RSP] - 8, h_slow_end);
	JUMP_INDIRECT(REG(3, i->rs), (*stack = RETURN_ADDRESS, cpu->r[RSP] -= 8));
}

#define CALL_M(ea)                                                                                                                         \
	H(call_m##ea)                                                                                                                      \
	{                                                                                                                                  \
		HOST_OR(3, tag_r, host, EA_##ea, h_slow_end);                                                                              \
		HOST_OR(3, tag_w, stack, cpu->r[RSP] - 8, h_slow_end);                                                                     \
		JUMP_INDIRECT(*host, (*stack = RETURN_ADDRESS, cpu->r[RSP] -= 8));                                                         \
	}
CALL_M(bd)
CALL_M(bx)
CALL_M(a32)

#define PUT(op, s, f, h) fast_row(op)->form[s][f] = h

void
fast_jump_register(void)
{
	for (unsigned c = 0; c < 16; c++)
		for (unsigned s = 2; s < 4; s++) {
			PUT(INSN_JO_Jb + c, s, FORM_REG, jcc_table[0][c]);
			PUT(INSN_JO_Jz + c, s, FORM_REG, jcc_table[0][c]);
			fast_row(INSN_JO_Jb + c)->effect = fast_row(INSN_JO_Jz + c)->effect = EFFECT_NONE;
		}
	for (unsigned s = 2; s < 4; s++) {
		PUT(INSN_JMP_Jb, s, FORM_REG, jmp);
		PUT(INSN_JMP_Jz, s, FORM_REG, jmp);
	}
	PUT(INSN_CALL_Jz, 3, FORM_REG, call);
	PUT(INSN_RET, 3, FORM_REG, ret);
	PUT(INSN_RET_Iw, 3, FORM_REG, ret_i);
	PUT(INSN_JMP_Ev, 3, FORM_REG, jmp_r);
	PUT(INSN_JMP_Ev, 3, FORM_BD, jmp_mbd);
	PUT(INSN_JMP_Ev, 3, FORM_BX, jmp_mbx);
	PUT(INSN_JMP_Ev, 3, FORM_A32, jmp_ma32);
	PUT(INSN_CALL_Ev, 3, FORM_REG, call_r);
	PUT(INSN_CALL_Ev, 3, FORM_BD, call_mbd);
	PUT(INSN_CALL_Ev, 3, FORM_BX, call_mbx);
	PUT(INSN_CALL_Ev, 3, FORM_A32, call_ma32);
	static const u16 only64[] = {INSN_CALL_Jz, INSN_RET, INSN_RET_Iw, INSN_JMP_Ev, INSN_CALL_Ev};
	for (unsigned n = 0; n < COUNT(only64); n++)
		fast_row(only64[n])->only64 = true;
}
