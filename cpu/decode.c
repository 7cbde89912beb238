/*
 * Bytes -> struct insn. The rows of insn.def are parsed once, at start; an encoding is found by (VEX or not, opcode map, opcode byte) and then by
 * the row whose constraints all hold. Where two rows match, the one with more constraints stands first; two rows that no order tells apart are a
 * bug in the table, and decode_init() says which.
 *
 * Source: SDM 2, "Instruction Format" and Appendix A.
 */
#include "cpu/decode.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpuid.h"
#include "cpu/pattern.h"

const struct insn_row insn_rows[] = {
#define INSN(id, syntax, opcode, feature, attributes, fn) {#id, syntax, opcode, FEATURE_##feature, attributes, fn},
#include "cpu/insn.def"
#undef INSN
};

#define CANDIDATES 64
static struct pattern pattern[INSN_COUNT];
static u16 bucket[2][MAPS][256][CANDIDATES];
static u8 bucket_size[2][MAPS][256];

const struct pattern *
insn_pattern(unsigned op)
{
	return &pattern[op];
}

static _Noreturn void
bad_row(const struct insn_row *row, const char *why)
{
	fprintf(stderr, "insn.def: %s (\"%s\", \"%s\"): %s\n", row->id, row->syntax, row->opcode, why);
	abort();
}

static u8
register_kind(const char *operand)
{
	return operand[1] == 'b' ? REG_GPR8 : REG_GPR;
}

/* One operand code of the syntax column. Fixed registers ("AL", "rAX", "DX", "1") are not decoded. */
static void
parse_operand(const struct insn_row *row, struct pattern *p, const char *operand, bool first)
{
	if (!strcmp(operand, "AL") && first)
		p->byte = 1;
	if (!islower((unsigned char)operand[1]) || !isupper((unsigned char)operand[0]))
		return;
	if (first && strchr("EGZXYO", operand[0]) && operand[1] == 'b')
		p->byte = 1;
	switch (operand[0]) {
	case 'E':
	case 'R': p->rs = register_kind(operand); p->modrm = 1; break;
	case 'G': p->rd = register_kind(operand); p->modrm = 1; break;
	case 'Z': p->zreg = register_kind(operand); break;
	case 'B': p->rv = REG_GPR; break;
	case 'M':
		p->modrm = 1;
		if (p->mod == MOD_REG)
			bad_row(row, "memory operand and register form");
		p->mod = MOD_MEM;
		break;
	case 'C':
	case 'D': p->register_only = 1; /* fall through */
	case 'V': p->rd = REG_NUMBER; p->modrm = 1; break;
	case 'S': /* REX.R is ignored */
	case 'P': p->rd = REG_NUMBER3; p->modrm = 1; break;
	case 'U': p->mod = MOD_REG; /* fall through */
	case 'W': p->rs = REG_NUMBER; p->modrm = 1; break;
	case 'N': p->mod = MOD_REG; /* fall through */
	case 'Q': p->rs = REG_NUMBER3; p->modrm = 1; break;
	case 'H': p->rv = REG_NUMBER; break;
	case 'I':
	case 'J':
	case 'O':
	case 'A':
	case 'L':
	case 'X':
	case 'Y':
	case 'F': break;
	default: bad_row(row, "unknown operand code");
	}
}

static bool
is_hex_byte(const char *word)
{
	return isxdigit((unsigned char)word[0]) && isxdigit((unsigned char)word[1]) && (!word[2] || word[2] == '+');
}

static void
parse_vex(const struct insn_row *row, struct pattern *p, char *word)
{
	p->vex = 1;
	p->pp = PP_NONE;
	char *save = NULL;
	for (char *part = strtok_r(word, ".", &save); part; part = strtok_r(NULL, ".", &save)) {
		if (!strcmp(part, "VEX") || !strcmp(part, "LIG") || !strcmp(part, "WIG") || !strcmp(part, "NP") || !strcmp(part, "NDS") ||
		    !strcmp(part, "NDD") || !strcmp(part, "DDS"))
			continue;
		else if (!strcmp(part, "128") || !strcmp(part, "L0") || !strcmp(part, "LZ"))
			p->l = L_0;
		else if (!strcmp(part, "256") || !strcmp(part, "L1"))
			p->l = L_1;
		else if (!strcmp(part, "66"))
			p->pp = PP_66;
		else if (!strcmp(part, "F3"))
			p->pp = PP_F3;
		else if (!strcmp(part, "F2"))
			p->pp = PP_F2;
		else if (!strcmp(part, "0F"))
			p->map = MAP_0F;
		else if (!strcmp(part, "0F38"))
			p->map = MAP_0F38;
		else if (!strcmp(part, "0F3A"))
			p->map = MAP_0F3A;
		else if (!strcmp(part, "W0"))
			p->w = W_0;
		else if (!strcmp(part, "W1"))
			p->w = W_1;
		else
			bad_row(row, "unknown part of VEX");
	}
}

