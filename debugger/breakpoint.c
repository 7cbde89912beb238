/*
 * Breakpoints, watchpoints and stops on events; conditions, counts and command lists.
 *
 * Execution breakpoints are announced to the core by page offset, whatever their address kind (cpu/hooks.h): the exact address is looked at
 * here. Watchpoints withhold their pages from the TLB.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/flags.h"
#include "cpu/lapic.h"
#include "cpu/msr.h"
#include "debugger/internal.h"

static const struct {
	const char *name;
	enum break_kind kind;
	const char *number; /* what the argument is */
} events[] = {
	{"exit", BREAK_EXIT, "REASON"},       {"entry", BREAK_ENTRY, NULL},          {"entry-fail", BREAK_ENTRY_FAIL, NULL},
	{"vmwrite", BREAK_VMWRITE, "FIELD"},  {"inject", BREAK_INJECT, "VECTOR"},    {"io", BREAK_IO, "PORT"},
	{"msr", BREAK_MSR, "MSR"},            {"cr", BREAK_CR, "NUMBER"},            {"exception", BREAK_EXCEPTION, "VECTOR"},
	{"interrupt", BREAK_INTERRUPT, "VECTOR"}, {"triple-fault", BREAK_TRIPLE, NULL},
	{"vmx-abort", BREAK_ABORT, "CODE"},
	{"mmio", BREAK_MMIO, "OFFSET"},       {"packet", BREAK_PACKET, "CARD"},
	{"mode", BREAK_MODE, "MODE"},
};

const char *
break_event_at(unsigned index)
{
	return index < sizeof(events) / sizeof(events[0]) ? events[index].name : NULL;
}

static const char *const modes[] = {"real", "v86", "protected", "compatibility", "long", "smm"};

/* --- the list --- */

static void
changed(struct debugger *d, const struct breakpoint *b)
{
	if (b->kind == BREAK_EXECUTE)
		d->code_changed = true;
	if (b->kind == BREAK_ACCESS)
		d->watches_changed = true;
	d->hooks.watching = false;
	d->events_wanted = 0;
	for (const struct breakpoint *c = d->breakpoints; c; c = c->next)
		if (!c->disabled) {
			d->hooks.watching |= c->kind == BREAK_ACCESS || c->kind == BREAK_WRITTEN;
			d->events_wanted |= 1u << c->kind;
		}
}

struct breakpoint *
breakpoint_add(struct debugger *d, struct breakpoint b)
{
	struct breakpoint *copy = malloc(sizeof(*copy)), **link = &d->breakpoints;

	if (!copy)
		stop_host_error("out of memory");
	*copy = b;
	copy->next = NULL;
	while (*link)
		link = &(*link)->next;
	*link = copy;
	changed(d, copy);
	return copy;
}

void
breakpoint_delete(struct debugger *d, struct breakpoint *b)
{
	struct breakpoint **link = &d->breakpoints;

	while (*link && *link != b)
		link = &(*link)->next;
	if (!*link)
		return;
	*link = b->next;
	if (d->stop_at == b)
		d->stop_at = NULL;
	changed(d, b);
	free(b->condition);
	free(b->commands);
	free(b);
}

static void
announce(struct debugger *d, const struct breakpoint *b)
{
	if (b->kind != BREAK_EXECUTE || b->disabled)
		return;
	if (b->address == ADDRESS_VIRTUAL) {
		/* Where the segment was when the breakpoint was set, and where real mode has it. */
		u64 real = ((u64)b->selector << 4) + b->first;

		d->hooks.announced[b->linear >> 6 & 63] |= BIT(b->linear & 63);
		d->hooks.announced[real >> 6 & 63] |= BIT(real & 63);
		return;
	}
	for (u64 a = b->first; a - b->first < PAGE_SIZE; a++) {
		d->hooks.announced[a >> 6 & 63] |= BIT(a & 63);
		if (a == b->last)
			break;
	}
}

