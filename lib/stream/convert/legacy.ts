// From a legacy stream (before Xen 4.6) to version 2 or 3: a visitor of the walk that writes,
// record by record, what Xen's own convert-legacy-stream writes, in the same order:
//
//   xl        its header, with the flag of the newer stream; the config as it is
//   libxl     header (option "legacy"), LIBXC_CONTEXT
//   libxc     headers, [X86_PV_INFO], [STATIC_DATA_END], [X86_PV_P2M_FRAMES],
//             PAGE_DATA and X86_TSC_INFO in the order of the input, [HVM_PARAMS],
//             PV: per vcpu its records, SHARED_INFO; HVM: HVM_PARAMS, HVM_CONTEXT; END
//   libxl     [EMULATOR_XENSTORE_DATA], [EMULATOR_CONTEXT], END; for libxc the QEMU record as it is
//
// Page contents and state move from input to output unseen; what is held meanwhile is one batch's
// pfns, the HVM parameters and the toolstack chunk, all bounded.

import { assert, hex, plural, RefusedError } from "../../base/index.ts";
import {
  BUILD_BYTES_MAX,
  type Finding,
  type Place,
  read,
  type Row,
  type Sink,
  sizeOf,
  StreamError,
  WHOLE_BODY_BYTES,
} from "../../bytes/index.ts";
import {
  LEGACY_CHUNKS,
  LEGACY_MAGIC_PARAMS,
  LEGACY_MAGIC_PFNS,
  LEGACY_PARAM,
  LEGACY_TMEM_POOL,
  LEGACY_TSC_INFO,
} from "../legacy/index.ts";
import { DOMAIN_HVM, DOMAIN_PV, HVM_PARAM, LIBXC } from "../libxc/index.ts";
import { LEGACY_MASK, LIBXL } from "../libxl/index.ts";
import type {
  HeaderEvent,
  LegacyGuest,
  PfnList,
  Piece,
  StreamRecord,
  Visitor,
  Want,
} from "../walk/index.ts";
import {
  beginRecord,
  NO_TAIL,
  refuseBad,
  writeDomainHeader,
  writeFields,
  writeImageHeader,
  writeLibxlHeader,
  writeRecord,
} from "../write/index.ts";
import { SAVE_HEADER, STREAM_V2_MASK } from "../xl/index.ts";
import { LegacyPages } from "./legacy-pages.ts";
import { LegacyTail } from "./legacy-tail.ts";
import { physmapStrings } from "./physmap.ts";
import { refuse } from "./refuse.ts";

export interface LegacyTarget {
  readonly format: "libxl" | "libxc";
  readonly version: 2 | 3;
  /** Where the input has an xl header: it stands before the output too. */
  readonly keepsXlHeader: boolean;
}

/** xen_major 0 says "converted"; the minor is then the version of the conversion. */
const CONVERTED = [0, 1] as const;
/** There are some forty HVM parameters. */
const PARAMS_MAX = 1024;
const PARAM_INDEX = new Map(
  LEGACY_CHUNKS.flatMap(({ name, payload }) =>
    payload.kind === "param" ? [[name, BigInt(payload.index)] as const] : [],
  ),
);
const P2M_ENTRY_BYTES = 8;

export class LegacyConverter implements Visitor {
  readonly sink: Sink;
  readonly tail: LegacyTail;
  /** Once the start of the stream is read. */
  guest: LegacyGuest | undefined;
  memory: LegacyPages | undefined;
  private readonly target: LegacyTarget;
  private readonly params: Row<typeof HVM_PARAM>[] = [];

  constructor(sink: Sink, target: LegacyTarget) {
    this.sink = sink;
    this.target = target;
    this.tail = new LegacyTail(sink, this.isLibxl);
  }

  private get isLibxl(): boolean {
    return this.target.format === "libxl";
  }

  private get known(): LegacyGuest {
    assert(this.guest, "what the guest is stands at the start of the stream");
    return this.guest;
  }

  private get isPv(): boolean {
    return this.known.guestWidth > 0;
  }

  // ---- Headers ---------------------------------------------------------------------------------

  literal(_place: Place, { bytes, at, length }: Piece): void {
    if (this.target.keepsXlHeader) this.sink.write(bytes.subarray(at, at + length));
  }

