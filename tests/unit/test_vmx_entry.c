/* VM-entry checks: a valid VMCS, one thing broken, the rule that must say so. */
#include "tests/unit/vmx_fixture.h"

struct broken {
	const char *id; /* rule that must fail; NULL: none */
	u32 encoding[4];
	u64 value[4];
	u32 pin, proc, sec, exit, entry; /* controls set besides */
};

#define CTLS(word, name) ((u32)VMX_MASK(word, name))
#define F(name) VMCS_##name
#define SEC_(name) CTLS(SEC, name)
#define BAD_PAGE 0x1001
#define BEYOND (1ull << 52)
#define NOT_CANONICAL 0x1000000000000000ull

static const struct broken cases[] = {
	{NULL, {0}, {0}, 0, 0, 0, 0, 0},
	/* execution controls */
	{"VE-CTL-01", {F(pin_controls)}, {0}, 0, 0, 0, 0, 0},
	{"VE-CTL-01", {F(pin_controls)}, {0x116}, 0, 0, 0, 0, 0},
	{"VE-CTL-02", {F(proc_controls)}, {0}, 0, 0, 0, 0, 0},
	{"VE-CTL-02", {0}, {0}, 0, 1u << 17, 0, 0, 0},
	{"VE-CTL-03", {0}, {0}, 0, 0, 1u << 15, 0, 0},
	{NULL, {F(sec_controls)}, {1u << 15}, 0, 0, 0, 0, 0}, /* ignored without "activate secondary controls" */
	{"VE-CTL-05", {F(cr3_target_count)}, {5}, 0, 0, 0, 0, 0},
	{"VE-CTL-06", {F(io_bitmap_a)}, {BAD_PAGE}, 0, CTLS(PROC, IO_BITMAPS), 0, 0, 0},
	{"VE-CTL-06", {F(io_bitmap_b)}, {BEYOND}, 0, CTLS(PROC, IO_BITMAPS), 0, 0, 0},
	{NULL, {F(io_bitmap_a)}, {BAD_PAGE}, 0, 0, 0, 0, 0},
	{"VE-CTL-07", {F(msr_bitmap)}, {BAD_PAGE}, 0, CTLS(PROC, MSR_BITMAPS), 0, 0, 0},
	{"VE-CTL-08", {F(virtual_apic_address)}, {BAD_PAGE}, 0, CTLS(PROC, TPR_SHADOW), 0, 0, 0},
	{"VE-CTL-09",
	 {F(virtual_apic_address), F(tpr_threshold)},
	 {VIRTUAL_APIC, 0x10},
	 0,
	 CTLS(PROC, TPR_SHADOW),
	 0,
	 0,
	 0},
	{"VE-CTL-10",
	 {F(virtual_apic_address), F(tpr_threshold)},
	 {VIRTUAL_APIC, 3},
	 0,
	 CTLS(PROC, TPR_SHADOW),
	 0,
	 0,
	 0},
	{"VE-CTL-11", {0}, {0}, 0, 0, SEC_(VIRTUALIZE_X2APIC_MODE), 0, 0},
	{"VE-CTL-11", {0}, {0}, 0, 0, SEC_(APIC_REGISTER_VIRTUALIZATION), 0, 0},
	{"VE-CTL-11", {0}, {0}, CTLS(PIN, EXTERNAL_INTERRUPT_EXITING), 0, SEC_(VIRTUAL_INTERRUPT_DELIVERY), 0, 0},
	{"VE-CTL-12", {0}, {0}, CTLS(PIN, VIRTUAL_NMIS), 0, 0, 0, 0},
	{"VE-CTL-13", {0}, {0}, 0, CTLS(PROC, NMI_WINDOW_EXITING), 0, 0, 0},
	{"VE-CTL-14", {F(apic_access_address)}, {BAD_PAGE}, 0, 0, SEC_(VIRTUALIZE_APIC_ACCESSES), 0, 0},
	{"VE-CTL-15",
	 {F(virtual_apic_address)},
	 {VIRTUAL_APIC},
	 0,
	 CTLS(PROC, TPR_SHADOW),
	 SEC_(VIRTUALIZE_APIC_ACCESSES) | SEC_(VIRTUALIZE_X2APIC_MODE),
	 0,
	 0},
	{"VE-CTL-16",
	 {F(virtual_apic_address)},
	 {VIRTUAL_APIC},
	 0,
	 CTLS(PROC, TPR_SHADOW),
	 SEC_(VIRTUAL_INTERRUPT_DELIVERY),
	 0,
	 0},
	{"VE-CTL-17", {0}, {0}, CTLS(PIN, POSTED_INTERRUPTS), 0, 0, CTLS(EXIT, ACKNOWLEDGE_INTERRUPT), 0},
	{"VE-CTL-17",
	 {F(virtual_apic_address)},
	 {VIRTUAL_APIC},
	 CTLS(PIN, POSTED_INTERRUPTS) | CTLS(PIN, EXTERNAL_INTERRUPT_EXITING),
	 CTLS(PROC, TPR_SHADOW),
	 SEC_(VIRTUAL_INTERRUPT_DELIVERY),
	 0,
	 0},
	{"VE-CTL-17",
	 {F(virtual_apic_address), F(posted_interrupt_vector)},
	 {VIRTUAL_APIC, 0x100},
	 CTLS(PIN, POSTED_INTERRUPTS) | CTLS(PIN, EXTERNAL_INTERRUPT_EXITING),
	 CTLS(PROC, TPR_SHADOW),
	 SEC_(VIRTUAL_INTERRUPT_DELIVERY),
	 CTLS(EXIT, ACKNOWLEDGE_INTERRUPT),
	 0},
	{"VE-CTL-17",
	 {F(virtual_apic_address), F(posted_interrupt_descriptor)},
	 {VIRTUAL_APIC, 0x20},
	 CTLS(PIN, POSTED_INTERRUPTS) | CTLS(PIN, EXTERNAL_INTERRUPT_EXITING),
	 CTLS(PROC, TPR_SHADOW),
	 SEC_(VIRTUAL_INTERRUPT_DELIVERY),
	 CTLS(EXIT, ACKNOWLEDGE_INTERRUPT),
	 0},
	{"VE-CTL-18", {0}, {0}, 0, 0, SEC_(ENABLE_VPID), 0, 0},
	{NULL, {F(vpid)}, {1}, 0, 0, SEC_(ENABLE_VPID), 0, 0},
	{"VE-CTL-19", {F(eptp)}, {EPT_TABLES | 5 | 3 << 3}, 0, 0, SEC_(ENABLE_EPT), 0, 0},
	{"VE-CTL-19", {F(eptp)}, {EPT_TABLES | 6 | 4 << 3}, 0, 0, SEC_(ENABLE_EPT), 0, 0},
	{"VE-CTL-19", {F(eptp)}, {EPT_TABLES | 6 | 3 << 3 | 0x80}, 0, 0, SEC_(ENABLE_EPT), 0, 0},
	{"VE-CTL-19", {F(eptp)}, {BEYOND | 6 | 3 << 3}, 0, 0, SEC_(ENABLE_EPT), 0, 0},
	{NULL, {F(eptp)}, {EPT_TABLES | 0 | 3 << 3 | 0x40}, 0, 0, SEC_(ENABLE_EPT), 0, 0},
	{"VE-CTL-20", {0}, {0}, 0, 0, SEC_(UNRESTRICTED_GUEST), 0, 0},
	{"VE-CTL-20", {0}, {0}, 0, 0, SEC_(MODE_BASED_EXECUTE), 0, 0},
	{"VE-CTL-21", {F(pml_address)}, {PML_PAGE}, 0, 0, SEC_(ENABLE_PML), 0, 0},
	{"VE-CTL-21",
	 {F(pml_address), F(eptp)},
	 {BAD_PAGE, EPT_TABLES | 0x1e},
	 0,
	 0,
	 SEC_(ENABLE_PML) | SEC_(ENABLE_EPT),
	 0,
	 0},
	{"VE-CTL-22", {F(vmread_bitmap)}, {BAD_PAGE}, 0, 0, SEC_(VMCS_SHADOWING), 0, 0},
	{"VE-CTL-22", {F(vmwrite_bitmap)}, {BAD_PAGE}, 0, 0, SEC_(VMCS_SHADOWING), 0, 0},
	{"VE-CTL-23", {F(ve_information_address)}, {BAD_PAGE}, 0, 0, SEC_(EPT_VIOLATION_VE), 0, 0},
	{"VE-CTL-24", {F(vm_function_controls)}, {2}, 0, 0, SEC_(ENABLE_VMFUNC), 0, 0},
	{"VE-CTL-24", {F(vm_function_controls)}, {1}, 0, 0, SEC_(ENABLE_VMFUNC), 0, 0},
	{"VE-CTL-26", {0}, {0}, 0, 0, SEC_(TSC_SCALING), 0, 0},
	/* exit controls */
	{"VE-EXC-01", {F(exit_controls)}, {CTLS(EXIT, HOST_ADDRESS_SPACE_SIZE)}, 0, 0, 0, 0, 0},
	{"VE-EXC-03", {0}, {0}, 0, 0, 0, CTLS(EXIT, SAVE_PREEMPTION_TIMER), 0},
	{"VE-EXC-04", {F(exit_msr_store_count), F(exit_msr_store_address)}, {1, MSR_LIST | 8}, 0, 0, 0, 0, 0},
	{"VE-EXC-05", {F(exit_msr_load_count), F(exit_msr_load_address)}, {1, BEYOND}, 0, 0, 0, 0, 0},
	{NULL, {F(exit_msr_load_address)}, {BEYOND | 1}, 0, 0, 0, 0, 0},
	/* entry controls */
	{"VE-ENT-01", {F(entry_controls)}, {CTLS(ENTRY, IA32E_MODE_GUEST)}, 0, 0, 0, 0, 0},
	{"VE-ENT-01", {0}, {0}, 0, 0, 0, 0, CTLS(ENTRY, ENTRY_TO_SMM)},
	{"VE-ENT-02", {F(entry_msr_load_count), F(entry_msr_load_address)}, {1, ~15ull}, 0, 0, 0, 0, 0},
	{"VE-INJ-01", {F(entry_interruption_info)}, {0x80000100}, 0, 0, 0, 0, 0},
	{"VE-INJ-02", {F(entry_interruption_info)}, {0x80000203}, 0, 0, 0, 0, 0},
	{"VE-INJ-02", {F(entry_interruption_info)}, {0x80000320}, 0, 0, 0, 0, 0},
	{"VE-INJ-02", {F(entry_interruption_info)}, {0x80000701}, 0, 0, 0, 0, 0},
	{"VE-INJ-03", {F(entry_interruption_info)}, {0x8000030d}, 0, 0, 0, 0, 0},
	{"VE-INJ-03", {F(entry_interruption_info)}, {0x80000b06}, 0, 0, 0, 0, 0},
	{"VE-INJ-05", {F(entry_interruption_info)}, {0x80001306}, 0, 0, 0, 0, 0},
	{"VE-INJ-06", {F(entry_interruption_info), F(entry_error_code)}, {0x80000b0d, 0x10000}, 0, 0, 0, 0, 0},
	{"VE-INJ-07", {F(entry_interruption_info), F(entry_instruction_length)}, {0x80000480, 16}, 0, 0, 0, 0, 0},
	{NULL, {F(entry_interruption_info), F(entry_instruction_length)}, {0x80000480, 0}, 0, 0, 0, 0, 0},
	{NULL, {F(entry_interruption_info)}, {0x7fffffff}, 0, 0, 0, 0, 0},
	/* host */
	{"VE-HST-01", {F(host_cr0)}, {CR0_PE | CR0_NE}, 0, 0, 0, 0, 0},
	{"VE-HST-01", {F(host_cr0)}, {0x180010031ull}, 0, 0, 0, 0, 0},
	{"VE-HST-02", {F(host_cr4)}, {CR4_PAE}, 0, 0, 0, 0, 0},
	{"VE-HST-02", {F(host_cr4)}, {CR4_PAE | CR4_VMXE | CR4_SMXE}, 0, 0, 0, 0, 0},
	{"VE-HST-03", {F(host_cr3)}, {BEYOND}, 0, 0, 0, 0, 0},
	{"VE-HST-04", {F(host_sysenter_esp)}, {NOT_CANONICAL}, 0, 0, 0, 0, 0},
	{"VE-HST-04", {F(host_sysenter_eip)}, {NOT_CANONICAL}, 0, 0, 0, 0, 0},
	{"VE-HST-05", {F(host_perf_global_ctrl)}, {1ull << 63}, 0, 0, 0, CTLS(EXIT, LOAD_PERF_GLOBAL_CTRL), 0},
	{"VE-HST-06", {F(host_pat)}, {2}, 0, 0, 0, CTLS(EXIT, LOAD_PAT), 0},
	{"VE-HST-07", {F(host_efer)}, {0}, 0, 0, 0, CTLS(EXIT, LOAD_EFER), 0},
	{"VE-HST-07", {F(host_efer)}, {EFER_LMA | EFER_LME | 2}, 0, 0, 0, CTLS(EXIT, LOAD_EFER), 0},
	{"VE-HST-12", {F(host_cs_selector)}, {0x0b}, 0, 0, 0, 0, 0},
	{"VE-HST-12", {F(host_gs_selector)}, {4}, 0, 0, 0, 0, 0},
	{"VE-HST-13", {F(host_cs_selector)}, {0}, 0, 0, 0, 0, 0},
	{"VE-HST-13", {F(host_tr_selector)}, {0}, 0, 0, 0, 0, 0},
	{NULL, {F(host_ss_selector)}, {0}, 0, 0, 0, 0, 0},
	{"VE-HST-14", {F(host_gdtr_base)}, {NOT_CANONICAL}, 0, 0, 0, 0, 0},
	{"VE-HST-14", {F(host_tr_base)}, {NOT_CANONICAL}, 0, 0, 0, 0, 0},
	{"VE-HST-16", {F(exit_controls), F(host_rip)}, {EXIT_DEFAULT1_TRUE, 0x1000}, 0, 0, 0, 0, 0},
	{"VE-HST-18", {F(host_cr4)}, {CR4_VMXE}, 0, 0, 0, 0, 0},
	{"VE-HST-18", {F(host_rip)}, {0x800000000000ull}, 0, 0, 0, 0, 0},
	/* guest registers */
	{"VE-GST-01", {F(guest_cr0)}, {CR0_PE | CR0_PG}, 0, 0, 0, 0, 0},
	{"VE-GST-02",
	 {F(guest_cr0), F(entry_controls), F(eptp), F(guest_cs_access)},
	 {CR0_PG | CR0_NE, ENTRY_DEFAULT1_TRUE, EPT_TABLES | 0x1e, 0xc093},
	 0,
	 0,
	 SEC_(ENABLE_EPT) | SEC_(UNRESTRICTED_GUEST),
	 0,
	 0},
	{"VE-GST-03", {F(guest_cr4)}, {CR4_PAE}, 0, 0, 0, 0, 0},
	{"VE-GST-04", {F(guest_debugctl)}, {1ull << 40}, 0, 0, 0, 0, CTLS(ENTRY, LOAD_DEBUG_CONTROLS)},
	{"VE-GST-05", {F(guest_cr4)}, {CR4_VMXE}, 0, 0, 0, 0, 0},
	{"VE-GST-06",
	 {F(guest_cr4), F(entry_controls), F(guest_cs_access)},
	 {CR4_VMXE | CR4_PCIDE, ENTRY_DEFAULT1_TRUE, 0xc09b},
	 0,
	 0,
	 0,
	 0,
	 0},
	{"VE-GST-07", {F(guest_cr3)}, {BEYOND}, 0, 0, 0, 0, 0},
	{"VE-GST-08", {F(guest_dr7)}, {1ull << 32}, 0, 0, 0, 0, CTLS(ENTRY, LOAD_DEBUG_CONTROLS)},
	{NULL, {F(guest_dr7)}, {1ull << 32}, 0, 0, 0, 0, 0},
	{"VE-GST-09", {F(guest_sysenter_eip)}, {NOT_CANONICAL}, 0, 0, 0, 0, 0},
	{"VE-GST-11", {F(guest_pat)}, {0x0300}, 0, 0, 0, 0, CTLS(ENTRY, LOAD_PAT)},
	{"VE-GST-12", {F(guest_efer)}, {EFER_LME}, 0, 0, 0, 0, CTLS(ENTRY, LOAD_EFER)},
	{"VE-GST-12", {F(guest_efer)}, {EFER_LMA}, 0, 0, 0, 0, CTLS(ENTRY, LOAD_EFER)},
	{NULL, {F(guest_efer)}, {EFER_LMA | EFER_LME}, 0, 0, 0, 0, CTLS(ENTRY, LOAD_EFER)},
	/* segments */
	{"VE-SEG-01", {F(guest_tr_selector)}, {4}, 0, 0, 0, 0, 0},
	{"VE-SEG-02", {F(guest_ldtr_selector), F(guest_ldtr_access)}, {4, 0x82}, 0, 0, 0, 0, 0},
	{"VE-SEG-03", {F(guest_ss_selector)}, {0x13}, 0, 0, 0, 0, 0},
	{"VE-SEG-04",
	 {F(guest_rflags), F(entry_controls), F(guest_cs_access)},
	 {2 | FLAG_VM, ENTRY_DEFAULT1_TRUE, 0xf3},
	 0,
	 0,
	 0,
	 0,
	 0},
	{"VE-SEG-05", {F(guest_tr_base)}, {NOT_CANONICAL}, 0, 0, 0, 0, 0},
	{"VE-SEG-05", {F(guest_fs_base)}, {NOT_CANONICAL}, 0, 0, 0, 0, 0},
	{"VE-SEG-06", {F(guest_ldtr_base), F(guest_ldtr_access)}, {NOT_CANONICAL, 0x82}, 0, 0, 0, 0, 0},
	{"VE-SEG-07", {F(guest_cs_base)}, {1ull << 32}, 0, 0, 0, 0, 0},
	{"VE-SEG-08", {F(guest_ds_base)}, {1ull << 32}, 0, 0, 0, 0, 0},
	{"VE-SEG-11", {F(guest_cs_access)}, {0xa093}, 0, 0, 0, 0, 0},
	{"VE-SEG-12", {F(guest_ss_access)}, {0xc091}, 0, 0, 0, 0, 0},
	{"VE-SEG-13", {F(guest_ds_access)}, {0xc092}, 0, 0, 0, 0, 0},
	{"VE-SEG-13", {F(guest_es_access)}, {0xc099}, 0, 0, 0, 0, 0},
	{"VE-SEG-14", {F(guest_cs_access)}, {0xa08b}, 0, 0, 0, 0, 0},
	{"VE-SEG-15", {F(guest_cs_access)}, {0xa0bb}, 0, 0, 0, 0, 0},
	{"VE-SEG-16", {F(guest_ss_access)}, {0xc0b3}, 0, 0, 0, 0, 0},
	{"VE-SEG-17", {F(guest_ds_selector)}, {0x13}, 0, 0, 0, 0, 0},
	{"VE-SEG-18", {F(guest_cs_access)}, {0xa01b}, 0, 0, 0, 0, 0},
	{"VE-SEG-19", {F(guest_cs_access)}, {0xa19b}, 0, 0, 0, 0, 0},
	{"VE-SEG-19", {F(guest_ds_access)}, {0x2c093}, 0, 0, 0, 0, 0},
	{"VE-SEG-20", {F(guest_cs_access)}, {0xe09b}, 0, 0, 0, 0, 0},
	{"VE-SEG-21", {F(guest_ds_limit)}, {0xfffff000}, 0, 0, 0, 0, 0},
	{"VE-SEG-21", {F(guest_ds_access)}, {0x4093}, 0, 0, 0, 0, 0},
	{"VE-SEG-22", {F(guest_tr_access)}, {0x83}, 0, 0, 0, 0, 0},
	{"VE-SEG-23", {F(guest_tr_access)}, {0x1008b}, 0, 0, 0, 0, 0},
	{"VE-SEG-23", {F(guest_tr_access)}, {0x0b}, 0, 0, 0, 0, 0},
	{"VE-SEG-24", {F(guest_ldtr_access)}, {0x83}, 0, 0, 0, 0, 0},
	{"VE-SEG-25", {F(guest_gdtr_limit)}, {0x10000}, 0, 0, 0, 0, 0},
	{"VE-SEG-25", {F(guest_idtr_base)}, {NOT_CANONICAL}, 0, 0, 0, 0, 0},
	/* RIP, RFLAGS */
	{"VE-RIP-01", {F(guest_cs_access), F(guest_rip)}, {0xc09b, 1ull << 32}, 0, 0, 0, 0, 0},
	{"VE-RIP-02", {F(guest_rip)}, {NOT_CANONICAL}, 0, 0, 0, 0, 0},
	{"VE-RIP-03", {F(guest_rflags)}, {0}, 0, 0, 0, 0, 0},
	{"VE-RIP-03", {F(guest_rflags)}, {2 | BIT(15)}, 0, 0, 0, 0, 0},
	{"VE-RIP-03", {F(guest_rflags)}, {2 | BIT(22)}, 0, 0, 0, 0, 0},
	{"VE-RIP-05", {F(entry_interruption_info)}, {0x80000030}, 0, 0, 0, 0, 0},
	{NULL, {F(entry_interruption_info), F(guest_rflags)}, {0x80000030, 2 | FLAG_IF}, 0, 0, 0, 0, 0},
	/* non-register state */
	{"VE-NRS-01", {F(guest_activity)}, {4}, 0, 0, 0, 0, 0},
	{"VE-NRS-03",
	 {F(guest_activity), F(guest_interruptibility), F(guest_rflags)},
	 {1, 1, 2 | FLAG_IF},
	 0,
	 0,
	 0,
	 0,
	 0},
	{"VE-NRS-04", {F(guest_activity), F(entry_interruption_info)}, {1, 0x80000306}, 0, 0, 0, 0, 0},
	{"VE-NRS-04",
	 {F(guest_activity), F(entry_interruption_info), F(guest_rflags)},
	 {2, 0x80000030, 2 | FLAG_IF},
	 0,
	 0,
	 0,
	 0,
	 0},
	{"VE-NRS-04", {F(guest_activity), F(entry_interruption_info)}, {3, 0x80000202}, 0, 0, 0, 0, 0},
	{NULL, {F(guest_activity), F(entry_interruption_info)}, {2, 0x80000202}, 0, 0, 0, 0, 0},
	{"VE-NRS-06", {F(guest_interruptibility)}, {0x10}, 0, 0, 0, 0, 0},
	{"VE-NRS-07", {F(guest_interruptibility), F(guest_rflags)}, {3, 2 | FLAG_IF}, 0, 0, 0, 0, 0},
	{"VE-NRS-08", {F(guest_interruptibility)}, {1}, 0, 0, 0, 0, 0},
	{"VE-NRS-09",
	 {F(guest_interruptibility), F(guest_rflags), F(entry_interruption_info)},
	 {1, 2 | FLAG_IF, 0x80000030},
	 0,
	 0,
	 0,
	 0,
	 0},
	{"VE-NRS-10", {F(guest_interruptibility), F(entry_interruption_info)}, {2, 0x80000202}, 0, 0, 0, 0, 0},
	{"VE-NRS-11", {F(guest_interruptibility)}, {4}, 0, 0, 0, 0, 0},
	{"VE-NRS-12",
	 {F(guest_interruptibility), F(entry_interruption_info)},
	 {8, 0x80000202},
	 CTLS(PIN, NMI_EXITING) | CTLS(PIN, VIRTUAL_NMIS),
	 0,
	 0,
	 0,
	 0},
	{NULL, {F(guest_interruptibility), F(entry_interruption_info)}, {8, 0x80000202}, 0, 0, 0, 0, 0},
	{"VE-NRS-14", {F(guest_pending_debug)}, {0x10}, 0, 0, 0, 0, 0},
	{"VE-NRS-15", {F(guest_interruptibility), F(guest_rflags)}, {1, 2 | FLAG_IF | FLAG_TF}, 0, 0, 0, 0, 0},
	{NULL,
	 {F(guest_interruptibility), F(guest_rflags), F(guest_pending_debug)},
	 {1, 2 | FLAG_IF | FLAG_TF, 0x4000},
	 0,
	 0,
	 0,
	 0,
	 0},
	{"VE-NRS-17", {F(vmcs_link_pointer)}, {0x123}, 0, 0, 0, 0, 0},
	{"VE-NRS-17", {F(vmcs_link_pointer)}, {VMCS_REGION}, 0, 0, 0, 0, 0},
	{"VE-NRS-17", {F(vmcs_link_pointer)}, {OTHER_REGION}, 0, 0, 0, 0, 0},
	/* PDPTEs */
	{"VE-PDP-01",
	 {F(entry_controls), F(guest_cs_access), F(eptp), F(guest_pdpte2)},
	 {ENTRY_DEFAULT1_TRUE, 0xc09b, EPT_TABLES | 0x1e, 3},
	 0,
	 0,
	 SEC_(ENABLE_EPT),
	 0,
	 0},
};

