/*
 * CPU models and CPUID. SDM 2, "CPUID - CPU Identification".
 *
 * A model is its predecessor plus what it added, so the list below reads as history. Models are server parts of the
 * names that QEMU uses, less what is not modelled: AVX-512, TSX, MPX, power and thermal management, processor trace.
 * No model sets the hypervisor bit: there is nothing to tell the guest that it does not run on such a processor.
 *
 * Topology: one package, one thread per core. The TSC runs at the crystal's rate (leaf 15h: ratio 1), which is also the
 * local APIC timer's.
 */
#include "cpu/cpuid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "cpu/pmu.h"
#include "cpu/vcpu.h"
#include "vmx/intercept.h"

enum { EAX, EBX, ECX, EDX };
#define ARCH_CAP 0xffff010a /* pseudo leaf, see cpuid.def */
#define NO_LEAF 0xffffffff

static const struct feature_row {
	const char *name;
	u32 leaf;
	u8 subleaf, reg, bit;
} features[FEATURE_COUNT] = {
#define FEATURE(id, name, leaf, subleaf, reg, bit) [FEATURE_##id] = {name, leaf, subleaf, reg, bit},
#include "cpu/cpuid.def"
#undef FEATURE
};

/* Other spellings of the same bit. */
static const struct {
	const char *alias, *name;
} aliases[] = {
	{"sse3", "pni"},
	{"lzcnt", "abm"},
	{"pclmul", "pclmulqdq"},
	{"sha", "sha-ni"},
	{"cmpxchg16b", "cx16"},
	{"prefetchw", "3dnowprefetch"},
	{"tsc-deadline-timer", "tsc-deadline"},
};

#define F(id) FEATURE_##id
#define NONE FEATURE_BASE

/* What the part with this name added to the one in the row before. */
static const struct model_row {
	const char *name;
	u32 signature;
	u8 physical_bits;
	u8 level; /* highest basic leaf */
	const char *brand;
	u16 adds[48];
	/* VMX capabilities that appear with this part: older models have them switched off. */
	const char *vmx_adds[16];
} models[] = {
	{"Nehalem", 0x106a5, 40, 0xb, "Intel(R) Xeon(R) CPU E5520 class",
	 {F(FPU), F(VME), F(DE), F(PSE), F(TSC), F(MSR), F(PAE), F(MCE), F(CX8), F(APIC), F(SEP), F(MTRR), F(PGE), F(MCA),
	  F(CMOV), F(PAT), F(PSE36), F(CLFLUSH), F(MMX), F(FXSR), F(SSE), F(SSE2), F(SS), F(SSE3), F(MONITOR), F(VMX),
	  F(SSSE3), F(CX16), F(SSE4_1), F(SSE4_2), F(POPCNT), F(SYSCALL), F(NX), F(RDTSCP), F(LM), F(LAHF_LM), F(INVTSC),
	  F(PREFETCHW)},
	 {0}},
	{"Westmere", 0x206c2, 40, 0xb, "Intel(R) Xeon(R) CPU E5620 class",
	 {F(PCLMULQDQ), F(AES), F(PCID), F(X2APIC), F(ARAT), F(PDPE1GB)},
	 {"unrestricted-guest", "ple", "ept-1gb"}},
	{"SandyBridge", 0x206d7, 46, 0xd, "Intel(R) Xeon(R) CPU E5-2600 class",
	 {F(AVX), F(XSAVE), F(XSAVEOPT), F(TSC_DEADLINE)}, {0}},
	{"IvyBridge", 0x306e4, 46, 0xd, "Intel(R) Xeon(R) CPU E5-2600 v2 class",
	 {F(F16C), F(RDRAND), F(FSGSBASE), F(SMEP), F(ERMS)},
	 {"apic-register", "vintr-delivery", "vx2apic", "posted-intr"}},
	{"Haswell", 0x306f2, 46, 0xd, "Intel(R) Xeon(R) CPU E5-2600 v3 class",
	 {F(AVX2), F(FMA), F(BMI1), F(BMI2), F(LZCNT), F(MOVBE), F(INVPCID), F(TSC_ADJUST), F(ZERO_FCS_FDS)},
	 {"ept-ad", "vmfunc", "eptp-switching", "shadow-vmcs"}},
	{"Broadwell", 0x406f1, 46, 0xd, "Intel(R) Xeon(R) CPU E5-2600 v4 class",
	 {F(ADX), F(RDSEED), F(SMAP)},
	 {"pml", "ept-violation-ve"}},
	{"Skylake-Server", 0x50654, 46, 0x16, "Intel(R) Xeon(R) Gold 6100 class, no AVX-512",
	 {F(CLFLUSHOPT), F(CLWB), F(XSAVEC), F(XGETBV1), F(XSAVES), F(PKU), F(FDP_EXCPTN_ONLY), F(SPEC_CTRL), F(STIBP), F(SSBD)},
	 {"tsc-scaling", "mbec", "ept-advanced-exitinfo"}},
	{"Cascadelake-Server", 0x50657, 46, 0x16, "Intel(R) Xeon(R) Gold 6200 class, no AVX-512",
	 {F(ARCH_CAPABILITIES), F(RDCL_NO), F(IBRS_ALL), F(SKIP_L1DFL), F(MDS_NO), F(PSCHANGE_MC_NO), F(TAA_NO)}, {0}},
	{"Icelake-Server", 0x606a6, 46, 0x16, "Intel(R) Xeon(R) Gold 6300 class, no AVX-512",
	 {F(SHA), F(VAES), F(VPCLMULQDQ), F(UMIP), F(RDPID), F(FSRM), F(WBNOINVD)}, {0}},
	/* Everything that works, and none of the defects. LA57 only on request: a kernel that sees it walks five levels for nothing. */
	{"max", 0x606a6, 46, 0x16, "nestbox max",
	 {F(SSB_NO), F(SBDR_SSDP_NO), F(FBSDP_NO), F(PSDP_NO), F(BHI_NO), F(PBRSB_NO), F(GDS_NO), F(RFDS_NO), F(ITS_NO),
	  F(BHI_CTRL), F(PMU), F(PDCM)},
	 {0}},
};

