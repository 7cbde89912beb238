/* What a chip is plugged into when it is tested alone: memory, ports, a clock that the test moves, recorded wires. */
#ifndef NB_TESTS_UNIT_CHIP_FIXTURE_H
#define NB_TESTS_UNIT_CHIP_FIXTURE_H

#include "tests/unit/unit.h"

#include "base/events.h"
#include "base/snapshot.h"
#include "bus/irq.h"
#include "bus/machine_control.h"
#include "bus/memory.h"
#include "bus/ports.h"

#define HZ 1000000000ull /* a cycle is a nanosecond */
#define RAM_SIZE (4u << 20)
#define WIRES 32

struct fixture {
	struct events *events;
	struct memory *memory;
	struct ports *ports;
	u64 now;
	int level[WIRES];
	unsigned rises[WIRES];
	u64 rose_at[WIRES];
	struct machine_control control;
	unsigned resets, inits, power_offs, suspends, wakes;
	bool a20_open, ignne;
	unsigned smis;
	int exit_status; /* -1: not asked for */
	u8 text[256];
	unsigned text_size;
};

static inline u64
fixture_now(void *opaque)
{
	return ((struct fixture *)opaque)->now;
}

static inline void
fixture_wire(void *opaque, unsigned number, int level)
{
	struct fixture *f = opaque;

	assert_in_range(number, 0, WIRES - 1);
	if (level && !f->level[number]) {
		f->rises[number]++;
		f->rose_at[number] = f->now;
	}
	f->level[number] = level;
}

static inline struct irq_line
wire(struct fixture *f, unsigned number)
{
	return (struct irq_line){fixture_wire, f, number};
}

static inline void
fixture_reset(void *opaque, const char *who)
{
	(void)who;
	((struct fixture *)opaque)->resets++;
}

static inline void
fixture_init(void *opaque, const char *who)
{
	(void)who;
	((struct fixture *)opaque)->inits++;
}

static inline void
fixture_power_off(void *opaque, const char *who)
{
	(void)who;
	((struct fixture *)opaque)->power_offs++;
}

static inline void
fixture_suspend(void *opaque, const char *who)
{
	(void)who;
	((struct fixture *)opaque)->suspends++;
}

static inline void
fixture_wake(void *opaque, const char *who)
{
	(void)who;
	((struct fixture *)opaque)->wakes++;
}

static inline void
fixture_exit(void *opaque, int status)
{
	((struct fixture *)opaque)->exit_status = status;
}

static inline void
fixture_a20(void *opaque, bool open)
{
	((struct fixture *)opaque)->a20_open = open;
}

static inline void
fixture_ignne(void *opaque, bool active)
{
	((struct fixture *)opaque)->ignne = active;
}

static inline void
fixture_smi(void *opaque)
{
	((struct fixture *)opaque)->smis++;
}

static inline struct fixture *
fixture_new(void)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char *error;

	assert_non_null(f);
	f->events = events_new(HZ);
	events_set_source(f->events, fixture_now, NULL, f);
	f->memory = memory_new(RAM_SIZE, &error);
	assert_non_null(f->memory);
	f->ports = ports_new();
	f->exit_status = -1;
	f->control = (struct machine_control){
		.a20 = fixture_a20,
		.ignne = fixture_ignne,
		.smi = fixture_smi,
		.reset = fixture_reset,
		.init = fixture_init,
		.power_off = fixture_power_off,
		.suspend = fixture_suspend,
		.wake = fixture_wake,
		.exit = fixture_exit,
		.opaque = f,
	};
	return f;
}

static inline void
fixture_free(struct fixture *f)
{
	ports_free(f->ports);
	memory_free(f->memory);
	events_free(f->events);
	free(f);
}

/* Lets time pass, firing each event at its time; fails when there are more than `limit`. */
static inline void
run_bounded(struct fixture *f, u64 time, unsigned limit)
{
	for (unsigned n = 0; events_next(f->events) <= time; n++) {
		if (n == limit)
			fail_msg("%u events before %llu", n, (unsigned long long)time);
		f->now = MAX(f->now, events_next(f->events));
		events_run(f->events, f->now);
	}
	f->now = time;
}

static inline void
run_until(struct fixture *f, u64 time)
{
	run_bounded(f, time, ~0u);
}

static inline void
run_ns(struct fixture *f, u64 ns)
{
	run_until(f, f->now + ns);
}

static inline u8
in(struct fixture *f, u16 port)
{
	return (u8)ports_read(f->ports, port, 1);
}

static inline void
out(struct fixture *f, u16 port, u8 value)
{
	ports_write(f->ports, port, 1, value);
}

/* The same numbers on every host, from a seed. */
static inline u64
random_number(u64 *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return *seed >> 24;
}

/* Accesses of all kinds to `count` ports from `first` while time passes. Nothing may crash, nothing may run away. */
static inline void
sweep_ports(struct fixture *f, u16 first, unsigned count, unsigned accesses)
{
	u64 seed = f->now + first + 1u;

	for (unsigned i = 0; i < accesses; i++) {
		u16 port = (u16)(first + random_number(&seed) % count);
		unsigned size = 1u << random_number(&seed) % 3;

		if (random_number(&seed) & 1)
			ports_read(f->ports, port, size);
		else
			ports_write(f->ports, port, size, (u32)random_number(&seed));
		if (random_number(&seed) % 16 == 0)
			run_ns(f, random_number(&seed) % 2000000);
	}
}

static inline void
sweep_memory(struct fixture *f, u64 base, u64 size, unsigned accesses)
{
	u64 seed = f->now + base + 1;

	for (unsigned i = 0; i < accesses; i++) {
		unsigned bytes = 1u << random_number(&seed) % 4;
		u64 at = base + random_number(&seed) % size / bytes * bytes;

		if (random_number(&seed) & 1)
			memory_read(f->memory, at, bytes);
		else
			memory_write(f->memory, at, bytes, random_number(&seed) << 24 ^ random_number(&seed));
		if (random_number(&seed) % 16 == 0)
			run_ns(f, random_number(&seed) % 2000000);
	}
}

/* Visits with `visit`, saved and loaded again: the hash must be what it was. */
static inline void
assert_state_survives(void (*visit)(void *opaque, struct state *s), void *opaque)
{
	u64 before = state_hash(visit, opaque);
	size_t size;
	u8 *saved = state_save(visit, opaque, &size);
	char *error = state_load(visit, opaque, saved, size);

	assert_null(error);
	assert_true(state_hash(visit, opaque) == before);
	free(saved);
}

#endif
