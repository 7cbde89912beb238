/* What VMX tells: the ring of exits, statistics by reason, the last two VMCSs, who wrote each field. */
#include <stdlib.h>
#include <string.h>

#include "base/snapshot.h"
#include "debugger/internal.h"

const char *
reason_text(u32 reason)
{
	const char *name = vmx_reason_name(reason & 0xffff);

	return name ? name : "?";
}

void
describe_rule_values(const struct vmx_broken_rule *broken, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (const struct vmx_rule_value *v = broken->values; v->name && used < size; v++)
		used += (size_t)snprintf(text + used, size - used, "%s%s%s%s = %#llx", used ? ", " : "", v->segment ? v->segment : "",
					 v->segment ? "_" : "", v->name, (ull)v->value);
}

static void
note(u64 value, u64 *sum, u64 *min, u64 *max, u64 count)
{
	*sum += value;
	*min = count <= 1 ? value : MIN(*min, value);
	*max = count <= 1 ? value : MAX(*max, value);
}

const struct exit_record *
exit_number(const struct debugger *d, u64 number)
{
	return number < d->exits && d->exits - number <= EXITS ? &d->exit[number % EXITS] : NULL;
}

static struct exit_record *
record(struct debugger *d, struct vcpu *cpu, u32 reason, bool failed)
{
	const struct vmcs *v = &cpu->vmx->vmcs;
	struct exit_record *e = &d->exit[d->exits++ % EXITS];

	*e = (struct exit_record){
		.time = cpu_time(cpu),
		.icount = cpu_icount(cpu),
		.cpu = (u8)cpu->index,
		.reason = reason,
		.failed = failed,
		.rip = v->guest_rip,
		.rsp = v->guest_rsp,
		.cr3 = v->guest_cr3,
		.qualification = v->exit_qualification,
		.gpa = v->guest_physical_address,
		.gla = v->guest_linear_address,
		.eptp = v->eptp,
		.vpid = v->vpid,
		.interruption_info = failed ? 0 : v->exit_interruption_info,
		.interruption_error = v->exit_interruption_error,
		.vectoring_info = failed ? 0 : v->idt_vectoring_info,
		.length = v->exit_instruction_length,
		.because = cpu->vmx->last.because,
	};
	memcpy(e->r, cpu->r, sizeof(e->r));
	return e;
}

static void
on_vm_exit(void *opaque, struct vcpu *cpu, u32 reason, bool failed)
{
	struct debugger *d = opaque;

	reverse_moment(d, cpu);

	struct exit_record *e = record(d, cpu, reason, failed);
	struct reason_statistics *s = &d->reason[MIN(reason & 0xffff, VMX_REASONS - 1)];
	unsigned slot = d->vcpu[cpu->index].vmcss++ % HISTORY_OF_VMCS;

	d->vcpu[cpu->index].vmcs[slot] = cpu->vmx->vmcs;
	d->vcpu[cpu->index].region[slot] = cpu->vmx->current;
	s->count++;
	if (d->vcpu[cpu->index].in_guest)
		e->guest_cycles = e->time - d->vcpu[cpu->index].entered;
	note(e->guest_cycles, &s->guest_sum, &s->guest_min, &s->guest_max, s->count);
	d->vcpu[cpu->index].in_guest = false;
	d->vcpu[cpu->index].exited = e->time;
	d->vcpu[cpu->index].last_exit = d->exits;
	trace_exit(d, cpu, e);
	if (!(d->events_wanted & (1u << BREAK_EXIT | 1u << BREAK_ENTRY_FAIL)))
		return;
	d->happening = (struct happening){
		.reason = reason, .qualification = e->qualification, .gpa = e->gpa, .vector = INFO_VECTOR(e->interruption_info),
		.address = e->gla, .error = e->interruption_error, .port = reason == REASON_IO_INSTRUCTION ? e->qualification >> 16 & 0xffff : 0};
	if (failed)
		breakpoints_event(d, cpu, BREAK_ENTRY_FAIL, 0, "VM entry failed: %s, %s", reason_text(reason), e->because);
	else if (d->events_wanted & 1u << BREAK_EXIT) {
		char text[160];

		describe_exit(e, text, sizeof(text));
		breakpoints_event(d, cpu, BREAK_EXIT, reason & 0xffff, "exit %llu %s from %#llx%s%s", (ull)d->exits - 1, reason_text(reason),
				  (ull)e->rip, *text ? ": " : "", text);
	}
}

