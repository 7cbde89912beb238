/* The block cache: find, decode, invalidate. */
#include "cpu/block.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/stop.h"
#include "bus/memory.h"
#include "cpu/decode.h"
#include "cpu/fault.h"
#include "cpu/hooks.h"
#include "cpu/paging.h"
#include "cpu/tlb.h"
#include "cpu/vcpu.h"
#include "vmx/intercept.h"

#define POOL_BYTES (64u << 20)
#define HASH_BITS 16
#define SCRATCH_SLOTS (BLOCK_MAX + 2)

/* Code of one RAM page: its blocks, and one bit for each byte that any of them has. */
struct code_page {
	struct block *first;
	u64 bytes[PAGE_SIZE / 64];
};

struct block_cache {
	struct memory *memory;
	u8 *pool;
	size_t used;
	struct block *hash[1u << HASH_BITS];
	struct code_page *page; /* by RAM page, lazily populated */
	struct {
		struct block header;
		struct insn insn[SCRATCH_SLOTS];
	} scratch;
};

struct stub_block block_stub = {.header = {.n = INT64_MAX, .mode = ~0u}};

static void *
reserve(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		stop_host_error("no address space for the decoded-code cache");
	return p;
}

struct block_cache *
block_cache_new(struct memory *m)
{
	struct block_cache *c = calloc(1, sizeof *c);
	assert(c);
	c->memory = m;
	c->pool = reserve(POOL_BYTES);
	madvise(c->pool, POOL_BYTES, MADV_HUGEPAGE);
	c->page = reserve((m->ram_size / PAGE_SIZE + 1) * sizeof *c->page);
	return c;
}

void
block_cache_free(struct block_cache *c)
{
	munmap(c->pool, POOL_BYTES);
	munmap(c->page, (c->memory->ram_size / PAGE_SIZE + 1) * sizeof *c->page);
	free(c);
}

static unsigned
hash_of(const u8 *code, u32 mode)
{
	u64 h = ((u64)(uintptr_t)code ^ (u64)mode << 40) * 0x9e3779b97f4a7c15ull;
	return (unsigned)(h >> (64 - HASH_BITS));
}

/* The RAM page number of a host address, or -1 (ROM). */
static s64
ram_page(const struct block_cache *c, const u8 *host)
{
	if (host < c->memory->ram || host >= c->memory->ram + c->memory->ram_size)
		return -1;
	return (host - c->memory->ram) / (s64)PAGE_SIZE;
}

/* --- invalidation --- */

static void
unhash(struct block_cache *c, struct block *b)
{
	struct block **link = &c->hash[hash_of(b->code, b->mode)];
	while (*link != b)
		link = &(*link)->hash_next;
	*link = b->hash_next;
}

/* The bits of word `w` that stand for the bytes from..to of a page (both included). */
static u64
byte_bits(unsigned w, unsigned from, unsigned to)
{
	u64 bits = ~0ull;
	if (w == from / 64)
		bits &= ~0ull << from % 64;
	if (w == to / 64)
		bits &= ~0ull >> (63 - to % 64);
	return bits;
}

static void
claim_bytes(struct code_page *p, const struct block *b)
{
	unsigned from = (unsigned)((uintptr_t)b->code & 0xfff), to = from + b->bytes - 1;
	for (unsigned w = from / 64; w <= to / 64; w++)
		p->bytes[w] |= byte_bits(w, from, to);
}

static bool
has_code(const struct code_page *p, unsigned from, unsigned to)
{
	for (unsigned w = from / 64; w <= to / 64; w++)
		if (p->bytes[w] & byte_bits(w, from, to))
			return true;
	return false;
}

/* Kills the page's blocks that have bytes from..to (offsets in the page, both included). */
static void
kill_overlapping(struct block_cache *c, u64 page, unsigned from, unsigned to)
{
	struct code_page *p = &c->page[page];
	memset(p->bytes, 0, sizeof p->bytes);
	for (struct block **link = &p->first; *link;) {
		struct block *b = *link;
		unsigned start = (unsigned)((uintptr_t)b->code & 0xfff);
		if (start > to || start + b->bytes <= from) {
			claim_bytes(p, b);
			link = &b->page_next;
			continue;
		}
		*link = b->page_next;
		unhash(c, b);
		b->n = INT64_MAX;
	}
	if (!p->first)
		c->memory->page_flags[page] &= (u8)~MEMORY_CODE;
}

