/*
 * Going back in time: reverse-step, reverse-continue, reverse-to, who-wrote.
 *
 * The machine's host can return to checkpoints; from there the machine runs again, exactly as before, up to a moment that is wanted. A moment is the
 * number of instructions that all processors have executed and of events that hooks have told of: no two boundaries between
 * instructions have both in common. Close to it the machine goes by single steps. To stop at the last breakpoint before the present, the
 * stretch from a checkpoint to the present is run twice: first to count the stops, then to make the last one.
 */
#include <stdlib.h>
#include <string.h>

#include "bus/input.h"
#include "debugger/internal.h"
#include "debugger/walk.h"

/* Instructions of each processor before a moment that are gone through one by one. */
#define NEAR 64
/* Instructions of all that are gone through one by one where a processor that slept has to be found executing its last. */
#define WINDOW 4096

/* Instructions of all: how much of the past is looked at first with memory under watch, and how that grows. */
#define STRETCH 2000000u
#define STRETCH_GROWS 8

struct moment {
	u64 icount, moments, time;
};

static struct moment
present(const struct debugger *d)
{
	return (struct moment){cpus_icount(d->cpus), d->moments, events_now(d->cpus->events)};
}

void
reverse_moment(struct debugger *d, struct vcpu *cpu)
{
	d->moments++;
	d->again = d->moments <= d->furthest;
	if (!d->again)
		d->furthest = d->moments;
	/* Past a moment between this and the instruction before. */
	if (d->back.mode && d->back.stepping && cpus_icount(d->cpus) >= d->back.icount && d->moments > d->back.moments) {
		d->back.reached = true;
		hooks_stop(cpu);
	}
}

/* --- running again --- */

static bool
reached(const struct debugger *d)
{
	u64 icount = cpus_icount(d->cpus);

	return icount > d->back.icount || (icount == d->back.icount && d->moments >= d->back.moments);
}

bool
reverse_instruction(struct debugger *d, struct vcpu *cpu, u64 linear)
{
	if (d->back.reached)
		return true;
	if (d->back.stepping && (reached(d) || (cpu == d->back.cpu && ++d->back.announced == d->back.wanted_instruction))) {
		d->back.reached = true;
		d->back.before = cpu;
		hooks_stop(cpu);
		return true;
	}
	return d->back.mode != BACK_QUIET && hooks_announced(&d->hooks, linear) && breakpoints_at(d, cpu, linear);
}

/* The instruction under way, or the next one. */
static void
note_instruction(struct debugger *d, struct vcpu *cpu)
{
	u64 rip = cpu->current ? insn_rip(cpu, cpu->current) : cpu->rip;
	struct vcpu *selected = d->cpu;
	FILE *out = d->out;
	char *text = NULL;
	size_t size = 0;

	d->out = open_memstream(&text, &size);
	if (!d->out)
		stop_host_error("out of memory");
	d->cpu = cpu;
	say(d, "cpu %u L%d #%llu  ", cpu->index, level_of(cpu), (ull)cpu_icount(cpu));
	print_instruction(d, cpu, ADDRESS_LINEAR, cpu->long64 ? rip : (u32)(cpu->seg[CS].base + rip), NULL);
	fclose(d->out);
	d->out = out;
	d->cpu = selected;
	snprintf(d->back.instruction, sizeof(d->back.instruction), "%s", text);
	free(text);
	d->back.exits = d->exits;
}

bool
reverse_passes(struct debugger *d, struct vcpu *cpu, const struct breakpoint *b)
{
	if (!d->back.mode)
		return false;
	if (d->back.mode == BACK_QUIET || d->back.reached || b->hit || (d->back.only && b != d->back.only))
		return true;
	if (d->back.region && cpu->vmx && cpu->vmx->current != d->back.region)
		return true;
	d->back.hits++;
	if (d->back.mode != BACK_SEEK || d->back.hits != d->back.wanted)
		return true;
	note_instruction(d, cpu);
	return false;
}

static void
on_come(void *opaque, u64 now)
{
	struct debugger *d = opaque;

	/* The instructions are all executed, but the processors sleep on. */
	if (now < d->back.time) {
		event_arm(d->cpus->events, &d->back.come, d->back.time);
		return;
	}
	d->back.came = true;
	hooks_stop(d->cpus->running ? d->cpus->running : d->cpu);
}

