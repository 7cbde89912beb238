/* APIC virtualization: TPR shadow, APIC-access page, registers, x2APIC mode, virtual and posted interrupts. */
#include "tests/guest/vmx/runtime.h"

#define VMCALL "\n\tvmcall"
#define VALID BIT(31)
#define V32(offset) (*(volatile u32 *)(virtual_apic + (offset)))
#define LAPIC(offset) (*(volatile u32 *)(0xfee00000ull + (offset)))

/* RBX is an address in the APIC-access page. */
SNIPPET(g_read, "mov (%rbx), %eax" VMCALL);
SNIPPET(g_read_8, "mov (%rbx), %rax" VMCALL);
SNIPPET(g_read_1, "mov (%rbx), %al" VMCALL);
SNIPPET(g_write, "mov %ecx, (%rbx)" VMCALL);
SNIPPET(g_write_16, "mov %rcx, (%rbx)" VMCALL);
SNIPPET(g_fetch, "call *%rbx" VMCALL);
SNIPPET(g_rmw, "orl $0x20, (%rbx)" VMCALL);
SNIPPET(g_read_cr8, "mov %cr8, %rax" VMCALL);
SNIPPET(g_write_cr8, "mov %rcx, %cr8" VMCALL);
SNIPPET(g_rdmsr, "rdmsr" VMCALL);
SNIPPET(g_wrmsr, "wrmsr" VMCALL);
SNIPPET(g_nops, "nop; nop" VMCALL);
SNIPPET(g_sti, "sti; nop; nop; cli" VMCALL);
SNIPPET(g_hlt, "sti; hlt; cli" VMCALL);
SNIPPET(g_notify, "mov $0xfee00300, %ebx; movl $0x400f2, (%rbx); nop; nop; nop; nop" VMCALL);
SNIPPET(g_clflush, "clflush (%rbx)" VMCALL);
SNIPPET(g_monitor, "mov %rbx, %rax; xor %ecx, %ecx; xor %edx, %edx; monitor" VMCALL);
SNIPPET(g_enter, "lea 0x48(%rbx), %rsp; enter $0, $0" VMCALL);
SNIPPET(g_push_through_apic, "movabs $0x8000000100, %rsp; ud2");
SNIPPET(g_push_in_apic, "lea 0x28(%rbx), %rsp; ud2");

static u8 tables[4096] PAGE;
static u8 descriptor[64] __attribute__((aligned(64)));

static void
begin(void)
{
	fresh_vmcs();
	events_clear();
	memset(virtual_apic, 0, 4096);
	memset(descriptor, 0, sizeof(descriptor));
	SET_BITS(proc_controls, PROC_TPR_SHADOW);
	PUT(virtual_apic_address, ADDRESS(virtual_apic));
	PUT(tpr_threshold, 0);
	guest.rbx = ADDRESS(apic_access);
}

static void
access_page(u64 controls)
{
	begin();
	use_secondary(SEC_VIRTUALIZE_APIC_ACCESSES | controls);
	PUT(apic_access_address, ADDRESS(apic_access));
	PUT(exception_bitmap, BIT(6) | BIT(13));
}

/* An access at `offset` of the page. */
static u32
at(u64 offset, const char *code)
{
	guest.rbx = ADDRESS(apic_access) + offset;
	return run(code);
}

