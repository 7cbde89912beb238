#!/bin/sh
# Every source file is built or distributed by Makefile.am, every unit test runs, and the tarball is whole.
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
# What git keeps is in the tarball: by name, or with a whole directory.
named=$(sed '/^#/d' Makefile.am | tr ' \t' '\n\n' | grep -E '/|\.|^(COPYING|docs|nb|bootstrap)$')
for file in $(git ls-files 2>/dev/null); do
	case $file in .* | Makefile.am | configure.ac) continue ;; esac
	name=$file
	until echo "$named" | grep -qxF -e "$name" -e "${name%.c}"; do
		case $name in
		*/*) name=${name%/*} ;;
		*)
			echo "$file is not distributed: EXTRA_DIST in Makefile.am"
			bad=1
			break
			;;
		esac
	done
done
exit $bad
