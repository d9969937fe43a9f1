#!/bin/bash
# Every stream command on fresh saves of each type of guest; what agent has written is restored by
# xl, and the guest goes on counting.
# shellcheck source=test/dom0/lib.sh
. ./lib.sh
guests=${GUESTS:-pv32 pvh32 hvm40}
work=$PWD/work
mkdir -p "$work"

# The guest of SAVE runs from IMAGE, then ends.
restored() { # GUEST WHAT IMAGE
  check "$1: xl restore of the $2 image" logged "$work/$1.$2.log" xl restore "$3"
  check "$1: runs from the $2 image" speaks "$1" 60
  xl destroy "$1"
  check "$1: ends" within 30 is_gone "$1"
}

for guest in $guests; do
  say "---- $guest"
  begin "$guest" || { fail "start $guest"; continue; }
  save=$work/$guest.save
  check "$guest: xl save -c" logged "$work/$guest.log" xl save -c "$guest" "$work/$guest.first"
  check "$guest: goes on after it" speaks "$guest" 60
  check "$guest: xl save" logged "$work/$guest.log" xl save "$guest" "$save"

  check "$guest: agent verify" "$agent" verify "$save"
  check "$guest: agent inspect" "$agent" inspect --contents "$save"
  check "$guest: agent inspect --html" "$agent" inspect "$save" --html "$out/$guest.html"
  "$agent" inspect "$save" >"$out/$guest.inspect.txt"
  check "$guest: its name is found" grep -q "$guest" "$out/$guest.inspect.txt"
  check "$guest: agent diff" "$agent" diff "$work/$guest.first" "$save"

  check "$guest: agent extract" "$agent" extract "$save" --to "$work/$guest.parts"
  check "$guest: agent assemble" "$agent" assemble "$work/$guest.parts" --to "$work/$guest.back"
  check "$guest: the same bytes" cmp "$save" "$work/$guest.back"
  check "$guest: agent squash" "$agent" squash "$save" --to "$work/$guest.flat"
  check "$guest: squashed, by verify-stream-v2" verify-stream-v2 -f xl -i "$work/$guest.flat"
  check "$guest: agent pack" "$agent" pack "$save" --to "$work/$guest.pak"
  check "$guest: agent unpack" "$agent" unpack "$work/$guest.pak" --to "$work/$guest.unpacked"
  check "$guest: the same bytes" cmp "$save" "$work/$guest.unpacked"

  rm -rf "$work/$guest.parts"
  check "$guest: agent extract --memory --as elf" \
    "$agent" extract "$save" --memory "$out/$guest.elf" --as elf

  restored "$guest" assembled "$work/$guest.back"
  restored "$guest" squashed "$work/$guest.flat"
  say "$guest: unpacked into xl's standard input"
  "$agent" unpack "$work/$guest.pak" --to - | xl restore /dev/stdin >"$work/$guest.pipe.log" 2>&1
  check "$guest: agent unpack | xl restore" test "${PIPESTATUS[0]}${PIPESTATUS[1]}" = 00
  check "$guest: runs from there" speaks "$guest" 60
  xl destroy "$guest"
  check "$guest: ends" within 30 is_gone "$guest"
  rm -f "$work/$guest".{first,save,back,flat,pak,unpacked}
done
cp "$work"/*.log "$out"
finish
