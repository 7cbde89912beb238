/*
 * gdb's remote protocol: gdb manual, "GDB Remote Serial Protocol". Processors are threads 1.. of one process.
 *
 * The stub speaks when the machine is stopped; while it runs, the socket is looked at whenever host input is polled. Breakpoints are the
 * debugger's own, so memory never holds int3. The architecture is x86-64 in every mode.
 */
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bus/input.h"
#include "cpu/flags.h"
#include "cpu/lapic.h"
#include "debugger/internal.h"

#define PACKET 0x4000

struct gdb {
	struct input_source source;
	int listener, client;
	bool no_ack, resumed;
	u8 in[PACKET + 16];
	size_t in_at, in_end;
	char packet[PACKET + 1], reply[PACKET * 2 + 16];
	size_t length; /* of packet */
};

/* --- registers, in the order of the target description --- */

enum register_kind { KIND_GENERAL, KIND_RIP, KIND_FLAGS, KIND_SEGMENT, KIND_ST, KIND_X87, KIND_XMM, KIND_MXCSR, KIND_YMMH, KIND_BASE, KIND_SYSTEM };
static const struct gdb_register {
	const char *name, *type;
	u8 bits, kind, index;
	const char *feature; /* begins here */
} registers[] = {
	{"rax", "int64", 64, KIND_GENERAL, RAX, "org.gnu.gdb.i386.core"},
	{"rbx", "int64", 64, KIND_GENERAL, RBX, NULL},
	{"rcx", "int64", 64, KIND_GENERAL, RCX, NULL},
	{"rdx", "int64", 64, KIND_GENERAL, RDX, NULL},
	{"rsi", "int64", 64, KIND_GENERAL, RSI, NULL},
	{"rdi", "int64", 64, KIND_GENERAL, RDI, NULL},
	{"rbp", "data_ptr", 64, KIND_GENERAL, RBP, NULL},
	{"rsp", "data_ptr", 64, KIND_GENERAL, RSP, NULL},
#define GENERAL(n) {"r" #n, "int64", 64, KIND_GENERAL, n, NULL}
	GENERAL(8), GENERAL(9), GENERAL(10), GENERAL(11), GENERAL(12), GENERAL(13), GENERAL(14), GENERAL(15),
	{"rip", "code_ptr", 64, KIND_RIP, 0, NULL},
	{"eflags", "int32", 32, KIND_FLAGS, 0, NULL},
	{"cs", "int32", 32, KIND_SEGMENT, CS, NULL},
	{"ss", "int32", 32, KIND_SEGMENT, SS, NULL},
	{"ds", "int32", 32, KIND_SEGMENT, DS, NULL},
	{"es", "int32", 32, KIND_SEGMENT, ES, NULL},
	{"fs", "int32", 32, KIND_SEGMENT, FS, NULL},
	{"gs", "int32", 32, KIND_SEGMENT, GS, NULL},
#define ST(n) {"st" #n, "i387_ext", 80, KIND_ST, n, NULL}
	ST(0), ST(1), ST(2), ST(3), ST(4), ST(5), ST(6), ST(7),
	{"fctrl", "int", 32, KIND_X87, 0, NULL},
	{"fstat", "int", 32, KIND_X87, 1, NULL},
	{"ftag", "int", 32, KIND_X87, 2, NULL},
	{"fiseg", "int", 32, KIND_X87, 3, NULL},
	{"fioff", "int", 32, KIND_X87, 4, NULL},
	{"foseg", "int", 32, KIND_X87, 5, NULL},
	{"fooff", "int", 32, KIND_X87, 6, NULL},
	{"fop", "int", 32, KIND_X87, 7, NULL},
#define XMM(n, feature) {"xmm" #n, "uint128", 128, KIND_XMM, n, feature}
	XMM(0, "org.gnu.gdb.i386.sse"), XMM(1, NULL), XMM(2, NULL), XMM(3, NULL), XMM(4, NULL), XMM(5, NULL), XMM(6, NULL), XMM(7, NULL),
	XMM(8, NULL), XMM(9, NULL), XMM(10, NULL), XMM(11, NULL), XMM(12, NULL), XMM(13, NULL), XMM(14, NULL), XMM(15, NULL),
	{"mxcsr", "int32", 32, KIND_MXCSR, 0, NULL},
#define YMMH(n, feature) {"ymm" #n "h", "uint128", 128, KIND_YMMH, n, feature}
	YMMH(0, "org.gnu.gdb.i386.avx"), YMMH(1, NULL), YMMH(2, NULL), YMMH(3, NULL), YMMH(4, NULL), YMMH(5, NULL), YMMH(6, NULL), YMMH(7, NULL),
	YMMH(8, NULL), YMMH(9, NULL), YMMH(10, NULL), YMMH(11, NULL), YMMH(12, NULL), YMMH(13, NULL), YMMH(14, NULL), YMMH(15, NULL),
	{"fs_base", "int64", 64, KIND_BASE, FS, "org.gnu.gdb.i386.segments"},
	{"gs_base", "int64", 64, KIND_BASE, GS, NULL},
#define SYSTEM(name, feature) {#name, "int64", 64, KIND_SYSTEM, 0, feature}
	SYSTEM(kernel_gs_base, "org.nestbox.i386.system"), SYSTEM(cr0, NULL), SYSTEM(cr2, NULL), SYSTEM(cr3, NULL), SYSTEM(cr4, NULL),
	SYSTEM(cr8, NULL), SYSTEM(efer, NULL), SYSTEM(level, NULL), SYSTEM(vpid, NULL), SYSTEM(eptp, NULL), SYSTEM(icount, NULL),
};

