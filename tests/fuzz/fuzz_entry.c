/*
 * Random VMCSs: what VM entry does against what the rules demand (entry_oracle.c).
 *	fuzz_entry [COUNT [FIRST_SEED]]
 * Each starts from a valid VMCS of some kind; up to six fields are changed, by a bit, to a value at some edge, or at random.
 */
#include <stdio.h>

#include "tests/fuzz/entry_oracle.h"
#include "tests/unit/vmx_entry_bases.h"

#include "base/log.h"
#include "cpu/msr.h"

#define IA32_PERF_GLOBAL_CTRL 0x38f
#define IA32_PAT 0x277

static u64 random_state;

static u64
next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * 0x2545f4914f6cdd1dull;
}

static unsigned
below(unsigned n)
{
	return (unsigned)(next() >> 33) % n;
}

static const struct {
	const char *name;
	void (*make)(struct vmx_fixture *f);
} bases[] = {
#define B(name) {#name, base_##name}
	B(plain),	 B(ept),       B(mbec),	      B(pml),	      B(vmfunc),   B(vpid),	   B(tpr),	B(tpr_vaa), B(x2apic),
	B(registers),	 B(vid),       B(posted),     B(virtual_nmis), B(nmi_window), B(full),	   B(full),	B(full),    B(segments),
	B(unusable),	 B(user),      B(conforming), B(compatibility), B(pae),	   B(pae_ept),	   B(host32),	B(real),    B(unrestricted),
	B(vm86),	 B(vm86_real), B(interrupt),  B(nmi),	      B(virtual_nmi), B(fault),	   B(software), B(sti),	    B(mov_ss),
	B(halted),	 B(shut_down), B(waiting),    B(stepping),
#undef B
};

static const char *const models[] = {
	"max",
	"max,phys-bits=52",
	"max,+pmu,+la57,phys-bits=46",
	"max,-unrestricted-guest,-mtf,-ept-ad,-zero-len-inject,-activity-shutdown",
	"max,-shadow-vmcs,-ept-wb,-vmfunc,-exit-save-preemption-timer,-activity-wait-sipi,-nx",
	"max,-true-ctls,-ins-outs",
	"max,-ept,-flexpriority,-vnmi,-entry-load-debugctl,phys-bits=36",
};
static struct vmx_fixture fixtures[COUNT(models)];
static u64 perf_global_valid[COUNT(models)];

/* --- the oracle's view --- */

static u64
see_field(void *opaque, u32 encoding)
{
	return vmcs_get(((struct vmx_fixture *)opaque)->v, vmcs_field(encoding), encoding);
}

static u64
see_memory(void *opaque, u64 address, int size)
{
	return phys_read(((struct vmx_fixture *)opaque)->cpu, address, (unsigned)size);
}

static bool
see_msr(void *opaque, u32 index, u64 *value)
{
	return vmx_capability_read(((struct vmx_fixture *)opaque)->cpu, index, value);
}

/* Of the MSRs that this program puts into lists. */
static bool
wrmsr_ok(void *opaque, u32 index, u64 value)
{
	unsigned width = ((struct vmx_fixture *)opaque)->cpu->model->linear_bits;

	switch (index) {
	case 0x10:
		return true;
	case 0xc0000082:
		return (u64)((s64)(value << (64 - width)) >> (64 - width)) == value;
	case IA32_PAT:
		for (unsigned i = 0; i < 64; i += 8)
			if (value >> i & 0xf8 || (value >> i & 7) == 2 || (value >> i & 7) == 3)
				return false;
		return true;
	default:
		return false;
	}
}

/* --- mutation --- */

static u64
edge(void)
{
	static const u64 edges[] = {0, 1, 2, 3, 8, 15, 16, 0x80, 0xff, 0x100, 0xfff, 0x1000, 0xffff, 0x10000, 0xfffff, 0x100000, 0x7fffffff,
				    0x80000000, 0xffffffff, 1ull << 32, 1ull << 47, 0xffff800000000000ull, 1ull << 48, 1ull << 52, 1ull << 63,
				    ~0ull, OTHER_REGION, SHADOW_REGION, VMCS_REGION, OPERAND, EPT_TABLES};

	return edges[below(COUNT(edges))];
}

/* What an entry-interruption field may look like. */
static u64
random_event(void)
{
	return 0x80000000 | below(8) << 8 | below(40) | (below(4) ? 0 : BIT(11)) | (below(8) ? 0 : BIT(12 + below(19)));
}

