#!/bin/sh
# The beginning of the nested run again and again, and saved and loaded at random points: equal hashes each time.
#	tests/same-hashes.sh [-p PART]... NESTBOX IMAGES [RUNS [POINTS]]
# IMAGES is what tests/images/build.sh made; RUNS, default 100; POINTS, default 50. PARTs, default all of them:
#	start	RUNS runs of the first 200 M instructions
#	nested	RUNS runs of 50 M instructions while the nested guest boots, from one snapshot
#	points	POINTS points between 0 and 4.5 G instructions, where the machine is saved and another process goes on to the next one
#	small	the same of a machine with three processors and no image, in seconds: RUNS runs of 10 M instructions, POINTS points below 40 M
# NB_SEED: of the points. TMPDIR: where the snapshots go; some 100 MB.

set -u
usage()
{
	sed -n '2,10s/^# *//p' "$0" >&2
	exit 1
}
parts=
while getopts p: option; do
	case $option in
	p) parts="$parts $OPTARG" ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -ge 2 ] || usage
nestbox=$1
images=$2
runs=${3:-100}
points=${4:-50}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
failed=0

# Whose machine: the nested run, unless somebody else sets these.
machine()
{
	"$nestbox" -m 1024 -kernel "$images/vmlinux" -initrd "$images/l1fast.cpio" -append "console=ttyS0 quiet" -nic user,model=e1000 "$@"
}
small_machine()
{
	"$nestbox" -m 16 -smp 3 -nodefaults -kernel "$work/smp" "$@"
}
which=machine

# run OPTION...: its last hash
run()
{
	$which -serial null -no-reboot -timeout 600 -hash 0 "$@" </dev/null 2>"$work/err"
	sed -n 's/^nestbox: hash //p' "$work/err" | tail -n 1
}

# repeat WHAT OPTION...
repeat()
{
	what=$1
	shift
	first=$(run "$@")
	[ -n "$first" ] || { cat "$work/err"; exit 1; }
	different=0
	for i in $(seq 2 "$runs"); do
		again=$(run "$@")
		[ "$again" = "$first" ] || { different=$((different + 1)); echo "run $i: $again instead of $first"; }
	done
	if [ $different = 0 ]; then
		echo "[       OK ] $runs runs $what have the hash $first"
	else
		echo "[  FAILED  ] $different of $runs runs $what have another hash"
		failed=1
	fi
}

# pieces LAST END: points below LAST, then on to END
pieces()
{
	seed=${NB_SEED:-$(date +%s)}
	load=
	done=0
	straight=$(run -stop-after "$2")
	for at in $(awk -v seed="$seed" -v n="$points" -v last="$1" \
		'BEGIN { srand(seed); for (i = 0; i < n; i++) printf "%.0f\n", 1 + int(rand() * last) }' | sort -n); do
		# Unquoted: no option, or two words.
		run -stop-after "$at" -snapshot-save "$work/snapshot" $load >"$work/hash"
		[ -s "$work/snapshot" ] && [ -s "$work/hash" ] || { cat "$work/err"; exit 1; }
		load="-snapshot-load $work/snapshot"
		done=$((done + 1))
	done
	end=$(run -stop-after "$2" $load)
	rm -f "$work/snapshot"
	if [ -n "$straight" ] && [ "$straight" = "$end" ] && [ $done = "$points" ]; then
		echo "[       OK ] saved and loaded at $points points (seed $seed): $straight"
	else
		echo "[  FAILED  ] saved and loaded at $done of $points points (seed $seed): $end instead of $straight"
		failed=1
	fi
}

for part in ${parts:-start nested points}; do
	case $part in
	start) repeat "from power-on" -stop-after 200M ;;
	nested)
		run -stop-after 4G -snapshot-save "$work/nested" >/dev/null
		repeat "of the nested guest" -snapshot-load "$work/nested" -stop-after 4050M
		rm -f "$work/nested"
		;;
	points) pieces 4500000000 4600M ;;
	small)
		which=small_machine
		${CC:-cc} -m32 -nostdlib -static -no-pie -Wl,-Ttext=0x100000,--build-id=none -o "$work/smp" \
			"$(dirname "$0")/guest/smp.S" || exit 1
		repeat "of three processors" -stop-after 10M
		pieces 40000000 41M
		which=machine
		;;
	*) usage ;;
	esac
done
exit $failed
