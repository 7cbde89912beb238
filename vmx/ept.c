/*
 * Extended page tables: the walk, accessed and dirty flags, page-modification logging, violations and misconfigurations.
 * SDM 3, "The Extended Page Table Mechanism (EPT)" and "Page-Modification Logging".
 * Not modelled: memory types beyond their validity, 5-level EPT, sub-page permissions, paging-write and guest-paging verification.
 */
#include <string.h>

#include "base/stop.h"
#include "bus/memory.h"
#include "cpu/access.h"
#include "cpu/cpuid.h"
#include "cpu/fault.h"
#include "cpu/paging.h"
#include "vmx/vmx.h"

#define EPTP_ACCESSED_DIRTY BIT(6)

#define EPT_R BIT(0)
#define EPT_W BIT(1)
#define EPT_X BIT(2) /* supervisor execute with mode-based execute control */
#define EPT_LARGE BIT(7)
#define EPT_A BIT(8)
#define EPT_D BIT(9)
#define EPT_USER_X BIT(10)
#define EPT_SUPPRESS_VE BIT(63)
#define EPT_RIGHTS (EPT_R | EPT_W | EPT_X | EPT_USER_X)

#define LEVELS 4

/* The tag of TLB contexts: EPTP[51:12] in place, and below it whatever makes cached translations differ. */
#define TAG_EPT BIT(0)
#define TAG_MBEC BIT(1)

enum ept_result { EPT_OK, EPT_NOT_PRESENT, EPT_MISCONFIGURED };

struct ept_walk {
	u64 physical;
	u64 rights; /* AND of EPT_RIGHTS over the entries used; 0 once a not-present entry was met */
	u64 entry[LEVELS], address[LEVELS];
	unsigned levels;
};

bool
vmx_eptp_valid(const struct vcpu *cpu, u64 eptp)
{
	const struct vmx_capability *cap = &cpu->vmx->cap;
	unsigned type = eptp & 7;

	if (!(type == 0 && VMX_ALLOWED(cap, EPTCAP, UC)) && !(type == 6 && VMX_ALLOWED(cap, EPTCAP, WB)))
		return false;
	return BITS(eptp, 5, 3) == LEVELS - 1 && !(eptp & vmx_eptp_reserved(cpu));
}

u64
vmx_eptp_reserved(const struct vcpu *cpu)
{
	u64 reserved = BITS(~0ull, 11, 7) << 7 | ~0ull << cpu->model->physical_bits;

	return reserved | (VMX_ALLOWED(&cpu->vmx->cap, EPTCAP, ACCESSED_DIRTY) ? 0 : EPTP_ACCESSED_DIRTY);
}

void
vmx_select_eptp(struct vcpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	vmx->eptp_tag = 0;
	if (SEC_ON(vmx, ENABLE_EPT))
		vmx->eptp_tag = (vmx->vmcs.eptp & (PAGE_MASK | EPTP_ACCESSED_DIRTY)) | TAG_EPT |
				(SEC_ON(vmx, MODE_BASED_EXECUTE) ? TAG_MBEC : 0);
}

static u64
read_entry(struct vcpu *cpu, u64 address)
{
	const u8 *host = memory_plain(cpu->memory, address);
	u64 value;

	if (unlikely(!host))
		return memory_read(cpu->memory, address, 8);
	memcpy(&value, host, 8);
	return value;
}

/* EM-01 to EM-05, for a present entry. `level`: 3 PML4E, 2 PDPTE, 1 PDE, 0 PTE. */
static bool
misconfigured(const struct vcpu *cpu, u64 entry, unsigned level, bool leaf, u64 execute)
{
	const struct vmx_capability *cap = &cpu->vmx->cap;
	u64 reserved = ~0ull << cpu->model->physical_bits & BITS(~0ull, 51, 0);

	if (!(entry & EPT_R) && (entry & EPT_W))
		return true;
	if (!(entry & EPT_R) && (entry & execute) && !VMX_ALLOWED(cap, EPTCAP, EXECUTE_ONLY))
		return true;
	if (!leaf) {
		/* Bits 6:3, and 7 where no leaf can be. */
		reserved |= 0x78;
		if (level == 3 || (entry & EPT_LARGE))
			reserved |= EPT_LARGE;
	} else if (level) {
		reserved |= (BIT(12 + 9 * level) - 1) & PAGE_MASK;
	}
	if (entry & reserved)
		return true;
	if (leaf) {
		unsigned type = BITS(entry, 5, 3);

		return type == 2 || type == 3 || type == 7;
	}
	return false;
}

