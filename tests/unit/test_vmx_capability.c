/* Capability MSRs: the values of profile P1, and what switching things off does. */
#include "tests/unit/vmx_fixture.h"

static u64
capability(struct vmx_fixture *f, u32 address)
{
	u64 value = 0;

	if (!vmx_capability_read(f->cpu, address, &value))
		fail_msg("MSR %x does not exist", address);
	return value;
}

static void
profile_p1_has_the_values_of_the_table(void **state)
{
	/*
	 * User wait and pause (bit 26 of 48Bh) follows CPUID, and the model has no WAITPKG. The preemption timer's shift (485h)
	 * is not 5: see struct vmx_capability.
	 */
	static const struct {
		u32 address;
		u64 value;
	} p1[] = {
		{0x480, 0x00d8100000000000ull | VMCS_REVISION},
		{0x481, 0x000000ff00000016ull},
		{0x482, 0xfff9fffe0401e172ull},
		{0x483, 0x007fffff00036dffull},
		{0x484, 0x0000f3ff000011ffull},
		{0x485, 0x00000000600401e2ull},
		{0x486, 0x80000021},
		{0x487, 0xffffffff},
		{0x488, 0x2000},
		{0x48a, 0x32},
		{0x48b, 0x02577fff00000000ull},
		{0x48c, 0x00000f0106734141ull},
		{0x48d, 0x000000ff00000016ull},
		{0x48e, 0xfff9fffe04006172ull},
		{0x48f, 0x007fffff00036dfbull},
		{0x490, 0x0000f3ff000011fbull},
		{0x491, 1},
	};
	struct vmx_fixture f;
	u64 value;

	(void)state;
	fixture_make(&f, "max");
	for (unsigned i = 0; i < COUNT(p1); i++)
		if (capability(&f, p1[i].address) != p1[i].value)
			fail_msg("MSR %x is %llx, not %llx", p1[i].address,
				 (unsigned long long)capability(&f, p1[i].address), (unsigned long long)p1[i].value);
	for (u32 address = 0x492; address < 0x4a0; address++)
		assert_false(vmx_capability_read(f.cpu, address, &value));
	RULE("CAP-22 CAP-24 CAP-31");
	fixture_free(&f);
}

static void
true_msrs_agree_with_the_plain_ones(void **state)
{
	static const struct {
		u32 plain, exact, default1;
	} pair[] = {{0x481, 0x48d, 0x16}, {0x482, 0x48e, 0x401e172}, {0x483, 0x48f, 0x36dff}, {0x484, 0x490, 0x11ff}};
	struct vmx_fixture f;

	(void)state;
	fixture_make(&f, "max");
	for (unsigned i = 0; i < COUNT(pair); i++) {
		u64 plain = capability(&f, pair[i].plain), exact = capability(&f, pair[i].exact);

		assert_int_equal(plain >> 32, exact >> 32);
		assert_int_equal((u32)plain, (u32)exact | pair[i].default1);
		assert_int_equal((u32)plain & ~(plain >> 32), 0);
	}
	RULE("CAP-20 CAP-21 CAP-22");
	fixture_free(&f);
}

static void
cr4_fixed1_is_what_cr4_may_hold(void **state)
{
	struct vmx_fixture f;

	(void)state;
	fixture_make(&f, "max");
	assert_true(capability(&f, 0x489) & CR4_VMXE);
	assert_false(capability(&f, 0x489) & CR4_SMXE);
	assert_int_equal(capability(&f, 0x489) & CR4_FIXED0, CR4_FIXED0);
	fixture_free(&f);
}

static void
switching_off_ept_takes_what_needs_it(void **state)
{
	u64 needs_ept = VMX_MASK(SEC, ENABLE_EPT) | VMX_MASK(SEC, UNRESTRICTED_GUEST) | VMX_MASK(SEC, ENABLE_PML) |
			VMX_MASK(SEC, MODE_BASED_EXECUTE) | VMX_MASK(SEC, EPT_VIOLATION_VE) |
			VMX_MASK(SEC, ENABLE_VMFUNC);
	struct vmx_capability cap;
	struct cpu_model model;

	(void)state;
	assert_null(cpu_model_parse("max", &model));
	assert_true(vmx_capability_switch(&model, "ept", false));
	vmx_capability_compute(&model, &cap);
	assert_int_equal(cap.allowed[VMX_SEC] & needs_ept, 0);
	assert_int_equal((u32)cap.allowed[VMX_EPTCAP], 0);
	assert_true(VMX_ALLOWED(&cap, EPTCAP, INVVPID));
}

