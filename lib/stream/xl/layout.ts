// The xl save-file header (tools/xl/xl.h, struct save_file_header): 48 bytes, then optional data.
//
//   0  magic            32 bytes, "Xen saved domain, xl format" LF SP NUL SP CR
//  32  fields           SAVE_HEADER, in the byte order of the writing host
//  48  optional data    optional_data_len bytes: u32 length of the config, the config (JSON and
//                       a NUL)
//
// A libxl stream follows (flag STREAM_V2), or a legacy stream. xl migrate sends the same header
// first.

import { assert } from "../../base/index.ts";
import { any, exactly, type Field, lax, reserved, sizeOf, u32 } from "../../bytes/index.ts";

export const SAVE_MAGIC = new TextEncoder().encode("Xen saved domain, xl format\n \0 \r");
assert(SAVE_MAGIC.byteLength === 32, "the xl magic is 32 bytes without a terminating NUL");

export const CONFIG_JSON_MASK = 1 << 0;
export const STREAM_V2_MASK = 1 << 1;
const KNOWN_FLAGS = CONFIG_JSON_MASK | STREAM_V2_MASK;

const knownFlags: Field<number> = {
  ...u32,
  expected: "no bits but 0x1 (JSON config) and 0x2 (v2 stream)",
  severity: "error", // xl: "Savefile has mandatory flag(s) ... which are not supported".
  accepts: (flags) => (flags & ~KNOWN_FLAGS) === 0,
};

export const SAVE_HEADER = {
  byteorder: exactly(u32, 0x01020304),
  mandatory_flags: knownFlags,
  optional_flags: lax(reserved(u32)),
  optional_data_len: any(u32, "size of the optional data in bytes"),
};
assert(sizeOf(SAVE_HEADER) === 16, "the fields behind the magic are 16 bytes");

/** byteorder as a big-endian host wrote it. */
export const BYTEORDER_SWAPPED = 0x04030201;

/** First field of the optional data. */
export const CONFIG_HEAD = { config_len: any(u32, "size of the config in bytes, its NUL counted") };

// ---- The xl migrate handshake (tools/xl/xl_migrate.c) ----------------------------------------

export const BANNER = "xl migration receiver ready, send binary domain data.\n";
/** What the sender sends behind the stream when the receiver may go on. */
export const GO_MESSAGE = "domain is yours, you are cleared to unpause\0";
/** The receiver has read the whole stream. */
export const RECEIVED_MESSAGE = "domain received, ready to unpause\0";
/** One byte follows: 0, or what went wrong when the receiver unpaused its copy. */
export const RESULT_MESSAGE = "my copy unpause results are as follows\0";
assert(BANNER.length === 54, "the receiver's banner is 54 bytes");
assert(GO_MESSAGE.length === 44, "the sender's message is 44 bytes");
