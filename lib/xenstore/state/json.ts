// States as JSON documents (json-schema.ts): one element of a list a line, so that two documents
// can be compared by line. Reading gives errors with the offset in the document.

import * as v from "valibot";
import type { Place } from "../../bytes/index.ts";
import { type BareConnection, createStateBuilder, type StateBuilder } from "./builder.ts";
import { findInJson, type JsonPath } from "./json-place.ts";
import {
  JSON_FORMAT,
  JSON_VERSION,
  PERMISSION_PATTERN,
  type StateDocument,
  StateDocumentSchema,
} from "./json-schema.ts";
import type {
  Access,
  Permission,
  StateConnection,
  StateNode,
  StoreState,
  TransactionNode,
  UnknownPart,
} from "./model.ts";
import type { Problem } from "./problems.ts";
import { latin1, refusal } from "./record-reader.ts";

type JsonBytes = StateDocument["nodes"][number]["value"];
type JsonConnection = StateDocument["connections"][number];
type JsonTransactionNode = JsonConnection["transactions"][number]["nodes"][number];

// ---- Writing --------------------------------------------------------------------------------

/** UTF-8. */
export function encodeJson(state: StoreState): Uint8Array {
  const lines = Object.entries(documentOf(state)).map(([name, value]) => {
    const list = Array.isArray(value) && value.length > 0;
    const rows = list ? value.map((element) => `\n    ${JSON.stringify(element)}`).join(",") : "";
    return `  ${JSON.stringify(name)}: ${list ? `[${rows}\n  ]` : JSON.stringify(value)}`;
  });
  return new TextEncoder().encode(`{\n${lines.join(",\n")}\n}\n`);
}

/** The document as a value: for commands that put it into another. */
export const documentOf = (state: StoreState): StateDocument => ({
  format: JSON_FORMAT,
  version: JSON_VERSION,
  global: {
    socket_fd: state.global.socketFd,
    event_channel_fd: state.global.eventChannelFd,
    domain_exception_port: state.global.domainExceptionPort,
  },
  quotas: {
    per_domain: [...state.quotas.perDomain],
    global: [...state.quotas.global],
  },
  connections: state.connections.map(connectionToJson),
  domains: state.domains.map(({ domid, features, quotas }) => ({
    domid,
    features,
    quotas: [...quotas],
  })),
  nodes: state.nodes.map(({ path, value, permissions, generation }) => ({
    path,
    value: bytesToJson(value),
    permissions: permissions.map(permissionText),
    ...generationToJson(generation),
  })),
  unknown: state.unknown.map((part) =>
    part.kind === "line" ? part : { ...part, body: bytesToJson(part.body) },
  ),
});

/** "n0", "r5", "r7 (ignored)" */
export const permissionText = ({ access, domid, isIgnored }: Permission): string =>
  `${access}${domid}${isIgnored ? " (ignored)" : ""}`;

function connectionToJson(connection: StateConnection): JsonConnection {
  const { channel } = connection;
  return {
    id: connection.id,
    channel:
      channel.kind === "socket"
        ? { kind: "socket", fd: channel.fd }
        : {
            kind: "ring",
            domid: channel.domid,
            target: channel.target,
            gfn: channel.gfn,
            remote_port: channel.remotePort,
            local_port: channel.localPort,
          },
    unique_id: connection.uniqueId === null ? null : String(connection.uniqueId),
    input: bytesToJson(connection.input),
    output: bytesToJson(connection.output),
    begun_output_bytes: connection.begunOutputBytes,
    watches: connection.watches.map(({ path, token, depth }) => ({
      path,
      token: bytesToJson(token),
      depth,
    })),
    transactions: connection.transactions.map(({ id, nodes }) => ({
      id,
      nodes: nodes.map(({ path, isRead, isWritten, content, generation }) => ({
        path,
        read: isRead,
        written: isWritten,
        content:
          content === null
            ? null
            : {
                value: bytesToJson(content.value),
                permissions: content.permissions.map(permissionText),
              },
        ...generationToJson(generation),
      })),
    })),
  };
}

const generationToJson = (generation: bigint | null) =>
  generation === null ? {} : { generation: String(generation) };

/** What people can read as text: printable ASCII, tabs and line feeds. */
const PLAIN = /^[\t\n\x20-\x7e]*$/;

export function bytesToJson(bytes: Uint8Array): JsonBytes {
  const text = latin1(bytes);
  return PLAIN.test(text) ? text : { hex: Buffer.from(bytes).toString("hex") };
}

// ---- Reading --------------------------------------------------------------------------------

