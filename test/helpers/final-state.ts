// What a stream restores to, found slowly and simply: a model to hold squash and diff against. It
// has a reader of its own, a Map of pages and no cleverness, and believes what it reads: tests give
// it valid streams only.

export interface ModelPage {
  readonly type: number;
  /** Of the contents; undefined for a type without. */
  readonly hash: bigint | undefined;
}

export interface FinalState {
  /** The last version of every pfn. */
  readonly pages: ReadonlyMap<number, ModelPage>;
  /** `libxc 8 <hash>`: every other record that counts, in the order it stands. */
  readonly records: readonly string[];
  /** Entries of all batches, and those behind a VERIFY. */
  readonly sent: number;
  readonly verified: number;
}

const LIBXL_STATE = 5;
const [END, PAGE_DATA, VERIFY, CHECKPOINT] = [0, 1, 0xd, 0xe];
/** What every round sends anew: vcpus, shared info, TSC, HVM context and params. */
const STATE_TYPES = [4, 5, 6, 7, 8, 9, 10, 12];
const HAS_DATA = [0, 1, 2, 3, 4, 9, 10, 11, 12];

/** Where the libxc image begins, and whether libxl is around it. */
function imageOf(bytes: Uint8Array): { readonly at: number; readonly hasLibxl: boolean } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const libxl = buffer.indexOf("LibxlFmt");
  const image = buffer.indexOf("XENF") - 8;
  return { at: image, hasLibxl: libxl !== -1 && libxl < image };
}

const hashOf = (bytes: Uint8Array): bigint => BigInt(Bun.hash.xxHash3(bytes));

interface Round {
  readonly state: Map<string, string>;
  readonly tail: string[];
}

/** The state at checkpoint `at`, counted from 1, or at the end of a plain stream. */
export function finalState(bytes: Uint8Array, at: number | undefined): FinalState {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const image = imageOf(bytes);
  const pages = new Map<number, ModelPage>();
  const fixed: string[] = [];
  let [position, layer, checkpoint] = [image.at + 40, "libxc", 0];
  let [sent, verified, isVerifying] = [0, 0, false];
  let round: Round = { state: new Map(), tail: [] };
  const result = () => {
    const records = [...fixed, ...round.state.values(), ...round.tail];
    return { pages, records, sent, verified };
  };
  for (;;) {
    const type = view.getUint32(position, true);
    const length = view.getUint32(position + 4, true);
    const body = bytes.subarray(position + 8, position + 8 + length);
    position += 8 + Math.ceil(length / 8) * 8;
    const text = `${layer} ${type} ${hashOf(body)}`;
    if (layer === "libxl") {
      if (type === LIBXL_STATE) layer = "libxc";
      else if (type === END) return result();
      else if (type === 4) {
        checkpoint++;
        if (checkpoint === at) return result();
        round = { state: new Map(), tail: [] };
        const isState = view.byteLength > position && view.getUint32(position, true) === 5;
        layer = isState ? "libxl" : "libxc";
      } else round.tail.push(text);
    } else if (type === PAGE_DATA) {
      if (isVerifying) verified += new DataView(body.buffer, body.byteOffset).getUint32(0, true);
      else sent += takePages(body, pages);
    } else if (type === VERIFY) isVerifying = true;
    else if (type === END && !image.hasLibxl) return result();
    else if (type === END || type === CHECKPOINT) layer = "libxl";
    else if (type >= 0x8000_0000) continue;
    else if (STATE_TYPES.includes(type)) {
      const vcpu = [4, 5, 6, 12].includes(type) ? body.subarray(0, 4).toHex() : "";
      const key = `${type} ${vcpu}`;
      round.state.delete(key); // So that the last one stands where it was sent.
      round.state.set(key, text);
    } else fixed.push(text);
  }
}

function takePages(body: Uint8Array, pages: Map<number, ModelPage>): number {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const count = view.getUint32(0, true);
  let contents = 8 + count * 8;
  for (let index = 0; index < count; index++) {
    const entry = view.getBigUint64(8 + index * 8, true);
    const type = Number(entry >> 60n);
    const hasData = HAS_DATA.includes(type);
    const page = body.subarray(contents, contents + 4096);
    pages.set(Number(entry & 0xf_ffff_ffff_ffffn), {
      type,
      hash: hasData ? hashOf(page) : undefined,
    });
    if (hasData) contents += 4096;
  }
  return count;
}