static void
set_field(struct vmx_fixture *f, u32 encoding, u64 value)
{
	const struct vmcs_field *field = vmcs_field(encoding);

	assert_non_null(field);
	vmcs_set(f->v, field, encoding, value);
}

static void
apply(struct vmx_fixture *f, const struct broken *b)
{
	fixture_root(f);
	f->v->pin_controls |= b->pin;
	f->v->proc_controls |= b->proc;
	f->v->sec_controls |= b->sec;
	if (b->sec)
		f->v->proc_controls |= CTLS(PROC, SECONDARY_CONTROLS);
	f->v->exit_controls |= b->exit;
	f->v->entry_controls |= b->entry;
	/* Encoding 0 (VPID) is in no case anything but the first. */
	for (unsigned i = 0; i < 4; i++)
		if (b->encoding[i] || (i == 0 && b->value[0]))
			set_field(f, b->encoding[i], b->value[i]);
}

struct heard {
	const char *id[64];
	unsigned count;
};

static void
hear(void *opaque, const char *id, const char *rule)
{
	struct heard *h = opaque;

	(void)rule;
	if (h->count < COUNT(h->id))
		h->id[h->count++] = id;
}

static void
each_broken_rule_is_named_by_the_doctor(void **state)
{
	struct vmx_fixture f;

	(void)state;
	fixture_make(&f, "max");
	for (unsigned i = 0; i < COUNT(cases); i++) {
		const struct broken *b = &cases[i];
		struct heard heard = {.count = 0};
		bool found = false;

		apply(&f, b);
		vmx_entry_doctor(f.cpu, hear, &heard);
		if (!b->id) {
			if (heard.count)
				fail_msg("case %u is valid, but %s says no", i, heard.id[0]);
			continue;
		}
		for (unsigned n = 0; n < heard.count; n++)
			found |= !strcmp(heard.id[n], b->id);
		if (!found)
			fail_msg("case %u: %s does not fail (%u others, first %s)", i, b->id, heard.count,
				 heard.count ? heard.id[0] : "-");
	}
	fixture_free(&f);
}

