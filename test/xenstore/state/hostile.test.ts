// Dumps that are damaged, cut or invented: one clear error with its place, or the state.

import { describe, expect, test } from "bun:test";
import { StreamError } from "../../../lib/bytes/index.ts";
import {
  decodeState,
  encodeState,
  type StateTarget,
  type StoreState,
} from "../../../lib/xenstore/state/index.ts";
import { randomNumbers } from "../../helpers/pieces.ts";
import { randomState } from "../../helpers/random-store.ts";
import { messageOf } from "../../helpers/system-error.ts";

/** Header and records: each a type, a body in hexadecimal, and a length that may be false. */
const stream = (...records: readonly (readonly [number, string, number?])[]): Uint8Array => {
  const parts = records.map(([type, hex, len]) => {
    const body = Buffer.from(hex.replaceAll(" ", ""), "hex");
    const record = Buffer.alloc(8 + Math.ceil(body.length / 8) * 8);
    record.writeUInt32LE(type, 0);
    record.writeUInt32LE(len ?? record.length - 8, 4);
    record.set(body, 8);
    return record;
  });
  return Buffer.concat([Buffer.from("78656e73746f72650000000200000000", "hex"), ...parts]);
};
const END = [0, ""] as const;
const SOCKET = [2, "01000000 0100 0000 0c000000 00000000 0000 0000 00000000"] as const;
const ROOT = [5, "00000000 00000000 0200 0000 0000 0100 6e000000 2f00"] as const;

const text = (...lines: readonly string[]): Uint8Array =>
  Buffer.from(["$xenstored-dump-format", ...lines, ""].join("\n"));

const json = (change: (document: Record<string, unknown>) => unknown): Uint8Array => {
  const state = decodeState(stream(SOCKET, ROOT, END)).state;
  const bytes = encodeState(state, { format: "json", variant: "c" });
  const document = JSON.parse(Buffer.from(bytes).toString()) as Record<string, unknown>;
  return Buffer.from(JSON.stringify(change(document)));
};

describe("a migration stream is refused with its place", () => {
  test.each([
    ["nothing", Buffer.alloc(0), "dump.start at offset 0x0"],
    ["no dump", Buffer.from("\x7fELF"), "found bytes 7f454c46"],
    [
      "persistent nodes",
      Buffer.from("/tool{n0} = x\n"),
      "found oxenstored's file of persistent nodes",
    ],
    [
      "a short header",
      Buffer.from("xenstore\0\0"),
      "header.ident at offset 0x0: expected 16 bytes, found 10 in all",
    ],
    [
      "version 3",
      Buffer.from("78656e73746f72650000000300000000", "hex"),
      "header.version at offset 0x8: expected 0x1 or 0x2, found 0x3",
    ],
    [
      "big-endian",
      Buffer.from("78656e73746f72650000000100000001", "hex"),
      "header.flags at offset 0xc: expected 0x0 (little-endian), found 0x1",
    ],
    [
      "no END",
      stream(ROOT),
      "record.body at offset 0x30 (record 2): expected 8 bytes, found 0 in this record",
    ],
    [
      "bytes behind END",
      stream(END, END),
      "END.body at offset 0x18 (record 1): expected the end of the stream behind it",
    ],
    [
      "a length that lies",
      stream([5, "00", 0xffff_fff0]),
      "NODE_DATA.len at offset 0x14 (record 1): expected at most the 8 bytes that follow",
    ],
    [
      "a connection twice",
      stream(SOCKET, SOCKET),
      "CONNECTION_DATA.connection id at offset 0x38 (record 2): expected each only once",
    ],
    [
      "a watch of nobody",
      stream([3, "07000000 0300 0200 6100 00 7400"]),
      "WATCH_DATA.wpath at offset 0x20 (record 1): expected a NUL at 0x2, found one at 0x1",
    ],
    [
      "a watch of an unknown one",
      stream([3, "07000000 0200 0200 6100 7400"]),
      "WATCH_DATA.connection id at offset 0x18 (record 1)",
    ],
    [
      "an orphan",
      stream(ROOT, [5, "00000000 00000000 0500 0000 0000 0100 6e000000 2f612f6200"]),
      'NODE_DATA.path at offset 0x38 (record 2): expected its parent before it, found "/a/b"',
    ],
    [
      "a path with dots",
      stream([5, "00000000 00000000 0400 0000 0000 0100 6e000000 2f2e2e00"]),
      'NODE_DATA.path at offset 0x18 (record 1): expected a xenstore path, found "/.."',
    ],
    [
      "no owner",
      stream([5, "00000000 00000000 0200 0000 0000 0000 2f00"]),
      "NODE_DATA.permissions at offset 0x18 (record 1): expected at least the owner's, found none",
    ],
    [
      "an unknown letter",
      stream([5, "00000000 00000000 0200 0000 0000 0100 78000000 2f00"]),
      "NODE_DATA.perm at offset 0x28 (record 1): expected 0x6e or 0x72 or 0x77 or 0x62, found 0x78",
    ],
    [
      "a value longer than its record",
      stream([5, "00000000 00000000 0200 ff00 0000 0100 6e000000 2f00"]),
      "NODE_DATA.value at offset 0x2e (record 1): expected 255 bytes, found 2 in this record",
    ],
    [
      "65535 permissions",
      stream([5, "00000000 00000000 0200 0000 0000 ffff 6e000000 2f00"]),
      "NODE_DATA.perm at offset 0x2c (record 1): expected 0x6e or 0x72 or 0x77 or 0x62, found 0x2f",
    ],
    [
      "a transaction of an unknown one",
      stream([4, "01000000 01000000"]),
      "TRANSACTION_DATA.connection id at offset 0x18 (record 1)",
    ],
    [
      "quotas without names",
      stream([6, "0100 0000 05000000"]),
      "GLOBAL_QUOTA_DATA.quota name at offset 0x20 (record 1): expected a NUL behind it",
    ],
  ] as const)("%s", (_, bytes, message) => {
    expect(messageOf(() => decodeState(bytes))).toContain(message);
  });
});

