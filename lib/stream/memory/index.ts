// What other rooms may use of memory.
export { extractMemory, MEMORY_FORMATS } from "./extract-memory.ts";
export type { ExtractedMemory, ExtractMemoryOptions, MemoryFormat } from "./extract-memory.ts";
