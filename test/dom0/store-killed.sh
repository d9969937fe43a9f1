#!/bin/bash
# The dom0's xenstored is killed -9 at any moment, in the middle of live updates too, under guests that
# read their stores without rest. A service manager holds its descriptors and starts it anew; nothing
# of the store may be lost, and no guest and no idle client may notice more than a wait. Run with
# XENSTORED=job; xenstored.sh starts the manager. WAYS=in-place: updates in that way alone.
# shellcheck disable=SC2317 # Functions are called through check.
# shellcheck source=test/dom0/lib.sh
. ./lib.sh
kills=${ROUNDS:-20}
[ -z "$short" ] || kills=4
read -ra guests <<<"${GUESTS:-pv32 pvh32}"
seed=${SEED:-$$}
RANDOM=$seed
socket=/run/xenstored/socket
control=$(echo /usr/lib/xen-*/bin/xenstore-control)
say "seed $seed"
daemon() { pidof xenstored | tr ' ' '\n' | head -1; }
is_alone() { [ "$(pidof xenstored | wc -w)" = 1 ]; }
serves() { is_alone && [ "$(xenstore-read /lab-mark 2>/dev/null)" = kept ]; }
probe() { last_word "$1" '^probe: .*altogether'; }
reads_on() {
  local before
  before=$(probe "$1")
  within 30 eval "[ \"\$(probe $1)\" != \"$before\" ]"
}
picture() { xenstore-ls -f -p | grep -vE '/memory/|/console/|^/?@' | sort; }
update() { "$agent" live-update --timeout 600 --way "$1" "$socket" "$agent"; }
moment() { sleep "0.$((RANDOM % 10))$((RANDOM % 10))"; }
descriptors() { find "/proc/$(daemon)/fd" -mindepth 1 | wc -l; }
# WHAT PICTURE-BEFORE: everything is as it was.
as_before() {
  check "$1: it serves again, with its store" within 60 serves
  for guest in "${guests[@]}"; do check "$1: $guest reads on" reads_on "$guest"; done
  check "$1: the store is sound" test "$("$control" check)" = OK
  picture >"$out/after.txt"
  check "$1: nothing of it is lost" diff "$2" "$out/after.txt"
}

xenstore-write /lab-mark kept
for guest in "${guests[@]}"; do
  begin "$guest" "$(config_for "$guest" "probe=ping")" || fail "start $guest"
  check "$guest: its reader reads" reads_on "$guest"
done
timeout 7000 xenstore-watch -n 2 /lab-watch >watched.txt & # The first event is the watch itself.
watcher=$!
sleep 3 # Clients are given to the manager from their second second on.
picture >"$out/before.txt"
files=$(descriptors)

say "---- killed $kills times"
longest=0
for round in $(seq "$kills"); do
  old=$(daemon)
  xenstore-write /lab-last "$round" # What was acknowledged is kept.
  xl list >/dev/null 2>&1 & # Somebody who may be cut off.
  other=$!
  moment
  kill -9 "$old"
  took=$(milliseconds /dev/null within 60 serves)
  [ "$took" -le "$longest" ] || longest=$took
  wait "$other"
  check "kill $round: another one serves" test "$(daemon)" != "$old"
  check "kill $round: the last write is there" test "$(xenstore-read /lab-last)" = "$round"
  xenstore-rm /lab-last
  as_before "kill $round" "$out/before.txt"
done
figure "longest from a kill until a client is answered, ms" "$longest"

for way in ${WAYS:-promote in-place}; do
  say "---- killed in the middle of an update, $way"
  whole=$(milliseconds "$out/update.log" update "$way")
  check "$way: undisturbed it succeeds" grep -q 'serves now' "$out/update.log"
  figure "$way: an update undisturbed, ms" "$whole"
  for round in $(seq "$kills"); do
    old=$(daemon)
    update "$way" >"$out/update.log" 2>&1 &
    update=$!
    after=$((whole * (RANDOM % 105) / 100)) # Anywhere in it.
    sleep "$((after / 1000)).$(printf %03d $((after % 1000)))"
    kill -9 "$old" 2>/dev/null # It may have gone already: then the update has succeeded.
    wait "$update"
    as_before "$way $round" "$out/before.txt"
  done
done

say "---- what is idle has noticed nothing"
xenstore-write /lab-watch 1
check "a watch from before fires" wait "$watcher"
xenstore-rm /lab-watch
for guest in "${guests[@]}"; do
  figure "$guest: longest wait of a read, ms" "$(($(probe "$guest" | awk '{ print $(NF - 1) }') / 1000))"
  check "$guest: no reply was refused" test "$(probe "$guest" | sed 's/.* //')" = 0
  check "$guest: it is destroyed" xl destroy "$guest"
  check "$guest: its xl notices" within 30 grep -q 'has been destroyed' "/var/log/xen/xl-$guest.log"
done
guest=${guests[0]}
check "$guest comes, its console too" begin "$guest"
check "and is saved" logged "$out/save.log" xl save "$guest" "$PWD/saved"
check "and restored" logged "$out/restore.log" xl restore "$PWD/saved"
check "and runs" speaks "$guest" 60
check "and goes" xl destroy "$guest"
sleep 3
check "no descriptor is left over" test "$(descriptors)" -le "$files"
figure "descriptors before and after" "$files $(descriptors)"
finish
