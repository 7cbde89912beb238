#!/bin/sh
# Snapshots: what a crash while saving leaves, how long saving takes, disks. Run in the build directory.
source=${srcdir:-$(dirname "$0")/..}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
kernel=$work/kernel
failed=0

${CC:-cc} -m32 -nostdlib -static -no-pie -Wl,-Ttext=0x100000,--build-id=none -o "$kernel" "$source/tests/guest/fill.S" || exit 1

# verdict NAME COMMAND...
verdict()
{
	name=$1
	shift
	if "$@"; then
		echo "[       OK ] $name"
	else
		echo "[  FAILED  ] $name"
		cat "$work/err"
		failed=1
	fi
}

# run STATUS ARGUMENT...
run()
{
	status=$1
	shift
	timeout -k 1 60 ./nestbox -nodefaults -serial null -kernel "$kernel" "$@" >"$work/out" 2>"$work/err" </dev/null
	got=$?
	[ $got = "$status" ] && return
	echo "status $got instead of $status: nestbox $*"
	return 1
}

# Killed at many moments of saving: the former snapshot is whole, and no other file is there.
verdict a_machine_is_saved run 3 -m 256 -append r -stop-after 60M -hash 0 -snapshot-save "$work/snapshot"
sum=$(sha256sum <"$work/snapshot")
killed=0
for ms in 05 10 15 20 25 30 35 40 50 60 70 80 90; do
	./nestbox -nodefaults -serial null -kernel "$kernel" -m 256 -append r -snapshot-load "$work/snapshot" -stop-after 60100k \
		-snapshot-save "$work/snapshot" >/dev/null 2>&1 </dev/null &
	pid=$!
	sleep 0.$ms
	kill -9 $pid 2>/dev/null && killed=$((killed + 1))
	wait $pid 2>/dev/null
	if [ "$(sha256sum <"$work/snapshot")" != "$sum" ]; then
		# It was through: then the new one is whole.
		run 3 -m 256 -append r -snapshot-load "$work/snapshot" -stop-after 60200k || failed=1
		run 3 -m 256 -append r -stop-after 60M -snapshot-save "$work/snapshot" || failed=1
		sum=$(sha256sum <"$work/snapshot")
	fi
done
verdict a_killed_save_leaves_the_former_snapshot run 3 -m 256 -append r -snapshot-load "$work/snapshot" -stop-after 60200k
verdict and_nothing_else [ "$(ls "$work" | tr '\n' ' ')" = "err kernel out snapshot " ]
echo "$killed of 13 saves were killed"
exit $failed
