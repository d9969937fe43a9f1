// The old program after an update that has failed, or was a dry run: what it goes on to do besides
// serving, and that it keeps nothing of it.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { KeptClients } from "../../lib/store-daemon/kept-clients.ts";
import { LiveUpdate } from "../../lib/store-daemon/live-update.ts";
import { PidFile } from "../../lib/store-daemon/pid-file.ts";
import type { RequestTrace } from "../../lib/store-daemon/request-trace.ts";
import { openForWriting } from "../../lib/sys/index.ts";
import { builtBinary } from "../helpers/binary.ts";
import { HandoverHere } from "../helpers/handover-here.ts";
import { agentCommand } from "../helpers/run.ts";
import { ServiceManager } from "../helpers/service-manager.ts";
import { request } from "../helpers/store-in-process.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const TIMEOUT_MS = 20_000;
const [, ...SELF] = agentCommand();
const STARTED_AS = {
  self: { executable: process.execPath, words: SELF, environment: {} },
  argv0: "agent",
  words: [],
  version: "",
  mayChangePid: true,
  stockWords: () => [],
  runFolder: "",
};

let stack: DisposableStack;
let handover: HandoverHere;
beforeEach(() => {
  stack = new DisposableStack();
  handover = stack.use(new HandoverHere());
});
afterEach(() => stack.dispose());

test("the pid file names the program that serves", async () => {
  const path = join(stack.use(temporaryFolder()).path, "pid");
  const pidFile = stack.use(new PidFile(path, process.pid, undefined));
  Object.assign(handover.running, { pidFile });
  await handover.fail(() => writeFileSync(path, "1\n")); // As the new program does.
  expect(readFileSync(path, "utf8")).toBe(`${process.pid}\n`);
});

test("a pid file that cannot be written is told, and ends nothing", () => {
  const lines: string[] = [];
  const full = openForWriting("/dev/full");
  const pidFile = new PidFile(join(handover.shim, "pid"), process.pid, full);
  pidFile.rewrite(7, (line) => void lines.push(line));
  pidFile[Symbol.dispose]();
  expect(lines).toEqual([expect.stringMatching(/pid" does not name this program, .* process 7$/)]);
});

test("requests are written down as before, and that connections were closed", async () => {
  const lines: string[] = [];
  const nothing = (): void => undefined;
  const trace: RequestTrace = {
    request: ({ connection }) => void lines.push(`request ${connection}`),
    gone: ({ connection }) => void lines.push(`gone ${connection}`),
    connected: ({ connection }) => void lines.push(`connected ${connection}`),
    output: nothing,
    note: nothing,
    switches: nothing,
    flush: nothing,
    reopen: nothing,
  };
  handover.first.daemon.trace = trace;
  const idle = stack.use(handover.first.connect());
  const touched = stack.use(handover.first.connect());
  await handover.fail(() => touched.send(request("READ", 1, "/tool\0")));
  idle.send(request("READ", 2, "/tool\0"));
  await handover.first.turns();
  const [first, second] = lines.map((line) => line.replace("connected ", ""));
  expect(lines.slice(2)).toEqual([`gone ${second}`, `request ${first}`]);
});

test("the service manager is told of clients that end with it, or soon after it", async () => {
  const { first, running } = handover;
  const manager = stack.use(new ServiceManager());
  const kept = new KeptClients({ NOTIFY_SOCKET: manager.path });
  const touched = stack.use(first.connect());
  const leaving = first.connect();
  stack.use(first.connect()); // It stays.
  const look = async (): Promise<number> => {
    kept.look(running.daemon);
    await first.turns();
    manager.takeAll();
    return manager.stored.size;
  };
  expect([await look(), await look()]).toEqual([0, 3]);
  await handover.fail(() => touched.send(request("READ", 1, "/tool\0")));
  leaving[Symbol.dispose]();
  await first.turns();
  expect([await look(), await look()]).toEqual([1, 1]);
});

test(
  "the clients that an update was prepared for are forgotten when it is over",
  async () => {
    const { running, survivor, shim, first } = handover;
    stack.use(first.connect());
    await first.turns();
    const isAdded = (): boolean => survivor.standby!.changes().added.length > 0;
    const { promise: ended, resolve } = Promise.withResolvers<string>();
    let wasKnown = false;
    const update = new LiveUpdate({
      running,
      // What is known by the end.
      survivor: {
        ...survivor,
        over() {
          wasKnown = !isAdded();
          survivor.over();
        },
      },
      program: STARTED_AS,
      generation: 0,
      log: resolve,
      announce: () => undefined,
    });
    const words = ["store", "serve", "--hypervisor", shim];
    const order = { binary: builtBinary(), way: "promote", dry_run: true, words };
    const rest = { max_pause_ms: null, sha256: null, prepare_ms: TIMEOUT_MS };
    update.control({
      connection: 0,
      requestId: 1,
      transactionId: 0,
      command: "live-update",
      parameters: ["--order", JSON.stringify({ ...order, ...rest })],
    });
    const serving = first.loop.run();
    expect(await ended).toContain("could serve");
    first.loop.stop();
    await serving;
    expect([wasKnown, isAdded()]).toEqual([true, true]);
  },
  TIMEOUT_MS,
);
