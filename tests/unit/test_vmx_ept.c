/* EPT: the walk, misconfigurations, violations and their qualification, accessed and dirty flags, the modification log. */
#include "tests/unit/vmx_fixture.h"

#include "cpu/paging.h"
#include "cpu/tlb.h"

static struct vmx_fixture fixture, *f = &fixture;

#define PML4E EPT_TABLES
#define PDPTE (EPT_TABLES + 0x1000)
#define PDE (EPT_TABLES + 0x2000 + 3 * 8) /* of 6 MiB.. */
#define PT (EPT_TABLES + 0x3000)
#define PTE (PT + 5 * 8)
#define GPA 0x605123ull /* PDE 3, PTE 5 */
#define WRITE_BACK (6ull << 3)
#define LINEAR 0x7fff12345678ull

static void
start(const char *model, u64 eptp_bits, u32 sec)
{
	fixture_make(f, model);
	fixture_root(f);
	fixture_ept(f);
	f->v->eptp |= eptp_bits;
	f->v->sec_controls |= sec;
	f->v->pml_address = PML_PAGE;
	f->v->pml_index = 511;
	poke(f, PDE, 8, PT | 7);
	poke(f, PTE, 8, 0x234000 | WRITE_BACK | 7);
	fixture_enter(f);
}

static struct translation result;

/* True when the access caused a VM exit. */
static bool
access_with(unsigned access, bool final, bool user)
{
	struct ept_access a = {
		.guest_physical = GPA,
		.linear = LINEAR,
		.access = access,
		.linear_valid = true,
		.final = final,
		.user = user,
	};

	result = (struct translation){.page_shift = 21, .write_ok = true, .fetch_ok = true};
	return LEAVES(vmx_ept_translate(f->cpu, &a, &result));
}

static bool
data(unsigned access)
{
	return access_with(access, true, false);
}

/* Back into the guest after a VM exit. */
static void
again(void)
{
	f->v->exit_qualification = f->v->exit_reason = 0;
	if (!f->cpu->nonroot)
		fixture_enter(f);
}

static void
four_levels_translate(void **state)
{
	(void)state;
	start("max", 0, 0);
	assert_false(data(ACCESS_READ));
	assert_int_equal(result.physical, 0x234123);
	assert_int_equal(result.page_shift, 21); /* stays the guest's */
	assert_true(result.write_ok && result.fetch_ok);
	fixture_free(f);
}

static void
large_pages_translate(void **state)
{
	(void)state;
	start("max", 0, 0);
	poke(f, PDE, 8, 0x800000 | WRITE_BACK | 0x87);
	assert_false(data(ACCESS_READ));
	assert_int_equal(result.physical, 0x805123);
	poke(f, PDPTE, 8, 0x40000000 | WRITE_BACK | 0x87);
	assert_false(data(ACCESS_READ));
	assert_int_equal(result.physical, 0x40605123);
	fixture_free(f);
}

static void
each_missing_level_is_a_violation(void **state)
{
	static const u64 entries[] = {PML4E, PDPTE, PDE, PTE};

	(void)state;
	start("max", 0, 0);
	for (unsigned i = 0; i < COUNT(entries); i++) {
		u64 old = peek(f, entries[i], 8);

		again();
		poke(f, entries[i], 8, old & ~7ull);
		assert_true(data(ACCESS_READ));
		assert_int_equal(f->v->exit_reason, 48);
		assert_int_equal(f->v->exit_qualification & ~0xe00ull, 0x181);
		assert_int_equal(f->v->guest_physical_address, GPA);
		assert_int_equal(f->v->guest_linear_address, LINEAR);
		poke(f, entries[i], 8, old);
	}
	fixture_free(f);
}

static void
rights_are_those_that_all_levels_give(void **state)
{
	static const struct {
		u64 pde, pte;
		unsigned access;
		u64 qualification; /* 0: allowed */
	} cases[] = {
		{7, 1, ACCESS_READ, 0},
		{7, 1, ACCESS_WRITE, 0x18a},
		{1, 7, ACCESS_WRITE, 0x18a},
		{7, 1, ACCESS_FETCH, 0x18c},
		{7, 3, ACCESS_FETCH, 0x19c},
		{7, 3, ACCESS_WRITE, 0},
		{7, 4, ACCESS_FETCH, 0},
		{7, 4, ACCESS_READ, 0x1a1},
		{7, 5, ACCESS_WRITE, 0x1aa},
		{5, 3, ACCESS_FETCH, 0x18c},
		{7, 1, ACCESS_READ | ACCESS_WRITE, 0x18b},
	};

	(void)state;
	start("max", 0, 0);
	for (unsigned i = 0; i < COUNT(cases); i++) {
		bool exits;

		again();
		poke(f, PDE, 8, PT | cases[i].pde);
		poke(f, PTE, 8, 0x234000 | WRITE_BACK | cases[i].pte);
		exits = data(cases[i].access);
		if (exits != (cases[i].qualification != 0) ||
		    (f->v->exit_qualification & ~0xe00ull) != cases[i].qualification)
			fail_msg("case %u: qualification %llx", i, (unsigned long long)f->v->exit_qualification);
	}
	fixture_free(f);
}

