/*
 * Linux bzImage by the 32-bit boot protocol. Source: Linux, Documentation/arch/x86/boot.rst ("The Real-Mode Kernel
 * Header", "32-bit BOOT PROTOCOL") and zero-page.rst. Not modelled: zImage (protocol before 2.06, loaded low),
 * setup_data, the 64-bit entry point.
 */
#include <string.h>

#include "base/stop.h"
#include "machine/loader_internal.h"

/* Offsets in the file and, from SETUP_SECTS on, in the zero page. */
enum {
	ALT_MEM_K = 0x1e0,
	E820_ENTRIES = 0x1e8,
	SETUP_SECTS = 0x1f1,
	JUMP_LENGTH = 0x201,
	HEADER_MAGIC = 0x202,
	VERSION = 0x206,
	TYPE_OF_LOADER = 0x210,
	LOADFLAGS = 0x211,
	CODE32_START = 0x214,
	RAMDISK_IMAGE = 0x218,
	RAMDISK_SIZE = 0x21c,
	HEAP_END_PTR = 0x224,
	CMD_LINE_PTR = 0x228,
	INITRD_ADDR_MAX = 0x22c,
	CMDLINE_SIZE = 0x238,
	PREF_ADDRESS = 0x258,
	INIT_SIZE = 0x260,
	HEADER_END = 0x290,
	E820_TABLE = 0x2d0,
};

#define MAGIC 0x53726448 /* "HdrS" */
#define LOADED_HIGH 0x01
#define CAN_USE_HEAP 0x80
#define LOADER_UNDEFINED 0xff
#define ZERO_PAGE 4096

bool
linux_recognise(const struct image *image)
{
	return image->size >= HEADER_END && get32(image->data + HEADER_MAGIC) == MAGIC;
}

/* Where the kernel goes and what it will occupy until it has set up its own memory management. */
static char *
check(struct loading *l, u64 *setup_size)
{
	const u8 *data = l->kernel.data;
	unsigned version = get16(data + VERSION);
	const char *path = l->kernel.path;

	if (version < 0x206 || !(data[LOADFLAGS] & LOADED_HIGH))
		return error_string("%s: boot protocol %u.%02u: only bzImages of 2.06 and later are loaded", path,
				    version >> 8, version & 0xff);
	*setup_size = ((data[SETUP_SECTS] ? data[SETUP_SECTS] : 4) + 1) * 512ull;
	if (*setup_size >= l->kernel.size)
		return error_string("%s: ends before the kernel proper", path);
	l->kernel_start = HIGH_START;
	l->kernel_end = HIGH_START + (l->kernel.size - *setup_size);
	if (version >= 0x20a)
		l->kernel_end = MAX(l->kernel_end, get64(data + PREF_ADDRESS) + get32(data + INIT_SIZE));
	if (l->kernel_end > l->memory->low_size || l->kernel_end < l->kernel_start)
		return error_string("%s: needs %llu MiB of memory to start, and there are %llu: more -m", path,
				    (unsigned long long)(l->kernel_end + 0xfffff) >> 20,
				    (unsigned long long)l->memory->ram_size >> 20);
	if (l->config->append && strlen(l->config->append) > get32(data + CMDLINE_SIZE))
		return error_string("-append: longer than the %u bytes that %s takes", get32(data + CMDLINE_SIZE),
				    path);
	return NULL;
}

char *
load_linux(struct loading *l)
{
	const char *cmdline = l->config->append ? l->config->append : "";
	u8 zero[ZERO_PAGE] = {0};
	struct e820 map[E820_MAX];
	u64 setup_size = 0, initrd, initrd_size;
	int header_end;
	char *error = check(l, &setup_size);

	if (!error)
		error = loader_initrd(l, get32(l->kernel.data + INITRD_ADDR_MAX) + 1ull, &initrd, &initrd_size);
	if (!error)
		error = loader_reserve(l, ZERO_PAGE + 4096 + strlen(cmdline));
	if (error)
		return error;

	/* The header's length is the distance that its first jump skips. */
	header_end = MIN(HEADER_END, HEADER_MAGIC + l->kernel.data[JUMP_LENGTH]);
	memcpy(zero + SETUP_SECTS, l->kernel.data + SETUP_SECTS, (size_t)(header_end - SETUP_SECTS));
	zero[TYPE_OF_LOADER] = LOADER_UNDEFINED;
	zero[LOADFLAGS] |= CAN_USE_HEAP;
	put16(zero + HEAP_END_PTR, 0xfe00);
	put32(zero + CODE32_START, HIGH_START);
	put32(zero + RAMDISK_IMAGE, (u32)initrd);
	put32(zero + RAMDISK_SIZE, (u32)initrd_size);
	put32(zero + ALT_MEM_K, (u32)((l->memory->low_size - HIGH_START) >> 10));
	zero[E820_ENTRIES] = (u8)loader_e820(l->memory, map);
	memcpy(zero + E820_TABLE, map, zero[E820_ENTRIES] * sizeof(map[0]));
	put32(zero + CMD_LINE_PTR, (u32)loader_place_string(l, cmdline));

	loader_place_gdt(l);
	l->state->esi = (u32)loader_place(l, zero, sizeof(zero));
	l->state->eip = HIGH_START;
	dma_write(l->memory, HIGH_START, l->kernel.data + setup_size, l->kernel.size - setup_size);
	return NULL;
}
