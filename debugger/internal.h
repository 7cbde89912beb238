/* Between the files of debugger/. */
#ifndef NB_DEBUGGER_INTERNAL_H
#define NB_DEBUGGER_INTERNAL_H

#include <stdio.h>

#include "base/events.h"
#include "base/stop.h"
#include "bus/memory.h"
#include "cpu/access.h"
#include "cpu/hooks.h"
#include "cpu/vcpu.h"
#include "debugger/debugger.h"
#include "vmx/vmx.h"

typedef unsigned long long ull; /* for printf */

#define EXITS 4096 /* remembered for `exits` */
#define HISTORY_OF_VMCS 2

/* --- what happened --- */

enum stop_kind { STOP_NONE, STOP_STEP, STOP_BREAKPOINT, STOP_WATCH, STOP_INTERRUPT, STOP_UNTIL, STOP_TRIPLE_FAULT };

/* One VM exit, or failed entry. */
struct exit_record {
	u64 time, icount, rip, qualification, gpa, gla, eptp, cr3, rsp;
	u64 r[16]; /* the guest's general registers */
	u64 guest_cycles, host_cycles; /* host_cycles: until the next entry; 0 while there was none */
	u32 reason, interruption_info, interruption_error, vectoring_info, length;
	u16 vpid;
	u8 cpu;
	bool failed;
	const char *because;
};

struct reason_statistics {
	u64 count, guest_sum, guest_min, guest_max, host_count, host_sum, host_min, host_max;
};

/* The last VMWRITE of each field. */
struct vmwrite_record {
	bool known;
	u64 value, rip, icount, region;
	u8 cpu;
};

/* --- breakpoints --- */

enum break_kind {
	BREAK_EXECUTE, BREAK_ACCESS, BREAK_EXIT, BREAK_ENTRY, BREAK_ENTRY_FAIL, BREAK_VMWRITE, BREAK_INJECT, BREAK_IO, BREAK_MSR, BREAK_CR,
	BREAK_EXCEPTION, BREAK_INTERRUPT, BREAK_TRIPLE, BREAK_ABORT, BREAK_MMIO, BREAK_PACKET, BREAK_MODE,
	BREAK_WRITTEN /* by whomever: who-wrote */
};
/* ADDRESS_GUEST: linear in the guest of the current VMCS, wherever the processor is. ADDRESS_VIRTUAL: a selector and an offset. */
enum address_kind { ADDRESS_LINEAR, ADDRESS_GUEST_PHYSICAL, ADDRESS_PHYSICAL, ADDRESS_GUEST, ADDRESS_VIRTUAL };

/* A stack pointer that is further up than this belongs to another stack: a thread switch, not a return. */
#define FRAME_REACH 0x4000

struct breakpoint {
	unsigned number; /* 0: internal, gdb's */
	enum break_kind kind;
	enum address_kind address;
	u64 first, last; /* addresses, or reasons, vectors, ports...; 0..~0: any */
	u64 linear;      /* of ADDRESS_VIRTUAL, when it was set; first is the offset */
	u16 selector;
	bool any, disabled, temporary, gdb, hardware; /* hardware: gdb's word for it */
	bool on_read, on_write;
	u64 least_rsp; /* of temporary ones of `next`: only in this frame or further out; 0: none */
	struct vcpu *only_cpu;
	int only_level; /* 0: any */
	char *condition, *commands;
	u64 hits, ignore;
	void (*hit)(void *opaque, struct vcpu *cpu); /* of a probe: told, does not stop */
	void *opaque;
	struct breakpoint *next;
};

enum back_mode { BACK_NOT, BACK_QUIET, BACK_COUNT, BACK_SEEK };

struct debugger {
	struct cpus *cpus;
	struct input *input;
	struct debugger_host host;
	struct hooks hooks;
	struct vcpu *cpu; /* the selected one */
	FILE *out;
	bool ended;
	bool quit;
	bool intel_off; /* AT&T syntax */
	bool command_failed;

