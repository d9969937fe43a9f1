// QEMU migration stream, as QMP xen-save-devices-state writes it: the body of libxl's
// EMULATOR_CONTEXT behind its sub-header, and of the Qemu_xen record of a xenopsd image. QEMU's
// migration/savevm.c writes and reads it.
//
//   stream        := FILE_HEADER, [configuration], section or command ..., EOF, [vmdescription]
//   configuration := CONFIGURATION_HEAD, machine name, subsections
//   section       := SECTION_HEAD, [identity], device bytes, [FOOTER]
//   identity      := u8 length, idstr, SECTION_TAIL              (START and FULL; not PART and END)
//   command       := COMMAND_HEAD, bytes          vmdescription := VMDESCRIPTION_HEAD, JSON
//
// The length of the device bytes stands nowhere: a reader must know every device. Under Xen QEMU
// writes neither a configuration nor footers; all sections are FULL. Big-endian.

import { assert } from "../../base/index.ts";
import { any, between, exactly, sizeOf, u8, u16be, u32be } from "../../bytes/index.ts";
import type { Field, Layout } from "../../bytes/index.ts";

/** The byte that says what follows. */
export const ITEM = {
  eof: 0x00,
  start: 0x01,
  part: 0x02,
  end: 0x03,
  full: 0x04,
  subsection: 0x05, // Inside device bytes or a configuration only.
  vmdescription: 0x06,
  configuration: 0x07,
  command: 0x08,
  footer: 0x7e,
} as const;

const VERSION: Field<number> = {
  ...exactly(u32be, 3),
  expected: "0x3 (0x2 is too old: no QEMU loads it any more)",
};

export const FILE_HEADER = {
  magic: exactly(u32be, 0x5145_564d),
  version: VERSION,
} satisfies Layout;
export const SECTION_HEAD = { type: any(u8), section_id: any(u32be) } satisfies Layout;
export const SECTION_TAIL = { instance_id: any(u32be), version_id: any(u32be) } satisfies Layout;
export const FOOTER = { type: exactly(u8, ITEM.footer), section_id: any(u32be) } satisfies Layout;
export const COMMAND_HEAD = {
  type: exactly(u8, ITEM.command),
  command: any(u16be),
  length: any(u16be),
} satisfies Layout;
export const VMDESCRIPTION_HEAD = {
  type: exactly(u8, ITEM.vmdescription),
  length: any(u32be),
} satisfies Layout;

/** No machine has a name near this long, and QEMU refuses a name that is not its own machine's. */
export const MACHINE_NAME_BYTES_MAX = 128;
export const CONFIGURATION_HEAD = {
  type: exactly(u8, ITEM.configuration),
  length: between(u32be, 1, MACHINE_NAME_BYTES_MAX),
} satisfies Layout;

/** 128 vcpus with four sections each, and as many devices again. */
export const SECTIONS_MAX = 1024;

/** The longest section header: an idstr has up to 255 bytes. */
export const SECTION_HEADER_BYTES_MAX = sizeOf(SECTION_HEAD) + 1 + 255 + sizeOf(SECTION_TAIL);

assert(sizeOf(FILE_HEADER) === 8, "magic and version");
assert(sizeOf(FOOTER) === 5, "a footer is a byte and a section id");
assert(SECTION_HEADER_BYTES_MAX === 269, "type, id, length, idstr, instance and version");
