/*
 * TLB contexts. Each is an address space (EP4TA, VPID, PCID) under one setting of the paging-mode bits; the least recently selected one makes room.
 * Everything here is a function of guest state, so it is the same in every run.
 *
 * Large pages are cached in 4 KiB pieces. Flushing an address near which such pieces may be drops everything in the 2 MiB (4 MiB) or 1 GiB around it,
 * which the manual allows.
 */
#include "cpu/tlb.h"

#include <stdlib.h>
#include <string.h>

#include "base/snapshot.h"
#include "bus/memory.h"
#include "cpu/block.h"
#include "cpu/hooks.h"
#include "cpu/lapic.h"
#include "cpu/paging.h"
#include "cpu/vcpu.h"
#include "vmx/intercept.h"

#define NO_PAGE (~0ull)

static void
clear_jump_group(struct tlb_context *c, unsigned kind, unsigned group)
{
	/* 16 bytes at a time: with CR4.PGE toggled and the like this is a hot loop. */
	u64 empty __attribute__((vector_size(sizeof(struct jump_entry)))) = {~0ull, (uintptr_t)block_stub.insn};
	for (struct jump_entry *e = &c->jump[kind][group * JUMP_SLOTS], *end = e + JUMP_SLOTS; e < end; e++)
		memcpy(e, &empty, sizeof empty);
}

struct tlb_contexts *
tlb_new(void)
{
	struct tlb_contexts *t = calloc(1, sizeof *t);
	assert(t);
	for (unsigned n = 0; n < TLB_CONTEXTS; n++) {
		t->context[n].key = &t->key[n];
		memset(t->context[n].entry, 0xff, sizeof t->context[n].entry);
		memset(t->context[n].victim, 0xff, sizeof t->context[n].victim);
		for (unsigned kind = 0; kind < 2; kind++)
			for (unsigned group = 0; group < JUMP_PAGES; group++)
				clear_jump_group(&t->context[n], kind, group);
	}
	return t;
}

void
tlb_free(struct tlb_contexts *t)
{
	free(t);
}

static void
clear_jumps(struct tlb_context *c)
{
	for (unsigned kind = 0; kind < 2; kind++) {
		for (u64 used = c->jump_used[kind]; used; used &= used - 1)
			clear_jump_group(c, kind, (unsigned)__builtin_ctzll(used));
		c->jump_used[kind] = 0;
	}
}

static void
clear_victims(struct tlb_context *c)
{
	if (c->victims)
		memset(c->victim, 0xff, sizeof c->victim);
	c->victims = false;
}

/* Numbers of the entries that may hold something: in c->entry[0], which goes on into the other kinds. */
static const u16 *
used_entries(const struct tlb_context *c, u16 room[TLB_KINDS * TLB_SIZE], unsigned *count)
{
	unsigned n = 0;
	if (c->recents <= TLB_RECENT) {
		*count = c->recents;
		return c->recent;
	}
	for (unsigned kind = 0; kind < TLB_KINDS; kind++)
		for (unsigned w = 0; w < TLB_SIZE / 64; w++)
			for (u64 used = c->used[kind][w]; used; used &= used - 1)
				room[n++] = (u16)(kind * TLB_SIZE + w * 64 + (unsigned)__builtin_ctzll(used));
	*count = n;
	return room;
}

static void
clear_context(struct vcpu *cpu, struct tlb_context *c)
{
	u16 room[TLB_KINDS * TLB_SIZE];
	unsigned count;
	const u16 *used = used_entries(c, room, &count);
	for (unsigned n = 0; n < count; n++) {
		memset(&c->entry[0][0] + used[n], 0xff, sizeof(struct tlb_entry));
		c->used[used[n] / TLB_SIZE][used[n] % TLB_SIZE / 64] = 0;
	}
	c->recents = 0;
	clear_victims(c);
	clear_jumps(c);
	memset(c->large, 0, sizeof c->large);
	memset(c->large_code, 0, sizeof c->large_code);
	c->basis.complete = false;
	c->key->filled = false;
	cpu->stats.tlb_flushes++;
}

