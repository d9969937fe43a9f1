// Operations about what a client keeps in the store: WATCH, UNWATCH, RESET_WATCHES,
// TRANSACTION_START, TRANSACTION_END.

import { ALL_FEATURES, QUOTA, wouldExceed } from "./account.ts";
import { countStrings, onlyString, stringLength, strings, toInteger } from "./arguments.ts";
import { putNumber } from "./bytes-copy.ts";
import { acknowledge, answer, type Core } from "./core.ts";
import { ERRNO } from "./errno.ts";
import {
  CONNECTION,
  DOMAIN,
  ROW_WORDS,
  TRANSACTION,
  TRANSACTION_CREATED_MASK,
  TRANSACTION_FAILED_MASK,
} from "./layout.ts";
import { FEATURE_MASK } from "./limits.ts";
import { takePath } from "./node-access.ts";
import { hasFlag } from "./overlay.ts";
import { commitTransaction, dropTransaction, startTransaction } from "./transaction.ts";
import { addWatch, findWatch, removeWatch } from "./watch.ts";

const ROOT = Buffer.from("/");

/** What the client was offered: a socket everything. */
export const featuresOf = (core: Core): number => {
  const { domain } = core.request;
  return domain === 0 ? ALL_FEATURES : core.arena.words[domain * ROW_WORDS + DOMAIN.features]!;
};

export function watch(core: Core): number {
  const { request, path, events } = core;
  const count = countStrings(request);
  let depth = -1;
  if (count === 3 && (featuresOf(core) & FEATURE_MASK.watchDepth) !== 0) {
    depth = toInteger(strings(request)[2]!);
    if (depth < 0) return ERRNO.EINVAL;
  } else if (count !== 2) {
    return ERRNO.EINVAL;
  }
  const length = stringLength(request, request.from);
  const errno = takePath(core, request.from, length, true);
  if (errno !== 0) return errno;
  const from = request.from + length + 1;
  const token = stringLength(request, from);
  if (findWatch(core, request.connection, path, request.bytes, from, token) !== 0) {
    return ERRNO.EEXIST;
  }
  if (wouldExceed(core, QUOTA.watches, 1)) return ERRNO.ENOSPC;
  const row = addWatch(core, request.connection, depth, request.bytes, from, token);
  // One event at once, which nobody's permissions have to allow, and behind the reply.
  if (path.levels === 0) events.setPath(ROOT, 1);
  else events.setPath(path.bytes, path.length);
  events.add(row);
  request.isReplyFirst = true;
  return acknowledge(core);
}

export function unwatch(core: Core): number {
  const { request, path } = core;
  if (countStrings(request) !== 2) return ERRNO.EINVAL;
  const length = stringLength(request, request.from);
  const errno = takePath(core, request.from, length, true);
  if (errno !== 0) return errno;
  const from = request.from + length + 1;
  const token = stringLength(request, from);
  const row = findWatch(core, request.connection, path, request.bytes, from, token);
  if (row === 0) return ERRNO.ENOENT;
  removeWatch(core, row);
  return acknowledge(core);
}

/** Drops all watches and transactions of a connection. */
export function dropAll(core: Core, connection: number): void {
  const client = connection * ROW_WORDS;
  let row = core.arena.words[client + CONNECTION.firstWatch]!;
  while (row !== 0) {
    removeWatch(core, row);
    row = core.arena.words[client + CONNECTION.firstWatch]!;
  }
  dropTransactions(core, connection);
}

function dropTransactions(core: Core, connection: number): void {
  const client = connection * ROW_WORDS;
  let row = core.arena.words[client + CONNECTION.firstTransaction]!;
  while (row !== 0) {
    dropTransaction(core, row);
    row = core.arena.words[client + CONNECTION.firstTransaction]!;
  }
}

export function resetWatches(core: Core): number {
  dropAll(core, core.request.connection);
  return acknowledge(core);
}

// ---- Transactions ---------------------------------------------------------------------------

export function transactionStart(core: Core): number {
  const { request, arena, scratch } = core;
  if (request.transaction !== 0) return ERRNO.EBUSY;
  if (wouldExceed(core, QUOTA.transactions, 1)) return ERRNO.ENOSPC;
  const row = startTransaction(core, request.connection);
  const id = arena.words[row * ROW_WORDS + TRANSACTION.id]! >>> 0;
  return answer(core, scratch, 0, putNumber(scratch, 0, id));
}

const isLetter = (core: Core, letter: string): boolean =>
  onlyString(core.request) === 1 && core.request.bytes[core.request.from] === letter.charCodeAt(0);

export function transactionEnd(core: Core): number {
  const { request, arena } = core;
  const isCommit = isLetter(core, "T");
  if (!isCommit && !isLetter(core, "F")) return ERRNO.EINVAL;
  const { transaction } = request;
  if (transaction === 0) return ERRNO.ENOENT;
  let errno = 0;
  if (isCommit && hasFlag(arena, transaction, TRANSACTION_FAILED_MASK)) errno = ERRNO.ENOMEM;
  else if (isCommit) {
    const isMaking = hasFlag(arena, transaction, TRANSACTION_CREATED_MASK);
    errno = commitTransaction(core, transaction, isMaking && !request.isPrivileged);
  }
  dropTransaction(core, transaction);
  return errno || acknowledge(core);
}
