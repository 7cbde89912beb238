/*
 * Symbols: ELF files (by libelf), System.map, and kernel modules (modules.c), in several address spaces kept apart.
 *
 * A table may belong to one level, one CR3 or one EPTP; only those of the space in question are asked. A file may have been loaded elsewhere
 * than it says (`at`, `kaslr`).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "debugger/symbols.h"

static void
table_free(struct table *t)
{
	for (unsigned i = 0; i < t->count; i++)
		free(t->symbol[i].name);
	free(t->symbol);
	free(t->by_name);
	free(t->orc_ip);
	free(t->orc);
	free(t->path);
	cfi_free(t);
	if (t->elf)
		elf_end(t->elf);
	if (t->fd >= 0)
		close(t->fd);
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

struct table *
table_new(const char *path, const struct space *space)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		stop_host_error("out of memory");
	t->path = error_string("%s", path);
	t->space = *space;
	t->fd = -1;
	return t;
}

void
table_add(struct table *t, u64 value, u64 size, const char *name, bool code)
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

static int
by_name(const void *a, const void *b)
{
	const struct symbol *const *x = a, *const *y = b;
	int order = strcmp((*x)->name, (*y)->name);

	return order ? order : *x < *y ? -1 : 1;
}

/* Sorts it, and puts it before the others; takes the place of an older one of the same file and space. */
void
table_finish(struct debugger *d, struct table *t)
{
	qsort(t->symbol, t->count, sizeof(*t->symbol), by_value);
	t->by_name = calloc(t->count + 1, sizeof(*t->by_name));
	if (!d->symbols)
		d->symbols = calloc(1, sizeof(*d->symbols));
	if (!d->symbols || !t->by_name)
		stop_host_error("out of memory");
	for (unsigned i = 0; i < t->count; i++)
		t->by_name[i] = &t->symbol[i];
	qsort(t->by_name, t->count, sizeof(*t->by_name), by_name);
	for (struct table **link = &d->symbols->first; *link; link = &(*link)->next) {
		struct table *old = *link;

		if (strcmp(old->path, t->path) != 0 || memcmp(&old->space, &t->space, sizeof(t->space)) != 0)
			continue;
		*link = old->next;
		table_free(old);
		break;
	}
	t->next = d->symbols->first;
	d->symbols->first = t;
}

