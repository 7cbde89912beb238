/*
 * FXSAVE, FXRSTOR, and the XSAVE feature set.
 *
 * Every component is a few pieces of bytes at offsets of the area. A save builds them in host buffers and then writes
 * them, after all have been probed; a restore reads, checks, and only then commits.
 *
 * Source: SDM 1, "Managing State Using the XSAVE Feature Set"; SDM 2, the instructions by name. Not modelled: the
 * modified optimization of XSAVEOPT and XSAVES (every component counts as modified since the last restore; the manual
 * allows it), supervisor state components (IA32_XSS is 0), and #AC for misaligned areas: they are #GP.
 */
#include <string.h>

#include "bus/memory.h"
#include "cpu/access.h"
#include "cpu/cpuid.h"
#include "cpu/fault.h"
#include "cpu/tlb.h"
#include "cpu/x87.h"
#include "vmx/intercept.h"

#define MXCSR_INIT 0x1f80u
#define MXCSR_MASK 0xffffu
#define AREA_MXCSR 24
#define AREA_XMM 160
#define AREA_LEGACY_END 416
#define AREA_HEADER 512
#define AREA_HEADER_SIZE 64
#define COMPACTED BIT(63)
/* The components whose restore loads MXCSR in the standard format. */
#define XCR0_MXCSR (XCR0_SSE | XCR0_AVX)

enum format { STANDARD, COMPACT };

/* --- pieces of an area --- */

struct piece {
	unsigned offset, size;
	const void *data;
};

struct pieces {
	unsigned count;
	struct piece piece[8];
};

static void
add_piece(struct pieces *p, unsigned offset, const void *data, unsigned size)
{
	assert(p->count < COUNT(p->piece));
	p->piece[p->count++] = (struct piece){offset, size, data};
}

/* In one page, the first write faults or none does. */
static void
write_pieces(struct vcpu *cpu, u64 area, const struct pieces *p)
{
	const struct piece *last = &p->piece[p->count - 1];
	if ((area ^ (area + last->offset + last->size - 1)) & PAGE_MASK)
		for (unsigned n = 0; n < p->count; n++)
			mem_probe_write(cpu, area + p->piece[n].offset, p->piece[n].size);
	for (unsigned n = 0; n < p->count; n++)
		mem_write_bytes(cpu, area + p->piece[n].offset, p->piece[n].data, p->piece[n].size);
}

static unsigned
xmm_count(const struct vcpu *cpu)
{
	return cpu->long64 ? 16 : 8;
}

/* x87 state, MXCSR and XMM as they lie in the first 416 bytes. */
static void
build_legacy(const struct vcpu *cpu, bool wide, u8 image[AREA_LEGACY_END])
{
	static const u32 mask = MXCSR_MASK;
	x87_image_save(cpu, wide, image);
	memcpy(image + AREA_MXCSR, &cpu->mxcsr, 4);
	memcpy(image + AREA_MXCSR + 4, &mask, 4);
	for (unsigned n = 0; n < xmm_count(cpu); n++)
		memcpy(image + AREA_XMM + n * 16, &cpu->vec[n], 16);
}

static void
load_xmm(struct vcpu *cpu, const u8 *image)
{
	for (unsigned n = 0; n < xmm_count(cpu); n++)
		memcpy(&cpu->vec[n], image + AREA_XMM + n * 16, 16);
}

static u32
image_u32(const u8 *image)
{
	u32 value;
	memcpy(&value, image, 4);
	return value;
}

static u64
image_u64(const u8 *image)
{
	u64 value;
	memcpy(&value, image, 8);
	return value;
}

/* --- FXSAVE, FXRSTOR --- */

