/* Injection, events in the guest, NMIs, windows, the monitor trap flag and the preemption timer. */
#include "tests/guest/vmx/runtime.h"

#define VMCALL "\n\tvmcall"
#define RF BIT(16)
#define VALID BIT(31)
#define LAPIC(offset) (*(volatile u32 *)(0xfee00000ull + (offset)))

extern u8 idt[4096];

SNIPPET(g_nops, "nop; nop; nop; nop" VMCALL);
SNIPPET(g_ud, "ud2" VMCALL);
SNIPPET(g_int3, "int3" VMCALL);
SNIPPET(g_int1, ".byte 0xf1" VMCALL);
SNIPPET(g_int_n, "int $0x43" VMCALL);
SNIPPET(g_int_3_long, ".byte 0xcd, 3" VMCALL);
SNIPPET(g_page_fault, "movabs $0xffffff8000000000, %rbx; mov (%rbx), %rax" VMCALL);
SNIPPET(g_self_ipi, "mov $0xfee00300, %ebx; movl $0x40044, (%rbx); nop; nop" VMCALL);
SNIPPET(g_self_ipi_sti, "mov $0xfee00300, %ebx; movl $0x40044, (%rbx); sti; nop; nop; cli" VMCALL);
SNIPPET(g_self_nmi, "mov $0xfee00310, %ebx; movl $0, (%rbx); movl $0x400, -16(%rbx); nop; nop" VMCALL);
SNIPPET(g_sti, "sti; nop; nop; cli" VMCALL);
SNIPPET(g_hlt, "hlt; nop" VMCALL);
SNIPPET(g_loop, "1: jmp 1b");
SNIPPET(g_rep, "mov $5, %ecx; mov %rsp, %rdi; sub $64, %rdi; rep stosb" VMCALL);
SNIPPET(g_iret, "mov %rsp, %rdx; push $0x10; push %rdx; push $2; push $8; lea 1f(%rip), %rcx; push %rcx; iretq; 1: "
		"nop; nop" VMCALL);
SNIPPET(g_mov_ss, "mov $0x10, %eax; mov %eax, %ss; nop; nop" VMCALL);
SNIPPET(g_bad_stack, "xor %esp, %esp; movabs $0xffffff8000000000, %rsp; ud2");
SNIPPET(g_triple, "push $0; push $0; lidt (%rsp); ud2" VMCALL);
SNIPPET(g_dr, "mov %rax, %dr0; mov %rcx, %dr7; movb $1, (%rax); nop" VMCALL);

static void
begin(void)
{
	fresh_vmcs();
	events_clear();
	events_exit = true;
	use_secondary(0);
	CLEAR_BITS(proc_controls, PROC_SECONDARY_CONTROLS);
}

/* Injects and runs until a handler (or anything else) exits. */
static u32
inject(u64 info, u64 error, u64 length, const char *code)
{
	events_clear();
	PUT(entry_interruption_info, info);
	PUT(entry_error_code, error);
	PUT(entry_instruction_length, length);
	return run(code);
}

