#!/bin/sh
# What udhcpc calls when it has a lease: sets address and route, leaves address and gateway for net.sh to read.
# A user network without a way out (restrict=on) names no router; its DHCP server then is what can be pinged.
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ifconfig "$interface" "$ip" netmask "$subnet"
[ -z "$router" ] || route add default gw "${router%% *}" dev "$interface"
gateway=${router:-${serverid:-$siaddr}}
echo "$ip ${gateway%% *}" >/tmp/lease
