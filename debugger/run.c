/* Running the machine for the shell and for gdb: continue, step, next, finish, until; and why it stopped. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "debugger/internal.h"

u64
linear_rip(const struct vcpu *cpu)
{
	return cpu->long64 ? cpu->rip : (u32)(cpu->seg[CS].base + cpu->rip);
}

void
d_stop(struct debugger *d, struct vcpu *cpu, enum stop_kind kind, const char *format, ...)
{
	va_list list;

	hooks_stop(cpu);
	if (d->stop != STOP_NONE)
		return;
	d->stop = kind;
	d->cpu = cpu;
	va_start(list, format);
	vsnprintf(d->stop_text, sizeof(d->stop_text), format, list);
	va_end(list);
}

void
debugger_interrupt(struct debugger *d)
{
	struct vcpu *cpu = d->cpus->running ? d->cpus->running : d->cpu;

	d_stop(d, cpu, STOP_INTERRUPT, "interrupted");
}

static bool
is_return(struct vcpu *cpu)
{
	u8 code[2];

	if (!mem_peek(cpu, linear_rip(cpu), code, 2))
		return false;
	if (code[0] == 0xf3 || code[0] == 0xf2)
		code[0] = code[1];
	return code[0] == 0xc3 || code[0] == 0xc2 || code[0] == 0xcb || code[0] == 0xca || code[0] == 0xcf;
}

/* Not while a VM exit or entry has led elsewhere, if that is to be stepped over. */
static bool
steps_here(const struct debugger *d, const struct vcpu *cpu)
{
	return d->step_cpu == cpu && (!d->step_level || d->step_level == level_of(cpu)) && !(d->step_only && breakpoints_elsewhere(d, cpu));
}

/* Is the step that was asked for over, before the instruction at RIP? */
static bool
step_is_over(struct debugger *d, struct vcpu *cpu)
{
	if (d->finishing)
		return d->finish_return && cpu->r[RSP] - d->finish_rsp - 1 < FRAME_REACH;
	return d->steps-- <= 1;
}

bool
on_instruction(void *opaque, struct vcpu *cpu)
{
	struct debugger *d = opaque;
	u64 linear = linear_rip(cpu);

	if (d->back.mode)
		return reverse_instruction(d, cpu, linear);
	bool here = d->pass.cpu == cpu && d->pass.icount == cpu_icount(cpu) && d->pass.rip == linear;

	if (d->pass.cpu == cpu)
		d->pass.cpu = NULL;
	if (!here) {
		if (steps_here(d, cpu) && step_is_over(d, cpu)) {
			d_stop(d, cpu, STOP_STEP, "%s", "");
			return true;
		}
		if (hooks_announced(&d->hooks, linear) && breakpoints_at(d, cpu, linear))
			return true;
	}
	if (d->finishing && steps_here(d, cpu))
		d->finish_return = is_return(cpu);
	return false;
}

static void
on_until(void *opaque, u64 now)
{
	struct debugger *d = opaque;

	d_stop(d, d->cpus->running ? d->cpus->running : d->cpu, STOP_UNTIL, "reached time %llu, instruction %llu", (ull)now,
	       (ull)cpus_icount(d->cpus));
}

bool
d_run(struct debugger *d)
{
	bool step = d->step_cpu != NULL;

	if (d->ended)
		return false;
	d->at_beginning = d->back.reached = d->back.came = false;
	reverse_changed(d);
	d->stop = STOP_NONE;
	d->stop_at = NULL;
	d->stop_text[0] = 0;
	d->pass.cpu = d->cpu;
	d->pass.icount = cpu_icount(d->cpu);
	d->pass.rip = linear_rip(d->cpu);
	if (d->hooks.stepping != step)
		d->code_changed = true;
	d->hooks.stepping = step;
	/* Who steps in the guest of `only` stays there. */
	d->step_only = step && !breakpoints_elsewhere(d, d->step_cpu);
	for (unsigned n = 0; n < d->cpus->count; n++)
		d->vcpu[n].mode = processor_mode(d->cpus->cpu[n]);
	gdb_forget(d);
	breakpoints_apply(d);
	d->ended = !d->host.run(d->host.opaque);
	d->step_cpu = NULL;
	d->step_level = 0;
	d->finishing = false;
	event_disarm(d->cpus->events, &d->until);
	if (d->hooks.stepping) {
		d->hooks.stepping = false;
		d->code_changed = true;
	}
	return !d->ended;
}

void
where_am_i(struct debugger *d)
{
	struct vcpu *cpu = d->cpu;

	if (d->stop_text[0])
		say(d, "%s\n", d->stop_text);
	if (d->ended) {
		say(d, "the machine has ended; its state can still be looked at\n");
		return;
	}
	if (cpu->activity != ACTIVITY_ACTIVE)
		say(d, "cpu %u is halted\n", cpu->index);
	say(d, "cpu %u L%d #%llu  ", cpu->index, level_of(cpu), (ull)cpu_icount(cpu));
	print_instruction(d, cpu, ADDRESS_LINEAR, linear_rip(cpu), NULL);
}

