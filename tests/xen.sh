#!/bin/sh
# Debian's Xen in nestbox: domain 0 starts a PVH guest, which runs on VMX; twice, with the same instructions and hash.
#	tests/xen.sh NESTBOX IMAGES
# IMAGES is what tests/images/build.sh and tests/images/xen.sh made.

set -u
. "$(dirname "$0")/lib.sh"
[ $# = 2 ] || usage
nestbox=$1
images=$2
shown=first.log

# run NAME OPTION...
run()
{
	name=$1
	shift
	"$nestbox" -m 2G -kernel "$images/xen" -initrd "$images/vmlinuz console=hvc0 quiet panic=-1,$images/dom0.cpio" \
		-append "com1=115200,8n1 console=com1 dom0_mem=1G " -display none -serial "file:$work/$name.log" -no-reboot \
		-stop-after 40G -hash 0 -stats "$work/$name.json" "$@" </dev/null 2>"$work/$name.err"
	sed -n 's/^nestbox: hash //p' "$work/$name.err" >"$work/$name.hash"
}

run first
verdict domain_0_starts_a_guest grep -q '^D0: guest started' "$work/first.log"
verdict the_guest_reaches_its_init grep -q '^D0: guest: L1: done' "$work/first.log"
verdict the_guest_ran_in_non_root_operation grep -q '"VMCALL": [1-9]' "$work/first.json"
verdict all_ends_well grep -q '^D0: done' "$work/first.log"
run second
verdict a_second_run_is_the_same sh -c '[ -s "$0" ] && cmp "$0" "$1"' "$work/first.hash" "$work/second.hash"
run smp -smp 2
verdict two_processors_do_too grep -q '^D0: guest: L1: done' "$work/smp.log"
exit $failed