static u64
fx_area(struct vcpu *cpu, const struct insn *in, unsigned access)
{
	if (cpu->cr0 & CR0_EM)
		raise_ud(cpu);
	if (cpu->cr0 & CR0_TS)
		raise_exception(cpu, VECTOR_NM);
	u64 area = insn_linear(cpu, in, 512, access);
	if (area & 15)
		raise_gp(cpu, 0);
	/* All of it must be there, the bytes too that are not used. */
	for (u64 at = area;; at = area + 512 - 16) {
		if (access & ACCESS_WRITE)
			mem_probe_write(cpu, at, 16);
		else
			mem_probe_read(cpu, at, 16);
		if (at != area)
			break;
	}
	return area;
}

/* Bytes from 416 on, those of XMM8..15 outside 64-bit mode, and the SSE part without CR4.OSFXSR stay as they are. */
void
op_fxsave(struct vcpu *cpu, const struct insn *in)
{
	u64 area = fx_area(cpu, in, ACCESS_WRITE);
	u8 image[AREA_LEGACY_END];
	struct pieces p = {0};
	build_legacy(cpu, in->prefix & PREFIX_W, image);
	if (cpu->cr4 & CR4_OSFXSR) {
		add_piece(&p, 0, image, AREA_XMM + xmm_count(cpu) * 16);
	} else {
		add_piece(&p, 0, image, AREA_MXCSR);
		add_piece(&p, 32, image + 32, AREA_XMM - 32);
	}
	write_pieces(cpu, area, &p);
}

void
op_fxrstor(struct vcpu *cpu, const struct insn *in)
{
	u64 area = fx_area(cpu, in, ACCESS_READ);
	u8 image[AREA_LEGACY_END];
	mem_read_bytes(cpu, area, image, sizeof image);
	bool sse = cpu->cr4 & CR4_OSFXSR;
	u32 mxcsr = image_u32(image + AREA_MXCSR);
	if (sse && mxcsr & ~MXCSR_MASK)
		raise_gp(cpu, 0);
	x87_image_load(cpu, in->prefix & PREFIX_W, image);
	if (sse) {
		cpu->mxcsr = mxcsr;
		load_xmm(cpu, image);
	}
}

/* --- XSAVE family --- */

static u64
requested(const struct vcpu *cpu)
{
	return cpu->r[RDX] << 32 | (u32)cpu->r[RAX];
}

static void
xsave_checks(struct vcpu *cpu)
{
	if (!(cpu->cr4 & CR4_OSXSAVE))
		raise_ud(cpu);
	if (cpu->cr0 & CR0_TS)
		raise_exception(cpu, VECTOR_NM);
}

static void
supervisor_checks(struct vcpu *cpu, bool restore)
{
	if (cpu->nonroot && !vmx_insn_enabled(cpu, restore ? VMX_INSN_XRSTORS : VMX_INSN_XSAVES))
		raise_ud(cpu);
	xsave_checks(cpu);
	if (cpu->cpl)
		raise_gp(cpu, 0);
	if (cpu->nonroot)
		vmx_intercept_xsaves(cpu, restore, requested(cpu));
}

static u64
xsave_area(struct vcpu *cpu, const struct insn *in, unsigned access)
{
	u64 area = insn_linear(cpu, in, AREA_HEADER + AREA_HEADER_SIZE, access);
	if (area & 63)
		raise_gp(cpu, 0);
	return area;
}

/*
 * Where component `n` lies: cpuid.h knows the standard format, and the size of a compacted area up to a component is
 * its offset.
 */
static unsigned
component_offset(unsigned n, u64 xcomp_bv, enum format format)
{
	static const u16 standard[] = {[2] = XSAVE_AVX_OFFSET, [9] = XSAVE_PKRU_OFFSET};
	return format == STANDARD ? standard[n] : cpu_xsave_size(xcomp_bv & (BIT(n) - 1), true);
}

/* The halves of YMM that XMM does not have. */
static void
build_avx(const struct vcpu *cpu, u8 image[XSAVE_AVX_SIZE])
{
	for (unsigned n = 0; n < xmm_count(cpu); n++)
		memcpy(image + n * 16, &cpu->vec[n].q[2], 16);
}

/*
 * Adds the components `save`; in the standard format MXCSR goes with SSE or AVX whether or not they are in use
 * (`rfbm`).
 */
