/*
 * Page walks as a story: every entry of the guest's and of the EPT's tables, and the rights that result. SDM 3, "Paging" and "The Extended
 * Page Table Mechanism (EPT)". Nothing is changed: accessed and dirty flags are shown, not set. The walk in cpu/paging.c is the one that
 * counts; this one tells what is in the tables, for the processor as it is or for the guest of the current VMCS while the hypervisor runs.
 * Not told: protection keys, and what SMEP and SMAP forbid at the present CPL.
 */
#include <stdarg.h>
#include <string.h>

#include "cpu/cpuid.h"
#include "cpu/paging.h"
#include "debugger/walk.h"

struct rights {
	bool read, write, execute, user;
	u64 physical;
	unsigned shift;
	unsigned type;  /* memory type of EPT's */
	bool ignore_pat;
};

struct walker {
	struct debugger *d;
	const struct view *view;
	bool quiet;
};

static void PRINTF(2, 3)
tell(const struct walker *w, const char *format, ...)
{
	va_list list;

	if (w->quiet)
		return;
	va_start(list, format);
	vfprintf(w->d->out, format, list);
	va_end(list);
}

/* --- whose tables --- */

bool
ept_on(const struct debugger *d)
{
	const struct vcpu *cpu = d->cpu;

	return cpu->vmx && cpu->vmx->current != NO_VMCS && (cpu->vmx->vmcs.proc_controls & VMX_MASK(PROC, SECONDARY_CONTROLS)) &&
	       (cpu->vmx->vmcs.sec_controls & VMX_MASK(SEC, ENABLE_EPT));
}

static void
view_of_processor(const struct debugger *d, struct view *v)
{
	const struct vcpu *cpu = d->cpu;

	*v = (struct view){.cr0 = cpu->cr0, .cr3 = cpu->cr3, .cr4 = cpu->cr4, .efer = cpu->efer, .pat = cpu->msr.pat};
	memcpy(v->pdpte, cpu->pdpte, sizeof(v->pdpte));
	v->ept = cpu->nonroot && ept_on(d);
	v->eptp = v->ept ? cpu->vmx->vmcs.eptp : 0;
}

/* The guest as the fields tell; PDPTEs come from the fields with EPT, else from memory as a VM entry would load them. */
static void
view_of_guest(const struct debugger *d, struct view *v)
{
	const struct vcpu *cpu = d->cpu;
	const struct vmcs *f = &cpu->vmx->vmcs;
	const u64 pdpte[4] = {f->guest_pdpte0, f->guest_pdpte1, f->guest_pdpte2, f->guest_pdpte3};

	*v = (struct view){.cr0 = f->guest_cr0, .cr3 = f->guest_cr3, .cr4 = f->guest_cr4, .efer = cpu->efer & ~EFER_LMA, .pat = cpu->msr.pat};
	if (f->entry_controls & VMX_MASK(ENTRY, LOAD_EFER))
		v->efer = f->guest_efer;
	if (f->entry_controls & VMX_MASK(ENTRY, IA32E_MODE_GUEST))
		v->efer |= EFER_LMA;
	if (f->entry_controls & VMX_MASK(ENTRY, LOAD_PAT))
		v->pat = f->guest_pat;
	v->ept = ept_on(d);
	v->eptp = v->ept ? f->eptp : 0;
	if (v->ept)
		memcpy(v->pdpte, pdpte, sizeof(v->pdpte));
	else if (!memory_peek(cpu->memory, v->cr3 & 0xffffffe0, v->pdpte, sizeof(v->pdpte)))
		memset(v->pdpte, 0, sizeof(v->pdpte));
}

bool
view_get(const struct debugger *d, bool guest, struct view *v)
{
	if (!guest || d->cpu->nonroot) {
		view_of_processor(d, v);
		return true;
	}
	if (!d->cpu->vmx || d->cpu->vmx->current == NO_VMCS)
		return false;
	view_of_guest(d, v);
	return true;
}

/* --- EPT --- */

static const char *
page_size(unsigned shift)
{
	return shift == 12 ? "4K" : shift == 21 ? "2M" : shift == 22 ? "4M" : "1G";
}

