// Reads a QEMU migration stream piece by piece and says what is wrong with it. Format: layout.ts.
//
//   file_header --> item --START or FULL--> device --footer--> item ...
//                     |                       '--a likely header, if there are no footers--> device
//                     |--configuration, command--> item        '--end of input--> ending.ts
//                     '--EOF--> behind_eof
//
// Theory of operation. In `item` the position is certain. In `device` the bytes have no stated
// length: the next section is found by its form (recognise.ts), and each byte is looked at once.
// The end of the first section tells whether the stream has footers. From then on one with footers
// ends a section only at a footer with the section's own id and a readable item behind it; a header
// without it is remembered as a suspect and is the mistake only if that footer never comes: until
// then it may be device bytes. EOF is a zero byte, which device bytes are full of: it is known only
// at the end of input.
//
// Pure: pieces in, sections and findings out. Memory is one window and a bounded set of names.

import { assert, hex } from "../../base/index.ts";
import { check, read, sizeOf } from "../../bytes/index.ts";
import { scanConfigurationRest, scanDevice } from "./device.ts";
import { beginEnding, finishStream, lookBehindEof } from "./ending.ts";
import { COMMAND_HEAD, CONFIGURATION_HEAD, FILE_HEADER, ITEM, SECTION_HEAD } from "./layout.ts";
import { isPrintable, sectionAt, textAt } from "./recognise.ts";
import { beginSection, LOOK_AHEAD_BYTES, refuse, report, tell } from "./state.ts";
import type { QemuVisitor, State } from "./state.ts";
import { fillWindow, newWindow } from "./window.ts";

export interface QemuParser {
  /** The next bytes of the stream. Does not keep the piece. */
  feed(piece: Uint8Array): void;
  /** There are no more bytes. Call it once. */
  finish(): void;
}

/** A parser of one stream, whose first byte stands at `fileOffset` of the input. */
export function parseQemuStream(place: State["place"], visitor: QemuVisitor): QemuParser {
  const state: State = {
    place,
    visitor,
    window: newWindow(),
    phase: "file_header",
    givenUp: false,
    findingCount: 0,
    itemCount: 0,
    sectionCount: 0,
    ids: { known: new Set(), last: -1, falls: 0 },
    footers: undefined,
    section: undefined,
    suspect: undefined,
    ending: undefined,
    skipBytes: 0,
    names: new Set(),
    started: new Map(),
  };
  const port = { lookAheadBytes: LOOK_AHEAD_BYTES, look: () => look(state, false) };
  return {
    feed(piece) {
      assert(state.phase !== "finished", "nothing is fed behind finish");
      fillWindow(state.window, piece, port);
    },
    finish() {
      assert(state.phase !== "finished", "finish is called once");
      look(state, true);
      if (!state.givenUp) finishStream(state);
      state.phase = "finished";
    },
  };
}

/** Looks at what is there: as long as a step cannot meet the end of a piece, or `final`. */
function look(state: State, final: boolean): void {
  const { window } = state;
  const leastBytes = final ? 1 : LOOK_AHEAD_BYTES;
  while (!state.givenUp && window.end - window.at >= leastBytes) step(state, final);
  if (state.givenUp) window.at = window.end;
}

function step(state: State, final: boolean): void {
  const { window } = state;
  // Where a scan stops: behind it a header could be cut by the end of the window.
  const limit = final ? window.end : window.end - LOOK_AHEAD_BYTES + 1;
  if (state.phase === "file_header") lookAtFileHeader(state);
  else if (state.phase === "item") lookAtItem(state);
  else if (state.phase === "configuration_rest") scanConfigurationRest(state, limit);
  else if (state.phase === "device") scanDevice(state, limit);
  else lookBehindEof(state);
}

function lookAtFileHeader(state: State): void {
  const { window } = state;
  const bytes = sizeOf(FILE_HEADER);
  if (window.end - window.at < bytes) {
    const found = `${hex(window.end - window.at)} bytes`;
    const expected = `${hex(bytes)} bytes`;
    refuse(state, { record: "file_header", field: "magic", offset: 0, expected, found });
    return;
  }
  const place = { ...state.place, layer: "qemu" as const, record: "file_header" };
  for (const finding of check(FILE_HEADER, window.view, window.at, place)) {
    tell(state, finding);
    state.givenUp = true;
  }
  window.at += bytes;
  state.phase = "item";
}

