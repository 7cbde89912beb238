/* The VMX commands: info vmcs, vmcs check, vmcs diff, info exits, exits, why. */
#include <stdlib.h>
#include <string.h>

#include "cpu/msr.h"
#include "debugger/internal.h"

static bool
has_vmx(struct debugger *d)
{
	if (d->cpu->vmx)
		return true;
	complain(d, "this processor has no VMX");
	return false;
}

/* --- fields in words --- */

static void
print_controls(struct debugger *d, enum vmx_word word, u64 value)
{
	static const struct {
		u8 word, bit;
		const char *text;
	} controls[] = {
#define CTL(word, bit, name, emulated, option, text) {VMX_##word, bit, text},
#include "vmx/controls.def"
#undef CTL
	};

	for (unsigned i = 0; i < COUNT(controls); i++)
		if (controls[i].word == word && value >> controls[i].bit & 1)
			say(d, "        %2u %s\n", controls[i].bit, controls[i].text);
}

static void
print_access(struct debugger *d, u64 value)
{
	if (value & VMCS_UNUSABLE)
		say(d, "  unusable");
	else
		say(d, "  type %llu%s DPL %llu%s%s%s%s", (ull)(value & 15), value & 16 ? " code/data" : " system", (ull)(value >> 5 & 3),
		    value & SEG_P ? " P" : "", value & SEG_L ? " L" : "", value & SEG_DB ? " D/B" : "", value & SEG_G ? " G" : "");
}

static void
print_bits(struct debugger *d, u64 value, const char *const *names, unsigned count)
{
	say(d, " ");
	for (unsigned i = 0; i < count; i++)
		if (names[i] && value >> i & 1)
			say(d, " %s", names[i]);
}

static void
print_decoded(struct debugger *d, const struct vmcs_field *field, u64 value)
{
	static const char *const cr0[32] = {"PE", "MP", "EM", "TS", "ET", "NE", [16] = "WP", [18] = "AM", [29] = "NW", "CD", "PG"};
	static const char *const cr4[23] = {"VME", "PVI",  "TSD",  "DE",   "PSE",  "PAE", "MCE",  "PGE",   "PCE",     "OSFXSR", "OSXMMEXCPT", "UMIP",
					    "LA57", "VMXE", "SMXE", [16] = "FSGSBASE", "PCIDE", "OSXSAVE", [20] = "SMEP",   "SMAP",       "PKE"};
	static const char *const efer[12] = {"SCE", [8] = "LME", [10] = "LMA", "NXE"};
	static const char *const rflags[22] = {"CF", [2] = "PF", [4] = "AF", [6] = "ZF", "SF", "TF", "IF", "DF", "OF", [14] = "NT",
					       [16] = "RF", "VM", "AC", "VIF", "VIP", "ID"};
	static const char *const blocking[5] = {"STI", "MOV-SS", "SMI", "NMI"};
	static const char *const activity[] = {"active", "HLT", "shutdown", "wait-for-SIPI"};
	const struct vmcs *v = &d->cpu->vmx->vmcs;
	const struct space hypervisor = {1, v->host_cr3, 0}, guest = {2, v->guest_cr3, v->eptp};
	char text[200];

	switch (field->encoding) {
	case VMCS_guest_cr0:
	case VMCS_host_cr0:
	case VMCS_cr0_mask:
	case VMCS_cr0_read_shadow: print_bits(d, value, cr0, COUNT(cr0)); break;
	case VMCS_guest_cr4:
	case VMCS_host_cr4:
	case VMCS_cr4_mask:
	case VMCS_cr4_read_shadow: print_bits(d, value, cr4, COUNT(cr4)); break;
	case VMCS_guest_efer:
	case VMCS_host_efer: print_bits(d, value, efer, COUNT(efer)); break;
	case VMCS_guest_rflags: print_bits(d, value, rflags, COUNT(rflags)); break;
	case VMCS_guest_interruptibility: print_bits(d, value, blocking, COUNT(blocking)); break;
	case VMCS_guest_activity: say(d, "  %s", value < COUNT(activity) ? activity[value] : "reserved"); break;
	case VMCS_exit_reason: say(d, "  %s%s", reason_text((u32)value), value & REASON_ENTRY_FAILURE ? ", entry failed" : ""); break;
	case VMCS_exit_interruption_info:
	case VMCS_idt_vectoring_info:
	case VMCS_entry_interruption_info:
		describe_event((u32)value, field->encoding == VMCS_entry_interruption_info ? d->cpu->vmx->vmcs.entry_error_code
									: d->cpu->vmx->vmcs.exit_interruption_error,
			       text, sizeof(text));
		say(d, "  %s", text);
		break;
	case VMCS_eptp:
		say(d, "  PML4 at %#llx, %s, %llu levels%s", (ull)(value & BITS(~0ull, 51, 12) << 12), (value & 7) == 6 ? "WB" : "UC",
		    (ull)(value >> 3 & 7) + 1, value & 64 ? ", A/D" : "");
		break;
	case VMCS_exception_bitmap:
		for (unsigned i = 0; i < 32; i++)
			if (value >> i & 1)
				say(d, "  %u", i);
		break;
	default:
		if (strstr(field->name, "_access") && field->size == 4 && vmcs_type(field->encoding) == VMCS_GUEST)
			print_access(d, value);
		else if (strstr(field->name, "_rip") && d->symbols)
			say(d, "  %s", symbol_text_in(d, vmcs_type(field->encoding) == VMCS_HOST ? &hypervisor : &guest, value, text, sizeof(text)));
		break;
	}
}

