/*
 * The physical address space.
 *
 * For each page below 4 GiB, page_map says which range answers: none, one that covers it all, or "mixed" when a range's
 * edge lies inside the page; only then, and above 4 GiB, are the ranges searched.
 */
#define _GNU_SOURCE
#include "bus/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/snapshot.h"
#include "base/stop.h"

#define GIB4 0x100000000ull
#define MAP_PAGES (GIB4 / PAGE_SIZE)
#define MAP_NONE 0
#define MAP_MIXED 255 /* anything else: range index + 1 */
#define HUGE_PAGE 0x200000ull

_Static_assert(MEMORY_RANGES < MAP_MIXED, "a range's index + 1 is a byte");

/* Lazily populated, aligned for the host's huge pages. NULL with errno when the host refuses. */
static void *
reserve(u64 size)
{
	u64 room = size + HUGE_PAGE;
	u8 *whole = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	u8 *start, *end;

	if (whole == MAP_FAILED)
		return NULL;
	start = (u8 *)(((uintptr_t)whole + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
	end = (u8 *)(((uintptr_t)start + size + PAGE_SIZE - 1) & PAGE_MASK);
	if (start > whole)
		munmap(whole, (size_t)(start - whole));
	if (end < whole + room)
		munmap(end, (size_t)(whole + room - end));
	return start;
}

struct memory *
memory_new(u64 ram_size, char **error)
{
	struct memory *m = calloc(1, sizeof(*m));

	assert(ram_size != 0 && ram_size % PAGE_SIZE == 0);
	if (m) {
		m->ram_size = ram_size;
		m->low_size = MIN(ram_size, MEMORY_HOLE);
		m->ram = reserve(ram_size);
		m->page_flags = reserve(ram_size / PAGE_SIZE);
		m->page_map = reserve(MAP_PAGES);
	}
	if (!m || !m->ram || !m->page_flags || !m->page_map) {
		*error = error_string("no memory for %llu MiB of RAM: %s", (unsigned long long)ram_size >> 20,
				      strerror(errno));
		memory_free(m);
		return NULL;
	}
	return m;
}

void
memory_free(struct memory *m)
{
	if (!m)
		return;
	if (m->ram)
		munmap(m->ram, m->ram_size);
	if (m->page_flags)
		munmap(m->page_flags, m->ram_size / PAGE_SIZE);
	if (m->page_map)
		munmap(m->page_map, MAP_PAGES);
	free(m);
}

static void
map_changed(struct memory *m)
{
	memset(m->page_map, MAP_NONE, MAP_PAGES);
	m->high_ranges = false;
	for (unsigned i = 0; i < m->ranges; i++) {
		const struct memory_range *r = &m->range[i];
		u64 end = r->base + r->size;

		if (r->size == 0)
			continue;
		if (end > GIB4 || end < r->base)
			m->high_ranges = true;
		if (r->base >= GIB4)
			continue;
		end = end < r->base ? GIB4 : MIN(end, GIB4);
		for (u64 page = r->base / PAGE_SIZE; page * PAGE_SIZE < end; page++) {
			bool whole = page * PAGE_SIZE >= r->base && (page + 1) * PAGE_SIZE <= end;

			m->page_map[page] = whole ? (u8)(i + 1) : MAP_MIXED;
		}
	}
	if (m->smram_open)
		memset(m->page_map + MEMORY_SMRAM / PAGE_SIZE, MAP_NONE, MEMORY_SMRAM_SIZE / PAGE_SIZE);
	if (m->map_changed)
		m->map_changed(m->opaque);
}

void
memory_set_smram(struct memory *m, bool open, bool in_smm)
{
	bool there = m->low_size >= MEMORY_SMRAM + MEMORY_SMRAM_SIZE;

	open &= there;
	in_smm &= there;
	if (open == m->smram_open && in_smm == m->smram_in_smm)
		return;
	m->smram_open = open;
	m->smram_in_smm = in_smm;
	map_changed(m);
}

static unsigned
add_range(struct memory *m, const struct memory_range *range)
{
	assert(m->ranges < MEMORY_RANGES);
	assert(range->size != 0);
	m->range[m->ranges] = *range;
	m->range[m->ranges].whole = range->size;
	m->ranges++;
	map_changed(m);
	return m->ranges - 1;
}

unsigned
memory_map_mmio(struct memory *m, const char *name, u64 base, u64 size, const struct mmio_ops *ops, void *opaque)
{
	return add_range(
		m, &(struct memory_range){.base = base, .size = size, .ops = ops, .opaque = opaque, .name = name});
}

unsigned
memory_map_host(struct memory *m, const char *name, u64 base, u64 size, u8 *host, bool writable)
{
	return add_range(m, &(struct memory_range){
				    .base = base, .size = size, .host = host, .name = name, .writable = writable});
}

unsigned
memory_map_rom(struct memory *m, const char *name, u64 base, u64 size, u8 *host, const struct mmio_ops *writes, void *opaque)
{
	return add_range(m, &(struct memory_range){
				    .base = base, .size = size, .host = host, .name = name, .writes = writes, .opaque = opaque});
}

void
memory_move(struct memory *m, unsigned range, u64 base)
{
	struct memory_range *r = &m->range[range];

	assert(range < m->ranges);
	if (r->base == base && r->size == r->whole)
		return;
	r->base = base;
	r->size = r->whole;
	map_changed(m);
}

void
memory_unmap(struct memory *m, unsigned range)
{
	assert(range < m->ranges);
	if (m->range[range].size == 0)
		return;
	m->range[range].size = 0;
	map_changed(m);
}

void
memory_show(struct memory *m, unsigned range, const struct mmio_ops *ops, u8 *host)
{
	struct memory_range *r = &m->range[range];

	assert(range < m->ranges && (ops || host));
	if (r->size == r->whole && r->ops == ops && r->host == host)
		return;
	r->ops = ops;
	r->host = host;
	r->writable = false;
	r->size = r->whole;
	map_changed(m);
}

/* The range that answers at `physical`, or NULL: RAM, or nothing. */
static const struct memory_range *
find_range(const struct memory *m, u64 physical)
{
	if (physical < GIB4) {
		u8 entry = m->page_map[physical / PAGE_SIZE];

		if (likely(entry == MAP_NONE))
			return NULL;
		if (entry != MAP_MIXED)
			return &m->range[entry - 1];
	} else if (likely(!m->high_ranges)) {
		return NULL;
	}
	for (unsigned i = m->ranges; i-- > 0;)
		if (physical - m->range[i].base < m->range[i].size)
			return &m->range[i];
	return NULL;
}

/* The range that covers the whole page of `physical`, or NULL. *mixed: several things share the page. */
static const struct memory_range *
find_page_range(const struct memory *m, u64 physical, bool *mixed)
{
	u64 page = physical & PAGE_MASK;

	*mixed = false;
	if (page < GIB4) {
		u8 entry = m->page_map[page / PAGE_SIZE];

		*mixed = entry == MAP_MIXED;
		return entry == MAP_NONE || *mixed ? NULL : &m->range[entry - 1];
	}
	for (unsigned i = m->high_ranges ? m->ranges : 0; i-- > 0;) {
		const struct memory_range *r = &m->range[i];

		if (page - r->base < r->size && page + PAGE_SIZE - r->base <= r->size)
			return r;
		if (page - r->base < r->size || r->base - page < (r->size ? PAGE_SIZE : 0)) {
			*mixed = true;
			return NULL;
		}
	}
	return NULL;
}

u8 *
memory_page(struct memory *m, u64 physical, bool write)
{
	bool mixed;
	const struct memory_range *r = find_page_range(m, physical, &mixed);
	s64 offset;

	if (r)
		return r->ops || (write && !r->writable) ? NULL : r->host + ((physical & PAGE_MASK) - r->base);
	if (mixed)
		return NULL;
	offset = memory_ram_offset(m, physical & PAGE_MASK);
	return offset < 0 ? NULL : m->ram + offset;
}

/* Where `size` bytes at `physical` inside one page lie on the host, or NULL. The code-page check is done for writes. */
static u8 *
host_bytes(struct memory *m, u64 physical, u64 size, bool write)
{
	bool mixed;
	const struct memory_range *r = find_page_range(m, physical, &mixed);
	s64 offset;

	if (unlikely(mixed)) {
		r = find_range(m, physical);
		/* Something else may begin inside the bytes: the caller then goes by single ones. */
		for (u64 i = 1; i < size; i++)
			if (find_range(m, physical + i) != r)
				return NULL;
	}
	if (r)
		return r->ops || (write && !r->writable) ? NULL : r->host + (physical - r->base);
	offset = memory_ram_offset(m, physical);
	if (offset < 0)
		return NULL;
	if (write)
		memory_written(m, (u64)offset, physical, size);
	return m->ram + offset;
}

static bool
one_page(u64 physical, u64 size)
{
	return (physical & (PAGE_SIZE - 1)) + size <= PAGE_SIZE;
}

/* The largest naturally aligned piece that an access of `size` bytes at `physical` may begin with, inside range `r`. */
static unsigned
piece_size(const struct memory_range *r, u64 physical, unsigned size)
{
	unsigned piece = 8;

	while (piece > size || physical % piece != 0 || (r && physical - r->base + piece > r->size))
		piece /= 2;
	return piece;
}

/* Constant sizes, so that the copy is one host instruction: page walks come through here. */
static u64
load(const u8 *host, unsigned size)
{
	u64 value = 0;

	switch (size) {
	case 1:
		return *host;
	case 2:
		memcpy(&value, host, 2);
		return value;
	case 4:
		memcpy(&value, host, 4);
		return value;
	case 8:
		memcpy(&value, host, 8);
		return value;
	default:
		memcpy(&value, host, size);
		return value;
	}
}

static void
store(u8 *host, unsigned size, u64 value)
{
	switch (size) {
	case 1:
		*host = (u8)value;
		break;
	case 2:
		memcpy(host, &value, 2);
		break;
	case 4:
		memcpy(host, &value, 4);
		break;
	case 8:
		memcpy(host, &value, 8);
		break;
	default:
		memcpy(host, &value, size);
		break;
	}
}

/* RAM below 4 GiB with no range over it: most accesses by far. */
static bool
plain_low_ram(const struct memory *m, u64 physical, unsigned size)
{
	return physical < m->low_size && m->page_map[physical / PAGE_SIZE] == MAP_NONE && one_page(physical, size);
}

static u64
ones(unsigned size)
{
	return ~0ull >> (64 - size * 8);
}

u64
memory_read(struct memory *m, u64 physical, unsigned size)
{
	const u8 *host;
	u64 value = 0;

	if (likely(plain_low_ram(m, physical, size)))
		return load(m->ram + physical, size);
	host = one_page(physical, size) ? host_bytes(m, physical, size, false) : NULL;
	if (host)
		return load(host, size);
	for (unsigned at = 0; at < size;) {
		const struct memory_range *r = find_range(m, physical + at);
		unsigned piece = piece_size(r && r->ops ? r : NULL, physical + at, size - at);
		u64 part;

		if (r && r->ops) {
			part = r->ops->read(r->opaque, physical + at - r->base, piece);
		} else {
			piece = 1;
			host = host_bytes(m, physical + at, 1, false);
			part = host ? *host : 0xff;
		}
		value |= (part & ones(piece)) << (at * 8);
		at += piece;
	}
	return value;
}

void
memory_write(struct memory *m, u64 physical, unsigned size, u64 value)
{
	u8 *host = one_page(physical, size) ? host_bytes(m, physical, size, true) : NULL;

	if (likely(host)) {
		store(host, size, value);
		return;
	}
	for (unsigned at = 0; at < size;) {
		const struct memory_range *r = find_range(m, physical + at);
		const struct mmio_ops *ops = !r ? NULL : r->ops ? r->ops : r->writes;
		unsigned piece = piece_size(ops ? r : NULL, physical + at, size - at);
		u64 part = value >> (at * 8);

		if (ops) {
			ops->write(r->opaque, physical + at - r->base, piece, part & ones(piece));
		} else {
			piece = 1;
			host = host_bytes(m, physical + at, 1, true);
			if (host)
				*host = (u8)part;
		}
		at += piece;
	}
}

/* How much of `size` bytes at `physical` one host_bytes() call may cover. */
static u64
dma_piece(const struct memory *m, u64 physical, u64 size)
{
	bool mixed;

	find_page_range(m, physical, &mixed);
	return mixed ? 1 : MIN(size, PAGE_SIZE - (physical & (PAGE_SIZE - 1)));
}

void
dma_read(struct memory *m, u64 physical, void *buffer, u64 size)
{
	u8 *to = buffer;
	bool dropped = false;

	while (size) {
		u64 piece = dma_piece(m, physical, size);
		const u8 *host = host_bytes(m, physical, piece, false);

		if (host)
			memcpy(to, host, piece);
		else
			memset(to, 0xff, piece);
		dropped |= !host;
		to += piece;
		physical += piece;
		size -= piece;
	}
	m->dma_dropped += dropped;
}

void
dma_write(struct memory *m, u64 physical, const void *buffer, u64 size)
{
	dma_write_by(m, "DMA", physical, buffer, size);
}

void
dma_write_by(struct memory *m, const char *writer, u64 physical, const void *buffer, u64 size)
{
	const u8 *from = buffer;
	bool dropped = false;

	m->writer = writer;
	while (size) {
		u64 piece = dma_piece(m, physical, size);
		u8 *host = host_bytes(m, physical, piece, true);

		if (host)
			memcpy(host, from, piece);
		dropped |= !host;
		from += piece;
		physical += piece;
		size -= piece;
	}
	m->writer = NULL;
	m->dma_dropped += dropped;
}

void
memory_watch(struct memory *m, u64 first, u64 last, void (*watched)(void *watcher, u64 physical, u64 size), void *watcher)
{
	m->watched = watched;
	m->watcher = watcher;
	for (u64 page = first & PAGE_MASK; page <= last && page >= (first & PAGE_MASK); page += PAGE_SIZE) {
		s64 offset = memory_ram_offset(m, page);

		if (offset >= 0)
			m->page_flags[(u64)offset / PAGE_SIZE] |= MEMORY_WATCHED;
		else if (page >= 0x100000000ull + m->ram_size)
			return;
	}
}

void
memory_unwatch(struct memory *m)
{
	for (u64 page = 0; page < m->ram_size / PAGE_SIZE; page++)
		if (m->page_flags[page] & MEMORY_WATCHED)
			m->page_flags[page] &= (u8)~MEMORY_WATCHED;
}

bool
memory_peek(struct memory *m, u64 physical, void *buffer, u64 size)
{
	u8 *to = buffer;

	while (size) {
		u64 piece = dma_piece(m, physical, size);
		const u8 *host = host_bytes(m, physical, piece, false);

		if (!host)
			return false;
		memcpy(to, host, piece);
		to += piece;
		physical += piece;
		size -= piece;
	}
	return true;
}

static bool
is_zero(const u8 *page)
{
	return page[0] == 0 && !memcmp(page, page + 1, PAGE_SIZE - 1);
}

/* True when the host may have moved pages of this process to swap, or will not say. */
static bool
swapped(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	unsigned long kilobytes = 1;
	char line[128];

	if (!file)
		return true;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "VmSwap: %lu", &kilobytes) == 1)
			break;
	fclose(file);
	return kilobytes != 0;
}

