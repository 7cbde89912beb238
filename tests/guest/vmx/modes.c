/*
 * Guests in other modes: real mode and protected mode without paging (unrestricted guest), PAE, virtual-8086 mode, compatibility mode, hardware task
 * switches.
 */
#include "tests/guest/vmx/runtime.h"

#define VALID BIT(31)

/* --- unrestricted real mode; the code is copied to LOW --- */

#define LOW 0x8000
SNIPPET(r_ivt, ".code16; mov $0x1234, %ax; int $0x60; nop; vmcall; .code64");
SNIPPET(r_handler, ".code16; mov %sp, %bp; mov (%bp), %bx; vmcall; .code64");
SNIPPET(r_protect, ".code16; mov %cr0, %eax; or $1, %al; mov %eax, %cr0; vmcall; mov %cr0, %eax; and $0xfe, %al; mov "
		   "%eax, %cr0; vmcall; .code64");
SNIPPET(r_paging, ".code16; mov %cr0, %eax; or $0x80000001, %eax; mov %eax, %cr0; vmcall; .code64");
SNIPPET(r_ud, ".code16; ud2; .code64");
SNIPPET(r_pause, ".code16; mov $1000, %cx; 1: pause; loop 1b; vmcall; .code64");

static void
copy_low(const char *code)
{
	memcpy((void *)LOW, code, 64);
}

static void
real_mode(void)
{
	static const u32 segments[] = {VMCS_guest_es_selector, VMCS_guest_cs_selector, VMCS_guest_ss_selector,
				       VMCS_guest_ds_selector, VMCS_guest_fs_selector, VMCS_guest_gs_selector};

	fresh_vmcs();
	use_ept();
	use_secondary(SEC_UNRESTRICTED_GUEST);
	CLEAR_BITS(entry_controls, ENTRY_IA32E_MODE_GUEST);
	/* LME of the hypervisor would otherwise stay. */
	SET_BITS(entry_controls, ENTRY_LOAD_EFER);
	SET_BITS(exit_controls, EXIT_LOAD_EFER | EXIT_SAVE_EFER);
	PUT(host_efer, rdmsr(MSR_EFER));
	PUT(guest_efer, 0);
	PUT(guest_cr0, READ_CR(0) & ~(BIT(31) | BIT(0)));
	PUT(guest_cr4, BIT(13));
	PUT(guest_cr3, 0);
	for (unsigned i = 0; i < COUNT(segments); i++) {
		vmwrite(segments[i], 0);
		vmwrite(segments[i] - 0x0800 + 0x6806, 0);
		vmwrite(segments[i] + 0x4000, 0xffff);
		vmwrite(segments[i] + 0x4014, segments[i] == VMCS_guest_cs_selector ? 0x9b : 0x93);
	}
	PUT(guest_idtr_base, 0x1000);
	PUT(guest_idtr_limit, 0x3ff);
	memset((void *)0x1000, 0, 0x400);
	/* vectors 60H and 6 at LOW + 100H */
	*(u32 *)(0x1000 + 4 * 0x60) = *(u32 *)(0x1000 + 4 * 6) = LOW + 0x100;
	memcpy((void *)(LOW + 0x100), r_handler, 16);
	PUT(guest_rflags, 2);
	PUT(guest_rsp, LOW);
	PUT(guest_rip, LOW);
}