/* Why the entry is misconfigured, or NULL. SDM 3, "EPT Misconfigurations". */
static const char *
misconfigured(const struct vcpu *cpu, u64 entry, unsigned level, bool leaf, u64 execute)
{
	unsigned type = entry >> 3 & 7;

	if ((entry & 3) == 2)
		return "writable but not readable";
	if (!(entry & 1) && entry & execute && !VMX_ALLOWED(&cpu->vmx->cap, EPTCAP, EXECUTE_ONLY))
		return "executable but not readable, which this processor does not support";
	if (entry & ~0ull << cpu->model->physical_bits & BITS(~0ull, 51, 0))
		return "address bits beyond the processor's width";
	if (leaf && level && entry & (BIT(12 + 9 * level) - 1) & PAGE_MASK)
		return "address bits below the page's size";
	if (!leaf && (entry & 0x78 || entry & BIT(7)))
		return "reserved bits of a table's entry";
	return leaf && (type == 2 || type == 3 || type == 7) ? "reserved memory type" : NULL;
}

static void
tell_ept_entry(const struct walker *w, const char *indent, unsigned level, u64 address, u64 entry, bool leaf)
{
	static const char *const names[] = {"PTE", "PDE", "PDPTE", "PML4E"};
	bool mbec = w->d->cpu->vmx->vmcs.sec_controls & VMX_MASK(SEC, MODE_BASED_EXECUTE), present = entry & (mbec ? 0x407 : 7);

	tell(w, "%sEPT %-5s at %#llx: %016llx %s%s%s%s%s%s%s%s%s\n", indent, names[level], (ull)address, (ull)entry, entry & 1 ? "R" : "-",
	     entry & 2 ? "W" : "-", entry & 4 ? "X" : "-", !mbec ? "" : entry & BIT(10) ? "U" : "-", entry & BIT(8) ? " A" : "",
	     leaf && entry & BIT(9) ? " D" : "", leaf && present ? " " : "", leaf && present ? memory_type_name((unsigned)(entry >> 3 & 7)) : "",
	     leaf && level && present ? level == 2 ? ", 1G page" : ", 2M page" : "");
}

/* False where the walk ends without a page. `indent` for walks inside walks. */
static bool
ept_walk(const struct walker *w, u64 gpa, const char *indent, struct rights *r)
{
	const struct vcpu *cpu = w->d->cpu;
	u64 table = ENTRY_ADDRESS(w->view->eptp), entry;
	u64 execute = cpu->vmx->vmcs.sec_controls & VMX_MASK(SEC, MODE_BASED_EXECUTE) ? 0x404 : 4;

	*r = (struct rights){true, true, true, true, 0, 12, 0, false};
	if (gpa >> 48) {
		tell(w, "%s%#llx is above 48 bits: EPT violation\n", indent, (ull)gpa);
		return false;
	}
	for (unsigned level = 3;; level--) {
		unsigned shift = 12 + 9 * level;
		u64 address = table | (gpa >> shift & 0x1ff) * 8;
		const char *why;
		bool leaf;

		if (!memory_peek(cpu->memory, address, &entry, 8)) {
			tell(w, "%sEPT entry at %#llx: no memory there\n", indent, (ull)address);
			return false;
		}
		leaf = level == 0 || (level == 2 && entry & BIT(7) && VMX_ALLOWED(&cpu->vmx->cap, EPTCAP, PAGE_1G)) ||
		       (level == 1 && entry & BIT(7) && VMX_ALLOWED(&cpu->vmx->cap, EPTCAP, PAGE_2M));
		r->read &= entry & 1;
		r->write &= entry >> 1 & 1;
		r->execute &= (entry & execute) != 0;
		tell_ept_entry(w, indent, level, address, entry, leaf);
		if (!(entry & (3 | execute))) {
			tell(w, "%snot present: EPT violation\n", indent);
			return false;
		}
		why = misconfigured(cpu, entry, level, leaf, execute);
		if (why) {
			tell(w, "%s%s: EPT misconfiguration\n", indent, why);
			return false;
		}
		if (leaf) {
			r->shift = shift;
			r->physical = (ENTRY_ADDRESS(entry) & ~(BIT(shift) - 1)) | (gpa & (BIT(shift) - 1));
			r->type = entry >> 3 & 7;
			r->ignore_pat = entry & BIT(6);
			return true;
		}
		table = ENTRY_ADDRESS(entry);
	}
}

/* Guest-physical to physical. */
static bool
to_physical(const struct walker *w, u64 gpa, const char *indent, struct rights *r)
{
	*r = (struct rights){true, true, true, true, gpa, 30, 0, false};
	return !w->view->ept || ept_walk(w, gpa, indent, r);
}

bool
guest_physical_lookup(struct debugger *d, u64 gpa, u64 *physical)
{
	struct view view = {.ept = ept_on(d)};
	struct walker w = {d, &view, true};
	struct rights r;

	*physical = gpa;
	if (!view.ept)
		return true;
	view.eptp = d->cpu->vmx->vmcs.eptp;
	if (!ept_walk(&w, gpa, "", &r))
		return false;
	*physical = r.physical;
	return true;
}