static enum ept_result
walk(struct vcpu *cpu, u64 guest_physical, struct ept_walk *w)
{
	const struct vmx *vmx = cpu->vmx;
	bool mbec = SEC_ON(vmx, MODE_BASED_EXECUTE);
	u64 execute = mbec ? EPT_X | EPT_USER_X : EPT_X;

	u64 table = vmx->eptp_tag & (BITS(~0ull, 51, 12) << 12);

	w->rights = EPT_RIGHTS;
	w->levels = 0;
	/* 4-level EPT translates 48 bits: nothing is mapped above. */
	if (guest_physical >> 48) {
		w->rights = 0;
		w->entry[0] = 0;
		w->levels = 1;
		return EPT_NOT_PRESENT;
	}
	for (unsigned level = LEVELS - 1;; level--) {
		unsigned shift = 12 + 9 * level;
		u64 address = table | (guest_physical >> shift & 0x1ff) * 8;
		u64 entry = read_entry(cpu, address);
		bool leaf = level == 0 ||
			    (level == 2 && (entry & EPT_LARGE) && VMX_ALLOWED(&vmx->cap, EPTCAP, PAGE_1G)) ||
			    (level == 1 && (entry & EPT_LARGE) && VMX_ALLOWED(&vmx->cap, EPTCAP, PAGE_2M));

		w->entry[w->levels] = entry;
		w->address[w->levels++] = address;
		if (!(entry & (EPT_R | EPT_W | execute))) {
			w->rights = 0;
			return EPT_NOT_PRESENT;
		}
		if (unlikely(misconfigured(cpu, entry, level, leaf, execute)))
			return EPT_MISCONFIGURED;
		w->rights &= entry;
		if (leaf) {
			u64 offset = BIT(shift) - 1;

			w->physical = (entry & BITS(~0ull, 51, 12) << 12 & ~offset) | (guest_physical & offset);
			return EPT_OK;
		}
		table = entry & (BITS(~0ull, 51, 12) << 12);
	}
}

/* Does a fetch from a page of this privilege succeed? NR-72 */
static bool
executable(const struct vmx *vmx, u64 rights, bool user)
{
	return rights & (SEC_ON(vmx, MODE_BASED_EXECUTE) && user ? EPT_USER_X : EPT_X);
}

/*
 * What the access counts as: a page walk is a write too when EPT has accessed and dirty flags, but not the load of the PDPTEs (EPV-04).
 */
static unsigned
effective_access(const struct vmx *vmx, const struct ept_access *a)
{
	unsigned access = a->access & (ACCESS_READ | ACCESS_WRITE | ACCESS_FETCH);

	if (!a->final && a->linear_valid && (vmx->eptp_tag & EPTP_ACCESSED_DIRTY))
		access |= ACCESS_READ | ACCESS_WRITE;
	return access;
}

/* Section 7.4 */
static u64
violation_qualification(const struct vcpu *cpu, const struct ept_access *a, unsigned access, u64 rights)
{
	const struct vmx *vmx = cpu->vmx;
	u64 q = access | (rights & EPT_RIGHTS & ~EPT_USER_X) << 3;

	if (SEC_ON(vmx, MODE_BASED_EXECUTE) && (rights & EPT_USER_X))
		q |= BIT(6);
	if (a->linear_valid) {
		q |= BIT(7);
		if (a->final) {
			q |= BIT(8);
			if (VMX_ALLOWED(&vmx->cap, EPTCAP, ADVANCED_EXIT_INFO))
				q |= (u64)a->user << 9 | (u64)a->guest_writable << 10 | (u64)a->guest_nx << 11;
		}
	}
	if (cpu->iret_unblocks_nmi && !cpu->is_delivering)
		q |= INFO_NMI_UNBLOCKING;
	return q;
}

