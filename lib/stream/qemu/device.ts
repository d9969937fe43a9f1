// Finds where the device bytes of a QEMU section end. The theory stands in parse.ts.

import { hex } from "../../base/index.ts";
import { beginEnding } from "./ending.ts";
import { ITEM, MACHINE_NAME_BYTES_MAX } from "./layout.ts";
import { isPrintable, likelySectionAt, sectionAt } from "./recognise.ts";
import { beginSection, endSection, FOOTER_BYTES, sectionText } from "./state.ts";
import type { OpenSection, State } from "./state.ts";

/** QEMU knows a dozen commands. */
const COMMAND_MAX = 0xff;

/** Looks at device bytes up to `limit`, or to the end of the section. */
export function scanDevice(state: State, limit: number): void {
  const { window, section } = state;
  const { bytes } = window;
  if (section === undefined) return;
  for (let at = window.at; at < limit; at++) {
    const byte = bytes[at]!;
    if (byte === 0) continue; // Most bytes are.
    noteTail(state, at);
    if (byte === ITEM.footer) {
      if (endsAtFooter(state, section, at)) return;
    } else if (byte === ITEM.full || byte === ITEM.start) {
      if (endsAtHeader(state, at)) return;
    }
  }
  window.at = limit;
}

/** A configuration ends where the first section begins: its subsections have no stated length. */
export function scanConfigurationRest(state: State, limit: number): void {
  const { window, ids } = state;
  for (let at = window.at; at < limit; at++) {
    const byte = window.bytes[at];
    if (byte !== ITEM.full && byte !== ITEM.start) continue;
    if (likelySectionAt(window.view, at, { end: window.end, ids }) === undefined) continue;
    window.at = at;
    state.phase = "item";
    return;
  }
  window.at = limit;
}

function noteTail(state: State, at: number): void {
  const { ending, window } = state;
  if (ending === undefined || ending.nonZeroOffset !== undefined) return;
  if (window.base + at >= ending.tailOffset) ending.nonZeroOffset = window.base + at;
}

function endsAtFooter(state: State, section: OpenSection, at: number): boolean {
  const { window } = state;
  const { view, end, base } = window;
  if (state.footers === false || end - at < FOOTER_BYTES) return false;
  const sectionId = view.getUint32(at + 1);
  const nextAt = at + FOOTER_BYTES;
  if (sectionId !== section.sectionId) {
    suspectFooter(state, at, sectionId);
    return false;
  }
  if (nextAt === end || view.getUint8(nextAt) === ITEM.eof) {
    state.ending = beginEnding(state, base + at, nextAt);
    return false;
  }
  if (!isItemAt(state, nextAt)) return false;
  endSection(state, base + at, true);
  state.footers = true;
  window.at = nextAt;
  state.phase = "item";
  return true;
}

/** Another section's footer with a section behind it: wrong, unless these are device bytes. */
function suspectFooter(state: State, at: number, sectionId: number): void {
  const { window, ids } = state;
  if (state.suspect !== undefined) return;
  const place = { end: window.end, ids };
  if (likelySectionAt(window.view, at + FOOTER_BYTES, place) === undefined) return;
  const offset = window.base + at + 1;
  state.suspect = { offset, field: "section_id", found: hex(sectionId) };
  state.footers = true;
}

function endsAtHeader(state: State, at: number): boolean {
  const { window, ids } = state;
  const header = likelySectionAt(window.view, at, { end: window.end, ids });
  if (header === undefined) return false;
  if (state.footers === true) {
    const offset = window.base + at;
    state.suspect ??= { offset, field: "type", found: `section ${sectionText(header)}` };
    return false;
  }
  endSection(state, window.base + at, false);
  state.footers = false;
  window.at = at;
  beginSection(state, header);
  return true;
}

/** Whether what stands behind a footer can be read as an item. */
function isItemAt(state: State, at: number): boolean {
  const { view, end } = state.window;
  const type = view.getUint8(at);
  if (type === ITEM.start || type === ITEM.full) return sectionAt(view, at, end) !== undefined;
  if (end - at < 5) return false;
  if (type === ITEM.part || type === ITEM.end) return state.started.has(view.getUint32(at + 1));
  if (type === ITEM.command) return view.getUint16(at + 1) <= COMMAND_MAX;
  if (type !== ITEM.configuration) return false;
  const length = view.getUint32(at + 1);
  if (length > MACHINE_NAME_BYTES_MAX || end - at < 5 + length) return false;
  return isPrintable(view, at + 5, at + 5 + length);
}