describe("oxenstored's text is refused with its line", () => {
  test.each([
    [
      "cut in a line",
      Buffer.from("$xenstored-dump-format\nstore,2f,6e30,"),
      "line.end at offset 0x17 (record 2): expected a line feed at the end: the dump is cut short",
    ],
    [
      "another header",
      Buffer.from("$xenstored-dump-format2\n"),
      'line.header at offset 0x0 (record 1): expected "$xenstored-dump-format"',
    ],
    [
      "no digits",
      text("store,2f,6e30,zz"),
      "store line.value at offset 0x17 (record 2): expected hexadecimal digits, two a byte",
    ],
    [
      "a missing field",
      text("store,2f,6e30"),
      "store line.fields at offset 0x17 (record 2): expected 3, found 2",
    ],
    [
      "a field too many",
      text(`store,2f,6e30,${",".repeat(100)}`),
      "store line.fields at offset 0x17 (record 2): expected 3, found more",
    ],
    [
      "permissions of nobody",
      text("store,2f,,"),
      'store line.permissions at offset 0x17 (record 2): expected entries such as n0, found ""',
    ],
    [
      "a watch of nobody",
      text("watch,-9,61,62"),
      "watch line.id at offset 0x17 (record 2): expected a connection that stands before, found -9",
    ],
    [
      "a number that is none",
      text("socket,0x10"),
      'socket line.fd at offset 0x17 (record 2): expected a decimal number, found "0x10"',
    ],
    [
      "a socket that is domain 0",
      text("socket,0"),
      "socket line.fd at offset 0x17 (record 2): expected not 0",
    ],
    [
      "a negative socket",
      text("socket,-5"),
      "socket line.socket fd at offset 0x17 (record 2): expected 0 to 2147483647, found -5",
    ],
    [
      "an empty line",
      text("", "store,2f,6e30,"),
      'line.line at offset 0x17 (record 2): expected a line of an unknown kind, found ""',
    ],
    ["a domain twice", text("dom,1,2,3,4", "dom,1,2,3,4"), "found a second domain 1"],
  ] as const)("%s", (_, bytes, message) => {
    expect(messageOf(() => decodeState(bytes))).toContain(message);
  });
});

