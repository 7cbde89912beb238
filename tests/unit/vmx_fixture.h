/*
 * One processor in 64-bit mode with a current VMCS that passes all checks, for the tests of vmx/. No paging: linear addresses are walked by the
 * identity tables at PAGE_TABLES.
 */
#ifndef NB_TESTS_UNIT_VMX_FIXTURE_H
#define NB_TESTS_UNIT_VMX_FIXTURE_H

#include "tests/unit/unit.h"

#include "base/events.h"
#include "bus/irq.h"
#include "bus/memory.h"
#include "bus/ports.h"
#include "cpu/access.h"
#include "cpu/cpuid.h"
#include "cpu/decode.h"
#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/vcpu.h"
#include "vmx/vmx.h"

#define VMXON_REGION 0x1000ull
#define VMCS_REGION 0x2000ull
#define OTHER_REGION 0x3000ull
#define SHADOW_REGION 0x4000ull
#define IO_PAGES 0x6000ull
#define MSR_BITMAP 0x8000ull
#define VIRTUAL_APIC 0x9000ull
#define APIC_ACCESS 0xa000ull
#define MSR_LIST 0xb000ull
#define PML_PAGE 0xc000ull
#define OPERAND 0xd000ull
#define EPT_TABLES 0x10000ull  /* PML4, PDPT, PD, PT */
#define PAGE_TABLES 0x20000ull /* PML4, PDPT, PD: identity, 1 GiB by 2 MiB */
#define GUEST_CODE 0x30000ull
#define GUEST_STACK 0x40000ull
#define HOST_CODE 0x50000ull
#define HOST_ENTRY (HOST_CODE - 0x100)
#define MARK_PORT 0x80

struct vmx_fixture {
	struct cpu_model model;
	struct memory *memory;
	struct ports *ports;
	struct events *events;
	struct apic_bus bus;
	struct cpus *cpus;
	struct vcpu *cpu;
	struct vmcs *v;
};

static inline void
fixture_make(struct vmx_fixture *f, const char *model)
{
	char *error = NULL;

	memset(f, 0, sizeof(*f));
	assert_null(cpu_model_parse(model, &f->model));
	f->memory = memory_new(16 << 20, &error);
	assert_non_null(f->memory);
	f->ports = ports_new();
	f->events = events_new(1000000000);
	f->cpus = cpus_new(1, &f->model, f->memory, f->ports, f->events, &f->bus, NULL, 1);
	f->cpu = f->cpus->cpu[0];
	if (f->cpu->vmx)
		f->v = &f->cpu->vmx->vmcs;
}

static inline void
fixture_free(struct vmx_fixture *f)
{
	cpus_free(f->cpus);
	events_free(f->events);
	ports_free(f->ports);
	memory_free(f->memory);
}

static inline void
poke(struct vmx_fixture *f, u64 address, unsigned size, u64 value)
{
	memory_write(f->memory, address, size, value);
}

static inline u64
peek(struct vmx_fixture *f, u64 address, unsigned size)
{
	return memory_read(f->memory, address, size);
}

static inline void
fixture_long_mode(struct vmx_fixture *f)
{
	struct vcpu *cpu = f->cpu;

	poke(f, PAGE_TABLES, 8, (PAGE_TABLES + 0x1000) | 7);
	poke(f, PAGE_TABLES + 0x1000, 8, (PAGE_TABLES + 0x2000) | 7);
	for (unsigned i = 0; i < 512; i++)
		poke(f, PAGE_TABLES + 0x2000 + i * 8, 8, (u64)i << 21 | 0x87);
	cpu->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	cpu->cr3 = PAGE_TABLES;
	cpu->cr4 = CR4_PAE | CR4_VMXE | CR4_PGE;
	cpu->efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
	cpu->seg[CS] = (struct segment){0, 0xffffffff, 0x08, 0xa09b};
	for (unsigned s = 0; s < 6; s++)
		if (s != CS)
			cpu->seg[s] = (struct segment){0, 0xffffffff, 0x10, 0xc093};
	cpu->tr = (struct segment){0x7000, 0x67, 0x18, 0x8b};
	cpu->cpl = 0;
	cpu->rip = HOST_CODE;
	cpu->r[RSP] = HOST_CODE + 0x8000;
	cpu->msr.feature_control = 5;
	cpu_mode_changed(cpu);
}

