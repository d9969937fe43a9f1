#!/bin/bash
# Real Remus: xl remus of a PVH and an HVM guest into agent checkpoint receive.
#
# Checked for each guest: the receiver killed by SIGKILL and started again loses nothing that it had
# reported; the sender killed in the middle of a checkpoint leaves a restore point; that is good by
# every check we have, xl restores it, and the guest goes on. Then a failover behind a fence.
# shellcheck source=test/dom0/lib.sh
. ./lib.sh
guests=${GUESTS:-pvh32 hvm40}
points=/var/tmp/points
rm -rf "$points"
mkdir -p "$points"

# Number of the last commit that was reported.
reported() { (echo 0; cat "$points/$1.reported" 2>/dev/null) | tail -1; }
# shellcheck disable=SC2317 # Called by within.
has_reported() { [ "$(reported "$1")" -ge "$2" ]; }
# The last one that the folder has.
stands() { "$agent" checkpoint list "$points/$1" --json | sed -n '/"points"/,/\]/p' | grep -o '"number": [0-9]*' | tail -1 | grep -o '[0-9]*'; }
receivers() { pgrep -f "^$agent checkpoint receive" | tr '\n' ' '; } # Not xl, which has it in its words.
# shellcheck disable=SC2317 # Called by within.
no_receivers() { [ -z "$(receivers)" ]; }

# xl remus in the background: the receiver is its child, and tells each commit to a file.
replicate() { # GUEST LOG [WORDS OF receive...]
  local guest=$1 log=$2
  shift 2
  xl remus -F -n -d -e -i "${INTERVAL:-1000}" -s '' "$guest" \
    "exec $agent checkpoint receive --to $points/$guest --keep 3 --on-commit 'echo \$AGENT_CHECKPOINT_NUMBER >>$points/$guest.reported' $*" \
    >"$log" 2>&1 &
  sender=$!
}
# What a host that dies does: nothing more comes from it, and its guest is gone.
kill_sender() { # GUEST
  pkill -KILL -f "save-helper.*--save-domain" || true
  kill -KILL "$sender" 2>/dev/null
  wait "$sender" 2>/dev/null
  xl destroy "$1"
}

for guest in $guests; do
  say "---- $guest"
  begin "$guest" || { fail "start $guest"; continue; }
  replicate "$guest" "$out/$guest.1.log"
  check "$guest: five checkpoints are committed" within 180 has_reported "$guest" 5

  say "the receiver is killed"
  # shellcheck disable=SC2046 # Numbers.
  kill -KILL $(receivers)
  sleep 3
  before=$(reported "$guest")
  check "$guest: the last that was reported ($before) stands" test "$(stands "$guest")" -ge "$before"
  check "$guest: every page is right" "$agent" checkpoint verify "$points/$guest"
  wait "$sender" 2>/dev/null
  check "$guest: the sender goes on with its guest" speaks "$guest" 60

  say "and started again, into the same folder"
  replicate "$guest" "$out/$guest.2.log"
  check "$guest: three more are committed" within 180 has_reported "$guest" $((before + 3))

  say "the sender is killed in the middle of a checkpoint"
  sleep "0.$((RANDOM % 9 + 1))"
  rounds_before=$(rounds "$guest")
  kill_sender "$guest"
  within 30 no_receivers
  tail -3 "$out/$guest.2.log"
  check "$guest: the receiver says what is left" within 20 grep -q 'LEFT FOR YOU' "$out/$guest.2.log"
  last=$(reported "$guest")
  check "$guest: the last that was reported ($last) stands" test "$(stands "$guest")" -ge "$last"
  check "$guest: every page is right" "$agent" checkpoint verify "$points/$guest"
  "$agent" checkpoint list "$points/$guest"
  "$agent" checkpoint list "$points/$guest" --html "$out/$guest.html" >/dev/null
  "$agent" checkpoint list "$points/$guest" --json >"$out/$guest.json"
  check "$guest: restored as a file" "$agent" checkpoint restore "$points/$guest" --to "$points/$guest.save"
  check "$guest: agent verify" "$agent" verify "$points/$guest.save"
  check "$guest: verify-stream-v2" verify-stream-v2 -f xl -i "$points/$guest.save"
  rm -f "$points/$guest.save"
  # shellcheck disable=SC2016 # For the shell that runs it.
  check "$guest: agent checkpoint restore | xl restore" \
    bash -c '"$0" checkpoint restore "$1" --to - | xl restore /dev/stdin' "$agent" "$points/$guest"
  check "$guest: runs" speaks "$guest" 60
  figure "$guest: rounds that the guest said before and behind it" "$rounds_before, $(rounds "$guest")"

  say "failover behind a fence"
  rm -rf "${points:?}/$guest"
  : >"$points/$guest.reported"
  replicate "$guest" "$out/$guest.3.log" --on-loss failover --fence "'touch $points/fenced; xl destroy $guest; ! xl list $guest'"
  check "$guest: two checkpoints are committed" within 180 has_reported "$guest" 2
  rm -f "$points/fenced"
  kill_sender "$guest" # The fence does it too, and knows that it is done.
  check "$guest: the fence was asked" within 30 test -e "$points/fenced"
  check "$guest: is there behind the failover" within 120 lives "$guest"
  check "$guest: runs behind the failover" speaks "$guest" 120
  tail -2 "$out/$guest.3.log"
  # shellcheck disable=SC2016
  check "$guest: the folder tells of it" bash -c '"$0" checkpoint list "$1" | grep "a failover to restore point"' "$agent" "$points/$guest"
  xl destroy "$guest"
done
check "no process is left behind" none_left
finish
