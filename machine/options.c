/*
 * The command line and the INI file: one row per option, from which parsing, --help and -print-config follow.
 *
 * Options, their sub-options and their meaning are QEMU's where QEMU has them (qemu(1)); `-x` and `--x` are the same.
 * What nestbox is to have but has not yet is refused by name: an option that does nothing would be believed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/stop.h"
#include "machine/capsule.h"
#include "machine/config.h"
#include "machine/values.h"

#define MIB 0x100000ull
#define INI_LINE 4096
#define DEFAULT_RTC 1704067200 /* 2024-01-01 */

enum group { MACHINE, BOOT, DEVICES, NETWORK, TIME, LIMITS, REPORTS, DEBUGGER, SCENARIO, OTHER, LATER };
static const char *const group_title[LATER] = {
	"Machine",         "What boots",  "Devices", "Network", "Time", "Limits, for batch runs",
	"What it reports", "Debugger", "Scenarios", "The program",
};

struct parse {
	struct config *config;
	enum config_action action;
	bool default_nic, default_serial, vga_given;
	unsigned serials;
};

struct option {
	const char *name, *argument;
	enum group group;
	const char *help;
	/* Returns NULL, or what is wrong (heap). `value` is NULL when the option takes none. */
	char *(*apply)(struct parse *p, const char *value);
};

/* An option given, in the order of the command line. */
struct config_given {
	const struct option *option;
	char *value;
};

static char *
keep(struct config *config, char *string)
{
	char **grown = realloc(config->owned, (config->owneds + 1) * sizeof(*grown));

	if (!grown)
		stop_host_error("out of memory");
	config->owned = grown;
	config->owned[config->owneds++] = string;
	return string;
}

static char *
copy(struct config *config, const char *string)
{
	return keep(config, error_string("%s", string));
}

/* ---- Machine ---- */

static char *
apply_m(struct parse *p, const char *value)
{
	const char *text = !strncmp(value, "size=", 5) ? value + 5 : value;

	if (!parse_size(text, MIB, &p->config->memory))
		return error_string("-m: '%s' is no size (examples: 512, 512M, 4G)", value);
	if (p->config->memory < MIB || p->config->memory > 1024 * 1024 * MIB)
		return error_string("-m: %s is outside 1M..1024G", value);
	if (p->config->memory % 4096 != 0)
		return error_string("-m: %s is no multiple of 4K", value);
	return NULL;
}

static char *
apply_smp(struct parse *p, const char *value)
{
	const char *text = !strncmp(value, "cpus=", 5) ? value + 5 : value;
	u64 cpus;

	if (strchr(value, ','))
		return error_string("-smp: '%s': only a number of processors, topology is not modelled", value);
	if (!parse_number(text, &cpus) || cpus < 1 || cpus > 64)
		return error_string("-smp: '%s' is no number from 1 to 64", value);
	p->config->cpus = (unsigned)cpus;
	return NULL;
}

static char *
apply_cpu(struct parse *p, const char *value)
{
	if (!strcmp(value, "help") || !strcmp(value, "?"))
		p->action = CONFIG_CPU_HELP;
	p->config->cpu = copy(p->config, value);
	return NULL;
}

static char *
apply_machine(struct parse *p, const char *value)
{
	char *element, *key, *text, *error = NULL;
	bool first = true;

	(void)p;
	for (; !error && (element = next_pair(&value, &key, &text)); first = false, free(element)) {
		const char *type = first && !text ? key : !strcmp(key, "type") ? text : NULL;

		if (type && strcmp(type, "pc") != 0 && strncmp(type, "pc-i440fx", 9) != 0)
			error = error_string("-machine: '%s' is not modelled, only pc (i440FX)", type);
		else if (!type && !strcmp(key, "pit") && text && !strcmp(text, "off"))
			fprintf(stderr, "nestbox: warning: -machine pit=off: the timer is there all the same\n");
		else if (!type && strcmp(key, "accel") != 0 && !(strcmp(key, "pit") == 0 && text && !strcmp(text, "on")))
			error = error_string("-machine: unknown property '%s'", key);
	}
	return error;
}

/* nestbox is the accelerator; scripts written for QEMU say one. */
static char *
apply_nothing(struct parse *p, const char *value)
{
	(void)p;
	(void)value;
	return NULL;
}

/* Defaults of QEMU's devices: only what is about its accelerator can be ignored. */
static char *
apply_global(struct parse *p, const char *value)
{
	(void)p;
	return strncmp(value, "kvm-", 4) == 0 ? NULL : error_string("-global: '%s' is not modelled", value);
}

static char *
apply_no_reboot(struct parse *p, const char *value)
{
	(void)value;
	p->config->no_reboot = true;
	return NULL;
}