/* --- linear addresses --- */

struct found {
	u64 gpa, physical;
};

static bool
walk_end(const struct walker *w, u64 linear, u64 gpa, unsigned shift, unsigned pat_index, struct rights all, struct found *found)
{
	const struct view *v = w->view;
	bool paging = v->cr0 & CR0_PG;
	unsigned pat = paging ? v->pat >> (pat_index * 8) & 7 : MEMORY_WB, below;
	struct rights r;

	found->gpa = gpa;
	if (v->ept && paging)
		tell(w, "guest-physical %#llx (%s page)\n", (ull)gpa, page_size(shift));
	else if (v->ept)
		tell(w, "no paging: guest-physical %#llx\n", (ull)gpa);
	if (!to_physical(w, gpa, "    ", &r)) {
		tell(w, "linear %#llx: no physical address\n", (ull)linear);
		return false;
	}
	found->physical = r.physical;
	all.read &= r.read;
	all.write &= r.write;
	all.execute &= r.execute;
	below = v->ept ? r.type : mtrr_type(w->d->cpu, r.physical);
	tell(w, "linear %#llx -> physical %#llx, page of %s, rights %s%s%s, %s\n", (ull)linear, (ull)r.physical, page_size(MIN(shift, r.shift)),
	     all.read ? "R" : "-", all.write ? "W" : "-", all.execute ? "X" : "-", all.user ? "user" : "supervisor");
	tell(w, "memory type %s (%s %s, PAT %s%s)\n", memory_type_name(r.ignore_pat ? below : memory_type_effective(below, pat)),
	     v->ept ? "EPT" : "MTRR", memory_type_name(below), memory_type_name(pat), r.ignore_pat ? ", which EPT ignores" : "");
	return true;
}

/* Why the present entry raises #PF with RSVD, or NULL. SDM 3, "Paging", the tables of entry formats. */
static const char *
reserved_bits(const struct walker *w, u64 entry, unsigned level, bool leaf, bool wide)
{
	const struct view *v = w->view;

	if (!wide)
		return leaf && level && entry & BIT(21) ? "bit 21 of a 4M page" : NULL;
	if (entry & ~0ull << w->d->cpu->model->physical_bits & BITS(~0ull, 51, 0))
		return "address bits beyond the processor's width";
	if (entry >> 63 && !(v->efer & EFER_NXE))
		return "NX without EFER.NXE";
	if (!(v->efer & EFER_LMA) && entry & BITS(~0ull, 62, 52) << 52)
		return "bits 62:52 with PAE paging";
	if (leaf && level && entry & (BIT(12 + 9 * level) - 1) & PAGE_MASK & ~BIT(12))
		return "address bits below the page's size";
	if (level >= 3 && entry & BIT(7))
		return "page size bit";
	return NULL;
}

