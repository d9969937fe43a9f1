// The wire's operation numbers and limits, the quotas and the features.
// Sources: xen/include/public/io/xs_wire.h, docs/misc/xenstore.txt, tools/xenstored/domain.c.

export const HEADER_BYTES = 16;
/** XENSTORE_PAYLOAD_MAX. */
export const PAYLOAD_BYTES_MAX = 4096;
/** XENSTORE_ABS_PATH_MAX. */
export const PATH_BYTES_MAX = 3072;

export const OPERATION = {
  CONTROL: 0,
  DIRECTORY: 1,
  READ: 2,
  GET_PERMS: 3,
  WATCH: 4,
  UNWATCH: 5,
  TRANSACTION_START: 6,
  TRANSACTION_END: 7,
  INTRODUCE: 8,
  RELEASE: 9,
  GET_DOMAIN_PATH: 10,
  WRITE: 11,
  MKDIR: 12,
  RM: 13,
  SET_PERMS: 14,
  WATCH_EVENT: 15,
  ERROR: 16,
  IS_DOMAIN_INTRODUCED: 17,
  RESUME: 18,
  SET_TARGET: 19,
  RESET_WATCHES: 21,
  DIRECTORY_PART: 22,
  GET_FEATURE: 23,
  SET_FEATURE: 24,
  GET_QUOTA: 25,
  SET_QUOTA: 26,
} as const;

/** Quotas of a domain in the C daemon's order, with its defaults. 0: no limit. */
export const QUOTAS = [
  { name: "nodes", value: 1000 },
  { name: "watches", value: 128 },
  { name: "outstanding", value: 20 },
  { name: "memory", value: 2 * 1024 * 1024 + 512 * 1024 },
  { name: "soft-memory", value: 2 * 1024 * 1024 },
  { name: "transactions", value: 10 },
  { name: "transaction-nodes", value: 1024 },
  { name: "node-permissions", value: 5 },
  { name: "path-max", value: 2048 },
  { name: "node-size", value: 2048 },
] as const;
export type QuotaName = (typeof QUOTAS)[number]["name"];

/** Bits of a domain's features, as they stand in the ring page. */
export const FEATURE_MASK = { error: 2, watchDepth: 4, domidAny: 8 } as const;

/** Bits of CONTROL log's switches: objects, input and output, write limits, accounting, tree. */
export const LOG_SWITCH = { obj: 1, io: 2, wrl: 4, acc: 8, tdb: 16 } as const;

export const DOMID = {
  first_reserved: 0x7ff0,
  self: 0x7ff0,
  invalid: 0x7ff4,
  any: 0x7ff5,
} as const;
