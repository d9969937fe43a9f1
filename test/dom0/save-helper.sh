#!/bin/bash
# Real saves, restores and a replication with agent as LIBXL_SAVE_HELPER, in the dom0 of a test host:
# run there as root with the program "agent" beside it. Guests are those of /lab/cfg. Status 0 when
# all is as without agent; every step says what it found.
#
# Checked: xl save and xl restore of a PV, PVH and HVM guest, with the bytes that the stream has
# without agent in between; SIGTERM of the helper; a live migration and Remus through agent relay.
cd "$(dirname "$0")" || exit 1
chmod +x agent
agent=$PWD/agent
guests=${GUESTS:-pv32 pvh32 hvm40}
console=/var/log/xen/console
saved=$PWD/saved
failures=0
mkdir -p "$saved" /lab/out

say() { echo "## $(cut -d' ' -f1 /proc/uptime) $*"; }
fail() {
  say "FAILED: $*"
  failures=$((failures + 1))
}
check() { # WHAT COMMAND...
  local what=$1
  shift
  if "$@"; then say "ok: $what"; else fail "$what (status $?)"; fi
}

lives() { [ "$(xl list "$1" 2>/dev/null | wc -l)" -eq 2 ]; }
# What a guest says of itself; one that came by migration has a log of another name.
rounds() { cat "$console/guest-$1.log" "$console/guest-$1--incoming.log" 2>/dev/null | grep -c 'domU round'; }
# Until it says something more.
speaks() { # NAME SECONDS
  local before
  before=$(rounds "$1")
  for _ in $(seq "$2"); do
    [ "$(rounds "$1")" -gt "$before" ] && return 0
    sleep 1
  done
  tail -5 "$console/guest-$1.log"
  return 1
}
begin() { # NAME
  xl create "/lab/cfg/$1.cfg" >/dev/null && speaks "$1" 120
}
left_behind() { ps -eo pid,args | grep -E 'save-(helper|worker|domain)|restore-domain' | grep -v grep; }
none_left() { ! left_behind; }

say "$("$agent" --version)"
export LIBXL_SAVE_HELPER=$agent
PYTHONPATH=$(echo /usr/lib/xen-*/lib/python) && export PYTHONPATH # For verify-stream-v2.

for guest in $guests; do
  say "---- $guest"
  begin "$guest" || { fail "start $guest"; continue; }
  xl save "$guest" "$saved/$guest.save" >"$saved/$guest.save.log" 2>&1
  check "$guest: xl save with agent as the helper" test $? -eq 0
  grep 'agent:' "$saved/$guest.save.log"
  check "$guest: agent said nothing" test -z "$(grep 'agent:' "$saved/$guest.save.log")"
  check "$guest: agent verify" "$agent" verify "$saved/$guest.save"
  check "$guest: verify-stream-v2" verify-stream-v2 -f xl -i "$saved/$guest.save"
  xl restore "$saved/$guest.save" >"$saved/$guest.restore.log" 2>&1
  check "$guest: xl restore with agent as the helper" test $? -eq 0
  grep 'agent:' "$saved/$guest.restore.log"
  check "$guest: runs again" speaks "$guest" 60
  # The same guest, saved by agent, restored without, and the other way round.
  xl save "$guest" "$saved/$guest.mixed" >/dev/null 2>&1
  check "$guest: restored without agent" env -u LIBXL_SAVE_HELPER xl restore "$saved/$guest.mixed"
  check "$guest: runs again without agent" speaks "$guest" 60
  env -u LIBXL_SAVE_HELPER xl save "$guest" "$saved/$guest.mixed" >/dev/null 2>&1
  check "$guest: saved without agent, restored with" xl restore "$saved/$guest.mixed"
  check "$guest: runs again with agent" speaks "$guest" 60
  check "$guest: no process is left behind" none_left
  xl destroy "$guest"
  rm -f "$saved/$guest.mixed"
done

say "---- a damaged image is refused, by the real helper and told by agent"
first=${guests%% *}
cp "$saved/$first.save" "$saved/damaged"
truncate -s -200000 "$saved/damaged"
xl restore "$saved/damaged" >"$saved/damaged.log" 2>&1
check "xl restore fails" test $? -ne 0
check "agent says why" grep -q 'agent: .*the end of the input' "$saved/damaged.log"
lives "$first" && xl destroy "$first"

say "---- the helper is told to end: the guest goes on"
if begin "$first"; then
  mkfifo "$saved/fifo"
  sleep 1000 <>"$saved/fifo" & # Somebody who has it open and never reads.
  holder=$!
  xl save "$first" "$saved/fifo" >"$saved/term.log" 2>&1 &
  saver=$!
  sleep 6
  helper=$(pgrep -f -- '--save-domain' | head -1)
  [ -n "$helper" ] && kill -TERM "$helper"
  wait "$saver"
  check "xl save fails" test $? -ne 0
  kill "$holder"
  check "the guest is there" lives "$first"
  check "the guest runs" speaks "$first" 60
  check "no process is left behind" none_left
  xl destroy "$first"
fi

# PV guests cannot migrate live on a hypervisor without shadow paging.
live=${LIVE:-pvh32}
say "---- xl migrate of $live through agent relay on both sides"
if begin "$live"; then
  xl migrate -s '' "$live" "$agent relay --control $saved/control -- $agent relay --capture $saved/migrated -- xl migrate-receive" >"$saved/migrate.log" 2>&1
  check "xl migrate" test $? -eq 0
  grep -E 'relay|handshake|good|bad' "$saved/migrate.log"
  check "the handshake was understood" grep -q 'handshake: the receiver runs the domain' "$saved/migrate.log"
  check "the guest runs" speaks "$live" 60
  check "the capture is a good save file" "$agent" verify "$saved/migrated"
  check "no process is left behind" none_left
fi

say "---- xl remus of $live with agent as the helper on both sides"
if lives "$live"; then
  xl remus -F -n -d -e -i 1000 -s '' "$live" "$agent relay -- xl migrate-receive -r" >"$saved/remus.log" 2>&1 &
  sender=$!
  sleep "${REMUS_SECONDS:-75}" # The first pass is slow in an emulator.
  kill "$sender"
  wait "$sender" 2>/dev/null
  sleep 8
  xl list
  grep -E 'agent|relay|checkpoint' "$saved/remus.log" | head -20
  check "checkpoints went through" grep -qE '[0-9]+ complete checkpoint' "$saved/remus.log"
  check "a guest runs after the failover" test "$(xl list | wc -l)" -gt 2
fi

cp "$saved"/*.log /lab/out/ 2>/dev/null
say "$failures failures"
exit "$failures"
