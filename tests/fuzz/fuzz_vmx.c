/*
 * VM entries from VMCSs that are valid but for a few fields, and what random guest code then does under random controls.
 *
 * What must hold, besides the sanitizers' silence: VM entry fails exactly when the doctor finds a broken rule, in the way of that
 * rule; a VM exit saves a guest state that can be entered again.
 */
#include <stdio.h>

#include "../unit/vmx_fixture.h"

#include "tests/fuzz/fuzz.h"

#define INPUT_SIZE 512
#define STEPS 3000

static struct {
	unsigned long long entries, refused, failed, exits, reasons;
	bool seen[VMX_REASONS];
} totals;

static void
time_is_up(void *opaque, u64 now)
{
	(void)now;
	((struct cpus *)opaque)->stop = true;
}

static void
unless(u32 needed, u32 *word, u64 dependent)
{
	if (!needed)
		*word &= ~(u32)dependent;
}

/* Takes away what lacks something that it needs. */
static void
make_consistent(struct vmcs *v)
{
	u32 ept = v->sec_controls & (u32)VMX_MASK(SEC, ENABLE_EPT);
	u32 tpr_shadow = v->proc_controls & (u32)VMX_MASK(PROC, TPR_SHADOW);

	unless(v->pin_controls & (u32)VMX_MASK(PIN, NMI_EXITING), &v->pin_controls, VMX_MASK(PIN, VIRTUAL_NMIS));
	unless(v->pin_controls & (u32)VMX_MASK(PIN, VIRTUAL_NMIS), &v->proc_controls,
	       VMX_MASK(PROC, NMI_WINDOW_EXITING));
	unless(tpr_shadow, &v->sec_controls,
	       VMX_MASK(SEC, VIRTUALIZE_X2APIC_MODE) | VMX_MASK(SEC, APIC_REGISTER_VIRTUALIZATION) |
		       VMX_MASK(SEC, VIRTUAL_INTERRUPT_DELIVERY));
	if (v->sec_controls & VMX_MASK(SEC, VIRTUALIZE_APIC_ACCESSES))
		v->sec_controls &= ~(u32)VMX_MASK(SEC, VIRTUALIZE_X2APIC_MODE);
	if (v->sec_controls & VMX_MASK(SEC, VIRTUAL_INTERRUPT_DELIVERY))
		v->pin_controls |= (u32)VMX_MASK(PIN, EXTERNAL_INTERRUPT_EXITING);
	unless(v->sec_controls & (u32)VMX_MASK(SEC, VIRTUAL_INTERRUPT_DELIVERY), &v->pin_controls,
	       VMX_MASK(PIN, POSTED_INTERRUPTS));
	unless(v->exit_controls & (u32)VMX_MASK(EXIT, ACKNOWLEDGE_INTERRUPT), &v->pin_controls,
	       VMX_MASK(PIN, POSTED_INTERRUPTS));
	unless(ept, &v->sec_controls,
	       VMX_MASK(SEC, UNRESTRICTED_GUEST) | VMX_MASK(SEC, MODE_BASED_EXECUTE) | VMX_MASK(SEC, ENABLE_PML));
	unless(v->pin_controls & (u32)VMX_MASK(PIN, PREEMPTION_TIMER), &v->exit_controls,
	       VMX_MASK(EXIT, SAVE_PREEMPTION_TIMER));
}

/* Control bits that may be set together, with the addresses that they need. */
static void
random_controls(struct vmx_fixture *f, struct input *in)
{
	const u64 *allowed = f->cpu->vmx->cap.allowed;
	struct vmcs *v = f->v;

	v->pin_controls |= (u32)(take(in, 4) & take(in, 4) & allowed[VMX_PIN]);
	v->proc_controls |= (u32)(take(in, 4) & take(in, 4) & allowed[VMX_PROC]);
	v->sec_controls = (u32)(take(in, 4) & take(in, 4) & allowed[VMX_SEC]);
	v->exit_controls |= (u32)(take(in, 4) & take(in, 4) & allowed[VMX_EXIT]);
	v->entry_controls |= (u32)(take(in, 4) & take(in, 4) & allowed[VMX_ENTRY]);
	if (take(in, 1) & 15)
		make_consistent(v);
	if (v->sec_controls & VMX_MASK(SEC, ENABLE_EPT))
		fixture_ept(f);
	v->eptp |= take(in, 1) & 0x40;
	v->io_bitmap_a = IO_PAGES;
	v->io_bitmap_b = IO_PAGES + 0x1000;
	v->msr_bitmap = v->vmread_bitmap = v->vmwrite_bitmap = MSR_BITMAP;
	v->virtual_apic_address = VIRTUAL_APIC;
	v->apic_access_address = APIC_ACCESS;
	v->pml_address = PML_PAGE;
	v->pml_index = (u16)take(in, 1);
	v->vpid = 1;
	v->tsc_multiplier = take(in, 8) | 1;
	v->ve_information_address = v->eptp_list_address = OPERAND & ~0xfffull;
	v->host_efer = v->guest_efer = f->cpu->efer;
	v->host_pat = v->guest_pat = 0x0007040600070406ull;
	v->exception_bitmap = (u32)take(in, 4);
	v->preemption_timer_value = (u32)take(in, 1);
	v->guest_interrupt_status = (u16)take(in, 2);
	v->guest_rflags = 2 | (take(in, 4) & (FLAG_IF | FLAG_TF | FLAG_RF | FLAG_CF | FLAG_AC));
	v->cr0_mask = take(in, 4);
	v->cr4_mask = take(in, 4);
}

