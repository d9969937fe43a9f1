// The state that an arena holds: what clients have made there, and nothing of a damaged one.

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { StoreClient } from "../../../lib/store-client/index.ts";
import { isArenaFile, stateOfArena } from "../../../lib/xenstore/index.ts";
import { serveFromSource } from "../../helpers/store-serve.ts";
import { messageOf } from "../../helpers/system-error.ts";

describe("an arena", () => {
  test("has nodes, watches and transactions of its clients; damaged it is refused", () => {
    using daemon = serveFromSource();
    const path = daemon.socket;
    using client = new StoreClient({ path, timeoutMs: 20_000 });
    const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
    client.write("/a/b", bytes("one"), 0);
    client.watch("rel/ative", "t", 2);
    const id = client.startTransaction();
    client.remove("/a/b", id);
    client.readIfThere("/none", id);
    const arena = arenaOf(daemon.pid);
    expect(isArenaFile(arena)).toBe(true);
    const { nodes, connections } = stateOfArena(arena);
    expect(nodes.map((node) => node.path)).toEqual([
      ...["/", "/tool", "/tool/xenstored", "/a", "/a/b", "@releaseDomain", "@introduceDomain"],
    ]);
    expect(nodes.find((node) => node.path === "/a/b")?.value).toEqual(bytes("one"));
    const socket = connections.find(({ channel }) => channel.kind === "socket");
    expect(socket?.watches).toEqual([{ path: "rel/ative", token: bytes("t"), depth: 2 }]);
    const [transaction] = socket?.transactions ?? [];
    expect(transaction?.id).toBe(id);
    const touched = transaction?.nodes.map((node) => [node.path, node.isWritten, node.content]);
    expect(touched).toContainEqual(["/a/b", true, null]);
    expect(touched).toContainEqual(["/none", false, null]);

    const cut = arena.subarray(0, 8192);
    expect(messageOf(() => stateOfArena(cut))).toStartWith("Cannot ");
  });
});

function arenaOf(pid: number): Uint8Array {
  const folder = `/proc/${pid}/fd`;
  const isArena = (fd: string): boolean =>
    readlinkSync(`${folder}/${fd}`).startsWith("/memfd:xenstore");
  const fds = readdirSync(folder).filter(isArena);
  return new Uint8Array(readFileSync(`${folder}/${fds[0]}`));
}
