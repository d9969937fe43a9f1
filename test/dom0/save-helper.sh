#!/bin/bash
# Real saves, restores, migrations and a replication with agent as libxl's save helper, put there by
# `agent hook install libxl`. Every step says what it found.
#
# Checked: xl save, save -c and xl restore of a PV, PVH and HVM guest, mixed with the stock helper;
# SIGTERM of the helper; a damaged file; migrations to this very host, and Remus through agent relay.
# shellcheck source=test/dom0/lib.sh
. ./lib.sh
guests=${GUESTS:-pv32 pvh32 hvm40}
saved=$PWD/saved
mkdir -p "$saved"

# As a toolstack finds the helper: by what the hook has put into the environment of a login.
check "agent hook install libxl" "$agent" hook install libxl
set -a
# shellcheck disable=SC1091 # Of the host that this runs on.
. /etc/environment
set +a
check "the environment names the helper" test -x "${LIBXL_SAVE_HELPER:-nothing}"

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
  check "$guest: xl save -c" logged /dev/null xl save -c "$guest" "$saved/$guest.mixed"
  check "$guest: goes on after it" speaks "$guest" 60
  # What it costs: three saves with and without, in turn.
  with=0 without=0
  for _ in 1 2 3; do
    with=$((with + $(milliseconds /dev/null xl save -c "$guest" "$saved/$guest.mixed")))
    without=$((without + $(milliseconds /dev/null env -u LIBXL_SAVE_HELPER xl save -c "$guest" "$saved/$guest.mixed")))
  done
  figure "$guest: three saves with agent against three without" "$with ms / $without ms = $((100 * with / without)) %"
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
check "the helper was not begun" grep -q 'agent: not restored' "$saved/damaged.log"
check "no guest is left of it" is_gone "$first"
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
for guest in hvm40 "$live"; do
  say "---- xl migrate of $guest through agent relay on both sides"
  begin "$guest" || { fail "start $guest"; continue; }
  xl migrate -s '' "$guest" "$agent relay --control $saved/control -- $agent relay --capture $saved/migrated -- xl migrate-receive" >"$saved/migrate.log" 2>&1
  check "$guest: xl migrate" test $? -eq 0
  grep -E 'relay|handshake|good|bad' "$saved/migrate.log"
  check "$guest: the handshake was understood" grep -q 'handshake: the receiver runs the domain' "$saved/migrate.log"
  check "$guest: runs" speaks "$guest" 60
  check "$guest: the capture is a good save file" "$agent" verify "$saved/migrated"
  check "$guest: no process is left behind" none_left
  rm -f "$saved/migrated"
  [ "$guest" = "$live" ] || xl destroy "$guest"
done

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

cp "$saved"/*.log "$out"
check "agent hook remove libxl" "$agent" hook remove libxl
finish