static void
misconfigurations(void **state)
{
	static const struct {
		u64 address, entry;
		bool bad;
	} cases[] = {
		{PTE, 0x234000 | WRITE_BACK | 2, true}, /* write-only */
		{PTE, 0x234000 | WRITE_BACK | 6, true}, /* write and execute */
		{PTE, 0x234000 | 2 << 3 | 7, true},     /* memory types */
		{PTE, 0x234000 | 3 << 3 | 7, true},
		{PTE, 0x234000 | 7 << 3 | 7, true},
		{PTE, 0x234000 | 0 << 3 | 7, false},
		{PTE, 0x234000 | 1 << 3 | 7, false},
		{PTE, 0x234000 | 4 << 3 | 7, false},
		{PTE, 0x234000 | 5 << 3 | 7, false},
		{PTE, 1ull << 51 | 0x234000 | WRITE_BACK | 7, true},
		{PTE, 1ull << 52 | 0x234000 | WRITE_BACK | 0xf87, false}, /* ignored bits */
		{PDE, PT | 0x08 | 7, true},
		{PDE, PT | 0x40 | 7, true},
		{PDE, PT | 0xf00 | 7, false},
		{PDE, 0x801000 | WRITE_BACK | 0x87, true}, /* address bits below 2 MiB */
		{PDPTE, 0x00200000 | WRITE_BACK | 0x87, true},
		{PML4E, (EPT_TABLES + 0x1000) | 0x87, true},
	};

	(void)state;
	start("max", 0, 0);
	for (unsigned i = 0; i < COUNT(cases); i++) {
		u64 old = peek(f, cases[i].address, 8);
		bool exits;

		again();
		poke(f, cases[i].address, 8, cases[i].entry);
		exits = data(ACCESS_READ);
		if (exits != cases[i].bad || (exits && f->v->exit_reason != 49))
			fail_msg("case %u: reason %u", i, f->v->exit_reason);
		poke(f, cases[i].address, 8, old);
	}
	fixture_free(f);
}

static void
a_misconfigured_lower_level_comes_before_missing_rights(void **state)
{
	(void)state;
	start("max", 0, 0);
	poke(f, PDE, 8, PT | 1);
	poke(f, PTE, 8, 0x234000 | 6);
	assert_true(data(ACCESS_WRITE));
	assert_int_equal(f->v->exit_reason, 49);
	fixture_free(f);
}

static void
execute_only_and_large_pages_can_be_switched_off(void **state)
{
	(void)state;
	start("max,-ept-execonly,-ept-2mb", 0, 0);
	poke(f, PTE, 8, 0x234000 | WRITE_BACK | 4);
	assert_true(data(ACCESS_FETCH));
	assert_int_equal(f->v->exit_reason, 49);
	again();
	poke(f, PDE, 8, 0x800000 | WRITE_BACK | 0x87);
	assert_true(data(ACCESS_READ));
	assert_int_equal(f->v->exit_reason, 49);
	fixture_free(f);
}

static void
accessed_and_dirty_flags_are_set_when_the_eptp_says_so(void **state)
{
	(void)state;
	start("max", 0, 0);
	assert_false(data(ACCESS_WRITE));
	assert_int_equal(peek(f, PTE, 8) & 0x300, 0);
	fixture_free(f);

	start("max", 0x40, 0);
	assert_false(data(ACCESS_READ));
	assert_false(result.write_ok); /* the dirty flag is still to be set */
	assert_int_equal(peek(f, PTE, 8) & 0x300, 0x100);
	assert_int_equal(peek(f, PDE, 8) & 0x300, 0x100);
	assert_int_equal(peek(f, PML4E, 8) & 0x300, 0x100);
	assert_false(data(ACCESS_WRITE));
	assert_true(result.write_ok);
	assert_int_equal(peek(f, PTE, 8) & 0x300, 0x300);
	assert_int_equal(peek(f, PDE, 8) & 0x300, 0x100);
	fixture_free(f);
}

static void
a_violation_sets_no_flags(void **state)
{
	(void)state;
	start("max", 0x40, 0);
	poke(f, PTE, 8, 0x234000 | WRITE_BACK | 1);
	assert_true(data(ACCESS_WRITE));
	assert_int_equal(peek(f, PML4E, 8) & 0x300, 0);
	fixture_free(f);
}

