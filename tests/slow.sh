#!/bin/sh
# What takes minutes, for make check-slow and ./nb check-slow: each line of the table below is run whatever became of those before it.
#	tests/slow.sh IMAGES [NAME]...
# Run in the build directory. IMAGES is what tests/images/build.sh made; NAMEs choose lines. The output of each is in slow/NAME.log; the last line
# says how many passed, failed and were skipped (exit status 77).

[ $# -ge 1 ] || {
	sed -n '2,5s/^# *//p' "$0" >&2
	exit 1
}
images=$1
shift
tests=$(cd "$(dirname "$0")" && pwd)
names=" $* "
chosen=0
passed=0
failed=0
skipped=0
mkdir -p slow || exit 1

# slow NAME COMMAND...
slow()
{
	name=$1
	shift
	case $names in
	"  " | *" $name "*) ;;
	*) return ;;
	esac
	chosen=$((chosen + 1))
	start=$(date +%s)
	"$@" >"slow/$name.log" 2>&1 </dev/null
	status=$?
	seconds=$(($(date +%s) - start))
	case $status in
	0) passed=$((passed + 1)); result=ok ;;
	77) skipped=$((skipped + 1)); result=skipped ;;
	*) failed=$((failed + 1)); result="FAILED, status $status" ;;
	esac
	printf '%-16s %6d s  %s\n' "$name" $seconds "$result"
	case $result in
	ok) ;;
	*) tail -n 20 "slow/$name.log" | sed 's/^/	/' ;;
	esac
}

slow instructions	tests/insn/differential -seed 2 -count 2000000
slow entry-checks	tests/fuzz/fuzz_entry 10000000 1000000
slow complete-forms	"$tests/complete-forms.sh" ./nestbox "$images"
slow firmware-linux	"$tests/firmware-linux.sh" ./nestbox "$images"
slow nested-matrix	"$tests/nested-matrix.sh" ./nestbox "$images"
slow nested-deep	"$tests/nested-deep.sh" ./nestbox "$images"
slow kvm-unit-tests	"$tests/kvm-unit-tests.sh" ./nestbox
slow golden		"$tests/golden/nested.sh" ./nestbox "$images"
slow golden-scenarios	"$tests/golden/golden.sh" ./nestbox "$images"
slow golden-builds	"$tests/golden/builds.sh" ./nestbox "$images"
slow virtio		"$tests/virtio-drivers.sh" ./nestbox "$images"
slow scenes		"$tests/scenes.sh" ./nestbox "$images"
slow replay-tcp		"$tests/replay-tcp.sh" ./nestbox "$images"
slow hosts-ssh		"$tests/hosts.sh" ssh
slow hosts-slurm	"$tests/hosts.sh" slurm
slow hook-cost		"$tests/hook-cost.sh" ./nestbox "$images"
slow symbols		"$tests/images/symbols.sh" "$images"
slow tutorial		"$tests/tutorial.sh" ./nestbox "$images"
slow same-hashes		"$tests/same-hashes.sh" ./nestbox "$images"
slow xen-images		"$tests/images/xen.sh" "$images"
slow xen		"$tests/xen.sh" ./nestbox "$images"

[ $chosen != 0 ] || {
	echo "slow.sh: no test of the name$names" >&2
	exit 1
}
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
