/*
 * The one door for host events: keys, serial input, packets, sockets. Each is stamped with virtual time here, can be recorded, and can be
 * replayed. Nothing outside this file and the hosts below it (net/, gui/, chardevs) waits on the host.
 *
 * The run loop calls input_poll() at fixed virtual intervals (`INPUT_POLL_NS` of virtual time) and when the machine is idle; sources then read
 * what the host has and push it into devices.
 */
#ifndef NB_BUS_INPUT_H
#define NB_BUS_INPUT_H

#include "base/types.h"

#define INPUT_POLL_NS 1000000ull
#define INPUT_SOURCES 32

struct pollfd;
struct input;

/* A source of host events. */
struct input_source {
	const char *name;
	/* Look at the host without waiting; push what is there into the device. `now`: virtual time in cycles. */
	void (*poll)(void *opaque, u64 now);
	void *opaque;
	/* A descriptor to wait on while the machine is idle in -realtime mode, or -1. */
	int fd;
};

struct input *input_new(void);
void input_free(struct input *input);
/* The source must outlive the machine. */
void input_add(struct input *input, struct input_source *source);
void input_poll(struct input *input, u64 now);
/* Waits up to `ms` milliseconds for any source's fd. */
void input_wait(struct input *input, int ms);

#endif