static void
print_field(struct debugger *d, const struct vmcs *v, const struct vmcs_field *field)
{
	u64 value = vmcs_get(v, field, field->encoding);
	static const struct {
		u16 encoding;
		enum vmx_word word;
	} words[] = {
		{VMCS_pin_controls, VMX_PIN},   {VMCS_proc_controls, VMX_PROC},   {VMCS_sec_controls, VMX_SEC},
		{VMCS_exit_controls, VMX_EXIT}, {VMCS_entry_controls, VMX_ENTRY},
	};

	say(d, "    %04x %-28s %0*llx", field->encoding, field->name, field->size * 2, (ull)value);
	print_decoded(d, field, value);
	say(d, "\n");
	for (unsigned i = 0; i < COUNT(words); i++)
		if (words[i].encoding == field->encoding)
			print_controls(d, words[i].word, value);
}

void
info_vmcs(struct debugger *d, const char *arguments)
{
	static const struct {
		const char *name, *title;
		enum vmcs_type type;
	} groups[] = {
		{"control", "Control fields", VMCS_CONTROL},
		{"exit", "VM-exit information", VMCS_READ_ONLY},
		{"guest", "Guest state", VMCS_GUEST},
		{"host", "Host state", VMCS_HOST},
	};
	const struct vmcs_field *field;
	const struct vmx *vmx;
	char *end;
	u64 encoding = strtoull(arguments, &end, 16);
	bool any = false, by_encoding = end != arguments && !*end;

	if (!has_vmx(d))
		return;
	vmx = d->cpu->vmx;
	if (vmx->current == NO_VMCS) {
		say(d, "no current VMCS%s\n", vmx->operation ? "" : "; not in VMX operation");
		return;
	}
	for (unsigned g = 0; g < COUNT(groups); g++) {
		bool whole = !*arguments || !strcmp(arguments, groups[g].name), titled = false;

		for (unsigned i = 0; (field = vmcs_field_at(i)); i++) {
			bool named = !whole && (!strcasecmp(field->name, arguments) || (by_encoding && encoding == field->encoding));

			if (vmcs_type(field->encoding) != groups[g].type || !(whole || named) || !vmcs_lookup(&vmx->cap, field->encoding))
				continue;
			if (!titled && whole)
				say(d, "%s of VMCS %#llx (%s%s)\n", groups[g].title, (ull)vmx->current, vmx->launched ? "launched" : "clear",
				    vmx->shadow ? ", shadow" : "");
			titled = any = true;
			print_field(d, &vmx->vmcs, field);
		}
	}
	if (!any)
		complain(d, "'%s' is neither a field nor one of control, exit, guest, host", arguments);
}

/* --- vmcs check, vmcs diff --- */

