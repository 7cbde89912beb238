/*
 * A scenario from its first line to the verdict: the Lua state with the libraries that make sense here, budgets, and what the shell gets.
 *
 * There is no io, os or package library: a scenario reaches files through the functions of docs/SCENARIOS.md, and nothing in it depends on
 * the host's clock or on chance.
 */
#include "script/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "cpu/vcpu.h"
#include "machine/values.h"

#define DEFAULT_SECONDS 600
#define STATUS_SKIPPED 77 /* as Automake's test driver and others have it */
#define HOOK_EVERY 100000 /* Lua instructions between looks at the clock */
#define LARGEST_FILE (64u << 20)

static const char prelude[] =
#include "script/prelude.inc"
	;

static struct scenario *
scenario_of(lua_State *L)
{
	return *(struct scenario **)lua_getextraspace(L);
}

u64
scenario_instructions(const struct scenario *scenario)
{
	u64 sum = scenario->spent;

	for (const struct subject *s = scenario->subjects; s; s = s->next)
		if (s->machine)
			sum += cpus_icount(s->machine->cpus) - s->machine->start_instructions;
	return sum;
}

static void
on_hook(lua_State *L, lua_Debug *ar)
{
	(void)ar;
	if (machine_timed_out())
		luaL_error(L, "the time budget of %f seconds is used up", scenario_of(L)->seconds);
	if (machine_interrupted())
		luaL_error(L, "interrupted");
}

/* --- what the prelude is made of --- */

/* budget{seconds=, instructions=}: of the header; -timeout wins. */
static int
set_budget(lua_State *L)
{
	struct scenario *scenario = scenario_of(L);

	luaL_checktype(L, 1, LUA_TTABLE);
	if (lua_getfield(L, 1, "seconds") != LUA_TNIL && scenario->config->timeout <= 0) {
		double seconds = luaL_checknumber(L, -1);

		luaL_argcheck(L, seconds > 0 && seconds < 1e8, 1, "seconds is no number of seconds");
		scenario->seconds = seconds;
		machine_watch_signals(seconds);
	}
	if (lua_getfield(L, 1, "instructions") != LUA_TNIL) {
		luaL_argcheck(L, lua_isinteger(L, -1) && lua_tointeger(L, -1) > 0, 1, "instructions is no number of instructions");
		scenario->instructions = (u64)lua_tointeger(L, -1);
	}
	return 0;
}

static int
read_file(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	FILE *file = fopen(path, "rb");
	luaL_Buffer buffer;
	size_t size, total = 0;

	if (!file) {
		lua_pushnil(L);
		lua_pushfstring(L, "%s: %s", path, strerror(errno));
		return 2;
	}
	luaL_buffinit(L, &buffer);
	do {
		size = fread(luaL_prepbuffer(&buffer), 1, LUAL_BUFFERSIZE, file);
		luaL_addsize(&buffer, size);
		total += size;
	} while (size && total <= LARGEST_FILE);
	fclose(file);
	luaL_pushresult(&buffer);
	if (!size)
		return 1;
	lua_pushnil(L);
	lua_pushfstring(L, "%s: larger than %d MiB", path, LARGEST_FILE >> 20);
	return 2;
}

static int
write_file(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	size_t size;
	const char *text = luaL_checklstring(L, 2, &size);
	FILE *file = fopen(path, "wb");
	bool bad = !file;

	if (file) {
		bad = fwrite(text, 1, size, file) != size;
		bad |= fclose(file) != 0;
	}
	return bad ? luaL_error(L, "%s: %s", path, strerror(errno)) : 0;
}

/* count(VALUE): a number of instructions or bytes as the command line takes it, "2G". */
static int
to_count(lua_State *L)
{
	u64 count;

	if (lua_isinteger(L, 1)) {
		lua_settop(L, 1);
		return 1;
	}
	if (lua_type(L, 1) == LUA_TNUMBER) {
		double number = lua_tonumber(L, 1);

		luaL_argcheck(L, number >= 0 && number < 9e18, 1, "out of range");
		lua_pushinteger(L, (lua_Integer)number);
		return 1;
	}
	luaL_argcheck(L, parse_count(luaL_checkstring(L, 1), &count), 1, "no number (examples: 5000, 20M, 2G)");
	lua_pushinteger(L, (lua_Integer)count);
	return 1;
}

/* load_file(PATH): the chunk, text only. */
static int
load_file(lua_State *L)
{
	if (luaL_loadfilex(L, luaL_checkstring(L, 1), "t") == LUA_OK)
		return 1;
	return lua_error(L);
}

static int
print(lua_State *L)
{
	int count = lua_gettop(L);

	for (int i = 1; i <= count; i++) {
		size_t size;
		const char *text = luaL_tolstring(L, i, &size);

		fwrite(text, 1, size, stdout);
		fputc(i < count ? '\t' : '\n', stdout);
		lua_pop(L, 1);
	}
	fflush(stdout);
	return 0;
}

