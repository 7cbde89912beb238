/* See entry_oracle.h. */
#include "tests/fuzz/entry_oracle.h"

#include <string.h>

static const struct oracle_view *m;
static struct oracle_verdict *out;

static u64
F(u32 encoding)
{
	return m->field(m->opaque, encoding);
}

static u64
M(u32 index)
{
	u64 value = 0;

	return m->msr(m->opaque, index, &value) ? value : 0;
}

static u64
bits(u64 value, int high, int low)
{
	return value >> low & (high - low == 63 ? ~0ull : (1ull << (high - low + 1)) - 1);
}

static bool
bit(u64 value, int n)
{
	return value >> n & 1;
}

static void
control(const char *id, bool holds)
{
	if (holds)
		return;
	out->error7 = true;
	out->control = id;
}

static void
host(const char *id, bool holds)
{
	if (holds)
		return;
	out->error8 = true;
	out->host = id;
}

static void
guest(const char *id, bool holds)
{
	if (holds)
		return;
	out->state0 = true;
	out->guest = id;
}

static bool
within_paw(u64 x)
{
	return m->paw >= 64 || x < 1ull << m->paw;
}

static bool
pa4k(u64 x)
{
	return bits(x, 11, 0) == 0 && within_paw(x);
}

static bool
canonical(u64 x, unsigned width)
{
	u64 upper = bits(x, 63, (int)width - 1);

	return upper == 0 || upper == bits(~0ull, 63, (int)width - 1);
}

/* CAP-20 */
static bool
control_word(u32 value, u32 msr)
{
	u32 low = (u32)M(msr), high = (u32)(M(msr) >> 32);

	return (value & low) == low && !(value & ~high);
}

static bool
list(u64 address, u32 count)
{
	u64 last;

	if (count == 0)
		return true;
	last = address + 16 * (u64)count - 1;
	return bits(address, 3, 0) == 0 && last >= address && within_paw(address) && within_paw(last);
}

static bool
pat(u64 value)
{
	for (int i = 0; i < 8; i++) {
		u64 type = bits(value, 8 * i + 7, 8 * i);

		if (type != 0 && type != 1 && (type < 4 || type > 7))
			return false;
	}
	return true;
}

/* The controls, with what is not activated as 0. */
static u32 pin, primary, secondary, exit_ctl, entry_ctl;

enum {
	/* pin */ EXTINT = 0, NMI_EXIT = 3, VNMI = 5, TIMER = 6, POSTED = 7,
	/* primary */ TPRS = 21, NMI_WINDOW = 22, IO_MAPS = 25, MSR_MAPS = 28, ACT2 = 31,
	/* secondary */ VAA = 0, EPT = 1, VX2 = 4, VPID = 5, UG = 7, ARV = 8, VID = 9, VMFUNC = 13, SHADOW = 14, PML = 17, VE = 18, MBEC = 22,
	SCALING = 25,
	/* exit */ HAS64 = 9, X_PERF = 12, ACK = 15, X_PAT = 19, X_EFER = 21, X_TIMER = 22,
	/* entry */ N_DEBUG = 2, IA32E_G = 9, TO_SMM = 10, DEACTIVATE = 11, N_PERF = 13, N_PAT = 14, N_EFER = 15,
};

static bool
eptp(u64 value)
{
	u64 cap = M(0x48c), type = bits(value, 2, 0);

	return ((type == 0 && bit(cap, 8)) || (type == 6 && bit(cap, 14))) && bits(value, 5, 3) == 3 && bit(cap, 6) &&
	       (!bit(value, 6) || bit(cap, 21)) && (!bit(value, 7) || bit(cap, 23)) && bits(value, 11, 8) == 0 && within_paw(value);
}

