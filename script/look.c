/* Looking at a machine: registers, memory, VMCS fields, expressions, time, counters, hash. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/snapshot.h"
#include "base/stop.h"
#include "cpu/vcpu.h"
#include "debugger/debugger.h"
#include "script/internal.h"
#include "vmx/vmx.h"

#define LARGEST_READ (256u << 20)

static int
push_u64(lua_State *L, u64 value)
{
	lua_pushinteger(L, (lua_Integer)value);
	return 1;
}

/* reg(M, NAME[, CPU]) */
static int
reg(lua_State *L)
{
	struct subject *s = subject_check(L, 1);
	const char *name = luaL_checkstring(L, 2);
	u64 value;

	if (!debugger_register(s->machine->debugger, subject_cpu(L, s, 3), name, &value))
		return luaL_error(L, "there is no register '%s'", name);
	return push_u64(L, value);
}

/* registers(M[, CPU]) -> {rax = ...} */
static int
regs(lua_State *L)
{
	struct subject *s = subject_check(L, 1);
	struct vcpu *cpu = subject_cpu(L, s, 2);
	const char *name;
	u64 value;

	lua_newtable(L);
	for (unsigned i = 0; (name = debugger_register_name(i)); i++)
		if (debugger_register(s->machine->debugger, cpu, name, &value)) {
			push_u64(L, value);
			lua_setfield(L, -2, name);
		}
	return 1;
}

/* eval(M, EXPRESSION[, CPU]) */
static int
eval(lua_State *L)
{
	struct subject *s = subject_check(L, 1);
	const char *text = luaL_checkstring(L, 2), *error = NULL;
	u64 value;

	if (!debugger_evaluate(s->machine->debugger, subject_cpu(L, s, 3), text, &value, &error))
		return luaL_error(L, "%s: %s", text, error);
	return push_u64(L, value);
}

/* vmcs(M[, NAME[, CPU]]): one field of the current VMCS, or a table of all; nil while there is none. */
static int
vmcs(lua_State *L)
{
	struct subject *s = subject_check(L, 1);
	const char *name = luaL_optstring(L, 2, NULL);
	struct vcpu *cpu = subject_cpu(L, s, 3);
	bool there = cpu->vmx && cpu->vmx->current != NO_VMCS;
	const struct vmcs_field *field;

	if (!name && there)
		lua_newtable(L);
	for (unsigned i = 0; (field = vmcs_field_at(i)); i++) {
		if (name && strcmp(name, field->name) != 0)
			continue;
		if (!there)
			break;
		push_u64(L, vmcs_get(&cpu->vmx->vmcs, field, field->encoding));
		if (name)
			return 1;
		lua_setfield(L, -2, field->name);
	}
	if (name && !field)
		return luaL_error(L, "there is no VMCS field '%s'", name);
	if (!there)
		lua_pushnil(L);
	return 1;
}

static const char *
kind_argument(lua_State *L, int index)
{
	const char *kind = luaL_optstring(L, index, "linear");

	luaL_argcheck(L, debugger_address_kind(kind), index, "none of linear, gpa, phys, guest");
	return kind;
}

/* read(M, ADDRESS, SIZE[, KIND[, CPU]]) -> string, or nil if not all of it is there */
static int
read_memory(lua_State *L)
{
	struct subject *s = subject_check(L, 1);
	u64 address = (u64)luaL_checkinteger(L, 2);
	lua_Integer size = luaL_checkinteger(L, 3);
	const char *kind = kind_argument(L, 4);
	struct vcpu *cpu = subject_cpu(L, s, 5);
	luaL_Buffer buffer;
	char *to;

	luaL_argcheck(L, size >= 0 && size <= LARGEST_READ, 3, "size is out of range");
	to = luaL_buffinitsize(L, &buffer, (size_t)size);
	if (!debugger_peek(s->machine->debugger, cpu, kind, address, to, (unsigned)size)) {
		lua_pushnil(L);
		return 1;
	}
	luaL_pushresultsize(&buffer, (size_t)size);
	return 1;
}

/* write(M, ADDRESS, STRING[, KIND[, CPU]]) */
static int
write_memory(lua_State *L)
{
	struct subject *s = subject_check_idle(L, 1);
	u64 address = (u64)luaL_checkinteger(L, 2);
	size_t size;
	const char *data = luaL_checklstring(L, 3, &size);
	const char *kind = kind_argument(L, 4);

	luaL_argcheck(L, size <= LARGEST_READ, 3, "too much");
	if (!debugger_poke(s->machine->debugger, subject_cpu(L, s, 5), kind, address, data, (unsigned)size))
		return luaL_error(L, "no memory there");
	return 0;
}

