// Reads an HVM context piece by piece and says what is wrong with it. Format: layout.ts.
//
//   descriptor --8 bytes--> body --length bytes--> descriptor ... --END--> behind_end
//
// Pure: pieces in, entries and findings out through the visitor; a piece may end at any byte.
// Memory is one buffer of BODY_BYTES_MAX and a bounded set, whatever lengths the context claims.
// An error is what makes Xen refuse the context (hvm_load in xen/arch/x86/hvm/save.c, and the load
// function of each type); a warning is what Xen takes although no Xen would have saved it.

import { assert, hex } from "../../base/index.ts";
import { check, read, sizeOf } from "../../bytes/index.ts";
import type { Finding, Layout, Place } from "../../bytes/index.ts";
import {
  BODY_BYTES_MAX,
  CPU_TYPECODE,
  cpuLayout,
  DESCRIPTOR,
  END_TYPECODE,
  FPU_REGS_BYTES,
  HEADER,
  HEADER_TYPECODE,
  LAPIC_TYPECODE,
  MSR_ENTRY,
  MSR_HEAD,
  typeLayout,
  TYPES,
  XSAVE_HEAD,
  XSAVE_HEADER,
  XSAVE_LEGACY_BYTES,
} from "./layout.ts";
import type { BodySize, TypeLayout } from "./layout.ts";

/** One whole entry. */
export interface HvmContextEntry {
  readonly typecode: number;
  /** "CPU"; "type 21" where Xen knows none. */
  readonly name: string;
  readonly instance: number;
  /** Of the descriptor, from the first byte of the context. */
  readonly offset: number;
  readonly bodyBytes: number;
  /** Valid during the call only; undefined above BODY_BYTES_MAX. */
  readonly body: Uint8Array | undefined;
}

export interface HvmContextVisitor {
  entry(entry: HvmContextEntry): void;
  finding(finding: Finding): void;
}

export interface HvmContextParser {
  /** The next bytes of the context. Does not keep the piece. */
  feed(piece: Uint8Array): void;
  /** There are no more bytes. Call it once. */
  finish(): void;
}

/** After this many findings a context is not looked at any further. */
export const HVM_CONTEXT_FINDINGS_MAX = 64;

type Phase = "descriptor" | "body" | "behind_end" | "finished";

interface State {
  readonly place: Pick<Place, "fileOffset" | "recordNumber">;
  readonly visitor: HvmContextVisitor;
  phase: Phase;
  /** HVM_CONTEXT_FINDINGS_MAX is reached. */
  givenUp: boolean;
  /** Bytes fed and looked at so far. */
  at: number;
  /** The descriptor, then the start of the body. */
  readonly kept: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  keptBytes: number;
  entryCount: number;
  findingCount: number;
  /** Typecode and instance of every entry, as typecode * 2^16 + instance. At most one a vcpu. */
  readonly seen: Set<number>;
  readonly missing: MissingVcpus;
  entryAt: number;
  typecode: number;
  instance: number;
  length: number;
  bodyAt: number;
}

/** The first per-vcpu entry of each vcpu, until END shows whether the vcpu exists. */
type MissingVcpus = Map<number, { readonly name: string; readonly at: number }>;

const DESCRIPTOR_BYTES = sizeOf(DESCRIPTOR);
const LENGTH_AT = 4;

/** A parser of one context, whose first byte stands at `fileOffset` of the input. */
export function parseHvmContext(
  place: Pick<Place, "fileOffset" | "recordNumber">,
  visitor: HvmContextVisitor,
): HvmContextParser {
  const kept = new Uint8Array(BODY_BYTES_MAX);
  const state: State = {
    place,
    visitor,
    phase: "descriptor",
    givenUp: false,
    at: 0,
    kept,
    view: new DataView(kept.buffer),
    keptBytes: 0,
    entryCount: 0,
    findingCount: 0,
    seen: new Set(),
    missing: new Map(),
    entryAt: 0,
    typecode: 0,
    instance: 0,
    length: 0,
    bodyAt: 0,
  };
  return {
    feed: (piece) => feed(state, piece),
    finish: () => finish(state),
  };
}

// ---- Framing --------------------------------------------------------------------------------

function feed(state: State, piece: Uint8Array): void {
  assert(state.phase !== "finished", "nothing is fed behind finish");
  let used = 0;
  while (used < piece.length) {
    const rest = piece.length - used;
    if (state.phase === "behind_end" || state.givenUp) {
      state.at += rest;
      return;
    }
    const phaseBytes = state.phase === "descriptor" ? DESCRIPTOR_BYTES : state.length;
    const bytes = Math.min(rest, phaseBytes - (state.at - phaseStart(state)));
    keep(state, piece.subarray(used, used + bytes));
    used += bytes;
    if (state.at - phaseStart(state) < phaseBytes) return;
    if (state.phase === "body") endEntry(state);
    else beginEntry(state);
  }
}

const phaseStart = (state: State): number =>
  state.phase === "descriptor" ? state.entryAt : state.bodyAt;

