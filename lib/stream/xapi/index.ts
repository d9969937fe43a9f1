// What other rooms may use of the xenopsd suspend image format.
export {
  XAPI,
  XAPI_HEADER,
  XAPI_OLD_QEMU_HEAD,
  XAPI_OLD_QEMU_SIGNATURE,
  XAPI_OLD_SIGNATURE,
  XAPI_RECORD_BYTES_MAX,
  XAPI_SIGNATURE,
  xapiRecordOf,
} from "./layout.ts";
export type { XapiRecordLayout } from "./layout.ts";
