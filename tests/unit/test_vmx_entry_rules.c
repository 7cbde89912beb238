/* VM-entry checks: a valid VMCS, one field changed; exactly the rule that this breaks must be named, and the entry fail in that rule's way. */
#include "tests/unit/vmx_entry_bases.h"

enum change { SET, ON, OFF };

struct entry_case {
	const char *id;
	const char *also[2]; /* rules that the same change breaks besides */
	bool broken;
	const char *base_name;
	void (*base)(struct vmx_fixture *f);
	enum change change;
	const char *field;
	u32 encoding;
	u64 value;
};

#define ROW(id, also, also2, broken, base, change, field, value)                                                       \
	{id, {also, also2}, broken, #base, base_##base, change, #field, VMCS_##field, value},
static const struct entry_case cases[] = {
#define BROKEN(id, base, change, field, value) ROW(id, NULL, NULL, true, base, change, field, value)
#define BROKEN2(id, base, change, field, value, also) ROW(id, also, NULL, true, base, change, field, value)
#define BROKEN3(id, base, change, field, value, also, also2) ROW(id, also, also2, true, base, change, field, value)
#define VALID(id, base, change, field, value) ROW(id, NULL, NULL, false, base, change, field, value)
#include "tests/unit/vmx_entry_cases.def"
};

static void
change(struct vmx_fixture *f, const struct entry_case *c)
{
	const struct vmcs_field *field = vmcs_field(c->encoding);
	u64 value = vmcs_get(f->v, field, c->encoding);

	switch (c->change) {
	case SET:
		value = c->value;
		break;
	case ON:
		value |= c->value;
		break;
	case OFF:
		value &= ~c->value;
		break;
	}
	vmcs_set(f->v, field, c->encoding, value);
}

static void
describe(const struct entry_case *c, const char *problem, const char *more)
{
	fail_msg("%s, base %s, %s %s %#llx: %s %s", c->id, c->base_name, c->field,
		 c->change == SET  ? "set to"
		 : c->change == ON ? "with"
				   : "without",
		 (unsigned long long)c->value, problem, more);
}

struct heard {
	const char *id[64];
	unsigned count;
	bool complete; /* each report had a heading and values */
	const char *field;
	bool shown; /* one report showed this field, or a control of it */
};

/* Does the value show the field? Controls are named by their word: "SEC ENABLE_EPT" is of sec_controls. */
static bool
shows(const struct vmx_rule_value *v, const char *field)
{
	size_t word = strcspn(v->name, " "), i = 0;

	if (v->segment)
		return !strncmp(field, v->segment, strlen(v->segment)) &&
		       !strcmp(field + strlen(v->segment) + 1, v->name);
	if (!strcmp(v->name, field))
		return true;
	while (i < word && (v->name[i] | 0x20) == field[i])
		i++;
	return i == word && !strcmp(field + i, "_controls");
}

static void
hear(void *opaque, const struct vmx_broken_rule *broken)
{
	struct heard *h = opaque;

	if (h->count < COUNT(h->id))
		h->id[h->count++] = broken->id;
	for (const struct vmx_rule_value *v = broken->values; h->field && v->name; v++)
		h->shown |= shows(v, h->field);
	h->complete &= broken->heading && *broken->heading && broken->rule && broken->values[0].name;
}

static bool
expected(const struct entry_case *c, const char *id)
{
	if (!strcmp(id, c->id))
		return true;
	for (unsigned i = 0; i < COUNT(c->also); i++)
		if (c->also[i] && !strcmp(id, c->also[i]))
			return true;
	return false;
}

static void
check_the_doctor(struct vmx_fixture *f, const struct entry_case *c)
{
	struct heard heard = {.complete = true, .field = c->field};
	bool named = false;

	vmx_entry_doctor(f->cpu, hear, &heard);
	if (!c->broken) {
		if (heard.count)
			describe(c, "is valid, but refused by", heard.id[0]);
		return;
	}
	for (unsigned i = 0; i < heard.count; i++) {
		named |= !strcmp(heard.id[i], c->id);
		if (!expected(c, heard.id[i]))
			describe(c, "also refused by", heard.id[i]);
	}
	if (!named)
		describe(c, "not refused", "");
	if (!heard.complete)
		describe(c, "reported without heading or values", "");
	if (!heard.shown)
		describe(c, "reported without the field that broke it", "");
}

/* The error number that VMfail gives for a rule of this kind; 0: VM-entry failure. */
static unsigned
error_of(const char *id)
{
	if (!strncmp(id, "VE-CTL", 6) || !strncmp(id, "VE-E", 4) || !strncmp(id, "VE-INJ", 6))
		return 7;
	return strncmp(id, "VE-HST", 6) ? 0 : 8;
}

static void
check_the_failure(struct vmx_fixture *f, const struct entry_case *c, bool left)
{
	unsigned error = error_of(c->id);
	u64 qualification = !strcmp(c->id, "VE-NRS-17") ? 4 : !strncmp(c->id, "VE-PDP", 6) ? 2 : 0;

	if (f->cpu->nonroot || f->cpu->vmx->launched)
		describe(c, "entered", "");
	if (error) {
		if (left || f->v->vm_instruction_error != error || fixture_flags(f) != FLAG_ZF || f->v->exit_reason)
			describe(c, "does not end in VMfail of its kind", "");
	} else if (!left || f->v->exit_reason != 0x80000021 || f->v->exit_qualification != qualification ||
		   f->cpu->rip != f->v->host_rip || cpu_rflags(f->cpu) != 2 || f->v->vm_instruction_error) {
		describe(c, "does not end in VM-entry failure 33 with its qualification", "");
	}
}

static void
check_the_entry(struct vmx_fixture *f, const struct entry_case *c)
{
	bool left;

	f->cpu->rip = 0x1234;
	f->v->exit_reason = f->v->vm_instruction_error = 0;
	f->v->exit_qualification = 0x55;
	left = LEAVES(op_vmlaunch(f->cpu, NULL));
	if (c->broken)
		check_the_failure(f, c, left);
	else if (f->cpu->vmx->launched != 1)
		describe(c, "is valid, but not entered", "");
}

static void
each_rule_is_enforced_and_named(void **state)
{
	struct vmx_fixture f;

	(void)state;
	fixture_make(&f, "max,phys-bits=52");
	for (unsigned i = 0; i < COUNT(cases); i++) {
		const struct entry_case *c = &cases[i];

		c->base(&f);
		change(&f, c);
		check_the_doctor(&f, c);
		check_the_entry(&f, c);
		/* VM entry may have left the machine in whatever mode the guest has. */
		f.cpu->nonroot = false;
		cpu_set_rflags(f.cpu, 2);
		f.cpu->activity = ACTIVITY_ACTIVE;
		event_disarm(f.events, &f.cpu->vmx->timer);
		RULE(c->id);
	}
	fixture_free(&f);
}

static void
the_bases_are_valid(void **state)
{
	struct vmx_fixture f;

	(void)state;
	fixture_make(&f, "max,phys-bits=52");
	for (unsigned i = 0; i < COUNT(cases); i++) {
		struct heard heard = {.count = 0};

		cases[i].base(&f);
		vmx_entry_doctor(f.cpu, hear, &heard);
		if (heard.count)
			fail_msg("base %s is refused by %s", cases[i].base_name, heard.id[0]);
	}
	fixture_free(&f);
}

/* With one capability switched off, what it allowed is refused. */
static void
what_is_not_allowed_is_refused(void **state)
{
	static const struct {
		const char *model, *id;
		u32 encoding;
		u64 value;
	} rows[] = {
		{"max,-mtf", "VE-INJ-01", VMCS_entry_interruption_info, 0x80000700},
		{"max,-zero-len-inject", "VE-INJ-07", VMCS_entry_interruption_info, 0x80000480},
		{"max,-activity-hlt", "VE-NRS-01", VMCS_guest_activity, 1},
		{"max,-activity-shutdown", "VE-NRS-01", VMCS_guest_activity, 2},
		{"max,-activity-wait-sipi", "VE-NRS-01", VMCS_guest_activity, 3},
		{"max,-mtf", "VE-CTL-02", VMCS_proc_controls, PROC_DEFAULT1_TRUE | PROC(MONITOR_TRAP_FLAG)},
		{"max,-preemption-timer", "VE-CTL-01", VMCS_pin_controls, PIN_DEFAULT1 | PIN(PREEMPTION_TIMER)},
		{"max,-ept-ad", "VE-CTL-19", VMCS_eptp, EPT_TABLES | 0x5e},
		{"max,-ept-wb", "VE-CTL-19", VMCS_eptp, EPT_TABLES | 0x1e},
		{"max,-ept-uc", "VE-CTL-19", VMCS_eptp, EPT_TABLES | 0x18},
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct heard heard = {.count = 0};
		struct vmx_fixture f;

		fixture_make(&f, rows[i].model);
		if (rows[i].encoding == VMCS_eptp)
			base_ept(&f);
		else
			base_plain(&f);
		vmcs_set(f.v, vmcs_field(rows[i].encoding), rows[i].encoding, rows[i].value);
		vmx_entry_doctor(f.cpu, hear, &heard);
		if (heard.count != 1 || strcmp(heard.id[0], rows[i].id))
			fail_msg("%s: %u rules refuse, not %s", rows[i].model, heard.count, rows[i].id);
		fixture_free(&f);
	}
	RULE("VE-INJ-01 VE-INJ-07 VE-NRS-01 CAP-23");
}

/* VE-INJ-03: of the exceptions, exactly these push an error code, in protected mode only. */
static void
error_codes_belong_to_their_vectors(void **state)
{
	const u32 pushing = BIT(8) | BIT(10) | BIT(11) | BIT(12) | BIT(13) | BIT(14) | BIT(17);
	struct vmx_fixture f;

	(void)state;
	fixture_make(&f, "max");
	for (unsigned real = 0; real < 2; real++) {
		for (u32 vector = 0; vector < 32; vector++) {
			for (u32 error = 0; error < 2; error++) {
				struct heard heard = {.count = 0};
				bool right = error == (!real && (pushing >> vector & 1));

				if (real)
					base_real(&f);
				else
					base_plain(&f);
				f.v->entry_interruption_info = 0x80000300 | vector | error << 11;
				vmx_entry_doctor(f.cpu, hear, &heard);
				if (heard.count != !right || (!right && strcmp(heard.id[0], "VE-INJ-03")))
					fail_msg("vector %u, error code %u, real mode %u", vector, error, real);
			}
		}
	}
	RULE("VE-INJ-03");
	fixture_free(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bases_are_valid),
		cmocka_unit_test(each_rule_is_enforced_and_named),
		cmocka_unit_test(what_is_not_allowed_is_refused),
		cmocka_unit_test(error_codes_belong_to_their_vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