static u64
x87_register(const struct x87 *x, unsigned index)
{
	u32 tags = 0;

	switch (index) {
	case 0: return x->control;
	case 1: return x->status;
	case 2:
		for (unsigned i = 0; i < 8; i++)
			tags |= (x->empty >> i & 1 ? 3u : x->r[i].significand || x->r[i].sign_exponent ? 0u : 1u) << (i * 2);
		return tags;
	case 3: return x->cs;
	case 4: return x->ip;
	case 5: return x->ds;
	case 6: return x->dp;
	default: return x->opcode;
	}
}

/* Up to 16 bytes. */
static void
register_get(struct debugger *d, const struct gdb_register *r, u8 bytes[16])
{
	struct vcpu *cpu = d->cpu;
	const struct fpreg *st;
	u64 value = 0;

	memset(bytes, 0, 16);
	switch ((enum register_kind)r->kind) {
	case KIND_GENERAL: value = cpu->r[r->index]; break;
	/* gdb knows no segments: code addresses are linear. */
	case KIND_RIP: value = linear_rip(cpu); break;
	case KIND_FLAGS: value = cpu_rflags(cpu); break;
	case KIND_SEGMENT: value = cpu->seg[r->index].selector; break;
	case KIND_ST:
		st = &cpu->x87.r[((cpu->x87.status >> 11 & 7) + r->index) & 7];
		memcpy(bytes, &st->significand, 8);
		memcpy(bytes + 8, &st->sign_exponent, 2);
		return;
	case KIND_X87: value = x87_register(&cpu->x87, r->index); break;
	case KIND_XMM: memcpy(bytes, &cpu->vec[r->index].q[0], 16); return;
	case KIND_YMMH: memcpy(bytes, &cpu->vec[r->index].q[2], 16); return;
	case KIND_MXCSR: value = cpu->mxcsr; break;
	case KIND_BASE: value = cpu->seg[r->index].base; break;
	case KIND_SYSTEM: register_read(d, cpu, r->name, &value); break;
	}
	memcpy(bytes, &value, 8);
}

static bool
register_put(struct debugger *d, const struct gdb_register *r, const u8 bytes[16])
{
	struct vcpu *cpu = d->cpu;
	u64 value;

	d->changed = true;
	memcpy(&value, bytes, 8);
	switch ((enum register_kind)r->kind) {
	case KIND_GENERAL: cpu->r[r->index] = value; return true;
	case KIND_RIP:
		cpu->rip = cpu->long64 ? value : (u32)(value - cpu->seg[CS].base);
		cpu->link = NULL;
		return true;
	case KIND_FLAGS: cpu_set_rflags(cpu, (u32)value); return true;
	case KIND_XMM: memcpy(&cpu->vec[r->index].q[0], bytes, 16); return true;
	case KIND_YMMH: memcpy(&cpu->vec[r->index].q[2], bytes, 16); return true;
	default: return false;
	}
}

