/*
 * Symbols: ELF files (by libelf) and System.map, in several address spaces kept apart; backtraces by frame pointer.
 *
 * A table may belong to one level, one CR3 or one EPTP; those of the processor's present space are asked first.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gelf.h>

#include "debugger/internal.h"

struct symbol {
	u64 value, size;
	char *name;
	bool code;
};

struct table {
	char *path;
	struct symbol *symbol; /* sorted by value */
	unsigned count, room;
	int level;     /* -1: any */
	u64 cr3, eptp; /* 0: any */
	struct table *next;
};

struct symbols {
	struct table *first;
};

static void
table_free(struct table *t)
{
	for (unsigned i = 0; i < t->count; i++)
		free(t->symbol[i].name);
	free(t->symbol);
	free(t->path);
	free(t);
}

void
symbols_free(struct debugger *d)
{
	if (!d->symbols)
		return;
	while (d->symbols->first) {
		struct table *t = d->symbols->first;

		d->symbols->first = t->next;
		table_free(t);
	}
	free(d->symbols);
	d->symbols = NULL;
}

static void
add(struct table *t, u64 value, u64 size, const char *name, bool code)
{
	if (t->count == t->room) {
		struct symbol *grown;

		t->room = t->room ? t->room * 2 : 1024;
		grown = realloc(t->symbol, t->room * sizeof(*grown));
		if (!grown)
			stop_host_error("out of memory");
		t->symbol = grown;
	}
	t->symbol[t->count++] = (struct symbol){value, size, error_string("%s", name), code};
}

static int
by_value(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void
read_elf(struct table *t, Elf *elf)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	GElf_Sym symbol;

	while ((section = elf_nextscn(elf, section))) {
		Elf_Data *data;

		if (!gelf_getshdr(section, &header) || header.sh_type != SHT_SYMTAB || !header.sh_entsize || !(data = elf_getdata(section, NULL)))
			continue;
		for (size_t i = 0; i < header.sh_size / header.sh_entsize && i < 1 << 24; i++) {
			const char *name;

			if (!gelf_getsym(data, (int)i, &symbol) || symbol.st_shndx == SHN_UNDEF)
				continue;
			if (GELF_ST_TYPE(symbol.st_info) == STT_SECTION || GELF_ST_TYPE(symbol.st_info) == STT_FILE)
				continue;
			name = elf_strptr(elf, header.sh_link, symbol.st_name);
			if (name && *name)
				add(t, symbol.st_value, symbol.st_size, name, GELF_ST_TYPE(symbol.st_info) == STT_FUNC);
		}
	}
}

static void
read_map(struct table *t, FILE *file)
{
	char name[256], type;
	ull value;

	while (fscanf(file, "%llx %c %255s", &value, &type, name) == 3) {
		int c;

		add(t, value, 0, name, type == 't' || type == 'T' || type == 'W' || type == 'w');
		while ((c = fgetc(file)) != EOF && c != '\n')
			;
	}
}

static char *
load(struct table *t)
{
	int fd = open(t->path, O_RDONLY | O_CLOEXEC);
	FILE *file;
	Elf *elf;

	if (fd < 0)
		return error_string("%s: %s", t->path, strerror(errno));
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (elf && elf_kind(elf) == ELF_K_ELF) {
		read_elf(t, elf);
	} else {
		file = fopen(t->path, "r");
		if (file) {
			read_map(t, file);
			fclose(file);
		}
	}
	if (elf)
		elf_end(elf);
	close(fd);
	if (!t->count)
		return error_string("%s: neither an ELF file with symbols nor a System.map", t->path);
	qsort(t->symbol, t->count, sizeof(*t->symbol), by_value);
	return NULL;
}

void
command_symbols(struct debugger *d, const char *arguments)
{
	struct table *t;
	char path[1024], word[16], *error;
	u64 value;

	if (!next_word(&arguments, path, sizeof(path))) {
		for (t = d->symbols ? d->symbols->first : NULL; t; t = t->next)
			say(d, "%s: %u symbols%s\n", t->path, t->count,
			    t->level >= 0 ? t->level == 1 ? ", level 1" : ", level 2" : t->cr3 ? ", one CR3" : t->eptp ? ", one EPTP" : "");
		return;
	}
	t = calloc(1, sizeof(*t));
	if (!t)
		stop_host_error("out of memory");
	t->path = error_string("%s", path);
	t->level = -1;
	if (next_word(&arguments, word, sizeof(word))) {
		if (!number_argument(d, arguments, &value)) {
			table_free(t);
			return;
		}
		if (!strcmp(word, "level"))
			t->level = (int)value;
		else if (!strcmp(word, "cr3"))
			t->cr3 = value & PAGE_MASK;
		else if (!strcmp(word, "eptp"))
			t->eptp = value & PAGE_MASK;
	}
	error = load(t);
	if (error) {
		complain(d, "%s", error);
		free(error);
		table_free(t);
		return;
	}
	if (!d->symbols)
		d->symbols = calloc(1, sizeof(*d->symbols));
	if (!d->symbols)
		stop_host_error("out of memory");
	t->next = d->symbols->first;
	d->symbols->first = t;
	say(d, "%u symbols\n", t->count);
}

