/* Instructions that cause VM exits, what decides, and what is recorded. */
#include "tests/guest/vmx/runtime.h"

#define VMCALL "\n\tvmcall"
#define VALID BIT(31)

SNIPPET(g_cpuid, "xor %eax, %eax; cpuid" VMCALL);
SNIPPET(g_invd, "invd" VMCALL);
SNIPPET(g_vmclear, "vmclear 0x18(%rsp)" VMCALL);
SNIPPET(g_vmlaunch, "vmlaunch" VMCALL);
SNIPPET(g_vmptrld, "vmptrld 0x10(%rax, %rcx, 4)" VMCALL);
SNIPPET(g_vmptrst, "vmptrst %gs:0x1234(%rbx)" VMCALL);
SNIPPET(g_vmread, "vmread %rdx, -8(%rbp)" VMCALL);
SNIPPET(g_vmread_reg, "vmread %rdx, %r9" VMCALL);
SNIPPET(g_vmresume, "vmresume" VMCALL);
SNIPPET(g_vmwrite, "vmwrite %rsi, %r10" VMCALL);
SNIPPET(g_vmxoff, "vmxoff" VMCALL);
SNIPPET(g_vmxon, "vmxon 0x40(%rip)" VMCALL);
SNIPPET(g_vmcall, "vmcall" VMCALL);
SNIPPET(g_invept, "invept 0x20(%rsi), %r11" VMCALL);
SNIPPET(g_invvpid, "invvpid (%r12), %rax" VMCALL);
SNIPPET(g_xsetbv, "mov $0x4711, %ecx; xsetbv" VMCALL);
SNIPPET(g_hlt, "hlt" VMCALL);
SNIPPET(g_invlpg, "invlpg 0x123(%rdi)" VMCALL);
SNIPPET(g_mwait, "xor %eax, %eax; xor %ecx, %ecx; mwait" VMCALL);
SNIPPET(g_monitor, "mov %rsp, %rax; xor %ecx, %ecx; xor %edx, %edx; monitor" VMCALL);
SNIPPET(g_rdpmc, "xor %ecx, %ecx; rdpmc" VMCALL);
SNIPPET(g_rdtsc, "rdtsc" VMCALL);
SNIPPET(g_rdtscp, "rdtscp" VMCALL);
SNIPPET(g_pause, "pause" VMCALL);
SNIPPET(g_wbinvd, "wbinvd" VMCALL);
SNIPPET(g_rdrand, "rdrand %r14" VMCALL);
SNIPPET(g_rdseed, "rdseed %ebx" VMCALL);
SNIPPET(g_invpcid, "invpcid 8(%rsp), %rdx" VMCALL);
SNIPPET(g_mov_to_cr3, "mov %r8, %cr3" VMCALL);
SNIPPET(g_mov_from_cr3, "mov %cr3, %r9" VMCALL);
SNIPPET(g_mov_to_cr8, "mov %rbx, %cr8" VMCALL);
SNIPPET(g_mov_from_cr8, "mov %cr8, %rdi" VMCALL);
SNIPPET(g_mov_from_dr7, "mov %dr7, %rsi" VMCALL);
SNIPPET(g_mov_to_dr5, "mov %rcx, %dr5" VMCALL);
SNIPPET(g_sgdt, "sgdt 0x70(%rax)" VMCALL);
SNIPPET(g_sidt, "sidt -0x80(%rsp)" VMCALL);
SNIPPET(g_lgdt, "lgdt gdt_pointer(%rip)" VMCALL);
SNIPPET(g_lidt, "lidt idt_pointer(%rip)" VMCALL);
SNIPPET(g_sldt, "sldt %ebp" VMCALL);
SNIPPET(g_str, "str %r13d" VMCALL);
SNIPPET(g_lldt, "xor %eax, %eax; lldt %ax" VMCALL);
SNIPPET(g_ltr, "ltr (%rax)" VMCALL);

/* --- which instructions exit --- */

static const struct {
	const char *code;
	u32 reason;
	const char *ids, *text;
} always[] = {
	{g_cpuid, EXIT_REASON_CPUID, "IX-16", "CPUID"},
	{g_invd, EXIT_REASON_INVD, "IX-16", "INVD"},
	{g_xsetbv, EXIT_REASON_XSETBV, "IX-16 PR-07", "XSETBV, whatever ECX names"},
	{g_vmcall, EXIT_REASON_VMCALL, "INS-09", "VMCALL"},
	{g_vmclear, EXIT_REASON_VMCLEAR, "INS-03", "VMCLEAR"},
	{g_vmlaunch, EXIT_REASON_VMLAUNCH, "INS-08", "VMLAUNCH"},
	{g_vmptrld, EXIT_REASON_VMPTRLD, "INS-04 PR-04", "VMPTRLD, before its operand is read"},
	{g_vmptrst, EXIT_REASON_VMPTRST, "INS-05", "VMPTRST"},
	{g_vmread, EXIT_REASON_VMREAD, "INS-06", "VMREAD"},
	{g_vmresume, EXIT_REASON_VMRESUME, "INS-08", "VMRESUME"},
	{g_vmwrite, EXIT_REASON_VMWRITE, "INS-07", "VMWRITE"},
	{g_vmxoff, EXIT_REASON_VMOFF, "INS-02", "VMXOFF"},
	{g_vmxon, EXIT_REASON_VMON, "INS-01", "VMXON"},
	{g_invept, EXIT_REASON_INVEPT, "IX-18 INS-10", "INVEPT"},
	{g_invvpid, EXIT_REASON_INVVPID, "IX-18 INS-10", "INVVPID"},
};

