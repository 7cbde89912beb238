/*
 * Random cases from the parsed rows of insn.def. What the operands mean is read off the row too; the few lines that know an instruction by name only
 * make it likelier that something happens besides a fault.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "cpu/cpuid.h"
#include "tests/insn/differential.h"

static bool
mnemonic_in(const char *patterns, const struct insn_row *row)
{
	char name[32], list[256], *save = NULL;
	snprintf(name, sizeof name, "%.*s", (int)strcspn(row->syntax, " "), row->syntax);
	snprintf(list, sizeof list, "%s", patterns);
	for (char *p = strtok_r(list, " ", &save); p; p = strtok_r(NULL, " ", &save))
		if (fnmatch(p, name, 0) == 0)
			return true;
	return false;
}

const char *
row_excluded(u16 op)
{
	static const struct {
		const char *mnemonics, *reason;
	} list[] = {
#define EXCLUDED(mnemonics, reason) {mnemonics, reason},
#define FAULTS(mnemonics, reason)
#include "tests/insn/excluded.def"
#undef FAULTS
#undef EXCLUDED
	};
	const struct insn_row *row = &insn_rows[op];
	const struct pattern *p = insn_pattern(op);
	if (!host_has(row->feature) || (p->vex && !host_has(FEATURE_AVX)))
		return "the host has no such instruction";
	if (!guest_cpu()->model->has[row->feature])
		return "the model has no such instruction";
	for (unsigned n = 0; n < COUNT(list); n++)
		if (mnemonic_in(list[n].mnemonics, row))
			return list[n].reason;
	if (strstr(row->syntax, "Mp") || p->imm == IMM_FAR)
		return "far transfer: depends on the host's descriptor tables";
	if (strstr(row->syntax, " Sw,") || (!strncmp(row->id, "POP_", 4) && strstr(row->syntax, "S") && !p->zreg && !p->modrm))
		return "loads a segment register from the host's descriptor tables";
	return NULL;
}

#define SHIFTS "rcl rcr rol ror shl shr sal sar shld shrd"

/* --- encoding --- */

struct maker {
	struct random *r;
	struct test_case *c;
	struct step *s;
	const struct insn_row *row;
	const struct pattern *p;
	/* prefixes and fields */
	bool osize, asize, lock, w, use_rex, l;
	unsigned registers; /* 8 or 16 */
	u8 rep, segment;
	u8 mandatory;
	unsigned reg, rm, vvvv;
	bool memory;
	/* memory form */
	int base, index; /* registers, or -1 */
	unsigned scale;
	bool rip_relative;
	unsigned disp_size;
	s32 disp;
	u64 target; /* linear address wanted */
	u64 immediate;
	unsigned disp_at; /* of the displacement in the bytes */
	u32 *fixed; /* general registers whose value is decided */
};

static bool
is_fixed(const struct maker *m, unsigned n)
{
	return *m->fixed >> n & 1;
}

/* The first to decide it does. */
static void
set_register(struct maker *m, unsigned n, u64 value)
{
	if (!is_fixed(m, n))
		m->c->start.r[n] = value;
	*m->fixed |= 1u << n;
}

static u64
segment_base(const struct maker *m)
{
	return m->c->size != CODE64 ? 0 : m->segment == 0x64 ? m->c->start.fs : m->segment == 0x65 ? m->c->start.gs : 0;
}

static bool
is(const struct maker *m, const char *patterns)
{
	return mnemonic_in(patterns, m->row);
}

/* A linear address of data: mostly ordinary, aligned or not; now and then at an edge, read only, unmapped or not canonical. */
static u64
random_target(struct random *r)
{
	u64 offset;
	switch (random_below(r, 16)) {
	case 0: offset = 0x1000 - random_below(r, 64); break;
	case 1: offset = DATA_SIZE - random_below(r, 64); break;
	case 2: offset = one_in(r, 3) ? DATA_SIZE + FIXED_SIZE - random_below(r, 64) : DATA_SIZE + random_below(r, FIXED_SIZE); break;
	case 3:
		switch (random_below(r, 8)) {
		case 0: return 0x8000000000000000 | random_64(r) >> 16;
		case 1: return 0x800000000000 - random_below(r, 40);
		case 2: return 0x900000000000 + random_below(r, 100);
		case 3: return DATA_BASE - random_below(r, 40);
		case 4: return random_below(r, 64);
		default: offset = DATA_SIZE + FIXED_SIZE + random_below(r, 4096); break;
		}
		break;
	default: offset = 512 + random_below(r, 0x1000); break;
	}
	if (!one_in(r, 3))
		offset &= ~(u64)(one_in(r, 2) ? 31 : 7);
	return DATA_BASE + offset;
}

