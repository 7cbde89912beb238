/*
 * Making a machine from its configuration, and running it to its end.
 *
 * What ends a run is noticed in devices, in events or (signals) outside of virtual time; all of it only sets a field
 * and makes cpus_run() return at the next boundary. The host's clock and signals are looked at when host input is
 * polled.
 */
#include "machine/machine.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/snapshot.h"
#include "base/stop.h"
#include "bus/input.h"
#include "bus/memory.h"
#include "bus/ports.h"
#include "cpu/vcpu.h"
#include "debugger/debugger.h"
#include "devices/i8042.h"
#include "devices/vga.h"
#include "gui/gui.h"
#include "machine/block_host.h"
#include "machine/chardev_host.h"
#include "machine/history.h"
#include "machine/pc.h"
#include "machine/record.h"
#include "machine/screendump.h"
#include "machine/snapshot.h"
#include "net/net.h"

LOG_CATEGORY("machine");

#define FACS_WAKING_VECTOR 12 /* offset in the FACS */

/* Host seconds after -timeout until the process ends by itself, should the machine not have stopped. */
#define GRACE 10

/* Host seconds in which a second signal is the first one again: timeout(1) signals the process, then its whole group. */
#define SAME_SIGNAL 1

/* Set by signal handlers, read at the next poll. */
static volatile sig_atomic_t interrupted, timed_out;
/* What Ctrl-C stops at once: processors that the debugger's shell lets run. */
static struct cpus *volatile under_debugger;
/* The shell waits for a command: any number of Ctrl-C is its own business. */
static volatile sig_atomic_t at_prompt;

/* ---- What ends a run ---- */

static void
expect_met(void *opaque)
{
	struct machine *machine = opaque;

	machine->expect_met = true;
	machine_end(machine, EXIT_GOOD);
}

static void
quit(void *opaque)
{
	(void)opaque;
	interrupted = SIGINT;
}

static void
on_signal(int number)
{
	static const char text[] = "\nnestbox: did not stop in time\n";
	static time_t first;
	struct timespec now = {0};

	clock_gettime(CLOCK_MONOTONIC, &now); /* async-signal-safe */
	if (number == SIGALRM && !timed_out) {
		timed_out = 1;
		return;
	}
	if (number == SIGINT && at_prompt) {
		interrupted = number;
		return;
	}
	if (number != SIGALRM && interrupted && now.tv_sec - first <= SAME_SIGNAL)
		return;
	if (number != SIGALRM && !interrupted) {
		interrupted = number;
		first = now.tv_sec;
		/* Stop where the processor next looks, sooner than the next poll. Between instructions these flags can be set at any time. */
		if (number == SIGINT && under_debugger) {
			under_debugger->stop = true;
			if (under_debugger->running)
				under_debugger->running->exit_request = 1;
		}
		return;
	}
	/* The second of its kind: the emulator itself hangs. */
	chardev_host_restore_terminal();
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0) {
		/* nobody to tell */
	}
	_exit(number == SIGALRM ? EXIT_LIMIT : 128 + number);
}

void
machine_watch_signals(double timeout)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct itimerval timer = {.it_interval.tv_sec = GRACE};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	timer.it_value.tv_sec = (time_t)timeout;
	timer.it_value.tv_usec = (suseconds_t)((timeout - (double)timer.it_value.tv_sec) * 1e6);
	if (timeout > 0 && timer.it_value.tv_sec == 0 && timer.it_value.tv_usec == 0)
		timer.it_value.tv_usec = 1;
	if (timeout > 0)
		setitimer(ITIMER_REAL, &timer, NULL);
}

bool
machine_timed_out(void)
{
	return timed_out;
}

bool
machine_interrupted(void)
{
	return interrupted;
}

/* ---- Events of the machine itself ---- */

static void
throttle(struct machine *machine, u64 now)
{
	u64 guest = events_to_ns(machine->events, now - machine->start), host = host_nanoseconds() - machine->host_start;

	while (guest > host && guest - host >= 1000000 && !interrupted && !timed_out) {
		input_wait(machine->input, (int)MIN((guest - host) / 1000000, 100));
		input_poll(machine->input, now);
		host = host_nanoseconds() - machine->host_start;
	}
}

