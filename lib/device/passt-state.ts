// Reads passt's state: every record by name, and whatever is wrong with it. passt itself checks
// little (no trailer, no checksum, bytes after the end are ignored) and looks when it is too late
// for the guest, so this looks first.

import { hex } from "../base/index.ts";
import {
  check,
  type Finding,
  type Layout,
  read,
  type Row,
  sizeOf,
  StreamError,
} from "../bytes/index.ts";
import type { StateBytes } from "./state-bytes.ts";
import {
  EXTENDED_2,
  FLOW,
  FLOWS_MAX,
  HEADER,
  MAGIC,
  QUEUE_BYTES_MAX,
  SEEN,
  TCP_STATES,
  VERSIONS,
} from "./passt-layout.ts";

const HEADER_BYTES = sizeOf(HEADER);
const SEEN_BYTES = sizeOf(SEEN);
const FLOW_BYTES = sizeOf(FLOW);
/** A state of another program can be wrong in every record of it. */
const FINDINGS_MAX = 100;

export type PasstHeader = Row<typeof HEADER>;
export type PasstSeen = Row<typeof SEEN>;
export type PasstFlow = Row<typeof FLOW>;
/** The records of version 1 have a timestamp of 0 here. */
export type PasstExtended = Row<typeof EXTENDED_2>;

export interface PasstFlowRecord {
  readonly flow: PasstFlow;
  /** Absent where the state ends before it. */
  readonly extended: PasstExtended | undefined;
}

export interface PasstState {
  readonly header: PasstHeader | undefined;
  /** The version it was read as; undefined for none that is known. */
  readonly version: number | undefined;
  readonly seen: PasstSeen | undefined;
  /** At most `flowsMax` of them; `seen.flows` is how many the state says. */
  readonly flows: readonly PasstFlowRecord[];
  /** Offset of the end. */
  readonly endsAt: number;
  readonly findings: readonly Finding[];
}

/** Whether these bytes say that they are passt's, also in the wrong byte order. */
export function isPasstState(state: StateBytes): boolean {
  if (state.bytes < 8) return false;
  const view = state.view(0, 8);
  return [true, false].some((little) => view.getBigUint64(0, little) === MAGIC);
}

/** Reads on as far as it makes sense. Keeps at most `flowsMax` flows, but checks them all. */
export function readPasstState(state: StateBytes, flowsMax: number): PasstState {
  return new Reader(state, flowsMax).run();
}

/** The state if all of it is as it must be. Throws StreamError for the first thing that is not. */
export function checkedPasstState(state: StateBytes): PasstState {
  const found = readPasstState(state, 0);
  const [first] = found.findings;
  if (first !== undefined) throw new StreamError(first);
  return found;
}

class Reader {
  private readonly state: StateBytes;
  private readonly flowsMax: number;
  private readonly findings: Finding[] = [];
  private readonly flows: { flow: PasstFlow; extended: PasstExtended | undefined }[] = [];
  private at = 0;
  private header: PasstHeader | undefined;
  private version: number | undefined;
  private seen: PasstSeen | undefined;

  constructor(state: StateBytes, flowsMax: number) {
    this.state = state;
    this.flowsMax = flowsMax;
  }

  run(): PasstState {
    this.readAll();
    const { header, version, seen, flows, findings, at } = this;
    return { header, version, seen, flows, endsAt: at, findings };
  }

