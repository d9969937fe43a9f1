// What other rooms may use of stream.
export type { Compression, Format } from "./detect.ts";
export { ConvertReportSchema, convertStream, LegacyListing } from "./convert/index.ts";
export type { ConvertOptions, ConvertReport } from "./convert/index.ts";
export {
  EXPAND_STATUS,
  FileSource,
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
  PAGE_TYPES,
  pfnOf,
  PV_INFO,
  TSC_INFO,
  TYPE_SHIFT,
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
  askByControl,
  goOnRelaying,
  RELAY_KIND,
  RELAY_STATE_VERSION,
  Capture,
  ControlSocket,
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
export type {
  CarriedEnds,
  GatePipe,
  OnError,
  OwnedEnd,
  RelayOptions,
  RelayReport,
  RelayResult,
} from "./relay/index.ts";
export { sampleStream } from "./sample.ts";
export { Chooser, fateOf, isBatch, isVcpuRecord, PageReader, refusal } from "./final/index.ts";
export type { PageEntry } from "./final/index.ts";
export { PageIndex } from "./page-index.ts";
export { BATCH_PFNS_MAX, PageBatch, squashStream, SquashReportSchema } from "./squash/index.ts";
export type { SquashReport } from "./squash/index.ts";
export { VerifyReportSchema, verifyStream, withError } from "./verify/index.ts";
export type { VerifyListener, VerifyReport } from "./verify/index.ts";
export { walk } from "./walk/index.ts";
export type {
  HeaderEvent,
  PfnList,
  Piece,
  StreamRecord,
  Visitor,
  WalkEnd,
  Want,
} from "./walk/index.ts";
export { beginRecord, NO_TAIL, writeRecord } from "./write/index.ts";
export { BANNER, CONFIG_HEAD, CONFIG_JSON_MASK, SAVE_HEADER, SAVE_MAGIC } from "./xl/index.ts";
