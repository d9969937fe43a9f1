// What other rooms may use of the QEMU migration stream format.
export {
  COMMAND_HEAD,
  CONFIGURATION_HEAD,
  FILE_HEADER,
  FOOTER,
  ITEM,
  SECTION_HEAD,
  SECTION_TAIL,
  SECTIONS_MAX,
  VMDESCRIPTION_HEAD,
} from "./layout.ts";
export { parseQemuStream } from "./parse.ts";
export type { QemuParser } from "./parse.ts";
export { QEMU_FINDINGS_MAX } from "./state.ts";
export type { QemuSection, QemuVisitor } from "./state.ts";