static int
read_number(lua_State *L, unsigned size)
{
	struct subject *s = subject_check(L, 1);
	u64 value = 0, address = (u64)luaL_checkinteger(L, 2);

	if (!debugger_peek(s->machine->debugger, subject_cpu(L, s, 4), kind_argument(L, 3), address, &value, size))
		return luaL_error(L, "no memory at 0x%s", lua_tostring(L, (lua_pushfstring(L, "%I", (LUAI_UACINT)address), -1)));
	return push_u64(L, value);
}

static int
read_u8(lua_State *L)
{
	return read_number(L, 1);
}

static int
read_u16(lua_State *L)
{
	return read_number(L, 2);
}

static int
read_u32(lua_State *L)
{
	return read_number(L, 4);
}

static int
read_u64(lua_State *L)
{
	return read_number(L, 8);
}

static int
hash(lua_State *L)
{
	struct subject *s = subject_check_idle(L, 1);
	char text[20];

	snprintf(text, sizeof(text), "%016llx", (unsigned long long)machine_hash(s->machine));
	lua_pushstring(L, text);
	return 1;
}

static void
on_section(void *listener, const char *name, u64 hash)
{
	lua_State *L = listener;
	char text[200];

	snprintf(text, sizeof(text), "%.150s %016llx", name, (unsigned long long)hash);
	lua_pushstring(L, text);
	lua_rawseti(L, -2, luaL_len(L, -2) + 1);
}

/* sections(M) -> {"name hash", ...} */
static int
sections(lua_State *L)
{
	struct subject *s = subject_check_idle(L, 1);

	lua_newtable(L);
	machine_hash_sections(s->machine, on_section, L);
	return 1;
}

/* checksum(M, ADDRESS, SIZE): of physical memory; nil where there is none */
static int
checksum(lua_State *L)
{
	struct subject *s = subject_check(L, 1);
	u64 address = (u64)luaL_checkinteger(L, 2), sum = 0;
	lua_Integer size = luaL_checkinteger(L, 3);
	u8 page[4096];

	luaL_argcheck(L, size >= 0 && size % 4096 == 0, 3, "no multiple of 4096");
	for (lua_Integer i = 0; i < size; i += 4096) {
		if (!debugger_peek(s->machine->debugger, s->machine->cpus->cpu[0], "phys", address + (u64)i, page, sizeof(page))) {
			lua_pushnil(L);
			return 1;
		}
		sum = state_checksum(sum, page, sizeof(page));
	}
	return push_u64(L, sum);
}

static int
icount(lua_State *L)
{
	return push_u64(L, cpus_icount(subject_check(L, 1)->machine->cpus));
}

static int
cycles(lua_State *L)
{
	return push_u64(L, events_now(subject_check(L, 1)->machine->events));
}

static int
hz(lua_State *L)
{
	return push_u64(L, events_hz(subject_check(L, 1)->machine->events));
}

static int
cpus(lua_State *L)
{
	return push_u64(L, subject_check(L, 1)->machine->cpus->count);
}

/* Why the machine can run no more: nil, or its exit status. */
static int
ended(lua_State *L)
{
	const struct machine *machine = subject_check(L, 1)->machine;

	if (machine->ended)
		lua_pushinteger(L, machine->status);
	else
		lua_pushnil(L);
	return 1;
}

/* stats_json(M): what -stats writes. */
static int
stats_json(lua_State *L)
{
	struct subject *s = subject_check(L, 1);
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	if (!file)
		stop_host_error("out of memory");
	machine_write_stats(s->machine, file);
	fclose(file);
	lua_pushlstring(L, text, size);
	free(text);
	return 1;
}

void
look_register(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{"reg", reg},         {"sections", sections},  {"checksum", checksum},
		{"registers", regs},          {"eval", eval},     {"vmcs", vmcs},     {"read", read_memory}, {"write", write_memory},
		{"u8", read_u8},      {"u16", read_u16},       {"u32", read_u32},  {"u64", read_u64},  {"hash", hash},        {"icount", icount},
		{"cycles", cycles},   {"hz", hz},              {"cpus", cpus},     {"ended", ended},   {"stats_json", stats_json},
		{NULL, NULL},
	};

	lua_getfield(L, -1, "methods");
	luaL_setfuncs(L, methods, 0);
	lua_pop(L, 1);
}
