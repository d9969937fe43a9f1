// What other rooms may use of the xl save-file format.
export {
  BANNER,
  BYTEORDER_SWAPPED,
  CONFIG_HEAD,
  CONFIG_JSON_MASK,
  GO_MESSAGE,
  RECEIVED_MESSAGE,
  RESULT_MESSAGE,
  SAVE_HEADER,
  SAVE_MAGIC,
  STREAM_V2_MASK,
} from "./layout.ts";