static u64
mode_bits(const struct vcpu *cpu)
{
	/* Each at its own place, and no two of them are the same. */
	u64 mode = (cpu->cr0 & (CR0_PG | CR0_WP)) |
		   (cpu->cr4 & (CR4_PSE | CR4_PAE | CR4_LA57 | CR4_SMEP | CR4_SMAP | CR4_PKE)) | (cpu->efer & (EFER_NXE | EFER_LMA));
	/* Processors in SMM see SMRAM: their translations are nobody else's. */
	mode |= (u64)cpu->in_smm << 1;
	if (cpu->cr4 & CR4_PKE)
		mode |= (u64)cpu->pkru << 32;
	return mode;
}

static void
select_kind(struct vcpu *cpu)
{
	bool ac = cpu->cr4 & CR4_SMAP && cpu->rflags & FLAG_AC;
	unsigned kind = cpu->cpl == 3 ? TLB_USER : ac ? TLB_SUPERVISOR_AC : TLB_SUPERVISOR;
	cpu->tlb = cpu->context->entry[kind];
	cpu->jumps = cpu->context->jump[kind == TLB_USER];
}

void
tlb_select(struct vcpu *cpu)
{
	u64 mode = mode_bits(cpu), eptp = cpu->nonroot ? vmx_eptp(cpu) : 0;
	u16 vpid = cpu->nonroot ? vmx_vpid(cpu) : 0, pcid = cpu->cr4 & CR4_PCIDE ? cpu->cr3 & 0xfff : 0;
	struct tlb_contexts *all = cpu->contexts;
	struct tlb_key *k = cpu->context ? cpu->context->key : all->key, *oldest = all->key;
	if (cpu->context && k->valid && k->mode == mode && k->eptp == eptp && k->vpid == vpid && k->pcid == pcid) {
		select_kind(cpu);
		return;
	}
	for (k = all->key; k < all->key + TLB_CONTEXTS; k++) {
		if (k->valid && k->mode == mode && k->eptp == eptp && k->vpid == vpid && k->pcid == pcid)
			goto found;
		if (!k->valid ? oldest->valid : oldest->valid && k->stamp < oldest->stamp)
			oldest = k;
	}
	k = oldest;
	clear_context(cpu, &all->context[k - all->key]);
	*k = (struct tlb_key){.eptp = eptp, .mode = mode, .vpid = vpid, .pcid = pcid, .valid = true};
found:
	k->stamp = ++all->clock;
	cpu->context = &all->context[k - all->key];
	select_kind(cpu);
}

/* --- filling --- */

static bool
is_local_apic_page(struct vcpu *cpu, u64 physical)
{
	return (physical & PAGE_MASK) == (cpu->msr.apic_base & PAGE_MASK) && cpu->lapic && lapic_enabled(cpu) && !lapic_x2apic(cpu);
}

static bool
serves(const struct tlb_entry *e, u64 tag, unsigned access)
{
	return (access & ACCESS_FETCH ? e->tag_x : access & ACCESS_WRITE ? e->tag_w : e->tag_r) == tag;
}

static void
mark_used(struct tlb_context *c, const struct tlb_entry *e)
{
	unsigned n = (unsigned)(e - c->entry[0]);
	u64 *used = &c->used[n / TLB_SIZE][n % TLB_SIZE / 64];
	if (*used & BIT(n % 64))
		return;
	*used |= BIT(n % 64);
	c->key->filled = true;
	if (c->recents < TLB_RECENT)
		c->recent[c->recents++] = (u16)n;
	else
		c->recents = TLB_RECENT + 1;
}

/* The entry is about to become another page's. */
static void
keep_victim(struct tlb_context *c, const struct tlb_entry *e)
{
	unsigned kind = (unsigned)(e - c->entry[0]) / TLB_SIZE;
	if (e->tag_r == NO_PAGE && e->tag_w == NO_PAGE && e->tag_x == NO_PAGE)
		return;
	c->victim[kind][c->next_victim[kind]++ % TLB_VICTIMS] = *e;
	c->victims = true;
}