static void
parse_word(const struct insn_row *row, struct pattern *p, char *word, unsigned *bytes)
{
	static const struct {
		const char *word;
		u8 imm;
	} imms[] = {{"ib", IMM_B}, {"iw", IMM_W}, {"id", IMM_D}, {"iz", IMM_Z}, {"iv", IMM_V}, {"io", IMM_V}, {"cb", IMM_REL8}, {"cw", IMM_RELZ},
		    {"cd", IMM_RELZ}, {"cz", IMM_RELZ}, {"cp", IMM_FAR}, {"mo", IMM_MOFFS}, {"is4", IMM_B}};
	for (unsigned n = 0; n < COUNT(imms); n++)
		if (!strcmp(word, imms[n].word)) {
			p->imm = p->imm == IMM_W && imms[n].imm == IMM_B ? IMM_WB : imms[n].imm;
			return;
		}
	if (!strcmp(word, "NP"))
		p->pp = PP_NONE;
	else if (!strcmp(word, "NFx"))
		p->pp = PP_NFX;
	else if (!strcmp(word, "W0") || !strcmp(word, "REX.W0"))
		p->w = W_0;
	else if (!strcmp(word, "W1") || !strcmp(word, "REX.W") || !strcmp(word, "REX.W1"))
		p->w = W_1;
	else if (!strcmp(word, "WIG"))
		p->w = W_ANY;
	else if (!strcmp(word, "m") || !strcmp(word, "mem"))
		p->mod = MOD_MEM, p->modrm = 1;
	else if (!strcmp(word, "reg"))
		p->mod = MOD_REG, p->modrm = 1;
	else if (!strcmp(word, "/r"))
		p->modrm = 1;
	else if (word[0] == '/' && isdigit((unsigned char)word[1]) && !word[2])
		p->modrm = 1, p->digit = (s8)(word[1] - '0');
	else if (!strncmp(word, "VEX.", 4))
		parse_vex(row, p, word);
	else if (is_hex_byte(word)) {
		unsigned byte = (unsigned)strtoul(word, NULL, 16);
		bool plus = word[2] == '+';
		if (*bytes == 0 && !p->vex && p->map == MAP_ONE && (byte == 0x66 || byte == 0xf2 || byte == 0xf3) && !plus)
			p->pp = byte == 0x66 ? PP_66 : byte == 0xf2 ? PP_F2 : PP_F3;
		else if (*bytes == 0 && !p->vex && p->map == MAP_ONE && byte == 0x0f)
			p->map = MAP_0F;
		else if (*bytes == 0 && !p->vex && p->map == MAP_0F && (byte == 0x38 || byte == 0x3a) && !plus)
			p->map = byte == 0x38 ? MAP_0F38 : MAP_0F3A;
		else if (*bytes == 0)
			p->opcode = (u8)byte, p->plus = plus, ++*bytes;
		else if (*bytes == 1)
			p->second = (s16)byte, p->second_plus = plus, p->modrm = 1, ++*bytes;
		else
			bad_row(row, "too many opcode bytes");
	} else
		bad_row(row, "unknown word in the opcode column");
}

