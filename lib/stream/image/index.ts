// What other rooms may use of image.
export { assembleFolder } from "./assemble.ts";
export type { Assembled, AssembleOptions } from "./assemble.ts";
export { extractStream } from "./extract.ts";
export type { Extracted, ExtractOptions } from "./extract.ts";
export { storeFolder } from "./stored-folder.ts";
