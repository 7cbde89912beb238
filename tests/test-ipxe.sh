#!/bin/sh
# iPXE drives the e1000 from a CD, and from the card's expansion ROM: DHCP, TFTP, a script. Run in the build directory.
# iPXE waits by counting time: a slow clock has fewer instructions in the twenty seconds that this takes it.
. "$(dirname "$0")/lib.sh"
cd_image=$("$source/tests/package-file.sh" ipxe /usr/lib/ipxe/ipxe.iso) || exit $?
rom=$("$source/tests/package-file.sh" ipxe-qemu /usr/lib/ipxe/qemu/efi-e1000.rom) || exit $?
mkdir "$work/tftp"
printf '#!ipxe\necho IPXE-SCRIPT-%s\n' RAN >"$work/tftp/boot.ipxe"

# boot CARD-PROPERTIES ARGUMENT...
boot()
{
	card=$1
	shift
	./nestbox -clock 20000000 -m 256 -nographic -nic "user,model=e1000,tftp=$work/tftp,bootfile=boot.ipxe,$card" \
		-stop-after 1500M "$@" >"$work/out" 2>"$work/err" </dev/null
}

verdict ipxe_from_a_cd_gets_address_and_script boot romfile= -cdrom "$cd_image" -expect IPXE-SCRIPT-RAN
verdict the_card_s_rom_boots_over_the_network boot "romfile=$rom" -boot n -expect IPXE-SCRIPT-RAN
verdict without_a_rom_there_is_no_network_boot \
	boot romfile= -boot n -expect 'No bootable device'
verdict what_is_no_rom_is_refused sh -c '! ./nestbox -boot n -nic "user,romfile=$0" 2>"$1"' "$work/tftp/boot.ipxe" "$work/err"
verdict the_message_says_so grep -q 'boot.ipxe: no expansion ROM' "$work/err"
exit $failed
