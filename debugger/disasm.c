/* Disassembly by Zydis, with symbols behind absolute addresses. */
#include <string.h>

#include <Zydis/Zydis.h>

#include "debugger/internal.h"

struct context {
	struct debugger *d;
	struct vcpu *cpu;
};
static ZydisFormatterFunc print_address;

static ZyanStatus
absolute(const ZydisFormatter *formatter, ZydisFormatterBuffer *buffer, ZydisFormatterContext *context)
{
	struct context *c = context->user_data;
	ZyanStatus status = print_address(formatter, buffer, context);
	char text[120];
	ZyanStringView view;
	ZyanString *string;
	ZyanU64 address;

	if (!ZYAN_SUCCESS(status) || !c->d->symbols ||
	    !ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(context->instruction, context->operand, context->runtime_address, &address)))
		return status;
	symbol_text(c->d, c->cpu, address, text, sizeof(text));
	if (*text && ZYAN_SUCCESS(ZydisFormatterBufferGetString(buffer, &string)) && ZYAN_SUCCESS(ZyanStringViewInsideBuffer(&view, text)))
		ZyanStringAppend(string, &view);
	return status;
}

unsigned
code_bits(const struct vcpu *cpu, enum address_kind kind)
{
	const struct vmcs *v = kind == ADDRESS_GUEST && !cpu->nonroot && cpu->vmx ? &cpu->vmx->vmcs : NULL;

	if (v ? v->entry_controls & VMX_MASK(ENTRY, IA32E_MODE_GUEST) && v->guest_cs_access & SEG_L : cpu->long64)
		return 64;
	return (v ? v->guest_cs_access : cpu->seg[CS].access) & SEG_DB ? 32 : 16;
}

unsigned
disassemble(struct debugger *d, const struct vcpu *cpu, unsigned bits, u64 address, const u8 *bytes, unsigned size, char *text, size_t room,
	    bool *call)
{
	ZydisDecoder decoder;
	ZydisFormatter formatter;
	ZydisDecodedInstruction in;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	struct context context = {d, (struct vcpu *)cpu};

	if (bits == 64)
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	else if (bits == 32)
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	else
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	*call = false;
	snprintf(text, room, "(bad)");
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, size, &in, operands)))
		return 0;
	*call = in.meta.category == ZYDIS_CATEGORY_CALL || in.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE) ||
		in.meta.category == ZYDIS_CATEGORY_INTERRUPT || in.meta.category == ZYDIS_CATEGORY_SYSCALL;
	ZydisFormatterInit(&formatter, d->intel_off ? ZYDIS_FORMATTER_STYLE_ATT : ZYDIS_FORMATTER_STYLE_INTEL);
	print_address = absolute;
	ZydisFormatterSetHook(&formatter, ZYDIS_FORMATTER_FUNC_PRINT_ADDRESS_ABS, (const void **)&print_address);
	if (!ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &in, operands, in.operand_count_visible, text, room, address, &context)))
		return 0;
	return in.length;
}

void
print_instruction(struct debugger *d, struct vcpu *cpu, enum address_kind kind, u64 linear, unsigned *length)
{
	char text[256], symbol[120];
	u8 code[15] = {0};
	unsigned size = 15, n;
	bool call;

	if (!d_peek(d, cpu, kind, linear, code, size)) {
		/* The next page may not be there. */
		size = (unsigned)(PAGE_SIZE - (linear & 0xfff));
		if (size >= 15 || !d_peek(d, cpu, kind, linear, code, size)) {
			say(d, "%016llx: (no memory)\n", (ull)linear);
			if (length)
				*length = 0;
			return;
		}
	}
	n = disassemble(d, cpu, code_bits(cpu, kind), linear, code, size, text, sizeof(text), &call);
	say(d, "%016llx%s: ", (ull)linear, symbol_text(d, cpu, linear, symbol, sizeof(symbol)));
	for (unsigned i = 0; i < (n ? n : 1); i++)
		say(d, "%02x", code[i]);
	say(d, "%*s%s\n", (int)(n < 10 ? (10 - n) * 2 : 0) + 1, "", text);
	if (length)
		*length = n ? n : 1;
}