static void
injection(void)
{
	begin();
	PUT(exception_bitmap, 0xffffffff);
	check_equal("INJ-01", inject(VALID | 0x306, 0, 0, g_nops), EXIT_REASON_VMCALL,
		    "an injected exception ignores the exception bitmap");
	check("INJ-01 INJ-02", event_count == 1 && event_log[0].vector == 6 && event_log[0].rip == ADDRESS(g_nops),
	      "and arrives with the guest's RIP");
	check("INJ-13 IF-11", !(GET(entry_interruption_info) & VALID), "VM exits clear the valid bit");
	need(inject(VALID | 0x443, 0, 2, g_nops), EXIT_REASON_VMCALL, "INT 43H");
	check("INJ-02", event_log[0].vector == 0x43 && event_log[0].rip == ADDRESS(g_nops) + 2,
	      "a software interrupt returns behind its instruction");
	need(inject(VALID | 0x603, 0, 1, g_nops), EXIT_REASON_VMCALL, "INT3");
	check("INJ-02", event_log[0].vector == 3 && event_log[0].rip == ADDRESS(g_nops) + 1,
	      "so does a software exception");
	need(inject(VALID | 0x501, 0, 1, g_nops), EXIT_REASON_VMCALL, "INT1");
	check("INJ-02 INJ-07", event_log[0].vector == 1 && event_log[0].rip == ADDRESS(g_nops) + 1, "and INT1");
	need(inject(VALID | 0xb0d, 0x1234, 0, g_nops), EXIT_REASON_VMCALL, "#GP");
	check("INJ-06", event_log[0].vector == 13 && event_log[0].error == 0x1234, "the error code is pushed");
	asm volatile("mov %0, %%cr2" : : "r"(0x4711ull));
	need(inject(VALID | 0xb0e, 2, 0, g_nops), EXIT_REASON_VMCALL, "#PF");
	check_equal("INJ-07", READ_CR(2), 0x4711, "an injected #PF leaves CR2");
	asm volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ull));
	need(inject(VALID | 0x301, 0, 0, g_nops), EXIT_REASON_VMCALL, "#DB");
	{
		u64 dr6;

		asm volatile("mov %%dr6, %0" : "=r"(dr6));
		check_equal("INJ-07", dr6, 0xffff0ff0, "an injected #DB leaves DR6");
	}
	events_clear();
	PUT(entry_interruption_info, VALID | 0x306);
	PUT(guest_rip, ADDRESS(g_nops));
	PUT(guest_rsp, ADDRESS(guest_stack + sizeof(guest_stack)));
	PUT(guest_rflags, 2 | RF | IF | 1);
	need(resume(), EXIT_REASON_VMCALL, "#UD");
	check_equal("INJ-03", event_log[0].rflags, 2 | RF | IF | 1, "RFLAGS are pushed as they are");

	/* gates */
	idt[0x41 * 16 + 5] = 0x8e;
	at_cpl3();
	need(inject(VALID | 0x441, 0, 2, g_nops), EXIT_REASON_EXCEPTION_NMI, "INT 41H");
	check("INJ-04", GET(exit_interruption_info) == (VALID | 0xb0d) && GET(exit_interruption_error) == 0x41 * 8 + 2,
	      "a software interrupt obeys the gate's DPL");
	check_equal("INJ-08 IF-07", GET(idt_vectoring_info), VALID | 0x441, "and is what was being delivered");
	check_equal("IF-01", GET(exit_instruction_length), 2, "with its instruction length");
	check_equal("SV-09", GET(guest_rip), ADDRESS(g_nops), "RIP is the guest's field");
	PUT(guest_rflags, 2 | IF);
	PUT(entry_interruption_info, VALID | 0x041);
	events_clear();
	check_equal("INJ-04", resume(), EXIT_REASON_VMCALL, "an external interrupt does not");
	idt[0x41 * 16 + 5] = 0xee;

	begin();
	PUT(exception_bitmap, BIT(11));
	idt[0x42 * 16 + 5] = 0x6e;
	need(inject(VALID | 0x306, 0, 0, g_nops), EXIT_REASON_VMCALL, "#UD");
	PUT(guest_rflags, 2 | IF);
	PUT(entry_interruption_info, VALID | 0x042);
	need(resume(), EXIT_REASON_EXCEPTION_NMI, "#NP");
	check("INJ-04 INJ-08", GET(exit_interruption_error) == 0x42 * 8 + 3,
	      "EXT is set in error codes of external events");
	check_equal("INJ-08 IF-07 IF-08", GET(idt_vectoring_info), VALID | 0x042, "the event under delivery is told");
	check("IF-04", GET(exit_interruption_info) == (VALID | 0xb0b), "and the exception that exits");
	idt[0x42 * 16 + 5] = 0xee;
	begin();
	PUT(entry_interruption_info, VALID | 0x306);
	PUT(guest_rflags, 0);
	need(resume(), VALID | 33, "bad RFLAGS");
	check("INJ-13", GET(entry_interruption_info) & VALID, "a failed entry leaves the valid bit");
}

