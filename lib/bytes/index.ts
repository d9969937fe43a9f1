// What other rooms may use of bytes.
export { describeFinding, StreamError } from "./finding.ts";
export type { Finding, Layer, Place, Severity } from "./finding.ts";
export {
  any,
  atLeast,
  between,
  check,
  docs,
  exactly,
  hasRules,
  lax,
  offsetOf,
  oneOf,
  read,
  reserved,
  sizeOf,
  u8,
  u16,
  u16be,
  u32,
  u32be,
  u64,
  u64be,
  write,
} from "./layout.ts";
export type { Field, Integer, Layout, Row } from "./layout.ts";
export { MemorySource } from "./memory-source.ts";
export { BUILD_BYTES_MAX } from "./sink.ts";
export type { Sink } from "./sink.ts";
export { Interrupted, PEEK_BYTES_MAX, WHOLE_BODY_BYTES } from "./source.ts";
export type { Source } from "./source.ts";
