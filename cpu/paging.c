/*
 * Page walks in all paging modes, with EPT below when a VMX guest runs. SDM 3, "Paging".
 *
 * Accessed and dirty flags are set once it is known that the access is allowed: the manual lets a processor set them earlier, it does not demand
 * it. The walk of the host's own tables and the debugger's look share one routine.
 */
#include "cpu/paging.h"

#include <string.h>

#include "bus/memory.h"
#include "cpu/cpuid.h"
#include "cpu/fault.h"
#include "cpu/tlb.h"
#include "vmx/intercept.h"

#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_U BIT(2)
#define PTE_A BIT(5)
#define PTE_D BIT(6)
#define PTE_PS BIT(7)
#define PTE_G BIT(8)
#define PTE_NX BIT(63)

#define ERROR_P 1
#define ERROR_W 2
#define ERROR_U 4
#define ERROR_RSVD 8
#define ERROR_I 16
#define ERROR_PK 32

struct walk {
	struct vcpu *cpu;
	u64 linear;
	unsigned access;
	bool peek;
	/* the entries used, top first */
	unsigned levels;
	u64 entry[5], address[5]; /* address: guest-physical */
	unsigned entry_size;
	/* result */
	u64 leaf; /* the last entry */
	u64 guest_physical;
	unsigned shift;
	bool user, writable, nx, global, dirty;
	u32 error; /* of a #PF, P bit and RSVD only; valid when the walk fails */
};

u64
physical_reserved(const struct vcpu *cpu)
{
	return ~0ull << cpu->model->physical_bits;
}

/* The physical address behind the guest-physical address of a paging-structure entry; false only when peeking. */
static bool
entry_physical(struct walk *w, u64 guest_physical, unsigned access, u64 *physical)
{
	*physical = guest_physical & w->cpu->physical_mask;
	if (!w->cpu->nonroot || !vmx_ept_enabled(w->cpu))
		return true;
	if (w->peek)
		return vmx_ept_peek(w->cpu, guest_physical, physical);
	struct translation t = {.write_ok = true, .fetch_ok = true};
	vmx_ept_translate(w->cpu,
			  &(struct ept_access){.guest_physical = guest_physical, .linear = w->linear, .access = access, .linear_valid = true}, &t);
	*physical = t.physical;
	return true;
}

static bool
read_entry(struct walk *w, u64 address, unsigned size)
{
	u64 physical, value = 0;
	if (!entry_physical(w, address, ACCESS_READ, &physical))
		return false;
	const u8 *host = memory_plain(w->cpu->memory, physical), *page;
	if (unlikely(w->cpu->in_smm))
		value = phys_read(w->cpu, physical, size);
	else if (likely(host))
		memcpy(&value, host, size);
	else if ((page = memory_page(w->cpu->memory, physical & PAGE_MASK, false)))
		memcpy(&value, page + (physical & 0xfff), size);
	else if (w->peek)
		return false;
	else
		value = memory_read(w->cpu->memory, physical, size);
	w->entry[w->levels] = w->leaf = value;
	w->address[w->levels] = address;
	w->entry_size = size;
	w->levels++;
	return true;
}

/* 32-bit paging. False: not present or reserved bit set, `error` tells. */
static bool
walk_32(struct walk *w)
{
	struct vcpu *cpu = w->cpu;
	if (!read_entry(w, (cpu->cr3 & 0xfffff000) + (w->linear >> 22 & 0x3ff) * 4, 4))
		return false;
	u64 e = w->entry[0];
	w->error = 0;
	if (!(e & PTE_P))
		return false;
	w->writable = e & PTE_W;
	w->user = e & PTE_U;
	if (e & PTE_PS && cpu->cr4 & CR4_PSE) {
		/* PSE-36: bits 20:13 are physical address bits 39:32; those above MAXPHYADDR and bit 21 are reserved. */
		u64 high = BITS(e, 20, 13) << 32;
		w->error = ERROR_P | ERROR_RSVD;
		if (e & BIT(21) || high & physical_reserved(cpu))
			return false;
		w->shift = 22;
		w->guest_physical = high | (e & 0xffc00000) | (w->linear & 0x3fffff);
	} else {
		if (!read_entry(w, (e & 0xfffff000) + (w->linear >> 12 & 0x3ff) * 4, 4))
			return false;
		e = w->entry[1];
		w->error = 0;
		if (!(e & PTE_P))
			return false;
		w->writable &= !!(e & PTE_W);
		w->user &= !!(e & PTE_U);
		w->shift = 12;
		w->guest_physical = (e & 0xfffff000) | (w->linear & 0xfff);
	}
	w->global = e & PTE_G;
	w->dirty = e & PTE_D;
	return true;
}