static const struct {
	const char *code;
	u32 field;
	const u64 *control;
	u32 reason;
	bool needs_secondary; /* the enabling control besides */
	u64 enable;
	const char *ids, *text;
} controlled[] = {
	{g_invlpg, VMCS_proc_controls, &PROC_INVLPG_EXITING, EXIT_REASON_INVLPG, 0, 0, "IX-08", "INVLPG"},
	{g_mwait, VMCS_proc_controls, &PROC_MWAIT_EXITING, EXIT_REASON_MWAIT_INSTRUCTION, 0, 0, "IX-08", "MWAIT"},
	{g_monitor, VMCS_proc_controls, &PROC_MONITOR_EXITING, EXIT_REASON_MONITOR_INSTRUCTION, 0, 0, "IX-08",
	 "MONITOR"},
	{g_rdtsc, VMCS_proc_controls, &PROC_RDTSC_EXITING, EXIT_REASON_RDTSC, 0, 0, "IX-08", "RDTSC"},
	{g_rdtscp, VMCS_proc_controls, &PROC_RDTSC_EXITING, EXIT_REASON_RDTSCP, 1, BIT(3), "IX-10", "RDTSCP"},
	{g_pause, VMCS_proc_controls, &PROC_PAUSE_EXITING, EXIT_REASON_PAUSE_INSTRUCTION, 0, 0, "IX-09", "PAUSE"},
	{g_wbinvd, VMCS_sec_controls, &SEC_WBINVD_EXITING, EXIT_REASON_WBINVD, 1, 0, "IX-08", "WBINVD"},
	{g_rdrand, VMCS_sec_controls, &SEC_RDRAND_EXITING, EXIT_REASON_RDRAND, 1, 0, "IX-08", "RDRAND"},
	{g_rdseed, VMCS_sec_controls, &SEC_RDSEED_EXITING, EXIT_REASON_RDSEED, 1, 0, "IX-08", "RDSEED"},
	{g_invpcid, VMCS_proc_controls, &PROC_INVLPG_EXITING, EXIT_REASON_INVPCID, 1, BIT(12), "IX-11", "INVPCID"},
	{g_mov_to_cr3, VMCS_proc_controls, &PROC_CR3_LOAD_EXITING, EXIT_REASON_CR_ACCESS, 0, 0, "IX-04", "MOV to CR3"},
	{g_mov_from_cr3, VMCS_proc_controls, &PROC_CR3_STORE_EXITING, EXIT_REASON_CR_ACCESS, 0, 0, "IX-05",
	 "MOV from CR3"},
	{g_mov_to_cr8, VMCS_proc_controls, &PROC_CR8_LOAD_EXITING, EXIT_REASON_CR_ACCESS, 0, 0, "IX-05", "MOV to CR8"},
	{g_mov_from_cr8, VMCS_proc_controls, &PROC_CR8_STORE_EXITING, EXIT_REASON_CR_ACCESS, 0, 0, "IX-05",
	 "MOV from CR8"},
	{g_mov_from_dr7, VMCS_proc_controls, &PROC_MOV_DR_EXITING, EXIT_REASON_DR_ACCESS, 0, 0, "IX-21",
	 "MOV from DR7"},
	{g_sgdt, VMCS_sec_controls, &SEC_DESCRIPTOR_TABLE_EXITING, EXIT_REASON_GDTR_IDTR, 1, 0, "IX-15", "SGDT"},
	{g_sidt, VMCS_sec_controls, &SEC_DESCRIPTOR_TABLE_EXITING, EXIT_REASON_GDTR_IDTR, 1, 0, "IX-15", "SIDT"},
	{g_lgdt, VMCS_sec_controls, &SEC_DESCRIPTOR_TABLE_EXITING, EXIT_REASON_GDTR_IDTR, 1, 0, "IX-15", "LGDT"},
	{g_lidt, VMCS_sec_controls, &SEC_DESCRIPTOR_TABLE_EXITING, EXIT_REASON_GDTR_IDTR, 1, 0, "IX-15", "LIDT"},
	{g_sldt, VMCS_sec_controls, &SEC_DESCRIPTOR_TABLE_EXITING, EXIT_REASON_LDTR_TR, 1, 0, "IX-15", "SLDT"},
	{g_str, VMCS_sec_controls, &SEC_DESCRIPTOR_TABLE_EXITING, EXIT_REASON_LDTR_TR, 1, 0, "IX-15", "STR"},
	{g_lldt, VMCS_sec_controls, &SEC_DESCRIPTOR_TABLE_EXITING, EXIT_REASON_LDTR_TR, 1, 0, "IX-15", "LLDT"},
};

static u8 operand[64];

static void
registers(void)
{
	memset(&guest, 0, sizeof(guest));
	guest.rax = guest.rsi = guest.r12 = ADDRESS(operand);
	guest.r8 = READ_CR(3);
	guest.rdi = 0x200000;
}