static bool
canonical(u64 address)
{
	return (u64)((s64)(address << 16) >> 16) == address;
}

/*
 * A target that the segment's base leads to. By the SDM only the sum of base and offset must be canonical; AMD processors fault (#GP) on an offset
 * that is not, so such sums are left out.
 */
static u64
random_target_of(const struct maker *m)
{
	u64 target;

	do
		target = random_target(m->r);
	while (canonical(target) && !canonical(target - segment_base(m)));
	return target;
}

/* Where a jump may go: breakpoints, or nowhere. Never into the case itself. */
static u64
random_code_target(struct random *r, const struct test_case *c)
{
	u64 offset;
	if (one_in(r, 12))
		return one_in(r, 2) ? DATA_BASE + random_below(r, 64) : CODE_BASE + CODE_SIZE + random_below(r, 64);
	do
		offset = random_below(r, CODE_SIZE);
	while (offset + 32 > c->code_offset && offset < c->code_offset + INSNS_MAX * 15u + 32);
	return CODE_BASE + offset;
}

static void
choose_prefixes(struct maker *m)
{
	const struct pattern *p = m->p;
	struct random *r = m->r;
	unsigned attributes = m->row->attributes;
	m->w = p->w == W_1 || (p->w == W_ANY && (p->vex || m->c->size == CODE64) && one_in(r, 3));
	m->registers = m->c->size == CODE64 ? 16 : 8;
	m->l = p->l == L_1 || (p->l == L_ANY && one_in(r, 2));
	m->asize = one_in(r, 8) && !(attributes & VSIB && m->c->size != CODE64);
	if (one_in(r, 6)) {
		static const u8 segments[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x64, 0x65};
		m->segment = segments[random_below(r, COUNT(segments))];
	}
	if (p->vex)
		return;
	m->mandatory = p->pp == PP_66 ? 0x66 : p->pp == PP_F3 ? 0xf3 : p->pp == PP_F2 ? 0xf2 : 0;
	/* In 64-bit mode AMD cuts RIP to 16 bits where Intel ignores the prefix. */
	bool branch = m->c->size == CODE64 && (p->imm == IMM_REL8 || p->imm == IMM_RELZ || is(m, "jmp call ret"));
	if ((p->pp == PP_ANY || p->pp == PP_NFX) && !branch)
		m->osize = one_in(r, 4);
	if (attributes & STR && !one_in(r, 3))
		m->rep = one_in(r, 2) ? 0xf3 : 0xf2;
	if (p->pp == PP_ANY && !(attributes & STR) && one_in(r, 24) && !is(m, "loop*"))
		m->rep = one_in(r, 2) ? 0xf3 : 0xf2;
	m->use_rex = m->c->size == CODE64 && one_in(r, 2);
}

/* --- operands --- */

static s32
small_displacement(struct random *r)
{
	return one_in(r, 2) ? (s32)random_below(r, 256) - 128 : (s32)random_below(r, 0x10000) - 0x8000;
}

/*
 * Registers and displacement so that the memory operand is at m->target. RIP-relative displacements are patched once the length is known.
 */
