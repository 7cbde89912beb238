/* VM entries that fail, of every kind; MSR lists; what entries load and exits save and load. */
#include "tests/guest/vmx/runtime.h"

#define VALID BIT(31)
#define NOT_CANONICAL 0x1000000000000000ull
#define BEYOND (1ull << 52)

SNIPPET(g_vmcall, "vmcall");
SNIPPET(g_cpuid, "cpuid");

enum { CONTROLS = 7, HOST = 8, GUEST = 33 };
enum { SET, ON, OFF };

#define ROW(id, kind, op, field, value)                                                                                \
	{                                                                                                              \
		id, #field, kind, op, VMCS_##field, value                                                              \
	}
static const struct {
	const char *id, *name;
	u8 kind, op;
	u32 field;
	u64 value;
} rows[] = {
	ROW("VE-CTL-01", CONTROLS, OFF, pin_controls, 2),
	ROW("VE-CTL-02", CONTROLS, ON, proc_controls, 1),
	ROW("VE-CTL-05", CONTROLS, SET, cr3_target_count, 5),
	ROW("VE-CTL-12", CONTROLS, ON, pin_controls, BIT(5)),
	ROW("VE-CTL-13", CONTROLS, ON, proc_controls, BIT(22)),
	ROW("VE-EXC-01", CONTROLS, OFF, exit_controls, 1),
	ROW("VE-EXC-03", CONTROLS, ON, exit_controls, BIT(22)),
	ROW("VE-ENT-01", CONTROLS, OFF, entry_controls, 1),
	ROW("VE-INJ-01", CONTROLS, SET, entry_interruption_info, VALID | 0x100),
	ROW("VE-INJ-02", CONTROLS, SET, entry_interruption_info, VALID | 0x203),
	ROW("VE-INJ-03", CONTROLS, SET, entry_interruption_info, VALID | 0x30d),
	ROW("VE-INJ-05", CONTROLS, SET, entry_interruption_info, VALID | 0x1306),
	ROW("VE-HST-01", HOST, OFF, host_cr0, BIT(5)),
	ROW("VE-HST-02", HOST, OFF, host_cr4, BIT(13)),
	ROW("VE-HST-03", HOST, ON, host_cr3, BEYOND),
	ROW("VE-HST-04", HOST, SET, host_sysenter_esp, NOT_CANONICAL),
	ROW("VE-HST-12", HOST, ON, host_ds_selector, 3),
	ROW("VE-HST-13", HOST, SET, host_cs_selector, 0),
	ROW("VE-HST-14", HOST, SET, host_gs_base, NOT_CANONICAL),
	ROW("VE-HST-16", HOST, OFF, exit_controls, BIT(9)),
	ROW("VE-HST-18", HOST, OFF, host_cr4, BIT(5)),
	ROW("VE-GST-01", GUEST, OFF, guest_cr0, BIT(5)),
	ROW("VE-GST-03", GUEST, OFF, guest_cr4, BIT(13)),
	ROW("VE-GST-05", GUEST, OFF, guest_cr4, BIT(5)),
	ROW("VE-GST-07", GUEST, ON, guest_cr3, BEYOND),
	ROW("VE-GST-09", GUEST, SET, guest_sysenter_eip, NOT_CANONICAL),
	ROW("VE-SEG-01", GUEST, ON, guest_tr_selector, 4),
	ROW("VE-SEG-03", GUEST, ON, guest_cs_selector, 3),
	ROW("VE-SEG-05", GUEST, SET, guest_fs_base, NOT_CANONICAL),
	ROW("VE-SEG-07", GUEST, SET, guest_cs_base, BIT(32)),
	ROW("VE-SEG-08", GUEST, SET, guest_ds_base, BIT(32)),
	ROW("VE-SEG-11", GUEST, SET, guest_cs_access, 0xa093),
	ROW("VE-SEG-12", GUEST, SET, guest_ss_access, 0xc091),
	ROW("VE-SEG-13", GUEST, SET, guest_ds_access, 0xc092),
	ROW("VE-SEG-14", GUEST, OFF, guest_cs_access, 0x10),
	ROW("VE-SEG-15", GUEST, SET, guest_cs_access, 0xa0bb),
	ROW("VE-SEG-17", GUEST, ON, guest_es_selector, 3),
	ROW("VE-SEG-18", GUEST, OFF, guest_ds_access, 0x80),
	ROW("VE-SEG-19", GUEST, ON, guest_cs_access, 0x100),
	ROW("VE-SEG-20", GUEST, ON, guest_cs_access, 0x4000),
	ROW("VE-SEG-21", GUEST, SET, guest_ds_limit, 0x12345678),
	ROW("VE-SEG-22", GUEST, SET, guest_tr_access, 0x83),
	ROW("VE-SEG-23", GUEST, ON, guest_tr_access, 0x10000),
	ROW("VE-SEG-25", GUEST, SET, guest_idtr_limit, 0x10000),
	ROW("VE-RIP-02", GUEST, SET, guest_rip, NOT_CANONICAL),
	ROW("VE-RIP-03", GUEST, SET, guest_rflags, 0),
	ROW("VE-RIP-04", GUEST, ON, guest_rflags, BIT(17)),
	ROW("VE-RIP-05", GUEST, SET, entry_interruption_info, VALID | 0x50),
	ROW("VE-NRS-01", GUEST, SET, guest_activity, 4),
	ROW("VE-NRS-06", GUEST, ON, guest_interruptibility, 0x20),
	ROW("VE-NRS-08", GUEST, ON, guest_interruptibility, 1),
	ROW("VE-NRS-11", GUEST, ON, guest_interruptibility, 4),
	ROW("VE-NRS-14", GUEST, ON, guest_pending_debug, BIT(4)),
	ROW("VE-NRS-17", GUEST, SET, vmcs_link_pointer, 0x123),
};

