/* Values as users write them: sizes, counts, dates, comma lists. Shared by the option parsers. */
#ifndef NB_MACHINE_VALUES_H
#define NB_MACHINE_VALUES_H

#include "base/types.h"

/* Whole-string numbers; false when the text is none. Decimal, 0x hexadecimal. */
bool parse_number(const char *text, u64 *value);
/* With K, M, G, T behind it: powers of 1024. Without a letter it counts `unit` bytes. */
bool parse_size(const char *text, u64 unit, u64 *bytes);
/* With k, M, G behind it: powers of 1000. */
bool parse_count(const char *text, u64 *count);
bool parse_seconds(const char *text, double *seconds);
/* on, off, yes, no, true, false */
bool parse_switch(const char *text, bool *on);
/* "2024-01-01", "2024-01-01T12:34:56" -> seconds since 1970, UTC. */
bool parse_date(const char *text, s64 *seconds);
bool parse_mac(const char *text, u8 mac[6]);

/*
 * The next element of a comma list, where ",," stands for a comma: heap, or NULL at the end. *at moves on.
 * `key` and `value` (NULL when there is no '=') point into it.
 */
char *next_element(const char **at);
char *next_pair(const char **at, char **key, char **value);

/* A PCI slot as QEMU has it: hexadecimal with or without 0x, the function after a dot; 2..31. */
bool parse_slot(const char *text, int *slot);

#endif
