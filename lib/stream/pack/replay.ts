// From a frame's steps and literals back to the original bytes.

import { PAGE_BYTES, STEP, STEP_ARGUMENT_MASK, STEP_KIND_SHIFT } from "./layout.ts";

export interface FrameContent {
  readonly steps: DataView;
  readonly literals: Uint8Array;
}

/** Takes the uncompressed frame apart; undefined where it is too short for what it claims. */
export function openContent(bytes: Uint8Array): FrameContent | undefined {
  if (bytes.byteLength < 4) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const stepBytes = view.getUint32(0, true) * 4;
  if (4 + stepBytes > bytes.byteLength) return undefined;
  return {
    steps: new DataView(bytes.buffer, bytes.byteOffset + 4, stepBytes),
    literals: bytes.subarray(4 + stepBytes),
  };
}

export interface ReplayOptions {
  /** Exactly as large as the frame's original. */
  readonly out: Uint8Array;
  /** The frame of that number, if it may be borrowed from. */
  lender(frame: number): FrameContent | undefined;
}

/** Fills `out`. Returns what is wrong with the steps, if anything. */
export function replay(
  { steps, literals }: FrameContent,
  options: ReplayOptions,
): string | undefined {
  const { out } = options;
  let at = 0;
  let literalAt = 0;
  for (let word = 0; word < steps.byteLength; word += 4) {
    const step = steps.getUint32(word, true);
    const kind = step >>> STEP_KIND_SHIFT;
    const argument = step & STEP_ARGUMENT_MASK;
    const bytes = bytesOf(kind, argument);
    if (at + bytes > out.byteLength) return "steps that go beyond the frame";
    if (kind === STEP.zero) {
      out.fill(0, at, at + bytes);
    } else if (kind === STEP.literal) {
      if (literalAt + bytes > literals.byteLength) return "fewer literals than its steps want";
      out.set(literals.subarray(literalAt, literalAt + bytes), at);
      literalAt += bytes;
    } else {
      let from: Uint8Array | undefined = literals;
      let offset = argument;
      if (kind === STEP.borrowed) {
        word += 4;
        if (word >= steps.byteLength) return "a step that is cut short";
        from = options.lender(argument)?.literals;
        offset = steps.getUint32(word, true);
      }
      if (from === undefined || offset + PAGE_BYTES > from.byteLength) return "a page from nowhere";
      out.set(from.subarray(offset, offset + PAGE_BYTES), at);
    }
    at += bytes;
  }
  return at === out.byteLength ? undefined : "fewer bytes than the frame has";
}

function bytesOf(kind: number, argument: number): number {
  if (kind === STEP.literal) return argument;
  return kind === STEP.zero ? argument * PAGE_BYTES : PAGE_BYTES;
}