/* Tells the core. Not while the machine runs. */
void
breakpoints_apply(struct debugger *d)
{
	if (d->code_changed) {
		memset(d->hooks.announced, 0, sizeof(d->hooks.announced));
		for (const struct breakpoint *b = d->breakpoints; b; b = b->next)
			announce(d, b);
		hooks_instructions_changed(d->cpus);
	}
	if (d->watches_changed)
		hooks_watches_changed(d->cpus);
	d->code_changed = d->watches_changed = false;
}

/* --- deciding --- */

bool
breakpoints_elsewhere(const struct debugger *d, const struct vcpu *cpu)
{
	if (d->only_level >= 0 && d->only_level != level_of(cpu))
		return true;
	return d->only_vpid >= 0 && d->only_vpid != (cpu->nonroot && cpu->vmx ? (int)cpu->vmx->vmcs.vpid : 0);
}

/* A probe has been told, and lets the machine run on; as it does while going over the past. */
static bool
only_tells(struct debugger *d, struct breakpoint *b, struct vcpu *cpu)
{
	if (reverse_passes(d, cpu, b))
		return true;
	if (b->hit)
		b->hit(b->opaque, cpu);
	return b->hit != NULL;
}

/* The event is the breakpoint's: do condition and counts let it stop the machine? */
static bool
holds(struct debugger *d, struct vcpu *cpu, struct breakpoint *b)
{
	struct vcpu *selected = d->cpu;
	const char *at = b->condition, *error;
	u64 value = 1;

	if ((b->gdb || b->number) && (breakpoints_elsewhere(d, cpu) || (d->only_cpu >= 0 && d->only_cpu != (int)cpu->index)))
		return false;
	if ((b->only_cpu && b->only_cpu != cpu) || (b->only_level && b->only_level != level_of(cpu)))
		return false;
	/* Further up is another stack. */
	if (b->least_rsp && cpu->r[RSP] - b->least_rsp >= FRAME_REACH)
		return false;
	if (b->condition) {
		d->cpu = cpu;
		/* A condition that cannot be evaluated now (memory that is not there) does not hold. */
		if (!evaluate(d, &at, &value, &error))
			value = 0;
		d->cpu = selected;
	}
	if (!value)
		return false;
	/* Running again counts nothing. */
	if (d->back.mode)
		return true;
	b->hits++;
	if (b->ignore) {
		b->ignore--;
		return false;
	}
	return true;
}

static void
stop_at(struct debugger *d, struct vcpu *cpu, struct breakpoint *b, enum stop_kind kind, const char *text)
{
	if (d->stop == STOP_NONE) {
		if (b->number)
			d_stop(d, cpu, kind, "breakpoint %u%s%s", b->number, *text ? ": " : "", text);
		else
			d_stop(d, cpu, kind, "%s", text);
		d->stop_at = b;
	}
	hooks_stop(cpu);
}

bool
breakpoints_at(struct debugger *d, struct vcpu *cpu, u64 linear)
{
	u64 address[] = {linear, ~0ull, ~0ull, ~0ull, cpu->rip};
	bool looked = false;

	for (struct breakpoint *b = d->breakpoints; b; b = b->next) {
		if (b->kind != BREAK_EXECUTE || b->disabled)
			continue;
		if (b->address == ADDRESS_VIRTUAL && b->selector != cpu->seg[CS].selector)
			continue;
		if ((b->address == ADDRESS_GUEST_PHYSICAL || b->address == ADDRESS_PHYSICAL) && !looked) {
			linear_peek(cpu, linear, &address[ADDRESS_GUEST_PHYSICAL], &address[ADDRESS_PHYSICAL]);
			looked = true;
		}
		if (address[b->address] < b->first || address[b->address] > b->last || !holds(d, cpu, b))
			continue;
		if (only_tells(d, b, cpu))
			continue;
		stop_at(d, cpu, b, STOP_BREAKPOINT, "");
		return true;
	}
	/* A probe may have had enough. */
	return d->stop != STOP_NONE;
}