static void
page_walks_count_as_writes_with_accessed_and_dirty_flags(void **state)
{
	(void)state;
	start("max", 0x40, 0);
	assert_false(access_with(ACCESS_READ, false, false));
	assert_int_equal(peek(f, PTE, 8) & 0x300, 0x300);
	poke(f, PTE, 8, 0x234000 | WRITE_BACK | 1);
	assert_true(access_with(ACCESS_READ, false, false));
	assert_int_equal(f->v->exit_qualification, 0x8b); /* read and write; not the final access */
	fixture_free(f);

	start("max", 0, 0);
	poke(f, PTE, 8, 0x234000 | WRITE_BACK | 1);
	assert_false(access_with(ACCESS_READ, false, false));
	fixture_free(f);
}

static void
the_log_gets_pages_that_become_dirty(void **state)
{
	(void)state;
	start("max", 0x40, (u32)VMX_MASK(SEC, ENABLE_PML));
	assert_false(data(ACCESS_READ));
	assert_int_equal(f->v->pml_index, 511);
	assert_false(data(ACCESS_WRITE));
	assert_int_equal(f->v->pml_index, 510);
	assert_int_equal(peek(f, PML_PAGE + 511 * 8, 8), GPA & ~0xfffull);
	assert_false(data(ACCESS_WRITE));
	assert_int_equal(f->v->pml_index, 510);
	fixture_free(f);
}

static void
a_full_log_exits_before_any_flag_is_set(void **state)
{
	(void)state;
	start("max", 0x40, (u32)VMX_MASK(SEC, ENABLE_PML));
	f->v->pml_index = 0xffff;
	assert_true(data(ACCESS_READ));
	assert_int_equal(f->v->exit_reason, 62);
	assert_int_equal(peek(f, PML4E, 8) & 0x300, 0);
	fixture_free(f);
}

static void
mode_based_execute_control_separates_user_and_supervisor(void **state)
{
	(void)state;
	start("max", 0, (u32)VMX_MASK(SEC, MODE_BASED_EXECUTE));
	poke(f, PML4E, 8, peek(f, PML4E, 8) | 0x400);
	poke(f, PDPTE, 8, peek(f, PDPTE, 8) | 0x400);
	poke(f, PDE, 8, PT | 0x407);
	poke(f, PTE, 8, 0x234000 | WRITE_BACK | 0x401);
	assert_false(access_with(ACCESS_FETCH, true, true));
	assert_true(access_with(ACCESS_FETCH, true, false));
	assert_int_equal(f->v->exit_qualification & ~0xe00ull, 0x1cc);
	again();
	poke(f, PTE, 8, 0x234000 | WRITE_BACK | 0x005);
	assert_false(access_with(ACCESS_FETCH, true, false));
	assert_true(access_with(ACCESS_FETCH, true, true));
	assert_int_equal(f->v->exit_qualification & ~0xe00ull, 0x3ac & ~0xe00ull);
	again();
	/* Bit 10 alone makes an entry present. */
	poke(f, PTE, 8, 0x234000 | WRITE_BACK | 0x400);
	assert_false(access_with(ACCESS_FETCH, true, true));
	fixture_free(f);
}

static void
invlpg_drops_all_pieces_of_a_large_guest_page(void **state)
{
	(void)state;
	start("max", 0, 0);
	/* The guest's 2 MiB page at 6 MiB lies on 4 KiB pages. */
	poke(f, PT + 1 * 8, 8, 0x235000 | WRITE_BACK | 7);
	poke(f, 0x234000, 8, 5);
	poke(f, 0x235000, 8, 1);
	poke(f, 0x801000, 8, 2);
	assert_int_equal(mem_read(f->cpu, 0x605000, 8), 5);
	assert_int_equal(mem_read(f->cpu, 0x601000, 8), 1);
	poke(f, PAGE_TABLES + 0x2000 + 3 * 8, 8, 0x800087);
	assert_int_equal(mem_read(f->cpu, 0x601000, 8), 1);
	tlb_flush_page(f->cpu, 0x605000);
	assert_int_equal(mem_read(f->cpu, 0x601000, 8), 2);
	fixture_free(f);
}

static void
advanced_information_describes_the_guest_page(void **state)
{
	struct ept_access a = {.guest_physical = GPA,
			       .linear = LINEAR,
			       .access = ACCESS_READ,
			       .linear_valid = true,
			       .final = true,
			       .user = true,
			       .guest_writable = true,
			       .guest_nx = true};

	(void)state;
	start("max", 0, 0);
	poke(f, PTE, 8, 0);
	assert_true(LEAVES(vmx_ept_translate(f->cpu, &a, &result)));
	assert_int_equal(f->v->exit_qualification, 0xf81);
	fixture_free(f);
}

