// An operation as a whole: it runs, becomes final, and is answered; or it is undone.
//
//   run -> commit -> events and reply queued -> rows of removed subtrees freed
//    |
//    +- an error: undone (in a transaction kept: what it has read stays read)
//    +- the undo log is full: undone, the log enlarged, run again
//    +- no more memory: undone, ENOMEM

import { ArenaFullError, LogFullError } from "./arena.ts";
import { copyBytes } from "./bytes-copy.ts";
import { findAgain } from "./connections.ts";
import type { Core } from "./core.ts";
import { ERRNO, ERROR_TEXTS } from "./errno.ts";
import { writeHead } from "./event-queue.ts";
import { allocate, blocksOf, commit, release } from "./heap.ts";
import { HEADER, OWNER } from "./layout.ts";
import { HEADER_BYTES, OPERATION, PAYLOAD_BYTES_MAX } from "./limits.ts";
import { reclaim } from "./tree.ts";
import { disturb, sendEvents } from "./watch.ts";

const LOG_GROWTH = 4;
/** A log of this size stays; a larger one is given back after the operation that needed it. */
export const LOG_BYTES = 64 * 1024;

/** Undoes what the operation in flight has done. */
export function undo(core: Core): void {
  core.arena.undo();
  core.events.clear();
  core.afterwards.length = 0;
  core.checkIsWanted = false;
  findAgain(core);
}

/**
 * Puts another undo log in place. The header's word for it changes in one store while no operation
 * is in flight; a program that dies in between leaves a log that nobody uses, which settleLog
 * frees.
 */
export function replaceLog(core: Core, bytes: number): void {
  const { arena } = core;
  const old = arena.words[HEADER.logBlock]!;
  const block = allocate(arena, bytes, OWNER.log);
  arena.set(HEADER.logSwitch, 1);
  commit(arena);
  arena.bytes.fill(0, block + 12, block + 12 + bytes);
  arena.words[HEADER.logBlock] = block;
  arena.useLog();
  release(arena, old);
  arena.set(HEADER.logSwitch, 0);
  commit(arena);
}

/** Frees logs that are not in use: for who adopts an arena. */
export function settleLog(core: Core): void {
  const { arena } = core;
  if (arena.words[HEADER.logSwitch] === 0) return;
  for (const { block, isFree } of [...blocksOf(arena)]) {
    const isLog = !isFree && arena.words[(block >> 2) + 2] === OWNER.log;
    if (isLog && block !== arena.words[HEADER.logBlock]) release(arena, block);
  }
  arena.set(HEADER.logSwitch, 0);
  commit(arena);
}

/** Makes final what was done, and passes it on. */
export function finish(core: Core): void {
  const { arena, afterwards } = core;
  if (core.events.count > 0) disturb(core);
  if (arena.isChanged || arena.deferred.length > 0) commit(arena);
  if (core.events.count > 0 && !core.request.isReplyFirst) sendEvents(core);
  if (arena.words[HEADER.reclaim] !== 0) reclaim(core);
  if (afterwards.length === 0) return;
  for (const action of afterwards.splice(0)) action();
}

/** Runs `step` until it is final. Gives its errno; one that is not 0 has left nothing behind. */
export function run(core: Core, step: (core: Core) => number): number {
  for (;;) {
    try {
      const errno = step(core);
      if (errno !== 0 && !keepsReads(core) && hasDone(core)) undo(core);
      finish(core);
      shrinkLog(core);
      return errno;
    } catch (error) {
      undo(core);
      if (error instanceof ArenaFullError) return ERRNO.ENOMEM;
      if (!(error instanceof LogFullError)) throw error;
      const before = core.arena.words[HEADER.logBlock]!;
      replaceLog(core, (core.arena.words[before >> 2]! & ~1) * LOG_GROWTH);
    }
  }
}

/** What an operation on nodes has read in a transaction stays read, also where it failed. */
const keepsReads = ({ request }: Core): boolean =>
  request.transaction !== 0 && request.type !== OPERATION.INTRODUCE;

const hasDone = ({ arena, events, afterwards }: Core): boolean =>
  arena.isChanged || arena.deferred.length > 0 || events.count > 0 || afterwards.length > 0;

function shrinkLog(core: Core): void {
  const block = core.arena.words[HEADER.logBlock]!;
  if (core.arena.words[block >> 2]! > LOG_BYTES * LOG_GROWTH) replaceLog(core, LOG_BYTES);
}

/** Queues a reply to the request in hand. */
export function sendReply(
  core: Core,
  type: number,
  source: Uint8Array,
  at: number,
  length: number,
): void {
  const { request, host } = core;
  const outbox = host.outboxOf(request.number);
  if (!outbox.reserve(HEADER_BYTES + length)) return;
  const { end, bytes } = outbox;
  writeHead(bytes, end, type, request.requestId, request.transactionId, length);
  copyBytes(bytes, end + HEADER_BYTES, source, at, length);
  outbox.end = end + HEADER_BYTES + length;
}

export function sendError(core: Core, errno: number): void {
  const text = ERROR_TEXTS[errno] ?? ERROR_TEXTS[ERRNO.EINVAL]!;
  sendReply(core, OPERATION.ERROR, text, 0, text.length);
}

/** Queues the answer that the operation has left in the request. */
export function sendAnswer(core: Core): void {
  const { request } = core;
  if (request.replyLength > PAYLOAD_BYTES_MAX) {
    sendError(core, ERRNO.E2BIG);
    return;
  }
  sendReply(core, request.type, request.reply, request.replyAt, request.replyLength);
}