static void
blocking_and_activity(void)
{
	begin();
	PUT(guest_interruptibility, 1);
	PUT(guest_rflags, 2 | IF);
	PUT(guest_rip, ADDRESS(g_nops));
	PUT(guest_rsp, ADDRESS(guest_stack + sizeof(guest_stack)));
	PUT(entry_interruption_info, VALID | 0x202);
	need(resume(), EXIT_REASON_VMCALL, "NMI");
	check_equal("INJ-11", GET(guest_interruptibility) & 3, 0, "an injected event ends blocking by STI");
	check("INJ-07 SV-13", GET(guest_interruptibility) & 8, "an injected NMI blocks NMIs");
	check_equal("INJ-01", event_log[0].vector, 2, "and is delivered");
	begin();
	PUT(guest_activity, 1);
	PUT(guest_rflags, 2 | IF);
	PUT(guest_rip, ADDRESS(g_nops));
	PUT(guest_rsp, ADDRESS(guest_stack + sizeof(guest_stack)));
	PUT(entry_interruption_info, VALID | 0x050);
	need(resume(), EXIT_REASON_VMCALL, "interrupt");
	check("INJ-11 EV-03", GET(guest_activity) == 0 && event_log[0].vector == 0x50, "and activity HLT");
	/* INJ-12 */
	begin();
	check_equal("INJ-12", inject(VALID | 0x700, 0, 0, g_nops), EXIT_REASON_MONITOR_TRAP_FLAG,
		    "a pending MTF exit can be injected");
	check_equal("INJ-12", GET(guest_rip), ADDRESS(g_nops), "and comes before the first instruction");
	/* wake-ups by the preemption timer */
	begin();
	SET_BITS(pin_controls, PIN_PREEMPTION_TIMER);
	SET_BITS(exit_controls, EXIT_SAVE_PREEMPTION_TIMER);
	PUT(preemption_timer_value, 100);
	PUT(guest_activity, 1);
	check_equal("INJ-20 NR-23", run(g_nops), EXIT_REASON_PREEMPTION_TIMER, "the preemption timer wakes HLT");
	check_equal("EV-07 SV-12", GET(guest_activity), 1, "which is saved");
	check_equal("SV-15", GET(preemption_timer_value), 0, "the timer is saved as 0");
	PUT(preemption_timer_value, 100);
	PUT(guest_activity, 2);
	SET_BITS(proc_controls, PROC_INTERRUPT_WINDOW_EXITING);
	PUT(guest_rflags, 2 | IF);
	check_equal("INJ-21 NR-23", resume(), EXIT_REASON_PREEMPTION_TIMER,
		    "and shutdown, where the interrupt window does not open");
	check_equal("SV-12", GET(guest_activity), 2, "shutdown is saved");
	PUT(guest_activity, 1);
	PUT(preemption_timer_value, 1000);
	check_equal("INJ-20 NR-36", resume(), EXIT_REASON_INTERRUPT_WINDOW, "HLT is left for the interrupt window");
	PUT(preemption_timer_value, 100);
	PUT(guest_activity, 0);
	CLEAR_BITS(proc_controls, PROC_INTERRUPT_WINDOW_EXITING);
	check_equal("EV-07", run(g_hlt), EXIT_REASON_PREEMPTION_TIMER, "HLT in the guest, without exiting");
	check("EV-07 SV-09", GET(guest_activity) == 1 && GET(guest_rip) == ADDRESS(g_hlt) + 1,
	      "saves activity HLT and RIP behind it");
	begin();
	SET_BITS(pin_controls, PIN_NMI_EXITING | PIN_VIRTUAL_NMIS);
	SET_BITS(proc_controls, PROC_NMI_WINDOW_EXITING);
	PUT(guest_activity, 2);
	check_equal("INJ-21 NR-35", run(g_nops), EXIT_REASON_NMI_WINDOW, "the NMI window ends shutdown");
}