static void
tpr_shadow(void)
{
	begin();
	V32(0x80) = 0x5f;
	need(run(g_read_cr8), EXIT_REASON_VMCALL, "MOV from CR8");
	check_equal("NR-10", guest.rax, 5, "CR8 is read from the virtual-APIC page");
	V32(0x80) = 0xffffffff;
	guest.rcx = 9;
	need(run(g_write_cr8), EXIT_REASON_VMCALL, "MOV to CR8");
	check_equal("NR-10", V32(0x80), 0x90, "and written there, with the bytes above cleared");
	PUT(exception_bitmap, BIT(13));
	guest.rcx = 16;
	check_equal("NR-10", run(g_write_cr8), EXIT_REASON_EXCEPTION_NMI, "CR8 beyond 15 is #GP");
	V32(0x80) = 0x50;
	PUT(tpr_threshold, 5);
	guest.rcx = 5;
	check_equal("NR-39", run(g_write_cr8), EXIT_REASON_VMCALL, "a TPR not below the threshold");
	guest.rcx = 4;
	check_equal("NR-39 NR-40", run(g_write_cr8), EXIT_REASON_TPR_BELOW_THRESHOLD, "a TPR below it exits");
	check_equal("NR-40 PR-12", GET(guest_rip), ADDRESS(g_write_cr8) + 4, "behind the instruction");
	check("VE-CTL-10", failed_with((resume(), entry_flags), 7), "and cannot be entered with, either");
	guest.rbx = ADDRESS(apic_access);
	V32(0x80) = 0x50;
	*(u32 *)apic_access = 0x4711;
	need(run(g_read), EXIT_REASON_VMCALL, "read");
	check_equal("NR-59", (u32)guest.rax, 0x4711, "without \"virtualize APIC accesses\" the page is memory");
	/* INJ-18 */
	access_page(0);
	V32(0x80) = 0x20;
	PUT(tpr_threshold, 3);
	need(run(g_nops), EXIT_REASON_TPR_BELOW_THRESHOLD, "TPR below threshold at entry");
	check_equal("INJ-18", GET(guest_rip), ADDRESS(g_nops), "exits before the first instruction");
	PUT(entry_interruption_info, VALID | 0x306);
	need(run(g_nops), EXIT_REASON_TPR_BELOW_THRESHOLD, "TPR below threshold at entry");
	check("INJ-18", GET(guest_rip) != ADDRESS(g_nops), "behind an injection");
}