static void
unrestricted_real_mode(void)
{
	u32 reason;

	real_mode();
	copy_low(r_ivt);
	reason = resume();
	check_equal("NR-87 VE-GST-01", reason, EXIT_REASON_VMCALL, "a guest in real mode");
	check("NR-87", (u16)guest.rax == 0x1234 && (u16)guest.rbx == LOW + 5, "takes INT through its vector table");
	check_equal("IF-12 SV-01", GET(entry_controls) & ENTRY_IA32E_MODE_GUEST, 0,
		    "and is saved as not in IA-32e mode");
	real_mode();
	copy_low(r_ivt);
	PUT(guest_rsp, LOW);
	PUT(entry_interruption_info, VALID | 0x30d); /* #GP: no error code here */
	*(u32 *)(0x1000 + 4 * 13) = LOW + 0x100;
	need(resume(), EXIT_REASON_VMCALL, "injected #GP");
	check("INJ-06 NR-87", GET(guest_rsp) == LOW - 6 && (u16)guest.rbx == LOW,
	      "an injected #GP pushes no error code in real mode");
	real_mode();
	copy_low(r_ud);
	PUT(exception_bitmap, BIT(6));
	need(resume(), EXIT_REASON_EXCEPTION_NMI, "#UD");
	check("IF-04", GET(exit_interruption_info) == (VALID | 0x306), "exceptions of real mode exit by the bitmap");
	/* segment caches as loaded */
	real_mode();
	copy_low(r_ivt);
	PUT(guest_cs_selector, 0x1234);
	PUT(guest_cs_base, LOW);
	PUT(guest_rip, 0);
	PUT(guest_idtr_limit, 0x3ff);
	need(resume(), EXIT_REASON_VMCALL, "CS base that is not its selector's");
	check_equal("NR-87 LD-08", (u16)guest.rbx, 5, "segment bases are used as they were loaded");
	/* PAUSE-loop exiting counts it as CPL 0 */
	real_mode();
	copy_low(r_pause);
	use_secondary(SEC_PAUSE_LOOP_EXITING);
	PUT(ple_gap, 100);
	PUT(ple_window, 500);
	check_equal("IX-09 NR-20", resume(), EXIT_REASON_PAUSE_INSTRUCTION,
		    "real mode has CPL 0 for PAUSE-loop exiting");
	/* PE and PG */
	real_mode();
	copy_low(r_protect);
	need(resume(), EXIT_REASON_VMCALL, "PE set");
	check("NR-02 NR-03 CAP-28", GET(guest_cr0) & 1, "an unrestricted guest sets PE without an exit");
	need(go_on(), EXIT_REASON_VMCALL, "PE cleared");
	check("NR-02 NR-03", !(GET(guest_cr0) & 1), "and clears it");
	real_mode();
	copy_low(r_paging);
	/* 32-bit paging: 4 MiB at 0 */
	*(u32 *)0x3000 = 0x83;
	PUT(guest_cr3, 0x3000);
	PUT(guest_cr4, BIT(13) | BIT(4));
	need(resume(), EXIT_REASON_VMCALL, "PG set");
	check("NR-03", (GET(guest_cr0) >> 31 & 1) && !(GET(entry_controls) & ENTRY_IA32E_MODE_GUEST),
	      "and turns on paging");
	/* into IA-32e mode */
	real_mode();
	copy_low(r_paging);
	PUT(guest_efer, BIT(8));
	PUT(guest_cr3, READ_CR(3));
	PUT(guest_cr4, BIT(13) | BIT(5));
	need(resume(), EXIT_REASON_VMCALL, "IA-32e mode");
	check("NR-03 SV-04", (GET(guest_efer) & BIT(10)), "LMA follows PG and LME");
	check("IF-12", GET(entry_controls) & ENTRY_IA32E_MODE_GUEST, "and the entry control says so from then on");
}

/* --- 32-bit guest with PAE paging; hardware tasks --- */

#define GDT32 0x4000
#define IDT32 0x5000
#define TSS32 0x6000
#define PDPT32 0x7000
SNIPPET(p_vmcall, "vmcall");
SNIPPET(p_load_cr3, ".code32; mov %cr3, %eax; mov %eax, %cr3; vmcall; .code64");
SNIPPET(p_far_jump, ".code32; ljmp $0x20, $0; vmcall; .code64");
SNIPPET(p_far_call, ".code32; lcall $0x20, $0; vmcall; .code64");
SNIPPET(p_gate, ".code32; ljmp $0x28, $0; vmcall; .code64");
SNIPPET(p_iret, ".code32; pushf; orl $0x4000, (%esp); popf; iret; vmcall; .code64");
SNIPPET(p_int, ".code32; int $0x50; vmcall; .code64");
SNIPPET(p_ud, ".code32; ud2; vmcall; .code64");
SNIPPET(p_busy, ".code32; ljmp $0x18, $0; vmcall; .code64");

static u64
descriptor(u32 base, u32 limit, u32 access)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)(access & 0xf0ff) << 40 |
	       (u64)(limit >> 16 & 15) << 48 | (u64)(base >> 24) << 56;
}

