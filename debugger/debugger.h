/*
 * The debugger: a shell, a gdb stub and a tracer over one machine. It hangs on cpu/hooks.h and changes nothing of the machine unless a
 * command says so. docs/DEBUGGER.md is the tutorial.
 */
#ifndef NB_DEBUGGER_DEBUGGER_H
#define NB_DEBUGGER_DEBUGGER_H

#include "base/types.h"

struct cpus;
struct display;
struct debugger;
struct e1000;
struct input;
struct ioapic;
struct pci_bus;
struct pic;
struct state;

/* Instruction of the oldest moment, bytes, moments; 0 moments: there is no going back. */
struct debugger_history {
	u64 oldest, size;
	unsigned count;
	const char *disk; /* why there is none: the image that is written to; or NULL */
};

/* What the debugger asks of the machine that it lives in. */
struct debugger_host {
	void *opaque;
	/* Runs until hooks_stop() or the machine's end; false when it has ended. */
	bool (*run)(void *opaque);
	void (*quit)(void *opaque, int status);
	void (*reset)(void *opaque);
	u64 (*hash)(void *opaque);
	/* The screen as a file; returns NULL, or what is wrong (heap). NULL: there is no screen. */
	char *(*screenshot)(void *opaque, const char *path);
	/* Keys as gui/keymap.h has combinations, the power button: from outside, when the machine next looks there. NULL, or what is wrong (heap). */
	char *(*send_keys)(void *opaque, const char *combination);
	char *(*power_button)(void *opaque);
	const struct display *display;
	/*
	 * Going back; each may be NULL. back: to a moment before instruction `icount` of all processors together, false when there is none; what
	 * came from outside since then comes again. written: the end of the newest stretch before instruction `icount` in which RAM at
	 * [first, last] may have been written, 0: none. mark: this is a moment to go back to. changed: the user has changed the machine.
	 */
	bool (*back)(void *opaque, u64 icount);
	u64 (*written)(void *opaque, u64 icount, u64 first, u64 last);
	void (*mark)(void *opaque);
	void (*changed)(void *opaque);
	void (*history)(void *opaque, struct debugger_history *out);
	/* Was there a Ctrl-C since it was last asked? May be NULL. */
	bool (*interrupted)(void *opaque);
	/* What `info` shows of the board; each may be NULL. */
	struct pic *pic;
	struct ioapic *ioapic;
	struct pci_bus *pci;
	struct e1000 **nic;
	unsigned nics;
};

struct debugger *debugger_new(struct cpus *cpus, struct input *input, const struct debugger_host *host);
void debugger_free(struct debugger *d);
/* Has something stopped the machine, since it was last told to run? */
bool debugger_stopped(const struct debugger *d);
/* What it has seen happen, for checkpoints: after going back, it has seen less. */
void debugger_state(struct debugger *d, struct state *s);

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

/* --- embed.c: for programs instead of people: scenarios --- */

/* What the event under way is about: the names that conditions know. */
struct happening {
	u64 value, old, address, port, vector, size, gpa, qualification, reason, error;
	bool write;
	const u8 *data; /* a packet's `size` bytes */
};

enum debugger_end { DEBUGGER_STOPPED, DEBUGGER_BREAKPOINT, DEBUGGER_INTERRUPTED, DEBUGGER_ENDED };
struct vcpu;

/* Runs until a breakpoint, debugger_stop() or the machine's end. *text: where it stopped, in words, until the next run. */
enum debugger_end debugger_run(struct debugger *d, const char **text);
/* From an event, a probe or between instructions: debugger_run() returns at the next boundary. */
void debugger_stop(struct debugger *d);
/* Executes a command line; returns what it prints (heap). *failed: it complained. */
char *debugger_execute(struct debugger *d, const char *line, bool *failed);
/* Is there a command of exactly this name? */
bool debugger_is_command(const char *name);
struct vcpu *debugger_selected(const struct debugger *d);

/* On failure return false; *error, where there is one, is a static text. `kind`: "linear", "gpa" or "phys". */
bool debugger_evaluate(struct debugger *d, struct vcpu *cpu, const char *text, u64 *value, const char **error);
bool debugger_register(struct debugger *d, struct vcpu *cpu, const char *name, u64 *value);
const char *debugger_register_name(unsigned index); /* NULL after the last */
bool debugger_peek(struct debugger *d, struct vcpu *cpu, const char *kind, u64 address, void *data, unsigned size);
bool debugger_poke(struct debugger *d, struct vcpu *cpu, const char *kind, u64 address, const void *data, unsigned size);
bool debugger_address_kind(const char *kind);

/*
 * A breakpoint that does not stop but tells. `what` is as after the command break, or "watch ...", "rwatch ...", "awatch ...". `hit` is called
 * in the middle of things: it may look, and call debugger_stop(). Returns NULL and sets *error (heap) if `what` makes no sense.
 */
struct breakpoint *debugger_probe(struct debugger *d, const char *what, void (*hit)(void *opaque, struct vcpu *cpu), void *opaque, char **error);
/* It tells no more. Also from `hit`. */
void debugger_probe_silence(struct debugger *d, struct breakpoint *probe);
/* It is no more. Not from `hit`. */
void debugger_probe_end(struct debugger *d, struct breakpoint *probe);
const struct happening *debugger_happening(const struct debugger *d);

/* The machine tells of what the processor's hooks do not see: "mmio" (a card's register was accessed), "packet" (write: the card sent it). */
void debugger_mmio(struct debugger *d, unsigned card, u32 offset, unsigned size, bool write, u64 value);
void debugger_packet(struct debugger *d, unsigned card, bool write, const u8 *data, size_t size);

/* Ctrl-C: stop the machine. From an event or between instructions. */
void debugger_interrupt(struct debugger *d);

#endif