void
breakpoints_event(struct debugger *d, struct vcpu *cpu, enum break_kind kind, u64 number, const char *format, ...)
{
	char text[200];
	va_list list;

	if (!(d->events_wanted & 1u << kind))
		return;
	for (struct breakpoint *b = d->breakpoints; b; b = b->next) {
		if (b->kind != kind || b->disabled || (!b->any && (number < b->first || number > b->last)) || !holds(d, cpu, b) ||
		    only_tells(d, b, cpu))
			continue;
		va_start(list, format);
		vsnprintf(text, sizeof(text), format, list);
		va_end(list);
		stop_at(d, cpu, b, STOP_BREAKPOINT, text);
		return;
	}
}

static bool
on_watched(void *opaque, struct vcpu *cpu, u64 linear, u64 guest_physical, u64 physical)
{
	struct debugger *d = opaque;
	const u64 address[3] = {linear, guest_physical, physical};

	(void)cpu;
	for (const struct breakpoint *b = d->breakpoints; b; b = b->next) {
		u64 page = address[b->address] & PAGE_MASK;

		if (b->kind == BREAK_ACCESS && !b->disabled && b->first <= (page | 0xfff) && b->last >= page)
			return true;
	}
	return false;
}

static void
on_access(void *opaque, struct vcpu *cpu, const struct hook_access *a)
{
	struct debugger *d = opaque;
	u64 address[3] = {a->linear, ~0ull, a->physical};
	char text[160];

	d->back.store = *a;
	for (struct breakpoint *b = d->breakpoints; b; b = b->next) {
		u64 old = 0;

		if (b->kind != BREAK_ACCESS || b->disabled || !(a->write ? b->on_write : b->on_read))
			continue;
		if (b->address == ADDRESS_GUEST_PHYSICAL)
			linear_peek(cpu, a->linear, &address[ADDRESS_GUEST_PHYSICAL], NULL);
		if (address[b->address] > b->last || address[b->address] + a->size <= b->first)
			continue;
		memory_peek(cpu->memory, a->physical, &old, a->size);
		d->happening = (struct happening){
			.value = a->value, .old = old, .address = address[b->address], .size = a->size, .write = a->write};
		if (!holds(d, cpu, b) || only_tells(d, b, cpu))
			continue;
		if (a->write)
			snprintf(text, sizeof(text), "write of %u bytes at %#llx: %#llx -> %#llx", a->size, (ull)address[b->address], (ull)old,
				 (ull)a->value);
		else
			snprintf(text, sizeof(text), "read of %u bytes at %#llx: %#llx", a->size, (ull)address[b->address], (ull)a->value);
		d->stop_address = MAX(address[b->address], b->first);
		d->stop_write = a->write;
		stop_at(d, cpu, b, STOP_WATCH, text);
		return;
	}
}

/* What who-wrote looks for. */
static void
on_written(void *opaque, struct vcpu *cpu, u64 physical, u64 size, const char *writer)
{
	struct debugger *d = opaque;
	struct hook_access *store = &d->back.store;

	for (struct breakpoint *b = d->breakpoints; b; b = b->next) {
		u64 first, last, old = 0;
		unsigned shown;
		bool known;

		if (b->kind != BREAK_WRITTEN || physical > b->last || physical + size <= b->first)
			continue;
		/* All of a small one, else what was asked for. */
		first = size <= 8 ? physical : MAX(physical, b->first);
		last = size <= 8 ? physical + size - 1 : MIN(physical + size - 1, b->last);
		shown = (unsigned)MIN(last - first + 1, 8);
		known = !writer && store->write && store->physical == physical && store->size == size;
		memory_peek(cpu->memory, first, &old, shown);
		d->happening = (struct happening){.value = known ? store->value : 0, .old = old, .address = first, .size = size, .write = true};
		if (!holds(d, cpu, b) || only_tells(d, b, cpu))
			continue;
		d->back.write.physical = physical;
		d->back.write.size = size;
		d->back.write.at = first;
		d->back.write.shown = shown;
		d->back.write.old = old;
		d->back.write.writer = writer;
		stop_at(d, cpu, b, STOP_WATCH, "");
		return;
	}
}

