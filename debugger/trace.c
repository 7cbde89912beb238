/*
 * The tracer: what happens, as text, JSON Lines, Chrome/Perfetto trace events, or in the words of KVM's tracepoints.
 *
 * Perfetto: microseconds are the machine's; one process per processor, one thread per level; time between exit and entry is a slice of L1,
 * time in the guest one of L2, all else instants. KVM's text: kvm_entry, kvm_exit, kvm_inj_virq, kvm_page_fault as trace-cmd prints them, the
 * task being nestbox and times seconds of virtual time.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "debugger/internal.h"

enum format { FORMAT_TEXT, FORMAT_JSONL, FORMAT_PERFETTO, FORMAT_KVM };

struct trace {
	FILE *out;
	bool close, first;
	unsigned kinds;
	enum format format;
};

static const struct {
	const char *name;
	unsigned kinds;
} kinds[] = {
	{"exits", TRACE_EXITS},         {"entries", TRACE_ENTRIES},       {"entry-fail", TRACE_ENTRY_FAIL}, {"inject", TRACE_INJECT},
	{"injections", TRACE_INJECT},   {"vmwrite", TRACE_VMWRITE},       {"interrupts", TRACE_INTERRUPTS}, {"exceptions", TRACE_EXCEPTIONS},
	{"io", TRACE_IO},               {"msr", TRACE_MSR},               {"cr", TRACE_CR},               {"packets", TRACE_PACKETS},
	{"vmx", TRACE_EXITS | TRACE_ENTRIES | TRACE_ENTRY_FAIL | TRACE_INJECT},
	{"all", ~0u},
};
static const char *const formats[] = {"text", "jsonl", "perfetto", "kvm"};

bool
trace_wants(const struct debugger *d, enum trace_kind kind)
{
	return d->trace && d->trace->kinds & kind && !d->again;
}

static double
microseconds(const struct debugger *d, u64 time)
{
	return (double)time * 1e6 / (double)events_hz(d->cpus->events);
}

static void
separate(struct trace *t)
{
	fputs(t->first ? "[\n" : ",\n", t->out);
	t->first = false;
}

static void
slice(struct debugger *d, unsigned cpu, int level, const char *name, u64 from, u64 to)
{
	separate(d->trace);
	fprintf(d->trace->out, "{\"ph\":\"X\",\"pid\":%u,\"tid\":%d,\"ts\":%.3f,\"dur\":%.3f,\"name\":\"%s\"}", cpu, level, microseconds(d, from),
		microseconds(d, to - from), name);
}

/* The text inside a JSON string. */
static void
put_quoted(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc((unsigned char)*text < ' ' ? ' ' : *text, out);
	}
}

static void
kvm_line(struct debugger *d, const struct vcpu *cpu, u64 time)
{
	double seconds = (double)time / (double)events_hz(d->cpus->events);

	fprintf(d->trace->out, "         nestbox-%-5u [%03u] %12.6f: ", cpu->index + 1, cpu->index, seconds);
}

