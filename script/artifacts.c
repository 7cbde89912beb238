/*
 * What a failed scenario leaves in a folder: for each machine serial logs, the last exits, registers, VMCS, the screen, counters, and a capsule that
 * runs it again (if no disk changes; what the scenario itself wrote into the machine is not in it); and the message.
 * Best effort: what cannot be written is named and does not hide the failure.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/stop.h"
#include "cpu/vcpu.h"
#include "debugger/debugger.h"
#include "devices/vga.h"
#include "machine/pc.h"
#include "machine/record.h"
#include "machine/screendump.h"
#include "script/internal.h"

static FILE *
create(const char *folder, const char *name)
{
	char *path = error_string("%s/%s", folder, name);
	FILE *file = fopen(path, "wb");

	if (!file)
		fprintf(stderr, "nestbox: %s: %s\n", path, strerror(errno));
	free(path);
	return file;
}

static void
write_text(const char *folder, const char *name, const void *text, size_t size)
{
	FILE *file = create(folder, name);

	if (!file)
		return;
	fwrite(text, 1, size, file);
	if (fclose(file) != 0)
		fprintf(stderr, "nestbox: %s/%s: %s\n", folder, name, strerror(errno));
}

static void
write_commands(struct subject *s, const char *folder, const char *name, const char *const *commands)
{
	FILE *file = create(folder, name);
	bool failed;

	if (!file)
		return;
	for (; *commands; commands++) {
		char *text = debugger_execute(s->machine->debugger, *commands, &failed);

		fprintf(file, "(nestbox) %s\n%s\n", *commands, text);
		free(text);
	}
	fclose(file);
}

static void
write_state(struct subject *s, const char *folder)
{
	const unsigned cpus = s->machine->cpus->count;
	const struct vcpu *selected = debugger_selected(s->machine->debugger);
	char select[32];

	for (unsigned i = 0; i < cpus; i++) {
		const char *const commands[] = {select, "regs all", "disasm rip 16", "backtrace", "info vmcs", "vmcs check", NULL};
		char name[32];

		snprintf(select, sizeof(select), "cpu %u", i);
		snprintf(name, sizeof(name), "cpu%u.txt", i);
		write_commands(s, folder, name, commands);
	}
	snprintf(select, sizeof(select), "cpu %u", selected->index);
	const char *const rest[] = {select, "info cpus", "info exits", "exits 200", "why", NULL};
	write_commands(s, folder, "exits.txt", rest);
	const char *const board[] = {"hash", "info lapic", "info ioapic", "info pic", "info pci", "info e1000", NULL};
	write_commands(s, folder, "board.txt", board);
}

static void
write_machine(struct subject *s, const char *folder)
{
	FILE *file = create(folder, "stats.json");
	char name[] = "serial0.log";

	if (file) {
		machine_write_stats(s->machine, file);
		fclose(file);
	}
	file = create(folder, "machine.ini");
	if (file) {
		config_print(s->config, file);
		fclose(file);
	}
	for (unsigned i = 0; i < CONFIG_SERIALS; i++) {
		name[6] = (char)('0' + i);
		if (s->serial[i].watched)
			write_text(folder, name, s->serial[i].text ? s->serial[i].text : "", s->serial[i].size);
	}
	if (s->machine->config->vga) {
		static const char *const screens[] = {"screen.png", "screen.txt"};

		for (unsigned i = 0; i < COUNT(screens); i++) {
			char *path = error_string("%s/%s", folder, screens[i]);
			char *error = screendump(&s->machine->pc->vga->display, path);

			if (error)
				fprintf(stderr, "nestbox: %s\n", error);
			free(error);
			free(path);
		}
	}
	write_state(s, folder);
}

static void
on_turns_over(void *opaque, u64 now)
{
	struct subject *s = opaque;

	(void)now;
	debugger_stop(s->machine->debugger);
}

static char *
capsule_name(const struct scenario *scenario, unsigned number)
{
	return error_string("%s/machine%u.capsule", scenario->config->artifacts, number);
}

void
artifacts_prepare(struct subject *s)
{
	struct config *config = s->config;

	if (!s->scenario->config->artifacts || config->record || config->replay)
		return;
	for (unsigned i = 0; i < CONFIG_DRIVES; i++)
		if (config->drive[i].file && !config->drive[i].cdrom && !config->drive[i].snapshot)
			return;
	mkdir(s->scenario->config->artifacts, 0777);
	s->capsule = config->record = capsule_name(s->scenario, s->number);
}

void
artifacts_drop(struct scenario *scenario)
{
	if (!scenario->config->artifacts)
		return;
	for (struct subject *s = scenario->subjects; s; s = s->next)
		if (s->capsule)
			record_free(s->machine);
	for (unsigned i = 0; i < scenario->machines; i++) {
		char *name = capsule_name(scenario, i);

		unlink(name);
		free(name);
	}
	/* If nothing else is in it. */
	rmdir(scenario->config->artifacts);
}

/* A replay is stopped by time, which with several processors means: when all have had their turn. */
static void
finish_turns(struct subject *s)
{
	struct machine *machine = s->machine;
	const char *text;
	struct event stop;

	if (!s->capsule || machine->ended || machine->cpus->count == 1)
		return;
	event_init(&stop, "capsule", EVENT_STOP, on_turns_over, s);
	event_arm(machine->events, &stop, events_now(machine->events));
	debugger_run(machine->debugger, &text);
	event_disarm(machine->events, &stop);
}

void
artifacts_write(struct scenario *scenario, const char *folder, const char *message)
{
	if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
		fprintf(stderr, "nestbox: -artifacts %s: %s\n", folder, strerror(errno));
		return;
	}
	write_text(folder, "message.txt", message, strlen(message));
	for (struct subject *s = scenario->subjects; s; s = s->next) {
		char *path = error_string("%s/machine%u", folder, s->number);

		if (mkdir(path, 0777) == 0 || errno == EEXIST)
			write_machine(s, path);
		else
			fprintf(stderr, "nestbox: %s: %s\n", path, strerror(errno));
		free(path);
		/* Last: it moves the machine. The capsule is written when it is closed. */
		finish_turns(s);
	}
}
