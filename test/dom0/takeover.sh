#!/bin/bash
# agent takes over from the dom0's running stock xenstored, started by that one's own live update, under
# a running guest, and hands back to it. Run once with XENSTORED=c and once with XENSTORED=o.
# shellcheck disable=SC2317 # Functions are called through check.
# shellcheck source=test/dom0/lib.sh
. ./lib.sh
socket=/run/xenstored/socket
tools=$(dirname "$(echo /usr/lib/xen-*/bin/xenstore-control)")
stock=xenstored
to=c
[ "$XENSTORED_KIND" != o ] || { stock=oxenstored && to=oxenstored; }
ln -sf "$agent" "$PWD/$stock"
guest=${GUESTS:-pvh32}
program() { readlink "/proc/$(pidof "$stock")/exe"; }
# Without what the daemons say of themselves, and guests change all the time.
picture() { xenstore-ls -f -p | grep -vE '^/tool/xenstored|/memory/|/console/|^/?@' | sort; }
probe() { last_word "$1" '^probe: .*altogether'; }
reads_on() {
  local before
  before=$(probe "$1")
  within 30 eval "[ \"\$(probe $1)\" != \"$before\" ]"
}

begin "$guest" "$(config_for "$guest" "probe=ping")" || fail "start $guest"
check "$guest: its reader reads" reads_on "$guest"
pid=$(pidof "$stock")
picture >"$out/before.txt"
timeout 600 xenstore-watch -n 2 /lab-watch >watched.txt & # The first event is the watch itself.
watcher=$!

say "---- from the stock $stock to agent"
check "xenstore-control live-update" "$tools/xenstore-control" live-update "$PWD/$stock"
check "agent serves" test "$(program)" = "$agent"
check "under the same pid" test "$(pidof "$stock")" = "$pid"
picture >"$out/after.txt"
check "the store is the same" diff "$out/before.txt" "$out/after.txt"
check "$guest: its reader reads on" reads_on "$guest"
xenstore-write /lab-watch 1
check "a watch from before fires" wait "$watcher"
check "a guest comes" begin pv32
check "and is saved" logged "$out/save.log" xl save pv32 "$PWD/saved"
check "and restored" logged "$out/restore.log" xl restore "$PWD/saved"

say "---- and back"
check "agent live-update --to $to" "$agent" live-update --to "$to" "$socket" "$tools/$stock"
check "the stock one serves" test "$(program)" = "$tools/$stock"
check "$guest: its reader reads on" reads_on "$guest"
check "pv32 is seen" lives pv32
check "pv32 runs" speaks pv32 60
check "pv32 is destroyed" xl destroy pv32
check "$guest: no reply was refused" test "$(probe "$guest" | sed 's/.* //')" = 0
check "$guest is destroyed" xl destroy "$guest"
finish
