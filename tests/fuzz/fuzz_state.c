/*
 * Crafted snapshots: the state of a machine at work, with wild bytes in random sections, below the checksums of the file. Refused, or harmless.
 *
 * The machine: two processors, one of them in VMX non-root operation with EPT, and the whole board with e1000, virtio network and disk, IDE, VGA.
 * Each changed state is loaded in a process of its own, and when it is accepted runs there with random accesses to all devices.
 *     fuzz_state [CASES [FIRST_SEED]]
 * What must hold: no crash, no end by the sanitizers, no host error, an end within SECONDS.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/vmx_fixture.h"

#include "base/log.h"
#include "base/snapshot.h"
#include "bus/block.h"
#include "bus/chardev.h"
#include "devices/vga.h"
#include "machine/pc.h"

#define CASES_OF_A_MACHINE 20
#define SECTIONS 64
#define SECTION_MARK 0x6365736eu
#define SECTION_HEAD 12u
#define DISK_SECTORS 2048u
#define BEAT 200        /* cycles between accesses to devices */
#define WARM_BEATS 300  /* before the state is taken */
#define TEST_BEATS 60   /* after a changed one is loaded */
#define SECONDS 5
enum outcome { REFUSED = 20, ACCEPTED, FAILED = 99 };

struct board {
	struct vmx_fixture f;
	struct config config;
	struct machine_control control;
	struct chardev com;
	struct packet_link cable[2];
	struct block disk[2];
	struct pc *pc;
	struct event beat, enough;
	unsigned beats;
	u64 chance;
};

static u8 disk_bytes[2][DISK_SECTORS * BLOCK_SECTOR];

/* Of the sanitizers, if there are any. */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
	return "exitcode=99:detect_leaks=0";
}

static u64
chance(struct board *b, u64 bound)
{
	b->chance = b->chance * 6364136223846793005u + 1442695040888963407u;
	return (b->chance >> 20) % bound;
}

/* --- what the board is plugged into --- */

static void
asked(void *opaque, const char *who)
{
	(void)opaque, (void)who;
}

static void
asked_smi(void *opaque)
{
	cpu_request(((struct board *)opaque)->f.cpu, PEND_SMI);
}

static void
asked_flag(void *opaque, bool on)
{
	(void)opaque, (void)on;
}

static void
asked_exit(void *opaque, int status)
{
	(void)opaque, (void)status;
}

static void
com_write(struct chardev *c, const u8 *data, size_t size)
{
	(void)c, (void)data, (void)size;
}

static void
transmit(void *opaque, const u8 *frame, size_t size)
{
	volatile u8 sum = 0;

	(void)opaque;
	for (size_t i = 0; i < size; i++)
		sum = (u8)(sum + frame[i]);
}

static bool
on_disk(u64 sector, u32 count)
{
	return count <= DISK_SECTORS && sector <= DISK_SECTORS - count;
}

static int
disk_read(void *host, u64 sector, u32 count, u8 *buffer)
{
	if (!on_disk(sector, count))
		return -1;
	memcpy(buffer, (u8 *)host + sector * BLOCK_SECTOR, count * BLOCK_SECTOR);
	return 0;
}

static int
disk_write(void *host, u64 sector, u32 count, const u8 *buffer)
{
	if (!on_disk(sector, count))
		return -1;
	memcpy((u8 *)host + sector * BLOCK_SECTOR, buffer, count * BLOCK_SECTOR);
	return 0;
}

static int
disk_flush(void *host)
{
	(void)host;
	return 0;
}

/* --- software that does anything --- */

static const u16 ports[] = {0x20, 0xa0, 0x40, 0x60, 0x70, 0x3f8, 0x600, 0xb2, 0xcf8, 0x92, 0x510,
			    0x1f0, 0x170, 0x3c0, 0x1ce, 0x00, 0x80, 0xc0, 0x4d0};

