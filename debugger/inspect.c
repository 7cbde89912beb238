/* Looking at, and changing, registers and memory; descriptor tables; what the processor holds. Looking changes nothing. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/flags.h"
#include "cpu/lapic.h"
#include "cpu/msr.h"
#include "cpu/paging.h"
#include "cpu/tlb.h"
#include "debugger/internal.h"

static const char *const register_names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					       "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
static const char *const segment_names[6] = {"es", "cs", "ss", "ds", "fs", "gs"};

/* --- memory --- */

/* To one page's physical address. */
static bool
locate(struct debugger *d, struct vcpu *cpu, enum address_kind kind, u64 address, u64 *physical)
{
	*physical = address;
	/* The walk does not look at the bits above. */
	if (kind == ADDRESS_LINEAR && cpu->efer & EFER_LMA && !linear_canonical(cpu, address))
		return false;
	if (kind == ADDRESS_LINEAR)
		return linear_peek(cpu, address, NULL, physical);
	if (kind == ADDRESS_GUEST)
		return guest_linear_lookup(d, address, NULL, physical);
	return kind == ADDRESS_PHYSICAL || guest_physical_lookup(d, address, physical);
}

bool
d_peek(struct debugger *d, struct vcpu *cpu, enum address_kind kind, u64 address, void *data, unsigned size)
{
	for (u8 *to = data; size;) {
		unsigned n = MIN(size, (unsigned)(PAGE_SIZE - (address & 0xfff)));
		u64 physical;

		if (!locate(d, cpu, kind, address, &physical) || !memory_peek(cpu->memory, physical, to, n))
			return false;
		to += n;
		size -= n;
		address += n;
	}
	return true;
}

bool
d_poke(struct debugger *d, struct vcpu *cpu, enum address_kind kind, u64 address, const void *data, unsigned size)
{
	for (const u8 *from = data; size;) {
		unsigned n = MIN(size, (unsigned)(PAGE_SIZE - (address & 0xfff)));
		u64 physical;

		if (!locate(d, cpu, kind, address, &physical) || !memory_page(cpu->memory, physical & PAGE_MASK, true))
			return false;
		d->changed = true;
		dma_write(cpu->memory, physical, from, n);
		from += n;
		size -= n;
		address += n;
	}
	return true;
}

static const char *const kinds[] = {"linear", "gpa", "phys", "guest", "virtual"};

const char *
address_kind_name(enum address_kind kind)
{
	return kinds[kind];
}

enum address_kind
address_kind(const char **at)
{
	const char *after = *at;
	char word[16];

	if (next_word(&after, word, sizeof(word)) && *after && strncmp(after, "if ", 3) != 0)
		for (unsigned i = 0; i < COUNT(kinds); i++)
			if (!strcmp(word, kinds[i])) {
				*at = after;
				return i;
			}
	return ADDRESS_LINEAR;
}

/* Of a segment register that holds the selector now, else by mode: selector * 16, or the descriptor's. */
static bool
segment_base(struct debugger *d, u16 selector, u64 *base)
{
	const struct vcpu *cpu = d->cpu;
	u64 table = selector & 4 ? cpu->ldtr.base : cpu->gdtr.base, low;
	u32 limit = selector & 4 ? cpu->ldtr.limit : cpu->gdtr.limit;

	for (unsigned i = 0; i < 6; i++)
		if (cpu->seg[i].selector == selector) {
			*base = cpu->seg[i].base;
			return true;
		}
	*base = (u64)selector << 4;
	if (!cpu_protected(cpu) || cpu_vm86(cpu))
		return true;
	if ((selector | 7u) > limit || !d_peek(d, d->cpu, ADDRESS_LINEAR, table + (selector & ~7u), &low, 8))
		return false;
	*base = BITS(low, 39, 16) | BITS(low, 63, 56) << 24;
	return true;
}

bool
virtual_argument(struct debugger *d, const char **at, u16 *selector, u64 *offset, u64 *linear)
{
	const char *start = *at, *error;
	u64 value, base;

	if (!evaluate(d, at, &value, &error) || value > 0xffff || **at != ':') {
		complain(d, "%s: SELECTOR:OFFSET is wanted", start);
		return false;
	}
	++*at;
	if (!evaluate(d, at, offset, &error)) {
		complain(d, "%s: %s", start, error);
		return false;
	}
	*selector = (u16)value;
	if (!segment_base(d, *selector, &base)) {
		complain(d, "selector %#x names no segment", *selector);
		return false;
	}
	*linear = base + *offset;
	return true;
}