/* `icount`: where to stop at the latest, at `time` at the earliest; 0: nowhere. */
static void
run(struct debugger *d, bool stepping, u64 icount, u64 time)
{
	if (d->hooks.stepping != stepping)
		d->code_changed = true;
	d->hooks.stepping = d->back.stepping = stepping;
	d->pass.cpu = NULL;
	breakpoints_apply(d);
	d->back.came = false;
	d->back.time = time;
	event_init(&d->back.come, "return", EVENT_STOP, on_come, d);
	if (icount)
		event_arm_icount(d->cpus->events, &d->back.come, icount);
	d->ended = !d->host.run(d->host.opaque);
	event_disarm(d->cpus->events, &d->back.come);
}

/* Was there a Ctrl-C while the machine did not run? */
static bool
wants_to_stop(struct debugger *d)
{
	return d->host.interrupted && d->host.interrupted(d->host.opaque);
}

/* Runs to `to`, or to the stop or instruction that d->back asks for. False: something else came between. */
static bool
run_again(struct debugger *d, enum back_mode mode, const struct moment *to)
{
	u64 near = NEAR * d->cpus->count;
	bool good;

	d->back.mode = mode;
	d->back.icount = to->icount;
	d->back.moments = to->moments;
	d->back.reached = false;
	d->back.hits = d->back.announced = 0;
	d->stop = STOP_NONE;
	d->stop_at = NULL;
	d->stop_text[0] = 0;
	/* It may have come while the machine was put back. */
	if (wants_to_stop(d))
		debugger_interrupt(d);
	if (d->stop == STOP_NONE && !d->back.wanted_instruction && !d->back.cpu && to->icount > cpus_icount(d->cpus) + near)
		run(d, false, to->icount - near, 0);
	/* Exact even where no instruction follows. */
	if (!d->ended && d->stop == STOP_NONE && !d->back.reached) {
		run(d, true, MAX(to->icount, 1), to->time);
		d->back.reached |= d->back.came && d->moments >= to->moments;
	}
	if (!d->ended && d->stop == STOP_NONE && !d->back.reached)
		run(d, true, 0, 0);
	good = d->back.reached || d->ended || (mode == BACK_SEEK && d->stop != STOP_NONE);
	d->back.mode = BACK_NOT;
	if (d->hooks.stepping) {
		d->hooks.stepping = d->back.stepping = false;
		d->code_changed = true;
	}
	return good;
}

static bool
go_back(struct debugger *d, u64 icount)
{
	bool good;

	/* What hooks tell while the state is put back is not news. */
	d->back.mode = BACK_QUIET;
	good = d->host.back && d->host.back(d->host.opaque, icount);
	d->back.mode = BACK_NOT;
	if (!good)
		return false;
	d->ended = false;
	d->step_cpu = NULL;
	event_disarm(d->cpus->events, &d->until);
	return true;
}

static struct debugger_history
history(const struct debugger *d)
{
	struct debugger_history h = {0};

	if (d->host.history)
		d->host.history(d->host.opaque, &h);
	return h;
}

/* Before anything that goes back. */
static void
begin(struct debugger *d)
{
	d->at_beginning = false;
	d->stop = STOP_NONE;
	reverse_changed(d);
	wants_to_stop(d); /* what was meant for the prompt */
}

static bool
can_go_back(struct debugger *d)
{
	struct debugger_history h = history(d);

	begin(d);
	if (!h.count && h.disk)
		complain(d, "nothing is kept to go back to: what is written to %s itself cannot be taken back (snapshot=on can)", h.disk);
	else if (!h.count)
		complain(d, "nothing is kept to go back to (-history SIZE)");
	return h.count;
}

static void
at_beginning(struct debugger *d, const char *why)
{
	struct debugger_history h = history(d);

	go_back(d, h.oldest + 1);
	d->stop = STOP_STEP;
	d->at_beginning = true;
	snprintf(d->stop_text, sizeof(d->stop_text), "%s: what is kept begins here", why);
}

/* --- single steps --- */

/* To about instruction `icount`, or to the beginning if that is later. */
static bool
go_to(struct debugger *d, u64 icount)
{
	const struct moment to = {.icount = icount};
	u64 oldest = history(d).oldest;

	if (oldest >= icount)
		return go_back(d, oldest + 1);
	return go_back(d, icount + 1) && run_again(d, BACK_QUIET, &to);
}

/*
 * The latest place between instructions `low` and `high` from which processor `cpu` still executes `count` before it has executed `own`: it may have
 * slept for long while others ran. At `low` that is so.
 */
static bool
narrow(struct debugger *d, struct vcpu *cpu, u64 count, u64 own, u64 low, u64 high)
{
	while (high - low > WINDOW) {
		u64 middle = low + (high - low) / 2;

		if (!go_to(d, middle))
			return false;
		if (cpu_icount(cpu) + count <= own)
			low = middle;
		else
			high = middle;
	}
	return go_to(d, low);
}

