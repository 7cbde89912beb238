/* The processors' part of the machine's state. Lazy flags are made real first, so that the hash depends on architecture only. */
#include "base/snapshot.h"
#include "cpu/block.h"
#include "cpu/flags.h"
#include "cpu/lapic.h"
#include "cpu/pmu.h"
#include "cpu/tlb.h"
#include "cpu/vcpu.h"
#include "vmx/intercept.h"

static void
segment_state(struct segment *seg, struct state *s)
{
	STATE(s, seg->base);
	STATE(s, seg->limit);
	STATE(s, seg->selector);
	STATE(s, seg->access);
}

static void
x87_state(struct x87 *x, struct state *s)
{
	for (unsigned n = 0; n < 8; n++) {
		STATE(s, x->r[n].significand);
		STATE(s, x->r[n].sign_exponent);
	}
	STATE(s, x->control);
	STATE(s, x->status);
	STATE(s, x->empty);
	STATE(s, x->opcode);
	STATE(s, x->ip);
	STATE(s, x->dp);
	STATE(s, x->cs);
	STATE(s, x->ds);
}

static void
event_info_state(struct event_info *e, struct state *s)
{
	STATE(s, e->vector);
	STATE_BELOW(s, e->type, EVENT_OTHER + 1u);
	state_bool(s, &e->has_error);
	STATE(s, e->error);
	STATE(s, e->insn_len);
	STATE(s, e->cr2);
}

/* What no sequence of instructions leads to, and nothing else here is prepared for. */
static void
check_mode(struct vcpu *cpu, u64 rflags, struct state *s)
{
	bool paging = cpu->cr0 & CR0_PG, ia32e = cpu->efer & EFER_LMA;

	if ((paging && !(cpu->cr0 & CR0_PE)) || ia32e != (paging && cpu->efer & EFER_LME) || (ia32e && !(cpu->cr4 & CR4_PAE)) ||
	    (ia32e && rflags & FLAG_VM))
		state_fail(s, "snapshot has a processor in a mode that cannot be");
	if (!(cpu->xcr0 & 1))
		state_fail(s, "snapshot has an impossible XCR0");
	if ((cpu->nonroot && !vmx_operation(cpu)) || (cpu->smm.nonroot && !cpu->vmx))
		state_fail(s, "snapshot has a processor in VMX non-root operation outside VMX operation");
	if (state_failed(s))
		cpu->nonroot = cpu->smm.nonroot = false;
}