/* What the entry must come to, by the kind of rule. */
static void
each_broken_rule_fails_the_entry_in_its_way(void **state)
{
	struct vmx_fixture fixture, *f = &fixture;

	(void)state;
	fixture_make(f, "max");
	for (unsigned i = 0; i < COUNT(cases); i++) {
		const char *id = cases[i].id;
		bool left;
		u64 rip;

		if (!id)
			continue;
		apply(f, &cases[i]);
		f->cpu->rip = 0x1234;
		f->v->exit_reason = 0;
		left = LEAVES(op_vmlaunch(f->cpu, NULL));
		assert_false(f->cpu->nonroot);
		rip = f->cpu->rip;
		if (!strncmp(id, "VE-CTL", 6) || !strncmp(id, "VE-E", 4) || !strncmp(id, "VE-INJ", 6)) {
			if (left || f->v->vm_instruction_error != 7 || fixture_flags(f) != FLAG_ZF)
				fail_msg("case %u, %s: error %u", i, id, f->v->vm_instruction_error);
		} else if (!strncmp(id, "VE-HST", 6)) {
			if (left || f->v->vm_instruction_error != 8 || fixture_flags(f) != FLAG_ZF)
				fail_msg("case %u, %s: error %u", i, id, f->v->vm_instruction_error);
		} else {
			u64 qualification = !strcmp(id, "VE-NRS-17") ? 4 : !strncmp(id, "VE-PDP", 6) ? 2 : 0;

			if (!left || f->v->exit_reason != 0x80000021 || f->v->exit_qualification != qualification ||
			    rip != HOST_CODE)
				fail_msg("case %u, %s: reason %x, qualification %llx", i, id, f->v->exit_reason,
					 (unsigned long long)f->v->exit_qualification);
		}
		assert_int_equal(f->cpu->vmx->launched, 0);
	}
	fixture_free(f);
}