/* PAE, 4-level and 5-level paging: 64-bit entries. */
static bool
walk_64(struct walk *w)
{
	struct vcpu *cpu = w->cpu;
	bool long_mode = cpu->efer & EFER_LMA;
	u64 reserved = physical_reserved(cpu) & (long_mode ? ~(0xfffull << 52) : ~PTE_NX), table;
	if (!(cpu->efer & EFER_NXE))
		reserved |= PTE_NX;
	int level; /* 5 PML5 .. 1 PT: shift = 12 + 9 * (level - 1) */
	w->writable = w->user = true;
	if (long_mode) {
		level = cpu->cr4 & CR4_LA57 ? 5 : 4;
		table = cpu->cr3 & ~0xfffull & ~physical_reserved(cpu);
	} else {
		u64 pdpte = cpu->pdpte[w->linear >> 30 & 3];
		w->error = 0;
		if (!(pdpte & PTE_P))
			return false;
		level = 2;
		table = pdpte & ~0xfffull;
	}
	for (;; level--) {
		unsigned shift = 12 + 9 * (unsigned)(level - 1);
		if (!read_entry(w, table + (w->linear >> shift & 0x1ff) * 8, 8))
			return false;
		u64 e = w->leaf;
		w->error = 0;
		if (!(e & PTE_P))
			return false;
		w->error = ERROR_P | ERROR_RSVD;
		bool leaf = level == 1;
		if (e & PTE_PS && level > 1) {
			if (level > 3 || (level == 3 && !cpu->model->has[FEATURE_PDPE1GB]))
				return false;
			leaf = true;
			if (e & (BIT(shift) - 1) & ~0x1fffull)
				return false;
		}
		if (e & reserved)
			return false;
		w->writable &= !!(e & PTE_W);
		w->user &= !!(e & PTE_U);
		w->nx |= !!(e & PTE_NX);
		u64 address = e & 0x000ffffffffff000ull;
		if (leaf) {
			w->shift = shift;
			w->guest_physical = (address & ~(BIT(shift) - 1)) | (w->linear & (BIT(shift) - 1));
			w->global = e & PTE_G;
			w->dirty = e & PTE_D;
			return true;
		}
		table = address;
	}
}

/*
 * The common case of walk_64(), with nothing recorded: long mode, tables in plain RAM, all entries present, proper and already marked accessed (and
 * dirty). False: walk_64() must look.
 */
static bool
quick_walk(struct walk *w)
{
	const struct vcpu *cpu = w->cpu;
	if (!(cpu->efer & EFER_LMA) || (cpu->nonroot && vmx_ept_enabled(cpu)) || cpu->physical_mask != ~0ull)
		return false;
	u64 high = physical_reserved(cpu), table = cpu->cr3 & ~0xfffull & ~high, all = PTE_P | PTE_A | PTE_W | PTE_U, any = 0, e;
	unsigned shift = cpu->cr4 & CR4_LA57 ? 48 : 39;
	for (;; shift -= 9) {
		const u8 *host = memory_plain(cpu->memory, table + (w->linear >> shift & 0x1ff) * 8);
		if (!host)
			return false;
		memcpy(&e, host, 8);
		all &= e;
		any |= e;
		if (shift == 12 || e & PTE_PS || !(e & PTE_P))
			break;
		table = e & 0x000ffffffffff000ull;
	}
	u64 offset = BIT(shift) - 1;
	if ((all & (PTE_P | PTE_A)) != (PTE_P | PTE_A) || any & high & ~(0xfffull << 52) || (any & PTE_NX && !(cpu->efer & EFER_NXE)))
		return false;
	if (shift > 12 && (shift > 30 || e & offset & ~0x1fffull || (shift == 30 && !cpu->model->has[FEATURE_PDPE1GB])))
		return false;
	w->dirty = e & PTE_D;
	if (w->access & ACCESS_WRITE && !w->dirty)
		return false;
	w->levels = 0;
	w->leaf = e;
	w->guest_physical = (e & 0x000ffffffffff000ull & ~offset) | (w->linear & offset);
	w->shift = shift;
	w->writable = all & PTE_W;
	w->user = all & PTE_U;
	w->nx = any & PTE_NX;
	w->global = e & PTE_G;
	return true;
}