static void
access_port(struct board *b, u16 port, unsigned size)
{
	if (chance(b, 2))
		ports_write(b->f.ports, port, size, (u32)chance(b, 1ull << 32));
	else
		ports_read(b->f.ports, port, size);
}

static void
access_memory(struct board *b, u64 address, unsigned size)
{
	address &= ~(u64)(size - 1);
	if (chance(b, 2))
		memory_write(b->f.memory, address, size, chance(b, 3) ? chance(b, 1 << 20) : chance(b, 1ull << 40));
	else
		memory_read(b->f.memory, address, size);
}

/* One of the resources of a PCI function. */
static void
access_function(struct board *b)
{
	unsigned devfn = (unsigned)chance(b, 8) << 3, bar;

	if (devfn == 8)
		devfn += (unsigned)chance(b, 4);
	ports_write(b->f.ports, 0xcf8, 4, 0x80000000 | devfn << 8 | 4);
	ports_write(b->f.ports, 0xcfc, 2, 7);
	ports_write(b->f.ports, 0xcf8, 4, 0x80000000 | devfn << 8 | (0x10 + (unsigned)chance(b, 6) * 4));
	bar = ports_read(b->f.ports, 0xcfc, 4);
	if (bar == 0 || bar == ~0u)
		return;
	if (bar & 1)
		access_port(b, (u16)((bar & ~3u) + chance(b, 64)), 1u << chance(b, 3));
	else
		access_memory(b, (bar & ~15u) + chance(b, chance(b, 2) ? 0x100 : 0x6000), chance(b, 2) ? 4 : 1u << chance(b, 4));
}

static void
look_at_screen(struct board *b)
{
	struct display *d = &b->pc->vga->display;
	unsigned width, height;
	u32 *pixels;

	d->size(d->adapter, &width, &height);
	assert_true(width <= DISPLAY_MAX_WIDTH && height <= DISPLAY_MAX_HEIGHT);
	pixels = malloc((size_t)width * height * 4 + 1);
	d->draw(d->adapter, pixels, true);
	free(pixels);
	free(d->text(d->adapter));
}

static void
receive_frame(struct packet_link *link)
{
	static const u8 frame[200] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52};

	if (link->receive)
		link->receive(link->card, frame, sizeof(frame));
}

static void
beat(void *opaque, u64 now)
{
	struct board *b = opaque;

	event_arm(b->f.events, &b->beat, now + BEAT);
	for (unsigned i = 0; i < 8; i++) {
		u64 what = chance(b, 16);

		if (what < 5)
			access_port(b, (u16)(ports[chance(b, COUNT(ports))] + chance(b, 16)), 1);
		else if (what < 13)
			access_function(b);
		else if (what < 14)
			access_memory(b, 0xa0000 + chance(b, 0x20000), 1u << chance(b, 3));
		else if (what < 15)
			access_memory(b, chance(b, 2) ? 0xfed00000 + chance(b, 0x180) : 0xfec00000 + chance(b, 2) * 16, 4);
		else
			receive_frame(&b->cable[chance(b, 2)]);
	}
	if (b->beats-- == 0)
		b->f.cpus->stop = true;
}

/* A slice that was loaded may be long. */
static void
enough(void *opaque, u64 now)
{
	(void)now;
	((struct board *)opaque)->f.cpus->stop = true;
}

static void
run_beats(struct board *b, unsigned beats)
{
	b->beats = beats;
	event_arm(b->f.events, &b->beat, events_now(b->f.events) + 1);
	event_arm_icount(b->f.events, &b->enough, cpus_icount(b->f.cpus) + beats * BEAT * 3);
	cpus_run(b->f.cpus);
	event_disarm(b->f.events, &b->enough);
}

/* --- the machine --- */