static void
execution_controls(void)
{
	bool with_true = bit(M(0x480), 55);

	control("VE-CTL-01", control_word(pin, with_true ? 0x48d : 0x481));
	control("VE-CTL-02", control_word(primary, with_true ? 0x48e : 0x482));
	if (bit(primary, ACT2))
		control("VE-CTL-03", control_word(secondary, 0x48b));
	control("VE-CTL-05", F(0x400a) <= bits(M(0x485), 24, 16));
	if (bit(primary, IO_MAPS))
		control("VE-CTL-06", pa4k(F(0x2000)) && pa4k(F(0x2002)));
	if (bit(primary, MSR_MAPS))
		control("VE-CTL-07", pa4k(F(0x2004)));
	if (bit(primary, TPRS)) {
		control("VE-CTL-08", pa4k(F(0x2012)));
		if (!bit(secondary, VID))
			control("VE-CTL-09", bits(F(0x401c), 31, 4) == 0);
		if (!bit(secondary, VID) && !bit(secondary, VAA) && pa4k(F(0x2012)))
			control("VE-CTL-10", bits(F(0x401c), 3, 0) <= bits(m->memory(m->opaque, F(0x2012) + 0x80, 1), 7, 4));
	} else {
		control("VE-CTL-11", !bit(secondary, VX2) && !bit(secondary, ARV) && !bit(secondary, VID));
	}
	control("VE-CTL-12", bit(pin, NMI_EXIT) || !bit(pin, VNMI));
	control("VE-CTL-13", bit(pin, VNMI) || !bit(primary, NMI_WINDOW));
	if (bit(secondary, VAA))
		control("VE-CTL-14", pa4k(F(0x2014)));
	if (bit(secondary, VX2))
		control("VE-CTL-15", !bit(secondary, VAA));
	if (bit(secondary, VID))
		control("VE-CTL-16", bit(pin, EXTINT));
	if (bit(pin, POSTED))
		control("VE-CTL-17", bit(secondary, VID) && bit(exit_ctl, ACK) && F(0x0002) < 256 && bits(F(0x2016), 5, 0) == 0 &&
					     within_paw(F(0x2016)));
	if (bit(secondary, VPID))
		control("VE-CTL-18", F(0x0000) != 0);
	if (bit(secondary, EPT))
		control("VE-CTL-19", eptp(F(0x201a)));
	else
		control("VE-CTL-20", !bit(secondary, UG) && !bit(secondary, MBEC));
	if (bit(secondary, PML))
		control("VE-CTL-21", bit(secondary, EPT) && pa4k(F(0x200e)));
	if (bit(secondary, SHADOW))
		control("VE-CTL-22", pa4k(F(0x2026)) && pa4k(F(0x2028)));
	if (bit(secondary, VE))
		control("VE-CTL-23", pa4k(F(0x202a)));
	if (bit(secondary, VMFUNC)) {
		control("VE-CTL-24", !(F(0x2018) & ~M(0x491)));
		if (bit(F(0x2018), 0))
			control("VE-CTL-24", bit(secondary, EPT) && pa4k(F(0x2024)));
	}
	if (bit(secondary, SCALING))
		control("VE-CTL-26", F(0x2032) != 0);
}

static void
injection(void)
{
	u64 info = F(0x4016), type = bits(info, 10, 8), vector = bits(info, 7, 0);
	bool code = bit(info, 11), real = bit(secondary, UG) && !bit(F(0x6800), 0);
	bool coded = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;

	if (!bit(info, 31))
		return; /* VE-INJ-08 */
	control("VE-INJ-01", type != 1 && (type != 7 || bit(M(0x482), 32 + 27)));
	if (type == 2)
		control("VE-INJ-02", vector == 2);
	if (type == 3)
		control("VE-INJ-02", vector < 32);
	if (type == 7)
		control("VE-INJ-02", vector == 0);
	control("VE-INJ-03", code == (!real && type == 3 && coded));
	control("VE-INJ-05", bits(info, 30, 12) == 0);
	if (code)
		control("VE-INJ-06", bits(F(0x4018), 31, 16) == 0);
	if (type == 4 || type == 5 || type == 6)
		control("VE-INJ-07", F(0x401a) <= 15 && (F(0x401a) > 0 || bit(M(0x485), 30)));
}

