// Dumps that real daemons wrote, against what xenstore-ls said of the same state, and written anew.

import { describe, expect, test } from "bun:test";
import { nodeLine } from "../../../agent/ui/store-listing.ts";
import {
  decodeState,
  encodeState,
  losses,
  type StateFormat,
  type StoreState,
} from "../../../lib/xenstore/state/index.ts";
import { hasStoreDumps, storeDump, storeDumpTitle } from "../../helpers/store-dumps.ts";

const skip = test.skipIf(!hasStoreDumps);
const C_DUMPS = ["dom0only", "pv32", "clients"];
const OCAML_DUMPS = ["dom0only", "pv32"];

/** As xenstore-ls sees it: without "/"; special nodes only where oxenstored lists them. */
const listing = ({ nodes }: StoreState, specials: "" | "/"): string[] =>
  nodes
    .filter(({ path }) => path !== "/" && (specials === "/" || !path.startsWith("@")))
    .map((node) => nodeLine(path(node), true));
const path = (node: StoreState["nodes"][number]): StoreState["nodes"][number] =>
  node.path.startsWith("@") ? { ...node, path: `/${node.path}` } : node;

const answer = (name: string): string[] =>
  Buffer.from(storeDump(name)).toString("latin1").trimEnd().split("\n");

describe("a dump of the C daemon", () => {
  skip.each(C_DUMPS.map((name) => [storeDumpTitle(name), name]))("%s", (_, name) => {
    const bytes = storeDump(`c/${name}.bin`);
    const { state, format, notes } = decodeState(bytes);
    expect(format).toBe("stream");
    expect(notes).toEqual([]);
    expect(listing(state, "")).toEqual(answer(`c/${name}.before.txt`));
    expect(losses(state, { format: "stream", variant: "c" })).toEqual([]);
    expect(encodeState(state, { format: "stream", variant: "c" })).toEqual(bytes);
  });

  skip(storeDumpTitle("has the connections and what they left unfinished"), () => {
    const { state } = decodeState(storeDump("c/clients.bin"));
    const { connections } = state;
    const domains = connections.flatMap(({ channel }) =>
      channel.kind === "ring" ? [[channel.domid, channel.localPort]] : [],
    );
    expect(domains).toEqual([
      [0, 21],
      [1, 22],
    ]);
    const pending = connections.map(({ input }) => input.length).filter((length) => length > 0);
    expect(pending.toSorted((a, b) => a - b)).toEqual([9, 21]);
    const silent = connections.find(({ output }) => output.length > 1000);
    expect([silent?.output.length, silent?.watches.length]).toEqual([9868, 60]);
    const updating = connections.find(({ output }) => output.length === 19);
    expect(Buffer.from(updating?.output ?? []).subarray(16)).toEqual(Buffer.from("OK\0"));
  });
});

describe("a dump of oxenstored", () => {
  skip.each(OCAML_DUMPS.map((name) => [storeDumpTitle(name), name]))("%s", (_, name) => {
    const bytes = storeDump(`ocaml/${name}.db`);
    const { state, format, notes } = decodeState(bytes);
    expect([format, notes]).toEqual(["text", []]);
    // oxenstored lists children in another order than it dumps them.
    const sorted = (lines: string[]): string[] => lines.toSorted();
    expect(sorted(listing(state, "/"))).toEqual(sorted(answer(`ocaml/${name}.before.txt`)));
    expect(losses(state, { format: "text", variant: "c" })).toEqual([]);
    expect(encodeState(state, { format: "text", variant: "c" })).toEqual(bytes);
  });

  skip(storeDumpTitle("written on SIGTERM"), () => {
    const bytes = storeDump("ocaml/sigterm.db");
    const { state } = decodeState(bytes);
    expect(state.global).toEqual({ socketFd: 15, eventChannelFd: 17, domainExceptionPort: 20 });
    expect(encodeState(state, { format: "text", variant: "c" })).toEqual(bytes);
  });
});

describe("from one daemon's format to the other's", () => {
  const NODES = ({ nodes }: StoreState) => nodes;
  const WATCHES = ({ connections }: StoreState) =>
    connections.map(({ channel: { kind }, watches }) => [kind, watches]);

  skip(storeDumpTitle("C to oxenstored keeps nodes and says what is lost"), () => {
    const { state } = decodeState(storeDump("c/clients.bin"));
    const target = { format: "text", variant: "c" } as const;
    expect(losses(state, target).map(({ what, count }) => [what, count])).toEqual([
      ["connections", 1],
      ["requests not answered", 2],
      ["output not sent", 2],
      ["ignored permissions", 1],
    ]);
    const again = decodeState(encodeState(state, target)).state;
    expect(NODES(again).length).toBe(NODES(state).length);
    const plain = (one: StoreState) =>
      nodeLine(
        NODES(one).find((node) => node.path === "/lab/plain")!,
        true,
      );
    expect([plain(state), plain(again)]).toEqual([
      '/lab/plain = "value"   (n0,r1,b2,w3)',
      '/lab/plain = "value"   (n0,r1)',
    ]);
  });

  const FORMATS: readonly StateFormat[] = ["stream", "stream-v2", "json"];
  skip.each(FORMATS.map((name) => [storeDumpTitle(`oxenstored to ${name}`), name] as const))(
    "%s",
    (_, format) => {
      const { state } = decodeState(storeDump("ocaml/pv32.db"));
      const again = decodeState(encodeState(state, { format, variant: "c" })).state;
      expect(NODES(again)).toEqual(NODES(state));
      expect(WATCHES(again)).toEqual(WATCHES(state));
    },
  );
});
