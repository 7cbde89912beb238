/*
 * Page walks as a story: every entry of the guest's and of the EPT's tables, and the rights that result. SDM 3, "Paging" and "The Extended
 * Page Table Mechanism (EPT)". Nothing is changed: accessed and dirty flags are shown, not set. The walk in cpu/paging.c is the one that
 * counts; this one tells what is in the tables and goes on where that one would fault.
 */
#include <string.h>

#include "cpu/paging.h"
#include "debugger/internal.h"

#define ADDRESS(entry) ((entry)&BITS(~0ull, 51, 12) << 12)

struct rights {
	bool read, write, execute, user;
	u64 physical;
	unsigned shift;
};

static bool
ept_on(const struct debugger *d)
{
	const struct vcpu *cpu = d->cpu;

	return cpu->vmx && cpu->vmx->current != NO_VMCS && (cpu->vmx->vmcs.proc_controls & VMX_MASK(PROC, SECONDARY_CONTROLS)) &&
	       (cpu->vmx->vmcs.sec_controls & VMX_MASK(SEC, ENABLE_EPT));
}

static const char *
memory_type(unsigned type)
{
	static const char *const names[8] = {"UC", "WC", "reserved type", "reserved type", "WT", "WP", "WB", "UC-"};

	return names[type & 7];
}

static const char *
page_size(unsigned shift)
{
	return shift == 12 ? "4K" : shift == 21 ? "2M" : shift == 22 ? "4M" : "1G";
}

/* False where the walk ends without a page. `indent` for walks inside walks; quiet prints nothing. */
static bool
ept_walk(struct debugger *d, u64 gpa, const char *indent, bool quiet, struct rights *r, unsigned *type)
{
	static const char *const names[] = {"PTE", "PDE", "PDPTE", "PML4E"};
	u64 table = ADDRESS(d->cpu->vmx->vmcs.eptp), entry;

	*r = (struct rights){true, true, true, true, 0, 12};
	for (unsigned level = 3;; level--) {
		unsigned shift = 12 + 9 * level;
		u64 address = table | (gpa >> shift & 0x1ff) * 8;
		bool leaf;

		if (!memory_peek(d->cpu->memory, address, &entry, 8)) {
			if (!quiet)
				say(d, "%sEPT %-5s at %#llx: no memory there\n", indent, names[level], (ull)address);
			return false;
		}
		leaf = level == 0 || (level < 3 && entry & BIT(7));
		r->read &= entry & 1;
		r->write &= entry >> 1 & 1;
		r->execute &= entry >> 2 & 1;
		if (!quiet)
			say(d, "%sEPT %-5s at %#llx: %016llx %s%s%s%s%s%s%s\n", indent, names[level], (ull)address, (ull)entry, entry & 1 ? "R" : "-",
			    entry & 2 ? "W" : "-", entry & 4 ? "X" : "-", entry & BIT(8) ? " A" : "", leaf && entry & BIT(9) ? " D" : "",
			    leaf && entry & 7 ? " " : "", leaf && entry & 7 ? memory_type((unsigned)(entry >> 3)) : "");
		if (!(entry & 7)) {
			if (!quiet)
				say(d, "%snot present: EPT violation\n", indent);
			return false;
		}
		if ((entry & 3) == 2) {
			if (!quiet)
				say(d, "%swritable but not readable: EPT misconfiguration\n", indent);
			return false;
		}
		if (leaf) {
			r->shift = shift;
			r->physical = (ADDRESS(entry) & ~(BIT(shift) - 1)) | (gpa & (BIT(shift) - 1));
			*type = (unsigned)(entry >> 3 & 7);
			return true;
		}
		table = ADDRESS(entry);
	}
}

/* Guest-physical to physical, when a guest runs with EPT. */
static bool
to_physical(struct debugger *d, u64 gpa, const char *indent, u64 *physical, struct rights *r)
{
	unsigned type;

	*r = (struct rights){true, true, true, true, gpa, 30};
	*physical = gpa;
	if (!d->cpu->nonroot || !ept_on(d))
		return true;
	if (!ept_walk(d, gpa, indent, false, r, &type))
		return false;
	*physical = r->physical;
	return true;
}

