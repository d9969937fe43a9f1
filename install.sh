#!/bin/sh
# Puts agent on this host, takes it off again, or tries it without installing: sh install.sh --help
#
# Needs a POSIX shell and the usual small tools (busybox is enough). Everything is staged beside its
# place, tried there, and only then renamed: whatever fails, the former version is still whole. What was
# put where stands in PREFIX/share/agent/manifest, one "file PATH", "link PATH" or "made PATH" (a
# directory) a line; --uninstall removes exactly that.
set -eu
umask 022
unset BUN_BE_BUN BUN_OPTIONS BUN_INSPECT CDPATH # They would turn agent and Bun into something else.

usage() {
  cat <<'USAGE'
Usage: sh install.sh [OPTION...]
       sh install.sh --uninstall [--prefix DIR] [--destdir DIR]
       sh install.sh --try | --test [ARGUMENT...] | --setup

Installs agent, its manual page and its completions. Takes the program from --binary FILE, else from a
file "agent" beside this script, else from dist/agent when no source is newer; else it builds it, for
which it wants npm and node, or bun, and the npm registry.

  --prefix DIR    where to (default /usr/local): DIR/bin, DIR/share
  --destdir DIR   put DIR before every path, to make a package; does not try the result
  --binary FILE   install this ready-made program
  --link          also install the names of programs that agent stands in for, as links in DIR/bin
  --systemd       also install a systemd unit for the xenstore daemon, agent-xenstored.service
  --uninstall     remove what an earlier run installed there

  --try           build, write a sample and verify it; installs nothing
  --test          run the tests; ARGUMENTs go to bun test
  --setup         only fetch Bun and the packages into node_modules
  --help          show this text
USAGE
}

say() { printf '%s\n' "$*"; }
warn() { printf 'install.sh: %s\n' "$*" >&2; }
fail() {
  warn "$*"
  exit 1
}
usage_error() {
  warn "$*: try sh install.sh --help"
  exit 2
}

here=$(cd "$(dirname "$0")" && pwd) || fail "Cannot find the directory of \"$0\""

# ---- Bun, packages, build ---------------------------------------------------------------------

bun=$here/node_modules/.bin/bun

# The one version that package.json pins: it becomes part of the program.
pinned_bun() { sed -n 's/^ *"bun": "\([0-9][0-9.]*\)".*/\1/p' "$here/package.json"; }

has_pinned_bun() {
  [ -x "$bun" ] && [ "$("$bun" --version </dev/null 2>/dev/null)" = "$(pinned_bun)" ]
}

# Scripts of packages are off everywhere but for Bun's own, which links its executable into place.
bun_by_npm() {
  NODE_ENV='' npm install --ignore-scripts --no-package-lock --no-audit --no-fund \
    --include=dev --include=optional --loglevel=error </dev/null >&2 &&
    node node_modules/bun/install.js </dev/null >&2
}

# A Bun of another version may not read our bun.lock: then it fetches the pinned one without.
bun_by_bun() {
  bun install --frozen-lockfile </dev/null >&2 && has_pinned_bun && return
  bun install --no-save </dev/null >&2
}

set_up() {
  [ -f "$here/build.ts" ] || fail "Cannot build: \"$here\" has neither a file \"agent\" nor the sources"
  cd "$here"
  if ! has_pinned_bun; then
    [ ! -f node_modules ] || fail "Cannot set up \"$here/node_modules\": it is a file"
    [ -w . ] || fail "Cannot set up Bun: \"$here\" is not writable: run as its owner or work on a copy"
    ways=
    if command -v bun >/dev/null 2>&1; then
      ways=bun
      say "Fetching Bun $(pinned_bun) by bun"
      bun_by_bun || warn "bun in PATH could not install it"
    fi
    if ! has_pinned_bun && command -v npm >/dev/null 2>&1 && command -v node >/dev/null 2>&1; then
      ways="$ways npm"
      say "Fetching Bun $(pinned_bun) by npm"
      bun_by_npm || warn "npm could not install it"
    fi
    [ -n "$ways" ] ||
      fail "Cannot build: wanted npm and node, or bun, in PATH and found neither:" \
        "install one of them, or give a ready-made program by --binary FILE"
    has_pinned_bun || fail "Cannot set up Bun $(pinned_bun): see the messages above (tried: $ways)"
  fi
  # Now bun.lock rules, whoever put the packages there.
  log=$("$bun" install --frozen-lockfile </dev/null 2>&1) ||
    fail "Cannot install the packages that bun.lock names: $log"
}

build() {
  set_up
  say "Building"
  "$bun" build.ts || fail "Cannot build: see the messages above"
  [ -f "$here/dist/agent" ] || fail "Cannot build: build.ts made no \"$here/dist/agent\""
}

