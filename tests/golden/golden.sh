#!/bin/sh
# Scenarios with committed state hashes: APIC virtualization, several processors, network, disk, under the debugger.
#	tests/golden/golden.sh NESTBOX IMAGES [--update]
# IMAGES is what tests/images/build.sh made; with other images than the baselines' the scenarios run, but their hashes are compared with
# nothing. --update writes the baselines: the commit then says why hashes changed.
set -u
[ $# -ge 2 ] || {
	sed -n '2,5s/^# *//p' "$0" >&2
	exit 1
}
nestbox=$(realpath "$1")
images=$(realpath "$2")
update=
[ "${3:-}" != --update ] || update="-update -arg update=1"
folder=$(dirname "$0")
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
mkdir "$work/tftp"
seq 1 30000 >"$work/tftp/payload"
sum=$(sha256sum "$work/tftp/payload" | cut -d ' ' -f 1)
truncate -s 16M "$work/disk"
inputs=$(cat "$images/vmlinux" "$images/l1fast.cpio" "$images/l1small.cpio" | sha256sum | cut -d ' ' -f 1)
failed=0
for scenario in "$folder"/*.lua; do
	name=$(basename "$scenario" .lua)
	[ "${name#_}" = "$name" ] || continue
	# shellcheck disable=SC2086 # words
	"$nestbox" -script "$scenario" -arg golden="$name" -arg inputs="$inputs" -arg images="$images" -arg work="$work" -arg sum="$sum" $update \
		>"$work/out" 2>&1 </dev/null
	case $? in
	0) echo "[       OK ] golden_$name" ;;
	77) echo "[  SKIPPED ] golden_$name: $(tail -n 1 "$work/out")" ;;
	*)
		echo "[  FAILED  ] golden_$name"
		cat "$work/out"
		failed=1
		;;
	esac
done
exit $failed
