#!/bin/bash
# The dom0's only xenstored, from boot: agent under the name of the stock daemon. The lab runs this
# before the toolstack comes up; what the daemon says is kept with the results.
chmod +x agent
ln -sf "$PWD/agent" ./xenstored
# shellcheck source=/dev/null # Made by run.sh.
. ./settings.sh
words=(./xenstored --no-fork --pid-file /run/xenstored.pid --trace-file "${STORE_TRACE:-/dev/null}")
[ "$job" != store-killed ] || exec python3 ./service-manager.py "${words[@]}"
exec "${words[@]}"
