#!/bin/sh
# The lab's experiments in small (./nb lab --short) against their exact counts. Skipped where their images are not: ./nb check makes them if it can.
. "$(dirname "$0")/lib.sh"
images=${NB_IMAGES:-images}
[ -e "$images/lab.cpio" ] || skip "no $images/lab.cpio"
command -v gnuplot >/dev/null || skip "no gnuplot (Debian package gnuplot-nox)"
for number in 1 2 3 4 5 6 7; do
	name=lab_experiment_${number}_counts_are_those_of_the_baseline
	"$source/lab/run.sh" ./nestbox "$images" lab --short $number >"$work/out" 2>&1
	status=$?
	if [ $status = 0 ] && grep -q 'not compared$' "$work/out"; then
		echo "[  SKIPPED ] $name: it is of other images"
	else
		verdict $name [ $status = 0 ]
	fi
done
exit $failed
