#!/bin/sh
# The beginning of the nested run again and again, and saved and loaded at random points: equal hashes each time.
#	tests/same-hashes.sh NESTBOX IMAGES [RUNS [POINTS]]
# IMAGES is what tests/images/build.sh made. RUNS, default 100: of the first 300 M instructions. POINTS, default 50: between 0 and 4.5 G instructions;
# there the machine is saved, and another process goes on to the next one. NB_SEED: of the points.

set -u
. "$(dirname "$0")/lib.sh"
[ $# -ge 2 ] || usage
nestbox=$1
images=$2
runs=${3:-100}
points=${4:-50}

# run OPTION...: its last hash
run()
{
	"$nestbox" -m 1024 -kernel "$images/vmlinux" -initrd "$images/l1fast.cpio" -append "console=ttyS0 quiet" -nic user,model=e1000 \
		-serial null -no-reboot -timeout 600 -hash 0 "$@" </dev/null 2>"$work/err"
	sed -n 's/^nestbox: hash //p' "$work/err" | tail -n 1
}

first=$(run -stop-after 300M)
[ -n "$first" ] || { cat "$work/err"; exit 1; }
different=0
for i in $(seq 2 "$runs"); do
	again=$(run -stop-after 300M)
	[ "$again" = "$first" ] || { different=$((different + 1)); echo "run $i: $again instead of $first"; }
done
if [ $different = 0 ]; then
	echo "[       OK ] $runs runs have the hash $first"
else
	echo "[  FAILED  ] $different of $runs runs have another hash"
	failed=1
fi

straight=$(run -stop-after 4600M)
seed=${NB_SEED:-$(date +%s)}
load=
for at in $(awk -v seed="$seed" -v n="$points" 'BEGIN { srand(seed); for (i = 0; i < n; i++) printf "%d\n", 1 + rand() * 4500000000 }' | sort -n); do
	# Unquoted: no option, or two words.
	run -stop-after "$at" -snapshot-save "$work/next" $load >/dev/null
	[ -s "$work/next" ] || { cat "$work/err"; exit 1; }
	mv "$work/next" "$work/snapshot"
	load="-snapshot-load $work/snapshot"
done
pieces=$(run -stop-after 4600M $load)
if [ -n "$straight" ] && [ "$straight" = "$pieces" ]; then
	echo "[       OK ] saved and loaded at $points points (seed $seed): $straight"
else
	echo "[  FAILED  ] saved and loaded at $points points (seed $seed): $pieces instead of $straight"
	failed=1
fi
exit $failed
