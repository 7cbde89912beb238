/* The command table: one row each. Names with a blank are found by their words' beginnings, as the others by theirs. */
#include <stdlib.h>
#include <string.h>

#include "bus/input.h"
#include "debugger/internal.h"

static void command_help(struct debugger *d, const char *arguments);
static void command_info(struct debugger *d, const char *arguments);

static void
command_source(struct debugger *d, const char *arguments)
{
	/* execute_line() does it. */
	(void)d;
	(void)arguments;
}

static void
command_quit(struct debugger *d, const char *arguments)
{
	u64 status = 0;

	if (*arguments && !number_argument(d, arguments, &status))
		return;
	d->quit = true;
	if (!d->ended)
		d->host.quit(d->host.opaque, (int)(status & 0xff));
	d->ended = true;
}

static void
command_reset(struct debugger *d, const char *arguments)
{
	(void)arguments;
	d->host.reset(d->host.opaque);
	d->changed = true;
	d->stop_text[0] = 0;
	where_am_i(d);
}

/* Told to the machine, which takes it when it next looks outside, and keeps it for going back; in the past it is another future. */
static void
from_outside(struct debugger *d, char *error)
{
	if (error)
		complain(d, "%s", error);
	else if (input_in_past(d->input))
		d->changed = true;
	free(error);
}

static void
command_sendkey(struct debugger *d, const char *arguments)
{
	from_outside(d, d->host.send_keys(d->host.opaque, arguments));
}

static void
command_powerdown(struct debugger *d, const char *arguments)
{
	(void)arguments;
	from_outside(d, d->host.power_button(d->host.opaque));
}

static void
command_hash(struct debugger *d, const char *arguments)
{
	(void)arguments;
	say(d, "%llu %016llx\n", (ull)cpus_icount(d->cpus), (ull)d->host.hash(d->host.opaque));
}

static void
command_echo(struct debugger *d, const char *arguments)
{
	say(d, "%s\n", arguments);
}

static void
command_syntax(struct debugger *d, const char *arguments)
{
	if (strcmp(arguments, "intel") != 0 && strcmp(arguments, "att") != 0)
		complain(d, "syntax intel, or syntax att");
	else
		d->intel_off = !strcmp(arguments, "att");
}