static void
choose_memory(struct maker *m)
{
	struct random *r = m->r;
	struct registers *s = &m->c->start;
	bool vsib = m->row->attributes & VSIB;
	m->target = random_target_of(m);
	m->scale = random_below(r, 4);
	m->index = vsib || one_in(r, 2) ? (int)random_below(r, m->registers) : -1;
	if (m->index == 4 && !vsib)
		m->index = -1;
	m->base = one_in(r, 6) ? -1 : (int)random_below(r, m->registers);
	m->rip_relative = !vsib && m->c->size == CODE64 && one_in(r, 8);
	if (m->rip_relative)
		m->base = m->index = -1;
	/* What base and index leave to add. */
	u64 start = segment_base(m);
	u64 offset = m->target - start;
	if (m->asize && m->c->size != CODE64) { /* 16-bit forms: wherever they lead, it is not mapped */
		m->base = (int)random_below(r, 8);
		m->disp_size = random_below(r, 3);
		m->disp = (s32)random_64(r);
		return;
	}
	if (m->asize)
		offset = (u32)offset;
	if (m->rip_relative) {
		m->disp_size = 4;
		return;
	}
	if (vsib) {
		/* Small offsets from the middle, a few beyond the end. */
		bool quad = strstr(m->row->syntax, "gatherq");
		for (unsigned n = 0; n < 32; n += quad ? 8 : 4) {
			s64 index = (s64)random_below(r, 500) - 250;
			if (one_in(r, 64))
				index = 0x3000 >> m->scale;
			memcpy(s->vec[m->index] + n, &index, quad ? 8 : 4);
		}
		m->disp_size = m->base < 0 ? 4 : one_in(r, 2);
		m->disp = m->disp_size ? small_displacement(r) : 0;
		if (m->disp_size == 1)
			m->disp = (s8)m->disp;
		if (m->base >= 0)
			set_register(m, (unsigned)m->base, DATA_BASE + 0x1000 - (u64)(s64)m->disp - start);
		else
			m->disp = (s32)(DATA_BASE + 0x1000);
		return;
	}
	bool index_was_fixed = m->index >= 0 && is_fixed(m, (unsigned)m->index);
	if (m->index >= 0)
		set_register(m, (unsigned)m->index, one_in(r, 2) ? random_below(r, 1000) : random_word(r));
	u64 rest = offset - (m->index >= 0 ? s->r[m->index] << m->scale : 0);
	if (m->base < 0) {
		m->disp_size = 4;
		m->disp = (s32)rest;
		return;
	}
	bool small = one_in(r, 2);
	m->disp_size = small ? one_in(r, 2) : 4;
	m->disp = m->disp_size ? small_displacement(r) : 0;
	if (m->disp_size == 1)
		m->disp = (s8)m->disp;
	if (m->base == m->index) {
		u64 each = rest + (s->r[m->index] << m->scale);
		if (!index_was_fixed)
			s->r[m->index] = each / (1 + (1u << m->scale));
		m->disp_size = 4;
		m->disp = (s32)(each - s->r[m->index] * (1 + (1u << m->scale)));
		return;
	}
	u64 value = rest - (u64)(s64)m->disp;
	if (m->asize && one_in(r, 2))
		value |= random_64(r) << 32;
	if (!is_fixed(m, (unsigned)m->base)) {
		set_register(m, (unsigned)m->base, value);
	} else if (m->disp_size == 4) {
		m->disp = (s32)(rest - s->r[m->base]);
	}
}