function keep(state: State, bytes: Uint8Array): void {
  const room = Math.min(bytes.length, BODY_BYTES_MAX - state.keptBytes);
  state.kept.set(bytes.subarray(0, room), state.keptBytes);
  state.keptBytes += room;
  state.at += bytes.length;
}

function beginEntry(state: State): void {
  const { typecode, instance, length } = read(DESCRIPTOR, state.view, 0);
  state.typecode = typecode;
  state.instance = instance;
  state.length = length;
  state.bodyAt = state.at;
  state.keptBytes = 0;
  state.phase = "body";
  checkDescriptor(state);
  state.entryCount++;
  if (typecode === END_TYPECODE) {
    emit(state, 0);
    checkVcpus(state);
    state.phase = "behind_end";
  } else if (length === 0) endEntry(state);
}

function endEntry(state: State): void {
  const row = typeLayout(state.typecode);
  if (row !== undefined && isLoadable(row.size, state.length)) checkBody(state, row);
  emit(state, state.length);
  state.phase = "descriptor";
  state.entryAt = state.at;
  state.keptBytes = 0;
}

function emit(state: State, bodyBytes: number): void {
  const { typecode, instance, entryAt } = state;
  const body = bodyBytes <= BODY_BYTES_MAX ? state.kept.subarray(0, bodyBytes) : undefined;
  const name = nameOf(typecode);
  state.visitor.entry({ typecode, name, instance, offset: entryAt, bodyBytes, body });
}

function finish(state: State): void {
  const { phase } = state;
  assert(phase !== "finished", "finish is called once");
  if (phase === "body") {
    const left = state.at - state.bodyAt;
    report(state, nameOf(state.typecode), {
      field: "length",
      at: state.entryAt + LENGTH_AT,
      expected: `at most ${hex(left)} (the bytes left)`,
      found: hex(state.length),
    });
  } else if (phase === "descriptor") finishBetweenEntries(state);
  else if (phase === "behind_end" && state.at > state.bodyAt) {
    const found = `${hex(state.at - state.bodyAt)} bytes, which Xen ignores`;
    const expected = "nothing behind END";
    warn(state, "END", { field: "tail", at: state.bodyAt, expected, found });
  }
  state.phase = "finished";
}

function finishBetweenEntries(state: State): void {
  if (state.keptBytes > 0) {
    report(state, "descriptor", {
      field: "length",
      at: state.entryAt,
      expected: `${hex(DESCRIPTOR_BYTES)} bytes of descriptor`,
      found: `${hex(state.keptBytes)} bytes`,
    });
    return;
  }
  report(state, state.entryCount === 0 ? "HEADER" : "END", {
    field: "typecode",
    at: state.entryAt,
    expected: state.entryCount === 0 ? "a HEADER entry" : "an END entry",
    found: "the end of the context",
  });
}

// ---- What Xen checks of a descriptor ----------------------------------------------------------

function checkDescriptor(state: State): void {
  const { typecode, entryAt } = state;
  const row = typeLayout(typecode);
  const isFirst = state.entryCount === 0;
  if (isFirst !== (typecode === HEADER_TYPECODE)) {
    const found = `${hex(typecode)} (${nameOf(typecode)})`;
    const expected = isFirst ? "0x1 (HEADER) in the first entry" : "HEADER in the first entry only";
    report(state, "HEADER", { field: "typecode", at: entryAt, expected, found });
  }
  if (row === undefined) {
    const expected = `a typecode up to ${hex(TYPES.length - 1)}`;
    report(state, "entry", { field: "typecode", at: entryAt, expected, found: hex(typecode) });
    return;
  }
  checkLength(state, row);
  if (typecode > HEADER_TYPECODE) checkInstance(state, row); // Xen looks at no other.
}

const isLoadable = (size: BodySize, length: number): boolean => {
  if (size.kind === "exact") return length === size.bytes;
  if (size.kind === "zero_extended") return length >= size.leastBytes && length <= size.bytes;
  if (size.kind === "at_least") return length >= size.bytes;
  // The count in the body decides; one entry is the least that Xen loads.
  return length >= size.headBytes + size.entryBytes;
};

function checkLength(state: State, row: TypeLayout): void {
  const { length, entryAt } = state;
  const { size, name } = row;
  const place = { field: "length", at: entryAt + LENGTH_AT, found: hex(length) };
  if (row.typecode === END_TYPECODE) {
    if (length !== 0) warn(state, name, { ...place, expected: "0x0" }); // Xen never looks.
  } else if (!isLoadable(size, length)) {
    report(state, name, { ...place, expected: expectedLength(size) });
  } else if (size.kind === "zero_extended") {
    if (length === size.bytes || size.older.includes(length)) return;
    warn(state, name, { ...place, expected: expectedLength(size) });
  }
}

function expectedLength(size: BodySize): string {
  if (size.kind === "exact") return hex(size.bytes);
  if (size.kind === "zero_extended") return [size.bytes, ...size.older].map(hex).join(" or ");
  if (size.kind === "at_least") return `at least ${hex(size.bytes)}`;
  return `at least ${hex(size.headBytes + size.entryBytes)}`;
}