static void
on_port(void *opaque, struct vcpu *cpu, u16 port, unsigned size, bool write, u32 value)
{
	struct debugger *d = opaque;

	reverse_moment(d, cpu);
	d->happening = (struct happening){.port = port, .value = value, .size = size, .write = write};
	if (trace_wants(d, TRACE_IO))
		trace_other(d, cpu, TRACE_IO, write ? "out" : "in", "port=%#x size=%u value=%#x", port, size, value);
	breakpoints_event(d, cpu, BREAK_IO, port, "%s port %#x, %u bytes: %#x", write ? "out" : "in", port, size, value);
}

static void
on_msr(void *opaque, struct vcpu *cpu, u32 address, bool write, u64 value)
{
	struct debugger *d = opaque;
	const char *name = msr_name(address);

	reverse_moment(d, cpu);
	d->happening = (struct happening){.address = address, .value = value, .write = write};
	if (trace_wants(d, TRACE_MSR))
		trace_other(d, cpu, TRACE_MSR, write ? "wrmsr" : "rdmsr", "msr=%#x value=%#llx", address, (ull)value);
	breakpoints_event(d, cpu, BREAK_MSR, address, "%s %#x %s: %#llx", write ? "wrmsr" : "rdmsr", address, name ? name : "", (ull)value);
}

static void
on_cr_write(void *opaque, struct vcpu *cpu, unsigned cr, u64 value)
{
	struct debugger *d = opaque;
	u64 old = cr == 0 ? cpu->cr0 : cr == 2 ? cpu->cr2 : cr == 3 ? cpu->cr3 : cr == 4 ? cpu->cr4 : cr == 8 ? lapic_get_cr8(cpu) : cpu->xcr0;
	const char *x = cr == HOOK_XCR0 ? "X" : "";

	reverse_moment(d, cpu);
	d->happening = (struct happening){.address = cr, .value = value, .old = old, .write = true};
	if (trace_wants(d, TRACE_CR))
		trace_other(d, cpu, TRACE_CR, "mov_cr", "%scr=%u value=%#llx", *x ? "x" : "", cr & 15, (ull)value);
	breakpoints_event(d, cpu, BREAK_CR, cr, "%sCR%u: %#llx -> %#llx", x, cr & 15, (ull)old, (ull)value);
}

unsigned
processor_mode(const struct vcpu *cpu)
{
	if (cpu->in_smm)
		return 5;
	if (cpu->efer & EFER_LMA)
		return cpu->long64 ? 4 : 3;
	return !(cpu->cr0 & CR0_PE) ? 0 : cpu_vm86(cpu) ? 1 : 2;
}

const char *
processor_mode_name(const struct vcpu *cpu)
{
	return modes[processor_mode(cpu)];
}

static void
on_mode(void *opaque, struct vcpu *cpu)
{
	struct debugger *d = opaque;
	unsigned old, mode;

	if (!(d->events_wanted & 1u << BREAK_MODE))
		return;
	old = d->vcpu[cpu->index].mode;
	mode = processor_mode(cpu);
	if (mode == old)
		return;
	d->vcpu[cpu->index].mode = mode;
	d->happening = (struct happening){.value = mode, .old = old};
	breakpoints_event(d, cpu, BREAK_MODE, mode, "mode %s -> %s", modes[old], modes[mode]);
}