bool
address_argument(struct debugger *d, const char *at, enum address_kind *kind, u64 *address)
{
	u16 selector;
	u64 offset;

	if (*kind == ADDRESS_LINEAR)
		*kind = address_kind(&at);
	if (*kind != ADDRESS_VIRTUAL)
		return number_argument(d, at, address);
	*kind = ADDRESS_LINEAR;
	if (!virtual_argument(d, &at, &selector, &offset, address))
		return false;
	if (*at)
		complain(d, "'%s' is left over", at);
	return !*at;
}

static void
print_unit(struct debugger *d, char format, unsigned size, u64 value)
{
	u64 sign = size == 8 ? 0 : ~0ull << (size * 8 - 1);

	switch (format) {
	case 'd': say(d, " %lld", (long long)(value & sign ? value | sign : value)); break;
	case 'u': say(d, " %llu", (ull)value); break;
	case 'c': say(d, " %c", isprint((int)(u8)value) ? (int)(u8)value : '.'); break;
	default: say(d, " %0*llx", (int)size * 2, (ull)value); break;
	}
}

static void
dump_instructions(struct debugger *d, enum address_kind kind, u64 address, u64 count)
{
	unsigned length;

	for (; count; count--, address += length) {
		print_instruction(d, d->cpu, kind, address, &length);
		if (!length)
			break;
	}
	d->dump_next = address;
}

static void
dump(struct debugger *d, enum address_kind kind, u64 address, u64 count, char format, unsigned size)
{
	unsigned in_line = format == 'c' ? 32 : 16 / size;

	for (u64 i = 0; i < count; i++, address += size) {
		u64 value = 0;

		if (i % in_line == 0)
			say(d, "%s%016llx:", i ? "\n" : "", (ull)address);
		if (!d_peek(d, d->cpu, kind, address, &value, size)) {
			say(d, " (no memory)");
			break;
		}
		print_unit(d, format, size, value);
	}
	say(d, "\n");
	d->dump_next = address;
}

static void
dump_string(struct debugger *d, enum address_kind kind, u64 address)
{
	char c = 0;

	say(d, "%016llx: \"", (ull)address);
	for (unsigned i = 0; i < 256 && d_peek(d, d->cpu, kind, address, &c, 1) && c; i++, address++)
		say(d, isprint((int)(u8)c) ? "%c" : "\\x%02x", (int)(u8)c);
	say(d, "\"\n");
	d->dump_next = address + 1;
}

void
command_x(struct debugger *d, const char *arguments)
{
	u64 count = 1, address = d->dump_next;
	enum address_kind kind;
	unsigned size;

	if (!d->dump_size)
		d->dump_size = 'g', d->dump_format = 'x';
	if (*arguments == '/') {
		char *end;

		count = strtoull(++arguments, &end, 10);
		if (end == arguments)
			count = 1;
		for (arguments = end; *arguments && !isspace((unsigned char)*arguments); arguments++) {
			if (strchr("bhwg", *arguments)) {
				d->dump_size = *arguments;
			} else if (strchr("xducsi", *arguments)) {
				d->dump_format = *arguments;
				if (*arguments == 'c')
					d->dump_size = 'b';
			} else {
				complain(d, "x/%c: formats are x d u c s i, sizes b h w g", *arguments);
				return;
			}
		}
		arguments += strspn(arguments, " \t");
	}
	if (count > 65536) {
		complain(d, "no more than 65536 at once");
		return;
	}
	kind = *arguments ? ADDRESS_LINEAR : d->dump_kind;
	if (*arguments && !address_argument(d, arguments, &kind, &address))
		return;
	d->dump_kind = kind;
	size = d->dump_size == 'b' ? 1 : d->dump_size == 'h' ? 2 : d->dump_size == 'w' ? 4 : 8;
	if (d->dump_format == 'i')
		dump_instructions(d, kind, address, count);
	else if (d->dump_format == 's')
		dump_string(d, kind, address);
	else
		dump(d, kind, address, count, d->dump_format, size);
}