  /** Of an xl save file: it then holds a newer stream, unless that is a bare libxc one. */
  header(header: HeaderEvent, piece: Piece): void {
    if (header.layout !== SAVE_HEADER) {
      const found = `a ${header.layer} stream`;
      throw refuse(header, { field: "format", expected: "a legacy stream", found });
    }
    refuseBad(SAVE_HEADER, piece, header);
    if (!this.target.keepsXlHeader) return;
    const row = read(SAVE_HEADER, piece.view, piece.at);
    const flag = this.isLibxl ? STREAM_V2_MASK : 0;
    writeFields(this.sink, SAVE_HEADER, {
      ...row,
      mandatory_flags: row.mandatory_flags | flag,
    });
  }

  legacyGuest(guest: LegacyGuest): void {
    const { sink, target } = this;
    const isPv = guest.guestWidth > 0;
    this.guest = guest;
    this.memory = new LegacyPages(sink, guest.p2mSize);
    if (this.isLibxl) {
      writeLibxlHeader(sink, LEGACY_MASK);
      writeRecord(sink, LIBXL.libxcContext, {}, NO_TAIL);
    }
    writeImageHeader(sink, target.version);
    writeDomainHeader(sink, { type: isPv ? DOMAIN_PV : DOMAIN_HVM, xen: CONVERTED });
    if (isPv) {
      const pt_levels = guest.guestWidth === 8 ? 4 : 3;
      const info = { guest_width: guest.guestWidth, pt_levels, reserved_a: 0, reserved_b: 0 };
      writeRecord(sink, LIBXC.pvInfo, info, NO_TAIL);
    }
    if (target.version === 3) writeRecord(sink, LIBXC.staticDataEnd, {}, NO_TAIL);
  }

  // ---- Records ---------------------------------------------------------------------------------

  record(record: StreamRecord): Want {
    switch (record.record) {
      case "CONFIG":
        return this.target.keepsXlHeader ? "move" : "nothing";
      case "P2M_SIZE":
      case "ENABLE_VERIFY_MODE": // The pages that follow are the same once more.
      case "LAST_CHECKPOINT":
      case "UNMAPPED_PFNS": // The old saver's list is wrong, and nobody wants it.
      case "TMEM":
      case "TMEM_EXTRA":
        return "nothing";
      case "P2M_FRAMES":
        this.beginP2mFrames(record);
        return "body";
      case "PAGE_BATCH":
        return "move";
      case "VCPU_INFO":
      case "TSC_INFO":
      case "TMEM_POOL":
      case "MAGIC_PFNS":
        return "body";
      case "TOOLSTACK":
        return this.wantsToolstack(record) ? "body" : "nothing";
      case "END":
        this.endBody(record);
        return "nothing";
      case "ENABLE_COMPRESSION":
      case "COMPRESSED_DATA":
        throw new RefusedError(
          "Cannot convert a compressed Remus stream: its pages are differences to what the " +
            "receiver has in memory",
        );
      default:
        return PARAM_INDEX.has(record.record) ? this.param(record) : this.tail.record(record);
    }
  }

  private beginP2mFrames({ bodyBytes }: StreamRecord): void {
    const { width, p2mSize } = this.known;
    const tailBytes = (bodyBytes / width) * P2M_ENTRY_BYTES;
    const head = { start_pfn: 0, end_pfn: p2mSize - 1 };
    beginRecord(this.sink, LIBXC.p2mFrames, head, tailBytes);
  }

  /** libxc has no place for it, and discards it like Xen's converter. */
  private wantsToolstack(record: StreamRecord): boolean {
    if (!this.isLibxl || record.bodyBytes === 0) return false;
    if (record.bodyBytes <= WHOLE_BODY_BYTES) return true;
    const expected = `at most ${WHOLE_BODY_BYTES} bytes`;
    throw refuse(record, { field: "size", expected, found: String(record.bodyBytes) });
  }

  private param(record: StreamRecord): Want {
    if (this.isPv) {
      const expected = "no HVM parameters in a PV stream";
      throw refuse(record, { field: "marker", expected, found: record.record });
    }
    if (this.params.length < PARAMS_MAX) return "body";
    const expected = `at most ${PARAMS_MAX} HVM parameters`;
    throw refuse(record, { field: "marker", expected, found: "one more" });
  }

  /** What was collected stands behind the memory. */
  private endBody(record: StreamRecord): void {
    if (this.isPv && this.tail.vcpus.length === 0) {
      const expected = "VCPU_INFO before the end, with a vcpu at least";
      throw refuse(record, { field: "order", expected, found: "none" });
    }
    if (this.params.length > 0) writeParams(this.sink, this.params);
  }

