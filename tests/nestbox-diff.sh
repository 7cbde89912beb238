#!/bin/sh
# nestbox-diff finds the very instruction at which two processor models part, and says when there is none. Run in the build directory.
. "$(dirname "$0")/lib.sh"
shown=out

for guest in ends late; do
	assemble $guest "$work/$guest"
done

# run NAME STATUS ARGUMENT...
run()
{
	name=$1
	status=$2
	shift 2
	verdict "$name" ends "$status" both "$source/tools/nestbox-diff" "$@" </dev/null
}

# says NAME PATTERN
says()
{
	verdict "$1" grep -qE -- "$2" "$work/out"
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
