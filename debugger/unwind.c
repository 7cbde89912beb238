/*
 * Backtraces: by Linux's ORC tables, by call frame information, by frame pointer, whichever knows the place; each frame says by which.
 * ORC: Linux, Documentation/x86/orc-unwinder.rst and the layout of struct orc_entry and struct pt_regs.
 */
#include <stdlib.h>
#include <string.h>

#include "debugger/symbols.h"

#define FRAMES 100

/* --- ORC --- */

enum {
	ORC_REG_UNDEFINED, ORC_REG_PREV_SP, ORC_REG_DX, ORC_REG_DI, ORC_REG_BP, ORC_REG_SP, ORC_REG_R10, ORC_REG_R13, ORC_REG_BP_INDIRECT,
	ORC_REG_SP_INDIRECT
};
#define ORC_SIZE 6

/* Linux's pt_regs: where DWARF's registers lie. */
static const u8 regs_offset[DWARF_REGISTERS] = {80, 96, 88, 40, 104, 112, 32, 152, 72, 64, 56, 48, 24, 16, 8, 0, 128};

static struct orc
decode_orc(const u8 *bytes, bool is_new)
{
	struct orc o = {.sp_reg = bytes[4] & 15, .bp_reg = bytes[4] >> 4};
	unsigned rest = bytes[5];

	memcpy(&o.sp_offset, bytes, 2);
	memcpy(&o.bp_offset, bytes + 2, 2);
	if (!is_new) {
		o.type = rest & 3;
		o.end = rest >> 2 & 1;
		return o;
	}
	/* Undefined, end of stack, call, registers, partial registers. */
	switch (rest & 7) {
	case 2: o.type = ORC_CALL; break;
	case 3: o.type = ORC_REGS; break;
	case 4: o.type = ORC_REGS_PARTIAL; break;
	default: o.type = ORC_UNDEFINED; o.end = true; break;
	}
	return o;
}

void
orc_take(struct table *t, const s32 *ip, u64 base, const u8 *entries, unsigned n)
{
	free(t->orc_ip);
	free(t->orc);
	t->orc_ip = calloc(n + 1, sizeof(*t->orc_ip));
	t->orc = calloc(n + 1, sizeof(*t->orc));
	if (!t->orc_ip || !t->orc)
		stop_host_error("out of memory");
	for (unsigned i = 0; i < n; i++) {
		t->orc_ip[i] = base + i * 4 + (u64)(s64)ip[i];
		t->orc[i] = decode_orc(entries + i * ORC_SIZE, t->orc_new);
	}
	t->orcs = n;
}

void
orc_from_file(struct table *t)
{
	Elf_Data *ip = NULL, *entries = NULL;
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t names;
	u64 base = 0;

	if (!t->elf || elf_getshdrstrndx(t->elf, &names) != 0)
		return;
	while ((section = elf_nextscn(t->elf, section))) {
		const char *name = gelf_getshdr(section, &header) ? elf_strptr(t->elf, names, header.sh_name) : NULL;

		if (!name)
			continue;
		if (!strcmp(name, ".orc_unwind_ip")) {
			ip = elf_rawdata(section, NULL);
			base = header.sh_addr + t->bias;
		} else if (!strcmp(name, ".orc_unwind")) {
			entries = elf_rawdata(section, NULL);
		} else if (!strcmp(name, ".orc_header")) {
			t->orc_new = true;
		}
	}
	/* Without addresses of its own (a module's file), the kernel has not sorted it yet. */
	if (ip && entries && base - t->bias && ip->d_buf && entries->d_buf)
		orc_take(t, ip->d_buf, base, entries->d_buf, (unsigned)MIN(ip->d_size / 4, entries->d_size / ORC_SIZE));
}

static const struct orc *
find_orc(const struct table *t, u64 address)
{
	unsigned low = 0, high = t->orcs;

	if (!t->orcs || (t->last && (address < t->first || address > t->last)))
		return NULL;
	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (t->orc_ip[middle] <= address)
			low = middle + 1;
		else
			high = middle;
	}
	/* Behind the last entry there is no telling how far it reaches. */
	return low && (low < t->orcs || t->last) ? &t->orc[low - 1] : NULL;
}