static void
on_poll(void *opaque, u64 now)
{
	struct machine *machine = opaque;
	u64 interval = MAX(events_from_ns(machine->events, INPUT_POLL_NS), 1);

	input_poll(machine->input, now);
	if (machine->config->realtime)
		throttle(machine, now);
	if (machine->history && history_due(machine->history)) {
		machine->checkpoint_wanted = true;
		machine_leave(machine);
	}
	record_poll(machine);
	if (timed_out && !machine->ended) {
		if (!machine->config->scripted)
			fprintf(stderr, "nestbox: stopped after %g seconds (-timeout)\n", machine->config->timeout);
		machine_stop(machine, EXIT_LIMIT);
	}
	if (interrupted == SIGINT && machine->config->debug && !machine->ended) {
		interrupted = 0;
		debugger_interrupt(machine->debugger);
	} else if (interrupted && !machine->ended) {
		fprintf(stderr, "\nnestbox: interrupted\n");
		machine_stop(machine, 128 + interrupted);
	}
	event_arm(machine->events, &machine->poll, now + interval);
}

static void
on_limit(void *opaque, u64 now)
{
	struct machine *machine = opaque;

	(void)now;
	if (!machine->ended)
		fprintf(stderr, "nestbox: stopped after %llu instructions (-stop-after)\n",
			(unsigned long long)cpus_icount(machine->cpus));
	machine_end(machine, EXIT_LIMIT);
}

static void
print_hash(struct machine *machine)
{
	fprintf(stderr, "nestbox: hash %llu %016llx\n", (unsigned long long)cpus_icount(machine->cpus),
		(unsigned long long)machine_hash(machine));
}

static void
on_hash(void *opaque, u64 now)
{
	struct machine *machine = opaque;

	(void)now;
	print_hash(machine);
	machine->hash_next += machine->config->hash_every;
	event_arm_icount(machine->events, &machine->hash, machine->hash_next);
}

/* ---- Making ---- */

static char *
make_host_ends(struct machine *machine, struct pc_sockets *sockets)
{
	const struct config *config = machine->config;
	char *error = NULL;

	for (unsigned i = 0; i < CONFIG_DRIVES && !error; i++) {
		const struct config_drive *drive = &config->drive[i];
		struct block_host_options options = {drive->file, drive->format, drive->snapshot, drive->cdrom};

		if (drive->file)
			error = block_host_new(&options, &machine->drive[i]);
		sockets->drive[i] = block_host_block(machine->drive[i]);
	}
	if (!error && config->flash.file) {
		struct block_host_options options = {config->flash.file, config->flash.format,
							  config->flash.snapshot || config->snapshot, false};

		error = block_host_new(&options, &machine->flash);
		sockets->flash = block_host_block(machine->flash);
	}
	for (unsigned i = 0; i < config->netdevs && !error; i++)
		error = net_create(config->netdev[i].spec, machine->events, machine->input, &machine->link[i],
				   &machine->backend[i]);
	for (unsigned i = 0; i < config->nics && !error; i++)
		if (config->nic[i].netdev >= 0)
			sockets->link[i] = &machine->link[config->nic[i].netdev];
	if (!error && config->stats && strcmp(config->stats, "-") != 0) {
		machine->stats = fopen(config->stats, "w");
		if (!machine->stats)
			error = error_string("-stats %s: %s", config->stats, strerror(errno));
	}
	if (!error)
		error = chardev_host_new(&config->debugcon, "debugcon", machine->input, &machine->debugcon);
	sockets->debug = chardev_host_chardev(machine->debugcon);
	/* Last: from here on, the terminal is raw. */
	for (unsigned i = 0; i < CONFIG_SERIALS && !error; i++) {
		char name[] = "serial0";

		name[6] = (char)('0' + i);
		error = chardev_host_new(&config->serial[i], name, machine->input, &machine->serial[i]);
		sockets->serial[i] = chardev_host_chardev(machine->serial[i]);
		if (machine->serial[i])
			chardev_host_on_quit(machine->serial[i], quit, machine);
	}
	if (!error && config->expect)
		chardev_host_expect(machine->serial[0], config->expect, expect_met, machine);
	return error;
}

/* ---- The debugger ---- */

