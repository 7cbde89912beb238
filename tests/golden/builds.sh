#!/bin/sh
# State hashes are the same whatever compiler and optimization nestbox was built with, and whoever watches: display, debugger, gdb stub, traces,
# counters, single steps of scenarios.
#	tests/golden/builds.sh NESTBOX IMAGES [SOURCE]
# IMAGES is what tests/images/build.sh made. Builds with other compilers and levels are made in a temporary folder (BUILDS names another, which is
# kept); those whose compiler is missing are left out.

set -u
[ $# -ge 2 ] || {
	sed -n '2,6s/^# *//p' "$0" >&2
	exit 1
}
nestbox=$(realpath "$1")
images=$(realpath "$2")
source=$(realpath "${3:-$(dirname "$0")/../..}")
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
builds=${BUILDS:-$work/builds}
failed=0

# run NAME BINARY OPTION...: hashes of the prefix of a nested run, and of a boot with three processors.
run()
{
	name=$1
	binary=$2
	shift 2
	for part in nested smp; do
		case $part in
		nested) part_options="-m 1024 -initrd $images/l1fast.cpio -stop-after 3500M -hash 500M" mode=nested ;;
		smp) part_options="-m 512 -smp 3 -initrd $images/l1small.cpio -stop-after 900M -hash 150M" mode=boot ;;
		esac
		echo "== $part"
		# shellcheck disable=SC2086 # words
		"$binary" -kernel "$images/vmlinux" $part_options -append "console=ttyS0 quiet nb.mode=$mode" \
			-vga std -nic user,model=e1000 -serial null -no-reboot "$@" </dev/null 2>"$work/err" >"$work/out"
		sed -n 's/^nestbox: hash //p' "$work/err" "$work/out" | uniq
	done >"$work/$name"
}

# same NAME: as the first run.
same()
{
	if [ "$(wc -l <"$work/$1")" -ge 15 ] && cmp -s "$work/reference" "$work/$1"; then
		echo "[       OK ] hashes_with_$1"
	else
		echo "[  FAILED  ] hashes_with_$1"
		diff "$work/reference" "$work/$1"
		cat "$work/err"
		failed=1
	fi
}

run reference "$nestbox"
same reference
SDL_VIDEODRIVER=dummy
export SDL_VIDEODRIVER
run window "$nestbox" -display sdl
same window
run debugger "$nestbox" -debug -ex "break exit CPUID" -ex "ignore 1 100000" -ex "until icount 111111111" -ex "step 1000" \
	-ex "watch phys 0x1000" \
	-ex "ignore 2 100000000" -ex "tbreak exception 14" -ex continue -ex "regs all" -ex delete -ex continue
same debugger
run trace "$nestbox" -trace exits,entries,interrupts,exceptions,jsonl -trace-file /dev/null -stats /dev/null
same trace
run gdb "$nestbox" -gdb $((20000 + $$ % 20000))
same gdb

# build NAME COMPILER FLAGS
build()
{
	command -v "${2##* }" >/dev/null || {
		echo "[  SKIPPED ] hashes_with_$1: no ${2##* }"
		return
	}
	mkdir -p "$builds/$1"
	(cd "$builds/$1" && { [ -e Makefile ] || "$source/configure" --quiet CC="$2" CFLAGS="$3"; } && make -j"$(nproc)" -s nestbox) \
		>"$work/log" 2>&1 || {
		echo "[  FAILED  ] hashes_with_$1: the build failed"
		tail "$work/log"
		failed=1
		return
	}
	run "$1" "$builds/$1/nestbox"
	same "$1"
}

ccache=$(command -v ccache >/dev/null && echo "ccache ")
build gcc_O0 "${ccache}gcc" -O0
build gcc_O1 "${ccache}gcc" -O1
build gcc_O3_native "${ccache}gcc" "-O3 -march=native"
build clang_O2 "${ccache}clang" -O2
build clang_O0 "${ccache}clang" -O0
exit $failed
