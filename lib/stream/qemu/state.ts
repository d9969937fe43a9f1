// What a parser of a QEMU stream knows between two steps, and how it tells what it found.

import { hex } from "../../base/index.ts";
import { sizeOf } from "../../bytes/index.ts";
import type { Finding, Place, Severity } from "../../bytes/index.ts";
import { FOOTER, ITEM, SECTION_HEADER_BYTES_MAX, SECTIONS_MAX } from "./layout.ts";
import type { SectionHeader, SectionIds } from "./recognise.ts";
import type { Window } from "./window.ts";

/** One whole section. */
export interface QemuSection {
  readonly kind: "start" | "part" | "end" | "full";
  readonly sectionId: number;
  /** The device: "fdc", "0000:00:01.1/ide". That of START for PART and END. */
  readonly idstr: string;
  readonly instanceId: number;
  readonly versionId: number;
  /** Of the section header, from the first byte of the stream. */
  readonly offset: number;
  readonly headerBytes: number;
  /** Device bytes, without header and footer. */
  readonly deviceBytes: number;
  readonly hasFooter: boolean;
}

export interface QemuVisitor {
  /** The machine type that a configuration names. Xen's streams have none. */
  configuration(machine: string): void;
  section(section: QemuSection): void;
  finding(finding: Finding): void;
}

/** After this many findings a stream is not looked at any further. */
export const QEMU_FINDINGS_MAX = 64;

export interface OpenSection extends SectionHeader {
  /** In the stream, as all offsets that outlive a step. */
  readonly offset: number;
  readonly dataOffset: number;
}

/** A header that stands where a footer should be, or behind the footer of another section. */
export interface Suspect {
  readonly offset: number;
  readonly field: "type" | "section_id";
  readonly found: string;
}

/** What may be the end of the stream, until more sections follow. */
export interface Ending {
  readonly dataEnd: number;
  readonly hasEof: boolean;
  /** Where the bytes begin that nobody reads: behind EOF and the description of the machine. */
  readonly tailOffset: number;
  nonZeroOffset: number | undefined;
}

export interface State {
  readonly place: Pick<Place, "fileOffset" | "recordNumber">;
  readonly visitor: QemuVisitor;
  readonly window: Window;
  phase: "file_header" | "item" | "configuration_rest" | "device" | "behind_eof" | "finished";
  givenUp: boolean;
  findingCount: number;
  itemCount: number;
  sectionCount: number;
  readonly ids: SectionIds;
  /** Undefined until the first section ends. */
  footers: boolean | undefined;
  section: OpenSection | undefined;
  suspect: Suspect | undefined;
  ending: Ending | undefined;
  /** Bytes of a command that are still to be passed over. */
  skipBytes: number;
  readonly names: Set<string>;
  /** What PART and END go on with, by section id. */
  readonly started: Map<number, SectionHeader>;
}

export const FOOTER_BYTES = sizeOf(FOOTER);
/** No step looks at more bytes at a time: a footer with the section header behind it. */
export const LOOK_AHEAD_BYTES = FOOTER_BYTES + SECTION_HEADER_BYTES_MAX;

const KINDS = new Map<number, QemuSection["kind"]>([
  [ITEM.start, "start"],
  [ITEM.part, "part"],
  [ITEM.end, "end"],
  [ITEM.full, "full"],
]);

// ---- Findings ---------------------------------------------------------------------------------

export interface Wrong {
  readonly record: string;
  readonly field: string;
  readonly offset: number;
  readonly expected: string;
  readonly found: string;
}

export function report(state: State, severity: Severity, { offset, ...wrong }: Wrong): void {
  const { fileOffset, recordNumber } = state.place;
  const place = { layer: "qemu" as const, recordNumber, fileOffset: fileOffset + offset };
  tell(state, { ...place, ...wrong, severity, strict: severity === "error" });
}

/** Reports an error behind which nothing can be read. */
export function refuse(state: State, wrong: Wrong): void {
  report(state, "error", wrong);
  state.givenUp = true;
}

export function tell(state: State, finding: Finding): void {
  if (state.givenUp) return;
  state.visitor.finding(finding);
  state.findingCount++;
  state.givenUp = state.findingCount === QEMU_FINDINGS_MAX;
}

// ---- Sections ---------------------------------------------------------------------------------

/** `0x1b ("0000:00:01.1/ide" 0)` */
export const sectionText = ({ sectionId, idstr, instanceId }: SectionHeader): string =>
  `${hex(sectionId)} ("${idstr}" ${instanceId})`;

/** A section header stands at `window.at`; its device bytes are next. */
export function beginSection(state: State, header: SectionHeader): void {
  const { window } = state;
  const offset = window.base + window.at;
  window.at += header.headerBytes;
  state.section = { ...header, offset, dataOffset: offset + header.headerBytes };
  state.suspect = undefined;
  state.ending = undefined;
  state.phase = "device";
  state.itemCount++;
  if (header.type === ITEM.part || header.type === ITEM.end) return;
  registerSection(state, header, offset);
}

function registerSection(state: State, header: SectionHeader, offset: number): void {
  const { sectionId, idstr, instanceId } = header;
  const { ids } = state;
  state.sectionCount++;
  if (state.sectionCount > SECTIONS_MAX) {
    const expected = `at most ${hex(SECTIONS_MAX)} sections`;
    refuse(state, { record: "section", field: "type", offset, expected, found: "one more" });
    return;
  }
  if (idstr === "ram") {
    const expected = "no guest memory: QEMU does not load it under Xen";
    const found = sectionText(header);
    report(state, "error", {
      record: "section",
      field: "idstr",
      offset: offset + 6,
      expected,
      found,
    });
  }
  const name = `${instanceId} ${idstr}`;
  if (state.names.has(name)) {
    const expected = "each device and instance once";
    const found = `another section of ${sectionText(header)}`;
    report(state, "error", {
      record: "section",
      field: "idstr",
      offset: offset + 6,
      expected,
      found,
    });
  }
  if (ids.known.has(sectionId)) {
    const expected = "an id of its own";
    const found = sectionText(header);
    const wrong = { record: "section", field: "section_id", offset: offset + 1, expected, found };
    report(state, "warning", wrong);
  }
  state.names.add(name);
  ids.known.add(sectionId);
  if (sectionId < ids.last) ids.falls++;
  ids.last = sectionId;
  if (header.type === ITEM.start) state.started.set(sectionId, header);
}

/** The open section's device bytes end at this offset in the stream. */
export function endSection(state: State, dataEnd: number, hasFooter: boolean): void {
  const { section } = state;
  if (section === undefined || state.givenUp) return;
  const { type, sectionId, idstr, instanceId, versionId, offset, dataOffset, headerBytes } =
    section;
  const deviceBytes = dataEnd - dataOffset;
  const kind = KINDS.get(type) ?? "full";
  const identity = { kind, sectionId, idstr, instanceId, versionId };
  state.visitor.section({ ...identity, offset, headerBytes, deviceBytes, hasFooter });
  state.section = undefined;
}