void
command_disasm(struct debugger *d, const char *arguments)
{
	u64 address = linear_rip(d->cpu), count = 10;
	const char *at = arguments, *error;
	enum address_kind kind = ADDRESS_LINEAR;
	u16 selector;
	u64 offset;

	if (!*arguments && d->last_line && !strncmp(d->last_line, "dis", 3) && d->dump_next) {
		address = d->dump_next;
		kind = d->dump_kind;
	}
	if (*arguments) {
		kind = address_kind(&at);
		if (kind == ADDRESS_VIRTUAL && !virtual_argument(d, &at, &selector, &offset, &address))
			return;
		if (kind == ADDRESS_VIRTUAL) {
			kind = ADDRESS_LINEAR;
		} else if (!evaluate(d, &at, &address, &error)) {
			complain(d, "%s: %s", arguments, error);
			return;
		}
	}
	if (*at && !number_argument(d, at, &count))
		return;
	d->dump_kind = kind;
	dump_instructions(d, kind, address, MIN(count, 10000));
}

void
command_print(struct debugger *d, const char *arguments)
{
	char symbol[120];
	u64 value;

	/* Both ways are printed: gdb's /x and the like are but habit. */
	if (*arguments == '/')
		arguments += strcspn(arguments, " ");
	if (number_argument(d, arguments + strspn(arguments, " "), &value))
		say(d, "%#llx %llu%s\n", (ull)value, (ull)value, symbol_text(d, d->cpu, value, symbol, sizeof(symbol)));
}

/* --- changing --- */

static bool
set_register(struct debugger *d, const char *name, u64 value)
{
	struct vcpu *cpu = d->cpu;

	for (unsigned i = 0; i < 16; i++)
		if (!strcmp(name, register_names[i])) {
			cpu->r[i] = value;
			return true;
		}
	if (!strcmp(name, "rip"))
		cpu->rip = cpu->long64 ? value : (u32)value;
	else if (!strcmp(name, "rflags"))
		cpu_set_rflags(cpu, value);
	else if (!strcmp(name, "cr2"))
		cpu->cr2 = value;
	else
		return false;
	cpu->link = NULL;
	return true;
}

void
command_set(struct debugger *d, const char *arguments)
{
	const char *equals = strchr(arguments, '='), *at = arguments;
	static const char *const sizes[] = {"u8", "u16", "u32", "u64"};
	enum address_kind kind = ADDRESS_LINEAR;
	u64 address, value;
	char word[32], *left;

	if (!equals || !next_word(&at, word, sizeof(word))) {
		complain(d, "set WHAT = EXPR");
		return;
	}
	if (!number_argument(d, equals + 1 + strspn(equals + 1, " "), &value))
		return;
	for (unsigned i = 0; i < COUNT(sizes); i++)
		if (!strcmp(word, sizes[i])) {
			left = error_string("%.*s", (int)(equals - at), at);
			at = left;
			if (address_argument(d, at, &kind, &address) && !d_poke(d, d->cpu, kind, address, &value, 1u << i))
				complain(d, "no RAM at %#llx", (ull)address);
			free(left);
			return;
		}
	word[strcspn(word, "=")] = 0;
	if (set_register(d, word[0] == '$' ? word + 1 : word, value))
		d->changed = true;
	else
		complain(d, "'%s' cannot be set (general registers, rip, rflags, cr2)", word);
}

/* "text" or pairs of hexadecimal digits. */
static unsigned
pattern(const char *at, u8 *bytes, unsigned room)
{
	unsigned n = 0, value;
	int used;

	if (*at == '"') {
		for (at++; *at && *at != '"' && n < room; at++)
			bytes[n++] = (u8)*at;
		return n;
	}
	while (n < room && sscanf(at, " %2x%n", &value, &used) == 1) {
		bytes[n++] = (u8)value;
		at += used;
	}
	return n;
}

