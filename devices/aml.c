#include "devices/aml.h"

#include <stdlib.h>
#include <string.h>

#include "base/stop.h"

enum {
	NAME_OP = 0x08,
	BYTE_PREFIX = 0x0a,
	WORD_PREFIX = 0x0b,
	DWORD_PREFIX = 0x0c,
	STRING_PREFIX = 0x0d,
	QWORD_PREFIX = 0x0e,
	SCOPE_OP = 0x10,
	BUFFER_OP = 0x11,
	PACKAGE_OP = 0x12,
	METHOD_OP = 0x14,
	DUAL_NAME = 0x2e,
	MULTI_NAME = 0x2f,
	EXTENDED = 0x5b,
	REGION_OP = 0x80,
	FIELD_OP = 0x81,
	DEVICE_OP = 0x82,
	LESS_OP = 0x95,
	IF_OP = 0xa0,
};

void
aml_bytes(struct aml *a, const void *bytes, u32 size)
{
	if (a->room - a->size < size) {
		a->room = MAX(a->room * 2, a->size + size + 256);
		a->bytes = realloc(a->bytes, a->room);
		if (!a->bytes)
			stop_host_error("out of memory");
	}
	memcpy(a->bytes + a->size, bytes, size);
	a->size += size;
}

void
aml_number(struct aml *a, u64 value, unsigned size)
{
	aml_bytes(a, &value, size);
}

void
aml_op(struct aml *a, u8 opcode)
{
	aml_number(a, opcode, 1);
}

void
aml_name(struct aml *a, const char *name)
{
	unsigned segments = *name != '\0';

	while (*name == '\\' || *name == '^')
		aml_op(a, (u8)*name++);
	for (const char *c = name; *c; c++)
		segments += *c == '.';
	if (segments == 2)
		aml_op(a, DUAL_NAME);
	else if (segments > 2)
		aml_number(a, MULTI_NAME | segments << 8, 2);
	while (*name) {
		char segment[4] = {'_', '_', '_', '_'};

		for (unsigned i = 0; *name && *name != '.'; i++, name++) {
			assert(i < 4);
			segment[i] = *name;
		}
		name += *name == '.';
		aml_bytes(a, segment, 4);
	}
}

void
aml_integer(struct aml *a, u64 value)
{
	if (value <= 1)
		aml_op(a, (u8)value); /* ZeroOp, OneOp */
	else if (value <= 0xff)
		aml_number(a, BYTE_PREFIX | value << 8, 2);
	else if (value <= 0xffff)
		aml_number(a, WORD_PREFIX | value << 8, 3);
	else if (value <= 0xffffffff)
		aml_number(a, DWORD_PREFIX | value << 8, 5);
	else {
		aml_op(a, QWORD_PREFIX);
		aml_number(a, value, 8);
	}
}

void
aml_string(struct aml *a, const char *text)
{
	aml_op(a, STRING_PREFIX);
	aml_bytes(a, text, (u32)strlen(text) + 1);
}

/* Three letters of five bits each, four hexadecimal digits; big-endian. */
void
aml_eisa_id(struct aml *a, const char *id)
{
	u32 letters = (u32)(id[0] - '@') << 10 | (u32)(id[1] - '@') << 5 | (u32)(id[2] - '@');
	u32 value = letters << 16 | (u32)strtoul(id + 3, NULL, 16);

	aml_op(a, DWORD_PREFIX);
	aml_number(a, __builtin_bswap32(value), 4);
}

void
aml_define(struct aml *a, const char *name)
{
	aml_op(a, NAME_OP);
	aml_name(a, name);
}

void
aml_define_integer(struct aml *a, const char *name, u64 value)
{
	aml_define(a, name);
	aml_integer(a, value);
}

void
aml_define_eisa_id(struct aml *a, const char *name, const char *id)
{
	aml_define(a, name);
	aml_eisa_id(a, id);
}

/* Leaves the place where the length will go. */
static void
open_length(struct aml *a)
{
	assert(a->depth < AML_DEPTH);
	a->open[a->depth++] = a->size;
}

/*
 * PkgLength counts itself: 1 byte up to 63; else bits 7:6 of the first say how many follow, its low 4 bits are the
 * lowest of the length.
 */
void
aml_close(struct aml *a)
{
	u32 at = a->open[--a->depth], inside = a->size - at, length;
	unsigned size = inside + 1 < 0x40 ? 1 : inside + 2 < 0x1000 ? 2 : 3;
	u8 pad[3] = {0};

	length = inside + size;
	assert(length < 0x100000);
	aml_bytes(a, pad, size);
	memmove(a->bytes + at + size, a->bytes + at, inside);
	if (size == 1) {
		a->bytes[at] = (u8)length;
		return;
	}
	a->bytes[at] = (u8)((size - 1) << 6 | (length & 15));
	for (unsigned i = 1; i < size; i++)
		a->bytes[at + i] = (u8)(length >> (4 + 8 * (i - 1)));
}