static _Noreturn void
violation(struct vcpu *cpu, const struct ept_access *a, unsigned access, const struct ept_walk *w)
{
	struct vmcs *v = &cpu->vmx->vmcs;
	u64 qualification = violation_qualification(cpu, a, access, w->rights);

	if (SEC_ON(cpu->vmx, EPT_VIOLATION_VE) && !(w->entry[w->levels - 1] & EPT_SUPPRESS_VE) &&
	    vmx_convert_violation(cpu, qualification, a->linear, a->guest_physical))
		raise_exception(cpu, VECTOR_VE);
	v->guest_physical_address = a->guest_physical;
	if (a->linear_valid)
		v->guest_linear_address = a->linear;
	vm_exit(cpu, REASON_EPT_VIOLATION, qualification, w->rights ? "EPT rights" : "EPT entry not present");
}

/* NR-69: writes the log entry, or exits before anything is set when the log is full. */
static void
log_full_check(struct vcpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	if (SEC_ON(vmx, ENABLE_PML) && vmx->vmcs.pml_index > 511)
		vm_exit(cpu, REASON_PML_FULL, cpu->iret_unblocks_nmi && !cpu->is_delivering ? INFO_NMI_UNBLOCKING : 0,
			"PML index");
}

static void
log_page(struct vcpu *cpu, u64 guest_physical)
{
	struct vmcs *v = &cpu->vmx->vmcs;

	if (!SEC_ON(cpu->vmx, ENABLE_PML))
		return;
	phys_write_by(cpu, "page-modification log", v->pml_address + 8ull * v->pml_index, 8, guest_physical & PAGE_MASK);
	v->pml_index--;
}

/* AD-01: accessed on every entry used, dirty on the leaf for what counts as a write. Returns whether the leaf is dirty now. */
static bool
set_flags(struct vcpu *cpu, struct ept_walk *w, u64 guest_physical, bool write)
{
	unsigned leaf = w->levels - 1;
	u64 missing = 0;

	for (unsigned i = 0; i < w->levels; i++)
		missing |= ~w->entry[i] & EPT_A;
	if (write)
		missing |= ~w->entry[leaf] & EPT_D;
	if (likely(!missing))
		return w->entry[leaf] & EPT_D;
	log_full_check(cpu);
	for (unsigned i = 0; i < w->levels; i++) {
		u64 entry = w->entry[i] | EPT_A | (write && i == leaf ? EPT_D : 0);

		if (entry != w->entry[i])
			phys_write_by(cpu, "EPT walk", w->address[i], 8, entry);
		w->entry[i] = entry;
	}
	if (missing & EPT_D)
		log_page(cpu, guest_physical);
	return w->entry[leaf] & EPT_D;
}

void
vmx_ept_translate(struct vcpu *cpu, const struct ept_access *a, struct translation *t)
{
	struct vmx *vmx = cpu->vmx;
	unsigned access = effective_access(vmx, a);
	bool dirty = true, fetch_ok;
	struct ept_walk w;

	switch (walk(cpu, a->guest_physical, &w)) {
	case EPT_OK:
		break;
	case EPT_NOT_PRESENT:
		violation(cpu, a, access, &w);
	case EPT_MISCONFIGURED:
		vmx->vmcs.guest_physical_address = a->guest_physical;
		vm_exit(cpu, REASON_EPT_MISCONFIG, 0, "EPT entry misconfigured");
	}
	fetch_ok = executable(vmx, w.rights, a->user);
	if (((access & ACCESS_READ) && !(w.rights & EPT_R)) || ((access & ACCESS_WRITE) && !(w.rights & EPT_W)) ||
	    ((access & ACCESS_FETCH) && !fetch_ok))
		violation(cpu, a, access, &w);
	if (vmx->eptp_tag & EPTP_ACCESSED_DIRTY)
		dirty = set_flags(cpu, &w, a->guest_physical, access & ACCESS_WRITE);
	t->physical = w.physical;
	t->write_ok &= dirty && (w.rights & EPT_W);
	t->fetch_ok &= fetch_ok;
	if (vmx_is_apic_access_page(cpu, w.physical)) {
		if (!a->final)
			vmx_guest_physical_apic_access(cpu);
		t->special = true;
	}
}

bool
vmx_ept_peek(struct vcpu *cpu, u64 guest_physical, u64 *physical)
{
	struct ept_walk w;

	if (walk(cpu, guest_physical, &w) != EPT_OK)
		return false;
	*physical = w.physical;
	return true;
}