static void
save_components(struct vcpu *cpu, const struct insn *in, u64 area, u64 rfbm, u64 save, const u64 header[2],
		enum format format)
{
	u8 legacy[AREA_LEGACY_END], avx[XSAVE_AVX_SIZE];
	u64 pkru = cpu->pkru;
	struct pieces p = {0};
	bool mxcsr = format == STANDARD ? rfbm & XCR0_MXCSR : save & XCR0_SSE;
	unsigned xmm_end = AREA_XMM + xmm_count(cpu) * 16;
	build_legacy(cpu, in->prefix & PREFIX_W, legacy);
	if (save & XCR0_X87 && save & XCR0_SSE) {
		add_piece(&p, 0, legacy, xmm_end);
	} else {
		if (save & XCR0_X87)
			add_piece(&p, 0, legacy, AREA_MXCSR);
		if (mxcsr)
			add_piece(&p, AREA_MXCSR, legacy + AREA_MXCSR, 8);
		if (save & XCR0_X87)
			add_piece(&p, 32, legacy + 32, AREA_XMM - 32);
		if (save & XCR0_SSE)
			add_piece(&p, AREA_XMM, legacy + AREA_XMM, xmm_end - AREA_XMM);
	}
	add_piece(&p, AREA_HEADER, header, format == STANDARD ? 8 : 16);
	if (save & XCR0_AVX) {
		build_avx(cpu, avx);
		add_piece(&p, component_offset(2, header[1], format), avx, xmm_count(cpu) * 16);
	}
	if (save & XCR0_PKRU)
		add_piece(&p, component_offset(9, header[1], format), &pkru, sizeof pkru);
	write_pieces(cpu, area, &p);
}

static void
save_standard(struct vcpu *cpu, const struct insn *in, bool optimized)
{
	xsave_checks(cpu);
	u64 area = xsave_area(cpu, in, ACCESS_WRITE);
	u64 rfbm = cpu->xcr0 & requested(cpu), in_use = cpu_xinuse(cpu);
	u64 old = mem_read(cpu, area + AREA_HEADER, 8);
	u64 header[2] = {(old & ~rfbm) | (in_use & rfbm), 0};
	save_components(cpu, in, area, rfbm, optimized ? rfbm & in_use : rfbm, header, STANDARD);
}

void
op_xsave(struct vcpu *cpu, const struct insn *in)
{
	save_standard(cpu, in, false);
}

void
op_xsaveopt(struct vcpu *cpu, const struct insn *in)
{
	save_standard(cpu, in, true);
}

static void
save_compacted(struct vcpu *cpu, const struct insn *in, u64 enabled)
{
	u64 area = xsave_area(cpu, in, ACCESS_WRITE);
	u64 rfbm = enabled & requested(cpu), save = rfbm & cpu_xinuse(cpu);
	if (cpu->mxcsr != MXCSR_INIT)
		save |= rfbm & XCR0_SSE;
	u64 header[2] = {save, rfbm | COMPACTED};
	save_components(cpu, in, area, rfbm, save, header, COMPACT);
}

void
op_xsavec(struct vcpu *cpu, const struct insn *in)
{
	xsave_checks(cpu);
	save_compacted(cpu, in, cpu->xcr0);
}

void
op_xsaves(struct vcpu *cpu, const struct insn *in)
{
	supervisor_checks(cpu, false);
	save_compacted(cpu, in, cpu->xcr0 | cpu->msr.xss);
}

static bool
all_zero(const u8 *data, unsigned size)
{
	for (unsigned n = 0; n < size; n++)
		if (data[n])
			return false;
	return true;
}

static void
commit_avx(struct vcpu *cpu, const u8 *image)
{
	for (unsigned n = 0; n < xmm_count(cpu); n++)
		if (image)
			memcpy(&cpu->vec[n].q[2], image + n * 16, 16);
		else
			cpu->vec[n].q[2] = cpu->vec[n].q[3] = 0;
}