void
block_code_written(void *opaque, u64 physical, u64 size)
{
	struct cpus *cpus = opaque;
	struct block_cache *c = cpus->cpu[0]->blocks;
	s64 offset = memory_ram_offset(c->memory, physical);
	if (offset < 0 || !size)
		return;
	u64 first = (u64)offset, last = first + size - 1;
	for (u64 page = first / PAGE_SIZE; page <= last / PAGE_SIZE; page++) {
		unsigned from = page == first / PAGE_SIZE ? (unsigned)(first & 0xfff) : 0;
		unsigned to = page == last / PAGE_SIZE ? (unsigned)(last & 0xfff) : 4095;
		if (!has_code(&c->page[page], from, to))
			continue;
		kill_overlapping(c, page, from, to);
		if (cpus->running)
			cpus->running->exit_request = 1;
	}
}

/* The pool is full: forget everything. Only from the run loop, when no block is being executed. */
static void
flush_all(struct vcpu *cpu)
{
	struct block_cache *c = cpu->blocks;
	memset(c->hash, 0, sizeof c->hash);
	for (u64 page = 0; page < c->memory->ram_size / PAGE_SIZE; page++)
		if (c->memory->page_flags[page] & MEMORY_CODE) {
			c->memory->page_flags[page] &= (u8)~MEMORY_CODE;
			c->page[page] = (struct code_page){0};
		}
	c->used = 0;
	for (unsigned n = 0; n < cpu->cpus->count; n++) {
		tlb_forget_jumps(cpu->cpus->cpu[n]);
		cpu->cpus->cpu[n]->link = NULL;
	}
}

void
block_forget_all(struct vcpu *cpu)
{
	flush_all(cpu);
}

/* --- decoding --- */

/* Where bytes come from: host memory, or none (device memory). */
struct source {
	struct vcpu *cpu;
	u64 linear; /* of the first byte */
	const u8 *host; /* of the first byte, or NULL */
	u64 physical;
	bool across; /* bytes of the following page were needed */
};

static void
fetch_target(struct vcpu *cpu, u64 linear, struct tlb_target *t)
{
	u64 nothing = 0;

	tlb_translate(cpu, linear, ACCESS_FETCH, t);
	if (unlikely(t->special)) /* always a VM exit: NR-49 */
		vmx_apic_access(cpu, linear, t->physical, 1, ACCESS_FETCH, &nothing);
}

/* Bytes in device memory are read as the processor would. */
static void
device_bytes(struct vcpu *cpu, u64 physical, u8 *to, unsigned count)
{
	for (unsigned n = 0; n < count; n++)
		to[n] = (u8)memory_read(cpu->memory, physical + n, 1);
}

/* Bytes of an instruction that crosses into the next page. Returns how many of `buffer` are valid. */
static unsigned
bytes_across(struct source *s, const u8 *at, unsigned in_page, u8 buffer[16])
{
	struct tlb_target t;
	u64 next = (s->linear & PAGE_MASK) + PAGE_SIZE;
	fetch_target(s->cpu, s->cpu->long64 ? next : (u32)next, &t);
	memcpy(buffer, at, in_page);
	if (likely(t.host))
		memcpy(buffer + in_page, t.host, 15 - in_page);
	else
		device_bytes(s->cpu, t.physical, buffer + in_page, 15 - in_page);
	s->across = true;
	return 15;
}

static enum code_size
code_size(u32 mode)
{
	return mode & MODE_CODE64 ? CODE64 : mode & MODE_CODE32 ? CODE32 : CODE16;
}

static void
fix_rip_relative(struct insn *in, unsigned next)
{
	if (in->rb != RIP_SLOT || !(in->ea & EA_MEM))
		return;
	s64 disp = (s64)in->disp + next;
	if (disp > INT32_MAX) {
		disp -= 1ll << 31;
		in->rx = TWO_GIB_SLOT;
	}
	in->disp = (s32)disp;
}

static bool
ends_block(const struct insn *in)
{
	return insn_rows[in->op].attributes & END || in->fn == h_slow_end || in->fn == h_undefined || in->fn == h_general_protection;
}

