// What other rooms may use of the libxl stream format.
export {
  BIG_ENDIAN_MASK,
  CHECKPOINT_STATE_BYTES,
  CONTROL_IDS,
  EMULATOR_HEAD,
  EMULATOR_HEAD_BYTES,
  EMULATORS,
  LEGACY_MASK,
  LIBXL,
  LIBXL_HEADER,
  LIBXL_IDENT,
  LIBXL_RECORD_BYTES_MAX,
  libxlRecordOf,
  RECORD_HEADER,
} from "./layout.ts";
export type { LibxlRecordLayout } from "./layout.ts";
