/* SDM 3, "Checks on VMX Controls": VMfailValid(7). */
#include "cpu/access.h"
#include "vmx/check.h"

#define VIRTUAL_TPR 0x80

/* Allowed 0-settings in `low`, allowed 1-settings in `high`. */
static bool
settings_allowed(u32 value, u32 low, u64 high)
{
	return (value & low) == low && !(value & ~((u32)high | low));
}

/* A list of `count` entries of 16 bytes. */
static bool
list_address(const struct check *c, u64 address, u32 count)
{
	u64 last = address + 16ull * count - 1;
	unsigned bits = c->cpu->model->physical_bits;

	return !(address & 15) && last >= address && !(address >> bits) && !(last >> bits);
}

static bool
eptp_list_valid(const struct check *c)
{
	if (!(c->v->vm_function_controls & VMX_MASK(VMFUNC, EPTP_SWITCHING)))
		return true;
	return SEC(ENABLE_EPT) && vmx_page_address(c->cpu, c->v->eptp_list_address);
}

/* "VM-Execution Control Fields" */
static bool
check_execution(struct check *c)
{
	const struct vmcs *v = c->v;
	const u64 *allowed = c->vmx->cap.allowed;
	const struct vcpu *cpu = c->cpu;

	c->heading = "VM-Execution Control Fields";
	REQUIRE("VE-CTL-01", settings_allowed(c->pin, PIN_DEFAULT1, allowed[VMX_PIN]), FIELD(pin_controls),
		MUST_BE_1(PIN_DEFAULT1), MUST_BE_0((u32) ~(allowed[VMX_PIN] | PIN_DEFAULT1)));
	REQUIRE("VE-CTL-02", settings_allowed(c->proc, DEFAULT1(PROC), allowed[VMX_PROC] | PROC_DEFAULT1),
		FIELD(proc_controls), MUST_BE_1(DEFAULT1(PROC)), MUST_BE_0((u32) ~(allowed[VMX_PROC] | PROC_DEFAULT1)));
	REQUIRE("VE-CTL-03", settings_allowed(c->sec, 0, allowed[VMX_SEC]), FIELD(sec_controls),
		MUST_BE_0((u32)~allowed[VMX_SEC]));
	REQUIRE("VE-CTL-05", v->cr3_target_count <= CR3_TARGETS, FIELD(cr3_target_count), AT_MOST(CR3_TARGETS));
	if (PROC(IO_BITMAPS)) {
		REQUIRE("VE-CTL-06", vmx_page_address(cpu, v->io_bitmap_a), FIELD(io_bitmap_a),
			MUST_BE_0(PAGE_RESERVED));
		REQUIRE("VE-CTL-06", vmx_page_address(cpu, v->io_bitmap_b), FIELD(io_bitmap_b),
			MUST_BE_0(PAGE_RESERVED));
	}
	if (PROC(MSR_BITMAPS))
		REQUIRE("VE-CTL-07", vmx_page_address(cpu, v->msr_bitmap), FIELD(msr_bitmap), MUST_BE_0(PAGE_RESERVED));
	if (PROC(TPR_SHADOW)) {
		REQUIRE("VE-CTL-08", vmx_page_address(cpu, v->virtual_apic_address), FIELD(virtual_apic_address),
			MUST_BE_0(PAGE_RESERVED));
		if (!SEC(VIRTUAL_INTERRUPT_DELIVERY)) {
			REQUIRE("VE-CTL-09", v->tpr_threshold >> 4 == 0, FIELD(tpr_threshold), MUST_BE_0(~15u));
			if (!SEC(VIRTUALIZE_APIC_ACCESSES) && vmx_page_address(cpu, v->virtual_apic_address))
				REQUIRE("VE-CTL-10",
					(v->tpr_threshold & 15) <=
						phys_read(c->cpu, v->virtual_apic_address + VIRTUAL_TPR, 1) >> 4,
					FIELD(tpr_threshold),
					AT_MOST(phys_read(c->cpu, v->virtual_apic_address + VIRTUAL_TPR, 1) >> 4));
		}
	} else {
		REQUIRE("VE-CTL-11", !SEC(VIRTUALIZE_X2APIC_MODE), CONTROL(SEC, VIRTUALIZE_X2APIC_MODE),
			CONTROL(PROC, TPR_SHADOW));
		REQUIRE("VE-CTL-11", !SEC(APIC_REGISTER_VIRTUALIZATION), CONTROL(SEC, APIC_REGISTER_VIRTUALIZATION),
			CONTROL(PROC, TPR_SHADOW));
		REQUIRE("VE-CTL-11", !SEC(VIRTUAL_INTERRUPT_DELIVERY), CONTROL(SEC, VIRTUAL_INTERRUPT_DELIVERY),
			CONTROL(PROC, TPR_SHADOW));
	}
	REQUIRE("VE-CTL-12", PIN(NMI_EXITING) || !PIN(VIRTUAL_NMIS), CONTROL(PIN, NMI_EXITING),
		CONTROL(PIN, VIRTUAL_NMIS));
	REQUIRE("VE-CTL-13", PIN(VIRTUAL_NMIS) || !PROC(NMI_WINDOW_EXITING), CONTROL(PIN, VIRTUAL_NMIS),
		CONTROL(PROC, NMI_WINDOW_EXITING));
	if (SEC(VIRTUALIZE_APIC_ACCESSES))
		REQUIRE("VE-CTL-14", vmx_page_address(cpu, v->apic_access_address), FIELD(apic_access_address),
			MUST_BE_0(PAGE_RESERVED));
	REQUIRE("VE-CTL-15", !SEC(VIRTUALIZE_X2APIC_MODE) || !SEC(VIRTUALIZE_APIC_ACCESSES),
		CONTROL(SEC, VIRTUALIZE_X2APIC_MODE), CONTROL(SEC, VIRTUALIZE_APIC_ACCESSES));
	REQUIRE("VE-CTL-16", !SEC(VIRTUAL_INTERRUPT_DELIVERY) || PIN(EXTERNAL_INTERRUPT_EXITING),
		CONTROL(SEC, VIRTUAL_INTERRUPT_DELIVERY), CONTROL(PIN, EXTERNAL_INTERRUPT_EXITING));
	if (PIN(POSTED_INTERRUPTS)) {
		REQUIRE("VE-CTL-17", SEC(VIRTUAL_INTERRUPT_DELIVERY), CONTROL(SEC, VIRTUAL_INTERRUPT_DELIVERY));
		REQUIRE("VE-CTL-17", EXIT(ACKNOWLEDGE_INTERRUPT), CONTROL(EXIT, ACKNOWLEDGE_INTERRUPT));
		REQUIRE("VE-CTL-17", v->posted_interrupt_vector >> 8 == 0, FIELD(posted_interrupt_vector),
			MUST_BE_0(0xff00));
		REQUIRE("VE-CTL-17", !(v->posted_interrupt_descriptor & 63), FIELD(posted_interrupt_descriptor),
			MUST_BE_0(63));
		REQUIRE("VE-CTL-17", !(v->posted_interrupt_descriptor >> cpu->model->physical_bits),
			FIELD(posted_interrupt_descriptor), MUST_BE_0(BEYOND_PHYSICAL));
	}
	REQUIRE("VE-CTL-18", !SEC(ENABLE_VPID) || v->vpid != 0, CONTROL(SEC, ENABLE_VPID), FIELD(vpid));
	REQUIRE("VE-CTL-19", !SEC(ENABLE_EPT) || vmx_eptp_valid(cpu, v->eptp), CONTROL(SEC, ENABLE_EPT), FIELD(eptp),
		MUST_BE_0(vmx_eptp_reserved(cpu)));
	REQUIRE("VE-CTL-20", !SEC(UNRESTRICTED_GUEST) || SEC(ENABLE_EPT), CONTROL(SEC, UNRESTRICTED_GUEST),
		CONTROL(SEC, ENABLE_EPT));
	REQUIRE("VE-CTL-20", !SEC(MODE_BASED_EXECUTE) || SEC(ENABLE_EPT), CONTROL(SEC, MODE_BASED_EXECUTE),
		CONTROL(SEC, ENABLE_EPT));
	if (SEC(ENABLE_PML)) {
		REQUIRE("VE-CTL-21", SEC(ENABLE_EPT), CONTROL(SEC, ENABLE_EPT));
		REQUIRE("VE-CTL-21", vmx_page_address(cpu, v->pml_address), FIELD(pml_address),
			MUST_BE_0(PAGE_RESERVED));
	}
	if (SEC(VMCS_SHADOWING)) {
		REQUIRE("VE-CTL-22", vmx_page_address(cpu, v->vmread_bitmap), FIELD(vmread_bitmap),
			MUST_BE_0(PAGE_RESERVED));
		REQUIRE("VE-CTL-22", vmx_page_address(cpu, v->vmwrite_bitmap), FIELD(vmwrite_bitmap),
			MUST_BE_0(PAGE_RESERVED));
	}
	if (SEC(EPT_VIOLATION_VE))
		REQUIRE("VE-CTL-23", vmx_page_address(cpu, v->ve_information_address), FIELD(ve_information_address),
			MUST_BE_0(PAGE_RESERVED));
	if (SEC(ENABLE_VMFUNC)) {
		REQUIRE("VE-CTL-24", !(v->vm_function_controls & ~allowed[VMX_VMFUNC]), FIELD(vm_function_controls),
			MUST_BE_0(~allowed[VMX_VMFUNC]));
		REQUIRE("VE-CTL-24", eptp_list_valid(c), CONTROL(SEC, ENABLE_EPT), FIELD(eptp_list_address),
			MUST_BE_0(PAGE_RESERVED));
	}
	REQUIRE("VE-CTL-26", !SEC(TSC_SCALING) || v->tsc_multiplier != 0, CONTROL(SEC, TSC_SCALING),
		FIELD(tsc_multiplier));
	return true;
}

