/*
 * Probes: what happens in the machine is told to a function, counted by a key, or counted down. Which happenings, under which condition and by
 * which key is decided in C, by the debugger's breakpoints and expressions; Lua is called for what is left.
 */
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "cpu/vcpu.h"
#include "debugger/debugger.h"
#include "devices/e1000.h"
#include "machine/pc.h"
#include "script/internal.h"
#include "vmx/intercept.h"

#define MOST_KEYS (1u << 20)

struct tally {
	u64 key, count;
};

struct probe {
	struct subject *subject;
	struct breakpoint *breakpoint;
	int function;     /* reference, or LUA_NOREF: a counter */
	bool countdown;
	u64 left;         /* of a countdown */
	char *what, *key; /* heap; key: an expression, or NULL */
	u64 total, keyless; /* keyless: the expression had no value, or there were too many keys */
	struct tally *tally; /* open addressing, `room` a power of 2; count 0: free */
	size_t room, used;
	struct probe *next;
};

/* --- counting --- */

static struct tally *
place(struct tally *table, size_t room, u64 key)
{
	size_t at = (size_t)((key ^ key >> 29) * 0x9e3779b97f4a7c15ull >> 20) & (room - 1);

	while (table[at].count && table[at].key != key)
		at = (at + 1) & (room - 1);
	return &table[at];
}

static void
grow(struct probe *p)
{
	size_t room = p->room ? p->room * 2 : 64;
	struct tally *table = calloc(room, sizeof(*table));

	if (!table)
		stop_host_error("out of memory");
	for (size_t i = 0; i < p->room; i++)
		if (p->tally[i].count)
			*place(table, room, p->tally[i].key) = p->tally[i];
	free(p->tally);
	p->tally = table;
	p->room = room;
}

static void
count(struct probe *p, struct vcpu *cpu)
{
	const char *error = NULL;
	struct tally *t;
	u64 key;

	p->total++;
	if (!p->key)
		return;
	if (!debugger_evaluate(p->subject->machine->debugger, cpu, p->key, &key, &error)) {
		p->keyless++;
		return;
	}
	if (p->used * 2 >= p->room)
		grow(p);
	t = place(p->tally, p->room, key);
	if (!t->count && p->used == MOST_KEYS) {
		p->keyless++;
		return;
	}
	p->used += !t->count;
	t->key = key;
	t->count++;
}

/* --- telling --- */

static void
set_number(lua_State *L, const char *name, u64 value)
{
	lua_pushinteger(L, (lua_Integer)value);
	lua_setfield(L, -2, name);
}

static void
push_happening(lua_State *L, struct probe *p, struct vcpu *cpu)
{
	static const char *const always[] = {"icount", "time", "rip", "level", "cpu", "cpl"};
	static const char *const of_exits[] = {"rax", "rbx", "rcx", "rdx", "vpid", "eptp"};
	bool exit = !strncmp(p->what, "exit", 4);
	struct debugger *d = p->subject->machine->debugger;
	const struct happening *h = debugger_happening(d);
	const struct machine *machine = p->subject->machine;
	u64 value;

	lua_createtable(L, 0, 28);
	for (unsigned i = 0; i < COUNT(always); i++)
		if (debugger_register(d, cpu, always[i], &value))
			set_number(L, always[i], value);
	set_number(L, "value", h->value);
	set_number(L, "old", h->old);
	set_number(L, "address", h->address);
	set_number(L, "port", h->port);
	set_number(L, "vector", h->vector);
	set_number(L, "size", h->size);
	set_number(L, "gpa", h->gpa);
	set_number(L, "qualification", h->qualification);
	set_number(L, "error", h->error);
	lua_pushboolean(L, h->write);
	lua_setfield(L, -2, "write");
	for (unsigned i = 0; exit && i < COUNT(of_exits); i++)
		if (debugger_register(d, cpu, of_exits[i], &value))
			set_number(L, of_exits[i], value);
	if (exit && vmx_reason_name((unsigned)(h->reason & 0xffff))) {
		lua_pushstring(L, vmx_reason_name((unsigned)(h->reason & 0xffff)));
		lua_setfield(L, -2, "reason");
	}
	if (h->data) {
		lua_pushlstring(L, (const char *)h->data, h->size);
		lua_setfield(L, -2, "data");
	}
	if (!strncmp(p->what, "mmio", 4) && h->port < CONFIG_NICS && machine->pc->nic[h->port]) {
		lua_pushstring(L, e1000_register_name(machine->pc->nic[h->port], (u32)h->address));
		lua_setfield(L, -2, "register");
	}
}

static int
call_with_happening(lua_State *L)
{
	struct probe *p = lua_touserdata(L, 1);

	lua_rawgeti(L, LUA_REGISTRYINDEX, p->function);
	push_happening(L, p, lua_touserdata(L, 2));
	lua_call(L, 1, 1);
	return 1;
}

static int
with_place(lua_State *L)
{
	luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
	return 1;
}

/* Errors must not leave through the processor's loop: they wait until the machine has stopped. */
static void
tell(struct probe *p, struct vcpu *cpu)
{
	struct subject *s = p->subject;
	lua_State *L = s->lua;
	int top = lua_gettop(L);

	if (s->callback_error != LUA_NOREF || !lua_checkstack(L, 8))
		return;
	lua_pushcfunction(L, with_place);
	lua_pushcfunction(L, call_with_happening);
	lua_pushlightuserdata(L, p);
	lua_pushlightuserdata(L, cpu);
	if (lua_pcall(L, 2, 1, top + 1) != LUA_OK) {
		s->callback_error = luaL_ref(L, LUA_REGISTRYINDEX);
		subject_stop(s, END_PROBE, NULL);
	} else if (lua_toboolean(L, -1)) {
		subject_stop(s, END_PROBE, p->what);
	}
	lua_settop(L, top);
}