static void after_leaving(struct machine *machine);
static void reset(struct machine *machine);

static bool
run_for_debugger(void *opaque)
{
	struct machine *machine = opaque;
	bool again;

	/* A Ctrl-C at the prompt was the prompt's. */
	if (interrupted == SIGINT && machine->config->debug)
		interrupted = 0;
	at_prompt = 0;
	do {
		again = false;
		machine->resetting = false;
		under_debugger = machine->config->debug ? machine->cpus : NULL;
		cpus_run(machine->cpus);
		under_debugger = NULL;
		after_leaving(machine);
		if (interrupted == SIGINT && machine->config->debug && !machine->ended)
			debugger_interrupt(machine->debugger);
		if (machine->checkpoint_wanted && !machine->ended) {
			history_take(machine->history);
			again = !debugger_stopped(machine->debugger);
		}
		machine->checkpoint_wanted = false;
		/* After a reset the machine goes on by itself. */
	} while ((machine->resetting || again) && !machine->ended && !debugger_stopped(machine->debugger));
	for (unsigned i = 0; i < CONFIG_SERIALS; i++)
		if (machine->serial[i])
			chardev_host_flush(machine->serial[i]);
	at_prompt = machine->config->debug;
	return !machine->ended;
}

static void
quit_for_debugger(void *opaque, int status)
{
	struct machine *machine = opaque;

	machine->ended_by_debugger = !machine->ended;
	machine_stop(opaque, status);
}

static void
reset_for_debugger(void *opaque)
{
	reset(opaque);
}

static u64
hash_for_debugger(void *opaque)
{
	return machine_hash(opaque);
}

/* Was there a Ctrl-C since it was last asked? */
static bool
interrupted_for_debugger(void *opaque)
{
	const struct machine *machine = opaque;
	bool was = interrupted == SIGINT && machine->config->debug; /* without a shell it ends the run */

	if (was)
		interrupted = 0;
	return was;
}

/* Going back, even from the machine's end. */
static bool
back_for_debugger(void *opaque, u64 icount)
{
	struct machine *machine = opaque;

	if (!machine->history || !history_back(machine->history, icount))
		return false;
	machine->ended = machine->ended_by_host = machine->ended_by_debugger = machine->off = machine->expect_met = false;
	machine->reset_wanted = machine->wake_wanted = machine->firmware_wanted = machine->checkpoint_wanted = false;
	machine->status = EXIT_GOOD;
	machine->cpus->triple_fault = false;
	return true;
}

static u64
written_for_debugger(void *opaque, u64 icount, u64 first, u64 last)
{
	struct machine *machine = opaque;

	return machine->history ? history_written(machine->history, icount, first, last) : icount;
}

static void
mark_for_debugger(void *opaque)
{
	struct machine *machine = opaque;

	if (machine->history)
		history_take(machine->history);
}

static void
changed_for_debugger(void *opaque)
{
	struct machine *machine = opaque;

	if (machine->history)
		history_begin(machine->history);
}

/* A disk whose image is written to, or NULL. */
static const char *
disk_without_overlay(const struct machine *machine)
{
	for (unsigned i = 0; i < CONFIG_DRIVES; i++)
		if (machine->drive[i] && !machine->config->drive[i].cdrom && !block_host_overlay(machine->drive[i]))
			return block_host_path(machine->drive[i]);
	return NULL;
}

static void
history_for_debugger(void *opaque, struct debugger_history *out)
{
	struct machine *machine = opaque;

	*out = (struct debugger_history){.disk = disk_without_overlay(machine)};
	if (machine->history)
		*out = (struct debugger_history){history_oldest(machine->history), history_size(machine->history),
						 history_count(machine->history), NULL};
}

static const char too_much[] = "too much waits for the machine to go on";

static char *
send_keys_for_debugger(void *opaque, const char *combination)
{
	struct machine *machine = opaque;
	unsigned codes[KEYMAP_COMBINATION];
	char *error;
	unsigned count = keymap_combination(combination, codes, &error);

	if (error)
		return error;
	if (!count)
		return error_string("sendkey KEY-KEY...");
	if (machine->user_inputs + 2 * count > COUNT(machine->user_input))
		return error_string("%s", too_much);
	for (unsigned i = 0; i < 2 * count; i++)
		machine_key(machine, codes[i < count ? i : 2 * count - 1 - i], i < count);
	return NULL;
}