static bool
add_to_basis(struct tlb_basis *b, const u8 *host, u64 value)
{
	for (unsigned n = 0; n < b->count; n++)
		if (b->entry[n].host == host)
			return b->entry[n].value == value;
	if (b->count == TLB_BASIS)
		return false;
	b->entry[b->count].host = host;
	b->entry[b->count++].value = value;
	return true;
}

/* After a walk: adds the entries that it read to the context's basis, which is incomplete if they are not as quick_walk() likes them. */
static void
note_basis(struct vcpu *cpu, u64 linear, unsigned leaf_shift)
{
	struct tlb_basis *b = &cpu->context->basis;
	u64 table = cpu->cr3 & ~0xfffull & ~physical_reserved(cpu), e;
	b->complete = cpu->efer & EFER_LMA && !(cpu->nonroot && vmx_ept_enabled(cpu)) && cpu->physical_mask == ~0ull && b->cr3 == cpu->cr3;
	for (unsigned shift = cpu->cr4 & CR4_LA57 ? 48 : 39; b->complete && shift >= leaf_shift; shift -= 9) {
		const u8 *host = memory_plain(cpu->memory, table + (linear >> shift & 0x1ff) * 8);
		if (host)
			memcpy(&e, host, 8);
		b->complete = host && add_to_basis(b, host, e);
		table = host ? e & 0x000ffffffffff000ull : 0;
	}
}

/* Protection keys: for user pages in IA-32e mode, data accesses. */
static bool
key_refuses(const struct walk *w, bool user_access)
{
	const struct vcpu *cpu = w->cpu;
	if (!(cpu->cr4 & CR4_PKE) || !(cpu->efer & EFER_LMA) || !w->user || w->access & ACCESS_FETCH)
		return false;
	unsigned key = BITS(w->leaf, 62, 59);
	bool access_disable = cpu->pkru >> (key * 2) & 1, write_disable = cpu->pkru >> (key * 2 + 1) & 1;
	return access_disable || (w->access & ACCESS_WRITE && write_disable && (user_access || cpu->cr0 & CR0_WP));
}

/* True when the access is allowed; else `error` has the bits that depend on rights. */
static bool
allowed(struct walk *w)
{
	const struct vcpu *cpu = w->cpu;
	bool user_access = cpu->cpl == 3 && !(w->access & ACCESS_SYSTEM);
	bool key_allows = !key_refuses(w, user_access);
	/* PK is set whenever the key refuses, whatever else refuses too: SDM 3, "Page-Fault Exceptions". */
	w->error = key_allows ? ERROR_P : ERROR_P | ERROR_PK;
	if (user_access && !w->user)
		return false;
	if (w->access & ACCESS_FETCH) {
		if (w->nx && cpu->efer & EFER_NXE)
			return false;
		if (!user_access && w->user && cpu->cr4 & CR4_SMEP)
			return false;
		return true;
	}
	if (!user_access && w->user && cpu->cr4 & CR4_SMAP && (w->access & ACCESS_SYSTEM || !(cpu->rflags & FLAG_AC)))
		return false;
	if (w->access & ACCESS_WRITE && !w->writable && (user_access || cpu->cr0 & CR0_WP))
		return false;
	return key_allows;
}

static void
set_accessed_dirty(struct walk *w)
{
	for (unsigned n = 0; n < w->levels; n++) {
		bool leaf = n == w->levels - 1;
		u64 bits = PTE_A | (leaf && w->access & ACCESS_WRITE ? PTE_D : 0);
		if ((w->entry[n] & bits) == bits)
			continue;
		u64 physical;
		entry_physical(w, w->address[n], ACCESS_READ | ACCESS_WRITE, &physical);
		phys_write_by(w->cpu, "page walk", physical, w->entry_size, w->entry[n] | bits);
		if (leaf)
			w->dirty |= !!(bits & PTE_D);
	}
}