static char *
target_description(void)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		stop_host_error("out of memory");
	fprintf(out, "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target><architecture>i386:x86-64</architecture>");
	for (unsigned i = 0; i < COUNT(registers); i++) {
		if (registers[i].feature)
			fprintf(out, "%s<feature name=\"%s\">", i ? "</feature>" : "", registers[i].feature);
		fprintf(out, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"/>", registers[i].name, registers[i].bits, registers[i].type);
	}
	fprintf(out, "</feature></target>");
	fclose(out);
	return text;
}

/* --- packets --- */

bool
gdb_connected(const struct debugger *d)
{
	return d->gdb && d->gdb->client >= 0;
}

static void
hang_up(struct debugger *d)
{
	struct breakpoint *b, *next;

	if (d->gdb->client >= 0)
		close(d->gdb->client);
	d->gdb->client = -1;
	for (b = d->breakpoints; b; b = next) {
		next = b->next;
		if (b->gdb)
			breakpoint_delete(d, b);
	}
}

void
gdb_forget(struct debugger *d)
{
	if (d->gdb && d->gdb->client < 0)
		hang_up(d);
}

static void
put_bytes(struct debugger *d, const void *data, size_t size)
{
	const u8 *at = data;

	while (size && d->gdb->client >= 0) {
		ssize_t n = send(d->gdb->client, at, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			hang_up(d);
			return;
		}
		at += n;
		size -= (size_t)n;
	}
}

/* Waits for one byte; -1 when the client is gone. */
static int
get_byte(struct debugger *d)
{
	struct gdb *g = d->gdb;

	while (g->client >= 0 && g->in_at == g->in_end) {
		ssize_t n = recv(g->client, g->in, sizeof(g->in), 0);

		if (n < 0 && errno == EINTR && !d->quit)
			continue;
		if (n <= 0) {
			hang_up(d);
			break;
		}
		g->in_at = 0;
		g->in_end = (size_t)n;
	}
	return g->client >= 0 ? g->in[g->in_at++] : -1;
}

static void
send_packet(struct debugger *d, const char *data, size_t size)
{
	u8 sum = 0;
	char tail[4];

	for (;;) {
		int c;

		sum = 0;
		for (size_t i = 0; i < size; i++)
			sum += (u8)data[i];
		put_bytes(d, "$", 1);
		put_bytes(d, data, size);
		snprintf(tail, sizeof(tail), "#%02x", sum);
		put_bytes(d, tail, 3);
		if (d->gdb->no_ack)
			return;
		while ((c = get_byte(d)) != '+' && c != '-' && c >= 0)
			;
		if (c != '-')
			return;
	}
}

static void
reply(struct debugger *d, const char *text)
{
	send_packet(d, text, strlen(text));
}

