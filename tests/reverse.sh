#!/bin/sh
# Going back in time: in the shell, over VM entries and exits, and by gdb. Run in the build directory.
. "$(dirname "$0")/lib.sh"
shown=out
kernel=$work/kernel

assemble debug "$kernel" -g
assemble_vmx ept

# shell MACHINE COMMANDS
shell()
{
	printf '%b' "$2" | timeout -k 1 30 ./nestbox $1 -debug >"$work/out" 2>&1
	echo "status $?" >>"$work/out"
}

# line N: the Nth of the lines that begin with a number, which is a hash
hash_line()
{
	grep -E '^[0-9]+ [0-9a-f]{16}$' "$work/out" | sed -n "$1p"
}

same_hashes()
{
	[ -n "$(hash_line "$1")" ] && [ "$(hash_line "$1")" = "$(hash_line "$2")" ]
}

machine="-m 16 -nodefaults -kernel $kernel"
symbols="symbols $kernel"

shell "$machine" "$symbols\nuntil icount 5000000\nhash\nreverse-step\nhash\nstep\nhash\nreverse-step 1000\nstep 1000\nhash\nquit\n"
verdict a_step_back_and_one_forth_is_the_same_machine same_hashes 1 3
verdict as_are_a_thousand same_hashes 1 4
says a_step_back_is_one_instruction "4999999 "

shell "$machine" "until icount 4999999\nhash\nuntil icount 5000000\nreverse-step\nhash\nquit\n"
verdict the_machine_before_is_the_one_that_was same_hashes 1 2

# The last call of `tell` before, and the one before that.
shell "$machine" "$symbols\nuntil icount 3000000\nbreak tell\nreverse-continue\np ecx\nreverse-continue\n\
p ecx\ncontinue\np ecx\ninfo breakpoints\nquit\n"
values=$(sed -n 's/^0x[0-9a-f]* \([0-9]*\).*/\1/p' "$work/out" | head -n 3 | tr '\n' ' ')
set -- $values
verdict reverse_continue_finds_the_last_breakpoint [ "${1:-0}" -gt 0 ]
verdict and_the_one_before_it [ "$((${1:-0} - 256))" = "${2:-1}" ]
verdict and_the_next_one_forwards [ "${1:-0}" = "${3:-1}" ]
says going_back_counts_no_hits "1 hits"

shell "$machine" "$symbols\nuntil icount 3000000\nwho-wrote phys counter,4\nhash\nuntil icount 3000001\nhash\nquit\n"
says who_wrote_memory_is_found "write of 4 bytes"
says with_the_instruction "<counter>], ecx"
before=$(hash_line 1)
shell "$machine" "until icount 3000000\nhash\nquit\n"
verdict and_the_machine_is_where_it_was [ "$before" = "$(hash_line 1)" ]

# Writes that are no instruction's stores, in pages that are written all the time.
assemble writers "$work/writers"
printf 'A sector of a disk.' >"$work/disk"
truncate -s 1M "$work/disk"
shell "-m 16 -nodefaults -kernel $work/writers -drive file=$work/disk,format=raw,if=ide,snapshot=on" "symbols $work/writers\n\
until icount 3000000\nwho-wrote phys signature,4\nwho-wrote phys sector,4\nwho-wrote phys directory,4\nwho-wrote phys beat,4\n\
who-wrote phys beat,4 if value == 1000\nhash\nuntil icount 3000001\nhash\nquit\n"
says a_write_by_fw_cfg_is_found "fw_cfg: write of 4 bytes"
says with_what_it_wrote ": 0 -> 0x554d4551"
says a_write_by_a_disk_is_found "0 -> 0x65732041"
says as_its_controllers "ide: write of 512 bytes"
says a_mark_of_a_page_walk_is_found "page walk: write of 4 bytes"
says with_both_bits ": 0xa3 -> 0xe3"
says a_store_beside_them_is_a_store "<beat>]"
says one_with_a_condition_too ": 0x3e7 -> 0x3e8"
before=$(hash_line 1)
shell "-m 16 -nodefaults -kernel $work/writers -drive file=$work/disk,format=raw,if=ide,snapshot=on" "until icount 3000000\nhash\nquit\n"
verdict and_nothing_has_changed [ "$before" = "$(hash_line 1)" ]

# A guest that writes more to a disk than -history has room for: what the disk held counts, and goes with the moments that it was kept for.
assemble disk-writer "$work/disk-writer"
truncate -s 8M "$work/disk8"
shell "-m 16 -nodefaults -kernel $work/disk-writer -drive file=$work/disk8,format=raw,if=ide,snapshot=on -history 2M" \
	"until icount 60000000\ninfo history\nhash\nreverse-step 1000\nstep 1000\nhash\nquit\n"
kept=$(sed -n 's/^[0-9]* moments .*, \([0-9]*\) KiB;.*/\1/p' "$work/out")
verdict what_disks_held_counts_for_the_limit [ "${kept:-0}" -gt 1024 ]
verdict which_holds [ "${kept:-9999}" -lt 2560 ]
verdict and_a_thousand_steps_back_are_there same_hashes 1 2

shell "$machine" "until icount 1000\nreverse-step 5000\nhash\nquit\n"
says the_beginning_is_told "what is kept begins here"
shell "$machine -history 0" "until icount 1000\nreverse-step\nquit\n"
says without_memory_there_is_no_past "nothing is kept"
truncate -s 1M "$work/written"
shell "-m 16 -nodefaults -kernel $kernel -drive file=$work/written,format=raw,if=ide" "until icount 1000\nreverse-step\nquit\n"
says a_disk_that_is_written_to_is_named "what is written to $work/written itself cannot be taken back"
shell "$machine" "$symbols\nuntil icount 1000000\nset u32 phys counter = 5\nuntil icount 1000010\nreverse-step\nreverse-to icount 999999\nquit\n"
says a_change_by_hand_begins_a_new_past "what is kept begins at instruction 1000000"
shell "$machine" "until icount 2000000\nreverse-to io 0x80\nhash\nreverse-to icount 1000000\nhash\nuntil icount 2000000\nhash\nquit\n"
says events_are_gone_back_to "out port 0x80"
verdict instruction_counts_too [ "$(hash_line 2 | cut -d ' ' -f 1)" = 1000000 ]

