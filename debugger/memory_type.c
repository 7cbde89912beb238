/* Memory types: MTRRs, and what they make with the PAT. SDM 3, "Memory Cache Control". */
#include <string.h>

#include "cpu/cpuid.h"
#include "debugger/walk.h"

#define MTRR_ENABLED BIT(11)
#define MTRR_FIXED_ENABLED BIT(10)
#define MTRR_VALID BIT(11)

const char *
memory_type_name(unsigned type)
{
	static const char *const names[8] = {"UC", "WC", "reserved type", "reserved type", "WT", "WP", "WB", "UC-"};

	return names[type & 7];
}

/* Fixed ranges: 8 of 64 KiB, 16 of 16 KiB, 64 of 4 KiB; eight to a register. */
static u64
fixed_range(unsigned n)
{
	return n < 8 ? n * 0x10000ull : n < 24 ? 0x80000 + (n - 8) * 0x4000ull : 0xc0000 + (n - 24) * 0x1000ull;
}

static unsigned
fixed_type(const struct vcpu *cpu, unsigned n)
{
	return cpu->msr.mtrr_fixed[n / 8] >> (n % 8 * 8) & 0xff;
}

unsigned
mtrr_type(const struct vcpu *cpu, u64 physical)
{
	u64 def = cpu->msr.mtrr_def_type;
	unsigned type = def & 0xff;
	bool found = false;

	if (!(def & MTRR_ENABLED))
		return MEMORY_UC;
	if (def & MTRR_FIXED_ENABLED && physical < 0x100000) {
		unsigned n = 87;

		while (fixed_range(n) > physical)
			n--;
		return fixed_type(cpu, n);
	}
	for (unsigned i = 0; i < COUNT(cpu->msr.mtrr_phys) / 2; i++) {
		u64 base = cpu->msr.mtrr_phys[i * 2], mask = cpu->msr.mtrr_phys[i * 2 + 1];

		if (!(mask & MTRR_VALID) || ((physical ^ base) & mask & PAGE_MASK))
			continue;
		/* Of several, UC wins, then WT over WB. */
		if (!found)
			type = base & 0xff;
		else if (!(base & 0xff) || !type)
			type = MEMORY_UC;
		else
			type = MIN(type, (unsigned)(base & 0xff));
		found = true;
	}
	return type;
}

unsigned
memory_type_effective(unsigned below, unsigned pat)
{
	static const u8 effective[8][8] = {
		/*              by PAT:  UC         WC                     WT         WP         WB         UC- */
		[MEMORY_UC] = {MEMORY_UC, MEMORY_WC, 0, 0, MEMORY_UC, MEMORY_UC, MEMORY_UC, MEMORY_UC},
		[MEMORY_WC] = {MEMORY_UC, MEMORY_WC, 0, 0, MEMORY_UC, MEMORY_UC, MEMORY_WC, MEMORY_WC},
		[MEMORY_WT] = {MEMORY_UC, MEMORY_WC, 0, 0, MEMORY_WT, MEMORY_WP, MEMORY_WT, MEMORY_UC},
		[MEMORY_WP] = {MEMORY_UC, MEMORY_WC, 0, 0, MEMORY_WT, MEMORY_WP, MEMORY_WP, MEMORY_WC},
		[MEMORY_WB] = {MEMORY_UC, MEMORY_WC, 0, 0, MEMORY_WT, MEMORY_WP, MEMORY_WB, MEMORY_UC},
	};

	return effective[below & 7][pat & 7];
}

void
info_mtrr(struct debugger *d, const char *arguments)
{
	const struct vcpu *cpu = d->cpu;
	u64 def = cpu->msr.mtrr_def_type, limit = BIT(cpu->model->physical_bits) - 1;
	unsigned from = 0;

	(void)arguments;
	say(d, "default %s, MTRRs %s, fixed ranges %s\n", memory_type_name(def & 7), def & MTRR_ENABLED ? "on" : "off",
	    def & MTRR_FIXED_ENABLED ? "on" : "off");
	for (unsigned i = 0; i < COUNT(cpu->msr.mtrr_phys) / 2; i++) {
		u64 base = cpu->msr.mtrr_phys[i * 2], mask = cpu->msr.mtrr_phys[i * 2 + 1];

		if (mask & MTRR_VALID)
			say(d, "variable %u: %010llx..%010llx %s (base %#llx, mask %#llx)\n", i, (ull)(base & PAGE_MASK),
			    (ull)((base & PAGE_MASK) | (~mask & limit) | 0xfff), memory_type_name(base & 7), (ull)base, (ull)mask);
	}
	for (unsigned n = 1; n <= 88; n++)
		if (n == 88 || fixed_type(cpu, n) != fixed_type(cpu, from)) {
			say(d, "fixed: %06llx..%06llx %s\n", (ull)fixed_range(from), (ull)(n == 88 ? 0x100000 : fixed_range(n)) - 1,
			    memory_type_name(fixed_type(cpu, from)));
			from = n;
		}
	say(d, "PAT:");
	for (unsigned i = 0; i < 8; i++)
		say(d, " %u %s", i, memory_type_name(cpu->msr.pat >> (i * 8) & 7));
	say(d, "\n");
}
