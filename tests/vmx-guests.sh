#!/bin/sh
# Bare-metal guests that act as hypervisor (tests/guest/vmx): each is assembled, run, and must find that every rule it checks holds.
# Run in the build directory. NB_GUESTS: which of them; NB_GUEST_OPTIONS: more options for nestbox.
. "$(dirname "$0")/lib.sh"

for guest in ${NB_GUESTS:-$(cd "$source/tests/guest/vmx" && ls *.c | grep -v '^runtime\.c$\|^aborts\.c$')}; do
	name=${guest%.c}
	assemble_vmx "$name"
	smp=1
	[ "$name" = processors ] && smp=2
	./nestbox -m 64 -smp $smp -nodefaults -serial stdio -cpu max -device isa-debug-exit,iobase=0xf4,iosize=4 -stop-after 1G -stats "$work/stats" \
		-kernel "$work/$name" $NB_GUEST_OPTIONS >"$work/out" 2>&1 </dev/null
	status=$?
	sed -n 's/^  "vm_exits": //p' "$work/stats" >>"$work/reasons"
	if [ $status = 33 ] && grep -q '^RULE ' "$work/out" && ! grep -q FAILED "$work/out"; then
		echo "[       OK ] $name: $(grep -c '^RULE ' "$work/out") checks"
		grep '^RULE ' "$work/out"
	else
		echo "[  FAILED  ] $name: status $status"
		grep -v ' ok ' "$work/out"
		failed=1
	fi
done
# After an abort nothing is left to report but what is in memory.
if [ -z "$NB_GUESTS" ]; then
	assemble_vmx aborts
	for code in 1 4; do
		rules=XO-03 first=0x1234 # what the list's first entry has then
		[ $code = 1 ] || rules="XO-05 XL-02" first=0
		./nestbox -m 64 -nodefaults -serial stdio -cpu max -stop-after 1G -kernel "$work/aborts" -append "abort=$code" $NB_GUEST_OPTIONS \
			>"$work/out" 2>&1 </dev/null
		status=$?
		timeout 60 ./nestbox -m 64 -nodefaults -cpu max -kernel "$work/aborts" -append "abort=$code" $NB_GUEST_OPTIONS -debug \
			-ex "symbols $work/aborts" -ex "break vmx-abort $code" -ex continue \
			-ex "p u32(vmcs_region + 4)" -ex "p u32(list + 8)" -ex quit \
			>"$work/debug" 2>&1 </dev/null
		if [ $status = 2 ] && grep -q "VMX abort $code" "$work/out" && ! grep -q FAILED "$work/out" &&
			grep -q 'VMX shutdown (VMX abort) on processor 0' "$work/out" && ! grep -q "triple fault" "$work/out" &&
			grep -q "breakpoint 1: VMX abort $code: " "$work/debug" &&
			[ "$(tail -n 2 "$work/debug" | sed 's/ .*//' | tr '\n' ' ')" = "0x$code $first " ]; then
			echo "[       OK ] abort $code"
			echo "RULE VMCS-10 $rules ok VMX abort $code: the code is in the VMCS, the machine stands"
		else
			echo "[  FAILED  ] abort $code: status $status"
			cat "$work/out" "$work/debug"
			failed=1
		fi
	done
fi
# Every exit reason that a model has is reached; docs/CONFORMANCE.md, "Exit reasons without a guest", says why not the others.
if [ -z "$NB_GUESTS" ]; then
	sed -n 's/^REASON([0-9]*, \([A-Z0-9_]*\),.*/\1/p' "$source/vmx/exit_reasons.def" | sort >"$work/all"
	tr -c 'A-Z0-9_' '\n' <"$work/reasons" | grep '[A-Z]' | sort -u >"$work/seen"
	sed -n '/^## Exit reasons without a guest/,/^## /p' "$source/docs/CONFORMANCE.md" | sed -n 's/^| \([A-Z][^|]*\) | ..*|$/\1/p' | tr -d ' ' |
		tr ',' '\n' | grep -v '^Reasons$' | sort >"$work/unreachable"
	comm -23 "$work/all" "$work/seen" >"$work/missing"
	if cmp -s "$work/missing" "$work/unreachable"; then
		echo "[       OK ] $(comm -12 "$work/all" "$work/seen" | wc -l) of $(wc -l <"$work/all") exit reasons are reached"
	else
		echo "[  FAILED  ] exit reasons: not reached" $(cat "$work/missing"), explained $(cat "$work/unreachable")
		failed=1
	fi
fi
exit $failed
