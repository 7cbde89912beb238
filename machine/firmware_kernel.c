/*
 * -kernel with -bios: the kernel's parts in fw_cfg, where UEFI firmware (OVMF) looks for them.
 *
 * Source: QEMU's documentation, "QEMU Firmware Configuration (fw_cfg) Device"; Linux's Documentation/arch/x86/boot.rst.
 */
#include "machine/firmware.h"

#include <string.h>

#include "base/stop.h"
#include "devices/fw_cfg.h"
#include "machine/config.h"

#define LIMIT 0x40000000u
#define SETUP_SECTORS 0x1f1
#define SETUP_SECTORS_DEFAULT 4
#define HEADER_MAGIC 0x202
#define SECTOR 512u

/* Sizes and contents have an item each. */
#define FW_CFG_KERNEL_SIZE 0x08
#define FW_CFG_KERNEL_DATA 0x11
#define FW_CFG_INITRD_SIZE 0x0b
#define FW_CFG_INITRD_DATA 0x12
#define FW_CFG_COMMAND_LINE_SIZE 0x14
#define FW_CFG_COMMAND_LINE_DATA 0x15
#define FW_CFG_SETUP_SIZE 0x17
#define FW_CFG_SETUP_DATA 0x18

char *
firmware_load_kernel(struct firmware *f, const struct config *config)
{
	const char *kernel = config->kernel ? config_place(config, config->kernel) : NULL;
	char *error = kernel ? firmware_read_file(kernel, LIMIT, &f->kernel, &f->kernel_size) : NULL;
	u32 sectors;

	if (!kernel || error)
		return error;
	if (f->kernel_size < 2 * SECTOR || memcmp(f->kernel + HEADER_MAGIC, "HdrS", 4) != 0)
		return error_string("%s: no Linux bzImage, which is what firmware boots", kernel);
	sectors = f->kernel[SETUP_SECTORS] ? f->kernel[SETUP_SECTORS] : SETUP_SECTORS_DEFAULT;
	f->setup_size = (sectors + 1) * SECTOR;
	if (f->setup_size >= f->kernel_size)
		return error_string("%s: truncated", kernel);
	return config->initrd ? firmware_read_file(config_place(config, config->initrd), LIMIT, &f->initrd, &f->initrd_size) : NULL;
}

static void
add(struct fw_cfg *fw, unsigned size_item, unsigned data_item, const void *data, u32 size)
{
	fw_cfg_add_number(fw, size_item, size, 4);
	fw_cfg_add(fw, data_item, data, size);
}

void
firmware_install_kernel(const struct firmware *f, const struct config *config, struct fw_cfg *fw)
{
	const char *line = config->append ? config->append : "";

	if (!f->kernel)
		return;
	add(fw, FW_CFG_SETUP_SIZE, FW_CFG_SETUP_DATA, f->kernel, f->setup_size);
	add(fw, FW_CFG_KERNEL_SIZE, FW_CFG_KERNEL_DATA, f->kernel + f->setup_size, f->kernel_size - f->setup_size);
	if (f->initrd)
		add(fw, FW_CFG_INITRD_SIZE, FW_CFG_INITRD_DATA, f->initrd, f->initrd_size);
	add(fw, FW_CFG_COMMAND_LINE_SIZE, FW_CFG_COMMAND_LINE_DATA, line, (u32)strlen(line) + 1);
}
