/*
 * C-like expressions over numbers, registers, memory, VMCS fields, symbols and the event under way. All values are u64; comparisons are
 * unsigned. `[A]` and `*A` read eight bytes by linear address; u8(A) u16(A) u32(A) u64(A) fewer, phys(A) and gpa8.. by other addresses.
 * `A in B..C` is a range test. Names of exit reasons and fields are those of vmx/ (EPT_VIOLATION, guest_rip).
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/flags.h"
#include "cpu/lapic.h"
#include "debugger/internal.h"

#define NESTING 64

struct reader {
	struct debugger *d;
	const char *at, *error;
	unsigned depth;
};

static u64 conditional(struct reader *r);

static void
skip(struct reader *r)
{
	while (isspace((unsigned char)*r->at))
		r->at++;
}

/* Is `token` next? Then it is read. Words must end there. */
static bool
take(struct reader *r, const char *token)
{
	size_t length = strlen(token);

	skip(r);
	if (strncmp(r->at, token, length) != 0)
		return false;
	if (isalpha((unsigned char)*token) && (isalnum((unsigned char)r->at[length]) || r->at[length] == '_'))
		return false;
	r->at += length;
	return true;
}

static u64
fail(struct reader *r, const char *error)
{
	if (!r->error)
		r->error = error;
	return 0;
}

/* --- names --- */

int
level_of(const struct vcpu *cpu)
{
	return cpu->nonroot ? 2 : 1;
}

static const char *const registers[] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags",
	"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "al", "cl", "dl", "bl",
	"es", "cs", "ss", "ds", "fs", "gs", "es_base", "cs_base", "ss_base", "ds_base", "fs_base", "gs_base", "kernel_gs_base",
	"cr0", "cr2", "cr3", "cr4", "cr8", "efer", "xcr0", "dr0", "dr1", "dr2", "dr3", "dr6", "dr7",
	"gdtr", "idtr", "tr", "ldtr", "cpl", "level", "cpu", "icount", "time", "vpid", "eptp", "vmcs",
};

const char *
register_name_at(unsigned index)
{
	return index < COUNT(registers) ? registers[index] : NULL;
}

static bool
system_register(struct vcpu *cpu, const char *name, u64 *value)
{
	if (!strcmp(name, "rip"))
		*value = cpu->current ? insn_rip(cpu, cpu->current) : cpu->rip;
	else if (!strcmp(name, "rflags") || !strcmp(name, "eflags"))
		*value = cpu_rflags(cpu);
	else if (!strcmp(name, "cr0"))
		*value = cpu->cr0;
	else if (!strcmp(name, "cr2"))
		*value = cpu->cr2;
	else if (!strcmp(name, "cr3"))
		*value = cpu->cr3;
	else if (!strcmp(name, "cr4"))
		*value = cpu->cr4;
	else if (!strcmp(name, "cr8"))
		*value = lapic_get_cr8(cpu);
	else if (!strcmp(name, "efer"))
		*value = cpu->efer;
	else if (!strcmp(name, "xcr0"))
		*value = cpu->xcr0;
	else if (!strncmp(name, "dr", 2) && name[2] >= '0' && name[2] <= '7' && !name[3])
		*value = cpu->dr[name[2] - '0'];
	else if (!strcmp(name, "gdtr"))
		*value = cpu->gdtr.base;
	else if (!strcmp(name, "idtr"))
		*value = cpu->idtr.base;
	else if (!strcmp(name, "tr"))
		*value = cpu->tr.base;
	else if (!strcmp(name, "ldtr"))
		*value = cpu->ldtr.base;
	else if (!strcmp(name, "kernel_gs_base"))
		*value = cpu->msr.kernel_gs_base;
	else if (!strcmp(name, "cpl"))
		*value = cpu->cpl;
	else if (!strcmp(name, "level"))
		*value = (u64)level_of(cpu);
	else if (!strcmp(name, "cpu"))
		*value = cpu->index;
	else if (!strcmp(name, "icount"))
		*value = cpu_icount(cpu);
	else if (!strcmp(name, "time"))
		*value = cpu_time(cpu);
	else if (!strcmp(name, "vpid"))
		*value = cpu->vmx && cpu->nonroot ? cpu->vmx->vmcs.vpid : 0;
	else if (!strcmp(name, "eptp"))
		*value = cpu->vmx && cpu->nonroot ? cpu->vmx->vmcs.eptp : 0;
	else if (!strcmp(name, "vmcs"))
		*value = cpu->vmx ? cpu->vmx->current : NO_VMCS;
	else
		return false;
	return true;
}

