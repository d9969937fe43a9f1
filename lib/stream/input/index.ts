// What other rooms may use of input.
export { EXPAND_STATUS } from "./expander.ts";
export type { SelfCommand } from "./expander.ts";
export { FileSource } from "./file-source.ts";
export { identityOf, openInput } from "./open-input.ts";
export type { Input, InputOptions } from "./open-input.ts";
export { PipeSource } from "./pipe-source.ts";
export { rateLimiter } from "./rate-limit.ts";
export { storeInput } from "./stored-input.ts";
export type { StoredInput } from "./stored-input.ts";
export { zstdFrames } from "./zstd-frames.ts";