static char *
power_button_for_debugger(void *opaque)
{
	return machine_power_button(opaque) ? NULL : error_string("%s", too_much);
}

static char *
screenshot_for_debugger(void *opaque, const char *path)
{
	struct machine *machine = opaque;

	return screendump(&machine->pc->vga->display, path);
}

static char *
make_debugger(struct machine *machine)
{
	const struct config *config = machine->config;
	const struct debugger_host host = {
		.back = back_for_debugger,
		.written = written_for_debugger,
		.mark = mark_for_debugger,
		.changed = changed_for_debugger,
		.history = history_for_debugger,
		.opaque = machine,
		.run = run_for_debugger,
		.quit = quit_for_debugger,
		.reset = reset_for_debugger,
		.hash = hash_for_debugger,
		.screenshot = machine->pc->vga ? screenshot_for_debugger : NULL,
		.send_keys = send_keys_for_debugger,
		.power_button = power_button_for_debugger,
		.display = machine->pc->vga ? &machine->pc->vga->display : NULL,
		.interrupted = interrupted_for_debugger,
		.pic = &machine->pc->pic,
		.ioapic = &machine->pc->ioapic,
		.pci = &machine->pc->pci,
		.nic = machine->pc->nic,
		.nics = CONFIG_NICS,
	};
	char *error = NULL;

	if (!config->debug && !config->gdb && !config->trace && !config->scripted)
		return NULL;
	machine->debugger = debugger_new(machine->cpus, machine->input, &host);
	machine_observe_cards(machine);
	if (config->gdb)
		error = debugger_listen(machine->debugger, config->gdb);
	if (!error && config->trace)
		error = debugger_trace(machine->debugger, config->trace, config->trace_file);
	for (unsigned i = 0; i < config->commands; i++)
		debugger_command(machine->debugger, config->command[i]);
	return error;
}

/* ---- Keyboard, mouse and power button ---- */

enum { USER_KEY, USER_MOUSE, USER_POWER };

/* What the user does comes from a window, and goes through the door. */
static void
take_user_input(void *opaque, u32 kind, const u8 *data, size_t size)
{
	struct machine *machine = opaque;
	struct user_input u;

	if (size != sizeof(u))
		return;
	memcpy(&u, data, sizeof(u));
	if (kind == USER_KEY)
		i8042_key(&machine->pc->i8042, (unsigned)u.a, u.b);
	if (kind == USER_POWER)
		acpi_pm_power_button(&machine->pc->acpi_pm);
	/* Up is positive for a mouse; a packet has nine bits. */
	if (kind == USER_MOUSE)
		i8042_mouse(&machine->pc->i8042, MIN(MAX(u.a, -255), 255), MIN(MAX(-MAX(u.b, -255), -255), 255), MIN(MAX(u.c, -7), 7),
			    (unsigned)u.d);
}

/* What a scenario does waits for the next poll, as everything does that comes from the host. */
static void
poll_user(void *opaque, u64 now)
{
	struct machine *machine = opaque;

	(void)now;
	for (unsigned i = 0; i < machine->user_inputs; i++)
		input_push(machine->input, &machine->user, machine->user_input[i].kind, &machine->user_input[i].input, sizeof(struct user_input));
	machine->user_inputs = 0;
}

static bool
queue_user_input(struct machine *machine, u32 kind, const struct user_input *input)
{
	if (machine->user_inputs == COUNT(machine->user_input))
		return false;
	machine->user_input[machine->user_inputs].kind = kind;
	machine->user_input[machine->user_inputs++].input = *input;
	return true;
}

bool
machine_key(struct machine *machine, unsigned code, bool down)
{
	return queue_user_input(machine, USER_KEY, &(struct user_input){.a = (s32)code, .b = down});
}

bool
machine_mouse(struct machine *machine, int dx, int dy, int dz, unsigned buttons)
{
	/* As a window has it, where down is positive. */
	return queue_user_input(machine, USER_MOUSE, &(struct user_input){dx, -MAX(dy, -255), dz, (s32)buttons});
}

