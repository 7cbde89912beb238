#!/bin/sh
# Each folder includes only itself and the folders below it (docs/ARCHITECTURE.md draws the layers).
cd "${srcdir:-$(dirname "$0")/..}" || exit 1

bad=0
# allow FOLDER MAY-INCLUDE...
allow()
{
	folder=$1
	shift
	allowed=$(echo "$folder" "$@" | tr ' ' '|')
	found=$(find "$folder" -name '*.[ch]' -o -name '*.def' 2>/dev/null | xargs grep -nHE '^# *include "[a-z]+/' /dev/null |
		grep -vE "include \"($allowed)/")
	if [ -n "$found" ]; then
		echo "$folder/ may include only: $allowed"
		echo "$found"
		bad=1
	fi
}

allow base
allow bus base
allow devices base bus
allow net base bus
allow gui base bus
allow cpu base bus vmx
allow vmx base bus cpu
allow debugger base bus cpu vmx devices

# cpu/ knows of vmx/ only what intercept.h says.
found=$(find cpu -name '*.[ch]' 2>/dev/null | xargs grep -nH '# *include "vmx/' /dev/null | grep -v '"vmx/intercept.h"')
if [ -n "$found" ]; then
	echo "cpu/ reaches vmx/ only through vmx/intercept.h"
	echo "$found"
	bad=1
fi

# No host clock, chance or threads where the machine's state lives; host events have one door, bus/input.c.
calls='time|clock|clock_gettime|gettimeofday|rand|random|getrandom|drand48|pthread_[a-z]+|u?sleep|nanosleep|poll|select'
found=$(find base bus cpu vmx devices -name '*.[ch]' ! -path bus/input.c 2>/dev/null |
	xargs grep -nHE "\b($calls)\(" /dev/null |
	grep -vE '^[^:]*:[0-9]+:[^"]*(//|/\*|^ \*)|->(time|clock|rand|random|poll|select)\(')
if [ -n "$found" ]; then
	echo "not deterministic:"
	echo "$found"
	bad=1
fi
exit $bad