/** A whole document. Throws StreamError. */
export function decodeJson(bytes: Uint8Array): StoreState {
  const text = new TextDecoder("utf-8").decode(bytes);
  const wrong = (path: JsonPath | undefined, problem: Problem) => wrongPlace(text, path, problem);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw wrong(undefined, { field: "syntax", expected: "JSON", found: error.message });
  }
  const result = v.safeParse(StateDocumentSchema, value, { abortEarly: true });
  if (!result.success) {
    const [issue] = result.issues;
    const path = (issue.path ?? []).map(({ key }) => key as string | number);
    const { expected, message, received } = issue;
    throw wrong(path, { field: "value", expected: expected ?? message, found: received });
  }
  const builder = createStateBuilder();
  fill(builder, result.output, (path, problem) => {
    if (problem !== undefined) throw wrong(path, problem);
  });
  return builder.build();
}

function wrongPlace(text: string, path: JsonPath | undefined, problem: Problem) {
  let place = findInJson(text, path);
  for (let length = (path ?? []).length - 1; place.kind === "absent" && length >= 0; length--) {
    place = findInJson(text, path?.slice(0, length)); // A member that is missing has no place.
  }
  const at = place.kind === "absent" ? 0 : place.at;
  const fileOffset = Buffer.byteLength(text.slice(0, at), "utf8");
  const record = path === undefined || path.length === 0 ? "document" : path.join(".");
  const base: Place = { layer: "xenstore", record, recordNumber: 0, fileOffset };
  return refusal(base, problem);
}

function fill(
  builder: StateBuilder,
  document: StateDocument,
  accept: (path: JsonPath, problem: Problem | undefined) => void,
): void {
  const { global, quotas } = document;
  builder.setGlobal({
    socketFd: global.socket_fd,
    eventChannelFd: global.event_channel_fd,
    domainExceptionPort: global.domain_exception_port,
  });
  const given = { perDomain: quotas.per_domain, global: quotas.global };
  accept(["quotas"], builder.setQuotas(given));
  for (const [index, connection] of document.connections.entries()) {
    const at = ["connections", index];
    accept(at, builder.addConnection(bareConnection(connection)));
    for (const [number, { path, token, depth }] of connection.watches.entries()) {
      const watch = { path, token: bytesOfJson(token), depth };
      accept([...at, "watches", number], builder.addWatch(connection.id, watch));
    }
    for (const [number, { id, nodes }] of connection.transactions.entries()) {
      const inside = [...at, "transactions", number];
      accept(inside, builder.addTransaction(connection.id, id));
      const owner = { connectionId: connection.id, transactionId: id };
      for (const [place, node] of nodes.entries()) {
        const touched = transactionNode(node);
        accept([...inside, "nodes", place], builder.addTransactionNode(owner, touched));
      }
    }
  }
  for (const [index, domain] of document.domains.entries()) {
    accept(["domains", index], builder.addDomain(domain));
  }
  for (const [index, node] of document.nodes.entries()) {
    accept(["nodes", index], builder.addNode(stateNode(node)));
  }
  for (const [index, part] of document.unknown.entries()) {
    accept(["unknown", index], builder.addUnknown(unknownPart(part)));
  }
}

function bareConnection(connection: JsonConnection): BareConnection {
  const { id, channel, unique_id: uniqueId, input, output } = connection;
  return {
    id,
    channel:
      channel.kind === "socket"
        ? channel
        : {
            kind: "ring",
            domid: channel.domid,
            target: channel.target,
            gfn: channel.gfn,
            remotePort: channel.remote_port,
            localPort: channel.local_port,
          },
    uniqueId: uniqueId === null ? null : BigInt(uniqueId),
    input: bytesOfJson(input),
    output: bytesOfJson(output),
    begunOutputBytes: connection.begun_output_bytes,
  };
}

const transactionNode = (node: JsonTransactionNode): TransactionNode => ({
  path: node.path,
  isRead: node.read,
  isWritten: node.written,
  content:
    node.content === null
      ? null
      : {
          value: bytesOfJson(node.content.value),
          permissions: node.content.permissions.map(permissionOf),
        },
  generation: generationOf(node.generation),
});

const stateNode = (node: StateDocument["nodes"][number]): StateNode => ({
  path: node.path,
  value: bytesOfJson(node.value),
  permissions: node.permissions.map(permissionOf),
  generation: generationOf(node.generation),
});

const unknownPart = (part: StateDocument["unknown"][number]): UnknownPart =>
  part.kind === "line" ? part : { ...part, body: bytesOfJson(part.body) };

const generationOf = (text: string | undefined): bigint | null =>
  text === undefined ? null : BigInt(text);

function permissionOf(text: string): Permission {
  const [, access, domid, ignored] = PERMISSION_PATTERN.exec(text) ?? [];
  return { access: access as Access, domid: Number(domid), isIgnored: ignored !== undefined };
}

const bytesOfJson = (given: JsonBytes): Uint8Array =>
  typeof given === "string"
    ? new TextEncoder().encode(given)
    : new Uint8Array(Buffer.from(given.hex, "hex"));