/* Values that the row's implicit operands need to be worth something; before the memory operand is placed. */
static void
choose_implicit(struct maker *m)
{
	struct random *r = m->r;
	struct registers *s = &m->c->start;
	u64 stack = random_target_of(m);
	if (one_in(r, 4))
		stack &= ~7ull;
	set_register(m, RSP, stack);
	if (m->row->attributes & STR) {
		u64 count = one_in(r, 8) ? 0 : random_below(r, 40);
		if (m->asize)
			count |= random_64(r) << (m->c->size == CODE64 ? 32 : 16);
		if (m->rep)
			set_register(m, RCX, count);
		set_register(m, RSI, random_target_of(m) - segment_base(m));
		set_register(m, RDI, one_in(r, 4) ? s->r[RSI] + random_below(r, 17) - 8 : random_target_of(m));
	}
	if (is(m, "jrcxz jcxz jecxz loop*") && one_in(r, 2))
		set_register(m, RCX, random_below(r, 3) | (one_in(r, 2) ? random_64(r) << 32 : 0));
	if (is(m, "xlat"))
		set_register(m, RBX, random_target_of(m) - (u8)s->r[RAX] - segment_base(m));
	if (is(m, "maskmov* vmaskmovdqu"))
		set_register(m, RDI, random_target_of(m) - segment_base(m));
	if (is(m, "enter leave"))
		set_register(m, RBP, random_target_of(m));
	if (is(m, "div idiv") && !one_in(r, 3)) {
		bool negative = one_in(r, 2);
		if (m->p->byte)
			set_register(m, RAX, (u64)((s64)random_below(r, 2000) - 1000));
		else
			set_register(m, RDX, one_in(r, 2) ? (negative ? ~0ull : 0) : random_below(r, 100));
	}
	if (is(m, "xrstor* xsave*")) {
		set_register(m, RAX, one_in(r, 4) ? 7 : random_below(r, 8));
		set_register(m, RDX, 0);
	}
	if (is(m, SHIFTS) && one_in(r, 2)) /* 1 is where OF is defined */
		set_register(m, RCX, (one_in(r, 2) ? 1 : random_below(r, 66)) | (random_64(r) & ~0xffull));
}

/* The memory operand's bytes, where chance alone would only make faults. After everything else. */
static void
choose_data(struct maker *m)
{
	struct random *r = m->r;
	struct test_case *c = m->c;
	struct registers *s = &c->start;
	u64 at = m->target - DATA_BASE;
	if (m->row->attributes & STR && one_in(r, 2))
		memset(c->data, (int)(one_in(r, 2) ? s->r[RAX] : random_64(r)) & 0xff, DATA_SIZE);
	u64 top = s->r[RSP] - DATA_BASE;
	if (is(m, "popf") && top < DATA_SIZE - 8) {
		c->data[top + 1] &= 0xfe; /* TF would trap on one side only */
	}
	if (is(m, "ret") && top < DATA_SIZE - 8 && !one_in(r, 8)) {
		u64 to = random_code_target(r, c);
		memcpy(c->data + top, &to, 8);
	}
	if (!m->memory || m->row->attributes & VSIB || at >= DATA_SIZE)
		return;
	unsigned size = MIN(64u, DATA_SIZE - (unsigned)at);
	random_fill(r, c->data + at, size);
	if (at >= DATA_SIZE - 528)
		size = DATA_SIZE - (unsigned)at;
	if (strstr(m->row->syntax, "Mt") && size >= 10 && one_in(r, 2)) {
		u16 sign_exponent;
		u64 significand;
		random_extended(r, &significand, &sign_exponent);
		memcpy(c->data + at, &significand, 8);
		memcpy(c->data + at + 8, &sign_exponent, 2);
	}
	if (is(m, "cmpxchg*") && one_in(r, 2)) {
		unsigned half = strstr(m->row->id, "16B") || m->w ? 8 : 4;
		if (at < DATA_SIZE - 16) {
			memcpy(c->data + at, &s->r[RAX], 8);
			if (is(m, "cmpxchg8b cmpxchg16b"))
				memcpy(c->data + at + half, &s->r[RDX], half);
		}
	}
	/* Bit 17 of MXCSR is AMD's own. Others reserved fault. */
	if (is(m, "ldmxcsr vldmxcsr") && at < DATA_SIZE - 4) {
		c->data[at + 2] &= 0xfd;
		if (!one_in(r, 4))
			c->data[at + 2] = c->data[at + 3] = 0;
	}
	if (is(m, "fxrstor xrstor") && at < DATA_SIZE - 832) {
		u8 *image = c->data + at;
		random_fill(r, image + 32, 128);
		random_fill(r, image + 160, 256);
		memcpy(image, &(u16){(u16)random_64(r)}, 2);
		memcpy(image + 2, &(u16){(u16)random_64(r)}, 2);
		image[4] = (u8)random_64(r);
		memcpy(image + 24, &(u32){(u32)random_64(r) & 0xffff}, 4);
		if (is(m, "xrstor")) {
			memset(image + 512, 0, 64);
			image[512] = (u8)random_below(r, 8);
			if (one_in(r, 16))
				image[512 + random_below(r, 64)] = (u8)random_64(r) & 0x7f;
			random_fill(r, image + 576, 256);
		}
	}
	if (is(m, "jmp call") && at < DATA_SIZE - 8 && !one_in(r, 8)) {
		u64 to = random_code_target(r, c);
		memcpy(c->data + at, &to, 8);
	}
}

