/*
 * The console: reading lines (readline on a terminal, plain standard input else), executing them, output through a pager, completion, history.
 * Also making and freeing the debugger.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

#include "debugger/internal.h"

#define NESTED 8
#define HISTORY_LINES 2000

/* readline has no opaque pointers: there is one shell in a process. */
static struct debugger *shell;

void
say(struct debugger *d, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vfprintf(d->out, format, list);
	va_end(list);
}

void
complain(struct debugger *d, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vfprintf(d->out, format, list);
	va_end(list);
	fputc('\n', d->out);
	d->command_failed = true;
}

bool
next_word(const char **at, char *word, size_t size)
{
	size_t length;

	*at += strspn(*at, " \t");
	length = strcspn(*at, " \t");
	if (!length)
		return false;
	snprintf(word, size, "%.*s", (int)length, *at);
	*at += length;
	*at += strspn(*at, " \t");
	return true;
}

/* --- executing --- */

static void
run_script(struct debugger *d, const char *path)
{
	FILE *file = fopen(path, "r");
	char *line = NULL;
	size_t room = 0;

	if (!file) {
		complain(d, "%s: %s", path, strerror(errno));
		return;
	}
	while (!d->quit && getline(&line, &room, file) > 0)
		execute_line(d, line);
	free(line);
	fclose(file);
}

void
execute_line(struct debugger *d, const char *text)
{
	char *line = error_string("%s", text + strspn(text, " \t")), *end = line + strlen(line), word[64];
	const char *at = line;
	const struct command *c;
	size_t length;

	while (end > line && isspace((unsigned char)end[-1]))
		*--end = 0;
	d->command_failed = false;
	if (*line && *line != '#' && d->depth >= NESTED) {
		complain(d, "commands are nested too deeply");
	} else if (*line && *line != '#') {
		/* "x/16gx ADDR": the format belongs to the command. */
		length = strcspn(line, " \t/");
		c = command_find(line, length);
		snprintf(word, sizeof(word), "%.*s", (int)length, line);
		at += length;
		at += strspn(at, " \t");
		d->depth++;
		if (!c)
			complain(d, "'%s' is no command, or the beginning of several (help lists them)", word);
		else if (!strcmp(c->name, "source"))
			run_script(d, at);
		else
			c->run(d, at);
		d->depth--;
	}
	free(line);
}

void
execute_lines(struct debugger *d, const char *lines)
{
	while (*lines && !d->quit) {
		size_t length = strcspn(lines, ";");
		char *line = error_string("%.*s", (int)length, lines);

		execute_line(d, line);
		free(line);
		lines += length + (lines[length] == ';');
	}
}

char *
capture_line(struct debugger *d, const char *line)
{
	FILE *out = d->out;
	char *text = NULL;
	size_t size = 0;

	d->out = open_memstream(&text, &size);
	if (!d->out)
		stop_host_error("out of memory");
	execute_line(d, line);
	fclose(d->out);
	d->out = out;
	return text;
}

/* --- the terminal --- */

static bool
resumes(const char *line)
{
	const struct command *c = command_find(line, strcspn(line, " \t/"));

	return c && c->flags & RUNS;
}

/* Output that is longer than the terminal goes through a pager. */
static void
show(const char *text)
{
	struct winsize size = {.ws_row = 24};
	const char *pager = getenv("PAGER");
	unsigned lines = 0;
	FILE *pipe;

	for (const char *c = text; *c; c++)
		lines += *c == '\n';
	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	if (lines < size.ws_row || size.ws_row == 0) {
		fputs(text, stdout);
		return;
	}
	fflush(stdout);
	pipe = popen(pager && *pager ? pager : "less -FRX", "w");
	if (!pipe) {
		fputs(text, stdout);
		return;
	}
	fputs(text, pipe);
	pclose(pipe);
}

static void
execute_paged(struct debugger *d, const char *line)
{
	char *text;

	/* What runs the machine speaks as it goes. */
	if (resumes(line)) {
		execute_line(d, line);
		fflush(stdout);
		return;
	}
	text = capture_line(d, line);
	show(text);
	free(text);
}

/* What the word under way may become. */
static struct {
	char **text;
	size_t count, room;
} offers;

static void
offer(const char *candidate, const char *word)
{
	if (strncmp(candidate, word, strlen(word)) != 0)
		return;
	if (offers.count == offers.room) {
		offers.room = offers.room ? offers.room * 2 : 64;
		offers.text = realloc(offers.text, offers.room * sizeof(*offers.text));
		if (!offers.text)
			stop_host_error("out of memory");
	}
	offers.text[offers.count++] = error_string("%s", candidate);
}

/* readline frees them. */
static char *
next_offer(const char *word, int number)
{
	(void)word;
	return (size_t)number < offers.count ? offers.text[number] : NULL;
}

static void
offer_commands(const char *word)
{
	const struct command *c;

	for (unsigned i = 0; (c = command_at(i)); i++)
		if (!strchr(c->name, ' '))
			offer(c->name, word);
}

/* The second words of "info". */
static void
offer_subjects(const char *word)
{
	const struct command *c;

	for (unsigned i = 0; (c = command_at(i)); i++)
		if (strchr(c->name, ' '))
			offer(strchr(c->name, ' ') + 1, word);
}

