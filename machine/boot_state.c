/*
 * Processors as firmware would hand them to a kernel that is booted directly. Sources: the boot protocols named in
 * loader.h's formats; SDM 3, "MTRR Considerations in MP Systems", "Virtual Wire Mode" of the MultiProcessor
 * Specification 1.4.
 */
#include "bus/memory.h"
#include "cpu/lapic.h"
#include "cpu/vcpu.h"
#include "machine/machine.h"

#define TYPE_WRITE_BACK 6
#define TYPE_WRITE_PROTECTED 5
#define MTRR_ENABLE BIT(11)
#define MTRR_FIXED_ENABLE BIT(10)
#define MTRR_VALID BIT(11)

#define LAPIC_SPURIOUS 0xf0
#define LAPIC_LVT_LINT0 0x350
#define LAPIC_LVT_LINT1 0x360

/*
 * RAM is write-back, the VGA window and everything from the PCI hole to 4 GiB uncached, the BIOS area write-protected.
 */
static void
set_memory_types(struct vcpu *cpu)
{
	const u64 bytes = 0x0101010101010101;

	for (unsigned i = 0; i < COUNT(cpu->msr.mtrr_fixed); i++)
		cpu->msr.mtrr_fixed[i] = bytes * (i < 2 ? TYPE_WRITE_BACK : i == 2 ? 0 : TYPE_WRITE_PROTECTED);
	cpu->msr.mtrr_phys[0] = MEMORY_HOLE;
	cpu->msr.mtrr_phys[1] = (BIT(cpu->model->physical_bits) - (0x100000000ull - MEMORY_HOLE)) | MTRR_VALID;
	cpu->msr.mtrr_def_type = MTRR_ENABLE | MTRR_FIXED_ENABLE | TYPE_WRITE_BACK;
}

/* The PIC reaches processor 0 through its LINT0 (virtual wire mode); LINT1 is NMI everywhere. */
static void
enable_lapic(struct vcpu *cpu)
{
	lapic_write(cpu, LAPIC_SPURIOUS, 4, 0x1ff);
	if (cpu->index == 0)
		lapic_write(cpu, LAPIC_LVT_LINT0, 4, 0x700);
	lapic_write(cpu, LAPIC_LVT_LINT1, 4, 0x400);
}

void
machine_apply_boot_state(struct cpus *cpus, const struct boot_state *boot)
{
	struct vcpu *cpu = cpus->cpu[0];
	struct segment data = {.limit = 0xffffffff, .selector = boot->ds, .access = 0xc093};

	for (unsigned i = 0; i < cpus->count; i++) {
		set_memory_types(cpus->cpu[i]);
		enable_lapic(cpus->cpu[i]);
	}
	for (unsigned i = 0; i < COUNT(cpu->r); i++)
		cpu->r[i] = 0;
	cpu->r[RAX] = boot->eax;
	cpu->r[RBX] = boot->ebx;
	cpu->r[RSI] = boot->esi;
	cpu->rip = boot->eip;
	for (unsigned i = 0; i < COUNT(cpu->seg); i++)
		cpu->seg[i] = data;
	cpu->seg[CS] = (struct segment){.limit = 0xffffffff, .selector = boot->cs, .access = 0xc09b};
	cpu->tr = (struct segment){.limit = 0x67, .selector = boot->tr, .access = 0x008b};
	cpu->gdtr.base = boot->gdt_base;
	cpu->gdtr.limit = boot->gdt_limit;
	cpu->cr0 = CR0_PE | CR0_ET;
	cpu_set_rflags(cpu, 0);
	cpu_mode_changed(cpu);
}