static void
on_hit(void *opaque, struct vcpu *cpu)
{
	struct probe *p = opaque;

	if (p->countdown) {
		p->total++;
		if (p->left && !--p->left)
			subject_stop(p->subject, END_EXITS, p->what);
		return;
	}
	count(p, cpu);
	if (p->function != LUA_NOREF)
		tell(p, cpu);
}

/* --- making --- */

static struct probe *
add(lua_State *L, struct subject *s, const char *what, const char *key)
{
	struct probe *p = calloc(1, sizeof(*p));
	char *error = NULL;

	if (!p)
		stop_host_error("out of memory");
	p->subject = s;
	p->function = LUA_NOREF;
	p->breakpoint = debugger_probe(s->machine->debugger, what, on_hit, p, &error);
	if (!p->breakpoint) {
		free(p);
		lua_pushstring(L, error);
		free(error);
		luaL_error(L, "%s", lua_tostring(L, -1));
	}
	p->what = error_string("%s", what);
	p->key = key ? error_string("%s", key) : NULL;
	p->next = s->probes;
	s->probes = p;
	return p;
}

void
probe_countdown(lua_State *L, struct subject *s, const char *what, u64 count)
{
	struct probe *p = add(L, s, what, NULL);

	p->countdown = true;
	p->left = count;
}

static void
probe_free(struct probe *p)
{
	free(p->what);
	free(p->key);
	free(p->tally);
	free(p);
}

void
probes_end_countdowns(struct subject *s)
{
	for (struct probe **link = &s->probes, *p; (p = *link);)
		if (p->countdown) {
			*link = p->next;
			debugger_probe_end(s->machine->debugger, p->breakpoint);
			probe_free(p);
		} else {
			link = &p->next;
		}
}

/* With the machine, which has the breakpoints. Lua's objects find subject NULL. */
void
probes_free(struct subject *s)
{
	struct probe *next;

	for (struct probe *p = s->probes; p; p = next) {
		next = p->next;
		luaL_unref(s->scenario->lua, LUA_REGISTRYINDEX, p->function);
		probe_free(p);
	}
	s->probes = NULL;
}

/* The object: {machine's subject, probe}; it is of use while the machine is open. */
struct handle {
	struct subject *subject;
	struct probe *probe;
};

static void
push_handle(lua_State *L, struct subject *s, struct probe *p)
{
	struct handle *h = lua_newuserdatauv(L, sizeof(*h), 0);

	*h = (struct handle){s, p};
	luaL_setmetatable(L, PROBE);
}

static struct probe *
check_probe(lua_State *L)
{
	struct handle *h = luaL_checkudata(L, 1, PROBE);

	if (!h->subject->machine)
		luaL_error(L, "the machine is closed");
	return h->probe;
}

/* on(M, WHAT, FUNCTION) */
static int
on(lua_State *L)
{
	struct subject *s = subject_check_idle(L, 1);
	const char *what = luaL_checkstring(L, 2);
	struct probe *p;

	luaL_checktype(L, 3, LUA_TFUNCTION);
	p = add(L, s, what, NULL);
	lua_pushvalue(L, 3);
	p->function = luaL_ref(L, LUA_REGISTRYINDEX);
	push_handle(L, s, p);
	return 1;
}

/* count(M, WHAT[, KEY]) */
static int
counter(lua_State *L)
{
	struct subject *s = subject_check_idle(L, 1);
	const char *what = luaL_checkstring(L, 2), *key = luaL_optstring(L, 3, NULL);

	push_handle(L, s, add(L, s, what, key));
	return 1;
}

static int
total(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)check_probe(L)->total);
	return 1;
}

/* table() -> {[key] = count}, and how many had no key */
static int
as_table(lua_State *L)
{
	const struct probe *p = check_probe(L);

	lua_createtable(L, 0, (int)MIN(p->used, MOST_KEYS));
	for (size_t i = 0; i < p->room; i++)
		if (p->tally[i].count) {
			lua_pushinteger(L, (lua_Integer)p->tally[i].key);
			lua_pushinteger(L, (lua_Integer)p->tally[i].count);
			lua_rawset(L, -3);
		}
	lua_pushinteger(L, (lua_Integer)p->keyless);
	return 2;
}

static int
reset(lua_State *L)
{
	struct probe *p = check_probe(L);

	p->total = p->keyless = p->used = p->room = 0;
	free(p->tally);
	p->tally = NULL;
	return 0;
}

static int
remove_probe(lua_State *L)
{
	struct probe *p = check_probe(L);

	debugger_probe_silence(p->subject->machine->debugger, p->breakpoint);
	return 0;
}

void
probe_register(lua_State *L)
{
	static const luaL_Reg methods[] = {{"on", on}, {"count", counter}, {NULL, NULL}};
	static const luaL_Reg handle[] = {{"total", total}, {"table", as_table}, {"reset", reset}, {"remove", remove_probe}, {NULL, NULL}};

	luaL_newmetatable(L, PROBE);
	lua_pushboolean(L, false);
	lua_setfield(L, -2, "__metatable");
	luaL_newlib(L, handle);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
	lua_getfield(L, -1, "methods");
	luaL_setfuncs(L, methods, 0);
	lua_pop(L, 1);
}
