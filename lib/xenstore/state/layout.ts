// The binary migration stream, versions 1 and 2 (docs/designs/xenstore-migration.md and
// tools/xenstored/xenstore_state.h of Xen). No other file knows an offset.
//
//   header, records, END. The header is big-endian, all behind it little-endian.
//   record: type, len, body, padding to 8 bytes
//
// Two variants are in use. The design leaves the padding out of `len`; the C daemon counts it in,
// and reads exactly `len` bytes, so that it takes nothing else. A reader that rounds `len` up to 8
// takes both.

import { assert } from "../../base/index.ts";
import {
  any,
  atLeast,
  between,
  exactly,
  type Layout,
  offsetOf,
  oneOf,
  reserved,
  sizeOf,
  u8,
  u16,
  u32,
  u32be,
  u64,
  u64be,
} from "../../bytes/index.ts";

export const RECORD_ALIGNMENT = 8;
/** DOMID_INVALID: a ring without SET_TARGET. */
export const NO_TARGET = 0x7ff4;
/** -1: a descriptor that is not there. */
export const NO_FD = 0xffff_ffff;
/** A watch with no limit of depth. */
export const NO_DEPTH = 0xffff;

export const HEADER = {
  ident: exactly(u64be, 0x7865_6e73_746f_7265n), // "xenstore"
  version: oneOf(u32be, [1, 2]),
  flags: { ...exactly(u32be, 0), expected: "0x0 (little-endian)" },
} satisfies Layout;

export const RECORD_HEAD = { type: any(u32), len: any(u32) } satisfies Layout;

export const RECORD_TYPE = {
  END: 0,
  GLOBAL_DATA: 1,
  CONNECTION_DATA: 2,
  WATCH_DATA: 3,
  TRANSACTION_DATA: 4,
  NODE_DATA: 5,
  GLOBAL_QUOTA_DATA: 6,
  DOMAIN_DATA: 7,
  WATCH_DATA_EXTENDED: 8,
} as const;

export const GLOBAL_DATA = { rw_socket_fd: any(u32), evtchn_fd: any(u32) } satisfies Layout;

export const CONNECTION_RING = 0;
export const CONNECTION_SOCKET = 1;
export const HAS_UNIQUE_ID = 1;
export const CONNECTION_DATA = {
  conn_id: atLeast(u32, 1),
  conn_type: oneOf(u16, [CONNECTION_RING, CONNECTION_SOCKET]),
  fields: between(u16, 0, HAS_UNIQUE_ID),
} satisfies Layout;
export const RING_SPEC = { domid: any(u16), tdomid: any(u16), evtchn: any(u32) } satisfies Layout;
export const SOCKET_SPEC = { socket_fd: any(u32), pad: reserved(u32) } satisfies Layout;
/** Then the input, the output, padding to 8 bytes, and the unique id where `fields` says so. */
export const CONNECTION_BUFFERS = {
  in_data_len: any(u16),
  out_resp_len: any(u16),
  out_data_len: any(u32),
} satisfies Layout;
export const UNIQUE_ID = { unique_id: any(u64) } satisfies Layout;

/** Then path and token, each with its NUL. */
export const WATCH_DATA = {
  conn_id: atLeast(u32, 1),
  wpath_len: atLeast(u16, 2),
  token_len: atLeast(u16, 1),
} satisfies Layout;
/**
 * As the design has it. The C daemon's struct has no padding, so that it reads the path at 10; and
 * it writes the first 8 bytes alone, so that path and token follow at 8, and `len` may be 8 more
 * than what was written.
 */
export const WATCH_DATA_EXTENDED = {
  ...WATCH_DATA,
  depth: any(u16),
  pad: reserved(u16),
} satisfies Layout;
export const EXTENDED_PATH_PLACES = [12, 10, 8] as const;

export const TRANSACTION_DATA = {
  conn_id: atLeast(u32, 1),
  tx_id: atLeast(u32, 1),
} satisfies Layout;

export const ACCESS_READ = 1;
export const ACCESS_WRITTEN = 2;
/** Then the permissions, the path with its NUL, the value. */
export const NODE_DATA = {
  conn_id: any(u32),
  tx_id: any(u32),
  path_len: atLeast(u16, 2),
  value_len: any(u16),
  access: between(u16, 0, ACCESS_READ + ACCESS_WRITTEN),
  perm_count: any(u16),
} satisfies Layout;
export const PERMISSION_IGNORED = 1;
export const PERMISSION_LETTERS = "nrwb";
export const NODE_PERMISSION = {
  perm: oneOf(u8, [...Buffer.from(PERMISSION_LETTERS)]),
  flags: between(u8, 0, PERMISSION_IGNORED),
  domid: any(u16),
} satisfies Layout;

/** Then the values, u32 each, and the names with their NULs: first those of domains. */
export const GLOBAL_QUOTA_DATA = { n_dom: any(u16), n_glob: any(u16) } satisfies Layout;
export const DOMAIN_DATA = {
  domid: any(u16),
  n_quota: any(u16),
  features: any(u32),
} satisfies Layout;

assert(sizeOf(HEADER) === 16, "the header is 16 bytes");
assert(sizeOf(RECORD_HEAD) === 8, "a record's head is 8 bytes");
assert(sizeOf(GLOBAL_DATA) === 8, "GLOBAL_DATA is 8 bytes");
assert(sizeOf(RING_SPEC) === sizeOf(SOCKET_SPEC), "both kinds of connection take the same room");
assert(
  sizeOf(CONNECTION_DATA) + sizeOf(RING_SPEC) + sizeOf(CONNECTION_BUFFERS) === 24,
  "the data of a connection begin at 24",
);
assert(sizeOf(WATCH_DATA) === 8, "the path of a watch begins at 8");
assert(offsetOf(WATCH_DATA_EXTENDED, "depth") === 8, "the depth of a watch is at 8");
assert(sizeOf(WATCH_DATA_EXTENDED) === 12, "the path of an extended watch begins at 12");
assert(sizeOf(NODE_DATA) === 16, "the permissions of a node begin at 16");
assert(sizeOf(NODE_PERMISSION) === 4, "a permission is 4 bytes");