#define K8                                                                                                                                  \
	F(FPU), F(DE), F(PSE), F(TSC), F(MSR), F(PAE), F(MCE), F(CX8), F(APIC), F(SEP), F(MTRR), F(PGE), F(MCA), F(CMOV), F(PAT), F(PSE36), \
		F(CLFLUSH), F(MMX), F(FXSR), F(SSE), F(SSE2), F(SSE3), F(SYSCALL), F(NX), F(LM)

/*
 * Small ones that stand by themselves, under QEMU's names: what a minimal x86-64 processor has, so that software can be run without all the
 * rest. An AMD part is that in its vendor string and SYSCALL only.
 */
static const struct model_row small_models[] = {
	{"qemu64", 0x60fb1, 40, 0xd, "x86-64, nothing else", {K8, F(CX16), F(LAHF_LM)}, {0}},
	{"Opteron_G1", 0xf61, 40, 5, "AMD Opteron 240 class", {K8, F(K7_COUNTERS)}, {0}},
};

/* A feature that is nothing without another one. */
static const struct {
	u16 feature, needs;
} needs[] = {
	{F(SSE2), F(SSE)}, {F(SSE3), F(SSE2)}, {F(SSSE3), F(SSE3)}, {F(SSE4_1), F(SSSE3)}, {F(SSE4_2), F(SSE4_1)},
	{F(AES), F(SSE2)}, {F(PCLMULQDQ), F(SSE2)}, {F(SHA), F(SSE2)}, {F(XSAVEOPT), F(XSAVE)}, {F(XSAVEC), F(XSAVE)},
	{F(XGETBV1), F(XSAVE)}, {F(XSAVES), F(XSAVEC)}, {F(AVX), F(XSAVE)}, {F(AVX2), F(AVX)}, {F(FMA), F(AVX)},
	{F(F16C), F(AVX)}, {F(VAES), F(AVX)}, {F(VPCLMULQDQ), F(AVX)}, {F(PKU), F(XSAVE)}, {F(X2APIC), F(APIC)},
	{F(TSC_DEADLINE), F(APIC)}, {F(LA57), F(LM)}, {F(SYSCALL), F(LM)}, {F(PCID), F(LM)}, {F(FSGSBASE), F(LM)},
	{F(PDPE1GB), F(LM)}, {F(BHI_CTRL), F(SPEC_CTRL)}, {F(STIBP), F(SPEC_CTRL)}, {F(SSBD), F(SPEC_CTRL)},
	{F(IBRS_ALL), F(SPEC_CTRL)}, {F(PDCM), F(PMU)},
};