static int
hex_digit(int c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Into g->packet, '}' escapes undone. False when the client is gone. */
static bool
get_packet(struct debugger *d)
{
	struct gdb *g = d->gdb;
	int c, high, low;

	for (;;) {
		u8 sum = 0;
		size_t n = 0;

		while ((c = get_byte(d)) != '$')
			if (c < 0)
				return false;
		while ((c = get_byte(d)) != '#' && c >= 0) {
			sum += (u8)c;
			if (c == '}') {
				c = get_byte(d);
				sum += (u8)c;
				c ^= 0x20;
			}
			if (n < PACKET)
				g->packet[n++] = (char)c;
		}
		high = hex_digit(get_byte(d));
		low = hex_digit(get_byte(d));
		if (g->client < 0)
			return false;
		g->packet[n] = 0;
		g->length = n;
		if (g->no_ack)
			return true;
		if (high >= 0 && low >= 0 && high * 16 + low == sum) {
			put_bytes(d, "+", 1);
			return true;
		}
		put_bytes(d, "-", 1);
	}
}

static void
put_hex(char *to, const u8 *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		sprintf(to + i * 2, "%02x", bytes[i]);
}

/* Returns how many bytes the digits at `from` make. */
static size_t
get_hex(const char *from, u8 *bytes, size_t room)
{
	size_t n = 0;

	while (n < room && hex_digit(from[0]) >= 0 && hex_digit(from[1]) >= 0) {
		bytes[n++] = (u8)(hex_digit(from[0]) << 4 | hex_digit(from[1]));
		from += 2;
	}
	return n;
}

/* --- answers --- */

static void
stop_reply(struct debugger *d)
{
	char text[120], *end = text;
	int signal = d->stop == STOP_INTERRUPT ? 2 : 5;

	if (d->ended) {
		reply(d, "W00");
		return;
	}
	end += sprintf(end, "T%02xthread:%x;", signal, d->cpu->index + 1);
	if (d->at_beginning)
		sprintf(end, "replaylog:begin;");
	else if (d->stop == STOP_WATCH)
		sprintf(end, "%s:%llx;", d->stop_write ? "watch" : "rwatch", (ull)d->stop_address);
	else if (d->stop == STOP_BREAKPOINT && d->stop_at && d->stop_at->gdb)
		sprintf(end, d->stop_at->hardware ? "hwbreak:;" : "swbreak:;");
	reply(d, text);
}

static void
read_registers(struct debugger *d)
{
	char *to = d->gdb->reply;
	u8 bytes[16];

	for (unsigned i = 0; i < COUNT(registers); i++) {
		register_get(d, &registers[i], bytes);
		put_hex(to, bytes, registers[i].bits / 8);
		to += registers[i].bits / 4;
	}
	reply(d, d->gdb->reply);
}

static void
write_registers(struct debugger *d, const char *from)
{
	u8 bytes[16] = {0};

	for (unsigned i = 0; i < COUNT(registers); i++) {
		unsigned size = registers[i].bits / 8;

		if (get_hex(from, bytes, size) < size)
			break;
		register_put(d, &registers[i], bytes);
		from += size * 2;
	}
	reply(d, "OK");
}

static void
one_register(struct debugger *d, const char *at, bool write)
{
	char *end;
	unsigned long n = strtoul(at, &end, 16);
	u8 bytes[16] = {0};

	if (n >= COUNT(registers)) {
		reply(d, "E01");
	} else if (write) {
		get_hex(*end == '=' ? end + 1 : end, bytes, registers[n].bits / 8);
		reply(d, register_put(d, &registers[n], bytes) ? "OK" : "E01");
	} else {
		register_get(d, &registers[n], bytes);
		put_hex(d->gdb->reply, bytes, registers[n].bits / 8);
		reply(d, d->gdb->reply);
	}
}

/* m ADDR,LENGTH: as much as is there. */
static void
read_memory(struct debugger *d, const char *at)
{
	char *end;
	u64 address = strtoull(at, &end, 16), length = *end == ',' ? strtoull(end + 1, NULL, 16) : 0, done = 0;
	u8 byte;

	length = MIN(length, PACKET / 2 - 16);
	while (done < length && d_peek(d, d->cpu, ADDRESS_LINEAR, address + done, &byte, 1)) {
		put_hex(d->gdb->reply + done * 2, &byte, 1);
		done++;
	}
	d->gdb->reply[done * 2] = 0;
	reply(d, done || !length ? d->gdb->reply : "E14");
}

/* Bytes of a reply, those with a meaning in packets escaped. */
static char *
put_binary(char *to, const u8 *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		bool special = bytes[i] == '#' || bytes[i] == '$' || bytes[i] == '}' || bytes[i] == '*';

		if (special)
			*to++ = '}';
		*to++ = (char)(special ? bytes[i] ^ 0x20 : bytes[i]);
	}
	return to;
}

/* x ADDR,LENGTH: 'b' and as many bytes as are there. */
static void
read_binary(struct debugger *d, const char *at)
{
	char *end, *to = d->gdb->reply;
	u64 address = strtoull(at, &end, 16), length = *end == ',' ? strtoull(end + 1, NULL, 16) : 0, done = 0;
	u8 byte;

	length = MIN(length, PACKET / 2 - 16);
	*to++ = 'b';
	while (done < length && d_peek(d, d->cpu, ADDRESS_LINEAR, address + done, &byte, 1)) {
		to = put_binary(to, &byte, 1);
		done++;
	}
	if (done || !length)
		send_packet(d, d->gdb->reply, (size_t)(to - d->gdb->reply));
	else
		reply(d, "E14");
}