void
command_search(struct debugger *d, const char *arguments)
{
	enum address_kind kind = address_kind(&arguments);
	u8 wanted[64], page[PAGE_SIZE + sizeof(wanted)];
	u64 first, last, found = 0;
	unsigned n;

	if (!range_argument(d, &arguments, &first, &last))
		return;
	n = pattern(arguments + strspn(arguments, " "), wanted, sizeof(wanted));
	if (!n) {
		complain(d, "search for what?");
		return;
	}
	for (u64 base = first & PAGE_MASK; base <= last && found < 100; base += PAGE_SIZE) {
		unsigned have = 0;

		if (d_peek(d, d->cpu, kind, base, page, PAGE_SIZE))
			have = PAGE_SIZE;
		if (have && d_peek(d, d->cpu, kind, base + PAGE_SIZE, page + PAGE_SIZE, n))
			have += n - 1;
		for (unsigned i = 0; have >= n && i <= have - n; i++)
			if (base + i >= first && base + i <= last && !memcmp(page + i, wanted, n)) {
				say(d, "%#llx\n", (ull)base + i);
				found++;
			}
		if (base > base + PAGE_SIZE)
			break;
		if ((base & 0xffffff) == 0 && d->host.interrupted && d->host.interrupted(d->host.opaque)) {
			complain(d, "interrupted at %#llx", (ull)base);
			return;
		}
	}
	if (!found)
		say(d, "not found\n");
}

/* --- registers --- */

static void
general(struct debugger *d)
{
	struct vcpu *cpu = d->cpu;
	static const char *const flags[22] = {"CF", [2] = "PF", [4] = "AF", [6] = "ZF", "SF", "TF", "IF", "DF", "OF", [14] = "NT",
					      [16] = "RF", "VM", "AC", "VIF", "VIP", "ID"};
	u64 rflags = cpu_rflags(cpu);

	for (unsigned i = 0; i < 16; i++)
		say(d, "%-3s %016llx%s", register_names[i], (ull)cpu->r[i], i % 4 == 3 ? "\n" : "  ");
	say(d, "rip %016llx  rflags %08llx", (ull)cpu->rip, (ull)rflags);
	for (unsigned i = 0; i < COUNT(flags); i++)
		if (flags[i] && rflags >> i & 1)
			say(d, " %s", flags[i]);
	say(d, "  cpl %u\n", cpu->cpl);
}

static void
print_segment(struct debugger *d, const char *name, const struct segment *s)
{
	say(d, "%-4s %04x base %016llx limit %08x access %04x type %x %s DPL %u%s%s%s%s%s\n", name, s->selector, (ull)s->base, s->limit, s->access,
	    s->access & SEG_TYPE, s->access & SEG_S ? "code/data" : "system", SEG_DPL(s->access), s->access & SEG_P ? " P" : "",
	    s->access & SEG_L ? " L" : "", s->access & SEG_DB ? " D/B" : "", s->access & SEG_G ? " G" : "",
	    s->access & SEG_UNUSABLE ? " unusable" : "");
}

static void
segments(struct debugger *d)
{
	struct vcpu *cpu = d->cpu;

	for (unsigned i = 0; i < 6; i++)
		print_segment(d, segment_names[i], &cpu->seg[i]);
	print_segment(d, "ldtr", &cpu->ldtr);
	print_segment(d, "tr", &cpu->tr);
	say(d, "gdtr base %016llx limit %04x\nidtr base %016llx limit %04x\n", (ull)cpu->gdtr.base, cpu->gdtr.limit, (ull)cpu->idtr.base,
	    cpu->idtr.limit);
}

static void
control(struct debugger *d)
{
	struct vcpu *cpu = d->cpu;

	say(d, "cr0 %08llx  cr2 %016llx  cr3 %016llx  cr4 %08llx  cr8 %llx\n", (ull)cpu->cr0, (ull)cpu->cr2, (ull)cpu->cr3, (ull)cpu->cr4,
	    (ull)lapic_get_cr8(cpu));
	say(d, "efer %llx  xcr0 %llx  pkru %x\n", (ull)cpu->efer, (ull)cpu->xcr0, cpu->pkru);
	say(d, "%s mode, %s%s%s\n", processor_mode_name(cpu),
	    cpu->nonroot ? "VMX non-root (L2)" : vmx_operation(cpu) ? "VMX root (L1)" : "no VMX operation (L1)",
	    cpu->in_smm ? ", SMM" : "", cpu->activity == ACTIVITY_ACTIVE ? "" : ", halted");
}

