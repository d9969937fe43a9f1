// The arena's layout, version 2: everything that survives the program, as words of 32 bits. In
// version 1 the sum of a watch did not say what its events leave out of the path.
//
//   0      header, 4 KiB (the words of HEADER)
//   4096   blocks of multiples of 16 bytes, up to HEADER.endBytes:
//            word 0  size in bytes, bit 0 set: free
//            word 1  size of the block before it (0: it is the first)
//            word 2  used: the row that owns it, or one of OWNER;   free: next in its free list
//            word 3  used: payload from here on;                    free: previous in its list
//          A block of OWNER.rows holds rows of 64 bytes, aligned to 64 bytes, the first of which
//          links to the next such block. A row is named by its byte offset divided by 64.
//
// Every link is a row number or a byte offset, so that the memory may be mapped anywhere. Numbers
// of 64 bits stand as two words, low first, and stay below 2^53.

import { assert } from "../base/index.ts";

export const MAGIC = [0x72747378, 0x616e6572] as const; // "xstrrena", little-endian.
export const ARENA_VERSION = 2;
export const HEADER_AREA_BYTES = 4096;
export const BLOCK_HEAD_BYTES = 12;
export const BLOCK_UNIT_BYTES = 16;
export const ROW_BYTES = 64;
export const ROW_WORDS = 16;

/** Free lists: 32 of one size each (multiples of 16), then 8 for each doubling from 512 on. */
export const BIN_COUNT = 32 + 8 * 22;

/** Word numbers of the header. The first group never changes after formatting. */
export const HEADER = {
  magic: 0, // Two words.
  version: 2,
  seed: 3,
  privilegedDomid: 4,
  storeDomid: 5,
  keepOrphans: 6,
  constantsSum: 7, // Of the words before.

  /** Tag of the operation in flight: undo entries with this tag are valid. Storing it commits. */
  tag: 8,
  /** Byte offset of the block that holds the undo entries. */
  logBlock: 9,
  /** Not 0 while the undo log is being replaced: blocks of OWNER.log beside it are to be freed. */
  logSwitch: 10,
  endBytes: 11,
  lastBlock: 12,
  /** For whoever owns the arena; not ours. */
  generation: 13,
  /** For the daemon: the port of its event channels that tells of changed domains. */
  changePort: 14,

  freeRow: 16,
  firstRows: 17,
  usedRows: 18,
  freeBlockBytes: 19,

  storeGeneration: 20, // Two words: the count that each write takes a new one of.
  digest: 22, // Two words.
  watchSequence: 24, // Two words.
  nodeCount: 26,
  watchCount: 27,
  transactionCount: 28,
  connectionCount: 29,
  domainCount: 30,
  logSwitches: 31,

  nodeIndex: 32, // Three indexes of four words: INDEX.
  watchIndex: 36,
  overlayIndex: 40,

  root: 44,
  releaseNode: 45, // "@releaseDomain", "@introduceDomain".
  introduceNode: 46,
  firstConnection: 47,
  lastConnection: 48,
  firstDomain: 49,
  lastDomain: 50,
  /** Subtrees that were removed and whose rows are still to be freed, linked by NODE.next. */
  reclaim: 51,

  quotas: 64, // One word for each of QUOTAS: the limit for domains without their own.
  quotaMaxima: 80, // The largest values seen.
  binMap: 96, // A bit for each free list that is not empty.
  bins: 112,
} as const;
assert((HEADER.bins + BIN_COUNT) * 4 <= HEADER_AREA_BYTES, "the header fits its area");
assert(HEADER.binMap + Math.ceil(BIN_COUNT / 32) <= HEADER.bins, "a bit for each free list");

export const OWNER = {
  rows: -1,
  log: -2,
  nodeIndex: -3,
  watchIndex: -4,
  overlayIndex: -5,
} as const;

/** An index: byte offset of its table, mask of slots, slots in use, owner of the table. */
export const INDEX = { table: 0, mask: 1, count: 2, owner: 3 } as const;

export const KIND = {
  free: 0,
  rows: 1, // First row of a block of rows: word 1 links to the next, word 2 counts rows behind it.
  node: 2,
  connection: 3,
  domain: 4,
  watchPath: 5,
  watch: 6,
  transaction: 7,
  overlay: 8,
} as const;
export const KIND_MASK = 0xff;
/** Word 0 of each row: kind, and flags from bit 8 on. */
export const ROW = { kind: 0, nextFree: 1 } as const;