static void
protected_mode(void)
{
	static const u32 data[] = {VMCS_guest_es_selector, VMCS_guest_ss_selector, VMCS_guest_ds_selector};
	u64 *gdt32 = (u64 *)GDT32, *idt32 = (u64 *)IDT32;

	fresh_vmcs();
	use_ept();
	CLEAR_BITS(entry_controls, ENTRY_IA32E_MODE_GUEST);
	PUT(guest_cr0, READ_CR(0));
	PUT(guest_cr4, BIT(13) | BIT(5));
	PUT(guest_cr3, PDPT32);
	for (unsigned i = 0; i < 4; i++) {
		((u64 *)PDPT32)[i] = (((u64 *)(((u64 *)READ_CR(3))[0] & ~0xfffull))[i] & ~0xfffull) | 1;
		vmwrite(VMCS_guest_pdpte0 + 2 * i, ((u64 *)PDPT32)[i]);
	}
	gdt32[0] = 0;
	gdt32[1] = descriptor(0, 0xfffff, 0xc09b);
	gdt32[2] = descriptor(0, 0xfffff, 0xc093);
	gdt32[3] = descriptor(TSS32, 0x67, 0x8b);
	gdt32[4] = descriptor(TSS32 + 0x80, 0x67, 0x89);
	gdt32[5] = 0x0000850000200000; /* task gate to 20H */
	idt32[0x50] = 0x0000850000200000;
	idt32[6] = 0x0000850000200000;
	*(u32 *)TSS32 = 0x20; /* back link */
	PUT(guest_cs_selector, 8);
	PUT(guest_cs_access, 0xc09b);
	for (unsigned i = 0; i < COUNT(data); i++)
		vmwrite(data[i], 0x10);
	PUT(guest_tr_selector, 0x18);
	PUT(guest_tr_base, TSS32);
	PUT(guest_gdtr_base, GDT32);
	PUT(guest_gdtr_limit, 0x2f);
	PUT(guest_idtr_base, IDT32);
	PUT(guest_idtr_limit, 0x7ff);
}

static void
task_switches(void)
{
	static const struct {
		const char *code;
		u64 source, length;
		const char *text;
	} row[] = {
		{p_far_jump, 2, 7, "JMP to a TSS"},
		{p_far_call, 0, 7, "CALL of a TSS"},
		{p_gate, 2, 7, "JMP through a task gate"},
		{p_int, 3, 2, "INT through a task gate"},
	};

	for (unsigned i = 0; i < COUNT(row); i++) {
		protected_mode();
		check_equal("IX-17", run(row[i].code), EXIT_REASON_TASK_SWITCH, row[i].text);
		check_equal("IX-17", GET(exit_qualification), 0x20 | row[i].source << 30, "selector and source");
		check_equal("IX-17 SV-09", GET(guest_rip), ADDRESS(row[i].code), "RIP is that of the instruction");
		check_equal("IF-01", GET(exit_instruction_length), row[i].length, "with its length");
		check_equal("IX-17", ((u64 *)GDT32)[4] >> 40 & 0xff, 0x89, "nothing is marked busy");
		check_equal("IF-07", GET(idt_vectoring_info), i == 3 ? VALID | 0x450 : 0, "IDT-vectoring information");
	}
	protected_mode();
	/* the link's TSS must be busy */
	((u64 *)GDT32)[4] = descriptor(TSS32 + 0x80, 0x67, 0x8b);
	check_equal("IX-17", run(p_iret), EXIT_REASON_TASK_SWITCH, "IRET with NT");
	check_equal("IX-17", GET(exit_qualification), 0x20 | 1ull << 30, "names the link's TSS");
	protected_mode();
	check_equal("IX-17", run(p_ud), EXIT_REASON_TASK_SWITCH, "an exception through a task gate");
	check_equal("IX-17", GET(exit_qualification), 0x20 | 3ull << 30, "");
	check_equal("IF-07", GET(idt_vectoring_info), VALID | 0x306, "is what was being delivered");
	protected_mode();
	PUT(entry_interruption_info, VALID | 0x306);
	check_equal("INJ-09", run(p_vmcall), EXIT_REASON_TASK_SWITCH, "an injected event through a task gate");
	check_equal("INJ-09 IF-07", GET(idt_vectoring_info), VALID | 0x306, "too");
	check_equal("INJ-09", GET(guest_rip), ADDRESS(p_vmcall), "with the guest's RIP");
	protected_mode();
	PUT(exception_bitmap, BIT(13) | BIT(10) | BIT(11));
	need(run(p_busy), EXIT_REASON_EXCEPTION_NMI, "JMP to a busy TSS");
	check("IX-17", GET(exit_interruption_info) == (VALID | 0xb0d) && GET(exit_interruption_error) == 0x18,
	      "is #GP before it exits");
}