static void
apic_accesses(void)
{
	access_page(0);
	V32(0x80) = 0x30;
	need(at(0x80, g_read), EXIT_REASON_VMCALL, "read of the TPR");
	check_equal("NR-49", (u32)guest.rax, 0x30, "reads of offset 80H come from the virtual-APIC page");
	need(at(0x20, g_read), EXIT_REASON_APIC_ACCESS, "read of the ID");
	check_equal("NR-48 NR-49", GET(exit_qualification), 0x0020, "others exit with their offset");
	need(at(0x30, g_write), EXIT_REASON_APIC_ACCESS, "write of the version");
	check_equal("NR-50", GET(exit_qualification), 0x1030, "as a write");
	check_equal("NR-55", GET(guest_linear_address) & 0xfff, 0x30, "with the linear address");
	need(at(0x80, g_fetch), EXIT_REASON_APIC_ACCESS, "fetch");
	check_equal("NR-49 EPV-08", GET(exit_qualification), 0x2080, "fetches always exit");
	need(at(0x80, g_read_8), EXIT_REASON_APIC_ACCESS, "8 bytes");
	check_equal("NR-49", GET(exit_qualification), 0x0080, "so do accesses of more than 4 bytes");
	need(at(0x82, g_read), EXIT_REASON_APIC_ACCESS, "crossing");
	check_equal("NR-49", GET(exit_qualification), 0x0082, "and those that leave the 4 bytes of the register");
	guest.rcx = 0xffffff45;
	need(at(0x80, g_write), EXIT_REASON_VMCALL, "write of the TPR");
	check_equal("NR-50 NR-51", V32(0x80), 0x45, "writes of the TPR are virtualized, bytes above cleared");
	need(at(0x80, g_rmw), EXIT_REASON_VMCALL, "OR to the TPR");
	check_equal("NR-53", V32(0x80), 0x65, "read-modify-write too");
	PUT(tpr_threshold, 6);
	guest.rcx = 0x50;
	check_equal("NR-39 NR-51", at(0x80, g_write), EXIT_REASON_TPR_BELOW_THRESHOLD,
		    "and may fall below the threshold");
	PUT(tpr_threshold, 0);
	PUT(exception_bitmap, 0);
	need(at(0, g_push_in_apic), EXIT_REASON_APIC_ACCESS, "delivery with a stack there");
	check_equal("NR-54 IF-07", GET(exit_qualification) >> 12, 3, "is an access during event delivery");
	check_equal("IF-07", GET(idt_vectoring_info), VALID | 0x306, "of the event that is told");
	/* The exit comes before the trap of the same instruction. */
	access_page(0);
	PUT(exception_bitmap, BIT(1));
	PUT(tpr_threshold, 6);
	V32(0x80) = 0x70;
	guest.rcx = 0x50;
	guest.rbx = ADDRESS(apic_access) + 0x80;
	PUT(guest_rip, ADDRESS(g_write));
	PUT(guest_rsp, ADDRESS(guest_stack + sizeof(guest_stack)));
	PUT(guest_rflags, 2 | TF);
	check_equal("NR-52 NR-40", resume(), EXIT_REASON_TPR_BELOW_THRESHOLD,
		    "APIC-write emulation comes before the single-step trap");
	check_equal("NR-40 SV-14", GET(guest_pending_debug), BIT(14), "which stays pending");
	access_page(0);
	need(at(0x80, g_clflush), EXIT_REASON_APIC_ACCESS, "CLFLUSH");
	check_equal("NR-54", GET(exit_qualification), 0x0080, "CLFLUSH is a read that always exits");
	need(at(0x80, g_monitor), EXIT_REASON_APIC_ACCESS, "MONITOR");
	check_equal("NR-54", GET(exit_qualification), 0x4080, "MONITOR has a type of its own");
	guest.rcx = 0;
	need(at(0x80, g_enter), EXIT_REASON_APIC_ACCESS, "ENTER with a stack there");
	check_equal("NR-54", GET(exit_qualification) >> 12, 1, "is a write");
	/* A page table there: 512 GiB */
	access_page(0);
	use_ept();
	memcpy(tables, (void *)READ_CR(3), 4096);
	((u64 *)tables)[1] = ADDRESS(apic_access) | 7;
	PUT(guest_cr3, ADDRESS(tables));
	guest.rbx = 0x8000000000;
	need(run(g_read), EXIT_REASON_APIC_ACCESS, "a walk through the page");
	check_equal("NR-54", GET(exit_qualification) >> 12, 15, "is a guest-physical access");
	PUT(exception_bitmap, 0);
	need(at(0, g_push_through_apic), EXIT_REASON_APIC_ACCESS, "a walk for event delivery");
	check_equal("NR-54", GET(exit_qualification) >> 12, 10, "is one during event delivery");
	check_equal("NR-54 IF-07", GET(idt_vectoring_info), VALID | 0x306, "of the event that is told");
	/* EPT rights count first */
	access_page(0);
	use_ept();
	*ept_entry(ADDRESS(apic_access)) = ADDRESS(apic_access) | 0x31;
	invept(2, 0);
	check_equal("NR-55 PR-10", at(0x80, g_write), EXIT_REASON_EPT_VIOLATION, "an EPT violation comes before");
}