static void
on_broken_rule(void *opaque, const struct vmx_broken_rule *broken)
{
	char values[400];

	describe_rule_values(broken, values, sizeof(values));
	say(opaque, "  %s: %s\n      %s\n      \"%s\"\n", broken->id, broken->rule, values, broken->heading);
}

static void
vmcs_check(struct debugger *d)
{
	struct vcpu *cpu = d->cpu;
	u64 efer = cpu->efer;
	unsigned failures;

	if (cpu->vmx->current == NO_VMCS) {
		complain(d, "no current VMCS");
		return;
	}
	if (cpu->nonroot) {
		say(d, "(in the guest: fields are those of the last entry)\n");
		/* Some rules look at the mode that VMLAUNCH is executed in: the hypervisor's, not the guest's. */
		cpu->efer &= ~EFER_LMA;
		if (cpu->vmx->vmcs.exit_controls & VMX_MASK(EXIT, HOST_ADDRESS_SPACE_SIZE))
			cpu->efer |= EFER_LMA;
	}
	failures = vmx_entry_doctor(cpu, on_broken_rule, d);
	cpu->efer = efer;
	if (failures)
		say(d, "%u checks would fail\n", failures);
	else
		say(d, "VM entry would pass all checks\n");
}

static void
vmcs_diff(struct debugger *d)
{
	unsigned count = d->vcpu[d->cpu->index].vmcss, now = (count - 1) % HISTORY_OF_VMCS, before = count % HISTORY_OF_VMCS, differences = 0;
	const struct vmcs_field *field;

	if (count < 2) {
		complain(d, "two exits are needed, there were %u", count);
		return;
	}
	if (d->vcpu[d->cpu->index].region[now] != d->vcpu[d->cpu->index].region[before])
		say(d, "(of different VMCSs: %#llx and %#llx)\n", (ull)d->vcpu[d->cpu->index].region[before],
		    (ull)d->vcpu[d->cpu->index].region[now]);
	for (unsigned i = 0; (field = vmcs_field_at(i)); i++) {
		u64 a = vmcs_get(&d->vcpu[d->cpu->index].vmcs[before], field, field->encoding);
		u64 b = vmcs_get(&d->vcpu[d->cpu->index].vmcs[now], field, field->encoding);

		if (a == b)
			continue;
		differences++;
		say(d, "  %-28s %#llx -> %#llx", field->name, (ull)a, (ull)b);
		print_decoded(d, field, b);
		say(d, "\n");
	}
	if (!differences)
		say(d, "no field differs\n");
}

void
command_vmcs(struct debugger *d, const char *arguments)
{
	if (!has_vmx(d))
		return;
	if (!strcmp(arguments, "check"))
		vmcs_check(d);
	else if (!strcmp(arguments, "diff"))
		vmcs_diff(d);
	else
		complain(d, "vmcs check, or vmcs diff (info vmcs shows fields)");
}

/* --- exits --- */

static int
by_count(const void *a, const void *b)
{
	const struct reason_statistics *const *x = a, *const *y = b;

	if ((*x)->count != (*y)->count)
		return (*x)->count < (*y)->count ? 1 : -1;
	return *x < *y ? -1 : 1;
}

void
info_exits(struct debugger *d, const char *arguments)
{
	struct reason_statistics *order[VMX_REASONS];
	u64 total = 0;

	(void)arguments;
	for (unsigned i = 0; i < VMX_REASONS; i++) {
		order[i] = &d->reason[i];
		total += d->reason[i].count;
	}
	if (!total) {
		say(d, "no VM exits since the debugger listens\n");
		return;
	}
	qsort(order, VMX_REASONS, sizeof(order[0]), by_count);
	say(d, "%-22s %10s %7s  %-30s  %-30s\n", "reason", "count", "share", "cycles in the guest before", "cycles until the next entry");
	say(d, "%-22s %10s %7s  %9s %9s %10s  %9s %9s %10s\n", "", "", "", "min", "mean", "max", "min", "mean", "max");
	for (unsigned i = 0; i < VMX_REASONS && order[i]->count; i++) {
		const struct reason_statistics *s = order[i];

		say(d, "%-22s %10llu %6.2f%%  %9llu %9llu %10llu  %9llu %9llu %10llu\n", reason_text((u32)(s - d->reason)), (ull)s->count,
		    (double)s->count * 100 / (double)total, (ull)s->guest_min, (ull)(s->guest_sum / s->count), (ull)s->guest_max,
		    (ull)s->host_min, (ull)(s->host_count ? s->host_sum / s->host_count : 0), (ull)s->host_max);
	}
	say(d, "%-22s %10llu\n", "all", (ull)total);
}

