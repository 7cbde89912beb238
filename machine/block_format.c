/* Image formats: their names, and what they begin with. */
#include <string.h>

#include "machine/block_host.h"
#include "machine/block_layers.h"

static const struct {
	const char *name;
	const char *magic; /* NULL: none, or the same name again has another one */
	unsigned offset;
} formats[] = {
	{"raw", NULL, 0},
	{"qcow2", "QFI\xfb", 0},
	{"vmdk", "KDMV", 0},
	{"vmdk", "COWD", 0},
	{"vmdk", "# Disk DescriptorFile", 0},
	{"vdi", "\x7f\x10\xda\xbe", 0x40},
	{"vhdx", "vhdxfile", 0},
	{"vpc", "conectix", 0},
};

const char *
block_formats(void)
{
	return "raw, qcow2, vmdk, vdi, vhdx, vpc";
}

bool
block_format_known(const char *name)
{
	for (unsigned i = 0; i < COUNT(formats); i++)
		if (!strcmp(formats[i].name, name))
			return true;
	return false;
}

const char *
block_format_probe(const u8 sector[BLOCK_SECTOR])
{
	for (unsigned i = 0; i < COUNT(formats); i++)
		if (formats[i].magic && !memcmp(sector + formats[i].offset, formats[i].magic, strlen(formats[i].magic)))
			return formats[i].name;
	return "raw";
}
