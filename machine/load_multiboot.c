/*
 * Multiboot 1. Source: Multiboot Specification 0.6.96, "OS image format", "Machine state", "Boot information format".
 * Not modelled: video modes (a kernel that requires one is refused), drives, APM and ROM tables.
 */
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "machine/loader_internal.h"
#include "machine/values.h"

#define SEARCH 8192
#define HEADER_MAGIC 0x1badb002u
#define LOADER_MAGIC 0x2badb002u
#define REQUIRE_PAGE_ALIGN BIT(0)
#define REQUIRE_MEMORY BIT(1)
#define ADDRESSES_VALID BIT(16)
#define MODULES_MAX 64

#define INFO_MEMORY BIT(0)
#define INFO_CMDLINE BIT(2)
#define INFO_MODULES BIT(3)
#define INFO_MMAP BIT(6)
#define INFO_LOADER_NAME BIT(9)

struct module {
	char *string; /* file name and arguments */
	u64 start, size;
};

bool
multiboot_recognise(const struct image *image, size_t *header)
{
	size_t end = MIN(image->size, (size_t)SEARCH);

	for (size_t at = 0; at + 12 <= end; at += 4) {
		const u8 *p = image->data + at;

		if (get32(p) == HEADER_MAGIC && get32(p) + get32(p + 4) + get32(p + 8) == 0) {
			*header = at;
			return true;
		}
	}
	return false;
}

/* The a.out kludge: the header itself says what goes where. */
static char *
load_flat(struct loading *l, size_t header, u64 *entry)
{
	const struct image *image = &l->kernel;
	const u8 *p = image->data + header;
	u64 header_addr, load, load_end, bss_end, from;

	if (header + 32 > image->size)
		return error_string("%s: multiboot header is cut off", image->path);
	header_addr = get32(p + 12);
	load = get32(p + 16);
	load_end = get32(p + 20);
	bss_end = get32(p + 24);
	*entry = get32(p + 28);
	if (load > header_addr || header_addr - load > header)
		return error_string("%s: multiboot header has impossible addresses", image->path);
	from = header - (header_addr - load);
	if (load_end == 0)
		load_end = load + (image->size - from);
	if (load_end < load || load_end - load > image->size - from)
		return error_string("%s: multiboot header wants more than the file holds", image->path);
	bss_end = MAX(bss_end, load_end);
	if (!loader_is_ram(l->memory, load, bss_end - load))
		return error_string("%s: %llu bytes at %#llx are outside the memory: more -m?", image->path,
				    (unsigned long long)(bss_end - load), (unsigned long long)load);
	dma_write(l->memory, load, image->data + from, load_end - load);
	loader_clear(l->memory, load_end, bss_end - load_end);
	l->kernel_start = load;
	l->kernel_end = bss_end;
	return NULL;
}

/* -initrd "file arguments,file arguments": the files' sizes, and places one behind the other after the kernel. */
static char *
find_modules(struct loading *l, struct module module[MODULES_MAX], unsigned *count)
{
	const char *at = l->config->initrd ? l->config->initrd : "";
	u64 next = MAX(l->kernel_end, HIGH_START);
	char *string, *error = NULL;

	while (!error && (string = next_element(&at))) {
		const char *place;
		char *path;

		if (*count == MODULES_MAX) {
			free(string);
			return error_string("-initrd: more than %d modules", MODULES_MAX);
		}
		module[*count].string = string;
		path = error_string("%.*s", (int)strcspn(string, " "), string);
		place = config_place(l->config, path);
		error = loader_file_size(place, &module[*count].size);
		next = (next + PAGE_SIZE - 1) & PAGE_MASK;
		if (!error && !loader_usable(l->memory, next, module[*count].size))
			error = error_string("%s: no room for it in %llu MiB: more -m", path,
					     (unsigned long long)l->memory->ram_size >> 20);
		module[*count].start = next;
		next += module[*count].size;
		if (!error)
			error = loader_file_load(l->memory, place, module[*count].start, module[*count].size);
		free(path);
		(*count)++;
	}
	/* The loader's own structures go elsewhere. */
	l->kernel_end = next;
	return error;
}

static void
place_modules(struct loading *l, const struct module *module, unsigned count, u8 *info)
{
	u8 list[MODULES_MAX * 16] = {0};

	for (unsigned i = 0; i < count; i++) {
		put32(list + i * 16, (u32)module[i].start);
		put32(list + i * 16 + 4, (u32)(module[i].start + module[i].size));
		put32(list + i * 16 + 8, (u32)loader_place_string(l, module[i].string));
	}
	put32(info + 20, count);
	put32(info + 24, count ? (u32)loader_place(l, list, count * 16) : 0);
}

static void
place_info(struct loading *l, const struct module *module, unsigned count, const char *cmdline)
{
	u8 info[116] = {0}, mmap[E820_MAX * 24];
	struct e820 map[E820_MAX];
	unsigned entries = loader_e820(l->memory, map);

	put32(info, INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MMAP | INFO_LOADER_NAME);
	put32(info + 4, LOW_END >> 10);
	put32(info + 8, (u32)((l->memory->low_size - HIGH_START) >> 10));
	put32(info + 16, (u32)loader_place_string(l, cmdline));
	place_modules(l, module, count, info);
	for (unsigned i = 0; i < entries; i++) {
		put32(mmap + i * 24, 20); /* bytes that follow */
		put64(mmap + i * 24 + 4, map[i].start);
		put64(mmap + i * 24 + 12, map[i].size);
		put32(mmap + i * 24 + 20, map[i].type);
	}
	put32(info + 44, entries * 24);
	put32(info + 48, (u32)loader_place(l, mmap, entries * 24));
	put32(info + 64, (u32)loader_place_string(l, "nestbox"));

	loader_place_gdt(l);
	l->state->eax = LOADER_MAGIC;
	l->state->ebx = (u32)loader_place(l, info, sizeof(info));
}

char *
load_multiboot(struct loading *l, size_t header)
{
	u32 flags = get32(l->kernel.data + header + 4);
	struct module module[MODULES_MAX] = {0};
	unsigned count = 0;
	u64 entry, room = 16384;
	char *cmdline, *error;

	if (flags & 0xffff & ~(REQUIRE_PAGE_ALIGN | REQUIRE_MEMORY))
		return error_string("%s: multiboot header requires what is not there (flags %#x)", l->kernel.path,
				    flags);
	error = flags & ADDRESSES_VALID ? load_flat(l, header, &entry)
		: elf_recognise(&l->kernel)
			? elf_load(l, &entry)
			: error_string("%s: a multiboot header, but neither ELF nor load addresses", l->kernel.path);
	if (error)
		return error;
	cmdline = error_string("%s%s%s", l->config->kernel, l->config->append ? " " : "",
			       l->config->append ? l->config->append : "");
	error = find_modules(l, module, &count);
	for (unsigned i = 0; i < count; i++)
		room += strlen(module[i].string) + 16;
	if (!error)
		error = loader_reserve(l, room + strlen(cmdline));
	if (!error) {
		place_info(l, module, count, cmdline);
		l->state->eip = (u32)entry;
	}
	for (unsigned i = 0; i < count; i++)
		free(module[i].string);
	free(cmdline);
	return error;
}
