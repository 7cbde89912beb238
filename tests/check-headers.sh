#!/bin/sh
# Each header compiles alone, and is protected by a guard named after its path.
cd "${srcdir:-$(dirname "$0")/..}" || exit 1

bad=0
for header in $(find base bus cpu vmx devices net gui debugger machine script bios -name '*.h' 2>/dev/null | sort); do
	guard=NB_$(echo "$header" | tr 'a-z/.-' 'A-Z___')
	grep -q "^#ifndef $guard\$" "$header" || {
		echo "$header: no guard $guard"
		bad=1
	}
	${CC:-cc} -std=gnu11 -Wall -Wextra -Werror -fsyntax-only -I. $(pkg-config --cflags lua5.4) -x c -include "$header" /dev/null || bad=1
done
exit $bad