/* "VM-Exit Control Fields" */
static bool
check_exit(struct check *c)
{
	const struct vmcs *v = c->v;

	c->heading = "VM-Exit Control Fields";
	REQUIRE("VE-EXC-01", settings_allowed(c->exit, DEFAULT1(EXIT), c->vmx->cap.allowed[VMX_EXIT] | EXIT_DEFAULT1),
		FIELD(exit_controls), MUST_BE_1(DEFAULT1(EXIT)),
		MUST_BE_0((u32) ~(c->vmx->cap.allowed[VMX_EXIT] | EXIT_DEFAULT1)));
	REQUIRE("VE-EXC-03", PIN(PREEMPTION_TIMER) || !EXIT(SAVE_PREEMPTION_TIMER), CONTROL(PIN, PREEMPTION_TIMER),
		CONTROL(EXIT, SAVE_PREEMPTION_TIMER));
	if (v->exit_msr_store_count)
		REQUIRE("VE-EXC-04", list_address(c, v->exit_msr_store_address, v->exit_msr_store_count),
			FIELD(exit_msr_store_address), FIELD(exit_msr_store_count), MUST_BE_0(BEYOND_PHYSICAL | 15));
	if (v->exit_msr_load_count)
		REQUIRE("VE-EXC-05", list_address(c, v->exit_msr_load_address, v->exit_msr_load_count),
			FIELD(exit_msr_load_address), FIELD(exit_msr_load_count), MUST_BE_0(BEYOND_PHYSICAL | 15));
	return true;
}

