#!/bin/bash
# agent as the only xenstored of a real dom0: guests of every kind come, are listed, run and go, ten
# times in a row. Run with XENSTORED=job, so that xenstored.sh starts agent before the toolstack.
#
# Checked: who serves; the toolstack's tools; PV, PVH and HVM guests created, seen by xl list with
# their names, running (their front ends talk over their rings), saved and restored, rebooted as a
# new domain, destroyed; and that nothing of a domain is left in the store.
# shellcheck disable=SC2317 # Functions are called through check.
# shellcheck source=test/dom0/lib.sh
. ./lib.sh
guests=${GUESTS:-pv32 pvh32 hvm40}
times=${ROUNDS:-10}
[ -z "$short" ] || times=2
daemon=$(cat /run/xenstored.pid)
before=$(xenstore-ls -f | wc -l)

serves() { [ "$(readlink "/proc/$daemon/exe")" = "$agent" ] && [ "$(pidof xenstored oxenstored)" = "$daemon" ]; }
domid_of() { xl domid "$1"; }
# Nothing below the domain's own paths, and no back end for it.
is_forgotten() { # DOMID
  ! xenstore-exists "/local/domain/$1" && ! xenstore-exists "/libxl/$1" &&
    ! xenstore-ls -f | grep -qE "^/local/domain/0/backend/[a-z0-9]+/$1(/| )"
}
memory() { awk '/^VmRSS/ { print $2 }' "/proc/$daemon/status"; }

check "agent is the dom0's only xenstored" serves
check "the store names it" xenstore-exists /tool/xenstored
check "xenstore-control check" test "$("$(echo /usr/lib/xen-*/bin/xenstore-control)" check)" = OK

for round in $(seq "$times"); do
  for guest in $guests; do
    say "---- round $round: $guest"
    begin "$guest" || { fail "start $guest"; xl destroy "$guest"; continue; }
    domid=$(domid_of "$guest")
    check "$guest: xl list shows it" lives "$guest"
    check "$guest: its ring is introduced" test "$(xenstore-read "/local/domain/$domid/name")" = "$guest"
    xl destroy "$guest"
    check "$guest: xl destroy" is_gone "$guest"
    check "$guest: nothing of it is left" within 5 is_forgotten "$domid"
  done
  check "round $round: agent serves" serves
done

say "---- a guest is saved and comes back, under another number"
first=${guests%% *}
if begin "$first"; then
  old=$(domid_of "$first")
  check "xl save" logged "$out/save.log" xl save "$first" "$PWD/saved"
  check "the old domain is forgotten" within 5 is_forgotten "$old"
  check "xl restore" logged "$out/restore.log" xl restore "$PWD/saved"
  check "it runs" speaks "$first" 60
  new=$(domid_of "$first")
  check "xl shutdown by force, seen by xl list" xl destroy "$first"
  check "the new one is forgotten" within 5 is_forgotten "$new"
fi

check "the store is sound" test "$("$(echo /usr/lib/xen-*/bin/xenstore-control)" check)" = OK
figure "nodes before and after" "$before $(xenstore-ls -f | wc -l)"
figure "resident KiB of the daemon" "$(memory)"
finish
