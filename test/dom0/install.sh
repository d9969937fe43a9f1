#!/bin/bash
# Puts the bare program on a dom0 that has neither network nor compiler, looks at what it finds there,
# and takes it off again without a trace.
# shellcheck source=test/dom0/lib.sh
. ./lib.sh

# Everything that an installation could change, with contents.
picture() {
  find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /lab -o -path /var/log \) -prune \
    -o \( -type f -o -type l \) -printf '%p %s %m %l\n' | sort
}

say "---- install"
picture >/tmp/before
check "there is no compiler" test -z "$(command -v gcc cc node npm bun)"
check "install.sh" sh install.sh --binary "$agent" --link
check "the program answers" agent --version
check "drop-in names answer" verify-stream-v2 --help
check "agent hook install libxl" agent hook install libxl

say "---- agent --check"
agent --check | tee "$out/check.txt"
check "agent --check" test "${PIPESTATUS[0]}" -eq 0
for found in 'Xen' 'xl' 'libxl-save-helper' '/dev/xen/evtchn' '/dev/xen/gntdev' '/dev/xen/privcmd'; do
  check "agent --check names $found" grep -q -F -- "$found" "$out/check.txt"
done

say "---- uninstall"
check "agent hook remove libxl" agent hook remove libxl
check "install.sh --uninstall" sh install.sh --uninstall
picture >/tmp/after
diff /tmp/before /tmp/after
check "nothing is left" cmp -s /tmp/before /tmp/after
finish
