/*
 * The machine: memory, processors, board and host ends, made from a configuration; run until something ends it.
 */
#ifndef NB_MACHINE_MACHINE_H
#define NB_MACHINE_MACHINE_H

#include <stdio.h>

#include "base/events.h"
#include "base/types.h"
#include "bus/input.h"
#include "bus/irq.h"
#include "bus/machine_control.h"
#include "bus/packet.h"
#include "cpu/cpuid.h"
#include "machine/config.h"
#include "machine/observe.h"
#include "machine/firmware.h"
#include "machine/loader.h"

struct block_host;
struct chardev_host;
struct cpus;
struct debugger;
struct memory;
struct net_backend;
struct pc;
struct sdl_window;
struct tee;
struct vnc;
struct ports;
struct state;

/* The process's exit statuses; the man page's EXIT STATUS says the same. */
enum exit_status { EXIT_GOOD = 0, EXIT_BAD = 1, EXIT_TRIPLE_FAULT = 2, EXIT_LIMIT = 3, EXIT_NOT_MODELLED = 4 };

/* A key (scan code, down), a movement of the mouse (to the right, down, wheel, buttons), or the power button (nothing). */
struct user_input {
	s32 a, b, c, d;
};

struct machine {
	const struct config *config;
	struct cpu_model model;
	struct memory *memory;
	struct ports *ports;
	struct events *events;
	struct input *input;
	struct cpus *cpus;
	struct pc *pc;
	struct apic_bus apic_bus;
	struct machine_control control;
	struct boot_state boot;     /* of direct boot */
	struct firmware firmware;   /* otherwise */
	u8 reset_page[4096];        /* of direct boot: bios/direct.S with the memory map (reset_vector.c) */

	struct chardev_host *serial[CONFIG_SERIALS], *debugcon;
	struct debugger *debugger; /* NULL unless asked for */
	struct observed_card observed[CONFIG_NICS];
	struct packet_link link[CONFIG_NETDEVS];
	struct net_backend *backend[CONFIG_NETDEVS];
	struct block_host *drive[CONFIG_DRIVES];
	struct block_host *flash; /* or NULL */
	struct sdl_window *window;
	struct vnc *vnc;
	struct tee *tee; /* for both of them */
	struct input_source user; /* keyboard and mouse */
	/* From a scenario, until the next poll. */
	struct {
		u32 kind;
		struct user_input input;
	} user_input[32];
	unsigned user_inputs;

	/* The machine's own events: host input, -stop-after, -hash. None is state. */
	struct event poll, limit, hash;
	u64 hash_next;

	/* Why cpus_run() was left. */
	bool reset_wanted, wake_wanted, firmware_wanted, resetting;
	bool ended, ended_by_host, ended_by_debugger;
	bool off; /* powered off or shut down: nothing to go on with */
	int status;
	bool expect_met;
	u64 host_start; /* host nanoseconds, for -realtime and -stats */
	u64 start, start_instructions; /* virtual time and instructions then: not 0 after -snapshot-load */
	FILE *stats;
	struct history *history; /* NULL: no going back */
	bool checkpoint_wanted;
	struct record *record; /* NULL: neither recorded nor replayed */
};

/* Everything is made and checked; nothing has run. Returns NULL and sets *error (heap). */
struct machine *machine_new(const struct config *config, char **error);
void machine_free(struct machine *machine);
/*
 * The parts of machine_run(), for whoever runs the machine piecewise: a scenario, by the debugger's run function. machine_finish() writes the
 * reports that the options ask for and returns the exit status.
 */
void machine_start(struct machine *machine);
int machine_finish(struct machine *machine);
/* Signals and the limit of host seconds (0: none) are the process's: once, whatever the number of machines. */
void machine_watch_signals(double timeout);
bool machine_timed_out(void);
bool machine_interrupted(void);
/* A key (scan code of set 1, 0xe000 | code for extended ones) or the mouse, from the next poll on. False: too many are waiting. */
bool machine_key(struct machine *machine, unsigned code, bool down);
bool machine_mouse(struct machine *machine, int dx, int dy, int dz, unsigned buttons);
/* The power button is pressed, likewise: the guest hears of it by ACPI. */
bool machine_power_button(struct machine *machine);
/* Runs to the end; returns the exit status. Prints the reason on stderr where it is not the guest's own wish. */
int machine_run(struct machine *machine);

/* control.c: cpus_run() returns at the next boundary; and nothing runs after that. The first status counts. */
void machine_leave(struct machine *machine);
void machine_end(struct machine *machine, int status);
/* Fills in machine->control. */
void machine_make_control(struct machine *machine);

/* What the host wants, not the guest: ends the run at the next boundary. */
void machine_stop(struct machine *machine, int status);

/* Software has come to the reset vector, where there is no firmware: at the next boundary the machine does its part. */
void machine_call_firmware(struct machine *machine);
/* reset_vector.c: its page as ROM; the copy in RAM below 1 MiB, interrupt vectors and BIOS data area, at each boot. */
void reset_vector_map(struct machine *machine);
void reset_vector_copy(struct machine *machine);
/* Sends processor 0 where the shutdown byte says; false if it says nothing. */
bool reset_vector_jump(struct machine *machine);

/* The whole machine: RAM, processors, devices, back ends. */
void machine_state(struct machine *machine, struct state *s);
u64 machine_hash(struct machine *machine);
void machine_hash_sections(struct machine *machine, void (*tell)(void *listener, const char *name, u64 hash), void *listener);
/* Snapshot files. Return NULL, or what is wrong (heap); after a failed load the machine can only be freed. */
char *machine_save(struct machine *machine, const char *path);
char *machine_load(struct machine *machine, const char *path);

/*
 * boot_state.c: processor 0 as the boot protocol wants it, all processors as firmware leaves them. After cpus_reset().
 */
void machine_apply_boot_state(struct cpus *cpus, const struct boot_state *boot);
/* What a person does, from a display: through the door. */
void machine_user_key(struct machine *machine, unsigned code, bool down);
void machine_user_mouse(struct machine *machine, int dx, int dy, int dz, unsigned buttons);
void machine_closed(struct machine *machine);
/* window.c. Returns NULL, or what is wrong (heap). */
char *machine_open_display(struct machine *machine);
void machine_close_display(struct machine *machine);
/* bootable.c. NULL, or what is missing (heap). */
char *machine_check_bootable(const struct machine *machine);
/* stats.c */
void machine_write_stats(struct machine *machine, FILE *out);
u64 host_nanoseconds(void);

#endif