bool
machine_power_button(struct machine *machine)
{
	return queue_user_input(machine, USER_POWER, &(struct user_input){0});
}

void
machine_user_key(struct machine *machine, unsigned code, bool down)
{
	const struct user_input u = {.a = (s32)code, .b = down};

	input_push(machine->input, &machine->user, USER_KEY, &u, sizeof(u));
}

void
machine_user_mouse(struct machine *machine, int dx, int dy, int dz, unsigned buttons)
{
	const struct user_input u = {dx, dy, dz, (s32)buttons};

	input_push(machine->input, &machine->user, USER_MOUSE, &u, sizeof(u));
}

static void
input_clock(void *opaque, u64 *time, u64 *icount)
{
	struct machine *machine = opaque;

	*time = events_now(machine->events);
	*icount = cpus_icount(machine->cpus);
}

static void
replay_parted(void *opaque, const char *text)
{
	struct machine *machine = opaque;

	if (!machine->ended)
		fprintf(stderr, "nestbox: the replay went another way than the recorded run: %s\n", text);
	machine_end(machine, EXIT_BAD);
}

static void
make_door(struct machine *machine)
{
	machine->user = (struct input_source){.name = "user", .opaque = machine, .fd = -1, .poll = poll_user, .take = take_user_input};
	input_set_clock(machine->input, input_clock, replay_parted, machine);
	input_add(machine->input, &machine->user);
}

void
machine_closed(struct machine *machine)
{
	machine_stop(machine, EXIT_GOOD);
}

static char *
make(struct machine *machine)
{
	const struct config *config = machine->config;
	struct pc_sockets sockets = {.apic_bus = &machine->apic_bus, .control = &machine->control};
	char *error = cpu_model_parse(config->cpu, &machine->model);

	if (error)
		return error;
	machine->model.hz = config->clock_hz;
	machine->memory = sockets.memory = memory_new(config->memory, &error);
	if (!machine->memory)
		return error;
	/* Kernel and initial RAM disk before anything on the host is opened or changed: most mistakes are there. */
	error = config_direct_boot(config) ? loader_load(config, machine->memory, &machine->boot)
			       : firmware_load(&machine->firmware, config);
	if (!error && !config_direct_boot(config))
		error = firmware_load_nics(&machine->firmware, config);
	if (error)
		return error;
	if (!config_direct_boot(config))
		sockets.firmware = &machine->firmware;
	if (config->vga) {
		error = firmware_load_vga(&machine->firmware, config);
		if (error)
			return error;
		sockets.vga_rom = machine->firmware.vga_rom;
		sockets.vga_rom_size = machine->firmware.vga_rom_size;
	}
	machine->ports = sockets.ports = ports_new();
	machine->events = sockets.events = events_new(config->clock_hz);
	machine->input = input_new();
	if (config->replay)
		input_replay(machine->input);
	machine_make_control(machine);
	machine->cpus = cpus_new(config->cpus, &machine->model, machine->memory, machine->ports, machine->events,
				 &machine->apic_bus, &machine->control, config->seed);
	machine->cpus->complete_forms = config->one_insn;
	sockets.intr = (struct irq_line){cpus_set_intr, machine->cpus, 0};
	make_door(machine);
	error = make_host_ends(machine, &sockets);
	if (!error)
		error = machine_check_bootable(machine);
	if (!error)
		machine->pc = pc_new(config, &sockets, &error);
	if (!error)
		machine->cpus->ferr = (struct irq_line){piix3_set_ferr, &machine->pc->piix3, 0};
	if (!error && config_direct_boot(config))
		reset_vector_map(machine);
	if (!error)
		error = machine_open_display(machine);
	if (!error)
		error = make_debugger(machine);
	return error;
}

static void
print_processor(void *opaque)
{
	struct machine *machine = opaque;
	const struct cpus *cpus = machine->cpus;

	/* The run up to here is worth having. */
	record_break(machine);
	vcpu_print(cpus->running ? cpus->running : cpus->culprit ? cpus->culprit : cpus->cpu[0]);
}

static void
reset_chips(struct machine *machine)
{
	cpus_reset(machine->cpus);
	pc_reset(machine->pc);
	if (!config_direct_boot(machine->config))
		return;
	reset_vector_copy(machine);
	machine_apply_boot_state(machine->cpus, &machine->boot);
}

