// One request from its header to its answer.

import {
  resetWatches,
  transactionEnd,
  transactionStart,
  unwatch,
  watch,
} from "./client-operations.ts";
import { control } from "./control.ts";
import { type Core, setClient } from "./core.ts";
import {
  getDomainPath,
  getFeature,
  getQuota,
  introduce,
  isIntroduced,
  release,
  resume,
  setFeature,
  setQuota,
  setTarget,
} from "./domain-operations.ts";
import { ERRNO } from "./errno.ts";
import { HEADER_BYTES, OPERATION, PAYLOAD_BYTES_MAX } from "./limits.ts";
import { run, sendAnswer, sendError } from "./operation.ts";
import { directory, directoryPart, getPermissions, read } from "./read-operations.ts";
import { findTransaction } from "./transaction.ts";
import { sendEvents } from "./watch.ts";
import { removeNode } from "./remove-operation.ts";
import { makeDirectory, setPermissions, write } from "./write-operations.ts";

/** Only the privileged domain may ask; the header's transaction is not looked at. */
const PRIVILEGED_MASK = 1;
const NO_TRANSACTION_MASK = 2;

type Step = (core: Core) => number;
type Row = readonly [operation: number, step: Step, flags: number];

const ROWS: readonly Row[] = [
  [OPERATION.CONTROL, control, PRIVILEGED_MASK],
  [OPERATION.DIRECTORY, directory, 0],
  [OPERATION.READ, read, 0],
  [OPERATION.GET_PERMS, getPermissions, 0],
  [OPERATION.WATCH, watch, NO_TRANSACTION_MASK],
  [OPERATION.UNWATCH, unwatch, NO_TRANSACTION_MASK],
  [OPERATION.TRANSACTION_START, transactionStart, 0],
  [OPERATION.TRANSACTION_END, transactionEnd, 0],
  [OPERATION.INTRODUCE, introduce, PRIVILEGED_MASK],
  [OPERATION.RELEASE, release, PRIVILEGED_MASK],
  [OPERATION.GET_DOMAIN_PATH, getDomainPath, 0],
  [OPERATION.WRITE, write, 0],
  [OPERATION.MKDIR, makeDirectory, 0],
  [OPERATION.RM, removeNode, 0],
  [OPERATION.SET_PERMS, setPermissions, 0],
  [OPERATION.IS_DOMAIN_INTRODUCED, isIntroduced, PRIVILEGED_MASK],
  [OPERATION.RESUME, resume, PRIVILEGED_MASK],
  [OPERATION.SET_TARGET, setTarget, PRIVILEGED_MASK],
  [OPERATION.RESET_WATCHES, resetWatches, 0],
  [OPERATION.DIRECTORY_PART, directoryPart, 0],
  [OPERATION.GET_FEATURE, getFeature, 0],
  [OPERATION.SET_FEATURE, setFeature, PRIVILEGED_MASK],
  [OPERATION.GET_QUOTA, getQuota, PRIVILEGED_MASK],
  [OPERATION.SET_QUOTA, setQuota, PRIVILEGED_MASK],
];
const TYPE_COUNT = 27;
const STEPS: (Step | undefined)[] = Array.from({ length: TYPE_COUNT });
const FLAGS = new Uint8Array(TYPE_COUNT);
for (const [operation, step, flags] of ROWS) {
  STEPS[operation] = step;
  FLAGS[operation] = flags;
}

const word = (bytes: Uint8Array, at: number): number =>
  bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);

/**
 * Bytes of the whole request whose header stands at `offset`; -1: it claims more payload than there
 * may be, and the client cannot be understood any further.
 */
export function requestBytes(bytes: Uint8Array, offset: number): number {
  const length = word(bytes, offset + 12) >>> 0;
  return length > PAYLOAD_BYTES_MAX ? -1 : HEADER_BYTES + length;
}

/** Carries out one whole request. True: it is answered; false: the host answers later. */
export function dispatch(core: Core, number: number, bytes: Uint8Array, offset: number): boolean {
  const { request } = core;
  setClient(core, core.connectionRows[number]!);
  const type = word(bytes, offset);
  request.bytes = bytes;
  request.type = type;
  request.requestId = word(bytes, offset + 4);
  request.transactionId = word(bytes, offset + 8);
  request.length = word(bytes, offset + 12);
  request.from = offset + HEADER_BYTES;
  request.isReplyFirst = false;
  request.isLater = false;
  const errno = start(core, type);
  if (errno !== 0) {
    sendError(core, errno);
    return true;
  }
  if (request.isLater) return false;
  if (request.connection !== 0) sendAnswer(core);
  if (request.isReplyFirst) sendEvents(core);
  return true;
}

function start(core: Core, type: number): number {
  const { request } = core;
  const step = type >= 0 && type < TYPE_COUNT ? STEPS[type] : undefined;
  if (step === undefined) return ERRNO.ENOSYS;
  const flags = FLAGS[type]!;
  if ((flags & PRIVILEGED_MASK) !== 0 && !request.isPrivileged) return ERRNO.EACCES;
  if ((flags & NO_TRANSACTION_MASK) === 0 && request.transactionId !== 0) {
    request.transaction = findTransaction(core, request.connection, request.transactionId);
    if (request.transaction === 0) return ERRNO.ENOENT;
  }
  return run(core, step);
}