static void
pae(void)
{
	protected_mode();
	need(run(p_vmcall), EXIT_REASON_VMCALL, "a PAE guest");
	check_equal("LD-10 SV-16", GET(guest_pdpte1), ((u64 *)PDPT32)[1], "PDPTEs are saved");
	protected_mode();
	((u64 *)PDPT32)[3] = 3; /* reserved bit; not loaded at entry */
	PUT(exception_bitmap, BIT(13));
	check_equal("TLB-06 VE-PDP-01", run(p_vmcall), EXIT_REASON_VMCALL,
		    "VM entry does not read PDPTEs from memory with EPT");
	check_equal("NR-08 TLB-06", run(p_load_cr3), EXIT_REASON_EXCEPTION_NMI,
		    "MOV to CR3 does, and refuses reserved bits");
	protected_mode();
	memcpy(test_page, (void *)PDPT32, 32);
	PUT(guest_cr3, ADDRESS(test_page));
	*ept_entry(ADDRESS(test_page)) = 0;
	invept(2, 0);
	need(run(p_load_cr3), EXIT_REASON_EPT_VIOLATION, "PDPTEs that EPT does not map");
	check_equal("NR-08 EPV-04 IF-03", GET(exit_qualification) & 0x1ff, 1, "are a read without linear address");
	check_equal("IF-03", GET(guest_physical_address) & ~0xfffull, ADDRESS(test_page), "with its address");
}

/* --- virtual-8086 mode: code at 800H:0, stack a00H:1000H, the handlers' stack below HANDLER_STACK --- */

#define RFLAGS_VM BIT(17)
#define RFLAGS_VIF BIT(19)
#define HANDLER_STACK 0xd000
#define SOFTWARE_INTERRUPT (VALID | 0x420)
SNIPPET(v_int, ".code16; int $0x20; vmcall; .code64");
SNIPPET(v_vmcall, ".code16; vmcall; .code64");
SNIPPET(v_handler, ".code32; vmcall; .code64");

static void
virtual_8086_with(const char *code, u64 dpl)
{
	static const u32 segments[] = {VMCS_guest_es_selector, VMCS_guest_cs_selector, VMCS_guest_ss_selector,
				       VMCS_guest_ds_selector, VMCS_guest_fs_selector, VMCS_guest_gs_selector};

	protected_mode();
	for (unsigned i = 0; i < COUNT(segments); i++) {
		u64 selector = segments[i] == VMCS_guest_cs_selector ? LOW >> 4 : 0xa00 + (segments[i] - VMCS_guest_ss_selector);

		vmwrite(segments[i], selector);
		vmwrite(segments[i] - 0x0800 + 0x6806, selector << 4);
		vmwrite(segments[i] + 0x4000, 0xffff);
		vmwrite(segments[i] + 0x4014, 0xf3);
	}
	memset((void *)TSS32, 0, 0x100);
	((u32 *)TSS32)[1] = HANDLER_STACK;
	((u32 *)TSS32)[2] = 0x10;
	/* The I/O permission bitmap, and below it that of redirected interrupts. */
	((u16 *)TSS32)[0x66 / 2] = 0x88;
	PUT(guest_tr_limit, 0xff);
	((u64 *)IDT32)[0x20] = (ADDRESS(v_handler) & 0xffff) | 8 << 16 | (0x8e00 | dpl << 13) << 32 | (ADDRESS(v_handler) >> 16) << 48;
	copy_low(code);
	memcpy((void *)(LOW + 0x40), v_vmcall, 16);
	PUT(guest_rflags, 2 | RFLAGS_VM);
	PUT(guest_rsp, 0x1000);
	PUT(guest_rip, 0);
	PUT(entry_instruction_length, 2);
	PUT(exception_bitmap, BIT(13));
}