static void
vectors(struct debugger *d)
{
	struct vcpu *cpu = d->cpu;

	for (unsigned i = 0; i < 16; i++)
		say(d, "ymm%-2u %016llx %016llx %016llx %016llx\n", i, (ull)cpu->vec[i].q[3], (ull)cpu->vec[i].q[2], (ull)cpu->vec[i].q[1],
		    (ull)cpu->vec[i].q[0]);
	say(d, "mxcsr %08x\n", cpu->mxcsr);
}

static void
x87(struct debugger *d)
{
	const struct x87 *x = &d->cpu->x87;
	unsigned top = x->status >> 11 & 7;

	for (unsigned i = 0; i < 8; i++) {
		unsigned physical = (top + i) & 7;

		say(d, "st%u %04x %016llx%s\n", i, x->r[physical].sign_exponent, (ull)x->r[physical].significand,
		    x->empty >> physical & 1 ? " empty" : "");
	}
	say(d, "control %04x status %04x empty %02x opcode %03x ip %#llx dp %#llx\n", x->control, x->status, x->empty, x->opcode, (ull)x->ip,
	    (ull)x->dp);
}

static void
debug(struct debugger *d)
{
	for (unsigned i = 0; i < 8; i++)
		if (i != 4 && i != 5)
			say(d, "dr%u %016llx\n", i, (ull)d->cpu->dr[i]);
}

void
command_regs(struct debugger *d, const char *arguments)
{
	static const struct {
		const char *name;
		void (*print)(struct debugger *d);
	} groups[] = {{"seg", segments}, {"ctl", control}, {"dbg", debug}, {"fpu", x87}, {"vec", vectors}};
	bool all = !strcmp(arguments, "all"), found = all || !*arguments;

	if (found)
		general(d);
	for (unsigned i = 0; i < COUNT(groups); i++)
		if (all || !strcmp(arguments, groups[i].name)) {
			groups[i].print(d);
			found = true;
		}
	if (!found)
		complain(d, "regs all, or one of seg, ctl, dbg, fpu, vec");
}

static bool
print_msr(struct debugger *d, u32 address)
{
	const char *name = msr_name(address);
	u64 value;

	if (!msr_peek(d->cpu, address, &value))
		return false;
	say(d, "%08x %-28s %016llx\n", address, name ? name : "", (ull)value);
	return true;
}

static const u32 msr_ranges[][2] = {{0, 0x1fff}, {0xc0000000, 0xc0001fff}};

bool
msr_of_name(const char *word, u64 *address)
{
	for (unsigned r = 0; r < COUNT(msr_ranges); r++)
		for (u32 a = msr_ranges[r][0]; a <= msr_ranges[r][1]; a++) {
			const char *name = msr_name(a);
			size_t prefix = !name ? 0 : !strncmp(name, "IA32_", 5) ? 5 : !strncmp(name, "MSR_", 4) ? 4 : 0;

			if (!name || (strcasecmp(name, word) != 0 && strcasecmp(name + prefix, word) != 0))
				continue;
			*address = a;
			return true;
		}
	return false;
}

void
command_msr(struct debugger *d, const char *arguments)
{
	u64 number;

	for (unsigned r = 0; r < COUNT(msr_ranges) && !*arguments; r++)
		for (u32 a = msr_ranges[r][0]; a <= msr_ranges[r][1]; a++)
			if (msr_name(a))
				print_msr(d, a);
	if (!*arguments || (!msr_of_name(arguments, &number) && !number_argument(d, arguments, &number)))
		return;
	if (number > 0xffffffff || !print_msr(d, (u32)number))
		complain(d, "no such MSR");
}

/* --- tables --- */

static bool
descriptor(struct debugger *d, u64 address, u64 *low, u64 *high)
{
	*high = 0;
	if (!d_peek(d, d->cpu, ADDRESS_LINEAR, address, low, 8))
		return false;
	if (d->cpu->efer & EFER_LMA)
		d_peek(d, d->cpu, ADDRESS_LINEAR, address + 8, high, 8);
	return true;
}

