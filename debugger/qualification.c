/* Exit qualifications and interruption information in words. SDM 3, "Basic VM-Exit Information". */
#include <stdarg.h>
#include <string.h>

#include "cpu/msr.h"
#include "debugger/internal.h"

struct text {
	char *at;
	size_t room;
};

static void PRINTF(2, 3)
add(struct text *t, const char *format, ...)
{
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(t->at, t->room, format, list);
	va_end(list);
	if (n < 0)
		return;
	if ((size_t)n >= t->room)
		n = t->room ? (int)t->room - 1 : 0;
	t->at += n;
	t->room -= (size_t)n;
}

const char *
exception_name(unsigned vector)
{
	static const char *const names[32] = {
		"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", [10] = "#TS", "#NP", "#SS", "#GP", "#PF", [16] = "#MF", "#AC",
		"#MC", "#XM", "#VE", "#CP",
	};

	return vector < 32 && names[vector] ? names[vector] : NULL;
}

void
describe_event(u32 info, u32 error, char *text, size_t room)
{
	static const char *const types[8] = {
		"external interrupt", "reserved type 1", "NMI", "hardware exception", "software interrupt", "privileged software exception",
		"software exception", "other event",
	};
	struct text t = {text, room};
	const char *name = exception_name(INFO_VECTOR(info));

	*text = 0;
	if (!(info & INFO_VALID)) {
		add(&t, "none");
		return;
	}
	add(&t, "%s %u", types[INFO_TYPE(info)], INFO_VECTOR(info));
	if (name && (INFO_TYPE(info) == EVENT_HARDWARE_EXCEPTION || INFO_TYPE(info) == EVENT_SOFTWARE_EXCEPTION))
		add(&t, " %s", name);
	if (info & INFO_ERROR_CODE)
		add(&t, ", error code %#x", error);
	if (info & INFO_NMI_UNBLOCKING)
		add(&t, ", NMI unblocking due to IRET");
}

static void
ept_violation(struct text *t, const struct exit_record *e)
{
	u64 q = e->qualification;

	add(t, "%s%s%sof gpa %#llx, entry allows %s%s%s", q & 1 ? "read " : "", q & 2 ? "write " : "", q & 4 ? "fetch " : "", (ull)e->gpa,
	    q & 8 ? "R" : "-", q & 16 ? "W" : "-", q & 32 ? "X" : "-");
	if (q & 0x80)
		add(t, ", linear %#llx%s", (ull)e->gla, q & 0x100 ? "" : " (its page walk)");
}

static void
cr_access(struct text *t, u64 q)
{
	static const char *const registers[16] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
						  "R8",	 "R9",	"R10", "R11", "R12", "R13", "R14", "R15"};
	unsigned cr = q & 15, gpr = q >> 8 & 15;

	switch (q >> 4 & 3) {
	case 0: add(t, "MOV to CR%u from %s", cr, registers[gpr]); break;
	case 1: add(t, "MOV from CR%u to %s", cr, registers[gpr]); break;
	case 2: add(t, "CLTS"); break;
	default: add(t, "LMSW %#llx%s", (ull)(q >> 16 & 0xffff), q & 0x40 ? " from memory" : ""); break;
	}
}

void
describe_exit(const struct exit_record *e, char *text, size_t room)
{
	struct text t = {text, room};
	u64 q = e->qualification;
	char event[120];

	*text = 0;
	switch (e->reason & 0xffff) {
	case REASON_EXCEPTION_NMI:
	case REASON_EXTERNAL_INTERRUPT:
		describe_event(e->interruption_info, e->interruption_error, event, sizeof(event));
		add(&t, "%s", event);
		if (INFO_VECTOR(e->interruption_info) == VECTOR_PF && (e->reason & 0xffff) == REASON_EXCEPTION_NMI)
			add(&t, " at %#llx", (ull)q);
		break;
	case REASON_EPT_VIOLATION: ept_violation(&t, e); break;
	case REASON_EPT_MISCONFIG: add(&t, "gpa %#llx", (ull)e->gpa); break;
	case REASON_CR_ACCESS: cr_access(&t, q); break;
	case REASON_DR_ACCESS: add(&t, "MOV %s DR%llu", q & 16 ? "from" : "to", (ull)(q & 7)); break;
	case REASON_IO_INSTRUCTION:
		add(&t, "%s%s%s port %#llx, %llu bytes", q & 32 ? "rep " : "", q & 8 ? "in" : "out", q & 16 ? "s" : "", (ull)(q >> 16 & 0xffff),
		    (ull)(q & 7) + 1);
		break;
	case REASON_INVLPG: add(&t, "linear %#llx", (ull)q); break;
	case REASON_TASK_SWITCH: add(&t, "to selector %#llx", (ull)(q & 0xffff)); break;
	case REASON_APIC_ACCESS:
		add(&t, "%s offset %#llx", (q >> 12 & 15) == 1 ? "write" : (q >> 12 & 15) == 0 ? "read" : "access", (ull)(q & 0xfff));
		break;
	case REASON_APIC_WRITE: add(&t, "offset %#llx", (ull)(q & 0xfff)); break;
	case REASON_EOI_INDUCED: add(&t, "vector %llu", (ull)(q & 0xff)); break;
	case REASON_SIPI_SIGNAL: add(&t, "vector %llu", (ull)(q & 0xff)); break;
	default:
		if (q)
			add(&t, "qualification %#llx", (ull)q);
		break;
	}
	if (e->failed)
		add(&t, "%sVM entry failed", *text ? ", " : "");
	if (e->vectoring_info & INFO_VALID) {
		describe_event(e->vectoring_info, 0, event, sizeof(event));
		add(&t, "%swhile delivering %s", *text ? ", " : "", event);
	}
}
