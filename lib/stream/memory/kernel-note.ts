// What a Linux kernel says of itself (VMCOREINFO): its release, where its symbols are, sizes of its
// structures. It keeps that as an ELF note at the start of a page, ready for a dump; drgn and crash
// want it in the core file.

import { sizeOf, u32 } from "../../bytes/index.ts";
import { borrow, type Fd, readAt } from "../../sys/index.ts";
import { PAGE_BYTES } from "../libxc/index.ts";
import { NHDR } from "./elf-layout.ts";
import type { PagePlaces } from "./page-places.ts";

const NAME = new TextEncoder().encode("VMCOREINFO\0");
const FIRST_LINE = new TextEncoder().encode("OSRELEASE=");
const NAME_AT = sizeOf(NHDR);
const DESCRIPTION_AT = NAME_AT + Math.ceil(NAME.byteLength / 4) * 4;
/** VMCOREINFO_BYTES: one page, so that the note can reach into the page behind. */
const DESCRIPTION_BYTES_MAX = 4096;
export const KERNEL_NOTE_BYTES_MAX = DESCRIPTION_AT + DESCRIPTION_BYTES_MAX;

export interface KernelNote {
  /** The whole note; undefined where a part of it is not in memory. */
  read(places: PagePlaces, source: Fd): Uint8Array | undefined;
}

/** The note that begins this page; undefined where none does. */
export function findKernelNote(pfn: number, page: DataView): KernelNote | undefined {
  if (u32.get(page, 0) !== NAME.byteLength || u32.get(page, 8) !== 0) return undefined;
  const descriptionBytes = u32.get(page, 4);
  if (descriptionBytes === 0 || descriptionBytes > DESCRIPTION_BYTES_MAX) return undefined;
  const has = (at: number, wanted: Uint8Array) =>
    wanted.every((byte, index) => page.getUint8(at + index) === byte);
  if (!has(NAME_AT, NAME) || !has(DESCRIPTION_AT, FIRST_LINE)) return undefined;
  const bytes = DESCRIPTION_AT + Math.ceil(descriptionBytes / 4) * 4;
  return { read: (places, source) => readNote({ places, source }, pfn, bytes) };
}

function readNote(
  { places, source }: { readonly places: PagePlaces; readonly source: Fd },
  pfn: number,
  bytes: number,
): Uint8Array | undefined {
  using loan = borrow(2 * PAGE_BYTES);
  for (let page = 0; page * PAGE_BYTES < bytes; page++) {
    const offset = places.get(pfn + page);
    if (offset === 0) return undefined;
    readAt(source, loan.region.address + page * PAGE_BYTES, PAGE_BYTES, offset);
  }
  return loan.region.bytes.slice(0, bytes);
}
