/*
 * The board's chips under hostile software: random accesses to their ports and registers, host input, times and damaged
 * snapshots. The e1000 has a fuzzer of its own.
 *
 * What must hold, besides the sanitizers' silence: time passes in boundedly many events; a saved state loads.
 */
#include <stdio.h>

#include "../unit/chip_fixture.h"

#include "machine/pc.h"
#include "tests/fuzz/fuzz.h"

#define EVENTS_PER_PASS 200000

struct board {
	struct fixture *f;
	struct config config;
	struct apic_bus bus;
	struct chardev com1, com2;
	struct pc *pc;
};

static unsigned long long messages, bytes_sent;

static bool
take_message(void *cpus, const struct apic_message *message)
{
	struct board *b = cpus;

	messages++;
	/* Now and then the processor is done with it at once. */
	if (message->level && message->vector & 1)
		b->bus.eoi(b->bus.ioapic, 0);
	return message->destination != 0xaa;
}

static void
host_write(struct chardev *c, const u8 *data, size_t size)
{
	(void)c;
	(void)data;
	bytes_sent += size;
}

static const struct {
	u16 first, count;
} chips[] = {
	{0x20, 2},   {0xa0, 2},  {0x40, 4},  {0x61, 1}, {0x60, 5},   {0x70, 2},    {0x3f8, 8}, {0x2f8, 8},
	{0x600, 64}, {0xb2, 2},  {0xcf8, 8}, {0x92, 1}, {0x510, 12}, {0x2000, 24}, {0xe0, 8},  {0x4d0, 2},
	{0x00, 16},  {0x80, 16}, {0xc0, 32}, {0xf4, 4}, {0x402, 1},  {0x8900, 1},  {0xcfc, 4}, {0xcfc, 4},
};

static u16
choose_port(struct input *in)
{
	u32 kind = (u32)take(in, 1);

	if (kind == 255)
		return (u16)take(in, 2);
	return (u16)(chips[kind % COUNT(chips)].first + take(in, 1) % chips[kind % COUNT(chips)].count);
}

static u64
choose_address(struct input *in)
{
	u32 kind = (u32)take(in, 1);

	if (kind < 120)
		return HPET_BASE + take(in, 2) % 0x180;
	if (kind < 240)
		return IOAPIC_BASE + (take(in, 1) & 0x40 ? 0x10 : 0);
	return kind < 250 ? 0xfe000000 + take(in, 3) : 0xfec00000 + take(in, 3);
}

static void
visit(void *opaque, struct state *s)
{
	pc_state(opaque, s);
}

static void
host_types(struct board *b, struct input *in)
{
	u8 text[40];
	size_t size = take(in, 1) % sizeof(text);
	struct chardev *c = size & 1 ? &b->com1 : &b->com2;

	for (size_t i = 0; i < size; i++)
		text[i] = (u8)take(in, 1);
	c->receive(c->device, text, MIN(size, c->room(c->device)));
	i8042_key(&b->pc->i8042, (unsigned)take(in, 2), size & 2);
	i8042_mouse(&b->pc->i8042, (s8)take(in, 1), (s8)take(in, 1), 0, (unsigned)take(in, 1));
}

/* What a driver does in order, since chance rarely does: one redirection entry, a serial port, a timer. */
static void
put_entry(struct board *b, struct input *in)
{
	unsigned n = (unsigned)take(in, 1) % IOAPIC_INPUTS;

	memory_write(b->f->memory, IOAPIC_BASE, 4, 0x10 + 2 * n);
	memory_write(b->f->memory, IOAPIC_BASE + 0x10, 4, take(in, 2) & 0xaffff);
}

static void
open_serial(struct board *b, struct input *in)
{
	u16 base = take(in, 1) & 1 ? 0x3f8 : 0x2f8;

	out(b->f, base + 3, 0x03);
	out(b->f, base + 4, 0x0b);
	out(b->f, base + 2, (u8)(take(in, 1) | 1));
	out(b->f, base + 1, (u8)take(in, 1));
	for (u64 n = take(in, 1) % 20; n; n--)
		out(b->f, base, (u8)take(in, 1));
}

