/* Keys by name and by character (gui/keymap.c). */
#include <stdlib.h>

#include "gui/gui.h"
#include "script/internal.h"

#define SHIFT 0x100 /* above a code: with the left shift key */
#define LEFT_SHIFT 0x2a

static unsigned
code_of_character(char c)
{
	bool shift;
	unsigned code = keymap_character((u8)c, &shift);

	return code | (shift ? SHIFT : 0);
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
	unsigned codes[KEYMAP_COMBINATION];
	char *error;
	unsigned count = keymap_combination(luaL_checkstring(L, 1), codes, &error);

	if (error) {
		lua_pushstring(L, error);
		free(error);
		return lua_error(L);
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