static const struct command commands[] = {
	{"continue", "c", "", "run until something stops the machine; Ctrl-C does", "c", command_continue, REPEATS | RUNS},
	{"step", "s", "[N]", "execute N instructions of the selected processor, one by default", "step 10", command_step, REPEATS | RUNS},
	{"next", "n", "[N]", "the same, but calls, repeated instructions and VM exits count as one", "next", command_next, REPEATS | RUNS},
	{"finish", NULL, "", "run until the present function has returned", "finish", command_finish, REPEATS | RUNS},
	{"until", "u", "ADDR | icount N | time N", "run to an address, a number of instructions or a time in cycles", "until icount 1000000",
	 command_until, RUNS},
	{"reverse-step", "rs", "[N]", "back by N instructions of the selected processor, one by default", "reverse-step", command_reverse_step,
	 REPEATS | RUNS},
	{"reverse-continue", "rc", "", "back to the last breakpoint; before the instruction, for watchpoints", "rc", command_reverse_continue,
	 REPEATS | RUNS},
	{"reverse-to", NULL, "EVENT [ARGUMENT] [if EXPR] | ADDR | icount N", "back to the last such event, or to a number of instructions",
	 "reverse-to exit EPT_VIOLATION", command_reverse_to, RUNS | EVENTS},
	{"who-wrote", NULL, "[linear|gpa|phys] ADDR[,LENGTH] [if EXPR] | FIELD",
	 "who wrote memory last: an instruction, a device, a page walk; or a field of the VMCS", "who-wrote eptp", command_who_wrote, RUNS},
	{"cpu", NULL, "[N]", "select a processor, tell where it is", "cpu 1", command_cpu, 0},

	{"break", "b", "[linear|gpa|phys] ADDR[..ADDR] [if EXPR] | virtual SELECTOR:OFFSET [if EXPR] | EVENT [ARGUMENT] [if EXPR]",
	 "stop at an address or event: exit [REASON], entry, entry-fail, vmwrite [FIELD], inject [VECTOR], io [PORT], msr [MSR], cr [N], "
	 "exception [VECTOR], interrupt [VECTOR], mode [MODE], triple-fault, vmx-abort [CODE]",
	 "break exit EPT_VIOLATION if gpa in 0xfee00000..0xfeefffff", command_break, EVENTS},
	{"tbreak", NULL, "as break", "the same, once", "tbreak start_kernel", command_tbreak, EVENTS},
	{"watch", NULL, "[linear|gpa|phys|virtual] ADDR[,LENGTH] [if EXPR]", "stop after a write (8 bytes by default)",
	 "watch phys 0x1000,16 if value != 0",
	 command_watch, 0},
	{"rwatch", NULL, "as watch", "stop after a read", "rwatch 0xffffffff82000000", command_rwatch, 0},
	{"awatch", NULL, "as watch", "stop after a read or write", "awatch gpa 0xfee00000,4096", command_awatch, 0},
	{"delete", "d", "[N]", "delete a breakpoint, or all", "delete 2", command_delete, 0},
	{"enable", NULL, "[N]", "enable a breakpoint, or all", "enable 2", command_enable, 0},
	{"disable", NULL, "[N]", "disable a breakpoint, or all", "disable", command_disable, 0},
	{"ignore", NULL, "N COUNT", "let breakpoint N pass COUNT times", "ignore 1 100", command_ignore, 0},
	{"condition", NULL, "N [EXPR]", "give breakpoint N a condition, or none", "condition 1 rax == 0", command_condition, 0},
	{"commands", NULL, "N [CMD; CMD...]", "execute commands when breakpoint N stops the machine", "commands 1 regs; continue",
	 command_commands, 0},
	{"only", NULL, "[level N | vpid N | cpu N | off]", "let breakpoints stop only there", "only level 2", command_only, 0},

	{"regs", "r", "[all|seg|ctl|dbg|fpu|vec]", "registers", "regs seg", command_regs, 0},
	{"msr", NULL, "[NAME|NUMBER]", "model-specific registers, all or one", "msr IA32_EFER", command_msr, 0},
	{"print", "p", "EXPR", "evaluate: registers, [memory], VMCS fields, symbols", "p rsp + 8*4", command_print, 0},
	{"set", NULL, "REGISTER = EXPR | u8|u16|u32|u64 [phys|gpa|guest|virtual] ADDR = EXPR", "change a register or memory",
	 "set u32 phys 0x1000 = 5", command_set, 0},
	{"x", NULL, "/COUNT FORMAT SIZE [linear|gpa|phys|guest|virtual] ADDR",
	 "dump memory: x d u c s i, b h w g; guest: linear in the guest of the current VMCS; virtual: SELECTOR:OFFSET", "x/16gx rsp",
	 command_x, REPEATS},
	{"search", NULL, "[linear|gpa|phys|guest] FROM..TO \"TEXT\" | HEX...", "find bytes",
	 "search phys 0..0xfffff \"RSD PTR \"", command_search, 0},
	{"disasm", "dis", "[guest|gpa|phys|virtual] [ADDR [COUNT]]", "disassemble; from RIP by default", "disasm rip 20", command_disasm, REPEATS},
	{"syntax", NULL, "intel | att", "of the disassembler", "syntax att", command_syntax, 0},
	{"backtrace", "bt", "[N]", "the calls that led here, by ORC, call frame information or frame pointer", "bt", command_backtrace, 0},
	{"symbols", NULL, "FILE | modules [level N] [cr3 N] [eptp N] [at ADDR | kaslr]",
	 "load an ELF file or System.map, for all or for one address space, where it was linked, at an address, or as Linux shifted itself; "
	 "modules: those of the running Linux, whose kernel's file is loaded with debug information",
	 "symbols vmlinux level 1", command_symbols, FILES},

	{"exits", NULL, "[N]", "the last N VM exits, decoded", "exits 20", command_exits, 0},
	{"why", NULL, "[EXIT]", "what caused the last VM exit: control, bitmap or mask, and who wrote it", "why", command_why, 0},
	{"vmcs", NULL, "check | diff", "would a VM entry succeed now? / what changed between the last two exits", "vmcs check", command_vmcs, 0},
	{"walk", NULL, "[guest] [ADDR]",
	 "the whole walk of a linear address, through EPT too; guest: of the current VMCS's guest, from the hypervisor",
	 "walk 0xffff888000000000", command_walk, 0},
	{"ept", NULL, "GPA | dump", "the EPT walk of a guest-physical address; all of the EPT, ranges merged", "ept 0xfee00000", command_ept, 0},
	{"trace", NULL, "SPEC [FILE] | off", "record exits,entries,entry-fail,inject,vmwrite,interrupts,exceptions,io,msr,cr,packets or all; "
					    "with text, jsonl, perfetto or kvm for the format",
	 "trace exits,entries,perfetto run.json", command_trace, 0},

	{"info", "i", "WHAT", "info alone lists what", "info exits", command_info, SUBJECTS},
	{"info breakpoints", NULL, "", "breakpoints with their hits", NULL, info_breakpoints, 0},
	{"info cpus", NULL, "", "all processors", NULL, info_cpus, 0},
	{"info vmcs", NULL, "[control|exit|guest|host|FIELD]", "the current VMCS, decoded", NULL, info_vmcs, 0},
	{"info exits", NULL, "", "VM exits by reason: count, share, cycles", NULL, info_exits, 0},
	{"info pages", NULL, "[guest]", "what the page tables map (the guest's: by the current VMCS), ranges merged", NULL, info_pages, 0},
	{"info tlb", NULL, "", "translations that the processor holds", NULL, info_tlb, 0},
	{"info gdt", NULL, "", "global descriptor table", NULL, info_gdt, 0},
	{"info idt", NULL, "", "interrupt descriptor table", NULL, info_idt, 0},
	{"info tss", NULL, "", "task state segment", NULL, info_tss, 0},
	{"info lapic", NULL, "", "local APIC", NULL, info_lapic, 0},
	{"info ioapic", NULL, "", "I/O APIC with its redirection table", NULL, info_ioapic, 0},
	{"info pic", NULL, "", "the two 8259A", NULL, info_pic, 0},
	{"info pci", NULL, "", "PCI functions with their BARs", NULL, info_pci, 0},
	{"info e1000", NULL, "", "registers of the network cards", NULL, info_e1000, 0},
	{"info screen", NULL, "", "the screen as text, in a text mode", NULL, info_screen, 0},
	{"screenshot", NULL, "FILE", "the screen: NAME.png a picture, NAME.txt its characters", "screenshot screen.png", screenshot, FILES},
	{"sendkey", NULL, "KEY-KEY...", "press keys together and release them: the guest has them when it goes on", "sendkey ctrl-alt-delete",
	 command_sendkey, 0},
	{"system_powerdown", NULL, "", "press the power button: the guest hears of it by ACPI", "system_powerdown", command_powerdown, 0},
	{"info mtrr", NULL, "", "memory types: MTRRs and PAT", NULL, info_mtrr, 0},
	{"info history", NULL, "", "how far back one can go", NULL, info_history, 0},
	{"info memory", NULL, "", "physical address space", NULL, info_memory, 0},

	{"hash", NULL, "", "the machine's state hash, as -hash prints it", "hash", command_hash, 0},
	{"reset", NULL, "", "hard reset", "reset", command_reset, RUNS},
	{"source", NULL, "FILE", "execute commands from a file", "source boot.nb", command_source, RUNS | FILES},
	{"echo", NULL, "TEXT", "print", "echo here", command_echo, 0},
	{"help", "h", "[COMMAND]", "this list, or one command with an example", "help break", command_help, COMMANDS},
	{"quit", "q", "[STATUS]", "end nestbox", "quit", command_quit, 0},
};