void
aml_open_scope(struct aml *a, const char *name)
{
	aml_op(a, SCOPE_OP);
	open_length(a);
	aml_name(a, name);
}

void
aml_open_device(struct aml *a, const char *name)
{
	aml_op(a, EXTENDED);
	aml_op(a, DEVICE_OP);
	open_length(a);
	aml_name(a, name);
}

void
aml_open_method(struct aml *a, const char *name, unsigned arguments)
{
	aml_op(a, METHOD_OP);
	open_length(a);
	aml_name(a, name);
	aml_op(a, (u8)(arguments | 8)); /* serialized, since methods here make named objects */
}

void
aml_open_package(struct aml *a, unsigned elements)
{
	assert(elements < 256);
	aml_op(a, PACKAGE_OP);
	open_length(a);
	aml_op(a, (u8)elements);
}

/* The buffer's own size stands in front of its bytes as a word. */
void
aml_open_resources(struct aml *a)
{
	aml_op(a, BUFFER_OP);
	open_length(a);
	aml_number(a, WORD_PREFIX, 3);
}

void
aml_close_resources(struct aml *a)
{
	u32 at = a->open[a->depth - 1] + 1, size;

	aml_number(a, 0x79, 2); /* end tag; checksum 0 counts as right */
	size = a->size - at - 2;
	a->bytes[at] = (u8)size;
	a->bytes[at + 1] = (u8)(size >> 8);
	aml_close(a);
}

void
aml_region(struct aml *a, const char *name, u8 space, u64 offset, u64 size)
{
	aml_op(a, EXTENDED);
	aml_op(a, REGION_OP);
	aml_name(a, name);
	aml_op(a, space);
	aml_integer(a, offset);
	aml_integer(a, size);
}

void
aml_byte_fields(struct aml *a, const char *region, const char *const *names, unsigned count)
{
	aml_op(a, EXTENDED);
	aml_op(a, FIELD_OP);
	open_length(a);
	aml_name(a, region);
	aml_op(a, 1); /* byte access, no lock, preserve */
	for (unsigned i = 0; i < count; i++) {
		aml_name(a, names[i]);
		aml_op(a, 8); /* bits, as a PkgLength */
	}
	aml_close(a);
}

void
aml_open_if_less(struct aml *a, const char *name, u64 value)
{
	aml_op(a, IF_OP);
	open_length(a);
	aml_op(a, LESS_OP);
	aml_name(a, name);
	aml_integer(a, value);
}

void
aml_io(struct aml *a, u16 first, u16 count)
{
	assert(count < 256);
	aml_number(a, 0x0147, 2); /* I/O port descriptor, 16 bits decoded */
	aml_number(a, first, 2);
	aml_number(a, first, 2);
	aml_number(a, 1, 1);
	aml_number(a, count, 1);
}

void
aml_irq(struct aml *a, unsigned irq)
{
	aml_number(a, 0x22, 1); /* IRQ descriptor without flags: edge, active high */
	aml_number(a, BIT(irq), 2);
}

void
aml_memory32(struct aml *a, u32 base, u32 size, bool writable)
{
	aml_number(a, 0x000986, 3);
	aml_number(a, writable, 1);
	aml_number(a, base, 4);
	aml_number(a, size, 4);
}

void
aml_interrupts(struct aml *a, const u32 *numbers, unsigned count)
{
	aml_number(a, 0x89, 1);
	aml_number(a, 2 + 4 * count, 2);
	aml_number(a, 0x09, 1); /* consumer, level, active high, shared */
	aml_number(a, count, 1);
	for (unsigned i = 0; i < count; i++)
		aml_number(a, numbers[i], 4);
}

/*
 * Address space descriptors: type, flags, granularity, minimum, maximum, translation, length, in units of `size` bytes.
 */
static void
window(struct aml *a, u8 descriptor, u8 type, u8 flags, u64 first, u64 last, unsigned size)
{
	aml_number(a, descriptor, 1);
	aml_number(a, 3 + 5 * size, 2);
	aml_number(a, type, 1);
	aml_number(a, 0x0c, 1); /* producer, positive decode, both ends fixed */
	aml_number(a, flags, 1);
	aml_number(a, 0, size);
	aml_number(a, first, size);
	aml_number(a, last, size);
	aml_number(a, 0, size);
	aml_number(a, last - first + 1, size);
}

void
aml_bus_window(struct aml *a, u16 first, u16 last)
{
	window(a, 0x88, 2, 0, first, last, 2);
}

void
aml_io_window(struct aml *a, u16 first, u16 last)
{
	window(a, 0x88, 1, 3, first, last, 2);
}

void
aml_memory_window(struct aml *a, u32 first, u32 last)
{
	window(a, 0x87, 0, 1, first, last, 4);
}

void
aml_memory64_window(struct aml *a, u64 first, u64 last)
{
	window(a, 0x8a, 0, 1, first, last, 8);
}