is_fresh() {
  [ -f "$here/dist/agent" ] && [ -f "$here/build.ts" ] || return 1
  sources='agent lib build.ts package.json bun.lock'
  [ ! -f "$here/.git/logs/HEAD" ] || sources="$sources .git/logs/HEAD" # The commit is in the program.
  # shellcheck disable=SC2086 # A list of plain words.
  newer=$(cd "$here" && find $sources -newer dist/agent) || return 1
  [ -z "$newer" ]
}

# Sets $program to the file that will be installed.
choose_program() {
  if [ -n "$binary" ]; then
    [ -f "$binary" ] || fail "Cannot install \"$binary\": wanted the program, found no such file"
    program=$binary
  elif [ -f "$here/agent" ]; then # In the sources "agent" is a directory.
    program=$here/agent
  else
    is_fresh || build
    program=$here/dist/agent
  fi
}

# ---- Install ----------------------------------------------------------------------------------
# Names below are relative to the prefix and free of spaces, so that lists of them are plain words.

PAGES='share/man/man1/agent.1 share/bash-completion/completions/agent
  share/zsh/site-functions/_agent share/fish/vendor_completions.d/agent.fish'
MANIFEST=share/agent/manifest
UNIT=lib/systemd/system/agent-xenstored.service

at() { printf '%s' "$destdir$prefix/$1"; }
staged() { at "${1%/*}/.agent-install.$$.new.${1##*/}"; }
former() { at "${1%/*}/.agent-install.$$.old.${1##*/}"; }

# What an earlier run installed: recorded KIND prints the paths.
recorded() {
  [ -f "$(at "$MANIFEST")" ] || return 0
  while IFS= read -r line; do
    case $line in "$1 "*) say "${line#* }" ;; esac
  done <"$(at "$MANIFEST")"
}

is_recorded() {
  [ -f "$(at "$MANIFEST")" ] && grep -q -x -F -e "$1 $2" "$(at "$MANIFEST")"
}

is_our_link() { [ -L "$1" ] && [ "$(readlink "$1")" = agent ]; }

# Makes a directory and its parents, and remembers which were not there.
make_directory() {
  [ ! -d "$destdir$1" ] || return 0
  parent=$(dirname "$1")
  [ "$parent" = "$1" ] || make_directory "$parent"
  mkdir "$destdir$1" || fail "Cannot make the directory \"$destdir$1\": choose another --prefix"
  made="$made$1
"
}

refuse_foreign() {
  for name in bin/agent $PAGES $units $MANIFEST; do
    target=$(at "$name")
    [ -e "$target" ] || [ -L "$target" ] || continue
    if [ ! -d "$target" ] && is_recorded file "$prefix/$name"; then continue; fi
    fail "Cannot install \"$target\": it is there and was not installed by this script:" \
      "move it away or choose another --prefix"
  done
}

refuse_foreign_links() {
  for name in $links; do
    target=$(at "bin/$name")
    [ -e "$target" ] || [ -L "$target" ] || continue
    is_our_link "$target" ||
      fail "Cannot link \"$target\" to agent: it is there and is not our link:" \
        "move it away or leave out --link"
  done
}

# Takes back everything that is not finished. Runs on every way out.
# shellcheck disable=SC2329 # Called by trap.
clean_up() {
  status=$?
  [ -z "$ended" ] || status=$ended
  trap '' INT TERM HUP
  for name in $switched; do
    if [ -e "$(former "$name")" ] || [ -L "$(former "$name")" ]; then
      mv -f "$(former "$name")" "$(at "$name")"
    else
      rm -f "$(at "$name")"
    fi
  done
  for name in $planned; do rm -f "$(staged "$name")" "$(former "$name")"; done
  printf '%s' "$made" | reversed | while IFS= read -r directory; do
    rmdir "$destdir$directory" 2>/dev/null || :
  done
  [ -z "$scratch" ] || rm -rf "$scratch"
  exit "$status"
}

# Lines in reverse order: inner directories before those they stand in.
reversed() {
  lines=
  while IFS= read -r line; do
    lines="$line
$lines"
  done
  printf '%s' "$lines"
}

stage_program() {
  planned="$planned bin/agent"
  make_directory "$prefix/bin"
  [ -w "$destdir$prefix/bin" ] ||
    fail "Cannot install: \"$destdir$prefix/bin\" is not writable: run as root or choose another --prefix"
  file=$(staged bin/agent)
  cp "$program" "$file" || fail "Cannot copy \"$program\" to \"$(at bin)\": see the message above"
  chmod 755 "$file"
  version=$("$file" --version </dev/null 2>&1) || version="status $?: $version"
  case $version in
    "agent "*" Bun "*) ;;
    *)
      fail "Cannot use \"$program\": wanted its own version line from --version, found \"$version\":" \
        "it is damaged, stripped, or built for another machine than this $(uname -m)"
      ;;
  esac
}

