/* The door for host events, and the log of what passed it. */
#include "bus/input.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/snapshot.h"
#include "base/stop.h"

#define RECORD_MAX (1u << 20) /* bytes of one record's data */

struct record {
	u64 point, time, icount;
	u32 source, kind, size, zero;
};
_Static_assert(sizeof(struct record) == 40, "no padding in the log");

struct input {
	struct input_source *source[INPUT_SOURCES];
	u32 sources;
	void (*clock)(void *opaque, u64 *time, u64 *icount);
	void (*parted)(void *opaque, const char *text);
	void *opaque;

	struct input_position now;
	u64 furthest; /* points up to this one are replayed */
	bool replays; /* all of them */
	bool logging;
	u8 *log; /* records */
	u64 size, room;
};

struct input *
input_new(void)
{
	struct input *input = calloc(1, sizeof(*input));

	if (!input)
		stop_host_error("out of memory");
	input->now.polled = UINT64_MAX;
	input->now.live = true;
	return input;
}

void
input_free(struct input *input)
{
	if (!input)
		return;
	free(input->log);
	free(input);
}

void
input_add(struct input *input, struct input_source *source)
{
	assert(input->sources < INPUT_SOURCES && strlen(source->name) < INPUT_NAME);
	input->source[input->sources++] = source;
}

void
input_set_clock(struct input *input, void (*clock)(void *opaque, u64 *time, u64 *icount), void (*parted)(void *opaque, const char *text),
		void *opaque)
{
	input->clock = clock;
	input->parted = parted;
	input->opaque = opaque;
}

/* --- the log --- */

static void *
log_room(struct input *input, u64 size)
{
	if (input->room - input->size < size) {
		u64 room = MAX(input->room * 2, MAX(input->size + size, 65536u));
		u8 *grown = realloc(input->log, room);

		if (!grown)
			stop_host_error("out of memory for the log of host input");
		input->log = grown;
		input->room = room;
	}
	input->size += size;
	return input->log + input->size - size;
}

static void
note(struct input *input, u32 source, u32 kind, const void *data, size_t size)
{
	struct record record = {.point = input->now.points, .source = source, .kind = kind, .size = (u32)size};
	u8 *to = log_room(input, sizeof(record) + size);

	assert(size <= RECORD_MAX);
	if (input->clock)
		input->clock(input->opaque, &record.time, &record.icount);
	memcpy(to, &record, sizeof(record));
	if (size)
		memcpy(to + sizeof(record), data, size);
	input->now.at = input->size;
}

static void
check_stamp(struct input *input, const struct record *record)
{
	u64 time = record->time, icount = record->icount;
	char text[200];

	if (input->clock)
		input->clock(input->opaque, &time, &icount);
	if (record->point == input->now.points && record->time == time && record->icount == icount)
		return;
	snprintf(text, sizeof(text), "input of '%s' was recorded at time %llu, instruction %llu, point %llu; here it is time %llu, instruction %llu, "
				     "point %llu",
		 input->source[record->source]->name, (unsigned long long)record->time, (unsigned long long)record->icount,
		 (unsigned long long)record->point, (unsigned long long)time, (unsigned long long)icount, (unsigned long long)input->now.points);
	if (input->parted)
		input->parted(input->opaque, text);
}

/* What the log has for the present point. */
static void
take_records(struct input *input)
{
	struct record record;

	while (input->now.at < input->size) {
		const struct input_source *source;

		memcpy(&record, input->log + input->now.at, sizeof(record));
		if (record.point > input->now.points)
			return;
		check_stamp(input, &record);
		source = input->source[record.source];
		input->now.at += sizeof(record);
		source->take(source->opaque, record.kind, input->log + input->now.at, record.size);
		input->now.at += record.size;
	}
}

static void
next_point(struct input *input)
{
	input->now.points++;
	input->now.live = !input->replays && input->now.points > input->furthest;
	if (input->now.live)
		input->furthest = input->now.points;
	else
		take_records(input);
}

bool
input_point(struct input *input)
{
	next_point(input);
	return input->now.live;
}

void
input_push(struct input *input, const struct input_source *source, u32 kind, const void *data, size_t size)
{
	u32 index = 0;

	if (!input->now.live)
		return;
	if (input->logging) {
		while (index < input->sources && input->source[index] != source)
			index++;
		assert(index < input->sources);
		note(input, index, kind, data, size);
	}
	source->take(source->opaque, kind, data, size);
}