static void
parse_row(const struct insn_row *row, struct pattern *p)
{
	char text[128];
	*p = (struct pattern){.digit = -1, .second = -1};
	snprintf(text, sizeof text, "%s", row->opcode);
	char *save = NULL;
	unsigned bytes = 0;
	for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
		parse_word(row, p, word, &bytes);
	if (!bytes)
		bad_row(row, "no opcode byte");
	snprintf(text, sizeof text, "%s", row->syntax);
	char *operands = strchr(text, ' ');
	bool first = true;
	for (char *operand = operands ? strtok_r(operands, " ,", &save) : NULL; operand; operand = strtok_r(NULL, " ,", &save)) {
		parse_operand(row, p, operand, first);
		first = false;
	}
	if (p->second >= 0 && p->rs == REG_NONE && p->second_plus)
		p->rs = REG_NUMBER3;
	p->specific = (u8)((p->second >= 0 ? p->second_plus ? 3 : 4 : 0) + (p->digit >= 0 ? 2 : 0) + (p->mod != MOD_ANY) + (p->w != W_ANY) +
			   (p->l != L_ANY) + (p->pp == PP_ANY ? 0 : p->pp == PP_NFX ? 1 : 2) + (p->plus ? 0 : 1) +
			   (row->attributes & (I64 | O64) ? 1 : 0) + (row->feature != FEATURE_BASE ? 1 : 0));
}

/* Could one encoding match both? Looks at each constraint for a contradiction. */
static bool
may_overlap(u16 a, u16 b)
{
	const struct pattern *p = &pattern[a], *q = &pattern[b];
	if ((insn_rows[a].attributes & I64 && insn_rows[b].attributes & O64) || (insn_rows[a].attributes & O64 && insn_rows[b].attributes & I64))
		return false;
	if (p->digit >= 0 && q->digit >= 0 && p->digit != q->digit)
		return false;
	if (p->mod != MOD_ANY && q->mod != MOD_ANY && p->mod != q->mod)
		return false;
	if (p->w != W_ANY && q->w != W_ANY && p->w != q->w)
		return false;
	if (p->l != L_ANY && q->l != L_ANY && p->l != q->l)
		return false;
	if (p->pp != PP_ANY && q->pp != PP_ANY) {
		bool p_rep = p->pp == PP_F2 || p->pp == PP_F3, q_rep = q->pp == PP_F2 || q->pp == PP_F3;
		if (p->pp != q->pp && !(p->pp == PP_NFX && !q_rep) && !(q->pp == PP_NFX && !p_rep))
			return false;
	}
	for (int k = 0; k < 2; k++, q = &pattern[a], p = &pattern[b]) {
		if (p->second < 0)
			continue;
		if (q->second >= 0) {
			unsigned mask = p->second_plus || q->second_plus ? 0xf8 : 0xff;
			if ((p->second & mask) != (q->second & mask))
				return false;
		}
		if (q->mod == MOD_MEM && p->second >= 0xc0)
			return false;
		if (q->digit >= 0 && ((p->second >> 3) & 7) != q->digit)
			return false;
	}
	return true;
}

static void
bucket_add(u16 row, u8 opcode)
{
	struct pattern *p = &pattern[row];
	u16 *list = bucket[p->vex][p->map][opcode];
	u8 *size = &bucket_size[p->vex][p->map][opcode];
	if (*size == CANDIDATES)
		bad_row(&insn_rows[row], "too many rows share this opcode byte");
	unsigned at = *size;
	for (unsigned n = 0; n < *size; n++) {
		if (pattern[list[n]].specific == p->specific && may_overlap(list[n], row)) {
			fprintf(stderr, "insn.def: overlaps %s\n", insn_rows[list[n]].id);
			bad_row(&insn_rows[row], "ambiguous");
		}
		if (pattern[list[n]].specific < p->specific && at == *size)
			at = n;
	}
	memmove(&list[at + 1], &list[at], (*size - at) * sizeof *list);
	list[at] = row;
	++*size;
}

void
decode_init(void)
{
	static bool done;
	if (done)
		return;
	done = true;
	for (u16 row = 0; row < INSN_COUNT; row++) {
		struct pattern *p = &pattern[row];
		parse_row(&insn_rows[row], p);
		for (unsigned n = 0; n < (p->plus ? 8 : 1); n++)
			bucket_add(row, (u8)(p->opcode + n));
	}
}

/* What the prefixes and the bytes read so far say. */
struct cursor {
	const u8 *bytes;
	unsigned n, at;
	bool short_of; /* more bytes were wanted than given */
};

