/* What options do (options.def): devices, displays and networks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "machine/options_internal.h"
#include "machine/values.h"

/* ---- Devices ---- */

char *
option_drive(struct parse *p, const char *value)
{
	return config_add_drive(p->config, value);
}

char *
option_snapshot(struct parse *p, const char *value)
{
	(void)value;
	p->config->snapshot = true;
	return NULL;
}

char *
option_cdrom(struct parse *p, const char *value)
{
	return config_add_image(p->config, value, 2, true);
}

char *
option_hda(struct parse *p, const char *value)
{
	return config_add_image(p->config, value, 0, false);
}

char *
option_hdb(struct parse *p, const char *value)
{
	return config_add_image(p->config, value, 1, false);
}

static char *
parse_number_key(const char *device, const char *key, const char *text, u64 low, u64 high, u64 *value)
{
	if (text && parse_number(text, value) && *value >= low && *value <= high)
		return NULL;
	return error_string("-device %s: %s=%s is no number from %#llx to %#llx", device, key, text ? text : "",
			    (unsigned long long)low, (unsigned long long)high);
}

static struct config_nic *
add_nic(struct config *config)
{
	static const u8 first_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
	struct config_nic *nic = &config->nic[config->nics];

	if (config->nics == CONFIG_NICS)
		return NULL;
	*nic = (struct config_nic){.netdev = -1, .slot = -1};
	memcpy(nic->mac, first_mac, sizeof(first_mac));
	nic->mac[5] += (u8)config->nics;
	config->nics++;
	return nic;
}

int
config_find_netdev(const struct config *config, const char *id)
{
	for (unsigned i = 0; i < config->netdevs; i++)
		if (!strcmp(config->netdev[i].id, id))
			return (int)i;
	return -1;
}

const char *
config_nic_name(enum nic_model model)
{
	static const char *const name[NIC_MODELS] = {
		[NIC_E1000] = "e1000",
		[NIC_VIRTIO] = "virtio-net-pci",
		[NIC_VIRTIO_MODERN] = "virtio-net-pci-non-transitional",
	};

	return name[model];
}

static char *
device_nic(struct parse *p, const char *value, enum nic_model model)
{
	struct config_nic *nic = add_nic(p->config);
	char *element, *key, *text, *error = NULL;
	const char *name = config_nic_name(model);

	p->default_nic = false;
	if (!nic)
		return error_string("-device %s: more than %d network cards", name, CONFIG_NICS);
	nic->model = model;
	for (; !error && (element = next_pair(&value, &key, &text)); free(element)) {
		if (!strcmp(key, "netdev")) {
			/* The back end may come later on the command line: finish() looks it up. */
			nic->netdev_id = config_copy(p->config, text ? text : "");
		} else if (!strcmp(key, "mac")) {
			if (!text || !parse_mac(text, nic->mac))
				error = error_string("-device %s: mac=%s is no station address", name,
						     text ? text : "");
		} else if (!strcmp(key, "romfile")) {
			nic->romfile = config_copy(p->config, text ? text : "");
		} else if (!strcmp(key, "addr")) {
			if (!text || !parse_slot(text, &nic->slot))
				error = error_string("-device %s: addr=%s is no slot from 02 to 1f", name,
						     text ? text : "");
		} else if (strcmp(key, "id") != 0 && strcmp(key, "bus") != 0) {
			error = error_string("-device %s: unknown property '%s'", name, key);
		}
	}
	return error;
}

static char *
device_e1000(struct parse *p, const char *value)
{
	return device_nic(p, value, NIC_E1000);
}

static char *
device_virtio_net(struct parse *p, const char *value)
{
	return device_nic(p, value, NIC_VIRTIO);
}

static char *
device_virtio_net_modern(struct parse *p, const char *value)
{
	return device_nic(p, value, NIC_VIRTIO_MODERN);
}

static char *
device_debug_exit(struct parse *p, const char *value)
{
	struct config_debug_exit *d = &p->config->debug_exit;
	char *element, *key, *text, *error = NULL;
	u64 iobase = 0x501, iosize = 2;

	for (; !error && (element = next_pair(&value, &key, &text)); free(element)) {
		if (!strcmp(key, "iobase"))
			error = parse_number_key("isa-debug-exit", key, text, 1, 0xffff, &iobase);
		else if (!strcmp(key, "iosize"))
			error = parse_number_key("isa-debug-exit", key, text, 1, 4, &iosize);
		else if (strcmp(key, "id") != 0)
			error = error_string("-device isa-debug-exit: unknown property '%s'", key);
	}
	if (!error && iosize == 3)
		error = error_string("-device isa-debug-exit: iosize=3 is none of 1, 2, 4");
	if (!error && iobase + iosize > 0x10000)
		error = error_string("-device isa-debug-exit: iobase=%#llx leaves no room", (unsigned long long)iobase);
	if (!error && d->present)
		error = error_string("-device isa-debug-exit: given twice");
	*d = (struct config_debug_exit){.present = true, .iobase = (u16)iobase, .iosize = (u16)iosize};
	return error;
}