/* Exceptions that push an error code in protected mode. */
static bool
pushes_error(u8 vector)
{
	switch (vector) {
	case VECTOR_DF:
	case VECTOR_TS:
	case VECTOR_NP:
	case VECTOR_SS:
	case VECTOR_GP:
	case VECTOR_PF:
	case VECTOR_AC:
		return true;
	default:
		return false;
	}
}

/* The instruction length of software interrupts and exceptions. */
static bool
length_allowed(const struct check *c)
{
	u32 length = c->v->entry_instruction_length;

	return length <= 15 && (length != 0 || VMX_ALLOWED(&c->vmx->cap, MISC, INJECT_LENGTH_0));
}

/* "VM-Entry Control Fields", event injection */
static bool
check_injection(struct check *c)
{
	const struct vmcs *v = c->v;
	u32 info = v->entry_interruption_info;
	unsigned type = INFO_TYPE(info);
	u8 vector = INFO_VECTOR(info);
	bool protected_guest = !SEC(UNRESTRICTED_GUEST) || (v->guest_cr0 & CR0_PE);
	bool error_code = info & INFO_ERROR_CODE;

	REQUIRE("VE-INJ-01", type != 1, FIELD(entry_interruption_info));
	REQUIRE("VE-INJ-01", type != EVENT_OTHER || VMX_ALLOWED(&c->vmx->cap, PROC, MONITOR_TRAP_FLAG),
		FIELD(entry_interruption_info));
	REQUIRE("VE-INJ-02", type != EVENT_NMI || vector == VECTOR_NMI, FIELD(entry_interruption_info));
	REQUIRE("VE-INJ-02", type != EVENT_HARDWARE_EXCEPTION || vector <= 31, FIELD(entry_interruption_info));
	REQUIRE("VE-INJ-02", type != EVENT_OTHER || vector == 0, FIELD(entry_interruption_info));
	REQUIRE("VE-INJ-03",
		error_code == (protected_guest && type == EVENT_HARDWARE_EXCEPTION && pushes_error(vector)),
		FIELD(entry_interruption_info));
	REQUIRE("VE-INJ-05", BITS(info, 30, 12) == 0, FIELD(entry_interruption_info), MUST_BE_0(0x7ffff000));
	REQUIRE("VE-INJ-06", !error_code || v->entry_error_code >> 16 == 0, FIELD(entry_error_code),
		MUST_BE_0(0xffff0000));
	if (type >= EVENT_SOFTWARE_INTERRUPT && type <= EVENT_SOFTWARE_EXCEPTION)
		REQUIRE("VE-INJ-07", length_allowed(c), FIELD(entry_interruption_info),
			FIELD(entry_instruction_length));
	return true;
}