	/* execution */
	struct {
		const struct vcpu *cpu;
		u64 icount, rip;
	} pass; /* where the machine was resumed: not to be announced again */
	struct vcpu *step_cpu;
	u64 steps;
	bool finishing, finish_return;
	u64 finish_rsp;
	int step_level; /* steps are counted there only; 0: everywhere */
	bool step_only; /* and where `only level` and `only vpid` allow */
	struct event until;
	enum stop_kind stop;
	const struct breakpoint *stop_at;
	u64 stop_address;
	bool stop_write;
	char stop_text[256];

	struct breakpoint *breakpoints;
	unsigned last_number;
	bool code_changed, watches_changed;
	unsigned events_wanted; /* set of break_kind */
	int only_level, only_vpid, only_cpu; /* -1: all */
	struct happening happening;

	/* going back: reverse.c */
	u64 moments, furthest; /* events told by hooks; furthest: before it went back */
	bool again;            /* the last one was told before */
	bool at_beginning;
	bool changed; /* by the user, since it ran: running again from before would not come here */
	struct {
		enum back_mode mode;
		u64 icount, moments, time; /* where to */
		struct event come;         /* no instruction need follow there */
		bool came;
		bool stepping, reached;
		const struct breakpoint *only; /* the breakpoint that counts; NULL: all */
		u64 region;                    /* the VMCS that counts; 0: all */
		u64 hits, wanted;
		struct vcpu *cpu, *before; /* whose instructions are counted; before whose the machine stands */
		u64 announced, wanted_instruction;
		char instruction[300];
		struct {
			u64 physical, size, at, old; /* at: of the `shown` bytes that `old` has */
			unsigned shown;
			const char *writer; /* NULL: an instruction */
		} write;
		struct hook_access store; /* the last one that hooks told of */
		u64 exits;
	} back;

	/* VMX */
	struct exit_record *exit; /* ring */
	u64 exits;                /* ever */
	struct reason_statistics reason[VMX_REASONS];
	struct {
		u64 entered, exited;
		bool in_guest;
		unsigned mode; /* as last told to on_mode() */
		u64 last_exit; /* number of the exit whose host time runs */
		struct vmcs vmcs[HISTORY_OF_VMCS];
		u64 region[HISTORY_OF_VMCS];
		unsigned vmcss;
	} *vcpu;
	struct vmwrite_record *vmwritten; /* by the field's number in vmcs_fields.def */
	char refused_rule[200];

	/* shell */
	char **queue;
	unsigned queued, queue_at;
	char *last_line;
	unsigned depth; /* of source and command lists */
	u64 dump_next;
	char dump_format, dump_size;
	enum address_kind dump_kind;

	struct symbols *symbols;
	struct trace *trace;
	struct gdb *gdb;
};

/* --- console.c --- */
void say(struct debugger *d, const char *format, ...) PRINTF(2, 3);
/* An error of the command under way. */
void complain(struct debugger *d, const char *format, ...) PRINTF(2, 3);
void execute_line(struct debugger *d, const char *line);
void execute_lines(struct debugger *d, const char *lines); /* separated by ';' */
/* Heap: what the command prints. */
char *capture_line(struct debugger *d, const char *line);

/* --- command.c --- */
struct command {
	const char *name, *alias, *arguments, *help, *example;
	void (*run)(struct debugger *d, const char *arguments);
	unsigned flags;
};
enum command_flags {
	REPEATS = 1, /* an empty line does it again */
	RUNS = 2,    /* may let the machine run: no pager, not for gdb's monitor */
	FILES = 4,   /* its first argument is a file */
	COMMANDS = 8, /* a command */
	SUBJECTS = 16, /* what `info` knows */
	EVENTS = 32, /* an event, or something else */
};
const struct command *command_at(unsigned index); /* NULL after the last */
const struct command *command_find(const char *name, size_t length);
/* The first word of *at, copied (cut to fit); *at moves behind it and the blanks after it. False at the end. */
bool next_word(const char **at, char *word, size_t size);

