#!/bin/bash
# The lab's emulator, with a disk more: its dom0 reads that all the time, and it answers five times a
# second. Without it the host stood still for minutes or for ever, mostly in the life of an HVM guest.
#
# QEMU's SVM (7.2: do_vmexit, helper_vmrun) changes a processor's interrupt_request without the lock
# that the timers' thread holds when it asks for an interrupt there. An interrupt that was lost so
# stands in the local APIC (IRR 250, Xen's timer, in a processor that is halted with interrupts
# enabled), and is seen when the next one comes from any device: it comes from this disk.
#
# $OUT/monitor.in and monitor.out are a monitor.
set -euo pipefail
rm -f "$OUT/monitor.in" "$OUT/monitor.out"
mkfifo "$OUT/monitor.in" "$OUT/monitor.out"
truncate -s 1G "$OUT/heart.raw"
exec qemu-system-x86_64 "$@" \
  -drive "file=$OUT/heart.raw,format=raw,if=virtio,readonly=on,throttling.iops-total=5" \
  -chardev "pipe,id=nudge,path=$OUT/monitor" -mon chardev=nudge,mode=readline
