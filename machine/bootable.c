/*
 * Is there anything that SeaBIOS can boot? When not, its own message would stand on a screen that perhaps nobody sees.
 */
#include <string.h>

#include "base/stop.h"
#include "machine/block_host.h"
#include "machine/machine.h"

#define CD_SECTORS 4u /* of 512 bytes, in a sector of a CD */

/* What is missing, or NULL. What cannot be read is firmware's to find out. */
static const char *
missing(struct block *block, bool cdrom)
{
	u8 sector[CD_SECTORS * BLOCK_SECTOR];
	u64 at = cdrom ? 17 * CD_SECTORS : 0;
	u32 count = cdrom ? CD_SECTORS : 1;

	if (at + count > block->sectors)
		return cdrom ? "no file system of a CD" : NULL;
	if (block->read(block->host, at, count, sector) != 0)
		return NULL;
	/* "El Torito" Bootable CD-ROM Format Specification 1.0, "Boot Record Volume Descriptor". */
	if (cdrom)
		return memcmp(sector, "\0CD001\1EL TORITO SPECIFICATION", 30) == 0 ? NULL : "a CD without a boot record (El Torito)";
	return sector[510] == 0x55 && sector[511] == 0xaa ? NULL : "a disk without a boot sector (it does not end with 55h AAh)";
}

char *
machine_check_bootable(const struct machine *machine)
{
	const struct config *config = machine->config;
	const char *what = NULL, *path = NULL;

	/* Other firmware has its own ways, and a network may have anything. */
	if (config->kernel || config->bios || config->boot_menu || strchr(config->boot_order, 'n'))
		return NULL;
	for (unsigned i = 0; i < CONFIG_DRIVES; i++) {
		const struct config_drive *drive = &config->drive[i];
		const char *why;

		if (!machine->drive[i] || !strchr(config->boot_order, drive->cdrom ? 'd' : 'c'))
			continue;
		why = missing(block_host_block(machine->drive[i]), drive->cdrom);
		if (!why)
			return NULL;
		if (!what) {
			what = why;
			path = drive->file;
		}
	}
	return what ? error_string("%s: %s, and nothing else to boot", path, what) : NULL;
}