const struct command *
command_at(unsigned index)
{
	return index < COUNT(commands) ? &commands[index] : NULL;
}

/* Exact name or alias, else an unambiguous beginning; in `group` ("info " or ""). */
static const struct command *
find(const char *group, const char *name, size_t length)
{
	size_t skip = strlen(group);
	const struct command *found = NULL;
	unsigned matches = 0;

	for (unsigned i = 0; i < COUNT(commands); i++) {
		const struct command *c = &commands[i];
		const char *own = c->name + skip;

		if (strncmp(c->name, group, skip) != 0 || strchr(own, ' '))
			continue;
		if ((strlen(own) == length && !strncmp(own, name, length)) ||
		    (!skip && c->alias && strlen(c->alias) == length && !strncmp(c->alias, name, length)))
			return c;
		if (length && !strncmp(own, name, length)) {
			found = c;
			matches++;
		}
	}
	return matches == 1 ? found : NULL;
}

const struct command *
command_find(const char *name, size_t length)
{
	return find("", name, length);
}

static void
command_info(struct debugger *d, const char *arguments)
{
	const char *at = arguments;
	const struct command *c = NULL;
	char word[32];

	if (next_word(&at, word, sizeof(word)))
		c = find("info ", word, strlen(word));
	if (c) {
		c->run(d, at);
		return;
	}
	if (*arguments)
		complain(d, "info knows no '%s':", word);
	for (unsigned i = 0; i < COUNT(commands); i++)
		if (!strncmp(commands[i].name, "info ", 5))
			say(d, "  %-18s %s\n", commands[i].name, commands[i].help);
}

static void
command_help(struct debugger *d, const char *arguments)
{
	const struct command *c = NULL;

	if (!strncmp(arguments, "info ", 5))
		c = find("info ", arguments + 5, strlen(arguments + 5));
	else if (*arguments)
		c = command_find(arguments, strlen(arguments));
	if (c) {
		say(d, "%s %s\n  %s\n", c->name, c->arguments, c->help);
		if (c->alias)
			say(d, "  short: %s\n", c->alias);
		say(d, "  example: %s\n", c->example ? c->example : c->name);
		return;
	}
	if (*arguments) {
		complain(d, "'%s' is no command", arguments);
		return;
	}
	for (unsigned i = 0; i < COUNT(commands); i++)
		if (strncmp(commands[i].name, "info ", 5) != 0)
			say(d, "  %-12s %.100s\n", commands[i].name, commands[i].help);
	say(d, "help COMMAND tells more; info lists what it can show. Beginnings of names will do.\n");
}