static void
failures(void)
{
	for (unsigned i = 0; i < COUNT(rows); i++) {
		u64 value, qualification = rows[i].field == VMCS_vmcs_link_pointer ? 4 : 0;
		u32 reason;

		fresh_vmcs();
		PUT(guest_rip, ADDRESS(g_vmcall));
		PUT(guest_rsp, ADDRESS(guest_stack + sizeof(guest_stack)));
		PUT(guest_rflags, 2);
		PUT(exit_instruction_length, 0x77);
		value = vmread(rows[i].field);
		value = rows[i].op == SET  ? rows[i].value
			: rows[i].op == ON ? value | rows[i].value
					   : value & ~rows[i].value;
		vmwrite(rows[i].field, value);
		reason = resume();
		if (rows[i].kind == GUEST)
			check(rows[i].id,
			      reason == (VALID | 33) && GET(exit_qualification) == qualification &&
				      GET(exit_instruction_length) == 0x77,
			      rows[i].name);
		else
			check(rows[i].id, reason == ~0u && failed_with(entry_flags, rows[i].kind), rows[i].name);
		if (rows[i].field != VMCS_guest_rflags)
			check_equal("SV-01", GET(guest_rflags) & ~BIT(17), 2, "the guest-state area is as it was");
	}
}

/* --- MSR lists --- */

static struct {
	u32 index, reserved;
	u64 value;
} list[600] __attribute__((aligned(4096)));