void
trace_exit(struct debugger *d, struct vcpu *cpu, const struct exit_record *e)
{
	struct trace *t = d->trace;
	char text[200];

	if (!trace_wants(d, e->failed ? TRACE_ENTRY_FAIL : TRACE_EXITS))
		return;
	describe_exit(e, text, sizeof(text));
	switch (t->format) {
	case FORMAT_TEXT:
		fprintf(t->out, "%llu cpu%u L2 exit %s rip=%#llx qualification=%#llx %s\n", (ull)e->time, cpu->index, reason_text(e->reason),
			(ull)e->rip, (ull)e->qualification, text);
		break;
	case FORMAT_JSONL:
		fprintf(t->out,
			"{\"event\":\"exit\",\"time\":%llu,\"icount\":%llu,\"cpu\":%u,\"reason\":\"%s\",\"rip\":\"%#llx\","
			"\"qualification\":\"%#llx\","
			"\"gpa\":\"%#llx\",\"vpid\":%u,\"info\":\"%#x\",\"failed\":%s,\"because\":\"",
			(ull)e->time, (ull)e->icount, cpu->index, reason_text(e->reason), (ull)e->rip, (ull)e->qualification, (ull)e->gpa, e->vpid,
			e->interruption_info, e->failed ? "true" : "false");
		put_quoted(t->out, e->because ? e->because : "");
		fprintf(t->out, "\"}\n");
		break;
	case FORMAT_PERFETTO:
		if (d->vcpu[cpu->index].entered)
			slice(d, cpu->index, 2, reason_text(e->reason), d->vcpu[cpu->index].entered, e->time);
		break;
	case FORMAT_KVM:
		kvm_line(d, cpu, e->time);
		fprintf(t->out,
			"kvm_exit:             vcpu %u reason %s rip 0x%llx info1 0x%016llx info2 0x%016llx intr_info 0x%08x "
			"error_code 0x%08x\n",
			cpu->index, reason_text(e->reason), (ull)e->rip, (ull)e->qualification, (ull)e->vectoring_info, e->interruption_info,
			e->interruption_error);
		if ((e->reason & 0xffff) != REASON_EPT_VIOLATION)
			break;
		kvm_line(d, cpu, e->time);
		fprintf(t->out, "kvm_page_fault:       vcpu %u rip 0x%llx address 0x%016llx error_code 0x%llx\n", cpu->index,
			(ull)e->rip, (ull)e->gpa, (ull)e->qualification);
		break;
	}
}

static bool
injects(const struct vcpu *cpu)
{
	return cpu->vmx->vmcs.entry_interruption_info & 0x80000000;
}

/* What KVM tells before its entry. */
static void
kvm_injection(struct debugger *d, struct vcpu *cpu, const struct exit_record *before)
{
	const struct vmcs *v = &cpu->vmx->vmcs;
	u32 info = v->entry_interruption_info, type = info >> 8 & 7, vector = info & 0xff;
	const char *name = exception_name(vector), *again = "";
	FILE *out = d->trace->out;

	/* The last exit came between the event and its handler. */
	if (before && before->vectoring_info & 0x80000000 && ((before->vectoring_info ^ info) & 0x7ff) == 0)
		again = " [reinjected]";
	kvm_line(d, cpu, cpu_time(cpu));
	if (type == EVENT_EXTERNAL || type == EVENT_SOFTWARE_INTERRUPT)
		fprintf(out, "kvm_inj_virq:         %s 0x%x%s\n", type == EVENT_EXTERNAL ? "IRQ" : "Soft/INTn", vector, again);
	else if (type == EVENT_NMI || type == EVENT_OTHER || !name)
		fprintf(out, "nestbox_inject: type %u vector %u%s\n", type, vector, again);
	else if (info & 0x800)
		fprintf(out, "kvm_inj_exception:    %s (0x%x)%s\n", name, v->entry_error_code, again);
	else
		fprintf(out, "kvm_inj_exception:    %s%s\n", name, again);
}

void
trace_entry(struct debugger *d, struct vcpu *cpu, const struct exit_record *before)
{
	struct trace *t = d->trace;
	u64 now = cpu_time(cpu);

	if (trace_wants(d, TRACE_INJECT) && t->format == FORMAT_KVM && injects(cpu))
		kvm_injection(d, cpu, before);
	if (!trace_wants(d, TRACE_ENTRIES))
		return;
	switch (t->format) {
	case FORMAT_TEXT: fprintf(t->out, "%llu cpu%u L1 entry rip=%#llx\n", (ull)now, cpu->index, (ull)cpu->rip); break;
	case FORMAT_JSONL:
		fprintf(t->out, "{\"event\":\"entry\",\"time\":%llu,\"icount\":%llu,\"cpu\":%u,\"rip\":\"%#llx\",\"vpid\":%u}\n", (ull)now,
			(ull)cpu_icount(cpu), cpu->index, (ull)cpu->rip, cpu->vmx->vmcs.vpid);
		break;
	case FORMAT_PERFETTO:
		if (d->vcpu[cpu->index].exited)
			slice(d, cpu->index, 1, "hypervisor", d->vcpu[cpu->index].exited, now);
		break;
	case FORMAT_KVM:
		kvm_line(d, cpu, now);
		fprintf(t->out, "kvm_entry:            vcpu %u, rip 0x%llx\n", cpu->index, (ull)cpu->rip);
		break;
	}
}

