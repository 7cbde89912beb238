/* What options do (options.def): the machine itself, what it boots, and its time. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/stop.h"
#include "machine/options_internal.h"
#include "machine/values.h"

#define MIB 0x100000ull

/* ---- Machine ---- */

char *
option_m(struct parse *p, const char *value)
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

char *
option_smp(struct parse *p, const char *value)
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

char *
option_cpu(struct parse *p, const char *value)
{
	if (!strcmp(value, "help") || !strcmp(value, "?"))
		p->action = CONFIG_CPU_HELP;
	p->config->cpu = config_copy(p->config, value);
	return NULL;
}

char *
option_machine(struct parse *p, const char *value)
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
char *
option_nothing(struct parse *p, const char *value)
{
	(void)p;
	(void)value;
	return NULL;
}

/* Defaults of QEMU's devices: only what is about its accelerator can be ignored. */
char *
option_global(struct parse *p, const char *value)
{
	(void)p;
	return strncmp(value, "kvm-", 4) == 0 ? NULL : error_string("-global: '%s' is not modelled", value);
}

char *
option_no_reboot(struct parse *p, const char *value)
{
	(void)value;
	p->config->no_reboot = true;
	return NULL;
}

char *
option_nodefaults(struct parse *p, const char *value)
{
	(void)value;
	p->config->nodefaults = true;
	return NULL;
}

/* ---- What boots ---- */

char *
option_kernel(struct parse *p, const char *value)
{
	p->config->kernel = config_copy(p->config, value);
	return NULL;
}

char *
option_initrd(struct parse *p, const char *value)
{
	p->config->initrd = config_copy(p->config, value);
	return NULL;
}

char *
option_append(struct parse *p, const char *value)
{
	p->config->append = config_copy(p->config, value);
	return NULL;
}

char *
option_bios(struct parse *p, const char *value)
{
	p->config->bios = config_copy(p->config, value);
	return NULL;
}

char *
option_boot(struct parse *p, const char *value)
{
	return config_set_boot(p->config, value);
}

/* ---- Time and chance ---- */

char *
option_clock(struct parse *p, const char *value)
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

char *
option_singlestep(struct parse *p, const char *value)
{
	(void)value;
	p->config->one_insn = true;
	return NULL;
}

char *
option_seed(struct parse *p, const char *value)
{
	return parse_number(value, &p->config->seed) ? NULL : error_string("-seed: '%s' is no number", value);
}

char *
option_rtc(struct parse *p, const char *value)
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

char *
option_realtime(struct parse *p, const char *value)
{
	(void)value;
	p->config->realtime = true;
	return NULL;
}

char *
option_timing(struct parse *p, const char *value)
{
	(void)p;
	return strcmp(value, "insn") != 0 ? error_string("-timing: '%s' is not there yet, only insn", value) : NULL;
}