static void
msr_lists(void)
{
	static const struct {
		u32 index, reserved;
		u64 value;
		const char *ids, *text;
	} bad[] = {
		{0xc0000100, 0, 0, "VE-ENT-02", "the base of FS"},
		{0xc0000101, 0, 0, "VE-ENT-02", "the base of GS"},
		{0x808, 0, 0, "VE-ENT-02", "the x2APIC"},
		{0x8ff, 0, 0, "VE-ENT-02", "to its last register"},
		{0x174, 1, 0, "VE-ENT-02", "bits 63:32"},
		{0x9b, 0, 0, "VE-ENT-02", "IA32_SMM_MONITOR_CTL"},
		{0x277, 0, 2, "VE-ENT-02", "a value that WRMSR refuses"},
		{0x12345678, 0, 0, "VE-ENT-02", "no MSR"},
		{0x480, 0, 0, "VE-ENT-02", "a read-only MSR"},
	};

	fresh_vmcs();
	wrmsr(MSR_LSTAR, 0x1000);
	list[0].index = MSR_LSTAR;
	list[0].value = 0x2000;
	PUT(entry_msr_load_count, 1);
	PUT(entry_msr_load_address, ADDRESS(list));
	need(run(g_vmcall), EXIT_REASON_VMCALL, "entry with MSR list");
	check_equal("VE-ENT-02", rdmsr(MSR_LSTAR), 0x2000, "the MSR-load list of VM entry is loaded");
	for (unsigned i = 0; i < COUNT(bad); i++) {
		fresh_vmcs();
		PUT(entry_msr_load_count, 3);
		PUT(entry_msr_load_address, ADDRESS(list));
		list[0].value = 0x3000 + i;
		list[1].index = bad[i].index;
		list[1].reserved = bad[i].reserved;
		list[1].value = bad[i].value;
		list[2] = list[0];
		list[2].value = 0x5000;
		check_equal(bad[i].ids, run(g_vmcall), VALID | 34, bad[i].text);
		check("VE-ENT-02", GET(exit_qualification) == 2 && rdmsr(MSR_LSTAR) == 0x3000 + i,
		      "the entry's number; those before it are loaded");
		check("VMCS-05", failed_with(VMX_INSN("vmresume", "i"(0)), 5), "the VMCS stays clear");
	}
	for (unsigned i = 0; i < COUNT(list); i++) {
		list[i].index = 0x174;
		list[i].reserved = 0;
		list[i].value = i;
	}
	fresh_vmcs();
	PUT(entry_msr_load_count, 512);
	PUT(entry_msr_load_address, ADDRESS(list));
	check_equal("VE-ENT-02", run(g_vmcall), EXIT_REASON_VMCALL, "512 entries are fine");
	list[0].index = 0x10;
	list[1].index = MSR_LSTAR;
	list[2].index = 0xc0000100;
	list[0].value = list[1].value = list[2].value = 0;
	fresh_vmcs();
	PUT(exit_msr_store_count, 3);
	PUT(exit_msr_store_address, ADDRESS(list));
	SET_BITS(proc_controls, PROC_TSC_OFFSETTING);
	PUT(tsc_offset, 1ull << 62);
	PUT(guest_fs_base, 0x123000);
	wrmsr(MSR_LSTAR, 0x7000);
	need(run(g_vmcall), EXIT_REASON_VMCALL, "exit with MSR-store list");
	check("VE-EXC-04", list[1].value == 0x7000 && list[2].value == 0x123000,
	      "the MSR-store list is stored, FS base included");
	check("NR-19", list[0].value > 0 && list[0].value < 1ull << 62, "the TSC without offset");
	list[0].index = MSR_LSTAR;
	list[0].value = 0x8000;
	fresh_vmcs();
	PUT(exit_msr_load_count, 1);
	PUT(exit_msr_load_address, ADDRESS(list));
	need(run(g_vmcall), EXIT_REASON_VMCALL, "exit with MSR-load list");
	check_equal("VE-EXC-05 XO-05 XL-02", rdmsr(MSR_LSTAR), 0x8000, "the MSR-load list of VM exits is loaded");
	wrmsr(MSR_LSTAR, 0);
	PUT(guest_rflags, 0);
	PUT(guest_rip, ADDRESS(g_vmcall));
	need(resume(), VALID | 33, "failed entry");
	check_equal("XL-02", rdmsr(MSR_LSTAR), 0x8000, "also after an entry that failed");
}

/* --- loading and saving --- */

SNIPPET(g_state, "mov %dr7, %rax; mov $0x1d9, %ecx; push %rax; rdmsr; mov %eax, %ebx; mov $0x277, %ecx; rdmsr; mov "
		 "%eax, %esi; mov %edx, %edi;"
		 "mov $0xc0000080, %ecx; rdmsr; mov %eax, %r8d; mov $0x174, %ecx; rdmsr; mov %eax, %r9d; mov $0x175, "
		 "%ecx; rdmsr; mov %eax, %r10d;"
		 "mov $0xc0000101, %ecx; rdmsr; mov %eax, %r11d; pop %rax; vmcall");
SNIPPET(g_change, "mov $0x401, %eax; mov %rax, %dr7; mov $0x1d9, %ecx; mov $1, %eax; xor %edx, %edx; wrmsr; mov "
		  "$0x277, %ecx; mov $0x01040506, %eax;"
		  "mov $0x01040506, %edx; wrmsr; mov $0x174, %ecx; mov $0x99, %eax; xor %edx, %edx; wrmsr; vmcall");
#define PAT 0x0007040600070406ull

