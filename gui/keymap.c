/* The PC keyboard with US layout: which key types a character. */
#include "gui/gui.h"

#include <string.h>
#include "base/stop.h"

/* Without and with Shift, in the order of the scan codes (set 1). */
static const struct {
	u8 first;
	const char *plain, *shifted;
} rows[] = {
	{0x02, "1234567890-=", "!@#$%^&*()_+"},
	{0x10, "qwertyuiop[]", "QWERTYUIOP{}"},
	{0x1e, "asdfghjkl;'`", "ASDFGHJKL:\"~"},
	{0x2b, "\\zxcvbnm,./", "|ZXCVBNM<>?"},
};

unsigned
keymap_character(unsigned character, bool *shift)
{
	*shift = false;
	switch (character) {
	case '\n':
	case '\r':
		return 0x1c;
	case '\t':
		return 0x0f;
	case '\b':
		return 0x0e;
	case 0x1b:
		return 0x01;
	case ' ':
		return 0x39;
	default:
		break;
	}
	if (character <= ' ' || character >= 0x7f)
		return 0;
	for (unsigned i = 0; i < COUNT(rows); i++) {
		const char *at = strchr(rows[i].plain, (int)character);

		if (at)
			return rows[i].first + (unsigned)(at - rows[i].plain);
		at = strchr(rows[i].shifted, (int)character);
		if (at) {
			*shift = true;
			return rows[i].first + (unsigned)(at - rows[i].shifted);
		}
	}
	return 0;
}

/* X11's keysymdef.h: keys that type nothing. */
static const struct {
	u16 keysym, code;
} keysyms[] = {
	{0xff08, 0x0e},   {0xff09, 0x0f},   {0xff0d, 0x1c},   {0xff14, 0x46},   {0xff1b, 0x01},   {0xffff, 0xe053}, {0xff50, 0xe047},
	{0xff51, 0xe04b}, {0xff52, 0xe048}, {0xff53, 0xe04d}, {0xff54, 0xe050}, {0xff55, 0xe049}, {0xff56, 0xe051}, {0xff57, 0xe04f},
	{0xff63, 0xe052}, {0xff67, 0xe05d}, {0xff7f, 0x45},   {0xff8d, 0xe01c}, {0xffaa, 0x37},   {0xffab, 0x4e},   {0xffad, 0x4a},
	{0xffae, 0x53},   {0xffaf, 0xe035}, {0xffb0, 0x52},   {0xffb1, 0x4f},   {0xffb2, 0x50},   {0xffb3, 0x51},   {0xffb4, 0x4b},
	{0xffb5, 0x4c},   {0xffb6, 0x4d},   {0xffb7, 0x47},   {0xffb8, 0x48},   {0xffb9, 0x49},   {0xffe1, 0x2a},   {0xffe2, 0x36},
	{0xffe3, 0x1d},   {0xffe4, 0xe01d}, {0xffe5, 0x3a},   {0xffe7, 0x38},   {0xffe8, 0xe038}, {0xffe9, 0x38},   {0xffea, 0xe038},
	{0xffeb, 0xe05b}, {0xffec, 0xe05c}, {0xfe03, 0xe038}, {0xfe20, 0x0f},   {0xffc8, 0x57},   {0xffc9, 0x58},
};
#define KEYSYM_F1 0xffbe

unsigned
keymap_keysym(u32 keysym)
{
	bool shift;

	if (keysym >= KEYSYM_F1 && keysym < KEYSYM_F1 + 10)
		return 0x3b + (keysym - KEYSYM_F1);
	for (unsigned i = 0; i < COUNT(keysyms); i++)
		if (keysyms[i].keysym == keysym)
			return keysyms[i].code;
	return keysym >= ' ' && keysym < 0x7f ? keymap_character(keysym, &shift) : 0;
}

/* Scan codes of set 1 (IBM PC/AT Technical Reference, "Keyboard"). */
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
code_of_name(const char *name, size_t length)
{
	bool shift;

	for (unsigned i = 0; i < COUNT(named); i++)
		if (strlen(named[i].name) == length && !strncmp(named[i].name, name, length))
			return named[i].code;
	return length == 1 ? keymap_character((u8)*name, &shift) : 0;
}

unsigned
keymap_combination(const char *text, unsigned codes[KEYMAP_COMBINATION], char **error)
{
	unsigned count = 0;

	*error = NULL;
	for (size_t length; *text; text += length + (text[length] == '-')) {
		length = strcspn(text, "-");
		if (count == KEYMAP_COMBINATION) {
			*error = error_string("more than %d keys at once", KEYMAP_COMBINATION);
			return 0;
		}
		codes[count] = code_of_name(text, length);
		if (!codes[count]) {
			*error = error_string("there is no key '%.*s'", (int)length, text);
			return 0;
		}
		count++;
	}
	return count;
}
