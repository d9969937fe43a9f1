// agent store dump, load, convert, diff, ls and watch, as an operator runs them: on dumps of real
// daemons and on running ones, against Debian's own clients.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { StoreStatisticsSchema } from "../../lib/store-daemon/index.ts";
import { StoreCopySchema, StoreDiffSchema, StoreLoadSchema } from "../../agent/ui/store-report.ts";
import { hasStoreDumps, storeDump, storeDumpPath, storeDumpTitle } from "../helpers/store-dumps.ts";
import { agentCommand, type Ran, run } from "../helpers/run.ts";
import { HAS_PEERS, peerTitle, startPeer, type StoreDaemon } from "../helpers/store-peers.ts";
import { serveFromSource } from "../helpers/store-serve.ts";
import { StoreSocket } from "../helpers/store-socket.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

setDefaultTimeout(60_000); // Each starts several programs.

const withDumps = test.skipIf(!hasStoreDumps);
const store = (...words: string[]): Ran => run(agentCommand("store", ...words), {});

const C_DUMP = "c/clients.bin";
const TEXT_DUMP = "ocaml/pv32.db";

describe("agent store convert", () => {
  withDumps(storeDumpTitle("goes from format to format and comes back as it was"), () => {
    using folder = temporaryFolder();
    const at = (name: string): string => join(folder.path, name);
    const rounds = [
      [C_DUMP, "stream"],
      [TEXT_DUMP, "text"],
    ] as const;
    for (const [dump, format] of rounds) {
      const to = (from: string, name: string, target: string): Ran =>
        store("convert", from, "--to", at(name), "--format", target);
      expect(to(storeDumpPath(dump), "a.json", "json")).toMatchObject({ status: 0, stderr: "" });
      expect(to(at("a.json"), "b", format)).toMatchObject({ status: 0, stderr: "" });
      expect(readFileSync(at("b"))).toEqual(Buffer.from(storeDump(dump)));
    }
  });

  withDumps(storeDumpTitle("says what oxenstored's text cannot carry"), () => {
    using folder = temporaryFolder();
    const to = join(folder.path, "x.db");
    const { status, stdout, stderr } = store(
      ...["convert", storeDumpPath(C_DUMP), "--to", to, "-f", "text", "--json"],
    );
    expect(status).toBe(0);
    const report = v.parse(StoreCopySchema, JSON.parse(stdout));
    expect(report.losses.map(({ what }) => what)).toEqual([
      "connections",
      "requests not answered",
      "output not sent",
      "ignored permissions",
    ]);
    expect(stderr).toContain("agent: warning: connections are lost: 1 (domain 1); left out with");
    expect(report.bytes).toBe(readFileSync(to).length);
  });

  withDumps(storeDumpTitle("leaves nothing of a dump that is damaged"), () => {
    using folder = temporaryFolder();
    const [from, to] = [join(folder.path, "cut"), join(folder.path, "out")];
    writeFileSync(from, storeDump(C_DUMP).subarray(0, 5000));
    writeFileSync(to, "before");
    const { status, stderr } = store("convert", from, "--to", to);
    expect(status).toBe(3);
    expect(stderr).toMatch(
      /^agent: Cannot read ".+\/cut": xenstore \w+\.\w+ at offset 0x[0-9a-f]+ \(record \d+\): exp/,
    );
    expect(readFileSync(to, "utf8")).toBe("before");
  });

  test.each([
    [["convert"], "operands: wanted one dump, or - for standard input"],
    [["convert", "x"], "name the dump with --to FILE, or --to -"],
    [["convert", "x", "--to", "y", "-f", "xml"], "--format: wanted text, stream, stream-v2, json"],
    [["convert", "x", "--to", "-", "--json"], "--json and the dump both go to standard output"],
    [["dump", "a", "b", "--to", "y"], "operands: wanted one socket or file"],
    [["load"], "operands: wanted a dump"],
    [["load", "x", "--subtree", "a//b"], "--subtree: wanted a path in the store"],
    [["diff", "x"], "operands: wanted two: sockets or dumps"],
    [["watch"], "operands: wanted a path at least"],
    [["watch", "/a", "/a", "--socket", "/x"], "operands: a path is given twice"],
    [["ls", "not absolute"], "operands: wanted a path in the store such as /local/domain/0"],
  ] as const)("refuses %j", (words, message) => {
    const { status, stderr } = store(...words);
    expect([status, stderr]).toEqual([2, expect.stringContaining(message)]);
  });
});

