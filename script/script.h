/* Scenarios: Lua programs that build machines, run them and judge. docs/SCENARIOS.md has the functions. */
#ifndef NB_SCRIPT_SCRIPT_H
#define NB_SCRIPT_SCRIPT_H

struct config;

/*
 * Runs config->script. Each of its machines gets the options of `config` on top of its own. Returns the exit status: 0 passed, 1 failed
 * or broken, 77 skipped. The verdict is the last line on standard output.
 */
int scenario_run(const struct config *config);

#endif
