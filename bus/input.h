/*
 * The one door for host events: keys, serial input, packets, sockets. What passes it is stamped with virtual time and instruction count, can be
 * recorded, and can be replayed. Nothing outside this file and the hosts below it (net/, gui/, chardevs) waits on the host.
 *
 * The run loop calls input_poll() at fixed virtual intervals (`INPUT_POLL_NS` of virtual time); sources then look at the host, and hand over what
 * it has by input_push(), which gives it to the source's `take`. A source that hears from the host in the middle of the guest's own doings (a frame
 * from the guest goes through libslirp, which answers) asks input_point() first. Polls and such calls are the door's points: they come in
 * the same order in each run, and a record in the log belongs to one of them.
 *
 * While points are being replayed, sources that have a `take` are left alone, and the log speaks in their place: a replay needs neither network
 * nor files nor keys. The log reaches from where input_log() began it to the furthest point that was ever passed; after a
 * return into the past (input_return()) points are replayed until that one, and real again behind it.
 */
#ifndef NB_BUS_INPUT_H
#define NB_BUS_INPUT_H

#include "base/types.h"

#define INPUT_POLL_NS 1000000ull
#define INPUT_SOURCES 32
#define INPUT_NAME 32 /* of a source, with the final 0 */

struct pollfd;
struct input;
struct state_store;

/* A source of host events. */
struct input_source {
	const char *name; /* in the log: unique, shorter than INPUT_NAME */
	/* Look at the host without waiting; push what is there. `now`: virtual time in cycles. May be NULL. */
	void (*poll)(void *opaque, u64 now);
	void *opaque;
	/* A descriptor to wait on while the machine is idle in -realtime mode, or -1. */
	int fd;
	/*
	 * Where what was pushed reaches the guest, and the only way for it to do so. `kind` is the source's business; the data
	 * may come from a file and must be judged. NULL: the source brings nothing to the guest and is polled in replays too.
	 */
	void (*take)(void *opaque, u32 kind, const u8 *data, size_t size);
	/* Polled in replays too, though it has a `take`: what it pushes is dropped then. */
	bool stays;
};

/* Where the door stands in its log. */
struct input_position {
	u64 points, at, polled;
	bool live;
};

struct input *input_new(void);
void input_free(struct input *input);
/* The source must outlive the machine. */
void input_add(struct input *input, struct input_source *source);
void input_poll(struct input *input, u64 now);
/* Waits up to `ms` milliseconds for any source's fd. */
void input_wait(struct input *input, int ms);

/* From a source, inside its poll() or behind input_point(): to `take`, and into the log. Dropped while points are replayed. */
void input_push(struct input *input, const struct input_source *source, u32 kind, const void *data, size_t size);
/* A point in the guest's own doings. False: it is replayed; the host must not be asked, what it said then has been taken. */
bool input_point(struct input *input);

/* What stamps records. `parted` hears (text is valid during the call) when a replay does not come by a record where it was made. */
void input_set_clock(struct input *input, void (*clock)(void *opaque, u64 *time, u64 *icount), void (*parted)(void *opaque, const char *text),
		     void *opaque);
/* Begins the log, at this moment. */
void input_log(struct input *input);
bool input_logs(const struct input *input);
/* Bytes of it; they stay allocated. */
u64 input_log_size(const struct input *input);
struct input_position input_position(const struct input *input);
/* Goes back to a position of this log. */
void input_return(struct input *input, const struct input_position *position);
/* Is the next point a replayed one? */
bool input_in_past(const struct input *input);
/* What came behind the present point is not going to happen: the host is real from here on. */
void input_forget_future(struct input *input);

/* All points are to be replayed: hosts need not be opened. To be called before sources are added. */
void input_replay(struct input *input);
bool input_replays(const struct input *input);
/* The log as bytes, and back from them. input_read() returns NULL, or what is wrong (heap). */
void input_write(const struct input *input, const struct state_store *store);
char *input_read(struct input *input, const struct state_store *store, u64 size);

#endif
