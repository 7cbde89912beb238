#!/bin/sh
# Linux drives the virtio functions: modern and legacy, with messages and with pins. Part of make check-slow.
#	tests/virtio-drivers.sh NESTBOX IMAGES
# IMAGES is what tests/images/build.sh made.

set -u
. "$(dirname "$0")/lib.sh"
[ $# = 2 ] || usage
nestbox=$1
images=$2
shown="log err"
mkdir "$work/tftp"
seq 1 150000 | head -c 1000000 >"$work/tftp/payload"
sum=$(sha256sum "$work/tftp/payload" | cut -d ' ' -f 1)

# network NAME MODEL WORDS: address, gateway and a megabyte by TFTP; all of it by the card that was asked for.
network()
{
	"$nestbox" -m 512 -kernel "$images/vmlinux" -initrd "$images/l1small.cpio" \
		-append "console=ttyS0 quiet nb.mode=net nb.file=payload nb.sha256=$sum $3" \
		-nic "user,model=$2,tftp=$work/tftp" -serial "file:$work/log" -stats "$work/stats" -no-reboot -timeout 300 </dev/null 2>&1
	if grep -q "^L1: fetch ok $sum" "$work/log" && grep -q '^L1: done.\{0,1\}$' "$work/log" &&
		grep -q '"tx_frames": [6-9][0-9][0-9],' "$work/stats"; then
		echo "[       OK ] $1"
	else
		echo "[  FAILED  ] $1"
		cat "$work/log"
		failed=1
	fi
}

# disk NAME WORDS FORMAT OPTIONS: what Linux writes to a disk of that format is on it, and in the image.
disk()
{
	rm -f "$work/image"
	qemu-img create -q -f "$3" "$work/image" 16M
	"$nestbox" -m 256 -kernel "$images/vmlinux" -initrd "$images/l1small.cpio" \
		-append "console=ttyS0 quiet nb.mode=disk $2" -nodefaults -serial "file:$work/log" \
		-drive "file=$work/image,if=none,id=d" -device "$4,drive=d,serial=disk-1" -no-reboot -timeout 300 </dev/null
	qemu-img convert -O raw "$work/image" "$work/raw"
	if grep -q '^L1: vda has 32768 sectors, serial disk-1' "$work/log" && grep -q '^L1: vda ok' "$work/log" &&
		seq 1 200000 | cmp -s -n "$(seq 1 200000 | wc -c)" -i 0:1048576 - "$work/raw"; then
		echo "[       OK ] $1"
	else
		echo "[  FAILED  ] $1"
		cat "$work/log"
		failed=1
	fi
}

# A host disk that is full at 2 MiB: Linux hears of it, the user, too, and what went before is there.
full_disk()
{
	rm -f "$work/image"
	truncate -s 16M "$work/image"
	(
		ulimit -f 4096
		"$nestbox" -m 256 -kernel "$images/vmlinux" -initrd "$images/l1small.cpio" \
			-append "console=ttyS0 quiet nb.mode=disk" -nodefaults -serial "file:$work/log" \
			-drive "file=$work/image,format=raw,if=virtio" -no-reboot -timeout 300 </dev/null 2>"$work/err"
	)
	verdict a_full_host_disk_is_an_error_to_the_guest grep -q '^L1: vda write FAILED' "$work/log"
	verdict and_one_message_to_the_user \
		sh -c '[ "$(grep -c "cannot write: File too large (the guest is told)" "$0")" = 1 ]' "$work/err"
	verdict and_what_was_written_before_is_there \
		sh -c 'seq 1 200000 | cmp -n 1000000 -i 0:1048576 - "$0"' "$work/image"
}

full_disk
network virtio_net_modern_with_messages virtio-net-pci-non-transitional ""
network virtio_net_modern_with_a_pin virtio-net-pci pci=nomsi
network virtio_net_legacy_with_messages virtio-net-pci virtio_pci.force_legacy=1
network virtio_net_legacy_with_a_pin virtio-net-pci "virtio_pci.force_legacy=1 pci=nomsi"
if command -v qemu-img >/dev/null; then
	disk virtio_blk_modern_raw "" raw virtio-blk-pci-non-transitional
	disk virtio_blk_legacy_qcow2 "virtio_pci.force_legacy=1 pci=nomsi" qcow2 virtio-blk-pci
else
	echo "[  SKIPPED ] virtio_blk: no qemu-img (package qemu-utils)"
fi
exit $failed