static void
exceptions(void)
{
	static const struct {
		const char *code;
		u64 info, length;
		const char *ids, *text;
	} row[] = {
		{g_ud, VALID | 0x306, 2, "NR-31 IF-04", "#UD"},
		{g_int3, VALID | 0x603, 1, "IF-04 SV-09", "INT3"},
		{g_int1, VALID | 0x501, 1, "NR-31 IF-04", "INT1"},
	};

	for (unsigned i = 0; i < COUNT(row); i++) {
		begin();
		check_equal("NR-30", run(row[i].code), EXIT_REASON_VMCALL, "without its bit the guest handles it");
		PUT(exception_bitmap, 0xffffffff);
		check_equal(row[i].ids, run(row[i].code), EXIT_REASON_EXCEPTION_NMI, row[i].text);
		check_equal(row[i].ids, GET(exit_interruption_info), row[i].info, "with vector and type");
		check_equal("SV-09", GET(guest_rip), ADDRESS(row[i].code), "RIP is that of the instruction");
		if (i)
			check_equal("IF-01", GET(exit_instruction_length), row[i].length, "with its length");
		else
			check("SV-11", GET(guest_rflags) & RF, "a fault saves RF set");
		check_equal("IF-07", GET(idt_vectoring_info) & VALID, 0, "nothing was under delivery");
	}
	begin();
	PUT(exception_bitmap, 0xffffffff);
	check_equal("NR-30", run(g_int_n), EXIT_REASON_VMCALL, "INT n never exits");
	check_equal("NR-30", run(g_int_3_long), EXIT_REASON_VMCALL, "not even CD 03");
	/* #PF */
	begin();
	asm volatile("mov %0, %%cr2" : : "r"(0x4711ull));
	PUT(exception_bitmap, BIT(14));
	check_equal("NR-29", run(g_page_fault), EXIT_REASON_EXCEPTION_NMI,
		    "#PF exits by its bit when mask and match agree");
	check_equal("NR-29 EV-01", GET(exit_qualification), 0xffffff8000000000, "the qualification is the address");
	check_equal("EV-01", READ_CR(2), 0x4711, "CR2 stays");
	check_equal("IF-06", GET(exit_interruption_error), 0, "the error code");
	PUT(pf_error_mask, 1);
	PUT(pf_error_match, 1);
	check_equal("NR-29", run(g_page_fault), EXIT_REASON_VMCALL, "not when they differ");
	PUT(exception_bitmap, 0);
	check_equal("NR-29", run(g_page_fault), EXIT_REASON_EXCEPTION_NMI, "without the bit it is the other way round");
	/* #DB */
	begin();
	PUT(exception_bitmap, BIT(1));
	asm volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ull));
	PUT(guest_rip, ADDRESS(g_nops));
	PUT(guest_rsp, ADDRESS(guest_stack + sizeof(guest_stack)));
	PUT(guest_rflags, 2 | TF);
	check_equal("INJ-23", resume(), EXIT_REASON_EXCEPTION_NMI, "TF traps after the first instruction");
	check_equal("INJ-23 SV-09", GET(guest_rip), ADDRESS(g_nops) + 1, "RIP is behind it");
	check_equal("EV-01", GET(exit_qualification), BIT(14), "BS is in the qualification");
	check_equal("EV-01 SV-14", GET(guest_pending_debug), 0, "and nowhere else");
	{
		u64 dr6;

		asm volatile("mov %%dr6, %0" : "=r"(dr6));
		check_equal("EV-01", dr6, 0xffff0ff0, "DR6 stays");
	}
	guest.rax = ADDRESS(test_page);
	guest.rcx = 0x10402;
	PUT(exception_bitmap, BIT(1));
	need(run(g_dr), EXIT_REASON_EXCEPTION_NMI, "data breakpoint");
	check_equal("EV-01", GET(exit_qualification), BIT(0), "B0 of a matched breakpoint");
	/* triple fault */
	begin();
	check_equal("EV-04", run(g_triple), EXIT_REASON_TRIPLE_FAULT, "a triple fault exits");
	check_equal("EV-04 SV-12", GET(guest_activity), 0, "the guest is saved as active");
	check_equal("IF-07", GET(idt_vectoring_info) & VALID, 0, "without IDT-vectoring information");
	/* a fault on the way */
	begin();
	PUT(exception_bitmap, BIT(14) | BIT(8) | BIT(12));
	need(run(g_bad_stack), EXIT_REASON_EXCEPTION_NMI, "#UD with a bad stack");
	check_equal("IF-08", GET(exit_interruption_info), VALID | 0xb0e, "a #PF while #UD is delivered exits as #PF");
	check_equal("IF-08 IF-07", GET(idt_vectoring_info), VALID | 0x306, "with #UD under delivery");
	check_equal("EV-05 SV-10", GET(guest_rsp), 0xffffff8000000000, "RSP is as before");
	PUT(exception_bitmap, BIT(8));
	need(run(g_bad_stack), EXIT_REASON_EXCEPTION_NMI, "#DF");
	check("IF-07", GET(exit_interruption_info) == (VALID | 0xb08) && !(GET(idt_vectoring_info) & VALID),
	      "a #DF that exits has none");
}