void
input_poll(struct input *input, u64 now)
{
	/* With -realtime there may be several looks at one moment. */
	if (now != input->now.polled)
		next_point(input);
	input->now.polled = now;
	for (u32 i = 0; i < input->sources; i++) {
		const struct input_source *source = input->source[i];

		if (source->poll && (input->now.live || !source->take || source->stays))
			source->poll(source->opaque, now);
	}
}

void
input_wait(struct input *input, int ms)
{
	struct pollfd fds[INPUT_SOURCES];
	nfds_t count = 0;

	for (u32 i = 0; i < input->sources; i++)
		if (input->source[i]->fd >= 0)
			fds[count++] = (struct pollfd){.fd = input->source[i]->fd, .events = POLLIN};
	/* Interrupted, or an error: the caller polls the sources next in any case. */
	(void)poll(fds, count, ms);
}

void
input_log(struct input *input)
{
	input->logging = true;
}

bool
input_logs(const struct input *input)
{
	return input->logging || input->replays;
}

u64
input_log_size(const struct input *input)
{
	return input->size;
}

/* --- going back --- */

struct input_position
input_position(const struct input *input)
{
	return input->now;
}

void
input_return(struct input *input, const struct input_position *position)
{
	assert(position->at <= input->size);
	input->now = *position;
}

bool
input_in_past(const struct input *input)
{
	return input->replays || input->now.points < input->furthest;
}

void
input_forget_future(struct input *input)
{
	input->size = input->now.at;
	input->furthest = input->now.points;
	input->replays = false;
	input->logging = true;
	input->now.live = true;
}

/* --- in a file --- */

void
input_replay(struct input *input)
{
	input->replays = true;
	input->now.live = false;
}

bool
input_replays(const struct input *input)
{
	return input->replays;
}

void
input_write(const struct input *input, const struct state_store *store)
{
	char name[INPUT_NAME];
	u64 size = input->size;

	store->put(store->opaque, &input->sources, sizeof(input->sources));
	for (u32 i = 0; i < input->sources; i++) {
		memset(name, 0, sizeof(name));
		strcpy(name, input->source[i]->name);
		store->put(store->opaque, name, sizeof(name));
	}
	store->put(store->opaque, &size, sizeof(size));
	if (size)
		store->put(store->opaque, input->log, size);
}

/* The present number of the source that had number `index` when the log was made, or INPUT_SOURCES. */
static u32
find_source(const struct input *input, const char *name)
{
	u32 i = 0;

	while (i < input->sources && (strcmp(input->source[i]->name, name) != 0 || !input->source[i]->take))
		i++;
	return i < input->sources ? i : INPUT_SOURCES;
}

/* Every record, with its source's number as it is here. */
static char *
check_records(struct input *input, char name[][INPUT_NAME], u32 names)
{
	struct record record, former = {0};

	for (u64 at = 0, number = 0; at < input->size; at += sizeof(record) + record.size, number++) {
		if (input->size - at < sizeof(record))
			return error_string("record %llu of the input is cut", (unsigned long long)number);
		memcpy(&record, input->log + at, sizeof(record));
		if (record.source >= names || record.size > input->size - at - sizeof(record) || record.size > RECORD_MAX || record.zero ||
		    record.point == 0 || record.point < former.point || record.time < former.time || record.icount < former.icount)
			return error_string("record %llu of the input cannot be", (unsigned long long)number);
		former = record;
		record.source = find_source(input, name[record.source]);
		if (record.source == INPUT_SOURCES)
			return error_string("there is input for '%s', which this machine does not have", name[former.source]);
		memcpy(input->log + at, &record, sizeof(record));
	}
	return NULL;
}

char *
input_read(struct input *input, const struct state_store *store, u64 size)
{
	char name[INPUT_SOURCES][INPUT_NAME], *error;
	u32 names;
	u64 log;

	assert(!input->size);
	error = store->get(store->opaque, &names, sizeof(names));
	if (!error && names > INPUT_SOURCES)
		error = error_string("%u sources of input", names);
	if (!error)
		error = store->get(store->opaque, name, names * sizeof(name[0]));
	if (!error)
		error = store->get(store->opaque, &log, sizeof(log));
	/* Bounded by what is there before anything is allocated. */
	if (!error && log > size)
		error = error_string("more input than the file has bytes");
	for (u32 i = 0; !error && i < names; i++)
		if (name[i][INPUT_NAME - 1])
			error = error_string("a source of input without a name");
	if (!error && log) {
		u8 *to = log_room(input, log);

		error = store->get(store->opaque, to, log);
	}
	if (!error)
		error = check_records(input, name, names);
	if (error)
		input->size = 0;
	return error;
}
