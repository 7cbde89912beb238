/* The ACPI tables as files for firmware that places them itself. See acpi_loader.c. */
#ifndef NB_DEVICES_ACPI_LOADER_H
#define NB_DEVICES_ACPI_LOADER_H

#include "base/types.h"

struct acpi_board;

struct acpi_files {
	u8 *tables, *rsdp, *script; /* etc/acpi/tables, etc/acpi/rsdp, etc/table-loader; heap */
	u32 tables_size, rsdp_size, script_size;
};

void acpi_files_make(struct acpi_files *files, const struct acpi_board *board);
void acpi_files_free(struct acpi_files *files);

#endif