/* Overwrites a few fields, mostly by values at some edge. */
static void
break_fields(struct vmx_fixture *f, struct input *in)
{
	static const u64 edges[] = {0,      1,       2,          3,          0x10,       0x80,       0xff, 0x1000,
				    0xffff, 0x10000, 0x80000000, 0xffffffff, 1ull << 47, 1ull << 63, ~0ull};

	for (unsigned n = take(in, 1) & 7; n > 4; n--) {
		unsigned fields = 0;
		const struct vmcs_field *field;
		u64 value = take(in, 1) & 3 ? edges[take(in, 1) % COUNT(edges)] : take(in, 8);

		while (vmcs_field_at(fields))
			fields++;
		field = vmcs_field_at((unsigned)take(in, 2) % fields);
		/* The host must come back, and its own pages are not the subject. */
		if (vmcs_type(field->encoding) == VMCS_HOST && (take(in, 1) & 7))
			continue;
		vmcs_set(f->v, field, field->encoding, value);
	}
	if (take(in, 1) & 1) {
		f->v->entry_interruption_info = (u32)(0x80000000 | (take(in, 2) & 0x0fff));
		f->v->entry_instruction_length = (u32)take(in, 1) & 15;
	}
}

static void
guest_code(struct vmx_fixture *f, struct input *in)
{
	static const char *const common[] = {
		"\x0f\xa2",     "\xf4",         "\x0f\x20\xc0", "\x0f\x22\xc0", "\x0f\x22\xd8",
		"\x0f\x22\xe0", "\x0f\x30",     "\x0f\x32",     "\xe4\x60",     "\xfb",
		"\xfa",         "\x9d",         "\xcf",         "\xcd\x20",     "\xcc",
		"\x0f\x0b",     "\x0f\x01\xc1", "\x0f\x31",     "\xf3\x90",     "\x0f\x00\xd0",
		"\x8e\xd0",     "\x0f\x06",     "\x0f\x01\xf0", "\x0f\x78\xc8", "\x44\x0f\x22\xc0",
		"\x0f\x01\xd4", "\x8b\x03",     "\x89\x03",     "\xeb\xfe",     "\x6e",
		"\x0f\x09",     "\x48\xcf",
	};
	u64 at = GUEST_CODE;

	for (unsigned i = 0; i < 24; i++) {
		if (take(in, 1) & 3) {
			for (const char *c = common[take(in, 1) % COUNT(common)]; *c; c++)
				poke(f, at++, 1, (u8)*c);
		} else {
			poke(f, at++, 1, take(in, 1));
		}
	}
}

struct heard {
	unsigned controls, host, guest;
	const char *first;
};

static void
hear(void *opaque, const struct vmx_broken_rule *broken)
{
	struct heard *h = opaque;
	const char *id = broken->id;

	if (!h->first)
		h->first = id;
	if (!strncmp(id, "VE-HST", 6))
		h->host++;
	else if (!strncmp(id, "VE-C", 4) || !strncmp(id, "VE-E", 4) || !strncmp(id, "VE-I", 4))
		h->controls++;
	else
		h->guest++;
}

static _Noreturn void
wrong(const struct vmx_fixture *f, const struct heard *h, const char *what)
{
	fprintf(stderr, "%s: reason %x, qualification %llx, error %u, rule %s, RIP %llx\n", what, f->v->exit_reason,
		(unsigned long long)f->v->exit_qualification, f->v->vm_instruction_error, h->first ? h->first : "-",
		(unsigned long long)f->v->guest_rip);
	abort();
}