/* A hard reset: RAM keeps what it holds, but the kernel is loaded once more. */
static void
reset(struct machine *machine)
{
	char *error = config_direct_boot(machine->config) ? loader_load(machine->config, machine->memory, &machine->boot) : NULL;

	if (error)
		stop_host_error("%s", error);
	reset_chips(machine);
}

/* INIT and jumps to the reset vector. Port 92h is how software tells such a restart from a reset: firmware leaves it alone. */
static void
start_over(struct machine *machine)
{
	u8 port92 = machine->pc->piix3.port92;

	if (reset_vector_jump(machine))
		return;
	if (machine->config->no_reboot) {
		machine->control.power_off(machine, "restart with -no-reboot");
		return;
	}
	reset(machine);
	machine->pc->piix3.port92 = port92;
	machine->resetting = true;
}

/* ACPI, "Waking System Software": without firmware, what firmware does last: enter the waking vector in real mode. */
static void
resume(struct machine *machine)
{
	struct vcpu *cpu = machine->cpus->cpu[0];
	u8 vector[4] = {0};

	cpus_reset(machine->cpus);
	if (!machine->pc->facs)
		return;
	memory_peek(machine->memory, machine->pc->facs + FACS_WAKING_VECTOR, vector, sizeof(vector));
	u32 address = vector[0] | (u32)vector[1] << 8 | (u32)vector[2] << 16;
	cpu->seg[CS].selector = (u16)(address >> 4);
	cpu->seg[CS].base = address & ~0xfu;
	cpu->rip = address & 0xf;
	cpu_mode_changed(cpu);
}

struct machine *
machine_new(const struct config *config, char **error)
{
	struct machine *machine = calloc(1, sizeof(*machine));

	if (!machine)
		stop_host_error("out of memory");
	machine->config = config;
	*error = make(machine);
	if (*error) {
		machine_free(machine);
		return NULL;
	}
	event_init(&machine->poll, "poll", EVENT_INPUT, on_poll, machine);
	event_init(&machine->limit, "limit", EVENT_STOP, on_limit, machine);
	event_init(&machine->hash, "hash", EVENT_STOP, on_hash, machine);
	stop_set_hook(print_processor, machine);
	reset_chips(machine);
	if (config->snapshot_load)
		*error = machine_load(machine, config->snapshot_load);
	if (!*error)
		*error = record_begin(machine);
	if (*error) {
		machine_free(machine);
		return NULL;
	}
	return machine;
}

void
machine_free(struct machine *machine)
{
	if (!machine)
		return;
	stop_set_hook(NULL, NULL);
	record_free(machine);
	history_free(machine->history);
	debugger_free(machine->debugger);
	machine_close_display(machine);
	if (machine->pc)
		pc_free(machine->pc);
	for (unsigned i = 0; i < CONFIG_SERIALS; i++)
		chardev_host_free(machine->serial[i]);
	chardev_host_free(machine->debugcon);
	for (unsigned i = 0; i < CONFIG_NETDEVS; i++)
		if (machine->backend[i])
			net_free(machine->backend[i]);
	for (unsigned i = 0; i < CONFIG_DRIVES; i++)
		block_host_free(machine->drive[i]);
	block_host_free(machine->flash);
	firmware_free(&machine->firmware);
	if (machine->stats)
		fclose(machine->stats);
	if (machine->cpus)
		cpus_free(machine->cpus);
	input_free(machine->input);
	events_free(machine->events);
	ports_free(machine->ports);
	memory_free(machine->memory);
	free(machine);
}

/* ---- Running ---- */

static void
after_leaving(struct machine *machine)
{
	struct cpus *cpus = machine->cpus;

	cpus->stop = false;
	if (cpus->triple_fault && !machine->ended) {
		fprintf(stderr, "nestbox: %s on processor %u\n", cpus->shutdown_cause, cpus->culprit->index);
		vcpu_print(cpus->culprit);
		machine->off = true;
		machine_end(machine, EXIT_TRIPLE_FAULT);
	}
	if (machine->wake_wanted && !machine->ended) {
		machine->wake_wanted = false;
		resume(machine);
	}
	if (machine->firmware_wanted && !machine->ended) {
		machine->firmware_wanted = false;
		if (!machine->reset_wanted)
			start_over(machine);
	}
	if (machine->reset_wanted && !machine->ended) {
		machine->reset_wanted = false;
		if (machine->config->no_reboot)
			machine->control.power_off(machine, "reset with -no-reboot");
		else
			reset(machine);
		machine->resetting = true;
	}
}