static void
every_one_of_several_broken_rules_is_reported(void **state)
{
	struct vmx_fixture f;
	struct heard heard = {.count = 0};

	(void)state;
	fixture_make(&f, "max");
	fixture_root(&f);
	f.v->cr3_target_count = 9;
	f.v->host_tr_selector = 0;
	f.v->guest_rflags = 0;
	assert_int_equal(vmx_entry_doctor(f.cpu, hear, &heard), 3);
	assert_string_equal(heard.id[0], "VE-CTL-05");
	assert_string_equal(heard.id[1], "VE-HST-13");
	assert_string_equal(heard.id[2], "VE-RIP-03");
	fixture_free(&f);
}

static void
a_valid_entry_loads_the_guest(void **state)
{
	struct vmx_fixture fixture, *f = &fixture;

	(void)state;
	fixture_make(f, "max");
	fixture_root(f);
	f->v->guest_rflags = 2 | FLAG_CF | FLAG_IF;
	f->v->guest_gs_base = 0x123456789abcull;
	assert_true(LEAVES(op_vmlaunch(f->cpu, NULL)));
	assert_true(f->cpu->nonroot);
	assert_int_equal(f->cpu->vmx->launched, 1);
	assert_int_equal(f->cpu->rip, GUEST_CODE);
	assert_int_equal(f->cpu->r[RSP], GUEST_STACK);
	assert_int_equal(cpu_rflags(f->cpu), 2 | FLAG_CF | FLAG_IF);
	assert_int_equal(f->cpu->seg[GS].base, 0x123456789abcull);
	assert_true(f->cpu->seg[GS].access & SEG_UNUSABLE);
	assert_int_equal(f->cpu->vmx->stats.entries, 1);
	fixture_free(f);
}

