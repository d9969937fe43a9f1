// What other rooms may use of final: which parts of a stream make up the state at its end.
export { Chooser, fateOf, isVcpuRecord } from "./choose.ts";
export type { Image } from "./choose.ts";
export { isBatch, PageReader, refusal, TYPE_HOLE } from "./page-reader.ts";
export type { PageEntry } from "./page-reader.ts";
export { indexOrdinal, passOver, tooScattered } from "./pass.ts";
export { surveyInput } from "./survey.ts";
export type { Survey } from "./survey.ts";
