/*
 * The firmware configuration device of QEMU's PC: item selector, data port, DMA interface, directory of files.
 *
 * Source: QEMU's documentation, "QEMU Firmware Configuration (fw_cfg) Device".
 *   0x510 word write: select an item (its position goes to 0); 0x511 byte read: next byte, 0 behind the end
 *   0x514 high, 0x518 low half (big-endian) of the address of a DMA request; the write of the low half starts it
 * Not modelled: items that the guest may write (a DMA write fails), the memory-mapped form.
 */
#include "devices/fw_cfg.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/snapshot.h"

LOG_CATEGORY("fw_cfg");

#define PORT_SELECTOR 0x510
#define PORT_DATA 0x511
#define PORT_DMA 0x514

#define ID_PORTS BIT(0)
#define ID_DMA BIT(1)

#define DMA_ERROR BIT(0)
#define DMA_READ BIT(1)
#define DMA_SKIP BIT(2)
#define DMA_SELECT BIT(3)
#define DMA_WRITE BIT(4)

static void
put_big(u8 *to, u64 value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		to[i] = (u8)(value >> 8 * (size - 1 - i));
}

static u64
get_big(const u8 *from, unsigned size)
{
	u64 value = 0;

	for (unsigned i = 0; i < size; i++)
		value = value << 8 | from[i];
	return value;
}

/* The selected item; one of size 0 when there is none. */
static const struct fw_cfg_item *
selected(const struct fw_cfg *f)
{
	static const struct fw_cfg_item none;
	unsigned item = f->selector & 0x3fff; /* bit 14 asks for writing, bit 15 for the architecture's own items */

	if (f->selector & 0x8000)
		return &none;
	if (item < FW_CFG_FIRST_FILE)
		return &f->fixed[item];
	return item - FW_CFG_FIRST_FILE < f->files ? &f->file[item - FW_CFG_FIRST_FILE] : &none;
}

static void
select_item(struct fw_cfg *f, u16 selector)
{
	f->selector = selector;
	f->position = 0;
	log_debug("item %#x, %u bytes", selector, selected(f)->size);
}

static u8
next_byte(struct fw_cfg *f)
{
	const struct fw_cfg_item *item = selected(f);

	if (f->look)
		f->look(f->look_opaque);
	return f->position < item->size ? item->data[f->position++] : 0;
}

/* Copies `length` bytes of the item, then zeros, to guest memory. */
static void
dma_out(struct fw_cfg *f, u64 address, u32 length)
{
	static const u8 zeros[PAGE_SIZE];
	const struct fw_cfg_item *item = selected(f);
	u32 have = MIN(length, item->size - f->position);

	if (f->look)
		f->look(f->look_opaque);
	if (have)
		dma_write_by(f->memory, "fw_cfg", address, item->data + f->position, have);
	f->position += have;
	address += have;
	length -= have;
	/* Past the end of RAM nothing can arrive any more: the guest's length alone must not keep the host busy. */
	length = (u32)MIN(length, f->memory->ram_size);
	for (; length; address += MIN(length, PAGE_SIZE), length -= (u32)MIN(length, PAGE_SIZE))
		dma_write_by(f->memory, "fw_cfg", address, zeros, MIN(length, PAGE_SIZE));
}

/*
 * A request in guest memory, all big-endian: control 32 bits, length 32, address 64. Control becomes 0, or the error
 * bit.
 */
static void
dma_request(struct fw_cfg *f)
{
	u64 request = f->dma_address;
	u8 bytes[16], done[4];
	u32 control, length;

	f->dma_address = 0;
	dma_read(f->memory, request, bytes, sizeof(bytes));
	control = (u32)get_big(bytes, 4);
	length = (u32)get_big(bytes + 4, 4);
	if (control & DMA_SELECT)
		select_item(f, (u16)(control >> 16));
	if (control & DMA_READ)
		dma_out(f, get_big(bytes + 8, 8), length);
	else if (control & DMA_SKIP)
		f->position += MIN(length, selected(f)->size - f->position);
	put_big(done, control & DMA_WRITE && !(control & (DMA_READ | DMA_SKIP)) ? DMA_ERROR : 0, 4);
	dma_write_by(f->memory, "fw_cfg", request, done, 4);
}

static u32
fw_cfg_read(void *opaque, u16 port, unsigned size)
{
	struct fw_cfg *f = opaque;

	(void)size;
	return port == PORT_DATA ? next_byte(f) : 0;
}