static void
switching_off_vpid_or_the_tpr_shadow_takes_what_needs_it(void **state)
{
	struct vmx_capability cap;
	struct cpu_model model;

	(void)state;
	assert_null(cpu_model_parse("max", &model));
	assert_true(vmx_capability_switch(&model, "vmx-vpid", false));
	assert_true(vmx_capability_switch(&model, "flexpriority", false));
	vmx_capability_compute(&model, &cap);
	assert_int_equal(cap.allowed[VMX_EPTCAP] >> 32, 0);
	assert_false(VMX_ALLOWED(&cap, SEC, VIRTUAL_INTERRUPT_DELIVERY));
	assert_false(VMX_ALLOWED(&cap, PIN, POSTED_INTERRUPTS));
	assert_true(VMX_ALLOWED(&cap, SEC, VIRTUALIZE_APIC_ACCESSES));
}

/* Without the second the first must not be offered. */
static const struct {
	const char *dependent;
	enum vmx_word word;
	u64 mask;
	const char *needed;
} pairs[] = {
#define PAIR(option, word, name, needed)                                                                               \
	{                                                                                                              \
		option, VMX_##word, VMX_MASK(word, name), needed                                                       \
	}
	PAIR("unrestricted-guest", SEC, UNRESTRICTED_GUEST, "ept"),
	PAIR("unrestricted-guest", SEC, UNRESTRICTED_GUEST, "store-lma"),
	PAIR("vintr-delivery", SEC, VIRTUAL_INTERRUPT_DELIVERY, "flexpriority"),
	PAIR("vintr-delivery", SEC, VIRTUAL_INTERRUPT_DELIVERY, "intr-exit"),
	PAIR("apic-register", SEC, APIC_REGISTER_VIRTUALIZATION, "flexpriority"),
	PAIR("vx2apic", SEC, VIRTUALIZE_X2APIC_MODE, "flexpriority"),
	PAIR("vx2apic", SEC, VIRTUALIZE_X2APIC_MODE, "x2apic"),
	PAIR("pml", SEC, ENABLE_PML, "ept"),
	PAIR("pml", SEC, ENABLE_PML, "ept-ad"),
	PAIR("mbec", SEC, MODE_BASED_EXECUTE, "ept"),
	PAIR("ept-violation-ve", SEC, EPT_VIOLATION_VE, "ept"),
	PAIR("vmfunc", SEC, ENABLE_VMFUNC, "eptp-switching"),
	PAIR("eptp-switching", VMFUNC, EPTP_SWITCHING, "vmfunc"),
	PAIR("eptp-switching", VMFUNC, EPTP_SWITCHING, "ept"),
	PAIR("posted-intr", PIN, POSTED_INTERRUPTS, "vintr-delivery"),
	PAIR("posted-intr", PIN, POSTED_INTERRUPTS, "exit-ack-intr"),
	PAIR("vnmi", PIN, VIRTUAL_NMIS, "nmi-exit"),
	PAIR("nmi-window-exit", PROC, NMI_WINDOW_EXITING, "vnmi"),
	PAIR("exit-save-preemption-timer", EXIT, SAVE_PREEMPTION_TIMER, "preemption-timer"),
	PAIR("entry-load-perf-global-ctrl", ENTRY, LOAD_PERF_GLOBAL_CTRL, "exit-load-perf-global-ctrl"),
	PAIR("exit-load-perf-global-ctrl", EXIT, LOAD_PERF_GLOBAL_CTRL, "entry-load-perf-global-ctrl"),
	PAIR("entry-load-pat", ENTRY, LOAD_PAT, "exit-load-pat"),
	PAIR("exit-load-pat", EXIT, LOAD_PAT, "entry-load-pat"),
	PAIR("entry-load-efer", ENTRY, LOAD_EFER, "exit-load-efer"),
	PAIR("exit-load-efer", EXIT, LOAD_EFER, "entry-load-efer"),
	PAIR("exit-save-pat", EXIT, SAVE_PAT, "exit-load-pat"),
	PAIR("exit-save-efer", EXIT, SAVE_EFER, "exit-load-efer"),
	PAIR("ept", SEC, ENABLE_EPT, "page-walk-4"),
	PAIR("ept", SEC, ENABLE_EPT, "secondary-ctls"),
	PAIR("vpid", SEC, ENABLE_VPID, "secondary-ctls"),
	PAIR("invept", EPTCAP, INVEPT, "ept"),
	PAIR("ept-ad", EPTCAP, ACCESSED_DIRTY, "ept"),
	PAIR("ept-1gb", EPTCAP, PAGE_1G, "ept"),
	PAIR("ept-execonly", EPTCAP, EXECUTE_ONLY, "ept"),
	PAIR("invept-single-context", EPTCAP, INVEPT_SINGLE, "invept"),
	PAIR("invept-all-context", EPTCAP, INVEPT_ALL, "invept"),
	PAIR("invvpid", EPTCAP, INVVPID, "vpid"),
	PAIR("invvpid-single-addr", EPTCAP, INVVPID_ADDRESS, "invvpid"),
	PAIR("invvpid-single-context", EPTCAP, INVVPID_SINGLE, "invvpid"),
	PAIR("invvpid-all-context", EPTCAP, INVVPID_ALL, "invvpid"),
	PAIR("invvpid-single-context-noglobals", EPTCAP, INVVPID_SINGLE_GLOBALS, "invvpid"),
	PAIR("rdtscp-exit", SEC, ENABLE_RDTSCP, "rdtscp"),
	PAIR("invpcid-exit", SEC, ENABLE_INVPCID, "invpcid"),
	PAIR("xsaves-exit", SEC, ENABLE_XSAVES, "xsaves"),
	PAIR("rdrand-exit", SEC, RDRAND_EXITING, "rdrand"),
	PAIR("rdseed-exit", SEC, RDSEED_EXITING, "rdseed"),
};

