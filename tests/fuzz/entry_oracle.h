/*
 * What VM entry must come to, formulated a second time: from the rules of VM entry alone, with field encodings, bit numbers and
 * the capability MSRs as software reads them. Shares no code and no names with vmx/entry*.c, so that a mistake must be made twice to go unseen.
 */
#ifndef NB_TESTS_FUZZ_ENTRY_ORACLE_H
#define NB_TESTS_FUZZ_ENTRY_ORACLE_H

#include "base/types.h"

/* How the oracle sees the machine. */
struct oracle_view {
	void *opaque;
	u64 (*field)(void *opaque, u32 encoding);           /* VMREAD */
	u64 (*memory)(void *opaque, u64 address, int size); /* physical */
	bool (*msr)(void *opaque, u32 index, u64 *value);   /* RDMSR of a capability */
	bool (*wrmsr_ok)(void *opaque, u32 index, u64 value);
	u64 current;            /* current-VMCS pointer */
	u32 revision;           /* the processor's VMCS revision identifier */
	bool long_mode;         /* IA32_EFER.LMA now */
	u64 debugctl;           /* IA32_DEBUGCTL now */
	unsigned paw, law;      /* physical and linear address widths */
	bool nx, syscall;       /* CPUID */
	u64 perf_global_valid;  /* bits that IA32_PERF_GLOBAL_CTRL has */
};

/* All that may be reported; more than one member of a kind holds when several rules are broken. */
struct oracle_verdict {
	bool error7, error8;                /* VMfail */
	bool state0, state2, state4;        /* failure 33 with that qualification */
	unsigned msr_entry;                 /* failure 34 with this qualification; 0: none */
	const char *control, *host, *guest; /* a broken rule of each kind */
};

void oracle_judge(const struct oracle_view *view, struct oracle_verdict *verdict);

#endif