/*
 * Decodes from s->linear into `b`, at most `limit` instructions. Sets n, bytes.
 *
 * KEPT: fast forms, fused, to stay in the cache. EXACT: fast forms; what runs may end earlier by a branch that goes on elsewhere within the budget.
 * ALONE: complete forms, which never go on by themselves.
 */
enum purpose { KEPT, EXACT, ALONE };

static void
build(struct source *s, struct block *b, unsigned limit, enum purpose purpose)
{
	struct vcpu *cpu = s->cpu;
	u32 mode = cpu->mode;
	unsigned start = (unsigned)(s->linear & 0xfff), offset = start, count = 0;
	bool open = true;
	const u8 *page = s->host - start;
	u64 eip = cpu->rip;
	bool limited = !(mode & MODE_CS_FLAT);
	while (open && count < limit && offset < PAGE_SIZE) {
		struct insn *in = &b->insn[count];
		if (unlikely(cpu->hooks) && count && hooks_announced(cpu->hooks, offset))
			break;
		u8 buffer[16];
		unsigned in_page = (unsigned)PAGE_SIZE - offset;
		enum decode_result r = decode(cpu, code_size(mode), page + offset, MIN(in_page, 15), in);
		bool crosses = r == DECODE_MORE;
		if (crosses) {
			if (count)
				break;
			r = decode(cpu, code_size(mode), buffer, bytes_across(s, page + offset, in_page, buffer), in);
			open = false;
		}
		unsigned length = insn_length(in);
		if (r != DECODE_OK) {
			/* Executing it raises the fault. #GP(0) for over 15 bytes or beyond the limit, #UD for no such instruction. */
			in->op = 0;
			in->fn = r == DECODE_UD ? h_undefined : h_general_protection;
			length = 0;
			open = false;
		} else if (limited && (eip + (offset - start) + length - 1 > cpu->seg[CS].limit)) {
			if (count)
				break;
			in->fn = h_general_protection;
			open = false;
		} else {
			fix_rip_relative(in, offset + length);
			in->fn = NULL;
			if (mode & MODE_FLAT && mode & MODE_CS_FLAT && !(mode & MODE_CHECKED) && purpose != ALONE)
				in->fn = fast_form(in, mode);
			if (!in->fn)
				in->fn = slow_form(in, mode);
			if (ends_block(in))
				open = false;
		}
		in->where = (u16)(offset | insn_length(in) << 12);
		in->idx = (u8)count;
		/* Direct jumps start unlinked; their immediate is the displacement, kept in disp. */
		if (fast_is_direct_jump(in))
			in->target = block_stub.insn;
		offset += length;
		count++;
	}
	if (purpose == KEPT)
		fast_fuse(b->insn, count);
	b->n = count;
	/* A fault that was decoded depends on bytes that no instruction claims. */
	bool fault = b->insn[count - 1].fn == h_undefined || b->insn[count - 1].fn == h_general_protection;
	b->bytes = (u16)MIN(offset - start + (fault ? 15 : 0), PAGE_SIZE - start);
	b->mode = mode;
	handler end = purpose == KEPT && !s->across ? h_fall : h_stop;
	b->insn[count] = (struct insn){.fn = end, .idx = (u8)count, .disp = (s32)offset, .target = block_stub.insn};
}

static bool
locate(struct vcpu *cpu, struct source *s)
{
	u64 linear = cpu->long64 ? cpu->rip : (u32)(cpu->seg[CS].base + cpu->rip);
	struct tlb_entry *e = tlb_at(cpu->tlb, linear);
	*s = (struct source){.cpu = cpu, .linear = linear};
	if (cpu->long64 && !linear_canonical(cpu, linear))
		raise_gp(cpu, 0);
	if (!(cpu->mode & MODE_CS_FLAT) && cpu->rip > cpu->seg[CS].limit)
		raise_gp(cpu, 0);
	if (e->tag_x == (linear & PAGE_MASK)) {
		s->host = (const u8 *)(uintptr_t)(linear + (u64)e->addend);
	} else {
		struct tlb_target t;
		fetch_target(cpu, linear, &t);
		s->host = t.host;
		s->physical = t.physical;
	}
	cpu->rip_page = (linear & PAGE_MASK) - (cpu->long64 ? 0 : cpu->seg[CS].base);
	return s->host;
}

