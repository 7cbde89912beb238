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

#endif
