// agent live-update-probe: what this program can continue, for one that is to be replaced.

import { RECEIVE_KIND, RECEIVE_STATE_VERSION } from "../../../lib/checkpoint/index.ts";
import { PROXY_KIND, PROXY_STATE_VERSION } from "../../../lib/device/index.ts";
import { type ProbeAnswer, PROTOCOL } from "../../../lib/handover/index.ts";
import { RELAY_KIND, RELAY_STATE_VERSION } from "../../../lib/stream/index.ts";
import { STORE_KIND, STORE_STATE_VERSION } from "../../../lib/store-daemon/index.ts";
import { EXIT } from "../../exit.ts";
import { print } from "../../ui/output.ts";
import { versionLine } from "../../version.ts";

export function run(): number {
  const answer: ProbeAnswer = {
    protocol: [PROTOCOL.oldest, PROTOCOL.newest],
    version: versionLine(),
    kinds: {
      [STORE_KIND]: [STORE_STATE_VERSION],
      [PROXY_KIND]: [PROXY_STATE_VERSION],
      [RECEIVE_KIND]: [RECEIVE_STATE_VERSION],
      [RELAY_KIND]: [RELAY_STATE_VERSION],
    },
  };
  print(`${JSON.stringify(answer)}\n`);
  return EXIT.ok;
}