static void
loading(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) gdtr, idtr;
	u64 value;
	u16 tr;

	wrmsr(0x277, PAT);
	fresh_vmcs();
	SET_BITS(proc_controls, PROC_MSR_BITMAPS);
	PUT(msr_bitmap, ADDRESS(msr_bitmap));
	SET_BITS(entry_controls, ENTRY_LOAD_DEBUG_CONTROLS | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER);
	SET_BITS(exit_controls, EXIT_LOAD_PAT | EXIT_LOAD_EFER);
	PUT(host_pat, PAT);
	PUT(host_efer, rdmsr(MSR_EFER));
	PUT(guest_dr7, 0xffff2bff & ~BIT(13));
	PUT(guest_debugctl, 1);
	PUT(guest_pat, 0x0606060606060606);
	PUT(guest_efer, 0x500);
	PUT(guest_sysenter_cs, 0x4711);
	PUT(guest_sysenter_esp, 0x55550000);
	PUT(guest_gs_base, 0x66660000);
	need(run(g_state), EXIT_REASON_VMCALL, "state");
	check_equal("LD-03", (u32)guest.rax, (0xffff2bff & ~BIT(13) & ~(BIT(12) | BIT(14) | BIT(15))) | 0x400,
		    "DR7 with its fixed bits");
	check_equal("LD-03", (u32)guest.rbx, 1, "IA32_DEBUGCTL");
	check("LD-06", (u32)guest.rsi == 0x06060606 && (u32)guest.rdi == 0x06060606, "IA32_PAT");
	check_equal("LD-05", (u32)guest.r8, 0x500, "IA32_EFER");
	check("LD-04", (u32)guest.r9 == 0x4711 && (u32)guest.r10 == 0x55550000 && (u32)guest.r11 == 0x66660000,
	      "SYSENTER MSRs, base of GS");
	check("HL-09 HL-07", rdmsr(0x277) == PAT && rdmsr(MSR_EFER) == GET(host_efer),
	      "the exit loads the host's PAT and EFER");
	asm volatile("mov %%dr7, %0" : "=r"(value));
	check_equal("HL-04", value, 0x400, "DR7");
	check_equal("HL-05", rdmsr(0x1d9), 0, "IA32_DEBUGCTL");
	asm volatile("sgdt %0; sidt %1; str %2" : "=m"(gdtr), "=m"(idtr), "=m"(tr));
	check("HS-06", gdtr.limit == 0xffff && idtr.limit == 0xffff && gdtr.base == GET(host_gdtr_base),
	      "GDTR and IDTR have limit FFFFH");
	check_equal("HS-04", tr, 0x18, "TR");
	check_equal("HL-06", rdmsr(0x174), 0, "SYSENTER_CS");
	check_equal("HL-08", rdmsr(0xc0000101), 0, "base of GS");

	fresh_vmcs();
	SET_BITS(proc_controls, PROC_MSR_BITMAPS);
	PUT(msr_bitmap, ADDRESS(msr_bitmap));
	asm volatile("mov %0, %%dr7" : : "r"(0x500ull));
	need(run(g_state), EXIT_REASON_VMCALL, "state");
	check_equal("LD-03", (u32)guest.rax, 0x500, "without \"load debug controls\" DR7 stays");
	check_equal("LD-06", (u32)guest.rsi, (u32)PAT, "PAT too without its control");
	check_equal("LD-05", (u32)guest.r8 & 0x500, 0x500, "LMA and LME follow \"IA-32e mode guest\"");
	PUT(guest_dr7, 0x777);
	PUT(guest_pat, 5);
	need(run(g_change), EXIT_REASON_VMCALL, "changes");
	check("SV-03 SV-04", GET(guest_dr7) == 0x777 && GET(guest_pat) == 5, "nothing is saved without its control");
	check_equal("SV-02", GET(guest_sysenter_cs), 0x99, "but SYSENTER_CS is");
	check("HL-09", rdmsr(0x277) == 0x0104050601040506, "and PAT stays the guest's");
	SET_BITS(exit_controls, EXIT_SAVE_DEBUG_CONTROLS | EXIT_SAVE_PAT | EXIT_SAVE_EFER);
	PUT(guest_efer, 0);
	need(run(g_change), EXIT_REASON_VMCALL, "changes");
	check("SV-03", GET(guest_dr7) == 0x401 && GET(guest_debugctl) == 1, "debug controls are saved");
	check("SV-04", GET(guest_pat) == 0x0104050601040506 && GET(guest_efer) == rdmsr(MSR_EFER), "PAT and EFER too");
	wrmsr(0x277, PAT);
	/* SV-11, SV-19, segments */
	fresh_vmcs();
	PUT(guest_rip, ADDRESS(g_cpuid));
	PUT(guest_rsp, 0x123456789abc);
	PUT(guest_rflags, 2 | BIT(16) | 1);
	PUT(guest_ds_selector, 0);
	PUT(guest_ds_access, 0x10000);
	PUT(guest_fs_base, 0x7ffffff000);
	need(resume(), EXIT_REASON_CPUID, "CPUID");
	check_equal("SV-11", GET(guest_rflags), 2 | 1, "an instruction exit saves RF 0");
	check_equal("SV-10", GET(guest_rsp), 0x123456789abc, "RSP");
	check_equal("SV-19", GET(vmcs_link_pointer), ~0ull, "the link pointer stays");
	check("SV-07",
	      (GET(guest_ds_access) & 0x10000) && GET(guest_fs_base) == 0x7ffffff000 &&
		      (GET(guest_cs_access) & 0xf0ff) == 0xa09b && (GET(guest_tr_access) & 0x100ff) == 0x8b,
	      "segments");
	check("SV-08", GET(guest_gdtr_limit) == 0xbf && GET(guest_idtr_limit) == 0xfff, "GDTR and IDTR");
	check("SV-01", GET(guest_cr3) == READ_CR(3) && GET(guest_cr4) == READ_CR(4), "control registers");
}