static void
walk_end(struct debugger *d, u64 linear, u64 gpa, unsigned shift, struct rights all)
{
	struct rights r;
	u64 physical;
	bool ept = d->cpu->nonroot && ept_on(d);

	if (ept && d->cpu->cr0 & CR0_PG)
		say(d, "guest-physical %#llx (%s page)\n", (ull)gpa, page_size(shift));
	else if (ept)
		say(d, "no paging: guest-physical %#llx\n", (ull)gpa);
	if (!to_physical(d, gpa, "    ", &physical, &r)) {
		say(d, "linear %#llx: no physical address\n", (ull)linear);
		return;
	}
	all.read &= r.read;
	all.write &= r.write;
	all.execute &= r.execute;
	say(d, "linear %#llx -> physical %#llx, page of %s, rights %s%s%s, %s\n", (ull)linear, (ull)physical, page_size(MIN(shift, r.shift)),
	    all.read ? "R" : "-", all.write ? "W" : "-", all.execute ? "X" : "-", all.user ? "user" : "supervisor");
}

static void
walk_tables(struct debugger *d, u64 linear)
{
	static const char *const names[] = {"PTE", "PDE", "PDPTE", "PML4E", "PML5E"};
	const struct vcpu *cpu = d->cpu;
	bool wide = cpu->cr4 & CR4_PAE, long_mode = cpu->efer & EFER_LMA;
	unsigned level = long_mode ? (cpu->cr4 & CR4_LA57 ? 4 : 3) : 1, size = wide ? 8 : 4;
	struct rights all = {true, true, true, true, 0, 12}, r;
	u64 table = long_mode ? ADDRESS(cpu->cr3) : cpu->cr3 & 0xfffff000;

	say(d, "CR3 %#llx\n", (ull)cpu->cr3);
	if (wide && !long_mode) {
		u64 pdpte = cpu->pdpte[linear >> 30 & 3];

		say(d, "PDPTE register %llu: %016llx\n", (ull)(linear >> 30 & 3), (ull)pdpte);
		if (!(pdpte & 1)) {
			say(d, "not present: #PF\n");
			return;
		}
		table = ADDRESS(pdpte);
	}
	for (;; level--) {
		unsigned shift = wide ? 12 + 9 * level : 12 + 10 * level;
		u64 address = table + (linear >> shift & (wide ? 0x1ff : 0x3ff)) * size, physical, entry = 0;
		bool leaf;

		if (!to_physical(d, address, "    ", &physical, &r) || !memory_peek(cpu->memory, physical, &entry, size)) {
			say(d, "%-5s at guest-physical %#llx cannot be read\n", names[level], (ull)address);
			return;
		}
		leaf = level == 0 || (entry & BIT(7) && level < 3 && (wide || cpu->cr4 & CR4_PSE));
		say(d, "%-5s at %#llx: %0*llx %s%s%s%s%s%s%s\n", names[level], (ull)address, (int)size * 2, (ull)entry, entry & 1 ? "P" : "-",
		    entry & 2 ? "W" : "-", entry & 4 ? "U" : "S", entry & 32 ? " A" : "", leaf && entry & 64 ? " D" : "",
		    leaf && entry & 256 ? " G" : "", wide && entry >> 63 ? " NX" : "");
		if (!(entry & 1)) {
			say(d, "not present: #PF\n");
			return;
		}
		all.write &= entry >> 1 & 1;
		all.user &= entry >> 2 & 1;
		all.execute &= !(wide && entry >> 63 && cpu->efer & EFER_NXE);
		if (leaf) {
			u64 mask = BIT(shift) - 1, base = wide ? ADDRESS(entry) : (entry & 0xfffff000);

			if (!wide && level)
				base = (entry & 0xffc00000) | BITS(entry, 20, 13) << 32;
			walk_end(d, linear, (base & ~mask) | (linear & mask), shift, all);
			return;
		}
		table = wide ? ADDRESS(entry) : entry & 0xfffff000;
	}
}

bool
guest_physical_lookup(struct debugger *d, u64 gpa, u64 *physical)
{
	struct rights r;
	unsigned type;

	*physical = gpa;
	if (!ept_on(d))
		return true;
	if (gpa >> 48 || !ept_walk(d, gpa, "", true, &r, &type))
		return false;
	*physical = r.physical;
	return true;
}

void
command_walk(struct debugger *d, const char *arguments)
{
	u64 linear;

	if (!number_argument(d, *arguments ? arguments : "rip", &linear))
		return;
	if (d->cpu->cr0 & CR0_PG && d->cpu->efer & EFER_LMA && !linear_canonical(d->cpu, linear))
		say(d, "%#llx is not canonical: #GP\n", (ull)linear);
	else if (d->cpu->cr0 & CR0_PG)
		walk_tables(d, linear);
	else
		walk_end(d, linear, linear, 30, (struct rights){true, true, true, true, linear, 30});
}

/* --- ranges --- */

struct range {
	u64 from, to, physical; /* to: behind the last byte */
	u64 flags;
	bool open;
};