static void
what_exits(void)
{
	for (unsigned i = 0; i < COUNT(always); i++) {
		fresh_vmcs();
		SET_BITS(guest_cr4, BIT(18));
		registers();
		check_equal(always[i].ids, run(always[i].code), always[i].reason, always[i].text);
	}
	for (unsigned i = 0; i < COUNT(controlled); i++) {
		fresh_vmcs();
		registers();
		if (controlled[i].needs_secondary)
			use_secondary(controlled[i].enable);
		check_equal(controlled[i].ids, run(controlled[i].code), EXIT_REASON_VMCALL, "not without its control");
		vmwrite(controlled[i].field, vmread(controlled[i].field) | *controlled[i].control);
		registers();
		check_equal(controlled[i].ids, run(controlled[i].code), controlled[i].reason, controlled[i].text);
		check_equal("IF-01", go_on(), EXIT_REASON_VMCALL, "the instruction length leads behind it");
	}
	fresh_vmcs();
	SET_BITS(proc_controls, PROC_HLT_EXITING | PROC_RDPMC_EXITING);
	check_equal("IX-08", run(g_hlt), EXIT_REASON_HLT, "HLT");
	check_equal("SV-12", GET(guest_activity), 0, "HLT that exits leaves the guest active");
	check_equal("IX-08 PR-06", run(g_rdpmc), EXIT_REASON_RDPMC, "RDPMC, whatever counter");
}

/* Instructions that a secondary control enables are #UD without. */
static void
not_enabled(void)
{
	static const struct {
		const char *code, *ids, *text;
	} row[] = {
		{g_rdtscp, "IX-10 CAP-33", "RDTSCP"},
		{g_invpcid, "IX-11 CAP-33", "INVPCID"},
	};

	for (unsigned i = 0; i < COUNT(row); i++) {
		fresh_vmcs();
		SET_BITS(proc_controls, PROC_RDTSC_EXITING | PROC_INVLPG_EXITING);
		PUT(exception_bitmap, BIT(6));
		need(run(row[i].code), EXIT_REASON_EXCEPTION_NMI, row[i].text);
		check_equal(row[i].ids, GET(exit_interruption_info), 0x80000306, "is #UD unless it is enabled");
	}
}

/* --- qualifications, instruction information --- */

static void
information(void)
{
	static const struct {
		const char *code;
		u64 qualification;
		u32 info, mask;
		const char *text;
	} row[] = {
		{g_vmclear, 0x18, 2 << 7 | 2 << 15 | 1 << 22 | 4 << 23, 0x0fc3ff80, "VMCLEAR 18H(RSP)"},
		{g_vmptrld, 0x10, 2 | 2 << 7 | 3 << 15 | 1 << 18 | 0 << 23, 0x0fffffff, "VMPTRLD 10H(RAX,RCX,4)"},
		{g_vmptrst, 0x1234, 2 << 7 | 5 << 15 | 1 << 22 | 3 << 23, 0x0fc3ff80, "VMPTRST GS:1234H(RBX)"},
		{g_vmread, (u64)-8, 2u << 7 | 2 << 15 | 1 << 22 | 5 << 23 | 2u << 28, 0xffc3ff80,
		 "VMREAD -8(RBP), RDX"},
		{g_vmread_reg, 0, 9u << 3 | 1 << 10 | 2u << 28, 0xf0000478, "VMREAD R9, RDX"},
		{g_vmwrite, 0, 6u << 3 | 1 << 10 | 10u << 28, 0xf0000478, "VMWRITE R10, RSI"},
		{g_invept, 0x20, 2u << 7 | 3 << 15 | 1 << 22 | 6 << 23 | 11u << 28, 0xffc3ff80, "INVEPT 20H(RSI), R11"},
		{g_invvpid, 0, 2u << 7 | 3 << 15 | 1 << 22 | 12u << 23, 0xffc3ff80, "INVVPID (R12), RAX"},
		{g_rdrand, 0, 14 << 3 | 2 << 11, 0x1878, "RDRAND R14"},
		{g_rdseed, 0, 3 << 3 | 1 << 11, 0x1878, "RDSEED EBX"},
		{g_sgdt, 0x70, 2 << 7 | 3 << 15 | 1 << 22 | 0 << 23 | 0 << 28, 0x3fc3f780, "SGDT 70H(RAX)"},
		{g_sidt, (u64)-0x80, 2 << 7 | 2 << 15 | 1 << 22 | 4 << 23 | 1 << 28, 0x3fc3f780, "SIDT -80H(RSP)"},
		{g_sldt, 0, 5 << 3 | 1 << 10 | 0 << 28, 0x30000478, "SLDT EBP"},
		{g_str, 0, 13 << 3 | 1 << 10 | 1 << 28, 0x30000478, "STR R13D"},
		{g_lldt, 0, 0 << 3 | 1 << 10 | 2 << 28, 0x30000478, "LLDT AX"},
		{g_ltr, 0, 2 << 7 | 3 << 15 | 1 << 22 | 0 << 23 | 3 << 28, 0x3fc3ff80, "LTR (RAX)"},
	};

	for (unsigned i = 0; i < COUNT(row); i++) {
		fresh_vmcs();
		use_secondary(SEC_DESCRIPTOR_TABLE_EXITING | SEC_RDRAND_EXITING | SEC_RDSEED_EXITING);
		registers();
		run(row[i].code);
		check_equal("IX-15", GET(exit_qualification), row[i].qualification, row[i].text);
		check_equal("IX-15", GET(exit_instruction_info) & row[i].mask, row[i].info & row[i].mask,
			    "and its instruction information");
	}
	fresh_vmcs();
	run(g_vmxon);
	check_equal("INS-12", GET(exit_qualification), 0x40 + GET(guest_rip) + GET(exit_instruction_length),
		    "a RIP-relative displacement counts from the next instruction");
}

