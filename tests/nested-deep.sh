#!/bin/sh
# KVM inside KVM: L1 starts L2, L2 loads kvm-intel in turn and starts L3, which reaches the network through two bridges and fetches a file. This
# is EPT on EPT, with VMCS shadowing where KVM uses it; then without shadowing, and with shadow paging in L2.
#	tests/nested-deep.sh NESTBOX IMAGES [NAME...]
# IMAGES is what tests/images/build.sh made. One line per setting, or those NAMEd, with instructions and CPU seconds; last "N passed, N failed".

set -u
. "$(dirname "$0")/lib.sh"
[ $# -ge 2 ] || usage
nestbox=$1
images=$2
shift 2
wanted=$*
[ -f "$images/l1fast.cpio" ] || skip "$images has no l1fast.cpio (tests/images/build.sh makes it)"
command -v cpio >/dev/null || skip "no cpio"
payload 3000
mkdir "$work/l2"
passed=0
failed=0

# An initramfs may be several archives: behind L1's comes the same one as L2's.
cp "$images/l1fast.cpio" "$work/l2/initramfs.cpio"
(cd "$work" && echo l2/initramfs.cpio | cpio --quiet -o -H newc) | cat "$images/l1fast.cpio" - >"$work/deep.cpio"
rm "$work/l2/initramfs.cpio"

# The VM exits that guest $1 counted.
total()
{
	sed -n "s/^$1: kvm_exit TOTAL //p" "$work/text" | grep . || echo 0
}

# setting NAME WORDS
setting()
{
	name=$1
	words=$2
	case " ${wanted:-$name} " in
	*" $name "*) ;;
	*) return ;;
	esac
	trouble=
	"$nestbox" -m 2048 -kernel "$images/vmlinux" -initrd "$work/deep.cpio" \
		-append "console=ttyS0 quiet nb.depth=2 nb.file=payload nb.sha256=$sum $words" \
		-nic "user,model=e1000,tftp=$work/tftp" -serial stdio -display none -no-reboot -log error -hash 0 \
		-stats "$work/$name.json" -stop-after "${NB_BUDGET:-100G}" </dev/null >"$work/$name.log" 2>"$work/$name.err" ||
		trouble="exit status $?;"
	tr -d '\r' <"$work/$name.log" >"$work/text"
	for line in 'L2: kvm-intel loaded' 'L2: starting L3' 'L3: up' "L3: fetch ok $sum" 'L3: done' 'L2: L3 ended, status 0' 'L2: done' \
		'L1: L2 ended, status 0'; do
		grep -q "^$line" "$work/text" || trouble="$trouble no line \"$line\";"
	done
	grep -q FAILED "$work/text" && trouble="$trouble $(grep -m 1 FAILED "$work/text");"
	[ "$(total L2)" -gt 0 ] || trouble="$trouble L2 counted no exits;"
	instructions=$(sed -n 's/^ *"instructions": \([0-9]*\),*$/\1/p' "$work/$name.json" | head -n 1)
	seconds=$(sed -n 's/^ *"host_cpu_seconds": \([0-9.]*\),*$/\1/p' "$work/$name.json" | head -n 1)
	if [ -z "$trouble" ]; then
		passed=$((passed + 1))
		echo "ok   $name: $instructions instructions, $seconds CPU seconds, $(total L2) exits of L3, $(total L1) of L2," \
			"hash $(sed -n 's/^nestbox: hash //p' "$work/$name.err" | tail -n 1)"
	else
		failed=$((failed + 1))
		echo "FAIL $name:$trouble"
		tail -n 5 "$work/text" "$work/$name.err"
	fi
}

setting default ''
setting no-shadow-vmcs 'kvm_intel.enable_shadow_vmcs=0'
setting shadow-paging-in-L2 'nb.l2append="kvm_intel.ept=0"'

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