bool
register_read(struct debugger *d, struct vcpu *cpu, const char *name, u64 *value)
{
	static const char *const segment[6] = {"es", "cs", "ss", "ds", "fs", "gs"};
	size_t length = strlen(name);

	(void)d;
	for (unsigned i = 0; i < 16; i++)
		if (!strcmp(name, registers[i])) {
			*value = cpu->r[i];
			return true;
		}
	for (unsigned i = 0; i < 8; i++) {
		const char *legacy = registers[i] + 1;

		if (length == 3 && name[0] == 'e' && !strcmp(name + 1, legacy))
			*value = (u32)cpu->r[i];
		else if (!strcmp(name, legacy))
			*value = (u16)cpu->r[i];
		else if (i < 4 && length == 2 && name[0] == legacy[0] && name[1] == 'l')
			*value = (u8)cpu->r[i];
		else
			continue;
		return true;
	}
	for (unsigned i = 0; i < 6; i++)
		if (!strncmp(name, segment[i], 2) && (!name[2] || !strcmp(name + 2, "_base"))) {
			*value = name[2] ? cpu->seg[i].base : cpu->seg[i].selector;
			return true;
		}
	return system_register(cpu, name, value);
}

static bool
happening_value(const struct debugger *d, const char *name, u64 *value)
{
	const struct happening *h = &d->happening;
	const struct {
		const char *name;
		u64 value;
	} names[] = {
		{"value", h->value},   {"old", h->old},       {"address", h->address},
		{"port", h->port},     {"vector", h->vector}, {"size", h->size},
		{"gpa", h->gpa},       {"reason", h->reason}, {"qualification", h->qualification},
		{"error", h->error},   {"write", h->write},
	};

	for (unsigned i = 0; i < COUNT(names); i++)
		if (!strcmp(name, names[i].name)) {
			*value = names[i].value;
			return true;
		}
	return false;
}

static bool
vmx_value(struct debugger *d, const char *name, u64 *value)
{
	const struct vmcs_field *field;
	const char *reason;

	for (unsigned i = 0; i < VMX_REASONS; i++)
		if ((reason = vmx_reason_name(i)) && !strcmp(reason, name)) {
			*value = i;
			return true;
		}
	if (!d->cpu->vmx)
		return false;
	for (unsigned i = 0; (field = vmcs_field_at(i)); i++)
		if (!strcmp(field->name, name)) {
			*value = vmcs_get(&d->cpu->vmx->vmcs, field, field->encoding);
			return true;
		}
	return false;
}

/* --- the grammar, loosest first --- */

static u64
memory(struct reader *r, enum address_kind kind, u64 address, unsigned size)
{
	u64 value = 0;

	if (!r->error && !d_peek(r->d, r->d->cpu, kind, address, &value, size))
		return fail(r, "no memory there");
	return value;
}

static u64
number(struct reader *r)
{
	char *end;
	u64 value = strtoull(r->at, &end, 0);

	/* 08 is not eight to strtoull, and nobody means octal. */
	if (r->at[0] == '0' && isdigit((unsigned char)r->at[1]))
		value = strtoull(r->at, &end, 10);
	if (*end == 'k' || *end == 'K')
		value <<= 10, end++;
	else if (*end == 'M')
		value <<= 20, end++;
	else if (*end == 'G')
		value <<= 30, end++;
	if (isalnum((unsigned char)*end) || *end == '_')
		return fail(r, "a number with letters behind it (hexadecimal begins with 0x)");
	r->at = end;
	return value;
}

static u64
name(struct reader *r)
{
	static const struct {
		const char *name;
		enum address_kind kind;
		unsigned size;
	} readers[] = {
		{"u8", ADDRESS_LINEAR, 1},    {"u16", ADDRESS_LINEAR, 2}, {"u32", ADDRESS_LINEAR, 4},
		{"u64", ADDRESS_LINEAR, 8},   {"phys", ADDRESS_PHYSICAL, 8}, {"gphys", ADDRESS_GUEST_PHYSICAL, 8},
	};
	char word[128];
	size_t length = 0;
	u64 value;

	if (*r->at == '$')
		r->at++;
	while (isalnum((unsigned char)r->at[length]) || r->at[length] == '_' || (r->at[length] == '.' && r->at[length + 1] != '.'))
		length++;
	if (!length || length >= sizeof(word))
		return fail(r, "a value is missing");
	memcpy(word, r->at, length);
	word[length] = 0;
	r->at += length;
	skip(r);
	if (*r->at == '(')
		for (unsigned i = 0; i < COUNT(readers); i++)
			if (!strcmp(word, readers[i].name)) {
				r->at++;
				value = conditional(r);
				if (!take(r, ")"))
					return fail(r, "')' is missing");
				return memory(r, readers[i].kind, value, readers[i].size);
			}
	if (!strncmp(word, "vmcs.", 5) && vmx_value(r->d, word + 5, &value))
		return value;
	if (register_read(r->d, r->d->cpu, word, &value) || happening_value(r->d, word, &value) || vmx_value(r->d, word, &value) ||
	    symbol_value(r->d, word, &value))
		return value;
	return fail(r, "no register, VMCS field, symbol or number of that name");
}

