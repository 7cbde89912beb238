/* The door for host events. Not there yet: the recording and replaying of what passes it. */
#include "bus/input.h"

#include <poll.h>
#include <stdlib.h>

#include "base/stop.h"

struct input {
	struct input_source *source[INPUT_SOURCES];
	unsigned sources;
};

struct input *
input_new(void)
{
	struct input *input = calloc(1, sizeof(*input));

	if (!input)
		stop_host_error("out of memory");
	return input;
}

void
input_free(struct input *input)
{
	free(input);
}

void
input_add(struct input *input, struct input_source *source)
{
	assert(input->sources < INPUT_SOURCES);
	input->source[input->sources++] = source;
}

void
input_poll(struct input *input, u64 now)
{
	for (unsigned i = 0; i < input->sources; i++)
		input->source[i]->poll(input->source[i]->opaque, now);
}

void
input_wait(struct input *input, int ms)
{
	struct pollfd fds[INPUT_SOURCES];
	nfds_t count = 0;

	for (unsigned i = 0; i < input->sources; i++)
		if (input->source[i]->fd >= 0)
			fds[count++] = (struct pollfd){.fd = input->source[i]->fd, .events = POLLIN};
	/* Interrupted, or an error: the caller polls the sources next in any case. */
	(void)poll(fds, count, ms);
}
