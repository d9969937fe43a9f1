// The notes of a core file: each vcpu's registers, for debuggers, and what Xen's dump-core format
// says.

import { type Layout, sizeOf, write } from "../../bytes/index.ts";
import { PAGE_BYTES } from "../libxc/index.ts";
import {
  NHDR,
  NT,
  PRSTATUS,
  QEMU_CPU_BYTES,
  QEMU_CPU_HEAD,
  QEMU_CPU_TAIL,
  QEMU_NOTE_TYPE,
  QEMU_SEGMENT,
  QEMU_SEGMENTS,
  XEN_FORMAT_VERSION,
  XEN_HEADER,
  XEN_MAGIC,
  XEN_NOTE,
  XEN_VERSION_HEAD,
  XEN_VERSION_STRINGS_BYTES,
  XEN_VERSION_TAIL,
} from "./elf-layout.ts";
import type { GuestMemory } from "./guest-memory.ts";
import type { Vcpu } from "./vcpu.ts";

type Values = Readonly<Record<string, bigint | number | undefined>>;

/** A layout's bytes; what has no value is 0. */
export function pack(layout: Layout, values: Values): Uint8Array {
  const row = Object.fromEntries(
    Object.entries(layout).map(([name, { bytes }]) => {
      const value = BigInt.asUintN(bytes * 8, BigInt(values[name] ?? 0));
      return [name, bytes === 8 ? value : Number(value)];
    }),
  );
  const bytes = new Uint8Array(sizeOf(layout));
  write(layout, new DataView(bytes.buffer), 0, row as Parameters<typeof write>[3]);
  return bytes;
}

function note(name: string, type: number, description: Uint8Array): Uint8Array {
  const label = new TextEncoder().encode(`${name}\0`);
  const head = pack(NHDR, { namesz: label.byteLength, descsz: description.byteLength, type });
  return Buffer.concat([head, padded(label), padded(description)]);
}

const padded = (bytes: Uint8Array): Uint8Array => {
  const whole = new Uint8Array(Math.ceil(bytes.byteLength / 4) * 4);
  whole.set(bytes);
  return whole;
};

// ---- For debuggers ---------------------------------------------------------------------------

/** `bits`: of the core file. A vcpu is a thread; threads count from 1. */
export function vcpuNotes(vcpus: readonly Vcpu[], bits: 32 | 64): Uint8Array {
  const notes: Uint8Array[] = [];
  for (const vcpu of vcpus) {
    const { registers, fpu, id } = vcpu;
    const fpvalid = bits === 64 ? 1 : 0;
    notes.push(
      note("CORE", NT.PRSTATUS, pack(PRSTATUS[bits], { ...registers, pid: id + 1, fpvalid })),
    );
    if (bits === 64) notes.push(note("CORE", NT.FPREGSET, fpu));
  }
  if (bits === 64) {
    for (const vcpu of vcpus) {
      if (vcpu.segments.length === QEMU_SEGMENTS) {
        notes.push(note("QEMU", QEMU_NOTE_TYPE, qemuState(vcpu)));
      }
    }
  }
  return Buffer.concat(notes);
}

function qemuState({ registers, segments }: Vcpu): Uint8Array {
  return Buffer.concat([
    pack(QEMU_CPU_HEAD, { ...registers, version: 1, size: QEMU_CPU_BYTES }),
    ...segments.map(({ selector, limit, flags, base }) =>
      pack(QEMU_SEGMENT, { selector, limit, flags, base }),
    ),
    pack(QEMU_CPU_TAIL, registers),
  ]);
}

// ---- For Xen's tools -------------------------------------------------------------------------

/** The notes of .note.Xen. */
export function xenNotes({ type, vcpus, places, xen }: GuestMemory): Uint8Array {
  const [major, minor] = xen;
  return Buffer.concat([
    note("Xen", XEN_NOTE.NONE, new Uint8Array(0)),
    note(
      "Xen",
      XEN_NOTE.HEADER,
      pack(XEN_HEADER, {
        magic: XEN_MAGIC[type],
        nr_vcpus: vcpus.length,
        nr_pages: places.count,
        page_size: PAGE_BYTES,
      }),
    ),
    note(
      "Xen",
      XEN_NOTE.XEN_VERSION,
      Buffer.concat([
        pack(XEN_VERSION_HEAD, { major, minor }),
        new Uint8Array(XEN_VERSION_STRINGS_BYTES),
        pack(XEN_VERSION_TAIL, { virt_start: 0, page_size: PAGE_BYTES }),
      ]),
    ),
    note("Xen", XEN_NOTE.FORMAT_VERSION, pack(XEN_FORMAT_VERSION, { version: 1 })),
  ]);
}