static void
on_event(void *opaque, struct vcpu *cpu, const struct event_info *event, bool injected)
{
	struct debugger *d = opaque;
	bool exception = event->type == EVENT_HARDWARE_EXCEPTION || event->type >= EVENT_PRIVILEGED_SOFTWARE;

	reverse_moment(d, cpu);
	d->happening = (struct happening){
		.vector = event->vector, .error = event->has_error ? event->error : 0, .address = event->vector == VECTOR_PF ? event->cr2 : 0};
	if (injected) {
		trace_inject(d, cpu, event);
		breakpoints_event(d, cpu, BREAK_INJECT, event->vector, "injection of vector %u, type %u", event->vector, event->type);
		return;
	}
	if (trace_wants(d, exception ? TRACE_EXCEPTIONS : TRACE_INTERRUPTS))
		trace_other(d, cpu, exception ? TRACE_EXCEPTIONS : TRACE_INTERRUPTS, exception ? "exception" : "interrupt",
			    "vector=%u error=%#x address=%#llx", event->vector, event->has_error ? event->error : 0,
			    (ull)d->happening.address);
	if (exception && event->vector == VECTOR_PF)
		breakpoints_event(d, cpu, BREAK_EXCEPTION, event->vector, "page fault at %#llx, error code %#x", (ull)event->cr2, event->error);
	else
		breakpoints_event(d, cpu, exception ? BREAK_EXCEPTION : BREAK_INTERRUPT, event->vector, "%s %u, error code %#x",
				  exception ? "exception" : "interrupt", event->vector, event->has_error ? event->error : 0);
}

static void
on_triple_fault(void *opaque, struct vcpu *cpu)
{
	struct debugger *d = opaque;

	reverse_moment(d, cpu);
	breakpoints_event(d, cpu, BREAK_TRIPLE, 0, "triple fault");
}

static void
on_vmx_abort(void *opaque, struct vcpu *cpu, u32 code)
{
	/* SDM 3C, "VMX Aborts" */
	static const char *const causes[8] = {
		[1] = "saving guest MSRs", [2] = "host PDPTEs", [4] = "loading host MSRs", [6] = "no 64-bit host from a 64-bit guest"};
	struct debugger *d = opaque;

	reverse_moment(d, cpu);
	breakpoints_event(d, cpu, BREAK_ABORT, code, "VMX abort %u: %s", code, causes[code & 7] ? causes[code & 7] : "?");
}

void
breakpoints_init(struct debugger *d)
{
	d->hooks.opaque = d;
	d->hooks.instruction = on_instruction;
	d->hooks.watched = on_watched;
	d->hooks.access = on_access;
	d->hooks.written = on_written;
	d->hooks.port = on_port;
	d->hooks.msr = on_msr;
	d->hooks.cr_write = on_cr_write;
	d->hooks.mode = on_mode;
	d->hooks.event = on_event;
	d->hooks.triple_fault = on_triple_fault;
	d->hooks.vmx_abort = on_vmx_abort;
	d->only_level = d->only_vpid = d->only_cpu = -1;
}

/* --- commands --- */

static void
describe(struct debugger *d, const struct breakpoint *b)
{
	const char *kind = b->kind == BREAK_EXECUTE ? "execute" : b->on_read && b->on_write ? "access" : b->on_read ? "read" : "write";

	if (b->kind == BREAK_EXECUTE || b->kind == BREAK_ACCESS) {
		say(d, "%-3u %-8s %s ", b->number, kind, address_kind_name(b->address));
		if (b->address == ADDRESS_VIRTUAL)
			say(d, "%#x:", b->selector);
		say(d, "%#llx", (ull)b->first);
		if (b->last != b->first)
			say(d, "..%#llx", (ull)b->last);
	} else {
		for (unsigned i = 0; i < COUNT(events); i++)
			if (events[i].kind == b->kind)
				say(d, "%-3u %-8s", b->number, events[i].name);
		if (!b->any && b->kind == BREAK_EXIT && b->first == b->last && vmx_reason_name((unsigned)b->first))
			say(d, " %s", vmx_reason_name((unsigned)b->first));
		else if (!b->any && b->kind == BREAK_MODE && b->first < COUNT(modes))
			say(d, " %s", modes[b->first]);
		else if (!b->any && b->kind == BREAK_VMWRITE && vmcs_field(b->first))
			say(d, " %s", vmcs_field(b->first)->name);
		else if (!b->any && b->kind == BREAK_CR && b->first == HOOK_XCR0)
			say(d, " xcr0");
		else if (!b->any)
			say(d, " %#llx", (ull)b->first);
		if (!b->any && b->last != b->first && b->kind != BREAK_VMWRITE)
			say(d, "..%#llx", (ull)b->last);
	}
	if (b->condition)
		say(d, " if %s", b->condition);
	say(d, "%s%s, %llu hits", b->temporary ? ", once" : "", b->disabled ? ", disabled" : "", (ull)b->hits);
	if (b->ignore)
		say(d, ", ignores %llu more", (ull)b->ignore);
	say(d, "\n");
	if (b->commands)
		say(d, "        %s\n", b->commands);
}