/* Back from the victims, if the page is in plain RAM. */
static bool
take_back(struct vcpu *cpu, struct tlb_entry *e, u64 linear, unsigned access, struct tlb_target *out)
{
	struct tlb_context *c = cpu->context;
	struct tlb_entry *victim = c->victim[(unsigned)(e - c->entry[0]) / TLB_SIZE];
	u64 tag = linear & PAGE_MASK;
	if (!c->victims)
		return false;
	for (unsigned n = 0; n < TLB_VICTIMS; n++) {
		if (!serves(&victim[n], tag, access))
			continue;
		u8 *host = (u8 *)(uintptr_t)(linear + (u64)victim[n].addend);
		u64 offset = (u64)(host - cpu->memory->ram);
		if (offset >= cpu->memory->ram_size)
			return false;
		*out = (struct tlb_target){.host = host,
					   .physical = offset < cpu->memory->low_size ? offset : offset - cpu->memory->low_size + 0x100000000ull};
		struct tlb_entry back = victim[n];
		victim[n] = *e;
		*e = back;
		mark_used(c, e);
		return true;
	}
	return false;
}

void
tlb_translate(struct vcpu *cpu, u64 linear, unsigned access, struct tlb_target *out)
{
	struct translation t;
	struct tlb_entry *tlb = access & ACCESS_SYSTEM ? cpu->context->entry[TLB_SUPERVISOR] : cpu->tlb, *e = tlb_at(tlb, linear);
	if (take_back(cpu, e, linear, access, out))
		return;
	page_walk(cpu, linear, access, &t);
	cpu->stats.tlb_fills++;
	cpu->stats.guest_tlb_fills += cpu->nonroot;
	cpu->stats.walks[access & ACCESS_FETCH ? 2 : access & ACCESS_WRITE ? 1 : 0]++;
	out->physical = t.physical;
	out->host = NULL;
	out->special = false;
	if (cpu->nonroot && vmx_is_apic_access_page(cpu, t.physical)) {
		out->special = true;
		return;
	}
	if (is_local_apic_page(cpu, t.physical))
		return;
	bool write = access & ACCESS_WRITE;
	u8 *smram = unlikely(cpu->in_smm) ? memory_smram(cpu->memory, t.physical & PAGE_MASK) : NULL;
	u8 *page = smram ? smram : memory_page(cpu->memory, t.physical & PAGE_MASK, write);
	if (!page)
		return;
	s64 ram = memory_ram_offset(cpu->memory, t.physical & PAGE_MASK);
	bool marked = ram >= 0 && page == cpu->memory->ram + ram && cpu->memory->page_flags[(u64)ram / PAGE_SIZE];
	if (!(write && marked))
		out->host = page + (t.physical & 0xfff);
	if (t.special)
		return;
	if (unlikely(cpu->hooks) && cpu->hooks->watching && !(access & ACCESS_FETCH) &&
	    cpu->hooks->watched(cpu->hooks->opaque, cpu, linear, t.guest_physical, t.physical))
		return;
	struct tlb_context *c = cpu->context;
	u64 tag = linear & PAGE_MASK;
	s64 addend = (s64)((u64)(uintptr_t)page - tag);
	if ((e->tag_r != tag && e->tag_w != tag && e->tag_x != tag) || e->addend != addend) {
		keep_victim(c, e);
		*e = (struct tlb_entry){NO_PAGE, NO_PAGE, NO_PAGE, addend};
	}
	if (access & ACCESS_FETCH) {
		e->tag_x = tag;
	} else {
		e->tag_r = tag;
		e->tag_w = t.write_ok && !marked && (write || smram || memory_page(cpu->memory, t.physical & PAGE_MASK, true)) ? tag : NO_PAGE;
	}
	mark_used(c, e);
	if (t.page_shift > 12) {
		bool gib = t.page_shift > 22;
		u64 region = BIT(linear >> (gib ? 30 : 22) & 63);
		c->large[gib] |= region;
		c->large_code[gib] |= access & ACCESS_FETCH ? region : 0;
	}
}

