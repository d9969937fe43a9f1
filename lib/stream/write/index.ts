// What other rooms may use of write.
export { refuseBad, writeFields, writeZeros } from "./fields.ts";
export {
  writeDomainHeader,
  writeImageHeader,
  writeLibxlHeader,
  writeXapiHeader,
  writeXapiSignature,
  writeXlHeader,
} from "./headers.ts";
export { beginBody, beginRecord, endRecord, NO_TAIL, writeRecord } from "./records.ts";
export type { WritableRecord } from "./records.ts";
export { type Edit, Rewriter, UNCHANGED } from "./rewriter.ts";
