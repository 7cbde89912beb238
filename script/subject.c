/*
 * Machines as Lua sees them: making from options, closing, input, files, and the debugger's commands.
 *
 * A machine lives until close() or the end of the scenario, not until the garbage collector finds it: what a failed scenario leaves should have
 * all of them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "cpu/vcpu.h"
#include "debugger/debugger.h"
#include "devices/vga.h"
#include "machine/chardev_host.h"
#include "machine/pc.h"
#include "machine/screendump.h"
#include "script/internal.h"

struct subject *
subject_check(lua_State *L, int index)
{
	struct subject *s = *(struct subject **)luaL_checkudata(L, index, SUBJECT);

	if (!s || !s->machine)
		luaL_error(L, "the machine is closed");
	return s;
}

struct subject *
subject_check_idle(lua_State *L, int index)
{
	struct subject *s = subject_check(L, index);

	if (s->running)
		luaL_error(L, "not while the machine runs: a callback may only look, and return true to stop it");
	return s;
}

struct vcpu *
subject_cpu(lua_State *L, struct subject *s, int index)
{
	const struct cpus *cpus = s->machine->cpus;
	lua_Integer number;

	if (lua_isnoneornil(L, index))
		return cpus->running ? cpus->running : debugger_selected(s->machine->debugger);
	number = luaL_checkinteger(L, index);
	luaL_argcheck(L, number >= 0 && number < (lua_Integer)cpus->count, index, "there is no such processor");
	return cpus->cpu[number];
}

/* --- making --- */