static bool
applies(const struct table *t, const struct vcpu *cpu)
{
	if (!cpu)
		return true;
	if (t->level >= 0 && t->level != level_of(cpu))
		return false;
	if (t->cr3 && t->cr3 != (cpu->cr3 & PAGE_MASK))
		return false;
	return !t->eptp || (cpu->nonroot && cpu->vmx && t->eptp == (cpu->vmx->vmcs.eptp & PAGE_MASK));
}

static const struct symbol *
find(const struct table *t, u64 address)
{
	unsigned low = 0, high = t->count;
	const struct symbol *s;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (t->symbol[middle].value <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return NULL;
	s = &t->symbol[low - 1];
	/* Names without a size reach some way; in a kernel's table, small numbers are per-CPU offsets. */
	if (s->value < 0x1000 || ((s64)s->value >= 0 && (s64)t->symbol[t->count - 1].value < 0))
		return NULL;
	if (address - s->value > (s->size ? s->size : 0x10000))
		return NULL;
	return s;
}

const char *
symbol_text(struct debugger *d, struct vcpu *cpu, u64 linear, char *text, size_t room)
{
	*text = 0;
	for (const struct table *t = d->symbols ? d->symbols->first : NULL; t; t = t->next) {
		const struct symbol *s = applies(t, cpu) ? find(t, linear) : NULL;

		if (!s)
			continue;
		snprintf(text, room, linear == s->value ? " <%s>" : " <%s+%#llx>", s->name, (ull)(linear - s->value));
		break;
	}
	return text;
}

bool
symbol_value(struct debugger *d, const char *name, u64 *value)
{
	for (int fitting = 1; fitting >= 0; fitting--)
		for (const struct table *t = d->symbols ? d->symbols->first : NULL; t; t = t->next) {
			if (applies(t, d->cpu) != fitting)
				continue;
			for (unsigned i = 0; i < t->count; i++)
				if (!strcmp(t->symbol[i].name, name)) {
					*value = t->symbol[i].value;
					return true;
				}
		}
	return false;
}

const char *
symbol_name_at(struct debugger *d, unsigned index)
{
	for (const struct table *t = d->symbols ? d->symbols->first : NULL; t; t = t->next) {
		if (index < t->count)
			return t->symbol[index].name;
		index -= t->count;
	}
	return NULL;
}

static void
frame(struct debugger *d, unsigned number, u64 rip)
{
	char symbol[120];

	say(d, "#%-2u %016llx%s\n", number, (ull)rip, symbol_text(d, d->cpu, rip, symbol, sizeof(symbol)));
}

static bool
is_code(struct debugger *d, u64 address)
{
	for (const struct table *t = d->symbols->first; t; t = t->next) {
		const struct symbol *s = applies(t, d->cpu) ? find(t, address) : NULL;

		if (s && s->code && s->value != address)
			return true;
	}
	return false;
}

/* Without frame pointers in the code: whatever on the stack looks like a return address into a known function. */
static void
scan_stack(struct debugger *d)
{
	char symbol[120];
	unsigned found = 1;
	u64 value;

	for (u64 at = d->cpu->r[RSP]; found < 40 && at < d->cpu->r[RSP] + 4096; at += 8) {
		if (!d_peek(d, d->cpu, ADDRESS_LINEAR, at, &value, 8))
			break;
		if (is_code(d, value))
			say(d, "?%-2u %016llx%s (at %#llx)\n", found++, (ull)value, symbol_text(d, d->cpu, value, symbol, sizeof(symbol)),
			    (ull)at);
	}
}

void
command_backtrace(struct debugger *d, const char *arguments)
{
	u64 rbp = d->cpu->r[RBP], link[2];
	unsigned size = d->cpu->long64 ? 8 : 4, number = 1;

	(void)arguments;
	frame(d, 0, linear_rip(d->cpu));
	while (number < 64) {
		memset(link, 0, sizeof(link));
		if (rbp < d->cpu->r[RSP] || !d_peek(d, d->cpu, ADDRESS_LINEAR, rbp, &link[0], size) ||
		    !d_peek(d, d->cpu, ADDRESS_LINEAR, rbp + size, &link[1], size) || link[0] <= rbp)
			break;
		frame(d, number++, link[1]);
		rbp = link[0];
	}
	if (number == 1 && d->symbols) {
		say(d, "no frame pointers; return addresses that lie on the stack:\n");
		scan_stack(d);
	}
}
