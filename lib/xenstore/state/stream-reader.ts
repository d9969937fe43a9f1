// Reads a migration stream (layout.ts) into a state. Strict where the C daemon would stop, and like
// it in what may come: record types that it does not know are kept aside. Padding is not looked at,
// the C daemon writes what lies in memory.

import { assert, hex, roundUp } from "../../base/index.ts";
import { check, type Place, read, sizeOf, StreamError } from "../../bytes/index.ts";
import { createStateBuilder, type StateBuilder } from "./builder.ts";
import * as layout from "./layout.ts";
import type { Access, Permission, Quota, RingChannel, StoreState } from "./model.ts";
import { pathProblem } from "./problems.ts";
import { latin1, RecordReader, refusal } from "./record-reader.ts";

export interface DecodedStream {
  readonly state: StoreState;
  readonly version: number;
  /** What the stream should have told and does not, for people. */
  readonly notes: readonly string[];
}

const HEADER_PLACE: Place = { layer: "xenstore", record: "header", recordNumber: 0, fileOffset: 0 };

const NAMES = new Map(
  Object.entries(layout.RECORD_TYPE).map(([name, type]) => [type as number, name]),
);

interface Reading {
  readonly builder: StateBuilder;
  /** Paths of watches whose depth was not written. */
  readonly depthless: string[];
}

/** Returns how long the body really is, if that is not what the record says. */
type RecordStep = (record: RecordReader, reading: Reading) => number | undefined;

/** A whole stream. Throws StreamError. */
export function decodeStream(bytes: Uint8Array): DecodedStream {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerBytes = sizeOf(layout.HEADER);
  if (bytes.length < headerBytes) {
    const found = `${bytes.length} in all`;
    throw refusal(HEADER_PLACE, { field: "ident", expected: `${headerBytes} bytes`, found });
  }
  for (const finding of check(layout.HEADER, view, 0, HEADER_PLACE)) throw new StreamError(finding);
  const { version } = read(layout.HEADER, view, 0);
  const reading: Reading = { builder: createStateBuilder(), depthless: [] };
  let at = headerBytes;
  for (let recordNumber = 1; ; recordNumber++) {
    const next = readRecord(bytes, { at, recordNumber }, reading);
    if (next === undefined) break;
    assert(next > at, "every record takes room");
    at = next;
  }
  return { state: reading.builder.build(), version, notes: notesOf(reading) };
}

function notesOf({ depthless: [first, ...others] }: Reading): string[] {
  if (first === undefined) return [];
  const count = others.length + 1;
  const what = count === 1 ? `the watch on "${first}"` : `${count} watches, of "${first}" first,`;
  return [
    `the stream does not tell the depth of ${what} (a flaw of its writer): taken as all levels`,
  ];
}

/** Returns where the next record begins; undefined behind END. */
function readRecord(
  bytes: Uint8Array,
  { at, recordNumber }: { readonly at: number; readonly recordNumber: number },
  reading: Reading,
): number | undefined {
  const head = new RecordReader(bytes.subarray(at), {
    layer: "xenstore",
    record: "record",
    recordNumber,
    fileOffset: at,
  });
  const { type, len } = head.fields(layout.RECORD_HEAD);
  const record = NAMES.get(type) ?? `type ${hex(type)}`;
  const bodyAt = at + sizeOf(layout.RECORD_HEAD);
  const place: Place = { layer: "xenstore", record, recordNumber, fileOffset: bodyAt };
  const left = bytes.length - bodyAt;
  if (len > left) {
    throw refusal(
      { ...place, fileOffset: at + 4 },
      { field: "len", expected: `at most the ${left} bytes that follow`, found: hex(len) },
    );
  }
  if (type === layout.RECORD_TYPE.END) {
    checkEnd({ place, len, left });
    return undefined;
  }
  const body = new RecordReader(bytes.subarray(bodyAt, bodyAt + len), place);
  const step = STEPS.get(type);
  if (step === undefined) {
    const part = { kind: "record", type, body: body.bytes(len, "body") } as const;
    body.accept(reading.builder.addUnknown(part));
  }
  const bodyBytes = step?.(body, reading) ?? len;
  return bodyAt + roundUp(bodyBytes, layout.RECORD_ALIGNMENT);
}