static void
choose_operands(struct maker *m)
{
	const struct pattern *p = m->p;
	struct random *r = m->r;
	struct registers *s = &m->c->start;
	m->memory = p->modrm && p->second < 0 && (p->mod == MOD_MEM || (p->mod == MOD_ANY && one_in(r, 2)));
	m->reg = p->digit >= 0 ? (unsigned)p->digit : random_below(r, m->registers);
	m->rm = random_below(r, m->registers);
	m->vvvv = p->rv == REG_NONE ? 0 : random_below(r, m->registers);
	choose_implicit(m);
	/* The bit number reaches as far as it says from the operand's address. */
	if (is(m, "bt bts btr btc") && p->imm == IMM_NONE && m->memory && !is_fixed(m, m->reg))
		set_register(m, m->reg, (u64)((s64)random_below(r, 4000) - 2000));
	if (m->memory)
		choose_memory(m);
	else if (p->imm == IMM_MOFFS)
		m->target = random_target_of(m);
	m->lock = one_in(r, m->row->attributes & LOCK && m->memory ? 4 : 100) && !p->vex;
	if (p->register_only) /* LOCK MOV CR0 is AMD's way to CR8 */
		m->lock = false;
	if (is(m, "jmp call") && p->rs && !m->memory && !is_fixed(m, m->rm) && !one_in(r, 8))
		set_register(m, m->rm, random_code_target(r, m->c));
	if (is(m, "div idiv") && !m->memory && one_in(r, 2) && m->rm != RSP && !is_fixed(m, m->rm))
		set_register(m, m->rm, 1 + random_below(r, 1000));
	if (is(m, "cmpxchg") && !m->memory && one_in(r, 2) && m->rm != RSP)
		set_register(m, m->rm, s->r[RAX]);
	if (is(m, "wr?sbase") && !one_in(r, 4) && m->rm != RSP)
		s->r[m->rm] = (u64)((s64)(s->r[m->rm] << 16) >> 16);
}

static u64
choose_immediate(struct maker *m)
{
	static const u8 corner[] = {0, 1, 0xff, 0x7f, 0x80, 7, 8, 15, 16, 31, 32, 63, 64};
	struct random *r = m->r;
	u64 x = random_word(r);
	if (m->p->imm == IMM_MOFFS) {
		return m->target - segment_base(m);
	}
	if (m->p->imm == IMM_WB) /* ENTER: size, levels */
		return (one_in(r, 2) ? random_below(r, 64) : (u16)x) | (u64)(one_in(r, 3) ? random_below(r, 256) : 0) << 16;
	if (m->p->imm == IMM_W && is(m, "ret"))
		return (u16)x;
	if (m->p->imm == IMM_B && is(m, SHIFTS) && one_in(r, 4))
		x = 1;
	else if (m->p->imm == IMM_B && one_in(r, 2))
		x = corner[random_below(r, COUNT(corner))];
	return x;
}