static void
commit_pkru(struct vcpu *cpu, u32 pkru)
{
	if (cpu->pkru == pkru)
		return;
	cpu->pkru = pkru;
	tlb_select(cpu);
}

/* x87 state in its initial configuration: FNINIT, and the registers are zero. */
static void
init_x87(struct vcpu *cpu)
{
	x87_init(&cpu->x87);
	x87_flags_changed(cpu);
	memset(cpu->x87.r, 0, sizeof cpu->x87.r);
}

/*
 * Reads the components `load` of the area, checks MXCSR, and commits: `load` from memory, `rfbm` without `load`
 * initial.
 */
static void
restore_components(struct vcpu *cpu, const struct insn *in, u64 area, const u8 *legacy, u64 rfbm, u64 load,
		   u64 xcomp_bv, enum format format)
{
	u8 avx[XSAVE_AVX_SIZE];
	u32 pkru = 0, mxcsr = MXCSR_INIT;
	if (format == STANDARD ? rfbm & XCR0_MXCSR : load & XCR0_SSE) {
		mxcsr = image_u32(legacy + AREA_MXCSR);
		if (mxcsr & ~MXCSR_MASK)
			raise_gp(cpu, 0);
	}
	if (load & XCR0_AVX)
		mem_read_bytes(cpu, area + component_offset(2, xcomp_bv, format), avx, xmm_count(cpu) * 16);
	if (load & XCR0_PKRU)
		pkru = (u32)mem_read(cpu, area + component_offset(9, xcomp_bv, format), 4);

	if (load & XCR0_X87)
		x87_image_load(cpu, in->prefix & PREFIX_W, legacy);
	else if (rfbm & XCR0_X87)
		init_x87(cpu);
	if (format == STANDARD ? rfbm & XCR0_MXCSR : rfbm & XCR0_SSE)
		cpu->mxcsr = mxcsr;
	if (load & XCR0_SSE)
		load_xmm(cpu, legacy);
	else if (rfbm & XCR0_SSE)
		for (unsigned n = 0; n < xmm_count(cpu); n++)
			cpu->vec[n].q[0] = cpu->vec[n].q[1] = 0;
	if (rfbm & XCR0_AVX)
		commit_avx(cpu, load & XCR0_AVX ? avx : NULL);
	if (rfbm & XCR0_PKRU)
		commit_pkru(cpu, pkru);
}

static void
restore(struct vcpu *cpu, const struct insn *in, u64 enabled, bool supervisor)
{
	u64 area = xsave_area(cpu, in, ACCESS_READ);
	u8 image[AREA_HEADER + AREA_HEADER_SIZE];
	mem_read_bytes(cpu, area, image, sizeof image);
	const u8 *header = image + AREA_HEADER;
	u64 xstate_bv = image_u64(header), xcomp_bv = image_u64(header + 8);
	u64 rfbm = enabled & requested(cpu);
	if (!(xcomp_bv & COMPACTED)) {
		if (supervisor || xstate_bv & ~enabled || !all_zero(header + 8, 16))
			raise_gp(cpu, 0);
		restore_components(cpu, in, area, image, rfbm, rfbm & xstate_bv, 0, STANDARD);
		return;
	}
	u64 format = xcomp_bv & ~COMPACTED;
	if (!cpu_has(cpu, FEATURE_XSAVEC) || format & ~enabled || xstate_bv & ~format ||
	    !all_zero(header + 16, AREA_HEADER_SIZE - 16))
		raise_gp(cpu, 0);
	restore_components(cpu, in, area, image, rfbm, rfbm & xstate_bv, format, COMPACT);
}

void
op_xrstor(struct vcpu *cpu, const struct insn *in)
{
	xsave_checks(cpu);
	restore(cpu, in, cpu->xcr0, false);
}

void
op_xrstors(struct vcpu *cpu, const struct insn *in)
{
	supervisor_checks(cpu, true);
	restore(cpu, in, cpu->xcr0 | cpu->msr.xss, true);
}
