#!/bin/bash
# Random operations of xl, guests that use their store all the time, and live updates, with agent as
# the dom0's xenstored and as libxl's save helper. Run with XENSTORED=job. An hour; SECONDS_LONG says
# otherwise. The guests rest for 10 ms between reads: without that they take the one processor of
# such a host for themselves, and an hour has few operations.
#
# Checked at the end: no guest was refused a reply, no descriptor is left over, memory is flat (what the
# daemon itself holds, its files apart, is for a program just promoted no more than it was for the first
# one), and the store of a host without guests is what it was before the first one came.
# shellcheck disable=SC2317 # Functions are called through check.
# shellcheck source=test/dom0/lib.sh
. ./lib.sh
read -ra guests <<<"${GUESTS:-pv32 pvh32 hvm40}"
seconds=${SECONDS_LONG:-3600}
[ -z "$short" ] || seconds=240
seed=${SEED:-$$}
RANDOM=$seed
work=$PWD/work
mkdir -p "$work"
say "seed $seed, $seconds seconds"

check "agent hook install libxl" "$agent" hook install libxl
set -a
# shellcheck disable=SC1091 # Of the host that this runs on.
. /etc/environment
set +a

daemon() { pidof xenstored | tr ' ' '\n' | head -1; }
is_alone() { [ "$(pidof xenstored | wc -w)" = 1 ]; }
descriptors() { find "/proc/$(daemon)/fd" -mindepth 1 | wc -l; }
memory() { awk '/^Rss(Anon|Shmem)/ { sum += $2 } END { print sum }' "/proc/$(daemon)/status"; }
most() { # FROM TO: seconds; the highest of memory.txt between them.
  awk -v from="$1" -v to="$2" '$1 >= from && $1 < to && $2 > most { most = $2 } END { print most + 0 }' "$out/memory.txt"
}
# The store without what differs from one moment to the next, and without the folders that libxl makes
# for its first guest and for `xl list -l` (what Domain-0 has), and leaves.
picture() { xenstore-ls -f -p | grep -vE '/memory/|/console/|^/(libxl|vm|local/domain/0/(device-model|memory)) = ""' | sort; }
# Of all its lives: a console's log goes on, and a migrated guest's has another name.
reports_of() { cat "$console/guest-$1.log" "$console/guest-$1--incoming.log" 2>/dev/null | tr -d '\r' | grep '^probe: '; }
has_reports() { [ "$(reports_of "$1" | grep -c ' reads, ')" -gt 0 ]; }
# Reports of refused replies, and a reader that has given up.
errors_of() { reports_of "$1" | grep -E ' errors [1-9]|FAILED'; }
no_errors() { [ -z "$(errors_of "$1")" ]; }

declare -A counts=()
step() { # WHAT GUEST COMMAND...
  local what=$1 guest=$2
  shift 2
  counts[$what]=$((${counts[$what]:-0} + 1))
  checks=$((checks + 1))
  say "$what $guest"
  logged "$work/step.log" "$@" && return 0
  cp "$work/step.log" "$out/failed-$what-$checks.log"
  fail "$what $guest: $(tail -1 "$work/step.log")"
}
save_and_restore() { xl save "$1" "$work/saved" && xl restore "$work/saved"; }
migrate() { xl migrate -s '' "$1" 'xl migrate-receive'; }
# Beside three busy guests on one processor its rehearsal, which gives way to all else, takes a minute,
# and many where the emulator gives way to others.
live_update() { "$agent" live-update --timeout 1200 --way "$1" /run/xenstored/socket "$agent" && within 60 is_alone; }
stop_guest() { xl destroy "$1" && within 30 is_gone "$1"; }

picture >"$work/before"
files=$(descriptors)
# A program that has just begun to serve: how much one has grown later on is by its age.
memory_when_new() { live_update promote >/dev/null 2>&1 && sleep 20 && memory; }
new=$(memory_when_new)
begun=$SECONDS
end=$((SECONDS + seconds))
while [ $SECONDS -lt $end ]; do
  guest=${guests[RANDOM % ${#guests[@]}]}
  if ! lives "$guest"; then
    step create "$guest" begin "$guest" "$(config_for "$guest" "probe=ping rest=10000")"
    continue
  fi
  case $((RANDOM % 10)) in
    0 | 1) step save-restore "$guest" save_and_restore "$guest" ;;
    2) [ "$guest" = pv32 ] || step migrate "$guest" migrate "$guest" ;; # PV cannot, without shadow paging.
    3 | 4) step promote xenstored live_update promote ;;
    5) step in-place xenstored live_update in-place ;;
    6) step pause "$guest" xl pause "$guest" && step unpause "$guest" xl unpause "$guest" ;;
    7) step list all xl list -l ;;
    8) step check xenstored xenstore-ls -f ;;
    9)
      no_errors "$guest" || fail "$guest: replies were refused: $(errors_of "$guest" | tail -1)"
      step destroy "$guest" stop_guest "$guest"
      ;;
  esac
  echo "$SECONDS $(memory) $(descriptors)" >>"$out/memory.txt"
done

for what in "${!counts[@]}"; do figure "steps $what" "${counts[$what]}"; done
for guest in "${guests[@]}"; do
  lives "$guest" || continue
  check "$guest: it speaks at the end" speaks "$guest" 90
  xl destroy "$guest"
  within 30 is_gone "$guest"
done
for guest in "${guests[@]}"; do
  check "$guest: it has read its store" has_reports "$guest"
  check "$guest: no reply was refused" no_errors "$guest"
done
sleep 3
picture >"$work/after"
diff "$work/before" "$work/after" | head -40
check "the store is as before the first guest" cmp -s "$work/before" "$work/after"
check "no descriptor is left over" test "$(descriptors)" -le "$files"
figure "descriptors before and after" "$files $(descriptors)"
early=$(most 0 $((begun + seconds / 3)))
late=$(most $((begun + seconds * 2 / 3)) $((end * 2)))
figure "most KiB of memory in the first third and in the last" "$early $late"
renewed=$(memory_when_new)
figure "KiB of memory of a new program at the beginning and at the end" "$new $renewed"
check "memory is flat" test "${renewed:-0}" -gt 0 -a "${renewed:-0}" -le $((new * 110 / 100))
check "the store is sound" test "$("$(echo /usr/lib/xen-*/bin/xenstore-control)" check)" = OK
finish
