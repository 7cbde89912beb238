# What the tests in sh share; each begins with
#	. "$(dirname "$0")/lib.sh"
# and ends with "exit $failed". Tests of make check run in the build directory; the others say with their first lines how they are called.
#
#	$source		the tree
#	$work		a directory of the test's own, which goes when it ends
#	$failed		the test's exit status
#	$shown		the files that a failed verdict shows, in $work unless they are absolute
source=${srcdir:-$(dirname "$0")/..}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
failed=0
shown="out err"

# usage: ends a test that was called wrongly; its first comment says how.
usage()
{
	sed -n '2,${/^#/!q;s/^#[ 	]*//p}' "$0" >&2
	exit 1
}

# skip REASON: ends a test that cannot be run here.
skip()
{
	echo "skipped: $1"
	exit 77
}

# verdict NAME COMMAND...: the test of that name passes if the command succeeds.
verdict()
{
	verdict=$1
	shift
	if "$@"; then
		echo "[       OK ] $verdict"
		return
	fi
	echo "[  FAILED  ] $verdict"
	(
		cd "$work" || exit
		for file in $shown; do
			[ ! -s "$file" ] || { echo "$file:"; tail -n 40 "$file"; }
		done
	)
	failed=1
}

# ends STATUS COMMAND...: does it end with that status? What it prints goes to $work/out and $work/err.
ends()
{
	status=$1
	shift
	"$@" >"$work/out" 2>"$work/err"
	got=$?
	[ $got = "$status" ] && return
	echo "status $got instead of $status: $*"
	return 1
}

# both COMMAND...: its messages are part of its output.
both()
{
	"$@" 2>&1
}

# said TEXT: do the last run's files ($shown) have it?
said()
{
	(cd "$work" && cat $shown) | grep -qF -- "$1" && return
	echo "not there: '$1'"
	return 1
}

# says NAME TEXT: the test of that name passes if the last run's files have TEXT.
says()
{
	verdict "$1" said "$2"
}

# assemble NAME FILE [OPTION...]: tests/guest/NAME.S as a kernel; sector NAME FILE: as a boot sector.
assemble()
{
	assembly=$1
	assembled=$2
	shift 2
	${CC:-cc} -m32 -nostdlib -static -no-pie -Wl,-Ttext=0x100000,--build-id=none -o "$assembled" "$@" \
		"$source/tests/guest/$assembly.S" || exit 1
}

sector()
{
	assemble "$1" "$2" -Wl,-Ttext=0x7c00,--oformat=binary
}

# assemble_vmx NAME: the bare-metal hypervisor tests/guest/vmx/NAME.c as $work/NAME.
assemble_vmx()
{
	${CC:-cc} -std=gnu11 -Wall -Wextra -Werror -O1 -m64 -ffreestanding -nostdlib -fno-pic -static -mno-red-zone -mgeneral-regs-only \
		-fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
		-Wl,-Ttext=0x100000,--build-id=none,-z,max-page-size=0x1000,-z,noexecstack \
		-I"$source" -o "$work/$1" "$source/tests/guest/vmx/start.S" "$source/tests/guest/vmx/runtime.c" \
		"$source/tests/guest/vmx/$1.c" || exit 1
}

# payload LINES: a file for the guest to fetch, $work/tftp/payload; $sum is its SHA-256.
payload()
{
	mkdir "$work/tftp"
	seq 1 "$1" >"$work/tftp/payload"
	sum=$(sha256sum "$work/tftp/payload" | cut -d ' ' -f 1)
}

# note_times; A=$(processor_ms): the milliseconds of processor time that the test's children have used so far.
note_times()
{
	# Not in a subshell, whose children are none of ours.
	times >"$work/times"
}

processor_ms()
{
	# The second line of `times`: what children used, XmY.Zs twice.
	sed -n 2p "$work/times" | sed 's/[ms]/ /g' | awk '{ printf "%d\n", ($1 * 60 + $2 + $3 * 60 + $4) * 1000 }'
}
