/*
 * NOR flash with the Common Flash Interface and Intel's command set, eight bits wide.
 *
 * Source: JEDEC JESD68.01, "Common Flash Memory Interface (CFI)"; Intel StrataFlash Embedded Memory (P30) data sheet, "Device
 * Command Codes", "Status Register". Reading the array is plain memory; commands and the modes that they lead to are MMIO.
 * Not modelled: time, suspending, protection (lock commands are accepted), the one-time programmable register. Clearing the status
 * clears the ready bit too, as firmware for virtual boards expects; decoded code in the chip is not looked after when it is programmed.
 */
#include "devices/flash.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/snapshot.h"
#include "base/stop.h"

LOG_CATEGORY("flash");

enum {
	BUFFERED = 0xe8,
	CLEAR_STATUS = 0x50,
	CONFIRM = 0xd0,
	ERASE = 0x20,
	LOCK = 0x60,
	PROGRAM = 0x40,
	PROGRAM_TOO = 0x10,
	QUERY = 0x98,
	READ_ARRAY = 0xff,
	READ_ID = 0x90,
	READ_STATUS = 0x70,
};

#define STATUS_READY BIT(7)
#define STATUS_SEQUENCE_ERROR (BIT(5) | BIT(4))
#define MANUFACTURER 0x89
#define DEVICE 0x18

struct flash {
	struct memory *memory;
	struct block *contents;
	u8 *array;
	u32 size;
	unsigned range;
	u8 mode;    /* what reads give: READ_ARRAY, READ_STATUS, READ_ID, QUERY */
	u8 command; /* that awaits more writes, or 0 */
	u8 status;
	u32 count; /* buffered writes: bytes still to come, ~0: their number */
};

static u64 flash_read(void *opaque, u64 offset, unsigned size);
static void flash_write(void *opaque, u64 offset, unsigned size, u64 value);
static const struct mmio_ops flash_ops = {flash_read, flash_write};

static void
set_mode(struct flash *f, u8 mode)
{
	f->mode = mode;
	memory_show(f->memory, f->range, mode == READ_ARRAY ? NULL : &flash_ops, f->array);
}

/* "CFI Query Identification String" and what follows it. */
static u8
query_byte(const struct flash *f, u64 offset)
{
	u32 blocks = f->size / FLASH_BLOCK - 1;

	switch (offset) {
	case 0x10: return 'Q';
	case 0x11: return 'R';
	case 0x12: return 'Y';
	case 0x13: return 1; /* Intel's command set */
	case 0x27: return (u8)(31 - __builtin_clz(f->size));
	case 0x2c: return 1; /* one region of equal blocks */
	case 0x2d: return (u8)blocks;
	case 0x2e: return (u8)(blocks >> 8);
	case 0x30: return FLASH_BLOCK >> 8 & 0xff;
	default: return 0;
	}
}

static u8
read_byte(const struct flash *f, u64 offset)
{
	switch (f->mode) {
	case READ_STATUS: return f->status;
	case READ_ID: return offset == 0 ? MANUFACTURER : offset == 1 ? DEVICE : 0;
	case QUERY: return query_byte(f, offset);
	default: return f->array[offset];
	}
}

static u64
flash_read(void *opaque, u64 offset, unsigned size)
{
	u64 value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (u64)read_byte(opaque, offset + i) << 8 * i;
	return value;
}

/* Hands the changed bytes, as whole sectors, to the host. */
static void
keep(struct flash *f, u64 offset, u32 size)
{
	u64 first = offset / BLOCK_SECTOR, end = (offset + size + BLOCK_SECTOR - 1) / BLOCK_SECTOR;

	if (!f->contents->read_only)
		f->contents->write(f->contents->host, first, (u32)(end - first), f->array + first * BLOCK_SECTOR);
}

/* Programming only takes bits away. */
static void
program(struct flash *f, u64 offset, unsigned size, u64 value)
{
	for (unsigned i = 0; i < size; i++)
		f->array[offset + i] &= (u8)(value >> 8 * i);
	keep(f, offset, size);
	f->status |= STATUS_READY;
}

static void
first_cycle(struct flash *f, u8 command)
{
	switch (command) {
	case CLEAR_STATUS:
		f->status = 0;
		set_mode(f, READ_ARRAY);
		break;
	case BUFFERED:
		f->count = ~0u;
		f->status |= STATUS_READY;
		/* fall through */
	case ERASE:
	case LOCK:
	case PROGRAM:
	case PROGRAM_TOO:
		f->command = command;
		set_mode(f, READ_STATUS);
		break;
	case READ_STATUS:
	case READ_ID:
	case QUERY:
		set_mode(f, command);
		break;
	default:
		if (command != READ_ARRAY)
			log_debug("unknown command %#x", command);
		set_mode(f, READ_ARRAY);
		break;
	}
}

static void
buffered_cycle(struct flash *f, u64 offset, unsigned size, u64 value)
{
	if (f->count == ~0u) {
		f->count = (u8)value + 1u;
	} else if (f->count) {
		size = MIN(size, f->count);
		program(f, offset, size, value);
		f->count -= size;
	} else {
		f->command = 0;
		f->status |= STATUS_READY | ((u8)value == CONFIRM ? 0 : STATUS_SEQUENCE_ERROR);
	}
}

static void
flash_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct flash *f = opaque;
	u8 command = f->command;

	if (!command) {
		first_cycle(f, (u8)value);
		return;
	}
	if (command == BUFFERED) {
		buffered_cycle(f, offset, size, value);
		return;
	}
	f->command = 0;
	if (command == PROGRAM || command == PROGRAM_TOO) {
		program(f, offset, size, value);
	} else if (command == ERASE && (u8)value == CONFIRM) {
		offset &= ~(u64)(FLASH_BLOCK - 1);
		memset(f->array + offset, 0xff, FLASH_BLOCK);
		keep(f, offset, FLASH_BLOCK);
		f->status |= STATUS_READY;
	} else if (command == ERASE) {
		f->status |= STATUS_READY | STATUS_SEQUENCE_ERROR;
	} else {
		f->status |= STATUS_READY;
	}
}

void
flash_reset(struct flash *f)
{
	f->command = f->status = 0;
	set_mode(f, READ_ARRAY);
}

struct flash *
flash_new(struct memory *memory, u64 base, struct block *contents, char **error)
{
	struct flash *f = calloc(1, sizeof(*f));

	if (!f)
		stop_host_error("out of memory");
	*error = NULL;
	f->memory = memory;
	f->contents = contents;
	f->size = (u32)(contents->sectors * BLOCK_SECTOR);
	f->array = malloc(f->size);
	if (!f->array)
		stop_host_error("out of memory");
	if (contents->read(contents->host, 0, (u32)contents->sectors, f->array) != 0) {
		*error = error_string("the flash's contents cannot be read");
		flash_free(f);
		return NULL;
	}
	f->range = memory_map_rom(memory, "flash", base, f->size, f->array, &flash_ops, f);
	flash_reset(f);
	return f;
}

void
flash_free(struct flash *f)
{
	if (!f)
		return;
	free(f->array);
	free(f);
}

void
flash_state(struct flash *f, struct state *s)
{
	state_section(s, "flash", 1);
	STATE(s, f->mode);
	STATE(s, f->command);
	STATE(s, f->status);
	STATE(s, f->count);
	state_bytes(s, f->array, f->size);
	if (state_mode(s) == STATE_LOAD)
		set_mode(f, f->mode);
}