static void
virtual_8086(void)
{
	u32 *frame = (u32 *)(HANDLER_STACK - 36);
	u16 *frame16 = (u16 *)(0xa000 + 0x1000 - 6);
	u32 *vector = (u32 *)(4 * 0x20), before = *vector;

	virtual_8086_with(v_int, 3);
	need(resume(), EXIT_REASON_EXCEPTION_NMI, "INT in virtual-8086 mode with IOPL 0");
	check_equal("IF-04", GET(exit_interruption_info), VALID | 0xb0d, "INT itself is #GP with IOPL 0");
	virtual_8086_with(v_vmcall, 3);
	PUT(entry_interruption_info, SOFTWARE_INTERRUPT);
	need(resume(), EXIT_REASON_VMCALL, "an injected software interrupt in virtual-8086 mode");
	check("INJ-05", GET(guest_rip) == ADDRESS(v_handler) && GET(guest_cs_selector) == 8, "is delivered whatever IOPL is");
	check("INJ-05", GET(guest_rsp) == ADDRESS(frame) && GET(guest_ss_selector) == 0x10 && !(GET(guest_rflags) & RFLAGS_VM),
	      "on the stack of CPL 0, out of virtual-8086 mode");
	check("INJ-05", frame[0] == 2 && frame[1] == LOW >> 4 && frame[2] == (2 | RFLAGS_VM) && frame[3] == 0x1000 && frame[4] == 0xa00,
	      "with the return address behind the instruction");
	check("INJ-05", frame[5] == (u16)(0xa00 + VMCS_guest_es_selector - VMCS_guest_ss_selector) && frame[8] == 0xa06 &&
			       GET(guest_gs_selector) == 0,
	      "and the data segments, which are null then");
	virtual_8086_with(v_vmcall, 0);
	PUT(entry_interruption_info, SOFTWARE_INTERRUPT);
	need(resume(), EXIT_REASON_EXCEPTION_NMI, "through a gate of DPL 0");
	check("INJ-04", GET(exit_interruption_info) == (VALID | 0xb0d) && GET(exit_interruption_error) == (0x20 << 3 | 2),
	      "the gate's DPL counts");
	check_equal("IF-07", GET(idt_vectoring_info), SOFTWARE_INTERRUPT, "and the interrupt was being delivered");
	virtual_8086_with(v_vmcall, 0);
	PUT(entry_interruption_info, VALID | 0x20);
	PUT(guest_rflags, 2 | RFLAGS_VM | IF);
	need(resume(), EXIT_REASON_VMCALL, "an injected external interrupt");
	check("INJ-04", GET(guest_rip) == ADDRESS(v_handler) && frame[0] == 0, "is not subject to DPL, nor has it a length");

	/* CR4.VME: by the bitmap */
	virtual_8086_with(v_vmcall, 3);
	PUT(guest_cr4, BIT(13) | BIT(5) | BIT(0));
	*vector = (LOW >> 4) << 16 | 0x40;
	PUT(guest_rflags, 2 | RFLAGS_VM | RFLAGS_VIF);
	PUT(entry_interruption_info, SOFTWARE_INTERRUPT);
	need(resume(), EXIT_REASON_VMCALL, "with CR4.VME and a clear bit");
	check("INJ-05", GET(guest_rip) == 0x40 && GET(guest_cs_selector) == LOW >> 4 && GET(guest_rsp) == 0x1000 - 6 &&
			       (GET(guest_rflags) & (RFLAGS_VM | RFLAGS_VIF)) == RFLAGS_VM,
	      "a clear bit of the redirection bitmap: through the table at 0, and VIF is cleared");
	check("INJ-05", frame16[0] == 2 && frame16[1] == LOW >> 4 && frame16[2] == (2 | IF | 3 << 12),
	      "FLAGS are pushed with IOPL 3 and VIF as IF");
	virtual_8086_with(v_vmcall, 3);
	PUT(guest_cr4, BIT(13) | BIT(5) | BIT(0));
	((u8 *)TSS32)[0x68 + 0x20 / 8] = 1;
	PUT(entry_interruption_info, SOFTWARE_INTERRUPT);
	need(resume(), EXIT_REASON_VMCALL, "with CR4.VME and a set bit");
	check_equal("INJ-05", GET(guest_rip), ADDRESS(v_handler), "a set bit: through the IDT, whatever IOPL is");
	*vector = before;
}

/* --- compatibility mode --- */

SNIPPET(c_sysenter, ".code32; vmcall; .code64");

static void
compatibility_mode(void)
{
	fresh_vmcs();
	PUT(guest_cs_selector, 0x28);
	PUT(guest_cs_access, 0xc09b);
	guest.rax = 0x1111111122222222;
	need(run(c_sysenter), EXIT_REASON_VMCALL, "compatibility mode");
	check_equal("INS-09", GET(guest_cs_access) & 0x2000, 0, "VMCALL exits from compatibility mode");
}

void
guest_main(void)
{
	start_vmx();
	unrestricted_real_mode();
	task_switches();
	pae();
	virtual_8086();
	compatibility_mode();
	finish(true);
}
