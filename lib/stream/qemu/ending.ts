// The end of a QEMU stream: the EOF byte, the description behind it, and what nobody reads.
//
// With footers the stream ends at the last footer with EOF behind it. Without them the last section
// takes all bytes but the last, which is EOF: that a stream is cut there shows only where the last
// byte is not zero.

import { hex } from "../../base/index.ts";
import { read, sizeOf } from "../../bytes/index.ts";
import { ITEM, VMDESCRIPTION_HEAD } from "./layout.ts";
import { endSection, refuse, report, sectionText } from "./state.ts";
import type { Ending, State } from "./state.ts";

/** The stream may end here: device bytes end at `dataEnd`, EOF stands at `eofAt` of the window. */
export function beginEnding(state: State, dataEnd: number, eofAt: number): Ending {
  const { view, end, base } = state.window;
  const hasEof = eofAt < end;
  const descriptionAt = eofAt + 1;
  const headBytes = sizeOf(VMDESCRIPTION_HEAD);
  const hasDescription =
    end - descriptionAt >= headBytes && view.getUint8(descriptionAt) === ITEM.vmdescription;
  const length = hasDescription ? read(VMDESCRIPTION_HEAD, view, descriptionAt).length : 0;
  const behindAt = hasDescription ? descriptionAt + headBytes + length : descriptionAt;
  return { dataEnd, hasEof, tailOffset: base + behindAt, nonZeroOffset: undefined };
}

/** The rest of a stream whose EOF stood at a certain place. */
export function lookBehindEof(state: State): void {
  const { window, ending } = state;
  for (let at = window.at; at < window.end; at++) {
    if (ending === undefined || window.bytes[at] === 0) continue;
    if (window.base + at >= ending.tailOffset) ending.nonZeroOffset ??= window.base + at;
  }
  window.at = window.end;
}

/** All bytes are looked at: says what is missing. */
export function finishStream(state: State): void {
  const { window, ending, phase } = state;
  const offset = window.base + window.end;
  const found = "the end of the stream";
  if (phase === "file_header") {
    const expected = "the stream";
    refuse(state, { record: "file_header", field: "magic", offset, expected, found });
  } else if (state.skipBytes > 0) {
    const expected = `${hex(state.skipBytes)} more bytes of the command`;
    refuse(state, { record: "command", field: "data", offset, expected, found });
  } else if (state.sectionCount === 0) {
    const expected = "at least one section";
    refuse(state, { record: "section", field: "type", offset, expected, found });
  } else if (phase === "device") finishDevice(state, offset);
  else if (phase === "behind_eof" && ending !== undefined) finishTail(state, ending, offset);
  else refuse(state, { record: "eof", field: "type", offset, expected: "0x0 (EOF)", found });
}

function finishDevice(state: State, offset: number): void {
  const { ending, suspect, section } = state;
  if (section === undefined) return;
  if (ending !== undefined) {
    endSection(state, ending.dataEnd, true);
    finishTail(state, ending, offset);
  } else if (suspect !== undefined) {
    const footer = sectionText(section);
    const expected = suspect.field === "type" ? `0x7e, the footer of ${footer}` : footer;
    refuse(state, { record: "footer", ...suspect, expected });
  } else if (state.footers === true) {
    const expected = `0x7e, the footer of ${sectionText(section)}`;
    const found = "the end of the stream";
    refuse(state, { record: "footer", field: "type", offset, expected, found });
  } else {
    finishWithoutFooters(state, section.dataOffset, offset);
  }
}

function finishWithoutFooters(state: State, dataOffset: number, offset: number): void {
  const { window } = state;
  const wrong = { record: "eof", field: "type", expected: "0x0 (EOF)" };
  const last = window.bytes[window.end - 1]!;
  if (offset === dataOffset) refuse(state, { ...wrong, offset, found: "the end of the stream" });
  else if (last === ITEM.eof) {
    endSection(state, offset - 1, false);
    if (state.sectionCount > 1) return;
    // Any machine has more: this one is cut at a zero byte.
    const one = { record: "section", field: "type", expected: "more than one section" };
    report(state, "warning", { ...one, offset, found: "the end of the stream" });
  } else refuse(state, { ...wrong, offset: offset - 1, found: `${hex(last)} in the last byte` });
}

function finishTail(state: State, ending: Ending, offset: number): void {
  const { hasEof, tailOffset, nonZeroOffset } = ending;
  if (!hasEof) {
    const found = "the end of the stream";
    refuse(state, { record: "eof", field: "type", offset, expected: "0x0 (EOF)", found });
  } else if (tailOffset > offset) {
    const expected = `${hex(tailOffset - offset)} more bytes of description`;
    const found = "the end of the stream";
    const wrong = { record: "vmdescription", field: "json", offset, expected, found };
    report(state, "warning", wrong); // QEMU reads it only to pass it over.
  } else if (nonZeroOffset !== undefined) {
    const expected = "nothing but zero bytes behind EOF";
    const found = `${hex(offset - nonZeroOffset)} other bytes`;
    const wrong = { record: "eof", field: "tail", offset: nonZeroOffset, expected, found };
    report(state, "warning", wrong);
  }
}
