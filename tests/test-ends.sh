#!/bin/sh
# How runs end: exit statuses, limits, mistakes on the command line, equal hashes of equal runs. Run in the build directory.
. "$(dirname "$0")/lib.sh"
kernel=$work/kernel

assemble ends "$kernel"

# run NAME STATUS ARGUMENT...
run()
{
	name=$1
	status=$2
	shift 2
	verdict "$name" ends "$status" ./nestbox "$@" </dev/null
}

# refused NAME TEXT ARGUMENT...: exit 1, nothing on standard output, one line on standard error with TEXT.
refused()
{
	name=$1
	text=$2
	shift 2
	run "$name" 1 "$@"
	verdict "${name}_in_one_line_that_names_it" \
		sh -c '[ ! -s "$1/out" ] && [ "$(wc -l <"$1/err")" = 1 ] && grep -qF -- "$0" "$1/err"' "$text" "$work"
}

both_say()
{
	text=$1
	shift
	both "$@" | tee "$work/out" | grep -qF -- "$text"
}

machine="-m 16 -nodefaults -serial stdio -kernel $kernel"

run acpi_power_off_is_status_0 0 $machine -append a
verdict the_serial_port_is_standard_output sh -c '[ "$(cat "$0/out")" = hello ]' "$work"
run debug_exit_gives_its_own_status 33 $machine -append d -device isa-debug-exit,iobase=0xf4,iosize=4
run triple_fault_is_status_2 2 $machine -append t
verdict the_state_at_a_triple_fault_is_printed grep -q 'triple fault' "$work/err"
verdict a_breakpoint_at_the_end_is_told both_say 'breakpoint 1: triple fault' ./nestbox $machine -append t -debug \
	-ex 'break triple-fault' -ex continue -ex quit </dev/null
run an_expected_text_is_status_0 0 $machine -append l -expect llo
run a_missed_text_is_status_3 3 $machine -append a -expect goodbye
run an_instruction_limit_is_status_3 3 $machine -append l -stop-after 1M
verdict the_limit_is_exact grep -q 'after 1000000 instructions' "$work/err"
run a_time_limit_is_status_3 3 $machine -append l -timeout 0.2
run a_time_limit_ends_a_halted_machine 3 $machine -append h -timeout 0.2
# timeout(1) sends its signal to the process and then to its group.
timeout 1 ./nestbox $machine -append h >"$work/out" 2>"$work/err" </dev/null
verdict a_signal_sent_twice_at_once_is_one sh -c 'grep -q interrupted "$0/err" && ! grep -q "did not stop" "$0/err"' "$work"
assemble faults "$work/faults"
run exceptions_without_end_take_time 3 -m 16 -nodefaults -kernel "$work/faults" -timeout 2
run without_reboot_a_reset_ends_the_run 0 $machine -append r -no-reboot
run a_reset_boots_again 3 $machine -append r -stop-after 100k
verdict a_reset_boots_again_and_again sh -c '[ "$(grep -c hello "$0/out")" -gt 2 ]' "$work"

run hashes_are_printed 3 $machine -append l -stop-after 100k -hash 30k
grep hash "$work/err" >"$work/first"
verdict hashes_are_taken_where_asked sh -c '[ "$(cut -d " " -f 3 "$0/first" | tr "\n" " ")" = "30000 60000 90000 100000 " ]' "$work"
run the_same_run_again 3 $machine -append l -stop-after 100k -hash 30k
grep hash "$work/err" >"$work/second"
verdict equal_runs_have_equal_hashes cmp -s "$work/first" "$work/second"
run a_run_with_other_stops 3 $machine -append l -stop-after 90k -hash 45k
verdict the_hash_does_not_depend_on_the_stops sh -c '[ "$(sed -n 3p "$0/first")" = "$(grep hash "$0/err" | tail -n 1)" ]' "$work"

run a_machine_is_saved_where_asked 3 $machine -append l -stop-after 45k -snapshot-save "$work/snapshot"
run a_loaded_machine_goes_on 3 $machine -append l -snapshot-load "$work/snapshot" -stop-after 100k -hash 30k
grep hash "$work/err" >"$work/second"
verdict a_loaded_machine_goes_on_identically sh -c 'tail -n 3 "$0/first" | cmp -s - "$0/second"' "$work"
verdict nothing_is_printed_twice test ! -s "$work/out"
refused a_snapshot_of_another_size "saved with other options" -m 17 -nodefaults -serial stdio -kernel "$kernel" \
	-snapshot-load "$work/snapshot"
head -c 1000 "$work/snapshot" >"$work/cut"
refused a_cut_snapshot "$work/cut: ends" $machine -snapshot-load "$work/cut"
run a_machine_that_is_off_is_not_saved 1 $machine -append a -snapshot-save "$work/off"
verdict nothing_is_left_of_a_machine_that_is_off test ! -e "$work/off"

run stats_are_json_on_standard_output 3 -m 16 -nodefaults -kernel "$kernel" -append l -stop-after 10k -stats -
verdict stats_count_instructions grep -q '"instructions": 10000,' "$work/out"

refused a_missing_kernel "/no/such: No such file" -kernel /no/such
echo "not a kernel" >"$work/text"
refused a_file_that_is_no_kernel "$work/text" -kernel "$work/text"
refused an_unknown_option "-frobnicate" -frobnicate
refused an_unknown_processor "pentium-9" $machine -cpu pentium-9
refused a_tap_that_cannot_be_opened "tap" $machine -netdev tap,id=a,ifname=no/such/tap -device e1000,netdev=a
refused a_back_end_option_that_does_not_exist "colour" $machine -netdev user,id=a,colour=red -device e1000,netdev=a
refused a_serial_file_that_cannot_be_made "/no/such/dir" -kernel "$kernel" -serial file:/no/such/dir/file
refused a_stats_file_that_cannot_be_made "/no/such/dir" $machine -stats /no/such/dir/file
run help_is_status_0 0 --help
run version_is_status_0 0 -version
exit $failed
