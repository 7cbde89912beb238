/*
 * How chips and processors reach the machine as a whole: reset, INIT, A20, SMI, power off, suspend. What ends cpus_run() sets a field, and the
 * run returns at the next boundary.
 */
#include <stdio.h>

#include "base/log.h"
#include "cpu/vcpu.h"
#include "machine/machine.h"

LOG_CATEGORY("machine");

void
machine_leave(struct machine *machine)
{
	machine->cpus->stop = true;
	/* Set in the middle of an instruction: the block must not go on behind it. */
	if (machine->cpus->running)
		machine->cpus->running->exit_request = 1;
}

void
machine_end(struct machine *machine, int status)
{
	if (!machine->ended)
		machine->status = status;
	machine->ended = true;
	machine_leave(machine);
}

void
machine_stop(struct machine *machine, int status)
{
	machine->ended_by_host |= !machine->ended;
	machine_end(machine, status);
}

static void
control_reset(void *opaque, const char *who)
{
	struct machine *machine = opaque;

	(void)who;
	machine->reset_wanted = true;
	machine_leave(machine);
}

static void
control_init(void *opaque, const char *who)
{
	struct machine *machine = opaque;

	(void)who;
	cpu_request(machine->cpus->cpu[0], PEND_INIT);
}

static void
control_a20(void *opaque, bool open)
{
	struct machine *machine = opaque;

	cpus_set_a20(machine->cpus, open);
}

static void
control_ignne(void *opaque, bool active)
{
	struct machine *machine = opaque;

	machine->cpus->ignne = active;
}

static void
control_smi(void *opaque)
{
	struct machine *machine = opaque;
	struct cpus *cpus = machine->cpus;

	cpu_request(cpus->running ? cpus->running : cpus->cpu[0], PEND_SMI);
}

void
machine_call_firmware(struct machine *machine)
{
	machine->firmware_wanted = true;
	machine_leave(machine);
}

static void
control_power_off(void *opaque, const char *who)
{
	struct machine *machine = opaque;

	(void)who;
	/* Whoever waits for a text has not seen it. */
	if (machine->config->expect && !machine->ended)
		fprintf(stderr, "nestbox: the guest powered off without printing '%s'\n", machine->config->expect);
	machine->off = true;
	machine_end(machine, machine->config->expect ? EXIT_LIMIT : EXIT_GOOD);
}

/*
 * ACPI S3: the processors lose power, RAM and clocks go on. The chips keep their state too, which the specification allows; a guest that sets
 * them up again finds nothing odd.
 */
static void
control_suspend(void *opaque, const char *who)
{
	struct machine *machine = opaque;

	log_info("suspended by %s", who);
	for (unsigned i = 0; i < machine->cpus->count; i++) {
		machine->cpus->cpu[i]->activity = ACTIVITY_SHUTDOWN;
		machine->cpus->cpu[i]->pending = 0;
		machine->cpus->cpu[i]->exit_request = 1;
	}
}

static void
control_wake(void *opaque, const char *who)
{
	struct machine *machine = opaque;

	log_info("woken by %s", who);
	machine->wake_wanted = true;
	machine_leave(machine);
}

static void
control_exit(void *opaque, int status)
{
	machine_end(opaque, status);
}

void
machine_make_control(struct machine *machine)
{
	machine->control = (struct machine_control){
		control_reset, control_init, control_a20, control_ignne, control_smi, control_power_off,
		control_suspend, control_wake, control_exit, machine};
}
