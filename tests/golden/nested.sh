#!/bin/sh
# State hashes of a nested run against the committed ones, straight through and saved and loaded on the way.
#	tests/golden/nested.sh NESTBOX IMAGES [--update]
# IMAGES is what tests/images/build.sh made. The baseline nested.hashes is for images with one SHA-256; with others
# only the saved and loaded run is compared with the straight one. --update writes the baseline: the commit then says why
# hashes changed.

set -u
. "$(dirname "$0")/../lib.sh"
[ $# -ge 2 ] || usage
nestbox=$1
images=$2
baseline=$(dirname "$0")/nested.hashes
payload 30000
shown=err

# run OPTION...: its hashes are on standard output.
run()
{
	"$nestbox" -m 1024 -kernel "$images/vmlinux" -initrd "$images/l1fast.cpio" \
		-append "console=ttyS0 quiet nb.file=payload nb.sha256=$sum" -nic "user,model=e1000,tftp=$work/tftp" \
		-serial "file:$work/serial.log" -no-reboot -timeout 1200 "$@" </dev/null 2>"$work/err"
	sed -n 's/^nestbox: hash //p' "$work/err" | uniq
}

images_sum=$(cat "$images/vmlinux" "$images/l1fast.cpio" | sha256sum | cut -d ' ' -f 1)
{
	echo "images $images_sum"
	run -hash 250M
} >"$work/hashes"
verdict the_nested_run_ends_well grep -q '^L1: done' "$work/serial.log"
if [ "${3:-}" = --update ]; then
	cp "$work/hashes" "$baseline"
	echo "written: $baseline"
elif [ "$(head -n 1 "$baseline")" = "images $images_sum" ]; then
	verdict hashes_are_those_of_the_baseline diff "$baseline" "$work/hashes"
else
	echo "[  SKIPPED ] hashes_are_those_of_the_baseline: made with other images ($(head -n 1 "$baseline"))"
fi

# Every 750 M instructions the machine is saved, and another process goes on.
last=$(tail -n 1 "$work/hashes" | cut -d ' ' -f 1)
load=
at=750000000
while [ "$at" -lt "$last" ]; do
	# Unquoted: no option, or two words.
	run -stop-after "$at" -hash 250M -snapshot-save "$work/snapshot" $load
	load="-snapshot-load $work/snapshot"
	at=$((at + 750000000))
done >"$work/pieces"
run -hash 250M $load >>"$work/pieces"
sed 1d "$work/hashes" >"$work/straight"
verdict saving_and_loading_on_the_way_changes_nothing diff "$work/straight" "$work/pieces"
exit $failed
