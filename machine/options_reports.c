/* What options do (options.def): limits of a run, what it reports, the debugger and scenarios. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/stop.h"
#include "machine/capsule.h"
#include "machine/options_internal.h"
#include "machine/values.h"

#define MIB 0x100000ull

/* ---- Limits ---- */

char *
option_stop_after(struct parse *p, const char *value)
{
	if (!parse_count(value, &p->config->stop_after) || p->config->stop_after == 0)
		return error_string("-stop-after: '%s' is no number of instructions", value);
	return NULL;
}

char *
option_timeout(struct parse *p, const char *value)
{
	if (!parse_seconds(value, &p->config->timeout) || p->config->timeout <= 0)
		return error_string("-timeout: '%s' is no number of seconds", value);
	return NULL;
}

char *
option_expect(struct parse *p, const char *value)
{
	if (!*value)
		return error_string("-expect: no text");
	p->config->expect = config_copy(p->config, value);
	return NULL;
}

/* ---- Reports ---- */

char *
option_stats(struct parse *p, const char *value)
{
	p->config->stats = config_copy(p->config, value);
	return NULL;
}

char *
option_hash(struct parse *p, const char *value)
{
	p->config->hash = true;
	return parse_count(value, &p->config->hash_every) ? NULL : error_string("-hash: '%s' is no number", value);
}

char *
option_snapshot_save(struct parse *p, const char *value)
{
	p->config->snapshot_save = config_copy(p->config, value);
	return NULL;
}

char *
option_snapshot_load(struct parse *p, const char *value)
{
	p->config->snapshot_load = config_copy(p->config, value);
	return NULL;
}

char *
option_record(struct parse *p, const char *value)
{
	p->config->record = config_copy(p->config, value);
	return NULL;
}


char *
option_replay(struct parse *p, const char *value)
{
	char *error;

	if (p->config->givens > 1)
		return error_string("-replay: the options of the recorded run are in the file; others, as -debug, come after it");
	p->config->replay = config_copy(p->config, value);
	error = capsule_options(value, option_recorded, p);
	/* Those that follow say where the ports' output goes. */
	p->serials = 0;
	return error;
}

/* ---- Debugger ---- */

char *
option_debug(struct parse *p, const char *value)
{
	(void)value;
	p->config->debug = true;
	return NULL;
}

char *
option_gdb(struct parse *p, const char *value)
{
	p->config->gdb = config_copy(p->config, !strncmp(value, "tcp:", 4) ? value + 4 : value);
	return NULL;
}

char *
option_s(struct parse *p, const char *value)
{
	(void)value;
	p->config->gdb = config_copy(p->config, "1234");
	return NULL;
}

char *
option_S(struct parse *p, const char *value)
{
	(void)value;
	p->config->start_stopped = true;
	return NULL;
}

char *
option_ex(struct parse *p, const char *value)
{
	char **grown = realloc(p->config->command, (p->config->commands + 1) * sizeof(*grown));

	if (!grown)
		stop_host_error("out of memory");
	p->config->command = grown;
	grown[p->config->commands++] = config_copy(p->config, value);
	return NULL;
}

char *
option_history(struct parse *p, const char *value)
{
	p->config->history_given = true;
	return parse_size(value, MIB, &p->config->history) ? NULL : error_string("-history: '%s' is no size", value);
}

char *
option_trace(struct parse *p, const char *value)
{
	p->config->trace = config_copy(p->config, value);
	return NULL;
}

char *
option_trace_file(struct parse *p, const char *value)
{
	p->config->trace_file = config_copy(p->config, value);
	return NULL;
}

char *
option_log(struct parse *p, const char *value)
{
	char *what = (char *)log_configure(value);
	char *error = what ? error_string("-log: %s", what) : NULL;

	(void)p;
	free(what);
	return error;
}

/* ---- Scenarios ---- */

char *
option_script(struct parse *p, const char *value)
{
	p->config->script = config_copy(p->config, value);
	return NULL;
}

char *
option_script_arg(struct parse *p, const char *value)
{
	char **grown = realloc(p->config->script_args, (p->config->script_arg_count + 1) * sizeof(*grown));

	if (!grown)
		stop_host_error("out of memory");
	p->config->script_args = grown;
	grown[p->config->script_arg_count++] = config_copy(p->config, value);
	return strchr(value, '=') && *value != '=' ? NULL : error_string("-arg: '%s' is not NAME=VALUE", value);
}

char *
option_update(struct parse *p, const char *value)
{
	(void)value;
	p->config->update = true;
	return NULL;
}

char *
option_artifacts(struct parse *p, const char *value)
{
	p->config->artifacts = config_copy(p->config, value);
	return NULL;
}