static void
pending_debug(void)
{
	begin();
	PUT(guest_pending_debug, BIT(14) | BIT(12) | 1);
	need(run(g_nops), EXIT_REASON_VMCALL, "#DB");
	check("INJ-14", event_count == 1 && event_log[0].vector == 1 && event_log[0].rip == ADDRESS(g_nops),
	      "pending #DB comes before the first instruction");
	{
		u64 dr6;

		asm volatile("mov %%dr6, %0" : "=r"(dr6));
		check_equal("INJ-15", dr6 & 0x400f, 0x4001, "with BS and B0 in DR6");
		asm volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ull));
	}
	begin();
	PUT(guest_pending_debug, BIT(14));
	need(inject(VALID | 0x306, 0, 0, g_nops), EXIT_REASON_VMCALL, "#UD");
	check("INJ-14", event_count == 1 && event_log[0].vector == 6, "a vectored event makes it forgotten");
	begin();
	PUT(guest_pending_debug, BIT(12) | 2);
	PUT(guest_interruptibility, 2);
	need(run(g_nops), EXIT_REASON_VMCALL, "#DB");
	check("INJ-14", event_count == 1 && event_log[0].vector == 1 && event_log[0].rip == ADDRESS(g_nops) + 1,
	      "MOV SS blocking holds it for an instruction");
	begin();
	PUT(guest_pending_debug, 1);
	need(run(g_nops), EXIT_REASON_VMCALL, "nothing");
	check_equal("INJ-14", event_count, 0, "matched breakpoints that are not enabled are nothing");
	/* order */
	begin();
	SET_BITS(pin_controls, PIN_PREEMPTION_TIMER);
	SET_BITS(proc_controls, PROC_MONITOR_TRAP_FLAG | PROC_INTERRUPT_WINDOW_EXITING);
	PUT(preemption_timer_value, 0);
	PUT(exception_bitmap, BIT(1));
	PUT(guest_rip, ADDRESS(g_nops));
	PUT(guest_rsp, ADDRESS(guest_stack + sizeof(guest_stack)));
	PUT(guest_rflags, 2 | IF);
	PUT(guest_pending_debug, BIT(14));
	PUT(entry_interruption_info, VALID | 0x700);
	check_equal("INJ-17 PR-11", resume(), EXIT_REASON_MONITOR_TRAP_FLAG, "first MTF");
	check_equal("NR-28 SV-14", GET(guest_pending_debug), BIT(14), "which saves the pending #DB");
	CLEAR_BITS(proc_controls, PROC_MONITOR_TRAP_FLAG);
	check_equal("INJ-17 PR-11", resume(), EXIT_REASON_EXCEPTION_NMI, "then #DB");
	PUT(guest_pending_debug, 0);
	check_equal("INJ-17 NR-22", resume(), EXIT_REASON_PREEMPTION_TIMER, "then the timer");
	check_equal("NR-22", GET(guest_rip), ADDRESS(g_nops), "before any instruction");
	CLEAR_BITS(pin_controls, PIN_PREEMPTION_TIMER);
	check_equal("INJ-17 NR-36", resume(), EXIT_REASON_INTERRUPT_WINDOW, "then the interrupt window");
	check_equal("PR-11", GET(guest_rip), ADDRESS(g_nops), "before any instruction, too");
}