static bool
walk_tables(const struct walker *w, u64 linear, struct found *found)
{
	static const char *const names[] = {"PTE", "PDE", "PDPTE", "PML4E", "PML5E"};
	const struct view *v = w->view;
	bool wide = v->cr4 & CR4_PAE, long_mode = v->efer & EFER_LMA;
	unsigned level = long_mode ? (v->cr4 & CR4_LA57 ? 4 : 3) : 1, size = wide ? 8 : 4;
	struct rights all = {true, true, true, true, 0, 12, 0, false}, r;
	u64 table = long_mode ? ENTRY_ADDRESS(v->cr3) : v->cr3 & 0xfffff000;

	tell(w, "CR3 %#llx\n", (ull)v->cr3);
	if (wide && !long_mode) {
		u64 pdpte = v->pdpte[linear >> 30 & 3];

		tell(w, "PDPTE register %llu: %016llx\n", (ull)(linear >> 30 & 3), (ull)pdpte);
		if (!(pdpte & 1)) {
			tell(w, "not present: #PF\n");
			return false;
		}
		table = ENTRY_ADDRESS(pdpte);
	}
	for (;; level--) {
		unsigned shift = wide ? 12 + 9 * level : 12 + 10 * level;
		u64 address = table + (linear >> shift & (wide ? 0x1ff : 0x3ff)) * size, entry = 0;
		const char *why;
		bool leaf;

		if (!to_physical(w, address, "    ", &r) || !memory_peek(w->d->cpu->memory, r.physical, &entry, size)) {
			tell(w, "%-5s at %s %#llx cannot be read\n", names[level], v->ept ? "guest-physical" : "physical", (ull)address);
			return false;
		}
		leaf = level == 0 || (entry & BIT(7) && level < 3 && (wide || v->cr4 & CR4_PSE));
		tell(w, "%-5s at %#llx: %0*llx %s%s%s%s%s%s%s%s\n", names[level], (ull)address, (int)size * 2, (ull)entry, entry & 1 ? "P" : "-",
		     entry & 2 ? "W" : "-", entry & 4 ? "U" : "S", entry & 32 ? " A" : "", leaf && entry & 64 ? " D" : "",
		     leaf && entry & 256 ? " G" : "", wide && entry >> 63 ? " NX" : "",
		     !leaf || !level ? "" : level == 2 ? " 1G page" : wide ? " 2M page" : " 4M page");
		if (!(entry & 1)) {
			tell(w, "not present: #PF\n");
			return false;
		}
		why = reserved_bits(w, entry, level, leaf, wide);
		if (why) {
			tell(w, "reserved bits (%s): #PF\n", why);
			return false;
		}
		all.write &= entry >> 1 & 1;
		all.user &= entry >> 2 & 1;
		all.execute &= !(wide && entry >> 63 && v->efer & EFER_NXE);
		if (leaf) {
			u64 mask = BIT(shift) - 1, base = wide ? ENTRY_ADDRESS(entry) : entry & 0xfffff000;
			unsigned pat = (entry >> 3 & 3) | (entry >> (level ? 12 : 7) & 1) << 2;

			if (!wide && level)
				base = (entry & 0xffc00000) | BITS(entry, 20, 13) << 32;
			return walk_end(w, linear, (base & ~mask) | (linear & mask), shift, pat, all, found);
		}
		table = wide ? ENTRY_ADDRESS(entry) : entry & 0xfffff000;
	}
}

static bool
walk_linear(const struct walker *w, u64 linear, struct found *found)
{
	const struct view *v = w->view;
	unsigned bits = v->cr4 & CR4_LA57 ? 57 : 48;

	if (!(v->cr0 & CR0_PG))
		return walk_end(w, linear, linear, 30, 0, (struct rights){true, true, true, true, linear, 30, 0, false}, found);
	if (v->efer & EFER_LMA && (u64)((s64)(linear << (64 - bits)) >> (64 - bits)) != linear) {
		tell(w, "%#llx is not canonical: #GP\n", (ull)linear);
		return false;
	}
	return walk_tables(w, linear, found);
}

bool
guest_linear_lookup(struct debugger *d, u64 linear, u64 *gpa, u64 *physical)
{
	struct view view;
	struct walker w = {d, &view, true};
	struct found found;

	if (!view_get(d, true, &view) || !walk_linear(&w, linear, &found))
		return false;
	if (gpa)
		*gpa = found.gpa;
	*physical = found.physical;
	return true;
}

void
command_walk(struct debugger *d, const char *arguments)
{
	enum address_kind kind = ADDRESS_LINEAR;
	struct view view;
	struct walker w = {d, &view, false};
	struct found found;
	u64 linear;

	if (!strcmp(arguments, "guest")) {
		kind = ADDRESS_GUEST;
		arguments = "guest_rip + guest_cs_base";
	}
	if (!(*arguments ? address_argument(d, arguments, &kind, &linear) : number_argument(d, "rip + cs_base", &linear)))
		return;
	if (kind != ADDRESS_LINEAR && kind != ADDRESS_GUEST)
		complain(d, "walk a linear address, or: walk guest ADDR");
	else if (!view_get(d, kind == ADDRESS_GUEST, &view))
		complain(d, "no current VMCS");
	else
		walk_linear(&w, linear, &found);
}

void
command_ept(struct debugger *d, const char *arguments)
{
	struct view view = {.ept = true};
	struct walker w = {d, &view, false};
	struct rights r;
	u64 gpa;

	if (!ept_on(d)) {
		complain(d, "no current VMCS with EPT");
		return;
	}
	view.eptp = d->cpu->vmx->vmcs.eptp;
	if (!strcmp(arguments, "dump")) {
		ept_dump(d);
		return;
	}
	if (number_argument(d, arguments, &gpa) && ept_walk(&w, gpa, "  ", &r))
		say(d, "  gpa %#llx -> physical %#llx, page of %s, rights %s%s%s, memory type %s%s\n", (ull)gpa, (ull)r.physical,
		    page_size(r.shift), r.read ? "R" : "-", r.write ? "W" : "-", r.execute ? "X" : "-", memory_type_name(r.type),
		    r.ignore_pat ? ", PAT ignored" : "");
}
