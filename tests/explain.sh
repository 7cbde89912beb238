#!/bin/sh
# Why a VM entry failed and why a VM exit happened: -trace entry-fail names every broken rule with heading, rule and values;
# "why" names for each exit of the guests in tests/guest/vmx the control, bitmap bit or mask that decided.
# Run in the build directory.
. "$(dirname "$0")/lib.sh"
machine="-m 64 -nodefaults -cpu max -device isa-debug-exit,iobase=0xf4,iosize=4 -stop-after 1G"

# report NAME: by $?
report()
{
	verdict "$1" test $? = 0
}

# --- entries that fail ---
assemble_vmx entry
./nestbox $machine -kernel "$work/entry" -serial null -trace entry-fail,text -trace-file "$work/trace" </dev/null >"$work/out" 2>&1
# Each rule of the guest's table of failures is the check that the trace names, in the same order.
sed -n 's/^\tROW("\([^"]*\)".*/\1/p' "$source/tests/guest/vmx/entry.c" >"$work/wanted"
[ "$(wc -l <"$work/wanted")" -ge 50 ]
report the_table_of_failing_entries_is_found
sed -n 's/.* entry_fail check=\([^ ]*\) .*/\1/p' "$work/trace" >"$work/checks"
awk 'NR == FNR { wanted[++n] = $1; next }
	at < n && $1 == wanted[at + 1] { at++ }
	END { if (at < n) print "no report of " wanted[at + 1]; exit at < n }' \
	"$work/wanted" "$work/checks"
report every_failed_entry_is_explained_by_its_rule
! grep ' entry_fail ' "$work/trace" |
	grep -vE 'check=VE-[A-Z]+(-[0-9]+)? heading="[A-Z][^"]+" rule="[^"]+" [A-Za-z_]+[A-Za-z_ 0-9]* = (0x)?[0-9a-f]+'
report each_report_has_heading_rule_and_values
grep -q 'check=VE-HST-01 .*host_cr0 = 0x80010013, must be 1 = 0x80000021' "$work/trace"
report field_and_mask_are_shown
grep -q 'check=VE-MSR heading="Loading MSRs" rule="the MSR is not of the x2APIC (800H to 8FFH)" entry = 0x2, of = 0x3' "$work/trace"
report entries_of_the_msr_list_are_explained

# The debugger's shell says the same on request.
printf 'break entry-fail\ncontinue\nvmcs check\nquit\n' >"$work/commands"
./nestbox $machine -kernel "$work/entry" -serial null -debug <"$work/commands" >"$work/out" 2>&1
grep -A2 'VE-CTL-01: ' "$work/out" | tr -d '\n' | grep -q 'pin_controls = 0x14, must be 1 = 0x16, .*"VM-Execution Control Fields"'
report vmcs_check_lists_rule_values_and_heading

# --- exits ---
for guest in exits ept events apic modes; do
	assemble_vmx $guest
	./nestbox $machine -kernel "$work/$guest" -serial null -trace exits,text -trace-file "$work/trace" </dev/null >"$work/out" 2>&1
	exits=$(grep -c ' exit ' "$work/trace")
	{
		echo 'break exit'
		i=0
		while [ $i -lt "$exits" ]; do
			echo continue
			echo why
			i=$((i + 1))
		done
		echo quit
	} >"$work/commands"
	./nestbox $machine -kernel "$work/$guest" -serial null -debug <"$work/commands" >"$work/why.$guest" 2>&1
	[ "$exits" -gt 5 ] &&
		[ "$(grep -c '^  because of: ' "$work/why.$guest")" -ge "$((exits - 5))" ] && ! grep -q 'because of: ?' "$work/why.$guest"
	report "each_of_the_${exits}_exits_of_${guest}_has_a_reason"
done

# why NAME EXIT PATTERN: among the lines of why for exits of this kind, joined, one matches.
why()
{
	cat "$work"/why.* | awk -v kind=": $2 " '
		/^exit [0-9]+: / { if (on) print text; text = ""; on = index($0, kind) }
		on && !/^breakpoint|^cpu/ { text = text $0 }
		END { if (on) print text }' | grep -qE "$3"
	report "$1"
}
why a_control_is_named HLT 'control "HLT exiting", bit 7 of +proc_controls = 0x[0-9a-f]+, written by VMWRITE'
why a_secondary_control_is_named WBINVD 'control "WBINVD exiting", bit 6 of +sec_controls'
why a_pin_control_is_named EXTERNAL_INTERRUPT 'control "external-interrupt exiting", bit 0 of +pin_controls'
why an_exceptions_bit_is_shown EXCEPTION_NMI 'exception_bitmap = .* bit 6 of it is 1'
why page_faults_show_mask_and_match EXCEPTION_NMI 'pf_error_mask = 0x1.*pf_error_match = 0x1.* error code 0 under the mask differs from the match'
why an_nmi_is_due_to_its_control EXCEPTION_NMI 'because of: PIN NMI_EXITING +control "NMI exiting"'
why the_bit_of_the_io_bitmap_is_shown IO_INSTRUCTION 'I/O bitmap A: byte 0x[0-9a-f]+ is 0x1, its bit 0 is 1'
why ports_that_wrap_are_named IO_INSTRUCTION 'because of: the ports wrap around'
why the_bit_of_the_msr_bitmap_is_shown MSR_READ 'MSR bitmap: byte 0x[0-9a-f]+ is 0x[0-9a-f]+, its bit [0-7] is 1'
why msrs_outside_are_named MSR_WRITE 'outside the bitmaps'
why masked_bits_of_cr0_are_shown CR_ACCESS 'cr0_read_shadow = 0x10000.*differs from the read shadow in masked bits 0x10000'
why masked_bits_of_cr4_are_shown CR_ACCESS 'differs from the read shadow in masked bits 0x4000'
why clts_is_explained CR_ACCESS 'CLTS would change TS'
why cr3_targets_are_counted CR_ACCESS 'cr3_target_count = 0x1.*is none of that many targets'
why the_bit_of_the_vmread_bitmap_is_shown VMREAD 'VMREAD bitmap: byte .*its bit [0-7] is 1'
why vmread_beyond_the_bitmap_is_named VMREAD 'the encoding is beyond the bitmap'
why vmwrite_without_shadowing_is_named VMWRITE 'always without VMCS shadowing'
why pause_loops_show_gap_and_window PAUSE_INSTRUCTION 'ple_gap = 0x64.*ple_window = 0x1f4'
why the_ept_walk_is_shown EPT_VIOLATION 'eptp = .*EPT PTE'
why a_misconfigured_entry_is_shown EPT_MISCONFIG 'EPT entry misconfigured.*EPT P'
why the_log_index_is_shown PML_FULL 'pml_index = 0xffff'
why vm_functions_are_explained VMFUNC 'because of: ECX is beyond the EPTP list.*ECX 0x200'
why the_tpr_is_shown TPR_BELOW_THRESHOLD 'tpr_threshold = 0x5.*VTPR is 0x40'
why the_eoi_bitmap_is_shown EOI_INDUCED 'eoi_exit_bitmap_1 = 0x10.*bit 4 of it, of vector 68'
why an_injected_trap_flag_is_named MONITOR_TRAP_FLAG 'because of: injected by the VM entry'
why the_timer_is_shown PREEMPTION_TIMER 'preemption_timer_value'
exit $failed
