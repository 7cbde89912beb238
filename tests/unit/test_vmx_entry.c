/* VM entry as a whole: reports of broken rules, loading of the guest, the MSR-load list. The rules themselves: test_vmx_entry_rules.c. */
#include "tests/unit/vmx_fixture.h"

struct heard {
	const char *id[64];
	unsigned count;
};

static void
hear(void *opaque, const struct vmx_broken_rule *broken)
{
	struct heard *h = opaque;


	if (h->count < COUNT(h->id))
		h->id[h->count++] = broken->id;
}

static void
every_one_of_several_broken_rules_is_reported(void **state)
{
	struct vmx_fixture f;
	struct heard heard = {.count = 0};

	(void)state;
	fixture_make(&f, "max");
	fixture_root(&f);
	f.v->cr3_target_count = 9;
	f.v->host_tr_selector = 0;
	f.v->guest_rflags = 0;
	assert_int_equal(vmx_entry_doctor(f.cpu, hear, &heard), 3);
	assert_string_equal(heard.id[0], "VE-CTL-05");
	assert_string_equal(heard.id[1], "VE-HST-13");
	assert_string_equal(heard.id[2], "VE-RIP-03");
	fixture_free(&f);
}

static void
a_valid_entry_loads_the_guest(void **state)
{
	struct vmx_fixture fixture, *f = &fixture;

	(void)state;
	fixture_make(f, "max");
	fixture_root(f);
	f->v->guest_rflags = 2 | FLAG_CF | FLAG_IF;
	f->v->guest_gs_base = 0x123456789abcull;
	assert_true(LEAVES(op_vmlaunch(f->cpu, NULL)));
	assert_true(f->cpu->nonroot);
	assert_int_equal(f->cpu->vmx->launched, 1);
	assert_int_equal(f->cpu->rip, GUEST_CODE);
	assert_int_equal(f->cpu->r[RSP], GUEST_STACK);
	assert_int_equal(cpu_rflags(f->cpu), 2 | FLAG_CF | FLAG_IF);
	assert_int_equal(f->cpu->seg[GS].base, 0x123456789abcull);
	assert_true(f->cpu->seg[GS].access & SEG_UNUSABLE);
	assert_int_equal(f->cpu->vmx->stats.entries, 1);
	fixture_free(f);
}

static void
a_bad_entry_of_the_msr_list_is_failure_34_with_its_number(void **state)
{
	static const struct {
		u32 index, reserved;
		u64 value;
	} bad[] = {
		{0xc0000100, 0, 0}, {0xc0000101, 0, 0}, {0x808, 0, 0}, {0x10, 1, 0},
		{0x12345678, 0, 0}, {0x9b, 0, 0},       {0x277, 0, 2},
	};
	struct vmx_fixture fixture, *f = &fixture;

	(void)state;
	fixture_make(f, "max");
	for (unsigned i = 0; i < COUNT(bad); i++) {
		fixture_root(f);
		f->v->entry_msr_load_address = MSR_LIST;
		f->v->entry_msr_load_count = 2;
		poke(f, MSR_LIST, 8, 0xc0000082);
		poke(f, MSR_LIST + 8, 8, 0x1000);
		poke(f, MSR_LIST + 16, 8, (u64)bad[i].reserved << 32 | bad[i].index);
		poke(f, MSR_LIST + 24, 8, bad[i].value);
		assert_true(LEAVES(op_vmlaunch(f->cpu, NULL)));
		assert_int_equal(f->v->exit_reason, 0x80000022);
		assert_int_equal(f->v->exit_qualification, 2);
		assert_int_equal(f->cpu->msr.lstar, 0x1000);
		assert_int_equal(f->cpu->vmx->launched, 0);
		assert_false(f->cpu->nonroot);
		assert_int_equal(f->cpu->rip, HOST_CODE);
	}
	fixture_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_one_of_several_broken_rules_is_reported),
		cmocka_unit_test(a_valid_entry_loads_the_guest),
		cmocka_unit_test(a_bad_entry_of_the_msr_list_is_failure_34_with_its_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