static char *
apply_nodefaults(struct parse *p, const char *value)
{
	(void)value;
	p->config->nodefaults = true;
	return NULL;
}

/* ---- What boots ---- */

static char *
apply_kernel(struct parse *p, const char *value)
{
	p->config->kernel = copy(p->config, value);
	return NULL;
}

static char *
apply_initrd(struct parse *p, const char *value)
{
	p->config->initrd = copy(p->config, value);
	return NULL;
}

static char *
apply_append(struct parse *p, const char *value)
{
	p->config->append = copy(p->config, value);
	return NULL;
}

static char *
apply_bios(struct parse *p, const char *value)
{
	p->config->bios = copy(p->config, value);
	return NULL;
}

static char *
apply_boot(struct parse *p, const char *value)
{
	return config_set_boot(p->config, value);
}

/* ---- Devices ---- */

static char *
apply_drive(struct parse *p, const char *value)
{
	return config_add_drive(p->config, value);
}

static char *
apply_cdrom(struct parse *p, const char *value)
{
	return config_add_image(p->config, value, 2, true);
}

static char *
apply_hda(struct parse *p, const char *value)
{
	return config_add_image(p->config, value, 0, false);
}

static char *
apply_hdb(struct parse *p, const char *value)
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

static int
find_netdev(const struct config *config, const char *id)
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
			nic->netdev_id = copy(p->config, text ? text : "");
		} else if (!strcmp(key, "mac")) {
			if (!text || !parse_mac(text, nic->mac))
				error = error_string("-device %s: mac=%s is no station address", name,
						     text ? text : "");
		} else if (!strcmp(key, "romfile")) {
			nic->romfile = copy(p->config, text ? text : "");
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

static char *
apply_device(struct parse *p, const char *value)
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
	serial->path = copy(p->config, colon + 1);
	/* unix:PATH,server,nowait and unix:PATH,server=on,wait=off are what nestbox does anyway. */
	if (serial->kind == SERIAL_UNIX)
		serial->path[strcspn(serial->path, ",")] = 0;
	return NULL;
}

static char *
apply_serial(struct parse *p, const char *value)
{
	p->default_serial = false;
	if (p->serials == CONFIG_SERIALS)
		return error_string("-serial: more than %d ports", CONFIG_SERIALS);
	return parse_chardev(p, "-serial", value, &p->config->serial[p->serials++]);
}

static char *
apply_debugcon(struct parse *p, const char *value)
{
	return parse_chardev(p, "-debugcon", value, &p->config->debugcon);
}

static char *
apply_nographic(struct parse *p, const char *value)
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

static char *
apply_display(struct parse *p, const char *value)
{
	p->config->sdl = !strcmp(value, "sdl");
	if (!strncmp(value, "vnc=", 4))
		p->config->vnc = copy(p->config, value + 4);
	return p->config->sdl || !strncmp(value, "vnc=", 4) || !strcmp(value, "none")
		       ? NULL
		       : error_string("-display: '%s' is none of sdl, vnc=[ADDRESS]:N, none", value);
}

static char *
apply_screendump(struct parse *p, const char *value)
{
	p->config->screendump = copy(p->config, value);
	return NULL;
}

static char *
apply_vnc(struct parse *p, const char *value)
{
	p->config->vnc = strcmp(value, "none") != 0 ? copy(p->config, value) : NULL;
	return NULL;
}

static char *
apply_vga(struct parse *p, const char *value)
{
	p->vga_given = true;
	p->config->vga = !strcmp(value, "std");
	return p->config->vga || !strcmp(value, "none") ? NULL
							 : error_string("-vga: '%s' is not there yet, only std and none", value);
}

static char *
apply_monitor(struct parse *p, const char *value)
{
	(void)p;
	return only_none("-monitor", value);
}

static char *
apply_parallel(struct parse *p, const char *value)
{
	(void)p;
	return only_none("-parallel", value);
}

/* ---- Network ---- */

static char *
apply_netdev(struct parse *p, const char *value)
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
			id = copy(p->config, text);
	if (error)
		return error;
	if (!id || !*id)
		return error_string("-netdev %s: has no id=NAME", value);
	if (find_netdev(p->config, id) >= 0)
		return error_string("-netdev: id=%s is given twice", id);
	if (p->config->netdevs == CONFIG_NETDEVS)
		return error_string("-netdev: more than %d", CONFIG_NETDEVS);
	p->config->netdev[p->config->netdevs++] =
		(struct config_netdev){.spec = copy(p->config, value), .id = (char *)id};
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
static char *
apply_nic(struct parse *p, const char *value)
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
		error = apply_netdev(p, spec);
	if (!error)
		error = device_nic(p, card, model);
	free(spec);
	free(card);
	return error;
}

/* ---- Time and chance ---- */