/* "VM-Entry Control Fields" */
static bool
check_entry(struct check *c)
{
	const struct vmcs *v = c->v;

	c->heading = "VM-Entry Control Fields";
	REQUIRE("VE-ENT-01",
		settings_allowed(c->entry, DEFAULT1(ENTRY), c->vmx->cap.allowed[VMX_ENTRY] | ENTRY_DEFAULT1),
		FIELD(entry_controls), MUST_BE_1(DEFAULT1(ENTRY)),
		MUST_BE_0((u32) ~(c->vmx->cap.allowed[VMX_ENTRY] | ENTRY_DEFAULT1)));
	if (v->entry_msr_load_count)
		REQUIRE("VE-ENT-02", list_address(c, v->entry_msr_load_address, v->entry_msr_load_count),
			FIELD(entry_msr_load_address), FIELD(entry_msr_load_count), MUST_BE_0(BEYOND_PHYSICAL | 15));
	REQUIRE("VE-ENT-03", !ENTRY(ENTRY_TO_SMM), CONTROL(ENTRY, ENTRY_TO_SMM));
	REQUIRE("VE-ENT-03", !ENTRY(DEACTIVATE_DUAL_MONITOR), CONTROL(ENTRY, DEACTIVATE_DUAL_MONITOR));
	REQUIRE("VE-ENT-04", !ENTRY(ENTRY_TO_SMM) || !ENTRY(DEACTIVATE_DUAL_MONITOR), CONTROL(ENTRY, ENTRY_TO_SMM),
		CONTROL(ENTRY, DEACTIVATE_DUAL_MONITOR));
	return v->entry_interruption_info & INFO_VALID ? check_injection(c) : true;
}

bool
check_controls(struct check *c)
{
	return check_execution(c) && check_exit(c) && check_entry(c);
}