static void
print_only(struct debugger *d)
{
	if (d->only_level >= 0)
		say(d, "only level %d\n", d->only_level);
	if (d->only_vpid >= 0)
		say(d, "only vpid %d\n", d->only_vpid);
	if (d->only_cpu >= 0)
		say(d, "only cpu %d\n", d->only_cpu);
}

void
info_breakpoints(struct debugger *d, const char *arguments)
{
	bool any = false;

	(void)arguments;
	for (const struct breakpoint *b = d->breakpoints; b; b = b->next)
		if (b->number) {
			describe(d, b);
			any = true;
		}
	if (!any)
		say(d, "no breakpoints\n");
	print_only(d);
}

/* "if EXPRESSION" or nothing. */
static bool
condition_argument(struct debugger *d, const char *at, struct breakpoint *b)
{
	const char *error, *end;
	u64 value;

	while (isspace((unsigned char)*at))
		at++;
	if (!*at)
		return true;
	if (strncmp(at, "if", 2) != 0 || !isspace((unsigned char)at[2])) {
		complain(d, "'%s' is left over", at);
		return false;
	}
	at += 3;
	end = at;
	/* What cannot be read now may be readable then. */
	if ((!evaluate(d, &end, &value, &error) && strcmp(error, "no memory there") != 0) || (*end && !error)) {
		complain(d, "%s: %s", at, error ? error : "something is left over");
		return false;
	}
	b->condition = error_string("%s", at);
	return true;
}

static void
add(struct debugger *d, struct breakpoint *b)
{
	b->number = ++d->last_number;
	describe(d, breakpoint_add(d, *b));
}

/* Is there a number before "if" or the end? */
static bool
argument_follows(const char *at)
{
	while (isspace((unsigned char)*at))
		at++;
	return *at && !(at[0] == 'i' && at[1] == 'f' && isspace((unsigned char)at[2]));
}

static bool
number_or_name(struct debugger *d, const char **at, enum break_kind kind, u64 *first, u64 *last)
{
	char word[64];
	const char *after = *at;
	const struct vmcs_field *field;

	if (kind == BREAK_VMWRITE && next_word(&after, word, sizeof(word)))
		for (unsigned i = 0; (field = vmcs_field_at(i)); i++)
			if (!strcasecmp(field->name, word)) {
				*first = field->encoding;
				*last = field->size == 8 && field->encoding < 0x6000 ? field->encoding | 1u : field->encoding;
				*at = after;
				return true;
			}
	after = *at;
	if (kind == BREAK_CR && next_word(&after, word, sizeof(word)) && (!strncmp(word, "cr", 2) || !strcmp(word, "xcr0"))) {
		*first = *last = *word == 'x' ? HOOK_XCR0 : strtoul(word + 2, NULL, 10);
		*at = after;
		return true;
	}
	after = *at;
	if (kind == BREAK_MODE && next_word(&after, word, sizeof(word))) {
		for (unsigned i = 0; i < COUNT(modes); i++)
			if (!strcmp(modes[i], word)) {
				*first = *last = i;
				*at = after;
				return true;
			}
		complain(d, "modes are real, v86, protected, compatibility, long, smm");
		return false;
	}
	after = *at;
	if (kind == BREAK_MSR && next_word(&after, word, sizeof(word)) && msr_of_name(word, first)) {
		*last = *first;
		*at = after;
		return true;
	}
	after = *at;
	if (kind == BREAK_EXCEPTION && next_word(&after, word, sizeof(word)))
		for (unsigned i = 0; i < 32; i++) {
			const char *name = exception_name(i);

			if (name && (!strcasecmp(word, name) || (*name == '#' && !strcasecmp(word, name + 1)))) {
				*first = *last = i;
				*at = after;
				return true;
			}
		}
	after = *at;
	if (kind == BREAK_EXIT && next_word(&after, word, sizeof(word)))
		for (unsigned i = 0; i < VMX_REASONS; i++)
			if (vmx_reason_name(i) && !strcasecmp(word, vmx_reason_name(i))) {
				*first = *last = i;
				*at = after;
				return true;
			}
	return range_argument(d, at, first, last);
}

