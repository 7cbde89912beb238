/*
 * Recording and replaying: see record.h, and capsule.h for the file.
 *
 * A run that the guest or a limit among its options ended does so again in the replay by itself. One that the host ended (-timeout, a signal, the
 * window) is stopped by an event at the same time.
 */
#include "machine/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/stop.h"
#include "cpu/vcpu.h"
#include "machine/capsule.h"
#include "machine/machine.h"

/* Instructions after which a replay that should have ended by itself has gone astray. */
#define ASTRAY 100000000u
/* Of the host, between two looks at whether there is something new to be kept. */
#define PART_MS 1000u

struct record {
	struct capsule *capsule; /* recording */
	struct outcome outcome;  /* replaying: the recorded run's */
	struct event stop;
	bool done;
	u64 part; /* when what is there so far is written next, milliseconds of the host */
};

typedef unsigned long long ull; /* for printf */

static void
on_stop(void *opaque, u64 now)
{
	struct machine *machine = opaque;

	/* The instructions are all executed, but the processors sleep on. */
	if (now < machine->record->outcome.time)
		event_arm(machine->events, &machine->record->stop, machine->record->outcome.time);
	else if (!machine->ended)
		machine_stop(machine, (int)machine->record->outcome.status);
}

char *
record_begin(struct machine *machine)
{
	const struct config *config = machine->config;

	if (!config->record && !config->replay)
		return NULL;
	machine->record = calloc(1, sizeof(*machine->record));
	if (!machine->record)
		stop_host_error("out of memory");
	event_init(&machine->record->stop, "end of the replay", EVENT_STOP, on_stop, machine);
	return config->record ? capsule_begin(machine, config->record, &machine->record->capsule)
			      : capsule_load(config->replay, machine, &machine->record->outcome);
}

void
record_start(struct machine *machine)
{
	struct record *r = machine->record;

	/* A poll ended it: at a time, and when everything else of that time has happened. Or somebody between two runs of the processors. */
	if (r && machine->config->replay && r->outcome.by_host == 1)
		event_arm(machine->events, &r->stop, r->outcome.time);
	else if (r && machine->config->replay && (r->outcome.by_host || r->outcome.broken))
		event_arm_icount(machine->events, &r->stop, r->outcome.icount);
}

static u64
host_milliseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000 + (u64)t.tv_nsec / 1000000;
}

/* For the case that nestbox is killed. */
static void
write_part(struct machine *machine)
{
	struct record *r = machine->record;
	struct outcome outcome = {
		.time = events_now(machine->events), .icount = cpus_icount(machine->cpus), .status = EXIT_LIMIT, .by_host = 1, .broken = 1};
	u64 now = host_milliseconds();
	char *error;

	if (now < r->part)
		return;
	error = capsule_part(r->capsule, &outcome);
	if (error)
		fprintf(stderr, "nestbox: -record %s\n", error);
	free(error);
	r->part = host_milliseconds() + PART_MS;
}

void
record_poll(struct machine *machine)
{
	struct record *r = machine->record;

	if (r && r->capsule && !machine->ended)
		write_part(machine);
	if (!r || !machine->config->replay || machine->ended || cpus_icount(machine->cpus) < r->outcome.icount + ASTRAY)
		return;
	fprintf(stderr, "nestbox: the replay went another way than the recorded run, which ended at instruction %llu\n", (ull)r->outcome.icount);
	machine_stop(machine, EXIT_BAD);
}

static bool
write_capsule(struct machine *machine, bool broken)
{
	struct outcome outcome = {.time = events_now(machine->events),
				  .icount = cpus_icount(machine->cpus),
				  .status = (u32)(broken ? EXIT_NOT_MODELLED : machine->status & 0xff),
				  .by_host = (u8)(machine->ended_by_host + machine->ended_by_debugger),
				  .broken = broken};
	char *error;

	if (!broken)
		outcome.hash = machine_hash(machine);
	error = capsule_end(machine->record->capsule, &outcome);
	machine->record->capsule = NULL;
	if (error)
		fprintf(stderr, "nestbox: -record %s\n", error);
	free(error);
	return !error;
}

static bool
compare(struct machine *machine)
{
	const struct outcome *o = &machine->record->outcome;
	u64 icount = cpus_icount(machine->cpus), hash;

	if (o->broken || icount < o->icount) {
		fprintf(stderr, "nestbox: replay: stopped at instruction %llu of %llu\n", (ull)icount, (ull)o->icount);
		return true;
	}
	hash = machine_hash(machine);
	if (icount == o->icount && hash == o->hash) {
		fprintf(stderr, "nestbox: replay: ended as recorded, at instruction %llu with hash %016llx\n", (ull)icount, (ull)hash);
		return true;
	}
	fprintf(stderr, "nestbox: replay: ended at instruction %llu with hash %016llx, ", (ull)icount, (ull)hash);
	fprintf(stderr, "the recorded run at %llu with %016llx\n", (ull)o->icount, (ull)o->hash);
	return false;
}

bool
record_end(struct machine *machine)
{
	struct record *r = machine->record;

	if (!r || r->done)
		return true;
	r->done = true;
	return r->capsule ? write_capsule(machine, false) : compare(machine);
}

void
record_break(struct machine *machine)
{
	struct record *r = machine->record;

	if (r && r->capsule && !r->done) {
		r->done = true;
		write_capsule(machine, true);
	}
}

void
record_free(struct machine *machine)
{
	struct record *r = machine->record;

	if (!r)
		return;
	if (r->capsule)
		capsule_abandon(r->capsule);
	event_disarm(machine->events, &r->stop);
	free(r);
	machine->record = NULL;
}
