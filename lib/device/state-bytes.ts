// The bytes of a saved device state, wherever they are: read here and there, never all at once. A
// state can hold many sockets' queues, and what we look at are its heads.

import { assert } from "../base/index.ts";
import { borrow, type Fd, type Loan, readAt } from "../sys/index.ts";

export interface StateBytes {
  readonly bytes: number;
  /**
   * `count` bytes at `at`, good until the next call. The caller has checked that they are there.
   */
  view(at: number, count: number): DataView;
}

/** What one view() gives at most. */
export const VIEW_BYTES_MAX = 4096;

export function stateInMemory(memory: Uint8Array): StateBytes {
  return {
    bytes: memory.length,
    view(at, count) {
      assert(at + count <= memory.length, "the bytes are there");
      return new DataView(memory.buffer, memory.byteOffset + at, count);
    },
  };
}

/** Of a regular file or memory file. Owns the memory it reads into. */
export class StateInFile implements StateBytes, Disposable {
  readonly bytes: number;
  private readonly fd: Fd;
  private readonly loan: Loan = borrow(VIEW_BYTES_MAX);

  constructor(fd: Fd, bytes: number) {
    this.fd = fd;
    this.bytes = bytes;
  }

  view(at: number, count: number): DataView {
    assert(count <= VIEW_BYTES_MAX, "a view is small");
    const { address, view } = this.loan.region;
    const got = readAt(this.fd, address, count, at);
    assert(got === count, "the file is as long as it was");
    return new DataView(view.buffer, view.byteOffset, count);
  }

  [Symbol.dispose](): void {
    this.loan[Symbol.dispose]();
  }
}

/** A part of another state: what stands between two places, or the chunks of a framing in a row. */
export function stateOfPieces(
  outer: StateBytes,
  pieces: readonly { readonly at: number; readonly bytes: number }[],
): StateBytes {
  const starts: number[] = [];
  let bytes = 0;
  for (const piece of pieces) {
    starts.push(bytes);
    bytes += piece.bytes;
  }
  return {
    bytes,
    view(at, count) {
      assert(at + count <= bytes, "the bytes are there");
      const found = new Uint8Array(count);
      let index = lastAtOrBefore(starts, at);
      for (let done = 0; done < count; index++) {
        const piece = pieces[index]!; // The bytes are there, so the piece is.
        const inside = at + done - starts[index]!;
        const step = Math.min(piece.bytes - inside, count - done);
        const part = outer.view(piece.at + inside, step);
        found.set(new Uint8Array(part.buffer, part.byteOffset, step), done);
        done += step;
      }
      return new DataView(found.buffer);
    },
  };
}

/** Index of the last number that is not above `value`; the numbers rise from 0. */
function lastAtOrBefore(numbers: readonly number[], value: number): number {
  let low = 0;
  let high = numbers.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (numbers[middle]! <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}
