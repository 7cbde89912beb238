#!/bin/sh
# UEFI firmware (Debian's OVMF) to its shell. Run in the build directory. It waits by the clock, which is slow here.
source=${srcdir:-$(dirname "$0")/..}
firmware=$("$source/tests/package-file.sh" ovmf /usr/share/ovmf/OVMF.fd) || exit $?
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

# check NAME COMMAND...
check()
{
	name=$1
	shift
	if "$@"; then
		echo "[       OK ] $name"
	else
		echo "[  FAILED  ] $name"
		tail -n 20 "$work/out"
		cat "$work/err"
		failed=1
	fi
}

# boot ARGUMENT...
boot()
{
	./nestbox -clock 100000000 -m 256 -nographic -nic none -stop-after 5G "$@" >"$work/out" 2>"$work/err" </dev/null
}

check ovmf_comes_to_its_shell boot -bios "$firmware" -expect 'Shell>'
# With a copy of its variables in flash: what it stores there is in the file.
code=$("$source/tests/package-file.sh" ovmf /usr/share/OVMF/OVMF_CODE.fd) || exit $?
cp "$(dirname "$code")/OVMF_VARS.fd" "$work/variables"
check it_finds_its_variables_in_flash boot -drive "if=pflash,format=raw,unit=0,readonly=on,file=$code" \
	-drive "if=pflash,format=raw,unit=1,file=$work/variables" -expect 'Shell>'
check and_stores_them sh -c 'tr -d "\0" <"$0" | grep -aq BootOrder' "$work/variables"
check which_were_not_there sh -c '! tr -d "\0" <"$0" | grep -aq BootOrder' "$(dirname "$code")/OVMF_VARS.fd"
exit $failed