static void
monitor_trap_flag(void)
{
	begin();
	SET_BITS(proc_controls, PROC_MONITOR_TRAP_FLAG);
	need(run(g_nops), EXIT_REASON_MONITOR_TRAP_FLAG, "MTF");
	check_equal("NR-26", GET(guest_rip), ADDRESS(g_nops) + 1, "MTF exits after one instruction");
	need(resume(), EXIT_REASON_MONITOR_TRAP_FLAG, "MTF");
	check_equal("NR-26", GET(guest_rip), ADDRESS(g_nops) + 2, "and after the next");
	need(inject(VALID | 0x306, 0, 0, g_nops), EXIT_REASON_MONITOR_TRAP_FLAG, "MTF");
	check("NR-26", GET(guest_rip) != ADDRESS(g_nops) && event_count == 0,
	      "after an injected event before the handler's first instruction");
	PUT(exception_bitmap, 0);
	need(run(g_ud), EXIT_REASON_MONITOR_TRAP_FLAG, "MTF");
	check("NR-26", GET(guest_rip) != ADDRESS(g_ud) + 2 && event_count == 0, "and after the delivery of a fault");
	SET_BITS(proc_controls, PROC_HLT_EXITING);
	check_equal("NR-27", run(g_hlt), EXIT_REASON_HLT, "an instruction that exits itself does so");
	guest.rcx = 0;
	PUT(guest_rip, ADDRESS(g_rep));
	for (unsigned i = 0; i < 3; i++)
		need(resume(), EXIT_REASON_MONITOR_TRAP_FLAG, "MTF");
	need(resume(), EXIT_REASON_MONITOR_TRAP_FLAG, "MTF");
	check_equal("NR-26", guest.rcx, 4, "one iteration of REP at a time");
	PUT(guest_interruptibility, 0);
	need(run(g_mov_ss), EXIT_REASON_MONITOR_TRAP_FLAG, "MTF");
	need(resume(), EXIT_REASON_MONITOR_TRAP_FLAG, "MTF");
	check("NR-27 SV-13", GET(guest_interruptibility) == 2, "MOV SS does not block it, and is saved");
}

static void
end_of_interrupt(struct frame *frame)
{
	(void)frame;
	LAPIC(0xb0) = 0;
}

static void
external_interrupts(void)
{
	begin();
	events_exit = false;
	on_interrupt = end_of_interrupt;
	need(run(g_self_ipi_sti), EXIT_REASON_VMCALL, "self-IPI");
	check("NR-37", event_count == 1 && event_log[0].vector == 0x44,
	      "without exiting the guest takes interrupts itself");
	events_clear();
	SET_BITS(pin_controls, PIN_EXTERNAL_INTERRUPT_EXITING);
	SET_BITS(exit_controls, EXIT_ACKNOWLEDGE_INTERRUPT);
	check_equal("EV-08", run(g_self_ipi), EXIT_REASON_EXTERNAL_INTERRUPT, "with it they exit, whatever IF is");
	check_equal("EV-02 IF-04", GET(exit_interruption_info), VALID | 0x44, "acknowledged");
	check("EV-02", LAPIC(0x100 + 0x20) & BIT(4), "so it is in service");
	LAPIC(0xb0) = 0;
	CLEAR_BITS(exit_controls, EXIT_ACKNOWLEDGE_INTERRUPT);
	check_equal("EV-08", run(g_self_ipi), EXIT_REASON_EXTERNAL_INTERRUPT, "without acknowledging");
	check("EV-02 IF-04", !(GET(exit_interruption_info) & VALID) && (LAPIC(0x200 + 0x20) & BIT(4)),
	      "it stays requested");
	asm volatile("sti; nop; nop; cli");
	check("XO-06", event_count == 1 && event_log[0].vector == 0x44,
	      "and the hypervisor takes it when it enables interrupts");
}