static void
run(struct vmx_fixture *f, struct event *limit)
{
	event_arm(f->events, limit, f->cpus->now + STEPS);
	cpus_run(f->cpus);
	event_disarm(f->events, limit);
}

static void
check_outcome(struct vmx_fixture *f, const struct heard *h, const struct vmx_stats *before)
{
	struct heard again = {0};

	if (f->cpus->triple_fault)
		return; /* VMX abort, or the host's own state was broken */
	if (vmx_get_stats(f->cpu)->entries == before->entries) {
		if (!h->controls && !h->host && !h->guest &&
		    f->v->exit_reason != (REASON_MSR_LOAD_FAIL | REASON_ENTRY_FAILURE))
			wrong(f, h, "an entry without broken rules failed");
		return;
	}
	totals.entries++;
	if (h->controls || h->host || h->guest)
		wrong(f, h, "an entry with a broken rule succeeded");
	if (f->cpu->nonroot)
		return;
	totals.exits++;
	totals.seen[f->v->exit_reason % VMX_REASONS] = true;
	f->v->entry_interruption_info = 0;
	/* A debug exception that exits leaves no trace in the pending debug exceptions; with STI blocking software must mend that. */
	if (f->v->exit_reason == REASON_EXCEPTION_NMI && (u8)f->v->exit_interruption_info == VECTOR_DB)
		f->v->guest_interruptibility &= ~(u32)(BLOCKING_STI | BLOCKING_MOV_SS);
	vmx_entry_doctor(f->cpu, hear, &again);
	if (again.guest)
		wrong(f, &again, "the state that a VM exit saved cannot be entered");
}

int
LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = {data, size, 0};
	struct vmx_fixture fixture, *f = &fixture;
	struct vmx_stats before;
	struct event limit;
	struct heard heard = {0};

	fixture_make(f, "max");
	fixture_root(f);
	event_init(&limit, "limit", EVENT_STOP, time_is_up, f->cpus);
	fixture_host(f);
	for (unsigned vector = 0; vector < 32; vector++) {
		poke(f, 0x60000 + 16 * vector, 8, 0x00078e0000080000ull | (u64)(vector * 16));
		poke(f, 0x70000 + 16 * vector, 4, 0xcf48); /* iretq */
	}
	f->v->guest_idtr_base = 0x60000;
	f->v->guest_idtr_limit = 0x1ff;
	f->v->guest_gdtr_base = f->v->host_gdtr_base = 0x62000;
	poke(f, 0x62008, 8, 0x00af9b000000ffffull);
	poke(f, 0x62010, 8, 0x00cf93000000ffffull);
	f->v->guest_gdtr_limit = 0x1f;
	if (take(&in, 1) & 7)
		random_controls(f, &in);
	break_fields(f, &in);
	guest_code(f, &in);
	f->cpu->r[RBX] = APIC_ACCESS + (take(&in, 2) & 0xff0);
	f->cpu->r[RAX] = take(&in, 4);
	f->cpu->r[RCX] = take(&in, 2);

	vmx_entry_doctor(f->cpu, hear, &heard);
	if (heard.controls || heard.host)
		totals.refused++;
	else if (heard.guest)
		totals.failed++;
	before = *vmx_get_stats(f->cpu);
	f->cpu->rip = HOST_ENTRY;
	run(f, &limit);
	check_outcome(f, &heard, &before);
	fixture_free(f);
	return 0;
}

#ifndef NB_LIBFUZZER
int
main(int argc, char **argv)
{
	fuzz_arguments(argc, argv, 2000);
	for (unsigned seed = first_seed; seed < first_seed + inputs; seed++) {
		u8 data[INPUT_SIZE];

		fuzz_bytes(data, sizeof(data), seed * 0x9e3779b97f4a7c15ull | 1);
		if (getenv("FUZZ_VERBOSE"))
			fprintf(stderr, "seed %u\n", seed);
		LLVMFuzzerTestOneInput(data, sizeof(data));
	}
	for (unsigned i = 0; i < VMX_REASONS; i++)
		totals.reasons += totals.seen[i];
	printf("%u inputs: %llu entries refused, %llu failed, %llu succeeded, %llu VM exits of %llu reasons\n", inputs,
	       totals.refused, totals.failed, totals.entries, totals.exits, totals.reasons);
	/* The inputs must reach all of it. */
	return !(totals.refused && totals.failed && totals.entries && totals.exits && totals.reasons > 5);
}
#endif
