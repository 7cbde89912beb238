/*
 * The debugger: a shell, a gdb stub and a tracer over one machine. It hangs on cpu/hooks.h and changes nothing of the machine unless a
 * command says so. docs/DEBUGGER.md is the tutorial.
 */
#ifndef NB_DEBUGGER_DEBUGGER_H
#define NB_DEBUGGER_DEBUGGER_H

#include "base/types.h"

struct cpus;
struct debugger;
struct e1000;
struct input;
struct ioapic;
struct pci_bus;
struct pic;

/* What the debugger asks of the machine that it lives in. */
struct debugger_host {
	void *opaque;
	/* Runs until hooks_stop() or the machine's end; false when it has ended. */
	bool (*run)(void *opaque);
	void (*quit)(void *opaque, int status);
	void (*reset)(void *opaque);
	u64 (*hash)(void *opaque);
	/* What `info` shows of the board; each may be NULL. */
	struct pic *pic;
	struct ioapic *ioapic;
	struct pci_bus *pci;
	struct e1000 **nic;
	unsigned nics;
};

struct debugger *debugger_new(struct cpus *cpus, struct input *input, const struct debugger_host *host);
void debugger_free(struct debugger *d);

/* Listens for gdb at [HOST:]PORT. Returns NULL, or what is wrong (heap). */
char *debugger_listen(struct debugger *d, const char *where);
/* Traces what `spec` names to `path`, or to standard error if NULL. */
char *debugger_trace(struct debugger *d, const char *spec, const char *path);
/* Commands to execute first. */
void debugger_command(struct debugger *d, const char *command);

/* The shell, until `quit` or the end of input; runs the machine as it is told. */
void debugger_shell(struct debugger *d);
/* No shell: runs the machine, and obeys gdb whenever it is connected. */
void debugger_serve(struct debugger *d, bool start_stopped);

/* Ctrl-C: stop the machine. From an event or between instructions. */
void debugger_interrupt(struct debugger *d);

#endif