/* Names compare equal when they differ in '_', '.' and '-' only. */
static bool
same_name(const char *a, const char *b)
{
	for (; *a && *b; a++, b++) {
		char x = *a == '_' || *a == '.' ? '-' : *a;
		char y = *b == '_' || *b == '.' ? '-' : *b;
		if (x != y)
			return false;
	}
	return *a == *b;
}

static int
find_feature(const char *name)
{
	for (size_t i = 0; i < COUNT(aliases); i++)
		if (same_name(name, aliases[i].alias))
			name = aliases[i].name;
	for (int i = 1; i < FEATURE_COUNT; i++)
		if (same_name(name, features[i].name))
			return i;
	return -1;
}

#define UNKNOWN "-cpu: no feature or VMX capability \"%s\" (see -cpu help)"

static bool
switch_feature(struct cpu_model *model, const char *name, bool on)
{
	/* About QEMU's relation to its host, of which there is none here. */
	if (same_name(name, "host-phys-bits") || same_name(name, "migratable"))
		return true;
	int feature = find_feature(name);
	if (feature < 0)
		return vmx_capability_switch(model, name, on);
	model->has[feature] = on;
	return true;
}

static char *
parse_value(struct cpu_model *model, const char *name, const char *value, bool *on)
{
	char *end;
	unsigned long bits;

	if (same_name(name, "vendor")) {
		if (strlen(value) != 12)
			return error_string("-cpu: vendor=%s has no 12 characters", value);
		memcpy(model->vendor, value, 12);
		return NULL;
	}
	if (same_name(name, "phys-bits")) {
		bits = strtoul(value, &end, 10);
		if (*end || bits < 32 || bits > 52)
			return error_string("-cpu: phys-bits=%s is no number from 32 to 52", value);
		model->physical_bits = (u8)bits;
		return NULL;
	}
	*on = strcmp(value, "on") == 0 || strcmp(value, "yes") == 0;
	if (!*on && strcmp(value, "off") && strcmp(value, "no"))
		return error_string("-cpu: %s is on or off, not \"%s\"", name, value);
	return switch_feature(model, name, *on) ? NULL : error_string(UNKNOWN, name);
}

static char *
parse_item(struct cpu_model *model, char *item)
{
	bool on = true;
	char *value;

	if (*item == '+' || *item == '-') {
		on = *item++ == '+';
	} else if ((value = strchr(item, '='))) {
		*value++ = '\0';
		return parse_value(model, item, value, &on);
	}
	return switch_feature(model, item, on) ? NULL : error_string(UNKNOWN, item);
}

static void
set_row(struct cpu_model *model, const struct model_row *row)
{
	model->name = row->name;
	model->signature = row->signature;
	model->physical_bits = row->physical_bits;
	model->level = row->level;
	memcpy(model->vendor, "GenuineIntel", sizeof(model->vendor));
	snprintf(model->brand, sizeof(model->brand), "%s", row->brand);
	model->has[FEATURE_BASE] = true;
}

static void
add_features(struct cpu_model *model, const struct model_row *row)
{
	for (size_t k = 0; k < COUNT(row->adds) && row->adds[k] != NONE; k++)
		model->has[row->adds[k]] = true;
}

/* All rows up to the named one apply. False if there is none. */
static bool
set_model(struct cpu_model *model, const char *name)
{
	size_t last = 0;

	if (strcmp(name, "host") == 0)
		name = "max";
	for (size_t i = 0; i < COUNT(small_models); i++) {
		if (strcmp(small_models[i].name, name))
			continue;
		set_row(model, &small_models[i]);
		add_features(model, &small_models[i]);
		return true;
	}
	while (last < COUNT(models) && strcmp(models[last].name, name))
		last++;
	if (last == COUNT(models))
		return false;
	set_row(model, &models[last]);
	for (size_t i = 0; i <= last; i++)
		add_features(model, &models[i]);
	for (size_t i = last + 1; i < COUNT(models); i++)
		for (size_t k = 0; k < COUNT(models[i].vmx_adds) && models[i].vmx_adds[k]; k++)
			vmx_capability_switch(model, models[i].vmx_adds[k], false);
	return true;
}