  private readAll(): void {
    this.header = this.record(HEADER, "header", 0);
    if (this.header === undefined || this.findings.length > 0) return;
    const { version, compat_version: compat } = this.header;
    const known = VERSIONS.find(({ id }) => id >= compat && id <= version);
    if (known === undefined) {
      const versions = VERSIONS.map(({ id }) => id).join(" or ");
      const found = `${version}, readable from ${compat} on`;
      this.find(
        { record: "header", field: "version", at: 8 },
        `one readable as ${versions}`,
        found,
      );
      return;
    }
    this.version = known.id;
    this.seen = this.record(SEEN, "seen", 0);
    if (this.seen === undefined) return;
    const { flows: count } = this.seen;
    if (count > FLOWS_MAX) {
      const place = { record: "seen", field: "flows", at: this.at - 4 };
      this.find(place, `at most ${FLOWS_MAX}`, String(count));
      return;
    }
    for (let index = 0; index < count; index++) {
      const flow = this.record(FLOW, "flow", index + 1);
      if (flow === undefined) return;
      if (index < this.flowsMax) this.flows.push({ flow, extended: undefined });
    }
    for (let index = 0; index < count; index++) {
      if (!this.readExtended(known.extended, index)) return;
    }
    if (this.at === this.state.bytes) return;
    const place = { record: "state", field: "length", at: this.at };
    this.find(place, `the end after ${this.at} bytes`, `${this.state.bytes} bytes`);
  }

  private readExtended(layout: (typeof VERSIONS)[number]["extended"], index: number): boolean {
    const start = this.at;
    const found = this.record(layout, "extended", index + 1);
    if (found === undefined) return false;
    const extended: PasstExtended = { timestamp: 0, ...found };
    const row = this.flows[index];
    if (row !== undefined) row.extended = extended;
    const place = (field: string) => ({ record: "extended", field, at: start, number: index + 1 });
    for (const queue of ["send_queue", "receive_queue"] as const) {
      if (extended[queue] <= QUEUE_BYTES_MAX) continue;
      this.find(place(queue), `at most ${hex(QUEUE_BYTES_MAX)}`, hex(extended[queue]));
      return false;
    }
    if (extended.not_sent > extended.send_queue) {
      const { send_queue: queue, not_sent: notSent } = extended;
      this.find(place("not_sent"), `at most send_queue, ${hex(queue)}`, hex(notSent));
    }
    if (extended.tcp_state > TCP_STATES) {
      this.find(place("tcp_state"), `at most ${TCP_STATES}`, String(extended.tcp_state));
    }
    if (extended.tcp_state === 0) return true; // To be dropped: its queues were not sent.
    const queues = extended.send_queue + extended.receive_queue;
    if (this.at + queues > this.state.bytes) {
      const there = `${this.state.bytes - this.at} bytes`;
      this.find(place("queues"), `${queues} bytes of queues`, there);
      return false;
    }
    this.at += queues;
    return true;
  }

  /** The next record; undefined where the state ends inside it. */
  private record<L extends Layout>(layout: L, record: string, number: number): Row<L> | undefined {
    const bytes = sizeOf(layout);
    const left = this.state.bytes - this.at;
    if (left < bytes) {
      this.find(
        { record, field: "length", at: this.at, number },
        `${bytes} bytes`,
        `${left} bytes`,
      );
      return undefined;
    }
    const view = this.state.view(this.at, bytes);
    const place = { layer: "passt", record, recordNumber: number, fileOffset: this.at } as const;
    for (const finding of check(layout, view, 0, place)) this.note(finding);
    this.at += bytes;
    return read(layout, view, 0);
  }

  private find(
    {
      record,
      field,
      at,
      number = 0,
    }: {
      readonly record: string;
      readonly field: string;
      readonly at: number;
      readonly number?: number;
    },
    expected: string,
    found: string,
  ): void {
    const place = { layer: "passt", record, recordNumber: number, fileOffset: at } as const;
    this.note({ ...place, severity: "error", strict: true, field, expected, found });
  }

  private note(finding: Finding): void {
    if (this.findings.length < FINDINGS_MAX) this.findings.push(finding);
  }
}

/** A state that says nothing: no flows, no address seen. For asking a back end what it can read. */
export function emptyPasstState(version: number, compat: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + SEEN_BYTES);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, MAGIC);
  view.setUint32(8, version);
  view.setUint32(12, compat);
  bytes.fill(0xff, 52, 58); // The MAC before any frame was seen.
  return bytes;
}

/** How long a state with this many flows and empty queues is at least. */
export const passtBytesLeast = (flows: number): number =>
  HEADER_BYTES + SEEN_BYTES + flows * FLOW_BYTES;
