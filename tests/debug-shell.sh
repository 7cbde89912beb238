#!/bin/sh
# The debugger's shell by pipe, by -ex and in a pseudo-terminal, and gdb against the stub, on a small kernel. Run in the build directory.
source=${srcdir:-$(dirname "$0")/..}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
kernel=$work/kernel
failed=0

${CC:-cc} -m32 -nostdlib -static -no-pie -g -Wl,-Ttext=0x100000,--build-id=none -o "$kernel" "$source/tests/guest/debug.S" || exit 1
machine="-m 16 -nodefaults -kernel $kernel"

# says NAME TEXT: the last output has a line with TEXT.
says()
{
	if grep -qF -- "$2" "$work/out"; then
		echo "[       OK ] $1"
	else
		echo "[  FAILED  ] $1"
		echo "no '$2' in:"
		cat "$work/out"
		failed=1
	fi
}

# shell COMMANDS
shell()
{
	printf '%b' "$1" | timeout 60 ./nestbox $machine -debug >"$work/out" 2>&1
	echo "status $?" >>"$work/out"
}

shell "symbols $kernel\nbreak tell if ecx == 0x300\ncontinue\np u32(counter)\nbt\nstep 3\nregs\nfinish\nquit 7\n"
says a_breakpoint_by_symbol_with_a_condition_stops "breakpoint 1"
says the_place_is_named "<tell>"
says memory_is_read_by_symbol "0x300 768"
says registers_are_shown "rcx 0000000000000300"
says finish_returns_to_the_caller "<loop+"
says quit_gives_the_status "status 7"

shell "symbols $kernel\nwatch phys counter,4 if value == 1000\ncontinue\ndelete\nbreak io 0x80\ncontinue\ndelete\nuntil icount 100000\nhash\nquit\n"
says a_watchpoint_tells_both_values "0x3e7 -> 0x3e8"
says a_port_breakpoint_tells_port_and_value "out port 0x80, 1 bytes: 0"
says until_is_exact "reached time 100000, instruction 100000"
grep '^100000 ' "$work/out" >"$work/hash"
./nestbox $machine -stop-after 100000 -hash 0 >"$work/out" 2>&1
says the_debugger_does_not_change_the_machine "$(grep . "$work/hash" || echo "no hash")"

shell "step 5\nnonsense\nquit\n"
says unknown_commands_are_named "'nonsense' is no command"

shell "until icount 1000\n"
says the_end_of_input_ends_it "status 0"

./nestbox $machine -debug -ex "until icount 500" -ex "p icount" -ex quit </dev/null >"$work/out" 2>&1
says commands_of_the_command_line_run_first "0x1f4 500"

printf 'until icount 300\np icount\n' >"$work/script"
shell "source $work/script\nquit\n"
says a_file_of_commands_is_executed "0x12c 300"

./nestbox $machine -trace io,jsonl -trace-file "$work/out" -stop-after 10k >/dev/null 2>&1
says a_trace_needs_no_shell '"event":"out"'

# A terminal: prompt, completion, Ctrl-C, an empty line repeats, history.
if command -v script >/dev/null; then
	(
		sleep 1
		printf 'until icount 100\n'
		sleep 1
		printf 'ste\t 2\n'
		sleep 1
		printf '\n'
		sleep 1
		printf 'p icount\n'
		sleep 1
		printf 'continue\n'
		sleep 2
		printf '\003'
		sleep 2
		printf 'quit 5\n'
		sleep 1
	) | HOME=$work TERM=dumb timeout 60 script -qec "./nestbox $machine -debug" "$work/typescript" >"$work/out" 2>&1
	says an_empty_line_repeats_and_tab_completes "0x68 104"
	says ctrl_c_stops_the_machine "interrupted"
	cp "$work/.nestbox_history" "$work/out" 2>/dev/null
	says the_history_is_kept "p icount"
fi

if command -v gdb >/dev/null; then
	port=$((20000 + $$ % 20000))
	counter=0x$(nm "$kernel" | sed -n 's/ . counter$//p')
	timeout 60 ./nestbox $machine -gdb $port -S -stop-after 100M >"$work/nestbox" 2>&1 &
	cat >"$work/commands" <<-EOT
		set confirm off
		set architecture i386:x86-64
		set language c
		set tcp connect-timeout 30
		target remote localhost:$port
		info threads
		break tell
		continue
		print/x \$ecx
		delete
		watch *(int *)$counter
		continue
		delete
		stepi
		print \$level
		x/1wx $counter
		set var *(int *)$counter = 5
		print *(int *)$counter
		monitor p 6 * 7
		info registers cr0
		x/1bx 0xf00000000
	EOT
	gdb -nx -batch -x "$work/commands" "$kernel" >"$work/out" 2>&1
	says gdb_sees_a_thread "Thread 1 (cpu 0 L1)"
	says gdb_stops_at_a_breakpoint 'Breakpoint 1,'
	says gdb_reads_registers '= 0x100'
	says gdb_watches_memory 'New value = 257'
	says gdb_reads_system_registers '= 1'
	says gdb_writes_memory '= 5'
	says gdb_reaches_the_shell '0x2a 42'
	says gdb_reads_of_nothing_are_harmless 'Cannot access memory at address 0xf00000000'
	wait
fi
exit $failed
