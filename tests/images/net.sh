# The network test of both guests, read by their init: DHCP, ping of the gateway, a file by TFTP from the gateway.
# Sets failed=1 if anything went wrong. Prints one line per step, begun by $me.

# say TEXT: one progress line.
say()
{
	echo "$me: $*"
}

# network_test INTERFACE FILE SHA256: FILE may be empty (no fetch), SHA256 too (then the sum is only printed).
network_test()
{
	ifconfig "$1" up
	if ! udhcpc -i "$1" -s /dhcp.sh -n -q -f -t 20 -T 3 >/tmp/dhcp.log 2>&1 || ! read -r address gateway </tmp/lease; then
		cat /tmp/dhcp.log
		say "dhcp FAILED"
		failed=1
		return
	fi
	say "dhcp ok $address"

	if ping -c 3 "$gateway" >/tmp/ping.log 2>&1; then
		say "ping ok"
	else
		cat /tmp/ping.log
		say "ping FAILED"
		failed=1
	fi

	[ -n "$2" ] || return
	if ! tftp -g -b 1428 -r "$2" -l /tmp/file "$gateway" >/tmp/tftp.log 2>&1; then
		cat /tmp/tftp.log
		say "fetch FAILED"
		failed=1
		return
	fi
	set -- "$1" "$2" "$3" $(sha256sum /tmp/file)
	if [ -z "$3" ] || [ "$3" = "$4" ]; then
		say "fetch ok $4"
	else
		say "fetch FAILED: sha256 is $4, not $3"
		failed=1
	fi
}

# power_off HOW: ACPI S5; where the machine has no ACPI, a reset is the end that a machine can see from outside.
# Output still waiting for a serial port of real speed would be lost: stty changes nothing here, but drains first.
power_off()
{
	stty onlcr </dev/console
	[ -z "$1" ] && [ ! -d /sys/firmware/acpi ] && set -- reboot
	"${1:-poweroff}" -f
	while :; do sleep 1000; done
}
