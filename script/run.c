/* Running a machine until something that a scenario waits for. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "cpu/vcpu.h"
#include "debugger/debugger.h"
#include "machine/chardev_host.h"
#include "script/internal.h"

#define LARGEST_LOG (64u << 20)

/* As scenarios know them. */
static const char *const why_names[] = {
	[END_NONE] = "stopped",           [END_SERIAL] = "serial",         [END_EXITS] = "exits",
	[END_PROBE] = "callback",         [END_INSTRUCTIONS] = "instructions", [END_TIME] = "time",
	[END_BREAKPOINT] = "breakpoint",  [END_OFF] = "off",               [END_TRIPLE_FAULT] = "triple-fault",
	[END_STATUS] = "status",          [END_INTERRUPTED] = "interrupted", [END_BUDGET] = "budget",
};

void
subject_stop(struct subject *s, enum end_why why, const char *detail)
{
	debugger_stop(s->machine->debugger);
	if (s->why != END_NONE)
		return;
	s->why = why;
	free(s->detail);
	s->detail = detail ? error_string("%s", detail) : NULL;
}

/* --- serial output --- */

static bool
ends_with(const struct serial_log *log, const struct wanted *w)
{
	return log->size >= log->seen + w->size && !memcmp(log->text + log->size - w->size, w->text, w->size);
}

static void
forget_half(struct serial_log *log)
{
	size_t half = log->size / 2;

	memmove(log->text, log->text + half, log->size - half);
	log->size -= half;
	log->forgotten += half;
	log->seen -= MIN(log->seen, half);
}

static void
add_byte(struct serial_log *log, u8 byte)
{
	if (log->size == log->room) {
		log->room = MAX(log->room * 2, 4096);
		log->text = realloc(log->text, log->room);
		if (!log->text)
			stop_host_error("out of memory");
	}
	log->text[log->size++] = (char)byte;
	if (log->size == LARGEST_LOG)
		forget_half(log);
}

static void
on_serial(void *opaque, const u8 *data, size_t size)
{
	struct serial_log *log = opaque;
	struct subject *s = log->subject;
	unsigned port = (unsigned)(log - s->serial);

	for (size_t i = 0; i < size; i++) {
		add_byte(log, data[i]);
		for (unsigned n = 0; n < s->wanteds; n++)
			if (s->wanted[n].port == port && ends_with(log, &s->wanted[n])) {
				log->seen = log->size;
				subject_stop(s, END_SERIAL, s->wanted[n].text);
			}
	}
}

void
run_watch_serial(struct subject *s)
{
	for (unsigned i = 0; i < CONFIG_SERIALS; i++) {
		s->serial[i].subject = s;
		s->serial[i].watched = s->machine->serial[i] != NULL;
		if (s->machine->serial[i])
			chardev_host_watch(s->machine->serial[i], on_serial, &s->serial[i]);
	}
}

/* Has one of the texts been printed already, behind the last that was waited for? The first in the log counts. */
static bool
already_printed(struct subject *s)
{
	const struct wanted *first = NULL;
	size_t first_end = 0;

	for (unsigned n = 0; n < s->wanteds; n++) {
		const struct wanted *w = &s->wanted[n];
		const struct serial_log *log = &s->serial[w->port];
		const char *at = log->text ? memmem(log->text + log->seen, log->size - log->seen, w->text, w->size) : NULL;

		if (at && (!first || (size_t)(at - log->text) + w->size < first_end)) {
			first = w;
			first_end = (size_t)(at - log->text) + w->size;
		}
	}
	if (!first)
		return false;
	s->serial[first->port].seen = first_end;
	s->why = END_SERIAL;
	free(s->detail);
	s->detail = error_string("%s", first->text);
	return true;
}

/* --- limits --- */

static void
on_instructions(void *opaque, u64 now)
{
	struct subject *s = opaque;

	(void)now;
	subject_stop(s, s->budget_first ? END_BUDGET : END_INSTRUCTIONS, NULL);
}

static void
on_time(void *opaque, u64 now)
{
	(void)now;
	subject_stop(opaque, END_TIME, NULL);
}

static void
arm_limits(struct subject *s, u64 instructions, u64 time)
{
	const struct scenario *scenario = s->scenario;
	struct machine *machine = s->machine;
	u64 done = cpus_icount(machine->cpus), spent = scenario_instructions(scenario);

	s->budget_first = false;
	s->instructions_end = instructions;
	if (scenario->instructions) {
		u64 left = scenario->instructions > spent ? scenario->instructions - spent : 0;

		if (!instructions || done + left < instructions) {
			s->instructions_end = done + left;
			s->budget_first = true;
		}
	}
	event_init(&s->instructions, "scenario", EVENT_STOP, on_instructions, s);
	event_init(&s->time, "scenario", EVENT_STOP, on_time, s);
	if (s->instructions_end)
		event_arm_icount(machine->events, &s->instructions, s->instructions_end);
	if (time)
		event_arm(machine->events, &s->time, time);
}

/* --- running --- */

static void
how_it_ended(struct subject *s)
{
	const struct machine *machine = s->machine;
	char status[16];

	if (machine->off)
		subject_stop(s, machine->status == EXIT_TRIPLE_FAULT ? END_TRIPLE_FAULT : END_OFF, NULL);
	snprintf(status, sizeof(status), "%d", machine->status);
	subject_stop(s, END_STATUS, status);
}

static void
drop_wanted(struct subject *s)
{
	for (unsigned i = 0; i < s->wanteds; i++)
		free(s->wanted[i].text);
	free(s->wanted);
	s->wanted = NULL;
	s->wanteds = 0;
}

