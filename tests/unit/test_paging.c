/* Page walks and what the TLB keeps of them: the short walk against the complete one, and each flush. */
#include "tests/unit/cpu_fixture.h"

#include "cpu/paging.h"
#include "cpu/tlb.h"
#include "tests/unit/random.h"

#define TABLES 0x200000ull
#define DATA 0x400000ull /* page n of the data holds n in its first bytes */
#define DATA_PAGES 256

static bool
one_in(unsigned n)
{
	return (random_64() >> 32) % n == 0;
}

/* An entry that mostly lets through, with some bit wrong now and then. */
static u64
random_entry(u64 address, bool leaf)
{
	u64 e = address | 0x67, flips = BIT(0) | BIT(1) | BIT(2) | BIT(6) | BIT(8) | BIT(9) | BIT(52) | BIT(59) | BIT(62) | BIT(63);

	for (unsigned bit = 0; bit < 64; bit++)
		if (flips & BIT(bit) && one_in(6))
			e ^= BIT(bit);
	if (one_in(12))
		e ^= BIT(7);
	if (one_in(20))
		e ^= BIT(50);
	if (leaf && one_in(3))
		e ^= BIT(6);
	return e;
}

struct outcome {
	int fault;
	u32 error;
	struct translation t;
};

static void
walk_once(struct vcpu *cpu, u64 linear, unsigned access, struct outcome *o)
{
	memset(o, 0, sizeof(*o));
	o->fault = NO_FAULT;
	if (setjmp(cpu->door)) {
		o->fault = cpu->event.vector;
		o->error = cpu->event.error;
		memset(&o->t, 0, sizeof(o->t));
		return;
	}
	page_walk(cpu, linear, access, &o->t);
}

static bool
same(const struct outcome *a, const struct outcome *b)
{
	return a->fault == b->fault && a->error == b->error && a->t.physical == b->t.physical && a->t.guest_physical == b->t.guest_physical &&
	       a->t.page_shift == b->t.page_shift && a->t.write_ok == b->t.write_ok && a->t.fetch_ok == b->t.fetch_ok &&
	       a->t.global == b->t.global;
}

/* Without A in the first entry a walk is a complete one, with A everywhere it is the short one wherever that serves. */
static void
short_walk_agrees_with_complete_walk(void **state)
{
	static const unsigned kinds[] = {ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH, ACCESS_READ | ACCESS_SYSTEM, ACCESS_WRITE | ACCESS_SYSTEM};
	struct processor *p = processor_new("max", 1);
	struct vcpu *cpu = p->cpu;
	unsigned allowed = 0;

	(void)state;
	seed = 0x123456789;
	processor_long(cpu, 0);
	for (unsigned n = 0; n < 200000; n++) {
		bool five = one_in(4);
		unsigned levels = five ? 5 : 4, access = kinds[random_64() % COUNT(kinds)];
		u64 linear = random_64() & 0x1ff000 & ~BIT(20), before[5], after;
		struct outcome first, second;

		cpu->cr4 = CR4_PAE | CR4_PSE | (five ? CR4_LA57 : 0) | (one_in(2) ? CR4_SMEP : 0) | (one_in(2) ? CR4_SMAP : 0) |
			   (one_in(2) ? CR4_PKE : 0);
		cpu->cr0 = CR0_PE | CR0_ET | CR0_PG | (one_in(2) ? CR0_WP : 0);
		cpu->efer = EFER_LME | EFER_LMA | (one_in(4) ? 0 : EFER_NXE);
		cpu->pkru = (u32)random_64();
		cpu->cpl = one_in(2) ? 3 : 0;
		cpu->rflags = one_in(2) ? FLAG_AC : 0;
		cpu->cr3 = TABLES;
		for (unsigned i = 0; i < levels; i++) {
			bool leaf = i == levels - 1;

			before[i] = random_entry(leaf ? DATA : TABLES + (i + 1) * 0x1000, leaf) & ~(i ? 0 : BIT(5));
			memory_write(cpu->memory, TABLES + i * 0x1000 + (leaf ? (linear >> 12) * 8 : 0), 8, before[i]);
		}
		walk_once(cpu, linear, access, &first);
		memory_write(cpu->memory, TABLES, 8, memory_read(cpu->memory, TABLES, 8) | BIT(5));
		walk_once(cpu, linear, access, &second);
		if (!same(&first, &second))
			fail_msg("case %u, access %#x: fault %d and %d, error %#x and %#x, at %#llx and %#llx", n, access, first.fault,
				 second.fault, first.error, second.error, (unsigned long long)first.t.physical,
				 (unsigned long long)second.t.physical);
		if (first.fault != NO_FAULT)
			continue;
		allowed++;
		/* An allowed access leaves A everywhere and, after a write, D in the leaf. */
		for (unsigned i = 0; i < levels; i++) {
			after = memory_read(cpu->memory, TABLES + i * 0x1000 + (i == levels - 1 ? (linear >> 12) * 8 : 0), 8);
			assert_true(after & BIT(5));
			if (i && before[i] & BIT(7)) /* a large page: what follows is not looked at */
				break;
			if (i == levels - 1 && access & ACCESS_WRITE)
				assert_true(after & BIT(6));
		}
	}
	assert_in_range(allowed, 10000, 190000);
	processor_free(p);
}