void
tlb_protect_code(struct vcpu *cpu, const u8 *host_page)
{
	for (unsigned n = 0; n < TLB_CONTEXTS; n++) {
		struct tlb_context *c = &cpu->contexts->context[n];
		u16 room[TLB_KINDS * TLB_SIZE];
		unsigned count;
		const u16 *used = used_entries(c, room, &count);
		clear_victims(c);
		for (unsigned i = 0; i < count; i++) {
			struct tlb_entry *e = &c->entry[0][0] + used[i];
			if (e->tag_w != NO_PAGE && (u8 *)(uintptr_t)(e->tag_w + (u64)e->addend) == host_page)
				e->tag_w = NO_PAGE;
		}
	}
}

/* --- flushing --- */

/* The pages of the aligned 1 << shift bytes around `page`, which may be pieces of one large page. */
static void
flush_region_in(struct tlb_context *c, u64 page, unsigned shift)
{
	u16 room[TLB_KINDS * TLB_SIZE];
	unsigned count;
	const u16 *used = used_entries(c, room, &count);
	for (unsigned n = 0; n < count; n++) {
		struct tlb_entry *e = &c->entry[0][0] + used[n];
		u64 tag = e->tag_r != NO_PAGE ? e->tag_r : e->tag_w != NO_PAGE ? e->tag_w : e->tag_x;
		if (tag >> shift == page >> shift)
			*e = (struct tlb_entry){NO_PAGE, NO_PAGE, NO_PAGE, 0};
	}
}

static void
flush_page_in(struct tlb_context *c, u64 linear)
{
	u64 page = linear & PAGE_MASK, gib = BIT(linear >> 30 & 63), region = BIT(linear >> 22 & 63);
	clear_victims(c);
	if (c->large[1] & gib)
		flush_region_in(c, page, 30);
	else if (c->large[0] & region)
		flush_region_in(c, page, 22);
	else
		for (unsigned kind = 0; kind < TLB_KINDS; kind++)
			*tlb_at(c->entry[kind], page) = (struct tlb_entry){NO_PAGE, NO_PAGE, NO_PAGE, 0};
	if (c->large_code[1] & gib || c->large_code[0] & region) {
		clear_jumps(c);
		return;
	}
	unsigned group = page >> 12 & (JUMP_PAGES - 1);
	for (unsigned kind = 0; kind < 2; kind++)
		if (c->jump_used[kind] & BIT(group))
			clear_jump_group(c, kind, group);
}

/* Applies `action` to every context that the conditions select; ~0 means "any". */
#define ANY (~0ull)
static void
flush_where(struct vcpu *cpu, u64 vpid, u64 pcid, u64 linear)
{
	for (unsigned n = 0; n < TLB_CONTEXTS; n++) {
		const struct tlb_key *k = &cpu->contexts->key[n];
		if (!k->filled || (vpid != ANY && k->vpid != vpid) || (pcid != ANY && k->pcid != pcid))
			continue;
		if (linear == ANY)
			clear_context(cpu, &cpu->contexts->context[n]);
		else
			flush_page_in(&cpu->contexts->context[n], linear);
	}
}

static u16
present_vpid(const struct vcpu *cpu)
{
	return cpu->nonroot ? vmx_vpid(cpu) : 0;
}

static u16
present_pcid(const struct vcpu *cpu)
{
	return cpu->cr4 & CR4_PCIDE ? cpu->cr3 & 0xfff : 0;
}

void
tlb_flush_all(struct vcpu *cpu)
{
	flush_where(cpu, ANY, ANY, ANY);
}

void
tlb_flush_current(struct vcpu *cpu, bool globals)
{
	flush_where(cpu, present_vpid(cpu), globals ? ANY : present_pcid(cpu), ANY);
}

static bool
basis_holds(const struct vcpu *cpu, const struct tlb_basis *b)
{
	if (!b->complete || b->cr3 != cpu->cr3)
		return false;
	for (unsigned n = 0; n < b->count; n++)
		if (memcmp(b->entry[n].host, &b->entry[n].value, sizeof b->entry[n].value))
			return false;
	return true;
}

void
tlb_renew(struct vcpu *cpu)
{
	struct tlb_key *k = cpu->context->key;
	bool keep = k->filled && basis_holds(cpu, &cpu->context->basis);
	/* Pass over the present context. */
	if (keep)
		k->filled = false;
	tlb_flush_current(cpu, true);
	if (keep) {
		k->filled = true;
	} else {
		cpu->context->basis.complete = true;
		cpu->context->basis.count = 0;
		cpu->context->basis.cr3 = cpu->cr3;
	}
}