static void
mutate(struct vmx_fixture *f)
{
	static const u16 often[] = {VMCS_pin_controls, VMCS_proc_controls, VMCS_sec_controls, VMCS_exit_controls, VMCS_entry_controls,
				    VMCS_entry_interruption_info, VMCS_guest_cr0, VMCS_guest_cr4, VMCS_guest_rflags, VMCS_guest_interruptibility,
				    VMCS_guest_activity, VMCS_guest_pending_debug, VMCS_guest_cs_access, VMCS_guest_ss_access, VMCS_host_cr4,
				    VMCS_vmcs_link_pointer, VMCS_eptp, VMCS_entry_msr_load_count};
	static unsigned fields;
	const struct vmcs_field *field;
	u64 value;

	while (vmcs_field_at(fields))
		fields++;
	field = below(3) ? vmcs_field_at(below(fields)) : vmcs_field(often[below(COUNT(often))]);
	value = vmcs_get(f->v, field, field->encoding);
	switch (below(8)) {
	case 0: value = edge(); break;
	case 1: value = next() & (below(2) ? 0xffff : ~0ull); break;
	case 2: value ^= edge(); break;
	default: value ^= 1ull << below(field->size * 8); break;
	}
	if (field->encoding == VMCS_entry_interruption_info && below(4))
		value = random_event();
	if (field->encoding == VMCS_entry_msr_load_count && below(4))
		value = below(4);
	vmcs_set(f->v, field, field->encoding, value);
}

static void
random_memory(struct vmx_fixture *f)
{
	static const u32 msrs[] = {0xc0000082, 0xc0000082, 0x10, IA32_PAT, 0xc0000100, 0xc0000101, 0x808, 0x9b, 0x79, 0x8b, 0x12345678};

	poke(f, VIRTUAL_APIC + 0x80, 4, next());
	for (unsigned i = 0; i < 4; i++) {
		poke(f, MSR_LIST + 16 * i, 8, msrs[below(below(4) ? 3 : COUNT(msrs))] | (below(16) ? 0 : 1ull << 40));
		poke(f, MSR_LIST + 16 * i + 8, 8, below(4) ? 0x0007040600070406ull : edge());
	}
	for (unsigned i = 0; i < 4; i++)
		poke(f, OPERAND + 0x800 + 8 * i, 8, below(8) ? 0x1001 : edge());
	if (!below(4))
		poke(f, OTHER_REGION, 4, VMCS_REVISION ^ (u32)(below(2) ? edge() : VMCS_SHADOW));
	f->cpu->msr.debugctl = below(4);
}

/* --- comparison --- */

struct said {
	unsigned controls, host, guest;
	const char *first;
};

static void
hear(void *opaque, const struct vmx_broken_rule *broken)
{
	struct said *s = opaque;

	s->first = s->first ? s->first : broken->id;
	if (!strncmp(broken->id, "VE-HST", 6))
		s->host++;
	else if (!strncmp(broken->id, "VE-C", 4) || !strncmp(broken->id, "VE-E", 4) || !strncmp(broken->id, "VE-I", 4))
		s->controls++;
	else
		s->guest++;
}

static const char *
outcome(struct vmx_fixture *f, bool left)
{
	static char text[80];

	if (f->cpu->vmx->launched)
		return "enters";
	if (!left)
		snprintf(text, sizeof(text), "VMfail %u", f->v->vm_instruction_error);
	else
		snprintf(text, sizeof(text), "exit reason %#x, qualification %llu", f->v->exit_reason,
			 (unsigned long long)f->v->exit_qualification);
	return text;
}

static bool
as_demanded(struct vmx_fixture *f, const struct oracle_verdict *o, bool left)
{
	const struct vmcs *v = f->v;

	if (o->error7 || o->error8)
		return !left && fixture_flags(f) == FLAG_ZF && !f->cpu->vmx->launched &&
		       ((o->error7 && v->vm_instruction_error == 7) || (o->error8 && v->vm_instruction_error == 8));
	if (o->state0 || o->state2 || o->state4)
		return left && !f->cpu->vmx->launched && v->exit_reason == 0x80000021 &&
		       ((o->state0 && v->exit_qualification == 0) || (o->state2 && v->exit_qualification == 2) ||
			(o->state4 && v->exit_qualification == 4));
	if (o->msr_entry)
		return left && !f->cpu->vmx->launched && v->exit_reason == 0x80000022 && v->exit_qualification == o->msr_entry;
	return left && f->cpu->vmx->launched;
}

