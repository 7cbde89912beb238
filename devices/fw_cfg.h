/* The firmware configuration device: named blobs from the machine for firmware and test programs. See fw_cfg.c. */
#ifndef NB_DEVICES_FW_CFG_H
#define NB_DEVICES_FW_CFG_H

#include "base/types.h"
#include "bus/memory.h"
#include "bus/ports.h"

struct state;

/* Well-known items. */
#define FW_CFG_SIGNATURE 0x00
#define FW_CFG_ID 0x01
#define FW_CFG_RAM_SIZE 0x03
#define FW_CFG_NO_GRAPHIC 0x04
#define FW_CFG_CPUS 0x05
#define FW_CFG_BOOT_MENU 0x0e
#define FW_CFG_MAX_CPUS 0x0f
#define FW_CFG_DIRECTORY 0x19
#define FW_CFG_FIRST_FILE 0x20
#define FW_CFG_FILES 32
#define FW_CFG_NAME 56

struct fw_cfg_item {
	const u8 *data; /* the owner's; not written by the guest */
	u32 size;
	u8 own[8]; /* storage of numbers */
};

struct fw_cfg {
	struct memory *memory;
	struct fw_cfg_item fixed[FW_CFG_FIRST_FILE];
	struct fw_cfg_item file[FW_CFG_FILES];
	char name[FW_CFG_FILES][FW_CFG_NAME];
	unsigned files;
	u8 directory[4 + FW_CFG_FILES * 64];
	u16 selector;
	u32 position;
	u64 dma_address;
	/* Called before the guest looks at an item: the owner may change its data, not its size. NULL: nobody. */
	void (*look)(void *opaque);
	void *look_opaque;
};

/* Ports 0x510..0x51b. */
void fw_cfg_init(struct fw_cfg *f, struct memory *memory, struct ports *ports);
void fw_cfg_reset(struct fw_cfg *f);
/* `data` stays the caller's and may change while the guest does not look. */
void fw_cfg_add(struct fw_cfg *f, unsigned item, const void *data, u32 size);
void fw_cfg_add_number(struct fw_cfg *f, unsigned item, u64 value, unsigned size);
/* A file such as "etc/acpi/tables"; at most FW_CFG_FILES, names below FW_CFG_NAME bytes. */
void fw_cfg_add_file(struct fw_cfg *f, const char *name, const void *data, u32 size);
void fw_cfg_state(struct fw_cfg *f, struct state *s);

#endif