/* `count` instructions of processor `cpu` back from the present. */
static void
step_back(struct debugger *d, struct vcpu *cpu, u64 count)
{
	struct moment to = present(d);
	u64 own = cpu_icount(cpu), high = to.icount, first = (NEAR + count) * d->cpus->count, start, announced;

	for (u64 width = first;; width *= 16) {
		u64 low = to.icount > width ? to.icount - width : 0;
		bool all = history(d).oldest >= low; /* as far as there is */

		if (!go_to(d, low))
			return;
		/* Near the present, instructions that are not completed count too: they fault, or exit. */
		if (width != first && cpu_icount(cpu) + count > own) {
			if (all)
				break;
			high = low;
			continue;
		}
		if (width != first && !narrow(d, cpu, count, own, cpus_icount(d->cpus), high))
			return;
		d->host.mark(d->host.opaque);
		start = cpus_icount(d->cpus);
		d->back.cpu = cpu;
		if (!run_again(d, BACK_QUIET, &to)) {
			d->back.cpu = NULL;
			return;
		}
		d->back.cpu = NULL;
		announced = d->back.announced;
		if (announced < count && all)
			break;
		high = low;
		if (announced < count)
			continue;
		if (!go_back(d, start + 1))
			return;
		d->back.cpu = cpu;
		d->back.wanted_instruction = announced - count + 1;
		if (run_again(d, BACK_QUIET, &to))
			d->stop = STOP_STEP;
		d->back.wanted_instruction = 0;
		d->back.cpu = NULL;
		d->cpu = cpu;
		return;
	}
	at_beginning(d, "no instruction before");
}

/* --- the last stop before --- */

static bool
same(const struct moment *a, const struct moment *b)
{
	return a->icount == b->icount && a->moments == b->moments;
}

/* To the last stop by d->back.only, or by any breakpoint, before the present. False: there is none, and the machine is at the beginning. */
static bool
last_stop(struct debugger *d)
{
	const struct breakpoint *only = d->back.only;
	const struct breakpoint *watch = only && only->kind == BREAK_WRITTEN ? only : NULL;
	u64 stretch = STRETCH;
	struct moment now = present(d), end = now, start;
	bool good;

	for (;;) {
		/* Over stretches in which nobody can have written. */
		if (watch && d->host.written) {
			u64 to = d->host.written(d->host.opaque, end.icount, only->first, only->last);

			if (!to)
				return false;
			if (to < end.icount && go_back(d, to + 1))
				end = present(d);
		}
		if (!go_back(d, end.icount))
			return false;
		/* A page that is written all the time makes a stretch slow: the last writer is probably near. */
		if (watch && end.icount - cpus_icount(d->cpus) > stretch) {
			if (!go_to(d, end.icount - stretch))
				return true;
			d->host.mark(d->host.opaque);
			stretch *= STRETCH_GROWS;
		}
		start = present(d);
		if (watch)
			hooks_watch_writes(d->cpus, watch->first, watch->last);
		good = run_again(d, BACK_COUNT, &end);
		if (watch)
			hooks_unwatch_writes(d->cpus);
		if (!good)
			return true;
		for (d->back.wanted = d->back.hits; d->back.wanted; d->back.wanted--) {
			struct moment found;

			if (!go_back(d, start.icount + 1))
				return true;
			if (watch)
				hooks_watch_writes(d->cpus, watch->first, watch->last);
			good = run_again(d, BACK_SEEK, &end);
			if (watch)
				hooks_unwatch_writes(d->cpus);
			if (!good)
				return true;
			found = present(d);
			/* Not the one by which the present was reached. */
			if (!same(&found, &now) && d->stop != STOP_NONE)
				return true;
		}
		end = start;
	}
}

/* A write is found after it happened; going back, one has not come by it yet. */
static void
before_the_write(struct debugger *d)
{
	const struct breakpoint *at = d->stop_at;
	char text[sizeof(d->stop_text)];

	memcpy(text, d->stop_text, sizeof(text));
	step_back(d, d->cpu, 1);
	d->stop = STOP_WATCH;
	d->stop_at = at;
	memcpy(d->stop_text, text, sizeof(text));
}

struct place {
	struct moment moment;
	struct vcpu *cpu;
	bool ended;
};

static struct place
here(const struct debugger *d)
{
	return (struct place){present(d), d->cpu, d->ended};
}

