#!/bin/sh
# A run with real TCP through libslirp, both ways, recorded; and its replay, with no server there and no network at all.
#	tests/replay-tcp.sh NESTBOX IMAGES
# IMAGES is what tests/images/build.sh made. Needs python3 for the server, cpio; unshare -n, where it is allowed, for the replay.

set -u
. "$(dirname "$0")/lib.sh"
[ $# = 2 ] || usage
nestbox=$(realpath "$1")
images=$2
server=
trap 'kill $server 2>/dev/null; rm -rf "$work"' EXIT
shown="err serial.log"

# The small L1 with another init: fetches a file by HTTP, then serves one.
mkdir "$work/tree" "$work/srv"
cat >"$work/tree/init" <<'END'
#!/bin/sh
export PATH=/bin:/usr/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
read -r words </proc/cmdline
for word in $words; do
	case $word in nb.port=*) port=${word#nb.port=} ;; esac
done
insmod /modules/e1000.ko
ifconfig lo up
ifconfig eth0 10.0.2.15 up
wget -q -O /tmp/file "http://10.0.2.2:$port/payload" && sha256sum </tmp/file
echo "from the guest" >/tmp/index.html
httpd -p 80 -h /tmp
echo "L1: serving"
while [ ! -e /tmp/done ]; do
	netstat -tn | grep -q ':80 .*TIME_WAIT' && >/tmp/done
	sleep 0.1
done
echo "L1: done"
sleep 0.1
poweroff -f
END
chmod +x "$work/tree/init"
(cd "$work/tree" && echo init | cpio -o -H newc --quiet) >"$work/over.cpio"
cat "$images/l1small.cpio" "$work/over.cpio" >"$work/initrd"
seq 1 200000 >"$work/srv/payload"
sum=$(sha256sum <"$work/srv/payload")

# A free port for the server, and one to be forwarded.
python3 - "$work" >"$work/port" 2>/dev/null <<'END' &
import functools, http.server, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1] + "/srv")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
print(server.server_port, flush=True)
server.serve_forever()
END
server=$!
for i in 1 2 3 4 5 6 7 8 9 10; do
	[ -s "$work/port" ] && break
	sleep 0.2
done
port=$(cat "$work/port")
forward=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

"$nestbox" -m 256 -kernel "$images/vmlinux" -initrd "$work/initrd" -append "console=ttyS0 quiet nb.port=$port" -no-reboot -realtime -timeout 120 \
	-nic "user,model=e1000,hostfwd=tcp:127.0.0.1:$forward-:80" -serial "file:$work/serial.log" -hash 500M -record "$work/capsule" \
	</dev/null 2>"$work/err" &
run=$!
for i in $(seq 1 300); do
	grep -q serving "$work/serial.log" 2>/dev/null && break
	sleep 0.2
done
python3 -c 'import sys, urllib.request; print(urllib.request.urlopen("http://127.0.0.1:%s/" % sys.argv[1], timeout=60).read().decode(), end="")' \
	"$forward" >"$work/fetched" 2>&1
wait $run
status=$?
verdict the_guest_fetched_a_file_over_tcp grep -qF "$sum" "$work/serial.log"
verdict the_guest_served_one_through_a_forwarded_port grep -q 'from the guest' "$work/fetched"
verdict the_recorded_run_ends_well [ $status = 0 ]
grep 'nestbox: hash' "$work/err" >"$work/hashes"
kill $server
server=

unshare -rn true 2>/dev/null && alone="unshare -rn"
${alone:-} "$nestbox" -replay "$work/capsule" -hash 500M -serial "file:$work/serial2.log" </dev/null 2>"$work/err"
verdict the_replay_needs_no_network [ $? = 0 ]
grep 'nestbox: hash' "$work/err" >"$work/hashes2"
verdict it_has_the_same_hashes sh -c '[ -s "$0" ] && cmp "$0" "$1"' "$work/hashes" "$work/hashes2"
verdict it_has_the_same_output cmp "$work/serial.log" "$work/serial2.log"
verdict it_ends_as_recorded grep -q 'ended as recorded' "$work/err"
exit $failed
