// The guest's state besides its memory: which record holds what, and who reads it. A body is read
// whole, or its head alone, or it goes through a parser piece by piece.

import { type Finding, WHOLE_BODY_BYTES } from "../../bytes/index.ts";
import { LEGACY_CHUNKS } from "../legacy/index.ts";
import {
  HVM_PARAM_BUFIOREQ_PFN,
  HVM_PARAM_IOREQ_PFN,
  HVM_PARAM_STORE_PFN,
  LIBXC,
  P2M_FRAMES_HEAD,
  PV_INFO,
  TSC_INFO,
} from "../libxc/index.ts";
import { EMULATOR_HEAD_BYTES, LIBXL } from "../libxl/index.ts";
import type { LegacyGuest, Piece, StreamRecord, Want } from "../walk/index.ts";
import { XAPI } from "../xapi/index.ts";
import { readConfig } from "./config.ts";
import { Emulators } from "./emulators.ts";
import { HvmState } from "./hvm-state.ts";
import { readCpuidPolicy, readMsrPolicy } from "./policy.ts";
import { PvVcpus } from "./pv-vcpus.ts";
import type {
  InspectConfig,
  InspectCpuid,
  InspectMsr,
  InspectSuspendImage,
  InspectTsc,
} from "./report-state.ts";
import { readSuspendImage } from "./suspend-image.ts";
import { readWithin, type WholeBody, wholeBody } from "./whole-body.ts";
import { Xenstore } from "./xenstore.ts";

type Reader =
  | { readonly kind: "whole" | "head"; read(body: WholeBody): void }
  | {
      readonly kind: "pieces";
      begin(record: StreamRecord): void;
      feed(record: StreamRecord, piece: Piece): void;
      end(): void;
    }
  /** Its place and size are all that is wanted. */
  | { readonly kind: "place"; begin(record: StreamRecord): void };

const TSC_MODES = ["default", "always emulate", "never emulate", "PVRDTSCP"] as const;

export class GuestState {
  config: InspectConfig | null = null;
  cpuid: InspectCpuid | null = null;
  msrs: InspectMsr[] = [];
  tsc: InspectTsc | null = null;
  suspendImage: InspectSuspendImage | null = null;
  pvWidth: number | null = null;
  pvTableLevels: number | null = null;
  lastPfn: number | null = null;
  /** The xl header says that the config is JSON. */
  configIsJson = false;
  legacyGuest: "pv" | "hvm" | null = null;
  readonly pvVcpus = new PvVcpus();
  readonly hvm: HvmState;
  readonly emulators: Emulators;
  readonly xenstore = new Xenstore();
  private readonly readers: ReadonlyMap<string, Reader>;
  private current: Reader | undefined;

  constructor(onFinding: (finding: Finding) => void) {
    this.hvm = new HvmState(onFinding);
    this.emulators = new Emulators(onFinding);
    this.readers = new Map([
      ...this.libxcReaders(),
      ...this.libxlReaders(),
      ...this.xapiReaders(),
      ...this.legacyReaders(),
    ]);
  }

  record(record: StreamRecord): Want {
    const reader = this.readers.get(`${record.layer} ${record.record}`);
    this.current = reader;
    if (reader === undefined) return "nothing";
    if (reader.kind === "pieces" || reader.kind === "place") reader.begin(record);
    if (reader.kind === "pieces") return "body";
    if (reader.kind === "head") return "head";
    const fits = record.bodyBytes <= WHOLE_BODY_BYTES;
    return reader.kind === "whole" && fits ? "body" : "nothing";
  }

  body(record: StreamRecord, piece: Piece): void {
    const { current } = this;
    if (current?.kind === "pieces") current.feed(record, piece);
    else if (current?.kind === "head" && piece.bodyAt === 0) current.read(wholeBody(record, piece));
    else if (current?.kind === "whole" && piece.length === record.bodyBytes) {
      current.read(wholeBody(record, piece));
    }
  }

  setLegacyGuest({ guestWidth, p2mSize }: LegacyGuest): void {
    this.legacyGuest = guestWidth > 0 ? "pv" : "hvm";
    this.pvWidth = guestWidth > 0 ? guestWidth : null;
    this.lastPfn = Math.max(0, p2mSize - 1);
  }

  recordEnd(): void {
    if (this.current?.kind === "pieces") this.current.end();
    this.current = undefined;
  }

  // ---- Who reads what -------------------------------------------------------------------------

  private libxcReaders(): (readonly [string, Reader])[] {
    const vcpu = whole((body) => this.pvVcpus.add(body));
    return [
      ["xl CONFIG", whole((body) => (this.config = readConfig(body, this.configIsJson)))],
      [`libxc ${LIBXC.pvInfo.name}`, whole((body) => this.readPvInfo(body))],
      [
        `libxc ${LIBXC.p2mFrames.name}`,
        head((body) => (this.lastPfn = readWithin(body, P2M_FRAMES_HEAD, 0)?.end_pfn ?? null)),
      ],
      [`libxc ${LIBXC.vcpuBasic.name}`, vcpu],
      [`libxc ${LIBXC.vcpuExtended.name}`, vcpu],
      [`libxc ${LIBXC.vcpuXsave.name}`, vcpu],
      [`libxc ${LIBXC.vcpuMsrs.name}`, vcpu],
      [`libxc ${LIBXC.tscInfo.name}`, whole((body) => this.readTsc(body))],
      [`libxc ${LIBXC.hvmContext.name}`, this.hvmContext()],
      [`libxc ${LIBXC.hvmParams.name}`, whole((body) => this.hvm.addParams(body))],
      [`libxc ${LIBXC.cpuidPolicy.name}`, whole((body) => (this.cpuid = readCpuidPolicy(body)))],
      [`libxc ${LIBXC.msrPolicy.name}`, whole((body) => (this.msrs = readMsrPolicy(body)))],
    ];
  }