/* --- expression.c --- */
/* On error returns false and *error is a static text. *at moves behind what was read. */
bool evaluate(struct debugger *d, const char **at, u64 *value, const char **error);
/* The whole text. Complains. */
bool number_argument(struct debugger *d, const char *text, u64 *value);
/* ADDR, ADDR..ADDR or ADDR,LENGTH at *at. Complains. */
bool range_argument(struct debugger *d, const char **at, u64 *first, u64 *last);
/* What stands behind ADDR, if anything does; else *last stays. */
bool range_rest(struct debugger *d, const char **at, u64 first, u64 *last);
bool register_read(struct debugger *d, struct vcpu *cpu, const char *name, u64 *value);
const char *register_name_at(unsigned index);
int level_of(const struct vcpu *cpu);

/* --- run.c --- */
u64 linear_rip(const struct vcpu *cpu);
bool d_run(struct debugger *d); /* until something stops it; false when the machine ended */
void d_stop(struct debugger *d, struct vcpu *cpu, enum stop_kind kind, const char *format, ...) PRINTF(4, 5);
bool on_instruction(void *opaque, struct vcpu *cpu);
void where_am_i(struct debugger *d);
void command_continue(struct debugger *d, const char *arguments);
void command_step(struct debugger *d, const char *arguments);
void command_next(struct debugger *d, const char *arguments);
void command_finish(struct debugger *d, const char *arguments);
void command_until(struct debugger *d, const char *arguments);
void command_cpu(struct debugger *d, const char *arguments);

/* --- breakpoint.c --- */
void breakpoints_init(struct debugger *d);
const char *break_event_at(unsigned index); /* what `break` can be told by name; NULL after the last */
struct breakpoint *breakpoint_add(struct debugger *d, struct breakpoint b);
void breakpoint_delete(struct debugger *d, struct breakpoint *b);
void breakpoints_apply(struct debugger *d);
/* Does `only level` or `only vpid` keep breakpoints from stopping the processor where it is? */
bool breakpoints_elsewhere(const struct debugger *d, const struct vcpu *cpu);
bool breakpoints_at(struct debugger *d, struct vcpu *cpu, u64 linear);
/* Reads what stands after "break"; on failure complains. */
bool breakpoint_parse(struct debugger *d, const char *arguments, struct breakpoint *b);
/* The same for watch, rwatch and awatch. */
bool watchpoint_parse(struct debugger *d, const char *arguments, bool read, bool write, struct breakpoint *b);
void breakpoint_able(struct debugger *d, struct breakpoint *b, bool on);
/* An event of `kind` with the number `number` happened: stops if a breakpoint says so. */
void breakpoints_event(struct debugger *d, struct vcpu *cpu, enum break_kind kind, u64 number, const char *format, ...) PRINTF(5, 6);
unsigned processor_mode(const struct vcpu *cpu);
const char *processor_mode_name(const struct vcpu *cpu);
void command_break(struct debugger *d, const char *arguments);
void command_tbreak(struct debugger *d, const char *arguments);
void command_watch(struct debugger *d, const char *arguments);
void command_rwatch(struct debugger *d, const char *arguments);
void command_awatch(struct debugger *d, const char *arguments);
void command_delete(struct debugger *d, const char *arguments);
void command_enable(struct debugger *d, const char *arguments);
void command_disable(struct debugger *d, const char *arguments);
void command_ignore(struct debugger *d, const char *arguments);
void command_condition(struct debugger *d, const char *arguments);
void command_commands(struct debugger *d, const char *arguments);
void command_only(struct debugger *d, const char *arguments);
void info_breakpoints(struct debugger *d, const char *arguments);

