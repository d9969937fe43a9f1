// The guest's config in an xl save file: JSON as xl wrote it. Gives the guest's type to the other
// checks.

import * as v from "valibot";
import { CONFIG_HEAD } from "../xl/index.ts";
import { read, sizeOf } from "../../bytes/index.ts";
import type { Piece, StreamRecord } from "../walk/index.ts";
import type { FindingLog } from "./finding-log.ts";

/** Only what is used here; xl writes much more. */
const Config = v.looseObject({
  c_info: v.looseObject({ type: v.optional(v.string()), name: v.optional(v.string()) }),
});

export interface XlConfig {
  /** "pv", "hvm", "pvh". */
  readonly type: string | undefined;
  readonly name: string | undefined;
}

const HEAD_BYTES = sizeOf(CONFIG_HEAD);
/** As libxl reads them (libxl_domain_type_from_string). */
const GUEST_TYPES: readonly string[] = ["pv", "hvm", "pvh"];
/** A parser's message quotes the text, however long its words are. */
const FOUND_CHARS_MAX = 80;
const NOTHING: XlConfig = { type: undefined, name: undefined };

/**
 * Checks the optional data, whole in `piece`. `isJson`: the header says that the config is JSON.
 */
export function checkXlConfig(
  {
    record,
    piece,
    log,
  }: {
    readonly record: StreamRecord;
    readonly piece: Piece;
    readonly log: FindingLog;
  },
  isJson: boolean,
): XlConfig {
  if (record.bodyBytes < HEAD_BYTES) {
    const expected = `at least ${HEAD_BYTES} bytes`;
    const place = { field: "optional_data_len", fileOffset: record.fileOffset - 4 };
    log.error(record, { ...place, expected, found: record.bodyBytes });
    return NOTHING;
  }
  const { config_len: bytes } = read(CONFIG_HEAD, piece.view, piece.at);
  if (bytes > record.bodyBytes - HEAD_BYTES) {
    const expected = `at most ${record.bodyBytes - HEAD_BYTES}`;
    log.error(record, { field: "config_len", expected, found: bytes });
    return NOTHING;
  }
  if (!isJson || bytes === 0) return NOTHING;
  const start = piece.at + HEAD_BYTES;
  const end = piece.bytes[start + bytes - 1] === 0 ? start + bytes - 1 : start + bytes;
  return parseConfig(record, piece.bytes.slice(start, end), log);
}

function parseConfig(record: StreamRecord, json: Uint8Array, log: FindingLog): XlConfig {
  const fileOffset = record.bodyOffset + HEAD_BYTES;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json));
  } catch (error) {
    // SyntaxError or a TypeError for bytes that are not UTF-8: either way xl cannot read it.
    const message = error instanceof Error ? error.message : "something else";
    const found = printable(message);
    log.error(record, { field: "config", fileOffset, expected: "JSON", found });
    return NOTHING;
  }
  const config = v.safeParse(Config, value);
  if (config.success) {
    const { type, name } = config.output.c_info;
    if (type === undefined || GUEST_TYPES.includes(type)) return { type, name };
    const expected = `a c_info.type of ${GUEST_TYPES.join(", ")}`;
    log.error(record, { field: "config", fileOffset, expected, found: printable(type) });
    return { type: undefined, name };
  }
  const expected = "a guest's config with c_info";
  log.error(record, {
    field: "config",
    fileOffset,
    expected,
    found: describeIssue(config.issues[0]),
  });
  return NOTHING;
}

/** `nothing as c_info`, `Object as c_info.name` */
function describeIssue(issue: v.InferIssue<typeof Config>): string {
  const received = issue.received === "undefined" ? "nothing" : issue.received;
  return printable(`${received} as ${v.getDotPath(issue) ?? "the config"}`);
}

/** The start of a text out of the stream, or about it, without what a terminal would act upon. */
function printable(text: string): string {
  const more = text.length > FOUND_CHARS_MAX ? "..." : "";
  return `${text.slice(0, FOUND_CHARS_MAX).replace(/[^ -~]/g, "?")}${more}`;
}