# A second of the guest's time after the last moment that is kept: they must be dense enough for it to be at most a second of the processor's.
note_times
start=$(processor_ms)
shell "$machine" "until icount 3000000000\nquit\n"
note_times
middle=$(processor_ms)
shell "$machine" "until icount 3000000000\nreverse-step\nreverse-to icount 300000000\nreverse-step\nreverse-step\nquit\n"
note_times
end=$(processor_ms)
spent=$((end - middle - (middle - start)))
echo "four commands that go back took $spent ms"
verdict going_back_takes_a_second_at_most [ $spent -lt 4000 ]

# Over VM exits and entries, into the guest and out of it.
machine="-m 64 -nodefaults -serial stdio -device isa-debug-exit,iobase=0xf4,iosize=4 -kernel $work/ept"
shell "$machine" "break exit EPT_VIOLATION\nignore 1 3\ncontinue\nhash\nreverse-step\np level\n\
step\nhash\nreverse-to entry\np level\nreverse-step\np level\nstep\np level\ncontinue\nhash\nquit\n"
levels=$(grep -E '^0x[12] [12]$' "$work/out" | cut -d ' ' -f 2 | tr '\n' ' ')
verdict a_step_back_from_an_exit_is_in_the_guest [ "$(echo $levels | cut -d ' ' -f 1)" = 2 ]
verdict the_exit_happens_again_the_same same_hashes 1 2
verdict a_step_back_from_an_entry_is_in_the_host [ "$(echo $levels | cut -d ' ' -f 2-4)" = "2 1 2" ]
verdict and_forwards_to_the_same_exit same_hashes 1 3
shell "$machine" "break exit EPT_VIOLATION\nignore 1 3\ncontinue\nwho-wrote eptp\nwho-wrote exit_reason\nreverse-to exit\nhash\nquit\n"
says the_writer_of_a_field_is_found "vmwrite eptp:"
says what_the_processor_writes_is_said "the processor writes it at VM exits; the last was exit"
says the_exit_before_is_gone_back_to "exit "

# An EPT entry: the leaf for the address that the violation was about.
shell "$machine" "break exit EPT_VIOLATION\nignore 1 3\ncontinue\nept gpa\nquit\n"
entry=$(grep -oE 'EPT P[A-Z0-9]+ +at 0x[0-9a-f]+' "$work/out" | tail -n 1 | grep -oE '0x[0-9a-f]+$')
shell "$machine" "break exit EPT_VIOLATION\nignore 1 3\ncontinue\nwho-wrote phys ${entry:-0}\nquit\n"
says the_writer_of_an_ept_entry_is_found "at ${entry:-none}: "

# A machine that has ended can be gone back from.
shell "$machine" "continue\nreverse-step 3\nhash\nquit\n"
verdict one_can_go_back_from_the_end [ -n "$(hash_line 1)" ]

# By gdb.
if command -v gdb >/dev/null; then
	port=$((20000 + $$ % 20000))
	machine="-m 16 -nodefaults -kernel $kernel"
	timeout -k 1 60 ./nestbox $machine -gdb $port -S -stop-after 20G >"$work/nestbox" 2>&1 &
	counter=0x$(nm "$kernel" | sed -n 's/ . counter$//p')
	cat >"$work/commands" <<-EOT
		set confirm off
		set architecture i386:x86-64
		set language c
		set tcp connect-timeout 30
		target remote localhost:$port
		break tell
		continue
		continue
		stepi
		stepi
		set \$there = \$icount
		reverse-stepi
		print \$there - \$icount
		reverse-continue
		reverse-continue
		print/x \$ecx
		delete
		watch *(int *)$counter
		reverse-continue
		x/i \$pc
		delete
		reverse-continue
		detach
	EOT
	gdb -nx -batch -x "$work/commands" "$kernel" >"$work/out" 2>&1
	says gdb_steps_back '= 1'
	says gdb_goes_back_to_a_breakpoint '= 0x100'
	says gdb_goes_back_to_before_a_write 'Old value = 256'
	says gdb_sees_the_writing_instruction '=> 0x100014 <loop+1>:'
	says gdb_is_told_of_the_beginning 'No more reverse-execution history'

	# The next one to come finds the past of the run that went on in between, and may end the machine.
	cat >"$work/commands" <<-EOT
		set confirm off
		set architecture i386:x86-64
		set language c
		set tcp connect-timeout 30
		target remote localhost:$port
		info breakpoints
		set \$there = \$icount
		reverse-stepi
		print \$there - \$icount
		break tell
		reverse-continue
		print \$rip == (long)&tell
		stepi
		delete
		kill
	EOT
	gdb -nx -batch -x "$work/commands" "$kernel" >"$work/out" 2>&1
	says gdb_comes_back_without_breakpoints 'No breakpoints or watchpoints'
	says gdb_steps_back_after_coming_back '$1 = 1'
	says gdb_goes_back_to_a_breakpoint_after_coming_back '$2 = 1'
	says gdb_kills '[Inferior 1 (Remote target) killed]'
	wait
else
	echo "[  SKIPPED ] gdb at the stub: no gdb"
fi
exit $failed
