#!/bin/sh
# Scenarios on several hosts by GNU parallel (Debian: parallel) over ssh, results merged here.
#	examples/parallel.sh NESTBOX-TEST SCENARIOS RESULTS HOST... [-- NESTBOX-OPTION...]
# HOST is as for parallel -S: a name, user@name, N/name for N processes at a time (otherwise parallel must be there, too,
# and counts the processors), or ":" for this host without ssh, which must get there without a password. All hosts see the
# same files under the same names (NFS), for instance an installed nestbox and a checked-out tree. SHARDS=N (16): parts.
# Status: that of nestbox-test; 3: a part did not run to its end.
set -u
[ $# -ge 4 ] || {
	sed -n '2,7s/^# *//p' "$0" >&2
	exit 2
}
test=$(realpath "$1") || exit 2
scenarios=$(realpath "$2") || exit 2
results=$3
shift 3
hosts=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
	case $1 in
	-*)
		echo "$0: '$1' is no host" >&2
		exit 2
		;;
	esac
	hosts="$hosts${hosts:+,}$1"
	shift
done
mkdir -p "$results" || exit 2
results=$(realpath "$results")
# More shards than processes, so that a slow one does not hold up the rest.
shards=${SHARDS:-16}
for shard in $(seq "$shards"); do
	rm -rf "${results:?}/$shard" "$results/$shard.tap" "$results/$shard.status"
done
seq "$shards" | parallel --will-cite --quote -S "$hosts" --workdir "$PWD" sh -c \
	'shard=$1 shards=$2 results=$3 test=$4 scenarios=$5
	shift 5
	"$test" --jobs 1 --results "$results/$shard" --shard "$shard/$shards" "$scenarios" "$@" >"$results/$shard.tap" 2>&1
	echo $? >"$results/$shard.status"' shard "{}" "$shards" "$results" "$test" "$scenarios" "$@"
# Status 2 of a shard is "no scenario": there were more shards than scenarios. Without 0, 1 or 2 it did not run to its end.
set --
missing=
for shard in $(seq "$shards"); do
	case $(cat "$results/$shard.status" 2>/dev/null) in
	0 | 1) set -- "$@" "$results/$shard" ;;
	2) ;;
	*) missing="$missing $shard" ;;
	esac
done
"$test" --merge --junit "$results/junit.xml" "$@"
status=$?
[ -z "$missing" ] || {
	echo "$0: these of $shards parts did not run to their ends ($results/*.tap):$missing" >&2
	exit 3
}
exit $status
