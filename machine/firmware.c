/*
 * Firmware: the image at the top of 4 GiB, and what it is told: memory map, ACPI tables, order of boot devices.
 *
 * Source: QEMU's documentation, "QEMU Firmware Configuration (fw_cfg) Device" and SeaBIOS's "Runtime config" for the
 * files' names; ACPI 6.4, "INT 15H, E820H".
 */
#include "machine/firmware.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/stop.h"
#include "bus/memory.h"
#include "devices/acpi_tables.h"
#include "machine/pc.h"

#ifndef NB_FIRMWARE_DIR
#define NB_FIRMWARE_DIR "/usr/share/seabios"
#endif
#define BIOS NB_FIRMWARE_DIR "/bios-256k.bin"
#define VGA_ROM NB_FIRMWARE_DIR "/vgabios-stdvga.bin"

#ifndef NB_ROM_DIR
#define NB_ROM_DIR "/usr/lib/ipxe/qemu"
#endif
/* Each has an image for each kind of firmware. */
#define E1000_ROM NB_ROM_DIR "/efi-e1000.rom"
#define VIRTIO_ROM NB_ROM_DIR "/efi-virtio.rom"

#define BIOS_LIMIT 0x1000000u
#define VGA_ROM_LIMIT 0x10000u
#define NIC_ROM_LIMIT 0x100000u

char *
firmware_read_file(const char *path, u32 limit, u8 **data, u32 *size)
{
	FILE *file = fopen(path, "rb");
	char *error = NULL;
	size_t got;

	if (!file)
		return error_string("%s: %s", path, strerror(errno));
	*data = calloc(1, (size_t)limit + 1);
	if (!*data)
		stop_host_error("out of memory");
	got = fread(*data, 1, (size_t)limit + 1, file);
	if (ferror(file))
		error = error_string("%s: %s", path, strerror(errno));
	else if (got == 0)
		error = error_string("%s: empty", path);
	else if (got > limit)
		error = error_string("%s: larger than %u KiB", path, limit >> 10);
	fclose(file);
	*size = (u32)got;
	return error;
}

static char *
installed(char *error, const char *path, const char *given)
{
	char *longer;

	if (!error || given)
		return error;
	longer = error_string("%s; Debian has %s in package seabios", error, strrchr(path, '/') + 1);
	free(error);
	return longer;
}

const char *
firmware_default(void)
{
	return BIOS;
}

const char *
firmware_vga_rom(const struct config *config)
{
	return config->vga_rom ? config->vga_rom : VGA_ROM;
}

char *
firmware_load(struct firmware *f, const struct config *config)
{
	const char *path = config->bios ? config->bios : BIOS;
	char *error;

	if (config_direct_boot(config))
		return NULL;
	error = installed(firmware_read_file(path, BIOS_LIMIT, &f->bios, &f->bios_size), BIOS, config->bios);
	if (!error && f->bios_size % 0x10000 != 0)
		error = error_string("%s: a firmware image is a multiple of 64 KiB long", path);
	return error ? error : firmware_load_kernel(f, config);
}

char *
firmware_load_vga(struct firmware *f, const struct config *config)
{
	char *error = installed(firmware_read_file(firmware_vga_rom(config), VGA_ROM_LIMIT, &f->vga_rom, &f->vga_rom_size), VGA_ROM, config->vga_rom);

	f->vga_rom_size = VGA_ROM_LIMIT;
	return error;
}

/* PCI Local Bus Specification 2.3, "PCI Expansion ROM Header Format". */
static bool
is_expansion_rom(const u8 *image, u32 size)
{
	return size >= 0x1c && image[0] == 0x55 && image[1] == 0xaa;
}

const char *
firmware_nic_rom(const struct config *config, unsigned nic)
{
	const char *usual = config->nic[nic].model == NIC_E1000 ? E1000_ROM : VIRTIO_ROM;
	const char *given = config->nic[nic].romfile, *path = given ? given : usual;

	/* No name means no ROM; and without being asked for, one that is not installed is not missed. */
	return !*path || (!given && access(path, R_OK) != 0) ? NULL : path;
}

char *
firmware_load_nics(struct firmware *f, const struct config *config)
{
	for (unsigned i = 0; i < config->nics; i++) {
		const char *path = firmware_nic_rom(config, i);
		u32 size, whole = 2048;
		char *error;

		if (!path)
			continue;
		error = firmware_read_file(path, NIC_ROM_LIMIT, &f->nic_rom[i], &size);
		if (!error && !is_expansion_rom(f->nic_rom[i], size))
			error = error_string("%s: no expansion ROM", path);
		if (error)
			return error;
		while (whole < size)
			whole *= 2;
		f->nic_rom_size[i] = whole;
	}
	return NULL;
}