static char *
apply_clock(struct parse *p, const char *value)
{
	/*
	 * Below a megahertz the guest's calibration loops find nothing to measure; above 100 GHz, nanoseconds overflow
	 * early.
	 */
	if (!parse_count(value, &p->config->clock_hz) || p->config->clock_hz < 1000000 ||
	    p->config->clock_hz > 100000000000)
		return error_string("-clock: '%s' is no rate from 1M to 100G", value);
	return NULL;
}

static char *
apply_singlestep(struct parse *p, const char *value)
{
	(void)value;
	p->config->one_insn = true;
	return NULL;
}

static char *
apply_seed(struct parse *p, const char *value)
{
	return parse_number(value, &p->config->seed) ? NULL : error_string("-seed: '%s' is no number", value);
}

static char *
apply_rtc(struct parse *p, const char *value)
{
	char *element, *key, *text, *error = NULL;

	for (; !error && (element = next_pair(&value, &key, &text)); free(element)) {
		const char *base = !text ? key : !strcmp(key, "base") ? text : NULL;

		if (text && !strcmp(key, "clock") && !strcmp(text, "vm"))
			continue;
		if (base && !strcmp(base, "utc"))
			p->config->rtc = (s64)time(NULL);
		else if (!base || !parse_date(base, &p->config->rtc))
			error = error_string("-rtc: '%s' is neither utc nor a date like 2024-01-31T12:00:00",
					     base ? base : key);
	}
	return error;
}

static char *
apply_realtime(struct parse *p, const char *value)
{
	(void)value;
	p->config->realtime = true;
	return NULL;
}

static char *
apply_timing(struct parse *p, const char *value)
{
	(void)p;
	return strcmp(value, "insn") != 0 ? error_string("-timing: '%s' is not there yet, only insn", value) : NULL;
}

/* ---- Limits ---- */

static char *
apply_stop_after(struct parse *p, const char *value)
{
	if (!parse_count(value, &p->config->stop_after) || p->config->stop_after == 0)
		return error_string("-stop-after: '%s' is no number of instructions", value);
	return NULL;
}

static char *
apply_timeout(struct parse *p, const char *value)
{
	if (!parse_seconds(value, &p->config->timeout) || p->config->timeout <= 0)
		return error_string("-timeout: '%s' is no number of seconds", value);
	return NULL;
}

static char *
apply_expect(struct parse *p, const char *value)
{
	if (!*value)
		return error_string("-expect: no text");
	p->config->expect = copy(p->config, value);
	return NULL;
}

/* ---- Reports ---- */

static char *
apply_stats(struct parse *p, const char *value)
{
	p->config->stats = copy(p->config, value);
	return NULL;
}

static char *
apply_hash(struct parse *p, const char *value)
{
	p->config->hash = true;
	return parse_count(value, &p->config->hash_every) ? NULL : error_string("-hash: '%s' is no number", value);
}

static char *
apply_snapshot_save(struct parse *p, const char *value)
{
	p->config->snapshot_save = copy(p->config, value);
	return NULL;
}

static char *
apply_snapshot_load(struct parse *p, const char *value)
{
	p->config->snapshot_load = copy(p->config, value);
	return NULL;
}

static char *
apply_record(struct parse *p, const char *value)
{
	p->config->record = copy(p->config, value);
	return NULL;
}

static char *apply_recorded(void *opaque, const char *name, const char *value);

static char *
apply_replay(struct parse *p, const char *value)
{
	char *error;

	if (p->config->givens > 1)
		return error_string("-replay: the options of the recorded run are in the file; others, as -debug, come after it");
	p->config->replay = copy(p->config, value);
	error = capsule_options(value, apply_recorded, p);
	/* Those that follow say where the ports' output goes. */
	p->serials = 0;
	return error;
}

/* ---- Debugger ---- */

static char *
apply_debug(struct parse *p, const char *value)
{
	(void)value;
	p->config->debug = true;
	return NULL;
}

static char *
apply_gdb(struct parse *p, const char *value)
{
	p->config->gdb = copy(p->config, !strncmp(value, "tcp:", 4) ? value + 4 : value);
	return NULL;
}

static char *
apply_s(struct parse *p, const char *value)
{
	(void)value;
	p->config->gdb = copy(p->config, "1234");
	return NULL;
}

static char *
apply_S(struct parse *p, const char *value)
{
	(void)value;
	p->config->start_stopped = true;
	return NULL;
}

static char *
apply_ex(struct parse *p, const char *value)
{
	char **grown = realloc(p->config->command, (p->config->commands + 1) * sizeof(*grown));

	if (!grown)
		stop_host_error("out of memory");
	p->config->command = grown;
	grown[p->config->commands++] = copy(p->config, value);
	return NULL;
}

static char *
apply_history(struct parse *p, const char *value)
{
	p->config->history_given = true;
	return parse_size(value, MIB, &p->config->history) ? NULL : error_string("-history: '%s' is no size", value);
}