static void
fw_cfg_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct fw_cfg *f = opaque;

	if (port == PORT_SELECTOR && size == 2)
		select_item(f, (u16)value);
}

static u32
dma_port_read(void *opaque, u16 port, unsigned size)
{
	static const u8 signature[8] = {'Q', 'E', 'M', 'U', ' ', 'C', 'F', 'G'};
	u32 value = 0;

	(void)opaque;
	for (unsigned i = 0; i < size && port + i < PORT_DMA + 8u; i++)
		value |= (u32)signature[port + i - PORT_DMA] << 8 * i;
	return value;
}

static void
dma_port_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct fw_cfg *f = opaque;

	if (size != 4)
		return;
	value = __builtin_bswap32(value);
	if (port == PORT_DMA) {
		f->dma_address = (u64)value << 32;
	} else if (port == PORT_DMA + 4) {
		f->dma_address |= value;
		dma_request(f);
	}
}

static const struct port_ops fw_cfg_ports = {fw_cfg_read, fw_cfg_write, PORT_BYTE | PORT_WORD};
static const struct port_ops dma_ports = {dma_port_read, dma_port_write, PORT_BYTE | PORT_WORD | PORT_LONG};

void
fw_cfg_add(struct fw_cfg *f, unsigned item, const void *data, u32 size)
{
	assert(item < FW_CFG_FIRST_FILE);
	f->fixed[item].data = data;
	f->fixed[item].size = size;
}

void
fw_cfg_add_number(struct fw_cfg *f, unsigned item, u64 value, unsigned size)
{
	assert(item < FW_CFG_FIRST_FILE && size <= 8);
	for (unsigned i = 0; i < size; i++)
		f->fixed[item].own[i] = (u8)(value >> 8 * i);
	fw_cfg_add(f, item, f->fixed[item].own, size);
}

/* The directory: count, then per file size, selector, reserved word and name, sorted by name as firmware prefers. */
static void
write_directory(struct fw_cfg *f)
{
	unsigned order[FW_CFG_FILES];

	for (unsigned i = 0; i < f->files; i++) {
		unsigned at = i;

		for (; at > 0 && strcmp(f->name[order[at - 1]], f->name[i]) > 0; at--)
			order[at] = order[at - 1];
		order[at] = i;
	}
	memset(f->directory, 0, sizeof(f->directory));
	put_big(f->directory, f->files, 4);
	for (unsigned i = 0; i < f->files; i++) {
		u8 *entry = f->directory + 4 + i * 64;

		put_big(entry, f->file[order[i]].size, 4);
		put_big(entry + 4, FW_CFG_FIRST_FILE + order[i], 2);
		memcpy(entry + 8, f->name[order[i]], FW_CFG_NAME);
	}
	fw_cfg_add(f, FW_CFG_DIRECTORY, f->directory, 4 + f->files * 64);
}

void
fw_cfg_add_file(struct fw_cfg *f, const char *name, const void *data, u32 size)
{
	unsigned n = f->files;

	assert(n < FW_CFG_FILES && strlen(name) < FW_CFG_NAME);
	f->files++;
	strcpy(f->name[n], name);
	f->file[n].data = data;
	f->file[n].size = size;
	write_directory(f);
}

void
fw_cfg_init(struct fw_cfg *f, struct memory *memory, struct ports *ports)
{
	memset(f, 0, sizeof(*f));
	f->memory = memory;
	fw_cfg_add(f, FW_CFG_SIGNATURE, "QEMU", 4);
	fw_cfg_add_number(f, FW_CFG_ID, ID_PORTS | ID_DMA, 4);
	write_directory(f);
	ports_map(ports, "fw_cfg", PORT_SELECTOR, 2, &fw_cfg_ports, f);
	ports_map(ports, "fw_cfg-dma", PORT_DMA, 8, &dma_ports, f);
}

void
fw_cfg_reset(struct fw_cfg *f)
{
	f->selector = 0;
	f->position = 0;
	f->dma_address = 0;
}

void
fw_cfg_state(struct fw_cfg *f, struct state *s)
{
	state_section(s, "fw_cfg", 1);
	STATE(s, f->selector);
	STATE(s, f->position);
	STATE(s, f->dma_address);
	if (state_mode(s) == STATE_LOAD)
		f->position = MIN(f->position, selected(f)->size);
}