describe("a document is refused with its place", () => {
  test.each([
    ["cut", Buffer.from('{"format": "xenstore-state", '), "document.syntax at offset 0x1d"],
    [
      "no member",
      json(({ nodes: _, ...rest }) => rest),
      'nodes.value at offset 0x0: expected "nodes", found undefined',
    ],
    ["a strange member", json((document) => ({ ...document, more: 1 })), "more.value at offset 0x"],
    [
      "a letter",
      json((document) => ({ ...document, nodes: [{ path: "/", value: "", permissions: ["x0"] }] })),
      "nodes.0.permissions.0.value at offset 0x",
    ],
    [
      "half a byte",
      json((document) => ({
        ...document,
        nodes: [{ path: "/", value: { hex: "a" }, permissions: ["n0"] }],
      })),
      "nodes.0.value.value at offset 0x",
    ],
    [
      "an orphan",
      json((document) => ({
        ...document,
        nodes: [{ path: "/a/b", value: "", permissions: ["n0"] }],
      })),
      "nodes.0.path at offset 0x",
    ],
    [
      "a known record among the unknown",
      json((document) => ({ ...document, unknown: [{ kind: "record", type: 5, body: "" }] })),
      "unknown.0.type at offset 0x",
    ],
    [
      "a line feed in a line",
      json((document) => ({ ...document, unknown: [{ kind: "line", text: "a\nstore,2f,6e30," }] })),
      "unknown.0.line at offset 0x",
    ],
    [
      "a generation past 64 bits",
      json((document) => ({
        ...document,
        nodes: [{ path: "/", value: "", permissions: ["n0"], generation: "18446744073709551616" }],
      })),
      "nodes.0.generation at offset 0x",
    ],
  ] as const)("%s", (_, bytes, message) => {
    expect(messageOf(() => decodeState(bytes))).toContain(message);
  });

  test("the place of a value is that of its first character", () => {
    const bytes = json((document) => ({
      ...document,
      domains: [{ domid: -1, features: 0, quotas: [] }],
    }));
    const found = /at offset 0x([0-9a-f]+)/.exec(messageOf(() => decodeState(bytes)))?.[1];
    expect(
      Buffer.from(bytes)
        .toString()
        .slice(Number.parseInt(found ?? "0", 16)),
    ).toStartWith("-1");
  });
});

describe("the flaws of the C daemon's extended watches", () => {
  const read = (body: string, len: number) =>
    decodeState(stream(SOCKET, [8, body, len], ROOT, END));
  const watches = ({ connections }: StoreState) =>
    connections[0]?.watches.map(({ path, token, depth }) => [
      path,
      Buffer.from(token).toString(),
      depth,
    ]);

  test.each([
    ["as designed", "01000000 0300 0300 0200 0000 2f6100 746b00", 24, ["/a", "tk", 2]],
    ["no limit", "01000000 0300 0300 ffff 0000 2f6100 746b00", 24, ["/a", "tk", null]],
    ["as the C daemon reads it", "01000000 0300 0300 0300 2f6100 746b00", 16, ["/a", "tk", 3]],
    [
      "as it writes it, length too long",
      "01000000 0300 0300 2f6100 746b00",
      24,
      ["/a", "tk", null],
    ],
    [
      "as it writes it, length true",
      "01000000 0300 0600 2f6100 746b6b6b6b00",
      24,
      ["/a", "tkkkk", null],
    ],
  ] as const)("%s", (_, body, len, watch) => {
    const { state, notes } = read(body, len);
    expect(watches(state)).toEqual([[...watch]]);
    expect(state.nodes.length).toBe(1);
    expect(notes.length).toBe(
      body.length < 50 && watch[2] === null && !body.includes("ffff") ? 1 : 0,
    );
  });
});

describe("cut anywhere", () => {
  const TARGETS: readonly StateTarget[] = [
    { format: "text", variant: "c" },
    { format: "stream", variant: "c" },
    { format: "stream-v2", variant: "design" },
    { format: "json", variant: "c" },
  ];
  test.each(TARGETS.map((target) => [target.format, target] as const))("%s", (format, target) => {
    const random = randomNumbers(3);
    const bytes = encodeState(randomState(random), target);
    for (let length = 0; length < bytes.length - 1; length++) {
      const cut = bytes.subarray(0, length);
      // Between its lines the text does not tell its end.
      if (format === "text" && cut.at(-1) === 0x0a && length > 22) continue;
      expect(() => decodeState(cut)).toThrow(StreamError);
    }
  });
});
