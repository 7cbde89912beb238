/*
 * ELF executables (32 and 64 bits), and their start by the PVH note. Source: System V ABI, "Program Header"; Xen,
 * docs/misc/pvh.pandoc ("x86/HVM direct boot ABI") and start_info.h.
 */
#include <string.h>

#include "base/stop.h"
#include "machine/loader_internal.h"

#define PT_LOAD 1
#define PT_NOTE 4
#define EM_386 3
#define EM_X86_64 62
#define NOTE_PHYS32_ENTRY 18
#define PROGRAM_HEADERS_MAX 256

struct segment_header {
	u32 type;
	u64 offset, physical, file_size, memory_size, align;
};

static bool
is64(const struct image *image)
{
	return image->data[4] == 2;
}

bool
elf_recognise(const struct image *image)
{
	return image->size >= 64 && !memcmp(image->data, "\177ELF", 4);
}

/* Number of program headers, all inside the file; or an error. */
static char *
count_headers(const struct image *image, unsigned *count, u64 *at, unsigned *size)
{
	const u8 *data = image->data;
	u16 machine = get16(data + 18);

	*at = is64(image) ? get64(data + 32) : get32(data + 28);
	*size = get16(data + (is64(image) ? 54 : 42));
	*count = get16(data + (is64(image) ? 56 : 44));
	if ((machine != EM_386 && machine != EM_X86_64) || data[5] != 1)
		return error_string("%s: an ELF file for another processor", image->path);
	if (*count == 0 || *count > PROGRAM_HEADERS_MAX || *size < (is64(image) ? 56u : 32u) || *at > image->size ||
	    (u64)*count * *size > image->size - *at)
		return error_string("%s: an ELF file without usable program headers", image->path);
	return NULL;
}

static char *
read_header(const struct image *image, u64 at, struct segment_header *h)
{
	const u8 *p = image->data + at;

	h->type = get32(p);
	if (is64(image)) {
		h->offset = get64(p + 8);
		h->physical = get64(p + 24);
		h->file_size = get64(p + 32);
		h->memory_size = get64(p + 40);
		h->align = get64(p + 48);
	} else {
		h->offset = get32(p + 4);
		h->physical = get32(p + 12);
		h->file_size = get32(p + 16);
		h->memory_size = get32(p + 20);
		h->align = get32(p + 28);
	}
	if ((h->type == PT_LOAD || h->type == PT_NOTE) &&
	    (h->offset > image->size || h->file_size > image->size - h->offset))
		return error_string("%s: a segment lies beyond the end of the file", image->path);
	return NULL;
}

/* Notes: name size, description size, type; name and description padded to `align`. */
static bool
find_note(const u8 *note, u64 size, u64 align, u32 *entry)
{
	while (size >= 12) {
		u64 name = get32(note), description = get32(note + 4);
		u64 description_at = (12 + name + align - 1) & ~(align - 1);
		u64 next = (description_at + description + align - 1) & ~(align - 1);

		if (description_at + description > size)
			return false;
		if (get32(note + 8) == NOTE_PHYS32_ENTRY && name == 4 && !memcmp(note + 12, "Xen", 4) &&
		    description >= 4) {
			*entry = get32(note + description_at);
			return true;
		}
		if (next > size)
			return false;
		note += next;
		size -= next;
	}
	return false;
}

bool
elf_pvh_entry(const struct image *image, u32 *entry, char **error)
{
	struct segment_header h;
	unsigned count, size;
	u64 at;

	*error = count_headers(image, &count, &at, &size);
	for (unsigned i = 0; !*error && i < count; i++) {
		*error = read_header(image, at + i * size, &h);
		if (!*error && h.type == PT_NOTE &&
		    find_note(image->data + h.offset, h.file_size, h.align == 8 ? 8 : 4, entry))
			return true;
	}
	return false;
}

static char *
load_segment(struct loading *l, const struct segment_header *h)
{
	if (h->memory_size < h->file_size)
		return error_string("%s: a segment is larger in the file than in memory", l->kernel.path);
	if (!loader_is_ram(l->memory, h->physical, h->memory_size))
		return error_string("%s: a segment of %llu bytes at %#llx is outside the memory: more -m?",
				    l->kernel.path, (unsigned long long)h->memory_size,
				    (unsigned long long)h->physical);
	dma_write(l->memory, h->physical, l->kernel.data + h->offset, h->file_size);
	loader_clear(l->memory, h->physical + h->file_size, h->memory_size - h->file_size);
	l->kernel_start = MIN(l->kernel_start, h->physical);
	l->kernel_end = MAX(l->kernel_end, h->physical + h->memory_size);
	return NULL;
}

char *
elf_load(struct loading *l, u64 *entry)
{
	struct segment_header h;
	unsigned count, size;
	u64 at;
	char *error = count_headers(&l->kernel, &count, &at, &size);

	l->kernel_start = UINT64_MAX;
	l->kernel_end = 0;
	*entry = is64(&l->kernel) ? get64(l->kernel.data + 24) : get32(l->kernel.data + 24);
	for (unsigned i = 0; !error && i < count; i++) {
		error = read_header(&l->kernel, at + i * size, &h);
		if (!error && h.type == PT_LOAD && h.memory_size)
			error = load_segment(l, &h);
	}
	if (!error && l->kernel_end == 0)
		error = error_string("%s: an ELF file with nothing to load", l->kernel.path);
	return error;
}

/* struct hvm_start_info, version 1, and what it points to. */
char *
load_pvh(struct loading *l, u32 entry)
{
	const char *cmdline = l->config->append ? l->config->append : "";
	u8 info[56] = {0}, module[32] = {0}, table[E820_MAX * 24] = {0};
	struct e820 map[E820_MAX];
	u64 elf_entry, initrd, initrd_size;
	unsigned entries;
	char *error = elf_load(l, &elf_entry);

	if (!error)
		error = loader_initrd(l, 0x100000000ull, &initrd, &initrd_size);
	if (!error)
		error = loader_reserve(l, 4096 + strlen(cmdline));
	if (error)
		return error;

	entries = loader_e820(l->memory, map);
	for (unsigned i = 0; i < entries; i++) {
		put64(table + i * 24, map[i].start);
		put64(table + i * 24 + 8, map[i].size);
		put32(table + i * 24 + 16, map[i].type);
	}
	put32(info, 0x336ec578);
	put32(info + 4, 1);
	if (initrd_size) {
		put64(module, initrd);
		put64(module + 8, initrd_size);
		put32(info + 12, 1);
		put64(info + 16, loader_place(l, module, sizeof(module)));
	}
	put64(info + 24, loader_place_string(l, cmdline));
	put64(info + 40, loader_place(l, table, entries * 24));
	put32(info + 48, entries);

	loader_place_gdt(l);
	l->state->ebx = (u32)loader_place(l, info, sizeof(info));
	l->state->eip = entry;
	return NULL;
}