static unsigned
put_modrm(struct maker *m, u8 *b)
{
	const struct pattern *p = m->p;
	unsigned n = 0, reg = m->reg & 7;
	if (p->second >= 0) {
		b[n++] = (u8)(p->second | (p->second_plus ? m->rm & 7 : 0));
		return n;
	}
	if (!m->memory) {
		b[n++] = (u8)(0xc0 | reg << 3 | (m->rm & 7));
		return n;
	}
	if (m->asize && m->c->size != CODE64) {
		unsigned mod = m->disp_size;
		m->disp_at = n + 1;
		b[n++] = (u8)(mod << 6 | reg << 3 | m->base);
		memcpy(b + n, &m->disp, 4);
		return n + (mod == 0 && m->base == 6 ? 2 : mod);
	}
	bool sib = m->index >= 0 || (m->base >= 0 && (m->base & 7) == 4) || (m->base < 0 && !m->rip_relative);
	unsigned mod = m->rip_relative || m->base < 0 ? 0 : m->disp_size == 4 ? 2 : m->disp_size;
	if (m->base >= 0 && (m->base & 7) == 5 && mod == 0) {
		mod = 1;
		m->disp_size = 1;
	}
	b[n++] = (u8)(mod << 6 | reg << 3 | (sib ? 4 : m->rip_relative ? 5 : m->base & 7));
	if (sib)
		b[n++] = (u8)(m->scale << 6 | (m->index < 0 ? 4 : m->index & 7) << 3 | (m->base < 0 ? 5 : m->base & 7));
	m->disp_at = n;
	memcpy(b + n, &m->disp, 4);
	return n + m->disp_size;
}

static unsigned
put_prefixes(struct maker *m, u8 *b)
{
	u8 list[6];
	unsigned count = 0;
	if (m->segment)
		list[count++] = m->segment;
	if (m->asize)
		list[count++] = 0x67;
	if (m->lock)
		list[count++] = 0xf0;
	if (m->osize)
		list[count++] = 0x66;
	if (m->mandatory)
		list[count++] = m->mandatory;
	if (m->rep)
		list[count++] = m->rep;
	for (unsigned n = 0; n < count; n++) {
		unsigned from = n + random_below(m->r, count - n);
		u8 swap = list[from];
		list[from] = list[n];
		b[n] = list[n] = swap;
	}
	return count;
}

/* Bytes but for RIP-relative displacements. Returns how many, with room for the widest immediate. */
static unsigned
put_bytes(struct maker *m, u8 *b)
{
	const struct pattern *p = m->p;
	unsigned n = put_prefixes(m, b);
	unsigned r = m->reg >> 3 & 1, x = 0, base = 0;
	if (p->digit >= 0 || p->second >= 0)
		r = 0;
	if (m->memory) {
		x = m->index >= 0 ? (unsigned)m->index >> 3 : 0;
		base = m->base >= 0 ? (unsigned)m->base >> 3 : 0;
	} else if ((p->modrm && p->second < 0) || p->plus || p->zreg) {
		base = m->rm >> 3;
	}
	if (p->vex) {
		static const u8 pp[] = {[PP_NONE] = 0, [PP_66] = 1, [PP_F3] = 2, [PP_F2] = 3};
		u8 last = (u8)((~m->vvvv & 15) << 3 | (m->l ? 4 : 0) | pp[p->pp]);
		if (p->map == MAP_0F && !m->w && !x && !base && one_in(m->r, 2)) {
			b[n++] = 0xc5;
			b[n++] = (u8)(last | (r ? 0 : 0x80));
		} else {
			b[n++] = 0xc4;
			b[n++] = (u8)((r ? 0 : 0x80) | (x ? 0 : 0x40) | (base ? 0 : 0x20) | p->map);
			b[n++] = (u8)(last | (m->w ? 0x80 : 0));
		}
	} else {
		u8 rex = (u8)((m->w ? 8 : 0) | r << 2 | x << 1 | base);
		if (rex || (m->use_rex && m->p->w != W_0))
			b[n++] = 0x40 | rex;
		if (p->map != MAP_ONE)
			b[n++] = 0x0f;
		if (p->map > MAP_0F)
			b[n++] = p->map == MAP_0F38 ? 0x38 : 0x3a;
	}
	b[n++] = (u8)(p->opcode | (p->plus ? m->rm & 7 : 0));
	if (p->modrm) {
		unsigned at = n;
		n += put_modrm(m, b + n);
		m->disp_at += at;
	}
	memcpy(b + n, &m->immediate, 8);
	return n;
}

