/*
 * The machine: memory, processors, board and host ends, made from a configuration; run until something ends it.
 */
#ifndef NB_MACHINE_MACHINE_H
#define NB_MACHINE_MACHINE_H

#include "base/types.h"
#include "bus/irq.h"
#include "bus/machine_control.h"
#include "cpu/cpuid.h"

struct config;
struct cpus;
struct events;
struct input;
struct memory;
struct pc;
struct ports;
struct state;

/* The process's exit statuses; the man page's EXIT STATUS says the same. */
enum exit_status { EXIT_GOOD = 0, EXIT_BAD = 1, EXIT_TRIPLE_FAULT = 2, EXIT_LIMIT = 3, EXIT_NOT_MODELLED = 4 };

struct machine;

/* Everything is made and checked; nothing has run. Returns NULL and sets *error (heap). */
struct machine *machine_new(const struct config *config, char **error);
void machine_free(struct machine *machine);
/* Runs to the end; returns the exit status. Prints the reason on stderr where it is not the guest's own wish. */
int machine_run(struct machine *machine);

/* The whole machine: RAM, processors, devices. */
void machine_state(struct machine *machine, struct state *s);
u64 machine_hash(struct machine *machine);

#endif
