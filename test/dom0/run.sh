#!/bin/bash
# Runs jobs of this folder in a real Xen dom0: an emulated host that boots in seconds.
#
#   test/dom0/run.sh NAME...|all     install save-helper streams remus store live-update ...
#
# The lab (its build-lab.sh and lab-run.sh) is looked for in $AGENT_TEST_LAB, else in ../shared/lab
# beside the repository. It is built once, in six minutes, into $AGENT_TEST_LAB_BUILT, else a cache
# folder; with XEN=4.17 another one of that version. Results: a line for every job, the figures, and a
# folder for each job in $OUT (default: a new one in /tmp). AGENT_LAB_SHORT=1 makes few rounds,
# GUESTS="pvh32 hvm40" takes those guests; BOOTS=10 runs each job ten times, each in a host booted for
# it. Status 0 when every job is green, 77 when there is no lab.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
lab=${AGENT_TEST_LAB:-$root/../shared/lab}
xen=${XEN:-4.20}
declare -A suites=([4.20]=trixie [4.17]=bookworm)
built=${AGENT_TEST_LAB_BUILT:-${XDG_CACHE_HOME:-$HOME/.cache}/agent-ci/lab-$xen}
boots=${BOOTS:-1}
results=${OUT:-$(mktemp -d /tmp/agent-dom0.XXXXXX)}
# The lab's own choice without cmpxchg16b, which QEMU 7.2 emulates wrongly: kernels, which allocate by it,
# panic now and then.
export CPU=${CPU:-max,-smap,-rdtscp,-mpx,-pku,-cx16}
mkdir -p "$results"

# What a job needs besides the defaults of the lab: settings of lab-run.sh, by name.
settings_of() {
  case $1 in
    takeover) echo "XENSTORED=${STOCK:-c} TIMEOUT=1800" ;; # STOCK=o: oxenstored.
    # XENSTORED=c: the same with the stock daemon, to see what is the emulator's.
    store-guests) echo "XENSTORED=${XENSTORED:-job} TIMEOUT=3600" ;;
    live-update | store-killed) echo "XENSTORED=job TIMEOUT=7200" ;;
    store*) echo "XENSTORED=job TIMEOUT=3600" ;;
    long-run) echo "XENSTORED=job TIMEOUT=$((${SECONDS_LONG:-3600} + 1800))" ;;
    remus | snapshot) echo "DOM0MEM=1200 MEM=2500 TIMEOUT=3600" ;;
    *) echo "TIMEOUT=3600" ;;
  esac
}

jobs_here() {
  local path
  for path in "$here"/*.sh; do
    case $(basename "$path" .sh) in
      run | lib | emulator | xenstored) ;;
      *) basename "$path" .sh ;;
    esac
  done
}

build_lab() {
  [ -f "$lab/build-lab.sh" ] || {
    echo "run.sh: there is no lab: \"$lab/build-lab.sh\" does not exist; name its folder in AGENT_TEST_LAB" >&2
    exit 77
  }
  [ -f "$built/dom0.img" ] && [ -f "$built/initrd.img" ] && return
  echo "building the lab of Xen $xen into $built"
  mkdir -p "$built"
  SUITE=${suites[$xen]} XENVER=$xen bash "$lab/build-lab.sh" "$built" >"$built/build.log" 2>&1 ||
    { tail -20 "$built/build.log" >&2 && exit 1; }
}

# The initramfs of the jobs' own guests: busybox, and a client of their store.
make_guest() {
  local stage
  stage=$(mktemp -d)
  mkdir "$stage"/{bin,proc,sys,dev,tmp}
  cp "$(command -v busybox)" "$stage/bin/busybox" # The package busybox-static.
  ln -s busybox "$stage/bin/sh"
  install -m 755 "$here/guest/init" "$stage/init"
  gcc -static -O2 -o "$stage/bin/store-probe" "$here/guest/store-probe.c"
  (cd "$stage" && find . | sort | busybox cpio -o -H newc -R 0:0 2>/dev/null | gzip -9n) >"$results/guest.gz"
  rm -rf "$stage"
}

# Ends an emulator that stands still, in spite of what emulator.sh does about it: it uses no processor
# time then, which an idle dom0 always does. What it was doing stays in OUT/still.txt.
watch_emulator() { # OUT
  local ticks before=-1 still=0 pid
  while sleep 20; do
    pid=$(cat "$1/qemu.pid" 2>/dev/null) || continue
    ticks=$(awk '{ print $14 + $15 }' "/proc/$pid/stat" 2>/dev/null) || continue
    if [ "$ticks" = "$before" ]; then still=$((still + 1)); else still=0; fi
    before=$ticks
    [ "$still" -ge 3 ] || continue
    printf '%s\n' 'info registers' 'info lapic' 'info pic' >"$1/monitor.in"
    timeout 3 cat "$1/monitor.out" >"$1/still.txt"
    touch "$1/stood-still" && kill "$pid" && return
  done
}

run_job() { # NAME BOOT: the last lines of its output tell how it went.
  local name=$1 out=$results/$1 title=$1 status=0 watcher attempt helper
  [ "$boots" = 1 ] || { out+=.$2 && title+=" (boot $2 of $boots)"; }
  local files=("$here/lib.sh" "$root/dist/agent" "$root/install.sh" "$results/guest.gz")
  [ -f "$here/$name.sh" ] || {
    echo "run.sh: there is no job \"$name\": wanted one of $(jobs_here | xargs) or all" >&2
    exit 2
  }
  for helper in xenstored.sh service-manager.py; do
    [ ! -f "$here/$helper" ] || files+=("$here/$helper")
  done
  mkdir -p "$out"
  printf 'job=%s\nshort=%s\nGUESTS="%s"\nROUNDS=%s\nSEED=%s\nSECONDS_LONG=%s\nWAYS="%s"\n' "$name" "${AGENT_LAB_SHORT:-}" \
    "${GUESTS:-}" "${ROUNDS:-}" "${SEED:-}" "${SECONDS_LONG:-}" "${WAYS:-}" >"$results/settings.sh"
  files+=("$results/settings.sh")
  for attempt in 1 2 3 4; do
    rm -f "$out/stood-still"
    status=0
    watch_emulator "$out" &
    watcher=$!
    # shellcheck disable=SC2046 # A list of plain words.
    env $(settings_of "$name") LAB="$built" OUT="$out" QEMU="$here/emulator.sh" \
      bash "$lab/lab-run.sh" "$here/$name.sh" "${files[@]}" >"$out/job.txt" 2>&1 || status=$?
    kill "$watcher" 2>/dev/null || true
    [ -f "$out/stood-still" ] || break
    echo "  $title: the emulator stood still (attempt $attempt of 4)"
  done
  grep -E 'FAILED|figure:|checks,' "$out/job.txt" | sed "s/^## [0-9.]* /  $title: /" || true
  if [ "$status" = 0 ]; then echo "ok      $title"; else echo "FAILED  $title (status $status, see $out)"; fi
  return "$status"
}

[ $# -gt 0 ] || { sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 2; }
names=("$@")
[ "$1" != all ] || mapfile -t names < <(jobs_here)
build_lab
[ -x "$root/dist/agent" ] || { echo "run.sh: there is no $root/dist/agent: sh install.sh --try builds it" >&2; exit 2; }
echo "Xen $xen, $("$root/dist/agent" --version), results in $results"
make_guest
failed=0
for name in "${names[@]}"; do
  for boot in $(seq "$boots"); do run_job "$name" "$boot" || failed=$((failed + 1)); done
done
echo "$((${#names[@]} * boots)) jobs, $failed failed"
exit $((failed > 0))
