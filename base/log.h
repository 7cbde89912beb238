/* Log messages: one category per source file, levels chosen by -log. They go to stderr and never change the machine. */
#ifndef NB_BASE_LOG_H
#define NB_BASE_LOG_H

#include "base/types.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/*
 * Each file that logs says `LOG_CATEGORY("e1000");` once, then log_warn("...").
 * The category is enabled up to the level given by -log SPEC ("warn", "e1000=debug,pic=info"); default: warn.
 */
#define LOG_CATEGORY(name) static struct log_category log_category = {name, -1}

struct log_category {
	const char *name;
	int level; /* -1: not looked up yet */
};

void log_message(struct log_category *category, enum log_level level, const char *format, ...) PRINTF(3, 4);
bool log_enabled(struct log_category *category, enum log_level level);

/* Sets levels from a -log argument. Returns NULL, or an error message (heap) that names the bad part. */
const char *log_configure(const char *spec);

#define log_at(level, ...)                                                                                             \
	do {                                                                                                           \
		if (unlikely(log_enabled(&log_category, level)))                                                       \
			log_message(&log_category, level, __VA_ARGS__);                                                \
	} while (0)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

#endif