static bool
save_at_end(struct machine *machine)
{
	char *error = machine->off ? error_string("%s: not saved, the machine is off", machine->config->snapshot_save)
				   : machine_save(machine, machine->config->snapshot_save);

	if (error)
		fprintf(stderr, "nestbox: -snapshot-save %s\n", error);
	free(error);
	return !error;
}

int
machine_finish(struct machine *machine)
{
	bool to_stdout = machine->config->stats && !machine->stats;
	FILE *out = to_stdout ? stdout : machine->stats;

	for (unsigned i = 0; i < CONFIG_SERIALS; i++)
		if (machine->serial[i])
			chardev_host_flush(machine->serial[i]);
	if (machine->debugcon)
		chardev_host_flush(machine->debugcon);
	if (machine->config->screendump) {
		char *error = screendump(&machine->pc->vga->display, machine->config->screendump);

		if (error) {
			fprintf(stderr, "nestbox: %s\n", error);
			free(error);
			return EXIT_BAD;
		}
	}
	if (machine->config->hash)
		print_hash(machine);
	if (!record_end(machine))
		machine->status = EXIT_BAD;
	if (machine->config->snapshot_save && !save_at_end(machine))
		machine->status = EXIT_BAD;
	if (!out)
		return machine->status;
	machine_write_stats(machine, out);
	if (fflush(out) == 0 && !ferror(out))
		return machine->status;
	fprintf(stderr, "nestbox: -stats %s: cannot write\n", machine->config->stats);
	return EXIT_BAD;
}

void
machine_start(struct machine *machine)
{
	u64 now = events_now(machine->events);

	machine->start = now;
	machine->start_instructions = cpus_icount(machine->cpus);
	machine->host_start = host_nanoseconds();
	record_start(machine);
	/* A loaded machine goes on with its own rhythm. */
	if (!event_armed(&machine->poll))
		event_arm(machine->events, &machine->poll, now);
	if (machine->config->stop_after)
		event_arm_icount(machine->events, &machine->limit, machine->config->stop_after);
	if (machine->config->hash_every) {
		machine->hash_next = (machine->start_instructions / machine->config->hash_every + 1) * machine->config->hash_every;
		event_arm_icount(machine->events, &machine->hash, machine->hash_next);
	}
	/* What goes to an image itself is not taken back. */
	if (machine->config->history && machine->debugger && !disk_without_overlay(machine))
		machine->history = history_new(machine, machine->config->history);
}

int
machine_run(struct machine *machine)
{
	machine_watch_signals(machine->config->timeout);
	machine_start(machine);
	at_prompt = machine->config->debug;
	if (machine->config->debug)
		debugger_shell(machine->debugger);
	else if (machine->config->gdb)
		debugger_serve(machine->debugger, machine->config->start_stopped);
	at_prompt = 0;
	while (!machine->ended) {
		cpus_run(machine->cpus);
		after_leaving(machine);
	}
	return machine_finish(machine);
}

static void
visit(void *opaque, struct state *s)
{
	machine_state(opaque, s);
}

