/* Between options.c, which reads the command line, and the functions that its options name. */
#ifndef NB_MACHINE_OPTIONS_INTERNAL_H
#define NB_MACHINE_OPTIONS_INTERNAL_H

#include "machine/config.h"

struct parse {
	struct config *config;
	enum config_action action;
	bool default_nic, default_serial, vga_given;
	unsigned serials;
};

/* Keeps a string on the heap until config_free(), and a copy of one. */
char *config_own(struct config *config, char *string);
char *config_copy(struct config *config, const char *string);

/* Index of a back end, -1 if there is none of that name. */
int config_find_netdev(const struct config *config, const char *id);
/* Applies an option that a capsule recorded; opaque is the struct parse. NULL, or what is wrong (heap). */
char *option_recorded(void *opaque, const char *name, const char *value);

/* The functions of options.def: each returns NULL, or what is wrong (heap). `value` is NULL when the option takes none. */
#define OPTION(name, argument, group, help, function) char *function(struct parse *p, const char *value);
#define LATER_OPTION(name)
#include "machine/options.def"
#undef OPTION
#undef LATER_OPTION

#endif
