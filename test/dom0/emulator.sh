#!/bin/bash
# The lab's emulator with a monitor that run.sh can speak to: $OUT/monitor.in and monitor.out.
set -euo pipefail
rm -f "$OUT/monitor.in" "$OUT/monitor.out"
mkfifo "$OUT/monitor.in" "$OUT/monitor.out"
exec qemu-system-x86_64 "$@" -chardev "pipe,id=nudge,path=$OUT/monitor" -mon chardev=nudge,mode=readline