static void
what_needs_something_goes_with_it_and_cannot_be_asked_for_without(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COUNT(pairs); i++) {
		char spec[120], *error;
		struct cpu_model model;
		struct vmx_capability cap;

		assert_null(cpu_model_parse("max", &model));
		vmx_capability_compute(&model, &cap);
		if (!vmx_allowed(&cap, pairs[i].word, pairs[i].mask))
			fail_msg("max has no %s", pairs[i].dependent);
		snprintf(spec, sizeof(spec), "max,-%s%s", pairs[i].needed,
			 strcmp(pairs[i].needed, "rdtscp") ? "" : ",-rdpid");
		assert_null(cpu_model_parse(spec, &model));
		vmx_capability_compute(&model, &cap);
		if (cap.allowed[pairs[i].word] & pairs[i].mask)
			fail_msg("%s leaves %s", spec, pairs[i].dependent);
		/* Asked for by name it is a mistake, and one message names both. */
		snprintf(spec + strlen(spec), sizeof(spec) - strlen(spec), ",+%s", pairs[i].dependent);
		error = cpu_model_parse(spec, &model);
		if (!error || !strstr(error, pairs[i].dependent) || !strstr(error, "needs") || strchr(error, '\n'))
			fail_msg("%s: %s", spec, error ? error : "accepted");
		free(error);
		snprintf(spec, sizeof(spec), "max,+%s,-%s", pairs[i].dependent, pairs[i].needed);
		error = cpu_model_parse(spec, &model);
		if ((!error || !strstr(error, pairs[i].needed)) && strcmp(pairs[i].needed, "rdtscp"))
			fail_msg("%s: %s", spec, error ? error : "accepted");
		free(error);
	}
	RULE("CAP-24 CAP-25 CAP-26 CAP-27 CAP-33");
}

static u64
capability_or_0(struct vmx_fixture *f, u32 address)
{
	u64 value;

	return vmx_capability_read(f->cpu, address, &value) ? value : 0;
}

