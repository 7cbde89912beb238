/* What every unit test includes: cmocka and what cmocka.h forgets to include itself. */
#ifndef NB_TESTS_UNIT_UNIT_H
#define NB_TESTS_UNIT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/*
 * Names the rules of VMX (tests/rules.list), one or several ids, whose checks the running test has just passed. tests/check-rules.sh collects
 * these lines from the logs of tests that passed, so a rule counts only when its test ran to here.
 */
#define RULE(ids) printf("RULE %s\n", ids)

#endif
