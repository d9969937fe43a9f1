// The back channel of COLO: what the secondary sends to the primary. It has no header; over xl's
// connection the receiver's banner stands before it. CHECKPOINT_STATE records of libxl and
// CHECKPOINT_DIRTY_PFN_LIST records of libxc come in turns (libxl_colo_restore.c and _save.c):
//
//   READY, RESUMED                                       when the first checkpoint was loaded
//   SVM_SUSPENDED, dirty pfn list, READY, RESUMED        for each one behind it
//
// The channel has no end of its own: it breaks when one side goes.
//
// libxc since Xen 4.16 writes the list with a header of 16 bytes (commit efe8de1f91 takes the size
// of a structure that ends in a pointer): eight bytes more than its length says. The primary does
// not read them as part of it, and misses what stands there; that is a warning.

import { hex, roundUp } from "../../base/index.ts";
import { type Place, sizeOf, type Source } from "../../bytes/index.ts";
import { DETECT_BYTES } from "../detect.ts";
import { LIBXC, LIBXC_RECORD_BYTES_MAX } from "../libxc/index.ts";
import { CHECKPOINT_STATE_BYTES, CONTROL_IDS, LIBXL, RECORD_HEADER } from "../libxl/index.ts";
import { PfnSet } from "../pfn-set.ts";
import { BANNER } from "../xl/index.ts";
import { type FindingLog } from "./finding-log.ts";

const HEADER_BYTES = sizeOf(RECORD_HEADER);
const STEP_BYTES = 64 * 1024;
const PFN_BYTES = 8;
const PFN_HIGH_MAX = 2 ** 20;
const LIST = LIBXC.dirtyPfnList;
const STATE = LIBXL.checkpointState;

/** What comes next, by what came last. */
const NEXT = {
  start: "SVM_READY",
  SVM_READY: "SVM_RESUMED",
  SVM_RESUMED: "SVM_SUSPENDED",
  SVM_SUSPENDED: "CHECKPOINT_DIRTY_PFN_LIST",
  CHECKPOINT_DIRTY_PFN_LIST: "SVM_READY",
} as const;
type Stage = keyof typeof NEXT;

/** Whether an input begins as the back channel does. No more of it is looked at than need be. */
export function isBackChannel(source: Source): boolean {
  const look = (bytes: number): boolean => {
    const got = source.peek(bytes);
    const first = source.bytes.subarray(source.at, source.at + got);
    const view = new DataView(first.buffer, first.byteOffset, first.byteLength);
    return isState(view, bannerBytes(first), got);
  };
  if (look(DETECT_BYTES)) return true;
  const start = source.bytes.subarray(source.at, source.at + DETECT_BYTES);
  const isBanner = String.fromCharCode(...start) === BANNER.slice(0, DETECT_BYTES);
  return isBanner && look(BANNER.length + HEADER_BYTES);
}

const bannerBytes = (first: Uint8Array): number =>
  String.fromCharCode(...first.subarray(0, BANNER.length)) === BANNER ? BANNER.length : 0;

/** A CHECKPOINT_STATE's header stands there. */
const isState = (view: DataView, at: number, end: number): boolean =>
  at + HEADER_BYTES <= end &&
  view.getUint32(at, true) === STATE.type &&
  CHECKPOINT_STATE_BYTES.includes(view.getUint32(at + 4, true));

export interface BackChannelFacts {
  readonly records: number;
  /** Lists of dirty pfns: checkpoints behind the first. */
  readonly lists: number;
  readonly pfns: number;
  /** undefined where they were too scattered to count. */
  readonly distinct: number | undefined;
}

/** Reads the channel to where it breaks, or cannot be read on. Throws SystemError. */
export function checkBackChannel(source: Source, log: FindingLog): BackChannelFacts {
  const checker = new BackChannelChecker(source, log);
  checker.run();
  const { records, lists, pfns, seen } = checker;
  return { records, lists, pfns, distinct: seen.isFull ? undefined : seen.count };
}

class BackChannelChecker {
  records = 0;
  lists = 0;
  pfns = 0;
  readonly seen = new PfnSet();
  private readonly source: Source;
  private readonly log: FindingLog;
  private stage: Stage = "start";

  constructor(source: Source, log: FindingLog) {
    this.source = source;
    this.log = log;
  }

  run(): void {
    const got = this.source.peek(BANNER.length + HEADER_BYTES);
    const { bytes, at } = this.source;
    this.source.skip(bannerBytes(bytes.subarray(at, at + got)));
    while (this.record());
  }

  private place(record: string, layer: Place["layer"]): Place {
    return { layer, record, recordNumber: this.records, fileOffset: this.source.position };
  }