void
run_check(lua_State *L, struct subject *s)
{
	if (s->callback_error != LUA_NOREF) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, s->callback_error);
		luaL_unref(L, LUA_REGISTRYINDEX, s->callback_error);
		s->callback_error = LUA_NOREF;
		lua_error(L);
	}
	if (machine_timed_out())
		luaL_error(L, "the time budget of %f seconds is used up", s->scenario->seconds);
	if (machine_interrupted())
		luaL_error(L, "interrupted");
	if (s->why == END_BUDGET)
		luaL_error(L, "the budget of %I instructions is used up", (LUAI_UACINT)s->scenario->instructions);
}

/* The field `name` of the table at 2 as a non-negative integer; 0 when absent. */
static u64
number_field(lua_State *L, const char *name)
{
	u64 value = 0;

	if (lua_getfield(L, 2, name) != LUA_TNIL) {
		lua_Integer number = luaL_checkinteger(L, -1);

		luaL_argcheck(L, number >= 0, 2, lua_pushfstring(L, "%s is negative", name));
		value = (u64)number;
	}
	lua_pop(L, 1);
	return value;
}

/* serial = {TEXT, ...}, port = N: copied, since Lua may move on. */
static void
want_texts(lua_State *L, struct subject *s)
{
	u64 port = number_field(L, "port");

	if (lua_getfield(L, 2, "serial") == LUA_TTABLE) {
		unsigned count = (unsigned)MIN(luaL_len(L, -1), 1000);

		luaL_argcheck(L, port < CONFIG_SERIALS && s->serial[port].watched, 2, "there is no such serial port");
		for (unsigned i = 1; i <= count; i++) {
			lua_rawgeti(L, -1, i);
			luaL_argcheck(L, lua_isstring(L, -1) && *lua_tostring(L, -1), 2, "serial is no text");
			lua_pop(L, 1);
		}
		s->wanted = calloc(count + 1, sizeof(*s->wanted));
		if (!s->wanted)
			stop_host_error("out of memory");
		for (unsigned i = 1; i <= count; i++) {
			lua_rawgeti(L, -1, i);
			s->wanted[s->wanteds] = (struct wanted){.port = (unsigned)port, .text = error_string("%s", lua_tostring(L, -1))};
			s->wanted[s->wanteds].size = strlen(s->wanted[s->wanteds].text);
			s->wanteds++;
			lua_pop(L, 1);
		}
	}
	lua_pop(L, 1);
}

static void
run(struct subject *s, u64 instructions, u64 time)
{
	const char *text = "";
	enum debugger_end end;

	s->running = true;
	arm_limits(s, instructions, time);
	end = debugger_run(s->machine->debugger, &text);
	event_disarm(s->machine->events, &s->instructions);
	event_disarm(s->machine->events, &s->time);
	s->running = false;
	if (end == DEBUGGER_ENDED && s->why == END_NONE)
		how_it_ended(s);
	if (s->why == END_NONE) {
		s->why = end == DEBUGGER_BREAKPOINT ? END_BREAKPOINT : END_INTERRUPTED;
		free(s->detail);
		s->detail = error_string("%s", text);
	}
}

/*
 * run_raw(M, {serial =, port =, exits = {[WHAT] = N}, icount =, time =}): absolute instruction count and time in cycles.
 * Returns why it stopped, and a detail.
 */
static int
run_raw(lua_State *L)
{
	struct subject *s = subject_check_idle(L, 1);
	u64 instructions, time;

	luaL_checktype(L, 2, LUA_TTABLE);
	if (s->machine->ended)
		return luaL_error(L, "the machine has ended; its state can still be looked at");
	instructions = number_field(L, "icount");
	time = number_field(L, "time");
	s->lua = L;
	s->why = END_NONE;
	/* An error may have left them behind. */
	drop_wanted(s);
	probes_end_countdowns(s);
	want_texts(L, s);
	if (lua_getfield(L, 2, "exits") == LUA_TTABLE)
		for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
			probe_countdown(L, s, lua_tostring(L, -2), (u64)luaL_checkinteger(L, -1));
	if (!s->wanteds || !already_printed(s))
		run(s, instructions, time);
	probes_end_countdowns(s);
	drop_wanted(s);
	run_check(L, s);
	lua_pushstring(L, why_names[s->why]);
	if (s->detail)
		lua_pushstring(L, s->detail);
	else
		lua_pushnil(L);
	return 2;
}

/* unseen(M, PORT): what has been printed since the last text that was waited for. */
static int
unseen(lua_State *L)
{
	struct subject *s = subject_check(L, 1);
	const struct serial_log *log = &s->serial[subject_port(L, s, 2)];

	lua_pushlstring(L, log->text ? log->text + log->seen : "", log->size - log->seen);
	return 1;
}

/* last_line(M, PORT): the line that ends where the last text that was waited for did, without its end. */
static int
last_line(lua_State *L)
{
	struct subject *s = subject_check(L, 1);
	const struct serial_log *log = &s->serial[subject_port(L, s, 2)];
	size_t end = log->seen, start;

	if (end && log->text[end - 1] == '\n')
		end--;
	if (end && log->text[end - 1] == '\r')
		end--;
	for (start = end; start && log->text[start - 1] != '\n'; start--)
		;
	lua_pushlstring(L, log->text ? log->text + start : "", end - start);
	return 1;
}

void
run_register(lua_State *L)
{
	static const luaL_Reg methods[] = {{"run_raw", run_raw}, {"unseen", unseen}, {"last_line", last_line}, {NULL, NULL}};

	lua_getfield(L, -1, "methods");
	luaL_setfuncs(L, methods, 0);
	lua_pop(L, 1);
}