void
trace_inject(struct debugger *d, struct vcpu *cpu, const struct event_info *event)
{
	if (!trace_wants(d, TRACE_INJECT))
		return;
	/* What VM entry injects has been told before it: kvm_injection(). */
	if (d->trace->format == FORMAT_KVM && injects(cpu) && (cpu->vmx->vmcs.entry_interruption_info & 0xff) == event->vector)
		return;
	trace_other(d, cpu, TRACE_INJECT, "inject", "vector=%u type=%u error=%#x", event->vector, event->type, event->has_error ? event->error : 0);
}

void
trace_other(struct debugger *d, struct vcpu *cpu, enum trace_kind kind, const char *name, const char *format, ...)
{
	struct trace *t = d->trace;
	u64 now = cpu_time(cpu), rip = cpu->current ? insn_rip(cpu, cpu->current) : cpu->rip;
	char text[800];
	va_list list;

	if (!trace_wants(d, kind))
		return;
	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	switch (t->format) {
	case FORMAT_TEXT:
		fprintf(t->out, "%llu cpu%u L%d %s %s rip=%#llx\n", (ull)now, cpu->index, level_of(cpu), name, text, (ull)rip);
		break;
	case FORMAT_JSONL:
		fprintf(t->out, "{\"event\":\"%s\",\"time\":%llu,\"icount\":%llu,\"cpu\":%u,\"level\":%d,\"rip\":\"%#llx\",\"what\":\"", name,
			(ull)now, (ull)cpu_icount(cpu), cpu->index, level_of(cpu), (ull)rip);
		put_quoted(t->out, text);
		fputs("\"}\n", t->out);
		break;
	case FORMAT_PERFETTO:
		separate(t);
		fprintf(t->out, "{\"ph\":\"i\",\"s\":\"t\",\"pid\":%u,\"tid\":%d,\"ts\":%.3f,\"name\":\"%s\",\"args\":{\"what\":\"", cpu->index,
			level_of(cpu), microseconds(d, now), name);
		put_quoted(t->out, text);
		fputs("\"}}", t->out);
		break;
	case FORMAT_KVM:
		kvm_line(d, cpu, now);
		fprintf(t->out, "nestbox_%s: %s rip 0x%llx\n", name, text, (ull)rip);
		break;
	}
}

void
trace_packet(struct debugger *d, unsigned card, bool sent, const u8 *data, size_t size)
{
	struct trace *t = d->trace;
	struct vcpu *cpu = d->cpus->running ? d->cpus->running : d->cpus->cpu[0];
	u64 now = events_now(d->cpus->events);
	const char *name = sent ? "packet_sent" : "packet_received";
	unsigned type = size >= 14 ? (unsigned)data[12] << 8 | data[13] : 0;
	char text[120] = "";

	if (!trace_wants(d, TRACE_PACKETS))
		return;
	if (size >= 14)
		snprintf(text, sizeof(text), "card=%u size=%zu type=%#06x from=%02x:%02x:%02x:%02x:%02x:%02x to=%02x:%02x:%02x:%02x:%02x:%02x", card,
			 size, type, data[6], data[7], data[8], data[9], data[10], data[11], data[0], data[1], data[2], data[3], data[4], data[5]);
	switch (t->format) {
	case FORMAT_TEXT: fprintf(t->out, "%llu %s %s\n", (ull)now, name, text); break;
	case FORMAT_JSONL:
		fprintf(t->out, "{\"event\":\"%s\",\"time\":%llu,\"card\":%u,\"size\":%zu,\"what\":\"%s\"}\n", name, (ull)now, card, size, text);
		break;
	case FORMAT_PERFETTO:
		separate(t);
		fprintf(t->out, "{\"ph\":\"i\",\"s\":\"t\",\"pid\":%u,\"tid\":%u,\"ts\":%.3f,\"name\":\"%s\",\"args\":{\"what\":\"%s\"}}",
			d->cpus->count, card + 1, microseconds(d, now), name, text);
		break;
	case FORMAT_KVM:
		kvm_line(d, cpu, now);
		fprintf(t->out, "nestbox_%s: %s\n", name, text);
		break;
	}
}