/* Writes the pages that are not all zeros, each behind its number, and an end mark. */
static void
visit_pages(struct memory *m, struct state *s)
{
	u64 pages = m->ram_size / PAGE_SIZE, end = UINT64_MAX;
	u8 *resident = malloc(pages);
	/*
	 * A page that was never touched is zero and need not be looked at. mincore() calls a swapped-out page not
	 * resident, so it counts only while nothing is swapped out; asked in this order, since pages come back only by
	 * being touched.
	 */
	bool known = resident && mincore(m->ram, m->ram_size, resident) == 0 && !swapped();

	for (u64 page = 0; page < pages; page++) {
		u8 *bytes = m->ram + page * PAGE_SIZE;

		if ((known && !(resident[page] & 1)) || is_zero(bytes))
			continue;
		STATE(s, page);
		state_bytes(s, bytes, PAGE_SIZE);
	}
	STATE(s, end);
	free(resident);
}

static void
load_pages(struct memory *m, struct state *s)
{
	u64 pages = m->ram_size / PAGE_SIZE;

	/* Gives the pages back to the host: they are zero again when touched. */
	if (madvise(m->ram, m->ram_size, MADV_DONTNEED) != 0)
		memset(m->ram, 0, m->ram_size);
	/* In ascending order only, which also bounds the loop. */
	for (u64 next = 0;;) {
		u64 page;

		STATE(s, page);
		if (page == UINT64_MAX)
			return;
		if (page < next || page >= pages) {
			state_fail(s, "snapshot has a page of RAM that cannot be");
			return;
		}
		state_bytes(s, m->ram + page * PAGE_SIZE, PAGE_SIZE);
		next = page + 1;
	}
}

void
memory_state(struct memory *m, struct state *s)
{
	u64 ram_size = m->ram_size;

	state_section(s, "memory", 1);
	STATE(s, ram_size);
	if (ram_size != m->ram_size) {
		state_fail(s, "snapshot is of a machine with another size of RAM");
		return;
	}
	if (state_is_checkpoint(s))
		return;
	if (state_mode(s) == STATE_LOAD)
		load_pages(m, s);
	else
		visit_pages(m, s);
}