/* --- reverse.c --- */
/* A hook tells of something, whoever listens: called first. */
void reverse_moment(struct debugger *d, struct vcpu *cpu);
/* While running again: on_instruction() and what breakpoints do. */
bool reverse_instruction(struct debugger *d, struct vcpu *cpu, u64 linear);
bool reverse_passes(struct debugger *d, struct vcpu *cpu, const struct breakpoint *b);
/* If the user has changed the machine's state, what was before is no longer its past. Before it runs. */
void reverse_changed(struct debugger *d);
/* d->at_beginning: it was not that far back. */
void reverse_step(struct debugger *d, struct vcpu *cpu, u64 count);
void reverse_continue(struct debugger *d);
void command_reverse_step(struct debugger *d, const char *arguments);
void command_reverse_continue(struct debugger *d, const char *arguments);
void command_reverse_to(struct debugger *d, const char *arguments);
void command_who_wrote(struct debugger *d, const char *arguments);
void info_history(struct debugger *d, const char *arguments);

/* --- inspect.c --- */
bool d_peek(struct debugger *d, struct vcpu *cpu, enum address_kind kind, u64 address, void *data, unsigned size);
bool d_poke(struct debugger *d, struct vcpu *cpu, enum address_kind kind, u64 address, const void *data, unsigned size);
const char *address_kind_name(enum address_kind kind);
/* "linear", "gpa", "phys", "guest" or "virtual" at *at, if more follows; else linear. */
enum address_kind address_kind(const char **at);
/* The number of an MSR: by its name, in any case, with or without IA32_ or MSR_. */
bool msr_of_name(const char *word, u64 *address);
/* SELECTOR:OFFSET at *at. Complains. */
bool virtual_argument(struct debugger *d, const char **at, u16 *selector, u64 *offset, u64 *linear);
/* KIND ADDR, the whole text; SELECTOR:OFFSET becomes linear. *kind: what it is if the text names none. Complains. */
bool address_argument(struct debugger *d, const char *at, enum address_kind *kind, u64 *address);
void command_regs(struct debugger *d, const char *arguments);
void command_x(struct debugger *d, const char *arguments);
void command_set(struct debugger *d, const char *arguments);
void command_print(struct debugger *d, const char *arguments);
void command_search(struct debugger *d, const char *arguments);
void command_disasm(struct debugger *d, const char *arguments);
void command_msr(struct debugger *d, const char *arguments);
void info_gdt(struct debugger *d, const char *arguments);
void info_idt(struct debugger *d, const char *arguments);
void info_tss(struct debugger *d, const char *arguments);
void info_tlb(struct debugger *d, const char *arguments);
void info_cpus(struct debugger *d, const char *arguments);
void info_lapic(struct debugger *d, const char *arguments);
void info_memory(struct debugger *d, const char *arguments);

/* --- memory_type.c --- */
void info_mtrr(struct debugger *d, const char *arguments);

/* --- devices.c --- */
void info_pic(struct debugger *d, const char *arguments);
void info_ioapic(struct debugger *d, const char *arguments);
void info_pci(struct debugger *d, const char *arguments);
void info_e1000(struct debugger *d, const char *arguments);
void info_screen(struct debugger *d, const char *arguments);
void screenshot(struct debugger *d, const char *arguments);

/* --- disasm.c --- */
/* One instruction as text; returns its length, 0 when the bytes are none. *call: does it call or repeat, so that `next` steps over it? */
unsigned disassemble(struct debugger *d, const struct vcpu *cpu, unsigned bits, u64 address, const u8 *bytes, unsigned size, char *text,
		     size_t room, bool *call);
/* Of the processor's code segment, or with ADDRESS_GUEST of the guest's: 16, 32 or 64. */
unsigned code_bits(const struct vcpu *cpu, enum address_kind kind);
void print_instruction(struct debugger *d, struct vcpu *cpu, enum address_kind kind, u64 address, unsigned *length);

/* --- vmx_events.c --- */
void vmx_events_init(struct debugger *d);
void vmx_events_free(struct debugger *d);
const struct exit_record *exit_number(const struct debugger *d, u64 number); /* NULL: forgotten, or not yet */
const char *reason_text(u32 reason);