describe("agent store diff", () => {
  withDumps(storeDumpTitle("ends like diff: 0 same, 1 different, 2 and 3 trouble"), () => {
    using folder = temporaryFolder();
    const [a, b] = [storeDumpPath("c/pv32.bin"), storeDumpPath(C_DUMP)];
    const junk = join(folder.path, "junk");
    writeFileSync(junk, "no dump at all");
    expect(store("diff", a, a)).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^same/),
    });
    expect(store("diff", a, b, "-q")).toMatchObject({ status: 1, stdout: "" });
    expect(store("diff", a, "/nonexistent").status).toBe(2);
    const { status, stderr } = store("diff", a, junk);
    expect([status, stderr]).toEqual([3, expect.stringContaining(`Cannot read "${junk}": xenst`)]);
  });

  withDumps(storeDumpTitle("names what differs, on both sides"), () => {
    const { status, stdout } = store(
      ...["diff", storeDumpPath("c/pv32.bin"), storeDumpPath(C_DUMP), "--json"],
    );
    expect(status).toBe(1);
    const { differences, same } = v.parse(StoreDiffSchema, JSON.parse(stdout));
    expect(same).toBe(false);
    const groups = [...new Set(differences.map(({ group }) => group))];
    expect(groups).toEqual(["node", "connection", "watch"]);
  });
});

describe("agent store ls", () => {
  withDumps(storeDumpTitle("lists a dump as xenstore-ls listed the daemon"), () => {
    const { stdout } = store("ls", "-p", "/", storeDumpPath(C_DUMP));
    expect(stdout).toBe(Buffer.from(storeDump("c/clients.before.txt")).toString());
  });
});

const CLIENTS = Bun.which("xenstore-ls") !== null && Bun.which("xenstore-write") !== null;
const live = test.skipIf(!HAS_PEERS || !CLIENTS);
const liveTitle = (title: string): string =>
  CLIENTS ? peerTitle(title) : `${title} (skipped: no xenstore-utils)`;