void
command_exits(struct debugger *d, const char *arguments)
{
	u64 count = 10;
	char text[200], symbol[100];

	if (*arguments && !number_argument(d, arguments, &count))
		return;
	count = MIN(MIN(count, d->exits), EXITS);
	if (!d->exits)
		say(d, "no VM exits since the debugger listens\n");
	for (u64 n = d->exits - count; n < d->exits; n++) {
		const struct exit_record *e = exit_number(d, n);

		const struct space guest = {2, e->cr3, e->eptp};

		describe_exit(e, text, sizeof(text));
		say(d, "%6llu cpu%u t=%llu vpid %u rip %#llx%s %s%s%s\n", (ull)n, e->cpu, (ull)e->time, e->vpid, (ull)e->rip,
		    symbol_text_in(d, &guest, e->rip, symbol, sizeof(symbol)), reason_text(e->reason), *text ? ": " : "", text);
	}
}

/* --- why --- */

static void
written_by(struct debugger *d, u16 encoding)
{
	const struct vmcs_field *field = vmcs_field(encoding);
	const struct vmwrite_record *w = &d->vmwritten[field - vmcs_field_at(0)];
	const struct space hypervisor = {1, 0, 0};
	char symbol[100];

	say(d, "  %s = %#llx", field->name, (ull)vmcs_get(&d->cpu->vmx->vmcs, field, encoding));
	if (w->known && w->region == d->cpu->vmx->current)
		say(d, ", written by VMWRITE at %#llx%s, instruction %llu", (ull)w->rip,
		    symbol_text_in(d, &hypervisor, w->rip, symbol, sizeof(symbol)),
		    (ull)w->icount);
	else
		say(d, ", not written since the debugger listens");
	say(d, "\n");
}

static void
bitmap_bit(struct debugger *d, const char *what, u64 address, unsigned bit)
{
	u8 byte = 0;

	if (memory_peek(d->cpu->memory, address + bit / 8, &byte, 1))
		say(d, "  %s: byte %#llx is %#x, its bit %u is %u\n", what, (ull)(address + bit / 8), byte, bit & 7, byte >> (bit & 7) & 1);
}

static void
why_control(struct debugger *d, const char *because)
{
	static const struct {
		const char *word;
		u16 encoding;
	} words[] = {{"PIN ", VMCS_pin_controls}, {"PROC ", VMCS_proc_controls}, {"SEC ", VMCS_sec_controls}};
	static const struct {
		const char *name, *text;
		unsigned bit;
	} controls[] = {
#define CTL(word, bit, name, emulated, option, text) {#word " " #name, text, bit},
#include "vmx/controls.def"
#undef CTL
	};

	for (unsigned i = 0; i < COUNT(controls); i++)
		if (!strcmp(because, controls[i].name))
			say(d, "  control \"%s\", bit %u of\n", controls[i].text, controls[i].bit);
	for (unsigned i = 0; i < COUNT(words); i++)
		if (!strncmp(because, words[i].word, strlen(words[i].word)))
			written_by(d, words[i].encoding);
}

static void
why_msr(struct debugger *d, const struct exit_record *e, bool write)
{
	const struct vmcs *v = &d->cpu->vmx->vmcs;
	u32 msr = (u32)e->r[RCX], low = msr & 0x1fff;

	say(d, "  MSR %#x %s\n", msr, msr_name(msr) ? msr_name(msr) : "");
	if (!(v->proc_controls & VMX_MASK(PROC, MSR_BITMAPS))) {
		say(d, "  \"use MSR bitmaps\" is off: all RDMSR and WRMSR exit\n");
		written_by(d, VMCS_proc_controls);
		return;
	}
	written_by(d, VMCS_msr_bitmap);
	if (msr >= 0x2000 && (msr < 0xc0000000 || msr > 0xc0001fff))
		say(d, "  outside the bitmaps' ranges: always exits\n");
	else
		bitmap_bit(d, "MSR bitmap", v->msr_bitmap + (write ? 2048 : 0) + (msr >= 0xc0000000 ? 1024 : 0), low);
}

