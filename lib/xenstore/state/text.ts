// oxenstored's dump: text, a line a piece, fields separated by commas (tools/ocaml/xenstored of
// Xen: xenstored.ml module DB, connection.ml, domain.ml, event.ml).
//
//   $xenstored-dump-format
//   global,<fd>                                        -1 without a listening socket
//   evtchn-dev,<fd>,<port of VIRQ_DOM_EXC>
//   dom,<domid>,<gfn>,<remote port>[,<local port>]     connections: rings first, then sockets,
//   socket,<fd>                                        each followed by its watches
//   watch,<domid, or minus the fd>,<path>,<token>
//   store,<path>,<permissions>,<value>                 parents before children
//
// Paths, tokens, values and permissions (entries joined by NUL) are two hexadecimal digits a byte.
// oxenstored skips a line that it cannot read, and with it what hangs on it; this reader refuses
// it, but for lines of a kind that it does not know: these are kept aside.

import type { Place } from "../../bytes/index.ts";
import { createStateBuilder, type StateBuilder } from "./builder.ts";
import type { Access, Permission, StateConnection, StateNode, StoreState } from "./model.ts";
import { type LineWord, type Problem, quoted } from "./problems.ts";
import { latin1, refusal } from "./record-reader.ts";

export const TEXT_HEADER = "$xenstored-dump-format";
const SPECIAL_NODES: ReadonlySet<string> = new Set(["/@introduceDomain", "/@releaseDomain"]);
const PERMISSION = /^([nrwb])([0-9]{1,5})$/;
/** The fields of a line are few; a comma in place of each byte of a file is not split up. */
const FIELDS_MAX = 8;

interface Reading {
  readonly builder: StateBuilder;
  /** Ids of connections by what the watch lines call them. */
  readonly idByOwner: Map<number, number>;
}

type Line = readonly string[];
type LineStep = (fields: Line, reading: Reading) => Problem | undefined;

interface LineKind {
  /** Fewest and most fields behind the word. */
  readonly fields: readonly [number, number];
  readonly step: LineStep;
}

/** A whole dump. Throws StreamError; the number of a record is that of its line. */
export function decodeText(bytes: Uint8Array): StoreState {
  const reading: Reading = { builder: createStateBuilder(), idByOwner: new Map() };
  let at = 0;
  for (let recordNumber = 1; at < bytes.length || recordNumber === 1; recordNumber++) {
    const end = bytes.indexOf(0x0a, at);
    const place: Place = { layer: "xenstore", record: "line", recordNumber, fileOffset: at };
    if (end === -1) {
      const expected = "a line feed at the end: the dump is cut short";
      throw refusal(place, { field: "end", expected, found: "none" });
    }
    const line = latin1(bytes.subarray(at, end));
    if (recordNumber === 1) checkHeader(line, place);
    else readLine(line, place, reading);
    at = end + 1;
  }
  return reading.builder.build();
}

function checkHeader(line: string, place: Place): void {
  if (line === TEXT_HEADER) return;
  throw refusal(place, { field: "header", expected: quoted(TEXT_HEADER), found: quoted(line) });
}

function readLine(line: string, place: Place, reading: Reading): void {
  const [keyword = "", ...fields] = line.split(",", FIELDS_MAX);
  const kind = KINDS.get(keyword);
  const problem =
    kind === undefined
      ? reading.builder.addUnknown({ kind: "line", text: line })
      : (countProblem(kind, fields.length) ?? kind.step(fields, reading));
  if (problem === undefined) return;
  throw refusal({ ...place, record: kind === undefined ? "line" : `${keyword} line` }, problem);
}

function countProblem({ fields: [least, most] }: LineKind, count: number): Problem | undefined {
  if (count >= least && count <= most) return undefined;
  const expected = least === most ? String(least) : `${least} to ${most}`;
  return { field: "fields", expected, found: count >= FIELDS_MAX - 1 ? "more" : String(count) };
}

// ---- Lines ----------------------------------------------------------------------------------

