/* Telling listeners: see hooks.h. */
#include "cpu/hooks.h"

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
