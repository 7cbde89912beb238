/*
 * VM-entry checks: one REQUIRE line per rule, with its id in VMX.md, under its heading in SDM 3, "VM Entries".
 *
 * The check functions return false as soon as a rule is broken; with a doctor listening they go on and report each broken rule.
 */
#ifndef NB_VMX_CHECK_H
#define NB_VMX_CHECK_H

#include "cpu/cpuid.h"
#include "vmx/vmx.h"

struct check {
	struct vcpu *cpu;
	const struct vmx *vmx;
	const struct vmcs *v;
	u32 pin, proc, sec, exit, entry; /* the VMCS's controls, with ignored ones as 0 */
	vmx_doctor_callback report;      /* NULL: stop at the first */
	void *opaque;
	unsigned failures;
	const char *id, *rule; /* the first that failed */
	u64 qualification;
};

bool check_failed(struct check *c, const char *id, const char *rule);

#define REQUIRE(id, condition)                                                                                         \
	do {                                                                                                           \
		if (unlikely(!(condition)) && check_failed(c, id, #condition))                                         \
			return false;                                                                                  \
	} while (0)

/* Is the control on in this VMCS? */
#define PIN(name) (c->pin & VMX_MASK(PIN, name))
#define PROC(name) (c->proc & VMX_MASK(PROC, name))
#define SEC(name) (c->sec & VMX_MASK(SEC, name))
#define EXIT(name) (c->exit & VMX_MASK(EXIT, name))
#define ENTRY(name) (c->entry & VMX_MASK(ENTRY, name))

bool check_controls(struct check *c);
bool check_host(struct check *c);
bool check_guest(struct check *c);

/* Helpers of the rules. */
bool check_pat(u64 pat); /* each byte one of 0, 1, 4, 5, 6, 7 */
u64 check_efer_reserved(const struct vcpu *cpu);
u64 check_perf_global_reserved(struct vcpu *cpu);
bool check_pdpte(const struct vcpu *cpu, u64 pdpte);

#endif