static u64
take(struct cursor *c, unsigned size)
{
	u64 v = 0;
	if (c->at + size > c->n) {
		c->short_of = true;
		return 0;
	}
	memcpy(&v, c->bytes + c->at, size);
	c->at += size;
	return v;
}

static s64
take_signed(struct cursor *c, unsigned size)
{
	return sign_extend(take(c, size), size);
}

struct prefixes {
	bool osize, asize, lock;
	u8 rep;     /* 0, 0xf2, 0xf3: the last one counts */
	s8 segment; /* override or -1 */
	u8 rex;     /* 0 or 0x40..0x4f; from VEX too */
	bool vex, l;
	u8 vvvv, map, vex_pp;
};

static void
memory_operand_16(struct cursor *c, u8 modrm, struct insn *in, int *segment)
{
	static const u8 base[8] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
	unsigned rm = modrm & 7, mod = modrm >> 6;
	in->rb = base[rm] * 8;
	in->rx = rm < 4 ? (rm & 1 ? RDI : RSI) * 8 : ZERO_SLOT;
	if (mod == 0 && rm == 6) {
		in->rb = ZERO_SLOT;
		in->disp = (s32)take_signed(c, 2);
		return;
	}
	if (base[rm] == RBP)
		*segment = SS;
	if (mod)
		in->disp = (s32)take_signed(c, mod == 1 ? 1 : 2);
}

static void
memory_operand(struct cursor *c, u8 modrm, u8 rex, bool long64, struct insn *in, int *segment)
{
	unsigned rm = modrm & 7, mod = modrm >> 6, base = rm;
	in->rx = ZERO_SLOT;
	if (rm == 4) {
		u8 sib = (u8)take(c, 1);
		unsigned index = ((sib >> 3) & 7) | (rex & 2) << 2;
		base = sib & 7;
		if (index != 4) {
			in->rx = (u8)(index * 8);
			in->ea |= sib >> 6;
		}
		if (base == 5 && mod == 0) {
			in->rb = ZERO_SLOT;
			in->disp = (s32)take_signed(c, 4);
			return;
		}
	} else if (rm == 5 && mod == 0) {
		in->rb = long64 ? RIP_SLOT : ZERO_SLOT;
		in->disp = (s32)take_signed(c, 4);
		return;
	}
	base |= (rex & 1u) << 3;
	if (base == RSP || base == RBP)
		*segment = SS;
	in->rb = (u8)(base * 8);
	if (mod)
		in->disp = (s32)take_signed(c, mod == 1 ? 1 : 4);
}

static u8
register_slot(unsigned kind, unsigned number, bool rex)
{
	switch (kind) {
	case REG_GPR8:
		if (!rex && number >= 4 && number < 8)
			return (u8)((number - 4) * 8 + 1);
		return (u8)(number * 8);
	case REG_GPR: return (u8)(number * 8);
	case REG_NUMBER3: return number & 7;
	default: return (u8)number;
	}
}

static bool
row_matches(const struct vcpu *cpu, u16 row, const struct prefixes *x, enum code_size size, int modrm)
{
	const struct pattern *p = &pattern[row];
	unsigned attributes = insn_rows[row].attributes;
	if (size == CODE64 ? attributes & I64 : attributes & O64)
		return false;
	if (attributes & PROT && !(cpu->cr0 & CR0_PE && !cpu_vm86(cpu)))
		return false;
	bool w = x->rex & 8;
	if ((p->w == W_0 && w) || (p->w == W_1 && !w))
		return false;
	if (x->vex) {
		static const u8 pp[4] = {PP_NONE, PP_66, PP_F3, PP_F2};
		if (p->pp != pp[x->vex_pp] || (p->l == L_0 && x->l) || (p->l == L_1 && !x->l))
			return false;
		if (p->rv == REG_NONE && x->vvvv)
			return false;
	} else {
		switch (p->pp) {
		case PP_NONE:
			if (x->osize || x->rep)
				return false;
			break;
		case PP_66:
			if (!x->osize || x->rep)
				return false;
			break;
		case PP_F3:
			if (x->rep != 0xf3)
				return false;
			break;
		case PP_F2:
			if (x->rep != 0xf2)
				return false;
			break;
		case PP_NFX:
			if (x->rep)
				return false;
			break;
		default: break;
		}
	}
	if (p->modrm) {
		if (modrm < 0)
			return false;
		if ((p->mod == MOD_MEM && modrm >= 0xc0) || (p->mod == MOD_REG && modrm < 0xc0))
			return false;
		if (p->digit >= 0 && ((modrm >> 3) & 7) != p->digit)
			return false;
		if (p->second >= 0 && (p->second_plus ? modrm & 0xf8 : modrm) != p->second)
			return false;
	}
	return cpu->model->has[insn_rows[row].feature];
}