/* The present again, after looking at the past. */
static void
return_to(struct debugger *d, const struct place *place)
{
	wants_to_stop(d); /* the Ctrl-C that brought us here */
	/* Without whatever the search had watched. */
	if (go_back(d, place->moment.icount))
		run_again(d, BACK_QUIET, &place->moment);
	d->cpu = place->cpu;
	d->ended |= place->ended;
	if (d->stop != STOP_INTERRUPT)
		d->stop_text[0] = 0;
}

/* Who interrupts the way back gets the present again; another Ctrl-C leaves the machine where it just is. */
static void
unless_interrupted(struct debugger *d, const struct place *place)
{
	if (d->stop != STOP_INTERRUPT)
		return;
	return_to(d, place);
	if (d->stop != STOP_INTERRUPT)
		snprintf(d->stop_text, sizeof(d->stop_text), "interrupted: it is where it was");
	d->stop = STOP_INTERRUPT;
}

void
reverse_continue(struct debugger *d)
{
	struct place place = here(d);

	begin(d);
	if (!last_stop(d))
		at_beginning(d, "no stop before");
	else if (d->stop == STOP_WATCH)
		before_the_write(d);
	unless_interrupted(d, &place);
}

void
reverse_step(struct debugger *d, struct vcpu *cpu, u64 count)
{
	struct place place = here(d);

	begin(d);
	step_back(d, cpu, count);
	unless_interrupted(d, &place);
}

/* --- commands --- */

void
command_reverse_step(struct debugger *d, const char *arguments)
{
	u64 count = 1;

	if (*arguments && !number_argument(d, arguments, &count))
		return;
	if (!count || !can_go_back(d))
		return;
	reverse_step(d, d->cpu, count);
	where_am_i(d);
}

void
command_reverse_continue(struct debugger *d, const char *arguments)
{
	(void)arguments;
	if (!can_go_back(d))
		return;
	reverse_continue(d);
	where_am_i(d);
	if (d->stop_at && d->stop_at->temporary)
		breakpoint_delete(d, (struct breakpoint *)d->stop_at);
}

static void
to_icount(struct debugger *d, u64 icount)
{
	struct moment to = {.icount = icount};
	struct place place = here(d);

	if (icount > cpus_icount(d->cpus)) {
		complain(d, "instruction %llu is not in the past: it is %llu", (ull)icount, (ull)cpus_icount(d->cpus));
		return;
	}
	if (!go_back(d, icount + 1)) {
		complain(d, "what is kept begins at instruction %llu", (ull)history(d).oldest);
		return;
	}
	run_again(d, BACK_QUIET, &to);
	unless_interrupted(d, &place);
	where_am_i(d);
}

void
command_reverse_to(struct debugger *d, const char *arguments)
{
	struct breakpoint b = {.kind = BREAK_EXECUTE, .on_read = true, .on_write = true}, *only;
	struct place place = here(d);
	const char *at = arguments;
	char word[32];
	u64 icount;

	if (!can_go_back(d))
		return;
	if (!next_word(&at, word, sizeof(word))) {
		complain(d, "reverse-to what? (an event or address as of `break`, or icount N)");
		return;
	}
	if (!strcmp(word, "icount")) {
		if (number_argument(d, at, &icount))
			to_icount(d, icount);
		return;
	}
	if (!breakpoint_parse(d, arguments, &b))
		return;
	only = breakpoint_add(d, b);
	d->back.only = only;
	d->at_beginning = false;
	if (!last_stop(d))
		at_beginning(d, "there was none");
	d->back.only = NULL;
	breakpoint_delete(d, only);
	unless_interrupted(d, &place);
	where_am_i(d);
}

/* --- who-wrote --- */

static void
tell_writer(struct debugger *d, const char *what)
{
	const struct exit_record *e = d->back.exits ? exit_number(d, d->back.exits - 1) : NULL;

	say(d, "%s\n%s", what, d->back.instruction);
	if (e)
		say(d, "after exit %llu %s\n", (ull)d->back.exits - 1, reason_text(e->reason));
}

/* The write at which the machine has just stopped. */
static void
describe_write(const struct debugger *d, char *text, size_t room)
{
	const struct hook_access *store = &d->back.store;
	u64 value = 0;

	if (!d->back.write.writer && store->write && store->physical == d->back.write.physical && store->size == d->back.write.size)
		value = store->value;
	else
		memory_peek(d->cpu->memory, d->back.write.at, &value, d->back.write.shown);
	snprintf(text, room, "%s%swrite of %llu bytes at %#llx", d->back.write.writer ? d->back.write.writer : "", d->back.write.writer ? ": " : "",
		 (ull)d->back.write.size, (ull)d->back.write.physical);
	if (d->back.write.at != d->back.write.physical)
		snprintf(text + strlen(text), room - strlen(text), ", at %#llx", (ull)d->back.write.at);
	snprintf(text + strlen(text), room - strlen(text), ": %#llx -> %#llx", (ull)d->back.write.old, (ull)value);
}

