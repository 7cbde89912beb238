/* VMCALL where there is no VMX operation but somebody expects a KVM host. */
#ifndef NB_CPU_HYPERCALL_H
#define NB_CPU_HYPERCALL_H

#include "cpu/state.h"

void kvm_hypercall(struct vcpu *cpu);

#endif