SNIPPET(g_clts, "clts" VMCALL);
SNIPPET(g_lmsw, "lmsw %bx" VMCALL);
SNIPPET(g_lmsw_mem, "lmsw (%rbx)" VMCALL);
SNIPPET(g_mov_to_cr0, "mov %rbx, %cr0" VMCALL);
SNIPPET(g_mov_to_cr4, "mov %rdx, %cr4" VMCALL);
SNIPPET(g_reads, "mov %cr0, %rax; mov %cr4, %rcx; smsw %rdx" VMCALL);

static void
control_registers(void)
{
	u64 cr0 = READ_CR(0), cr4 = READ_CR(4);

	fresh_vmcs();
	PUT(cr0_mask, BIT(3) | BIT(16));
	PUT(cr0_read_shadow, BIT(3));
	PUT(cr4_mask, BIT(13) | BIT(7));
	PUT(cr4_read_shadow, BIT(7));
	need(run(g_reads), EXIT_REASON_VMCALL, "MOV from CR0 and CR4");
	check_equal("NR-01 IX-05", guest.rax, (cr0 & ~BIT(16)) | BIT(3), "CR0 is read from its shadow where masked");
	check_equal("NR-01 NR-04", guest.rcx, (cr4 & ~BIT(13)) | BIT(7), "CR4 too");
	check_equal("NR-01", guest.rdx, (cr0 & ~BIT(16)) | BIT(3), "and SMSW");
	check_equal("IX-01", run(g_clts), EXIT_REASON_CR_ACCESS, "CLTS exits when TS is masked and its shadow 1");
	check_equal("IX-01", GET(exit_qualification), 2 << 4, "and is named");
	PUT(cr0_read_shadow, 0);
	SET_BITS(guest_cr0, BIT(3));
	check_equal("NR-06", run(g_clts), EXIT_REASON_VMCALL, "CLTS does not exit with shadow 0");
	check("NR-06", GET(guest_cr0) & BIT(3), "and leaves TS");
	PUT(cr0_mask, 0);
	need(run(g_clts), EXIT_REASON_VMCALL, "CLTS");
	check("NR-06", !(GET(guest_cr0) & BIT(3)), "without mask it clears TS");

	PUT(cr0_mask, BIT(3));
	guest.rbx = BIT(3) | 1;
	check_equal("IX-02", run(g_lmsw), EXIT_REASON_CR_ACCESS, "LMSW that sets a masked bit exits");
	check_equal("IX-02", GET(exit_qualification), 3 << 4 | 9ull << 16, "with its source");
	guest.rbx = BIT(1) | BIT(2);
	need(run(g_lmsw), EXIT_REASON_VMCALL, "LMSW of unmasked bits");
	check_equal("NR-07", GET(guest_cr0) & 15, 7, "loads MP and EM and never clears PE");
	*(u16 *)operand = BIT(3);
	guest.rbx = ADDRESS(operand);
	need(run(g_lmsw_mem), EXIT_REASON_CR_ACCESS, "LMSW from memory");
	check_equal("IX-02", GET(exit_qualification), 3 << 4 | 1 << 6 | 8ull << 16, "its operand is said to be memory");
	check_equal("IF-02", GET(guest_linear_address), ADDRESS(operand), "and its address told");

	fresh_vmcs();
	PUT(cr0_mask, BIT(16));
	PUT(cr0_read_shadow, BIT(16));
	guest.rbx = cr0 & ~BIT(16);
	check_equal("IX-03", run(g_mov_to_cr0), EXIT_REASON_CR_ACCESS,
		    "MOV to CR0 that differs from the shadow in a masked bit");
	check_equal("IX-03", GET(exit_qualification), 3 << 8, "names the register");
	PUT(cr0_read_shadow, 0);
	guest.rbx = (cr0 & ~BIT(16)) | BIT(1);
	need(run(g_mov_to_cr0), EXIT_REASON_VMCALL, "MOV to CR0 that agrees with the shadow");
	check("NR-02", GET(guest_cr0) == ((cr0 | BIT(1) | BIT(16))), "keeps the masked bit of the register");
	PUT(exception_bitmap, BIT(13));
	guest.rbx = cr0 & ~BIT(16) & ~BIT(5);
	check_equal("NR-02 CAP-28", run(g_mov_to_cr0), EXIT_REASON_EXCEPTION_NMI, "clearing NE is #GP");
	guest.rdx = cr4 | BIT(14);
	check_equal("NR-02", run(g_mov_to_cr4), EXIT_REASON_EXCEPTION_NMI, "setting a reserved bit of CR4 is #GP");
	PUT(cr4_mask, BIT(14));
	check_equal("IX-03 PR-07", run(g_mov_to_cr4), EXIT_REASON_CR_ACCESS, "but exits when the bit is masked");
	check_equal("IX-03", GET(exit_qualification), 4 | 2 << 8, "with CR4 and RDX");

	fresh_vmcs();
	SET_BITS(proc_controls, PROC_CR3_LOAD_EXITING);
	PUT(cr3_target_count, 2);
	PUT(cr3_target_1, READ_CR(3));
	guest.r8 = READ_CR(3);
	check_equal("IX-04", run(g_mov_to_cr3), EXIT_REASON_VMCALL, "MOV to CR3 of a target value does not exit");
	PUT(cr3_target_count, 1);
	check_equal("IX-04", run(g_mov_to_cr3), EXIT_REASON_CR_ACCESS, "a target beyond the count does");
	check_equal("IX-04", GET(exit_qualification), 3 | 8 << 8, "with CR3 and R8");
	guest.r8 = ~0ull;
	check_equal("NR-09 PR-07", run(g_mov_to_cr3), EXIT_REASON_CR_ACCESS, "before reserved bits are #GP");
	PUT(cr3_target_count, 0);
	CLEAR_BITS(proc_controls, PROC_CR3_LOAD_EXITING);
	PUT(exception_bitmap, BIT(13));
	guest.r8 = READ_CR(3) | 1ull << 52;
	check_equal("NR-08", run(g_mov_to_cr3), EXIT_REASON_EXCEPTION_NMI, "without exiting they are #GP");
}

