/*
 * The VMCS: fields, their encodings, and the region in memory. SDM 3, "Virtual Machine Control Structures".
 *
 * The current VMCS is held in struct vmx and written to its region when another becomes current, by VMCLEAR and by VMXOFF; regions that are not
 * current are therefore always whole in memory, and shadow VMCSs are accessed there.
 * Region: 0 revision identifier and shadow bit, 4 VMX-abort indicator, 8 launch state, 16 struct vmcs.
 */
#ifndef NB_VMX_VMCS_H
#define NB_VMX_VMCS_H

#include "cpu/state.h"
#include "vmx/capability.h"

struct vmcs {
#define FIELD(name, encoding, type, exists, text) type name;
#include "vmx/vmcs_fields.def"
#undef FIELD
};

enum vmcs_encoding {
#define FIELD(name, encoding, type, exists, text) VMCS_##name = (encoding),
#include "vmx/vmcs_fields.def"
#undef FIELD
};

#define VMCS_REVISION 0x6e620001u
#define VMCS_SHADOW 0x80000000u /* bit 31 of the first word: shadow-VMCS indicator */
#define VMCS_REGION_ABORT 4
#define VMCS_REGION_LAUNCHED 8
#define VMCS_REGION_FIELDS 16
_Static_assert(VMCS_REGION_FIELDS + sizeof(struct vmcs) <= 4096, "a region is one page");
#define NO_VMCS (~0ull) /* current-VMCS pointer and link pointer when there is none */

enum vmcs_type { VMCS_CONTROL, VMCS_READ_ONLY, VMCS_GUEST, VMCS_HOST };

struct vmcs_field {
	const char *name, *text; /* text: as the manual has it */
	u16 encoding, offset;
	u8 size; /* 0: no such field */
	u8 word; /* enum vmx_word of the control it exists with; VMX_WORDS: always */
	u64 mask;
};

/* The row for an encoding (the high half of a 64-bit field has its field's row), whatever this processor supports; NULL if there is none. */
const struct vmcs_field *vmcs_field(u64 encoding);
/* Row `index` of all, in the order of vmcs_fields.def; NULL after the last. */
const struct vmcs_field *vmcs_field_at(unsigned index);
/* The same, NULL also when this processor does not have the field. */
const struct vmcs_field *vmcs_lookup(const struct vmx_capability *cap, u64 encoding);
/* VMREAD and VMWRITE on `base`, the bytes of a struct vmcs; the encoding may be that of a high half. */
u64 vmcs_get(const struct vmcs *v, const struct vmcs_field *field, u64 encoding);
void vmcs_set(struct vmcs *v, const struct vmcs_field *field, u64 encoding, u64 value);
/* The highest index of a supported field: IA32_VMX_VMCS_ENUM[9:1]. */
unsigned vmcs_highest_index(const struct vmx_capability *cap);

static inline enum vmcs_type
vmcs_type(u64 encoding)
{
	return (enum vmcs_type)BITS(encoding, 11, 10);
}

#endif