/* Each row of controls.def has its switch, which clears its bit, in the MSR that reports it. */
static void
each_capability_has_its_switch(void **state)
{
	static const struct {
		enum vmx_word word;
		const char *option;
		bool emulated;
		u8 bit;
	} rows[] = {
#define CTL(word, bit, name, emulated, option, text) {VMX_##word, option, emulated, bit},
#include "vmx/controls.def"
#undef CTL
	};
	static const struct {
		u32 msr;
		u8 shift;
	} reported[VMX_WORDS] = {{0x48d, 32}, {0x48e, 32}, {0x48b, 32}, {0x48f, 32},
				 {0x490, 32}, {0x48c, 0},  {0x485, 0},  {0x491, 0}, {0x480, 0}};

	(void)state;
	for (unsigned i = 0; i < COUNT(rows); i++) {
		u32 msr = reported[rows[i].word].msr;
		u64 bit = BIT(rows[i].bit) << reported[rows[i].word].shift;
		struct vmx_fixture f;
		char spec[80], *error;
		struct cpu_model model;

		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(rows[i].option, rows[k].option);
		fixture_make(&f, "max");
		if (!(capability_or_0(&f, msr) & bit) != !rows[i].emulated && strcmp(rows[i].option, "user-wait-pause"))
			fail_msg("%s: bit %u of MSR %x", rows[i].option, rows[i].bit, msr);
		fixture_free(&f);
		if (!rows[i].emulated) {
			snprintf(spec, sizeof(spec), "max,+%s", rows[i].option);
			error = cpu_model_parse(spec, &model);
			if (!error || !strstr(error, rows[i].option) || !strstr(error, "not modelled"))
				fail_msg("%s: %s", spec, error ? error : "accepted");
			free(error);
			continue;
		}
		if (!strcmp(rows[i].option, "exit-host64") || !strcmp(rows[i].option, "entry-ia32e-mode"))
			continue;
		snprintf(spec, sizeof(spec), "max,-%s", rows[i].option);
		fixture_make(&f, spec);
		/* Some are default1: bits that software may always set. */
		if (capability_or_0(&f, msr) & bit && !(capability_or_0(&f, msr == 0x48e   ? 0x482
									    : msr == 0x48f ? 0x483
									    : msr == 0x490 ? 0x484
											   : msr) >>
								rows[i].bit &
							1))
			fail_msg("%s leaves bit %u of MSR %x", spec, rows[i].bit, msr);
		fixture_free(&f);
	}
	RULE("CAP-20 CAP-24");
}

static void
impossible_processors_are_refused_in_one_message(void **state)
{
	static const struct {
		const char *spec, *text;
	} rows[] = {
		{"max,-exit-host64", "exit-host64"},
		{"max,-entry-ia32e-mode", "entry-ia32e-mode"},
		{"max,-ept-wb,-ept-uc", "memory type"},
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct cpu_model model;
		char *error = cpu_model_parse(rows[i].spec, &model);

		if (!error || !strstr(error, rows[i].text) || strchr(error, '\n'))
			fail_msg("%s: %s", rows[i].spec, error ? error : "accepted");
		free(error);
	}
}

/* CAP-29: the highest index of all fields that VMREAD finds. */
static void
vmcs_enum_is_the_highest_index(void **state)
{
	static const char *const models[] = {"max", "max,-tsc-scaling", "max,-tsc-scaling,-xsaves",
					     "max,-ept,-vpid,-secondary-ctls"};

	(void)state;
	for (unsigned i = 0; i < COUNT(models); i++) {
		struct vmx_fixture f;
		u64 highest = 0;

		fixture_make(&f, models[i]);
		for (u64 encoding = 0; encoding < 0x8000; encoding++)
			if (!(encoding & 1) && vmcs_lookup(&f.cpu->vmx->cap, encoding) &&
			    (encoding >> 1 & 0x1ff) > highest)
				highest = encoding >> 1 & 0x1ff;
		assert_int_equal(capability(&f, 0x48a), highest << 1);
		assert_true(highest >= 0x15);
		fixture_free(&f);
	}
	RULE("CAP-29");
}

