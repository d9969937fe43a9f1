// What a walk announces, and what its visitors answer. Verify, inspect, relay and capture are
// visitors of the same walk: none of them parses framing again.

import type { Finding, Layout, Place, Sink } from "../../bytes/index.ts";

/**
 * What a visitor wants of a record's body: nothing (never read from a file, spliced away from a
 * pipe), its head (the fixed fields; for PAGE_DATA the pfn list), or all of it. "move": its head,
 * and the rest goes to the visitor's sink without anybody looking at it.
 */
export type Want = "nothing" | "head" | "body" | "move";

/** A fixed header (xl save header, libxl, libxc image and domain headers, suspend image header). */
export interface HeaderEvent extends Place {
  readonly layout: Layout;
}

export interface StreamRecord extends Place {
  readonly type: number;
  /** Absolute offset of the first byte of the body. */
  readonly bodyOffset: number;
  /** Size of the body in bytes, padding not counted. */
  readonly bodyBytes: number;
  /** The body goes on to the end of an input of unknown size; bodyBytes is 0. */
  readonly isToTheEnd?: true;
}

/** A stretch of bytes that is valid only during the call it is passed to. */
export interface Piece {
  readonly view: DataView;
  readonly bytes: Uint8Array;
  /** Where it begins in `view` and `bytes`. */
  readonly at: number;
  readonly length: number;
  /** Where it begins in the body. */
  readonly bodyAt: number;
}

/** Part of a batch's pfn list, copied to where it is aligned; valid only during the call. */
export interface PfnList {
  /** `wordsPerPfn` words an entry: low and high of libxc's u64, or a legacy stream's ulong. */
  readonly words: Uint32Array;
  readonly wordsPerPfn: 1 | 2;
  readonly count: number;
  /** Index in the batch of the first entry, and how many the whole batch has. */
  readonly firstIndex: number;
  readonly batchCount: number;
  /** Absolute offset of the first entry. */
  readonly fileOffset: number;
}

export interface Checkpoint {
  /** Counted from 1. */
  readonly number: number;
  /** Absolute offset just behind its CHECKPOINT_END. */
  readonly endOffset: number;
}

/** What the start of a legacy stream tells about the guest. */
export interface LegacyGuest {
  /** Word width in bytes of the toolstack that wrote the stream. */
  readonly width: 4 | 8;
  readonly p2mSize: number;
  /** Word width of a PV guest; 0 for HVM, and then nothing of what follows means anything. */
  readonly guestWidth: number;
  readonly vcpuBytes: number;
  readonly hasExtended: boolean;
  /** Size of a vcpu's XSAVE record, its 16-byte head included; 0 for none. */
  readonly xsaveBytes: number;
}

export interface Visitor {
  /** Where "move" sends; a visitor without one never answers that. */
  readonly sink?: Sink;
  /** Bytes that are neither a header nor a record: a magic, a signature. */
  literal?(place: Place, piece: Piece): void;
  /** Behind a legacy stream's P2M_SIZE and extended info. */
  legacyGuest?(guest: LegacyGuest): void;
  /** The header's bytes stand at `piece.at`. */
  header(header: HeaderEvent, piece: Piece): void;
  record(record: StreamRecord): Want;
  /** The head, or the body in one piece up to WHOLE_BODY_BYTES and in several above. */
  body(record: StreamRecord, piece: Piece): void;
  /** The pfns of a batch, for "head" and "body". */
  pfns(record: StreamRecord, list: PfnList): void;
  /** Page contents, for "body" only. */
  pages(record: StreamRecord, piece: Piece): void;
  recordEnd(record: StreamRecord): void;
  checkpoint(checkpoint: Checkpoint): void;
  /** Something in the framing that a walk can go on from. */
  problem(finding: Finding): void;
}
