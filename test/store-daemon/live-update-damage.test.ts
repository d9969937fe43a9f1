// Memory of a running store daemon that is damaged: the new program finds it before anything stops,
// and the daemon goes on with its clients. Undamaged again, it is replaced.

import { expect, test } from "bun:test";
import { closeSync, openSync, readlinkSync, readSync, writeSync } from "node:fs";
import { arenaPlaces } from "../helpers/arena-places.ts";
import { builtBinary } from "../helpers/binary.ts";
import { StoreSocket } from "../helpers/store-socket.ts";
import { startServe } from "../helpers/store-serve.ts";
import { killAll, updateStore } from "../helpers/store-update.ts";
import { openDescriptorsOf } from "../helpers/open-descriptors.ts";

const TIMEOUT_MS = 120_000;
const BIT = 4;
const ARENA_BYTES_MAX = 16 * 1024 * 1024;

/** The arena of the process, opened for both. */
function openArena(pid: number): number {
  const found = openDescriptorsOf(pid).find((fd) =>
    readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith("/memfd:xenstore "),
  );
  if (found === undefined) throw new Error(`Process ${pid} has no arena`);
  return openSync(`/proc/${pid}/fd/${found}`, "r+");
}

/**
 * It reads and writes, so the daemon must have seen by then that whoever asked for an update has
 * gone: that changes rows and counts.
 */
function flip(arena: number, word: number, client: StoreSocket): void {
  for (let left = 2; left > 0; left--) client.ask("READ", "/a\0", 0);
  const bytes = new Uint8Array(4);
  readSync(arena, bytes, 0, bytes.length, word * 4);
  bytes[0]! ^= 1 << BIT;
  writeSync(arena, bytes, 0, bytes.length, word * 4);
}

const PLACES = [
  "header: digest",
  "header: nodeCount",
  "header: usedRows",
  "node 2: contentSum",
  "connection 2: watchCount",
  "watch 1: sum",
  "watchPath 1: pathSum",
  "transaction 1: sum",
  "overlay 1: sum",
  "rows 1: count",
  "free 2: kind",
  "block of node 1: owner",
  "nodeIndex: hash of used slot",
] as const;

test(
  "each kind of damage is found by the new program, and the old one serves on",
  async () => {
    using daemon = startServe({ program: "binary", words: [] });
    const { socket } = daemon;
    using stack = new DisposableStack();
    stack.defer(() => killAll(socket));
    const client = stack.use(new StoreSocket(socket));
    client.ask("WRITE", "/a\0value", 0);
    client.ask("WATCH", "/a\0token\0", 0);
    const transaction = Number.parseInt(client.ask("TRANSACTION_START", "\0", 0)!.body, 10);
    client.ask("WRITE", "/a\0within", transaction);
    const arena = openArena(daemon.pid);
    stack.defer(() => closeSync(arena));
    const bytes = new Uint8Array(ARENA_BYTES_MAX);
    const got = readSync(arena, bytes, 0, bytes.length, 0);
    const places = arenaPlaces(new Int32Array(bytes.buffer, 0, got / 4));
    for (const [index, name] of PLACES.entries()) {
      const place = places.find((one) => one.name === name);
      expect([name, place?.name]).toEqual([name, name]);
      const way = index % 2 === 0 ? "promote" : "in-place";
      flip(arena, place!.word, client);
      // oxlint-disable-next-line no-await-in-loop -- one after the other is the point.
      const outcome = await updateStore(socket, { binary: builtBinary(), way });
      flip(arena, place!.word, client);
      expect([name, outcome]).toMatchObject([
        name,
        { kind: "failed", reason: expect.stringMatching(/^Cannot adopt the store: /) },
      ]);
      expect(client.ask("READ", "/a\0", 0)?.body).toBe("value");
      expect(client.ask("CONTROL", "check\0", 0)?.body).toBe("OK\0");
    }
    const outcome = await updateStore(socket, { binary: builtBinary(), way: "promote" });
    expect(outcome).toMatchObject({ kind: "updated" });
    expect(client.ask("TRANSACTION_END", "T\0", transaction)?.body).toBe("OK\0");
    expect(client.ask("READ", "/a\0", 0)?.body).toBe("within");
  },
  TIMEOUT_MS,
);
