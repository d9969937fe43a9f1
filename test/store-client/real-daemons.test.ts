// The client on the real daemons: every operation, a walk of a store that is not small, a load.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { load, StoreClient, walk } from "../../lib/store-client/index.ts";
import type { StateNode } from "../../lib/xenstore/index.ts";
import { messageOf } from "../helpers/system-error.ts";
import {
  HAS_PEERS,
  peerTitle,
  type PeerName,
  startPeer,
  type StoreDaemon,
} from "../helpers/store-peers.ts";

const TIMEOUT_MS = 10_000;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const node = (path: string, text: string, access: "n" | "r"): StateNode => ({
  path,
  value: bytes(text),
  permissions: [{ access, domid: 0, isIgnored: false }],
  generation: null,
});

const PEERS: readonly PeerName[] = ["c-4.20", "ocaml-4.20"];
const skip = test.skipIf(!HAS_PEERS);

for (const name of PEERS)
  describe(name, () => {
    let daemon: StoreDaemon;
    let client: StoreClient;

    beforeAll(() => {
      if (!HAS_PEERS) return;
      daemon = startPeer(name);
      client = new StoreClient({ path: daemon.socket, timeoutMs: TIMEOUT_MS });
    }, 300_000);
    afterAll(() => {
      if (!HAS_PEERS) return;
      client[Symbol.dispose]();
      daemon[Symbol.dispose]();
    });

    skip(peerTitle("values and permissions are what was written"), () => {
      const value = Uint8Array.from({ length: 256 }, (_, index) => index);
      client.write("/one/two", value, 0);
      expect(client.read("/one/two", 0)).toEqual(value);
      expect(client.directory("/one", 0)).toEqual(["two"]);
      const list = [
        { access: "r", domid: 0, isIgnored: false },
        { access: "w", domid: 0, isIgnored: false },
      ] as const;
      client.setPermissions("/one/two", list, 0);
      expect(client.permissions("/one/two", 0)).toEqual([...list]);
      client.remove("/one", 0);
      expect(client.readIfThere("/one/two", 0)).toBeUndefined();
      expect(messageOf(() => client.read("/one/two", 0))).toEndWith(
        `${daemon.socket}": found ENOENT (no such node)`,
      );
    });

    skip(peerTitle("a transaction is all or nothing, and a conflict is told"), () => {
      const first = client.startTransaction();
      client.write("/tx/a", bytes("1"), first);
      expect(client.readIfThere("/tx/a", 0)).toBeUndefined();
      expect(client.endTransaction(first, true)).toBe(true);
      expect(client.read("/tx/a", 0)).toEqual(bytes("1"));

      const second = client.startTransaction();
      client.read("/tx/a", second);
      client.write("/tx/b", bytes("2"), second);
      client.write("/tx/a", bytes("3"), 0);
      expect(client.endTransaction(second, true)).toBe(false);
      expect(client.readIfThere("/tx/b", 0)).toBeUndefined();
    });

    skip(peerTitle("events come in between, and are kept in their order"), () => {
      client.watch("/watched", "t1", undefined);
      expect(client.connection.nextEvent(TIMEOUT_MS)).toEqual({ path: "/watched", token: "t1" });
      client.write("/watched/a", bytes("x"), 0);
      client.write("/watched/b", bytes("x"), 0);
      client.read("/watched/a", 0);
      const paths = [1, 2].map(() => client.connection.nextEvent(TIMEOUT_MS)?.path);
      expect(paths).toEqual(["/watched/a", "/watched/b"]);
      expect(client.connection.nextEvent(20)).toBeUndefined();
    });

    skip(peerTitle("a walk has every node once, parents first, also of a long folder"), () => {
      const names = Array.from({ length: 900 }, (_, index) => `child-${index}`);
      const nodes = names.map((child) => node(`/long/${child}`, child, "r"));
      const all = [node("/long", "", "n"), ...nodes];
      const options = { root: "/long", isExact: false, isDryRun: false };
      expect(load(client, all, options).steps.length).toBe(901);
      const found = walk(client, { root: "/long", attempts: 1, transactionNodesMax: 1000 });
      expect(found.isConsistent).toBe(true);
      const byPath = (a: StateNode, b: StateNode): number => (a.path < b.path ? -1 : 1);
      expect(found.nodes[0]?.path).toBe("/long");
      expect(found.nodes.toSorted(byPath)).toEqual(all.toSorted(byPath));
    });

    skip(peerTitle("a load writes what differs, and takes the rest away where asked"), () => {
      client.write("/load/old/deep", bytes("x"), 0);
      client.write("/load/same", bytes("same"), 0);
      client.setPermissions("/load/same", [{ access: "n", domid: 0, isIgnored: false }], 0);
      const wanted = [
        node("/load", "", "n"),
        node("/load/same", "same", "n"),
        node("/load/new", "1", "r"),
      ];
      const options = { root: "/load", isExact: true, isDryRun: true };
      const steps = [
        { kind: "remove", path: "/load/old" },
        { kind: "create", path: "/load/new" },
      ] as const;
      const told = load(client, wanted, options).steps.filter(({ kind }) => kind !== "permissions");
      expect(told).toEqual([...steps]);
      expect(client.readIfThere("/load/new", 0)).toBeUndefined();
      load(client, wanted, { ...options, isDryRun: false });
      expect(load(client, wanted, options).steps).toEqual([]);
      expect(client.directory("/load", 0).toSorted()).toEqual(["new", "same"]);
      expect(client.permissions("/load/new", 0)).toEqual([...wanted[2]!.permissions]);
    });

    skip(peerTitle("CONTROL answers, and what it does not know is an error or a word"), () => {
      if (name.startsWith("c-")) {
        expect(client.control("help")).toContain("live-update");
        expect(messageOf(() => client.control("nonsense"))).toContain("EINVAL");
      } else expect(client.control("nonsense")).toBe("OK");
    });
  });