/* Prefixes, VEX and opcode bytes. Returns the opcode byte, or -1 for #UD. */
static int
take_opcode(struct cursor *c, enum code_size size, const struct vcpu *cpu, struct prefixes *x)
{
	u8 byte;
	for (;;) {
		byte = (u8)take(c, 1);
		if (c->short_of)
			return 0;
		switch (byte) {
		case 0x26: x->segment = ES; break;
		case 0x2e: x->segment = CS; break;
		case 0x36: x->segment = SS; break;
		case 0x3e: x->segment = DS; break;
		case 0x64: x->segment = FS; break;
		case 0x65: x->segment = GS; break;
		case 0x66: x->osize = true; break;
		case 0x67: x->asize = true; break;
		case 0xf0: x->lock = true; break;
		case 0xf2:
		case 0xf3: x->rep = byte; break;
		default: goto opcode;
		}
		x->rex = 0;
		continue;
	opcode:
		if (size == CODE64 && (byte & 0xf0) == 0x40) {
			x->rex = byte;
			continue;
		}
		break;
	}
	if (byte == 0xc4 || byte == 0xc5) {
		bool vex = size == CODE64;
		if (!vex && cpu->cr0 & CR0_PE && !cpu_vm86(cpu)) {
			if (c->at >= c->n) {
				c->short_of = true;
				return 0;
			}
			vex = c->bytes[c->at] >= 0xc0;
		}
		if (vex) {
			if (x->osize || x->rep || x->lock || x->rex)
				return -1;
			u8 b1 = (u8)take(c, 1), b2;
			x->vex = true;
			x->map = MAP_0F;
			x->rex = b1 & 0x80 ? 0x40 : 0x44;
			if (byte == 0xc5) {
				b2 = b1 & 0x7f;
			} else {
				b2 = (u8)take(c, 1);
				x->rex = (u8)(0x40 | (~b1 >> 5 & 7) | (b2 & 0x80 ? 8 : 0));
				x->map = b1 & 0x1f;
				if (x->map < MAP_0F || x->map > MAP_0F3A)
					return -1;
			}
			if (size != CODE64)
				x->rex &= 0x48; /* R, X, B are ignored: they read as register 0..7 */
			x->vvvv = (u8)(~b2 >> 3 & 15);
			x->l = b2 & 4;
			x->vex_pp = b2 & 3;
			return (int)take(c, 1);
		}
	}
	if (byte != 0x0f)
		return byte;
	byte = (u8)take(c, 1);
	x->map = byte == 0x38 ? MAP_0F38 : byte == 0x3a ? MAP_0F3A : MAP_0F;
	return x->map == MAP_0F ? byte : (int)take(c, 1);
}

static unsigned
operand_size_log2(const struct pattern *p, unsigned attributes, const struct prefixes *x, enum code_size size)
{
	if (p->byte)
		return 0;
	bool osize = x->osize && p->pp != PP_66 && !(attributes & NOOSZ);
	if (size == CODE64) {
		if (attributes & F64 || x->rex & 8)
			return 3;
		if (attributes & D64)
			return osize ? 1 : 3;
		return osize ? 1 : 2;
	}
	return (size == CODE32) != osize ? 2 : 1;
}

static void
take_immediate(struct cursor *c, const struct pattern *p, struct insn *in, unsigned asize)
{
	unsigned osize = 1u << PREFIX_OSIZE(in->prefix), z = osize == 2 ? 2 : 4;
	switch (p->imm) {
	case IMM_B: in->imm = take_signed(c, 1); break;
	case IMM_W: in->imm = take_signed(c, 2); break;
	case IMM_D: in->imm = take_signed(c, 4); break;
	case IMM_Z: in->imm = take_signed(c, z); break;
	case IMM_V: in->imm = take_signed(c, osize); break;
	case IMM_REL8: in->disp = (s32)take_signed(c, 1); break;
	case IMM_RELZ: in->disp = (s32)take_signed(c, z); break;
	case IMM_FAR: in->imm = (s64)take(c, z); in->imm |= (s64)(take(c, 2) << 32); break;
	case IMM_MOFFS: in->imm = (s64)take(c, 1u << asize); break;
	case IMM_WB: in->imm = (s64)take(c, 2); in->imm |= (s64)(take(c, 1) << 16); break;
	default: break;
	}
}

