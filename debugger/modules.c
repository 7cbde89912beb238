/*
 * Modules of a running Linux: names, addresses, symbols and unwind tables, read from its memory. Where the fields of its structures lie says
 * the kernel's own debug information (libdw), so that no version is known here.
 */
#include <stdlib.h>
#include <string.h>

#include <dwarf.h>

#include "debugger/symbols.h"

/* The guest's memory says how many: of all modules together, so many at most. */
#define MODULES 1000
#define SYMBOLS (1u << 20)
#define ORCS (1u << 22)

struct reader {
	struct debugger *d;
	enum address_kind kind;
	Dwarf_Die module; /* struct module */
	u64 symbols, orcs; /* taken so far */
};

/* --- layouts --- */

static bool
struct_named(Dwarf *dwarf, const char *name, Dwarf_Die *out)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die unit, die;

	while (dwarf_get_units(dwarf, cu, &cu, NULL, NULL, &unit, NULL) == 0) {
		if (dwarf_child(&unit, &die) != 0)
			continue;
		do {
			const char *own;

			if (dwarf_tag(&die) == DW_TAG_structure_type && dwarf_hasattr(&die, DW_AT_byte_size) &&
			    (own = dwarf_diename(&die)) && !strcmp(own, name)) {
				*out = die;
				return true;
			}
		} while (dwarf_siblingof(&die, &die) == 0);
	}
	return false;
}

/* Through typedefs, qualifiers and arrays to what has members. */
static bool
type_of(Dwarf_Die *die, Dwarf_Die *type)
{
	Dwarf_Attribute attribute;

	if (!dwarf_attr_integrate(die, DW_AT_type, &attribute) || !dwarf_formref_die(&attribute, type))
		return false;
	while (dwarf_tag(type) == DW_TAG_typedef || dwarf_tag(type) == DW_TAG_const_type || dwarf_tag(type) == DW_TAG_volatile_type ||
	       dwarf_tag(type) == DW_TAG_array_type || dwarf_tag(type) == DW_TAG_pointer_type) {
		Dwarf_Die next;

		if (!dwarf_attr_integrate(type, DW_AT_type, &attribute) || !dwarf_formref_die(&attribute, &next))
			return false;
		*type = next;
	}
	return true;
}

/* The member `path` ("a.b") of the structure: where, and what type it is or points at. */
static bool
member(Dwarf_Die *structure, const char *path, u64 *offset, Dwarf_Die *type)
{
	Dwarf_Die at = *structure, die;

	*offset = 0;
	while (*path) {
		size_t length = strcspn(path, ".");
		bool found = false;

		if (dwarf_child(&at, &die) != 0)
			return false;
		do {
			const char *name = dwarf_diename(&die);
			Dwarf_Attribute attribute;
			Dwarf_Word value = 0;

			if (!name || strlen(name) != length || strncmp(name, path, length) != 0)
				continue;
			if (dwarf_attr(&die, DW_AT_data_member_location, &attribute) && dwarf_formudata(&attribute, &value) != 0)
				return false;
			*offset += value;
			found = true;
		} while (!found && dwarf_siblingof(&die, &die) == 0);
		if (!found)
			return false;
		path += length + (path[length] == '.');
		if (type_of(&die, type))
			at = *type;
		else if (*path)
			return false;
	}
	return true;
}

static bool
peek(struct reader *r, u64 address, void *data, unsigned size)
{
	return d_peek(r->d, r->d->cpu, r->kind, address, data, size);
}

/* A number or pointer of `size` bytes. */
static bool
field(struct reader *r, u64 base, Dwarf_Die *structure, const char *path, unsigned size, u64 *value)
{
	Dwarf_Die type;
	u64 offset;

	*value = 0;
	return member(structure, path, &offset, &type) && peek(r, base + offset, value, size);
}

/* --- one module --- */

/* struct mod_kallsyms: symbols as in an ELF file, their values already addresses. */
static void
read_symbols(struct reader *r, u64 module, struct table *t)
{
	u64 kallsyms, symbols, count, strings, offset;
	Dwarf_Die type;

	if (!field(r, module, &r->module, "kallsyms", 8, &kallsyms) || !member(&r->module, "kallsyms", &offset, &type))
		return;
	if (!field(r, kallsyms, &type, "symtab", 8, &symbols) || !field(r, kallsyms, &type, "num_symtab", 4, &count) ||
	    !field(r, kallsyms, &type, "strtab", 8, &strings))
		return;
	for (u64 i = 0; i < count && r->symbols < SYMBOLS; i++, r->symbols++) {
		Elf64_Sym symbol;
		char name[128];
		unsigned have = sizeof(name) - 1;

		if (!peek(r, symbols + i * sizeof(symbol), &symbol, sizeof(symbol)))
			break;
		if (symbol.st_value < t->first || symbol.st_value > t->last || !symbol.st_name)
			continue;
		/* The last name may end just before memory does. */
		while (have && !peek(r, strings + symbol.st_name, name, have))
			have /= 2;
		name[have] = 0;
		if (*name)
			table_add(t, symbol.st_value, symbol.st_size, name, ELF64_ST_TYPE(symbol.st_info) == STT_FUNC || symbol.st_info == 't' ||
										    symbol.st_info == 'T');
	}
}