static void
nmis(void)
{
	begin();
	events_exit = false;
	SET_BITS(pin_controls, PIN_NMI_EXITING);
	check_equal("NR-33 EV-02", run(g_self_nmi), EXIT_REASON_EXCEPTION_NMI, "an NMI exits");
	check_equal("EV-02 IF-04", GET(exit_interruption_info), VALID | 0x202, "as NMI");
	check_equal("SV-13", GET(guest_interruptibility) & 8, 0, "NMIs were not blocked before it");
	LAPIC(0x310) = 0;
	LAPIC(0x300) = 0x400;
	check_equal("EV-02 EV-09 HL-12", event_count, 0, "NMIs are blocked in the hypervisor then");
	fixup = 0;
	{
		extern const char after_iret[];

		fixup = ADDRESS(after_iret);
		asm volatile("mov %%rsp, %%rax; push $0x10; push %%rax; pushfq; push $8; lea after_iret(%%rip), %%rax; "
			     "push %%rax; iretq; after_iret: nop; nop"
			     :
			     :
			     : "rax", "memory");
		fixup = 0;
	}
	check("EV-09", event_count == 1 && event_log[0].vector == 2, "until it executes IRET");
	/* virtual NMIs */
	begin();
	SET_BITS(pin_controls, PIN_NMI_EXITING | PIN_VIRTUAL_NMIS);
	SET_BITS(proc_controls, PROC_NMI_WINDOW_EXITING);
	PUT(guest_interruptibility, 8);
	need(run(g_iret), EXIT_REASON_NMI_WINDOW, "NMI window");
	check("NR-33 NR-34 NR-35", GET(guest_rip) > ADDRESS(g_iret) + 10 && !(GET(guest_interruptibility) & 8),
	      "IRET ends virtual-NMI blocking, and the NMI window opens");
	PUT(guest_interruptibility, 0);
	need(run(g_nops), EXIT_REASON_NMI_WINDOW, "NMI window");
	check_equal("NR-35", GET(guest_rip), ADDRESS(g_nops), "at once when nothing blocks");
	PUT(guest_interruptibility, 2);
	need(run(g_nops), EXIT_REASON_NMI_WINDOW, "NMI window");
	check_equal("NR-35", GET(guest_rip), ADDRESS(g_nops) + 1, "behind MOV SS blocking");
	PUT(guest_interruptibility, 8);
	check_equal("NR-35", run(g_nops), EXIT_REASON_VMCALL, "not while virtual NMIs are blocked");
	check("INJ-16 SV-13", GET(guest_interruptibility) & 8, "which is saved");
	CLEAR_BITS(proc_controls, PROC_NMI_WINDOW_EXITING);
	PUT(guest_interruptibility, 8);
	check_equal("EV-09 INJ-16", run(g_self_nmi), EXIT_REASON_EXCEPTION_NMI,
		    "virtual-NMI blocking does not hold off NMIs");
	check("EV-09", GET(guest_interruptibility) & 8, "and stays");
}

SNIPPET(g_deadline, "mov $0x6e0, %ecx; wrmsr; 1: jmp 1b");
SNIPPET(g_mwait,
	"mov %rsp, %rax; xor %ecx, %ecx; xor %edx, %edx; monitor; mov $1, %ecx; xor %eax, %eax; mwait; nop" VMCALL);

/* The TSC deadline is one of the real TSC. */
static void
deadline(void)
{
	u64 when;

	begin();
	SET_BITS(pin_controls, PIN_EXTERNAL_INTERRUPT_EXITING);
	SET_BITS(exit_controls, EXIT_ACKNOWLEDGE_INTERRUPT);
	SET_BITS(proc_controls, PROC_TSC_OFFSETTING | PROC_MSR_BITMAPS);
	PUT(msr_bitmap, ADDRESS(msr_bitmap));
	PUT(tsc_offset, 1ull << 60);
	LAPIC(0x320) = 0x40000 | 0x45;
	when = rdtsc() + 100000;
	guest.rax = (u32)when;
	guest.rdx = when >> 32;
	need(run(g_deadline), EXIT_REASON_EXTERNAL_INTERRUPT, "timer");
	check("NR-12", (u8)GET(exit_interruption_info) == 0x45 && rdtsc() >= when && rdtsc() < when + 100000,
	      "a guest's TSC deadline is one of the real TSC");
	LAPIC(0xb0) = 0;
	LAPIC(0x320) = 0x10000;
}