static void
register_virtualization(void)
{
	static const u16 readable[] = {0x20,  0x30,  0x80,  0xb0,  0xd0,  0xe0,  0xf0,  0x100, 0x170, 0x180,
				       0x1f0, 0x200, 0x270, 0x280, 0x300, 0x310, 0x320, 0x370, 0x380, 0x3e0};
	static const u16 unreadable[] = {0x00, 0x40, 0x90, 0xa0, 0xc0, 0x290, 0x2f0, 0x390, 0x3f0, 0x400};
	static const u16 writable[] = {0x20, 0xd0, 0xe0, 0xf0, 0x280, 0x320, 0x370, 0x380, 0x3e0};
	static const u16 unwritable[] = {0x30, 0x90, 0xa0, 0xc0, 0x100, 0x200, 0x390, 0x3f0};
	bool fine = true;

	access_page(SEC_APIC_REGISTER_VIRTUALIZATION);
	for (unsigned i = 0; i < COUNT(readable); i++) {
		V32(readable[i]) = 0x1000 + readable[i];
		fine &= at(readable[i], g_read) == EXIT_REASON_VMCALL && (u32)guest.rax == 0x1000u + readable[i];
	}
	check("NR-49", fine, "these registers are read from the virtual-APIC page");
	fine = true;
	for (unsigned i = 0; i < COUNT(unreadable); i++)
		fine &= at(unreadable[i], g_read) == EXIT_REASON_APIC_ACCESS &&
			GET(exit_qualification) == unreadable[i];
	check("NR-49", fine, "others exit");
	check_equal("NR-49", at(0x21, g_read_1), EXIT_REASON_VMCALL, "bytes within the register, too");
	fine = true;
	for (unsigned i = 0; i < COUNT(writable); i++) {
		guest.rcx = 0x2000u + writable[i];
		fine &= at(writable[i], g_write) == EXIT_REASON_APIC_WRITE && GET(exit_qualification) == writable[i] &&
			V32(writable[i]) == 0x2000u + writable[i] && GET(guest_rip) == ADDRESS(g_write) + 2;
	}
	check("NR-50 NR-51 PR-12", fine, "writes are made there and exit afterwards");
	fine = true;
	for (unsigned i = 0; i < COUNT(unwritable); i++)
		fine &= at(unwritable[i], g_write) == EXIT_REASON_APIC_ACCESS &&
			GET(exit_qualification) == (0x1000u | unwritable[i]);
	check("NR-50", fine, "others exit before");
	guest.rcx = 0x12345678;
	check_equal("NR-51", at(0x310, g_write), EXIT_REASON_VMCALL, "ICR_HI does not exit");
	check_equal("NR-51", V32(0x310), 0x12000000, "and keeps its top byte");
	guest.rcx = 0;
	check_equal("NR-51", at(0xb0, g_write), EXIT_REASON_APIC_WRITE, "EOI exits without virtual-interrupt delivery");
	check_equal("NR-51", at(0x300, g_write), EXIT_REASON_APIC_WRITE, "ICR_LO too");
}

static void
x2apic_mode(void)
{
	begin();
	use_secondary(SEC_VIRTUALIZE_X2APIC_MODE);
	SET_BITS(proc_controls, PROC_MSR_BITMAPS);
	PUT(msr_bitmap, ADDRESS(msr_bitmap));
	PUT(exception_bitmap, BIT(13));
	V32(0x80) = 0x77;
	guest.rcx = 0x808;
	need(run(g_rdmsr), EXIT_REASON_VMCALL, "RDMSR 808H");
	check_equal("NR-56 NR-58", (u32)guest.rax, 0x77,
		    "the TPR is read from the virtual-APIC page, although the APIC is in xAPIC mode");
	guest.rcx = 0x802;
	check_equal("NR-56", run(g_rdmsr), EXIT_REASON_EXCEPTION_NMI, "others natively, which is #GP in xAPIC mode");
	use_secondary(SEC_APIC_REGISTER_VIRTUALIZATION);
	V32(0x20) = 0x99;
	V32(0x24) = 0x11;
	need(run(g_rdmsr), EXIT_REASON_VMCALL, "RDMSR 802H");
	check("NR-56", (u32)guest.rax == 0x99 && (u32)guest.rdx == 0x11,
	      "with register virtualization all of 800H to 8FFH from the page");
	guest.rcx = 0x808;
	guest.rax = 0x42;
	guest.rdx = 0;
	need(run(g_wrmsr), EXIT_REASON_VMCALL, "WRMSR 808H");
	check_equal("NR-57", V32(0x80), 0x42, "WRMSR of the TPR goes to the page");
	guest.rax = 0x142;
	check_equal("NR-57", run(g_wrmsr), EXIT_REASON_EXCEPTION_NMI, "reserved bits are #GP");
	check_equal("NR-57", V32(0x80), 0x42, "before anything is written");
	msr_bitmap[0x808 / 8] = 1;
	guest.rcx = 0x808;
	check_equal("IX-20 NR-58", run(g_rdmsr), EXIT_REASON_MSR_READ, "the MSR bitmap comes first");
	msr_bitmap[0x808 / 8] = 0;
}