static void
why_io(struct debugger *d, const struct exit_record *e)
{
	const struct vmcs *v = &d->cpu->vmx->vmcs;
	unsigned port = (unsigned)(e->qualification >> 16 & 0xffff), size = (unsigned)(e->qualification & 7) + 1;

	if (!(v->proc_controls & VMX_MASK(PROC, IO_BITMAPS))) {
		say(d, "  \"unconditional I/O exiting\", without I/O bitmaps\n");
		written_by(d, VMCS_proc_controls);
		return;
	}
	written_by(d, port < 0x8000 ? VMCS_io_bitmap_a : VMCS_io_bitmap_b);
	for (unsigned p = port; p < port + size && p < 0x10000; p++)
		bitmap_bit(d, p < 0x8000 ? "I/O bitmap A" : "I/O bitmap B", p < 0x8000 ? v->io_bitmap_a : v->io_bitmap_b, p & 0x7fff);
}

static void
why_cr(struct debugger *d, const struct exit_record *e)
{
	const struct vmcs *v = &d->cpu->vmx->vmcs;
	unsigned cr = e->qualification & 15, access = e->qualification >> 4 & 3;
	u64 mask = cr ? v->cr4_mask : v->cr0_mask, shadow = cr ? v->cr4_read_shadow : v->cr0_read_shadow;
	u64 value = access == 3 ? e->qualification >> 16 & 0xffff : e->r[e->qualification >> 8 & 15];

	if (cr == 3 && access == 0) {
		written_by(d, VMCS_cr3_target_count);
		say(d, "  and %#llx is none of that many targets\n", (ull)value);
		return;
	}
	if (cr != 0 && cr != 4)
		return;
	written_by(d, cr ? VMCS_cr4_mask : VMCS_cr0_mask);
	written_by(d, cr ? VMCS_cr4_read_shadow : VMCS_cr0_read_shadow);
	if (access == 2)
		say(d, "  CLTS would change TS, which the mask and the read shadow have set\n");
	else
		say(d, "  value %#llx differs from the read shadow in masked bits %#llx\n", (ull)value,
		    (ull)((value ^ shadow) & mask & (access == 3 ? 0xf : ~0ull)));
}

static void
why_exception(struct debugger *d, const struct exit_record *e)
{
	const struct vmcs *v = &d->cpu->vmx->vmcs;
	unsigned vector = INFO_VECTOR(e->interruption_info);

	if (INFO_TYPE(e->interruption_info) == EVENT_NMI)
		return;
	written_by(d, VMCS_exception_bitmap);
	say(d, "  bit %u of it is %u\n", vector, v->exception_bitmap >> vector & 1);
	if (vector != VECTOR_PF)
		return;
	written_by(d, VMCS_pf_error_mask);
	written_by(d, VMCS_pf_error_match);
	say(d, "  error code %#x under the mask %s the match\n", e->interruption_error,
	    (e->interruption_error & v->pf_error_mask) == v->pf_error_match ? "equals" : "differs from");
}

static void
why_eoi(struct debugger *d, const struct exit_record *e)
{
	unsigned vector = e->qualification & 0xff;

	written_by(d, (u16)(VMCS_eoi_exit_bitmap_0 + vector / 64 * 2));
	say(d, "  bit %u of it, of vector %u\n", vector % 64, vector);
}

static void
why_tpr(struct debugger *d)
{
	u8 tpr = 0;

	written_by(d, VMCS_tpr_threshold);
	written_by(d, VMCS_virtual_apic_address);
	if (memory_peek(d->cpu->memory, d->cpu->vmx->vmcs.virtual_apic_address + 0x80, &tpr, 1))
		say(d, "  VTPR is %#x\n", tpr);
}

