// Damage to bytes, wherever it lands: bits flipped, words overwritten, stretches cut, doubled and
// moved, the end lost.

import { edgy, onceIn, type Random } from "./random.ts";

/** Where headers stand thickest. */
const FRONT_BYTES = 512;

const place = (bytes: Uint8Array, random: Random): number =>
  random(onceIn(random, 2) ? Math.min(bytes.byteLength, FRONT_BYTES) : bytes.byteLength);

/** Changes `bytes` in place; what is left of it is returned. */
export function mutateBytes(bytes: Uint8Array, random: Random): Uint8Array {
  if (bytes.byteLength === 0) return bytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let left = random(4); left >= 0; left--) {
    const at = place(bytes, random);
    switch (random(6)) {
      case 0:
      case 1:
        bytes[at]! ^= 1 << random(8);
        break;
      case 2:
        bytes[at] = random(256);
        break;
      case 3:
        if (at + 4 <= bytes.byteLength) view.setUint32(at, edgy(random), onceIn(random, 2));
        break;
      case 4:
        bytes.copyWithin(at, place(bytes, random)); // The rest moves forwards or backwards.
        break;
      default:
        bytes.fill(random(256), at, at + random(64));
    }
  }
  return onceIn(random, 4) ? bytes.subarray(0, place(bytes, random)) : bytes;
}
