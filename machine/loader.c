/* Direct boot: what the formats share, and the choice between them. */
#include "machine/loader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/stop.h"
#include "machine/loader_internal.h"

#define KERNEL_MAX (1ull << 30)
#define CHUNK 65536

static char *
open_file(const char *path, int *fd, u64 *size)
{
	struct stat st;

	*fd = open(path, O_RDONLY | O_CLOEXEC);
	if (*fd < 0)
		return error_string("%s: %s", path, strerror(errno));
	if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode)) {
		*size = (u64)st.st_size;
		return NULL;
	}
	close(*fd);
	return error_string("%s: not a regular file", path);
}

static char *
read_all(int fd, const char *path, u8 *to, size_t size)
{
	while (size) {
		ssize_t got = read(fd, to, size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return error_string("%s: %s", path, got < 0 ? strerror(errno) : "became shorter while read");
		to += got;
		size -= (size_t)got;
	}
	return NULL;
}

char *
loader_file_size(const char *path, u64 *size)
{
	int fd;
	char *error = open_file(path, &fd, size);

	if (!error)
		close(fd);
	return error;
}

char *
loader_file_load(struct memory *m, const char *path, u64 to, u64 size)
{
	u8 *chunk = malloc(CHUNK);
	u64 present;
	int fd;
	char *error = chunk ? open_file(path, &fd, &present) : error_string("out of memory");

	if (!error) {
		for (u64 at = 0; at < size && !error; at += CHUNK) {
			error = read_all(fd, path, chunk, MIN(size - at, CHUNK));
			if (!error)
				dma_write(m, to + at, chunk, MIN(size - at, CHUNK));
		}
		close(fd);
	}
	free(chunk);
	return error;
}

static char *
read_image(struct image *image, const char *path)
{
	u64 size;
	int fd;
	char *error = open_file(path, &fd, &size);

	if (error)
		return error;
	image->path = path;
	image->size = size;
	if (size > KERNEL_MAX)
		error = error_string("%s: too large for a kernel", path);
	else if (!(image->data = malloc(size + 1)))
		error = error_string("%s: out of memory", path);
	else
		error = read_all(fd, path, image->data, size);
	close(fd);
	return error;
}

bool
loader_is_ram(const struct memory *m, u64 start, u64 size)
{
	return start <= m->low_size && size <= m->low_size - start;
}

bool
loader_usable(const struct memory *m, u64 start, u64 size)
{
	if (start < LOW_END && size > LOW_END - start)
		return false;
	return (start < LOW_END || start >= HIGH_START) && loader_is_ram(m, start, size);
}

void
loader_clear(struct memory *m, u64 start, u64 size)
{
	static const u8 zeros[PAGE_SIZE];
	u8 present[PAGE_SIZE];

	while (size) {
		u64 piece = MIN(size, PAGE_SIZE);

		if (!memory_peek(m, start, present, piece) || memcmp(present, zeros, piece) != 0)
			dma_write(m, start, zeros, piece);
		start += piece;
		size -= piece;
	}
}

char *
loader_reserve(struct loading *l, u64 size)
{
	/* Above the real-mode vectors and what firmware would keep near them; else right behind the kernel. */
	u64 place[2] = {0x10000, (l->kernel_end + PAGE_SIZE - 1) & PAGE_MASK};

	for (unsigned i = 0; i < COUNT(place); i++) {
		bool overlap = place[i] < l->kernel_end && l->kernel_start < place[i] + size;

		if (overlap || !loader_usable(l->memory, place[i], size))
			continue;
		l->at = place[i];
		l->end = place[i] + size;
		return NULL;
	}
	return error_string("%s: leaves no room for its command line and tables", l->kernel.path);
}

u64
loader_place(struct loading *l, const void *data, u64 size)
{
	u64 at = (l->at + 15) & ~15ull;

	assert(at + size <= l->end);
	dma_write(l->memory, at, data, size);
	l->at = at + size;
	return at;
}

u64
loader_place_string(struct loading *l, const char *string)
{
	return loader_place(l, string, strlen(string) + 1);
}

void
loader_place_gdt(struct loading *l)
{
	/*
	 * SDM 3, "Segment Descriptors": flat 4 GiB code (execute/read, accessed) and data (read/write, accessed); a
	 * busy 32-bit TSS.
	 */
	static const u64 gdt[5] = {0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00008b0000000067};

	l->state->gdt_base = (u32)loader_place(l, gdt, sizeof(gdt));
	l->state->gdt_limit = sizeof(gdt) - 1;
	l->state->cs = 0x10;
	l->state->ds = 0x18;
	l->state->tr = 0x20;
}

char *
loader_initrd(struct loading *l, u64 limit, u64 *start, u64 *size)
{
	const char *path = l->config->initrd ? config_place(l->config, l->config->initrd) : NULL;
	u64 top = MIN(l->memory->low_size, limit);
	char *error;

	*start = *size = 0;
	if (!path)
		return NULL;
	error = loader_file_size(path, size);
	if (error)
		return error;
	*start = *size <= top ? (top - *size) & PAGE_MASK : 0;
	if (*start < MAX(HIGH_START, l->kernel_end))
		return error_string("%s: no room for it beside the kernel in %llu MiB: more -m", path,
				    (unsigned long long)l->memory->ram_size >> 20);
	return loader_file_load(l->memory, path, *start, *size);
}

unsigned
loader_e820(const struct memory *m, struct e820 map[E820_MAX])
{
	unsigned n = 0;

	map[n++] = (struct e820){0, LOW_END, 1};
	map[n++] = (struct e820){LOW_END, LOW_TOP - LOW_END, 2};
	map[n++] = (struct e820){BIOS_START, HIGH_START - BIOS_START, 2};
	if (m->low_size > HIGH_START)
		map[n++] = (struct e820){HIGH_START, m->low_size - HIGH_START, 1};
	if (m->ram_size > m->low_size)
		map[n++] = (struct e820){0x100000000ull, m->ram_size - m->low_size, 1};
	return n;
}

static char *
load_kernel(struct loading *l)
{
	size_t header;
	u32 entry;
	char *error = NULL;

	if (linux_recognise(&l->kernel))
		return load_linux(l);
	if (elf_recognise(&l->kernel) && elf_pvh_entry(&l->kernel, &entry, &error))
		return load_pvh(l, entry);
	if (error)
		return error;
	if (multiboot_recognise(&l->kernel, &header))
		return load_multiboot(l, header);
	if (elf_recognise(&l->kernel))
		return error_string("%s: an ELF file without PVH note or multiboot header", l->kernel.path);
	return error_string("%s: not a kernel (neither Linux bzImage nor ELF nor multiboot)", l->kernel.path);
}

char *
loader_load(const struct config *config, struct memory *m, struct boot_state *state)
{
	struct loading l = {.config = config, .memory = m, .state = state};
	char *reason = read_image(&l.kernel, config_place(config, config->kernel));
	/* The words by which scripts made for QEMU tell a missing kernel from a refused option. */
	char *error = reason ? error_string("could not load kernel %s", reason) : NULL;

	free(reason);
	*state = (struct boot_state){0};
	if (!error)
		error = load_kernel(&l);
	free(l.kernel.data);
	return error;
}