static void
exit_and_entry_controls(void)
{
	control("VE-EXC-01", control_word(exit_ctl, bit(M(0x480), 55) ? 0x48f : 0x483));
	control("VE-EXC-03", bit(pin, TIMER) || !bit(exit_ctl, X_TIMER));
	control("VE-EXC-04", list(F(0x2006), (u32)F(0x400e)));
	control("VE-EXC-05", list(F(0x2008), (u32)F(0x4010)));
	control("VE-ENT-01", control_word(entry_ctl, bit(M(0x480), 55) ? 0x490 : 0x484));
	control("VE-ENT-02", list(F(0x200a), (u32)F(0x4014)));
	control("VE-ENT-03", !bit(entry_ctl, TO_SMM) && !bit(entry_ctl, DEACTIVATE));
	injection();
}

/* CAP-28 */
static bool
fixed(u64 value, u32 msr0, u32 msr1, u64 free)
{
	return !(M(msr0) & ~value & ~free) && !(value & ~M(msr1) & ~free);
}

static u64
efer_valid(void)
{
	return 1ull << 8 | 1ull << 10 | (m->nx ? 1ull << 11 : 0) | (m->syscall ? 1 : 0);
}

static void
host_state(void)
{
	bool has64 = bit(exit_ctl, HAS64);
	u64 cr4 = F(0x6c04), efer = F(0x2c02);

	host("VE-HST-01", fixed(F(0x6c00), 0x486, 0x487, 0));
	host("VE-HST-02", fixed(cr4, 0x488, 0x489, 0));
	host("VE-HST-03", within_paw(F(0x6c02)));
	host("VE-HST-04", canonical(F(0x6c10), m->law) && canonical(F(0x6c12), m->law));
	if (bit(exit_ctl, X_PERF))
		host("VE-HST-05", !(F(0x2c04) & ~m->perf_global_valid));
	if (bit(exit_ctl, X_PAT))
		host("VE-HST-06", pat(F(0x2c00)));
	if (bit(exit_ctl, X_EFER))
		host("VE-HST-07", !(efer & ~efer_valid()) && bit(efer, 10) == has64 && bit(efer, 8) == has64);
	for (u32 selector = 0x0c00; selector <= 0x0c0c; selector += 2)
		host("VE-HST-12", bits(F(selector), 2, 0) == 0);
	host("VE-HST-13", F(0x0c02) != 0 && F(0x0c0c) != 0 && (has64 || F(0x0c04) != 0));
	for (u32 base = 0x6c06; base <= 0x6c0e; base += 2)
		host("VE-HST-14", canonical(F(base), m->law));
	if (m->long_mode)
		host("VE-HST-16", has64);
	else
		host("VE-HST-15", !has64 && !bit(entry_ctl, IA32E_G));
	if (has64)
		host("VE-HST-18", bit(cr4, 5) && canonical(F(0x6c16), bit(cr4, 12) ? 57 : 48));
	else
		host("VE-HST-17", !bit(entry_ctl, IA32E_G) && !bit(cr4, 17) && bits(F(0x6c16), 63, 32) == 0);
}

