// One number for all that the store holds, the same wherever it stands in memory: a sum, so that
// the order does not matter and each change only takes out the old and puts in the new.

import { join } from "./bytes-copy.ts";
import { limitOf } from "./account.ts";
import type { Core } from "./core.ts";
import { CONNECTION, DOMAIN, HEADER, KIND_MASK, ROW_WORDS, TRANSACTION } from "./layout.ts";
import { QUOTAS } from "./limits.ts";

const NEXT = TRANSACTION.next;
/** Of two words each. */
const DOMAIN_WORDS = [DOMAIN.generation, DOMAIN.frame].flatMap((word) => [word, word + 1]);

/** What domains and connections add; they are few, so that nothing is kept of it. */
function othersSum(core: Core): number {
  const { words } = core.arena;
  let sum = 0;
  let row = words[HEADER.firstDomain]!;
  for (; row !== 0; row = words[row * ROW_WORDS + DOMAIN.next]!) {
    const at = row * ROW_WORDS;
    let own = join(words[at]! & ~KIND_MASK, words[at + DOMAIN.domid]!);
    own = join(own, words[at + DOMAIN.features]!);
    own = join(own, words[at + DOMAIN.port]!);
    for (const word of DOMAIN_WORDS) own = join(own, words[at + word]!);
    for (let quota = 0; quota < QUOTAS.length; quota++) own = join(own, limitOf(core, row, quota));
    sum = (sum + own) | 0;
  }
  row = words[HEADER.firstConnection]!;
  for (; row !== 0; row = words[row * ROW_WORDS + CONNECTION.next]!) {
    const at = row * ROW_WORDS;
    let own = join(words[at + CONNECTION.domid]!, words[at + CONNECTION.target]!);
    own = join(own, words[at + CONNECTION.domain] === 0 ? 1 : 2);
    own = join(own, words[at + CONNECTION.nextTransactionId]!);
    own = join(own, words[at + CONNECTION.number]!);
    sum = (sum + own) | 0;
    // As many as are counted: the memory need not have been verified.
    let transaction = words[at + CONNECTION.firstTransaction]!;
    let left = words[at + CONNECTION.transactionCount]!;
    for (; left-- > 0 && transaction > 0; transaction = words[transaction * ROW_WORDS + NEXT]!) {
      sum = (sum + flagsSum(words, transaction * ROW_WORDS)) | 0;
    }
  }
  return sum;
}

/** What becomes of a transaction is told by its flags; its id and nodes are summed up already. */
const flagsSum = (words: Int32Array, at: number): number =>
  join(
    join(words[at]! & ~KIND_MASK, words[at + TRANSACTION.id]!),
    words[at + TRANSACTION.generation]!,
  );

const hexOf = (word: number): string => (word >>> 0).toString(16).padStart(8, "0");

export function digestOf(core: Core): string {
  const { words } = core.arena;
  const others = othersSum(core);
  const first = (words[HEADER.digest]! + others) | 0;
  return hexOf(first) + hexOf((words[HEADER.digest + 1]! + join(others, 1)) | 0);
}
