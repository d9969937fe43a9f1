// What a stream's end says of a guest's memory: where the last version of each page stands, and the
// vcpus. Of a checkpointed stream that is its last complete checkpoint.

import { type Finding, read, sizeOf, StreamError } from "../../bytes/index.ts";
import {
  isBatch,
  PageReader,
  passOver,
  type Survey,
  surveyInput,
  tooScattered,
} from "../final/index.ts";
import { CPU_TYPECODE, type HvmContextParser, parseHvmContext } from "../hvm-context/index.ts";
import type { Format } from "../detect.ts";
import type { StoredInput } from "../input/index.ts";
import {
  DOMAIN_HEADER,
  DOMAIN_PV,
  LIBXC,
  P2M_FRAMES_HEAD,
  PAGE_BYTES,
  PV_INFO,
  VCPU_HEAD,
} from "../libxc/index.ts";
import { PageIndex } from "../page-index.ts";
import type { HeaderEvent, PfnList, Piece, StreamRecord, Visitor, Want } from "../walk/index.ts";
import { PagePlaces } from "./page-places.ts";
import { hvmVcpu, pvVcpu, type Vcpu } from "./vcpu.ts";

const CANNOT = "Cannot extract the memory";

export interface GuestMemory {
  readonly type: "pv" | "hvm";
  /** Bytes a word of the guest: what machine a debugger takes it for. */
  readonly width: 4 | 8;
  /** "4.20" as [4, 20]; zeros for a converted stream. */
  readonly xen: readonly [number, number];
  readonly checkpoint: number | undefined;
  /** By pfn: the absolute offset of its contents in the stream. */
  readonly places: PagePlaces;
  readonly vcpus: readonly Vcpu[];
  /** PV: pages that hold the guest's table of machine frames, by their pfn: number from 1. */
  readonly p2mFrames: PageIndex;
  readonly sharedInfo: Uint8Array | undefined;
}

export interface MemoryOptions {
  readonly format: Format | undefined;
  /** A checkpoint's number, from 1; undefined for the last one. */
  readonly at: number | undefined;
  readonly onProgress: (position: number) => void;
}

/** Throws StreamError for a stream that is not whole, RefusedError where it has no memory. */
export async function readGuestMemory(
  input: StoredInput,
  { format, at, onProgress }: MemoryOptions,
): Promise<GuestMemory> {
  const found = await surveyInput(input, { format, at, verb: "extract the memory of", onProgress });
  const collector = new Collector();
  passOver(input, found, { visitor: collector, onProgress: () => undefined });
  return collector.memory(found);
}

class Collector implements Visitor {
  private type = 0;
  private pvWidth: 4 | 8 = 8;
  private xen: [number, number] = [0, 0];
  private readonly places = new PagePlaces();
  private readonly p2mFrames = new PageIndex("u32");
  private p2mCount = 0;
  private readonly reader: PageReader;
  private vcpus = new Map<number, Vcpu>();
  private sharedInfo: Uint8Array | undefined;
  private hvmContext: HvmContextParser | undefined;
  /** A checkpoint is over: the next vcpus are those of another one. */
  private isNewRound = false;

  constructor() {
    this.reader = new PageReader((entry) => {
      if (!entry.hasData) return this.places.remove(entry.pfn);
      if (this.places.set(entry.pfn, entry.contentsOffset)) return;
      throw tooScattered(this.places.index, entry, CANNOT);
    });
  }

  header({ record }: HeaderEvent, { view, at }: Piece): void {
    if (record !== "domain_header") return;
    const { type, xen_major, xen_minor } = read(DOMAIN_HEADER, view, at);
    this.type = type;
    this.xen = [xen_major, xen_minor];
  }