static char *
apply_trace(struct parse *p, const char *value)
{
	p->config->trace = copy(p->config, value);
	return NULL;
}

static char *
apply_trace_file(struct parse *p, const char *value)
{
	p->config->trace_file = copy(p->config, value);
	return NULL;
}

static char *
apply_log(struct parse *p, const char *value)
{
	char *what = (char *)log_configure(value);
	char *error = what ? error_string("-log: %s", what) : NULL;

	(void)p;
	free(what);
	return error;
}

/* ---- Scenarios ---- */

static char *
apply_script(struct parse *p, const char *value)
{
	p->config->script = copy(p->config, value);
	return NULL;
}

static char *
apply_script_arg(struct parse *p, const char *value)
{
	char **grown = realloc(p->config->script_args, (p->config->script_arg_count + 1) * sizeof(*grown));

	if (!grown)
		stop_host_error("out of memory");
	p->config->script_args = grown;
	grown[p->config->script_arg_count++] = copy(p->config, value);
	return strchr(value, '=') && *value != '=' ? NULL : error_string("-arg: '%s' is not NAME=VALUE", value);
}

static char *
apply_update(struct parse *p, const char *value)
{
	(void)value;
	p->config->update = true;
	return NULL;
}

static char *
apply_artifacts(struct parse *p, const char *value)
{
	p->config->artifacts = copy(p->config, value);
	return NULL;
}

/* ---- The program ---- */

static char *
apply_print_config(struct parse *p, const char *value)
{
	(void)value;
	p->action = CONFIG_PRINT;
	return NULL;
}

static char *
apply_version(struct parse *p, const char *value)
{
	(void)value;
	printf("nestbox %s\n", NESTBOX_VERSION);
	printf("Free software under the GNU General Public License, version 3 or later; without any warranty.\n");
	p->action = CONFIG_EXIT;
	return NULL;
}

static char *apply_help(struct parse *p, const char *value);