const readGlobal: LineStep = ([fd = ""], { builder }) => {
  const value = integer("fd", fd);
  if (typeof value !== "number") return value;
  builder.setGlobal({ socketFd: value < 0 ? null : value });
  return undefined;
};

const readEventChannels: LineStep = (fields, { builder }) => {
  const [fd, port] = [integer("fd", fields[0]), integer("port", fields[1])];
  if (typeof fd !== "number") return fd;
  if (typeof port !== "number") return port;
  builder.setGlobal({
    eventChannelFd: fd < 0 ? null : fd,
    domainExceptionPort: port <= 0 ? null : port,
  });
  return undefined;
};

const portOf = (value: number): number | null => (value <= 0 ? null : value);

const readDomain: LineStep = (fields, reading) => {
  const [domid, gfn] = [integer("domid", fields[0]), integer("gfn", fields[1])];
  const remotePort = integer("remote port", fields[2]);
  const localPort = fields[3] === undefined ? 0 : integer("local port", fields[3]);
  if (typeof domid !== "number") return domid;
  if (typeof gfn !== "number") return gfn;
  if (typeof remotePort !== "number") return remotePort;
  if (typeof localPort !== "number") return localPort;
  const ports = { remotePort: portOf(remotePort), localPort: portOf(localPort) };
  return addConnection({ kind: "ring", domid, target: null, gfn, ...ports }, reading);
};

const readSocket: LineStep = ([text], reading) => {
  const fd = integer("fd", text);
  return typeof fd === "number" ? addConnection({ kind: "socket", fd }, reading) : fd;
};

const NO_BYTES = new Uint8Array(0);

function addConnection(
  channel: StateConnection["channel"],
  { builder, idByOwner }: Reading,
): Problem | undefined {
  const id = idByOwner.size + 1;
  // Minus 0 would be domain 0, so that no client has descriptor 0.
  if (channel.kind === "socket" && channel.fd === 0) {
    return { field: "fd", expected: "not 0, which watches take for domain 0", found: "0" };
  }
  idByOwner.set(channel.kind === "ring" ? channel.domid : -channel.fd, id);
  const buffers = { input: NO_BYTES, output: NO_BYTES, begunOutputBytes: 0 };
  return builder.addConnection({ id, channel, uniqueId: null, ...buffers });
}

const readWatch: LineStep = (fields, { builder, idByOwner }) => {
  const [owner, path] = [integer("id", fields[0]), unhexed("path", fields[1])];
  const token = unhexed("token", fields[2]);
  if (typeof owner !== "number") return owner;
  if (!(path instanceof Uint8Array)) return path;
  if (!(token instanceof Uint8Array)) return token;
  const id = idByOwner.get(owner);
  if (id === undefined) {
    return { field: "id", expected: "a connection that stands before", found: String(owner) };
  }
  return builder.addWatch(id, { path: latin1(path), token, depth: null });
};

const readNode: LineStep = (fields, { builder }) => {
  const [path, list] = [unhexed("path", fields[0]), unhexed("permissions", fields[1])];
  const value = unhexed("value", fields[2]);
  if (!(path instanceof Uint8Array)) return path;
  if (!(list instanceof Uint8Array)) return list;
  if (!(value instanceof Uint8Array)) return value;
  const permissions: Permission[] = [];
  for (const entry of latin1(list).split("\0")) {
    const [, access, domid] = PERMISSION.exec(entry) ?? [];
    if (access === undefined) {
      return { field: "permissions", expected: "entries such as n0", found: quoted(entry) };
    }
    permissions.push({ access: access as Access, domid: Number(domid), isIgnored: false });
  }
  const name = latin1(path);
  const isSpecial = SPECIAL_NODES.has(name);
  return builder.addNode({
    path: isSpecial ? name.slice(1) : name,
    value,
    permissions,
    generation: null,
  });
};

function integer(field: string, text: string | undefined): number | Problem {
  if (text !== undefined && /^-?[0-9]{1,15}$/.test(text)) return Number(text);
  return { field, expected: "a decimal number", found: quoted(text ?? "") };
}