for (const name of ["c-4.20", "ocaml-4.20"] as const)
  describe(`on a running ${name}`, () => {
    let daemon: StoreDaemon;
    beforeAll(() => {
      if (HAS_PEERS && CLIENTS) daemon = startPeer(name);
    }, 300_000);
    afterAll(() => {
      if (HAS_PEERS && CLIENTS) daemon[Symbol.dispose]();
    });
    const client = (program: string, ...words: string[]): Ran =>
      run([program, ...words], { env: { ...process.env, XENSTORED_PATH: daemon.socket } });

    live(
      liveTitle("a dump of it loads into it with nothing to do, and differs from nothing"),
      () => {
        using folder = temporaryFolder();
        const file = join(folder.path, "dump");
        client("xenstore-write", "/a/b", "one", "/a/c", 'quoted "\\x01\\t" \\\\');
        client("xenstore-chmod", "/a/b", "r0", "w3");
        for (const format of ["json", "stream", "stream-v2", "text"]) {
          const dumped = store("dump", daemon.socket, "--to", file, "-f", format);
          expect(dumped).toMatchObject({ status: 0, stderr: "" });
          expect(store("diff", daemon.socket, file)).toMatchObject({ status: 0 });
          const loaded = store("load", file, daemon.socket, "--exact");
          expect(loaded).toMatchObject({ status: 0, stdout: "nothing to do\n" });
        }
      },
    );

    live(liveTitle("ls prints what xenstore-ls prints"), () => {
      client("xenstore-write", "/ls/binary", "\\x7f\\x80\\xff\\001\\r\\n\\t\\\\");
      const ours = run(agentCommand("store", "ls", "-p"), {
        env: { ...process.env, XENSTORED_PATH: daemon.socket } as Record<string, string>,
      });
      const theirs = client("xenstore-ls", "-f", "-p");
      expect(ours.stdout).toBe(theirs.stdout);
      const below = store("ls", "/ls", daemon.socket);
      expect(below.stdout).toBe(client("xenstore-ls", "-f", "/ls").stdout);
    });

    live(liveTitle("load shows first, then does, and takes away only where asked"), () => {
      using folder = temporaryFolder();
      const file = join(folder.path, "dump.json");
      client("xenstore-write", "/load/x", "1");
      store("dump", daemon.socket, "--to", file, "--subtree", "/load");
      client("xenstore-write", "/load/x", "2", "/load/new", "3");
      const dry = store("load", file, daemon.socket, "--subtree", "/load", "-n", "--exact");
      expect(dry.stdout).toBe("- /load/new\n= /load/x\nwould be: 1 changed, 1 removed\n");
      const done = store("load", file, daemon.socket, "--subtree", "/load", "--json");
      expect(v.parse(StoreLoadSchema, JSON.parse(done.stdout))).toMatchObject({ changed: 1 });
      expect(client("xenstore-read", "/load/x", "/load/new").stdout).toBe("1\n3\n");
      const nothing = store("load", file, daemon.socket, "--subtree", "/elsewhere");
      expect([nothing.status, nothing.stderr]).toEqual([
        2,
        expect.stringContaining('there is nothing at or below "/elsewhere" in it'),
      ]);
    });

    live(liveTitle("watch prints each change as it comes"), async () => {
      const words = ["watch", "/watch", "--socket", daemon.socket, "--values", "--count", "3"];
      const watching = Bun.spawn(agentCommand("store", ...words), { stdout: "pipe" });
      const reader = watching.stdout.getReader();
      const decoder = new TextDecoder();
      let seen = decoder.decode((await reader.read()).value);
      expect(seen).toBe("/watch\n");
      client("xenstore-write", "/watch/a", "1");
      seen = decoder.decode((await reader.read()).value);
      client("xenstore-rm", "/watch/a");
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        seen += decoder.decode(value);
      }
      expect(seen).toStartWith('/watch/a = "1"\n');
      expect(await watching.exited).toBe(0);
    });
  });

describe("on a daemon of ours", () => {
  test("top names clients, their processes and what domains use", () => {
    using daemon = serveFromSource();
    const sockets = Array.from({ length: 40 }, () => new StoreSocket(daemon.socket));
    try {
      sockets[0]!.ask("WATCH", "/top\0token\0", 0);
      const { status, stdout } = store("top", daemon.socket, "--json");
      expect(status).toBe(0);
      // Longer than one reply of the protocol: it came in parts.
      expect(JSON.stringify(JSON.parse(stdout)).length).toBeGreaterThan(4096);
      const document = v.parse(StoreStatisticsSchema, JSON.parse(stdout));
      const own = document.connections.filter(({ pid }) => pid === process.pid);
      expect(own.length).toBe(sockets.length);
      expect(own.map(({ watches }) => watches)).toContain(1);
      expect(document.domains[0]?.quotas.nodes?.used).toBeGreaterThan(0);
      expect(store("top", daemon.socket, "--once").stdout).toContain(`(${process.pid})`);
    } finally {
      for (const socket of sockets) socket[Symbol.dispose]();
    }
  });

  test("its memory tells what its socket cannot, and both have the same nodes", () => {
    using daemon = serveFromSource();
    using client = new StoreSocket(daemon.socket);
    client.ask("WRITE", "/memory/x\0value", 0);
    client.ask("WATCH", "/memory\0token\0", 0);
    const folder = `/proc/${daemon.pid}/fd`;
    const fd = readdirSync(folder).find((name) =>
      readlinkSync(join(folder, name)).startsWith("/memfd:xenstore"),
    );
    const arena = join(folder, fd ?? "none");
    expect(store("diff", arena, daemon.socket)).toMatchObject({ status: 0 });
    using out = temporaryFolder();
    const copy = join(out.path, "copy.json");
    const { stdout } = store("dump", arena, "--to", copy, "--json");
    const { source } = v.parse(StoreCopySchema, JSON.parse(stdout));
    expect(source).toMatchObject({ kind: "arena", connections: 2, watches: 1 });
    expect(store("diff", arena, copy).stdout).toStartWith("same");
  });
});
