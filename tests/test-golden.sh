#!/bin/sh
# Golden state hashes in make check: APIC virtualization in a nested boot, several processors, network, disk, under the debugger. Skipped where the
# guest images are not: ./nb check makes them if it can.
images=${NB_IMAGES:-images}
[ -e "$images/l1fast.cpio" ] || {
	echo "skipped: no $images/l1fast.cpio"
	exit 77
}
exec "$(dirname "$0")/golden/golden.sh" ./nestbox "$images"