stage_page() { # NAME ARGUMENT...: the page that agent prints when called so.
  page=$1
  shift
  planned="$planned $page"
  make_directory "$prefix/${page%/*}"
  "$(staged bin/agent)" "$@" </dev/null >"$(staged "$page")" ||
    fail "Cannot write \"$(at "$page")\" by agent $*: see the message above"
  chmod 644 "$(staged "$page")"
}

# The daemon's memory, sockets and event channels are the manager's to keep while it is restarted.
unit_text() {
  program_path=$(printf '%s' "$prefix/bin/agent" | sed 's/[\\"]/\\&/g; s/%/%%/g')
  cat <<UNIT
[Unit]
Description=Xenstore daemon
Documentation=man:agent(1)
Conflicts=xenstored.service
After=proc-xen.mount
Before=xen-init-dom0.service xenconsoled.service xendomains.service libvirtd.service
StartLimitIntervalSec=30
StartLimitBurst=10

[Service]
Type=notify
NotifyAccess=all
ExecStart="$program_path" store serve
Restart=always
RestartSec=100ms
WatchdogSec=30
FileDescriptorStoreMax=16384
LimitNOFILE=65536
OOMScoreAdjust=-900
RuntimeDirectory=xenstored
RuntimeDirectoryMode=0755
RuntimeDirectoryPreserve=yes
UnsetEnvironment=BUN_BE_BUN BUN_OPTIONS BUN_INSPECT BUN_INSPECT_NOTIFY BUN_INSPECT_CONNECT_TO
UnsetEnvironment=BUN_JSC_useJIT BUN_CONFIG_FILE NODE_OPTIONS NODE_PATH
# No MemoryDenyWriteExecute=: the program compiles itself. No PrivateDevices=, no ProtectClock=: it
# needs the devices in /dev/xen. No RestrictRealtime=: it goes before the program that replaces it,
# for as long as that gets ready.
NoNewPrivileges=yes
ProtectSystem=full
ProtectHome=read-only
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX
RestrictNamespaces=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
UNIT
}

stage_units() {
  for name in $units; do
    planned="$planned $name"
    make_directory "$prefix/${name%/*}"
    unit_text >"$(staged "$name")" || fail "Cannot write \"$(at "$name")\": see the message above"
    chmod 644 "$(staged "$name")"
  done
}

stage_links() {
  for name in $links; do
    planned="$planned bin/$name"
    ln -s agent "$(staged "bin/$name")" || fail "Cannot make the link \"$(at "bin/$name")\""
  done
}

stage_manifest() {
  planned="$planned $MANIFEST"
  make_directory "$prefix/${MANIFEST%/*}"
  {
    for name in bin/agent $PAGES $units $MANIFEST; do say "file $prefix/$name"; done
    for name in $links; do say "link $prefix/bin/$name"; done
    { recorded made && printf '%s' "$made"; } | while IFS= read -r path; do say "made $path"; done
  } >"$(staged "$MANIFEST")" || fail "Cannot write \"$(at "$MANIFEST")\": see the message above"
}

# From here on only renames: the manifest first, so that a power cut leaves nothing unlisted, then the
# program last. A hard link keeps each former file until all are in place.
switch_over() {
  for name in $planned; do
    [ -e "$(at "$name")" ] || [ -L "$(at "$name")" ] || continue
    ln "$(at "$name")" "$(former "$name")" 2>/dev/null ||
      cp -pP "$(at "$name")" "$(former "$name")" || fail "Cannot keep \"$(at "$name")\" aside"
  done
  sync "$(staged bin/agent)" 2>/dev/null || :
  order="$MANIFEST $PAGES $units"
  for name in $links; do order="$order bin/$name"; done
  for name in $order bin/agent; do
    switched="$switched $name"
    mv -f "$(staged "$name")" "$(at "$name")" || fail "Cannot rename to \"$(at "$name")\""
  done
  switched=
  made=
}

# What the former version installed and this one does not have any more.
remove_obsolete() {
  [ -f "$(former "$MANIFEST")" ] || return 0
  while IFS= read -r line; do
    case $line in
      "file "*) is_recorded file "${line#* }" || rm -f "$destdir${line#* }" ;;
    esac
  done <"$(former "$MANIFEST")"
}