char *
cpu_model_parse(const char *spec, struct cpu_model *model)
{
	memset(model, 0, sizeof(*model));
	model->hz = 1000000000;
	char *copy = strdup(spec), *save = NULL, *error = NULL;
	if (!copy)
		return error_string("-cpu: out of memory");
	char *name = strtok_r(copy, ",", &save);
	if (!name || !set_model(model, name))
		error = error_string("-cpu: no model \"%s\" (see -cpu help)", name ? name : "");
	for (char *item; !error && (item = strtok_r(NULL, ",", &save));)
		error = parse_item(model, item);
	free(copy);
	if (error)
		return error;
	for (size_t pass = 0; pass < 4; pass++) /* the longest chain of needs */
		for (size_t i = 0; i < COUNT(needs); i++)
			if (!model->has[needs[i].needs])
				model->has[needs[i].feature] = false;
	model->amd = strcmp(model->vendor, "AuthenticAMD") == 0;
	model->linear_bits = model->has[FEATURE_LA57] ? 57 : 48;
	if (model->has[FEATURE_VMX]) {
		char *broken = vmx_capability_check(model);
		if (broken) {
			error = error_string("-cpu: VMX capabilities do not go together: %s", broken);
			free(broken);
			return error;
		}
	}
	return NULL;
}

void
cpu_model_help(void)
{
	printf("CPU models:\n");
	for (size_t i = 0; i < COUNT(models); i++)
		printf("  %-20s %s\n", models[i].name, models[i].brand);
	for (size_t i = 0; i < COUNT(small_models); i++)
		printf("  %-20s %s\n", small_models[i].name, small_models[i].brand);
	printf("\nFeatures (+name, -name, name=on, name=off), phys-bits=N, vendor=TEXT:\n");
	for (int i = 1, column = 0; i < FEATURE_COUNT; i++) {
		if (column && column + strlen(features[i].name) + 1 > 76)
			column = printf("\n") - 1;
		column += printf(column ? " %s" : "  %s", features[i].name);
	}
	printf("\n\nVMX capabilities:\n");
	vmx_capability_help();
}

const char *
cpu_feature_name(enum cpu_feature feature)
{
	return feature == FEATURE_BASE ? "base" : features[feature].name;
}

u64
cpu_arch_capabilities(const struct cpu_model *model)
{
	u64 value = 0;
	for (int i = 1; i < FEATURE_COUNT; i++)
		if (features[i].leaf == ARCH_CAP && model->has[i])
			value |= BIT(features[i].bit + (features[i].reg == EDX ? 32 : 0));
	return value;
}

u64
cpu_xcr0_supported(const struct cpu_model *model)
{
	if (!model->has[FEATURE_XSAVE])
		return 0;
	u64 mask = XCR0_X87 | XCR0_SSE;
	if (model->has[FEATURE_AVX])
		mask |= XCR0_AVX;
	if (model->has[FEATURE_PKU])
		mask |= XCR0_PKRU;
	return mask;
}

u64
cr4_supported(const struct cpu_model *model)
{
	static const struct {
		u16 feature;
		u64 bits;
	} bits[] = {
		{FEATURE_VME, CR4_VME | CR4_PVI},
		{FEATURE_TSC, CR4_TSD},
		{FEATURE_DE, CR4_DE},
		{FEATURE_PSE, CR4_PSE},
		{FEATURE_PAE, CR4_PAE},
		{FEATURE_MCE, CR4_MCE},
		{FEATURE_PGE, CR4_PGE},
		{FEATURE_BASE, CR4_PCE},
		{FEATURE_FXSR, CR4_OSFXSR},
		{FEATURE_SSE, CR4_OSXMMEXCPT},
		{FEATURE_UMIP, CR4_UMIP},
		{FEATURE_LA57, CR4_LA57},
		{FEATURE_VMX, CR4_VMXE},
		{FEATURE_FSGSBASE, CR4_FSGSBASE},
		{FEATURE_PCID, CR4_PCIDE},
		{FEATURE_XSAVE, CR4_OSXSAVE},
		{FEATURE_SMEP, CR4_SMEP},
		{FEATURE_SMAP, CR4_SMAP},
		{FEATURE_PKU, CR4_PKE},
	};
	u64 supported = 0;
	for (size_t i = 0; i < COUNT(bits); i++)
		if (model->has[bits[i].feature])
			supported |= bits[i].bits;
	return supported;
}