static void
read_elf(struct table *t)
{
	Elf *elf = t->elf;
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	GElf_Sym symbol;

	while ((section = elf_nextscn(elf, section))) {
		Elf_Data *data;

		if (!gelf_getshdr(section, &header) || (header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM) || !header.sh_entsize ||
		    !(data = elf_getdata(section, NULL)))
			continue;
		for (size_t i = 0; i < header.sh_size / header.sh_entsize && i < 1 << 24; i++) {
			const char *name;

			if (!gelf_getsym(data, (int)i, &symbol) || symbol.st_shndx == SHN_UNDEF)
				continue;
			if (GELF_ST_TYPE(symbol.st_info) == STT_SECTION || GELF_ST_TYPE(symbol.st_info) == STT_FILE)
				continue;
			name = elf_strptr(elf, header.sh_link, symbol.st_name);
			if (name && *name)
				table_add(t, symbol.st_value + t->bias, symbol.st_size, name, GELF_ST_TYPE(symbol.st_info) == STT_FUNC);
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

		table_add(t, value + t->bias, 0, name, type == 't' || type == 'T' || type == 'W' || type == 'w');
		while ((c = fgetc(file)) != EOF && c != '\n')
			;
	}
}

/* The lowest address that the file wants for itself. */
static u64
own_base(Elf *elf)
{
	GElf_Phdr header;
	u64 base = ~0ull;
	size_t n = 0;

	elf_getphdrnum(elf, &n);
	for (size_t i = 0; i < n; i++)
		if (gelf_getphdr(elf, (int)i, &header) && header.p_type == PT_LOAD && header.p_vaddr)
			base = MIN(base, header.p_vaddr & PAGE_MASK);
	return base == ~0ull ? 0 : base;
}

/* Where entry_SYSCALL_64 is, against where it was linked: Linux's own shift. */
static bool
kaslr_bias(struct debugger *d, struct table *t)
{
	for (unsigned i = 0; i < t->count; i++)
		if (!strcmp(t->symbol[i].name, "entry_SYSCALL_64")) {
			t->bias = d->cpu->msr.lstar - t->symbol[i].value;
			for (unsigned k = 0; k < t->count; k++)
				t->symbol[k].value += (s64)t->symbol[k].value < 0 ? t->bias : 0;
			return (t->bias & 0xfff) == 0;
		}
	return false;
}

static char *
load(struct debugger *d, struct table *t, const u64 *at, bool kaslr)
{
	FILE *file;

	t->fd = open(t->path, O_RDONLY | O_CLOEXEC);
	if (t->fd < 0)
		return error_string("%s: %s", t->path, strerror(errno));
	elf_version(EV_CURRENT);
	t->elf = elf_begin(t->fd, ELF_C_READ_MMAP, NULL);
	if (t->elf && elf_kind(t->elf) == ELF_K_ELF) {
		t->bias = at ? *at - own_base(t->elf) : 0;
		read_elf(t);
	} else {
		t->bias = at ? *at : 0;
		file = fopen(t->path, "r");
		if (file) {
			read_map(t, file);
			fclose(file);
		}
		if (t->elf)
			elf_end(t->elf);
		t->elf = NULL;
	}
	if (!t->count)
		return error_string("%s: neither an ELF file with symbols nor a System.map", t->path);
	if (kaslr && !kaslr_bias(d, t))
		return error_string("%s: IA32_LSTAR does not hold this file's entry_SYSCALL_64", t->path);
	orc_from_file(t);
	return NULL;
}

static void
print_table(struct debugger *d, const struct table *t)
{
	say(d, "%s: %u symbols", t->path, t->count);
	if (t->bias)
		say(d, ", shifted by %#llx", (ull)t->bias);
	if (t->orcs)
		say(d, ", ORC");
	if (t->space.level >= 0)
		say(d, ", level %d", t->space.level);
	if (t->space.cr3)
		say(d, ", cr3 %#llx", (ull)t->space.cr3);
	if (t->space.eptp)
		say(d, ", eptp %#llx", (ull)t->space.eptp);
	say(d, "\n");
}

/* level N, cr3 N, eptp N, at N, kaslr. */
static bool
space_arguments(struct debugger *d, const char *at, struct space *space, u64 *base, bool *based, bool *kaslr)
{
	char word[16];
	const char *error, *start;
	u64 value;

	*space = (struct space){-1, 0, 0};
	while (next_word(&at, word, sizeof(word))) {
		if (!strcmp(word, "kaslr")) {
			*kaslr = true;
			continue;
		}
		start = at;
		if (!evaluate(d, &at, &value, &error)) {
			complain(d, "%s %s: %s", word, start, error);
			return false;
		}
		if (!strcmp(word, "level") && value >= 1 && value <= 2) {
			space->level = (int)value;
		} else if (!strcmp(word, "cr3")) {
			space->cr3 = value & PAGE_MASK;
		} else if (!strcmp(word, "eptp")) {
			space->eptp = value & PAGE_MASK;
		} else if (!strcmp(word, "at")) {
			*base = value;
			*based = true;
		} else {
			complain(d, "'%s' is none of level (1 or 2), cr3, eptp, at, kaslr", word);
			return false;
		}
	}
	return true;
}

void
command_symbols(struct debugger *d, const char *arguments)
{
	struct space space;
	struct table *t;
	char path[1024], *error;
	bool based = false, kaslr = false;
	u64 base = 0;

	if (!next_word(&arguments, path, sizeof(path))) {
		for (t = d->symbols ? d->symbols->first : NULL; t; t = t->next)
			print_table(d, t);
		return;
	}
	if (!space_arguments(d, arguments, &space, &base, &based, &kaslr))
		return;
	if (!strcmp(path, "modules")) {
		symbols_of_modules(d, &space);
		return;
	}
	t = table_new(path, &space);
	error = load(d, t, based ? &base : NULL, kaslr);
	if (error) {
		complain(d, "%s", error);
		free(error);
		table_free(t);
		return;
	}
	table_finish(d, t);
	say(d, "%u symbols\n", t->count);
}

struct space
space_of(const struct vcpu *cpu)
{
	return (struct space){level_of(cpu), cpu->cr3 & PAGE_MASK, cpu->nonroot && cpu->vmx ? cpu->vmx->vmcs.eptp & PAGE_MASK : 0};
}

bool
table_applies(const struct table *t, const struct space *s)
{
	if (t->space.level >= 0 && t->space.level != s->level)
		return false;
	if (t->space.cr3 && t->space.cr3 != (s->cr3 & PAGE_MASK))
		return false;
	return !t->space.eptp || t->space.eptp == (s->eptp & PAGE_MASK);
}

const struct symbol *
table_find(const struct table *t, u64 address)
{
	unsigned low = 0, high = t->count;
	const struct symbol *s;

	if (t->last && (address < t->first || address > t->last))
		return NULL;
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
	if (s->value < 0x1000 || ((s64)(s->value - t->bias) >= 0 && (s64)(t->symbol[t->count - 1].value - t->bias) < 0))
		return NULL;
	if (address - s->value > (s->size ? s->size : 0x10000))
		return NULL;
	return s;
}

const char *
symbol_text_in(struct debugger *d, const struct space *space, u64 linear, char *text, size_t room)
{
	*text = 0;
	for (const struct table *t = d->symbols ? d->symbols->first : NULL; t; t = t->next) {
		const struct symbol *s = table_applies(t, space) ? table_find(t, linear) : NULL;

		if (!s)
			continue;
		snprintf(text, room, linear == s->value ? " <%s>" : " <%s+%#llx>", s->name, (ull)(linear - s->value));
		break;
	}
	return text;
}

const char *
symbol_text(struct debugger *d, struct vcpu *cpu, u64 linear, char *text, size_t room)
{
	struct space space = space_of(cpu);

	return symbol_text_in(d, &space, linear, text, room);
}

/* In this table only. */
bool
table_value(const struct table *t, const char *name, u64 *value)
{
	unsigned low = 0, high = t->count;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		int order = strcmp(t->by_name[middle]->name, name);

		if (order == 0) {
			while (middle && !strcmp(t->by_name[middle - 1]->name, name))
				middle--;
			*value = t->by_name[middle]->value;
			return true;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* In the processor's space, else in any. */
bool
symbol_value(struct debugger *d, const char *name, u64 *value)
{
	struct space space = space_of(d->cpu);

	for (int fitting = 1; fitting >= 0; fitting--)
		for (const struct table *t = d->symbols ? d->symbols->first : NULL; t; t = t->next)
			if (table_applies(t, &space) == fitting && table_value(t, name, value))
				return true;
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
