/* The debugger for programs instead of people: running, looking, commands as functions, and probes. See debugger.h. */
#include <stdlib.h>
#include <string.h>

#include "debugger/internal.h"

enum debugger_end
debugger_run(struct debugger *d, const char **text)
{
	enum debugger_end end = DEBUGGER_STOPPED;

	d_run(d);
	*text = d->stop_text;
	if (d->ended)
		return DEBUGGER_ENDED;
	if (d->stop == STOP_BREAKPOINT || d->stop == STOP_WATCH)
		end = DEBUGGER_BREAKPOINT;
	else if (d->stop == STOP_INTERRUPT)
		end = DEBUGGER_INTERRUPTED;
	if (d->stop_at && d->stop_at->temporary)
		breakpoint_delete(d, (struct breakpoint *)d->stop_at);
	d->stop_at = NULL;
	return end;
}

void
debugger_stop(struct debugger *d)
{
	d_stop(d, d->cpus->running ? d->cpus->running : d->cpu, STOP_UNTIL, "%s", "");
}

char *
debugger_execute(struct debugger *d, const char *line, bool *failed)
{
	char *text = capture_line(d, line);

	*failed = d->command_failed;
	return text;
}

bool
debugger_is_command(const char *name)
{
	const struct command *c;

	for (unsigned i = 0; (c = command_at(i)); i++)
		if (!strcmp(c->name, name))
			return true;
	return false;
}

struct vcpu *
debugger_selected(const struct debugger *d)
{
	return d->cpu;
}

bool
debugger_evaluate(struct debugger *d, struct vcpu *cpu, const char *text, u64 *value, const char **error)
{
	struct vcpu *selected = d->cpu;

	d->cpu = cpu;
	evaluate(d, &text, value, error);
	d->cpu = selected;
	if (!*error && *text)
		*error = "something is left over";
	return !*error;
}

bool
debugger_register(struct debugger *d, struct vcpu *cpu, const char *name, u64 *value)
{
	return register_read(d, cpu, name, value);
}

const char *
debugger_register_name(unsigned index)
{
	return register_name_at(index);
}

static bool
kind_of(const char *name, enum address_kind *kind)
{
	for (unsigned i = 0; i <= ADDRESS_GUEST; i++)
		if (!strcmp(address_kind_name(i), name)) {
			*kind = (enum address_kind)i;
			return true;
		}
	return false;
}

bool
debugger_address_kind(const char *name)
{
	enum address_kind kind;

	return kind_of(name, &kind);
}

bool
debugger_peek(struct debugger *d, struct vcpu *cpu, const char *name, u64 address, void *data, unsigned size)
{
	enum address_kind kind;

	return kind_of(name, &kind) && d_peek(d, cpu, kind, address, data, size);
}

bool
debugger_poke(struct debugger *d, struct vcpu *cpu, const char *name, u64 address, const void *data, unsigned size)
{
	enum address_kind kind;

	return kind_of(name, &kind) && d_poke(d, cpu, kind, address, data, size);
}

/* --- probes --- */

static bool
parse(struct debugger *d, const char *what, struct breakpoint *b)
{
	static const struct {
		const char *name;
		bool read, write;
	} watches[] = {{"watch", false, true}, {"rwatch", true, false}, {"awatch", true, true}};
	const char *after = what;
	char word[16];

	if (next_word(&after, word, sizeof(word)))
		for (unsigned i = 0; i < COUNT(watches); i++)
			if (!strcmp(word, watches[i].name))
				return watchpoint_parse(d, after, watches[i].read, watches[i].write, b);
	return breakpoint_parse(d, what, b);
}

struct breakpoint *
debugger_probe(struct debugger *d, const char *what, void (*hit)(void *opaque, struct vcpu *cpu), void *opaque, char **error)
{
	struct breakpoint b = {.kind = BREAK_EXECUTE, .on_read = true, .on_write = true};
	FILE *out = d->out;
	char *text = NULL;
	size_t size = 0;
	bool good;

	d->out = open_memstream(&text, &size);
	if (!d->out)
		stop_host_error("out of memory");
	good = parse(d, what, &b);
	fclose(d->out);
	d->out = out;
	if (!good) {
		text[strcspn(text, "\n")] = 0;
		*error = text;
		return NULL;
	}
	free(text);
	b.hit = hit;
	b.opaque = opaque;
	return breakpoint_add(d, b);
}

void
debugger_probe_silence(struct debugger *d, struct breakpoint *probe)
{
	breakpoint_able(d, probe, false);
}

void
debugger_probe_end(struct debugger *d, struct breakpoint *probe)
{
	breakpoint_delete(d, probe);
}

const struct happening *
debugger_happening(const struct debugger *d)
{
	return &d->happening;
}

static struct vcpu *
whose(struct debugger *d)
{
	return d->cpus->running ? d->cpus->running : d->cpus->cpu[0];
}

void
debugger_mmio(struct debugger *d, unsigned card, u32 offset, unsigned size, bool write, u64 value)
{
	if (!(d->events_wanted & 1u << BREAK_MMIO))
		return;
	d->happening = (struct happening){.port = card, .address = offset, .size = size, .write = write, .value = value};
	breakpoints_event(d, whose(d), BREAK_MMIO, offset, "%s of %u bytes at card register %#x: %#llx", write ? "write" : "read", size, offset,
			  (ull)value);
}

void
debugger_packet(struct debugger *d, unsigned card, bool write, const u8 *data, size_t size)
{
	trace_packet(d, card, write, data, size);
	if (!(d->events_wanted & 1u << BREAK_PACKET))
		return;
	d->happening = (struct happening){
		.port = card, .size = size, .write = write, .value = size >= 14 ? (u64)data[12] << 8 | data[13] : 0, .data = data};
	breakpoints_event(d, whose(d), BREAK_PACKET, card, "card %u %s %zu bytes", card, write ? "sends" : "receives", size);
	d->happening.data = NULL;
}