  /** False where it cannot be read on. */
  private record(): boolean {
    const place = this.place("record_header", "libxl");
    const got = this.source.take(HEADER_BYTES);
    if (got === 0) return false;
    if (got < HEADER_BYTES) return this.endOf(place, HEADER_BYTES, got);
    const { view, at } = this.source;
    const [type, bodyBytes] = [view.getUint32(at, true), view.getUint32(at + 4, true)];
    this.records++;
    if (type === STATE.type) return this.state(bodyBytes);
    if (type === LIST.type) return this.list(bodyBytes);
    const recordNumber = this.records;
    const expected = `${STATE.name} (0x5) or ${LIST.name} (0xf)`;
    const found = `0x${type.toString(16)}`;
    this.log.error({ ...place, recordNumber }, { field: "type", expected, found });
    return false;
  }

  private state(bodyBytes: number): boolean {
    const place = this.place(STATE.name, "libxl");
    if (!CHECKPOINT_STATE_BYTES.includes(bodyBytes)) {
      const expected = CHECKPOINT_STATE_BYTES.join(" or ");
      this.log.error(place, { field: "body_length", expected, found: bodyBytes });
      return false;
    }
    const bytes = roundUp(bodyBytes, 8);
    const got = this.source.take(bytes);
    if (got < bytes) return this.endOf(place, bytes, got);
    const { view, at } = this.source;
    const id = view.getUint32(at, true);
    const name = CONTROL_IDS[id];
    if (name === undefined || name === "NEW") {
      const expected = "a control id that the secondary sends, from 1 to 3";
      this.log.error(place, { field: "control_id", expected, found: id });
      return true;
    }
    this.follow(place, name);
    if (view.getUint32(at + 4, true) !== 0) {
      const expected = "zero bytes behind the control id";
      this.log.warn(place, { field: "padding", expected, found: "others" });
    }
    return true;
  }

  private list(bodyBytes: number): boolean {
    const place = this.place(LIST.name, "libxc");
    this.follow(place, "CHECKPOINT_DIRTY_PFN_LIST");
    this.lists++;
    if (bodyBytes > LIBXC_RECORD_BYTES_MAX || bodyBytes % PFN_BYTES !== 0) {
      const expected = `a multiple of ${PFN_BYTES}, at most ${hex(LIBXC_RECORD_BYTES_MAX)}`;
      this.log.error(place, { field: "body_length", expected, found: bodyBytes });
      return false;
    }
    for (let left = bodyBytes; left > 0;) {
      const want = Math.min(left, STEP_BYTES);
      const got = this.source.take(want);
      if (got < want) return this.endOf(place, bodyBytes, bodyBytes - left + got);
      this.listed(place, want / PFN_BYTES);
      left -= want;
    }
    this.passExtraWord(place);
    return true;
  }

  private listed(place: Place, count: number): void {
    const { view, at, position } = this.source;
    for (let index = 0; index < count; index++) {
      const high = view.getUint32(at + index * PFN_BYTES + 4, true);
      const pfn = high * 2 ** 32 + view.getUint32(at + index * PFN_BYTES, true);
      this.pfns++;
      if (high < PFN_HIGH_MAX) this.seen.add(pfn);
      else {
        const fileOffset = position - (count - index) * PFN_BYTES;
        const expected = "a pfn, of 52 bits";
        this.log.error(place, {
          field: "pfn",
          fileOffset,
          expected,
          found: `0x${pfn.toString(16)}`,
        });
      }
    }
  }

  /** The last pfn of a list whose header was too long. */
  private passExtraWord(place: Place): void {
    const got = this.source.peek(2 * HEADER_BYTES);
    const { view, at } = this.source;
    const end = at + got;
    if (got === 0 || isState(view, at, end) || !isState(view, at + HEADER_BYTES, end)) return;
    const { position: fileOffset } = this.source;
    this.source.skip(HEADER_BYTES);
    this.log.warn(place, {
      field: "body_length",
      fileOffset,
      expected: `the next record behind ${place.record}`,
      found: "8 bytes more, as libxc writes since Xen 4.16: the primary takes them for a record",
    });
  }

  private follow(place: Place, came: Exclude<Stage, "start">): void {
    const expected = NEXT[this.stage];
    if (expected !== came) this.log.error(place, { field: "order", expected, found: came });
    this.stage = came;
  }

  private endOf(place: Place, wanted: number, got: number): false {
    const expected = `${wanted} bytes`;
    const found = got === 0 ? "the end of the input" : `the end of the input after ${got} bytes`;
    const fileOffset = this.source.position;
    this.log.error(place, { field: "body", fileOffset, expected, found });
    return false;
  }
}