/* Maps linear page n of the 2 MiB at 0 to data page (n + shift) modulo DATA_PAGES. */
static void
map_data(struct vcpu *cpu, unsigned shift)
{
	for (unsigned n = 0; n < 512; n++)
		memory_write(cpu->memory, TABLES + 0x3000 + n * 8, 8, (DATA + (n + shift) % DATA_PAGES * 0x1000) | 0x67);
}

static struct processor *
new_mapped(void)
{
	struct processor *p = processor_new("max", 1);

	processor_long(p->cpu, 0);
	for (unsigned i = 0; i < 3; i++)
		memory_write(p->memory, TABLES + i * 0x1000, 8, (TABLES + (i + 1) * 0x1000) | 0x67);
	/* The second 2 MiB: a large page, at first the data. */
	memory_write(p->memory, TABLES + 0x2008, 8, DATA | 0xe7);
	map_data(p->cpu, 0);
	for (unsigned n = 0; n < DATA_PAGES; n++) {
		memory_write(p->memory, DATA + n * 0x1000, 8, n);
		memory_write(p->memory, DATA + 0x200000 + n * 0x1000, 8, 1000 + n);
	}
	p->cpu->cr3 = TABLES;
	cpu_mode_changed(p->cpu);
	tlb_flush_all(p->cpu);
	return p;
}

static void
every_flush_forgets_every_page(void **state)
{
	/* Around the number of entries that are remembered one by one, and far above. */
	static const unsigned counts[] = {1, TLB_RECENT - 1, TLB_RECENT, TLB_RECENT + 1, 200};
	struct processor *p = new_mapped();

	(void)state;
	for (unsigned i = 0; i < COUNT(counts); i++)
		for (unsigned round = 1; round < 4; round++) {
			map_data(p->cpu, 0);
			tlb_flush_all(p->cpu);
			for (unsigned n = 0; n < counts[i]; n++)
				assert_int_equal(mem_read(p->cpu, n * 0x1000, 8), n);
			map_data(p->cpu, round);
			/* What was cached is still used, as on a processor. */
			for (unsigned n = 0; n < counts[i]; n++)
				assert_int_equal(mem_read(p->cpu, n * 0x1000, 8), n);
			tlb_flush_current(p->cpu, round & 1);
			for (unsigned n = 0; n < counts[i]; n++)
				assert_int_equal(mem_read(p->cpu, n * 0x1000, 8), (n + round) % DATA_PAGES);
		}
	processor_free(p);
}

static void
a_page_flush_forgets_that_page_only(void **state)
{
	struct processor *p = new_mapped();

	(void)state;
	for (unsigned n = 0; n < 40; n++)
		mem_read(p->cpu, n * 0x1000, 8);
	map_data(p->cpu, 7);
	tlb_flush_page(p->cpu, 5 * 0x1000 + 123);
	for (unsigned n = 0; n < 40; n++)
		assert_int_equal(mem_read(p->cpu, n * 0x1000, 8), n == 5 ? 12 : n);
	processor_free(p);
}

static void
a_page_flush_forgets_all_of_a_large_page(void **state)
{
	struct processor *p = new_mapped();

	(void)state;
	for (unsigned n = 0; n < 40; n++)
		assert_int_equal(mem_read(p->cpu, 0x200000 + n * 0x1000, 8), n);
	memory_write(p->memory, TABLES + 0x2008, 8, (DATA + 0x200000) | 0xe7);
	tlb_flush_page(p->cpu, 0x2ff000);
	for (unsigned n = 0; n < 40; n++)
		assert_int_equal(mem_read(p->cpu, 0x200000 + n * 0x1000, 8), 1000 + n);
	processor_free(p);
}

/* Pages that share a slot of the TLB make room for each other; what made room is forgotten too. */
static void
a_flush_forgets_what_made_room(void **state)
{
	struct processor *p = new_mapped();
	const u64 far = (u64)TLB_SIZE * 0x1000; /* 4 MiB on */

	(void)state;
	memory_write(p->memory, TABLES + 0x2000 + 2 * 8, 8, (TABLES + 0x4000) | 0x67);
	memory_write(p->memory, TABLES + 0x4000, 8, (DATA + 50 * 0x1000) | 0x67);
	assert_int_equal(mem_read(p->cpu, 0, 8), 0);
	assert_int_equal(mem_read(p->cpu, far, 8), 50);
	map_data(p->cpu, 3);
	tlb_flush_page(p->cpu, 0);
	assert_int_equal(mem_read(p->cpu, 0, 8), 3);
	processor_free(p);
}

