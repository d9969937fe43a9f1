// Writes a state as a migration stream (layout.ts), in the C daemon's order: header, GLOBAL,
// quotas, each connection with what belongs to it, the nodes, domains, END.
//
// The variant "c" is what the C daemon can take. It reads exactly `len` bytes, so the padding is
// counted; it puts the nodes of transactions into the store as if they were committed, so there are
// none; it misreads extended watches, so they have no depth; and it stops on a domain without a
// connection. "design" carries all that the design has.

import { assert, RefusedError, roundUp } from "../../base/index.ts";
import { type Layout, type Row, sizeOf, write } from "../../bytes/index.ts";
import * as layout from "./layout.ts";
import {
  channelName,
  type Permission,
  type Quota,
  type StateConnection,
  type StoreState,
  type TransactionNode,
} from "./model.ts";

export interface StreamOptions {
  readonly version: 1 | 2;
  readonly variant: "c" | "design";
}

/** The stream of `state`; what it cannot carry is left out (losses.ts). Throws RefusedError. */
export function encodeStream(state: StoreState, options: StreamOptions): Uint8Array {
  const isDesign = options.variant === "design";
  const target = new StreamWriter(options.variant);
  target.fields(layout.HEADER, {
    ident: 0x7865_6e73_746f_7265n,
    version: options.version,
    flags: 0,
  });
  const { socketFd, eventChannelFd } = state.global;
  target.record(layout.RECORD_TYPE.GLOBAL_DATA, () => {
    const fds = {
      rw_socket_fd: socketFd ?? layout.NO_FD,
      evtchn_fd: eventChannelFd ?? layout.NO_FD,
    };
    target.fields(layout.GLOBAL_DATA, fds);
  });
  const { perDomain, global } = state.quotas;
  if (perDomain.length + global.length > 0) {
    target.record(layout.RECORD_TYPE.GLOBAL_QUOTA_DATA, () => {
      target.fields(layout.GLOBAL_QUOTA_DATA, { n_dom: perDomain.length, n_glob: global.length });
      writeQuotas(target, [...perDomain, ...global]);
    });
  }
  for (const connection of state.connections) writeConnection(target, connection, options);
  for (const { path, value, permissions } of state.nodes) {
    writeNode(target, { owner: [0, 0], access: 0, path, content: { value, permissions } });
  }
  const withRing = ringDomids(state);
  for (const { domid, features, quotas } of state.domains) {
    if (!isDesign && !withRing.has(domid)) continue;
    target.record(layout.RECORD_TYPE.DOMAIN_DATA, () => {
      const known = options.version === 1 ? 0 : features;
      target.fields(layout.DOMAIN_DATA, { domid, n_quota: quotas.length, features: known });
      writeQuotas(target, quotas);
    });
  }
  for (const part of state.unknown) {
    if (part.kind === "record") target.record(part.type, () => target.bytes(part.body));
  }
  target.record(layout.RECORD_TYPE.END, () => undefined);
  return target.written();
}

/** The domains that the C daemon knows of when it comes to their records. */
export const ringDomids = ({ connections }: StoreState): ReadonlySet<number> =>
  new Set(connections.flatMap(({ channel }) => (channel.kind === "ring" ? [channel.domid] : [])));

function writeConnection(
  target: StreamWriter,
  connection: StateConnection,
  options: StreamOptions,
): void {
  const { id, channel, uniqueId, input, output, begunOutputBytes } = connection;
  const isRing = channel.kind === "ring";
  target.record(layout.RECORD_TYPE.CONNECTION_DATA, () => {
    target.fields(layout.CONNECTION_DATA, {
      conn_id: id,
      conn_type: isRing ? layout.CONNECTION_RING : layout.CONNECTION_SOCKET,
      fields: uniqueId === null ? 0 : layout.HAS_UNIQUE_ID,
    });
    if (isRing) {
      const { domid, target: tdomid, localPort: evtchn } = channel;
      const spec = { domid, tdomid: tdomid ?? layout.NO_TARGET, evtchn: evtchn ?? 0 };
      target.fields(layout.RING_SPEC, spec);
    } else target.fields(layout.SOCKET_SPEC, { socket_fd: channel.fd, pad: 0 });
    target.fields(layout.CONNECTION_BUFFERS, {
      in_data_len: fitting(input.length, `the input of ${channelName(channel)}`),
      out_resp_len: fitting(begunOutputBytes, `the begun output of ${channelName(channel)}`),
      out_data_len: output.length,
    });
    target.bytes(input);
    target.bytes(output);
    if (uniqueId === null) return;
    target.pad();
    target.fields(layout.UNIQUE_ID, { unique_id: uniqueId });
  });
  for (const { path, token, depth } of connection.watches) {
    const isExtended = depth !== null && options.version === 2 && options.variant === "design";
    const { WATCH_DATA, WATCH_DATA_EXTENDED } = layout.RECORD_TYPE;
    target.record(isExtended ? WATCH_DATA_EXTENDED : WATCH_DATA, () => {
      const head = { conn_id: id, wpath_len: path.length + 1, token_len: token.length + 1 };
      if (isExtended) target.fields(layout.WATCH_DATA_EXTENDED, { ...head, depth, pad: 0 });
      else target.fields(layout.WATCH_DATA, head);
      target.terminated(Buffer.from(path, "latin1"));
      target.terminated(token);
    });
  }
  if (options.variant === "c") return;
  for (const transaction of connection.transactions) {
    target.record(layout.RECORD_TYPE.TRANSACTION_DATA, () =>
      target.fields(layout.TRANSACTION_DATA, { conn_id: id, tx_id: transaction.id }),
    );
    for (const node of transaction.nodes) {
      const { path, content } = node;
      // A record without permissions says that the node was deleted, not that it was looked for.
      if (content === null && !node.isWritten) continue;
      writeNode(target, { owner: [id, transaction.id], access: accessOf(node), path, content });
    }
  }
}

