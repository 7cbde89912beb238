/* CPU models and CPUID. cpuid.def has one row per feature bit. */
#ifndef NB_CPU_CPUID_H
#define NB_CPU_CPUID_H

#include "cpu/state.h"

enum cpu_feature {
	FEATURE_BASE, /* always there */
#define FEATURE(id, name, leaf, subleaf, reg, bit) FEATURE_##id,
#include "cpu/cpuid.def"
#undef FEATURE
	FEATURE_COUNT
};

struct cpu_model {
	const char *name;
	bool has[FEATURE_COUNT];
	u8 physical_bits; /* MAXPHYADDR */
	u8 linear_bits;   /* 48 or 57 */
	u32 signature;    /* CPUID.1:EAX */
	char vendor[13], brand[49];
	u64 vmx_disabled[8]; /* VMX capabilities switched off by -cpu, by vmx/capability.h */
	u64 hz; /* TSC and core clock */
};

/* "max", "max,-avx2,+la57", "Skylake-Server,..." -> *model; returns NULL or an error (heap) that names the part. */
char *cpu_model_parse(const char *spec, struct cpu_model *model);
/* -cpu help */
void cpu_model_help(void);

static inline bool
cpu_has(const struct vcpu *cpu, enum cpu_feature feature)
{
	return cpu->model->has[feature];
}

/* CPUID: EAX and ECX in, EAX..EDX out into regs[0..3]; reflects OSXSAVE, APIC id, XCR0-dependent sizes. */
void cpuid_query(struct vcpu *cpu, u32 leaf, u32 subleaf, u32 regs[4]);

#endif