/* --- qualification.c --- */
/* The exit's qualification, interruption information and addresses in words. */
void describe_exit(const struct exit_record *e, char *text, size_t room);
/* The values that a broken rule of VM entry was decided by, "name = value, ...". */
void describe_rule_values(const struct vmx_broken_rule *broken, char *text, size_t size);
/* "#PF", or NULL. */
const char *exception_name(unsigned vector);
void describe_event(u32 info, u32 error, char *text, size_t room);

/* --- vmx_show.c --- */
void info_vmcs(struct debugger *d, const char *arguments);
void info_exits(struct debugger *d, const char *arguments);
void command_exits(struct debugger *d, const char *arguments);
void command_why(struct debugger *d, const char *arguments);
void command_vmcs(struct debugger *d, const char *arguments);

/* --- walk.c --- */
/* By the EPT of the current VMCS, if it has one; else the address itself. */
bool guest_physical_lookup(struct debugger *d, u64 gpa, u64 *physical);
/* A linear address of the guest of the current VMCS, in it or not. gpa may be NULL. */
bool guest_linear_lookup(struct debugger *d, u64 linear, u64 *gpa, u64 *physical);
void command_walk(struct debugger *d, const char *arguments);
void command_ept(struct debugger *d, const char *arguments);

/* --- ranges.c --- */
void info_pages(struct debugger *d, const char *arguments);

/* --- symbols.c --- */
void symbols_free(struct debugger *d);
/* "<name+0x12>" or "". */
const char *symbol_text(struct debugger *d, struct vcpu *cpu, u64 linear, char *text, size_t room);
/* Of an address space: the level, and CR3 and EPTP where they matter (0: unknown). */
struct space {
	int level; /* of a table: -1 for any */
	u64 cr3, eptp;
};
struct space space_of(const struct vcpu *cpu);
const char *symbol_text_in(struct debugger *d, const struct space *space, u64 linear, char *text, size_t room);
bool symbol_value(struct debugger *d, const char *name, u64 *value);
const char *symbol_name_at(struct debugger *d, unsigned index);
void command_symbols(struct debugger *d, const char *arguments);

/* --- unwind.c --- */
/* By unwind tables: where the selected processor's function returns to, and RSP then. */
bool frame_return(struct debugger *d, u64 *rip, u64 *rsp);
void command_backtrace(struct debugger *d, const char *arguments);

/* --- trace.c --- */
enum trace_kind {
	TRACE_EXITS = 1, TRACE_ENTRIES = 2, TRACE_ENTRY_FAIL = 4, TRACE_INJECT = 8, TRACE_VMWRITE = 16, TRACE_INTERRUPTS = 32,
	TRACE_EXCEPTIONS = 64, TRACE_IO = 128, TRACE_MSR = 256, TRACE_CR = 512, TRACE_PACKETS = 1024
};
void trace_exit(struct debugger *d, struct vcpu *cpu, const struct exit_record *e);
/* `before`: the processor's last exit, or NULL. */
void trace_entry(struct debugger *d, struct vcpu *cpu, const struct exit_record *before);
void trace_other(struct debugger *d, struct vcpu *cpu, enum trace_kind kind, const char *name, const char *format, ...) PRINTF(5, 6);
void trace_inject(struct debugger *d, struct vcpu *cpu, const struct event_info *event);
void trace_packet(struct debugger *d, unsigned card, bool sent, const u8 *data, size_t size);
bool trace_wants(const struct debugger *d, enum trace_kind kind);
void trace_free(struct debugger *d);
void command_trace(struct debugger *d, const char *arguments);

/* --- gdb.c --- */
/* A client is there: obeys it until it lets the machine run, detaches or is gone. Returns false then if it is gone or detached. */
bool gdb_session(struct debugger *d);
bool gdb_connected(const struct debugger *d);
/* Drops the breakpoints of a client that is gone. */
void gdb_forget(struct debugger *d);
void gdb_free(struct debugger *d);

#endif
