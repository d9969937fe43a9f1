// RAM disks for kernels that tests boot.

export interface Entry {
  readonly name: string;
  readonly mode: number;
  readonly data: Uint8Array;
}

/** The "newc" format of cpio, which the kernel unpacks. */
export function cpio(entries: readonly Entry[]): Buffer {
  const parts: Uint8Array[] = [];
  const padded = (bytes: Uint8Array): void => {
    parts.push(bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4));
  };
  const last = { name: "TRAILER!!!", mode: 0, data: Buffer.alloc(0) };
  for (const [index, { name, mode, data }] of [...entries, last].entries()) {
    const fields = [index + 1, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length + 1, 0];
    const numbers = fields.map((value) => value.toString(16).padStart(8, "0")).join("");
    padded(Buffer.from(`070701${numbers}${name}\0`));
    padded(data);
  }
  return Buffer.concat(parts);
}
