/* Ends of the process that are not the guest's doing; see the four kinds of trouble in stop.h. */
#include "base/stop.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_HOST_ERROR 1
#define STATUS_NOT_MODELLED 4

static struct {
	void (*print_state)(void *opaque);
	void *opaque;
} hook;

void
stop_set_hook(void (*print_state)(void *opaque), void *opaque)
{
	hook.print_state = print_state;
	hook.opaque = opaque;
}

static _Noreturn void
end(int status)
{
	void (*print_state)(void *) = hook.print_state;

	/* A printer that stops as well must not come back here for ever. */
	hook.print_state = NULL;
	if (print_state)
		print_state(hook.opaque);
	exit(status);
}

void
stop_unimplemented_at(const char *file, int line, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "nestbox: not modelled: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, " (%s:%d)\n", file, line);
	end(STATUS_NOT_MODELLED);
}

void
stop_host_error(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "nestbox: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	/* One line is what host trouble gets: the processor's state would bury it. */
	hook.print_state = NULL;
	end(STATUS_HOST_ERROR);
}

char *
error_string(const char *format, ...)
{
	static const char lost[] = "out of memory";
	char *text = NULL;
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (size >= 0)
		text = malloc((size_t)size + 1);
	if (text) {
		va_start(args, format);
		vsnprintf(text, (size_t)size + 1, format, args);
		va_end(args);
		return text;
	}
	text = malloc(sizeof(lost));
	if (!text)
		abort();
	return memcpy(text, lost, sizeof(lost));
}