static void
vid(u64 controls)
{
	access_page(SEC_VIRTUAL_INTERRUPT_DELIVERY | SEC_APIC_REGISTER_VIRTUALIZATION | controls);
	SET_BITS(pin_controls, PIN_EXTERNAL_INTERRUPT_EXITING);
	PUT(eoi_exit_bitmap_0, 0);
	PUT(eoi_exit_bitmap_1, 0);
	PUT(eoi_exit_bitmap_2, 0);
	PUT(eoi_exit_bitmap_3, 0);
	PUT(exception_bitmap, 0);
}

static void
virtual_interrupts(void)
{
	vid(0);
	V32(0x220) = BIT(0x51 - 0x40) | BIT(0x44 - 0x40);
	PUT(guest_interrupt_status, 0x51);
	need(run(g_nops), EXIT_REASON_VMCALL, "IF clear");
	check_equal("NR-44", event_count, 0, "no virtual interrupt while IF is 0");
	need(run(g_sti), EXIT_REASON_VMCALL, "STI");
	check("NR-44 INJ-19", event_count == 1 && event_log[0].vector == 0x51 && event_log[0].rip == ADDRESS(g_sti) + 2,
	      "it is delivered behind STI's shadow, without an exit");
	check_equal("NR-44", GET(guest_interrupt_status), 0x5144, "SVI and RVI");
	check("NR-44 NR-41", V32(0x120) == BIT(0x51 - 0x40) && V32(0x220) == BIT(0x44 - 0x40) && V32(0xa0) == 0x50,
	      "VISR, VIRR and VPPR");
	guest.rcx = 0;
	events_clear();
	need(at(0xb0, g_write), EXIT_REASON_VMCALL, "EOI");
	check("NR-45 NR-51", V32(0x120) == 0 && GET(guest_interrupt_status) == 0x44 && V32(0xa0) == 0,
	      "EOI ends the service");
	V32(0x80) = 0x40;
	need(run(g_sti), EXIT_REASON_VMCALL, "STI");
	check("NR-42 NR-43", event_count == 0 && V32(0xa0) == 0x40, "RVI that is not above the PPR waits");
	V32(0x80) = 0;
	SET_BITS(proc_controls, PROC_INTERRUPT_WINDOW_EXITING);
	need(run(g_sti), EXIT_REASON_INTERRUPT_WINDOW, "interrupt window");
	check_equal("NR-43", event_count, 0, "interrupt-window exiting keeps it from being recognized");
	CLEAR_BITS(proc_controls, PROC_INTERRUPT_WINDOW_EXITING);
	need(run(g_hlt), EXIT_REASON_VMCALL, "HLT");
	check("NR-44", event_count == 1 && event_log[0].vector == 0x44, "HLT with a pending virtual interrupt");
	/* EOI exit */
	PUT(eoi_exit_bitmap_1, BIT(0x44 - 0x40));
	guest.rcx = 0;
	need(at(0xb0, g_write), EXIT_REASON_EOI_INDUCED, "EOI");
	check("NR-45 PR-12", GET(exit_qualification) == 0x44 && GET(guest_rip) == ADDRESS(g_write) + 2,
	      "the EOI-exit bitmap exits behind the write");
	/* self-IPI */
	vid(0);
	guest.rcx = 0x40061;
	need(at(0x300, g_write), EXIT_REASON_VMCALL, "self-IPI");
	check("NR-46 NR-51", V32(0x230) == BIT(1) && GET(guest_interrupt_status) == 0x61,
	      "a self-IPI sets VIRR and RVI");
	guest.rcx = 0x61;
	check_equal("NR-51", at(0x300, g_write), EXIT_REASON_APIC_WRITE, "other IPIs exit");
	guest.rcx = 0x4000f;
	check_equal("NR-51", at(0x300, g_write), EXIT_REASON_APIC_WRITE, "and vectors below 16");
	guest.rcx = 0x80;
	V32(0x80) = 0;
	PUT(guest_interrupt_status, 0);
	need(at(0x80, g_write), EXIT_REASON_VMCALL, "TPR");
	check_equal("NR-42 NR-39", V32(0xa0), 0x80, "a TPR write virtualizes the PPR");
	/* x2APIC mode */
	vid(0);
	CLEAR_BITS(sec_controls, SEC_VIRTUALIZE_APIC_ACCESSES);
	use_secondary(SEC_VIRTUALIZE_X2APIC_MODE);
	SET_BITS(proc_controls, PROC_MSR_BITMAPS);
	PUT(msr_bitmap, ADDRESS(msr_bitmap));
	PUT(exception_bitmap, BIT(13));
	guest.rcx = 0x83f;
	guest.rax = 0x71;
	guest.rdx = 0;
	need(run(g_wrmsr), EXIT_REASON_VMCALL, "WRMSR 83FH");
	check("NR-57 NR-46", V32(0x230) == BIT(0x71 - 0x60) && GET(guest_interrupt_status) == 0x71,
	      "the self-IPI register");
	guest.rax = 5;
	need(run(g_wrmsr), EXIT_REASON_APIC_WRITE, "vector below 16");
	check_equal("NR-57", GET(exit_qualification), 0x3f0, "exits as an APIC write of 3F0H");
	guest.rcx = 0x80b;
	check_equal("NR-57", run(g_wrmsr), EXIT_REASON_EXCEPTION_NMI, "EOI of anything but 0 is #GP");
	PUT(guest_interrupt_status, 0x7100);
	V32(0x130) = BIT(0x71 - 0x60);
	guest.rax = 0;
	need(run(g_wrmsr), EXIT_REASON_VMCALL, "EOI");
	check("NR-57 NR-45", V32(0x130) == 0 && GET(guest_interrupt_status) == 0, "EOI by MSR");
}

