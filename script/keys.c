/* Keys by name (scan codes of set 1; IBM PC/AT Technical Reference, "Keyboard") and by character (gui/keymap.c). */
#include <string.h>

#include "gui/gui.h"
#include "script/internal.h"

#define SHIFT 0x100 /* above a code: with the left shift key */
#define LEFT_SHIFT 0x2a

static const struct {
	const char *name;
	unsigned code;
} named[] = {
	{"esc", 0x01},   {"backspace", 0x0e}, {"tab", 0x0f},   {"enter", 0x1c},    {"ret", 0x1c},     {"ctrl", 0x1d},     {"shift", 0x2a},
	{"alt", 0x38},   {"space", 0x39},     {"caps", 0x3a},  {"f1", 0x3b},       {"f2", 0x3c},      {"f3", 0x3d},       {"f4", 0x3e},
	{"f5", 0x3f},    {"f6", 0x40},        {"f7", 0x41},    {"f8", 0x42},       {"f9", 0x43},      {"f10", 0x44},      {"f11", 0x57},
	{"f12", 0x58},   {"up", 0xe048},      {"down", 0xe050}, {"left", 0xe04b},  {"right", 0xe04d}, {"home", 0xe047},   {"end", 0xe04f},
	{"pgup", 0xe049}, {"pgdn", 0xe051},   {"insert", 0xe052}, {"delete", 0xe053}, {"minus", 0x0c}, {"ctrl_r", 0xe01d}, {"alt_r", 0xe038},
};

static unsigned
code_of_character(char c)
{
	bool shift;
	unsigned code = keymap_character((u8)c, &shift);

	return code | (shift ? SHIFT : 0);
}

static unsigned
code_of_name(const char *name, size_t length)
{
	for (unsigned i = 0; i < COUNT(named); i++)
		if (strlen(named[i].name) == length && !strncmp(named[i].name, name, length))
			return named[i].code;
	return length == 1 ? code_of_character(*name) : 0;
}

static void
push_key(lua_State *L, unsigned code, bool down)
{
	lua_pushinteger(L, (lua_Integer)(code | (down ? 0 : 0x10000)));
	lua_rawseti(L, -2, luaL_len(L, -2) + 1);
}

static void
push_character(lua_State *L, unsigned code)
{
	if (code & SHIFT)
		push_key(L, LEFT_SHIFT, true);
	push_key(L, code & 0xff, true);
	push_key(L, code & 0xff, false);
	if (code & SHIFT)
		push_key(L, LEFT_SHIFT, false);
}

/* key_codes(TEXT): the presses and releases that type it. */
int
keys_of_text(lua_State *L)
{
	size_t size;
	const char *text = luaL_checklstring(L, 1, &size);

	lua_newtable(L);
	for (size_t i = 0; i < size; i++) {
		unsigned code = code_of_character(text[i]);

		if (!code)
			return luaL_error(L, "the keyboard has no key for character %d", (unsigned char)text[i]);
		push_character(L, code);
	}
	return 1;
}

/* key_combination("ctrl-alt-delete"): all down in order, up in the other. */
int
keys_of_combination(lua_State *L)
{
	const char *at = luaL_checkstring(L, 1);
	unsigned codes[8], count = 0;

	while (*at) {
		size_t length = strcspn(at, "-");

		if (count == COUNT(codes))
			return luaL_error(L, "more than 8 keys at once");
		codes[count] = code_of_name(at, length) & ~(unsigned)SHIFT;
		if (!codes[count])
			return luaL_error(L, "there is no key '%s'", lua_pushlstring(L, at, length));
		count++;
		at += length + (at[length] == '-');
	}
	lua_newtable(L);
	for (unsigned i = 0; i < count; i++)
		push_key(L, codes[i], true);
	for (unsigned i = count; i-- > 0;)
		push_key(L, codes[i], false);
	return 1;
}

/* key_event(M, CODE of the above) -> did the guest take it? */
int
keys_event(lua_State *L)
{
	struct subject *s = subject_check_idle(L, 1);
	lua_Integer code = luaL_checkinteger(L, 2);

	lua_pushboolean(L, machine_key(s->machine, (unsigned)code & 0xffff, !(code & 0x10000)));
	return 1;
}