/* Argument 1: a list of options as on the command line, without the program's name. */
static int
new_machine(lua_State *L)
{
	struct scenario *scenario = *(struct scenario **)lua_getextraspace(L);
	struct subject *s, **slot;
	char *error = NULL;
	char **argv;
	int argc;

	luaL_checktype(L, 1, LUA_TTABLE);
	argc = (int)MIN(luaL_len(L, 1), 10000) + 1;
	slot = lua_newuserdatauv(L, sizeof(*slot), 1);
	*slot = NULL;
	luaL_setmetatable(L, SUBJECT);
	argv = lua_newuserdatauv(L, ((size_t)argc + 1) * sizeof(*argv), 0);
	argv[0] = "nestbox";
	argv[argc] = NULL;
	for (int i = 1; i < argc; i++) {
		lua_rawgeti(L, 1, i);
		argv[i] = (char *)luaL_checkstring(L, -1);
		lua_pop(L, 1); /* the list keeps it */
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		stop_host_error("out of memory");
	s->scenario = scenario;
	s->callback_error = LUA_NOREF;
	s->config = config_parse_scripted(argc, argv, scenario->config, &error);
	if (s->config) {
		s->number = scenario->machines++;
		artifacts_prepare(s);
		s->machine = machine_new(s->config, &error);
	}
	if (!s->machine) {
		config_free(s->config);
		free(s->capsule);
		free(s);
		lua_pushstring(L, error);
		free(error);
		return luaL_error(L, "%s", lua_tostring(L, -1));
	}
	s->next = scenario->subjects;
	scenario->subjects = s;
	*slot = s;
	run_watch_serial(s);
	machine_start(s->machine);
	lua_pop(L, 1);
	return 1;
}

void
subject_close(struct subject *s)
{
	struct subject **link = &s->scenario->subjects;

	while (*link != s)
		link = &(*link)->next;
	*link = s->next;
	s->scenario->spent += cpus_icount(s->machine->cpus) - s->machine->start_instructions;
	/* A recording has to say that it was not the guest who ended it. */
	if (!s->machine->ended)
		machine_stop(s->machine, EXIT_GOOD);
	machine_finish(s->machine);
	probes_free(s);
	machine_free(s->machine);
	s->machine = NULL;
	config_free(s->config);
	s->config = NULL;
	free(s->capsule);
	s->capsule = NULL;
	for (unsigned i = 0; i < CONFIG_SERIALS; i++) {
		free(s->serial[i].text);
		s->serial[i].text = NULL;
	}
	free(s->detail);
	s->detail = NULL;
	s->next = s->scenario->closed;
	s->scenario->closed = s;
}

static int
close_machine(lua_State *L)
{
	struct subject *s = *(struct subject **)luaL_checkudata(L, 1, SUBJECT);

	if (s && s->machine)
		subject_close(subject_check_idle(L, 1));
	return 0;
}

/* --- input --- */

unsigned
subject_port(lua_State *L, struct subject *s, int index)
{
	lua_Integer port = luaL_optinteger(L, index, 0);

	luaL_argcheck(L, port >= 0 && port < CONFIG_SERIALS && s->serial[port].watched, index, "there is no such serial port");
	return (unsigned)port;
}

static int
send(lua_State *L)
{
	struct subject *s = subject_check_idle(L, 1);
	size_t size;
	const char *text = luaL_checklstring(L, 2, &size);

	chardev_host_type(s->machine->serial[subject_port(L, s, 3)], text, size);
	return 0;
}

static int
serial(lua_State *L)
{
	struct subject *s = subject_check(L, 1);
	const struct serial_log *log = &s->serial[subject_port(L, s, 2)];

	lua_pushlstring(L, log->text ? log->text : "", log->size);
	return 1;
}

static int
mouse(lua_State *L)
{
	struct subject *s = subject_check_idle(L, 1);
	bool taken = machine_mouse(s->machine, (int)luaL_optinteger(L, 2, 0), (int)luaL_optinteger(L, 3, 0), (int)luaL_optinteger(L, 5, 0),
				   (unsigned)luaL_optinteger(L, 4, 0) & 7);

	lua_pushboolean(L, taken);
	return 1;
}

/* --- files --- */

static int
raise(lua_State *L, char *error)
{
	if (!error)
		return 0;
	lua_pushstring(L, error);
	free(error);
	return luaL_error(L, "%s", lua_tostring(L, -1));
}

static int
save(lua_State *L)
{
	struct subject *s = subject_check_idle(L, 1);

	return raise(L, machine_save(s->machine, luaL_checkstring(L, 2)));
}

static struct display *
display_of(lua_State *L, struct subject *s)
{
	if (!s->machine->config->vga)
		luaL_error(L, "there is no display adapter (vga = \"std\")");
	return &s->machine->pc->vga->display;
}

static int
screenshot(lua_State *L)
{
	struct subject *s = subject_check(L, 1);

	return raise(L, screendump(display_of(L, s), luaL_checkstring(L, 2)));
}

static int
screen(lua_State *L)
{
	struct subject *s = subject_check(L, 1);
	const struct display *display = display_of(L, s);
	char *text = display->text(display->adapter);

	if (text)
		lua_pushstring(L, text);
	else
		lua_pushnil(L);
	free(text);
	return 1;
}

/* --- the debugger's commands --- */

/* command(LINE) -> what it prints, and whether it complained. */
static int
execute(lua_State *L)
{
	struct subject *s = subject_check_idle(L, 1);
	const char *line = luaL_checkstring(L, 2);
	bool failed;
	char *text;

	s->lua = L;
	s->running = true;
	text = debugger_execute(s->machine->debugger, line, &failed);
	s->running = false;
	lua_pushstring(L, text);
	free(text);
	lua_pushboolean(L, failed);
	run_check(L, s);
	return 2;
}

static int
is_command(lua_State *L)
{
	lua_pushboolean(L, debugger_is_command(luaL_checkstring(L, 1)));
	return 1;
}

static int
describe(lua_State *L)
{
	struct subject *s = *(struct subject **)luaL_checkudata(L, 1, SUBJECT);

	if (!s || !s->machine)
		lua_pushliteral(L, "machine (closed)");
	else
		lua_pushfstring(L, "machine at instruction %I", (LUAI_UACINT)cpus_icount(s->machine->cpus));
	return 1;
}

static const luaL_Reg methods[] = {
	{"close", close_machine}, {"send", send},       {"serial", serial},         {"mouse", mouse},   {"save", save},
	{"screenshot", screenshot}, {"screen", screen}, {"execute", execute}, {"key_event", keys_event}, {NULL, NULL},
};

/* Adds new_machine, is_command and `methods` to the table on top. */
void
subject_register(lua_State *L)
{
	luaL_newmetatable(L, SUBJECT);
	lua_pushcfunction(L, describe);
	lua_setfield(L, -2, "__tostring");
	lua_pushboolean(L, false);
	lua_setfield(L, -2, "__metatable");
	luaL_newlib(L, methods);
	lua_pushvalue(L, -1);
	lua_setfield(L, -3, "__index");
	lua_setfield(L, -3, "methods");
	lua_pop(L, 1);
	lua_pushcfunction(L, new_machine);
	lua_setfield(L, -2, "new_machine");
	lua_pushcfunction(L, is_command);
	lua_setfield(L, -2, "is_command");
}