/* M ADDR,LENGTH:HEX and X ADDR,LENGTH:BYTES */
static void
write_memory(struct debugger *d, const char *at, bool binary)
{
	char *end;
	u64 address = strtoull(at, &end, 16), length = *end == ',' ? strtoull(end + 1, &end, 16) : 0;
	const char *data = end + 1;
	u8 *bytes = (u8 *)d->gdb->reply;
	size_t have;

	if (*end != ':') {
		reply(d, "E01");
		return;
	}
	if (binary) {
		have = d->gdb->length - (size_t)(data - d->gdb->packet);
		memcpy(bytes, data, have);
	} else {
		have = get_hex(data, bytes, PACKET);
	}
	if (have < length || length > PACKET)
		reply(d, "E01");
	else
		reply(d, !length || d_poke(d, d->cpu, ADDRESS_LINEAR, address, bytes, (unsigned)length) ? "OK" : "E14");
}

/* Z and z TYPE,ADDR,KIND */
static void
set_breakpoint(struct debugger *d, const char *at, bool insert)
{
	char *end;
	unsigned type = (unsigned)(*at - '0');
	u64 address = at[1] == ',' ? strtoull(at + 2, &end, 16) : 0, size = at[1] == ',' && *end == ',' ? strtoull(end + 1, NULL, 16) : 1;
	struct breakpoint b = {.kind = type < 2 ? BREAK_EXECUTE : BREAK_ACCESS,
			       .first = address,
			       .last = address + (type < 2 ? 0 : MAX(size, 1) - 1),
			       .gdb = true,
			       .hardware = type == 1,
			       .on_write = type == 2 || type == 4,
			       .on_read = type == 3 || type == 4};

	if (type > 4) {
		reply(d, "");
		return;
	}
	for (struct breakpoint *old = d->breakpoints; old; old = old->next)
		if (old->gdb && old->kind == b.kind && old->hardware == b.hardware && old->first == b.first && old->last == b.last &&
		    old->on_read == b.on_read && old->on_write == b.on_write) {
			if (!insert)
				breakpoint_delete(d, old);
			reply(d, "OK");
			return;
		}
	if (insert)
		breakpoint_add(d, b);
	reply(d, "OK");
}

/* An answer of which gdb reads a piece: OFFSET,LENGTH at `at`. */
static void
transfer(struct debugger *d, const char *text, const char *at)
{
	char *end, *to = d->gdb->reply;
	size_t size = strlen(text), offset = strtoull(at, &end, 16), length = *end == ',' ? strtoull(end + 1, NULL, 16) : 0;

	length = MIN(length, PACKET / 2);
	offset = MIN(offset, size);
	*to++ = offset + length >= size ? 'l' : 'm';
	to = put_binary(to, (const u8 *)text + offset, MIN(length, size - offset));
	send_packet(d, d->gdb->reply, (size_t)(to - d->gdb->reply));
}

/* monitor COMMAND */
static void
monitor(struct debugger *d, const char *hex)
{
	const struct command *c;
	char line[1024], *text;
	size_t n = get_hex(hex, (u8 *)line, sizeof(line) - 1);

	line[n] = 0;
	c = command_find(line, strcspn(line, " \t/"));
	text = c && c->flags & RUNS ? error_string("gdb runs the machine: use its own commands\n") : capture_line(d, line);
	for (size_t at = 0, size = strlen(text); at < size; at += PACKET / 4) {
		size_t part = MIN(size - at, PACKET / 4);

		d->gdb->reply[0] = 'O';
		put_hex(d->gdb->reply + 1, (const u8 *)text + at, part);
		reply(d, d->gdb->reply);
	}
	free(text);
	reply(d, "OK");
}

static void
select_thread(struct debugger *d, const char *at)
{
	long n = strtol(at, NULL, 16);

	if (n > (long)d->cpus->count) {
		reply(d, "E01");
		return;
	}
	if (n > 0)
		d->cpu = d->cpus->cpu[n - 1];
	reply(d, "OK");
}