static bool
make_step(struct test_case *c, struct random *r, u16 op, unsigned at, struct step *s, u32 *fixed)
{
	u8 b[40];
	struct registers saved = c->start;
	u32 saved_fixed = *fixed;
	for (unsigned tries = 0; tries < 20; tries++) {
		struct maker m = {.r = r, .c = c, .s = s, .row = &insn_rows[op], .p = insn_pattern(op), .fixed = fixed};
		c->start = saved;
		*fixed = saved_fixed;
		memset(b, 0, sizeof b);
		choose_prefixes(&m);
		choose_operands(&m);
		m.immediate = choose_immediate(&m);
		unsigned tail = put_bytes(&m, b);
		enum decode_result result = decode(guest_cpu(), c->size, b, 15, &s->in);
		bool undefined_lock = m.lock && result == DECODE_UD;
		if (undefined_lock) { /* the length is what it would be */
			u8 plain[40];
			unsigned k = 0;
			for (unsigned n = 0; n < sizeof b; n++)
				if (k != n || b[n] != 0xf0)
					plain[k++] = b[n];
			memset(plain + k, 0, sizeof plain - k);
			if (decode(guest_cpu(), c->size, plain, 15, &s->in) != DECODE_OK || s->in.op != op || insn_length(&s->in) > 14)
				continue;
			s->length = (u8)(insn_length(&s->in) + 1);
		} else {
			if (result != DECODE_OK || s->in.op != op)
				continue;
			s->length = (u8)insn_length(&s->in);
		}
		s->op = op;
		s->rip = CODE_BASE + c->code_offset + at;
		s->target = m.memory || m.p->imm == IMM_MOFFS ? m.target : 0;
		if (m.p->imm == IMM_REL8 || m.p->imm == IMM_RELZ) {
			u64 to = random_code_target(r, c), from = s->rip + s->length;
			s32 disp = (s32)(to - from);
			if (m.p->imm == IMM_REL8) {
				/* Neither into what precedes nor into what may follow; to the next instruction is fine. */
				do
					disp = (s8)random_64(r);
				while ((disp < 0 && disp >= -(int)(s->length + at)) || (disp > 0 && disp < INSNS_MAX * 15));
			}
			memcpy(b + tail, &disp, 4);
		}
		if (m.memory && m.rip_relative) {
			s32 disp = (s32)(m.target - segment_base(&m) - (s->rip + s->length));
			memcpy(b + m.disp_at, &disp, 4);
		}
		memcpy(s->bytes, b, s->length);
		if (!undefined_lock)
			decode(guest_cpu(), c->size, b, 15, &s->in);
		choose_data(&m);
		return true;
	}
	c->start = saved;
	*fixed = saved_fixed;
	return false;
}

/* --- state --- */

static void
choose_registers(struct test_case *c, struct random *r)
{
	struct registers *s = &c->start;
	for (unsigned n = 0; n < 16; n++)
		s->r[n] = random_word(r);
	if (one_in(r, 4))
		s->r[random_below(r, 16)] = s->r[random_below(r, 16)];
	s->rflags = (random_64(r) & (FLAGS_STATUS | FLAG_DF)) | FLAG_IF | 2;
	if (one_in(r, 8))
		s->rflags |= random_64(r) & (FLAG_NT | FLAG_ID);
	if (!one_in(r, 4))
		s->rflags &= ~(u64)FLAG_DF;
	/* With 32-bit addresses a base below the data reaches it. */
	s->fs = one_in(r, 2) ? random_below(r, 0x60000000) : (u64)((s64)random_64(r) >> 17);
	s->gs = one_in(r, 2) ? random_below(r, 0x60000000) : (u64)((s64)random_64(r) >> 17);
	for (unsigned n = 0; n < 16; n++)
		random_fill(r, s->vec[n], 32);
	s->mxcsr = (u32)random_64(r) & 0xe07f;
	s->mxcsr |= !one_in(r, 3) ? 0x1f80 : (u32)random_64(r) & 0x1f80;
	if (one_in(r, 3))
		s->mxcsr = 0x1f80;
}

