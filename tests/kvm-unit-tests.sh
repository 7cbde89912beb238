#!/bin/sh
# Runs kvm-unit-tests: every x86-64 entry of its unittests.cfg, those of kvm-unit-tests.cfg here, and every sub-test of vmx.flat by itself.
#	tests/kvm-unit-tests.sh NESTBOX [NAME...]
# KUT_DIR names the suite's folder, built (./configure && make); without it nothing is run. A result that is not a plain pass must be in
# kvm-unit-tests.expected with its reason, and what stands there must be the result. It takes half an hour. With NAMEs only those;
# a sub-test's is vmx:NAME. KUT_BUDGET: instructions for one run, default 60G.

set -u
[ $# -ge 1 ] || {
	sed -n '2,6s/^# *//p' "$0" >&2
	exit 1
}
nestbox=$1
shift
wanted=$*
here=$(cd "$(dirname "$0")" && pwd)
if [ -z "${KUT_DIR:-}" ]; then
	echo "kvm-unit-tests: skipped; give a built suite: KUT_DIR=DIRECTORY"
	exit 77
fi
[ -f "$KUT_DIR/x86/vmx.flat" ] || {
	echo "kvm-unit-tests: $KUT_DIR/x86/vmx.flat is not there: is the suite built?" >&2
	exit 1
}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
as_expected=0
others=0
: >"$work/seen"

# The outcome of the run in $work/out and $work/err with exit status $1, in words.
outcome()
{
	counts=$(tr -d '\r' <"$work/out" | sed -n 's/^SUMMARY: [0-9]* tests\{0,1\}//p' | tail -n 1)
	if grep -q 'stopped after' "$work/err"; then
		echo "unfinished"
	elif grep '^nestbox: ' "$work/err" | grep -qv '^nestbox: warning'; then
		echo "refused"
	else
		case $1 in
		1) echo "pass$counts" ;;
		3) echo "fail$counts" ;;
		77) echo "skip" ;;
		127) echo "abort" ;;
		*) echo "exit status $1$counts" ;;
		esac
	fi
}

# run NAME FILE ENVIRONMENT REBOOT OPTION...: compares the outcome with what is expected.
run()
{
	name=$1
	file=$2
	environment=$3
	reboot=$4
	shift 4
	if [ -n "$wanted" ]; then
		case " $wanted " in
		*" $name "*) ;;
		*) return ;;
		esac
	fi
	echo "$name" >>"$work/seen"
	[ -n "$environment" ] && echo "$environment" >"$work/env" && set -- "$@" -initrd "$work/env"
	[ -n "$reboot" ] || set -- "$@" -no-reboot
	"$nestbox" -nodefaults -device pc-testdev -device isa-debug-exit,iobase=0xf4,iosize=0x4 -display none -serial stdio \
		-machine accel=tcg -kernel "$KUT_DIR/x86/$file" -stop-after "${KUT_BUDGET:-60G}" -stats "$work/stats" "$@" \
		</dev/null >"$work/out" 2>"$work/err"
	result=$(outcome $?)
	counted=$(sed -n 's/^  "instructions": \([0-9]*\),*$/\1/p' "$work/stats" 2>/dev/null | head -n 1)
	expected=$(awk -F '	+' -v name="$name" '$1 == name { print $2 }' "$here/kvm-unit-tests.expected")
	if [ "$result" = "${expected:-pass}" ]; then
		as_expected=$((as_expected + 1))
		echo "ok   $name: $result${counted:+; $counted instructions}"
	else
		others=$((others + 1))
		echo "FAIL $name: $result; expected: ${expected:-pass}"
		grep -a '^FAIL\|^XPASS\|^SKIP\|^Unhandled' "$work/out" | head -n 5
		tail -n 2 "$work/err"
	fi
	rm -f "$work/stats"
}

# Prints "entry" and seven quoted words for each section of a configuration file. Values may be quoted, as the suite's runner allows.
entries()
{
	awk '
	function words(    text) {
		if (name == "" || arch == "i386")
			return
		text = "entry \047" name "\047 \047" file "\047 \047" env "\047 \047" reboot "\047 -smp " smp
		if (args != "")
			text = text " -append " args
		print text " " params
	}
	/^#/ { next }
	/^\[.*\]/ {
		words()
		name = substr($0, 2, index($0, "]") - 2)
		file = env = reboot = args = params = arch = ""
		smp = 1
		next
	}
	/=/ {
		key = value = $0
		sub(/ *=.*/, "", key)
		sub(/^[^=]*= */, "", value)
		if (key == "file") file = value
		else if (key == "smp") smp = value
		else if (key == "test_args") args = value
		else if (key == "qemu_params" || key == "extra_params") params = value
		else if (key == "arch") arch = value
		else if (key == "env") env = value
		else if (key == "reboot") reboot = value
	}
	END { words() }' "$1"
}

# entry NAME FILE ENVIRONMENT REBOOT OPTION...
entry()
{
	# A sub-test that has an entry of its own in the suite runs with that entry's options only.
	case $config/$2 in
	*/unittests.cfg/vmx.flat)
		for option; do
			case $option in [a-z]*_test) echo "$option" >>"$work/alone" ;; esac
		done
		;;
	esac
	run "$@"
}

: >"$work/alone"
for config in "$KUT_DIR/x86/unittests.cfg" "$here/kvm-unit-tests.cfg"; do
	entries "$config" >"$work/entries"
	# The suite's own runner gives these lines to eval, too.
	. "$work/entries"
done

# vmx.flat prints every name that it compares with its arguments.
"$nestbox" -nodefaults -device pc-testdev -device isa-debug-exit,iobase=0xf4,iosize=0x4 -display none -serial stdio -no-reboot \
	-kernel "$KUT_DIR/x86/vmx.flat" -append none -stop-after 1G </dev/null 2>/dev/null |
	tr -d '\r' | sed -n 's/^filter = none, test = //p' | tr ' ' '_' >"$work/subtests"
[ -s "$work/subtests" ] || {
	echo "FAIL vmx.flat does not list its tests"
	others=$((others + 1))
}
while read -r subtest; do
	grep -qx "$subtest" "$work/alone" && [ -z "$wanted" ] && continue
	run "vmx:$subtest" vmx.flat "" "" -cpu max,+vmx -m 2560 -smp 2 -append "$subtest"
done <"$work/subtests"

# What is expected of tests that are not there is out of date.
if [ -z "$wanted" ]; then
	sed '/^#/d; /^$/d; s/	.*//' "$here/kvm-unit-tests.expected" | while read -r name; do
		grep -qx "$name" "$work/seen" || echo "note: kvm-unit-tests.expected has $name, which the suite has not"
	done
fi
echo "$as_expected as expected, $others not"
[ "$others" = 0 ]