void
trace_free(struct debugger *d)
{
	struct trace *t = d->trace;

	if (!t)
		return;
	if (t->format == FORMAT_PERFETTO)
		fputs(t->first ? "[]\n" : "\n]\n", t->out);
	if (fflush(t->out) != 0 || ferror(t->out))
		fprintf(stderr, "nestbox: the trace could not be written completely\n");
	if (t->close)
		fclose(t->out);
	free(t);
	d->trace = NULL;
}

static void
name_tracks(struct debugger *d)
{
	for (unsigned n = 0; n < d->cpus->count; n++) {
		separate(d->trace);
		fprintf(d->trace->out, "{\"ph\":\"M\",\"pid\":%u,\"name\":\"process_name\",\"args\":{\"name\":\"cpu %u\"}}", n, n);
		for (int level = 1; level <= 2; level++) {
			separate(d->trace);
			fprintf(d->trace->out, "{\"ph\":\"M\",\"pid\":%u,\"tid\":%d,\"name\":\"thread_name\",\"args\":{\"name\":\"L%d\"}}", n, level,
				level);
		}
	}
	if (d->trace->kinds & TRACE_PACKETS) {
		separate(d->trace);
		fprintf(d->trace->out, "{\"ph\":\"M\",\"pid\":%u,\"name\":\"process_name\",\"args\":{\"name\":\"network\"}}", d->cpus->count);
	}
}

/* The format follows the file's name unless the specification says it. */
static enum format
format_of(const char *path)
{
	const char *dot = path ? strrchr(path, '.') : NULL;

	return !dot ? FORMAT_TEXT : !strcmp(dot, ".jsonl") ? FORMAT_JSONL : !strcmp(dot, ".json") ? FORMAT_PERFETTO : FORMAT_TEXT;
}

char *
debugger_trace(struct debugger *d, const char *spec, const char *path)
{
	struct trace t = {.format = format_of(path), .first = true};
	const char *at = spec;

	while (*at) {
		size_t length = strcspn(at, ",");
		bool known = false;

		for (unsigned i = 0; i < COUNT(kinds); i++)
			if (strlen(kinds[i].name) == length && !strncmp(at, kinds[i].name, length)) {
				t.kinds |= kinds[i].kinds;
				known = true;
			}
		for (unsigned i = 0; i < COUNT(formats); i++)
			if (strlen(formats[i]) == length && !strncmp(at, formats[i], length)) {
				t.format = (enum format)i;
				known = true;
			}
		if (!known)
			return error_string("-trace: '%.*s' is none of exits, entries, entry-fail, inject, vmwrite, interrupts, "
					    "exceptions, io, msr, cr, packets, vmx, all, text, jsonl, perfetto, kvm",
					    (int)length, at);
		at += length + (at[length] == ',');
	}
	if (!t.kinds)
		return error_string("-trace: '%s' names no events", spec);
	t.out = path ? fopen(path, "w") : stderr;
	t.close = path;
	if (!t.out)
		return error_string("-trace-file %s: %s", path, strerror(errno));
	trace_free(d);
	d->trace = malloc(sizeof(t));
	if (!d->trace)
		stop_host_error("out of memory");
	*d->trace = t;
	if (t.format == FORMAT_PERFETTO)
		name_tracks(d);
	if (t.format == FORMAT_KVM)
		fprintf(t.out, "cpus=%u\n", d->cpus->count);
	return NULL;
}

void
command_trace(struct debugger *d, const char *arguments)
{
	char spec[200], *error;

	if (!next_word(&arguments, spec, sizeof(spec)) || !strcmp(spec, "off")) {
		trace_free(d);
		return;
	}
	error = debugger_trace(d, spec, *arguments ? arguments : NULL);
	if (error)
		complain(d, "%s", error);
	free(error);
}
