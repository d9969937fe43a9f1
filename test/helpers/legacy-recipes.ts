// Legacy streams by recipe, as plain bytes that owe nothing to the layout tables: what Xen's own
// converter makes of them is known (golden), and it can be asked for any other (test/peers).

export type Width = 4 | 8;

const word = (bytes: 2 | 4 | 8, values: readonly (number | bigint)[]): Uint8Array => {
  const out = new Uint8Array(bytes * values.length);
  const view = new DataView(out.buffer);
  for (const [index, value] of values.entries()) {
    if (bytes === 8) view.setBigUint64(index * 8, BigInt.asUintN(64, BigInt(value)), true);
    else view.setUint32(index * 4, Number(BigInt.asUintN(32, BigInt(value))), true);
  }
  return out;
};

/** Words of a toolstack's width; -1 is all ones. */
export const ulong = (width: Width, ...values: readonly (number | bigint)[]): Uint8Array =>
  word(width, values);
export const u32 = (...values: readonly (number | bigint)[]): Uint8Array => word(4, values);
export const u64 = (...values: readonly (number | bigint)[]): Uint8Array => word(8, values);
export const text = (ascii: string): Uint8Array => new TextEncoder().encode(ascii);
export const fill = (count: number, byte: number): Uint8Array => new Uint8Array(count).fill(byte);
export const cat = (...parts: readonly Uint8Array[]): Uint8Array =>
  new Uint8Array(Buffer.concat(parts));

/** A chunk by its marker. */
export const chunk = (marker: number, ...parts: readonly Uint8Array[]): Uint8Array =>
  cat(u32(marker), ...parts);
export const param = (marker: number, value: number | bigint): Uint8Array =>
  chunk(marker, u32(0), u64(value));

export const batch = (
  width: Width,
  entries: readonly (number | bigint)[],
  ...contents: readonly Uint8Array[]
): Uint8Array => cat(u32(entries.length), ulong(width, ...entries), ...contents);

export const page = (byte: number): Uint8Array => fill(4096, byte);

export const block = (id: string, ...parts: readonly Uint8Array[]): Uint8Array => {
  const body = cat(...parts);
  return cat(text(id), u32(body.byteLength), body);
};

export interface PvRecipe {
  readonly width: Width;
  readonly guestWidth: Width;
  readonly p2mSize: number;
  /** undefined: those of the golden vectors. */
  readonly blocks: Uint8Array | undefined;
  readonly chunks: readonly Uint8Array[] | undefined;
  readonly tail: Uint8Array | undefined;
}

export const GOLDEN_PV: Omit<PvRecipe, "width" | "guestWidth"> = {
  p2mSize: 0x1000,
  blocks: undefined,
  chunks: undefined,
  tail: undefined,
};

const VCPU_BYTES = { 4: 0xaf0, 8: 0x1430 } as const;
const XSAVE_BYTES = 0x250;

export const pvBlocks = (guestWidth: Width): Uint8Array =>
  cat(
    block("vcpu", fill(VCPU_BYTES[guestWidth], 0x11)),
    block("extv"),
    block("xcnt", u32(XSAVE_BYTES)),
  );

export const pvChunks = (width: Width): Uint8Array[] => [
  chunk(-2, u32(1), u64(3)),
  batch(
    width,
    [0x0000_0001, 0x4000_0002, 0xd000_0003, 0xe000_0004, 0xf000_0005, 0xf000_0000],
    page(0xaa),
    page(0xbb),
  ),
  chunk(-7, u32(1), u64(2), u32(3, 4)),
];

const vcpu = (guestWidth: Width, id: number): Uint8Array =>
  cat(
    fill(VCPU_BYTES[guestWidth], 0x20 + id),
    fill(128, 0x30 + id),
    u64(7, XSAVE_BYTES - 16),
    fill(XSAVE_BYTES - 16, 0x40 + id),
  );

export const pvTail = (width: Width, guestWidth: Width, vcpus: readonly number[]): Uint8Array =>
  cat(u32(1), ulong(width, 7), ...vcpus.map((id) => vcpu(guestWidth, id)), page(0xcc));

export function pvStream(recipe: PvRecipe): Uint8Array {
  const { width, guestWidth, p2mSize } = recipe;
  const blocks = recipe.blocks ?? pvBlocks(guestWidth);
  const frames = Math.floor((p2mSize - 1) / (4096 / guestWidth)) + 1;
  return cat(
    ulong(width, p2mSize, -1),
    u32(blocks.byteLength),
    blocks,
    ulong(width, ...Array.from({ length: frames }, (_, index) => 0x100 + index)),
    ...(recipe.chunks ?? pvChunks(width)),
    u32(0),
    recipe.tail ?? pvTail(width, guestWidth, [0, 1]),
  );
}

/** A physmap entry as libxl's toolstack chunk holds it. */
export const physmap = (width: Width, name: string): Uint8Array =>
  cat(
    u64(0x10_0000, 0xf000_0000, 0x1000),
    u32(name.length + 1),
    text(`${name}\0`),
    width === 8 ? Uint8Array.of(0xde, 0xad, 0xbe, 0xef) : new Uint8Array(0),
  );

export const toolstack = (count: number, ...entries: readonly Uint8Array[]): Uint8Array => {
  const body = cat(u32(1, count), ...entries);
  return chunk(-18, u32(body.byteLength), body);
};

export interface HvmRecipe {
  readonly width: Width;
  readonly p2mSize: number;
  /** undefined: those of the golden vectors. */
  readonly chunks: readonly Uint8Array[] | undefined;
  readonly context: Uint8Array | undefined;
  /** What stands behind the context, the QEMU record most often. */
  readonly rest: Uint8Array | undefined;
}

export const GOLDEN_HVM: Omit<HvmRecipe, "width"> = {
  p2mSize: 0x1000,
  chunks: undefined,
  context: undefined,
  rest: undefined,
};

export const hvmChunks = (width: Width): Uint8Array[] => [
  batch(width, [1, 2, 0xf000_0000], fill(8192, 0xaa)),
  param(-3, 0x1234),
  toolstack(1, physmap(width, "vram")),
];

export const qemuRecord = (signature: string, state: Uint8Array): Uint8Array =>
  signature === "QemuDeviceModelRecord"
    ? cat(text(signature), state)
    : cat(text(signature), u32(state.byteLength), state);

export function hvmStream(recipe: HvmRecipe): Uint8Array {
  const { width, p2mSize } = recipe;
  const context = recipe.context ?? text("HVMCTX!!");
  return cat(
    ulong(width, p2mSize),
    ...(recipe.chunks ?? hvmChunks(width)),
    u32(0),
    u64(1, 2, 3),
    u32(context.byteLength),
    context,
    recipe.rest ?? qemuRecord("DeviceModelRecord0002", text("QEVM")),
  );
}
