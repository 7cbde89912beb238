#!/bin/sh
# Scenarios as a Slurm job array (Debian: slurm-wlm), one shard per task, then one more job that merges.
#	examples/slurm.sh NESTBOX-TEST SCENARIOS RESULTS [-- NESTBOX-OPTION...]
# Waits for the end; RESULTS is on a file system that all nodes see. SHARDS=N sets the number of tasks; sbatch's own variables (SBATCH_PARTITION...)
# choose where they run.
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
cat >"$results/shard.sh" <<EOT
#!/bin/sh
exec "$test" --jobs 1 --results "$results/\$SLURM_ARRAY_TASK_ID" --shard "\$SLURM_ARRAY_TASK_ID/$shards" "$scenarios" "\$@"
EOT
cat >"$results/merge.sh" <<EOT
#!/bin/sh
cd "$results" || exit 2
set --
for shard in \$(seq $shards); do
	[ ! -e \$shard/results.tsv ] || set -- "\$@" "$results/\$shard"
done
exec "$test" --merge --junit "$results/junit.xml" "\$@"
EOT
array=$(sbatch --parsable --array="1-$shards" --ntasks=1 --cpus-per-task=1 --output="$results/%a.tap" "$results/shard.sh" "$@") || exit 2
# afterany: failures are results, too.
sbatch --wait --dependency="afterany:$array" --ntasks=1 --output="$results/merged.tap" "$results/merge.sh"
status=$?
cat "$results/merged.tap"
exit $status
