// PV vcpus: registers, XSAVE, extended state and MSRs. A checkpointed stream sends them again and
// again; the last one counts.

import { hex } from "../../base/index.ts";
import { read, sizeOf } from "../../bytes/index.ts";
import {
  LIBXC,
  VCPU_BASIC_BYTES,
  VCPU_FLAGS,
  VCPU_HEAD,
  VCPU_MSR,
  VCPU_XSAVE_BYTES_MIN,
  vcpuContextOf,
} from "../libxc/index.ts";
import { xsaveFeatures } from "./features.ts";
import { describeMsr } from "./msrs.ts";
import type { InspectVcpu } from "./report-state.ts";
import { readWithin, rowsWithin, type WholeBody } from "./whole-body.ts";

/** Larger PV guests are unknown in practice; a hostile stream names a new vcpu in each record. */
export const VCPUS_KEPT = 1024;
const MSRS_KEPT = 256;
const HEAD_BYTES = sizeOf(VCPU_HEAD);
/** A legacy stream has u64 mask and u64 size in front. */
const LEGACY_XSAVE_HEAD_BYTES = 16;
const PAD = /_pad(16|32)$/;

type Vcpu = { -readonly [K in keyof InspectVcpu]: InspectVcpu[K] };

export class PvVcpus {
  leftOff = 0;
  private readonly vcpus = new Map<number, Vcpu>();

  /** Any of the X86_PV_VCPU_* records. */
  add(body: WholeBody): void {
    const { record, view } = body;
    const head = readWithin(body, VCPU_HEAD, 0);
    if (head === undefined || view.byteLength === HEAD_BYTES) return;
    const vcpu = this.vcpu(head.vcpu_id, record.fileOffset);
    if (vcpu === undefined) return;
    if (record.type === LIBXC.vcpuBasic.type) {
      vcpu.offset = record.fileOffset;
      vcpu.times_sent++;
      addContext(vcpu, body, HEAD_BYTES);
    } else if (record.type === LIBXC.vcpuXsave.type) {
      addXsave(vcpu, body, HEAD_BYTES);
    } else if (record.type === LIBXC.vcpuExtended.type) {
      vcpu.extended_bytes = view.byteLength - HEAD_BYTES;
    } else {
      const rows = rowsWithin(body, VCPU_MSR, { at: HEAD_BYTES, most: MSRS_KEPT });
      vcpu.msrs = rows.map(({ index, value }) => describeMsr(index, value));
    }
  }

  /** A legacy stream's vcpu context, XSAVE or extended state: without a head, in vcpu order. */
  addLegacy(body: WholeBody): void {
    const { record, view } = body;
    const number = record.record === "VCPU_BASIC" ? this.vcpus.size : this.vcpus.size - 1;
    const vcpu = this.vcpu(Math.max(0, number), record.fileOffset);
    if (vcpu === undefined) return;
    if (record.record === "VCPU_BASIC") {
      vcpu.times_sent++;
      addContext(vcpu, body, 0);
    } else if (record.record === "VCPU_EXTENDED") {
      vcpu.extended_bytes = view.byteLength;
    } else {
      addXsave(vcpu, body, LEGACY_XSAVE_HEAD_BYTES);
    }
  }

  get list(): InspectVcpu[] {
    return [...this.vcpus.values()].sort((left, right) => left.id - right.id);
  }

  private vcpu(id: number, offset: number): Vcpu | undefined {
    const known = this.vcpus.get(id);
    if (known !== undefined) return known;
    if (this.vcpus.size >= VCPUS_KEPT) {
      this.leftOff++;
      return undefined;
    }
    const vcpu: Vcpu = {
      id,
      kind: "pv64",
      offset,
      times_sent: 0,
      registers: {},
      flags: [],
      xsave: null,
      extended_bytes: null,
      msrs: [],
    };
    this.vcpus.set(id, vcpu);
    return vcpu;
  }
}

function addContext(vcpu: Vcpu, { view }: WholeBody, at: number): void {
  const layout = vcpuContextOf(view.byteLength - at);
  if (layout === undefined) return; // Of a size that no guest has: verify says so.
  vcpu.kind = layout.bytes === VCPU_BASIC_BYTES[8] ? "pv64" : "pv32";
  const { flags, ...user } = read(layout.user, view, at + layout.userAt);
  const rest = read(layout.rest, view, at + layout.restAt);
  const rows = Object.entries({ ...user, ...rest });
  vcpu.registers = Object.fromEntries(
    rows.filter(([name]) => !PAD.test(name)).map(([name, value]) => [name, hex(value)]),
  );
  vcpu.flags = VCPU_FLAGS.filter(([mask]) => (Number(flags) & mask) !== 0).map(([, name]) => name);
}

/** u64 xcr0, u64 xcr0_accum, the XSAVE area. */
function addXsave(vcpu: Vcpu, { view }: WholeBody, at: number): void {
  const bytes = view.byteLength - at;
  if (bytes < VCPU_XSAVE_BYTES_MIN) return;
  const xcr0 = view.getBigUint64(at, true);
  vcpu.xsave = {
    bytes,
    xcr0: hex(xcr0),
    xcr0_accum: hex(view.getBigUint64(at + 8, true)),
    features: xsaveFeatures(xcr0),
  };
}
