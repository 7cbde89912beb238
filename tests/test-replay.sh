#!/bin/sh
# Recorded runs and their replays: input from outside at its time, capsules that are damaged, images that are missing. Run in the build directory.
source=${srcdir:-$(dirname "$0")/..}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
kernel=$work/kernel
failed=0

${CC:-cc} -m32 -nostdlib -static -no-pie -Wl,-Ttext=0x100000,--build-id=none -o "$kernel" "$source/tests/guest/times.S" || exit 1

# verdict NAME COMMAND...
verdict()
{
	name=$1
	shift
	if "$@"; then
		echo "[       OK ] $name"
	else
		echo "[  FAILED  ] $name"
		cat "$work/out" "$work/err"
		failed=1
	fi
}

# run STATUS ARGUMENT...: input from standard input
run()
{
	status=$1
	shift
	timeout 60 ./nestbox "$@" >"$work/out" 2>"$work/err"
	got=$?
	[ $got = "$status" ] && return
	echo "status $got instead of $status: nestbox $*"
	return 1
}

# says TEXT
says()
{
	grep -qF -- "$1" "$work/err"
}

machine="-m 16 -nodefaults -serial stdio -kernel $kernel"

# What is typed comes at times that nobody knows.
(for letter in a b c d e f g h q; do printf $letter; sleep 0.02; done) >"$work/fifo-text"
typist()
{
	for letter in a b c d e f g h q; do
		printf $letter
		sleep 0.02
	done
}
record()
{
	typist | run 0 $machine -hash 0 -record "$work/capsule"
}
verdict a_run_is_recorded record
cp "$work/out" "$work/first"
grep 'hash' "$work/err" >"$work/hash"
verdict what_was_typed_has_been_seen grep -q '^a.b.c.d.e.f.g.h.q.$' "$work/first"
record
cp "$work/out" "$work/other"
verdict another_run_is_another cmp -s "$work/first" "$work/other"
another=$?
typist | run 0 $machine -hash 0 -record "$work/capsule"
cp "$work/out" "$work/first"
grep 'nestbox: hash' "$work/err" >"$work/hash"
verdict a_replay_needs_no_input run 0 -replay "$work/capsule" -hash 0 </dev/null
verdict its_output_is_the_recorded_one cmp -s "$work/first" "$work/out"
grep 'nestbox: hash' "$work/err" >"$work/hash2"
verdict its_hash_is_the_recorded_one cmp -s "$work/hash" "$work/hash2"
verdict it_says_so says "ended as recorded"

# Ended by the host, from a snapshot.
verdict a_snapshot_is_made run 3 $machine -stop-after 200k -snapshot-save "$work/snapshot" </dev/null
from_snapshot()
{
	typist | sed s/q/i/ | run 3 $machine -snapshot-load "$work/snapshot" -timeout 0.5 -record "$work/capsule2"
}
verdict a_run_from_a_snapshot_that_the_host_ends_is_recorded from_snapshot
rm "$work/snapshot"
verdict its_replay_has_the_snapshot_inside run 3 -replay "$work/capsule2" </dev/null
verdict and_ends_where_the_host_ended_it says "ended as recorded"

# Images.
mkdir "$work/elsewhere"
cp "$work/capsule" "$work/elsewhere/"
mv "$kernel" "$work/elsewhere/"
verdict an_image_beside_the_capsule_is_found run 0 -replay "$work/elsewhere/capsule" </dev/null
verdict a_missing_image_is_named sh -c '! ./nestbox -replay "$0/capsule" >"$0/out" 2>"$0/err" </dev/null' "$work"
verdict with_its_place says "the kernel of the recorded run is missing: neither $kernel"
cp "$work/elsewhere/kernel" "$kernel"
printf x >>"$kernel"
verdict another_image_is_refused run 1 -replay "$work/capsule" </dev/null
verdict with_both_checksums says "$kernel ("
cp "$work/elsewhere/kernel" "$kernel"

# Damage: a bit in each section's head and body, and a cut in each.
damaged()
{
	run 1 -replay "$work/damaged" </dev/null && says "$work/damaged: " && [ "$(wc -l <"$work/err")" = 1 ] && [ ! -s "$work/out" ]
}
for file in capsule capsule2; do
	size=$(stat -c %s "$work/$file")
	grep -abo nsec "$work/$file" | cut -d : -f 1 >"$work/sections"
	bad=0
	while read -r at; do
		for place in $at $((at + 8)) $((at + 40)) $((at + 66)); do
			[ "$place" -lt "$size" ] || continue
			cp "$work/$file" "$work/damaged"
			byte=$(od -An -tu1 -j "$place" -N 1 "$work/$file")
			printf "\\$(printf %03o $((byte ^ 16)))" | dd of="$work/damaged" bs=1 seek="$place" conv=notrunc status=none
			damaged || { bad=1; echo "byte $place"; }
			head -c "$place" "$work/$file" >"$work/damaged"
			damaged || { bad=1; echo "cut at $place"; }
		done
	done <"$work/sections"
	verdict "damage_anywhere_in_a_${file}_is_refused" [ $bad = 0 ]
	verdict "a_${file}_has_its_sections" [ "$(wc -l <"$work/sections")" -ge 6 ]
done
verdict a_snapshot_is_no_capsule run 1 -replay "$kernel" </dev/null
verdict and_that_is_said says "not a capsule of nestbox"
verdict a_replay_comes_first run 1 -m 16 -replay "$work/capsule" </dev/null

exit $failed
