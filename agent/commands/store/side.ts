// What a store command is given: a daemon's socket, a dump of any format, or the memory of a daemon
// of ours; read into one state, with what it cannot tell.

import { statSync } from "node:fs";
import { RefusedError } from "../../../lib/base/index.ts";
import { StreamError } from "../../../lib/bytes/index.ts";
import {
  StoreClient,
  stateOfNodes,
  TRANSACTION_NODES_MAX,
  walk,
  WALK_ATTEMPTS,
} from "../../../lib/store-client/index.ts";
import {
  borrow,
  duplicate,
  type Fd,
  kindOf,
  moveOffset,
  openForReading,
  readFully,
  statOf,
  STDIN_FD,
} from "../../../lib/sys/index.ts";
import {
  decodeState,
  DUMP_BYTES_MAX,
  isArenaFile,
  stateOfArena,
  StoreDamagedError,
  type StateFormat,
  type StoreState,
} from "../../../lib/xenstore/index.ts";

export interface Side {
  /** As the operator named it. */
  readonly name: string;
  readonly kind: "socket" | "dump" | "arena";
  readonly format: StateFormat | undefined;
  readonly state: StoreState;
  /** A socket tells of nodes alone, and lists permissions that do not count like others. */
  readonly hasConnections: boolean;
  /** Whether all of it is of one moment. */
  readonly isConsistent: boolean;
  readonly notes: readonly string[];
}

export interface SideOptions {
  /** Of a socket: where to begin. */
  readonly root: string;
  /** Of a socket: read it in a transaction. */
  readonly inTransaction: boolean;
}

/** Where libxenstore looks for the daemon. */
export function defaultSocket(): string {
  const { XENSTORED_PATH = "", XENSTORED_RUNDIR = "" } = process.env;
  if (XENSTORED_PATH !== "") return XENSTORED_PATH;
  return `${XENSTORED_RUNDIR === "" ? "/run/xenstored" : XENSTORED_RUNDIR}/socket`;
}

const TIMEOUT_MS = 20_000;

/** Throws SystemError when nobody listens there. */
export const connectStore = (path: string): StoreClient =>
  new StoreClient({ path, timeoutMs: TIMEOUT_MS });

export const isSocket = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isSocket() ?? false;

/** Throws SystemError, RefusedError, and StreamError for a dump that is damaged. */
export const readSide = (operand: string, options: SideOptions): Side =>
  isSocket(operand) ? readSocket(operand, options) : readFile(operand);

function readSocket(path: string, { root, inTransaction }: SideOptions): Side {
  using client = connectStore(path);
  const attempts = inTransaction ? WALK_ATTEMPTS : 0;
  const found = walk(client, { root, attempts, transactionNodesMax: TRANSACTION_NODES_MAX });
  return {
    name: path,
    kind: "socket",
    format: undefined,
    state: stateOfNodes(found.nodes),
    hasConnections: false,
    isConsistent: found.isConsistent,
    notes: inTransaction && found.note !== undefined ? [`not of one moment: ${found.note}`] : [],
  };
}

/** A dump, or the memory of a daemon. */
export function readFile(operand: string): Side {
  using fd = operand === "-" ? duplicate(STDIN_FD, "standard input") : openForReading(operand);
  const name = operand === "-" ? "standard input" : operand;
  const bytes = wholeOf(fd);
  if (isArenaFile(bytes)) return arenaSide(name, bytes, fd);
  const rest = { hasConnections: true, isConsistent: true } as const;
  try {
    return { name, kind: "dump", ...decodeState(bytes), ...rest };
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    throw new StreamError(error.finding, { cause: error, input: name });
  }
}

const ARENA_ATTEMPTS = 20;
const ARENA_NOTE =
  "the memory of a daemon has no requests and answers under way, and no frames of shared pages";

/**
 * While its daemon works on it, a copy may be of several moments, which is then found: the digest
 * and all counts have to fit. It is read again then.
 */
function arenaSide(name: string, first: Uint8Array, fd: Fd): Side {
  let bytes = first;
  for (let attempt = 1; ; attempt++) {
    try {
      const state = stateOfArena(bytes);
      const facts = { hasConnections: true, isConsistent: true, notes: [ARENA_NOTE] };
      return { name, kind: "arena", format: undefined, state, ...facts };
    } catch (error) {
      if (!(error instanceof StoreDamagedError)) throw error;
      const isFile = kindOf(statOf(fd.number)) === "file";
      if (attempt === ARENA_ATTEMPTS || !isFile) throw damagedArena(name, error);
      moveOffset(fd, 0);
      bytes = wholeOf(fd);
    }
  }
}

function damagedArena(name: string, cause: StoreDamagedError): StreamError {
  const place = { layer: "xenstore", record: "arena", recordNumber: 0, fileOffset: 0 } as const;
  const rest = { field: "contents", expected: "a store that is whole", found: cause.message };
  const finding = { ...place, severity: "error", strict: true, ...rest } as const;
  return new StreamError(finding, { cause, input: name });
}

const PIECE_BYTES = 256 * 1024;

/** All that comes, for dumps are small; not more of it than a dump can have. */
function wholeOf(fd: Fd): Uint8Array {
  const pieces: Uint8Array[] = [];
  let total = 0;
  using loan = borrow(PIECE_BYTES);
  const { address, bytes } = loan.region;
  for (let got = PIECE_BYTES; got === PIECE_BYTES;) {
    got = readFully(fd, address, PIECE_BYTES);
    pieces.push(bytes.slice(0, got));
    total += got;
    if (total <= DUMP_BYTES_MAX) continue;
    const found = "a longer file";
    throw new RefusedError(
      `Cannot read "${fd.name}": wanted a dump of at most ${DUMP_BYTES_MAX} bytes, found ${found}`,
    );
  }
  return new Uint8Array(Buffer.concat(pieces));
}