static void
start_timers(struct board *b, struct input *in)
{
	u64 kind = take(in, 1);

	out(b->f, 0x43, (u8)(kind & 0x0f) | 0x30);
	out(b->f, 0x40, (u8)take(in, 1));
	out(b->f, 0x40, (u8)take(in, 1));
	memory_write(b->f->memory, HPET_BASE + 0x10, 4, 1 | (kind >> 4 & 2));
	memory_write(b->f->memory, HPET_BASE + 0x100 + 0x20 * (kind % 3), 4, take(in, 2) | 4);
	memory_write(b->f->memory, HPET_BASE + 0x108 + 0x20 * (kind % 3), 4, take(in, 3));
	out(b->f, 0x70, 0x0b);
	out(b->f, 0x71, (u8)take(in, 1) & 0x7f);
}

static void
step(struct board *b, struct input *in)
{
	u32 kind = (u32)take(in, 1);
	unsigned size = 1u << (kind & 3);

	if (kind < 100) {
		u16 port = choose_port(in);
		unsigned port_size = kind < 80 ? 1 : MIN(size, 4u);

		ports_write(b->f->ports, port, port_size, (u32)take(in, port_size));
	} else if (kind < 130) {
		ports_read(b->f->ports, choose_port(in), kind < 115 ? 1 : MIN(size, 4u));
	} else if (kind < 145) {
		put_entry(b, in);
	} else if (kind < 152) {
		open_serial(b, in);
	} else if (kind < 160) {
		start_timers(b, in);
	} else if (kind < 190) {
		u64 at = choose_address(in);
		memory_write(b->f->memory, at & ~(u64)(size - 1), size, take(in, size));
	} else if (kind < 210) {
		memory_read(b->f->memory, choose_address(in), size);
	} else if (kind < 235) {
		run_bounded(b->f, b->f->now + take(in, 1 + (kind & 1) * 2), EVENTS_PER_PASS);
	} else if (kind < 240) {
		b->f->now -= MIN(b->f->now, take(in, 2)); /* another processor's turn */
	} else if (kind < 245) {
		host_types(b, in);
	} else if (kind < 248) {
		b->bus.acknowledge(b->bus.pic);
		b->bus.eoi(b->bus.ioapic, (u8)take(in, 1));
	} else if (kind < 250) {
		acpi_pm_power_button(&b->pc->acpi_pm);
	} else if (kind < 251) {
		pc_reset(b->pc);
	} else {
		fuzz_shake(visit, b->pc, in);
	}
}

int
LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = {data, size, 0};
	struct board *b = calloc(1, sizeof(*b));
	struct pc_sockets sockets;
	char *error;

	b->f = fixture_new();
	b->config.cpus = 2;
	b->config.kernel = "kernel";
	b->config.testdev = true;
	b->config.debug_exit.present = true;
	b->config.debug_exit.iobase = 0xf4;
	b->config.debug_exit.iosize = 4;
	b->bus.send = take_message;
	b->bus.cpus = b;
	b->com1.write = b->com2.write = host_write;
	sockets = (struct pc_sockets){
		.memory = b->f->memory,
		.ports = b->f->ports,
		.events = b->f->events,
		.apic_bus = &b->bus,
		.intr = wire(b->f, 31),
		.control = &b->f->control,
		.serial = {&b->com1, &b->com2},
	};
	b->pc = pc_new(&b->config, &sockets, &error);
	assert_non_null(b->pc);
	pc_reset(b->pc);
	while (in.at < in.size)
		step(b, &in);
	run_bounded(b->f, b->f->now + 20000000, EVENTS_PER_PASS);
	pc_free(b->pc);
	fixture_free(b->f);
	free(b);
	return 0;
}

#ifndef NB_LIBFUZZER
static void
random_software_does_no_harm(void **state)
{
	(void)state;
	fuzz_all(1);
	/* The inputs must reach something. */
	print_message("%llu interrupt messages, %llu bytes sent\n", messages, bytes_sent);
	assert_true(messages > inputs);
	assert_true(bytes_sent > inputs);
}

int
main(int argc, char **argv)
{
	return fuzz_main(argc, argv, 200, (struct CMUnitTest)cmocka_unit_test(random_software_does_no_harm));
}
#endif