static void
read_orc(struct reader *r, u64 module, struct table *t)
{
	u64 ip, entries, count;
	s32 *offsets;
	u8 *bytes;

	if (!field(r, module, &r->module, "arch.orc_unwind_ip", 8, &ip) || !field(r, module, &r->module, "arch.orc_unwind", 8, &entries) ||
	    !field(r, module, &r->module, "arch.num_orcs", 4, &count) || !count || count > ORCS - r->orcs)
		return;
	offsets = calloc(count, 4);
	bytes = calloc(count, 6);
	if (!offsets || !bytes)
		stop_host_error("out of memory");
	if (peek(r, ip, offsets, (unsigned)count * 4) && peek(r, entries, bytes, (unsigned)count * 6))
		orc_take(t, offsets, ip, bytes, (unsigned)count);
	r->orcs += count;
	free(offsets);
	free(bytes);
}

static struct table *
read_module(struct reader *r, u64 module, const struct space *space, bool orc_new)
{
	u64 base, size, offset;
	Dwarf_Die type;
	char name[57] = "";
	struct table *t;

	/* The layout until Linux 6.3, and since. */
	if (!(field(r, module, &r->module, "core_layout.base", 8, &base) && field(r, module, &r->module, "core_layout.size", 4, &size)) &&
	    !(field(r, module, &r->module, "mem.base", 8, &base) && field(r, module, &r->module, "mem.size", 4, &size)))
		return NULL;
	if (!member(&r->module, "name", &offset, &type) || !peek(r, module + offset, name, sizeof(name) - 1) || !base || !size)
		return NULL;
	t = table_new(name, space);
	t->first = base;
	t->last = base + size - 1;
	t->orc_new = orc_new;
	read_symbols(r, module, t);
	read_orc(r, module, t);
	return t;
}

/* --- all of them --- */

/* The kernel's table of the space: it has debug information. */
static struct table *
kernel_of(struct debugger *d, const struct space *space, struct reader *r)
{
	u64 value;

	for (struct table *t = d->symbols ? d->symbols->first : NULL; t; t = t->next) {
		if (!t->elf || (space->level > 0 && t->space.level > 0 && t->space.level != space->level) || !table_value(t, "modules", &value))
			continue;
		cfi_open(t);
		if (t->dwarf && struct_named(t->dwarf, "module", &r->module))
			return t;
	}
	return NULL;
}

void
symbols_of_modules(struct debugger *d, const struct space *space)
{
	struct reader r = {.d = d, .kind = ADDRESS_LINEAR};
	struct space here = *space;
	struct table *kernel;
	u64 head = 0, at, offset;
	unsigned count = 0;
	Dwarf_Die type;

	if (here.level < 0)
		here.level = level_of(d->cpu);
	if (here.level != level_of(d->cpu)) {
		if (here.level == 1) {
			complain(d, "the processor is in the guest: stop in the hypervisor first (break exit)");
			return;
		}
		r.kind = ADDRESS_GUEST;
	}
	kernel = kernel_of(d, &here, &r);
	if (!kernel || !table_value(kernel, "modules", &head) || !member(&r.module, "list", &offset, &type)) {
		complain(d, "needs the symbols of a kernel with debug information first (symbols vmlinux)");
		return;
	}
	if (!peek(&r, head, &at, 8)) {
		complain(d, "the list of modules cannot be read at %#llx", (ull)head);
		return;
	}
	for (; at != head && count < MODULES; count++) {
		struct table *t = read_module(&r, at - offset, &here, kernel->orc_new);

		if (!t)
			break;
		say(d, "%-20s %#llx %u symbols%s\n", t->path, (ull)t->first, t->count, t->orcs ? ", ORC" : "");
		table_finish(d, t);
		if (!peek(&r, at, &at, 8))
			break;
	}
	if (!count)
		say(d, "no modules\n");
}