/* Runs, tells where it stopped, and does what the breakpoint's command list says. */
static void
run_and_tell(struct debugger *d)
{
	char *commands;

	if (d->ended) {
		complain(d, "the machine has ended");
		return;
	}
	d_run(d);
	/* A gdb that came meanwhile has the machine until it leaves. */
	while (gdb_connected(d) && !d->ended && gdb_session(d))
		d_run(d);
	where_am_i(d);
	if (d->stop_at && d->stop_at->commands && d->depth < 8) {
		commands = error_string("%s", d->stop_at->commands);
		if (d->stop_at->temporary)
			breakpoint_delete(d, (struct breakpoint *)d->stop_at);
		d->stop_at = NULL;
		execute_lines(d, commands);
		free(commands);
	} else if (d->stop_at && d->stop_at->temporary) {
		breakpoint_delete(d, (struct breakpoint *)d->stop_at);
		d->stop_at = NULL;
	}
}

void
command_continue(struct debugger *d, const char *arguments)
{
	(void)arguments;
	run_and_tell(d);
}

void
command_step(struct debugger *d, const char *arguments)
{
	u64 count = 1;

	if (*arguments && !number_argument(d, arguments, &count))
		return;
	if (!count)
		return;
	d->step_cpu = d->cpu;
	d->steps = count;
	run_and_tell(d);
}

/* Runs to `linear` in this frame or an outer one. */
static void
run_to(struct debugger *d, u64 linear, u64 least_rsp)
{
	struct breakpoint *b = breakpoint_add(d, (struct breakpoint){.kind = BREAK_EXECUTE,
								     .first = linear,
								     .last = linear,
								     .least_rsp = least_rsp,
								     .only_cpu = least_rsp ? d->cpu : NULL,
								     .only_level = least_rsp ? level_of(d->cpu) : 0});

	d_run(d);
	if (d->stop_at == b) {
		d->stop_at = NULL;
		d->stop_text[0] = 0;
	}
	breakpoint_delete(d, b);
	where_am_i(d);
}

void
command_next(struct debugger *d, const char *arguments)
{
	u64 count = 1, linear;
	u8 code[15];
	char text[200];
	bool call;
	unsigned length;

	if (*arguments && !number_argument(d, arguments, &count))
		return;
	while (count-- && !d->ended) {
		linear = linear_rip(d->cpu);
		length = mem_peek(d->cpu, linear, code, sizeof(code))
				 ? disassemble(d, d->cpu, code_bits(d->cpu, ADDRESS_LINEAR), linear, code, sizeof(code), text, sizeof(text), &call)
				 : 0;
		if (length && call) {
			run_to(d, linear + length, d->cpu->r[RSP]);
		} else {
			d->step_cpu = d->cpu;
			d->step_level = level_of(d->cpu);
			d->steps = 1;
			run_and_tell(d);
		}
		if (d->stop != STOP_STEP && d->stop_text[0])
			break;
	}
}

void
command_finish(struct debugger *d, const char *arguments)
{
	u64 rip, rsp;

	(void)arguments;
	/* At full speed where tables tell the way, by single steps else. */
	if (!d->ended && frame_return(d, &rip, &rsp)) {
		run_to(d, rip, rsp);
		return;
	}
	d->step_cpu = d->cpu;
	d->step_level = level_of(d->cpu);
	d->finishing = true;
	d->finish_return = is_return(d->cpu);
	d->finish_rsp = d->cpu->r[RSP];
	/* The instruction at which the machine is resumed is not announced as new: finish_return already knows it. */
	run_and_tell(d);
}

void
command_until(struct debugger *d, const char *arguments)
{
	char word[32];
	const char *at = arguments;
	u64 value, now = events_now(d->cpus->events);
	bool icount;

	if (d->ended) {
		complain(d, "the machine has ended");
		return;
	}
	if (!next_word(&at, word, sizeof(word))) {
		complain(d, "until what? (ADDR, icount N, time N)");
		return;
	}
	icount = !strcmp(word, "icount");
	if (!icount && strcmp(word, "time") != 0) {
		if (number_argument(d, arguments, &value))
			run_to(d, value, 0);
		return;
	}
	if (!number_argument(d, at, &value))
		return;
	if (value <= (icount ? cpus_icount(d->cpus) : now)) {
		complain(d, "that is over: it is time %llu, instruction %llu", (ull)now, (ull)cpus_icount(d->cpus));
		return;
	}
	event_init(&d->until, "debugger", EVENT_STOP, on_until, d);
	if (icount)
		event_arm_icount(d->cpus->events, &d->until, value);
	else
		event_arm(d->cpus->events, &d->until, value);
	run_and_tell(d);
}

void
command_cpu(struct debugger *d, const char *arguments)
{
	u64 index;

	if (*arguments) {
		if (!number_argument(d, arguments, &index))
			return;
		if (index >= d->cpus->count) {
			complain(d, "there are %u processors", d->cpus->count);
			return;
		}
		d->cpu = d->cpus->cpu[index];
	}
	d->stop_text[0] = 0;
	where_am_i(d);
}
