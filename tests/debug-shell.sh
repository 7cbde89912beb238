#!/bin/sh
# The debugger's shell by pipe, by -ex and in a pseudo-terminal, and gdb against the stub, on a small kernel. Run in the build directory.
. "$(dirname "$0")/lib.sh"
shown=out
kernel=$work/kernel

assemble debug "$kernel" -g
machine="-m 16 -nodefaults -kernel $kernel"

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

# A terminal. talk SCRIPT: what it prints is in out.
talk()
{
	printf '%s\n' "$1" | HOME=$work TERM=dumb PAGER="$work/pager" timeout 200 tests/terminal ./nestbox $machine -debug >"$work/out" 2>&1
	echo "status $?" >>"$work/out"
}
printf '#!/bin/sh\necho "--- $(wc -l) lines paged ---"\n' >"$work/pager"
chmod +x "$work/pager"
echo 'p 6 * 7' >"$work/a-script"
prompt='see (nestbox) '

talk "$prompt
send until icount 100\n
see instruction 100
send ste\t 2\n
see #102
send \n
see #104
send echo guest_interruptib\t\n
see guest_interruptibility
send echo EPT_VIO\tx\n
see EPT_VIOLATION
send symbols $work/ker\t\n
see symbols
send p count\t\n
see 0x
send disasm count\t\n
see <counter>
send break trip\t\n
see triple-fault, 0 hits
send info mem\t\n
see ROM  reset-vector
send help reverse-s\t\n
see example: reverse-step
send p vmcs.guest_ri\t\n
see guest_rip
see 0 0
send source $work/a-scr\t\n
see 0x2a 42
send help\n
see lines paged ---
send echo half a line\x03
see (nestbox)
send \x03
see (nestbox)
send \x03
see (nestbox)
send continue\n
interrupt interrupted
see cpu 0 L1
send quit 5\n
end"
says a_terminal_completes_repeats_pages_and_is_interrupted "status 5"
talk "$prompt
send \x10
see quit 5
send \n
end"
says the_history_is_kept "status 5"
talk "$prompt
send until icount 3000000000\n
see instruction 3000000000
send reverse-to msr\n
stop interrupted: it is where it was
send p icount\n
see 3000000000
send who-wrote phys 0x200000 if 0\n
see nobody did
send quit 6\n
end"
says an_interrupted_way_back_leads_to_the_present "status 6"

# Two processors: the second starts, and each can be selected.
two=$work/two
assemble two "$two" -g
count1=0x$(nm "$two" | sed -n 's/ . count1$//p')
machine_of_one=$machine
machine="-m 16 -nodefaults -smp 2 -kernel $two"
shell "symbols $two\nuntil icount 500000\ninfo cpus\ncpu 1\np cpu\nstep 2\nx/2i cs_base + rip\nregs seg\nonly cpu 1\nwatch phys 0x7000,4\nc\np cpu\n\
only off\ndelete\nwatch phys $count1,4\nc\np cpu\ncpu 9\ncpu 0\nstep 3\nquit\n"
says both_processors_are_listed " cpu 1 L1 rip"
says the_selected_processor_steps "cpu 1 L1 #"
says its_code_is_real_mode "inc [0x7000]"
says its_own_segments_are_shown "cs   0800 base 0000000000008000"
says a_watchpoint_of_one_processor "breakpoint 1: write of 4 bytes at 0x7000"
says a_watchpoint_of_the_other "breakpoint 2: write of 4 bytes at 0x101000"
says there_is_no_ninth "there are 2 processors"
machine=$machine_of_one

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

	# Threads, all kinds of breakpoints, leaving and coming back.
	timeout 60 ./nestbox -m 16 -nodefaults -smp 2 -kernel "$two" -gdb $port -S -stop-after 2G >"$work/nestbox" 2>&1 &
	nestbox=$!
	cat >"$work/commands" <<-EOT
		set confirm off
		set architecture i386:x86-64
		set language c
		set tcp connect-timeout 30
		target remote localhost:$port
		hbreak first
		continue
		delete
		watch *(int *)$count1
		continue
		delete
		rwatch *(int *)$count1
		continue
		delete
		awatch *(int *)0x7000
		continue
		info threads
		print "second at", *(unsigned char *)0x8000
		delete
		thread 2
		print \$_thread
		stepi
		print \$cs
		thread 1
		print \$_thread
		stepi
		print \$_thread
		monitor info cpus
		monitor continue
		detach
	EOT
	gdb -nx -batch -x "$work/commands" "$two" >"$work/out" 2>&1
	says gdb_hardware_breakpoint 'Breakpoint 1,'
	says gdb_write_watchpoint 'Hardware watchpoint 2:'
	says gdb_read_watchpoint 'Hardware read watchpoint 3:'
	says gdb_access_watchpoint 'Hardware access (read/write) watchpoint 4:'
	says gdb_lists_both_threads 'Thread 2 (cpu 1 L1)'
	says gdb_selects_a_thread '[Switching to thread 2'
	says gdb_steps_the_selected_thread '= 2048'
	says monitor_refuses_to_run 'gdb runs the machine'
	says gdb_detaches '[Inferior 1 (Remote target) detached]'
	cat >"$work/commands" <<-EOT
		set architecture i386:x86-64
		set language c
		set tcp connect-timeout 30
		target remote localhost:$port
		info breakpoints
		print *(int *)$count1 > 1000
		x/1bx 0xf00000000
		kill
	EOT
	gdb -nx -batch -x "$work/commands" "$two" >"$work/out" 2>&1
	says gdb_comes_back '= 1'
	says no_breakpoint_is_left 'No breakpoints or watchpoints.'
	wait $nestbox
else
	echo "[  SKIPPED ] gdb at the stub: no gdb"
fi
exit $failed