static void
a_bad_entry_of_the_msr_list_is_failure_34_with_its_number(void **state)
{
	static const struct {
		u32 index, reserved;
		u64 value;
	} bad[] = {
		{0xc0000100, 0, 0}, {0xc0000101, 0, 0}, {0x808, 0, 0}, {0x10, 1, 0},
		{0x12345678, 0, 0}, {0x9b, 0, 0},       {0x277, 0, 2},
	};
	struct vmx_fixture fixture, *f = &fixture;

	(void)state;
	fixture_make(f, "max");
	for (unsigned i = 0; i < COUNT(bad); i++) {
		fixture_root(f);
		f->v->entry_msr_load_address = MSR_LIST;
		f->v->entry_msr_load_count = 2;
		poke(f, MSR_LIST, 8, 0xc0000082);
		poke(f, MSR_LIST + 8, 8, 0x1000);
		poke(f, MSR_LIST + 16, 8, (u64)bad[i].reserved << 32 | bad[i].index);
		poke(f, MSR_LIST + 24, 8, bad[i].value);
		assert_true(LEAVES(op_vmlaunch(f->cpu, NULL)));
		assert_int_equal(f->v->exit_reason, 0x80000022);
		assert_int_equal(f->v->exit_qualification, 2);
		assert_int_equal(f->cpu->msr.lstar, 0x1000);
		assert_int_equal(f->cpu->vmx->launched, 0);
		assert_false(f->cpu->nonroot);
		assert_int_equal(f->cpu->rip, HOST_CODE);
	}
	fixture_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_broken_rule_is_named_by_the_doctor),
		cmocka_unit_test(each_broken_rule_fails_the_entry_in_its_way),
		cmocka_unit_test(every_one_of_several_broken_rules_is_reported),
		cmocka_unit_test(a_valid_entry_loads_the_guest),
		cmocka_unit_test(a_bad_entry_of_the_msr_list_is_failure_34_with_its_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
