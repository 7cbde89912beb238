#!/bin/sh
# Scenarios as a Slurm job array (Debian: slurm-wlm), one shard per task, then one more job that merges.
#	examples/slurm.sh NESTBOX-TEST SCENARIOS RESULTS [-- NESTBOX-OPTION...]
# Waits for the end; RESULTS is on a file system that all nodes see. SHARDS=N (16) sets the number of tasks; sbatch's own variables
# (SBATCH_PARTITION...) choose where they run. Status: that of nestbox-test; 3: a task did not run to its end.
set -u
[ $# -ge 3 ] || {
	sed -n '2,5s/^# *//p' "$0" >&2
	exit 2
}
test=$(realpath "$1") || exit 2
scenarios=$(realpath "$2") || exit 2
mkdir -p "$3" || exit 2
results=$(realpath "$3")
shift 3
shards=${SHARDS:-16}
for shard in $(seq "$shards"); do
	rm -rf "${results:?}/$shard" "$results/$shard.tap" "$results/$shard.status"
done
cat >"$results/shard.sh" <<EOT
#!/bin/sh
"$test" --jobs 1 --results "$results/\$SLURM_ARRAY_TASK_ID" --shard "\$SLURM_ARRAY_TASK_ID/$shards" "$scenarios" "\$@"
status=\$?
echo \$status >"$results/\$SLURM_ARRAY_TASK_ID.status"
exit \$status
EOT
# Status 2 of a shard is "no scenario": there were more shards than scenarios. Without 0, 1 or 2 it did not run to its end.
cat >"$results/merge.sh" <<EOT
#!/bin/sh
set --
missing=
for shard in \$(seq $shards); do
	case \$(cat "$results/\$shard.status" 2>/dev/null) in
	0 | 1) set -- "\$@" "$results/\$shard" ;;
	2) ;;
	*) missing="\$missing \$shard" ;;
	esac
done
"$test" --merge --junit "$results/junit.xml" "\$@"
status=\$?
[ -z "\$missing" ] || {
	echo "these of $shards tasks did not run to their ends ($results/*.tap):\$missing" >&2
	exit 3
}
exit \$status
EOT
array=$(sbatch --parsable --array="1-$shards" --ntasks=1 --cpus-per-task=1 --output="$results/%a.tap" "$results/shard.sh" "$@") || exit 2
# afterany: failures are results, too.
sbatch --wait --dependency="afterany:$array" --ntasks=1 --output="$results/merged.tap" "$results/merge.sh" >/dev/null
status=$?
cat "$results/merged.tap"
exit $status