static void
search_writer(struct debugger *d, struct breakpoint *only)
{
	bool memory = only->kind == BREAK_WRITTEN;
	struct place place = here(d);
	bool found;
	char text[sizeof(d->stop_text)];

	d->back.only = only;
	found = last_stop(d);
	memcpy(text, d->stop_text, sizeof(text));
	if (memory && found && d->stop_at == only)
		describe_write(d, text, sizeof(text));
	d->back.only = NULL;
	d->back.region = 0;
	breakpoint_delete(d, only);
	if (d->stop == STOP_INTERRUPT)
		complain(d, "interrupted: not found yet");
	else if (found)
		tell_writer(d, text);
	else
		say(d, "nobody did since instruction %llu\n", (ull)history(d).oldest);
	return_to(d, &place);
	if (d->stop == STOP_INTERRUPT)
		where_am_i(d);
}

/* What the processor itself writes at a VM exit. */
static void
tell_exit(struct debugger *d, const struct vmcs_field *field)
{
	unsigned type = field->encoding >> 10 & 3;
	const struct exit_record *e = d->exits ? exit_number(d, d->exits - 1) : NULL;

	if ((type == 1 || type == 2) && e)
		say(d, "the processor writes it at VM exits; the last was exit %llu %s at instruction %llu\n", (ull)d->exits - 1,
		    reason_text(e->reason), (ull)e->icount);
}

void
command_who_wrote(struct debugger *d, const char *arguments)
{
	struct breakpoint b = {.kind = BREAK_EXECUTE, .on_read = true, .on_write = true};
	const struct vmcs_field *field = NULL;
	const char *at = arguments;
	char word[64], *text;
	bool good;

	if (!can_go_back(d))
		return;
	if (!next_word(&at, word, sizeof(word))) {
		complain(d, "who wrote what? (an address as of `watch`, or a VMCS field)");
		return;
	}
	for (unsigned i = 0; (field = vmcs_field_at(i)) && strcmp(field->name, !strncmp(word, "vmcs.", 5) ? word + 5 : word) != 0; i++)
		;
	if (field && !*at) {
		tell_exit(d, field);
		text = error_string("vmwrite %s", field->name);
		good = breakpoint_parse(d, text, &b);
		free(text);
		d->back.region = d->cpu->vmx ? d->cpu->vmx->current : 0;
	} else {
		good = watchpoint_parse(d, arguments, false, true, &b);
		/* The memory, by whatever address it is written. */
		if (good && b.address == ADDRESS_LINEAR) {
			u64 gpa, physical;

			good = linear_peek(d->cpu, b.first, &gpa, &physical);
			if (!good)
				complain(d, "no memory there");
			b.last = physical + (b.last - b.first);
			b.first = physical;
			b.address = ADDRESS_PHYSICAL;
		}
		if (good && b.address == ADDRESS_GUEST_PHYSICAL) {
			u64 physical = b.first;

			good = !ept_on(d) || vmx_ept_peek(d->cpu, b.first, &physical);
			if (!good)
				complain(d, "no memory there");
			b.last = physical + (b.last - b.first);
			b.first = physical;
			b.address = ADDRESS_PHYSICAL;
		}
		b.kind = BREAK_WRITTEN;
	}
	if (good)
		search_writer(d, breakpoint_add(d, b));
}

void
info_history(struct debugger *d, const char *arguments)
{
	struct debugger_history h = history(d);

	(void)arguments;
	if (!h.count) {
		say(d, "nothing is kept to go back to (-history SIZE)\n");
		return;
	}
	say(d, "%u moments from instruction %llu on, %llu KiB; input from outside %llu KiB%s\n", h.count, (ull)h.oldest, (ull)h.size >> 10,
	    (ull)input_log_size(d->input) >> 10, input_in_past(d->input) ? "; this is the past" : "");
}

/* --- for others --- */

void
reverse_changed(struct debugger *d)
{
	if (d->changed && d->host.changed)
		d->host.changed(d->host.opaque);
	d->changed = false;
}

bool
debugger_stopped(const struct debugger *d)
{
	return d->stop != STOP_NONE || d->back.reached || d->back.came;
}
