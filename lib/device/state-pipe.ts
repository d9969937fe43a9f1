// The pipe that a device state goes through, read or written by a back end that waits in it: so
// every wait of ours has a limit, counted from the last byte that moved, and the pipe is closed on
// any error.

import { RefusedError } from "../base/index.ts";
import {
  enlargePipe,
  type Fd,
  makePipe,
  makeNonBlocking,
  type Pipe,
  PollSet,
  spliceReady,
  TRY_AGAIN,
} from "../sys/index.ts";

const STEP_BYTES = 1024 * 1024;
/** A back end that never ends must not fill the disk: more than any device has. */
export const STATE_BYTES_MAX = 64 * 2 ** 30;

/** A pipe whose end on our side does not wait. */
export function makeStatePipe(ours: "readEnd" | "writeEnd"): Pipe {
  const pipe = makePipe();
  enlargePipe(pipe.writeEnd);
  makeNonBlocking(pipe[ours]);
  return pipe;
}

export interface DrainLimits {
  /** How long nothing may come. */
  readonly waitMs: number;
  readonly bytesMax: number;
}

/** Moves all that a back end saves into a file or pipe. Returns how many bytes. */
export function drainState(from: Fd, target: Fd, { waitMs, bytesMax }: DrainLimits): number {
  using poll = new PollSet();
  let bytes = 0;
  for (;;) {
    const moved = spliceReady(from, target, STEP_BYTES, "target");
    if (moved === 0) return bytes;
    if (moved > 0) {
      bytes += moved;
      if (bytes <= bytesMax) continue;
      throw new RefusedError(
        `Cannot save the device state: wanted at most ${bytesMax} bytes, found more`,
      );
    }
    if (moved !== TRY_AGAIN) {
      throw new RefusedError(`Cannot save the device state: ${target.name} takes no splice`);
    }
    poll.clear();
    poll.add(from, "readable");
    if (!poll.wait(waitMs)) {
      const after = `after ${bytes} bytes`;
      throw new RefusedError(
        `Cannot save the device state: nothing came for ${waitMs} ms ${after}, and no end`,
      );
    }
  }
}

/** Moves `bytes` bytes of a file, from where it stands, to a back end that loads. */
export function fillState(
  source: Fd,
  to: Fd,
  { bytes, waitMs }: { readonly bytes: number; readonly waitMs: number },
): void {
  using poll = new PollSet();
  for (let done = 0; done < bytes;) {
    const moved = spliceReady(source, to, Math.min(STEP_BYTES, bytes - done), "source");
    if (moved > 0) {
      done += moved;
      continue;
    }
    if (moved !== TRY_AGAIN) {
      throw new RefusedError(`Cannot load the device state: ${source.name} became shorter`);
    }
    poll.clear();
    poll.add(to, "writable");
    if (!poll.wait(waitMs)) {
      const where = `after ${done} of ${bytes} bytes`;
      throw new RefusedError(
        `Cannot load the device state: the back end took nothing for ${waitMs} ms ${where}`,
      );
    }
  }
}
