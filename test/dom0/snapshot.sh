#!/bin/bash
# Snapshots of a guest's two disks with its memory, of one moment: the guest writes numbers to both,
# goes on after the snapshot, and after the revert its next number follows that of the snapshot, in
# its memory and on both disks. Also: the disks go back when xl save fails or agent is killed, and
# disks that QEMU does not serve are refused by name.
# shellcheck disable=SC2317 # Functions are called through check.
# shellcheck source=test/dom0/lib.sh
. ./lib.sh
guests=${GUESTS:-hvm40 pvh32}
[ -z "$short" ] || guests=${GUESTS:-hvm40}
memory=$PWD/memory
mkdir -p "$memory"
snapshot() { "$agent" snapshot "$@" --journals "$PWD/journals"; }

# An empty qcow2 image; this dom0 has no qemu-img.
empty_qcow2() { # FILE BYTES
  python3 - "$1" "$2" <<'END'
import struct, sys
path, size, cluster = sys.argv[1], int(sys.argv[2]), 65536
with open(path, "wb") as file:
    file.write(struct.pack(">IIQIIQIIQQIIQQQQII", 0x514649FB, 3, 0, 0, 16, size, 0, 1, 3 * cluster,
                           cluster, 1, 0, 0, 0, 0, 0, 4, 104))
    file.seek(cluster)
    file.write(struct.pack(">Q", 2 * cluster))
    file.seek(2 * cluster)
    file.write(struct.pack(">4H", 1, 1, 1, 1))
    file.truncate(4 * cluster)
END
}
# The number in the first sector of an image: of the cluster in the image itself.
number_on() { # FILE
  python3 - "$1" <<'END'
import struct, sys
with open(sys.argv[1], "rb") as file:
    def entry(at):
        file.seek(at)
        return struct.unpack(">Q", file.read(8))[0] & 0x00FFFFFFFFFFFE00
    file.seek(40)
    table = struct.unpack(">Q", file.read(8))[0]
    data = entry(entry(table)) if entry(table) else 0
    file.seek(data)
    print(file.read(511).decode().strip() if data else "")
END
}
number() { last_word "$1" '^disks: [0-9]+$' | sed 's/disks: //'; }
goes_on() { # GUEST NUMBER
  local now
  now=$(number "$1")
  [ "${now:-0}" -gt "$2" ]
}
# Resumed, a guest goes on within seconds: more only where the emulator is short of processor time.
patience=120
goes_on_after() { # NUMBER COMMAND...: with `guest`
  local before=$1
  shift
  "$@" && within "$patience" goes_on "$guest" "$before"
}
no_trace() { # GUEST: of the snapshot named "none".
  [ -z "$(ls "$PWD" "$memory" | grep -F .none.)" ] && ! [ "$(ls journals 2>/dev/null)" ]
}

