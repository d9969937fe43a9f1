// xenopsd's suspend image (xen-api ocaml/xenopsd/lib/suspend_image.ml): what a suspend VDI and a
// xapi pool migration carry. A 15-byte signature, then a header (u64 type, u64 length) and its
// record, in turn, until END_OF_IMAGE. Records are not padded, and behind the signature nothing is
// aligned.
//
// The older layout has another signature, then a libxc stream at once, and for HVM
// "QemuDeviceModelRecord\n", a big-endian u32 length and the QEMU record.

import { assert } from "../../base/index.ts";
import { any, sizeOf, u32be, u64 } from "../../bytes/index.ts";

const text = (ascii: string) => new TextEncoder().encode(ascii);

export const XAPI_SIGNATURE = text("XenSavedDomv2-\n");
export const XAPI_OLD_SIGNATURE = text("XenSavedDomain\n");
export const XAPI_OLD_QEMU_SIGNATURE = text("QemuDeviceModelRecord\n");
assert(XAPI_SIGNATURE.byteLength === 15, "the signature is 15 bytes");
assert(XAPI_OLD_SIGNATURE.byteLength === 15, "the older signature is 15 bytes");

export const XAPI_HEADER = { type: any(u64), length: any(u64, "bytes of the record") };
assert(sizeOf(XAPI_HEADER) === 16, "a suspend image header is two u64");
export const XAPI_OLD_QEMU_HEAD = { length: any(u32be, "bytes of the QEMU record") };

/**
 * xenopsd refuses a QEMU record of some MiB; ours is generous, and the same for all opaque states.
 */
export const XAPI_RECORD_BYTES_MAX = 128 * 1024 * 1024;

export interface XapiRecordLayout {
  readonly type: number;
  readonly name: string;
  /** libxc, libxl and legacy streams have no length of their own: they are walked to their end. */
  readonly content: "bytes" | "libxc" | "libxl" | "legacy" | "qemu" | "end";
  readonly meaning: string;
}

export const XAPI: readonly XapiRecordLayout[] = [
  {
    type: 0x000f,
    name: "XENOPS",
    content: "bytes",
    meaning: "S-expression: time, VM metadata, xenstore",
  },
  {
    type: 0x00f0,
    name: "LIBXC",
    content: "libxc",
    meaning: "a libxc stream; the length means nothing",
  },
  { type: 0x00f1, name: "LIBXL", content: "libxl", meaning: "a libxl stream (reserved)" },
  { type: 0x00f2, name: "LIBXC_LEGACY", content: "legacy", meaning: "a legacy libxc stream" },
  { type: 0x0f00, name: "QEMU_TRAD", content: "bytes", meaning: "qemu-traditional's saved state" },
  { type: 0x0f01, name: "QEMU_XEN", content: "qemu", meaning: "QEMU's saved state" },
  { type: 0x0f10, name: "DEMU", content: "bytes", meaning: "vGPU state" },
  { type: 0x0f11, name: "VARSTORED", content: "bytes", meaning: "UEFI variable store" },
  { type: 0x0f12, name: "SWTPM0", content: "bytes", meaning: "vTPM state, older coding" },
  { type: 0x0f13, name: "SWTPM", content: "bytes", meaning: "vTPM state" },
  { type: 0xffff, name: "END_OF_IMAGE", content: "end", meaning: "the end; its length is 0" },
];

const BY_TYPE = new Map(XAPI.map((record) => [record.type, record]));
export const xapiRecordOf = (type: number): XapiRecordLayout | undefined => BY_TYPE.get(type);