/* --- fast system calls --- */

extern const char g_system_call[], g_system_call_back[];
SNIPPET(g_syscall, "syscall; mov $0x4712, %ebx; vmcall");
SNIPPET(g_system_call, "mov %rcx, %rsi; mov $0x4711, %edi; lea 1f(%rip), %rcx; mov $2, %r11d; sysretq; 1: mov %cs, "
		       "%eax; mov $0x77, %ebx; vmcall");
SNIPPET(g_sysenter, "sysenter");
SNIPPET(g_system_enter, "mov %cs, %eax; mov %rsp, %rbx; vmcall");
SNIPPET(g_efer, "mov $0xc0000080, %ecx; rdmsr; and $0xfffff7fe, %eax; wrmsr; vmcall");

static void
system_calls(void)
{
	u64 efer = rdmsr(MSR_EFER);

	fresh_vmcs();
	at_cpl3();
	PUT(exception_bitmap, 0xffffffff);
	wrmsr(0xc0000081, 0x002b000800000000);
	wrmsr(MSR_LSTAR, ADDRESS(g_system_call));
	wrmsr(0xc0000084, 0);
	need(run(g_syscall), EXIT_REASON_VMCALL, "SYSCALL and SYSRET");
	check("NR-88 NR-15",
	      guest.rsi == ADDRESS(g_syscall) + 2 && guest.rdi == 0x4711 && (u32)guest.rbx == 0x77 &&
		      (u16)guest.rax == 0x3b,
	      "SYSCALL and SYSRET use the MSRs and never exit");
	fresh_vmcs();
	at_cpl3();
	PUT(exception_bitmap, 0xffffffff);
	PUT(guest_sysenter_cs, 8);
	PUT(guest_sysenter_esp, ADDRESS(guest_stack + 8192));
	PUT(guest_sysenter_eip, ADDRESS(g_system_enter));
	need(run(g_sysenter), EXIT_REASON_VMCALL, "SYSENTER");
	check("NR-88 NR-15", (u16)guest.rax == 8 && guest.rbx == ADDRESS(guest_stack + 8192), "SYSENTER too");
	fresh_vmcs();
	SET_BITS(proc_controls, PROC_MSR_BITMAPS);
	PUT(msr_bitmap, ADDRESS(msr_bitmap));
	SET_BITS(exit_controls, EXIT_SAVE_EFER | EXIT_LOAD_EFER);
	PUT(host_efer, efer);
	need(run(g_efer), EXIT_REASON_VMCALL, "WRMSR of EFER");
	check_equal("NR-15", GET(guest_efer), efer & ~(BIT(11) | BIT(0)),
		    "a guest writes IA32_EFER as it would without VMX");
}

void
guest_main(void)
{
	start_vmx();
	failures();
	msr_lists();
	loading();
	system_calls();
	finish(true);
}
