#!/bin/sh
# Scenarios: those of tests/scenario/ pass, and failures, skips and budgets end as docs/SCENARIOS.md says. Run in the build directory.
. "$(dirname "$0")/lib.sh"

arguments="-arg work=$work"
for guest in "$source"/tests/guest/*.S; do
	name=$(basename "$guest" .S)
	case $(head -c 400 "$guest") in
	*multiboot*) ;;
	*) continue ;;
	esac
	assemble "$name" "$work/$name" -g
	arguments="$arguments -arg $name=$work/$name"
done

# run NAME STATUS SCENARIO OPTION...
run()
{
	name=$1
	status=$2
	scenario=$3
	shift 3
	verdict "$name" ends "$status" ./nestbox -script "$scenario" $arguments "$@" </dev/null
}

for scenario in "$source"/tests/scenario/*.lua; do
	run "scenario_$(basename "$scenario" .lua)" 0 "$scenario"
done

# write LINE...: a scenario, in $work/s.lua
write()
{
	printf '%s\n' "$@" >"$work/s.lua"
}

loop="machine {m = 16, nodefaults = true, serial = 'null', kernel = args.ends, append = 'l'}"

write "local m = $loop" "m:expect('hello')" "equal(1 + 1, 3, 'sum')"
run a_failure_is_status_1 1 "$work/s.lua" -artifacts "$work/left"
says a_failure_names_file_and_line "s.lua:3: sum is 2 (0x2), not 3 (0x3)"
says the_verdict_is_printed "FAIL $work/s.lua: $work/s.lua:3:"
for file in message.txt machine0/serial0.log machine0/cpu0.txt machine0/exits.txt machine0/stats.json machine0/machine.ini; do
	verdict "a_failure_leaves_$file" test -s "$work/left/$file"
done

write "skip('no disk')"
run a_skip_is_status_77 77 "$work/s.lua"
says a_skip_says_why "SKIP $work/s.lua: no disk"
write "local x = = 1"
run a_syntax_error_is_status_1 1 "$work/s.lua"
says a_syntax_error_names_file_and_line "s.lua:1:"
run a_missing_scenario_is_status_1 1 /no/such.lua
write "scenario {instructions = 5000}" "local m = $loop" "m:run {instructions = 1000}" "m:run {instructions = 1000000}"
run the_instruction_budget_ends_it 1 "$work/s.lua"
says the_instruction_budget_is_named "the budget of 5000 instructions is used up"
write "scenario {seconds = 0.3}" "local m = $loop" "m:run()"
run the_time_budget_ends_it 1 "$work/s.lua"
says the_time_budget_is_named "the time budget of 0.3 seconds is used up"
write "scenario {seconds = 0.3}" "while true do end"
run the_time_budget_ends_lua_too 1 "$work/s.lua"
write "while true do end"
run a_time_limit_of_the_command_line_counts 1 "$work/s.lua" -timeout 0.3
write "local m = $loop" "print(#m:registers(), m:reg('cr8'))" "m:run {frobnicate = 1}"
run an_unknown_condition_is_an_error 1 "$work/s.lua"
says an_unknown_condition_is_named "unknown condition frobnicate"
write "local m = $loop" "m:run {icount = 5000}" "print('hash ' .. m:hash())"
run options_of_the_command_line_reach_machines 0 "$work/s.lua" -singlestep -hash 0
says the_complete_forms_have_the_same_hash "nestbox: hash 5000 $(sed -n 's/^hash //p' "$work/out")"
exit $failed
