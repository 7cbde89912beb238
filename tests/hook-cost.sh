#!/bin/sh
# What the debugger's hooks cost, in instructions that the host executes (counted by callgrind, so that no other load matters): off, against the
# same sources without hooks, at most 1 %; the shell attached without a breakpoint, against off, at most 5 %. There going back is off (-history 0):
# it notes what the machine writes by write faults, which callgrind neither survives nor counts.
# With it, processor time is compared (user and system, the least of interleaved runs of a whole boot): 5 % is what is wanted, and 10 % at most
# is asserted, since that time depends on what else the host does.
#
#	hook-cost.sh ./nestbox IMAGES	(in the build directory; IMAGES is what tests/images/build.sh made)
nestbox=$1
images=$2
source=${srcdir:-$(dirname "$0")/..}
instructions=${NB_HOOK_COST_INSTRUCTIONS:-60000000}
command -v valgrind >/dev/null || { echo "hook-cost: valgrind is missing: apt-get install valgrind"; exit 1; }
[ -e "$images/vmlinux" ] || { echo "hook-cost: no images: ./nb image"; exit 1; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# The sources, every test of cpu->hooks being false.
mkdir "$work/source" "$work/build" || exit 1
tar -C "$source" --exclude=./.git --exclude=./build --exclude='./build-asan*' --exclude=./autom4te.cache -cf - . |
	tar -C "$work/source" -xf - || exit 1
sed -i -e 's/unlikely(cpu->hooks)/0/g' -e 's/cpu->hooks &&/0 \&\&/g' -e 's/if (cpu->hooks)/if (0)/g' "$work"/source/cpu/*.c "$work"/source/vmx/*.c
if grep -nE 'cpu->hooks([^-]|$)' "$work"/source/cpu/*.c "$work"/source/vmx/*.c | grep -vE 'hooks = |[^0-9]0 &&'; then
	echo "hook-cost: these tests of hooks are still there"
	exit 1
fi
[ "$(cat "$work"/source/cpu/*.c "$work"/source/vmx/*.c | cksum)" != "$(cat "$source"/cpu/*.c "$source"/vmx/*.c | cksum)" ] || {
	echo "hook-cost: no hooks were found"
	exit 1
}
(cd "$work/build" && "$work/source/configure" --quiet CC="${CC:-gcc}" && make -s -j2 nestbox) >"$work/log" 2>&1 || {
	tail "$work/log"
	exit 1
}

# host NAME PROGRAM ARGUMENT...: counts into the variable NAME.
host()
{
	name=$1
	shift
	valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" -m 256 -nodefaults -kernel "$images/vmlinux" \
		-initrd "$images/l1small.cpio" -append "console=ttyS0 quiet nb.mode=boot" </dev/null >"$work/out" 2>"$work/log"
	count=$(sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$work/log")
	cat "$work/out" "$work/log" | grep -qE "(after|instruction) $reach( |\$)" || {
		cat "$work/out" "$work/log"
		exit 1
	}
	[ -n "$count" ] || { cat "$work/log"; exit 1; }
	eval "$name=$count"
	echo "$name: $count instructions of the host for $reach of the guest"
}
# Without what starting costs.
for reach in 1 $instructions; do
	[ $reach = 1 ] && which=0 || which=
	host without$which "$work/build/nestbox" -stop-after $reach
	host off$which "$nestbox" -stop-after $reach
	host attached$which "$nestbox" -debug -history 0 -ex "until icount $reach" -ex quit
done
without=$((without - without0)) off=$((off - off0)) attached=$((attached - attached0))

# within NAME COUNT OF PERCENT
within()
{
	if [ $(($2 * 100)) -le $(($3 * (100 + $4))) ]; then
		echo "[       OK ] $1: $(awk "BEGIN { printf \"%+.3f\", ($2 - $3) * 100 / $3 }") %, at most $4"
	else
		echo "[  FAILED  ] $1: $(awk "BEGIN { printf \"%+.3f\", ($2 - $3) * 100 / $3 }") %, at most $4"
		failed=1
	fi
}
# The processor time of all children so far into $spent, in milliseconds. (Not in a subshell, which has no children.)
spent()
{
	times >"$work/times"
	spent=$(sed -n 2p "$work/times" | tr 'ms' '  ' | awk '{ printf "%d", ($1 + $3) * 60000 + ($2 + $4) * 1000 }')
}
# least NAME ARGUMENT...: the processor time of a boot, into the variable NAME if it is less.
least()
{
	name=$1
	shift
	spent
	before=$spent
	echo continue | "$nestbox" "$@" -m 256 -nodefaults -kernel "$images/vmlinux" -initrd "$images/l1small.cpio" \
		-append "console=ttyS0 quiet nb.mode=boot" -stop-after ${NB_HOOK_COST_BOOT:-1500000000} >"$work/out" 2>&1
	spent
	count=$((spent - before))
	eval "[ -n \"\$$name\" ] && [ \$$name -le $count ] || $name=$count"
}
run=0
while [ $run -lt ${NB_HOOK_COST_RUNS:-7} ]; do
	least time_off
	least time_attached -debug
	run=$((run + 1))
done
echo "a boot: $time_off ms of processor time, $time_attached ms with -debug, going back included"

failed=0
within off_costs_nothing $off $without 1
within attached_costs_little $attached $off 5
within going_back_costs_little $time_attached $time_off 10
exit $failed