static struct {
	unsigned long refused, failed, msr, entered;
} totals;

static void
count(const struct oracle_verdict *o)
{
	if (o->error7 || o->error8)
		totals.refused++;
	else if (o->state0 || o->state2 || o->state4)
		totals.failed++;
	else if (o->msr_entry)
		totals.msr++;
	else
		totals.entered++;
}

/* Did it leave through the door? */
static __attribute__((noinline)) bool
launch(struct vmx_fixture *f)
{
	return LEAVES(op_vmlaunch(f->cpu, NULL));
}

static bool
one(unsigned long seed)
{
	unsigned number = (unsigned)(seed % COUNT(models)), base;
	struct vmx_fixture *f = &fixtures[number];
	struct oracle_verdict verdict;
	struct said said = {0};
	struct oracle_view view;
	bool left, agree;

	random_state = seed * 0x9e3779b97f4a7c15ull | 1;
	next();
	base = below(COUNT(bases));
	f->cpu->nonroot = false;
	f->cpu->activity = ACTIVITY_ACTIVE;
	f->cpu->shadow = 0;
	cpu_set_rflags(f->cpu, 2);
	event_disarm(f->events, &f->cpu->vmx->timer);
	f->cpus->triple_fault = f->cpus->stop = false;
	bases[base].make(f);
	random_memory(f);
	if (!VMX_ALLOWED(&f->cpu->vmx->cap, BASIC, TRUE_CONTROLS) && below(8)) {
		f->v->proc_controls |= PROC_DEFAULT1;
		f->v->exit_controls |= EXIT_DEFAULT1;
		f->v->entry_controls |= ENTRY_DEFAULT1;
	}
	for (unsigned n = below(7); n; n--)
		mutate(f);
	f->v->exit_reason = f->v->vm_instruction_error = 0;
	f->v->exit_qualification = 0x55;
	view = (struct oracle_view){
		f, see_field, see_memory, see_msr, wrmsr_ok, VMCS_REGION, VMCS_REVISION, f->cpu->efer & EFER_LMA, f->cpu->msr.debugctl,
		f->cpu->model->physical_bits, f->cpu->model->linear_bits, f->cpu->model->has[FEATURE_NX], f->cpu->model->has[FEATURE_SYSCALL],
		perf_global_valid[number]};
	oracle_judge(&view, &verdict);
	vmx_entry_doctor(f->cpu, hear, &said);
	/* An abort would say nothing about the entry. */
	if (!verdict.error7)
		f->v->exit_msr_load_count = 0;
	left = launch(f);
	count(&verdict);
	agree = !said.controls == !verdict.error7 && !said.host == !verdict.error8 &&
		!said.guest == !(verdict.state0 || verdict.state2 || verdict.state4);
	if (agree && as_demanded(f, &verdict, left))
		return true;
	fprintf(stderr, "seed %lu, -cpu %s, base %s: rules: %s %s %s MSR entry %u; nestbox: %s, first %s\n", seed, models[number],
		bases[base].name, verdict.control ? verdict.control : "-", verdict.host ? verdict.host : "-",
		verdict.guest ? verdict.guest : "-", verdict.msr_entry, outcome(f, left), said.first ? said.first : "-");
	return false;
}

int
main(int argc, char **argv)
{
	unsigned long number = argc > 1 ? strtoul(argv[1], NULL, 0) : 200000, first = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
	unsigned differences = 0;

	free((char *)log_configure("error"));
	for (unsigned i = 0; i < COUNT(models); i++) {
		fixture_make(&fixtures[i], models[i]);
		for (unsigned n = 0; n < 64; n++)
			if (msr_write(fixtures[i].cpu, IA32_PERF_GLOBAL_CTRL, BIT(n)))
				perf_global_valid[i] |= BIT(n);
	}
	for (unsigned long seed = first; seed < first + number && differences < 20; seed++)
		differences += !one(seed);
	for (unsigned i = 0; i < COUNT(models); i++)
		fixture_free(&fixtures[i]);
	printf("%lu VMCSs: %lu entries refused by VMfail, %lu by guest state, %lu by the MSR-load list, %lu entered; %u differences\n", number,
	       totals.refused, totals.failed, totals.msr, totals.entered, differences);
	return differences != 0;
}