function checkEnd(end: { readonly place: Place; readonly len: number; readonly left: number }) {
  const { place, len, left } = end;
  if (len !== 0) throw refusal(place, { field: "len", expected: "0x0", found: hex(len) });
  if (left === 0) return;
  const expected = "the end of the stream behind it";
  throw refusal(place, { field: "body", expected, found: `${left} more bytes` });
}

// ---- Records, in the order of their numbers -------------------------------------------------

const fdOf = (value: number): number | null => (value === layout.NO_FD ? null : value);

const readGlobal: RecordStep = (record, { builder }) => {
  const { rw_socket_fd: socket, evtchn_fd: eventChannel } = record.fields(layout.GLOBAL_DATA);
  builder.setGlobal({ socketFd: fdOf(socket), eventChannelFd: fdOf(eventChannel) });
};

const readConnection: RecordStep = (record, { builder }) => {
  const { conn_id: id, conn_type: type, fields } = record.fields(layout.CONNECTION_DATA);
  const channel =
    type === layout.CONNECTION_SOCKET
      ? ({ kind: "socket", fd: record.fields(layout.SOCKET_SPEC).socket_fd } as const)
      : readRing(record);
  const lengths = record.fields(layout.CONNECTION_BUFFERS);
  const input = record.bytes(lengths.in_data_len, "input");
  const output = record.bytes(lengths.out_data_len, "output");
  const begunOutputBytes = lengths.out_resp_len;
  let uniqueId: bigint | null = null;
  if (fields === layout.HAS_UNIQUE_ID) {
    record.bytes(roundUp(record.at, layout.RECORD_ALIGNMENT) - record.at, "padding");
    uniqueId = record.fields(layout.UNIQUE_ID).unique_id;
  }
  const connection = { id, channel, uniqueId, input, output, begunOutputBytes };
  record.accept(builder.addConnection(connection));
};

function readRing(record: RecordReader): RingChannel {
  const { domid, tdomid, evtchn } = record.fields(layout.RING_SPEC);
  return {
    kind: "ring",
    domid,
    target: tdomid === layout.NO_TARGET ? null : tdomid,
    gfn: null,
    remotePort: null,
    localPort: evtchn === 0 ? null : evtchn,
  };
}

const readWatch: RecordStep = (record, { builder }) => {
  const {
    conn_id: id,
    wpath_len: pathBytes,
    token_len: tokenBytes,
  } = record.fields(layout.WATCH_DATA);
  const path = latin1(record.terminated(pathBytes, "wpath"));
  const token = record.terminated(tokenBytes, "token");
  record.accept(builder.addWatch(id, { path, token, depth: null }));
};

/** See WATCH_DATA_EXTENDED: the path is looked for in the three places where it may be. */
const readExtendedWatch: RecordStep = (record, { builder, depthless }) => {
  const {
    conn_id: id,
    wpath_len: pathBytes,
    token_len: tokenBytes,
  } = record.fields(layout.WATCH_DATA);
  const depthAt = record.at;
  for (const place of layout.EXTENDED_PATH_PLACES) {
    record.at = place;
    if (!hasWatchAt(record, { pathBytes, tokenBytes })) continue;
    const path = latin1(record.bytes(pathBytes, "wpath").subarray(0, -1));
    const token = record.bytes(tokenBytes, "token").subarray(0, -1);
    if (place === depthAt) {
      depthless.push(path);
      record.accept(builder.addWatch(id, { path, token, depth: null }));
      return record.at;
    }
    record.at = depthAt;
    const { depth } = record.fields({ depth: layout.WATCH_DATA_EXTENDED.depth });
    const limit = depth === layout.NO_DEPTH ? null : depth;
    record.accept(builder.addWatch(id, { path, token, depth: limit }));
    return undefined;
  }
  record.at = layout.EXTENDED_PATH_PLACES[0];
  const expected = "a watch path at 8, 10 or 12 of the body";
  return record.fail({ field: "wpath", expected, found: "none" });
};

