// xenstore pairs in a stream: those of libxl's EMULATOR_XENSTORE_DATA, of a legacy stream's
// toolstack chunk, and of a suspend image's metadata.

import { EMULATOR_HEAD_BYTES } from "../libxl/index.ts";
import type { XenstorePair } from "./report-state.ts";
import { printable, type WholeBody } from "./whole-body.ts";

const PAIRS_KEPT = 4096;

export class Xenstore {
  list: XenstorePair[] = [];
  leftOff = 0;

  add(key: string, value: string): void {
    if (this.list.length < PAIRS_KEPT) this.list.push({ key, value });
    else this.leftOff++;
  }

  /** The last record counts: a checkpoint sends all pairs again. */
  private restart(): void {
    this.list = [];
    this.leftOff = 0;
  }

  /** Behind the sub-header `key NUL value NUL`, any number of times. */
  addEmulatorData({ bytes }: WholeBody): void {
    this.restart();
    for (let at = EMULATOR_HEAD_BYTES; at < bytes.byteLength;) {
      const keyEnd = bytes.indexOf(0, at);
      const valueEnd = keyEnd === -1 ? -1 : bytes.indexOf(0, keyEnd + 1);
      if (valueEnd === -1) return; // Cut short: verify says so.
      this.add(
        printable(bytes.subarray(at, keyEnd)),
        printable(bytes.subarray(keyEnd + 1, valueEnd)),
      );
      at = valueEnd + 1;
    }
  }

  /**
   * u32 version 1, u32 count, then count times u64 phys_offset, start_addr, size, u32 name length
   * and the name. A 64-bit toolstack leaked four bytes of padding behind each name.
   */
  addToolstack({ bytes, view }: WholeBody): void {
    this.restart();
    if (view.byteLength < 8 || view.getUint32(0, true) !== 1) return;
    const count = view.getUint32(4, true);
    for (let at = 8, index = 0; index < count && at + 28 <= view.byteLength; index++) {
      const name = `physmap/${view.getBigUint64(at, true).toString(16)}`;
      const nameBytes = view.getUint32(at + 24, true);
      const nameEnd = at + 28 + nameBytes;
      if (nameEnd > view.byteLength) return;
      this.add(`${name}/start_addr`, view.getBigUint64(at + 8, true).toString(16));
      this.add(`${name}/size`, view.getBigUint64(at + 16, true).toString(16));
      this.add(`${name}/name`, printable(bytes.subarray(at + 28, nameEnd)).replace(/\\x00$/, ""));
      const left = count - index - 1;
      const hasPadding = view.byteLength - nameEnd >= 4 + left * 32;
      at = nameEnd + (hasPadding ? 4 : 0);
    }
  }
}