static bool
breakpoint_address_kind(struct debugger *d, const char **at, struct breakpoint *b)
{
	b->address = address_kind(at);
	if (b->address != ADDRESS_GUEST)
		return true;
	complain(d, "by linear address with `only level 2`, or by gpa or phys");
	return false;
}

bool
breakpoint_parse(struct debugger *d, const char *arguments, struct breakpoint *b)
{
	const char *at = arguments, *after = arguments;
	char word[64];

	if (!next_word(&after, word, sizeof(word))) {
		b->first = b->last = linear_rip(d->cpu);
		return true;
	}
	for (unsigned i = 0; i < COUNT(events); i++)
		if (!strcmp(word, events[i].name)) {
			b->kind = events[i].kind;
			b->any = true;
			at = after;
			if (events[i].number && argument_follows(at)) {
				b->any = false;
				if (!number_or_name(d, &at, b->kind, &b->first, &b->last))
					return false;
			}
			return condition_argument(d, at, b);
		}
	if (!breakpoint_address_kind(d, &at, b))
		return false;
	if (b->address == ADDRESS_VIRTUAL && !virtual_argument(d, &at, &b->selector, &b->first, &b->linear))
		return false;
	b->last = b->first;
	return (b->address == ADDRESS_VIRTUAL || range_argument(d, &at, &b->first, &b->last)) && condition_argument(d, at, b);
}

static void
break_at(struct debugger *d, const char *arguments, bool temporary)
{
	struct breakpoint b = {.kind = BREAK_EXECUTE, .temporary = temporary, .on_read = true, .on_write = true};

	if (breakpoint_parse(d, arguments, &b))
		add(d, &b);
}

void
command_break(struct debugger *d, const char *arguments)
{
	break_at(d, arguments, false);
}

void
command_tbreak(struct debugger *d, const char *arguments)
{
	break_at(d, arguments, true);
}

bool
watchpoint_parse(struct debugger *d, const char *arguments, bool read, bool write, struct breakpoint *b)
{
	const char *at = arguments, *error;

	if (!*arguments) {
		complain(d, "watch which address?");
		return false;
	}
	*b = (struct breakpoint){.kind = BREAK_ACCESS, .on_read = read, .on_write = write};
	if (!breakpoint_address_kind(d, &at, b))
		return false;
	if (b->address == ADDRESS_VIRTUAL) {
		if (!virtual_argument(d, &at, &b->selector, &b->first, &b->linear))
			return false;
		/* Data is watched where the segment is now. */
		b->address = ADDRESS_LINEAR;
		b->first = b->linear;
	} else if (!evaluate(d, &at, &b->first, &error)) {
		complain(d, "%s: %s", arguments, error);
		return false;
	}
	b->last = b->first + 7; /* a bare address: eight bytes */
	return range_rest(d, &at, b->first, &b->last) && condition_argument(d, at, b);
}

