/* Log messages on stderr. The levels are the process's, not a machine's: nothing here is machine state. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/stop.h"

#define RULES 64
#define NAME 32
#define KNOWN 256

static const char *const level_name[] = {"error", "warn", "info", "debug"};
/* As messages say it; scripts that run emulators look for the word "warning" to tell one from a failure. */
static const char *const level_title[] = {"error", "warning", "info", "debug"};

static struct {
	int fallback;
	unsigned rules;
	struct {
		char name[NAME];
		int level;
	} rule[RULES];
	/* Categories that have looked their level up, so that a later log_configure() reaches them. */
	struct log_category *known[KNOWN];
	unsigned knowns;
} config = {.fallback = LOG_WARN};

static int
find_level(const char *text, size_t size)
{
	for (unsigned i = 0; i < COUNT(level_name); i++)
		if (strlen(level_name[i]) == size && !memcmp(level_name[i], text, size))
			return (int)i;
	return -1;
}

static const char *
add_rule(const char *name, size_t size, int level)
{
	unsigned i = 0;

	if (size == 0 || size >= NAME)
		return error_string("log category '%.*s' is no name", (int)size, name);
	while (i < config.rules &&
	       (strlen(config.rule[i].name) != size || memcmp(config.rule[i].name, name, size) != 0))
		i++;
	if (i == RULES)
		return error_string("more than %u log categories", RULES);
	memcpy(config.rule[i].name, name, size);
	config.rule[i].name[size] = 0;
	config.rule[i].level = level;
	if (i == config.rules)
		config.rules++;
	return NULL;
}

const char *
log_configure(const char *spec)
{
	while (*spec) {
		size_t size = strcspn(spec, ",");
		const char *equals = memchr(spec, '=', size);
		const char *text = equals ? equals + 1 : spec;
		size_t text_size = size - (size_t)(text - spec);
		int level = find_level(text, text_size);

		if (level < 0)
			return error_string("log level '%.*s' is none of error, warn, info, debug", (int)text_size,
					    text);
		if (equals) {
			const char *error = add_rule(spec, (size_t)(equals - spec), level);

			if (error)
				return error;
		} else {
			config.fallback = level;
		}
		spec += size;
		if (*spec == ',')
			spec++;
	}
	for (unsigned i = 0; i < config.knowns; i++)
		config.known[i]->level = -1;
	config.knowns = 0;
	return NULL;
}

bool
log_enabled(struct log_category *category, enum log_level level)
{
	if (unlikely(category->level < 0)) {
		category->level = config.fallback;
		for (unsigned i = 0; i < config.rules; i++)
			if (!strcmp(config.rule[i].name, category->name))
				category->level = config.rule[i].level;
		if (config.knowns < KNOWN)
			config.known[config.knowns++] = category;
	}
	return (int)level <= category->level;
}

void
log_message(struct log_category *category, enum log_level level, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "nestbox: %s: %s: ", level_title[level], category->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}