static void
pdpte_loads_have_no_linear_address(void **state)
{
	struct ept_access a = {.guest_physical = GPA, .access = ACCESS_READ};

	(void)state;
	start("max", 0x40, 0);
	assert_false(LEAVES(vmx_ept_translate(f->cpu, &a, &result)));
	assert_int_equal(peek(f, PTE, 8) & 0x300, 0x100); /* accessed only */
	poke(f, PTE, 8, 0);
	f->v->guest_linear_address = 0x55;
	assert_true(LEAVES(vmx_ept_translate(f->cpu, &a, &result)));
	assert_int_equal(f->v->exit_qualification, 1);
	assert_int_equal(f->v->guest_linear_address, 0x55);
	fixture_free(f);
}

static void
a_convertible_violation_becomes_an_exception(void **state)
{
	(void)state;
	start("max", 0, (u32)VMX_MASK(SEC, EPT_VIOLATION_VE));
	f->v->ve_information_address = OPERAND;
	f->v->eptp_index = 7;
	poke(f, PTE, 8, 0);
	assert_true(data(ACCESS_WRITE));
	assert_true(f->cpu->nonroot);
	assert_int_equal(f->cpu->event.vector, VECTOR_VE);
	assert_int_equal(peek(f, OPERAND, 4), 48);
	assert_int_equal(peek(f, OPERAND + 4, 4), 0xffffffff);
	assert_int_equal(peek(f, OPERAND + 8, 8) & 0xff, 0x82);
	assert_int_equal(peek(f, OPERAND + 16, 8), LINEAR);
	assert_int_equal(peek(f, OPERAND + 24, 8), GPA);
	assert_int_equal(peek(f, OPERAND + 32, 2), 7);
	/* The area is in use now, and a suppressed entry never converts. */
	assert_true(data(ACCESS_WRITE));
	assert_int_equal(f->v->exit_reason, 48);
	again();
	poke(f, OPERAND + 4, 4, 0);
	poke(f, PTE, 8, BIT(63));
	assert_true(data(ACCESS_WRITE));
	assert_int_equal(f->v->exit_reason, 48);
	fixture_free(f);
}

static void
addresses_beyond_48_bits_are_violations(void **state)
{
	u64 physical;

	(void)state;
	start("max", 0, 0);
	assert_false(vmx_ept_peek(f->cpu, 1ull << 48, &physical));
	assert_true(vmx_ept_peek(f->cpu, GPA, &physical));
	assert_int_equal(physical, 0x234123);
	fixture_free(f);
}

static void
the_tag_tells_apart_what_must_not_share_translations(void **state)
{
	u64 plain, dirty, mbec;

	(void)state;
	start("max", 0, 0);
	plain = vmx_eptp(f->cpu);
	fixture_free(f);
	start("max", 0x40, 0);
	dirty = vmx_eptp(f->cpu);
	fixture_free(f);
	start("max", 0, (u32)VMX_MASK(SEC, MODE_BASED_EXECUTE));
	mbec = vmx_eptp(f->cpu);
	f->cpu->nonroot = false;
	assert_int_equal(vmx_eptp(f->cpu), 0);
	fixture_free(f);
	assert_true(plain && plain != dirty && plain != mbec && dirty != mbec);
	assert_int_equal(plain >> 12, EPT_TABLES >> 12);
	assert_int_equal(dirty >> 12, EPT_TABLES >> 12);
	RULE("TLB-07");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(four_levels_translate),
		cmocka_unit_test(large_pages_translate),
		cmocka_unit_test(each_missing_level_is_a_violation),
		cmocka_unit_test(rights_are_those_that_all_levels_give),
		cmocka_unit_test(misconfigurations),
		cmocka_unit_test(a_misconfigured_lower_level_comes_before_missing_rights),
		cmocka_unit_test(execute_only_and_large_pages_can_be_switched_off),
		cmocka_unit_test(accessed_and_dirty_flags_are_set_when_the_eptp_says_so),
		cmocka_unit_test(a_violation_sets_no_flags),
		cmocka_unit_test(page_walks_count_as_writes_with_accessed_and_dirty_flags),
		cmocka_unit_test(the_log_gets_pages_that_become_dirty),
		cmocka_unit_test(a_full_log_exits_before_any_flag_is_set),
		cmocka_unit_test(mode_based_execute_control_separates_user_and_supervisor),
		cmocka_unit_test(invlpg_drops_all_pieces_of_a_large_guest_page),
		cmocka_unit_test(advanced_information_describes_the_guest_page),
		cmocka_unit_test(pdpte_loads_have_no_linear_address),
		cmocka_unit_test(a_convertible_violation_becomes_an_exception),
		cmocka_unit_test(addresses_beyond_48_bits_are_violations),
		cmocka_unit_test(the_tag_tells_apart_what_must_not_share_translations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
