/* Valid VMCSs of many kinds, from which the tests of VM-entry checks start. */
#ifndef NB_TESTS_UNIT_VMX_ENTRY_BASES_H
#define NB_TESTS_UNIT_VMX_ENTRY_BASES_H

#include "tests/unit/vmx_fixture.h"

#define PIN(name) ((u32)VMX_MASK(PIN, name))
#define PROC(name) ((u32)VMX_MASK(PROC, name))
#define SEC(name) ((u32)VMX_MASK(SEC, name))
#define EXIT(name) ((u32)VMX_MASK(EXIT, name))
#define ENTRY(name) ((u32)VMX_MASK(ENTRY, name))
#define BEYOND (1ull << 52)
#define NOT_CANONICAL 0x1000000000000000ull
#define IA32_LSTAR 0xc0000082ull

/* A 64-bit guest of a 64-bit host, only the controls that must be on. */
static inline void
base_plain(struct vmx_fixture *f)
{
	fixture_root(f);
	poke(f, OTHER_REGION, 4, VMCS_REVISION);
	poke(f, SHADOW_REGION, 4, VMCS_REVISION | VMCS_SHADOW);
	poke(f, MSR_LIST, 8, IA32_LSTAR);
	poke(f, MSR_LIST + 8, 8, 0);
	/* PDPTEs with reserved bits, at both of two places */
	poke(f, OPERAND, 8, 3);
	poke(f, OPERAND + 0x20 + 24, 8, 0x200000000000001ull << 1 | 1);
}

static inline void
secondary(struct vmx_fixture *f, u32 controls)
{
	f->v->proc_controls |= PROC(SECONDARY_CONTROLS);
	f->v->sec_controls |= controls;
}

static inline void
base_ept(struct vmx_fixture *f)
{
	base_plain(f);
	fixture_ept(f);
}

static inline void
base_mbec(struct vmx_fixture *f)
{
	base_ept(f);
	secondary(f, SEC(MODE_BASED_EXECUTE));
}

static inline void
base_pml(struct vmx_fixture *f)
{
	base_ept(f);
	secondary(f, SEC(ENABLE_PML));
	f->v->eptp |= 0x40;
	f->v->pml_address = PML_PAGE;
}

static inline void
base_vmfunc(struct vmx_fixture *f)
{
	base_ept(f);
	secondary(f, SEC(ENABLE_VMFUNC));
	f->v->vm_function_controls = 1;
	f->v->eptp_list_address = OTHER_REGION;
}

static inline void
base_vpid(struct vmx_fixture *f)
{
	base_plain(f);
	secondary(f, SEC(ENABLE_VPID));
	f->v->vpid = 1;
}

/* TPR shadow without virtual-interrupt delivery; VTPR is 20h. */
static inline void
base_tpr(struct vmx_fixture *f)
{
	base_plain(f);
	f->v->proc_controls |= PROC(TPR_SHADOW);
	f->v->virtual_apic_address = VIRTUAL_APIC;
	poke(f, VIRTUAL_APIC + 0x80, 4, 0x2f);
}

static inline void
base_tpr_vaa(struct vmx_fixture *f)
{
	base_tpr(f);
	secondary(f, SEC(VIRTUALIZE_APIC_ACCESSES));
	f->v->apic_access_address = APIC_ACCESS;
}

static inline void
base_x2apic(struct vmx_fixture *f)
{
	base_tpr(f);
	secondary(f, SEC(VIRTUALIZE_X2APIC_MODE));
	f->v->apic_access_address = APIC_ACCESS;
}

static inline void
base_registers(struct vmx_fixture *f)
{
	base_tpr(f);
	secondary(f, SEC(APIC_REGISTER_VIRTUALIZATION));
}

static inline void
base_vid(struct vmx_fixture *f)
{
	base_tpr(f);
	secondary(f, SEC(VIRTUAL_INTERRUPT_DELIVERY));
	f->v->pin_controls |= PIN(EXTERNAL_INTERRUPT_EXITING);
}

static inline void
base_posted(struct vmx_fixture *f)
{
	base_vid(f);
	f->v->pin_controls |= PIN(POSTED_INTERRUPTS);
	f->v->exit_controls |= EXIT(ACKNOWLEDGE_INTERRUPT);
	f->v->posted_interrupt_vector = 0xf2;
	f->v->posted_interrupt_descriptor = OPERAND + 0x40;
}

static inline void
base_virtual_nmis(struct vmx_fixture *f)
{
	base_plain(f);
	f->v->pin_controls |= PIN(NMI_EXITING) | PIN(VIRTUAL_NMIS);
}