static u64
fills_of_reads(struct vcpu *cpu, unsigned pages, unsigned shift)
{
	u64 before = cpu->stats.tlb_fills;
	for (unsigned n = 0; n < pages; n++)
		assert_int_equal(mem_read(cpu, n * 0x1000, 8), (n + shift) % DATA_PAGES);
	return cpu->stats.tlb_fills - before;
}

/* A toggle of CR4.PGE keeps what walking again would give; any change of an entry, and tables that are elsewhere, are seen. */
static void
toggling_pge_sees_every_change(void **state)
{
	struct processor *p = new_mapped();
	struct vcpu *cpu = p->cpu;

	(void)state;
	for (unsigned pages = 1; pages < 80; pages += 13) {
		bool fits = pages + 3 <= TLB_BASIS;

		map_data(cpu, 0);
		memory_write(p->memory, TABLES + 0x3000, 8, memory_read(p->memory, TABLES + 0x3000, 8) & ~BIT(5));
		tlb_flush_all(cpu);
		tlb_renew(cpu);
		/* The first walk sets A. */
		assert_int_equal(fills_of_reads(cpu, pages, 0), pages);
		tlb_renew(cpu);
		assert_int_equal(fills_of_reads(cpu, pages, 0), fits ? 0 : pages);
		map_data(cpu, 5);
		assert_int_equal(fills_of_reads(cpu, pages, 0), 0);
		tlb_renew(cpu);
		assert_int_equal(fills_of_reads(cpu, pages, 5), pages);
		/* One entry alone, while its page is written: D changes, too. */
		map_data(cpu, 0);
		memory_write(p->memory, TABLES + 0x3000, 8, (DATA + 5 * 0x1000) | 0x27);
		tlb_renew(cpu);
		assert_int_equal(mem_read(cpu, 0, 8), 5);
		mem_write(cpu, 8, 8, 1);
		tlb_renew(cpu);
		assert_int_equal(mem_read(cpu, 0, 8), 5);
		tlb_renew(cpu);
		memory_write(p->memory, TABLES + 0x3000, 8, DATA | 0x67);
		tlb_renew(cpu);
		assert_int_equal(mem_read(cpu, 0, 8), 0);
	}
	/* A copy of the first table, which says something else. */
	memory_write(p->memory, TABLES + 0x7000, 8, (TABLES + 0x8000) | 0x67);
	memory_write(p->memory, TABLES + 0x8000, 8, (TABLES + 0x9000) | 0x67);
	memory_write(p->memory, TABLES + 0x9000, 8, DATA | 0xe7);
	map_data(cpu, 1);
	tlb_flush_all(cpu);
	tlb_renew(cpu);
	assert_int_equal(fills_of_reads(cpu, 3, 1), 3);
	cpu->cr3 = TABLES + 0x7000;
	tlb_renew(cpu);
	assert_int_equal(fills_of_reads(cpu, 3, 0), 3);
	processor_free(p);
}

/* Translations that are not in the basis, as those of a walk without tables, do not survive either. */
static void
toggling_pge_keeps_nothing_of_unknown_origin(void **state)
{
	struct processor *p = new_mapped();
	struct vcpu *cpu = p->cpu;

	(void)state;
	/* Cached before the basis was begun. */
	assert_int_equal(mem_read(cpu, 0, 8), 0);
	tlb_renew(cpu);
	assert_int_equal(mem_read(cpu, 0x1000, 8), 1);
	tlb_flush_page(cpu, 0x1000);
	map_data(cpu, 9);
	tlb_renew(cpu);
	assert_int_equal(mem_read(cpu, 0, 8), 9);
	assert_int_equal(mem_read(cpu, 0x1000, 8), 10);
	/* After a complete flush. */
	tlb_flush_all(cpu);
	map_data(cpu, 2);
	assert_int_equal(mem_read(cpu, 0, 8), 2);
	map_data(cpu, 3);
	tlb_renew(cpu);
	assert_int_equal(mem_read(cpu, 0, 8), 3);
	processor_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_walk_agrees_with_complete_walk),	    cmocka_unit_test(every_flush_forgets_every_page),
		cmocka_unit_test(a_page_flush_forgets_that_page_only),	    cmocka_unit_test(a_page_flush_forgets_all_of_a_large_page),
		cmocka_unit_test(a_flush_forgets_what_made_room),	    cmocka_unit_test(toggling_pge_sees_every_change),
		cmocka_unit_test(toggling_pge_keeps_nothing_of_unknown_origin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
