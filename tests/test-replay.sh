#!/bin/sh
# Recorded runs and their replays: input from outside at its time, capsules that are damaged, images that are missing. Run in the build directory.
. "$(dirname "$0")/lib.sh"
kernel=$work/kernel

assemble times "$kernel"

# run STATUS ARGUMENT...: input from standard input
run()
{
	status=$1
	shift
	ends "$status" timeout 60 ./nestbox "$@"
}

# complains TEXT: do the messages have it?
complains()
{
	grep -qF -- "$1" "$work/err"
}

machine="-m 16 -nodefaults -serial stdio -kernel $kernel"

# What is typed comes at times that nobody knows.
delay=0.02
typist()
{
	for letter in a b c d e f g h q; do
		printf $letter
		sleep $delay
	done
}
record()
{
	typist | run 0 $machine -hash 0 -record "$work/capsule"
}
verdict a_run_is_recorded record
cp "$work/out" "$work/first"
verdict what_was_typed_has_been_seen grep -q '^a.b.c.d.e.f.g.h.q.$' "$work/first"
# What is typed more slowly comes at other times, if the host is fast enough to notice.
another()
{
	for delay in 0.1 0.3 1; do
		record && grep -q '^a.b.c.d.e.f.g.h.q.$' "$work/out" && ! cmp -s "$work/first" "$work/out" && return
	done
	return 1
}
verdict another_run_is_another another
delay=0.02
cp "$work/out" "$work/first"
grep 'nestbox: hash' "$work/err" >"$work/hash"
verdict a_replay_needs_no_input run 0 -replay "$work/capsule" -hash 0 </dev/null
verdict its_output_is_the_recorded_one cmp -s "$work/first" "$work/out"
grep 'nestbox: hash' "$work/err" >"$work/hash2"
verdict its_hash_is_the_recorded_one sh -c '[ -s "$0" ] && cmp -s "$0" "$1"' "$work/hash" "$work/hash2"
verdict it_says_so complains "ended as recorded"

# Killed: what had come until a second or so before can be replayed.
mkfifo "$work/fifo"
(delay=0.5; typist; exec sleep 30) >"$work/fifo" &
typing=$!
./nestbox $machine -record "$work/killed" <"$work/fifo" >"$work/killed.out" 2>/dev/null &
killed=$!
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	sleep 0.2
	[ ! -s "$work/killed.part" ] || break
done
# The next ones, too.
sleep 2.3
kill -9 $killed
kill $typing 2>/dev/null
wait 2>/dev/null
verdict a_killed_recording_leaves_a_part [ -s "$work/killed.part" ]
verdict and_no_capsule [ ! -e "$work/killed" ]
verdict it_is_replayed run 3 -replay "$work/killed.part" </dev/null
verdict which_says_where_it_ends complains "nestbox: replay: stopped at instruction"
size=$(wc -c <"$work/out")
verdict with_what_the_killed_run_printed [ "$(cat "$work/out")" = "$(head -c "$size" "$work/killed.out")" ]
verdict input_and_all grep -q '^a' "$work/out"
verdict a_whole_recording_leaves_no_part [ ! -e "$work/capsule.part" ]

# Ended by the host, from a snapshot.
verdict a_snapshot_is_made run 3 $machine -stop-after 200k -snapshot-save "$work/snapshot" </dev/null
from_snapshot()
{
	typist | sed s/q/i/ | run 3 $machine -snapshot-load "$work/snapshot" -timeout 0.5 -record "$work/capsule2"
}
verdict a_run_from_a_snapshot_that_the_host_ends_is_recorded from_snapshot
rm "$work/snapshot"
verdict its_replay_has_the_snapshot_inside run 3 -replay "$work/capsule2" </dev/null
verdict and_ends_where_the_host_ended_it complains "ended as recorded"

# Images.
mkdir "$work/elsewhere"
cp "$work/capsule" "$work/elsewhere/"
mv "$kernel" "$work/elsewhere/"
verdict an_image_beside_the_capsule_is_found run 0 -replay "$work/elsewhere/capsule" </dev/null
verdict a_missing_image_is_named sh -c '! ./nestbox -replay "$0/capsule" >"$0/out" 2>"$0/err" </dev/null' "$work"
verdict with_its_place complains "the kernel of the recorded run is missing: neither $kernel"
cp "$work/elsewhere/kernel" "$kernel"
printf x >>"$kernel"
verdict another_image_is_refused run 1 -replay "$work/capsule" </dev/null
verdict with_both_checksums complains "$kernel ("
cp "$work/elsewhere/kernel" "$kernel"

# Damage: a bit in each section's head and body, and a cut in each.
damaged()
{
	run 1 -replay "$work/damaged" </dev/null && complains "$work/damaged: " && [ "$(wc -l <"$work/err")" = 1 ] && [ ! -s "$work/out" ]
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
verdict and_that_is_said complains "not a capsule of nestbox"
verdict a_replay_comes_first run 1 -m 16 -replay "$work/capsule" </dev/null

exit $failed