/* The allowed 0-settings and what a small 64-bit guest needs; everything else off. */
static inline void
fixture_valid_vmcs(struct vmx_fixture *f)
{
	struct vmcs *v = f->v;

	memset(v, 0, sizeof(*v));
	v->pin_controls = PIN_DEFAULT1;
	v->proc_controls = PROC_DEFAULT1_TRUE;
	v->exit_controls = EXIT_DEFAULT1_TRUE | (u32)(VMX_MASK(EXIT, HOST_ADDRESS_SPACE_SIZE));
	v->entry_controls = ENTRY_DEFAULT1_TRUE | (u32)(VMX_MASK(ENTRY, IA32E_MODE_GUEST));
	v->host_cr0 = f->cpu->cr0;
	v->host_cr3 = f->cpu->cr3;
	v->host_cr4 = f->cpu->cr4;
	v->host_cs_selector = 0x08;
	v->host_ss_selector = v->host_ds_selector = v->host_es_selector = 0x10;
	v->host_tr_selector = 0x18;
	v->host_tr_base = 0x7000;
	v->host_rip = HOST_CODE;
	v->host_rsp = HOST_CODE + 0x8000;
	v->guest_cr0 = f->cpu->cr0;
	v->guest_cr3 = f->cpu->cr3;
	v->guest_cr4 = f->cpu->cr4;
	v->guest_cs_selector = 0x08;
	v->guest_cs_access = 0xa09b;
	v->guest_cs_limit = 0xffffffff;
	v->guest_ss_selector = v->guest_ds_selector = v->guest_es_selector = 0x10;
	v->guest_ss_access = v->guest_ds_access = v->guest_es_access = 0xc093;
	v->guest_ss_limit = v->guest_ds_limit = v->guest_es_limit = 0xffffffff;
	v->guest_fs_access = v->guest_gs_access = v->guest_ldtr_access = 0x10000;
	v->guest_tr_selector = 0x18;
	v->guest_tr_access = 0x8b;
	v->guest_tr_limit = 0x67;
	v->guest_rip = GUEST_CODE;
	v->guest_rsp = GUEST_STACK;
	v->guest_rflags = 2;
	v->vmcs_link_pointer = NO_VMCS;
	v->guest_dr7 = 0x400;
}

/* In VMX root operation, with VMCS_REGION current and valid. */
static inline void
fixture_root(struct vmx_fixture *f)
{
	struct vmx *vmx = f->cpu->vmx;

	fixture_long_mode(f);
	poke(f, VMXON_REGION, 4, VMCS_REVISION);
	poke(f, VMCS_REGION, 4, VMCS_REVISION);
	vmx->operation = true;
	vmx->vmxon_pointer = VMXON_REGION;
	vmx->current = VMCS_REGION;
	vmx->launched = 0;
	vmx->shadow = false;
	fixture_valid_vmcs(f);
}

static inline void
mark_write(void *opaque, u16 port, unsigned size, u32 value)
{
	(void)port, (void)size, (void)value;
	((struct cpus *)opaque)->stop = true;
}

static inline u32
mark_read(void *opaque, u16 port, unsigned size)
{
	(void)opaque, (void)port, (void)size;
	return 0;
}

/* The host's code, for the run loop: VMLAUNCH at HOST_ENTRY; behind it and at HOST_RIP an OUT to the mark port: nothing else ends the run. */
static inline void
fixture_host(struct vmx_fixture *f)
{
	static const struct port_ops ops = {mark_read, mark_write, PORT_BYTE};

	ports_map(f->ports, "mark", MARK_PORT, 1, &ops, f->cpus);
	poke(f, HOST_CODE, 4, 0xf480e6);        /* out 0x80,al; hlt */
	poke(f, HOST_ENTRY, 8, 0xf480e6c2010f); /* vmlaunch; out 0x80,al; hlt */
}

/* EPT that maps guest-physical addresses below 1 GiB to themselves by 2 MiB, and the control for it. */
static inline void
fixture_ept(struct vmx_fixture *f)
{
	poke(f, EPT_TABLES, 8, (EPT_TABLES + 0x1000) | 7);
	poke(f, EPT_TABLES + 0x1000, 8, (EPT_TABLES + 0x2000) | 7);
	for (unsigned i = 0; i < 512; i++)
		poke(f, EPT_TABLES + 0x2000 + i * 8, 8, (u64)i << 21 | 0xb7);
	f->v->proc_controls |= (u32)(VMX_MASK(PROC, SECONDARY_CONTROLS));
	f->v->sec_controls |= (u32)(VMX_MASK(SEC, ENABLE_EPT));
	f->v->eptp = EPT_TABLES | 6 | 3 << 3;
}

/* Runs `call`; true when it left through the door. */
#define LEAVES(call) (setjmp(f->cpu->door) ? true : ((call), false))

static inline u64
fixture_flags(struct vmx_fixture *f)
{
	return cc_flags(f->cpu);
}

/* Puts code at GUEST_CODE. */
static inline void
fixture_code(struct vmx_fixture *f, const char *code, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		poke(f, GUEST_CODE + i, 1, (u8)code[i]);
}
#define CODE(f, bytes) fixture_code(f, bytes, sizeof(bytes) - 1)

/* Decodes one instruction at RIP and executes it; true when it left through the door. */
static inline bool
fixture_execute(struct vmx_fixture *f, const char *bytes, unsigned size)
{
	struct insn in;

	memset(&in, 0, sizeof(in));
	assert_int_equal(decode(f->cpu, CODE64, (const u8 *)bytes, size, &in), DECODE_OK);
	assert_int_equal(insn_length(&in), size);
	f->cpu->current = &in;
	f->cpu->next_rip = f->cpu->rip + size;
	if (LEAVES(insn_rows[in.op].op(f->cpu, &in))) {
		f->cpu->current = NULL;
		return true;
	}
	f->cpu->current = NULL;
	return false;
}
#define EXECUTE(f, bytes) fixture_execute(f, bytes, sizeof(bytes) - 1)

/* Enters the guest that the VMCS describes. */
static inline void
fixture_enter(struct vmx_fixture *f)
{
	struct vmx *vmx = f->cpu->vmx;

	vmx->launched = 0;
	assert_true(LEAVES(op_vmlaunch(f->cpu, NULL)));
	if (!f->cpu->nonroot)
		fail_msg("entry failed: error %u, reason %x", f->v->vm_instruction_error, f->v->exit_reason);
}

#endif
