#!/bin/sh
# Scenarios with committed state hashes: APIC virtualization, several processors, network, disk, under the debugger.
#	tests/golden/golden.sh NESTBOX IMAGES [--update]
# IMAGES is what tests/images/build.sh made; with other images than the baselines' the scenarios run, but their hashes are compared with
# nothing. --update writes the baselines: the commit then says why hashes changed.
set -u
. "$(dirname "$0")/../lib.sh"
[ $# -ge 2 ] || usage
nestbox=$(realpath "$1")
images=$(realpath "$2")
update=
[ "${3:-}" != --update ] || update="-update -arg update=1"
folder=$(dirname "$0")
payload 30000
truncate -s 16M "$work/disk"
inputs=$(cat "$images/vmlinux" "$images/l1fast.cpio" "$images/l1small.cpio" | sha256sum | cut -d ' ' -f 1)
compared=0
for scenario in "$folder"/*.lua; do
	name=$(basename "$scenario" .lua)
	[ "${name#_}" = "$name" ] || continue
	# shellcheck disable=SC2086 # words
	"$nestbox" -script "$scenario" -arg golden="$name" -arg inputs="$inputs" -arg images="$images" -arg work="$work" -arg sum="$sum" $update \
		>"$work/out" 2>&1 </dev/null
	status=$?
	if [ $status = 77 ]; then
		echo "[  SKIPPED ] golden_$name: $(tail -n 1 "$work/out")"
	else
		compared=1
		verdict "golden_$name" sh -c '[ "$0" = 0 ] && grep -q "^PASS " "$1"' $status "$work/out"
	fi
done
[ $compared = 1 ] || skip "the baselines are of other images"
exit $failed
