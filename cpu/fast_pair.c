/*
 * Pairs of common instructions in one handler, which saves a dispatch. Which ones: the profile of a Debian boot with KVM inside
 * (docs/ARCHITECTURE.md, "Profiling pairs"). Both instructions keep their slots: a miss in the second leaves from the second's slot, as if
 * it had been dispatched by itself.
 */
#include "cpu/fast.h"

/* The bodies. Each is what the handler of that form in fast_alu.c or fast_move.c does before it goes on. */
#define RR(s, kernel) SET(s, i->rd, kernel(cpu, REG(s, i->rd), REG(s, i->rs), s))
#define RI(s, kernel) SET(s, i->rd, kernel(cpu, REG(s, i->rd), (u64)i->imm, s))
#define SHIFT_I(s, kernel) SET(s, i->rd, kernel(cpu, REG(s, i->rd), (u8)i->imm, s))
#define LOAD(f, s, conversion, ea)                                                                                                         \
	HOST_R(f, host, EA_##ea);                                                                                                          \
	SET(s, i->rd, conversion(*host, f))
#define STORE(s, ea)                                                                                                                       \
	HOST_W(s, host, EA_##ea);                                                                                                          \
	*host = REG(s, i->rd)

#define DO_mov_rr2 SET(2, i->rd, REG(2, i->rs));
#define DO_mov_rr3 SET(3, i->rd, REG(3, i->rs));
#define DO_mov_ri2 SET(2, i->rd, (u64)i->imm);
#define DO_lea3bd SET(3, i->rd, EA_bd);
#define DO_lea3bx SET(3, i->rd, EA_bx);
#define DO_lea2bx SET(2, i->rd, EA_bx);
#define DO_movzxb_rr2 SET(2, i->rd, REG(0, i->rs));
#define DO_movsxd_rr3 SET(3, i->rd, alu_sx(REG(2, i->rs), 2));
#define DO_add_rr2 RR(2, alu_add);
#define DO_add_rr3 RR(3, alu_add);
#define DO_add_ri2 RI(2, alu_add);
#define DO_add_ri3 RI(3, alu_add);
#define DO_sub_rr2 RR(2, alu_sub);
#define DO_sub_rr3 RR(3, alu_sub);
#define DO_and_rr2 RR(2, alu_and);
#define DO_and_ri2 RI(2, alu_and);
#define DO_xor_rr2 RR(2, alu_xor);
#define DO_or_rr3 RR(3, alu_or);
#define DO_cmp_rr3 alu_sub(cpu, REG(3, i->rd), REG(3, i->rs), 3);
#define DO_shr_i2 SHIFT_I(2, alu_shr);
#define DO_shr_i3 SHIFT_I(3, alu_shr);
#define DO_shl_i3 SHIFT_I(3, alu_shl);
#define DO_sar_i2 SHIFT_I(2, alu_sar);
#define DO_mov_rm3bd LOAD(3, 3, alu_zx, bd);
#define DO_mov_rm2bd LOAD(2, 2, alu_zx, bd);
#define DO_mov_rm3bx LOAD(3, 3, alu_zx, bx);
#define DO_movzxb_rm2bd LOAD(0, 2, alu_zx, bd);
#define DO_movzxb_rm2bx LOAD(0, 2, alu_zx, bx);
#define DO_movzxw_rm2bd LOAD(1, 2, alu_zx, bd);
#define DO_mov_mr3bd STORE(3, bd);
#define DO_mov_mr2bd STORE(2, bd);
#define DO_mov_mr1bd STORE(1, bd);
#define DO_push_r                                                                                                                          \
	HOST_W(3, host, cpu->r[RSP] - 8);                                                                                                  \
	*host = REG(3, i->rd);                                                                                                             \
	cpu->r[RSP] -= 8;
#define DO_pop_r                                                                                                                           \
	HOST_R(3, host, cpu->r[RSP]);                                                                                                      \
	u64 v = *host;                                                                                                                     \
	cpu->r[RSP] += 8;                                                                                                                  \
	REG(3, i->rd) = v;

/* name, and where its handler is registered: row, log2 of the size, form */
#define MEMBERS(M, a)                                                                                                                      \
	M(a, mov_rr2, MOV_Gv_Ev, 2, FORM_REG)                                                                                              \
	M(a, mov_rr3, MOV_Gv_Ev, 3, FORM_REG)                                                                                              \
	M(a, mov_ri2, MOV_Zv_Iv, 2, FORM_REG)                                                                                              \
	M(a, lea3bd, LEA, 3, FORM_BD)                                                                                                      \
	M(a, lea3bx, LEA, 3, FORM_BX)                                                                                                      \
	M(a, lea2bx, LEA, 2, FORM_BX)                                                                                                      \
	M(a, movzxb_rr2, MOVZX_Gv_Eb, 2, FORM_REG)                                                                                         \
	M(a, movsxd_rr3, MOVSXD, 3, FORM_REG)                                                                                              \
	M(a, add_rr2, ADD_Gv_Ev, 2, FORM_REG)                                                                                              \
	M(a, add_rr3, ADD_Gv_Ev, 3, FORM_REG)                                                                                              \
	M(a, add_ri2, ADD_Ev_Ib, 2, FORM_REG)                                                                                              \
	M(a, add_ri3, ADD_Ev_Ib, 3, FORM_REG)                                                                                              \
	M(a, sub_rr2, SUB_Gv_Ev, 2, FORM_REG)                                                                                              \
	M(a, sub_rr3, SUB_Gv_Ev, 3, FORM_REG)                                                                                              \
	M(a, and_rr2, AND_Gv_Ev, 2, FORM_REG)                                                                                              \
	M(a, and_ri2, AND_Ev_Ib, 2, FORM_REG)                                                                                              \
	M(a, xor_rr2, XOR_Gv_Ev, 2, FORM_REG)                                                                                              \
	M(a, or_rr3, OR_Gv_Ev, 3, FORM_REG)                                                                                                \
	M(a, cmp_rr3, CMP_Gv_Ev, 3, FORM_REG)                                                                                              \
	M(a, shr_i2, SHR_Ev_Ib, 2, FORM_REG)                                                                                               \
	M(a, shr_i3, SHR_Ev_Ib, 3, FORM_REG)                                                                                               \
	M(a, shl_i3, SHL_Ev_Ib, 3, FORM_REG)                                                                                               \
	M(a, sar_i2, SAR_Ev_Ib, 2, FORM_REG)                                                                                               \
	M(a, mov_rm3bd, MOV_Gv_Ev, 3, FORM_BD)                                                                                             \
	M(a, mov_rm2bd, MOV_Gv_Ev, 2, FORM_BD)                                                                                             \
	M(a, mov_rm3bx, MOV_Gv_Ev, 3, FORM_BX)                                                                                             \
	M(a, movzxb_rm2bd, MOVZX_Gv_Eb, 2, FORM_BD)                                                                                        \
	M(a, movzxb_rm2bx, MOVZX_Gv_Eb, 2, FORM_BX)                                                                                        \
	M(a, movzxw_rm2bd, MOVZX_Gv_Ew, 2, FORM_BD)                                                                                        \
	M(a, mov_mr3bd, MOV_Ev_Gv, 3, FORM_BD)                                                                                             \
	M(a, mov_mr2bd, MOV_Ev_Gv, 2, FORM_BD)                                                                                             \
	M(a, mov_mr1bd, MOV_Ev_Gv, 1, FORM_BD)                                                                                             \
	M(a, push_r, PUSH_Zv, 3, FORM_REG)                                                                                                 \
	M(a, pop_r, POP_Zv, 3, FORM_REG)

/* The list inside the list: expansion is deferred, since a macro does not expand within itself. */
#define EMPTY()
#define DEFER(macro) macro EMPTY()
#define EXPAND(...) __VA_ARGS__
#define MEMBERS_AGAIN() MEMBERS

#define PAIR(first, second, insn, s, operand)                                                                                                  \
	static hret first##_##second(HARGS)                                                                                                \
	{                                                                                                                                  \
		{                                                                                                                          \
			DO_##first                                                                                                         \
		}                                                                                                                          \
		i++;                                                                                                                       \
		{                                                                                                                          \
			DO_##second                                                                                                        \
		}                                                                                                                          \
		NEXT;                                                                                                                      \
	}
#define PAIRS_OF(unused, first, insn, s, operand) DEFER(MEMBERS_AGAIN)()(PAIR, first)
EXPAND(MEMBERS(PAIRS_OF, ))

#define MEMBER_NUMBER(unused, name, insn, s, operand) MEMBER_##name,
enum { MEMBERS(MEMBER_NUMBER, ) MEMBER_COUNT };

#define ENTRY(first, second, insn, s, operand) [MEMBER_##second] = first##_##second,
#define ROW_OF(unused, first, insn, s, operand) [MEMBER_##first] = {DEFER(MEMBERS_AGAIN)()(ENTRY, first)},
static const handler pair_table[MEMBER_COUNT][MEMBER_COUNT] = {EXPAND(MEMBERS(ROW_OF, ))};

/* Members by the address of their single handler; open addressing. */
#define SLOTS 256
static struct {
	handler single;
	u8 number;
} member[SLOTS];

static unsigned
slot_of(handler h)
{
	return (unsigned)((u64)(uintptr_t)h * 0x9e3779b97f4a7c15ull >> 56);
}

static void
add_member(handler h, u8 number)
{
	unsigned n = slot_of(h);
	while (member[n].single)
		n = (n + 1) % SLOTS;
	member[n].single = h;
	member[n].number = number;
}

void
fast_pair_register(void)
{
#define ADD(unused, name, insn, s, operand) add_member(fast_row(INSN_##insn)->form[s][operand], MEMBER_##name);
	MEMBERS(ADD, )
}

static int
number_of(handler h)
{
	for (unsigned n = slot_of(h); member[n].single; n = (n + 1) % SLOTS)
		if (member[n].single == h)
			return member[n].number;
	return -1;
}

handler
fast_pair_of(handler first, handler second)
{
	int a = number_of(first), b = a < 0 ? -1 : number_of(second);
	return b < 0 ? NULL : pair_table[a][b];
}