static void
waiting(void)
{
	begin();
	SET_BITS(pin_controls, PIN_PREEMPTION_TIMER);
	PUT(preemption_timer_value, 10000);
	check_equal("NR-77 NR-23", run(g_mwait), EXIT_REASON_PREEMPTION_TIMER,
		    "MWAIT sleeps until the preemption timer");
	check_equal("SV-12 EV-07", GET(guest_activity), 0, "and is saved as active");
	SET_BITS(proc_controls, PROC_INTERRUPT_WINDOW_EXITING);
	PUT(preemption_timer_value, 10000);
	check_equal("NR-77", run(g_mwait), EXIT_REASON_VMCALL,
		    "with ECX[0], IF 0 and interrupt-window exiting it does not");
}

/* RF holds an instruction breakpoint off, as ever. */
static void
resume_flag(void)
{
	begin();
	PUT(exception_bitmap, BIT(1));
	SET_BITS(entry_controls, ENTRY_LOAD_DEBUG_CONTROLS);
	PUT(guest_dr7, 0x402);
	asm volatile("mov %0, %%dr0" : : "r"(ADDRESS(g_nops)));
	need(run(g_nops), EXIT_REASON_EXCEPTION_NMI, "instruction breakpoint");
	check("NR-32", GET(guest_rip) == ADDRESS(g_nops) && (GET(exit_qualification) & 15) == 1,
	      "an instruction breakpoint");
	PUT(guest_rflags, 2 | RF);
	check_equal("NR-32", resume(), EXIT_REASON_VMCALL, "does not hit with RF");
	check_equal("NR-32 SV-11", GET(guest_rflags) & RF, 0, "which ends with the instruction");
	asm volatile("mov %0, %%dr0" : : "r"(0ull));
}

static void
interrupt_window(void)
{
	begin();
	SET_BITS(proc_controls, PROC_INTERRUPT_WINDOW_EXITING);
	need(run(g_sti), EXIT_REASON_INTERRUPT_WINDOW, "interrupt window");
	check_equal("NR-36", GET(guest_rip), ADDRESS(g_sti) + 2, "the window opens one instruction behind STI");
	check_equal("SV-13", GET(guest_interruptibility), 0, "");
}

static void
preemption_timer(void)
{
	u64 shift = rdmsr(0x485) & 31, before, after;

	begin();
	SET_BITS(pin_controls, PIN_PREEMPTION_TIMER);
	SET_BITS(exit_controls, EXIT_SAVE_PREEMPTION_TIMER);
	PUT(preemption_timer_value, 1000);
	before = rdtsc();
	need(run(g_loop), EXIT_REASON_PREEMPTION_TIMER, "preemption timer");
	after = rdtsc();
	check("NR-21 NR-19", after >= ((before >> shift) + 1000) << shift, "it counts the TSC by its shift");
	check("NR-21", after < before + (2000ull << shift), "and no slower");
	PUT(preemption_timer_value, 0x10000);
	need(run(g_nops), EXIT_REASON_VMCALL, "VMCALL");
	check("SV-15 NR-24", GET(preemption_timer_value) < 0x10000 && GET(preemption_timer_value) > 0xf000,
	      "what is left is saved");
	PUT(preemption_timer_value, 0);
	need(inject(VALID | 0x306, 0, 0, g_nops), EXIT_REASON_PREEMPTION_TIMER, "preemption timer");
	check("NR-22", GET(guest_rip) != ADDRESS(g_nops), "0 exits behind the injection");
	PUT(preemption_timer_value, 0);
	PUT(guest_interruptibility, 2);
	PUT(guest_rflags, 2);
	PUT(guest_rip, ADDRESS(g_nops));
	check_equal("NR-25", resume(), EXIT_REASON_PREEMPTION_TIMER, "neither IF nor MOV SS holds it off");
}

void
guest_main(void)
{
	start_vmx();
	injection();
	blocking_and_activity();
	exceptions();
	pending_debug();
	monitor_trap_flag();
	external_interrupts();
	nmis();
	interrupt_window();
	deadline();
	waiting();
	resume_flag();
	preemption_timer();
	finish(true);
}