/* Registers, VMCS fields, exit reasons, symbols. */
static void
offer_values(const char *word)
{
	const struct vmcs_field *field;
	const char *name;
	char text[80];

	for (unsigned i = 0; (name = register_name_at(i)); i++)
		offer(name, word);
	for (unsigned i = 0; (field = vmcs_field_at(i)); i++) {
		offer(field->name, word);
		if (strchr(word, '.')) {
			snprintf(text, sizeof(text), "vmcs.%s", field->name);
			offer(text, word);
		}
	}
	for (unsigned i = 0; i < VMX_REASONS; i++)
		if ((name = vmx_reason_name(i)))
			offer(name, word);
	if (strlen(word) >= 3)
		for (unsigned i = 0; (name = symbol_name_at(shell, i)); i++)
			offer(name, word);
}

/* What the word that the cursor is in is by its place: the flags of the command for its first argument, COMMANDS for itself, 0 further on. */
static unsigned
what_is_typed(void)
{
	const char *line = rl_line_buffer + strspn(rl_line_buffer, " \t");
	size_t length = strcspn(line, " \t");
	const struct command *c = command_find(line, strcspn(line, " \t/"));
	const char *cursor = rl_line_buffer + rl_point, *argument = line + length + strspn(line + length, " \t");

	if (cursor <= line + length)
		return COMMANDS;
	return c && cursor <= argument + strcspn(argument, " \t") ? c->flags & (FILES | COMMANDS | SUBJECTS | EVENTS) : 0;
}

/* Names have - in them where no expression can be. */
static char *
word_breaks(void)
{
	static char blanks[] = " \t\n", operators[] = " \t\n\"\\'`@><=;|&{(+-*[,";

	return what_is_typed() ? blanks : operators;
}

static char **
complete(const char *word, int start, int end)
{
	unsigned what = what_is_typed();

	(void)start;
	(void)end;
	if (what & FILES)
		return NULL; /* readline's own */
	rl_attempted_completion_over = 1;
	offers.count = 0;
	if (what & COMMANDS)
		offer_commands(word);
	else if (what & SUBJECTS)
		offer_subjects(word);
	else
		offer_values(word);
	if (what & EVENTS)
		for (unsigned i = 0; break_event_at(i); i++)
			offer(break_event_at(i), word);
	return rl_completion_matches(word, next_offer);
}

/* Ctrl-C at the prompt: a new line. */
static int
forget_line(void)
{
	if (!shell->host.interrupted || !shell->host.interrupted(shell->host.opaque))
		return 0;
	rl_replace_line("", 0);
	rl_crlf();
	rl_on_new_line();
	rl_redisplay();
	return 0;
}

static char *
history_file(void)
{
	const char *home = getenv("HOME");

	return error_string("%s/.nestbox_history", home ? home : ".");
}

static void
interactive(struct debugger *d)
{
	char *history = history_file(), *line;
	const struct command *c;

	rl_readline_name = "nestbox";
	rl_attempted_completion_function = complete;
	rl_event_hook = forget_line;
	rl_completion_word_break_hook = word_breaks;
	using_history();
	read_history(history);
	while (!d->quit && (line = readline("(nestbox) "))) {
		if (*line) {
			add_history(line);
			free(d->last_line);
			d->last_line = error_string("%s", line);
			execute_paged(d, line);
		} else if (d->last_line) {
			c = command_find(d->last_line, strcspn(d->last_line, " \t/"));
			/* Dumps go on where they ended: the command alone. */
			if (c && c->flags & REPEATS && (!strcmp(c->name, "x") || !strcmp(c->name, "disasm")))
				execute_paged(d, c->name);
			else if (c && c->flags & REPEATS)
				execute_paged(d, d->last_line);
		}
		free(line);
	}
	stifle_history(HISTORY_LINES);
	write_history(history);
	free(history);
}

static void
plain(struct debugger *d)
{
	char *line = NULL;
	size_t room = 0;

	while (!d->quit && getline(&line, &room, stdin) > 0) {
		execute_line(d, line);
		fflush(stdout);
	}
	free(line);
}

void
debugger_command(struct debugger *d, const char *command)
{
	char **grown = realloc(d->queue, (d->queued + 1) * sizeof(*grown));

	if (!grown)
		stop_host_error("out of memory");
	d->queue = grown;
	d->queue[d->queued++] = error_string("%s", command);
}

void
debugger_shell(struct debugger *d)
{
	shell = d;
	while (d->queue_at < d->queued && !d->quit) {
		execute_line(d, d->queue[d->queue_at++]);
		fflush(stdout);
	}
	if (!d->quit && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {
		where_am_i(d);
		interactive(d);
	} else if (!d->quit) {
		plain(d);
	}
	if (!d->ended)
		d->host.quit(d->host.opaque, 0);
}

/* --- making --- */

struct debugger *
debugger_new(struct cpus *cpus, struct input *input, const struct debugger_host *host)
{
	struct debugger *d = calloc(1, sizeof(*d));

	if (!d)
		stop_host_error("out of memory");
	d->cpus = cpus;
	d->input = input;
	d->host = *host;
	d->cpu = cpus->cpu[0];
	d->out = stdout;
	event_init(&d->until, "debugger", EVENT_STOP, NULL, d);
	breakpoints_init(d);
	vmx_events_init(d);
	hooks_set(cpus, &d->hooks);
	return d;
}

void
debugger_free(struct debugger *d)
{
	if (!d)
		return;
	hooks_set(d->cpus, NULL);
	trace_free(d);
	gdb_free(d);
	symbols_free(d);
	while (d->breakpoints)
		breakpoint_delete(d, d->breakpoints);
	vmx_events_free(d);
	for (unsigned i = 0; i < d->queued; i++)
		free(d->queue[i]);
	free(d->queue);
	free(d->last_line);
	free(d);
}