for guest in $guests; do
  say "---- $guest"
  a=$PWD/$guest-a b=$PWD/$guest-b
  empty_qcow2 "$a.qcow2" 16777216
  empty_qcow2 "$b.qcow2" 16777216
  config=$(config_for "$guest" "disks=order" \
    "disk = [ 'format=qcow2, vdev=xvda, access=rw, target=$a.qcow2', 'format=qcow2, vdev=xvdb, access=rw, target=$b.qcow2' ]")
  begin "$guest" "$config" || { fail "start $guest"; xl destroy "$guest"; continue; }
  check "$guest: it writes to both disks" within "$patience" goes_on "$guest" 5
  domid=$(xl domid "$guest")

  say "$guest: what fails leaves nothing"
  xl pause "$guest"
  snapshot create "libxl:$domid" --name none --memory "$memory" >refused.txt 2>&1
  check "$guest: a paused guest is refused" grep -q 'the guest is paused' refused.txt
  check "$guest: it is still paused" test "$(xl list "$guest" | awk 'NR == 2 { print substr($5, 3, 1) }')" = p
  xl unpause "$guest"
  "$agent" snapshot create "libxl:$domid" --name none --memory "$memory" --journals "$PWD/journals" >killed.txt 2>&1 &
  victim=$!
  check "$guest: xl save is under way" within 30 pgrep -f "xl save -p $domid"
  kill -9 "$victim"
  wait "$victim" 2>/dev/null
  check "$guest: agent snapshot recover after agent was killed" logged "$out/$guest.recover.log" snapshot recover --timeout 120
  check "$guest: no trace of it" no_trace
  before=$(number "$guest")
  check "$guest: it goes on" within "$patience" goes_on "$guest" "$before"

  say "$guest: a save by xl alone, for comparison"
  check "$guest: xl save -p" logged "$out/$guest.save.log" xl save -p "$guest" "$memory/stock"
  before=$(number "$guest")
  figure "$guest: xl unpause alone, and it went on after ms" "$(milliseconds /dev/null goes_on_after "$before" xl unpause "$guest")"
  check "$guest: it goes on" goes_on "$guest" "$before"
  rm "$memory/stock"

  say "$guest: the snapshot"
  check "$guest: agent snapshot create --memory" logged "$out/$guest.create.json" snapshot create "libxl:$domid" --name s1 --memory "$memory" --json
  cat "$out/$guest.create.json"
  saved=$(echo "$memory"/*.s1.memory)
  figure "$guest: it stood still for ms" "$(sed -n 's/.*"stood_ms": \([0-9]*\).*/\1/p' "$out/$guest.create.json")"
  check "$guest: the memory verifies" "$agent" verify -q "$saved"
  check "$guest: verify-stream-v2 says so too" verify-stream-v2 -f xl -i "$saved"
  first=$(number_on "$a.qcow2") second=$(number_on "$b.qcow2")
  say "the images of the snapshot have $first and $second"
  check "$guest: the second disk is not ahead" test $((first - second)) -ge 0 -a $((first - second)) -le 1
  figure "$guest: after agent snapshot create it went on after ms" "$(milliseconds /dev/null goes_on_after "$first" true)"
  check "$guest: it goes on" within "$patience" goes_on "$guest" $((first + 5))
  check "$guest: the snapshot stays as it is" test "$(number_on "$a.qcow2") $(number_on "$b.qcow2")" = "$first $second"
  check "$guest: it writes to the overlays" test "$(number_on "$a.s1.qcow2")" -gt "$first"

  say "$guest: back to it"
  group=("qcow2:$a.s1.qcow2" "qcow2:$b.s1.qcow2" --name s1 --memory "$saved")
  snapshot revert "${group[@]}" >refused.txt 2>&1
  check "$guest: refused while it is there" grep -q "xl destroy $guest" refused.txt
  xl destroy "$guest"
  within 30 is_gone "$guest"
  mv "$console/guest-$guest.log" "$out/$guest.before.log"
  head -c -100000 "$saved" >"$saved.damaged"
  snapshot revert "${group[@]:0:4}" --memory "$saved.damaged" >refused.txt 2>&1
  check "$guest: damaged memory is refused" grep -q 'the saved memory' refused.txt
  check "$guest: and no domain is left" is_gone "$guest"
  check "$guest: agent snapshot revert --memory" logged "$out/$guest.revert.log" snapshot revert "${group[@]}"
  cat "$out/$guest.revert.log"
  check "$guest: it runs" within "$patience" goes_on "$guest" 0
  next=$(tr -d '\r' <"$console/guest-$guest.log" | sed -n 's/^disks: \([0-9]*\)$/\1/p' | head -1)
  say "its first number after the revert is $next"
  check "$guest: its memory goes on where the disks do" test $((next - first)) -ge 0 -a $((next - first)) -le 1
  check "$guest: it goes on" within "$patience" goes_on "$guest" $((next + 3))
  check "$guest: on both disks" test "$(number_on "$a.s1.qcow2")" -gt "$next" -a "$(number_on "$b.s1.qcow2")" -ge "$next"
  check "$guest: the snapshot stays as it is" test "$(number_on "$a.qcow2") $(number_on "$b.qcow2")" = "$first $second"
  check "$guest: it did not start anew" test "$(grep -c 'domU up' "$console/guest-$guest.log")" -eq 0
  xl destroy "$guest"
  within 30 is_gone "$guest"
  rm -rf "$memory"/* journals
done

say "---- a disk that the kernel serves"
guest=pvh32
modprobe loop
modprobe xen-blkback
empty_qcow2 own.qcow2 16777216
truncate -s 16M kernel.raw
device=$(losetup -f --show kernel.raw)
config=$(config_for "$guest" "disks=order" \
  "disk = [ 'format=qcow2, vdev=xvda, access=rw, target=$PWD/own.qcow2', 'format=raw, vdev=xvdb, access=rw, backendtype=phy, target=$device' ]")
if begin "$guest" "$config"; then
  domid=$(xl domid "$guest")
  snapshot create "libxl:$domid" --name none >refused.txt 2>&1
  check "it is refused" test $? -eq 1
  check "by name" grep -q 'xvdb.*served by blkback' refused.txt
  check "no trace of it" no_trace
  xl destroy "$guest"
else
  fail "start $guest with a disk of the kernel's"
fi
finish