/** A node. Its block: permissions (a word each), the name padded to words, the value. */
export const NODE = {
  hash: 1, // Of the whole path, seeded: its place in the index.
  parent: 2, // 0: the root, a special node, or the top of a removed subtree.
  firstChild: 3,
  lastChild: 4,
  previous: 5,
  next: 6,
  generation: 7, // Two words.
  block: 9,
  name: 10, // Length in bytes; number of permissions in the upper half.
  valueBytes: 11,
  childBytes: 12, // Names of its children, each with a NUL.
  pathSum: 13, // Of the whole path, the same in every arena: part of the digest.
  contentSum: 14, // Of permissions and value.
  pathBytes: 15,
} as const;

/** Bits of word 0 of a node. */
export const NODE_REMOVED_BIT = 8;

/** A client: a socket or a domain's ring. */
export const CONNECTION = {
  number: 1, // As the daemon knows it.
  domid: 2,
  tag: 3,
  firstWatch: 4,
  lastWatch: 5,
  watchCount: 6,
  firstTransaction: 7,
  lastTransaction: 8,
  transactionCount: 9,
  nextTransactionId: 10,
  previous: 11,
  next: 12,
  domain: 13, // Row of the domain whose ring it is; 0: a socket.
  target: 14, // Domid that it also acts for; -1: none.
  /**
   * Of a socket whose inode number stands here, nothing is in the program's hands: no request, no
   * answer, no event. Changes without the undo log; not part of the digest.
   */
  idle: 15,
} as const;

export const DOMAIN = {
  domid: 1,
  connection: 2, // Row; 0: none.
  port: 3,
  features: 4,
  generation: 5, // Two words: what HEADER.storeGeneration was when it became known.
  block: 7, // The words of ACCOUNT.
  previous: 8,
  next: 9,
  frame: 10, // Two words: of its ring, plus 1, as INTRODUCE told; 0: not known.
  /** For the daemon, as CONNECTION.idle: where the ring's counters stand once it has answered. */
  answersEnd: 12,
  requestsEnd: 13,
} as const;
export const DOMAIN_INTRODUCED_MASK = 1 << 8;
export const DOMAIN_SHUTDOWN_MASK = 1 << 9;

/**
 * Words in a domain's block, each for the ten of QUOTAS: own limit (-1: the global), used, most.
 */
export const ACCOUNT = { limit: 0, used: 10, most: 20, words: 30 } as const;

/** A path that somebody watches. Its block: the path. */
export const WATCH_PATH = {
  hash: 1,
  first: 2,
  last: 3,
  block: 4,
  pathBytes: 5,
  levels: 6,
  count: 7,
  pathSum: 8,
} as const;

/** One watch. Its block: the token. */
export const WATCH = {
  hash: 1, // Of path, token and connection.
  connection: 2,
  previous: 3, // Of the same connection.
  next: 4,
  path: 5,
  pathPrevious: 6, // Of the same path.
  pathNext: 7,
  depth: 8, // -1: all levels.
  block: 9,
  tokenBytes: 10,
  sequence: 11, // Two words.
  prefixBytes: 13, // What events leave out of the path: it was given relative.
  sum: 14,
} as const;

export const TRANSACTION = {
  connection: 1,
  id: 2,
  previous: 3,
  next: 4,
  firstNode: 5,
  lastNode: 6,
  nodeCount: 7,
  generation: 8, // Two words: what HEADER.storeGeneration became at its start.
  sum: 10,
} as const;
export const TRANSACTION_FAILED_MASK = 1 << 8;
export const TRANSACTION_CREATED_MASK = 1 << 9;

/**
 * A node as a transaction has it. Block: the path padded to words, the permissions at the first
 * access. Content: permissions, value padded to words, names of children with a NUL each.
 */
export const OVERLAY = {
  hash: 1, // Of the path, seeded.
  transaction: 2,
  next: 3,
  base: 4, // Two words: generation at the first access, or ~0 both: it was not there.
  generation: 6, // Two words.
  block: 8,
  path: 9, // Length in bytes; permissions at the first access in the upper half.
  content: 10, // 0: none.
  permissions: 11, // Number.
  valueBytes: 12,
  childBytes: 13,
  childBase: 14, // So many of childBytes are as they were at the first access, and in front.
  sum: 15,
} as const;
export const OVERLAY_MODIFIED_MASK = 1 << 8;
export const OVERLAY_PRESENT_MASK = 1 << 9;
export const OVERLAY_FIRE_MASK = 1 << 10;
export const OVERLAY_SUBTREE_MASK = 1 << 11;
