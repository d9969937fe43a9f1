// HVM state: the context's entries, vcpus with their registers, and the parameters by name.

import { hex } from "../../base/index.ts";
import { type Finding, read, sizeOf } from "../../bytes/index.ts";
import {
  CPU_TYPECODE,
  cpuLayout,
  FPU_REGS_BYTES,
  HEADER,
  HEADER_TYPECODE,
  type HvmContextEntry,
  type HvmContextParser,
  MSR_ENTRY,
  MSR_HEAD,
  parseHvmContext,
  XSAVE_HEAD,
} from "../hvm-context/index.ts";
import { HVM_PARAM, HVM_PARAMS_HEAD, hvmParamMeaning, hvmParamName } from "../libxc/index.ts";
import type { Piece, StreamRecord } from "../walk/index.ts";
import { xsaveFeatures } from "./features.ts";
import { hvmEntryFields } from "./hvm-entries.ts";
import { describeMsr } from "./msrs.ts";
import { VCPUS_KEPT } from "./pv-vcpus.ts";
import type { InspectHvmContext, InspectHvmParam, InspectVcpu } from "./report-state.ts";
import { rowsWithin, type WholeBody } from "./whole-body.ts";

/** 128 vcpus have eight entries each at most. */
const ENTRIES_KEPT = 2048;
/** Xen has 39; a hostile record any number. */
const PARAMS_KEPT = 256;
const MSRS_KEPT = 256;

type Vcpu = { -readonly [K in keyof InspectVcpu]: InspectVcpu[K] };
type Context = { -readonly [K in keyof InspectHvmContext]: InspectHvmContext[K] };

export class HvmState {
  context: Context | null = null;
  vcpusLeftOff = 0;
  private readonly params = new Map<number, InspectHvmParam>();
  private vcpus = new Map<number, Vcpu>();
  private parser: HvmContextParser | undefined;
  private bodyOffset = 0;
  private readonly onFinding: (finding: Finding) => void;

  constructor(onFinding: (finding: Finding) => void) {
    this.onFinding = onFinding;
  }

  // ---- Context ------------------------------------------------------------------------------

  beginContext({ bodyOffset, bodyBytes, recordNumber }: StreamRecord): void {
    const times = (this.context?.times_sent ?? 0) + 1;
    this.context = {
      offset: bodyOffset,
      bytes: bodyBytes,
      times_sent: times,
      header: null,
      entries: [],
      entries_left_off: 0,
    };
    this.vcpus = new Map();
    this.vcpusLeftOff = 0;
    this.bodyOffset = bodyOffset;
    this.parser = parseHvmContext(
      { fileOffset: bodyOffset, recordNumber },
      { entry: (entry) => this.entry(entry), finding: this.onFinding },
    );
  }

  feedContext({ bytes, at, length }: Piece): void {
    this.parser?.feed(bytes.subarray(at, at + length));
  }

  endContext(): void {
    this.parser?.finish();
    this.parser = undefined;
  }

  private entry(entry: HvmContextEntry): void {
    const { context } = this;
    if (context === null) return;
    const { typecode, name, instance, offset, bodyBytes, body } = entry;
    const view =
      body === undefined ? undefined : new DataView(body.buffer, body.byteOffset, body.byteLength);
    if (context.entries.length < ENTRIES_KEPT) {
      context.entries.push({
        typecode,
        name,
        instance,
        offset: this.bodyOffset + offset,
        bytes: bodyBytes,
        fields: view === undefined ? {} : hvmEntryFields(typecode, view),
      });
    } else {
      context.entries_left_off++;
    }
    if (view === undefined) return;
    if (typecode === HEADER_TYPECODE && view.byteLength >= sizeOf(HEADER)) {
      const { version, changeset, cpuid, gtsc_khz: khz } = read(HEADER, view, 0);
      context.header = { version, changeset: hex(changeset), cpuid, tsc_khz: khz };
    }
    this.vcpuEntry(entry, view);
  }

  private vcpuEntry({ typecode, name, instance, offset }: HvmContextEntry, view: DataView): void {
    if (typecode === CPU_TYPECODE) {
      const vcpu = this.vcpu(instance, this.bodyOffset + offset);
      if (vcpu !== undefined) addRegisters(vcpu, view);
    } else if (name === "CPU_XSAVE" && view.byteLength >= sizeOf(XSAVE_HEAD)) {
      const vcpu = this.vcpu(instance, this.bodyOffset + offset);
      const { xcr0, xcr0_accum: accum } = read(XSAVE_HEAD, view, 0);
      if (vcpu === undefined) return;
      vcpu.xsave = {
        bytes: view.byteLength,
        xcr0: hex(xcr0),
        xcr0_accum: hex(accum),
        features: xsaveFeatures(xcr0),
      };
    } else if (name === "CPU_MSR") {
      const vcpu = this.vcpu(instance, this.bodyOffset + offset);
      const rows = rowsWithin({ view }, MSR_ENTRY, { at: sizeOf(MSR_HEAD), most: MSRS_KEPT });
      if (vcpu !== undefined) vcpu.msrs = rows.map((row) => describeMsr(row.index, row.value));
    }
  }

  private vcpu(id: number, offset: number): Vcpu | undefined {
    const known = this.vcpus.get(id);
    if (known !== undefined) return known;
    if (this.vcpus.size >= VCPUS_KEPT) {
      this.vcpusLeftOff++;
      return undefined;
    }
    const vcpu: Vcpu = {
      id,
      kind: "hvm",
      offset,
      times_sent: this.context?.times_sent ?? 1,
      registers: {},
      flags: [],
      xsave: null,
      extended_bytes: null,
      msrs: [],
    };
    this.vcpus.set(id, vcpu);
    return vcpu;
  }

  get vcpuList(): InspectVcpu[] {
    return [...this.vcpus.values()].sort((left, right) => left.id - right.id);
  }

  // ---- Parameters ---------------------------------------------------------------------------

  addParams(body: WholeBody): void {
    const at = sizeOf(HVM_PARAMS_HEAD);
    for (const { index, value } of rowsWithin(body, HVM_PARAM, { at, most: PARAMS_KEPT })) {
      this.setParam(Number(index), value); // Beyond 2^53 it names no parameter: rounded is enough.
    }
  }

  setParam(index: number, value: bigint): void {
    if (!this.params.has(index) && this.params.size >= PARAMS_KEPT) return;
    const meaning = hvmParamMeaning(index, value) ?? null;
    const name = hvmParamName(index) ?? null;
    this.params.set(index, { index, name, value: hex(value), meaning });
  }

  get paramList(): InspectHvmParam[] {
    return [...this.params.values()].sort((left, right) => left.index - right.index);
  }
}

function addRegisters(vcpu: Vcpu, view: DataView): void {
  const layout = cpuLayout(view.byteLength);
  if (layout === undefined) return;
  const { flags, pad0: _, ...registers } = read(layout, view, FPU_REGS_BYTES);
  vcpu.registers = Object.fromEntries(
    Object.entries(registers).map(([name, value]) => [name, hex(value)]),
  );
  vcpu.flags = flags === undefined || (Number(flags) & 1) !== 0 ? ["fpu initialised"] : [];
}