  private libxlReaders(): (readonly [string, Reader])[] {
    return [
      [
        `libxl ${LIBXL.emulatorXenstoreData.name}`,
        whole((body) => this.xenstore.addEmulatorData(body)),
      ],
      [`libxl ${LIBXL.emulatorContext.name}`, this.emulator(EMULATOR_HEAD_BYTES)],
    ];
  }

  private xapiReaders(): (readonly [string, Reader])[] {
    const rows = XAPI.filter(({ content }) => content === "bytes" || content === "qemu");
    return rows.map(({ name, content }) => {
      if (name === "XENOPS") {
        const reader = whole((body) => {
          this.suspendImage = readSuspendImage(body, this.xenstore);
        });
        return [`xapi ${name}`, reader];
      }
      if (content === "qemu") return [`xapi ${name}`, this.emulator(0)];
      return [
        `xapi ${name}`,
        { kind: "place", begin: (record) => this.emulators.begin(record, 0) },
      ];
    });
  }

  private legacyReaders(): (readonly [string, Reader])[] {
    const vcpu = whole((body) => this.pvVcpus.addLegacy(body));
    const params = LEGACY_CHUNKS.flatMap(({ name, payload }) => {
      if (payload.kind !== "param") return [];
      const reader = whole(({ view }) => {
        if (view.byteLength >= 12) this.hvm.setParam(payload.index, view.getBigUint64(4, true));
      });
      return [[`legacy ${name}`, reader] as const];
    });
    return [
      ...params,
      ["legacy VCPU_BASIC", vcpu],
      ["legacy VCPU_EXTENDED", vcpu],
      ["legacy VCPU_XSAVE", vcpu],
      ["legacy TSC_INFO", whole(({ view }) => this.readLegacyTsc(view))],
      ["legacy TOOLSTACK", whole((body) => this.xenstore.addToolstack(body))],
      ["legacy MAGIC_PFNS", whole(({ view }) => this.readMagicPfns(view))],
      ["legacy HVM_CONTEXT", this.hvmContext()],
      ["legacy QEMU", this.emulator(0)],
    ];
  }

  private hvmContext(): Reader {
    return {
      kind: "pieces",
      begin: (record) => this.hvm.beginContext(record),
      feed: (_, piece) => this.hvm.feedContext(piece),
      end: () => this.hvm.endContext(),
    };
  }

  private emulator(headBytes: number): Reader {
    return {
      kind: "pieces",
      begin: (record) => this.emulators.begin(record, headBytes),
      feed: (record, piece) => this.emulators.feed(record, piece),
      end: () => this.emulators.end(),
    };
  }

  // ---- Small bodies ---------------------------------------------------------------------------

  private readPvInfo(body: WholeBody): void {
    const info = readWithin(body, PV_INFO, 0);
    this.pvWidth = info?.guest_width ?? null;
    this.pvTableLevels = info?.pt_levels ?? null;
  }

  private readTsc(body: WholeBody): void {
    const tsc = readWithin(body, TSC_INFO, 0);
    if (tsc !== undefined) this.setTsc(tsc);
  }

  /** u32 mode, u64 nsec, u32 khz, u32 incarnation: not in the order of today's record. */
  private readLegacyTsc(view: DataView): void {
    if (view.byteLength < 20) return;
    this.setTsc({
      mode: view.getUint32(0, true),
      nsec: view.getBigUint64(4, true),
      khz: view.getUint32(12, true),
      incarnation: view.getUint32(16, true),
    });
  }

  private setTsc(tsc: {
    readonly mode: number;
    readonly khz: number;
    readonly nsec: bigint;
    readonly incarnation: number;
  }): void {
    const { mode, khz, nsec, incarnation } = tsc;
    const name = TSC_MODES[mode] ?? `mode ${mode}`;
    this.tsc = { mode, mode_name: name, khz, nsec: String(nsec), incarnation };
  }

  private readMagicPfns(view: DataView): void {
    if (view.byteLength < 24) return;
    const indices = [HVM_PARAM_IOREQ_PFN, HVM_PARAM_BUFIOREQ_PFN, HVM_PARAM_STORE_PFN];
    for (const [row, index] of indices.entries()) {
      this.hvm.setParam(index, view.getBigUint64(row * 8, true));
    }
  }
}

const whole = (read: (body: WholeBody) => void): Reader => ({ kind: "whole", read });
const head = (read: (body: WholeBody) => void): Reader => ({ kind: "head", read });
