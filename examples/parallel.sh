#!/bin/sh
# Scenarios on several hosts by GNU parallel (Debian: parallel) over ssh, results merged here.
#	examples/parallel.sh NESTBOX-TEST SCENARIOS RESULTS HOST... [-- NESTBOX-OPTION...]
# HOST is as for parallel -S: a name, user@name, N/name for N processes at a time, or ":" for this host without ssh. All hosts see the same files
# under the same names (NFS), for instance an installed nestbox and a checked-out tree.
set -u
[ $# -ge 4 ] || {
	sed -n '2,5s/^# *//p' "$0" >&2
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
seq "$shards" | parallel --will-cite -S "$hosts" \
	"$test" --jobs 1 --results "$results/{}" --shard "{}/$shards" "$scenarios" "$@" ">$results/{}.tap" "2>&1"
# Status 2 of a shard is "no scenario": there were more shards than scenarios.
set --
for shard in $(seq "$shards"); do
	[ ! -e "$results/$shard/results.tsv" ] || set -- "$@" "$results/$shard"
done
exec "$test" --merge --junit "$results/junit.xml" "$@"
