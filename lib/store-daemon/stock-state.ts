// The state of a store daemon that has stopped, as a stock daemon takes it over: what is in the
// arena, and what is not (descriptors, ports, requests and answers under way).

import { readFileSync } from "node:fs";
import { RefusedError } from "../base/index.ts";
import { createNewFile, removeName, writeFully } from "../sys/index.ts";
import {
  compareStates,
  decodeState,
  encodeState,
  HEADER_BYTES,
  type Loss,
  losses,
  OPERATION,
  type StateConnection,
  stateOfArena,
  type StateTarget,
  type StoreState,
} from "../xenstore/index.ts";
import type { Asker } from "./live-parts.ts";
import type { ClientParts, DaemonParts } from "./parts.ts";
import type { Running } from "./running.ts";
import type { StockProgram } from "./stock-program.ts";

const LENGTH_AT = 12;
const OWNER_ONLY_UMASK = 0o177;

export const stockTarget = ({ kind, streamVersion }: StockProgram): StateTarget =>
  kind === "oxenstored"
    ? { format: "text", variant: "c" }
    : { format: streamVersion === 2 ? "stream-v2" : "stream", variant: "c" };

/** While it is paused. Changes nothing. */
export function stateOfRunning({ memory, hypervisor, daemon }: Running): StoreState {
  const bare = stateOfArena(new Uint8Array(memory.buffer));
  const parts = daemon.parts();
  const known = new Map(parts.clients.map((client) => [client.connection, client]));
  return {
    ...bare,
    global: globalOf(parts, hypervisor.changePort),
    connections: bare.connections.flatMap((connection) => {
      const part = known.get(connection.id);
      if (part === undefined) return [];
      const uniqueId = daemon.client(connection.id)?.uniqueId ?? null;
      return [
        { ...connection, ...buffersOf(part), channel: channelOf(connection, part), uniqueId },
      ];
    }),
  };
}

const globalOf = ({ listeners, events }: DaemonParts, changePort: number) => ({
  socketFd: listeners[0]?.number ?? null,
  eventChannelFd: events?.fd.number ?? null,
  domainExceptionPort: events === undefined ? null : changePort,
});

const channelOf = (
  { channel }: StateConnection,
  { socket, port }: ClientParts,
): StateConnection["channel"] =>
  channel.kind === "socket"
    ? { kind: "socket", fd: socket?.number ?? channel.fd }
    : { ...channel, localPort: port === 0 ? null : port };

/** There the rest of a message that was begun comes without what has gone of it. */
function buffersOf({ input, output, sentBytes }: ClientParts) {
  const view = new DataView(output.buffer, output.byteOffset, output.length);
  const firstBytes = sentBytes === 0 ? 0 : HEADER_BYTES + view.getUint32(LENGTH_AT, true);
  return {
    input,
    output: output.slice(sentBytes),
    begunOutputBytes: firstBytes - sentBytes,
  };
}

/** The same with an answer to whoever asked, behind what waits for it. */
export function withAnswer(state: StoreState, asker: Asker, text: string): StoreState {
  const body = Buffer.from(`${text}\0`);
  const answer = Buffer.alloc(HEADER_BYTES + body.length);
  answer.writeUInt32LE(OPERATION.CONTROL, 0);
  answer.writeUInt32LE(asker.request_id, 4);
  answer.writeUInt32LE(asker.transaction_id, 8);
  answer.writeUInt32LE(body.length, LENGTH_AT);
  answer.set(body, HEADER_BYTES);
  return {
    ...state,
    connections: state.connections.map((connection) =>
      connection.id === asker.connection
        ? { ...connection, output: Buffer.concat([connection.output, answer]) }
        : connection,
    ),
  };
}

/** What costs a client something. All else only makes the next daemon look for itself. */
const COSTLY: ReadonlySet<string> = new Set([
  "connections",
  "transactions",
  "requests not answered",
  "output not sent",
  "watch depths",
  "targets",
]);

export const isCostly = ({ what }: Loss): boolean => COSTLY.has(what);

/** The dump, read back and compared. Throws RefusedError. */
export function verifiedDump(state: StoreState, target: StateTarget): Uint8Array {
  const bytes = encodeState(state, target);
  const back = decodeState(bytes).state;
  const isWhole = !losses(state, target).some(isCostly);
  const [difference] = compareStates(state, back, { hasConnections: isWhole }).filter(
    ({ group }) => group !== "quota", // Not all of them have a place there.
  );
  if (difference === undefined) return bytes;
  const { group, name, a, b } = difference;
  const what = `${group} "${name}": wanted ${a ?? "none"}, found ${b ?? "none"}`;
  throw new RefusedError(`Cannot hand over a dump that does not read back: ${what}`);
}

/** Only its owner may read it. Throws SystemError, RefusedError. */
export function writeDump(path: string, bytes: Uint8Array): void {
  const umask = process.umask(OWNER_ONLY_UMASK);
  try {
    removeName(path); // One that was left there may have another owner, or other permissions.
    using file = createNewFile({ path, existing: "replace", inputs: [] });
    writeFully(file.fd, bytes, bytes.length);
    file.commit();
  } finally {
    process.umask(umask);
  }
  const isSame = Buffer.compare(readFileSync(path), bytes) === 0;
  if (!isSame) throw new RefusedError(`Cannot use "${path}": it reads other than it was written`);
}