static inline void
base_nmi_window(struct vmx_fixture *f)
{
	base_virtual_nmis(f);
	f->v->proc_controls |= PROC(NMI_WINDOW_EXITING);
}

/* Nearly everything on. */
static inline void
base_full(struct vmx_fixture *f)
{
	struct vmcs *v = f->v;

	base_posted(f);
	fixture_ept(f);
	secondary(f, SEC(ENABLE_VPID) | SEC(ENABLE_PML) | SEC(VMCS_SHADOWING) | SEC(EPT_VIOLATION_VE) |
			     SEC(ENABLE_VMFUNC) | SEC(TSC_SCALING) | SEC(MODE_BASED_EXECUTE) |
			     SEC(VIRTUALIZE_APIC_ACCESSES) | SEC(APIC_REGISTER_VIRTUALIZATION));
	v->pin_controls |= PIN(NMI_EXITING) | PIN(VIRTUAL_NMIS) | PIN(PREEMPTION_TIMER);
	v->proc_controls |= PROC(IO_BITMAPS) | PROC(MSR_BITMAPS) | PROC(NMI_WINDOW_EXITING);
	v->exit_controls |= EXIT(SAVE_PREEMPTION_TIMER) | EXIT(LOAD_PAT) | EXIT(LOAD_EFER) | EXIT(LOAD_PERF_GLOBAL_CTRL);
	v->entry_controls |= ENTRY(LOAD_DEBUG_CONTROLS) | ENTRY(LOAD_PAT) | ENTRY(LOAD_EFER) | ENTRY(LOAD_PERF_GLOBAL_CTRL);
	v->io_bitmap_a = IO_PAGES;
	v->io_bitmap_b = IO_PAGES + 0x1000;
	v->msr_bitmap = v->vmread_bitmap = v->vmwrite_bitmap = MSR_BITMAP;
	v->apic_access_address = APIC_ACCESS;
	v->vpid = 1;
	v->pml_address = PML_PAGE;
	v->pml_index = 511;
	v->eptp |= 0x40;
	v->ve_information_address = v->eptp_list_address = OTHER_REGION;
	v->vm_function_controls = 1;
	v->tsc_multiplier = 1ull << 48;
	v->preemption_timer_value = 1000;
	v->host_efer = v->guest_efer = f->cpu->efer;
	v->host_pat = v->guest_pat = 0x0007040600070406ull;
	v->vmcs_link_pointer = SHADOW_REGION;
	v->exit_msr_store_count = v->exit_msr_load_count = v->entry_msr_load_count = 1;
	v->exit_msr_store_address = v->exit_msr_load_address = v->entry_msr_load_address = MSR_LIST;
}

/* LDTR, FS and GS usable, with byte limits. */
static inline void
base_segments(struct vmx_fixture *f)
{
	base_plain(f);
	f->v->guest_ldtr_selector = 0x20;
	f->v->guest_ldtr_access = 0x82;
	f->v->guest_fs_access = f->v->guest_gs_access = 0x4093;
	f->v->guest_fs_selector = f->v->guest_gs_selector = 0x10;
	f->v->guest_fs_limit = f->v->guest_gs_limit = 0xffff;
}

static inline void
base_unusable(struct vmx_fixture *f)
{
	base_plain(f);
	f->v->guest_ss_access = f->v->guest_ds_access = f->v->guest_es_access = 0x10000;
	f->v->guest_ss_selector = 0;
}

/* At CPL 3 */
static inline void
base_user(struct vmx_fixture *f)
{
	base_plain(f);
	f->v->guest_cs_selector |= 3;
	f->v->guest_ss_selector |= 3;
	f->v->guest_cs_access |= 0x60;
	f->v->guest_ss_access |= 0x60;
}

static inline void
base_conforming(struct vmx_fixture *f)
{
	base_plain(f);
	f->v->guest_cs_access = 0xa09f;
}

static inline void
base_readable_conforming_ds(struct vmx_fixture *f)
{
	base_plain(f);
	f->v->guest_ds_access = 0xc09f;
}

static inline void
base_compatibility(struct vmx_fixture *f)
{
	base_plain(f);
	f->v->guest_cs_access = 0xc09b;
}

/* A 32-bit PAE guest. */
static inline void
base_pae(struct vmx_fixture *f)
{
	base_plain(f);
	f->v->entry_controls &= ~ENTRY(IA32E_MODE_GUEST);
	f->v->guest_cs_access = 0xc09b;
	f->v->guest_cr3 = OPERAND + 0x800;
}

static inline void
base_pae_ept(struct vmx_fixture *f)
{
	base_pae(f);
	fixture_ept(f);
}