static bool
peek8(struct debugger *d, u64 address, u64 *value)
{
	return d_peek(d, d->cpu, ADDRESS_LINEAR, address, value, 8);
}

/* DWARF's number of an ORC register that holds a plain value, or -1. */
static int
orc_register(unsigned reg)
{
	switch (reg) {
	case ORC_REG_DX: return 1;
	case ORC_REG_DI: return 5;
	case ORC_REG_BP:
	case ORC_REG_BP_INDIRECT: return DWARF_RBP;
	case ORC_REG_SP:
	case ORC_REG_SP_INDIRECT: return DWARF_RSP;
	case ORC_REG_R10: return 10;
	case ORC_REG_R13: return 13;
	default: return -1;
	}
}

static bool
orc_step(struct debugger *d, const struct orc *o, struct frame *f, bool *end)
{
	struct frame up = *f;
	int from = orc_register(o->sp_reg);
	u64 cfa;

	*end = o->end;
	if (o->end || from < 0)
		return false;
	cfa = f->r[from] + (o->sp_reg == ORC_REG_SP_INDIRECT ? 0 : (u64)(s64)o->sp_offset);
	if ((o->sp_reg == ORC_REG_BP_INDIRECT || o->sp_reg == ORC_REG_SP_INDIRECT) && !peek8(d, cfa, &cfa))
		return false;
	if (o->sp_reg == ORC_REG_SP_INDIRECT)
		cfa += (u64)(s64)o->sp_offset;
	if (o->bp_reg == ORC_REG_PREV_SP || o->bp_reg == ORC_REG_BP) {
		u64 at = (o->bp_reg == ORC_REG_BP ? f->r[DWARF_RBP] : cfa) + (u64)(s64)o->bp_offset;

		if (!peek8(d, at, &up.r[DWARF_RBP]))
			return false;
	}
	up.interrupted = o->type != ORC_CALL;
	if (o->type == ORC_CALL) {
		if (!peek8(d, cfa - 8, &up.r[DWARF_RIP]))
			return false;
		up.r[DWARF_RSP] = cfa;
	} else if (o->type == ORC_REGS) {
		for (unsigned i = 0; i < DWARF_REGISTERS; i++)
			if (!peek8(d, cfa + regs_offset[i], &up.r[i]))
				return false;
	} else if (!peek8(d, cfa, &up.r[DWARF_RIP]) || !peek8(d, cfa + 24, &up.r[DWARF_RSP])) {
		return false;
	}
	*f = up;
	return true;
}

/* --- frames --- */

static bool
pointer_step(struct debugger *d, struct frame *f)
{
	unsigned size = d->cpu->long64 ? 8 : 4;
	u64 rbp = f->r[DWARF_RBP], link[2] = {0, 0};

	if (rbp < f->r[DWARF_RSP] || !d_peek(d, d->cpu, ADDRESS_LINEAR, rbp, &link[0], size) ||
	    !d_peek(d, d->cpu, ADDRESS_LINEAR, rbp + size, &link[1], size) || link[0] <= rbp || !link[1])
		return false;
	f->r[DWARF_RBP] = link[0];
	f->r[DWARF_RSP] = rbp + 2 * size;
	f->r[DWARF_RIP] = link[1];
	f->interrupted = false;
	return true;
}

static bool
is_code(struct debugger *d, const struct space *space, u64 address)
{
	for (const struct table *t = d->symbols->first; t; t = t->next) {
		const struct symbol *s = table_applies(t, space) ? table_find(t, address) : NULL;

		if (s && s->code && s->value != address)
			return true;
	}
	return false;
}