static void
guest_registers(void)
{
	u64 cr0 = F(0x6800), cr4 = F(0x6804), efer = F(0x2806);
	bool long_guest = bit(entry_ctl, IA32E_G);
	/* ET, NW and CD are never checked. */
	u64 free = 1ull << 4 | 3ull << 29 | (bit(secondary, UG) ? 1ull << 31 | 1 : 0);

	guest("VE-GST-01", fixed(cr0, 0x486, 0x487, free));
	guest("VE-GST-02", !bit(cr0, 31) || bit(cr0, 0));
	guest("VE-GST-03", fixed(cr4, 0x488, 0x489, 0));
	if (bit(entry_ctl, N_DEBUG)) {
		guest("VE-GST-04", !(F(0x2802) & ~3ull));
		guest("VE-GST-08", bits(F(0x681a), 63, 32) == 0);
	}
	if (long_guest)
		guest("VE-GST-05", bit(cr0, 31) && bit(cr4, 5));
	else
		guest("VE-GST-06", !bit(cr4, 17));
	guest("VE-GST-07", within_paw(F(0x6802)));
	guest("VE-GST-09", canonical(F(0x6824), m->law) && canonical(F(0x6826), m->law));
	if (bit(entry_ctl, N_PERF))
		guest("VE-GST-10", !(F(0x2808) & ~m->perf_global_valid));
	if (bit(entry_ctl, N_PAT))
		guest("VE-GST-11", pat(F(0x2804)));
	if (bit(entry_ctl, N_EFER))
		guest("VE-GST-12", !(efer & ~efer_valid()) && bit(efer, 10) == long_guest && (!bit(cr0, 31) || bit(efer, 10) == bit(efer, 8)));
}

/* Segment registers in the order of their encodings. */
enum { ES_, CS_, SS_, DS_, FS_, GS_, LDTR_, TR_ };

static u64
selector(int s)
{
	return F(0x0800 + 2 * (u32)s);
}

static u64
base(int s)
{
	return F(0x6806 + 2 * (u32)s);
}

static u64
limit(int s)
{
	return F(0x4800 + 2 * (u32)s);
}

static u64
rights(int s)
{
	return F(0x4814 + 2 * (u32)s);
}

static bool
usable(int s)
{
	return !bit(rights(s), 16);
}

static u64
type(int s)
{
	return bits(rights(s), 3, 0);
}

static u64
dpl(int s)
{
	return bits(rights(s), 6, 5);
}

static bool
granularity(int s)
{
	bool g = bit(rights(s), 15);

	if (bits(limit(s), 11, 0) != 0xfff && g)
		return false;
	return bits(limit(s), 31, 20) == 0 || g;
}

static bool
reserved_rights_clear(int s)
{
	return bits(rights(s), 11, 8) == 0 && bits(rights(s), 31, 17) == 0;
}

static void
code_and_data_segments(void)
{
	bool ug = bit(secondary, UG), pe = bit(F(0x6800), 0);

	guest("VE-SEG-11", type(CS_) == 9 || type(CS_) == 11 || type(CS_) == 13 || type(CS_) == 15 || (ug && type(CS_) == 3));
	guest("VE-SEG-03", ug || bits(selector(SS_), 1, 0) == bits(selector(CS_), 1, 0));
	if (type(CS_) == 3)
		guest("VE-SEG-15", dpl(CS_) == 0);
	if (type(CS_) == 9 || type(CS_) == 11)
		guest("VE-SEG-15", dpl(CS_) == dpl(SS_));
	if (type(CS_) == 13 || type(CS_) == 15)
		guest("VE-SEG-15", dpl(CS_) <= dpl(SS_));
	guest("VE-SEG-16", ug || dpl(SS_) == bits(selector(SS_), 1, 0));
	if (type(CS_) == 3 || !pe)
		guest("VE-SEG-16", dpl(SS_) == 0);
	guest("VE-SEG-20", !(bit(entry_ctl, IA32E_G) && bit(rights(CS_), 13) && bit(rights(CS_), 14)));
	for (int s = ES_; s <= GS_; s++) {
		if (s != CS_ && !usable(s))
			continue;
		guest("VE-SEG-14", bit(rights(s), 4));
		guest("VE-SEG-18", bit(rights(s), 7));
		guest("VE-SEG-19", reserved_rights_clear(s));
		guest("VE-SEG-21", granularity(s));
		if (s == CS_)
			continue;
		if (s == SS_) {
			guest("VE-SEG-12", type(s) == 3 || type(s) == 7);
			continue;
		}
		guest("VE-SEG-13", bit(type(s), 0) && (!bit(type(s), 3) || bit(type(s), 1)));
		guest("VE-SEG-17", ug || type(s) > 11 || dpl(s) >= bits(selector(s), 1, 0));
	}
}

