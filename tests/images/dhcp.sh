#!/bin/sh
# What udhcpc calls when it has a lease: sets address and route, leaves both for net.sh to read.
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ifconfig "$interface" "$ip" netmask "$subnet"
[ -z "$router" ] || route add default gw "${router%% *}" dev "$interface"
echo "$ip ${router%% *}" >/tmp/lease