/* Bytes of an XSAVE area that holds the components of `mask`, in either format. */
u32
cpu_xsave_size(u64 mask, bool compacted)
{
	u32 size = XSAVE_EXTENDED_OFFSET;
	if (mask & XCR0_AVX)
		size = XSAVE_AVX_OFFSET + XSAVE_AVX_SIZE;
	if (mask & XCR0_PKRU)
		size = (compacted ? size : XSAVE_PKRU_OFFSET) + XSAVE_PKRU_SIZE;
	return size;
}

static unsigned
ceil_log2(unsigned n)
{
	unsigned shift = 0;
	while ((1u << shift) < n)
		shift++;
	return shift;
}

static void
feature_words(const struct vcpu *cpu, u32 leaf, u32 subleaf, u32 regs[4])
{
	for (int i = 1; i < FEATURE_COUNT; i++)
		if (features[i].leaf == leaf && features[i].subleaf == subleaf && cpu->model->has[i])
			regs[features[i].reg] |= 1u << features[i].bit;
}

static void
leaf_version(struct vcpu *cpu, unsigned count, u32 regs[4])
{
	feature_words(cpu, 1, 0, regs);
	regs[EAX] = cpu->model->signature;
	/* 31:24 APIC id, 23:16 addressable ids in the package, 15:8 CLFLUSH line in 8-byte units */
	regs[EBX] = (cpu->index & 0xff) << 24 | (1u << ceil_log2(count)) << 16 | 8 << 8;
	if (count > 1)
		regs[EDX] |= 1u << 28; /* HTT: 23:16 of EBX is valid */
	if (!(cpu->msr.apic_base & BIT(11)))
		regs[EDX] &= ~(1u << 9);
	if (!(cpu->msr.misc_enable & MISC_ENABLE_MONITOR))
		regs[ECX] &= ~(1u << 3);
	if (cpu->cr4 & CR4_OSXSAVE)
		regs[ECX] |= 1u << 27;
}

/* Deterministic cache parameters: type, level, ways, sets; lines of 64 bytes. */
static void
leaf_caches(unsigned count, u32 subleaf, u32 regs[4])
{
	static const struct {
		u8 type, level;
		u16 ways;
		u32 sets;
	} caches[] = {{1, 1, 8, 64}, {2, 1, 8, 64}, {3, 2, 16, 1024}, {3, 3, 16, 16384}};
	if (subleaf >= COUNT(caches))
		return;
	unsigned ids = 1u << ceil_log2(count);
	unsigned sharing = caches[subleaf].level == 3 ? ids : 1;
	regs[EAX] = caches[subleaf].type | (u32)caches[subleaf].level << 5 | 1 << 8 | (sharing - 1) << 14 | (ids - 1) << 26;
	regs[EBX] = 63 | (u32)(caches[subleaf].ways - 1) << 22;
	regs[ECX] = caches[subleaf].sets - 1;
	regs[EDX] = caches[subleaf].level == 3 ? 1 << 1 : 0; /* the last level includes the lower ones */
}

static void
leaf_topology(struct vcpu *cpu, unsigned count, u32 subleaf, u32 regs[4])
{
	regs[ECX] = subleaf & 0xff;
	regs[EDX] = cpu->index;
	if (subleaf == 0) {
		regs[EBX] = 1;
		regs[ECX] |= 1 << 8; /* SMT */
	} else if (subleaf == 1) {
		regs[EAX] = ceil_log2(count);
		regs[EBX] = count;
		regs[ECX] |= 2 << 8; /* core */
	}
}

static void
leaf_xsave(struct vcpu *cpu, u32 subleaf, u32 regs[4])
{
	u64 supported = cpu_xcr0_supported(cpu->model);
	if (!supported)
		return;
	switch (subleaf) {
	case 0:
		regs[EAX] = (u32)supported;
		regs[EBX] = cpu_xsave_size(cpu->xcr0, false);
		regs[ECX] = cpu_xsave_size(supported, false);
		break;
	case 1:
		feature_words(cpu, 0xd, 1, regs);
		if (cpu_has(cpu, FEATURE_XSAVEC))
			regs[EBX] = cpu_xsave_size(cpu->xcr0 | cpu->msr.xss, true);
		break;
	case 2:
		if (supported & XCR0_AVX) {
			regs[EAX] = XSAVE_AVX_SIZE;
			regs[EBX] = XSAVE_AVX_OFFSET;
		}
		break;
	case 9:
		if (supported & XCR0_PKRU) {
			regs[EAX] = XSAVE_PKRU_SIZE;
			regs[EBX] = XSAVE_PKRU_OFFSET;
		}
		break;
	}
}

