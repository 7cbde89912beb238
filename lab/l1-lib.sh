# What experiments find in L1 (/lab.sh there): sh functions.
failed=
tracing=/sys/kernel/tracing

# say TEXT: one line on L1's console.
say()
{
	echo "L1: $*"
}

fail()
{
	say "$* FAILED"
	failed=1
}

# load GROUP [MODULE=PARAMETERS]...: loads /modules/GROUP in its order, as in "load kvm kvm-intel='ept=0'".
load()
{
	group=$1
	shift
	while read -r module; do
		parameters=
		for pair in "$@"; do
			case $pair in "$module"=*) parameters=${pair#*=} ;; esac
		done
		[ -d "/sys/module/$(echo "$module" | tr - _)" ] || insmod "/modules/$module.ko" $parameters || fail "module $module"
	done <"/modules/$group"
	# For breakpoints of the machine outside: where the modules lie.
	[ $group = kvm ] || return 0
	for module in kvm kvm_intel; do
		echo "place $module $(cat /sys/module/$module/sections/.text)" >>/tmp/places
		say "place $module $(cat /sys/module/$module/sections/.text)"
	done
}

# unload MODULE...
unload()
{
	for module in "$@"; do
		rmmod "$module" || fail "unloading $module"
	done
}

# setting FILE VALUE: writes and says so; a missing file is a missing feature of this kernel.
setting()
{
	echo "$2" >"$1" 2>/dev/null || fail "setting $1 to $2"
}

# trace_on KIB EVENT...: empties the ring buffer and records these events, as "kvm:kvm_exit" or "kvmmmu:*".
trace_on()
{
	echo 0 >$tracing/tracing_on
	echo >$tracing/set_event
	echo "$1" >$tracing/buffer_size_kb
	echo >$tracing/trace
	shift
	for event in "$@"; do
		echo "$event" >>$tracing/set_event || fail "event $event"
	done
	echo 1 >$tracing/tracing_on
}

# trace_off NAME: keeps the ring buffer as /results/NAME.trace, with its loss counters.
trace_off()
{
	echo 0 >$tracing/tracing_on
	echo >$tracing/set_event
	cat $tracing/trace >"/results/$1.trace"
	grep . $tracing/per_cpu/cpu*/stats >"/results/$1.lost"
	echo >$tracing/trace
}

# l2 NAME QEMU-ARGUMENT...: starts QEMU with an L2 of that name; its console is served by l2_serve. Its init runs /lab/l2 with the argument $l2arg.
l2()
{
	name=$1
	shift
	place=/run/nb/$name
	rm -rf "$place"
	mkdir -p "$place/tree"
	cp /lab/l2 "$place/tree/lab"
	echo "$l2arg" >"$place/tree/argument"
	(cd "$place/tree" && find . | cpio -o -H newc 2>/dev/null) >"$place/more.cpio"
	cat /l2/initramfs.cpio "$place/more.cpio" >"$place/cpio"
	mkfifo "$place/con.in" "$place/con.out" "$place/mon.in" "$place/mon.out"
	${wrapper:-} qemu-system-x86_64 -accel kvm -cpu ${l2cpu:-host} -m ${l2mem:-256} -smp ${l2smp:-1} -nodefaults -display none -vga none \
		-no-reboot -no-hpet -chardev "pipe,id=con,path=$place/con" -serial chardev:con \
		-chardev "pipe,id=mon,path=$place/mon" -mon mon \
		-kernel /l2/vmlinux -initrd "$place/cpio" -append "console=ttyS0 quiet nokaslr ${l2append:-}" "$@" \
		2>"/results/$name.qemu" &
	eval "pid_$name=\$!"
	pid=$!
	say "L2 $name started"
}

# l2_serve NAME: prints its lines that begin with LAB; at each "LAB point P" calls at_point P if the experiment defines it, then lets L2 go on.
l2_serve()
{
	name=$1
	eval "pid=\$pid_$name"
	exec 3<"/run/nb/$name/con.out" 4>"/run/nb/$name/con.in"
	cat "/run/nb/$name/mon.out" >"/results/$name.monitor" &
	while read -r line <&3; do
		line=${line%?}
		echo "$line" >>"/results/$name.log"
		case $line in
		"LAB point "*)
			say "$name: $line"
			! type at_point >/dev/null 2>&1 || at_point "${line#LAB point }"
			echo go >&4
			;;
		LAB*) say "$name: $line" ;;
		esac
	done
	exec 3<&- 4>&-
	wait $pid
	status=$?
	[ $status = 0 ] || fail "QEMU of $name, status $status: $(tail -n 1 "/results/$name.qemu")"
	say "L2 $name ended"
}

# during PHASE COMMAND...: a phase of its own around what L1 does; both observers see its marks.
during()
{
	PROBE_L1=1 probe begin $1
	phase=$1
	shift
	"$@"
	PROBE_L1=1 probe end $phase
}

# monitor NAME COMMAND: a line for QEMU's human monitor.
monitor()
{
	echo "$2" >"/run/nb/$1/mon.in"
}

# sample NAME: keeps this moment's counters of the process $pid as /results/NAME.sample.
sample()
{
	{
		echo "== process"
		cat /proc/$pid/stat
		echo "== tasks"
		cat /proc/$pid/task/*/stat
		echo "== vmstat"
		cat /proc/vmstat
		echo "== kvm"
		grep . /sys/kernel/debug/kvm/$pid-*/* 2>/dev/null
	} >"/results/$1.sample"
}
