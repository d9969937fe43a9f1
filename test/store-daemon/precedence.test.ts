// How a daemon is scheduled while it is replaced: first, as long as the new program gets ready, and
// as before in the end, however that was.

import { readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { canChooseClass } from "../../lib/sys/index.ts";
import { builtBinary } from "../helpers/binary.ts";
import { badEcho } from "../helpers/echo-binary.ts";
import { policyIn } from "../helpers/processes.ts";
import type { StoreDaemon } from "../helpers/store-peers.ts";
import { startServe } from "../helpers/store-serve.ts";
import { killAll, settledPids, updateStore } from "../helpers/store-update.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const NORMAL = "0";
const ROUND_ROBIN = "2";
const LOOK_EVERY_MS = 5;
const SETTLED_MS = 5000;
const TIMEOUT_MS = 60_000;

let daemon: StoreDaemon;
beforeEach(() => void (daemon = startServe({ program: "binary", words: [] })), TIMEOUT_MS);
afterEach(() => {
  killAll(daemon.socket);
  daemon[Symbol.dispose]();
});

test.skipIf(!canChooseClass()).each(["promote", "in-place"] as const)(
  "goes first for a second at a time, and falls in when the update fails: %s (needs CAP_SYS_NICE)",
  async (way) => {
    const [pid = 0] = await settledPids(daemon.socket);
    expect(policiesOf(pid)).toEqual([NORMAL]);
    using folder = temporaryFolder();
    const binary = badEcho(folder.path, "hangs-at-probe");
    const seen: string[] = [];
    const update = updateStore(daemon.socket, { binary, way, prepare_ms: 2500 });
    const outcome = await watching(update, () => {
      const policy = policyOf(pid, pid);
      if (policy !== seen.at(-1)) seen.push(policy);
    });
    expect(outcome.kind).not.toBe("updated");
    expect(seen.filter((policy) => policy !== NORMAL)).toEqual([ROUND_ROBIN]);
    expect(seen.at(-1)).toBe(NORMAL); // Long before the update was given up.
    expect(policiesOf(pid)).toEqual([NORMAL]);
  },
  TIMEOUT_MS,
);

test.each(["promote", "in-place"] as const)(
  "every thread of the new program is as those of the old one were: %s",
  async (way) => {
    const outcome = await updateStore(daemon.socket, { binary: builtBinary(), way });
    expect(outcome.kind).toBe("updated");
    const [pid = 0] = await settledPids(daemon.socket);
    const untilMs = performance.now() + SETTLED_MS;
    while (performance.now() < untilMs && policiesOf(pid).join() !== NORMAL) {
      await Bun.sleep(LOOK_EVERY_MS);
    }
    expect(policiesOf(pid)).toEqual([NORMAL]);
  },
  TIMEOUT_MS,
);

async function watching<T>(work: Promise<T>, look: () => void): Promise<T> {
  const timer = setInterval(look, LOOK_EVERY_MS);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}

const policyOf = (pid: number, thread: number): string =>
  policyIn(readFileSync(`/proc/${pid}/task/${thread}/stat`, "latin1"));

/** Of all its threads, each once. */
const policiesOf = (pid: number): string[] => [
  ...new Set(readdirSync(`/proc/${pid}/task`).map((thread) => policyOf(pid, Number(thread)))),
];