static void
leaf_extended(struct vcpu *cpu, u32 leaf, u32 regs[4])
{
	switch (leaf) {
	case 0x80000000: regs[EAX] = 0x80000008; break;
	case 0x80000001:
		feature_words(cpu, leaf, 0, regs);
		if (!cpu->long64)
			regs[EDX] &= ~(1u << 11); /* SYSCALL is reported in 64-bit mode only */
		if (cpu->msr.misc_enable & MISC_ENABLE_XD_DISABLE)
			regs[EDX] &= ~(1u << 20);
		break;
	case 0x80000002:
	case 0x80000003:
	case 0x80000004: memcpy(regs, cpu->model->brand + (leaf - 0x80000002) * 16, 16); break;
	case 0x80000006: regs[ECX] = 1024 << 16 | 8 << 12 | 64; break; /* L2: KiB, 16 ways, line */
	case 0x80000007: feature_words(cpu, leaf, 0, regs); break;
	case 0x80000008:
		feature_words(cpu, leaf, 0, regs);
		regs[EAX] = cpu->model->physical_bits | (u32)cpu->model->linear_bits << 8;
		break;
	}
}

void
cpuid_query(struct vcpu *cpu, u32 leaf, u32 subleaf, u32 regs[4])
{
	const struct cpu_model *model = cpu->model;
	unsigned count = cpu->cpus ? cpu->cpus->count : 1;
	u32 highest = model->level;
	memset(regs, 0, 4 * sizeof(regs[0]));

	if (leaf >= 0x80000000 && leaf <= 0x80000008) {
		leaf_extended(cpu, leaf, regs);
		return;
	}
	if (cpu->msr.misc_enable & MISC_ENABLE_LIMIT_CPUID)
		highest = 2;
	if (leaf > highest)
		leaf = highest; /* as the manual says: the data of the highest basic leaf */
	switch (leaf) {
	case 0:
		regs[EAX] = highest;
		memcpy(&regs[EBX], model->vendor, 4);
		memcpy(&regs[EDX], model->vendor + 4, 4);
		memcpy(&regs[ECX], model->vendor + 8, 4);
		break;
	case 1: leaf_version(cpu, count, regs); break;
	case 2:
		regs[EAX] = 0x00feff01; /* caches: see leaf 4; TLBs: see leaf 18h, which is absent */
		regs[EDX] = 0xf0; /* 64-byte prefetching */
		break;
	case 4: leaf_caches(count, subleaf, regs); break;
	case 5:
		if (cpu_has(cpu, FEATURE_MONITOR)) {
			regs[EAX] = regs[EBX] = 64; /* smallest and largest line */
			regs[ECX] = 3; /* extensions, and interrupts as break events with IF = 0. No C-states: EDX = 0 */
		}
		break;
	case 6: feature_words(cpu, 6, 0, regs); break;
	case 7:
		feature_words(cpu, 7, subleaf, regs);
		if (subleaf == 0) {
			regs[EAX] = cpu_has(cpu, FEATURE_BHI_CTRL) ? 2 : 0; /* highest subleaf */
			if (cpu->cr4 & CR4_PKE)
				regs[ECX] |= 1u << 4; /* OSPKE */
		}
		break;
	case 0xa:
		if (cpu_has(cpu, FEATURE_PMU))
			pmu_cpuid(regs);
		break;
	case 0xb: leaf_topology(cpu, count, subleaf, regs); break;
	case 0xd: leaf_xsave(cpu, subleaf, regs); break;
	case 0x15:
		regs[EAX] = regs[EBX] = 1;
		regs[ECX] = (u32)model->hz;
		break;
	case 0x16:
		regs[EAX] = regs[EBX] = (u32)(model->hz / 1000000) & 0xffff;
		regs[ECX] = 100;
		break;
	}
}