static void
board_processors(struct board *b)
{
	struct vmx_fixture *f = &b->f;
	struct vcpu *second;

	cpus_free(f->cpus);
	f->cpus = cpus_new(2, &f->model, f->memory, f->ports, f->events, &f->bus, &b->control, 1);
	f->cpu = f->cpus->cpu[0];
	f->v = &f->cpu->vmx->vmcs;
	second = f->cpus->cpu[1];
	second->activity = ACTIVITY_ACTIVE;
	second->seg[CS].base = second->seg[CS].selector = 0;
	second->rip = 0x500;
	second->r[RSP] = 0x700;
	second->r[RSI] = second->r[RDI] = 0x5000;
	cpu_mode_changed(second);
}

static void
board_software(struct board *b)
{
	struct vmx_fixture *f = &b->f;
	/* PUSH; POP; LODSB; STOSB; OUT 80h, AL; JMP back */
	static const u8 second[] = {0x50, 0x58, 0xac, 0xaa, 0xe6, 0x80, 0xeb, 0xf8};

	dma_write(f->memory, 0x500, second, sizeof(second));
	fixture_root(f);
	fixture_ept(f);
	f->v->pin_controls |= (u32)(VMX_MASK(PIN, PREEMPTION_TIMER) | VMX_MASK(PIN, NMI_EXITING));
	f->v->preemption_timer_value = 1000;
	/* VMRESUME; JMP back */
	poke(f, HOST_CODE, 8, 0xfbebc3010f);
	/* INC RAX; PUSH; POP; RDTSC; MOVAPS; FLD1; FSTP; JMP back */
	CODE(f, "\x48\xff\xc0\x50\x58\x0f\x31\x0f\x28\xc1\xd9\xe8\xdd\xd8\xeb\xf0");
	poke(f, HOST_CODE, 8, 0xfbebc3010f);
	fixture_enter(f);
}

static struct board *
board_new(u64 seed)
{
	struct board *b = calloc(1, sizeof(*b));
	struct pc_sockets sockets;
	char *error = NULL;

	b->chance = seed * 0x9e3779b97f4a7c15u | 1;
	fixture_make(&b->f, "max");
	b->control = (struct machine_control){.reset = asked, .init = asked, .a20 = asked_flag, .ignne = asked_flag, .smi = asked_smi,
		.power_off = asked, .suspend = asked, .wake = asked, .exit = asked_exit, .opaque = b};
	board_processors(b);
	b->config.cpus = 2;
	b->config.kernel = (char *)"kernel";
	b->config.vga = true;
	b->config.nics = 2;
	b->config.nic[0] = (struct config_nic){.model = NIC_E1000, .mac = {0x52, 0x54}, .slot = -1};
	b->config.nic[1] = (struct config_nic){.model = NIC_VIRTIO, .mac = {0x52, 0x55}, .slot = -1};
	b->config.drive[CONFIG_IDE_DRIVES].slot = -1;
	b->com.write = com_write;
	for (unsigned i = 0; i < 2; i++) {
		b->cable[i] = (struct packet_link){.transmit = transmit, .up = true};
		b->disk[i] = (struct block){disk_read, disk_write, disk_flush, disk_bytes[i], DISK_SECTORS, false};
	}
	sockets = (struct pc_sockets){
		.memory = b->f.memory,
		.ports = b->f.ports,
		.events = b->f.events,
		.apic_bus = &b->f.bus,
		.intr = {cpus_set_intr, b->f.cpus, 0},
		.control = &b->control,
		.serial = {&b->com},
		.link = {&b->cable[0], &b->cable[1]},
	};
	sockets.drive[0] = &b->disk[0];
	sockets.drive[CONFIG_IDE_DRIVES] = &b->disk[1];
	b->pc = pc_new(&b->config, &sockets, &error);
	if (!b->pc)
		fail_msg("%s", error);
	pc_reset(b->pc);
	event_init(&b->beat, "beat", EVENT_DEVICE, beat, b);
	event_init(&b->enough, "enough", EVENT_STOP, enough, b);
	board_software(b);
	run_beats(b, WARM_BEATS);
	return b;
}

static void
board_free(struct board *b)
{
	pc_free(b->pc);
	fixture_free(&b->f);
	free(b);
}