/* Does a call end at `address`: E8 or FF /2? */
static bool
behind_call(struct debugger *d, u64 address)
{
	u8 code[8];

	if (!d_peek(d, d->cpu, ADDRESS_LINEAR, address - 7, code, 7))
		return false;
	if (code[2] == 0xe8)
		return true;
	for (unsigned i = 0; i < 6; i++)
		if (code[i] == 0xff && (code[i + 1] >> 3 & 7) == 2)
			return true;
	return false;
}

/* Neither tables nor frame pointers help: the next value on the stack that is a return address into a known function. */
static bool
scan_stack(struct debugger *d, const struct space *space, struct frame *f)
{
	u64 value, at = f->r[DWARF_RSP];

	for (unsigned i = 0; d->symbols && i < 512 && peek8(d, at, &value); i++, at += 8)
		if (is_code(d, space, value) && behind_call(d, value)) {
			f->r[DWARF_RIP] = value;
			f->r[DWARF_RSP] = at + 8;
			f->interrupted = false;
			return true;
		}
	return false;
}

/*
 * By what the next frame was found, or NULL at the end. Where a VM exit begins, tables are of no use: they take RBP for the hypervisor's, and it
 * still is the guest's.
 */
static const char *
step_up(struct debugger *d, const struct space *space, struct frame *f, bool first)
{
	u64 place = f->r[DWARF_RIP] - !f->interrupted;
	bool end = false;

	for (struct table *t = d->symbols ? d->symbols->first : NULL; t; t = t->next) {
		const struct orc *o = table_applies(t, space) ? find_orc(t, place) : NULL;

		if (!o)
			continue;
		if (orc_step(d, o, f, &end))
			return "ORC";
		if (end)
			return NULL;
	}
	for (struct table *t = d->symbols ? d->symbols->first : NULL; t; t = t->next)
		if (table_applies(t, space) && t->elf && cfi_step(d, t, f))
			return "DWARF";
	if (pointer_step(d, f))
		return "frame pointer";
	return first && scan_stack(d, space, f) ? "guess: next return address on the stack" : NULL;
}

static void
frame_of(const struct vcpu *cpu, struct frame *f)
{
	static const u8 general[16] = {RAX, RDX, RCX, RBX, RSI, RDI, RBP, RSP, 8, 9, 10, 11, 12, 13, 14, 15};

	*f = (struct frame){.interrupted = true};
	for (unsigned i = 0; i < 16; i++)
		f->r[i] = cpu->r[general[i]];
	f->r[DWARF_RIP] = linear_rip(cpu);
}

bool
frame_return(struct debugger *d, u64 *rip, u64 *rsp)
{
	struct space space = space_of(d->cpu);
	struct frame f;
	const char *by;

	frame_of(d->cpu, &f);
	by = step_up(d, &space, &f, false);
	/* Frame pointers are not to be trusted in the first and last instructions of a function. */
	if (!by || !strcmp(by, "frame pointer"))
		return false;
	*rip = f.r[DWARF_RIP];
	*rsp = f.r[DWARF_RSP];
	return true;
}

void
command_backtrace(struct debugger *d, const char *arguments)
{
	struct space space = space_of(d->cpu);
	struct frame f;
	const char *by = "";
	char symbol[120];
	u64 frames = FRAMES, number;

	if (*arguments && !number_argument(d, arguments, &frames))
		return;
	frame_of(d->cpu, &f);
	for (number = 0; by && number < frames; number++) {
		u64 place = f.r[DWARF_RIP] - !f.interrupted;

		/* A return address may lie behind the end of a function that does not return: name the call. */
		symbol_text(d, d->cpu, place, symbol, sizeof(symbol));
		if (!f.interrupted && *symbol && strchr(symbol, '+'))
			symbol_text(d, d->cpu, f.r[DWARF_RIP], symbol, sizeof(symbol));
		say(d, "#%-2llu %016llx%s%s%s%s\n", (ull)number, (ull)f.r[DWARF_RIP], symbol, *by ? " (" : "", by, *by ? ")" : "");
		by = step_up(d, &space, &f, !number);
	}
}