static void
invept_and_invvpid_exist_by_their_capability(void **state)
{
	static const struct {
		const char *model;
		bool invept, invvpid;
	} rows[] = {
		{"max", true, true},       {"max,-invept", false, true}, {"max,-invvpid", true, false},
		{"max,-ept", false, true}, {"max,-vpid", true, false},
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct vmx_fixture fixture, *f = &fixture;

		fixture_make(f, rows[i].model);
		fixture_root(f);
		f->cpu->r[RAX] = 2;
		f->cpu->r[RSP] = OPERAND;
		/* An undefined opcode leaves through the door. */
		assert_int_equal(EXECUTE(f, "\x66\x0f\x38\x80\x04\x24"), !rows[i].invept);
		f->cpu->cr4 |= CR4_VMXE;
		fixture_root(f);
		f->cpu->r[RAX] = 2;
		f->cpu->r[RSP] = OPERAND;
		assert_int_equal(EXECUTE(f, "\x66\x0f\x38\x81\x04\x24"), !rows[i].invvpid);
		fixture_free(f);
	}
	RULE("CAP-32");
}

/* CAP-23, CAP-24 */
static void
without_true_controls_the_default1_bits_must_be_1(void **state)
{
	struct vmx_fixture fixture, *f = &fixture;
	u64 value;

	(void)state;
	fixture_make(f, "max,-true-ctls");
	for (u32 address = 0x48d; address <= 0x490; address++)
		assert_false(vmx_capability_read(f->cpu, address, &value));
	fixture_root(f);
	assert_false(LEAVES(op_vmlaunch(f->cpu, NULL)));
	assert_int_equal(f->v->vm_instruction_error, 7);
	f->v->proc_controls |= PROC_DEFAULT1;
	f->v->exit_controls |= EXIT_DEFAULT1;
	f->v->entry_controls |= ENTRY_DEFAULT1;
	fixture_enter(f);
	RULE("CAP-23 CAP-24");
	fixture_free(f);
}

/* CAP-06 */
static void
all_processors_are_alike(void **state)
{
	struct vmx_fixture f;
	struct cpus *two;

	(void)state;
	fixture_make(&f, "max");
	two = cpus_new(2, &f.model, f.memory, f.ports, f.events, &f.bus, NULL, 1);
	for (u32 address = 0x480; address < 0x4a0; address++) {
		u64 first = 0, second = 0;

		assert_int_equal(vmx_capability_read(two->cpu[0], address, &first),
				 vmx_capability_read(two->cpu[1], address, &second));
		assert_int_equal(first, second);
	}
	RULE("CAP-06");
	cpus_free(two);
	fixture_free(&f);
}

static void
an_unknown_capability_name_is_refused(void **state)
{
	struct cpu_model model;

	(void)state;
	assert_null(cpu_model_parse("max", &model));
	assert_false(vmx_capability_switch(&model, "eptt", false));
}

static void
switching_back_on_restores(void **state)
{
	struct vmx_capability before, after;
	struct cpu_model model;

	(void)state;
	assert_null(cpu_model_parse("max", &model));
	vmx_capability_compute(&model, &before);
	vmx_capability_switch(&model, "pml", false);
	vmx_capability_switch(&model, "pml", true);
	vmx_capability_compute(&model, &after);
	assert_memory_equal(&before, &after, sizeof(before));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(profile_p1_has_the_values_of_the_table),
		cmocka_unit_test(true_msrs_agree_with_the_plain_ones),
		cmocka_unit_test(cr4_fixed1_is_what_cr4_may_hold),
		cmocka_unit_test(switching_off_ept_takes_what_needs_it),
		cmocka_unit_test(switching_off_vpid_or_the_tpr_shadow_takes_what_needs_it),
		cmocka_unit_test(an_unknown_capability_name_is_refused),
		cmocka_unit_test(switching_back_on_restores),
		cmocka_unit_test(what_needs_something_goes_with_it_and_cannot_be_asked_for_without),
		cmocka_unit_test(each_capability_has_its_switch),
		cmocka_unit_test(impossible_processors_are_refused_in_one_message),
		cmocka_unit_test(vmcs_enum_is_the_highest_index),
		cmocka_unit_test(invept_and_invvpid_exist_by_their_capability),
		cmocka_unit_test(without_true_controls_the_default1_bits_must_be_1),
		cmocka_unit_test(all_processors_are_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