static void
visit(void *opaque, struct state *s)
{
	struct board *b = opaque;

	memory_state(b->f.memory, s);
	cpus_state(b->f.cpus, s);
	pc_state(b->pc, s);
}

/* --- cases --- */

struct saved {
	u8 *data;
	size_t size;
	size_t section[SECTIONS + 1]; /* where the contents begin */
	unsigned sections;
};

static struct saved
save(struct board *b)
{
	struct saved s = {0};

	s.data = state_save(visit, b, &s.size);
	for (size_t at = 0; at + SECTION_HEAD <= s.size && s.sections < SECTIONS; at++) {
		u32 head[3];

		memcpy(head, s.data + at, sizeof(head));
		if (head[0] == SECTION_MARK && head[2] < 30)
			s.section[s.sections++] = at + SECTION_HEAD + head[2];
	}
	s.section[s.sections] = s.size;
	return s;
}

static void
damage(struct board *b, struct saved *s)
{
	static const u64 wild[] = {0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 1ull << 63, ~0ull};

	for (u64 n = 1 + chance(b, 6); n; n--) {
		unsigned section = (unsigned)chance(b, s->sections);
		size_t from = s->section[section], to = s->section[section + 1];
		u64 value = chance(b, 2) ? wild[chance(b, COUNT(wild))] : chance(b, 1ull << 40);
		size_t at, size = (size_t)1 << chance(b, 4);

		if (section + 1 < s->sections)
			to -= SECTION_HEAD; /* of the next, whose name's damage would only be refused; a part of it stays in reach */
		if (to <= from)
			continue;
		at = from + chance(b, chance(b, 3) ? MIN(to - from, 1024u) : to - from);
		if (chance(b, 3) == 0)
			s->data[at] ^= (u8)BIT(chance(b, 8));
		else
			memcpy(s->data + at, &value, MIN(size, to - at));
	}
}

static _Noreturn void
child(struct board *b, struct saved *s, bool verbose)
{
	char *error;

	alarm(SECONDS);
	damage(b, s);
	error = state_load(visit, b, s->data, s->size);
	if (error && verbose)
		fprintf(stderr, "%s\n", error);
	if (error)
		_exit(REFUSED);
	run_beats(b, TEST_BEATS);
	look_at_screen(b);
	_exit(ACCEPTED);
}

int
main(int argc, char **argv)
{
	unsigned long cases = argc > 1 ? strtoul(argv[1], NULL, 0) : 200, first = argc > 2 ? strtoul(argv[2], NULL, 0) : 200;
	unsigned long refused = 0, accepted = 0, stopped = 0, failed = 0;
	struct board *b = NULL;
	struct saved s = {0};

	free((char *)log_configure("error"));
	for (unsigned long seed = first; seed < first + cases; seed++) {
		int status;
		pid_t pid;

		if (!b || seed % CASES_OF_A_MACHINE == 0) {
			if (b)
				board_free(b);
			free(s.data);
			b = board_new(seed / CASES_OF_A_MACHINE);
			s = save(b);
		}
		fflush(NULL);
		b->chance = seed * 0x9e3779b97f4a7c15u | 1;
		pid = fork();
		if (pid == 0)
			child(b, &s, cases == 1);
		waitpid(pid, &status, 0);
		if (WIFEXITED(status) && WEXITSTATUS(status) == REFUSED)
			refused++;
		else if (WIFEXITED(status) && WEXITSTATUS(status) == ACCEPTED)
			accepted++;
		else if (WIFEXITED(status) && WEXITSTATUS(status) == 4)
			stopped++; /* by stop_unimplemented(): what the software wanted is not modelled */
		else {
			failed++;
			printf("seed %lu: %s %d\n", seed, WIFSIGNALED(status) ? "signal" : "status",
			       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		}
	}
	printf("%lu states: %lu refused, %lu ran, %lu met what is not modelled, %lu failed\n", cases, refused, accepted, stopped, failed);
	board_free(b);
	free(s.data);
	/* Both must happen. */
	return failed || !refused || !accepted;
}