static u32
put_e820(u8 *at, u64 base, u64 size)
{
	u32 type = 1; /* RAM */

	if (!size)
		return 0;
	memcpy(at, &base, 8);
	memcpy(at + 8, &size, 8);
	memcpy(at + 16, &type, 4);
	return 20;
}

/* The registers of CMOS that firmware has its boot order in: one nibble each, 1 diskette, 2 disk, 3 CD, 4 network. */
static void
set_boot_order(struct rtc *rtc, const char *order)
{
	u8 nibble[3] = {0};

	for (unsigned i = 0; i < COUNT(nibble) && order[i]; i++)
		nibble[i] = order[i] == 'c' ? 2 : order[i] == 'd' ? 3 : order[i] == 'n' ? 4 : 1;
	rtc_set_cmos(rtc, 0x3d, (u8)(nibble[0] | nibble[1] << 4));
	rtc_set_cmos(rtc, 0x38, (u8)(nibble[2] << 4 | 1)); /* no check of diskettes' signatures */
}

/*
 * Firmware puts the power management registers where it likes (SeaBIOS at 0x600, OVMF at 0xb000) before it asks for the
 * tables that tell where they are. Only numbers change, no sizes.
 */
static void
follow_pm_base(void *opaque)
{
	struct firmware *f = opaque;
	struct acpi_files now;

	if (f->board.pm_base == f->pc->acpi_pm.base)
		return;
	f->board.pm_base = (u16)f->pc->acpi_pm.base;
	acpi_files_make(&now, &f->board);
	assert(now.tables_size == f->acpi.tables_size && now.script_size == f->acpi.script_size);
	memcpy(f->acpi.tables, now.tables, now.tables_size);
	memcpy(f->acpi.rsdp, now.rsdp, now.rsdp_size);
	memcpy(f->acpi.script, now.script, now.script_size);
	acpi_files_free(&now);
}

void
firmware_install(struct firmware *f, struct pc *pc)
{
	const struct config *config = pc->config;
	const struct memory *memory = pc->sockets.memory;
	struct fw_cfg *fw = &pc->fw_cfg;
	u32 size;

	f->pc = pc;
	f->board = (struct acpi_board){.cpus = config->cpus, .pci_start = (u32)MEMORY_HOLE, .vga = config->vga};
	for (unsigned i = 0; i < CONFIG_SERIALS; i++)
		f->board.serial[i] = pc->sockets.serial[i] != NULL;
	acpi_files_make(&f->acpi, &f->board);
	acpi_pm_set_firmware(&pc->acpi_pm);
	fw->look = follow_pm_base;
	fw->look_opaque = f;
	i440fx_set_firmware(&pc->i440fx, f->bios, f->bios_size);
	size = put_e820(f->e820, 0, memory->low_size);
	size += put_e820(f->e820 + size, 0x100000000ull, memory->ram_size - memory->low_size);
	fw_cfg_add_file(fw, "etc/e820", f->e820, size);
	fw_cfg_add_file(fw, "etc/acpi/rsdp", f->acpi.rsdp, f->acpi.rsdp_size);
	fw_cfg_add_file(fw, "etc/acpi/tables", f->acpi.tables, f->acpi.tables_size);
	fw_cfg_add_file(fw, "etc/table-loader", f->acpi.script, f->acpi.script_size);
	fw_cfg_add_number(fw, FW_CFG_BOOT_MENU, config->boot_menu, 2);
	/* Without a display, what firmware shows goes to the serial port. */
	if (pc->sockets.serial[0] && config->nographic) {
		f->sercon_port[0] = 0xf8;
		f->sercon_port[1] = 0x03;
		fw_cfg_add_file(fw, "etc/sercon-port", f->sercon_port, 8);
	}
	firmware_install_kernel(f, config, fw);
	set_boot_order(&pc->rtc, config->boot_order);
}

void
firmware_free(struct firmware *f)
{
	free(f->bios);
	free(f->vga_rom);
	free(f->kernel);
	free(f->initrd);
	for (unsigned i = 0; i < CONFIG_NICS; i++)
		free(f->nic_rom[i]);
	acpi_files_free(&f->acpi);
}