static void
posted_interrupts(void)
{
	vid(0);
	SET_BITS(pin_controls, PIN_POSTED_INTERRUPTS);
	SET_BITS(exit_controls, EXIT_ACKNOWLEDGE_INTERRUPT);
	PUT(posted_interrupt_vector, 0xf2);
	PUT(posted_interrupt_descriptor, ADDRESS(descriptor));
	*(u64 *)(descriptor + 8) = BIT(0x63 - 64) | BIT(0x50 - 64);
	descriptor[32] = 1;
	check_equal("NR-61 NR-62", run(g_notify), EXIT_REASON_VMCALL,
		    "the notification does not exit, although IF is 0");
	check("NR-60 NR-61", descriptor[32] == 0 && *(u64 *)(descriptor + 8) == 0, "ON and the requests are cleared");
	check("NR-61", V32(0x230) == BIT(3) && V32(0x220) == BIT(0x10) && GET(guest_interrupt_status) == 0x63,
	      "and are in VIRR and RVI");
	check_equal("NR-61", LAPIC(0x170), 0, "the local APIC has its EOI");
	PUT(posted_interrupt_vector, 0xf3);
	need(run(g_notify), EXIT_REASON_EXTERNAL_INTERRUPT, "another vector");
	check_equal("NR-61", GET(exit_interruption_info), VALID | 0xf2, "exits, acknowledged");
	LAPIC(0xb0) = 0;
}

void
guest_main(void)
{
	start_vmx();
	tpr_shadow();
	apic_accesses();
	register_virtualization();
	x2apic_mode();
	virtual_interrupts();
	posted_interrupts();
	finish(true);
}