/** 0 for a deleted node, as the design has it. */
const accessOf = ({ content, isRead, isWritten }: TransactionNode): number =>
  content === null
    ? 0
    : (isRead ? layout.ACCESS_READ : 0) + (isWritten ? layout.ACCESS_WRITTEN : 0);

interface NodeToWrite {
  /** Connection and transaction; zeros for a committed node. */
  readonly owner: readonly [number, number];
  readonly access: number;
  readonly path: string;
  readonly content: {
    readonly value: Uint8Array;
    readonly permissions: readonly Permission[];
  } | null;
}

const NOTHING = { value: new Uint8Array(0), permissions: [] };

function writeNode(target: StreamWriter, { owner, access, path, content }: NodeToWrite): void {
  const { value, permissions } = content ?? NOTHING;
  target.record(layout.RECORD_TYPE.NODE_DATA, () => {
    target.fields(layout.NODE_DATA, {
      conn_id: owner[0],
      tx_id: owner[1],
      path_len: path.length + 1,
      value_len: fitting(value.length, `the value of "${path}"`),
      access,
      perm_count: fitting(permissions.length, `the number of permissions of "${path}"`),
    });
    for (const { access: letter, domid, isIgnored } of permissions) {
      target.fields(layout.NODE_PERMISSION, {
        perm: letter.charCodeAt(0),
        flags: isIgnored ? layout.PERMISSION_IGNORED : 0,
        domid,
      });
    }
    target.terminated(Buffer.from(path, "latin1"));
    target.bytes(value);
  });
}

function writeQuotas(target: StreamWriter, quotas: readonly Quota[]): void {
  const values = new DataView(new ArrayBuffer(4 * quotas.length));
  quotas.forEach(({ value }, index) => values.setUint32(4 * index, value, true));
  target.bytes(new Uint8Array(values.buffer));
  for (const { name } of quotas) target.terminated(Buffer.from(name, "latin1"));
}

const U16_MAX = 0xffff;

function fitting(length: number, what: string): number {
  if (length <= U16_MAX) return length;
  const found = `wanted at most ${U16_MAX}, found ${length}`;
  throw new RefusedError(`Cannot put ${what} into a migration stream: ${found}`);
}

const FIRST_BYTES = 64 * 1024;

class StreamWriter {
  private readonly variant: StreamOptions["variant"];
  private buffer = new Uint8Array(FIRST_BYTES);
  private view = new DataView(this.buffer.buffer);
  private used = 0;

  constructor(variant: StreamOptions["variant"]) {
    this.variant = variant;
  }

  /** The head, the body that `writeBody` writes, and the padding. */
  record(type: number, writeBody: () => void): void {
    const headAt = this.used;
    this.fields(layout.RECORD_HEAD, { type, len: 0 });
    const bodyAt = this.used;
    writeBody();
    const bare = this.used - bodyAt;
    this.pad();
    const len = this.variant === "c" ? this.used - bodyAt : bare;
    assert(len <= 0xffff_ffff, "a record is below 4 GiB");
    write(layout.RECORD_HEAD, this.view, headAt, { type, len });
  }

  fields<L extends Layout>(table: L, row: Row<L>): void {
    const at = this.take(sizeOf(table));
    write(table, this.view, at, row);
  }

  bytes(part: Uint8Array): void {
    const at = this.take(part.length);
    this.buffer.set(part, at);
  }

  /** With a NUL behind it. */
  terminated(part: Uint8Array): void {
    this.bytes(part);
    this.take(1);
  }

  /** Zeros, up to the next multiple of 8. */
  pad(): void {
    this.take(roundUp(this.used, layout.RECORD_ALIGNMENT) - this.used);
  }

  written(): Uint8Array {
    return this.buffer.slice(0, this.used);
  }

  private take(length: number): number {
    const at = this.used;
    const needed = at + length;
    if (needed > this.buffer.length) {
      const grown = new Uint8Array(Math.max(needed, 2 * this.buffer.length));
      grown.set(this.buffer.subarray(0, at));
      this.buffer = grown;
      this.view = new DataView(grown.buffer);
    }
    this.used = needed;
    return at;
  }
}
