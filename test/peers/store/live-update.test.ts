// Debian's own xenstore-control, unmodified, replaces our daemon.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { builtBinary } from "../../helpers/binary.ts";
import { HAS_PEERS, peerTitle, runPeerTool, type StoreDaemon } from "../../helpers/store-peers.ts";
import { startServe } from "../../helpers/store-serve.ts";
import { controlOf, killAll } from "../../helpers/store-update.ts";

const TIMEOUT_MS = 120_000;

let daemon: StoreDaemon;
// It builds the binary, should it be older than the sources.
beforeEach(() => void (daemon = startServe({ program: "binary", words: [] })), TIMEOUT_MS);
afterEach(() => {
  killAll(daemon.socket);
  daemon[Symbol.dispose]();
});

test.skipIf(!HAS_PEERS).each(["4.17", "4.20"] as const)(
  peerTitle("xenstore-control live-update of Xen %s"),
  async (version) => {
    const tool = `/usr/lib/xen-${version}/bin/xenstore-control`;
    const update = (...words: string[]) =>
      runPeerTool(version, daemon.run, [tool, "live-update", ...words]);
    expect(update(builtBinary()).status).toBe(0);
    expect(update("-t", "20", "-F", builtBinary()).status).toBe(0);
    const refused = update("/bin/true");
    expect(refused.status).toBe(3);
    expect(refused.stderr).toContain("Starting live update failed:\nCannot use");
    const status = JSON.parse((await controlOf(daemon.socket, "live-update", "--status"))!);
    expect(status.generation).toBe(2);
  },
  TIMEOUT_MS,
);