/* Options that decide what state there is, as text: the same when saving and loading. */
static char *
describe(const struct machine *machine)
{
	const struct config *config = machine->config;
	char *text = error_string("-m %lluM -smp %u -cpu %s -clock %llu%s%s%s", (unsigned long long)config->memory >> 20,
				  config->cpus, config->cpu, (unsigned long long)config->clock_hz,
				  config->kernel ? " -kernel" : "", config->testdev ? " -device pc-testdev" : "",
				  config->vga ? " -vga std" : "");
	char *longer;

	for (unsigned i = 0; i < CONFIG_SERIALS; i++)
		if (machine->serial[i]) {
			longer = error_string("%s serial%u", text, i);
			free(text);
			text = longer;
		}
	for (unsigned i = 0; i < config->netdevs; i++) {
		longer = error_string("%s -netdev %s", text, net_kind(machine->backend[i]));
		free(text);
		text = longer;
	}
	if (config->flash.file) {
		longer = error_string("%s flash", text);
		free(text);
		text = longer;
	}
	for (unsigned i = 0; i < CONFIG_DRIVES; i++)
		if (config->drive[i].file) {
			const struct config_drive *drive = &config->drive[i];

			longer = error_string("%s %s%u%s", text, drive->cdrom ? "cdrom" : "disk", i,
					      i < CONFIG_IDE_DRIVES ? "" : drive->modern ? "(virtio, modern)" : "(virtio)");
			free(text);
			text = longer;
		}
	for (unsigned i = 0; i < config->nics; i++) {
		longer = error_string("%s %s(netdev %d, addr %d)", text, config_nic_name(config->nic[i].model),
				      config->nic[i].netdev, config->nic[i].slot);
		free(text);
		text = longer;
	}
	return text;
}

/* Refuses a snapshot of another configuration, and names both. */
static void
configuration_state(struct machine *machine, struct state *s)
{
	char *own = describe(machine);
	char found[1024] = "";
	u32 size = (u32)MIN(strlen(own), sizeof(found) - 1);

	memcpy(found, own, size);
	STATE(s, size);
	size = MIN(size, (u32)sizeof(found) - 1);
	state_bytes(s, found, size);
	found[size] = 0;
	if (state_mode(s) == STATE_LOAD && strncmp(found, own, sizeof(found) - 1) != 0 && !state_failed(s)) {
		char *reason = error_string("saved with other options: %s; these are: %s", found, own);

		state_fail(s, reason);
		free(reason);
	}
	free(own);
}

/* How far the host has come, so that a return into the past prints nothing twice. */
static void
host_ends_state(struct machine *machine, struct state *s)
{
	for (unsigned i = 0; i < CONFIG_SERIALS; i++)
		if (machine->serial[i])
			chardev_host_state(machine->serial[i], s);
	if (machine->debugcon)
		chardev_host_state(machine->debugcon, s);
	if (machine->debugger)
		debugger_state(machine->debugger, s);
}

void
machine_state(struct machine *machine, struct state *s)
{
	u64 now = events_now(machine->events);

	state_section(s, "machine", 1);
	STATE(s, now);
	if (state_mode(s) != STATE_HASH) {
		configuration_state(machine, s);
		/* Not seen by the guest, but when host input comes decides how the run goes on. */
		state_event(s, machine->events, &machine->poll);
	}
	memory_state(machine->memory, s);
	cpus_state(machine->cpus, s);
	pc_state(machine->pc, s);
	for (unsigned i = 0; i < machine->config->netdevs; i++)
		net_state(machine->backend[i], s);
	for (unsigned i = 0; i < CONFIG_DRIVES; i++)
		if (state_mode(s) != STATE_HASH && machine->drive[i] && block_host_overlay(machine->drive[i])) {
			state_section(s, "disk", 1);
			block_overlay_state(block_host_overlay(machine->drive[i]), s);
		}
	if (state_is_checkpoint(s))
		host_ends_state(machine, s);
}

void
machine_hash_sections(struct machine *machine, void (*tell)(void *listener, const char *name, u64 hash), void *listener)
{
	state_hash_sections(visit, machine, tell, listener);
}

u64
machine_hash(struct machine *machine)
{
	return state_hash(visit, machine);
}

/* What a snapshot would have to hold, but cannot yet. NULL, or the reason (heap). */
static char *
cannot_save(const struct machine *machine, const char *path)
{
	const char *disk = disk_without_overlay(machine);

	return disk ? error_string("%s: not saved: %s is written to itself; snapshot=on keeps what is written apart", path, disk) : NULL;
}

char *
machine_save(struct machine *machine, const char *path)
{
	char *error = cannot_save(machine, path);
	u64 start = host_nanoseconds();

	if (!error)
		error = snapshot_save(path, visit, machine);
	if (!error)
		log_info("%s: saved in %llu ms", path, (unsigned long long)(host_nanoseconds() - start) / 1000000);
	return error;
}

char *
machine_load(struct machine *machine, const char *path)
{
	return snapshot_load(path, visit, machine);
}
