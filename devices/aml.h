/*
 * A writer of ACPI Machine Language, as much of it as a board's DSDT needs.
 * Source: ACPI 6.4, "ACPI Machine Language (AML) Specification". Things that contain others are opened and closed;
 * lengths are put in at the close. Host side only: nothing here sees the guest's input.
 */
#ifndef NB_DEVICES_AML_H
#define NB_DEVICES_AML_H

#include "base/types.h"

#define AML_DEPTH 16

/* Growing bytes. Start from zero; free `bytes` at the end. */
struct aml {
	u8 *bytes;
	u32 size, room;
	u32 open[AML_DEPTH]; /* where the length of each open object goes */
	unsigned depth;
};

void aml_bytes(struct aml *a, const void *bytes, u32 size);
void aml_number(struct aml *a, u64 value, unsigned size); /* plain little-endian */

/* Names: "_HID", "\\_SB", "^ISA.PRQ0"; segments are filled up with underscores. */
void aml_name(struct aml *a, const char *name);
void aml_integer(struct aml *a, u64 value);
void aml_string(struct aml *a, const char *text);
/* "PNP0A03" in its compressed form. */
void aml_eisa_id(struct aml *a, const char *id);

/* Name(name, ...) without the object; and with the usual ones. */
void aml_define(struct aml *a, const char *name);
void aml_define_integer(struct aml *a, const char *name, u64 value);
void aml_define_eisa_id(struct aml *a, const char *name, const char *id);

void aml_open_scope(struct aml *a, const char *name);
void aml_open_device(struct aml *a, const char *name);
void aml_open_method(struct aml *a, const char *name, unsigned arguments);
void aml_open_package(struct aml *a, unsigned elements);
/* ResourceTemplate(): descriptors by the functions below, then aml_close_resources(). */
void aml_open_resources(struct aml *a);
void aml_close(struct aml *a);
void aml_close_resources(struct aml *a);

/* OperationRegion(name, space, offset, size) and Field(name, ByteAcc, NoLock, Preserve) with 8-bit fields. */
void aml_region(struct aml *a, const char *name, u8 space, u64 offset, u64 size);
void aml_byte_fields(struct aml *a, const char *region, const char *const *names, unsigned count);
#define AML_PCI_CONFIG 2

/* Opcodes that are written bare, followed by their operands. */
#define AML_STORE 0x70
#define AML_AND 0x7b
#define AML_OR 0x7d
#define AML_CREATE_DWORD_FIELD 0x8a
#define AML_RETURN 0xa4
#define AML_ARG0 0x68
#define AML_NOWHERE 0x00
void aml_op(struct aml *a, u8 opcode);
/* If (LLess (name, value)): closed by aml_close(). */
void aml_open_if_less(struct aml *a, const char *name, u64 value);

/* Resource descriptors. */
void aml_io(struct aml *a, u16 first, u16 count);
void aml_irq(struct aml *a, unsigned irq);
void aml_memory32(struct aml *a, u32 base, u32 size, bool writable);
/* Extended interrupt: level, active high, shared. The list may be one 0 that a method fills in at byte 5. */
void aml_interrupts(struct aml *a, const u32 *numbers, unsigned count);
/* Windows that a bridge passes on. */
void aml_bus_window(struct aml *a, u16 first, u16 last);
void aml_io_window(struct aml *a, u16 first, u16 last);
void aml_memory_window(struct aml *a, u32 first, u32 last);
void aml_memory64_window(struct aml *a, u64 first, u64 last);

#endif
