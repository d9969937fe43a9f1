#!/bin/bash
# What guests do to the dom0's xenstored when that is agent: a disk, a network device and a console
# each, reads without rest, writes where they may not, and deaths without a word. Run with
# XENSTORED=job.
# shellcheck disable=SC2317 # Functions are called through check.
# shellcheck source=test/dom0/lib.sh
. ./lib.sh
guests=${GUESTS:-pv32 pvh32 hvm40}
[ -z "$short" ] || guests=pvh32
daemon=$(cat /run/xenstored.pid)
shows() { last_word "$1" "$2" | tee /dev/stderr | grep -qE "$2"; } # GUEST PATTERN
connected() { # GUEST KIND COUNT: so many back ends of it, and every one says so.
  local states
  states=$(xenstore-ls -f "/local/domain/0/backend/$2/$(xl domid "$1")" | sed -n 's/.*\/state = "\(.*\)"/\1/p')
  [ "$(wc -w <<<"$states")" = "$3" ] && [ -z "$(tr -d '4\n' <<<"$states")" ]
}
has_crashed() { [[ $(xl list "$1" | awk 'NR == 2 { print $5 }') == *c* ]]; } # "---sc-"

say "---- a bridge, and disks"
for module in loop bridge xen-blkback xen-netback; do modprobe "$module" 2>/dev/null; done
ip link add xenbr0 type bridge
ip addr add 10.9.0.1/24 dev xenbr0
ip link set xenbr0 up
for guest in $guests; do
  truncate -s 16M "$guest.a" "$guest.b"
done

number=10
for guest in $guests; do
  say "---- $guest"
  number=$((number + 1))
  # Two disks' and a network device's buffers leave nothing of 32 MiB: it would look for a page for ever.
  config=$(config_for "$guest" "probe=rights disks=order net=10.9.0.$number" "memory = 64" \
    "disk = [ 'format=raw, vdev=xvda, access=rw, target=$PWD/$guest.a', 'format=raw, vdev=xvdb, access=rw, target=$PWD/$guest.b' ]" \
    "vif = [ 'type=vif, bridge=xenbr0, mac=00:16:3e:00:00:$number' ]")
  begin "$guest" "$config" || { fail "start $guest"; xl destroy "$guest"; continue; }
  check "$guest: its disks are connected" within 30 connected "$guest" vbd 2
  check "$guest: its network device is connected" within 30 connected "$guest" vif 1
  check "$guest: it writes to both disks" within 60 shows "$guest" '^disks: [0-9]+$'
  check "$guest: the writes arrive" test "$(head -c 511 "$guest.a" | tr -d ' \n')" -gt 0
  check "$guest: it is heard over the bridge" within 30 shows "$guest" '^net: .* [1-5] packets received'
  check "$guest: it has written what is its own" within 30 shows "$guest" 'data/mine: allowed'
  check "$guest: it was told so to the end" within 60 shows "$guest" 'probe: rights done'
  for path in /local/domain/0/name /tool/xenstored /mine /vm; do
    check "$guest: it may not write $path" shows "$guest" "probe: $path: ERROR EACCES"
  done
  check "$guest: Domain-0 has its name" test "$(xenstore-read /local/domain/0/name)" = Domain-0
  check "$guest: xl console shows it" test -n "$(last_word "$guest" 'domU round')"
  check "$guest: xl save" logged "$out/$guest.save.log" xl save "$guest" "$PWD/$guest.saved"
  check "$guest: xl restore" logged "$out/$guest.restore.log" xl restore "$PWD/$guest.saved"
  check "$guest: it goes on" speaks "$guest" 90
  check "$guest: its disks are connected again" within 90 connected "$guest" vbd 2
  check "$guest: its network device is connected again" within 90 connected "$guest" vif 1
  xl destroy "$guest"
  check "$guest: it is gone" within 30 is_gone "$guest"
  rm -f "$guest.saved"
done

say "---- guests that die without a word, their toolstack process killed before"
for guest in $guests; do
  # By itself the kernel of an HVM guest that panics resets its machine, and tells the hypervisor no crash.
  config=$(config_for "$guest" "die=12 xen_legacy_crash" 'on_crash = "preserve"')
  begin "$guest" "$config" || { fail "start $guest"; xl destroy "$guest"; continue; }
  domid=$(xl domid "$guest")
  pkill -9 -f "xl create $config"
  timeout 120 xenstore-watch -n 2 @releaseDomain >released.txt & # One event for the watch itself.
  watcher=$!
  check "$guest: @releaseDomain is told" wait "$watcher"
  check "$guest: the hypervisor says it has crashed" has_crashed "$guest"
  xl destroy "$domid"
  check "$guest: it is forgotten" within 10 eval "! xenstore-exists /local/domain/$domid"
done

check "agent serves on" test "$(pidof xenstored oxenstored)" = "$daemon"
check "the store is sound" test "$("$(echo /usr/lib/xen-*/bin/xenstore-control)" check)" = OK
figure "resident KiB of the daemon" "$(awk '/^VmRSS/ { print $2 }' "/proc/$daemon/status")"
finish