static void
close_range(struct debugger *d, struct range *r, const char *(*flags_text)(u64 flags))
{
	if (r->open)
		say(d, "%012llx..%012llx -> %010llx %s\n", (ull)r->from, (ull)r->to - 1, (ull)r->physical, flags_text(r->flags));
	r->open = false;
}

static void
add_page(struct debugger *d, struct range *r, u64 from, u64 size, u64 physical, u64 flags, const char *(*flags_text)(u64 flags))
{
	if (r->open && r->to == from && r->physical + (from - r->from) == physical && r->flags == flags) {
		r->to += size;
		return;
	}
	close_range(d, r, flags_text);
	*r = (struct range){from, from + size, physical, flags, true};
}

static const char *
ept_flags(u64 flags)
{
	static char text[40];

	snprintf(text, sizeof(text), "%s%s%s %s%s%s", flags & 1 ? "R" : "-", flags & 2 ? "W" : "-", flags & 4 ? "X" : "-",
		 memory_type((unsigned)(flags >> 3)), flags & BIT(8) ? " A" : "", flags & BIT(9) ? " D" : "");
	return text;
}

static void
dump_ept(struct debugger *d, struct range *r, u64 table, unsigned level, u64 base)
{
	for (u64 i = 0; i < 512; i++) {
		u64 entry, from = base | i << (12 + 9 * level);

		if (!memory_peek(d->cpu->memory, table + i * 8, &entry, 8) || !(entry & 7))
			continue;
		if (level == 0 || (level < 3 && entry & BIT(7)))
			add_page(d, r, from, BIT(12 + 9 * level), ADDRESS(entry) & ~(BIT(12 + 9 * level) - 1), entry & 0x33f, ept_flags);
		else
			dump_ept(d, r, ADDRESS(entry), level - 1, from);
	}
}

void
command_ept(struct debugger *d, const char *arguments)
{
	struct range range = {0};
	struct rights r;
	unsigned type;
	u64 gpa;

	if (!ept_on(d)) {
		complain(d, "no current VMCS with EPT");
		return;
	}
	if (!strcmp(arguments, "dump")) {
		say(d, "EPTP %#llx\n", (ull)d->cpu->vmx->vmcs.eptp);
		dump_ept(d, &range, ADDRESS(d->cpu->vmx->vmcs.eptp), 3, 0);
		close_range(d, &range, ept_flags);
		return;
	}
	if (!number_argument(d, arguments, &gpa))
		return;
	if (gpa >> 48)
		say(d, "%#llx is above 48 bits: EPT violation\n", (ull)gpa);
	else if (ept_walk(d, gpa, "  ", false, &r, &type))
		say(d, "  gpa %#llx -> physical %#llx, page of %s, rights %s%s%s, memory type %s\n", (ull)gpa, (ull)r.physical, page_size(r.shift),
		    r.read ? "R" : "-", r.write ? "W" : "-", r.execute ? "X" : "-", memory_type(type));
}

static const char *
page_flags(u64 flags)
{
	static char text[40];

	snprintf(text, sizeof(text), "%s%s%s%s", flags & 2 ? "W" : "-", flags >> 63 ? "-" : "X", flags & 4 ? " user" : " kernel",
		 flags & 256 ? " G" : "");
	return text;
}

static void
dump_pages(struct debugger *d, struct range *r, u64 table, unsigned level, u64 base)
{
	for (u64 i = 0; i < 512; i++) {
		u64 entry, physical = table + i * 8, from = base | i << (12 + 9 * level);

		if (d->cpu->nonroot && ept_on(d) && !vmx_ept_peek(d->cpu, physical, &physical))
			continue;
		if (!memory_peek(d->cpu->memory, physical, &entry, 8) || !(entry & 1))
			continue;
		if (level == 3 && i >= 256)
			from |= 0xffffull << 48;
		if (level == 0 || (level < 3 && entry & BIT(7)))
			add_page(d, r, from, BIT(12 + 9 * level), ADDRESS(entry) & ~(BIT(12 + 9 * level) - 1), entry & (BIT(63) | 0x106),
				 page_flags);
		else
			dump_pages(d, r, ADDRESS(entry), level - 1, from);
	}
}

void
info_pages(struct debugger *d, const char *arguments)
{
	struct range r = {0};

	(void)arguments;
	if (!(d->cpu->cr0 & CR0_PG) || !(d->cpu->efer & EFER_LMA) || d->cpu->cr4 & CR4_LA57) {
		complain(d, "only 4-level paging is listed; `walk ADDR` knows all modes");
		return;
	}
	dump_pages(d, &r, ADDRESS(d->cpu->cr3), 3, 0);
	close_range(d, &r, page_flags);
}
