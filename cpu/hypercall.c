/*
 * VMCALL outside VMX operation, for tests of processors that take a KVM host for granted where they find its test device
 * (machine/ switches this on with -device pc-testdev only; else the instruction is #UD there).
 *
 * Source: Linux, Documentation/virt/kvm/x86/hypercalls.rst. Number in RAX, arguments in RBX, RCX, RDX, RSI, result in RAX.
 * Of the calls, KVM_HC_SEND_IPI is there; CPUID shows no hypervisor.
 */
#include "cpu/hypercall.h"

#include "bus/irq.h"
#include "cpu/lapic.h"
#include "cpu/vcpu.h"

#define HC_SEND_IPI 10
#define ERROR_PERMISSION 1
#define ERROR_UNKNOWN 1000

/* A bit of `map` for each APIC id from `first` on. Returns how many took the interrupt. */
static u64
send_ipis(struct cpus *cpus, u128 map, u64 first, u32 command)
{
	u64 taken = 0;

	for (unsigned i = 0; i < cpus->count; i++) {
		struct vcpu *cpu = cpus->cpu[i];
		u64 id = lapic_id(cpu);
		struct apic_message message = {
			.destination = (u32)id, .vector = (u8)command, .delivery = command >> 8 & 7, .assert_ = true};

		if (id < first || id - first > 127 || !(map >> (id - first) & 1))
			continue;
		if (message.delivery != APIC_NMI && (message.delivery != APIC_FIXED || message.vector < 16))
			continue;
		lapic_accept(cpu, &message);
		taken++;
	}
	return taken;
}

void
kvm_hypercall(struct vcpu *cpu)
{
	u64 mask = cpu->long64 ? ~0ull : 0xffffffff, result = (u64)-ERROR_UNKNOWN;
	const u64 *r = cpu->r;
	unsigned bits = cpu->long64 ? 64 : 32;

	if (cpu->cpl != 0)
		result = (u64)-ERROR_PERMISSION;
	else if ((r[RAX] & mask) == HC_SEND_IPI)
		result = send_ipis(cpu->cpus, (u128)(r[RCX] & mask) << bits | (r[RBX] & mask), r[RDX] & mask, (u32)r[RSI]);
	cpu->r[RAX] = result & mask;
}