static u64
primary(struct reader *r)
{
	u64 value = 0;

	if (r->depth++ > NESTING)
		return fail(r, "nested too deeply");
	skip(r);
	if (take(r, "(")) {
		value = conditional(r);
		if (!take(r, ")"))
			fail(r, "')' is missing");
	} else if (take(r, "[")) {
		value = memory(r, ADDRESS_LINEAR, conditional(r), 8);
		if (!take(r, "]"))
			fail(r, "']' is missing");
	} else if (take(r, "*")) {
		value = memory(r, ADDRESS_LINEAR, primary(r), 8);
	} else if (take(r, "-")) {
		value = 0 - primary(r);
	} else if (take(r, "~")) {
		value = ~primary(r);
	} else if (take(r, "!")) {
		value = !primary(r);
	} else if (isdigit((unsigned char)*r->at)) {
		value = number(r);
	} else {
		value = name(r);
	}
	r->depth--;
	return value;
}

static u64
binary(struct reader *r, unsigned level)
{
	static const char *const operators[][5] = {
		{"||"}, {"&&"}, {"|"}, {"^"}, {"&"}, {"==", "!=", "in"}, {"<=", ">=", "<", ">"}, {"<<", ">>"}, {"+", "-"}, {"*", "/", "%"},
	};
	u64 a, b;

	if (level == COUNT(operators))
		return primary(r);
	a = binary(r, level + 1);
	for (;;) {
		const char *o = NULL;

		skip(r);
		for (unsigned i = 0; i < 5 && operators[level][i] && !o; i++) {
			const char *candidate = operators[level][i];

			/* "|" is not the beginning of "||", "<" not of "<<". */
			if (!candidate[1] && strchr("|&<>", candidate[0]) && r->at[0] == candidate[0] && r->at[1] == candidate[0])
				continue;
			if (take(r, candidate))
				o = candidate;
		}
		if (!o || r->error)
			return a;
		b = binary(r, level + 1);
		switch (o[0]) {
		case '|': a = o[1] ? a || b : a | b; break;
		case '&': a = o[1] ? a && b : a & b; break;
		case '^': a ^= b; break;
		case '=': a = a == b; break;
		case '!': a = a != b; break;
		case '<': a = o[1] == '<' ? a << (b & 63) : o[1] ? a <= b : a < b; break;
		case '>': a = o[1] == '>' ? a >> (b & 63) : o[1] ? a >= b : a > b; break;
		case '+': a += b; break;
		case '-': a -= b; break;
		case '*': a *= b; break;
		case 'i': {
			u64 end = b;

			if (take(r, ".."))
				end = binary(r, level + 1);
			a = a >= b && a <= end;
			break;
		}
		default:
			if (!b)
				return fail(r, "division by zero");
			a = o[0] == '/' ? a / b : a % b;
			break;
		}
	}
}

static u64
conditional(struct reader *r)
{
	u64 a = binary(r, 0), b, c;

	if (!take(r, "?"))
		return a;
	b = conditional(r);
	if (!take(r, ":"))
		return fail(r, "':' is missing");
	c = conditional(r);
	return a ? b : c;
}

bool
evaluate(struct debugger *d, const char **at, u64 *value, const char **error)
{
	struct reader r = {.d = d, .at = *at};

	*value = conditional(&r);
	skip(&r);
	*at = r.at;
	*error = r.error;
	return !r.error;
}

bool
number_argument(struct debugger *d, const char *text, u64 *value)
{
	const char *at = text, *error;

	if (!evaluate(d, &at, value, &error)) {
		complain(d, "%.200s: %s", text, error);
		return false;
	}
	if (*at) {
		complain(d, "'%s' is left over", at);
		return false;
	}
	return true;
}

bool
range_rest(struct debugger *d, const char **at, u64 first, u64 *last)
{
	const char *start = *at, *error;
	u64 second;
	bool length = **at == ',';

	if (!length && strncmp(*at, "..", 2) != 0)
		return true;
	*at += length ? 1 : 2;
	if (!evaluate(d, at, &second, &error)) {
		complain(d, "%s: %s", start, error);
		return false;
	}
	*last = length ? first + second - 1 : second;
	if (*last < first || (length && !second)) {
		complain(d, "an empty range");
		return false;
	}
	return true;
}

bool
range_argument(struct debugger *d, const char **at, u64 *first, u64 *last)
{
	const char *start = *at, *error;

	if (!evaluate(d, at, first, &error)) {
		complain(d, "%s: %s", start, error);
		return false;
	}
	*last = *first;
	return range_rest(d, at, *first, last);
}
