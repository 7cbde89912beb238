#!/bin/sh
# nestbox-test: verdicts, TAP and JUnit XML, what failures leave, capsules, shards and their merging. Run in the build directory.
. "$(dirname "$0")/lib.sh"
shown=out

for guest in ends smp; do
	assemble $guest "$work/$guest"
done
mkdir -p "$work/s/deep"
machine="machine {m = 16, nodefaults = true, serial = 'null', kernel = args.ends, append = 'l'}"
echo "local m = $machine m:expect('hello')" >"$work/s/good.lua"
echo "local m = $machine m:run {icount = 123456} fail('<too> bad & \"sad\"')" >"$work/s/bad.lua"
echo "skip('no time')" >"$work/s/deep/skipped.lua"
echo "local m = machine {m = 16, smp = 3, nodefaults = true, kernel = args.smp} m:run {icount = 543210} m:frobnicate()" >"$work/s/deep/turns.lua"
echo "while true do end" >"$work/s/deep/slow.lua"
echo "this is no Lua" >"$work/s/_included.lua"

# run NAME STATUS ARGUMENT...
run()
{
	name=$1
	status=$2
	shift 2
	verdict "$name" ends "$status" both ./nestbox-test "$@" </dev/null
}

guests="-arg ends=$work/ends -arg smp=$work/smp"
run failures_are_status_1 1 --results "$work/r" --junit "$work/r.xml" -j 2 "$work/s" --timeout 2 -- $guests
says the_plan_counts_scenarios_without_what_they_include "1..5"
says a_failure_is_told_with_its_message "not ok 1 - bad"
says its_message_is_that_of_the_scenario "bad.lua:1: <too> bad & \"sad\"'"
says a_skip_is_told_with_its_reason "ok 2 - deep/skipped # SKIP no time"
says a_scenario_that_hangs_is_killed "killed: it took longer than --timeout"
says a_pass_is_told "ok 5 - good"
if command -v python3 >/dev/null; then
	verdict the_report_is_xml python3 -c "import sys, xml.dom.minidom as x; x.parse(sys.argv[1])" "$work/r.xml"
else
	echo "[  SKIPPED ] the_report_is_xml: no python3"
fi
verdict the_report_counts grep -q 'tests="5" failures="3" errors="0" skipped="1"' "$work/r.xml"
verdict the_report_names_folders_as_classes grep -q '<testcase classname="deep" name="turns"' "$work/r.xml"
for file in log.txt message.txt machine0/serial0.log machine0/cpu0.txt machine0/exits.txt machine0.capsule; do
	verdict "a_failure_leaves_$file" test -s "$work/r/bad/$file"
done
verdict a_pass_leaves_nothing test ! -e "$work/r/good"

for test in bad deep/turns; do
	./nestbox -replay "$work/r/$test/machine0.capsule" >"$work/out" 2>&1
	says "the_capsule_of_${test}_replays_to_the_failure" "ended as recorded, at instruction"
done

for shard in 1 2 3; do
	./nestbox-test --results "$work/shard$shard" --shard $shard/3 "$work/s" --timeout 2 -- $guests >/dev/null 2>&1
done
run shards_make_the_whole 1 --merge --junit "$work/merged.xml" "$work/shard1" "$work/shard2" "$work/shard3"
says merged_results_are_all_there "1..5"
says merged_failures_are_found_where_they_lie "left: '$work/shard1/bad'"
sed 's/ time="[^"]*"//; s/tmp[^ ]*//; /system-out/,/system-out/d' "$work/r.xml" >"$work/a"
sed 's/ time="[^"]*"//; s/tmp[^ ]*//; /system-out/,/system-out/d' "$work/merged.xml" >"$work/b"
verdict the_merged_report_is_that_of_one_run cmp -s "$work/a" "$work/b"
if command -v parallel >/dev/null; then
	SHARDS=3 timeout 100 "$source/examples/parallel.sh" ./nestbox-test "$work/s" "$work/many" : -- -timeout 2 $guests \
		>"$work/out" 2>&1 </dev/null
	says parallel_runs_and_merges "1..5"
	says parallel_finds_failures "left: '$work/many/1/bad'"
else
	echo "[  SKIPPED ] parallel_runs_and_merges: no parallel (Debian package parallel)"
fi
run passes_are_status_0 0 --results "$work/r2" "$work/s/good.lua" "$work/s/deep/skipped.lua" -- $guests
run no_scenario_is_status_2 2 "$work/r2"
run a_bad_shard_is_status_2 2 --shard 4/3 "$work/s"
exit $failed
