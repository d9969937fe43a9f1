#!/bin/bash
# The dom0's xenstored is replaced under running guests and a working toolstack, again and again, by
# promotion and in place; then it is killed. Run with XENSTORED=job.
# Nobody but a keeper holds its descriptors here; store-killed is the job with a service manager.
# WAYS=in-place is that way alone.
#
# A guest that reads its store without rest is the judge: no reply may be refused, and it tells the
# longest wait it has seen, beside the one without an update.
# shellcheck disable=SC2317 # Functions are called through check.
# shellcheck source=test/dom0/lib.sh
. ./lib.sh
times=${ROUNDS:-50}
[ -z "$short" ] || times=6
guests=${GUESTS:-pvh32}
socket=/run/xenstored/socket
control=$(echo /usr/lib/xen-*/bin/xenstore-control)
daemon() { pidof xenstored oxenstored | tr ' ' '\n' | head -1; }
# Once a keeper that is not needed any more has ended.
alone() { [ "$(pidof xenstored oxenstored | wc -w)" = 1 ]; }
descriptors() { find "/proc/$(daemon)/fd" -mindepth 1 | wc -l; }
memory() { awk '/^VmRSS/ { print $2 }' "/proc/$(daemon)/status"; }
probe() { last_word "$1" '^probe: .*altogether'; }
# The preparation has a minute on a real host; an emulator that is short of processor time takes two.
update() { "$agent" live-update --timeout 300 "$@"; }
reports() { tr -d '\r' <"$console/guest-$1.log" | grep '^probe: .*altogether'; }
longest() { # GUEST REPORTS: of all behind so many, microseconds.
  reports "$1" | tail -n +$(($2 + 1)) | sed 's/.*longest \([0-9]*\) us.*/\1/' | sort -n | tail -1
}
refused() { probe "$1" | sed 's/.* //'; }
says_again() { # GUEST SECONDS: its reader goes on.
  local before
  before=$(probe "$1")
  within "$2" eval "[ \"\$(probe $1)\" != \"$before\" ]"
}

for guest in $guests; do
  begin "$guest" "$(config_for "$guest" "probe=ping")" || fail "start $guest"
  check "$guest: its reader reads" within 60 says_again "$guest" 1
done
judge=${guests%% *}
files=$(descriptors)
resident=

for way in ${WAYS:-promote in-place}; do
  say "---- $times updates, $way"
  worst=0
  calm=0
  slowest=0
  for round in $(seq "$times"); do
    before=$(daemon)
    told=$(reports "$judge" | wc -l)
    # Something of xl goes on all the while.
    (xl list && xenstore-ls -f | wc -l) >/dev/null 2>&1 &
    other=$!
    took=$(milliseconds "$out/update.log" update --way "$way" "$socket" "$agent")
    status=$?
    [ "$status" = 0 ] || { cp "$out/update.log" "$out/failed-$way-$round.log" && fail "$way $round: $(tail -1 "$out/update.log")"; }
    [ "$took" -le "$slowest" ] || slowest=$took
    wait "$other" || fail "$way $round: the toolstack was disturbed"
    within 5 alone || fail "$way $round: there are still $(pidof xenstored oxenstored)"
    if [ "$way" = promote ]; then
      [ "$(daemon)" != "$before" ] || fail "$way $round: the pid is still $before"
    else
      [ "$(daemon)" = "$before" ] || fail "$way $round: the pid is $(daemon), not $before"
    fi
    says_again "$judge" 20 || fail "$way $round: the guest's reader stands still"
    now=$(longest "$judge" "$told")
    [ "${now:-0}" -le "$worst" ] || worst=$now
    # And a report without an update, on the same machine.
    told=$(reports "$judge" | wc -l)
    says_again "$judge" 20
    now=$(longest "$judge" "$told")
    [ "${now:-0}" -le "$calm" ] || calm=$now
    resident=${resident:-$(memory)}
    [ $((round % 10)) != 0 ] || say "$round updates"
  done
  figure "$way: longest wait of a guest's read, ms, with updates and without" "$((worst / 1000)) $((calm / 1000))"
  figure "$way: longest command, ms" "$slowest"
done

say "---- in place, and the new program is killed: its keeper serves"
cp "$agent" "$PWD/next"
guarded=5
[ -z "$short" ] || guarded=2
for round in $(seq "$guarded"); do
  before=$(daemon)
  update --way in-place "$socket" "$PWD/next" >"$out/update.log" 2>&1 &
  other=$!
  # From then on only the keeper has what the old program had, until the new one has proved itself.
  until [ "/proc/$before/exe" -ef "$PWD/next" ]; do kill -0 "$other" 2>/dev/null || break; done
  if [ "/proc/$before/exe" -ef "$PWD/next" ]; then kill -9 "$before"; else fail "keeper $round: $(tail -1 "$out/update.log")"; fi
  wait "$other"
  check "keeper $round: it serves" within 30 eval "[ \"\$('$control' check 2>/dev/null)\" = OK ]"
  check "keeper $round: under another pid" test "$(daemon)" != "$before"
  check "keeper $round: it is the old program" test "/proc/$(daemon)/exe" -ef "$agent"
  for guest in $guests; do
    check "keeper $round: $guest reads on" says_again "$guest" 20
  done
done

say "---- as Xen's own tool asks for it"
check "xenstore-control live-update" "$control" live-update "$PWD/xenstored"
check "xenstore-control check" test "$("$control" check)" = OK

say "---- programs that are no good are refused, and the old one goes on"
check "nobody else is left of the update" within 60 alone # Its keeper has a moment to go.
before=$(daemon)
for bad in /bin/false "$PWD/lib.sh" /does/not/exist; do
  check "$bad is refused" eval "! '$agent' live-update '$socket' '$bad' >/dev/null 2>&1"
done
check "nobody else is left of them" within 60 alone
check "the same one serves" test "$(daemon)" = "$before"

say "---- a guest comes, is saved, restored and goes, after all this"
check "create" begin pv32
check "save" logged "$out/save.log" xl save pv32 "$PWD/saved"
check "restore" logged "$out/restore.log" xl restore "$PWD/saved"
check "it runs" speaks pv32 60
xl destroy pv32

for guest in $guests; do
  check "$guest: no reply was refused" test "$(refused "$guest")" = 0
  check "$guest: it is destroyed" xl destroy "$guest"
done
sleep 2
check "no descriptor is left over" test "$(descriptors)" -le $((files + 1))
figure "resident KiB after the first update and at the end" "$resident $(memory)"
figure "updates" "$((2 * times + 1))"
finish