static void
guest_segments(void)
{
	bool v86 = bit(F(0x6820), 17);

	guest("VE-SEG-01", !bit(selector(TR_), 2));
	guest("VE-SEG-02", !usable(LDTR_) || !bit(selector(LDTR_), 2));
	for (int s = ES_; v86 && s <= GS_; s++)
		guest("VE-SEG-04/09/10", base(s) == selector(s) * 16 && limit(s) == 0xffff && rights(s) == 0xf3);
	if (!v86)
		code_and_data_segments();
	guest("VE-SEG-05", canonical(base(TR_), m->law) && canonical(base(FS_), m->law) && canonical(base(GS_), m->law));
	guest("VE-SEG-06", !usable(LDTR_) || canonical(base(LDTR_), m->law));
	guest("VE-SEG-07", bits(base(CS_), 63, 32) == 0);
	guest("VE-SEG-08", (!usable(SS_) || bits(base(SS_), 63, 32) == 0) && (!usable(DS_) || bits(base(DS_), 63, 32) == 0) &&
				   (!usable(ES_) || bits(base(ES_), 63, 32) == 0));
	guest("VE-SEG-22", type(TR_) == 11 || (type(TR_) == 3 && !bit(entry_ctl, IA32E_G)));
	guest("VE-SEG-23", !bit(rights(TR_), 4) && bit(rights(TR_), 7) && reserved_rights_clear(TR_) && usable(TR_) && granularity(TR_));
	if (usable(LDTR_))
		guest("VE-SEG-24", type(LDTR_) == 2 && !bit(rights(LDTR_), 4) && bit(rights(LDTR_), 7) && reserved_rights_clear(LDTR_) &&
					   granularity(LDTR_));
	guest("VE-SEG-25", canonical(F(0x6816), m->law) && canonical(F(0x6818), m->law) && F(0x4810) < 0x10000 && F(0x4812) < 0x10000);
}

static void
guest_rip_and_flags(void)
{
	u64 rip = F(0x681e), rflags = F(0x6820), info = F(0x4016);
	bool code64 = bit(entry_ctl, IA32E_G) && bit(rights(CS_), 13);

	if (code64)
		guest("VE-RIP-02", bits(rip, 63, (int)m->law) == 0 || bits(rip, 63, (int)m->law) == bits(~0ull, 63, (int)m->law));
	else
		guest("VE-RIP-01", bits(rip, 63, 32) == 0);
	guest("VE-RIP-03", bits(rflags, 63, 22) == 0 && !bit(rflags, 15) && !bit(rflags, 5) && !bit(rflags, 3) && bit(rflags, 1));
	guest("VE-RIP-04", !bit(rflags, 17) || (!bit(entry_ctl, IA32E_G) && bit(F(0x6800), 0)));
	if (bit(info, 31) && bits(info, 10, 8) == 0)
		guest("VE-RIP-05", bit(rflags, 9));
}

static void
guest_activity(void)
{
	u64 activity = F(0x4826), info = F(0x4016), t = bits(info, 10, 8), vector = bits(info, 7, 0), blocking = F(0x4824);

	guest("VE-NRS-01", activity == 0 || (activity <= 3 && bit(M(0x485), 5 + (int)activity)));
	if (activity == 1)
		guest("VE-NRS-02", dpl(SS_) == 0);
	if (bit(blocking, 0) || bit(blocking, 1))
		guest("VE-NRS-03", activity == 0);
	if (bit(info, 31)) {
		if (activity == 1)
			guest("VE-NRS-04", t == 0 || t == 2 || (t == 3 && (vector == 1 || vector == 18)) || (t == 7 && vector == 0));
		if (activity == 2)
			guest("VE-NRS-04", t == 2 || (t == 3 && vector == 18));
		if (activity == 3)
			guest("VE-NRS-04", false);
	}
}

