/* struct vmx: making, reset, snapshot; the current VMCS and its region. */
#include <stdlib.h>
#include <string.h>

#include "base/snapshot.h"
#include "base/stop.h"
#include "bus/memory.h"
#include "cpu/access.h"
#include "cpu/cpuid.h"
#include "cpu/tlb.h"
#include "vmx/vmx.h"

static void
timer_fired(void *opaque, u64 now)
{
	struct vmx *vmx = opaque;

	(void)now;
	vmx->work |= WORK_TIMER;
	cpu_request(vmx->cpu, PEND_VMX);
}

struct vmx *
vmx_new(struct vcpu *cpu)
{
	struct vmx *vmx;

	if (!cpu_has(cpu, FEATURE_VMX))
		return NULL;
	vmx = calloc(1, sizeof(*vmx));
	if (!vmx)
		stop_host_error("out of memory");
	vmx->cpu = cpu;
	vmx->vmxon_pointer = vmx->current = NO_VMCS;
	vmx_capability_init(vmx, cpu->model);
	event_init(&vmx->timer, "VMX-preemption timer", EVENT_CLOCK, timer_fired, vmx);
	return vmx;
}

void
vmx_free(struct vmx *vmx)
{
	free(vmx);
}

void
vmx_reset(struct vcpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	if (!vmx)
		return;
	event_disarm(cpu->events, &vmx->timer);
	vmx->operation = vmx->shadow = vmx->nmi_virtual = vmx->virtual_interrupt = vmx->no_idt_vectoring = false;
	vmx->vmxon_pointer = vmx->current = NO_VMCS;
	vmx->launched = 0;
	memset(&vmx->vmcs, 0, sizeof(vmx->vmcs));
	vmx->pin = vmx->proc = vmx->sec = vmx->work = 0;
	vmx->mtf = MTF_NONE;
	vmx->eptp_tag = 0;
	cpu->nonroot = false;
}

void
vmx_state(struct vmx *vmx, struct state *s)
{
	state_section(s, "vmx", 1);
	state_bool(s, &vmx->operation);
	STATE(s, vmx->vmxon_pointer);
	STATE(s, vmx->current);
	state_bool(s, &vmx->shadow);
	STATE(s, vmx->launched);
	STATE(s, vmx->vmcs);
	STATE(s, vmx->pin);
	STATE(s, vmx->proc);
	STATE(s, vmx->sec);
	STATE(s, vmx->eptp_tag);
	state_bool(s, &vmx->nmi_virtual);
	STATE(s, vmx->work);
	STATE_BELOW(s, vmx->apic_write_offset, 4096u);
	STATE(s, vmx->eoi_vector);
	state_bool(s, &vmx->virtual_interrupt);
	STATE_BELOW(s, vmx->mtf, MTF_PENDING + 1u);
	STATE(s, vmx->ple_first);
	STATE(s, vmx->ple_last);
	STATE(s, vmx->timer_deadline);
	state_event(s, vmx->cpu->events, &vmx->timer);
	STATE(s, vmx->stats);
	if (state_mode(s) != STATE_LOAD)
		return;
	if ((vmx->current != NO_VMCS && !vmx_page_address(vmx->cpu, vmx->current)) ||
	    (vmx->vmxon_pointer != NO_VMCS && !vmx_page_address(vmx->cpu, vmx->vmxon_pointer))) {
		state_fail(s, "snapshot has a VMCS where none can be");
		vmx->current = vmx->vmxon_pointer = NO_VMCS;
	}
	if ((vmx->cpu->nonroot || (vmx->cpu->in_smm && vmx->cpu->smm.nonroot)) && (!vmx->operation || vmx->current == NO_VMCS))
		state_fail(s, "snapshot has a processor in VMX non-root operation without a VMCS");
}

void
vmx_store_current(struct vmx *vmx)
{
	if (vmx->current == NO_VMCS)
		return;
	phys_write(vmx->cpu, vmx->current + VMCS_REGION_LAUNCHED, 4, vmx->launched);
	dma_write_by(vmx->cpu->memory, "VMCS", vmx->current + VMCS_REGION_FIELDS, &vmx->vmcs, sizeof(vmx->vmcs));
}

void
vmx_load_current(struct vmx *vmx, u64 address)
{
	vmx->current = address;
	vmx->shadow = phys_read(vmx->cpu, address, 4) & VMCS_SHADOW;
	vmx->launched = (u32)phys_read(vmx->cpu, address + VMCS_REGION_LAUNCHED, 4);
	dma_read(vmx->cpu->memory, address + VMCS_REGION_FIELDS, &vmx->vmcs, sizeof(vmx->vmcs));
}

bool
vmx_page_address(const struct vcpu *cpu, u64 address)
{
	return (address & 0xfff) == 0 && address >> cpu->model->physical_bits == 0;
}

bool
vmx_canonical(const struct vcpu *cpu, u64 linear)
{
	unsigned shift = 64u - cpu->model->linear_bits;

	return (u64)((s64)(linear << shift) >> shift) == linear;
}

bool
vmx_operation(const struct vcpu *cpu)
{
	/* SMM-01: the default treatment of SMIs leaves VMX operation until RSM. */
	return cpu->vmx && cpu->vmx->operation && !cpu->in_smm;
}

const struct vmx_stats *
vmx_get_stats(const struct vcpu *cpu)
{
	static const struct vmx_stats none;

	return cpu->vmx ? &cpu->vmx->stats : &none;
}

const char *
vmx_reason_name(unsigned basic_reason)
{
	static const char *const names[VMX_REASONS] = {
#define REASON(number, name, saved_rf) [number] = #name,
#include "vmx/exit_reasons.def"
#undef REASON
	};

	return basic_reason < VMX_REASONS ? names[basic_reason] : NULL;
}
