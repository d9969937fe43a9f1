// What a legacy stream holds, line by line, as Xen's converter lists it with -v: a visitor around
// the converter that prints what passes by.

import { hex } from "../../base/index.ts";
import { type Finding, type Place, read, type Sink } from "../../bytes/index.ts";
import {
  LEGACY_CHUNKS,
  LEGACY_MAGIC_PFNS,
  LEGACY_PARAM,
  LEGACY_QEMU_SIGNATURES,
  LEGACY_TSC_INFO,
} from "../legacy/index.ts";
import type {
  Checkpoint,
  HeaderEvent,
  LegacyGuest,
  PfnList,
  Piece,
  StreamRecord,
  Visitor,
  Want,
} from "../walk/index.ts";

const MARKERS = new Map(LEGACY_CHUNKS.map(({ name, marker }) => [name, marker]));
const PARAMS = new Set(
  LEGACY_CHUNKS.filter(({ payload }) => payload.kind === "param").map(({ name }) => name),
);

export class LegacyListing implements Visitor {
  readonly sink?: Sink;
  private readonly inner: Visitor;
  private readonly line: (text: string) => void;

  constructor(inner: Visitor, line: (text: string) => void) {
    this.inner = inner;
    this.line = line;
    if (inner.sink !== undefined) this.sink = inner.sink;
  }

  literal(place: Place, piece: Piece): void {
    this.inner.literal?.(place, piece);
  }

  header(header: HeaderEvent, piece: Piece): void {
    this.inner.header(header, piece);
    if (header.layer === "xl") this.line("Processed xl header");
  }

  legacyGuest(guest: LegacyGuest): void {
    this.inner.legacyGuest?.(guest);
    this.line(`P2M Size: ${hex(guest.p2mSize)}`);
    if (guest.guestWidth === 0) return;
    const [bits, levels] = guest.guestWidth === 8 ? [64, 4] : [32, 3];
    this.line(`    ${bits}bit domain, ${levels} levels`);
    if (guest.xsaveBytes > 0) this.line(`xcnt sz ${hex(guest.xsaveBytes)}`);
    const perFrame = 4096 / guest.guestWidth;
    const frames = Math.floor((guest.p2mSize - 1) / perFrame) + 1;
    this.line(`P2M frames: fpp ${perFrame}, p2m_frame_len ${frames}`);
  }

  record(record: StreamRecord): Want {
    const { record: name, bodyBytes, type } = record;
    const marker = name === "END" ? 0 : MARKERS.get(name);
    if (marker !== undefined) this.line(`Chunk: ${marker} - ${name.toLowerCase()}`);
    switch (name) {
      case "VCPU_BASIC":
        this.line(`Got VCPU basic (size ${hex(bodyBytes)})`);
        break;
      case "VCPU_EXTENDED":
        this.line(`Got VCPU extd (size ${hex(bodyBytes)})`);
        break;
      case "VCPU_XSAVE":
        this.line(`Got VCPU xsave (size ${hex(bodyBytes)})`);
        break;
      case "SHARED_INFO":
        this.line("Got shinfo");
        break;
      case "HVM_CONTEXT":
        this.line(`Got HVM Context (${hex(bodyBytes)} bytes)`);
        break;
      case "QEMU":
        this.line(`Qemu signature: ${LEGACY_QEMU_SIGNATURES[type]?.signature}`);
        break;
      case "TOOLSTACK":
        this.line(`  Toolstack Data: sz ${hex(bodyBytes)}`);
        break;
    }
    return this.inner.record(record);
  }

  body(record: StreamRecord, piece: Piece): void {
    this.inner.body(record, piece);
    const { view, at } = piece;
    if (record.record === "TSC_INFO") {
      const { mode, nsec, khz, incarnation } = read(LEGACY_TSC_INFO, view, at);
      this.line(`  X86_TSC_INFO: mode ${mode}, ${nsec} ns, ${khz} khz, ${incarnation} incarn`);
    } else if (record.record === "MAGIC_PFNS") {
      const { ioreq, bufioreq, store } = read(LEGACY_MAGIC_PFNS, view, at);
      this.line(`Magic pfns: ${hex(ioreq)} ${hex(bufioreq)} ${hex(store)}`);
    } else if (PARAMS.has(record.record)) {
      this.line(`  ${hex(read(LEGACY_PARAM, view, at).value)}`);
    }
  }

  pfns(record: StreamRecord, list: PfnList): void {
    this.inner.pfns(record, list);
  }

  pages(record: StreamRecord, piece: Piece): void {
    this.inner.pages(record, piece);
  }

  recordEnd(record: StreamRecord): void {
    this.inner.recordEnd(record);
  }

  checkpoint(checkpoint: Checkpoint): void {
    this.inner.checkpoint(checkpoint);
  }

  problem(finding: Finding): void {
    this.inner.problem(finding);
  }
}