static _Noreturn void
page_fault(struct walk *w)
{
	const struct vcpu *cpu = w->cpu;
	u32 error = w->error;
	if (w->access & ACCESS_WRITE)
		error |= ERROR_W;
	if (cpu->cpl == 3 && !(w->access & ACCESS_SYSTEM))
		error |= ERROR_U;
	if (w->access & ACCESS_FETCH && ((cpu->cr4 & CR4_PAE && cpu->efer & EFER_NXE) || cpu->cr4 & CR4_SMEP))
		error |= ERROR_I;
	raise_page_fault(w->cpu, w->linear, error);
}

static bool
walk_tables(struct walk *w)
{
	return w->cpu->cr4 & CR4_PAE ? walk_64(w) : walk_32(w);
}

void
page_walk(struct vcpu *cpu, u64 linear, unsigned access, struct translation *out)
{
	*out = (struct translation){.page_shift = 12, .write_ok = true, .fetch_ok = true};
	struct walk w;
	w.cpu = cpu;
	w.linear = linear;
	w.access = access;
	w.peek = false;
	w.levels = 0;
	w.nx = false;
	if (cpu->cr0 & CR0_PG) {
		bool quick = quick_walk(&w);
		if ((!quick && !walk_tables(&w)) || !allowed(&w))
			page_fault(&w);
		if (!quick)
			set_accessed_dirty(&w);
		if (unlikely(cpu->context->basis.complete))
			note_basis(cpu, linear, w.shift);
		out->guest_physical = w.guest_physical;
		out->page_shift = (u8)w.shift;
		out->global = w.global;
		bool user_access = cpu->cpl == 3 && !(access & ACCESS_SYSTEM);
		out->write_ok = w.dirty && (w.writable || (!user_access && !(cpu->cr0 & CR0_WP)));
		if (out->write_ok && !(access & ACCESS_WRITE)) {
			w.access = ACCESS_WRITE | (access & ACCESS_SYSTEM);
			out->write_ok = !key_refuses(&w, user_access);
		}
		out->fetch_ok = !w.nx;
	} else {
		out->guest_physical = linear;
		w.user = true;
		w.writable = true;
		cpu->context->basis.complete = false;
	}
	out->physical = out->guest_physical & cpu->physical_mask;
	if (cpu->nonroot && vmx_ept_enabled(cpu))
		vmx_ept_translate(cpu,
				  &(struct ept_access){.guest_physical = out->guest_physical,
						       .linear = linear,
						       .access = access,
						       .linear_valid = true,
						       .final = true,
						       .user = w.user,
						       .guest_writable = w.writable,
						       .guest_nx = w.nx},
				  out);
}

void
load_pdptes(struct vcpu *cpu, u64 cr3)
{
	u64 value[4];
	for (unsigned n = 0; n < 4; n++) {
		u64 physical, address = (cr3 & 0xffffffe0) + n * 8;
		physical = address & cpu->physical_mask;
		if (cpu->nonroot && vmx_ept_enabled(cpu)) {
			struct translation t = {.write_ok = true, .fetch_ok = true};
			vmx_ept_translate(cpu, &(struct ept_access){.guest_physical = address, .access = ACCESS_READ}, &t);
			physical = t.physical;
		}
		value[n] = phys_read(cpu, physical, 8);
		if (value[n] & PTE_P && value[n] & (physical_reserved(cpu) | 0x1e6))
			raise_gp(cpu, 0);
	}
	memcpy(cpu->pdpte, value, sizeof value);
}

bool
linear_peek(struct vcpu *cpu, u64 linear, u64 *guest_physical, u64 *physical)
{
	struct walk w = {.cpu = cpu, .linear = linear, .access = ACCESS_READ, .peek = true};
	u64 result = linear;
	if (cpu->cr0 & CR0_PG) {
		if (!walk_tables(&w))
			return false;
		result = w.guest_physical;
	}
	if (guest_physical)
		*guest_physical = result;
	if (cpu->nonroot && vmx_ept_enabled(cpu) && !vmx_ept_peek(cpu, result, &result))
		return false;
	if (physical)
		*physical = result & cpu->physical_mask;
	return true;
}