static void
choose_x87(struct test_case *c, struct random *r)
{
	struct registers *s = &c->start;
	s->fcw = (u16)((random_64(r) & 0x1f3f) | 0x40);
	if (!one_in(r, 3))
		s->fcw |= 0x3f;
	if (one_in(r, 3))
		s->fcw = 0x37f;
	s->fsw = (u16)random_64(r) & 0x7f7f;
	if (!one_in(r, 16))
		s->fsw &= (u16) ~(~s->fcw & 0x3f);
	if (s->fsw & ~s->fcw & 0x3f)
		s->fsw |= 0x8080;
	s->full = one_in(r, 3) ? (u8)random_64(r) : 0xff;
	if (one_in(r, 16))
		s->full = 0;
	bool mmx = one_in(r, 4);
	for (unsigned n = 0; n < 8; n++) {
		random_extended(r, &s->significand[n], &s->sign_exponent[n]);
		if (mmx)
			random_fill(r, (u8 *)&s->significand[n], 8);
	}
	if (one_in(r, 8)) {
		s->significand[1] = s->significand[0];
		s->sign_exponent[1] = s->sign_exponent[0];
	}
}

/* Rows that several-instruction cases begin with: all of the result is defined, and the next instruction is reached. */
static u16
random_plain_row(struct random *r, enum code_size size)
{
	for (;;) {
		u16 op = (u16)random_below(r, INSN_COUNT);
		unsigned not_there = size == CODE64 ? I64 : O64;
		if (row_is_defined(op) && !row_excluded(op) && !(insn_rows[op].attributes & not_there))
			return op;
	}
}

/* REX.W is part of the encoding. */
static bool
wants_rex(u16 op)
{
	return insn_pattern(op)->w == W_1 && !insn_pattern(op)->vex;
}

bool
generate(struct test_case *c, u16 op, u64 seed, u64 number)
{
	struct random random = {.state = seed * 0xd1342543de82ef95 + number}, *r = &random;
	random_64(r);
	random.state = random_64(r);
	c->seed = seed;
	c->number = number;
	choose_registers(c, r);
	choose_x87(c, r);
	const struct insn_row *row = &insn_rows[op];
	c->size = row->attributes & I64 ? CODE32 : row->attributes & O64 || wants_rex(op) || !one_in(r, 4) ? CODE64 : CODE32;
	for (unsigned n = 0; n < DATA_SIZE; n += 8)
		memcpy(c->data + n, &(u64){random_64(r)}, 8);
	unsigned wanted = one_in(r, 4) ? 2 + random_below(r, INSNS_MAX - 1) : 1;
	/* Images: what they hold and where depends on registers that must be right. */
	if (row->feature == FEATURE_FXSR || !strncmp(row->id, "XSAVE", 5) || !strncmp(row->id, "XRSTOR", 6) || !strncmp(row->id, "FNS", 3))
		wanted = 1;
	c->code_offset = 256 + random_below(r, 3500);
	if (one_in(r, 8))
		c->code_offset = 4096 - random_below(r, 16);
	if (one_in(r, 24))
		c->code_offset = CODE_SIZE - 1 - random_below(r, 16);
	c->steps = c->code_length = 0;
	u32 fixed = 0;
	for (unsigned n = 0; n < wanted; n++) {
		bool last = n + 1 == wanted;
		struct step *s = &c->step[c->steps];
		if (!make_step(c, r, last ? op : random_plain_row(r, c->size), c->code_length, s, &fixed)) {
			if (last)
				return false;
			continue;
		}
		memcpy(c->code + c->code_length, s->bytes, s->length);
		c->code_length += s->length;
		c->steps++;
	}
	/* Alignment checking: for single plain instructions, where the vendors agree on what is checked. */
	if (c->steps == 1 && one_in(r, 16) && row_is_defined(op) && insn_rows[op].feature == FEATURE_BASE)
		c->start.rflags |= FLAG_AC;
	if (c->code_offset + c->code_length > CODE_SIZE) {
		c->code_length = CODE_SIZE - c->code_offset;
		while (c->steps > 1 && c->step[c->steps - 1].rip >= CODE_BASE + CODE_SIZE)
			c->steps--;
	}
	c->start.rip = CODE_BASE + c->code_offset;
	if (c->size != CODE64)
		for (unsigned n = 0; n < 16; n++)
			c->start.r[n] = n < 8 ? (u32)c->start.r[n] : 0;
	return true;
}