/* A 32-bit host, which is what the processor runs now. */
static inline void
base_host32(struct vmx_fixture *f)
{
	base_pae_ept(f);
	f->cpu->efer &= ~(EFER_LMA | EFER_LME);
	f->cpu->seg[CS].access = 0xc09b;
	f->cpu->long64 = false;
	f->cpu->cr3 = f->v->host_cr3 = OPERAND + 0xc00;
	f->v->exit_controls &= ~EXIT(HOST_ADDRESS_SPACE_SIZE);
}

/* Unrestricted guest with paging off, protected mode. */
static inline void
base_unrestricted(struct vmx_fixture *f)
{
	base_pae_ept(f);
	secondary(f, SEC(UNRESTRICTED_GUEST));
	f->v->guest_cr4 &= ~(u64)CR4_PAE;
}

static inline void
base_real(struct vmx_fixture *f)
{
	base_unrestricted(f);
	f->v->guest_cr0 &= ~(u64)(CR0_PE | CR0_PG);
}

static inline void
base_vm86(struct vmx_fixture *f)
{
	struct vmcs *v = f->v;

	base_pae_ept(f);
	v->guest_rflags |= FLAG_VM;
	v->guest_cs_selector = 0x1000;
	v->guest_ss_selector = 0x2003;
	v->guest_ds_selector = v->guest_es_selector = v->guest_fs_selector = v->guest_gs_selector = 0x3000;
	v->guest_cs_base = 0x10000;
	v->guest_ss_base = 0x20030;
	v->guest_ds_base = v->guest_es_base = v->guest_fs_base = v->guest_gs_base = 0x30000;
	v->guest_cs_limit = v->guest_ss_limit = v->guest_ds_limit = v->guest_es_limit = v->guest_fs_limit =
		v->guest_gs_limit = 0xffff;
	v->guest_cs_access = v->guest_ss_access = v->guest_ds_access = v->guest_es_access = v->guest_fs_access =
		v->guest_gs_access = 0xf3;
}

/* The segments of virtual-8086 mode in real mode. */
static inline void
base_vm86_real(struct vmx_fixture *f)
{
	base_vm86(f);
	f->v->guest_rflags &= ~(u64)FLAG_VM;
	f->v->guest_cr0 &= ~(u64)(CR0_PE | CR0_PG);
	f->v->guest_cr4 &= ~(u64)CR4_PAE;
	secondary(f, SEC(UNRESTRICTED_GUEST));
	f->v->guest_ss_selector = 0x2000;
	f->v->guest_ss_base = 0x20000;
	f->v->guest_cs_access = f->v->guest_ss_access = 0x93;
}

static inline void
base_interrupt(struct vmx_fixture *f)
{
	base_plain(f);
	f->v->entry_interruption_info = 0x80000030;
	f->v->guest_rflags |= FLAG_IF;
}

static inline void
base_nmi(struct vmx_fixture *f)
{
	base_plain(f);
	f->v->entry_interruption_info = 0x80000202;
	f->v->guest_rflags |= FLAG_IF;
}

static inline void
base_virtual_nmi(struct vmx_fixture *f)
{
	base_virtual_nmis(f);
	f->v->entry_interruption_info = 0x80000202;
}

static inline void
base_fault(struct vmx_fixture *f)
{
	base_plain(f);
	f->v->entry_interruption_info = 0x80000b0d;
}

static inline void
base_software(struct vmx_fixture *f)
{
	base_plain(f);
	f->v->entry_interruption_info = 0x80000480;
	f->v->entry_instruction_length = 2;
}

static inline void
base_sti(struct vmx_fixture *f)
{
	base_plain(f);
	f->v->guest_rflags |= FLAG_IF;
	f->v->guest_interruptibility = 1;
}

static inline void
base_mov_ss(struct vmx_fixture *f)
{
	base_plain(f);
	f->v->guest_interruptibility = 2;
}

static inline void
base_halted(struct vmx_fixture *f)
{
	base_plain(f);
	f->v->guest_rflags |= FLAG_IF;
	f->v->guest_activity = 1;
}

static inline void
base_shut_down(struct vmx_fixture *f)
{
	base_halted(f);
	f->v->guest_activity = 2;
}

static inline void
base_waiting(struct vmx_fixture *f)
{
	base_halted(f);
	f->v->guest_activity = 3;
}

/* Single-stepping in the shadow of STI. */
static inline void
base_stepping(struct vmx_fixture *f)
{
	base_sti(f);
	f->v->entry_controls |= ENTRY(LOAD_DEBUG_CONTROLS);
	f->v->guest_rflags |= FLAG_TF;
	f->v->guest_pending_debug = PENDING_DEBUG_BS;
}

#endif
