#!/bin/sh
# The nested run under many settings of processor and KVM, each repeated: L2 must reach the network, nestbox's exit counters must equal L1's
# tracepoint reason by reason, and every repetition must end with the same instruction count and state hash.
#	tests/nested-matrix.sh NESTBOX IMAGES [REPEAT]
# IMAGES is what tests/images/build.sh made. REPEAT defaults to 2. One line per setting; the last line is "N passed, N failed".

set -u
. "$(dirname "$0")/lib.sh"
[ $# -ge 2 ] || usage
nestbox=$1
images=$2
repeat=${3:-2}
payload 30000
passed=0
failed=0

exits_of_log()
{
	tr -d '\r' <"$1" | sed -n 's/^L1: kvm_exit \([A-Z_0-9+]* [0-9]*\)$/\1/p' | grep -v '^TOTAL ' | sort
}

exits_of_stats()
{
	sed -n 's/^  "vm_exits": {\(.*\)}.*/\1/p' "$1" | tr ',' '\n' | sed 's/[ "]//g; s/:/ /' | sort
}

# run_once NAME WORDS OPTION...: says what is wrong, or nothing.
run_once()
{
	name=$1
	words=$2
	shift 2
	"$nestbox" -m 1024 -kernel "$images/vmlinuz" -initrd "$images/l1.cpio" \
		-append "console=ttyS0 quiet nb.file=payload nb.sha256=$sum $words" -nic "user,model=e1000,tftp=$work/tftp" \
		-serial stdio -display none -no-reboot -log error -hash 0 -stats "$work/$name.json" "$@" \
		</dev/null >"$work/$name.log" 2>"$work/$name.err" || echo "exit status $?;"
	grep -q "^L2: fetch ok $sum" "$work/$name.log" || echo "L2 did not fetch the file;"
	exits_of_log "$work/$name.log" >"$work/$name.l1"
	exits_of_stats "$work/$name.json" >"$work/$name.nb"
	[ -s "$work/$name.l1" ] || echo "L1 printed no histogram;"
	cmp -s "$work/$name.l1" "$work/$name.nb" || echo "exit counts differ;"
}

# setting NAME WORDS OPTION...
setting()
{
	name=$1
	trouble=
	first=
	n=0
	while [ "$n" -lt "$repeat" ]; do
		trouble="$trouble$(run_once "$@")"
		hash=$(sed -n 's/^nestbox: hash //p' "$work/$name.err" | tail -n 1)
		[ -n "$hash" ] || trouble="$trouble no hash;"
		[ "$n" = 0 ] && first=$hash
		[ "$hash" = "$first" ] || trouble="$trouble run $((n + 1)) ended with $hash, the first with $first;"
		n=$((n + 1))
	done
	if [ -z "$trouble" ]; then
		passed=$((passed + 1))
		echo "ok   $name: $first"
	else
		failed=$((failed + 1))
		echo "FAIL $name: $trouble"
		tail -n 5 "$work/$name.log" "$work/$name.err"
	fi
}

setting default ''
setting shadow-paging 'kvm_intel.ept=0'
setting no-vpid 'kvm_intel.vpid=0'
setting no-apicv 'kvm_intel.enable_apicv=0'
setting no-unrestricted 'kvm_intel.unrestricted_guest=0'
setting no-preemption-timer 'kvm_intel.preemption_timer=0'
setting no-nested 'kvm_intel.nested=0'
setting bare 'kvm_intel.nested=0 kvm_intel.ept=0 kvm_intel.vpid=0 kvm_intel.enable_apicv=0 kvm_intel.preemption_timer=0'
setting two-processors '' -smp 2
setting two-and-two 'nb.l2smp=2' -smp 2
setting three-gigabytes '' -m 3072
setting ivybridge '' -cpu IvyBridge
setting no-ept-by-cpu '' -cpu max,-ept

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
