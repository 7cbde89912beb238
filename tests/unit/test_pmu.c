/* Performance counters across a snapshot: the loaded processors go on as the saved ones do. */
#include "tests/unit/cpu_fixture.h"

#include "base/snapshot.h"
#include "cpu/lapic.h"
#include "cpu/msr.h"
#include "cpu/vcpu.h"

#define PROGRAM 0x1000
#define HANDLER 0x2000
#define X2APIC_SVR 0x80f
#define X2APIC_LVT_COUNTER 0x834
#define FIXED_CTR0 0x309
#define FIXED_CTR_CTRL 0x38d
#define GLOBAL_CTRL 0x38f

struct machine {
	struct processor *p;
	struct event stop, wake;
};

static void
stop(void *opaque, u64 now)
{
	struct machine *m = opaque;

	(void)now;
	m->p->cpus->stop = true;
}

static void
wake(void *opaque, u64 now)
{
	struct machine *m = opaque;

	(void)now;
	cpu_request(m->p->cpu, PEND_NMI);
}

/* Processors in real mode that all execute `program`; NMI returns at once. */
static struct machine *
machine_of(unsigned processors, const u8 *program, size_t size)
{
	struct machine *m = calloc(1, sizeof(*m));

	m->p = processor_new("max", processors);
	event_init(&m->stop, "stop", EVENT_STOP, stop, m);
	event_init(&m->wake, "wake", EVENT_DEVICE, wake, m);
	dma_write(m->p->memory, PROGRAM, program, size);
	memory_write(m->p->memory, VECTOR_NMI * 4, 4, HANDLER);
	memory_write(m->p->memory, HANDLER, 1, 0xcf); /* IRET */
	for (unsigned n = 0; n < processors; n++) {
		struct vcpu *cpu = m->p->cpus->cpu[n];

		cpu->activity = ACTIVITY_ACTIVE;
		cpu->seg[CS].base = cpu->seg[CS].selector = 0;
		cpu->rip = PROGRAM;
		cpu->r[RSP] = 0x8000;
		cpu_mode_changed(cpu);
	}
	return m;
}

static void
machine_free(struct machine *m)
{
	processor_free(m->p);
	free(m);
}

/* Instructions retired, with an interrupt in `left` of them. */
static void
count(struct machine *m, u64 left)
{
	struct vcpu *cpu = m->p->cpu;

	assert_true(msr_write(cpu, 0x1b, cpu->msr.apic_base | BIT(10) | BIT(11)));
	assert_true(msr_write(cpu, X2APIC_SVR, 0x1ff));
	assert_true(msr_write(cpu, X2APIC_LVT_COUNTER, 0x30));
	assert_true(msr_write(cpu, FIXED_CTR0, BIT(48) - left));
	assert_true(msr_write(cpu, FIXED_CTR_CTRL, 9));
	assert_true(msr_write(cpu, GLOBAL_CTRL, BIT(32)));
}

static void
visit(void *opaque, struct state *s)
{
	cpus_state(opaque, s);
}

static struct machine *
copy_of(struct machine *m, const u8 *program, size_t program_size)
{
	struct machine *copy = machine_of(m->p->cpus->count, program, program_size);
	size_t size;
	u8 *data = state_save(visit, m->p->cpus, &size);

	assert_null(state_load(visit, copy->p->cpus, data, size));
	free(data);
	assert_int_equal(state_hash(visit, m->p->cpus), state_hash(visit, copy->p->cpus));
	return copy;
}

static void
run_until(struct machine *m, u64 time)
{
	event_arm(m->p->events, &m->stop, time);
	cpus_run(m->p->cpus);
}

static void
a_processor_saved_asleep_looks_for_the_overflow_at_the_same_time(void **state)
{
	static const u8 sleeper[] = {0xf4, 0xeb, 0xfd}; /* HLT; JMP back */
	struct machine *m = machine_of(1, sleeper, sizeof(sleeper)), *copy;

	(void)state;
	count(m, 5000);
	run_until(m, 500);
	assert_int_equal(m->p->cpu->activity, ACTIVITY_HLT);
	copy = copy_of(m, sleeper, sizeof(sleeper));
	for (unsigned i = 0; i < 2; i++) {
		struct machine *each = i ? copy : m;

		event_arm(each->p->events, &each->wake, 1000);
		run_until(each, 2000);
		assert_int_equal(events_next(each->p->events), 5000);
	}
	assert_int_equal(state_hash(visit, m->p->cpus), state_hash(visit, copy->p->cpus));
	/* The event comes while they sleep: then they plan when they wake. */
	for (unsigned i = 0; i < 2; i++)
		run_until(i ? copy : m, 6000);
	assert_true(m->p->cpu->pmu_waits);
	machine_free(copy);
	copy = copy_of(m, sleeper, sizeof(sleeper));
	assert_true(copy->p->cpu->pmu_waits);
	machine_free(copy);
	machine_free(m);
}

static void
an_overflow_whose_slice_is_not_over_interrupts_after_loading(void **state)
{
	static const u8 loop[] = {0xeb, 0xfe}; /* JMP to itself */
	struct machine *m = machine_of(2, loop, sizeof(loop)), *copy;

	(void)state;
	count(m, 100);
	/* Processor 0 has reached the overflow, 1 is in the middle of its turn. */
	event_arm_icount(m->p->events, &m->stop, 130);
	cpus_run(m->p->cpus);
	assert_int_equal(cpu_icount(m->p->cpu), 100);
	assert_false(lapic_interrupt_pending(m->p->cpu));
	copy = copy_of(m, loop, sizeof(loop));
	for (unsigned i = 0; i < 2; i++) {
		struct machine *each = i ? copy : m;

		run_until(each, 1000);
		assert_true(lapic_interrupt_pending(each->p->cpu));
	}
	assert_int_equal(state_hash(visit, m->p->cpus), state_hash(visit, copy->p->cpus));
	machine_free(copy);
	machine_free(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_processor_saved_asleep_looks_for_the_overflow_at_the_same_time),
		cmocka_unit_test(an_overflow_whose_slice_is_not_over_interrupts_after_loading),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