function checkInstance(state: State, row: TypeLayout): void {
  const { instance, typecode, entryAt } = state;
  const place = { field: "instance", at: entryAt + 2, found: hex(instance) };
  if (instance >= row.instances) {
    const expected = row.instances === 1 ? "0x0" : `at most ${hex(row.instances - 1)}`;
    // Xen does not look at the instance of what a guest has once.
    if (row.instances === 1) warn(state, row.name, { ...place, expected });
    else report(state, row.name, { ...place, expected });
    if (row.perVcpu) return;
  }
  const key = typecode * 0x1_0000 + Math.min(instance, row.instances);
  if (state.seen.has(key)) {
    // Xen loads both: the later one wins.
    const expected = `one ${row.name} entry for each instance`;
    const found = `another one for ${hex(instance)}`;
    warn(state, row.name, { field: "instance", at: entryAt + 2, expected, found });
  }
  state.seen.add(key);
  if (row.perVcpu && !state.missing.has(instance)) {
    state.missing.set(instance, { name: row.name, at: entryAt + 2 });
  }
}

/** At END: every vcpu that some entry names must be one that the guest had. */
function checkVcpus(state: State): void {
  const has = (typecode: number, instance: number) =>
    state.seen.has(typecode * 0x1_0000 + instance);
  let cpuCount = 0;
  for (const [instance, { name, at }] of state.missing) {
    if (has(CPU_TYPECODE, instance)) cpuCount++;
    // A vcpu that is down has no CPU entry, but it has its local APIC.
    else if (!has(LAPIC_TYPECODE, instance)) {
      const expected = "a vcpu with a CPU or LAPIC entry";
      warn(state, name, { field: "instance", at, expected, found: hex(instance) });
    }
  }
  if (cpuCount > 0) return;
  const expected = "at least one CPU entry before END";
  report(state, "CPU", { field: "typecode", at: state.entryAt, expected, found: "no CPU" });
}

// ---- What Xen checks of a body ----------------------------------------------------------------

function checkBody(state: State, row: TypeLayout): void {
  if (row.typecode === HEADER_TYPECODE) checkFields(state, row.name, HEADER, 0);
  else if (row.typecode === CPU_TYPECODE) {
    const layout = cpuLayout(state.length);
    if (layout !== undefined) checkFields(state, row.name, layout, FPU_REGS_BYTES);
  } else if (row.size.kind === "at_least") {
    checkFields(state, row.name, XSAVE_HEADER, sizeOf(XSAVE_HEAD) + XSAVE_LEGACY_BYTES);
  } else if (row.size.kind === "counted") checkMsrs(state, row.name);
}

function checkMsrs(state: State, name: string): void {
  checkFields(state, name, MSR_HEAD, 0);
  const { count } = read(MSR_HEAD, state.view, 0);
  const entriesAt = sizeOf(MSR_HEAD);
  const entryBytes = sizeOf(MSR_ENTRY);
  const wanted = entriesAt + entryBytes * count;
  if (count > 0 && wanted !== state.length) {
    const expected = `${hex(wanted)} (${hex(count)} entries)`;
    const place = { field: "length", at: state.entryAt + LENGTH_AT, found: hex(state.length) };
    report(state, name, { ...place, expected });
    return;
  }
  const last = Math.min(state.length, state.keptBytes) - entryBytes;
  for (let at = entriesAt; at <= last; at += entryBytes) checkFields(state, name, MSR_ENTRY, at);
}

function checkFields(state: State, record: string, layout: Layout, at: number): void {
  const fileOffset = state.place.fileOffset + state.bodyAt + at;
  const place: Place = { ...state.place, layer: "hvm_context", record, fileOffset };
  for (const finding of check(layout, state.view, at, place)) tell(state, finding);
}

// ---- Findings ---------------------------------------------------------------------------------

type Wrong = Pick<Finding, "field" | "expected" | "found"> & { readonly at: number };

const nameOf = (typecode: number): string => typeLayout(typecode)?.name ?? `type ${typecode}`;

const findingOf = (state: State, record: string, { at, ...wrong }: Wrong) => {
  const { fileOffset, recordNumber } = state.place;
  const layer = "hvm_context" as const;
  return { layer, record, recordNumber, fileOffset: fileOffset + at, ...wrong };
};

function report(state: State, record: string, wrong: Wrong): void {
  tell(state, { ...findingOf(state, record, wrong), severity: "error", strict: true });
}

/** Not strict: verify-stream-v2 looks at no byte of a context. */
function warn(state: State, record: string, wrong: Wrong): void {
  tell(state, { ...findingOf(state, record, wrong), severity: "warning", strict: false });
}

function tell(state: State, finding: Finding): void {
  if (state.givenUp) return;
  state.visitor.finding(finding);
  state.findingCount++;
  state.givenUp = state.findingCount === HVM_CONTEXT_FINDINGS_MAX;
}
