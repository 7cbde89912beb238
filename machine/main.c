/* From the command line to the exit status. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/stop.h"
#include "cpu/cpuid.h"
#include "machine/config.h"
#include "machine/machine.h"
#include "script/script.h"

static int
fail(char *error)
{
	fprintf(stderr, "nestbox: %s\n", error);
	free(error);
	return EXIT_BAD;
}

/* Help and listings may go into a pipe that closes early, or onto a full disk. */
static int
finish_output(void)
{
	return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_GOOD
						      : fail(error_string("cannot write to standard output"));
}

int
main(int argc, char **argv)
{
	enum config_action action;
	struct machine *machine;
	struct config *config;
	char *error;
	int status;

	/* A reader that goes away is an error of one write, not the end of the machine. */
	signal(SIGPIPE, SIG_IGN);
	/* So is a write beyond the size that files may have. */
	signal(SIGXFSZ, SIG_IGN);
	config = config_parse(argc, argv, &action, &error);
	if (!config)
		return fail(error);
	if (action == CONFIG_SCRIPT) {
		status = scenario_run(config);
		config_free(config);
		return status;
	}
	if (action != CONFIG_RUN) {
		if (action == CONFIG_CPU_HELP)
			cpu_model_help();
		else if (action == CONFIG_PRINT)
			config_print(config, stdout);
		config_free(config);
		return finish_output();
	}
	machine = machine_new(config, &error);
	if (!machine) {
		config_free(config);
		return fail(error);
	}
	status = machine_run(machine);
	machine_free(machine);
	config_free(config);
	return status;
}