static const struct option option[] = {
	{"m", "SIZE", MACHINE, "memory, in MiB or with K, M, G behind it; default 128M", apply_m},
	{"smp", "N", MACHINE, "processors, 1 to 64", apply_smp},
	{"cpu", "MODEL[,+f,-f]", MACHINE, "processor model and features on top (-cpu help); default max", apply_cpu},
	{"machine", "pc", MACHINE, "the board; accel=... is accepted", apply_machine},
	{"M", "pc", MACHINE, "the same", apply_machine},
	{"accel", "NAME", MACHINE, "accepted: nestbox always interprets", apply_nothing},
	{"global", "kvm-DRIVER.P=V", MACHINE, "accepted likewise", apply_global},
	{"enable-kvm", NULL, MACHINE, "accepted likewise", apply_nothing},
	{"name", "NAME", MACHINE, "accepted; nothing shows it", apply_nothing},
	{"no-reboot", NULL, MACHINE, "a reset of the machine ends the run", apply_no_reboot},

	{"kernel", "FILE", BOOT, "Linux bzImage, ELF with a PVH note, or multiboot image", apply_kernel},
	{"initrd", "FILE", BOOT, "initial RAM disk; for multiboot \"FILE ARGS,FILE ARGS\"", apply_initrd},
	{"append", "TEXT", BOOT, "the kernel's command line", apply_append},
	{"bios", "FILE", BOOT, "firmware; with a kernel it is told of it (UEFI boots it); default without: SeaBIOS", apply_bios},
	{"boot", "ORDER", BOOT, "a diskette, c disk, d CD, n network; menu=on; default cad", apply_boot},

	{"drive", "file=F[,key=value]", DEVICES, "disk: if=ide|virtio|none, format=, snapshot=on, media=cdrom, index=0..3...", apply_drive},
	{"cdrom", "FILE", DEVICES, "a CD in the third place of the IDE controller", apply_cdrom},
	{"hda", "FILE", DEVICES, "a disk in the first place", apply_hda},
	{"hdb", "FILE", DEVICES, "a disk in the second place", apply_hdb},
	{"device", "NAME[,key=value]", DEVICES, "adds a device (-device help)", apply_device},
	{"serial", "WHERE", DEVICES, "next serial port: stdio, none, null, file:PATH, pty, unix:PATH", apply_serial},
	{"debugcon", "WHERE", DEVICES, "likewise, what is written to ports 0xe9 and 0x402", apply_debugcon},
	{"nodefaults", NULL, DEVICES, "neither a serial port nor a network card unless asked for", apply_nodefaults},
	{"nographic", NULL, DEVICES, "no display adapter, first serial port on stdio; firmware shows itself there", apply_nographic},
	{"display", "sdl|vnc=[A]:N|none", DEVICES, "a window, a VNC server, or none; default none", apply_display},
	{"vnc", "[ADDRESS]:N", DEVICES, "a VNC server on port 5900 + N", apply_vnc},
	{"vga", "std|none", DEVICES, "display adapter; default std with firmware or a window, not with -nographic", apply_vga},
	{"monitor", "none", DEVICES, "likewise", apply_monitor},
	{"parallel", "none", DEVICES, "likewise", apply_parallel},

	{"netdev", "KIND,id=ID[,...]", NETWORK, "back end: user, tap, socket, none; pcap=FILE on any", apply_netdev},
	{"nic", "KIND[,mac=M][,...]", NETWORK, "back end with a card on it, model=e1000 or virtio-net-pci; none: no card", apply_nic},

	{"clock", "HZ", TIME, "cycles in a guest second; default 1G", apply_clock},
	{"timing", "insn", TIME, "one cycle per instruction", apply_timing},
	{"realtime", NULL, TIME, "do not run faster than the host's clock", apply_realtime},
	{"seed", "N", TIME, "where RDRAND and RDSEED begin", apply_seed},
	{"singlestep", NULL, TIME, "one instruction at a time, by its complete form: slow, same result", apply_singlestep},
	{"rtc", "DATE", TIME, "start of the clock, or utc for the host's; default 2024-01-01", apply_rtc},

	{"stop-after", "N", LIMITS, "stop after so many instructions (k, M, G): status 3", apply_stop_after},
	{"timeout", "S", LIMITS, "stop after so many host seconds: status 3", apply_timeout},
	{"expect", "TEXT", LIMITS, "end with status 0 when the first serial port prints TEXT, else 3", apply_expect},

	{"stats", "FILE", REPORTS, "counters as JSON at the end; - is standard output", apply_stats},
	{"screendump", "FILE", REPORTS, "the screen at the end: FILE.png a picture, FILE.txt its characters", apply_screendump},
	{"hash", "N", REPORTS, "state hash every N instructions and at the end; 0: at the end only", apply_hash},
	{"snapshot-save", "FILE", REPORTS, "save the whole machine at the end of the run, as with -stop-after",
	 apply_snapshot_save},
	{"snapshot-load", "FILE", REPORTS, "go on from a saved machine; other options as when it was saved", apply_snapshot_load},
	{"record", "FILE", REPORTS, "write a capsule: options, checksums of images, all input from outside, and the outcome", apply_record},
	{"replay", "FILE", REPORTS, "run a capsule again, without network; first option; -serial after it: where output goes", apply_replay},
	{"log", "SPEC", REPORTS, "error, warn, info or debug, for all or for one part: warn,e1000=debug", apply_log},

	{"debug", NULL, DEBUGGER, "the debugger's shell (help lists its commands); stdio serial ports only print", apply_debug},
	{"gdb", "[HOST:]PORT", DEBUGGER, "serve gdb (target remote :PORT)", apply_gdb},
	{"s", NULL, DEBUGGER, "the same as -gdb 1234", apply_s},
	{"S", NULL, DEBUGGER, "with -gdb: wait for gdb before the first instruction", apply_S},
	{"ex", "CMD", DEBUGGER, "with -debug: execute a command first, more than once if given so", apply_ex},
	{"history", "SIZE", DEBUGGER, "memory for going back; 0: no going back; default 512M with -debug or -gdb", apply_history},
	{"trace", "SPEC", DEBUGGER, "record exits,entries,entry-fail,inject,vmwrite,interrupts,exceptions,io,msr,cr or all; and text, "
				    "jsonl, perfetto or kvm",
	 apply_trace},
	{"trace-file", "FILE", DEBUGGER, "where to; default standard error", apply_trace_file},

	{"script", "FILE.lua", SCENARIO, "run a scenario (docs/SCENARIOS.md); other options go to each of its machines", apply_script},
	{"arg", "NAME=VALUE", SCENARIO, "args.NAME of the scenario", apply_script_arg},
	{"update", NULL, SCENARIO, "write baselines instead of comparing with them", apply_update},
	{"artifacts", "DIR", SCENARIO, "what a failed scenario leaves: serial logs, exits, registers, screen", apply_artifacts},

	{"print-config", NULL, OTHER, "print the options as an INI file, which nestbox takes as argument",
	 apply_print_config},
	{"help", NULL, OTHER, "this text", apply_help},
	{"h", NULL, OTHER, "the same", apply_help},
	{"version", NULL, OTHER, "name and version", apply_version},

	{"blockdev", "SPEC", LATER, NULL, NULL},
	{"fda", "FILE", LATER, NULL, NULL},
	{"snapshot", NULL, LATER, NULL, NULL},
};