// ---- Items, at a place that is certain ----------------------------------------------------------

function lookAtItem(state: State): void {
  const { window } = state;
  if (state.skipBytes > 0) {
    const bytes = Math.min(state.skipBytes, window.end - window.at);
    window.at += bytes;
    state.skipBytes -= bytes;
    return;
  }
  const type = window.bytes[window.at];
  if (type === ITEM.start || type === ITEM.full) lookAtSection(state);
  else if (type === ITEM.part || type === ITEM.end) lookAtPart(state);
  else if (type === ITEM.configuration) lookAtConfiguration(state);
  else if (type === ITEM.command) lookAtCommand(state);
  else if (type === ITEM.eof) {
    state.ending = beginEnding(state, window.base + window.at, window.at);
    window.at++;
    state.phase = "behind_eof";
  } else {
    const offset = window.base + window.at;
    const expected = "a section, a command or EOF";
    refuse(state, { record: "section", field: "type", offset, expected, found: hex(type ?? 0) });
  }
}

function lookAtSection(state: State): void {
  const { view, at, end, base } = state.window;
  const header = sectionAt(view, at, end);
  if (header !== undefined) {
    beginSection(state, header);
    return;
  }
  const idLengthAt = at + sizeOf(SECTION_HEAD);
  const idBytes = idLengthAt < end ? view.getUint8(idLengthAt) : 0;
  const isCut = idLengthAt >= end || end - idLengthAt < 1 + idBytes + 8;
  refuse(state, {
    record: "section",
    field: "idstr",
    offset: base + idLengthAt,
    expected: isCut ? "a whole section header" : "a name of visible characters",
    found: isCut ? "the end of the stream" : `${hex(idBytes)} bytes that are none`,
  });
}

function lookAtPart(state: State): void {
  const { view, at, end, base, bytes } = state.window;
  const isCut = end - at < sizeOf(SECTION_HEAD);
  const started = isCut ? undefined : state.started.get(view.getUint32(at + 1));
  if (started === undefined) {
    refuse(state, {
      record: "section",
      field: "section_id",
      offset: base + at + 1,
      expected: "the id of a section that has started",
      found: isCut ? "the end of the stream" : hex(view.getUint32(at + 1)),
    });
    return;
  }
  beginSection(state, { ...started, type: bytes[at]!, headerBytes: sizeOf(SECTION_HEAD) });
}

function lookAtConfiguration(state: State): void {
  const { window } = state;
  const { view, at, end, base } = window;
  const nameAt = at + sizeOf(CONFIGURATION_HEAD);
  const wrong = { record: "configuration", offset: base + at + 1 };
  if (state.itemCount > 0) {
    const expected = "the configuration before everything else";
    const found = "it behind a section or command";
    report(state, "error", { ...wrong, field: "type", offset: base + at, expected, found });
  }
  const length = nameAt > end ? undefined : read(CONFIGURATION_HEAD, view, at).length;
  if (length === undefined || !CONFIGURATION_HEAD.length.accepts(length)) {
    const { expected } = CONFIGURATION_HEAD.length;
    const found = length === undefined ? "the end of the stream" : hex(length);
    refuse(state, { ...wrong, field: "length", expected, found });
  } else if (nameAt + length > end || !isPrintable(view, nameAt, nameAt + length)) {
    const expected = `${hex(length)} visible characters`;
    const found = nameAt + length > end ? "the end of the stream" : "other bytes";
    refuse(state, { ...wrong, field: "name", offset: base + nameAt, expected, found });
  } else {
    state.visitor.configuration(textAt(view, nameAt, nameAt + length));
    state.itemCount++;
    window.at = nameAt + length;
    if (window.bytes[window.at] === ITEM.subsection && window.at < end) {
      state.phase = "configuration_rest";
    }
  }
}

function lookAtCommand(state: State): void {
  const { window } = state;
  const { view, at, end, base } = window;
  if (end - at < sizeOf(COMMAND_HEAD)) {
    const expected = "a whole command";
    const found = "the end of the stream";
    refuse(state, { record: "command", field: "length", offset: base + at + 3, expected, found });
    return;
  }
  state.skipBytes = read(COMMAND_HEAD, view, at).length;
  state.itemCount++;
  window.at = at + sizeOf(COMMAND_HEAD);
}
