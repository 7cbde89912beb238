/* Fast forms of moves, extensions, LEA, conditional moves, register stack operations and the commonest vector moves. */
#include "cpu/fast.h"

#include <string.h>

#define H(name) static hret name(HARGS)

handler fast_nop;

/* --- MOV --- */

#define MOV_REGISTER(name, s)                                                                                                              \
	H(name##_rr##s)                                                                                                                    \
	{                                                                                                                                  \
		SET(s, i->rd, REG(s, i->rs));                                                                                              \
		NEXT;                                                                                                                      \
	}                                                                                                                                  \
	H(name##_ri##s)                                                                                                                    \
	{                                                                                                                                  \
		SET(s, i->rd, (u64)i->imm);                                                                                                \
		NEXT;                                                                                                                      \
	}
#define MOV_MEMORY_EA(name, s, ea)                                                                                                         \
	H(name##_rm##s##ea)                                                                                                                \
	{                                                                                                                                  \
		HOST_R(s, host, EA_##ea);                                                                                                  \
		SET(s, i->rd, *host);                                                                                                      \
		NEXT;                                                                                                                      \
	}                                                                                                                                  \
	H(name##_mr##s##ea)                                                                                                                \
	{                                                                                                                                  \
		HOST_W(s, host, EA_##ea);                                                                                                  \
		*host = REG(s, i->rd);                                                                                                     \
		NEXT;                                                                                                                      \
	}                                                                                                                                  \
	H(name##_mi##s##ea)                                                                                                                \
	{                                                                                                                                  \
		HOST_W(s, host, EA_##ea);                                                                                                  \
		*host = (MTYPE_##s)i->imm;                                                                                                 \
		NEXT;                                                                                                                      \
	}
#define MOV_MEMORY(name, s) FAST_EAS(MOV_MEMORY_EA, name, s)
FAST_SIZES(MOV_REGISTER, mov)
FAST_SIZES(MOV_MEMORY, mov)

/* --- MOVZX, MOVSX, MOVSXD: from size f to size s --- */

#define EXTEND(name, f, s, conversion)                                                                                                     \
	H(name##_rr##s)                                                                                                                    \
	{                                                                                                                                  \
		SET(s, i->rd, conversion(REG(f, i->rs), f));                                                                               \
		NEXT;                                                                                                                      \
	}                                                                                                                                  \
	FAST_EAS(EXTEND_EA, name, f, s, conversion)
#define EXTEND_EA(name, f, s, conversion, ea)                                                                                              \
	H(name##_rm##s##ea)                                                                                                                \
	{                                                                                                                                  \
		HOST_R(f, host, EA_##ea);                                                                                                  \
		SET(s, i->rd, conversion(*host, f));                                                                                       \
		NEXT;                                                                                                                      \
	}
EXTEND(movzxb, 0, 1, alu_zx)
EXTEND(movzxb, 0, 2, alu_zx)
EXTEND(movzxb, 0, 3, alu_zx)
EXTEND(movzxw, 1, 2, alu_zx)
EXTEND(movzxw, 1, 3, alu_zx)
EXTEND(movsxb, 0, 1, alu_sx)
EXTEND(movsxb, 0, 2, alu_sx)
EXTEND(movsxb, 0, 3, alu_sx)
EXTEND(movsxw, 1, 2, alu_sx)
EXTEND(movsxw, 1, 3, alu_sx)
EXTEND(movsxd, 2, 3, alu_sx)

/* --- LEA --- */

#define LEA(s, ea)                                                                                                                         \
	H(lea##s##ea)                                                                                                                      \
	{                                                                                                                                  \
		SET(s, i->rd, EA_##ea);                                                                                                    \
		NEXT;                                                                                                                      \
	}
LEA(2, bd)
LEA(2, bx)
LEA(2, a32)
LEA(3, bd)
LEA(3, bx)
LEA(3, a32)

/* --- SETcc, CMOVcc --- */

#define SETCC(c)                                                                                                                           \
	H(setcc_dynamic_##c)                                                                                                               \
	{                                                                                                                                  \
		REG(0, i->rd) = cc_condition(cpu, COND_##c);                                                                               \
		NEXT;                                                                                                                      \
	}                                                                                                                                  \
	H(cmov2_dynamic_##c)                                                                                                               \
	{                                                                                                                                  \
		SET(2, i->rd, cc_condition(cpu, COND_##c) ? REG(2, i->rs) : REG(2, i->rd));                                                \
		NEXT;                                                                                                                      \
	}                                                                                                                                  \
	H(cmov3_dynamic_##c)                                                                                                               \
	{                                                                                                                                  \
		SET(3, i->rd, cc_condition(cpu, COND_##c) ? REG(3, i->rs) : REG(3, i->rd));                                                \
		NEXT;                                                                                                                      \
	}
SETCC(O) SETCC(NO) SETCC(B) SETCC(NB) SETCC(Z) SETCC(NZ) SETCC(BE) SETCC(NBE)
SETCC(S) SETCC(NS) SETCC(P) SETCC(NP) SETCC(L) SETCC(NL) SETCC(LE) SETCC(NLE)

#define CC_KNOWN(name, effect, c)                                                                                                          \
	H(setcc_##name##_##c)                                                                                                              \
	{                                                                                                                                  \
		u64 x = cpu->cc_x, y = cpu->cc_y;                                                                                          \
		(void)y;                                                                                                                   \
		REG(0, i->rd) = effect##_##c;                                                                                              \
		NEXT;                                                                                                                      \
	}                                                                                                                                  \
	H(cmov2_##name##_##c)                                                                                                              \
	{                                                                                                                                  \
		u64 x = cpu->cc_x, y = cpu->cc_y;                                                                                          \
		(void)y;                                                                                                                   \
		SET(2, i->rd, effect##_##c ? REG(2, i->rs) : REG(2, i->rd));                                                               \
		NEXT;                                                                                                                      \
	}                                                                                                                                  \
	H(cmov3_##name##_##c)                                                                                                              \
	{                                                                                                                                  \
		u64 x = cpu->cc_x, y = cpu->cc_y;                                                                                          \
		(void)y;                                                                                                                   \
		SET(3, i->rd, effect##_##c ? REG(3, i->rs) : REG(3, i->rd));                                                               \
		NEXT;                                                                                                                      \
	}
SUB_CONDITIONS(CC_KNOWN, sub, SUB)
LOGIC_CONDITIONS(CC_KNOWN, logic, LOGIC)

#define ENTRY(name, c) [COND_##c] = name##_##c,
#define ALL_CONDITIONS(name)                                                                                                               \
	ENTRY(name, O) ENTRY(name, NO) ENTRY(name, B) ENTRY(name, NB) ENTRY(name, Z) ENTRY(name, NZ) ENTRY(name, BE) ENTRY(name, NBE)          \
	ENTRY(name, S) ENTRY(name, NS) ENTRY(name, P) ENTRY(name, NP) ENTRY(name, L) ENTRY(name, NL) ENTRY(name, LE) ENTRY(name, NLE)
#define CC_TABLE(name)                                                                                                                     \
	static const handler name##_table[3][16] = {{ALL_CONDITIONS(name##_dynamic)},                                                      \
						    {SUB_CONDITIONS(ENTRY, name##_sub)},                                                   \
						    {LOGIC_CONDITIONS(ENTRY, name##_logic)}};
CC_TABLE(setcc)
CC_TABLE(cmov2)
CC_TABLE(cmov3)

static handler
known_or_dynamic(const handler table[3][16], unsigned condition, enum flags_effect known)
{
	handler h = known == EFFECT_SUB ? table[1][condition] : known == EFFECT_LOGIC ? table[2][condition] : NULL;
	return h ? h : table[0][condition];
}

handler
fast_setcc(unsigned condition, enum flags_effect known)
{
	return known_or_dynamic(setcc_table, condition, known);
}

handler
fast_cmovcc(unsigned condition, enum flags_effect known, unsigned size_log2)
{
	return known_or_dynamic(size_log2 == 3 ? cmov3_table : cmov2_table, condition, known);
}

/* --- 64-bit stack operations on registers and immediates --- */

#define HOST_PUSH(host) HOST_W(3, host, cpu->r[RSP] - 8)

H(push_r)
{
	HOST_PUSH(host);
	*host = REG(3, i->rd);
	cpu->r[RSP] -= 8;
	NEXT;
}

H(push_i)
{
	HOST_PUSH(host);
	*host = (u64)i->imm;
	cpu->r[RSP] -= 8;
	NEXT;
}

H(pop_r)
{
	HOST_R(3, host, cpu->r[RSP]);
	u64 v = *host;
	cpu->r[RSP] += 8;
	REG(3, i->rd) = v;
	NEXT;
}

H(leave)
{
	HOST_R(3, host, cpu->r[RBP]);
	u64 v = *host;
	cpu->r[RSP] = cpu->r[RBP] + 8;
	cpu->r[RBP] = v;
	NEXT;
}

/* --- conversions in place, exchanges --- */

H(cdqe)
{
	cpu->r[RAX] = (u64)(s64)(s32)cpu->r[RAX];
	NEXT;
}

H(cwde)
{
	cpu->r[RAX] = (u32)(s32)(s16)cpu->r[RAX];
	NEXT;
}

H(cqo)
{
	cpu->r[RDX] = (u64)((s64)cpu->r[RAX] >> 63);
	NEXT;
}

H(cdq)
{
	cpu->r[RDX] = (u32)((s32)cpu->r[RAX] >> 31);
	NEXT;
}

#define XCHG(s)                                                                                                                            \
	H(xchg_rr##s)                                                                                                                      \
	{                                                                                                                                  \
		u64 a = REG(s, i->rd), b = REG(s, i->rs);                                                                                  \
		SET(s, i->rd, b);                                                                                                          \
		SET(s, i->rs, a);                                                                                                          \
		NEXT;                                                                                                                      \
	}
XCHG(0)
XCHG(1)
XCHG(2)
XCHG(3)

#define BSWAP(s, swap)                                                                                                                     \
	H(bswap##s)                                                                                                                        \
	{                                                                                                                                  \
		SET(s, i->rd, swap(REG(s, i->rd)));                                                                                        \
		NEXT;                                                                                                                      \
	}
BSWAP(2, __builtin_bswap32)
BSWAP(3, __builtin_bswap64)


H(nop)
{
	(void)cpu; /* used only where handlers are tail-called */
	NEXT;
}

/* --- registration --- */

#define PUT(op, s, f, h) fast_row(op)->form[s][f] = h
#define PUT_EAS(op, s, prefix)                                                                                                             \
	(PUT(op, s, FORM_BD, prefix##s##bd), PUT(op, s, FORM_BX, prefix##s##bx), PUT(op, s, FORM_A32, prefix##s##a32))
#define NEUTRAL(op, o) (fast_row(op)->effect = EFFECT_NONE, fast_row(op)->order = (o))

static void
register_mov(void)
{
#define MOV_ROW(op, o, s, reg, mem) (PUT(op, s, FORM_REG, reg##s), PUT_EAS(op, s, mem), NEUTRAL(op, o))
	MOV_ROW(INSN_MOV_Eb_Gb, ORDER_RM_DESTINATION, 0, mov_rr, mov_mr);
	MOV_ROW(INSN_MOV_Ev_Gv, ORDER_RM_DESTINATION, 1, mov_rr, mov_mr);
	MOV_ROW(INSN_MOV_Ev_Gv, ORDER_RM_DESTINATION, 2, mov_rr, mov_mr);
	MOV_ROW(INSN_MOV_Ev_Gv, ORDER_RM_DESTINATION, 3, mov_rr, mov_mr);
	MOV_ROW(INSN_MOV_Gb_Eb, ORDER_RD, 0, mov_rr, mov_rm);
	MOV_ROW(INSN_MOV_Gv_Ev, ORDER_RD, 1, mov_rr, mov_rm);
	MOV_ROW(INSN_MOV_Gv_Ev, ORDER_RD, 2, mov_rr, mov_rm);
	MOV_ROW(INSN_MOV_Gv_Ev, ORDER_RD, 3, mov_rr, mov_rm);
	MOV_ROW(INSN_MOV_Eb_Ib, ORDER_RM_DESTINATION, 0, mov_ri, mov_mi);
	MOV_ROW(INSN_MOV_Ev_Iz, ORDER_RM_DESTINATION, 1, mov_ri, mov_mi);
	MOV_ROW(INSN_MOV_Ev_Iz, ORDER_RM_DESTINATION, 2, mov_ri, mov_mi);
	MOV_ROW(INSN_MOV_Ev_Iz, ORDER_RM_DESTINATION, 3, mov_ri, mov_mi);
	PUT(INSN_MOV_Zb_Ib, 0, FORM_REG, mov_ri0);
	PUT(INSN_MOV_Zv_Iv, 1, FORM_REG, mov_ri1);
	PUT(INSN_MOV_Zv_Iv, 2, FORM_REG, mov_ri2);
	PUT(INSN_MOV_Zv_Iv, 3, FORM_REG, mov_ri3);
	NEUTRAL(INSN_MOV_Zb_Ib, ORDER_RD);
	NEUTRAL(INSN_MOV_Zv_Iv, ORDER_RD);
	MOV_ROW(INSN_MOVZX_Gv_Eb, ORDER_RD, 1, movzxb_rr, movzxb_rm);
	MOV_ROW(INSN_MOVZX_Gv_Eb, ORDER_RD, 2, movzxb_rr, movzxb_rm);
	MOV_ROW(INSN_MOVZX_Gv_Eb, ORDER_RD, 3, movzxb_rr, movzxb_rm);
	MOV_ROW(INSN_MOVZX_Gv_Ew, ORDER_RD, 2, movzxw_rr, movzxw_rm);
	MOV_ROW(INSN_MOVZX_Gv_Ew, ORDER_RD, 3, movzxw_rr, movzxw_rm);
	MOV_ROW(INSN_MOVSX_Gv_Eb, ORDER_RD, 1, movsxb_rr, movsxb_rm);
	MOV_ROW(INSN_MOVSX_Gv_Eb, ORDER_RD, 2, movsxb_rr, movsxb_rm);
	MOV_ROW(INSN_MOVSX_Gv_Eb, ORDER_RD, 3, movsxb_rr, movsxb_rm);
	MOV_ROW(INSN_MOVSX_Gv_Ew, ORDER_RD, 2, movsxw_rr, movsxw_rm);
	MOV_ROW(INSN_MOVSX_Gv_Ew, ORDER_RD, 3, movsxw_rr, movsxw_rm);
	MOV_ROW(INSN_MOVSXD, ORDER_RD, 3, movsxd_rr, movsxd_rm);
	PUT_EAS(INSN_LEA, 2, lea);
	PUT_EAS(INSN_LEA, 3, lea);
	NEUTRAL(INSN_LEA, ORDER_RD);
}

void
fast_move_register(void)
{
	register_mov();
	for (unsigned c = 0; c < 16; c++) {
		PUT(INSN_SETO + c, 0, FORM_REG, setcc_table[0][c]);
		NEUTRAL(INSN_SETO + c, ORDER_RM_DESTINATION);
		PUT(INSN_CMOVO + c, 2, FORM_REG, cmov2_table[0][c]);
		PUT(INSN_CMOVO + c, 3, FORM_REG, cmov3_table[0][c]);
		NEUTRAL(INSN_CMOVO + c, ORDER_RD);
	}
	static const struct {
		u16 op;
		handler h;
	} stack[] = {{INSN_PUSH_Zv, push_r}, {INSN_POP_Zv, pop_r}, {INSN_PUSH_Iz, push_i}, {INSN_PUSH_Ib, push_i}, {INSN_LEAVE, leave}};
	for (unsigned n = 0; n < COUNT(stack); n++) {
		PUT(stack[n].op, 3, FORM_REG, stack[n].h);
		NEUTRAL(stack[n].op, ORDER_RD);
		fast_row(stack[n].op)->only64 = true;
	}
	PUT(INSN_CBW, 2, FORM_REG, cwde);
	PUT(INSN_CBW, 3, FORM_REG, cdqe);
	PUT(INSN_CWD, 2, FORM_REG, cdq);
	PUT(INSN_CWD, 3, FORM_REG, cqo);
	NEUTRAL(INSN_CBW, ORDER_RD);
	NEUTRAL(INSN_CWD, ORDER_RD);
	PUT(INSN_XCHG_Eb_Gb, 0, FORM_REG, xchg_rr0);
	PUT(INSN_XCHG_Ev_Gv, 1, FORM_REG, xchg_rr1);
	PUT(INSN_XCHG_Ev_Gv, 2, FORM_REG, xchg_rr2);
	PUT(INSN_XCHG_Ev_Gv, 3, FORM_REG, xchg_rr3);
	NEUTRAL(INSN_XCHG_Eb_Gb, ORDER_RD);
	NEUTRAL(INSN_XCHG_Ev_Gv, ORDER_RD);
	static const u16 nops[] = {INSN_NOP_Ev, INSN_NOP_1E_Ev, INSN_PREFETCH_Ev, INSN_PREFETCHW_Ev, INSN_LFENCE, INSN_MFENCE, INSN_SFENCE};
	for (unsigned n = 0; n < COUNT(nops); n++) {
		for (unsigned s = 1; s < 4; s++)
			for (unsigned f = 0; f < FORMS; f++)
				PUT(nops[n], s, f, nop);
		NEUTRAL(nops[n], ORDER_RD);
	}
	fast_nop = nop;
	NEUTRAL(INSN_XCHG_Zv_rAX, ORDER_RD);
	PUT(INSN_BSWAP, 2, FORM_REG, bswap2);
	PUT(INSN_BSWAP, 3, FORM_REG, bswap3);
	NEUTRAL(INSN_BSWAP, ORDER_RD);
}