static void
query(struct debugger *d, const char *p)
{
	char *text;
	unsigned long n;

	if (!strncmp(p, "qSupported", 10)) {
		snprintf(d->gdb->reply, PACKET,
			 "PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;vContSupported+;swbreak+;hwbreak+;binary-upload+;"
			 "ReverseStep+;ReverseContinue+",
			 PACKET);
		reply(d, d->gdb->reply);
	} else if (!strncmp(p, "qXfer:features:read:target.xml:", 31)) {
		text = target_description();
		transfer(d, text, p + 31);
		free(text);
	} else if (!strcmp(p, "qAttached") || !strncmp(p, "qAttached:", 10)) {
		reply(d, "1");
	} else if (!strcmp(p, "qC")) {
		snprintf(d->gdb->reply, PACKET, "QC%x", d->cpu->index + 1);
		reply(d, d->gdb->reply);
	} else if (!strcmp(p, "qfThreadInfo")) {
		char *to = d->gdb->reply;

		for (unsigned i = 0; i < d->cpus->count; i++)
			to += sprintf(to, "%c%x", i ? ',' : 'm', i + 1);
		reply(d, d->gdb->reply);
	} else if (!strcmp(p, "qsThreadInfo")) {
		reply(d, "l");
	} else if (!strncmp(p, "qThreadExtraInfo,", 17)) {
		char name[64];

		n = strtoul(p + 17, NULL, 16);
		if (n < 1 || n > d->cpus->count) {
			reply(d, "E01");
			return;
		}
		snprintf(name, sizeof(name), "cpu %lu L%d%s", n - 1, level_of(d->cpus->cpu[n - 1]),
			 d->cpus->cpu[n - 1]->activity == ACTIVITY_ACTIVE ? "" : " halted");
		put_hex(d->gdb->reply, (const u8 *)name, strlen(name));
		reply(d, d->gdb->reply);
	} else if (!strncmp(p, "qRcmd,", 6)) {
		monitor(d, p + 6);
	} else {
		reply(d, "");
	}
}

/* vCont;ACTION[:THREAD];... The first step wins; all processors run. False: there is no such action or thread, nothing has happened. */
static bool
resume(struct debugger *d, const char *at)
{
	struct vcpu *step = NULL;

	do {
		char *end = (char *)at + 2;
		char action = at[0] == ';' ? at[1] : 0;
		long n = 0;

		if (!action || !strchr("cCsS", action))
			return false;
		if (action == 'C' || action == 'S')
			strtoul(end, &end, 16);
		if (*end == ':') {
			at = end + 1;
			n = strtol(at, &end, 16); /* 0: any, -1: all */
			if (end == at || n < -1 || n > (long)d->cpus->count)
				return false;
		}
		if (!step && (action == 's' || action == 'S'))
			step = n > 0 ? d->cpus->cpu[n - 1] : d->cpu;
		at = end;
	} while (*at);
	d->step_cpu = step;
	if (step) {
		d->cpu = step;
		d->steps = 1;
	}
	d->gdb->resumed = true;
	return true;
}

bool
gdb_session(struct debugger *d)
{
	struct gdb *g = d->gdb;

	if (g->resumed)
		stop_reply(d);
	g->resumed = false;
	while (get_packet(d)) {
		const char *p = g->packet;

		switch (*p) {
		case '?': stop_reply(d); break;
		case 'g': read_registers(d); break;
		case 'G': write_registers(d, p + 1); break;
		case 'p': one_register(d, p + 1, false); break;
		case 'P': one_register(d, p + 1, true); break;
		case 'm': read_memory(d, p + 1); break;
		case 'x': read_binary(d, p + 1); break;
		case 'M': write_memory(d, p + 1, false); break;
		case 'X': write_memory(d, p + 1, true); break;
		case 'Z': set_breakpoint(d, p + 1, true); break;
		case 'z': set_breakpoint(d, p + 1, false); break;
		case 'q': query(d, p); break;
		case 'H': select_thread(d, p + 2); break;
		case 'T': {
			unsigned long n = strtoul(p + 1, NULL, 16);

			reply(d, n >= 1 && n <= d->cpus->count ? "OK" : "E01");
			break;
		}
		case 'Q':
			reply(d, strcmp(p, "QStartNoAckMode") ? "" : "OK");
			g->no_ack |= !strcmp(p, "QStartNoAckMode");
			break;
		case 'D':
			reply(d, "OK");
			hang_up(d);
			return false;
		case 'k':
			hang_up(d);
			d->quit = true;
			d->host.quit(d->host.opaque, 0);
			d->ended = true;
			return false;
		case 'b':
			/* bs and bc: "Packets", reverse execution. At once: the machine is stopped. */
			if (p[1] != 's' && p[1] != 'c') {
				reply(d, "");
				break;
			}
			if (p[1] == 's')
				reverse_step(d, d->cpu, 1);
			else
				reverse_continue(d);
			stop_reply(d);
			break;
		case 'c':
		case 's':
			resume(d, *p == 's' ? ";s" : ";c");
			return true;
		case 'v':
			if (!strcmp(p, "vCont?")) {
				reply(d, "vCont;c;C;s;S");
			} else if (!strncmp(p, "vCont;", 6)) {
				if (resume(d, p + 5))
					return true;
				reply(d, "E01");
			} else if (!strncmp(p, "vKill", 5)) {
				reply(d, "OK");
				hang_up(d);
				d->quit = d->ended = true;
				d->host.quit(d->host.opaque, 0);
				return false;
			} else {
				reply(d, "");
			}
			break;
		default: reply(d, ""); break;
		}
	}
	return false;
}

