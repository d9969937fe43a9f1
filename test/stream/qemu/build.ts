// Builds QEMU migration streams for tests, item by item.

export interface SectionSpec {
  readonly type?: number;
  readonly id: number;
  readonly name: string;
  readonly instance?: number;
  readonly version?: number;
  readonly data?: Uint8Array;
  /** The footer's section id; the section's own where absent, no footer where undefined. */
  readonly footer?: number | undefined;
}

export const MAGIC = bytesOf("51 45 56 4d 00 00 00 03");
export const EOF = bytesOf("00");

export function bytesOf(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex.replaceAll(" ", ""), "hex"));
}

export function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export const join = (...parts: readonly (Uint8Array | string)[]): Uint8Array =>
  new Uint8Array(Buffer.concat(parts.map((part) => Buffer.from(part as string, "latin1"))));

export function header(spec: SectionSpec): Uint8Array {
  const { type, id, name, instance, version } = spec;
  const head = Uint8Array.of(type ?? 4);
  const idLength = Uint8Array.of(name.length);
  return join(head, u32(id), idLength, name, u32(instance ?? 0), u32(version ?? 1));
}

export const footer = (id: number): Uint8Array => join(Uint8Array.of(0x7e), u32(id));

/** A section with its own footer, unless the spec says another or none. */
export function section(spec: SectionSpec): Uint8Array {
  const id = "footer" in spec ? spec.footer : spec.id;
  return join(
    header(spec),
    spec.data ?? bytesOf("01 02 03 00"),
    id === undefined ? "" : footer(id),
  );
}

export const bare = (spec: SectionSpec): Uint8Array => section({ ...spec, footer: undefined });

/** PART (2) or END (3). */
export const part = (type: number, id: number, data: Uint8Array): Uint8Array =>
  join(Uint8Array.of(type), u32(id), data, footer(id));

export const configuration = (machine: string): Uint8Array =>
  join(Uint8Array.of(7), u32(machine.length), machine);

export function command(number: number, data: Uint8Array): Uint8Array {
  return join(Uint8Array.of(8, 0, number, data.length >> 8, data.length & 0xff), data);
}

export const description = (json: string): Uint8Array =>
  join(Uint8Array.of(6), u32(json.length), json);