static char *
device_testdev(struct parse *p, const char *value)
{
	if (*value)
		return error_string("-device pc-testdev: unknown property '%s'", value);
	p->config->testdev = true;
	return NULL;
}

static char *
device_virtio_blk(struct parse *p, const char *value)
{
	return config_add_virtio_blk(p->config, value, false);
}

static char *
device_virtio_blk_modern(struct parse *p, const char *value)
{
	return config_add_virtio_blk(p->config, value, true);
}

static const struct {
	const char *name, *help;
	char *(*apply)(struct parse *p, const char *value);
} device[] = {
	{"e1000", "netdev=ID,mac=M,addr=SLOT,romfile=F    Intel 82540EM Gigabit Ethernet", device_e1000},
	{"virtio-net-pci", "the same    virtio network card, for legacy and modern drivers", device_virtio_net},
	{"virtio-net-pci-non-transitional", "the same    for modern drivers only", device_virtio_net_modern},
	{"virtio-blk-pci", "drive=ID,serial=TEXT,addr=SLOT    virtio disk on a -drive if=none,id=ID", device_virtio_blk},
	{"virtio-blk-pci-non-transitional", "the same    for modern drivers only", device_virtio_blk_modern},
	{"isa-debug-exit", "iobase=0x501,iosize=2    a write of V ends nestbox with status (V << 1) | 1",
	 device_debug_exit},
	{"pc-testdev", "kvm-unit-tests' test device", device_testdev},
};

char *
option_device(struct parse *p, const char *value)
{
	const char *rest = value;
	char *name = next_element(&rest), *error = NULL;
	unsigned i = 0;

	if (!name)
		return error_string("-device: which one? (-device help)");
	if (!strcmp(name, "help") || !strcmp(name, "?")) {
		for (i = 0; i < COUNT(device); i++)
			printf("name \"%s\", desc \"%s\"\n", device[i].name, device[i].help);
		p->action = CONFIG_EXIT;
		free(name);
		return NULL;
	}
	while (i < COUNT(device) && strcmp(device[i].name, name) != 0)
		i++;
	if (i == COUNT(device)) {
		error = error_string("-device: '%s' is not modelled (-device help lists what is)", name);
	} else if (!strcmp(rest, "help") || !strcmp(rest, "?")) {
		printf("%s    %s\n", device[i].name, device[i].help);
		p->action = CONFIG_EXIT;
	} else {
		error = device[i].apply(p, rest);
	}
	free(name);
	return error;
}

static char *
parse_chardev(struct parse *p, const char *option, const char *value, struct config_serial *serial)
{
	static const struct {
		const char *name;
		enum serial_kind kind;
	} kinds[] = {
		{"none", SERIAL_NONE}, {"stdio", SERIAL_STDIO}, {"mon:stdio", SERIAL_STDIO},
		{"null", SERIAL_NULL}, {"pty", SERIAL_PTY},
	};
	const char *colon = strchr(value, ':');

	for (unsigned i = 0; i < COUNT(kinds); i++)
		if (!strcmp(value, kinds[i].name)) {
			serial->kind = kinds[i].kind;
			return NULL;
		}
	if (!colon || !colon[1] || (strncmp(value, "file:", 5) != 0 && strncmp(value, "unix:", 5) != 0))
		return error_string("%s: '%s' is none of stdio, none, null, file:PATH, pty, unix:PATH", option, value);
	serial->kind = value[0] == 'f' ? SERIAL_FILE : SERIAL_UNIX;
	serial->path = config_copy(p->config, colon + 1);
	/* unix:PATH,server,nowait and unix:PATH,server=on,wait=off are what nestbox does anyway. */
	if (serial->kind == SERIAL_UNIX)
		serial->path[strcspn(serial->path, ",")] = 0;
	return NULL;
}

char *
option_serial(struct parse *p, const char *value)
{
	p->default_serial = false;
	if (p->serials == CONFIG_SERIALS)
		return error_string("-serial: more than %d ports", CONFIG_SERIALS);
	return parse_chardev(p, "-serial", value, &p->config->serial[p->serials++]);
}

char *
option_debugcon(struct parse *p, const char *value)
{
	return parse_chardev(p, "-debugcon", value, &p->config->debugcon);
}

char *
option_nographic(struct parse *p, const char *value)
{
	(void)value;
	p->config->nographic = true;
	return NULL;
}

