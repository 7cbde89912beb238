/*
 * terminal PROGRAM [ARGUMENT]... <SCRIPT: runs a program in a pseudo-terminal of 24 lines, talks with it as the script says, and prints all that
 * it says. Lines of the script:
 *	send TEXT	with the escapes \n \t \e \xHH
 *	see TEXT	waits until the program has said it, behind what was seen before; half a minute of silence fails
 *	interrupt TEXT	the same, with a Ctrl-C every now and then
 *	stop TEXT	the same, with one Ctrl-C after a while
 *	end		waits for the program; its status is that of this one
 */
#include <ctype.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 30000
#define INTERRUPT_MS 300

static char said[1 << 20];
static size_t length, seen;

/* False at the end of the program. */
static bool
hear(int terminal, int patience)
{
	struct pollfd fd = {.fd = terminal, .events = POLLIN};
	ssize_t n;

	if (poll(&fd, 1, patience) <= 0)
		return false;
	n = read(terminal, said + length, sizeof(said) - 1 - length);
	if (n <= 0)
		return false;
	fwrite(said + length, 1, (size_t)n, stdout);
	fflush(stdout);
	length += (size_t)n;
	said[length] = 0;
	return length < sizeof(said) - 1;
}

static size_t
unescape(char *text)
{
	char *to = text;

	for (char *from = text; *from; from++) {
		if (*from != '\\') {
			*to++ = *from;
			continue;
		}
		switch (*++from) {
		case 'n': *to++ = '\n'; break;
		case 't': *to++ = '\t'; break;
		case 'e': *to++ = 27; break;
		case 'x': {
			char digits[3] = {from[1], from[1] ? from[2] : 0, 0};

			*to++ = (char)strtoul(digits, NULL, 16);
			from += strlen(digits);
			break;
		}
		default: *to++ = *from; break;
		}
	}
	*to = 0;
	return (size_t)(to - text);
}

static bool
see(int terminal, const char *text, unsigned interrupts)
{
	const char *found;

	while (!(found = strstr(said + seen, text))) {
		if (hear(terminal, interrupts ? INTERRUPT_MS : PATIENCE_MS))
			continue;
		if (!interrupts-- || write(terminal, "\x03", 1) != 1)
			return false;
	}
	seen = (size_t)(found - said) + strlen(text);
	return true;
}

int
main(int argc, char **argv)
{
	struct winsize size = {.ws_row = 24, .ws_col = 200};
	char line[1000];
	int terminal, status;
	pid_t child;

	if (argc < 2)
		return 2;
	child = forkpty(&terminal, NULL, NULL, &size);
	if (child < 0)
		return 2;
	if (child == 0) {
		execvp(argv[1], argv + 1);
		_exit(127);
	}
	while (fgets(line, sizeof(line), stdin)) {
		char *text = strchr(line, ' ');

		line[strcspn(line, "\n")] = 0;
		if (!strcmp(line, "end") || !text)
			break;
		*text++ = 0;
		if (!strcmp(line, "send")) {
			size_t n = unescape(text);

			if (write(terminal, text, n) != (ssize_t)n)
				return 2;
		} else if (unescape(text), !see(terminal, text, !strcmp(line, "interrupt") ? PATIENCE_MS / INTERRUPT_MS : !strcmp(line, "stop"))) {
			printf("\nterminal: never said: %s\n", text);
			kill(child, SIGKILL);
			return 1;
		}
	}
	while (hear(terminal, PATIENCE_MS))
		;
	if (waitpid(child, &status, 0) != child)
		return 2;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