SNIPPET(g_in, "in $0x71, %al; in %dx, %eax" VMCALL);
SNIPPET(g_out, "out %al, $0x80; out %ax, %dx" VMCALL);
SNIPPET(g_outs, "rep outsb" VMCALL);
SNIPPET(g_ins, "insl" VMCALL);

static void
ports(void)
{
	fresh_vmcs();
	SET_BITS(proc_controls, PROC_UNCONDITIONAL_IO_EXITING);
	need(run(g_in), EXIT_REASON_IO_INSTRUCTION, "IN");
	check_equal("IX-06", GET(exit_qualification), 0 | BIT(3) | BIT(6) | 0x71ull << 16, "IN AL, imm8");
	guest.rdx = 0x510;
	need(go_on(), EXIT_REASON_IO_INSTRUCTION, "IN");
	check_equal("IX-06", GET(exit_qualification), 3 | BIT(3) | 0x510ull << 16, "IN EAX, DX");
	need(run(g_out), EXIT_REASON_IO_INSTRUCTION, "OUT");
	check_equal("IX-06", GET(exit_qualification), BIT(6) | 0x80ull << 16, "OUT imm8, AL");
	guest.rdx = 0x80;
	guest.rsi = 0x7fffffffffff0000;
	guest.rcx = 3;
	need(run(g_outs), EXIT_REASON_IO_INSTRUCTION, "OUTS");
	check_equal("IX-06 PR-05", GET(exit_qualification), BIT(4) | BIT(5) | 0x80ull << 16,
		    "REP OUTSB, before its memory is read");
	check_equal("IF-02", GET(guest_linear_address), 0x7fffffffffff0000, "with the linear address");
	check_equal("IX-06", GET(exit_instruction_info) & 0x38380, 2 << 7 | 3 << 15, "address size and segment");
	guest.rcx = 0;
	check_equal("PR-05", run(g_outs), EXIT_REASON_VMCALL, "REP with RCX 0 does nothing");
	guest.rdx = 0x80;
	guest.rdi = ADDRESS(operand);
	need(run(g_ins), EXIT_REASON_IO_INSTRUCTION, "INS");
	check_equal("IX-06", GET(exit_qualification), 3 | BIT(3) | BIT(4) | 0x80ull << 16, "INSD");

	fresh_vmcs();
	SET_BITS(proc_controls, PROC_IO_BITMAPS | PROC_UNCONDITIONAL_IO_EXITING);
	PUT(io_bitmap_a, ADDRESS(io_bitmaps));
	PUT(io_bitmap_b, ADDRESS(io_bitmaps + 4096));
	guest.rdx = 0x8000;
	check_equal("IX-06", run(g_out), EXIT_REASON_VMCALL,
		    "clear bitmaps let OUT pass, whatever the other control says");
	io_bitmaps[4096] = 2;
	check_equal("IX-06", run(g_out), EXIT_REASON_IO_INSTRUCTION,
		    "bitmap B is asked for each byte of the port range");
	io_bitmaps[4096] = 0;
	guest.rdx = 0xffff;
	check_equal("IX-06", run(g_out), EXIT_REASON_IO_INSTRUCTION, "a range that wraps exits");
	io_bitmaps[0x80 / 8] = 1;
	check_equal("IX-06", run(g_out), EXIT_REASON_IO_INSTRUCTION, "bitmap A");
	check_equal("IX-06", GET(exit_qualification), BIT(6) | 0x80ull << 16, "is asked for port 80H");
	memset(io_bitmaps, 0, sizeof(io_bitmaps));
}

SNIPPET(g_rdmsr, "rdmsr" VMCALL);
SNIPPET(g_wrmsr, "wrmsr" VMCALL);

