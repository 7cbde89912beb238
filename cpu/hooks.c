/* Telling listeners: see hooks.h. */
#include "cpu/hooks.h"

#include "bus/memory.h"
#include "cpu/block.h"
#include "cpu/tlb.h"
#include "cpu/vcpu.h"

void
hooks_set(struct cpus *cpus, struct hooks *hooks)
{
	for (unsigned n = 0; n < cpus->count; n++)
		cpus->cpu[n]->hooks = hooks;
	hooks_instructions_changed(cpus);
}

void
hooks_instructions_changed(struct cpus *cpus)
{
	assert(!cpus->running);
	block_forget_all(cpus->cpu[0]);
	for (unsigned n = 0; n < cpus->count; n++)
		cpu_mode_changed(cpus->cpu[n]);
}

/* Not more often than needed: a flushed TLB walks again, and walks set accessed flags. */
void
hooks_watches_changed(struct cpus *cpus)
{
	assert(!cpus->running);
	for (unsigned n = 0; n < cpus->count; n++)
		tlb_flush_all(cpus->cpu[n]);
}

static void
on_written(void *opaque, u64 physical, u64 size)
{
	struct cpus *cpus = opaque;
	struct vcpu *cpu = cpus->running ? cpus->running : cpus->cpu[0];

	if (cpu->hooks && cpu->hooks->written)
		cpu->hooks->written(cpu->hooks->opaque, cpu, physical, size, cpu->memory->writer);
}

void
hooks_watch_writes(struct cpus *cpus, u64 first, u64 last)
{
	struct memory *m = cpus->cpu[0]->memory;

	assert(!cpus->running);
	memory_watch(m, first, last, on_written, cpus);
	/* Only the right to write goes: reading and fetching stay as they are, and so does which translations are there. */
	for (u64 page = 0; page < m->ram_size / PAGE_SIZE; page++)
		for (unsigned n = 0; n < cpus->count && m->page_flags[page] & MEMORY_WATCHED; n++)
			tlb_protect_code(cpus->cpu[n], m->ram + page * PAGE_SIZE);
}

void
hooks_unwatch_writes(struct cpus *cpus)
{
	memory_unwatch(cpus->cpu[0]->memory);
}

void
hooks_stop(struct vcpu *cpu)
{
	cpu->cpus->stop = true;
	cpu->exit_request = 1;
}

bool
hooks_instruction(struct vcpu *cpu, u64 linear)
{
	struct hooks *hooks = cpu->hooks;
	return (hooks->stepping || hooks_announced(hooks, linear)) && hooks->instruction(hooks->opaque, cpu);
}