void
info_gdt(struct debugger *d, const char *arguments)
{
	struct vcpu *cpu = d->cpu;
	u64 low, high;

	(void)arguments;
	say(d, "GDT at %#llx, limit %#x\n", (ull)cpu->gdtr.base, cpu->gdtr.limit);
	for (u64 at = 0; at + 7 <= cpu->gdtr.limit; at += 8) {
		if (!descriptor(d, cpu->gdtr.base + at, &low, &high)) {
			say(d, "%04llx (no memory)\n", (ull)at);
			return;
		}
		if (!low)
			continue;
		u64 base = BITS(low, 39, 16) | BITS(low, 63, 56) << 24, limit = BITS(low, 15, 0) | BITS(low, 51, 48) << 16;
		bool system = !(low >> 44 & 1), wide = system && cpu->efer & EFER_LMA;

		if (low >> 55 & 1)
			limit = limit << 12 | 0xfff;
		if (wide)
			base |= high << 32;
		say(d, "%04llx base %016llx limit %08llx %s type %llx DPL %llu%s%s%s\n", (ull)at, (ull)base, (ull)limit,
		    system ? "system" : low >> 43 & 1 ? "code" : "data", (ull)BITS(low, 43, 40), (ull)BITS(low, 46, 45), low >> 47 & 1 ? " P" : "",
		    low >> 53 & 1 ? " L" : "", low >> 54 & 1 ? " D/B" : "");
		if (wide)
			at += 8;
	}
}

void
info_idt(struct debugger *d, const char *arguments)
{
	struct vcpu *cpu = d->cpu;
	bool wide = cpu->efer & EFER_LMA;
	unsigned size = !cpu_protected(cpu) ? 4 : wide ? 16 : 8;
	char symbol[120];
	u64 low, high;

	(void)arguments;
	say(d, "IDT at %#llx, limit %#x\n", (ull)cpu->idtr.base, cpu->idtr.limit);
	for (unsigned v = 0; v < 256 && v * size + size - 1 <= cpu->idtr.limit; v++) {
		if (!descriptor(d, cpu->idtr.base + (u64)v * size, &low, &high)) {
			say(d, "%02x (no memory)\n", v);
			return;
		}
		if (size == 4) {
			say(d, "%02x %04llx:%04llx\n", v, (ull)BITS(low, 31, 16), (ull)BITS(low, 15, 0));
			continue;
		}
		u64 offset = BITS(low, 15, 0) | BITS(low, 63, 48) << 16 | (wide ? high << 32 : 0);

		if (low >> 47 & 1)
			say(d, "%02x %04llx:%016llx type %llx DPL %llu IST %llu%s\n", v, (ull)BITS(low, 31, 16), (ull)offset,
			    (ull)BITS(low, 43, 40), (ull)BITS(low, 46, 45), (ull)BITS(low, 34, 32),
			    symbol_text(d, cpu, offset, symbol, sizeof(symbol)));
	}
}

void
info_tss(struct debugger *d, const char *arguments)
{
	struct vcpu *cpu = d->cpu;
	u64 value = 0;
	u32 low = 0;

	(void)arguments;
	print_segment(d, "tr", &cpu->tr);
	if (!(cpu->efer & EFER_LMA)) {
		for (unsigned i = 0; i < 26; i++)
			if (d_peek(d, cpu, ADDRESS_LINEAR, cpu->tr.base + i * 4, &low, 4))
				say(d, "%02x %08x%s", i * 4, low, i % 4 == 3 ? "\n" : "  ");
		say(d, "\n");
		return;
	}
	for (unsigned i = 0; i < 11; i++)
		if (i != 3 && d_peek(d, cpu, ADDRESS_LINEAR, cpu->tr.base + 4 + i * 8, &value, 8))
			say(d, "%s%u %016llx\n", i < 3 ? "rsp" : "ist", i < 3 ? i : i - 3, (ull)value);
}

