#!/bin/sh
# The lab's experiments in small (./nb lab --short) against their exact counts. Skipped where their images are not: ./nb check makes them if it can.
images=${NB_IMAGES:-images}
[ -e "$images/lab.cpio" ] || {
	echo "skipped: no $images/lab.cpio"
	exit 77
}
for number in 1 2 3 4 5 6 7; do
	"${srcdir:-.}/lab/run.sh" ./nestbox "$images" lab --short $number
	status=$?
	case $status in
	0) echo "[       OK ] lab_experiment_${number}_counts_are_those_of_the_baseline" ;;
	77) exit 77 ;;
	*)
		echo "[  FAILED  ] lab_experiment_${number}_counts_are_those_of_the_baseline"
		failed=1
		;;
	esac
done
exit ${failed:-0}
