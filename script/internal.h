/* Between the files of script/. */
#ifndef NB_SCRIPT_INTERNAL_H
#define NB_SCRIPT_INTERNAL_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "base/events.h"
#include "base/types.h"
#include "machine/config.h"
#include "machine/machine.h"
#include "script/script.h"

struct breakpoint;
struct subject;
struct vcpu;

#define SUBJECT "nestbox.machine" /* metatables */
#define PROBE "nestbox.probe"

struct scenario {
	const struct config *config;
	lua_State *lua;
	struct subject *subjects; /* all that are open */
	struct subject *closed;   /* Lua's objects may outlive machines, and must find out */
	unsigned machines;        /* made so far */
	u64 instructions;         /* budget, 0: none; over all machines */
	u64 spent;                /* of machines that are closed */
	double seconds;           /* budget of host time */
};

/* All that a serial port has printed: for expectations, serial() and the log of a failure. */
struct serial_log {
	struct subject *subject;
	char *text;
	size_t size, room;
	u64 forgotten; /* bytes before text[0], when there were too many */
	size_t seen;   /* an expectation has been met up to here */
	bool watched;  /* there is such a port */
};

/* A text that run() waits for. */
struct wanted {
	unsigned port;
	char *text;
	size_t size;
};

enum end_why {
	END_NONE, END_SERIAL, END_EXITS, END_PROBE, END_INSTRUCTIONS, END_TIME, END_BREAKPOINT, END_OFF, END_TRIPLE_FAULT, END_STATUS,
	END_INTERRUPTED, END_BUDGET
};

/* A machine under test: Lua's userdata holds a pointer to one. */
struct subject {
	struct scenario *scenario;
	struct machine *machine; /* NULL: closed */
	struct config *config;
	unsigned number;  /* of the scenario's machines */
	char *capsule;    /* file, heap: the run is recorded for what a failure leaves */
	struct subject *next;
	struct serial_log serial[CONFIG_SERIALS];
	struct probe *probes;

	/* The run under way, and on whose behalf. */
	lua_State *lua;
	bool running;
	int callback_error; /* a reference to what a callback raised, or LUA_NOREF */
	enum end_why why;
	char *detail; /* heap */
	struct wanted *wanted;
	unsigned wanteds;
	struct event instructions, time;
	u64 instructions_end;
	bool budget_first; /* the instruction limit is the scenario's, not run()'s */
};

/* --- subject.c --- */
void subject_register(lua_State *L);
struct subject *subject_check(lua_State *L, int index);
/* The same, and it is not running: for all that changes something. */
struct subject *subject_check_idle(lua_State *L, int index);
/* The processor that argument `index` names; absent: the selected one. */
struct vcpu *subject_cpu(lua_State *L, struct subject *s, int index);
/* The serial port that argument `index` names; absent: the first. */
unsigned subject_port(lua_State *L, struct subject *s, int index);
/* The first of the reasons to stop counts. `detail` may be NULL. From within a run. */
void subject_stop(struct subject *s, enum end_why why, const char *detail);
/* Reports that the machine's options ask for, and its end. */
void subject_close(struct subject *s);
u64 scenario_instructions(const struct scenario *scenario);

/* --- run.c --- */
void run_register(lua_State *L);
void run_watch_serial(struct subject *s);
/* Raises an error if the time is over or the user has had enough. */
void run_check(lua_State *L, struct subject *s);

/* --- look.c --- */
void look_register(lua_State *L);
void look_push_stats(lua_State *L, struct subject *s);

/* --- keys.c --- */
int keys_of_text(lua_State *L);
int keys_of_combination(lua_State *L);
int keys_event(lua_State *L);

/* --- probe.c --- */
void probe_register(lua_State *L);
void probes_free(struct subject *s);
/* run() is to stop after `count` happenings of `what`. */
void probe_countdown(lua_State *L, struct subject *s, const char *what, u64 count);
void probes_end_countdowns(struct subject *s);

/* --- artifacts.c --- */
/* A machine is about to be made: its run is to be recorded, if it can be. */
void artifacts_prepare(struct subject *s);
/* The scenario has passed: what was prepared goes. */
void artifacts_drop(struct scenario *scenario);
void artifacts_write(struct scenario *scenario, const char *folder, const char *message);

#endif
