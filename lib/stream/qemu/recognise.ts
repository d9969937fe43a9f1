// Tells a section header of a QEMU stream from device bytes. Format: layout.ts.
//
// Device bytes have no stated length, so that the next header is found by its form alone. Where the
// position is certain (the first section, behind a footer) the form need only be readable; anywhere
// else it must also be what QEMU really writes, so that device bytes rarely pass for it.

import { sizeOf } from "../../bytes/index.ts";
import { ITEM, SECTION_HEAD, SECTION_TAIL } from "./layout.ts";

export interface SectionHeader {
  readonly type: number;
  readonly sectionId: number;
  readonly idstr: string;
  readonly instanceId: number;
  readonly versionId: number;
  readonly headerBytes: number;
}

const ID_LENGTH_AT = sizeOf(SECTION_HEAD);
const IDSTR_AT = ID_LENGTH_AT + 1;

/** Ids count registrations from 0; a busy guest with much hotplug reaches some hundreds. */
const SECTION_ID_MAX = 0xffff;
/** Instances are vcpu numbers, counts, and I/O ports of the oldest devices. */
const INSTANCE_ID_MAX = 0xffff;
/** Most are below 30; that of "eeprom" is a date: 20061113. */
const VERSION_ID_MAX = 99_991_231;
/** The shortest known are "cpu", "dma", "fdc", "mch". */
const IDSTR_BYTES_MIN = 3;
/** Sections stand in the order of their ids within each of QEMU's 8 save priorities. */
const FALLS_MAX = 7;

/** The ids that went before. */
export interface SectionIds {
  readonly known: Set<number>;
  last: number;
  /** How often an id was lower than the one before. */
  falls: number;
}

/** The START or FULL header at `at`; undefined where it is none, or cut by `end`. */
export function sectionAt(view: DataView, at: number, end: number): SectionHeader | undefined {
  if (end - at <= IDSTR_AT) return undefined;
  const type = view.getUint8(at);
  if (type !== ITEM.start && type !== ITEM.full) return undefined;
  const idBytes = view.getUint8(at + ID_LENGTH_AT);
  const tailAt = at + IDSTR_AT + idBytes;
  if (idBytes === 0 || end - tailAt < sizeOf(SECTION_TAIL)) return undefined;
  if (!isPrintable(view, at + IDSTR_AT, tailAt)) return undefined;
  return {
    type,
    sectionId: view.getUint32(at + 1),
    idstr: textAt(view, at + IDSTR_AT, tailAt),
    instanceId: view.getUint32(tailAt),
    versionId: view.getUint32(tailAt + 4),
    headerBytes: tailAt + sizeOf(SECTION_TAIL) - at,
  };
}

/** A header among device bytes: one that QEMU would write behind the sections before it. */
export function likelySectionAt(
  view: DataView,
  at: number,
  place: { readonly end: number; readonly ids: SectionIds },
): SectionHeader | undefined {
  // Two bytes decide nearly always, before anything is made.
  if (place.end - at <= IDSTR_AT || view.getUint16(at + 1) !== 0) return undefined;
  if (!isLikelyId(place.ids, view.getUint32(at + 1))) return undefined;
  const header = sectionAt(view, at, place.end);
  if (header === undefined) return undefined;
  const { idstr, instanceId, versionId } = header;
  if (idstr.length < IDSTR_BYTES_MIN || instanceId > INSTANCE_ID_MAX) return undefined;
  return versionId <= VERSION_ID_MAX ? header : undefined;
}

function isLikelyId({ known, last, falls }: SectionIds, sectionId: number): boolean {
  if (sectionId > SECTION_ID_MAX || known.has(sectionId)) return false;
  return sectionId > last || falls < FALLS_MAX;
}

/** Visible ASCII only: no idstr and no machine has a space in its name. */
export function isPrintable(view: DataView, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const byte = view.getUint8(at);
    if (byte <= 0x20 || byte >= 0x7f) return false;
  }
  return true;
}

export const textAt = (view: DataView, from: number, to: number): string =>
  String.fromCharCode(...new Uint8Array(view.buffer, view.byteOffset + from, to - from));
