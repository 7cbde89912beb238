#!/bin/sh
# nestbox-diff finds the very instruction at which two processor models part, and says when there is none. Run in the build directory.
source=${srcdir:-$(dirname "$0")/..}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

for guest in ends late; do
	${CC:-cc} -m32 -nostdlib -static -no-pie -Wl,-Ttext=0x100000,--build-id=none -o "$work/$guest" "$source/tests/guest/$guest.S" || exit 1
done

# run NAME STATUS ARGUMENT...
run()
{
	name=$1
	status=$2
	shift 2
	"$source/tools/nestbox-diff" "$@" >"$work/out" 2>&1 </dev/null
	got=$?
	if [ $got = "$status" ]; then
		echo "[       OK ] $name"
	else
		echo "[  FAILED  ] $name: status $got instead of $status"
		cat "$work/out"
		failed=1
	fi
}

says()
{
	if grep -qE -- "$2" "$work/out"; then
		echo "[       OK ] $1"
	else
		echo "[  FAILED  ] $1: no '$2' in:"
		cat "$work/out"
		failed=1
	fi
}

machine="-m 16 -nodefaults -kernel"
run machines_that_part_are_status_1 1 -n 6M -s 100k ./nestbox './nestbox -cpu max,-aes' $machine "$work/late"
says the_instruction_is_found "^the first difference is at instruction 2999993: equal after 2999992"
says the_instruction_is_shown "cpuid"
says the_registers_that_differ_are_shown "^  B cpu0 rax .* rcx"
says the_section_is_named "^  cpu"
run equal_machines_are_status_0 0 -n 2M -s 100k ./nestbox './nestbox -singlestep' $machine "$work/late"
says equal_machines_are_told "^no difference"
run machines_that_end_are_compared_to_their_end 0 -s 10 ./nestbox './nestbox -singlestep' $machine "$work/ends" -append a
says the_end_is_told "both end at instruction"
run one_that_ends_earlier_parts 1 -s 10 ./nestbox "./nestbox -append a" $machine "$work/ends"
run a_run_that_fails_is_status_2 2 ./nestbox ./nestbox $machine /no/such/file
says its_message_is_shown "/no/such/file"
run too_few_arguments_are_status_2 2 ./nestbox
exit $failed
