// What other rooms may use of output.
export { FdSink } from "./fd-sink.ts";
export { MemorySink } from "./memory-sink.ts";
export { openOutput } from "./open-output.ts";
export type { Output, OutputOptions } from "./open-output.ts";
