// What other rooms may use of pack.
export { PACK_MAGIC } from "./layout.ts";
export { packStream } from "./pack.ts";
export type { PackOptions } from "./pack.ts";
export { PackReportSchema, UnpackReportSchema } from "./report.ts";
export type { PackReport, UnpackReport } from "./report.ts";
export { PackedImage, unpackImage } from "./unpack.ts";
export type { UnpackRange } from "./unpack.ts";
