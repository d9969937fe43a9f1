// Where bytes go. A sink is written strictly forwards. Small things (record headers, heads, pfn
// lists) are built in its buffer and handed on together; bodies that nobody looks at go from
// descriptor to descriptor.

import type { Fd } from "../sys/index.ts";

/** The most that one `build` may ask for. */
export const BUILD_BYTES_MAX = 64 * 1024;

export interface Sink {
  /** For messages: the path, or "standard output". */
  readonly name: string;
  /** How many bytes it has been given. */
  readonly position: number;

  /** The buffer that `build` gives places in. */
  readonly view: DataView;
  readonly bytes: Uint8Array;

  /**
   * A place for the next `bytes` bytes in `view` and `bytes`, to be filled before the next call of
   * anything. At most BUILD_BYTES_MAX.
   */
  build(bytes: number): number;
  /** Appends bytes that stand in memory. */
  write(bytes: Uint8Array): void;
  /** Appends bytes of a file. Fewer only at its end; tells how many. */
  copyFile(file: Fd, range: { readonly fileOffset: number; readonly bytes: number }): number;
  /** Appends the next `bytes` bytes of a pipe or socket. Fewer only at its end; tells how many. */
  copyPipe(pipe: Fd, bytes: number): number;
  /** Hands on what the buffer holds. */
  flush(): void;
}