static void
watch(struct debugger *d, const char *arguments, bool read, bool write)
{
	struct breakpoint b = {0};

	if (watchpoint_parse(d, arguments, read, write, &b))
		add(d, &b);
}

void
command_watch(struct debugger *d, const char *arguments)
{
	watch(d, arguments, false, true);
}

void
command_rwatch(struct debugger *d, const char *arguments)
{
	watch(d, arguments, true, false);
}

void
command_awatch(struct debugger *d, const char *arguments)
{
	watch(d, arguments, true, true);
}

static struct breakpoint *
by_number(struct debugger *d, const char **at)
{
	char word[32];
	u64 number;

	if (!next_word(at, word, sizeof(word))) {
		complain(d, "which breakpoint?");
		return NULL;
	}
	if (!number_argument(d, word, &number))
		return NULL;
	for (struct breakpoint *b = d->breakpoints; b; b = b->next)
		if (b->number && b->number == number)
			return b;
	complain(d, "there is no breakpoint %s", word);
	return NULL;
}

void
command_delete(struct debugger *d, const char *arguments)
{
	struct breakpoint *b, *next;

	if (*arguments) {
		b = by_number(d, &arguments);
		if (b)
			breakpoint_delete(d, b);
		return;
	}
	for (b = d->breakpoints; b; b = next) {
		next = b->next;
		if (b->number)
			breakpoint_delete(d, b);
	}
}

void
breakpoint_able(struct debugger *d, struct breakpoint *b, bool on)
{
	b->disabled = !on;
	changed(d, b);
}

static void
enable(struct debugger *d, const char *arguments, bool on)
{
	struct breakpoint *only = NULL;

	if (*arguments && !(only = by_number(d, &arguments)))
		return;
	for (struct breakpoint *b = d->breakpoints; b; b = b->next)
		if (b->number && (!only || b == only)) {
			breakpoint_able(d, b, on);
		}
}

void
command_enable(struct debugger *d, const char *arguments)
{
	enable(d, arguments, true);
}

void
command_disable(struct debugger *d, const char *arguments)
{
	enable(d, arguments, false);
}

void
command_ignore(struct debugger *d, const char *arguments)
{
	struct breakpoint *b = by_number(d, &arguments);
	u64 count = 0;

	if (b && number_argument(d, arguments, &count)) {
		b->ignore = count;
		describe(d, b);
	}
}

void
command_condition(struct debugger *d, const char *arguments)
{
	struct breakpoint *b = by_number(d, &arguments), with = {0};
	char *text;

	if (!b)
		return;
	text = error_string("if %s", arguments);
	if (!*arguments || condition_argument(d, text, &with)) {
		free(b->condition);
		b->condition = with.condition;
		describe(d, b);
	}
	free(text);
}

void
command_commands(struct debugger *d, const char *arguments)
{
	struct breakpoint *b = by_number(d, &arguments);

	if (!b)
		return;
	free(b->commands);
	b->commands = *arguments ? error_string("%s", arguments) : NULL;
	describe(d, b);
}

void
command_only(struct debugger *d, const char *arguments)
{
	char word[16];
	u64 value;

	if (!next_word(&arguments, word, sizeof(word))) {
		if (d->only_level < 0 && d->only_vpid < 0 && d->only_cpu < 0)
			say(d, "breakpoints stop everywhere\n");
		print_only(d);
		return;
	}
	if (!strcmp(word, "off")) {
		d->only_level = d->only_vpid = d->only_cpu = -1;
		return;
	}
	if (!number_argument(d, arguments, &value))
		return;
	if (value > 0xffff)
		complain(d, "%s is too large", arguments);
	else if (!strcmp(word, "level"))
		d->only_level = (int)value;
	else if (!strcmp(word, "vpid"))
		d->only_vpid = (int)value;
	else if (!strcmp(word, "cpu"))
		d->only_cpu = (int)value;
	else
		complain(d, "only level N, only vpid N, only cpu N, only off");
}
