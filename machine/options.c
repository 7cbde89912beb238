/*
 * The command line and the INI file, by the rows of options.def; `-x` and `--x` are the same.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/stop.h"
#include "machine/capsule.h"
#include "machine/options_internal.h"
#include "machine/values.h"

#define MIB 0x100000ull
#define INI_LINE 4096
#define DEFAULT_RTC 1704067200 /* 2024-01-01 */

enum group { MACHINE, BOOT, DEVICES, NETWORK, TIME, LIMITS, REPORTS, DEBUGGER, SCENARIO, OTHER, LATER };
static const char *const group_title[LATER] = {
	"Machine",         "What boots",  "Devices", "Network", "Time", "Limits, for batch runs",
	"What it reports", "Debugger", "Scenarios", "The program",
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

char *
config_own(struct config *config, char *string)
{
	char **grown = realloc(config->owned, (config->owneds + 1) * sizeof(*grown));

	if (!grown)
		stop_host_error("out of memory");
	config->owned = grown;
	config->owned[config->owneds++] = string;
	return string;
}

char *
config_copy(struct config *config, const char *string)
{
	return config_own(config, error_string("%s", string));
}

/* ---- The program ---- */

char *
option_print_config(struct parse *p, const char *value)
{
	(void)value;
	p->action = CONFIG_PRINT;
	return NULL;
}

char *
option_version(struct parse *p, const char *value)
{
	(void)value;
	printf("nestbox %s\n", NESTBOX_VERSION);
	printf("Free software under the GNU General Public License, version 3 or later; without any warranty.\n");
	p->action = CONFIG_EXIT;
	return NULL;
}

static const struct option option[] = {
#define OPTION(name, argument, group, help, function) {name, argument, group, help, function},
#define LATER_OPTION(name) {name, NULL, LATER, NULL, NULL},
#include "machine/options.def"
#undef OPTION
#undef LATER_OPTION
};

char *
option_help(struct parse *p, const char *value)
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
		(struct config_given){.option = o, .value = value ? config_copy(config, value) : NULL};
	return o->apply(p, value);
}

/* An option out of a capsule. */
char *
option_recorded(void *opaque, const char *name, const char *value)
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
		error = option_nic(p, "user");
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

		drive->snapshot |= config->snapshot && !drive->cdrom;
		if (config->replay && drive->file && !drive->cdrom)
			drive->snapshot = true;
		if (config->record && drive->file && !drive->cdrom && !drive->snapshot)
			return error_string("-record: %s: needs snapshot=on, since a replay begins with what the image holds now",
					    drive->file);
	}
	/* What is not among the recorded images was not there. */
	for (unsigned i = 0; config->replay && i < config->nics; i++)
		config->nic[i].romfile = config_copy(config, "");
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
		nic->netdev = config_find_netdev(config, nic->netdev_id);
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
	config->cpu = config_copy(config, "max");
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
	return config_own(config, string);
}

void
config_move(struct config *config, const char *from, const char *to)
{
	if (config->moves < CONFIG_MOVED)
		config->moved[config->moves++] = (struct config_moved){config_copy(config, from), config_copy(config, to)};
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