static char *
apply_help(struct parse *p, const char *value)
{
	(void)value;
	printf("Usage: nestbox [OPTION]... [MACHINE.INI]\n"
	       "A deterministic x86-64 PC with Intel VMX. Options are as in QEMU; -x and --x are the same.\n");
	for (enum group g = 0; g < LATER; g++) {
		printf("\n%s:\n", group_title[g]);
		for (unsigned i = 0; i < COUNT(option); i++)
			if (option[i].group == g)
				printf("  -%s %-*s %s\n", option[i].name, 25 - (int)strlen(option[i].name),
				       option[i].argument ? option[i].argument : "", option[i].help);
	}
	printf("\nNot there yet:");
	for (unsigned i = 0; i < COUNT(option); i++)
		if (option[i].group == LATER)
			printf(" -%s", option[i].name);
	printf("\n\nExit status: 0 the guest powered off, or -expect was met; 1 bad option, file or host error; 2 "
	       "triple\n"
	       "fault; 3 -expect not met or a limit reached; 4 something is not modelled; isa-debug-exit gives its "
	       "own.\n"
	       "With the first serial port on a terminal, Ctrl-A X ends nestbox.\n");
	p->action = CONFIG_EXIT;
	return NULL;
}

static const struct option *
find_option(const char *name)
{
	for (unsigned i = 0; i < COUNT(option); i++)
		if (!strcmp(option[i].name, name))
			return &option[i];
	return NULL;
}

static char *
apply_option(struct parse *p, const struct option *o, const char *value)
{
	struct config *config = p->config;
	struct config_given *grown;

	if (o->group == LATER)
		return error_string("-%s is not there yet", o->name);
	grown = realloc(config->given, (config->givens + 1) * sizeof(*grown));
	if (!grown)
		stop_host_error("out of memory");
	config->given = grown;
	config->given[config->givens++] =
		(struct config_given){.option = o, .value = value ? copy(config, value) : NULL};
	return o->apply(p, value);
}

/* An option out of a capsule. */
static char *
apply_recorded(void *opaque, const char *name, const char *value)
{
	struct parse *p = opaque;
	const struct option *o = find_option(name);

	if (!o || (o->group > TIME && o->group != LIMITS))
		return error_string("unknown option '%s'", name);
	if (!o->argument != !value)
		return error_string("option '%s' %s", name, value ? "takes no value" : "needs a value");
	return o->apply(p, value);
}

/* "key = value" of an INI file; flags take on and off. */
static char *
apply_ini(struct parse *p, const char *key, const char *value)
{
	const struct option *o = find_option(key);
	bool on;

	if (!o || o->group == OTHER)
		return error_string("unknown key '%s'", key);
	if (o->argument)
		return apply_option(p, o, value);
	if (!parse_switch(value, &on))
		return error_string("%s = '%s' is neither on nor off", key, value);
	return on ? apply_option(p, o, NULL) : NULL;
}

static char *
trim(char *text)
{
	char *end;

	text += strspn(text, " \t");
	end = text + strlen(text);
	while (end > text && strchr(" \t\r\n", end[-1]))
		end--;
	*end = 0;
	return text;
}

static char *
apply_ini_line(struct parse *p, char *line)
{
	char *text = trim(line), *equals;

	if (!*text || *text == '#' || *text == ';')
		return NULL;
	/* Headings are for the reader: keys are the same in every section. */
	if (*text == '[')
		return text[strlen(text) - 1] == ']' ? NULL : error_string("heading without ']'");
	equals = strchr(text, '=');
	if (!equals)
		return error_string("neither a heading nor key = value");
	*equals = 0;
	return apply_ini(p, trim(text), trim(equals + 1));
}

static char *
read_ini(struct parse *p, const char *path)
{
	FILE *file = fopen(path, "r");
	char *error = NULL;
	char line[INI_LINE];
	unsigned number = 0;

	if (!file)
		return error_string("%s: %s", path, strerror(errno));
	while (!error && fgets(line, sizeof(line), file)) {
		char *what;

		number++;
		if (strlen(line) == sizeof(line) - 1 && line[sizeof(line) - 2] != '\n')
			what = error_string("line too long");
		else
			what = apply_ini_line(p, line);
		if (what)
			error = error_string("%s:%u: %s", path, number, what);
		free(what);
	}
	if (!error && ferror(file))
		error = error_string("%s: %s", path, strerror(errno));
	fclose(file);
	return error;
}

