/* What page tables and EPT map, ranges merged. */
#include <string.h>

#include "debugger/walk.h"

/* Tables can refer to themselves: this much is shown, and looked at. A table maps 2 MiB, so it is enough for half a TiB of small pages. */
#define RANGES (1u << 18)
#define TABLES (1u << 18)

struct range {
	u64 from, to, physical; /* to: behind the last byte */
	u64 flags;
	bool open;
};

struct dump {
	struct debugger *d;
	const struct view *view;
	struct range range;
	const char *(*flags_text)(u64 flags);
	unsigned tables, ranges;
	bool given_up;
};

/* Before each table. */
static bool
goes_on(struct dump *dump)
{
	struct debugger *d = dump->d;

	dump->given_up = true;
	if (++dump->tables > TABLES || dump->ranges > RANGES)
		complain(d, "and so on: too many tables or ranges to show; do tables refer to themselves?");
	else if (d->host.interrupted && d->host.interrupted(d->host.opaque))
		complain(d, "interrupted");
	else
		dump->given_up = false;
	return !dump->given_up;
}

static void
close_range(struct dump *dump)
{
	struct range *r = &dump->range;

	if (r->open && !dump->given_up) {
		say(dump->d, "%012llx..%012llx -> %010llx %s\n", (ull)r->from, (ull)r->to - 1, (ull)r->physical, dump->flags_text(r->flags));
		dump->ranges++;
	}
	r->open = false;
}

static void
add_page(struct dump *dump, u64 from, u64 size, u64 physical, u64 flags)
{
	struct range *r = &dump->range;

	if (r->open && r->to == from && r->physical + (from - r->from) == physical && r->flags == flags) {
		r->to += size;
		return;
	}
	close_range(dump);
	*r = (struct range){from, from + size, physical, flags, true};
}

/* --- EPT --- */

static const char *
ept_flags(u64 flags)
{
	static char text[40];

	snprintf(text, sizeof(text), "%s%s%s %s%s%s", flags & 1 ? "R" : "-", flags & 2 ? "W" : "-", flags & 4 ? "X" : "-",
		 memory_type_name((unsigned)(flags >> 3 & 7)), flags & BIT(8) ? " A" : "", flags & BIT(9) ? " D" : "");
	return text;
}

static void
dump_ept(struct dump *dump, u64 table, unsigned level, u64 base)
{
	for (u64 i = 0; i < 512 && !dump->given_up; i++) {
		u64 entry, from = base | i << (12 + 9 * level), size = BIT(12 + 9 * level);

		if (!memory_peek(dump->d->cpu->memory, table + i * 8, &entry, 8) || !(entry & 7))
			continue;
		if (level == 0 || (level < 3 && entry & BIT(7)))
			add_page(dump, from, size, ENTRY_ADDRESS(entry) & ~(size - 1), entry & 0x33f);
		else if (goes_on(dump))
			dump_ept(dump, ENTRY_ADDRESS(entry), level - 1, from);
	}
}

void
ept_dump(struct debugger *d)
{
	struct dump dump = {.d = d, .flags_text = ept_flags};

	say(d, "EPTP %#llx\n", (ull)d->cpu->vmx->vmcs.eptp);
	dump_ept(&dump, ENTRY_ADDRESS(d->cpu->vmx->vmcs.eptp), 3, 0);
	close_range(&dump);
}

/* --- page tables --- */

static const char *
page_flags(u64 flags)
{
	static char text[40];

	snprintf(text, sizeof(text), "%s%s%s%s", flags & 2 ? "W" : "-", flags >> 63 ? "-" : "X", flags & 4 ? " user" : " kernel",
		 flags & 256 ? " G" : "");
	return text;
}

/* `rights`: what the tables above allow, as bits of an entry (NX inverted). */
static void
dump_pages(struct dump *dump, u64 table, unsigned level, u64 base, u64 rights)
{
	const struct view *v = dump->view;
	bool wide = v->cr4 & CR4_PAE;
	unsigned size = wide ? 8 : 4, top = v->cr4 & CR4_LA57 ? 4 : 3;

	for (u64 i = 0; i < 4096 / size && !dump->given_up; i++) {
		unsigned shift = wide ? 12 + 9 * level : 12 + 10 * level;
		u64 entry = 0, physical = table + i * size, from = base | i << shift, below;
		bool large = level && level < 3 && entry & BIT(7);

		if (v->ept && !guest_physical_lookup(dump->d, physical, &physical))
			continue;
		if (!memory_peek(dump->d->cpu->memory, physical, &entry, size) || !(entry & 1))
			continue;
		if (!wide || !(v->efer & EFER_NXE))
			entry &= ~BIT(63);
		large = level && level < 3 && entry & BIT(7) && (wide || v->cr4 & CR4_PSE);
		if (v->efer & EFER_LMA && level == top && i >= 256)
			from |= ~0ull << (shift + 9);
		below = rights & (entry ^ BIT(63));
		if (level == 0 || large) {
			u64 address = wide ? ENTRY_ADDRESS(entry) & ~(BIT(shift) - 1)
				      : level ? (entry & 0xffc00000) | BITS(entry, 20, 13) << 32 : entry & 0xfffff000;

			add_page(dump, from, BIT(shift), address, ((below ^ BIT(63)) & (BIT(63) | 6)) | (entry & 256));
		} else if (goes_on(dump)) {
			dump_pages(dump, wide ? ENTRY_ADDRESS(entry) : entry & 0xfffff000, level - 1, from, below);
		}
	}
}

void
info_pages(struct debugger *d, const char *arguments)
{
	struct view view;
	struct dump dump = {.d = d, .view = &view, .flags_text = page_flags};
	const u64 all = BIT(63) | 6;
	bool guest = !strcmp(arguments, "guest");

	if (*arguments && !guest) {
		complain(d, "info pages, or info pages guest");
		return;
	}
	if (!view_get(d, guest, &view)) {
		complain(d, "no current VMCS");
		return;
	}
	if (!(view.cr0 & CR0_PG)) {
		say(d, "no paging\n");
		return;
	}
	if (view.efer & EFER_LMA)
		dump_pages(&dump, ENTRY_ADDRESS(view.cr3), view.cr4 & CR4_LA57 ? 4 : 3, 0, all);
	else if (view.cr4 & CR4_PAE)
		for (u64 i = 0; i < 4; i++) {
			if (view.pdpte[i] & 1)
				dump_pages(&dump, ENTRY_ADDRESS(view.pdpte[i]), 1, i << 30, all);
		}
	else
		dump_pages(&dump, view.cr3 & 0xfffff000, 1, 0, all);
	close_range(&dump);
}
