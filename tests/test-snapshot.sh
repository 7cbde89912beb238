#!/bin/sh
# Snapshots: what a crash while saving leaves, how long saving takes, disks. Run in the build directory.
. "$(dirname "$0")/lib.sh"
kernel=$work/kernel

assemble fill "$kernel"

# run STATUS ARGUMENT...
run()
{
	status=$1
	shift
	ends "$status" timeout -k 1 60 ./nestbox -nodefaults -serial null -kernel "$kernel" "$@" </dev/null
}

# How long saving takes: what does not pack costs most. Of the processor's time, which says the same on a busy host.
note_times
start=$(processor_ms)
run 3 -m 512 -append r -stop-after 1400M || failed=1
note_times
middle=$(processor_ms)
run 3 -m 512 -append r -stop-after 1400M -snapshot-save "$work/half" || failed=1
note_times
end=$(processor_ms)
rm -f "$work/times"
spent=$((end - middle - (middle - start)))
echo "saving $(($(stat -c %s "$work/half") >> 20)) MiB took $spent ms of the processor's time"
rm -f "$work/half"
verdict half_a_gigabyte_of_random_numbers_is_saved_within_two_seconds [ $spent -lt 2000 ]

# Killed at many moments of saving: the former snapshot is whole, and no other file is there.
verdict a_machine_is_saved run 3 -m 256 -append r -stop-after 60M -hash 0 -snapshot-save "$work/snapshot"
sum=$(sha256sum <"$work/snapshot")
killed=0
load_and_save()
{
	run 3 -m 256 -append r -snapshot-load "$work/snapshot" -stop-after 60100k -snapshot-save "$work/other"
}
start=$(date +%s%N)
load_and_save || failed=1
took=$((($(date +%s%N) - start) / 1000000))
rm -f "$work/other"
for part in 2 3 4 5 6 7 8 9 10 11 12 13 14; do
	./nestbox -nodefaults -serial null -kernel "$kernel" -m 256 -append r -snapshot-load "$work/snapshot" -stop-after 60100k \
		-snapshot-save "$work/snapshot" >/dev/null 2>&1 </dev/null &
	pid=$!
	sleep "$(printf 0.%03d $((took * part / 14 % 1000)))"
	kill -9 $pid 2>/dev/null
	wait $pid 2>/dev/null
	[ $? != 137 ] || killed=$((killed + 1))
	if [ "$(sha256sum <"$work/snapshot")" != "$sum" ]; then
		# It was through: then the new one is whole.
		run 3 -m 256 -append r -snapshot-load "$work/snapshot" -stop-after 60200k || failed=1
		run 3 -m 256 -append r -stop-after 60M -snapshot-save "$work/snapshot" || failed=1
		sum=$(sha256sum <"$work/snapshot")
	fi
done
verdict a_killed_save_leaves_the_former_snapshot run 3 -m 256 -append r -snapshot-load "$work/snapshot" -stop-after 60200k
# A file gets its name and then the former one's: between the two calls there may be one more, which is whole.
others=$(ls "$work" | grep -vxE 'err|kernel|out|snapshot')
verdict and_nothing_else [ "$(echo "$others" | wc -w)" -le 1 ]
for other in $others; do
	verdict what_was_killed_before_its_renaming_is_whole run 3 -m 256 -append r -snapshot-load "$work/$other" -stop-after 60200k
done
echo "$killed of 13 runs were killed while they loaded or saved"
[ $killed -gt 0 ] || failed=1
exit $failed