static void
msrs(void)
{
	static const struct {
		u32 msr;
		u16 read, write;
	} row[] = {{0x174, 0x174 / 8, 0x800 + 0x174 / 8}, {0xc0000082, 0x400 + 0x82 / 8, 0xc00 + 0x82 / 8}};

	fresh_vmcs();
	guest.rcx = 0xdead;
	check_equal("IX-07 PR-06 NR-13", run(g_rdmsr), EXIT_REASON_MSR_READ,
		    "without bitmaps all RDMSR exit, even of no MSR");
	check_equal("IX-07", run(g_wrmsr), EXIT_REASON_MSR_WRITE, "and WRMSR");
	SET_BITS(proc_controls, PROC_MSR_BITMAPS);
	PUT(msr_bitmap, ADDRESS(msr_bitmap));
	for (unsigned i = 0; i < COUNT(row); i++) {
		u8 bit = (u8)(1 << (row[i].msr & 7));

		guest.rcx = row[i].msr;
		guest.rax = guest.rdx = 0;
		check_equal("IX-07", run(g_rdmsr), EXIT_REASON_VMCALL, "RDMSR passes a clear bit");
		check_equal("IX-07", run(g_wrmsr), EXIT_REASON_VMCALL, "WRMSR too");
		msr_bitmap[row[i].read] = bit;
		check_equal("IX-07", run(g_rdmsr), EXIT_REASON_MSR_READ, "a set bit is RDMSR's exit");
		check_equal("IX-07", run(g_wrmsr), EXIT_REASON_VMCALL, "not WRMSR's");
		msr_bitmap[row[i].read] = 0;
		msr_bitmap[row[i].write] = bit;
		check_equal("IX-07", run(g_rdmsr), EXIT_REASON_VMCALL, "which has a bit of its own");
		check_equal("IX-07", run(g_wrmsr), EXIT_REASON_MSR_WRITE, "");
		msr_bitmap[row[i].write] = 0;
	}
	guest.rcx = 0x2000;
	check_equal("IX-07", run(g_rdmsr), EXIT_REASON_MSR_READ, "MSRs outside the bitmaps always exit");
	guest.rcx = 0xc0002000;
	check_equal("IX-07", run(g_wrmsr), EXIT_REASON_MSR_WRITE, "above, too");
	guest.rcx = 0x480;
	need(run(g_rdmsr), EXIT_REASON_VMCALL, "RDMSR of a capability");
	check_equal("CAP-05", (u32)guest.rax | guest.rdx << 32, rdmsr(0x480), "a guest reads capability MSRs");
}

/* --- priorities --- */

SNIPPET(g_unmapped_lmsw, "movabs $0xffffff8000000000, %rbx; lmsw (%rbx)" VMCALL);
SNIPPET(g_unmapped_vmptrld, "movabs $0xffffff8000000000, %rbx; vmptrld (%rbx)" VMCALL);
SNIPPET(g_lock_mov_cr0, ".byte 0xf0; mov %cr3, %rax" VMCALL);
SNIPPET(g_getsec, ".byte 0x0f, 0x37" VMCALL);
SNIPPET(g_rsm, "rsm" VMCALL);

static void
priorities(void)
{
	fresh_vmcs();
	at_cpl3();
	SET_BITS(proc_controls,
		 PROC_HLT_EXITING | PROC_MOV_DR_EXITING | PROC_RDTSC_EXITING | PROC_UNCONDITIONAL_IO_EXITING);
	PUT(exception_bitmap, ~0ull & 0xffffffff);
	need(run(g_hlt), EXIT_REASON_EXCEPTION_NMI, "HLT at CPL 3");
	check_equal("PR-01", GET(exit_interruption_info), 0x80000b0d, "HLT at CPL 3 is #GP before it exits");
	check_equal("PR-01 IX-16", run(g_invd), EXIT_REASON_EXCEPTION_NMI, "so is INVD");
	check_equal("PR-01 NR-13", run(g_rdmsr), EXIT_REASON_EXCEPTION_NMI, "and RDMSR");
	check_equal("PR-01 PR-05", run(g_in), EXIT_REASON_EXCEPTION_NMI, "IN is #GP by IOPL and I/O permissions");
	check_equal("PR-02", run(g_mov_from_dr7), EXIT_REASON_DR_ACCESS, "MOV DR exits before that #GP");
	check_equal("PR-02", GET(exit_qualification), 7 | BIT(4) | 6 << 8, "with its registers");
	check_equal("PR-03", run(g_vmxon), EXIT_REASON_VMON, "VMXON exits at CPL 3");
	check_equal("PR-03", run(g_vmcall), EXIT_REASON_VMCALL, "VMCALL too");
	check_equal("IX-16", run(g_cpuid), EXIT_REASON_CPUID, "CPUID too");
	check_equal("IX-08", run(g_rdtsc), EXIT_REASON_RDTSC, "and RDTSC");
	SET_BITS(guest_cr4, BIT(2));
	need(run(g_rdtsc), EXIT_REASON_EXCEPTION_NMI, "RDTSC with CR4.TSD");
	check_equal("NR-18", GET(exit_interruption_info), 0x80000b0d, "but CR4.TSD makes it #GP before");

	fresh_vmcs();
	PUT(exception_bitmap, 0xffffffff);
	SET_BITS(proc_controls, PROC_MOV_DR_EXITING | PROC_CR3_STORE_EXITING);
	PUT(cr0_mask, ~0ull);
	need(run(g_unmapped_lmsw), EXIT_REASON_EXCEPTION_NMI, "LMSW of unmapped memory");
	check_equal("PR-04", GET(exit_interruption_info), 0x80000b0e, "LMSW reads its operand first: #PF");
	check_equal("PR-04", run(g_unmapped_vmptrld), EXIT_REASON_VMPTRLD, "VMPTRLD exits before its operand faults");
	SET_BITS(guest_cr4, BIT(3));
	check_equal("PR-02 IX-21", run(g_mov_to_dr5), EXIT_REASON_DR_ACCESS,
		    "MOV to DR5 exits although CR4.DE makes it #UD");
	check_equal("IX-21", GET(exit_qualification), 5 | 1 << 8, "as DR5");
	need(run(g_lock_mov_cr0), EXIT_REASON_EXCEPTION_NMI, "LOCK");
	check_equal("PR-01", GET(exit_interruption_info), 0x80000306, "LOCK is #UD before anything else");
	need(run(g_getsec), EXIT_REASON_EXCEPTION_NMI, "GETSEC");
	check_equal("PR-01 CAP-02", GET(exit_interruption_info), 0x80000306, "GETSEC is #UD without CR4.SMXE");
	need(run(g_xsetbv), EXIT_REASON_EXCEPTION_NMI, "XSETBV");
	check_equal("PR-07", GET(exit_interruption_info), 0x80000306, "XSETBV is #UD without CR4.OSXSAVE");
	need(run(g_rsm), EXIT_REASON_EXCEPTION_NMI, "RSM");
	check_equal("IX-19", GET(exit_interruption_info), 0x80000306, "RSM is #UD outside SMM");
}

