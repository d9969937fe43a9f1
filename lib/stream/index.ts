// What other rooms may use of stream.
export type { Compression, Format } from "./detect.ts";
export { ConvertReportSchema, convertStream, LegacyListing } from "./convert/index.ts";
export type { ConvertOptions, ConvertReport } from "./convert/index.ts";
export {
  EXPAND_STATUS,
  identityOf,
  openInput,
  rateLimiter,
  storeInput,
  zstdFrames,
} from "./input/index.ts";
export type { Input, SelfCommand, StoredInput } from "./input/index.ts";
export { compareSides, DiffReportSchema, readSideA, readSideB } from "./diff/index.ts";
export type { DiffReport, StateDifference } from "./diff/index.ts";
export { formatDocs } from "./format-docs.ts";
export {
  DOMAIN_HEADER,
  DOMAIN_PV,
  IMAGE_HEADER,
  LIBXC,
  libxcRecordOf,
  OPTION_BIG_ENDIAN_MASK,
  P2M_FRAMES_HEAD,
  PV_INFO,
  TSC_INFO,
  VCPU_HEAD,
} from "./libxc/index.ts";
export {
  EMULATOR_HEAD,
  EMULATOR_HEAD_BYTES,
  EMULATORS,
  LEGACY_MASK,
  LIBXL,
  LIBXL_HEADER,
  libxlRecordOf,
} from "./libxl/index.ts";
export {
  InspectReportSchema,
  inspectStream,
  RECORD_KEPT_BYTES,
  withDamage,
} from "./inspect/index.ts";
export type {
  InspectIteration,
  InspectMemoryMap,
  InspectOptions,
  InspectReport,
  InspectVcpu,
  PageVersion,
  RecordDetail,
} from "./inspect/index.ts";
export { assembleFolder, extractStream, storeFolder } from "./image/index.ts";
export type { Assembled, Extracted } from "./image/index.ts";
export { extractMemory, MEMORY_FORMATS } from "./memory/index.ts";
export type { ExtractedMemory } from "./memory/index.ts";
export { FdSink, openOutput } from "./output/index.ts";
export type { Output, OutputOptions } from "./output/index.ts";
export {
  PackedImage,
  PackReportSchema,
  packStream,
  unpackImage,
  UnpackReportSchema,
} from "./pack/index.ts";
export type { PackReport, UnpackReport } from "./pack/index.ts";
export {
  Capture,
  inheritedEnd,
  LIFELINE,
  MessageGate,
  openSourceEnd,
  openTargetEnd,
  ownEnd,
  pipeForChildren,
  relayCommand,
  RelayReportSchema,
  relayStream,
  send,
  workerEnds,
} from "./relay/index.ts";
export type { GatePipe, OnError, OwnedEnd, RelayReport, RelayResult } from "./relay/index.ts";
export { sampleStream } from "./sample.ts";
export { squashStream, SquashReportSchema } from "./squash/index.ts";
export type { SquashReport } from "./squash/index.ts";
export { VerifyReportSchema, verifyStream, withError } from "./verify/index.ts";
export type { VerifyListener, VerifyReport } from "./verify/index.ts";
export type { HeaderEvent, Piece, StreamRecord } from "./walk/index.ts";
