// Updates with too little memory or too few descriptors: the new program is refused, or ended by
// the kernel, the answer says so, and the old one goes on with its clients.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { builtBinary } from "../helpers/binary.ts";
import { MemoryGroup } from "../helpers/memory-group.ts";
import { openDescriptorsOf } from "../helpers/open-descriptors.ts";
import { StoreSocket } from "../helpers/store-socket.ts";
import type { StoreDaemon } from "../helpers/store-peers.ts";
import { startServe } from "../helpers/store-serve.ts";
import { killAll, settledPids, updateStore } from "../helpers/store-update.ts";

const TIMEOUT_MS = 120_000;
const MIB = 1024 * 1024;
const WAYS = ["promote", "in-place"] as const;

let stack: DisposableStack;
let daemon: StoreDaemon;
let client: StoreSocket;
beforeEach(() => {
  stack = new DisposableStack();
  daemon = stack.use(startServe({ program: "binary", words: [] }));
  stack.defer(() => killAll(daemon.socket));
  client = stack.use(new StoreSocket(daemon.socket));
  expect(client.ask("WRITE", "/a\0value", 0)?.body).toBe("OK\0");
}, TIMEOUT_MS);
afterEach(() => stack.dispose());

const update = (way: (typeof WAYS)[number]) =>
  updateStore(daemon.socket, { binary: builtBinary(), way, prepare_ms: 8000 });

async function expectServed(): Promise<void> {
  expect(client.ask("READ", "/a\0", 0)?.body).toBe("value");
  expect(client.ask("CONTROL", "check\0", 0)?.body).toBe("OK\0");
  expect(await settledPids(daemon.socket)).toHaveLength(1);
}

function limit(pid: number, what: "as" | "nofile", value: number | "unlimited"): void {
  const words = ["--pid", String(pid), `--${what}=${value}:`];
  const { exitCode, stderr } = Bun.spawnSync(["prlimit", ...words]);
  if (exitCode !== 0) throw new Error(`prlimit ${words.join(" ")}: ${stderr}`);
}

/** A store that is larger than what the runtime wants for itself now and then. */
function fillStore(): void {
  const value = "v".repeat(4000);
  for (let node = 0; node < 24_000; node++) {
    expect(client.ask("WRITE", `/large/${node}\0${value}`, 0)?.body).toBe("OK\0");
  }
}

test.each(WAYS)(
  "%s: an address space that has no room for a copy of the store",
  async (way) => {
    fillStore();
    const [pid = 0] = await settledPids(daemon.socket);
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    const bytes = Number(/^VmSize:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
    limit(pid, "as", bytes + 64 * MIB);
    const outcome = await update(way);
    limit(pid, "as", "unlimited");
    expect(outcome).toMatchObject({ kind: "failed", reason: expect.stringContaining("ENOMEM") });
    await expectServed();
    expect((await update(way)).kind).toBe("updated");
    await expectServed();
  },
  TIMEOUT_MS,
);

test.each(WAYS)(
  "%s: any number of descriptors left",
  async (way) => {
    // The first one is for whoever asks.
    for (let left = 1; left < 9; left++) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other is the point.
      const [pid = 0] = await settledPids(daemon.socket);
      limit(pid, "nofile", Math.max(...openDescriptorsOf(pid)) + 1 + left);
      // oxlint-disable-next-line no-await-in-loop -- as above.
      const outcome = await update(way);
      // oxlint-disable-next-line no-await-in-loop -- as above.
      for (const one of await settledPids(daemon.socket)) limit(one, "nofile", 1024);
      // oxlint-disable-next-line no-await-in-loop -- as above.
      await expectServed();
      if (outcome.kind === "updated") continue;
      expect("reason" in outcome && outcome.reason).toMatch(/EMFILE|longer than/);
    }
  },
  TIMEOUT_MS,
);

test(
  "a control group without memory: the new program is the one that ends",
  async () => {
    using group = MemoryGroup.make();
    if (group === undefined) return console.error("skipped: no control group can be made here");
    using _ = { [Symbol.dispose]: () => killAll(daemon.socket) }; // In front of the group's end.
    expect((await update("promote")).kind).toBe("updated");
    const [pid = 0] = await settledPids(daemon.socket);
    group.add(pid);
    for (const left of [16, 12, 10, 8, 7, 6]) {
      group.leave(left * MIB);
      // oxlint-disable-next-line no-await-in-loop -- one after the other is the point.
      const outcome = await update("in-place");
      // oxlint-disable-next-line no-await-in-loop -- as above.
      await expectServed();
      if (outcome.kind === "updated") continue;
      expect("reason" in outcome && outcome.reason).toMatch(/lack of memory|ENOMEM/);
      return;
    }
    throw new Error("There was memory enough");
  },
  TIMEOUT_MS,
);
