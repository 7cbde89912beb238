/* Choosing fast forms: by row, size, operands and what is known of the flags. */
#include "cpu/fast.h"

#include <string.h>

#include "cpu/decode.h"

#define PAIRS 512

static struct fast_row row[INSN_COUNT];
static struct fast_jump_pair pair[PAIRS]; /* hashed by first handler, open addressing */

struct fast_row *
fast_row(unsigned op)
{
	return &row[op];
}

static unsigned
pair_slot(handler first)
{
	return (unsigned)((u64)(uintptr_t)first * 0x9e3779b97f4a7c15ull >> 55);
}

void
fast_jump_pair_add(handler first, const handler by_condition[16])
{
	unsigned n = pair_slot(first);
	while (pair[n].first && pair[n].first != first)
		n = (n + 1) % PAIRS;
	pair[n] = (struct fast_jump_pair){first, by_condition};
}

void
fast_init(void)
{
	static bool done;
	if (done)
		return;
	done = true;
	fast_alu_register();
	fast_move_register();
	fast_jump_register();
	fast_pair_register();
}

static bool
is_jcc(unsigned op)
{
	return (op >= INSN_JO_Jb && op <= INSN_JNLE_Jb) || (op >= INSN_JO_Jz && op <= INSN_JNLE_Jz);
}

static unsigned
condition_of(unsigned op)
{
	return op >= INSN_JO_Jz ? op - INSN_JO_Jz : op - INSN_JO_Jb;
}

bool
fast_is_direct_jump(const struct insn *in)
{
	return is_jcc(in->op) || in->op == INSN_JMP_Jb || in->op == INSN_JMP_Jz || in->op == INSN_CALL_Jz;
}

/* FS and GS bases become the address's missing register, if one is missing. */
static bool
add_segment_base(struct insn *in, u32 mode)
{
	unsigned seg = EA_SEG(in->ea);
	if (seg == CS) /* never writable, perhaps not readable: the complete form looks */
		return false;
	if (seg < FS)
		return true;
	unsigned slot = offsetof(struct vcpu, seg) + seg * sizeof(struct segment) + offsetof(struct segment, base);
	if (!(mode & MODE_CODE64) || EA_ASIZE(in->ea) != 3)
		return false;
	if (in->rx == ZERO_SLOT)
		in->rx = (u8)slot;
	else if (in->rb == ZERO_SLOT)
		in->rb = (u8)slot;
	else
		return false;
	in->ea = (u8)((in->ea & ~0x1c) | DS << 2);
	return true;
}

handler
fast_form(struct insn *in, u32 mode)
{
	const struct fast_row *r = &row[in->op];
	unsigned size = PREFIX_OSIZE(in->prefix);
	if (r->only64 && !(mode & MODE_CODE64))
		return NULL;
	if (fast_is_direct_jump(in) && size == 1)
		return NULL; /* 16-bit targets are cut */
	if (in->op == INSN_XCHG_Zv_rAX && in->rd == RAX * 8)
		return fast_nop;
	if (!(in->ea & EA_MEM)) {
		handler h = r->form[size][FORM_REG];
		if (!h)
			return NULL;
		if (r->order == ORDER_RM_DESTINATION) {
			u8 rm = in->rs;
			in->rs = in->rd;
			in->rd = rm;
		} else if (r->order == ORDER_RAX) {
			in->rd = RAX * 8;
		}
		return h;
	}
	unsigned asize = EA_ASIZE(in->ea);
	if (asize == 1)
		return NULL;
	enum fast_operand form = asize == 2 ? FORM_A32 : FORM_BD;
	if (!r->form[size][form])
		return NULL;
	bool address_only = in->op == INSN_LEA || r->form[size][form] == fast_nop;
	if (!address_only && !add_segment_base(in, mode))
		return NULL;
	if (asize == 3 && in->rx != ZERO_SLOT)
		form = FORM_BX;
	return r->form[size][form];
}

/* The handler for `first` and the conditional jump `second`, or NULL. */
static handler
jump_pair_of(handler first, const struct insn *second)
{
	if (!is_jcc(second->op) || second->fn == h_slow_end)
		return NULL;
	for (unsigned n = pair_slot(first); pair[n].first; n = (n + 1) % PAIRS)
		if (pair[n].first == first)
			return pair[n].by_condition[condition_of(second->op)];
	return NULL;
}

/* Conditions whose flags come from a known instruction of the block read them directly. */
static void
know_flags(struct insn *in, unsigned n)
{
	enum flags_effect known = EFFECT_UNKNOWN;
	for (; n--; in++) {
		unsigned size = PREFIX_OSIZE(in->prefix);
		bool single = !(in->ea & EA_MEM) && in->fn == row[in->op].form[size][FORM_REG];
		if (is_jcc(in->op) && in->fn != h_slow_end)
			in->fn = fast_jcc(condition_of(in->op), known);
		else if (single && in->op >= INSN_SETO && in->op <= INSN_SETNLE)
			in->fn = fast_setcc(in->op - INSN_SETO, known);
		else if (single && in->op >= INSN_CMOVO && in->op <= INSN_CMOVNLE)
			in->fn = fast_cmovcc(in->op - INSN_CMOVO, known, size);
		if (row[in->op].effect != EFFECT_NONE)
			known = row[in->op].effect;
	}
}

void
fast_fuse(struct insn *in, unsigned n)
{
	know_flags(in, n);
	for (unsigned k = 0; k + 1 < n; k++) {
		handler both = jump_pair_of(in[k].fn, &in[k + 1]);
		/* A compare that its jump wants is not given away to the instruction before it. */
		if (!both && !(k + 2 < n && jump_pair_of(in[k + 1].fn, &in[k + 2])))
			both = fast_pair_of(in[k].fn, in[k + 1].fn);
		if (both)
			in[k++].fn = both;
	}
}