function hasWatchAt(
  record: RecordReader,
  { pathBytes, tokenBytes }: { readonly pathBytes: number; readonly tokenBytes: number },
): boolean {
  const start = record.at;
  if (record.left < pathBytes + tokenBytes) return false;
  const path = record.bytes(pathBytes, "wpath");
  const token = record.bytes(tokenBytes, "token");
  record.at = start;
  if (path.indexOf(0) !== pathBytes - 1 || token.indexOf(0) !== tokenBytes - 1) return false;
  return pathProblem(latin1(path.subarray(0, -1)), true) === undefined;
}

const readTransaction: RecordStep = (record, { builder }) => {
  const { conn_id: connectionId, tx_id: id } = record.fields(layout.TRANSACTION_DATA);
  record.accept(builder.addTransaction(connectionId, id));
};

const readNode: RecordStep = (record, { builder }) => {
  const head = record.fields(layout.NODE_DATA);
  const permissions: Permission[] = [];
  for (let index = 0; index < head.perm_count; index++) permissions.push(readPermission(record));
  const path = latin1(record.terminated(head.path_len, "path"));
  const value = record.bytes(head.value_len, "value");
  if (head.conn_id === 0) {
    record.accept(builder.addNode({ path, value, permissions, generation: null }));
    return;
  }
  const isDeleted = permissions.length === 0;
  if (isDeleted && value.length > 0) {
    record.fail({
      field: "value_len",
      expected: "0x0 for a deleted node",
      found: hex(value.length),
    });
  }
  const node = {
    path,
    isRead: head.access % 2 === layout.ACCESS_READ,
    isWritten: isDeleted || head.access >= layout.ACCESS_WRITTEN,
    content: isDeleted ? null : { value, permissions },
    generation: null,
  };
  const owner = { connectionId: head.conn_id, transactionId: head.tx_id };
  record.accept(builder.addTransactionNode(owner, node));
};

function readPermission(record: RecordReader): Permission {
  const { perm, flags, domid } = record.fields(layout.NODE_PERMISSION);
  const access = String.fromCharCode(perm) as Access; // The layout has checked it.
  return { access, domid, isIgnored: flags === layout.PERMISSION_IGNORED };
}

const readGlobalQuota: RecordStep = (record, { builder }) => {
  const { n_dom: perDomain, n_glob: global } = record.fields(layout.GLOBAL_QUOTA_DATA);
  const quotas = readQuotas(record, perDomain + global);
  const split = { perDomain: quotas.slice(0, perDomain), global: quotas.slice(perDomain) };
  record.accept(builder.setQuotas(split));
};

const readDomain: RecordStep = (record, { builder }) => {
  const { domid, n_quota: count, features } = record.fields(layout.DOMAIN_DATA);
  record.accept(builder.addDomain({ domid, features, quotas: readQuotas(record, count) }));
};

function readQuotas(record: RecordReader, count: number): Quota[] {
  const values = record.bytes(4 * count, "quota values");
  const view = new DataView(values.buffer, values.byteOffset);
  return Array.from({ length: count }, (_, index) => ({
    value: view.getUint32(4 * index, true),
    name: latin1(record.untilNul("quota name")),
  }));
}

const STEPS: ReadonlyMap<number, RecordStep> = new Map([
  [layout.RECORD_TYPE.GLOBAL_DATA, readGlobal],
  [layout.RECORD_TYPE.CONNECTION_DATA, readConnection],
  [layout.RECORD_TYPE.WATCH_DATA, readWatch],
  [layout.RECORD_TYPE.TRANSACTION_DATA, readTransaction],
  [layout.RECORD_TYPE.NODE_DATA, readNode],
  [layout.RECORD_TYPE.GLOBAL_QUOTA_DATA, readGlobalQuota],
  [layout.RECORD_TYPE.DOMAIN_DATA, readDomain],
  [layout.RECORD_TYPE.WATCH_DATA_EXTENDED, readExtendedWatch],
]);
