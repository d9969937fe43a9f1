// What other rooms may use of the legacy stream format.
export {
  LEGACY_BATCH_PFNS_MAX,
  LEGACY_BLOB_BYTES_MAX,
  LEGACY_CHUNKS,
  LEGACY_EXTENDED_BLOCK,
  LEGACY_EXTENDED_VCPU_BYTES,
  LEGACY_P2M_SIZE_MAX,
  LEGACY_PFN_MASK,
  LEGACY_QEMU_SIGNATURE_BYTES,
  LEGACY_QEMU_SIGNATURES,
  LEGACY_TYPE_SHIFT,
  LEGACY_VCPU_BLOCK,
  LEGACY_VCPU_ID_MAX,
  LEGACY_VCPU_WIDTH,
  LEGACY_XSAVE_BLOCK,
  legacyChunkOf,
  legacyWidthOf,
} from "./layout.ts";
export type { LegacyChunk, LegacyPayload } from "./layout.ts";
