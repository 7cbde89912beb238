/* What a device may ask of the machine: reset, power off, exit. machine/ fills it in and acts on it between instructions. */
#ifndef NB_BUS_MACHINE_CONTROL_H
#define NB_BUS_MACHINE_CONTROL_H

#include "base/types.h"

struct machine_control {
	/* Hard reset of the whole machine (port 0xcf9, i8042, triple fault on request...). */
	void (*reset)(void *opaque, const char *who);
	/* Processor INIT only (port 0x92 bit 0, i8042 pulse, 0xcf9 soft). */
	void (*init)(void *opaque, const char *who);
	/* The A20 gate (port 0x92, i8042): closed, processors drive bit 20 of every physical address low. */
	void (*a20)(void *opaque, bool open);
	/* IGNNE# of the processors: with CR0.NE clear, waiting x87 instructions go on over a pending exception. */
	void (*ignne)(void *opaque, bool active);
	/* SMI#: a system management interrupt for the processor that is executing. */
	void (*smi)(void *opaque);
	/* ACPI S5 and the like: exit status 0. */
	void (*power_off)(void *opaque, const char *who);
	/* ACPI S3: processors stop until `wake`. */
	void (*suspend)(void *opaque, const char *who);
	void (*wake)(void *opaque, const char *who);
	/* isa-debug-exit and the like: end with exactly this process exit status. */
	void (*exit)(void *opaque, int status);
	void *opaque;
};

#endif
