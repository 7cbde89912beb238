#!/bin/sh
# UEFI firmware (Debian's OVMF): its shell, a boot loader on a system partition, variables that last, power off. Run in the build
# directory. It waits by the clock, which is slow here.
. "$(dirname "$0")/lib.sh"
firmware=$("$source/tests/package-file.sh" ovmf /usr/share/ovmf/OVMF.fd) || exit $?

# boot ARGUMENT...
boot()
{
	./nestbox -clock 100000000 -m 256 -nographic -nic none -stop-after 5G "$@" >"$work/out" 2>"$work/err" </dev/null
}

verdict ovmf_comes_to_its_shell boot -bios "$firmware" -expect 'Shell>'
# With a copy of its variables in flash: what it stores there is in the file.
code=$("$source/tests/package-file.sh" ovmf /usr/share/OVMF/OVMF_CODE.fd) || exit $?
cp "$(dirname "$code")/OVMF_VARS.fd" "$work/variables"
verdict it_finds_its_variables_in_flash boot -drive "if=pflash,format=raw,unit=0,readonly=on,file=$code" \
	-drive "if=pflash,format=raw,unit=1,file=$work/variables" -expect 'Shell>'
verdict and_stores_them sh -c 'tr -d "\0" <"$0" | grep -aq BootOrder' "$work/variables"
verdict which_were_not_there sh -c '! tr -d "\0" <"$0" | grep -aq BootOrder' "$(dirname "$code")/OVMF_VARS.fd"

# A disk with a file system and nothing else. What the shell is told there to keep, it has in the next run.
if command -v mformat >/dev/null; then
	cat >"$work/startup.nsh" <<-'EOT'
		@echo -off
		if x%nestbox%x == xrememberedx then
			echo the second time
		else
			echo the first time
			set nestbox remembered
		endif
		reset -s
	EOT
	truncate -s 2M "$work/disk"
	mformat -i "$work/disk" -T 4096 -h 16 -s 63 ::
	mcopy -i "$work/disk" "$work/startup.nsh" ::
	cp "$(dirname "$code")/OVMF_VARS.fd" "$work/variables"
	for time in first second; do
		verdict "the_shell_runs_a_script_and_powers_off_the_${time}_time" boot -drive "if=pflash,format=raw,unit=0,readonly=on,file=$code" \
			-drive "if=pflash,format=raw,unit=1,file=$work/variables" -drive "file=$work/disk,format=raw"
		verdict "it_knows_that_it_is_the_${time}_time" grep -aq "the $time time" "$work/out"
	done
else
	echo "[  SKIPPED ] the shell's script: no mtools (Debian package mtools)"
fi

# GRUB on an EFI system partition, as UEFI finds it without being told.
if [ -d /usr/lib/grub/x86_64-efi ] && [ -r /usr/lib/grub/i386-pc/boot.img ] && command -v mformat >/dev/null; then
	mkdir -p "$work/root/boot/grub"
	echo 'echo "GRUB speaks"; halt' >"$work/root/boot/grub/grub.cfg"
	"$source/tests/images/grub-disk.sh" "$work/grub" 16 "$work/root" || exit 1
	for place in ide virtio; do
		verdict "a_boot_loader_is_found_on_$place" boot -bios "$firmware" -drive "if=$place,format=raw,file=$work/grub"
		verdict "it_reads_its_configuration_from_$place" grep -aq 'GRUB speaks' "$work/out"
	done
else
	echo "[  SKIPPED ] GRUB by UEFI (Debian packages grub-pc-bin, grub-efi-amd64-bin, mtools)"
fi
exit $failed