static void
vcpu_state(struct vcpu *cpu, struct state *s)
{
	u64 rflags = cpu_rflags(cpu), time = cpu_time(cpu), icount = cpu_icount(cpu);
	bool between_iterations = cpu_between_iterations(cpu), after_exception = cpu->fault_icount == icount;
	state_section(s, "cpu", 4);
	STATE(s, cpu->r);
	STATE(s, cpu->rip);
	STATE(s, rflags);
	STATE_BELOW(s, time, STATE_TIME_END);
	STATE_BELOW(s, icount, STATE_TIME_END);
	for (unsigned n = 0; n < 6; n++)
		segment_state(&cpu->seg[n], s);
	segment_state(&cpu->ldtr, s);
	segment_state(&cpu->tr, s);
	STATE(s, cpu->gdtr.base);
	STATE(s, cpu->gdtr.limit);
	STATE(s, cpu->idtr.base);
	STATE(s, cpu->idtr.limit);
	STATE(s, cpu->cr0);
	STATE(s, cpu->cr2);
	STATE(s, cpu->cr3);
	STATE(s, cpu->cr4);
	STATE(s, cpu->xcr0);
	STATE(s, cpu->efer);
	STATE(s, cpu->pdpte);
	STATE(s, cpu->dr);
	STATE_BELOW(s, cpu->mxcsr, BIT(16));
	STATE(s, cpu->pkru);
	STATE(s, cpu->vec);
	x87_state(&cpu->x87, s);
	STATE_BELOW(s, cpu->cpl, 4u);
	state_bool(s, &cpu->nonroot);
	STATE_BELOW(s, cpu->shadow, (SHADOW_STI | SHADOW_MOV_SS) + 1u);
	STATE_BELOW(s, cpu->pending, PEND_FLAGS_CHANGED * 2);
	STATE_BELOW(s, cpu->activity, ACTIVITY_MWAIT + 1u);
	STATE(s, cpu->pending_db);
	state_bool(s, &cpu->nmi_blocked);
	state_bool(s, &cpu->in_smm);
	STATE(s, cpu->smbase);
	state_bool(s, &cpu->ferr);
	state_bool(s, &between_iterations);
	state_bool(s, &after_exception);
	state_bool(s, &cpu->smm.nonroot);
	state_bool(s, &cpu->smm.vmxe);
	state_bool(s, &cpu->smm.nmi_blocked);
	STATE_BELOW(s, cpu->smm.shadow, (SHADOW_STI | SHADOW_MOV_SS) + 1u);
	STATE(s, cpu->smm.pdpte);
	STATE(s, cpu->msr);
	state_bool(s, &cpu->monitor.armed);
	state_bool(s, &cpu->monitor.masked_interrupts);
	STATE(s, cpu->monitor.physical);
	STATE(s, cpu->monitor.line);
	event_info_state(&cpu->delivering, s);
	state_bool(s, &cpu->is_delivering);
	STATE(s, cpu->seed);
	STATE(s, cpu->intr_line);
	/* Counters that -stats shows are not state, but should go on. */
	if (state_mode(s) != STATE_HASH) {
		STATE(s, cpu->stats.exceptions);
		STATE(s, cpu->stats.interrupts);
		STATE(s, cpu->stats.halts);
	}
	if (state_mode(s) == STATE_LOAD)
		cpu->stats.entered = cpu_icount(cpu);
	lapic_state(cpu->lapic, s);
	if (cpu->pmu)
		pmu_state(cpu, s);
	if (cpu->vmx)
		vmx_state(cpu->vmx, s);
	if (state_mode(s) == STATE_LOAD) {
		check_mode(cpu, rflags, s);
		cpu_set_rflags(cpu, rflags);
		cpu->left = 0;
		cpu->time_end = time;
		cpu->icount_end = icount;
		cpu->fault_icount = after_exception ? icount : ~0ull;
		cpu->rep_rip = cpu->rip;
		cpu->rep_icount = between_iterations ? icount : ~0ull;
		cpu->exit_request = 1;
		cpu->current = NULL;
		tlb_address_mask_changed(cpu);
		tlb_flush_all(cpu);
		if (cpu->pmu)
			pmu_loaded(cpu);
		/* Last: it looks at VMX state too. */
		cpu_mode_changed(cpu);
	}
	if (state_is_checkpoint(s))
		tlb_state(cpu, s);
}

void
cpus_state(struct cpus *cpus, struct state *s)
{
	state_section(s, "cpus", 2);
	STATE_BELOW(s, cpus->now, STATE_TIME_END);
	state_bool(s, &cpus->a20_masked);
	state_bool(s, &cpus->ignne);
	/* Where the turns stand. Not in the hash: it follows from how the machine came here. */
	if (cpus->count > 1 && state_mode(s) != STATE_HASH) {
		u8 in_slice = cpus->in_slice, in_turn = cpus->in_turn;
		state_section(s, "turns", 1);
		STATE(s, in_slice);
		STATE(s, in_turn);
		STATE(s, cpus->turn);
		STATE(s, cpus->slice_end);
		cpus->in_slice = in_slice & 1;
		cpus->in_turn = in_turn & 1;
		if (cpus->turn > cpus->count || (cpus->in_turn && cpus->turn == cpus->count) ||
		    (cpus->in_slice && cpus->slice_end - cpus->now > LONG_SLICE))
			state_fail(s, "turns of processors that cannot be");
	}
	/* Memory was loaded before. */
	if (state_mode(s) == STATE_LOAD)
		block_forget_all(cpus->cpu[0]);
	for (unsigned n = 0; n < cpus->count; n++)
		vcpu_state(cpus->cpu[n], s);
}
