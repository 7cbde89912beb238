#!/bin/sh
# The lab's quickest experiment (./nb lab --short 6) against its exact counts. Skipped where its images are not: ./nb check makes them if it can.
images=${NB_IMAGES:-images}
[ -e "$images/lab.cpio" ] || {
	echo "skipped: no $images/lab.cpio"
	exit 77
}
"${srcdir:-.}/lab/run.sh" ./nestbox "$images" lab --short 6
status=$?
[ $status = 0 ] && echo "[       OK ] lab_experiment_6_counts_are_those_of_the_baseline"
exit $status