void
info_tlb(struct debugger *d, const char *arguments)
{
	static const char *const kinds[TLB_KINDS] = {"supervisor", "user", "supervisor, AC"};

	(void)arguments;
	for (unsigned n = 0; n < TLB_CONTEXTS; n++) {
		const struct tlb_context *c = &d->cpu->contexts->context[n];

		if (!c->key->valid)
			continue;
		say(d, "%ccontext %u: vpid %u pcid %u eptp %#llx mode %#llx\n", c == d->cpu->context ? '*' : ' ', n, c->key->vpid, c->key->pcid,
		    (ull)c->key->eptp, (ull)c->key->mode);
		for (unsigned kind = 0; kind < TLB_KINDS; kind++)
			for (unsigned i = 0; i < TLB_SIZE + (c->victims ? TLB_VICTIMS : 0); i++) {
				const struct tlb_entry *e = i < TLB_SIZE ? &c->entry[kind][i] : &c->victim[kind][i - TLB_SIZE];
				u64 page = e->tag_r != ~0ull ? e->tag_r : e->tag_w != ~0ull ? e->tag_w : e->tag_x;

				if (page != ~0ull)
					say(d, "   %016llx %s%s%s %s%s\n", (ull)page, e->tag_r != ~0ull ? "R" : "-", e->tag_w != ~0ull ? "W" : "-",
					    e->tag_x != ~0ull ? "X" : "-", kinds[kind], i < TLB_SIZE ? "" : ", evicted");
			}
	}
}

void
info_cpus(struct debugger *d, const char *arguments)
{
	static const char *const activities[] = {"active", "HLT", "shutdown", "wait for SIPI", "MWAIT"};
	char symbol[120];

	(void)arguments;
	for (unsigned n = 0; n < d->cpus->count; n++) {
		struct vcpu *cpu = d->cpus->cpu[n];
		u64 exits = 0;

		say(d, "%ccpu %u L%d rip %#llx%s %s, instruction %llu, time %llu", cpu == d->cpu ? '*' : ' ', n, level_of(cpu), (ull)cpu->rip,
		    symbol_text(d, cpu, linear_rip(cpu), symbol, sizeof(symbol)), activities[cpu->activity], (ull)cpu_icount(cpu),
		    (ull)cpu_time(cpu));
		for (unsigned i = 0; cpu->vmx && i < VMX_REASONS; i++)
			exits += cpu->vmx->stats.exits[i];
		if (cpu->vmx)
			say(d, ", %llu exits", (ull)exits);
		say(d, "\n");
	}
}

void
info_lapic(struct debugger *d, const char *arguments)
{
	static const struct {
		const char *name;
		u16 offset;
	} registers[] = {
		{"ID", 0x20},   {"version", 0x30}, {"TPR", 0x80},      {"PPR", 0xa0},     {"LDR", 0xd0},     {"DFR", 0xe0},
		{"SVR", 0xf0},  {"ESR", 0x280},    {"ICR low", 0x300}, {"ICR high", 0x310}, {"timer", 0x320}, {"LINT0", 0x350},
		{"LINT1", 0x360}, {"initial count", 0x380}, {"current count", 0x390}, {"divide", 0x3e0},
	};
	struct vcpu *cpu = d->cpu;

	(void)arguments;
	say(d, "base %#llx%s%s\n", (ull)(cpu->msr.apic_base & PAGE_MASK), lapic_enabled(cpu) ? "" : ", disabled",
	    lapic_x2apic(cpu) ? ", x2APIC" : "");
	for (unsigned i = 0; i < COUNT(registers); i++)
		say(d, "%-14s %08x\n", registers[i].name, lapic_read(cpu, registers[i].offset, 4));
	for (unsigned set = 0; set < 3; set++) {
		say(d, "%s:", set == 0 ? "in service" : set == 1 ? "level" : "requested");
		for (unsigned v = 0; v < 256; v++)
			if (lapic_read(cpu, 0x100 + set * 0x80 + v / 32 * 16, 4) >> (v & 31) & 1)
				say(d, " %u", v);
		say(d, "\n");
	}
}

void
info_memory(struct debugger *d, const char *arguments)
{
	const struct memory *m = d->cpus->memory;

	(void)arguments;
	say(d, "%012x..%012llx RAM\n", 0, (ull)m->low_size - 1);
	if (m->ram_size > m->low_size)
		say(d, "%012llx..%012llx RAM\n", 1ull << 32, (1ull << 32) + m->ram_size - m->low_size - 1);
	for (unsigned i = 0; i < m->ranges; i++)
		if (m->range[i].size)
			say(d, "%012llx..%012llx %s %s\n", (ull)m->range[i].base, (ull)(m->range[i].base + m->range[i].size - 1),
			    m->range[i].ops ? "MMIO" : m->range[i].writable ? "RAM " : "ROM ", m->range[i].name);
}