/* One argument, with its value taken from behind '=' or from the next argument. Moves *i over what it used. */
static char *
apply_argument(struct parse *p, int argc, char **argv, int *i)
{
	char *text = argv[(*i)++], *name, *equals;
	const struct option *o;
	char *error;

	if (text[0] != '-' || !text[1])
		return read_ini(p, text);
	name = error_string("%s", text + (text[1] == '-' ? 2 : 1));
	equals = text[1] == '-' ? strchr(name, '=') : NULL;
	if (equals)
		*equals++ = 0;
	o = find_option(name);
	if (!o)
		error = error_string("unknown option '%s' (--help lists them)", text);
	else if (!o->argument && equals)
		error = error_string("-%s takes no value", o->name);
	else if (!o->argument || o->group == LATER)
		error = apply_option(p, o, NULL);
	else if (equals)
		error = apply_option(p, o, equals);
	else if (*i < argc)
		error = apply_option(p, o, argv[(*i)++]);
	else
		error = error_string("-%s needs a value: %s", o->name, o->argument);
	free(name);
	return error;
}

/* What depends on several options: defaults, and names that refer to one another. */
static char *
finish(struct parse *p)
{
	struct config *config = p->config;
	unsigned stdio = 0;
	char *error;
	bool something = config->bios != NULL;

	if (p->default_nic && !config->nodefaults) {
		error = apply_nic(p, "user");
		if (error)
			return error;
	}
	if (p->default_serial && !config->nodefaults)
		config->serial[0].kind = config->scripted ? SERIAL_NULL : SERIAL_STDIO;
	for (unsigned i = 0; (config->debug || config->scripted || config->replay) && i < CONFIG_SERIALS; i++)
		if (config->serial[i].kind == SERIAL_STDIO)
			config->serial[i].kind = SERIAL_STDOUT;
	if (!config->history_given && (config->debug || config->gdb))
		config->history = 512 * MIB;
	if (config->record && config->replay)
		return error_string("-record: not of a replay");
	if (config->replay && config->snapshot_load)
		return error_string("-snapshot-load: the capsule says where the replay begins");
	for (unsigned i = 0; i < CONFIG_DRIVES; i++) {
		struct config_drive *drive = &config->drive[i];

		if (config->replay && drive->file && !drive->cdrom)
			drive->snapshot = true;
		if (config->record && drive->file && !drive->cdrom && !drive->snapshot)
			return error_string("-record: %s: needs snapshot=on, since a replay begins with what the image holds now",
					    drive->file);
	}
	/* What is not among the recorded images was not there. */
	for (unsigned i = 0; config->replay && i < config->nics; i++)
		config->nic[i].romfile = copy(config, "");
	if (config->replay) {
		char *error = capsule_images(config->replay, config);

		if (error)
			return error;
	}
	if (config->commands && !config->debug)
		return error_string("-ex needs -debug");
	if (config->start_stopped && !config->debug && !config->gdb)
		return error_string("-S needs -gdb");
	if (config->trace_file && !config->trace)
		return error_string("-trace-file needs -trace");
	for (unsigned i = 0; i < config->nics; i++) {
		struct config_nic *nic = &config->nic[i];

		if (!nic->netdev_id)
			continue;
		nic->netdev = find_netdev(config, nic->netdev_id);
		if (nic->netdev < 0)
			return error_string("-device %s: there is no -netdev with id=%s", config_nic_name(nic->model),
					    nic->netdev_id);
		for (unsigned j = 0; j < i; j++)
			if (config->nic[j].netdev == nic->netdev)
				return error_string("-device %s: netdev=%s is taken by another card",
						    config_nic_name(nic->model), nic->netdev_id);
	}
	for (unsigned i = 0; i < CONFIG_SERIALS; i++)
		stdio += config->serial[i].kind == SERIAL_STDIO;
	if (stdio + (config->debugcon.kind == SERIAL_STDIO) > 1)
		return error_string("-serial, -debugcon: stdio is taken twice");
	if (config->expect && config->serial[0].kind == SERIAL_NONE)
		return error_string("-expect: there is no first serial port");
	if (!config->kernel && config->initrd)
		return error_string("-initrd needs -kernel");
	if (!config->kernel && config->append)
		return error_string("-append needs -kernel");
	if (config->nographic)
		config->sdl = false;
	if (!p->vga_given)
		config->vga = !config->nodefaults && !config->nographic && (!config->kernel || config->sdl || config->vnc);
	if (config->sdl && config->vnc)
		return error_string("-vnc: -display sdl is there already, and only one can follow the screen");
	if (config->vnc && !config->vga)
		return error_string("-vnc %s: there is no display adapter (-vga std)", config->vnc);
	if (config->sdl && !config->vga)
		return error_string("-display sdl: there is no display adapter (-vga std)");
	if (config->screendump && !config->vga)
		return error_string("-screendump: there is no display adapter (-vga std)");
	error = config_check_drives(config);
	if (error)
		return error;
	for (unsigned i = 0; i < CONFIG_DRIVES; i++)
		something |= config->drive[i].file != NULL;
	something |= config->nics && strchr(config->boot_order, 'n');
	if (!config->kernel && !something)
		return error_string("nothing to boot: give -kernel FILE, -drive file=FILE, -cdrom FILE or -boot n (--help lists the "
				    "options)");
	return NULL;
}

