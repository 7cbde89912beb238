#!/bin/sh
# UEFI firmware (Debian's OVMF) to its shell. Run in the build directory. It waits by the clock, which is slow here.
source=${srcdir:-$(dirname "$0")/..}
firmware=$("$source/tests/package-file.sh" ovmf /usr/share/ovmf/OVMF.fd) || exit $?
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

# check NAME COMMAND...
check()
{
	name=$1
	shift
	if "$@"; then
		echo "[       OK ] $name"
	else
		echo "[  FAILED  ] $name"
		tail -n 20 "$work/out"
		cat "$work/err"
		failed=1
	fi
}

# boot ARGUMENT...
boot()
{
	./nestbox -clock 100000000 -m 256 -nographic -nic none -stop-after 5G "$@" >"$work/out" 2>"$work/err" </dev/null
}

check ovmf_comes_to_its_shell boot -bios "$firmware" -expect 'Shell>'
exit $failed