static void
guest_blocking(void)
{
	u64 blocking = F(0x4824), info = F(0x4016), rflags = F(0x6820), pending = F(0x6822);
	u64 debugctl = bit(entry_ctl, N_DEBUG) ? F(0x2802) : m->debugctl;
	bool external = bit(info, 31) && bits(info, 10, 8) == 0, nmi = bit(info, 31) && bits(info, 10, 8) == 2;

	guest("VE-NRS-06", bits(blocking, 31, 4) == 0);
	guest("VE-NRS-07", bits(blocking, 1, 0) != 3);
	guest("VE-NRS-08", bit(rflags, 9) || !bit(blocking, 0));
	guest("VE-NRS-09", !external || bits(blocking, 1, 0) == 0);
	guest("VE-NRS-10", !nmi || !bit(blocking, 1));
	guest("VE-NRS-11", !bit(blocking, 2));
	guest("VE-NRS-12", !(nmi && bit(pin, VNMI) && bit(blocking, 3)));
	guest("VE-NRS-14", bits(pending, 11, 4) == 0 && !bit(pending, 13) && !bit(pending, 15) && bits(pending, 63, 16) == 0);
	if (bits(blocking, 1, 0) || F(0x4826) == 1)
		guest("VE-NRS-15", bit(pending, 14) == (bit(rflags, 8) && !bit(debugctl, 1)));
}

static void
link_pointer(void)
{
	u64 link = F(0x2800);
	bool fine = link == ~0ull;

	if (!fine && pa4k(link) && link != m->current) {
		u32 word = (u32)m->memory(m->opaque, link, 4);

		fine = bits(word, 30, 0) == m->revision && bit(word, 31) == bit(secondary, SHADOW);
	}
	if (!fine) {
		out->state4 = true;
		out->guest = "VE-NRS-17";
	}
}

static void
pdptes(void)
{
	if (!bit(F(0x6800), 31) || !bit(F(0x6804), 5) || bit(entry_ctl, IA32E_G))
		return;
	for (u32 i = 0; i < 4; i++) {
		u64 entry = bit(secondary, EPT) ? F(0x280a + 2 * i) : m->memory(m->opaque, (F(0x6802) & ~31ull) + 8 * i, 8);

		if (bit(entry, 0) && (bits(entry, 2, 1) || bits(entry, 8, 5) || !within_paw(entry))) {
			out->state2 = true;
			out->guest = "VE-PDP";
		}
	}
}

/* 3.6 */
static void
msr_list(void)
{
	u64 count = F(0x4014), at = F(0x200a);

	for (u64 i = 0; i < count && i < 512; i++) {
		u32 index = (u32)m->memory(m->opaque, at + 16 * i, 4), reserved = (u32)m->memory(m->opaque, at + 16 * i + 4, 4);
		u64 value = m->memory(m->opaque, at + 16 * i + 8, 8);

		if (reserved || index == 0xc0000100 || index == 0xc0000101 || bits(index, 31, 8) == 8 || index == 0x9b || index == 0x79 ||
		    index == 0x8b || !m->wrmsr_ok(m->opaque, index, value)) {
			out->msr_entry = (unsigned)i + 1;
			return;
		}
	}
	if (count > 512)
		out->msr_entry = 513;
}

void
oracle_judge(const struct oracle_view *view, struct oracle_verdict *verdict)
{
	m = view;
	out = verdict;
	memset(out, 0, sizeof(*out));
	pin = (u32)F(0x4000);
	primary = (u32)F(0x4002);
	secondary = bit(primary, ACT2) ? (u32)F(0x401e) : 0;
	exit_ctl = (u32)F(0x400c);
	entry_ctl = (u32)F(0x4012);
	execution_controls();
	exit_and_entry_controls();
	host_state();
	guest_registers();
	guest_segments();
	guest_rip_and_flags();
	guest_activity();
	guest_blocking();
	link_pointer();
	pdptes();
	msr_list();
}
