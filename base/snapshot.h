/*
 * Machine state, visited once for hash, save and restore alike.
 *
 * Every component has one function `void x_state(struct x *x, struct state *s)` that opens its section and passes each field that
 * the guest can influence. Configuration and pointers are not state. The order and names are the format.
 */
#ifndef NB_BASE_SNAPSHOT_H
#define NB_BASE_SNAPSHOT_H

#include "base/types.h"

struct events;
struct event;
enum state_mode { STATE_HASH, STATE_SAVE, STATE_LOAD };
struct state;

/* Opens a section; `name` and `version` are part of the format and of the hash. */
void state_section(struct state *s, const char *name, u32 version);
/* One field or array of bytes: hashed, written or read in place. Scalars in host (little-endian) order. */
void state_bytes(struct state *s, void *data, size_t size);
#define STATE(s, field) state_bytes(s, &(field), sizeof(field))
/* An event: armed or not, and when. On load it is armed again in `events`. */
void state_event(struct state *s, struct events *events, struct event *event);
enum state_mode state_mode(const struct state *s);

/* A 64-bit hash of everything visited by `visit` (FNV-like, the same on every host). */
u64 state_hash(void (*visit)(void *opaque, struct state *s), void *opaque);

/* The same visit; `tell` hears the hash of each section by itself, in order. */
void state_hash_sections(void (*visit)(void *opaque, struct state *s), void *opaque, void (*tell)(void *listener, const char *name, u64 hash),
			 void *listener);

/* The same visit into a buffer (heap, never NULL) and back. state_load returns NULL, or what is wrong (heap): then the machine is unusable. */
u8 *state_save(void (*visit)(void *opaque, struct state *s), void *opaque, size_t *size);
char *state_load(void (*visit)(void *opaque, struct state *s), void *opaque, const u8 *data, size_t size);
/*
 * A save that this very process goes back to (heap, never NULL). Pages of RAM, sectors of disks and what host libraries hold are not in it: others
 * take care of them (machine/history.c), and x_state() functions that ask state_is_checkpoint() leave them out.
 */
u8 *state_checkpoint(void (*visit)(void *opaque, struct state *s), void *opaque, size_t *size);
void state_return(void (*visit)(void *opaque, struct state *s), void *opaque, const u8 *data, size_t size);
bool state_is_checkpoint(const struct state *s);
/*
 * Where a saved machine is kept piece by piece, for machines that do not fit a buffer. Strings returned are errors (heap).
 * `section` and `put` save; `open` and `get` load: `open` goes to the next section, which must be the named one.
 */
struct state_store {
	void *opaque;
	void (*section)(void *opaque, const char *name, u32 version);
	void (*put)(void *opaque, const void *data, size_t size);
	char *(*open)(void *opaque, const char *name, u32 version);
	char *(*get)(void *opaque, void *data, size_t size);
};
void state_save_to(void (*visit)(void *opaque, struct state *s), void *opaque, const struct state_store *store);
char *state_load_from(void (*visit)(void *opaque, struct state *s), void *opaque, const struct state_store *store);
/* The hash's function over plain bytes, for checksums; `sum` of what came before, or 0. */
u64 state_checksum(u64 sum, const void *data, size_t size);
/* Loading has failed: what was read since is all zeros. */
bool state_failed(const struct state *s);
/* For an x_state() that finds a loaded value impossible (an index out of range): refuses the snapshot. No effect in other modes. */
void state_fail(struct state *s, const char *reason);

/* As STATE() of an unsigned number; one that is not below `limit` refuses the snapshot by its name, and is 0 then. */
#define STATE_BELOW(s, field, limit)                                                                                                               \
	do {                                                                                                                                       \
		STATE(s, field);                                                                                                                   \
		if (state_mode(s) == STATE_LOAD && (u64)(field) >= (limit)) {                                                                      \
			state_fail(s, "snapshot has an impossible " #field);                                                                       \
			(field) = 0;                                                                                                               \
		}                                                                                                                                  \
	} while (0)
/* Later than any machine runs to, and far from where sums of times wrap. */
#define STATE_TIME_END BIT(62)

/* As STATE() of a bool, but a byte that is none refuses the snapshot. */
static inline void
state_bool(struct state *s, bool *field)
{
	u8 byte = *field;

	STATE(s, byte);
	if (byte > 1)
		state_fail(s, "snapshot has a flag that is neither 0 nor 1");
	*field = byte != 0;
}

#endif
