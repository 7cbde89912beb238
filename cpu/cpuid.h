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
	u64 vmx_disabled[9]; /* VMX capabilities switched off by -cpu, by vmx/capability.h */
	u64 vmx_wanted[9];   /* those that it asks for by name */
	u64 hz; /* TSC and core clock */
	u8 level; /* highest basic leaf */
	bool amd; /* AMD's vendor string: SYSCALL works in compatibility mode too */
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

/*
 * XCR0 bits, and where their components lie in the standard format of the XSAVE area. SDM 1, "XSAVE-Supported Features
 * and State-Component Bitmaps".
 */
#define XCR0_X87 BIT(0)
#define XCR0_SSE BIT(1)
#define XCR0_AVX BIT(2)
#define XCR0_PKRU BIT(9)
#define XSAVE_EXTENDED_OFFSET 576
#define XSAVE_AVX_OFFSET 576
#define XSAVE_AVX_SIZE 256
#define XSAVE_PKRU_OFFSET 2688
#define XSAVE_PKRU_SIZE 8

/* Bits of IA32_MISC_ENABLE that CPUID and EFER look at. */
#define MISC_ENABLE_MONITOR BIT(18)
#define MISC_ENABLE_LIMIT_CPUID BIT(22)
#define MISC_ENABLE_XD_DISABLE BIT(34)

u64 cpu_xcr0_supported(const struct cpu_model *model);
u32 cpu_xsave_size(u64 mask, bool compacted);
u64 cpu_xinuse(const struct vcpu *cpu); /* XINUSE, before AND with XCR0 */
u64 cr4_supported(const struct cpu_model *model); /* the bits that are not reserved */
u64 cpu_arch_capabilities(const struct cpu_model *model); /* IA32_ARCH_CAPABILITIES */
const char *cpu_feature_name(enum cpu_feature feature);

/* CPUID: EAX and ECX in, EAX..EDX out into regs[0..3]; reflects OSXSAVE, APIC id, XCR0-dependent sizes. */
void cpuid_query(struct vcpu *cpu, u32 leaf, u32 subleaf, u32 regs[4]);

#endif
