/* Firmware images, and what firmware is told through fw_cfg and CMOS. See firmware.c. */
#ifndef NB_MACHINE_FIRMWARE_H
#define NB_MACHINE_FIRMWARE_H

#include "base/types.h"
#include "devices/acpi_loader.h"
#include "devices/acpi_tables.h"
#include "machine/config.h"

struct pc;

struct firmware {
	struct pc *pc; /* that it is installed on */
	u8 *bios;
	u32 bios_size;
	u8 *vga_rom; /* padded to a power of two */
	u32 vga_rom_size;
	u8 *nic_rom[CONFIG_NICS]; /* likewise; NULL: none */
	u32 nic_rom_size[CONFIG_NICS];
	u8 *kernel, *initrd; /* for -kernel with -bios */
	u32 kernel_size, setup_size, initrd_size;
	struct acpi_files acpi;
	struct acpi_board board; /* that they tell of */
	u8 e820[2 * 20];
	u8 sercon_port[8];
};

/* Reads the images. Returns NULL, or what is wrong (heap). Nothing is read for direct boot. */
char *firmware_load(struct firmware *f, const struct config *config);
/* The expansion ROM of the display adapter, from the firmware's package. */
char *firmware_load_vga(struct firmware *f, const struct config *config);
/* The expansion ROMs of the network cards: those given, else iPXE if it is installed. */
char *firmware_load_nics(struct firmware *f, const struct config *config);
/* Where these images are, unless options say otherwise. */
const char *firmware_default(void);
const char *firmware_vga_rom(const struct config *config);
const char *firmware_nic_rom(const struct config *config, unsigned nic); /* NULL: none */
/* Puts the image on the board, and what it asks for in fw_cfg and CMOS. */
void firmware_install(struct firmware *f, struct pc *pc);
/* The whole file, at most `limit` bytes, into the heap. Returns NULL, or what is wrong (heap). */
char *firmware_read_file(const char *path, u32 limit, u8 **data, u32 *size);
/* firmware_kernel.c: what firmware_load() and firmware_install() do about -kernel. */
struct fw_cfg;
char *firmware_load_kernel(struct firmware *f, const struct config *config);
void firmware_install_kernel(const struct firmware *f, const struct config *config, struct fw_cfg *fw);
void firmware_free(struct firmware *f);

#endif