SNIPPET(g_xsaves, "xor %edx, %edx; mov $3, %eax; lea test_page(%rip), %rbx; xsaves (%rbx)" VMCALL);

static void
real_bits_count(void)
{
	u32 before[4], after[4];

	/* CR4.TSD, of the register and of its shadow */
	fresh_vmcs();
	at_cpl3();
	PUT(exception_bitmap, BIT(13));
	PUT(cr4_mask, BIT(2));
	PUT(cr4_read_shadow, BIT(2));
	check_equal("NR-05", run(g_rdtsc), EXIT_REASON_VMCALL, "CR4.TSD of the read shadow alone does nothing");
	PUT(cr4_read_shadow, 0);
	SET_BITS(guest_cr4, BIT(2));
	check_equal("NR-05", run(g_rdtsc), EXIT_REASON_EXCEPTION_NMI, "that of the register makes RDTSC #GP");
	/* XSAVES */
	fresh_vmcs();
	SET_BITS(guest_cr4, BIT(18));
	PUT(exception_bitmap, BIT(6) | BIT(7) | BIT(13));
	need(run(g_xsaves), EXIT_REASON_EXCEPTION_NMI, "XSAVES");
	check_equal("PR-09 IX-12", GET(exit_interruption_info), VALID | 0x306, "XSAVES is #UD without its control");
	use_secondary(SEC_ENABLE_XSAVES);
	check_equal("PR-09", run(g_xsaves), EXIT_REASON_VMCALL, "and fine with it");
	SET_BITS(guest_cr0, BIT(3));
	PUT(xss_exiting_bitmap, ~0ull);
	need(run(g_xsaves), EXIT_REASON_EXCEPTION_NMI, "XSAVES");
	check_equal("PR-09", GET(exit_interruption_info), VALID | 0x307, "with CR0.TS it is #NM");
	at_cpl3();
	CLEAR_BITS(guest_cr0, BIT(3));
	need(run(g_xsaves), EXIT_REASON_EXCEPTION_NMI, "XSAVES");
	check_equal("PR-09", GET(exit_interruption_info), VALID | 0xb0d, "at CPL 3 #GP");
	/* CPUID is the hypervisor's to change: the processor does not */
	cpuid(7, 0, before);
	fresh_vmcs();
	need(run(g_rdtsc), EXIT_REASON_VMCALL, "a guest without RDSEED, RDRAND, INVPCID and RDTSCP controls");
	cpuid(7, 0, after);
	check("NR-81", before[1] == after[1] && (before[1] & BIT(18)), "CPUID does not follow the controls");
}

/* --- time stamps, PAUSE loops --- */

static void
time_stamps(void)
{
	u64 before, after, value;

	fresh_vmcs();
	SET_BITS(proc_controls, PROC_TSC_OFFSETTING);
	PUT(tsc_offset, 1ull << 60);
	before = rdtsc();
	need(run(g_rdtsc), EXIT_REASON_VMCALL, "RDTSC");
	after = rdtsc();
	value = (u32)guest.rax | guest.rdx << 32;
	check("NR-17", value >= before + (1ull << 60) && value <= after + (1ull << 60), "RDTSC adds the offset");
	use_secondary(SEC_TSC_SCALING);
	PUT(tsc_multiplier, 3ull << 47);
	before = rdtsc();
	need(run(g_rdtsc), EXIT_REASON_VMCALL, "RDTSC");
	after = rdtsc();
	value = ((u32)guest.rax | guest.rdx << 32) - (1ull << 60);
	check("NR-17", value >= before + before / 2 && value <= after + after / 2, "to the scaled value");
	CLEAR_BITS(proc_controls, PROC_TSC_OFFSETTING);
	before = rdtsc();
	need(run(g_rdtsc), EXIT_REASON_VMCALL, "RDTSC");
	after = rdtsc();
	value = (u32)guest.rax | guest.rdx << 32;
	check("NR-17", value >= before && value <= after, "scaling without offsetting does nothing");
	SET_BITS(proc_controls, PROC_TSC_OFFSETTING | PROC_MSR_BITMAPS);
	PUT(msr_bitmap, ADDRESS(msr_bitmap));
	guest.rcx = 0x10;
	before = rdtsc();
	need(run(g_rdmsr), EXIT_REASON_VMCALL, "RDMSR 10H");
	value = ((u32)guest.rax | guest.rdx << 32) - (1ull << 60);
	check("NR-11 NR-17", value >= before + before / 2, "RDMSR of the TSC is offset and scaled as well");
	before = rdtsc();
	guest.rax = (u32)(before + (1ull << 40));
	guest.rdx = (before + (1ull << 40)) >> 32;
	need(run(g_wrmsr), EXIT_REASON_VMCALL, "WRMSR 10H");
	value = rdtsc();
	check("NR-11", value >= before + (1ull << 40) && value < before + (1ull << 40) + 100000,
	      "WRMSR sets the real TSC");
	wrmsr(0x10, before);
}

