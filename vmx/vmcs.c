/* VMCS fields by encoding. SDM 3, Appendix B, "Field Encoding in VMCS". */
#include "vmx/vmcs.h"

#include <string.h>

/* Encoding: 0 access (high half), 9:1 index, 11:10 type, 14:13 width. No index needs more than five bits. */
#define INDEXES 32
#define SLOT(encoding) (((encoding) >> 13 & 3) << 7 | ((encoding) >> 10 & 3) << 5 | ((encoding) >> 1 & (INDEXES - 1)))

#define WIDTH_OF(encoding) ((encoding) >> 13 & 3)
#define SIZE_OF(encoding) (WIDTH_OF(encoding) == 0 ? 2 : WIDTH_OF(encoding) == 2 ? 4 : 8)
#define FIELD(name, encoding, type, exists, text)                                                                      \
	_Static_assert(sizeof(type) == SIZE_OF(encoding), "the type agrees with the encoding's width");                \
	_Static_assert(((encoding)&0x3ff) < INDEXES * 2 && ((encoding)&0x9001) == 0, "the encoding has a slot");
#include "vmx/vmcs_fields.def"
#undef FIELD

#define ALWAYS VMX_WORDS, 0
#define IF(word, control) VMX_##word, VMX_MASK(word, control)
static const struct vmcs_field fields[] = {
#define FIELD(name, encoding, type, exists, text)                                                                      \
	{#name, text, encoding, offsetof(struct vmcs, name), sizeof(type), exists},
#include "vmx/vmcs_fields.def"
#undef FIELD
};

enum field_number {
#define FIELD(name, encoding, type, exists, text) NUMBER_##name,
#include "vmx/vmcs_fields.def"
#undef FIELD
};

/* Number of the field + 1, or 0. */
static const u8 slots[4 * 4 * INDEXES] = {
#define FIELD(name, encoding, type, exists, text) [SLOT(encoding)] = NUMBER_##name + 1,
#include "vmx/vmcs_fields.def"
#undef FIELD
};
_Static_assert(COUNT(fields) < 256, "a slot is a byte");

const struct vmcs_field *
vmcs_field_at(unsigned index)
{
	return index < COUNT(fields) ? &fields[index] : NULL;
}

const struct vmcs_field *
vmcs_field(u64 encoding)
{
	u8 number;

	/* Bit 12 and everything from 15 up are reserved, an index beyond the table is nobody's, and only 64-bit fields have high halves. */
	if (encoding & ~0x6fffull || BITS(encoding, 9, 1) >= INDEXES || ((encoding & 1) && WIDTH_OF(encoding) != 1))
		return NULL;
	number = slots[SLOT(encoding)];
	return number ? &fields[number - 1] : NULL;
}

static bool
exists(const struct vmx_capability *cap, const struct vmcs_field *field)
{
	return field->word == VMX_WORDS || vmx_allowed(cap, (enum vmx_word)field->word, field->mask);
}

const struct vmcs_field *
vmcs_lookup(const struct vmx_capability *cap, u64 encoding)
{
	const struct vmcs_field *field = vmcs_field(encoding);

	return field && exists(cap, field) ? field : NULL;
}

u64
vmcs_get(const struct vmcs *v, const struct vmcs_field *field, u64 encoding)
{
	u64 value = 0;

	memcpy(&value, (const u8 *)v + field->offset, field->size);
	return encoding & 1 ? value >> 32 : value;
}

void
vmcs_set(struct vmcs *v, const struct vmcs_field *field, u64 encoding, u64 value)
{
	if (encoding & 1)
		value = value << 32 | (u32)vmcs_get(v, field, encoding & ~1ull);
	memcpy((u8 *)v + field->offset, &value, field->size);
}

unsigned
vmcs_highest_index(const struct vmx_capability *cap)
{
	unsigned highest = 0;

	for (unsigned i = 0; i < COUNT(fields); i++)
		if (exists(cap, &fields[i]))
			highest = MAX(highest, (unsigned)BITS(fields[i].encoding, 9, 1));
	return highest;
}