enum decode_result
decode(const struct vcpu *cpu, enum code_size size, const u8 *bytes, unsigned n, struct insn *out)
{
	struct cursor c = {bytes, MIN(n, 15), 0, false};
	struct prefixes x = {.segment = -1};
	*out = (struct insn){.rb = ZERO_SLOT, .rx = ZERO_SLOT};
	int opcode = take_opcode(&c, size, cpu, &x);
	if (c.short_of)
		return n >= 15 ? DECODE_TOO_LONG : DECODE_MORE;
	if (opcode < 0)
		return DECODE_UD;
	int modrm = c.at < c.n ? c.bytes[c.at] : -1;
	const u16 *list = bucket[x.vex][x.map][opcode];
	unsigned count = bucket_size[x.vex][x.map][opcode], k = 0;
	while (k < count && !row_matches(cpu, list[k], &x, size, modrm))
		k++;
	if (k == count) {
		/* A row that wants ModRM may match once the byte is there. */
		if (modrm < 0)
			for (unsigned m = 0; m < count; m++)
				if (pattern[list[m]].modrm)
					return n >= 15 ? DECODE_TOO_LONG : DECODE_MORE;
		return DECODE_UD;
	}
	const struct pattern *p = &pattern[list[k]];
	unsigned attributes = insn_rows[list[k]].attributes;
	unsigned asize = size == CODE64 ? (x.asize ? 2 : 3) : (size == CODE32) != x.asize ? 2 : 1;
	int segment = DS;
	out->op = list[k];
	out->prefix = (u8)(operand_size_log2(p, attributes, &x, size) | (x.rep == 0xf2 ? PREFIX_REPNE : x.rep == 0xf3 ? PREFIX_REP : 0) |
			   (x.lock ? PREFIX_LOCK : 0) | (x.l ? PREFIX_L : 0) | (x.rex & 8 ? PREFIX_W : 0) | (x.vex ? PREFIX_VEX : 0));
	if (p->modrm) {
		c.at++;
		if (p->register_only)
			modrm |= 0xc0;
		out->rd = register_slot(p->rd, ((modrm >> 3) & 7) | (x.rex & 4) << 1, x.rex);
		if (modrm >= 0xc0) {
			out->rs = register_slot(p->rs, (modrm & 7) | (x.rex & 1) << 3, x.rex);
		} else {
			out->ea = EA_MEM;
			u8 sib = c.at < c.n ? c.bytes[c.at] : 0;
			if (attributes & VSIB && (asize == 1 || (modrm & 7) != 4))
				return DECODE_UD;
			if (asize == 1)
				memory_operand_16(&c, (u8)modrm, out, &segment);
			else
				memory_operand(&c, (u8)modrm, x.rex, size == CODE64, out, &segment);
			if (attributes & VSIB) {
				out->rx = (u8)((sib >> 3 & 7) | (x.rex & 2) << 2);
				out->ea = (u8)(EA_MEM | sib >> 6);
			}
		}
	}
	if (p->zreg)
		out->rd = register_slot(p->zreg, (opcode & 7) | (x.rex & 1) << 3, x.rex);
	if (p->rv)
		out->rv = register_slot(p->rv, size == CODE64 ? x.vvvv : x.vvvv & 7, x.rex);
	if (size == CODE64 ? x.segment >= FS : x.segment >= 0)
		segment = x.segment;
	out->ea |= (u8)(segment << 2 | asize << 5);
	take_immediate(&c, p, out, asize);
	if (c.short_of)
		return n >= 15 ? DECODE_TOO_LONG : DECODE_MORE;
	if (x.lock && !(attributes & LOCK && out->ea & EA_MEM))
		return DECODE_UD;
	out->where = (u16)(c.at << 12);
	return DECODE_OK;
}