SNIPPET(g_pauses, "mov $1000, %ecx; 1: pause; dec %ecx; jnz 1b" VMCALL);
SNIPPET(g_slow_pauses, "mov $100, %ecx; 1: pause; mov $200, %edx; 2: dec %edx; jnz 2b; dec %ecx; jnz 1b" VMCALL);

static void
pause_loops(void)
{
	fresh_vmcs();
	use_secondary(SEC_PAUSE_LOOP_EXITING);
	PUT(ple_gap, 100);
	PUT(ple_window, 500);
	check_equal("NR-20 IX-09", run(g_pauses), EXIT_REASON_PAUSE_INSTRUCTION,
		    "a PAUSE loop longer than the window exits");
	check_equal("NR-20", run(g_slow_pauses), EXIT_REASON_VMCALL, "PAUSEs farther apart than the gap are no loop");
	at_cpl3();
	check_equal("NR-20", run(g_pauses), EXIT_REASON_VMCALL, "PAUSE-loop exiting is for CPL 0");
	CLEAR_BITS(sec_controls, SEC_PAUSE_LOOP_EXITING);
	SET_BITS(proc_controls, PROC_PAUSE_EXITING);
	check_equal("IX-09", run(g_pauses), EXIT_REASON_PAUSE_INSTRUCTION, "PAUSE exiting for all");
}

/* --- VMCS shadowing --- */

static u8 shadow_region[4096] PAGE, vmread_bitmap[4096] PAGE, vmwrite_bitmap[4096] PAGE;
SNIPPET(g_shadow, "mov $0x681e, %edx; vmread %rdx, %rax; setc %bl; setz %bh" VMCALL);
SNIPPET(g_shadow_write, "mov $0x681c, %edx; mov $0x77, %ecx; vmwrite %rcx, %rdx; setc %bl; setz %bh" VMCALL);
SNIPPET(g_shadow_none, "mov $0x1ffe, %edx; vmread %rdx, %rax; setc %bl; setz %bh" VMCALL);
SNIPPET(g_shadow_far, "mov $0x8000, %edx; vmread %rdx, %rax" VMCALL);

static void
vmcs_shadowing(void)
{
	fresh_vmcs();
	*(u32 *)shadow_region = (u32)rdmsr(MSR_VMX_BASIC) | 0x80000000;
	vmclear(ADDRESS(shadow_region));
	vmptrld(ADDRESS(shadow_region));
	PUT(guest_rip, 0x4711);
	PUT(guest_rsp, 1);
	vmclear(ADDRESS(shadow_region));
	fresh_vmcs();
	use_secondary(SEC_VMCS_SHADOWING);
	PUT(vmread_bitmap, ADDRESS(vmread_bitmap));
	PUT(vmwrite_bitmap, ADDRESS(vmwrite_bitmap));
	PUT(vmcs_link_pointer, ADDRESS(shadow_region));
	need(run(g_shadow), EXIT_REASON_VMCALL, "VMREAD of the shadow VMCS");
	check("INS-06", guest.rax == 0x4711 && !(guest.rbx & 0xffff), "VMREAD in the guest reads the shadow VMCS");
	need(run(g_shadow_write), EXIT_REASON_VMCALL, "VMWRITE to the shadow VMCS");
	check("INS-07", !(guest.rbx & 0xffff), "VMWRITE in the guest succeeds");
	need(run(g_shadow_none), EXIT_REASON_VMCALL, "VMREAD of no field");
	check("INS-06", (guest.rbx & 0xffff) == 0x100, "VMREAD of no field is VMfailValid there");
	check_equal("INS-06", run(g_shadow_far), EXIT_REASON_VMREAD, "encodings beyond the bitmap exit");
	vmread_bitmap[0x681e / 8] = 1 << (0x681e & 7);
	check_equal("INS-06", run(g_shadow), EXIT_REASON_VMREAD, "so do those whose bit is set");
	check_equal("INS-07", run(g_shadow_write), EXIT_REASON_VMCALL, "the bitmap of VMWRITE is another");
	vmwrite_bitmap[0x681c / 8] = 1 << (0x681c & 7);
	check_equal("INS-07", run(g_shadow_write), EXIT_REASON_VMWRITE, "");
	vmread_bitmap[0x681e / 8] = 0;
	PUT(vmcs_link_pointer, ~0ull);
	need(run(g_shadow), EXIT_REASON_VMCALL, "VMREAD without shadow VMCS");
	check("INS-06", (guest.rbx & 0xffff) == 1, "without link pointer VMREAD is VMfailInvalid");
	vmptrld(ADDRESS(shadow_region));
	check_equal("INS-07 VMCS-08", GET(guest_rsp), 0x77, "what the guest wrote is in the shadow VMCS");
}

void
guest_main(void)
{
	start_vmx();
	what_exits();
	not_enabled();
	information();
	control_registers();
	ports();
	msrs();
	priorities();
	real_bits_count();
	time_stamps();
	pause_loops();
	vmcs_shadowing();
	finish(true);
}