static struct config *
parse(int argc, char **argv, const struct config *on_top, enum config_action *action, char **error)
{
	struct config *config = calloc(1, sizeof(*config));
	struct parse p = {.config = config, .action = CONFIG_RUN, .default_nic = true, .default_serial = true};

	if (!config)
		stop_host_error("out of memory");
	config->memory = 128 * MIB;
	config->cpus = 1;
	config->cpu = copy(config, "max");
	config->clock_hz = 1000000000;
	config->rtc = DEFAULT_RTC;
	strcpy(config->boot_order, "cad");
	*error = NULL;
	for (int i = 1; i < argc && !*error && p.action != CONFIG_EXIT;)
		*error = apply_argument(&p, argc, argv, &i);
	config->scripted = on_top != NULL;
	for (unsigned i = 0; on_top && i < on_top->givens && !*error; i++)
		if (on_top->given[i].option->group != SCENARIO)
			*error = apply_option(&p, on_top->given[i].option, on_top->given[i].value);
	if (on_top && !*error && (config->script || config->debug || config->gdb || p.action != CONFIG_RUN))
		*error = error_string("a scenario's machine takes no -script, -debug, -gdb, or options that only print");
	if (!on_top && config->script && p.action == CONFIG_RUN)
		p.action = CONFIG_SCRIPT;
	if (!*error && !config->script && (config->script_args || config->update || config->artifacts))
		*error = error_string("-arg, -update and -artifacts need -script");
	/* Help and -print-config do not need a machine that can run. */
	if (!*error && p.action == CONFIG_RUN)
		*error = finish(&p);
	*action = p.action;
	if (!*error)
		return config;
	config_free(config);
	return NULL;
}

struct config *
config_parse(int argc, char **argv, enum config_action *action, char **error)
{
	return parse(argc, argv, NULL, action, error);
}

struct config *
config_parse_scripted(int argc, char **argv, const struct config *on_top, char **error)
{
	enum config_action action;

	return parse(argc, argv, on_top, &action, error);
}

void
config_free(struct config *config)
{
	if (!config)
		return;
	for (unsigned i = 0; i < config->owneds; i++)
		free(config->owned[i]);
	config_free_drives(config);
	free(config->owned);
	free(config->given);
	free(config->command);
	free(config->script_args);
	free(config);
}

char *
config_keep(struct config *config, char *string)
{
	return keep(config, string);
}

void
config_move(struct config *config, const char *from, const char *to)
{
	if (config->moves < CONFIG_MOVED)
		config->moved[config->moves++] = (struct config_moved){copy(config, from), copy(config, to)};
}

const char *
config_place(const struct config *config, const char *path)
{
	for (unsigned i = 0; i < config->moves; i++)
		if (!strcmp(config->moved[i].from, path))
			return config->moved[i].to;
	return path;
}

/* Do not shape the machine, or only as config_for_replay() says by other words. */
static bool
is_of_the_host(const struct option *o)
{
	static const char *const names[] = {"realtime", "rtc", "display", "vnc", "vga", "serial", "debugcon", "timeout"};

	for (unsigned i = 0; i < COUNT(names); i++)
		if (!strcmp(o->name, names[i]))
			return true;
	return o->group > TIME && o->group != LIMITS;
}

void
config_for_replay(const struct config *config, void (*one)(void *opaque, const char *name, const char *value), void *opaque)
{
	time_t rtc = (time_t)config->rtc;
	char date[40];
	struct tm tm;
	unsigned first = 0;

	for (unsigned i = 0; i < config->givens; i++)
		if (!is_of_the_host(config->given[i].option))
			one(opaque, config->given[i].option->name, config->given[i].value);
	if (gmtime_r(&rtc, &tm) && strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm))
		one(opaque, "rtc", date);
	one(opaque, "vga", config->vga ? "std" : "none");
	for (unsigned i = 0; i < CONFIG_SERIALS; i++) {
		bool there = config->serial[i].kind != SERIAL_NONE;

		one(opaque, "serial", !there ? "none" : first++ ? "null" : "stdio");
	}
	if (config->debugcon.kind != SERIAL_NONE)
		one(opaque, "debugcon", "null");
}

void
config_print(const struct config *config, FILE *out)
{
	const char *separator = "";

	for (enum group g = 0; g < OTHER; g++) {
		bool titled = false;

		for (unsigned i = 0; i < config->givens; i++) {
			const struct config_given *given = &config->given[i];

			if (given->option->group != g)
				continue;
			if (!titled)
				fprintf(out, "%s[%s]\n", separator, group_title[g]);
			titled = true;
			separator = "\n";
			fprintf(out, "%s = %s\n", given->option->name, given->value ? given->value : "on");
		}
	}
}