/* The monitors and parallel ports that nestbox has today: none. */
static char *
only_none(const char *option, const char *value)
{
	return strcmp(value, "none") != 0 ? error_string("%s: '%s' is not there yet, only none", option, value) : NULL;
}

char *
option_display(struct parse *p, const char *value)
{
	p->config->sdl = !strcmp(value, "sdl");
	if (!strncmp(value, "vnc=", 4))
		p->config->vnc = config_copy(p->config, value + 4);
	return p->config->sdl || !strncmp(value, "vnc=", 4) || !strcmp(value, "none")
		       ? NULL
		       : error_string("-display: '%s' is none of sdl, vnc=[ADDRESS]:N, none", value);
}

char *
option_screendump(struct parse *p, const char *value)
{
	p->config->screendump = config_copy(p->config, value);
	return NULL;
}

char *
option_vnc(struct parse *p, const char *value)
{
	p->config->vnc = strcmp(value, "none") != 0 ? config_copy(p->config, value) : NULL;
	return NULL;
}

char *
option_vga(struct parse *p, const char *value)
{
	p->vga_given = true;
	p->config->vga = !strcmp(value, "std");
	return p->config->vga || !strcmp(value, "none") ? NULL
							 : error_string("-vga: '%s' is not there yet, only std and none", value);
}

char *
option_monitor(struct parse *p, const char *value)
{
	(void)p;
	return only_none("-monitor", value);
}

char *
option_parallel(struct parse *p, const char *value)
{
	(void)p;
	return only_none("-parallel", value);
}

/* ---- Network ---- */

char *
option_netdev(struct parse *p, const char *value)
{
	static const char *const kinds[] = {"none", "user", "tap", "socket"};
	const char *rest = value;
	char *kind = next_element(&rest), *element, *key, *text, *error = NULL;
	const char *id = NULL;
	unsigned i = 0;

	p->default_nic = false;
	while (kind && i < COUNT(kinds) && strcmp(kinds[i], kind) != 0)
		i++;
	if (!kind || i == COUNT(kinds))
		error = error_string("-netdev: '%s' is none of none, user, tap, socket", kind ? kind : "");
	free(kind);
	for (; !error && (element = next_pair(&rest, &key, &text)); free(element))
		if (!strcmp(key, "id") && text)
			id = config_copy(p->config, text);
	if (error)
		return error;
	if (!id || !*id)
		return error_string("-netdev %s: has no id=NAME", value);
	if (config_find_netdev(p->config, id) >= 0)
		return error_string("-netdev: id=%s is given twice", id);
	if (p->config->netdevs == CONFIG_NETDEVS)
		return error_string("-netdev: more than %d", CONFIG_NETDEVS);
	p->config->netdev[p->config->netdevs++] =
		(struct config_netdev){.spec = config_copy(p->config, value), .id = (char *)id};
	return NULL;
}

/* model= of -nic: what -device takes, and QEMU's other names for it. */
static char *
parse_nic_model(const char *text, enum nic_model *model)
{
	for (unsigned i = 0; i < NIC_MODELS; i++)
		if (!strcmp(text, config_nic_name(i))) {
			*model = i;
			return NULL;
		}
	if (!strcmp(text, "e1000-82540em"))
		*model = NIC_E1000;
	else if (!strcmp(text, "virtio") || !strcmp(text, "virtio-net-pci-transitional"))
		*model = NIC_VIRTIO;
	else
		return error_string("-nic: model=%s is not modelled, only e1000 and virtio-net-pci", text);
	return NULL;
}

/* -nic KIND,...: a -netdev and the card on it in one. */
char *
option_nic(struct parse *p, const char *value)
{
	const char *rest = value;
	char *element, *spec, *card, *error = NULL;
	enum nic_model model = NIC_E1000;

	p->default_nic = false;
	if (!strcmp(value, "none"))
		return NULL;
	element = next_element(&rest);
	if (!element)
		return error_string("-nic: none, user, tap or socket?");
	spec = error_string("%s,id=#nic%u", element, p->config->nics);
	card = error_string("netdev=#nic%u", p->config->nics);
	free(element);
	while (!error && (element = next_element(&rest))) {
		char **list = &spec, *longer;

		if (!strncmp(element, "model=", 6)) {
			error = parse_nic_model(element + 6, &model);
			free(element);
			continue;
		}
		if (!strncmp(element, "mac=", 4) || !strncmp(element, "addr=", 5) || !strncmp(element, "romfile=", 8))
			list = &card;
		longer = error_string("%s,%s", *list, element);
		free(*list);
		*list = longer;
		free(element);
	}
	if (!error)
		error = option_netdev(p, spec);
	if (!error)
		error = device_nic(p, card, model);
	free(spec);
	free(card);
	return error;
}
