// Clients that are not ours, unmodified, with our xenstore daemon: Debian's xenstore-utils, the
// program behind its xenstore-control, and test-xenstore of Xen. The same rows hold with the C
// daemon, where that is at hand: that they say what is so, not what we do.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { HAS_PEERS, peerTitle, startPeer, type StoreDaemon } from "../../helpers/store-peers.ts";
import { serveFromSource } from "../../helpers/store-serve.ts";
import { XEN_UTILS_FOLDER } from "../../helpers/xen-utils.ts";

const HAS_UTILS = Bun.which("xenstore-ls") !== null;
const BIN = join(XEN_UTILS_FOLDER, "usr/lib/xen-4.17/bin");
const LIBRARIES = join(XEN_UTILS_FOLDER, "usr/lib/x86_64-linux-gnu");
const HAS_TESTS = HAS_UTILS && existsSync(join(BIN, "test-xenstore"));
const HAS_CONTROL = HAS_TESTS && existsSync(join(LIBRARIES, "libxenctrl.so.4.17"));
const why = (has: boolean, what: string): string => (has ? "" : ` (skipped: no ${what} here)`);
const RANDOM_TEST_SECONDS = 5;

interface Ran {
  readonly status: number | null;
  readonly out: string;
}

const environment = (daemon: StoreDaemon): Record<string, string> => ({
  PATH: process.env.PATH ?? "",
  XENSTORED_PATH: daemon.socket,
  XENSTORED_RUNDIR: daemon.run,
  LD_LIBRARY_PATH: LIBRARIES,
});

function call(daemon: StoreDaemon, command: string[]): Ran {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { env: environment(daemon) });
  return { status: exitCode, out: `${stdout}${stderr}` };
}

/** Commands in the order they are run, and what each prints. */
const SESSION: readonly (readonly [command: string, status: number, out: string])[] = [
  ["xenstore-write /test/a one /test/b two", 0, ""],
  ["xenstore-read /test/a /test/b", 0, "one\ntwo\n"],
  ["xenstore-read -p /test/a", 0, "/test/a: one\n"],
  ["xenstore-read /test/missing", 1, "xenstore-read: couldn't read path /test/missing\n"],
  ["xenstore-list /test", 0, "a\nb\n"],
  ["xenstore-list -p /test", 0, "/test/a\n/test/b\n"],
  ["xenstore-list /missing", 1, "xenstore-list: could not list path /missing\n"],
  ["xenstore-exists /test/a", 0, ""],
  ["xenstore-exists /test/c", 1, ""],
  ["xenstore-write /test/d/e/f 1", 0, ""],
  ["xenstore-chmod /test/d n0 r1 b2", 0, ""],
  ["xenstore-chmod -r /test/d/e n0 w3", 0, ""],
  [
    "xenstore-ls -f -p /test",
    0,
    `/test/a = "one"   (n0)
/test/b = "two"   (n0)
/test/d = ""   (n0,r1,b2)
/test/d/e = ""   (n0,w3)
/test/d/e/f = "1"   (n0,w3)
`,
  ],
  ["xenstore-ls /test", 0, 'a = "one"\nb = "two"\nd = ""\n e = ""\n  f = "1"\n'],
  ["xenstore-rm /test/d/e", 0, ""],
  ["xenstore-rm -t /test/d", 0, ""],
  ["xenstore-list /test", 0, "a\nb\n"],
  ["xenstore write /test/z last", 0, ""],
  ["xenstore read /test/z", 0, "last\n"],
  ["xenstore exists /test/z", 0, ""],
  ["xenstore rm /test", 0, ""],
  ["xenstore exists /test", 1, ""],
  ["xenstore-write -s /bad//path x", 1, "xenstore-write: could not write path /bad//path\n"],
];

/** What xenstore-control says; a pattern where the daemon's own words follow. */
const CONTROLS: readonly (readonly [words: string, status: number, out: RegExp])[] = [
  ["check", 0, /^OK\n$/],
  ["log", 0, /^Log switch settings:\n(obj|io |wrl|acc|tdb) {5}: o(n|ff)\n/],
  ["log on", 0, /^OK\n$/],
  ["log off", 0, /^OK\n$/],
  ["print hello", 0, /^OK\n$/],
  ["quota", 0, /^Quota settings:\nnodes {12}: {5}1000 Nodes per domain\nwatches {10}: {6}128 /],
  ["quota 0", 0, /^Domain 0:\nnodes {12}: /],
  ["quota set nodes 1200", 0, /^OK\n$/],
  ["quota", 0, /^Quota settings:\nnodes {12}: {5}1200 Nodes per domain\n/],
  ["quota set nodes 1000", 0, /^OK\n$/],
  ["quota 77", 3, /^Error 2 when trying to execute command.\n$/],
  ["nonsense", 3, /^Command not supported. Valid commands are:\ncheck +\nlog +\[on\|off\|/],
];

const DAEMONS: readonly (readonly [string, () => StoreDaemon, boolean])[] = [
  ["ours", serveFromSource, true],
  [peerTitle("the C daemon"), () => startPeer("c-4.20"), HAS_PEERS],
];

describe.each(DAEMONS)("clients of %s", (_, start, isHere) => {
  let daemon: StoreDaemon;
  const unless = (has: boolean) => test.skipIf(!isHere || !has);
  beforeAll(() => {
    if (isHere) daemon = start();
  }, 120_000);
  afterAll(() => daemon?.[Symbol.dispose]());

  unless(HAS_UTILS)(`xenstore-utils${why(HAS_UTILS, "xenstore-utils")}`, () => {
    for (const [command, status, out] of SESSION) {
      expect({ command, ...call(daemon, command.split(" ")) }).toEqual({ command, status, out });
    }
  });

  unless(HAS_UTILS)(`xenstore-watch${why(HAS_UTILS, "xenstore-utils")}`, async () => {
    const command = ["xenstore-watch", "-n", "4", "/watched"];
    const watcher = Bun.spawn(command, { env: environment(daemon), stdout: "pipe" });
    const reader = watcher.stdout.getReader();
    let told = "";
    const more = async (): Promise<void> => {
      const { value } = await reader.read();
      told += Buffer.from(value ?? []).toString();
    };
    await more();
    for (const words of [
      "write /watched/a 1",
      "write /other 1",
      "write /watched/b 1",
      "rm /watched",
    ]) {
      call(daemon, ["xenstore", ...words.split(" ")]);
    }
    expect(await watcher.exited).toBe(0);
    while (told.split("\n").length < 5) await more();
    expect(told).toBe("/watched\n/watched/a\n/watched/b\n/watched\n");
  });

  unless(HAS_CONTROL)(`xenstore-control${why(HAS_CONTROL, "xen-utils with libraries")}`, () => {
    const program = join(BIN, "xenstore-control");
    for (const [words, status, out] of CONTROLS) {
      const found = call(daemon, [program, ...words.split(" ")]);
      expect({ words, ...found }).toEqual({ words, status, out: expect.stringMatching(out) });
    }
  });

  unless(HAS_TESTS)(
    `test-xenstore${why(HAS_TESTS, "xen-utils or xenstore-utils")}`,
    () => {
      const program = join(BIN, "test-xenstore");
      const all = call(daemon, [program]);
      expect(all).toEqual({ status: 0, out: expect.stringMatching(/^(.{10}: \d+ ns\n){12}$/) });
      const random = call(daemon, [program, "-r", String(RANDOM_TEST_SECONDS)]);
      expect(random).toEqual({ status: 0, out: "" });
    },
    60_000,
  );
});