static void
on_vm_entry(void *opaque, struct vcpu *cpu)
{
	struct debugger *d = opaque;
	u64 now = cpu_time(cpu), last = d->vcpu[cpu->index].last_exit;
	struct exit_record *e = last && d->exits - last < EXITS ? &d->exit[(last - 1) % EXITS] : NULL;

	reverse_moment(d, cpu);
	if (e) {
		struct reason_statistics *s = &d->reason[MIN(e->reason & 0xffff, VMX_REASONS - 1)];

		e->host_cycles = now - e->time;
		note(e->host_cycles, &s->host_sum, &s->host_min, &s->host_max, ++s->host_count);
	}
	d->vcpu[cpu->index].last_exit = 0;
	d->vcpu[cpu->index].in_guest = true;
	d->vcpu[cpu->index].entered = now;
	trace_entry(d, cpu, e);
	d->happening = (struct happening){0};
	breakpoints_event(d, cpu, BREAK_ENTRY, 0, "VM entry to %#llx", (ull)cpu->rip);
}

static void
on_entry_refused(void *opaque, struct vcpu *cpu, const struct vmx_broken_rule *broken, unsigned number)
{
	struct debugger *d = opaque;
	char values[400];

	reverse_moment(d, cpu);
	describe_rule_values(broken, values, sizeof(values));
	if (trace_wants(d, TRACE_ENTRY_FAIL))
		trace_other(d, cpu, TRACE_ENTRY_FAIL, "entry_fail", "check=%s heading=\"%s\" rule=\"%s\" %s", broken->id, broken->heading,
			    broken->rule, values);
	if (number)
		return;
	snprintf(d->refused_rule, sizeof(d->refused_rule), "%s: %s", broken->id, broken->rule);
	breakpoints_event(d, cpu, BREAK_ENTRY_FAIL, 0, "VM entry refused by %s", d->refused_rule);
}

static unsigned
field_number(u64 encoding)
{
	const struct vmcs_field *field = vmcs_field(encoding);

	return (unsigned)(field - vmcs_field_at(0));
}

static void
on_vmwrite(void *opaque, struct vcpu *cpu, u64 encoding, u64 value)
{
	struct debugger *d = opaque;
	unsigned number = field_number(encoding);
	const struct vmcs_field *field = vmcs_field_at(number);
	u64 rip = cpu->current ? insn_rip(cpu, cpu->current) : cpu->rip, old = vmcs_get(&cpu->vmx->vmcs, field, encoding);

	reverse_moment(d, cpu);
	d->vmwritten[number] = (struct vmwrite_record){true, value, rip, cpu_icount(cpu), cpu->vmx->current, (u8)cpu->index};
	if (trace_wants(d, TRACE_VMWRITE))
		trace_other(d, cpu, TRACE_VMWRITE, "vmwrite", "field=%s value=%#llx", field->name, (ull)value);
	d->happening = (struct happening){.address = encoding, .value = value, .old = old, .write = true};
	breakpoints_event(d, cpu, BREAK_VMWRITE, encoding, "vmwrite %s: %#llx -> %#llx", field->name, (ull)old, (ull)value);
}

void
debugger_state(struct debugger *d, struct state *s)
{
	u64 known = MIN(d->exits, EXITS);
	unsigned fields = 0;

	while (vmcs_field_at(fields))
		fields++;
	STATE(s, d->moments);
	STATE(s, d->exits);
	STATE(s, known);
	state_bytes(s, d->exit, known * sizeof(*d->exit));
	STATE(s, d->reason);
	state_bytes(s, d->vcpu, d->cpus->count * sizeof(*d->vcpu));
	state_bytes(s, d->vmwritten, fields * sizeof(*d->vmwritten));
	STATE(s, d->refused_rule);
}

void
vmx_events_init(struct debugger *d)
{
	unsigned fields = 0;

	while (vmcs_field_at(fields))
		fields++;
	d->exit = calloc(EXITS, sizeof(*d->exit));
	d->vcpu = calloc(d->cpus->count, sizeof(*d->vcpu));
	d->vmwritten = calloc(fields, sizeof(*d->vmwritten));
	if (!d->exit || !d->vcpu || !d->vmwritten)
		stop_host_error("out of memory");
	d->hooks.vm_exit = on_vm_exit;
	d->hooks.vm_entry = on_vm_entry;
	d->hooks.entry_refused = on_entry_refused;
	d->hooks.vmwrite = on_vmwrite;
}

void
vmx_events_free(struct debugger *d)
{
	free(d->exit);
	free(d->vcpu);
	free(d->vmwritten);
}
