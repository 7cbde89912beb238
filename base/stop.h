/*
 * Ways to end the run that are not the guest's doing.
 * Four kinds of trouble (docs/ARCHITECTURE.md): the guest did wrong -> architectural result; the host is in trouble -> an
 * error string up to main, exit 1; nestbox does not model it -> stop_unimplemented(), exit 4; our bug -> assert().
 */
#ifndef NB_BASE_STOP_H
#define NB_BASE_STOP_H

#include "base/types.h"

/* Prints "not modelled: ..." and the place, then the processor state by the hook below, and exits with status 4. */
#define stop_unimplemented(...) stop_unimplemented_at(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void stop_unimplemented_at(const char *file, int line, const char *format, ...) PRINTF(3, 4);

/* Host trouble found while the machine runs (disk full, tap gone): one line, exit 1. */
_Noreturn void stop_host_error(const char *format, ...) PRINTF(1, 2);

/* Called with `opaque` before the process ends by either; set once by machine/. May be NULL. */
void stop_set_hook(void (*print_state)(void *opaque), void *opaque);

/* strdup of a printf, for error strings that travel up to main. Never returns NULL. */
char *error_string(const char *format, ...) PRINTF(1, 2);

#endif
