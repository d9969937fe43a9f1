// Which framing an input has, by its first bytes; and, where it has none of ours, what it is
// instead.

import { plural } from "../base/index.ts";
import { IMAGE_ID, IMAGE_MARKER } from "./libxc/index.ts";
import { legacyWidthOf } from "./legacy/index.ts";
import { LIBXL_IDENT } from "./libxl/index.ts";
import { XAPI_OLD_SIGNATURE, XAPI_SIGNATURE } from "./xapi/index.ts";
import { BANNER, SAVE_MAGIC } from "./xl/index.ts";

export type Format = "xl" | "libxl" | "libxc" | "xapi" | "legacy";
export type Compression = "zstd" | "gzip";

/** Enough to tell them all apart; the smallest whole stream of any kind is longer. */
export const DETECT_BYTES = 32;

/** The framing, or undefined. `first` holds up to DETECT_BYTES. */
export function detectFormat(first: Uint8Array): Format | undefined {
  if (startsWith(first, SAVE_MAGIC)) return "xl";
  if (startsWith(first, XAPI_SIGNATURE) || startsWith(first, XAPI_OLD_SIGNATURE)) return "xapi";
  if (first.byteLength < 16) return undefined;
  const view = new DataView(first.buffer, first.byteOffset, first.byteLength);
  const start = view.getBigUint64(0, false);
  if (start === LIBXL_IDENT) return "libxl";
  if (start === IMAGE_MARKER) return view.getUint32(8, false) === IMAGE_ID ? "libxc" : undefined;
  return legacyWidthOf(view, 0) === undefined ? undefined : "legacy";
}

export function detectCompression(first: Uint8Array): Compression | undefined {
  if (startsWith(first, [0x28, 0xb5, 0x2f, 0xfd])) return "zstd";
  if (startsWith(first, [0x1f, 0x8b, 0x08])) return "gzip";
  return undefined;
}

const ascii = (text: string) => new TextEncoder().encode(text);

/** Other things that people point at by mistake, and what to do then. */
const STRANGERS: readonly (readonly [Uint8Array, string])[] = [
  [Uint8Array.of(0x51, 0x46, 0x49, 0xfb), "a qcow2 disk image, not a saved guest"],
  [Uint8Array.of(0x7f, 0x45, 0x4c, 0x46), "an ELF file (a program or a core dump)"],
  [ascii("AGENTPAK"), "a packed image: give it back first (agent unpack FILE --to - | ...)"],
  [ascii("QEVM"), "a bare QEMU state, without the guest's memory around it"],
  [ascii("LibvirtQemudSave"), "a libvirt QEMU save image: it holds a QEMU stream, not a Xen one"],
  [ascii("LinuxGuestRecord"), "a save file of xend, which no current toolstack reads"],
  [ascii(BANNER.slice(0, 20)), "the receiver's side of an xl migrate: verify the sender's side"],
  [ascii("KDMV"), "a VMDK disk image"],
  [ascii("conectix"), "a VHD disk image"],
  [Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a), "xz-compressed: uncompress it first (xz -dc)"],
  [Uint8Array.of(0x04, 0x22, 0x4d, 0x18), "lz4-compressed: uncompress it first (lz4 -dc)"],
  [ascii("BZh"), "bzip2-compressed: uncompress it first (bzip2 -dc)"],
  [ascii("PK\x03\x04"), "a zip archive"],
];

/** Inputs shorter than the magic that they begin with. */
const BEGINNINGS: readonly (readonly [Uint8Array, string])[] = [
  [SAVE_MAGIC, "an xl save file"],
  [XAPI_SIGNATURE, "a suspend image"],
  [ascii("LibxlFmt"), "a libxl stream"],
  [new Uint8Array(8).fill(0xff), "a libxc stream"],
];

const isPrefix = (first: Uint8Array, magic: Uint8Array): boolean =>
  startsWith(first, magic.subarray(0, first.byteLength)) &&
  first.byteLength < 16 + magic.byteLength;

/** A description of input that is not a stream: `a qcow2 disk image`, or its first bytes. */
export function describeStranger(first: Uint8Array): string {
  if (first.byteLength === 0) return "no bytes at all: the input is empty";
  const cut = BEGINNINGS.find(([magic]) => isPrefix(first, magic));
  if (cut !== undefined) return `only the first ${plural(first.byteLength, "byte")} of ${cut[1]}`;
  const known = STRANGERS.find(([magic]) => startsWith(first, magic));
  if (known !== undefined) return known[1];
  if (first.every((byte) => byte === 0)) return "nothing but zero bytes at the start";
  return `bytes ${first.subarray(0, 16).toHex()}`;
}

function startsWith(bytes: Uint8Array, magic: ArrayLike<number>): boolean {
  if (bytes.byteLength < magic.length) return false;
  for (let index = 0; index < magic.length; index++) {
    if (bytes[index] !== magic[index]) return false;
  }
  return true;
}
