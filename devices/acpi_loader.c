/*
 * The ACPI tables as files for firmware that places them itself, with the script that tells it how: which file to
 * allocate where, which fields hold addresses, which sums to make again.
 *
 * Source: QEMU's documentation of fw_cfg's "etc/table-loader"; ACPI 6.4, "ACPI System Description Tables".
 * In the tables file pointers are offsets in that file; the script's commands turn them into addresses.
 */
#include "devices/acpi_loader.h"

#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "devices/acpi_tables.h"

#define TABLES "etc/acpi/tables"
#define RSDP "etc/acpi/rsdp"
#define RSDP_SIZE 36
#define HEADER 36

/* A command has 128 bytes: its number, then its operands; names take 56. */
#define COMMAND 128
#define COMMANDS 64
#define NAME 56
enum { ALLOCATE = 1, ADD_POINTER = 2, ADD_CHECKSUM = 3 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };

static u8 *
command(struct acpi_files *files, u32 number, const char *file)
{
	u8 *at = files->script + files->script_size;

	assert(files->script_size < COMMAND * COMMANDS);
	files->script_size += COMMAND;
	memcpy(at, &number, 4);
	strcpy((char *)at + 4, file);
	return at + 4 + NAME;
}

static void
allocate(struct acpi_files *files, const char *file, u32 align, u8 zone)
{
	u8 *at = command(files, ALLOCATE, file);

	memcpy(at, &align, 4);
	at[4] = zone;
}

static void
pointer(struct acpi_files *files, const char *file, u32 offset, u8 size)
{
	u8 *at = command(files, ADD_POINTER, file);

	strcpy((char *)at, TABLES);
	memcpy(at + NAME, &offset, 4);
	at[NAME + 4] = size;
}

static void
checksum(struct acpi_files *files, const char *file, u32 at_offset, u32 start, u32 length)
{
	u8 *at = command(files, ADD_CHECKSUM, file);

	memcpy(at, &at_offset, 4);
	memcpy(at + 4, &start, 4);
	memcpy(at + 8, &length, 4);
}

static u32
get32(const u8 *bytes)
{
	u32 value;

	memcpy(&value, bytes, 4);
	return value;
}

/* A root table: every entry is a pointer. Returns the offset of the FADT if it is listed. */
static u32
root_table(struct acpi_files *files, u32 at, unsigned size)
{
	u32 length = get32(files->tables + at + 4), fadt = 0;

	for (u32 entry = at + HEADER; entry < at + length; entry += size) {
		u32 table = get32(files->tables + entry);

		if (!memcmp(files->tables + table, "FACP", 4))
			fadt = table;
		pointer(files, TABLES, entry, (u8)size);
	}
	files->tables[at + 9] = 0;
	checksum(files, TABLES, at + 9, at, length);
	return fadt;
}

void
acpi_files_make(struct acpi_files *files, const struct acpi_board *board)
{
	u32 fadt;

	memset(files, 0, sizeof(*files));
	files->tables = acpi_tables_build(board, 0, &files->tables_size, NULL);
	files->rsdp = malloc(RSDP_SIZE);
	files->script = calloc(COMMANDS, COMMAND);
	if (!files->rsdp || !files->script)
		stop_host_error("out of memory");
	files->rsdp_size = RSDP_SIZE;
	memcpy(files->rsdp, files->tables, RSDP_SIZE);
	memset(files->tables, 0, RSDP_SIZE);

	allocate(files, RSDP, 16, ZONE_FSEG);
	allocate(files, TABLES, 64, ZONE_HIGH);
	fadt = root_table(files, get32(files->rsdp + 16), 4);
	root_table(files, get32(files->rsdp + 24), 8);
	pointer(files, TABLES, fadt + 36, 4);  /* FIRMWARE_CTRL, */
	pointer(files, TABLES, fadt + 40, 4);  /* DSDT, */
	pointer(files, TABLES, fadt + 140, 8); /* X_DSDT */
	files->tables[fadt + 9] = 0;
	checksum(files, TABLES, fadt + 9, fadt, get32(files->tables + fadt + 4));
	pointer(files, RSDP, 16, 4);
	pointer(files, RSDP, 24, 8);
	files->rsdp[8] = files->rsdp[32] = 0;
	checksum(files, RSDP, 8, 0, 20);
	checksum(files, RSDP, 32, 0, RSDP_SIZE);
}

void
acpi_files_free(struct acpi_files *files)
{
	free(files->tables);
	free(files->rsdp);
	free(files->script);
}