install_all() {
  choose_program
  # That of an earlier run stays.
  if [ "$systemd" = yes ] || is_recorded file "$prefix/$UNIT"; then units=$UNIT; fi
  refuse_foreign
  mkdir -p "$destdir/" || fail "Cannot make the directory \"$destdir\": choose another --destdir"
  stage_program
  if [ "$link" = yes ]; then
    links=$("$(staged bin/agent)" completion names </dev/null) ||
      fail "Cannot ask agent for the names it stands in for"
  else # Links of an earlier run stay: scripts may rely on them.
    links=$(recorded link | while IFS= read -r path; do say "${path##*/}"; done)
  fi
  refuse_foreign_links
  # Not by --destdir: that is for another host than this one.
  if [ -z "$destdir" ]; then
    "$(staged bin/agent)" check </dev/null ||
      fail "Cannot install: agent check failed on this host (above); nothing was changed"
  fi
  stage_page share/man/man1/agent.1 man
  stage_page share/bash-completion/completions/agent completion bash
  stage_page share/zsh/site-functions/_agent completion zsh
  stage_page share/fish/vendor_completions.d/agent.fish completion fish
  stage_units
  stage_links
  stage_manifest
  switch_over
  remove_obsolete
  say "Installed $version"
  for name in bin/agent $PAGES $units $MANIFEST; do say "  $(at "$name")"; done
  for name in $links; do say "  $(at "bin/$name") -> agent"; done
  [ "$systemd" = no ] || say "Next: systemctl daemon-reload && systemctl enable --now ${UNIT##*/}"
}

# ---- Uninstall, try, test ---------------------------------------------------------------------

uninstall() {
  manifest=$(at "$MANIFEST")
  [ -f "$manifest" ] ||
    fail "Cannot uninstall: nothing is installed under \"$destdir$prefix\" (no \"$manifest\")"
  { recorded file && recorded link; } | while IFS= read -r path; do
    [ ! -d "$destdir${path%/*}" ] || [ -w "$destdir${path%/*}" ] ||
      fail "Cannot uninstall: \"$destdir${path%/*}\" is not writable; nothing was removed"
  done
  recorded link | while IFS= read -r path; do
    if is_our_link "$destdir$path"; then rm -f "$destdir$path"; fi
  done
  directories=$(recorded made | reversed)
  recorded file | while IFS= read -r path; do
    rm -f "$destdir$path" || fail "Cannot remove \"$destdir$path\": see the message above"
  done
  printf '%s\n' "$directories" | while IFS= read -r path; do
    # Others may have put files there: then it is theirs now.
    if [ -n "$path" ]; then rmdir "$destdir$path" 2>/dev/null || :; fi
  done
  say "Removed agent from $destdir$prefix"
}

try() {
  build
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/agent-try.XXXXXX") || fail "Cannot make a temporary directory"
  for command in sample verify; do
    say "agent $command $scratch/guest.save"
    "$here/dist/agent" "$command" "$scratch/guest.save" </dev/null ||
      fail "The build is there but agent $command failed on this host: see the messages above"
  done
}

# ---- Command line -----------------------------------------------------------------------------

prefix=/usr/local
destdir=
binary=
link=no
systemd=no
action=install_all
links=
units=
planned=
switched=
made=
scratch=
ended= # The status for a signal that came: shells differ in what $? is in the last trap then.

while [ $# -gt 0 ]; do
  case $1 in
    --prefix | --destdir | --binary) [ $# -gt 1 ] || usage_error "Cannot install: $1 wants a value" ;;
  esac
  case $1 in
    --prefix) prefix=$2 && shift ;;
    --prefix=*) prefix=${1#*=} ;;
    --destdir) destdir=$2 && shift ;;
    --destdir=*) destdir=${1#*=} ;;
    --binary) binary=$2 && shift ;;
    --binary=*) binary=${1#*=} ;;
    --link) link=yes ;;
    --systemd) systemd=yes ;;
    --uninstall) action=uninstall ;;
    --try) action=try ;;
    --setup) action=set_up ;;
    --test)
      shift
      set_up
      exec "$bun" run test "$@"
      ;;
    --help | -h) usage && exit 0 ;;
    *) usage_error "Cannot install: there is no option \"$1\"" ;;
  esac
  shift
done

absolute() {
  case $1 in
    *'
'*) usage_error "Cannot use a path with a line break" ;;
    '' | /*) printf '%s' "$1" ;;
    *) printf '%s' "$PWD/$1" ;;
  esac
}
prefix=$(absolute "$prefix")
destdir=$(absolute "$destdir")
binary=$(absolute "$binary")
while [ "${prefix%/}" != "$prefix" ]; do prefix=${prefix%/}; done # "/" becomes "": paths start there.
while [ "${destdir%/}" != "$destdir" ]; do destdir=${destdir%/}; done

trap clean_up EXIT
trap 'ended=129 && exit 129' HUP
trap 'ended=130 && exit 130' INT
trap 'ended=143 && exit 143' TERM
"$action"