/* --- the socket --- */

static void
take_client(struct debugger *d)
{
	struct gdb *g = d->gdb;
	int on = 1;

	g->client = accept(g->listener, NULL, NULL);
	if (g->client < 0)
		return;
	setsockopt(g->client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	g->no_ack = g->resumed = false;
	g->in_at = g->in_end = 0;
}

/* While the machine runs: a new client and Ctrl-C stop it. */
static void
on_poll(void *opaque, u64 now)
{
	struct debugger *d = opaque;
	struct gdb *g = d->gdb;
	struct pollfd fd = {.fd = g->client >= 0 ? g->client : g->listener, .events = POLLIN};
	u8 byte;
	ssize_t n;

	(void)now;
	/* What came in one piece with the packet that let the machine run. */
	for (; g->client >= 0 && g->in_at < g->in_end && g->in[g->in_at] == 3; g->in_at++)
		debugger_interrupt(d);
	if (poll(&fd, 1, 0) <= 0)
		return;
	if (g->client < 0) {
		take_client(d);
		if (g->client >= 0)
			debugger_interrupt(d);
		return;
	}
	n = recv(g->client, &byte, 1, MSG_DONTWAIT);
	if (n == 0) {
		/* Its breakpoints go before the machine runs on: gdb_forget(). */
		close(g->client);
		g->client = -1;
		debugger_interrupt(d);
	} else if (n == 1 && byte == 3) {
		debugger_interrupt(d);
	}
}

char *
debugger_listen(struct debugger *d, const char *where)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	const char *colon = strrchr(where, ':'), *port = colon ? colon + 1 : where;
	char *host = colon && colon > where ? error_string("%.*s", (int)(colon - where), where) : NULL, *error = NULL;
	struct addrinfo *found;
	int on = 1, fd, what;

	/* Without a host, only this machine: a debugger is nobody else's business. */
	what = getaddrinfo(host ? host : "localhost", port, &hints, &found);
	free(host);
	if (what)
		return error_string("-gdb %s: %s", where, gai_strerror(what));
	fd = socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, found->ai_protocol);
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, 1) < 0)
		error = error_string("-gdb %s: %s", where, strerror(errno));
	freeaddrinfo(found);
	if (error) {
		if (fd >= 0)
			close(fd);
		return error;
	}
	d->gdb = calloc(1, sizeof(*d->gdb));
	if (!d->gdb)
		stop_host_error("out of memory");
	d->gdb->listener = fd;
	d->gdb->client = -1;
	d->gdb->source = (struct input_source){.name = "gdb", .poll = on_poll, .opaque = d, .fd = fd};
	input_add(d->input, &d->gdb->source);
	return NULL;
}

void
debugger_serve(struct debugger *d, bool start_stopped)
{
	struct gdb *g = d->gdb;

	while (start_stopped && g->client < 0)
		take_client(d);
	while (!d->ended) {
		if (g->client >= 0)
			gdb_session(d);
		if (!d->ended)
			d_run(d);
	}
	if (g->client >= 0 && g->resumed)
		stop_reply(d);
}

void
gdb_free(struct debugger *d)
{
	if (!d->gdb)
		return;
	hang_up(d);
	close(d->gdb->listener);
	free(d->gdb);
	d->gdb = NULL;
}