  record(record: StreamRecord): Want {
    this.reader.begin(record);
    if (record.layer !== "libxc") return "nothing";
    if (isBatch(record)) return this.reader.isVerifying ? "nothing" : "head";
    switch (record.type) {
      case LIBXC.hvmContext.type:
        this.beginHvmContext(record);
        return "body";
      case LIBXC.vcpuBasic.type:
        if (this.isNewRound) this.vcpus = new Map();
        this.isNewRound = false;
        return "body";
      case LIBXC.pvInfo.type:
        return "head";
      case LIBXC.sharedInfo.type:
      case LIBXC.p2mFrames.type:
        return "body";
      default:
        return "nothing";
    }
  }

  private beginHvmContext({ bodyOffset: fileOffset, recordNumber }: StreamRecord): void {
    this.vcpus = new Map();
    this.hvmContext = parseHvmContext(
      { fileOffset, recordNumber },
      {
        entry: ({ typecode, instance, body }) => {
          if (typecode !== CPU_TYPECODE || body === undefined) return;
          this.vcpus.set(instance, hvmVcpu(instance, body));
        },
        finding: () => undefined, // agent verify tells of them.
      },
    );
  }

  body({ type, layer }: StreamRecord, piece: Piece): void {
    if (layer !== "libxc") return;
    const { view, bytes, at, length } = piece;
    const body = bytes.subarray(at, at + length);
    this.hvmContext?.feed(body);
    if (type === LIBXC.sharedInfo.type && length === PAGE_BYTES) this.sharedInfo = body.slice();
    if (type === LIBXC.vcpuBasic.type) this.vcpu(body.slice());
    if (type === LIBXC.p2mFrames.type) this.frames(piece);
    if (type === LIBXC.pvInfo.type && length >= sizeOf(PV_INFO)) {
      this.pvWidth = read(PV_INFO, view, at).guest_width === 4 ? 4 : 8;
    }
  }

  private vcpu(body: Uint8Array): void {
    const headBytes = sizeOf(VCPU_HEAD);
    if (body.byteLength <= headBytes) return;
    const { vcpu_id: id } = read(VCPU_HEAD, new DataView(body.buffer), 0);
    const vcpu = pvVcpu(id, body.subarray(headBytes));
    if (vcpu !== undefined) this.vcpus.set(id, vcpu);
  }

  private frames({ view, at, length, bodyAt }: Piece): void {
    const skip = bodyAt === 0 ? sizeOf(P2M_FRAMES_HEAD) : 0;
    if (skip > 0 && length >= skip) {
      const { start_pfn } = read(P2M_FRAMES_HEAD, view, at);
      this.p2mCount = Math.floor(start_pfn / (PAGE_BYTES / this.pvWidth));
    }
    for (let word = skip; word + 8 <= length; word += 8) {
      const pfn = Number(view.getBigUint64(at + word, true) & 0xf_ffff_ffff_ffffn);
      this.p2mCount++;
      this.p2mFrames.set(pfn, this.p2mCount); // One that finds no room stays as it was saved.
    }
  }

  pfns(record: StreamRecord, list: PfnList): void {
    this.reader.pfns(record, list);
  }
  pages(): void {} // Never asked for.
  recordEnd(record: StreamRecord): void {
    this.reader.end(record);
    this.hvmContext?.finish();
    this.hvmContext = undefined;
  }
  checkpoint(): void {
    this.isNewRound = true;
  }
  problem(finding: Finding): void {
    if (finding.severity === "error") throw new StreamError(finding);
  }

  memory({ checkpoint }: Survey): GuestMemory {
    const { type, places, p2mFrames, xen, sharedInfo } = this;
    const vcpus = [...this.vcpus.values()].sort((left, right) => left.id - right.id);
    const isPv = type === DOMAIN_PV;
    const hvmWidth = vcpus.length === 0 || vcpus.some(({ width }) => width === 8) ? 8 : 4;
    return {
      type: isPv ? "pv" : "hvm",
      width: isPv ? this.pvWidth : hvmWidth,
      xen,
      checkpoint,
      places,
      vcpus,
      p2mFrames,
      sharedInfo,
    };
  }
}