void
tlb_flush_page(struct vcpu *cpu, u64 linear)
{
	flush_where(cpu, present_vpid(cpu), ANY, linear);
}

void
tlb_flush_pcid(struct vcpu *cpu, u16 pcid)
{
	flush_where(cpu, present_vpid(cpu), pcid, ANY);
}

void
tlb_flush_pcid_page(struct vcpu *cpu, u16 pcid, u64 linear)
{
	flush_where(cpu, present_vpid(cpu), pcid, linear);
}

void
tlb_flush_vpid(struct vcpu *cpu, u16 vpid)
{
	flush_where(cpu, vpid, ANY, ANY);
}

void
tlb_flush_vpid_page(struct vcpu *cpu, u16 vpid, u64 linear)
{
	flush_where(cpu, vpid, ANY, linear);
}

void
tlb_flush_vpid_all(struct vcpu *cpu)
{
	for (unsigned n = 0; n < TLB_CONTEXTS; n++)
		if (cpu->contexts->key[n].filled && cpu->contexts->key[n].vpid)
			clear_context(cpu, &cpu->contexts->context[n]);
}

/* Contexts without EPT have eptp 0 and are not concerned. */
void
tlb_flush_ept(struct vcpu *cpu, u64 ep4ta)
{
	for (unsigned n = 0; n < TLB_CONTEXTS; n++) {
		const struct tlb_key *k = &cpu->contexts->key[n];
		if (k->filled && k->eptp && (k->eptp >> 12 & ~(~0ull << 40)) == ep4ta)
			clear_context(cpu, &cpu->contexts->context[n]);
	}
}

void
tlb_flush_ept_all(struct vcpu *cpu)
{
	for (unsigned n = 0; n < TLB_CONTEXTS; n++)
		if (cpu->contexts->key[n].filled && cpu->contexts->key[n].eptp)
			clear_context(cpu, &cpu->contexts->context[n]);
}

void
tlb_address_mask_changed(struct vcpu *cpu)
{
	u64 mask = cpu->cpus->a20_masked && !vmx_operation(cpu) ? ~BIT(20) : ~0ull;
	if (mask == cpu->physical_mask)
		return;
	cpu->physical_mask = mask;
	tlb_flush_all(cpu);
	cpu->exit_request = 1;
}

void
tlb_forget_jumps(struct vcpu *cpu)
{
	for (unsigned n = 0; n < TLB_CONTEXTS; n++)
		clear_jumps(&cpu->contexts->context[n]);
}

/* --- checkpoints --- */

static void
context_state(struct tlb_context *c, struct state *s)
{
	STATE(s, c->basis.complete);
	if (c->basis.complete)
		STATE(s, c->basis);
	STATE(s, c->large);
	STATE(s, c->large_code);
	STATE(s, c->used);
	STATE(s, c->recent);
	STATE(s, c->recents);
	for (unsigned kind = 0; kind < TLB_KINDS; kind++)
		for (unsigned w = 0; w < TLB_SIZE / 64; w++)
			for (u64 used = c->used[kind][w]; used; used &= used - 1)
				STATE(s, c->entry[kind][w * 64 + (unsigned)__builtin_ctzll(used)]);
	STATE(s, c->next_victim);
	STATE(s, c->victims);
	if (c->victims)
		STATE(s, c->victim);
}

void
tlb_state(struct vcpu *cpu, struct state *s)
{
	struct tlb_contexts *t = cpu->contexts;
	u32 present = cpu->context ? (u32)(cpu->context - t->context) : TLB_CONTEXTS;
	for (unsigned n = 0; n < TLB_CONTEXTS; n++) {
		if (state_mode(s) == STATE_LOAD)
			clear_context(cpu, &t->context[n]);
		context_state(&t->context[n], s);
	}
	STATE(s, present);
	STATE(s, t->key);
	STATE(s, t->clock);
	if (state_mode(s) != STATE_LOAD || present == TLB_CONTEXTS)
		return;
	cpu->context = &t->context[present];
	select_kind(cpu);
}