static void
why_field_access(struct debugger *d, const struct exit_record *e, bool write)
{
	const struct vmcs *v = &d->cpu->vmx->vmcs;
	u64 encoding = e->r[v->exit_instruction_info >> 28];

	written_by(d, VMCS_sec_controls);
	say(d, "  encoding %#llx\n", (ull)encoding);
	if (!strstr(e->because, "bitmap") || encoding > 0x7fff)
		return;
	written_by(d, write ? VMCS_vmwrite_bitmap : VMCS_vmread_bitmap);
	bitmap_bit(d, write ? "VMWRITE bitmap" : "VMREAD bitmap", write ? v->vmwrite_bitmap : v->vmread_bitmap, (unsigned)encoding);
}

static void
why_vmfunc(struct debugger *d, const struct exit_record *e)
{
	written_by(d, VMCS_vm_function_controls);
	written_by(d, VMCS_eptp_list_address);
	say(d, "  EAX %#x, ECX %#x\n", (u32)e->r[RAX], (u32)e->r[RCX]);
}

static void
why_ept(struct debugger *d, const struct exit_record *e)
{
	char line[64];

	written_by(d, VMCS_eptp);
	snprintf(line, sizeof(line), "%#llx", (ull)e->gpa);
	command_ept(d, line);
}

/* What decided besides the control that the exit's `because` names. */
static void
why_details(struct debugger *d, const struct exit_record *e)
{
	switch (e->reason & 0xffff) {
	case REASON_EXCEPTION_NMI: why_exception(d, e); break;
	case REASON_MSR_READ: why_msr(d, e, false); break;
	case REASON_MSR_WRITE: why_msr(d, e, true); break;
	case REASON_IO_INSTRUCTION: why_io(d, e); break;
	case REASON_CR_ACCESS: why_cr(d, e); break;
	case REASON_VMREAD: why_field_access(d, e, false); break;
	case REASON_VMWRITE: why_field_access(d, e, true); break;
	case REASON_EPT_VIOLATION:
	case REASON_EPT_MISCONFIG: why_ept(d, e); break;
	case REASON_PML_FULL: written_by(d, VMCS_pml_index); break;
	case REASON_TPR_BELOW_THRESHOLD: why_tpr(d); break;
	case REASON_EOI_INDUCED: why_eoi(d, e); break;
	case REASON_APIC_ACCESS: written_by(d, VMCS_apic_access_address); break;
	case REASON_PREEMPTION_TIMER: written_by(d, VMCS_preemption_timer_value); break;
	case REASON_VMFUNC: why_vmfunc(d, e); break;
	case REASON_XSAVES:
	case REASON_XRSTORS: written_by(d, VMCS_xss_exiting_bitmap); break;
	case REASON_MSR_LOAD_FAIL:
		written_by(d, VMCS_entry_msr_load_address);
		written_by(d, VMCS_entry_msr_load_count);
		break;
	default: break;
	}
	if (e->because && !strcmp(e->because, "SEC PAUSE_LOOP_EXITING")) {
		written_by(d, VMCS_ple_gap);
		written_by(d, VMCS_ple_window);
	}
}

void
command_why(struct debugger *d, const char *arguments)
{
	const struct exit_record *e;
	struct vcpu *selected;
	char text[200];
	u64 number = d->exits - 1;

	if (!has_vmx(d) || (*arguments && !number_argument(d, arguments, &number)))
		return;
	e = d->exits ? exit_number(d, number) : NULL;
	if (!e) {
		complain(d, d->exits ? "that exit is not remembered" : "no VM exits since the debugger listens");
		return;
	}
	selected = d->cpu;
	d->cpu = d->cpus->cpu[e->cpu]; /* the one that exited */
	describe_exit(e, text, sizeof(text));
	say(d, "exit %llu: %s from %#llx%s%s\n", (ull)number, reason_text(e->reason), (ull)e->rip, *text ? ": " : "", text);
	if (e->failed && d->refused_rule[0])
		say(d, "  refused by %s\n", d->refused_rule);
	say(d, "  because of: %s\n", e->because ? e->because : "?");
	if (e->because)
		why_control(d, e->because);
	why_details(d, e);
	d->cpu = selected;
}
