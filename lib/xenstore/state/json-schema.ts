// The JSON document of a state: the one format that carries everything. Names are snake_case as in
// every document of ours; fields are only ever added.

import * as v from "valibot";

export const JSON_FORMAT = "xenstore-state";
export const JSON_VERSION = 1;

const text = (what: string) => v.pipe(v.string(), v.description(what));
const count = (what: string) => v.pipe(v.number(), v.integer(), v.minValue(0), v.description(what));
const u64 = (what: string) =>
  v.pipe(
    v.string(),
    v.regex(/^(0|[1-9][0-9]{0,19})$/, "wanted a decimal number below 2^64"),
    v.description(what),
  );

/** Bytes: as a string where all of them are plain characters. */
export const BytesSchema = v.union(
  [
    text("as UTF-8"),
    v.strictObject({
      hex: v.pipe(v.string(), v.regex(/^([0-9a-f]{2})*$/i, "wanted two digits a byte")),
    }),
  ],
  'wanted a string or {"hex": ...}',
);

export const PERMISSION_PATTERN = /^([nrwb])([0-9]{1,5})( \(ignored\))?$/;
const PermissionsSchema = v.pipe(
  v.array(v.pipe(v.string(), v.regex(PERMISSION_PATTERN, "wanted an entry such as n0"))),
  v.description("the owner first; an entry that does not count ends with (ignored)"),
);

const NodeSchema = v.strictObject({
  path: text("absolute, or a special node such as @releaseDomain"),
  value: BytesSchema,
  permissions: PermissionsSchema,
  generation: v.optional(u64("changes with each write; left out where it is not known")),
});

const TransactionNodeSchema = v.strictObject({
  path: text("absolute"),
  read: v.boolean(),
  written: v.boolean(),
  content: v.nullable(v.strictObject({ value: BytesSchema, permissions: PermissionsSchema })),
  generation: v.optional(u64("at the first access; 2^64 - 1 where there was no such node")),
});

const ConnectionSchema = v.strictObject({
  id: count("names the connection inside the document; from 1"),
  channel: v.variant("kind", [
    v.strictObject({ kind: v.literal("socket"), fd: count("descriptor in the daemon") }),
    v.strictObject({
      kind: v.literal("ring"),
      domid: count("the domain"),
      target: v.nullable(count("the domain it acts for since SET_TARGET")),
      gfn: v.nullable(v.pipe(v.number(), v.integer(), v.description("frame of the shared page"))),
      remote_port: v.nullable(count("event channel port of the guest")),
      local_port: v.nullable(count("the daemon's port bound to it")),
    }),
  ]),
  unique_id: v.nullable(u64("tells a domain from an earlier one of the same number")),
  input: v.pipe(BytesSchema, v.description("requests that are not answered yet")),
  output: v.pipe(BytesSchema, v.description("replies and events that are not sent yet")),
  begun_output_bytes: count("so many bytes of the output are the rest of a message"),
  watches: v.array(
    v.strictObject({
      path: text("as it was registered"),
      token: BytesSchema,
      depth: v.nullable(count("levels below the path; null: all")),
    }),
  ),
  transactions: v.array(
    v.strictObject({
      id: count("as the client names it"),
      nodes: v.pipe(v.array(TransactionNodeSchema), v.description("those it has touched")),
    }),
  ),
});

const QuotasSchema = v.array(
  v.strictObject({ name: text("such as nodes"), value: count("0: no limit") }),
);

export const StateDocumentSchema = v.strictObject({
  format: v.literal(JSON_FORMAT),
  version: v.literal(JSON_VERSION),
  global: v.strictObject({
    socket_fd: v.nullable(count("the listening socket")),
    event_channel_fd: v.nullable(count("the event channel device")),
    domain_exception_port: v.nullable(count("our port of VIRQ_DOM_EXC")),
  }),
  quotas: v.strictObject({ per_domain: QuotasSchema, global: QuotasSchema }),
  connections: v.array(ConnectionSchema),
  domains: v.array(
    v.strictObject({
      domid: count("the domain"),
      features: count("mask of the features it was offered"),
      quotas: QuotasSchema,
    }),
  ),
  nodes: v.pipe(v.array(NodeSchema), v.description("parents before their children")),
  unknown: v.pipe(
    v.array(
      v.variant("kind", [
        v.strictObject({
          kind: v.literal("record"),
          type: count("of a migration stream"),
          body: BytesSchema,
        }),
        v.strictObject({ kind: v.literal("line"), text: text("of an oxenstored dump") }),
      ]),
    ),
    v.description("what the reader of another format did not know"),
  ),
});
export type StateDocument = v.InferOutput<typeof StateDocumentSchema>;
