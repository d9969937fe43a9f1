# shellcheck shell=bash
# What the jobs of test/dom0 share; they source it. A job runs as root in the dom0 of a test host, in
# a folder of its own with the program "agent" and install.sh in it. Guests are those of /lab/cfg; what
# a job leaves in /lab/out comes back. It ends with `finish`: status 0 when nothing failed.
cd "$(dirname "$0")" || exit 1
chmod +x agent
agent=$PWD/agent
console=/var/log/xen/console
out=/lab/out
# shellcheck source=/dev/null # Made by run.sh: short=1 where few rounds are wanted.
. ./settings.sh
failures=0
checks=0
mkdir -p "$out"
[ -e /dev/stdin ] || { ln -s /proc/self/fd /dev/fd && ln -s fd/0 /dev/stdin; } # As udev does.
PYTHONPATH=$(echo /usr/lib/xen-*/lib/python) && export PYTHONPATH # For verify-stream-v2.

say() { echo "## $(cut -d' ' -f1 /proc/uptime) $*"; }
fail() {
  say "FAILED: $*"
  failures=$((failures + 1))
}
check() { # WHAT COMMAND...
  local what=$1
  shift
  checks=$((checks + 1))
  if "$@"; then say "ok: $what"; else fail "$what (status $?)"; fi
}
# For a command in a check whose output is not wanted here.
logged() { # LOG COMMAND...
  local log=$1
  shift
  "$@" >"$log" 2>&1
}
# A figure for the table of results: run.sh collects them.
figure() { # WHAT VALUE
  say "figure: $1: $2"
}
finish() {
  [ -z "$heart" ] || { kill "$heart" && pkill -x dd; } # Nothing but the heartbeat is a dd here.
  say "$checks checks, $failures failures"
  exit $((failures > 0))
}

lives() { [ "$(xl list "$1" 2>/dev/null | wc -l)" -eq 2 ]; }
is_gone() { ! lives "$1"; }
# What a guest says of itself; one that came by migration has a log of another name.
rounds() { cat "$console/guest-$1.log" "$console/guest-$1--incoming.log" 2>/dev/null | grep -c 'domU round'; }
# All waits are given as on an idle machine; where the emulator gives way to others, it takes longer.
slower=4
# Until it says something more.
speaks() { # NAME SECONDS
  local before
  before=$(rounds "$1")
  for _ in $(seq $(($2 * slower))); do
    [ "$(rounds "$1")" -gt "$before" ] && return 0
    sleep 1
  done
  tail -5 "$console/guest-$1.log"
  return 1
}
begin() { # NAME [CONFIG]
  xl create "${2:-/lab/cfg/$1.cfg}" >/dev/null && speaks "$1" 300
}
# A config like that of /lab/cfg/NAME.cfg with the guest of test/dom0/guest; prints its path.
config_for() { # NAME WORDS-FOR-THE-GUEST [LINE-OF-CONFIG...]
  local name=$1 words=$2 path=$PWD/$1.cfg
  shift 2
  sed -e "s|^ramdisk.*|ramdisk = \"$PWD/guest.gz\"|" -e "s|^extra.*|extra = \"console=ttyS0 console=hvc0 $words\"|" \
    "/lab/cfg/$name.cfg" >"$path"
  printf '%s\n' "$@" >>"$path"
  echo "$path"
}
# The last line on a guest's console that has PATTERN.
last_word() { # NAME PATTERN
  cat "$console/guest-$1.log" "$console/guest-$1--incoming.log" 2>/dev/null | tr -d '\r' | grep -E "$2" | tail -1
}
# Until COMMAND succeeds.
within() { # SECONDS COMMAND...
  local seconds=$1
  shift
  for _ in $(seq $((seconds * slower))); do
    "$@" && return 0
    sleep 1
  done
  return 1
}
# Milliseconds that COMMAND takes; its output goes to LOG.
milliseconds() { # LOG COMMAND...
  local log=$1 from
  shift
  from=$(date +%s%N)
  "$@" >"$log" 2>&1
  local status=$?
  echo $((($(date +%s%N) - from) / 1000000))
  return $status
}
# shellcheck disable=SC2009 # pgrep shows no arguments of its own choice.
left_behind() { ps -eo pid,args | grep -E 'save-(helper|worker|domain)|restore-domain' | grep -v grep; }
none_left() { ! left_behind; }

# The emulator's heartbeat, see emulator.sh: a read of this disk is always under way, until finish().
beat() { while dd if=/dev/vdd of=/dev/null bs=512 iflag=direct; do :; done; }
heart=
[ ! -b /dev/vdd ] || { beat </dev/null >/dev/null 2>&1 & heart=$!; }

say "$("$agent" --version)"