function unhexed(field: string, text: string | undefined): Uint8Array | Problem {
  if (text === undefined) return { field, expected: "hexadecimal digits", found: "no such field" };
  if (text.length % 2 !== 0 || /[^0-9a-fA-F]/.test(text)) {
    return { field, expected: "hexadecimal digits, two a byte", found: quoted(text) };
  }
  return new Uint8Array(Buffer.from(text, "hex"));
}

const KIND_BY_WORD: Readonly<Record<LineWord, LineKind>> = {
  global: { fields: [1, FIELDS_MAX - 1], step: readGlobal }, // Old writers: a second socket.
  "evtchn-dev": { fields: [2, 2], step: readEventChannels },
  dom: { fields: [3, 4], step: readDomain },
  socket: { fields: [1, 1], step: readSocket },
  watch: { fields: [3, 3], step: readWatch },
  store: { fields: [3, 3], step: readNode },
};
const KINDS: ReadonlyMap<string, LineKind> = new Map(Object.entries(KIND_BY_WORD));

// ---- Writing --------------------------------------------------------------------------------

/** The dump of `state`; what the text cannot carry is left out (losses.ts). */
export function encodeText(state: StoreState): Uint8Array {
  const { socketFd, eventChannelFd, domainExceptionPort } = state.global;
  const lines = [TEXT_HEADER, `global,${socketFd ?? -1}`];
  if (eventChannelFd !== null) {
    lines.push(`evtchn-dev,${eventChannelFd},${domainExceptionPort ?? -1}`);
  }
  const carried = state.connections.filter(isCarriedByText);
  const rings = carried.filter(({ channel }) => channel.kind === "ring");
  const sockets = carried.filter(({ channel }) => channel.kind === "socket");
  for (const connection of [...rings, ...sockets]) lines.push(...connectionLines(connection));
  for (const node of state.nodes) lines.push(nodeLine(node));
  for (const part of state.unknown) if (part.kind === "line") lines.push(part.text);
  return new Uint8Array(Buffer.from(`${lines.join("\n")}\n`, "latin1"));
}

/**
 * Without its frame number a ring cannot be mapped again (that of domain 0 is found otherwise), and
 * without a port not be heard; a client of descriptor 0 would be taken for domain 0.
 */
export function isCarriedByText({ channel }: StateConnection): boolean {
  if (channel.kind === "socket") return channel.fd !== 0;
  const hasPort = channel.remotePort !== null || channel.localPort !== null;
  return hasPort && (channel.gfn !== null || channel.domid === 0);
}

function connectionLines({ channel, watches }: StateConnection): string[] {
  const owner = channel.kind === "ring" ? channel.domid : -channel.fd;
  return [
    channel.kind === "ring" ? domainLine(channel) : `socket,${channel.fd}`,
    ...watches.map(({ path, token }) => `watch,${owner},${hexed(path)},${hexed(token)}`),
  ];
}

function domainLine(ring: Extract<StateConnection["channel"], { kind: "ring" }>): string {
  const { domid, gfn, remotePort, localPort } = ring;
  const local = localPort === null ? "" : `,${localPort}`;
  return `dom,${domid},${gfn ?? 0},${remotePort ?? 0}${local}`;
}

function nodeLine({ path, permissions, value }: StateNode): string {
  const list = permissionsForText(permissions).map(({ access, domid }) => `${access}${domid}`);
  const name = path.startsWith("@") ? `/${path}` : path;
  return `store,${hexed(name)},${hexed(list.join("\0"))},${hexed(value)}`;
}

/** An entry that does not count would count again, for whoever has that domid now: left out. */
const permissionsForText = (permissions: readonly Permission[]): readonly Permission[] =>
  permissions.filter(({ isIgnored }, index) => index === 0 || !isIgnored);

const hexed = (bytes: Uint8Array | string): string =>
  typeof bytes === "string"
    ? Buffer.from(bytes, "latin1").toString("hex")
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
