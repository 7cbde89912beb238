/* Visiting the machine's state: for a hash, into a buffer, and back from one. */
#include "base/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "base/stop.h"

/* The 64-bit FNV-1a constants; words of eight bytes are folded in where FNV takes single ones. */
#define FNV_BASIS 0xcbf29ce484222325ull
#define FNV_PRIME 0x100000001b3ull
#define LANES 4
/* Marks a section in a saved state, so that damage is noticed where it is. */
#define SECTION_MARK 0x6365736eu /* "nsec" */

struct state {
	enum state_mode mode;
	u64 hash;
	void (*tell)(void *listener, const char *name, u64 hash); /* hash: of each section */
	void *listener;
	const char *section;
	u8 *data; /* save, load */
	size_t size, room, at;
	const struct state_store *store; /* save, load: instead of `data` */
	bool checkpoint;
	char *error; /* load: the first thing that was wrong; nothing is read after it */
};

enum state_mode
state_mode(const struct state *s)
{
	return s->mode;
}

static u64
fold(u64 hash, u64 word)
{
	hash = (hash ^ word) * FNV_PRIME;
	/* A product's low bits never see the high bits of its factors: bring them down. */
	return hash ^ hash >> 29;
}

static u64
hash_bytes(u64 hash, const u8 *data, size_t size)
{
	u64 lane[LANES], word;

	hash = fold(hash, size);
	if (size >= sizeof(lane)) {
		/* Independent lanes, since one multiplication waiting for the last makes RAM slow to hash. */
		for (unsigned i = 0; i < LANES; i++)
			lane[i] = hash + i;
		for (; size >= sizeof(lane); data += sizeof(lane), size -= sizeof(lane)) {
			for (unsigned i = 0; i < LANES; i++) {
				memcpy(&word, data + i * 8, 8);
				lane[i] = fold(lane[i], word);
			}
		}
		for (unsigned i = 0; i < LANES; i++)
			hash = fold(hash, lane[i]);
	}
	for (; size; data += MIN(size, 8u), size -= MIN(size, 8u)) {
		word = 0;
		memcpy(&word, data, MIN(size, 8u));
		hash = fold(hash, word);
	}
	return hash;
}

static void
save(struct state *s, const void *data, size_t size)
{
	if (s->store) {
		s->store->put(s->store->opaque, data, size);
		return;
	}
	if (s->room - s->size < size) {
		size_t room = MAX(s->room * 2, s->size + size);
		u8 *grown = realloc(s->data, room);

		if (!grown)
			stop_host_error("out of memory for a snapshot");
		s->data = grown;
		s->room = room;
	}
	memcpy(s->data + s->size, data, size);
	s->size += size;
}

static void
load(struct state *s, void *data, size_t size)
{
	if (!s->error && s->store)
		s->error = s->store->get(s->store->opaque, data, size);
	else if (!s->error && s->size - s->at < size)
		s->error = error_string("snapshot ends too early");
	if (s->error) {
		/* The machine is thrown away after an error; until then its fields hold something harmless. */
		memset(data, 0, size);
		return;
	}
	if (s->store)
		return;
	memcpy(data, s->data + s->at, size);
	s->at += size;
}

void
state_bytes(struct state *s, void *data, size_t size)
{
	if (size == 0)
		return;
	if (s->mode == STATE_HASH)
		s->hash = hash_bytes(s->hash, data, size);
	else if (s->mode == STATE_SAVE)
		save(s, data, size);
	else
		load(s, data, size);
}

void
state_section(struct state *s, const char *name, u32 version)
{
	u32 head[3] = {SECTION_MARK, version, (u32)strlen(name)};
	u32 found[3];

	if (s->tell) {
		if (s->section)
			s->tell(s->listener, s->section, s->hash);
		s->section = name;
		s->hash = FNV_BASIS;
		return;
	}
	if (s->store && s->mode == STATE_SAVE) {
		s->store->section(s->store->opaque, name, version);
		return;
	}
	if (s->store) {
		if (!s->error)
			s->error = s->store->open(s->store->opaque, name, version);
		return;
	}
	if (s->mode != STATE_LOAD) {
		state_bytes(s, head, sizeof(head));
		if (s->mode == STATE_SAVE)
			save(s, name, head[2]);
		else
			s->hash = hash_bytes(s->hash, (const u8 *)name, head[2]);
		return;
	}
	load(s, found, sizeof(found));
	if (s->error)
		return;
	if (found[0] != head[0] || found[2] != head[2] || s->size - s->at < head[2] ||
	    memcmp(s->data + s->at, name, head[2]) != 0)
		s->error = error_string("snapshot has no section '%s' at byte %zu", name, s->at - sizeof(found));
	else if (found[1] != version)
		s->error = error_string("snapshot section '%s' has version %u, not %u", name, found[1], version);
	s->at += s->error ? 0 : head[2];
}

u64
state_hash(void (*visit)(void *opaque, struct state *s), void *opaque)
{
	struct state s = {.mode = STATE_HASH, .hash = FNV_BASIS};

	visit(opaque, &s);
	return s.hash;
}

void
state_hash_sections(void (*visit)(void *opaque, struct state *s), void *opaque, void (*tell)(void *listener, const char *name, u64 hash),
		    void *listener)
{
	struct state s = {.mode = STATE_HASH, .hash = FNV_BASIS, .tell = tell, .listener = listener};

	visit(opaque, &s);
	if (s.section)
		tell(listener, s.section, s.hash);
}

u8 *
state_save(void (*visit)(void *opaque, struct state *s), void *opaque, size_t *size)
{
	struct state s = {.mode = STATE_SAVE};

	visit(opaque, &s);
	*size = s.size;
	return s.data;
}

char *
state_load(void (*visit)(void *opaque, struct state *s), void *opaque, const u8 *data, size_t size)
{
	struct state s = {.mode = STATE_LOAD, .data = (u8 *)data, .size = size};

	visit(opaque, &s);
	if (!s.error && s.at != size)
		s.error = error_string("snapshot has %zu bytes too many", size - s.at);
	return s.error;
}

u8 *
state_checkpoint(void (*visit)(void *opaque, struct state *s), void *opaque, size_t *size)
{
	struct state s = {.mode = STATE_SAVE, .checkpoint = true};

	visit(opaque, &s);
	*size = s.size;
	return s.data;
}

void
state_return(void (*visit)(void *opaque, struct state *s), void *opaque, const u8 *data, size_t size)
{
	struct state s = {.mode = STATE_LOAD, .data = (u8 *)data, .size = size, .checkpoint = true};

	visit(opaque, &s);
	if (s.error || s.at != size)
		stop_host_error("a checkpoint cannot be gone back to: %s", s.error ? s.error : "bytes are left");
}

bool
state_is_checkpoint(const struct state *s)
{
	return s->checkpoint;
}

void
state_save_to(void (*visit)(void *opaque, struct state *s), void *opaque, const struct state_store *store)
{
	struct state s = {.mode = STATE_SAVE, .store = store};

	visit(opaque, &s);
}

char *
state_load_from(void (*visit)(void *opaque, struct state *s), void *opaque, const struct state_store *store)
{
	struct state s = {.mode = STATE_LOAD, .store = store};

	visit(opaque, &s);
	return s.error;
}

u64
state_checksum(u64 sum, const void *data, size_t size)
{
	return hash_bytes(sum ^ FNV_BASIS, data, size);
}

bool
state_failed(const struct state *s)
{
	return s->error != NULL;
}

void
state_fail(struct state *s, const char *reason)
{
	if (s->mode == STATE_LOAD && !s->error)
		s->error = error_string("%s", reason);
}
