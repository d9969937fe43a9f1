// Our daemon on the dumps of stock ones, started as their live updates start it: with the dump in
// the run folder, and descriptors under the numbers that it names.

import { expect, setDefaultTimeout, test } from "bun:test";
import { spawn } from "node:child_process";
import { closeSync, constants, existsSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compareStates, decodeState } from "../../lib/xenstore/index.ts";
import { bindUnix } from "../../lib/sys/index.ts";
import { builtBinary } from "../helpers/binary.ts";
import { agentCommand, run } from "../helpers/run.ts";
import { hasStoreDumps, storeDump, storeDumpTitle } from "../helpers/store-dumps.ts";
import { makeDomain } from "../helpers/store-guest.ts";

setDefaultTimeout(60_000);

const WORDS = {
  state_dump: ["xenstored", "-U", "-N"],
  db: ["oxenstored", "--live", "--restart", "--no-fork", "--no-access-log"],
} as const;
type DumpName = keyof typeof WORDS;
const START_MS = 20_000;

interface Served {
  readonly status: number | undefined;
  readonly said: string;
  /** As it is served; undefined: it is not. */
  readonly store: Uint8Array | undefined;
  readonly isDumpThere: boolean;
}

/** Starts it on the dump, and ends it. `listenerFd`: where the listening socket stands. */
async function serve(name: DumpName, dump: Uint8Array, listenerFd: number): Promise<Served> {
  const folder = mkdtempSync(join(tmpdir(), "agent-stock-"));
  const [socket, shim] = [join(folder, "socket"), join(folder, "shim")];
  try {
    Bun.spawnSync(["mkdir", shim]);
    Bun.spawnSync(["mkfifo", join(shim, "evtchn")]);
    for (const domid of [1, 2, 3]) makeDomain(shim, domid); // As permissions name them.
    writeFileSync(join(folder, name), dump);
    const [program = "", ...words] = WORDS[name];
    symlinkSync(builtBinary(), join(folder, program));
    using listener = bindUnix({ path: socket, kind: "stream" });
    const fifo = openSync(join(shim, "evtchn"), constants.O_RDWR | constants.O_NONBLOCK);
    const out = openSync(join(folder, "out"), "w");
    const eventsFd = name === "db" ? 17 : 13; // As in all of these dumps.
    const place = (fd: number) =>
      fd === listenerFd ? listener.number : fd === eventsFd ? fifo : ("ignore" as const);
    const descriptors = Array.from({ length: eventsFd - 2 }, (_, index) => place(index + 3));
    const child = spawn(join(folder, program), words, {
      env: { PATH: "/usr/bin", XENSTORED_RUNDIR: folder, XENSTORED_HYPERVISOR: shim },
      stdio: ["ignore", out, out, ...descriptors],
      argv0: program,
    });
    for (const fd of [fifo, out]) closeSync(fd);
    const untilMs = performance.now() + START_MS;
    const said = (): string => readFileSync(join(folder, "out"), "utf8");
    const isOver = (): boolean => child.exitCode !== null || said().includes("is ready");
    // oxlint-disable-next-line no-await-in-loop -- It is waited for.
    while (!isOver() && performance.now() < untilMs) await Bun.sleep(5);
    const isServed = child.exitCode === null;
    const copy = join(folder, "copy.json");
    if (isServed) run(agentCommand("store", "dump", socket, "--to", copy), {});
    const status = child.exitCode ?? undefined;
    child.kill("SIGKILL");
    return {
      status,
      said: said(),
      store: isServed ? new Uint8Array(readFileSync(copy)) : undefined,
      isDumpThere: existsSync(join(folder, name)),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const DUMPS = [
  ["c/dom0only.bin", "state_dump", 3],
  ["c/pv32.bin", "state_dump", 3],
  ["c/clients.bin", "state_dump", 3],
  ["ocaml/dom0only.db", "db", 15],
  ["ocaml/pv32.db", "db", 15],
] as const;

test.skipIf(!hasStoreDumps).each(DUMPS)(
  storeDumpTitle("%s is served, and gone from its folder"),
  async (path, name, fd) => {
    const dump = storeDump(path);
    const { store, said, isDumpThere } = await serve(name, dump, fd);
    // Nobody gave it their sockets.
    expect([said, isDumpThere]).toEqual([expect.stringContaining("client is lost"), false]);
    const [was, is] = [dump, store!].map((bytes) => decodeState(bytes).state);
    const isAlive = ({ name: node }: { readonly name: string }) => !node.startsWith("@");
    const found = compareStates(was!, is!, { hasConnections: false }).filter(isAlive);
    expect(found).toEqual([]);
  },
);

/** The byte there has another bit 0. */
const flipped = (dump: Uint8Array, at: number): Uint8Array =>
  dump.map((byte, index) => (index === at ? byte ^ 1 : byte));

test.skipIf(!hasStoreDumps)(storeDumpTitle("a damaged dump is refused, and stays"), async () => {
  const [c, text] = [storeDump("c/pv32.bin"), storeDump("ocaml/pv32.db")];
  const damaged: readonly (readonly [DumpName, Uint8Array, number, string])[] = [
    ["state_dump", c.subarray(0, c.length - 9), 3, "xenstore"],
    ["state_dump", flipped(c, 3), 3, "xenstore dump.start"],
    ["state_dump", flipped(c, 16), 3, "xenstore"],
    ["state_dump", text, 3, "wanted stream or stream-v2, found text"],
    ["state_dump", c, 9, "wanted a listening socket as descriptor 3"],
    ["db", text.subarray(0, text.length - 1), 15, "line feed at the end"],
    ["db", flipped(text, 5), 15, "xenstore"],
  ];
  for (const [name, dump, fd, why] of damaged) {
    // oxlint-disable-next-line no-await-in-loop -- One after the other is enough.
    const { status, said, store, isDumpThere } = await serve(name, dump, fd);
    expect([why, said]).toEqual([why, expect.stringContaining(why)]);
    expect([why, store, isDumpThere]).toEqual([why, undefined, true]);
    expect(status).toBe(1);
  }
});