  body(record: StreamRecord, piece: Piece): void {
    const { view, bytes, at, length } = piece;
    switch (record.record) {
      case "CONFIG":
        return this.sink.write(bytes.subarray(at, at + length));
      case "P2M_FRAMES":
        return this.p2mFrames(record, piece);
      case "VCPU_INFO":
        return this.tail.vcpuInfo(record, piece);
      case "TSC_INFO": {
        const row = read(LEGACY_TSC_INFO, view, at);
        return writeRecord(this.sink, LIBXC.tscInfo, { ...row, reserved: 0 }, NO_TAIL);
      }
      case "TOOLSTACK": {
        const place = { ...record, fileOffset: record.bodyOffset };
        const strings = physmapStrings(bytes.subarray(at, at + length), this.known.width, place);
        return this.tail.addXenstore(record, strings);
      }
      case "TMEM_POOL":
        return refusePersistentPool(read(LEGACY_TMEM_POOL, view, at).n_pages);
      case "MAGIC_PFNS": {
        const magic = read(LEGACY_MAGIC_PFNS, view, at);
        const { ioreq, bufioreq, store } = LEGACY_MAGIC_PARAMS;
        return writeParams(this.sink, [
          { index: ioreq, value: magic.ioreq },
          { index: bufioreq, value: magic.bufioreq },
          { index: store, value: magic.store },
        ]);
      }
      default: {
        const index = PARAM_INDEX.get(record.record);
        if (index === undefined) return this.tail.body(record, piece);
        this.params.push({ index, value: read(LEGACY_PARAM, view, at).value });
      }
    }
  }

  /** ulong to u64. The pieces of a body are of whole entries. */
  private p2mFrames(record: StreamRecord, { view, at, length, bodyAt }: Piece): void {
    const { sink } = this;
    const { width, p2mSize } = this.known;
    for (let done = 0; done < length;) {
      const entries = Math.min((length - done) / width, BUILD_BYTES_MAX / P2M_ENTRY_BYTES);
      const to = sink.build(entries * P2M_ENTRY_BYTES);
      for (let index = 0; index < entries; index++) {
        const from = at + done + index * width;
        const low = view.getUint32(from, true);
        const high = width === 8 ? view.getUint32(from + 4, true) : 0;
        if (high !== 0 || low >= p2mSize) {
          const fileOffset = record.bodyOffset + bodyAt + done + index * width;
          const expected = `a pfn below p2m_size, ${hex(p2mSize)}`;
          const found = hex(high * 2 ** 32 + low);
          throw refuse({ ...record, fileOffset }, { field: "pfn", expected, found });
        }
        sink.view.setUint32(to + index * P2M_ENTRY_BYTES, low, true);
        sink.view.setUint32(to + index * P2M_ENTRY_BYTES + 4, 0, true);
      }
      done += entries * width;
    }
  }

  pfns(record: StreamRecord, list: PfnList): void {
    assert(this.memory, "a batch stands behind the start of the stream");
    this.memory.batch(record, list);
  }

  pages(): void {} // They move.

  recordEnd(record: StreamRecord): void {
    this.tail.recordEnd(record);
  }

  checkpoint(): void {}

  problem(finding: Finding): void {
    if (finding.severity === "error") throw new StreamError(finding);
  }

  /** Behind the walk: the end of the output. */
  finish(place: Place): void {
    if (!this.isLibxl) return;
    if (!this.isPv && this.tail.qemu === undefined) {
      const expected = "a QEMU record behind the HVM context: libxl wants one";
      throw refuse(place, { field: "signature", expected, found: "none" });
    }
    writeRecord(this.sink, LIBXL.end, {}, NO_TAIL);
  }
}

function writeParams(sink: Sink, params: readonly Row<typeof HVM_PARAM>[]): void {
  const { length: count } = params;
  beginRecord(sink, LIBXC.hvmParams, { count, reserved: 0 }, count * sizeOf(HVM_PARAM));
  for (const param of params) writeFields(sink, HVM_PARAM, param);
}

/** Pages that a guest has put away and counts on; those of other pools it can do without. */
function refusePersistentPool(pages: number): void {
  if (pages === 0) return;
  throw new RefusedError(
    `Cannot convert a guest with ${plural(pages, "page")} in transcendent memory: no stream ` +
      "since Xen 4.6 can carry them, and without them the guest would lose data",
  );
}