static const luaL_Reg functions[] = {
	{"set_budget", set_budget}, {"read_file", read_file}, {"write_file", write_file}, {"count", to_count}, {"load_file", load_file},
	{"key_text", keys_of_text}, {"key_combination", keys_of_combination},
	{NULL, NULL},
};

/* --- the state --- */

static void
open_libraries(lua_State *L)
{
	static const luaL_Reg libraries[] = {
		{LUA_GNAME, luaopen_base},         {LUA_COLIBNAME, luaopen_coroutine}, {LUA_TABLIBNAME, luaopen_table},
		{LUA_STRLIBNAME, luaopen_string},  {LUA_MATHLIBNAME, luaopen_math},    {LUA_UTF8LIBNAME, luaopen_utf8},
	};
	/* Compiled chunks can crash the interpreter; the others reach files by themselves. */
	static const char *const gone[] = {"load", "loadfile", "dofile", "collectgarbage"};

	for (unsigned i = 0; i < COUNT(libraries); i++) {
		luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
		lua_pop(L, 1);
	}
	for (unsigned i = 0; i < COUNT(gone); i++) {
		lua_pushnil(L);
		lua_setglobal(L, gone[i]);
	}
	lua_pushcfunction(L, print);
	lua_setglobal(L, "print");
}

static void
push_arguments(lua_State *L, const struct config *config)
{
	lua_newtable(L);
	for (unsigned i = 0; i < config->script_arg_count; i++) {
		const char *equals = strchr(config->script_args[i], '=');

		lua_pushlstring(L, config->script_args[i], (size_t)(equals - config->script_args[i]));
		lua_pushstring(L, equals + 1);
		lua_settable(L, -3);
	}
}

/* The prelude gets a table with the functions above, the scenario's path, -update and the arguments, and makes the globals. */
static int
prepare(lua_State *L)
{
	struct scenario *scenario = scenario_of(L);

	luaL_checkversion(L);
	open_libraries(L);
	if (luaL_loadbufferx(L, prelude, sizeof(prelude) - 1, "=nestbox", "t") != LUA_OK)
		return lua_error(L);
	luaL_newlib(L, functions);
	subject_register(L);
	run_register(L);
	look_register(L);
	probe_register(L);
	lua_pushstring(L, scenario->config->script);
	lua_setfield(L, -2, "script");
	lua_pushboolean(L, scenario->config->update);
	lua_setfield(L, -2, "update");
	push_arguments(L, scenario->config);
	lua_setfield(L, -2, "args");
	lua_call(L, 1, 0);
	return 0;
}

/* Adds where it happened; a table is what skip() raised. */
static int
on_error(lua_State *L)
{
	if (lua_istable(L, 1))
		return 1;
	luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
	return 1;
}

static int
verdict(struct scenario *scenario, int status)
{
	lua_State *L = scenario->lua;
	unsigned long long instructions = scenario_instructions(scenario);
	const char *message;

	if (status == LUA_OK) {
		artifacts_drop(scenario);
		printf("PASS %s: %llu instructions\n", scenario->config->script, instructions);
		return EXIT_GOOD;
	}
	if (lua_istable(L, -1)) {
		artifacts_drop(scenario);
		lua_getfield(L, -1, "skip");
		printf("SKIP %s: %s\n", scenario->config->script, luaL_tolstring(L, -1, NULL));
		return STATUS_SKIPPED;
	}
	message = luaL_tolstring(L, -1, NULL);
	fprintf(stderr, "nestbox: %s\n", message);
	if (scenario->config->artifacts)
		artifacts_write(scenario, scenario->config->artifacts, message);
	printf("FAIL %s: %.*s\n", scenario->config->script, (int)strcspn(message, "\n"), message);
	return EXIT_BAD;
}

int
scenario_run(const struct config *config)
{
	struct scenario scenario = {.config = config, .seconds = config->timeout > 0 ? config->timeout : DEFAULT_SECONDS};
	lua_State *L = luaL_newstate();
	int status, exit_status;

	if (!L)
		stop_host_error("out of memory");
	scenario.lua = L;
	*(struct scenario **)lua_getextraspace(L) = &scenario;
	machine_watch_signals(scenario.seconds);
	lua_pushcfunction(L, prepare);
	status = lua_pcall(L, 0, 0, 0);
	if (status != LUA_OK)
		stop_host_error("prelude: %s", lua_tostring(L, -1));
	lua_sethook(L, on_hook, LUA_MASKCOUNT, HOOK_EVERY);
	lua_pushcfunction(L, on_error);
	status = luaL_loadfilex(L, config->script, "t");
	if (status == LUA_OK)
		status = lua_pcall(L, 0, 0, -2);
	lua_sethook(L, NULL, 0, 0);
	exit_status = verdict(&scenario, status);
	while (scenario.subjects)
		subject_close(scenario.subjects);
	lua_close(L);
	while (scenario.closed) {
		struct subject *next = scenario.closed->next;

		free(scenario.closed);
		scenario.closed = next;
	}
	if (fflush(stdout) != 0 || ferror(stdout))
		return EXIT_BAD;
	return exit_status;
}
