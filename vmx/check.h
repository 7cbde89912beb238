/*
 * VM-entry checks: one REQUIRE line per rule, with its id in tests/rules.list, under its heading in SDM 3, "VM Entries".
 *
 * The check functions return false as soon as a rule is broken; with a doctor listening they go on and report each broken rule. After the condition
 * stand the values that the report shows: fields, controls, and the mask or limit that decided.
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
	const char *heading;             /* in the manual */
	vmx_doctor_callback report;      /* NULL: stop at the first */
	void *opaque;
	unsigned failures;
	const char *id, *rule; /* the first that failed */
	u64 qualification;
};

/* `values` ends with a row without a name. */
bool check_failed(struct check *c, const char *id, const char *rule, const struct vmx_rule_value *values);

#define REQUIRE(id, condition, ...)                                                                                    \
	do {                                                                                                           \
		if (unlikely(!(condition)) &&                                                                          \
		    check_failed(c, id, #condition,                                                                    \
				 (const struct vmx_rule_value[]){__VA_ARGS__, {NULL, NULL, 0}}))                       \
			return false;                                                                                  \
	} while (0)

/* Values of a rule. */
#define FIELD(name)                                                                                                    \
	{                                                                                                              \
		NULL, #name, c->v->name                                                                                \
	}
/* 1 when on */
#define CONTROL(word, name)                                                                                            \
	{                                                                                                              \
		NULL, #word " " #name, word(name) != 0                                                                 \
	}
#define NAMED(name, value)                                                                                             \
	{                                                                                                              \
		NULL, name, value                                                                                      \
	}
#define MUST_BE_0(mask) NAMED("must be 0", mask)
#define MUST_BE_1(mask) NAMED("must be 1", mask)
#define AT_MOST(limit) NAMED("at most", limit)
#define CANONICAL NAMED("linear-address bits", c->cpu->model->linear_bits)
/* Of addresses in VMCS fields: reserved bits. */
#define BEYOND_PHYSICAL (~0ull << c->cpu->model->physical_bits)
#define PAGE_RESERVED (0xfffull | BEYOND_PHYSICAL)

/* CAP-23: the bits that must be 1 by the TRUE MSRs where there are such. */
#define DEFAULT1(word) (VMX_ALLOWED(&c->vmx->cap, BASIC, TRUE_CONTROLS) ? word##_DEFAULT1_TRUE : word##_DEFAULT1)

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
u64 check_pdpte_reserved(const struct vcpu *cpu);
bool check_pdpte(const struct vcpu *cpu, u64 pdpte);

#endif
