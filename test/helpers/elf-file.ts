// Reads ELF core files by the byte offsets of the specification: nothing is shared with the writer.

export interface ElfSegment {
  readonly type: number;
  readonly offset: number;
  readonly address: bigint;
  readonly physical: number;
  readonly bytes: number;
}

export interface ElfNote {
  readonly name: string;
  readonly type: number;
  readonly description: Uint8Array;
}

export interface ElfFile {
  readonly bits: 32 | 64;
  readonly machine: number;
  readonly segments: readonly ElfSegment[];
  readonly notes: readonly ElfNote[];
  /** Contents by section name. */
  readonly sections: ReadonlyMap<string, Uint8Array>;
}

export function readElf(bytes: Uint8Array): ElfFile {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, false) !== 0x7f45_4c46) throw new Error("No ELF file");
  const bits = bytes[4] === 2 ? 64 : 32;
  const word = (at: number) =>
    bits === 64 ? Number(view.getBigUint64(at, true)) : view.getUint32(at, true);
  const [shoff, phnumAt] = bits === 64 ? [word(40), 56] : [word(32), 44];
  const sectionHeaders = sectionsOf(view, {
    bits,
    shoff,
    count: view.getUint16(phnumAt + 4, true),
  });
  const counted = view.getUint16(phnumAt, true);
  const phnum =
    counted === 0xffff ? view.getUint32(shoff + (bits === 64 ? 44 : 28), true) : counted;
  const phoff = bits === 64 ? word(32) : word(28);
  const segments: ElfSegment[] = [];
  for (let index = 0; index < phnum; index++) {
    const at = phoff + index * (bits === 64 ? 56 : 32);
    const type = view.getUint32(at, true);
    const segment =
      bits === 64
        ? {
            offset: word(at + 8),
            address: view.getBigUint64(at + 16, true),
            physical: word(at + 24),
            bytes: word(at + 32),
          }
        : {
            offset: word(at + 4),
            address: BigInt(word(at + 8)),
            physical: word(at + 12),
            bytes: word(at + 16),
          };
    segments.push({ type, ...segment });
  }
  const names = sectionHeaders[view.getUint16(phnumAt + 6, true)]!;
  const nameAt = (at: number) => {
    const start = names.offset + at;
    return Buffer.from(bytes.subarray(start, bytes.indexOf(0, start))).toString("latin1");
  };
  return {
    bits,
    machine: view.getUint16(18, true),
    segments,
    notes: segments
      .filter(({ type }) => type === 4)
      .flatMap((one) => notesOf(bytes.subarray(one.offset, one.offset + one.bytes))),
    sections: new Map(
      sectionHeaders.map(({ name, offset, size }) => [
        nameAt(name),
        bytes.subarray(offset, offset + size),
      ]),
    ),
  };
}

function sectionsOf(
  view: DataView,
  {
    bits,
    shoff,
    count,
  }: { readonly bits: 32 | 64; readonly shoff: number; readonly count: number },
): { readonly name: number; readonly offset: number; readonly size: number }[] {
  return Array.from({ length: count }, (_, index) => {
    const at = shoff + index * (bits === 64 ? 64 : 40);
    const name = view.getUint32(at, true);
    if (bits === 32) {
      return { name, offset: view.getUint32(at + 16, true), size: view.getUint32(at + 20, true) };
    }
    const [offset, size] = [view.getBigUint64(at + 24, true), view.getBigUint64(at + 32, true)];
    return { name, offset: Number(offset), size: Number(size) };
  });
}

export function notesOf(bytes: Uint8Array): ElfNote[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const notes: ElfNote[] = [];
  for (let at = 0; at + 12 <= bytes.byteLength;) {
    const [nameBytes, size] = [view.getUint32(at, true), view.getUint32(at + 4, true)];
    const type = view.getUint32(at + 8, true);
    const bodyAt = at + 12 + Math.ceil(nameBytes / 4) * 4;
    const name = Buffer.from(bytes.subarray(at + 12, at + 12 + nameBytes - 1)).toString("latin1");
    notes.push({ name, type, description: bytes.subarray(bodyAt, bodyAt + size) });
    at = bodyAt + Math.ceil(size / 4) * 4;
  }
  return notes;
}

/** The page at a virtual address; undefined where no segment has it. */
export function pageAt({ segments }: ElfFile, bytes: Uint8Array, address: bigint) {
  const found = segments.find(
    (one) => one.type === 1 && address >= one.address && address < one.address + BigInt(one.bytes),
  );
  if (found === undefined) return undefined;
  const at = found.offset + Number(address - found.address);
  return bytes.subarray(at, at + 4096);
}

/** The page at a physical address, by the last segment that has it: those are by such addresses. */
export function physicalPageAt({ segments }: ElfFile, bytes: Uint8Array, physical: number) {
  const found = segments.findLast(
    (one) => one.type === 1 && physical >= one.physical && physical < one.physical + one.bytes,
  );
  if (found === undefined) return undefined;
  const at = found.offset + physical - found.physical;
  return bytes.subarray(at, at + 4096);
}
