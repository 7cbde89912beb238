#!/bin/sh
# Every source file is built or distributed by Makefile.am, and every unit test runs.
cd "${srcdir:-$(dirname "$0")/..}" || exit 1

bad=0
for file in $(find base bus cpu vmx devices net gui debugger machine script tools bios -name '*.[chS]' -o -name '*.def' 2>/dev/null | sort); do
	grep -qE "(^|[[:space:]])$file([[:space:]]|\$)" Makefile.am || {
		echo "$file is not in Makefile.am"
		bad=1
	}
done
for file in tests/unit/test_*.c; do
	grep -qE "(^|[[:space:]])${file%.c}([[:space:]]|\$)" Makefile.am || {
		echo "$file is not in Makefile.am"
		bad=1
	}
done
exit $bad