/* Code in device memory: one instruction at a time, and not kept. */
static const struct insn *
from_device(struct source *s, struct block_cache *c)
{
	u8 page[PAGE_SIZE];
	unsigned start = (unsigned)(s->linear & 0xfff);
	device_bytes(s->cpu, s->physical, page + start, MIN(15, (unsigned)PAGE_SIZE - start));
	s->host = page + start;
	build(s, &c->scratch.header, 1, ALONE);
	return c->scratch.insn;
}

const struct insn *
block_scratch(struct vcpu *cpu, unsigned limit)
{
	struct block_cache *c = cpu->blocks;
	struct source s;
	if (!locate(cpu, &s))
		return from_device(&s, c);
	build(&s, &c->scratch.header, MIN(limit, BLOCK_MAX), EXACT);
	return c->scratch.insn;
}

const struct insn *
block_alone(struct vcpu *cpu)
{
	struct block_cache *c = cpu->blocks;
	struct source s;
	if (!locate(cpu, &s))
		return from_device(&s, c);
	build(&s, &c->scratch.header, 1, ALONE);
	return c->scratch.insn;
}

static void
mark_code(struct vcpu *cpu, struct block *b)
{
	struct block_cache *c = cpu->blocks;
	s64 page = ram_page(c, b->code);
	if (page < 0)
		return;
	struct code_page *p = &c->page[page];
	claim_bytes(p, b);
	b->page_next = p->first;
	p->first = b;
	if (!(c->memory->page_flags[page] & MEMORY_CODE)) {
		c->memory->page_flags[page] |= MEMORY_CODE;
		for (unsigned n = 0; n < cpu->cpus->count; n++)
			tlb_protect_code(cpu->cpus->cpu[n], c->memory->ram + page * (s64)PAGE_SIZE);
	}
}

static void
remember_jump(struct vcpu *cpu, const struct block *b)
{
	if (!(cpu->mode & MODE_CS_FLAT))
		return;
	struct tlb_context *c = cpu->context;
	c->jump_used[cpu->jumps == c->jump[1]] |= BIT(cpu->rip >> 12 & (JUMP_PAGES - 1));
	c->key->filled = true;
	cpu->jumps[jump_index(cpu->rip)] = (struct jump_entry){cpu->rip, (struct insn *)b->insn};
}

const struct insn *
block_find(struct vcpu *cpu)
{
	struct block_cache *c = cpu->blocks;
	struct source s;
	bool in_memory = locate(cpu, &s), announced = unlikely(cpu->hooks) && hooks_announced(cpu->hooks, s.linear);
	if (announced && hooks_instruction(cpu, s.linear))
		return NULL;
	if (!in_memory)
		return from_device(&s, c);
	unsigned h = hash_of(s.host, cpu->mode);
	for (struct block *b = c->hash[h]; b; b = b->hash_next)
		if (b->code == s.host && b->mode == cpu->mode) {
			remember_jump(cpu, b);
			return b->insn;
		}
	if (c->used + sizeof(struct block) + SCRATCH_SLOTS * sizeof(struct insn) > POOL_BYTES)
		flush_all(cpu);
	struct block *b = (struct block *)(void *)(c->pool + c->used);
	build(&s, b, BLOCK_MAX, KEPT);
	cpu->stats.blocks++;
	cpu->stats.decoded += (u64)b->n;
	if (s.across || announced) {
		/* One instruction across two pages is decoded each time it is met: the second page's mapping is nobody's fact but the TLB's. */
		memcpy(&c->scratch, b, sizeof(struct block) + ((size_t)b->n + 1) * sizeof(struct insn));
		return c->scratch.insn;
	}
	b->code = s.host;
	b->hash_next = c->hash[h];
	c->hash[h] = b;
	c->used += sizeof(struct block) + (((size_t)b->n + 1) * sizeof(struct insn) + 63) / 64 * 64;
	mark_code(cpu, b);
	remember_jump(cpu, b);
	return b->insn;
}

void
block_link(struct vcpu *cpu, const struct insn *link, const struct insn *to)
{
	/* Scratch blocks change under the feet of a link. */
	struct block_cache *c = cpu->blocks;
	const u8 *pool_end = c->pool + c->used;
	if ((const u8 *)link < c->pool || (const u8 *)link >= pool_end || (const u8 *)to < c->pool || (const u8 *)to >= pool_end)
		return;
	((struct insn *)link)->target = to;
}
