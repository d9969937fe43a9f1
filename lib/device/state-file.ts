// A device state at hand: in a memory file, so that it goes from pipe to file to pipe by the
// kernel.

import { fchmodSync } from "node:fs";
import {
  borrow,
  createMemfd,
  createNewFile,
  type Fd,
  moveOffset,
  readAt,
  writeAt,
  writeBytesAt,
} from "../sys/index.ts";
import { StateInFile } from "./state-bytes.ts";

const PIECE_BYTES = 256 * 1024;
/** A state holds what guests have sent and received. */
export const OWNER_ONLY = 0o600;

/** Owns the memory file. */
export class StateFile implements Disposable {
  readonly fd: Fd;
  bytes = 0;

  /** In a memory file that is given, or a new one. */
  constructor(fd: Fd | undefined) {
    this.fd = fd ?? createMemfd("device state");
  }

  /** To be read from its beginning, for the next who moves it on. */
  rewind(): Fd {
    moveOffset(this.fd, 0);
    return this.fd;
  }

  /** As bytes to look at; to be disposed of. */
  look(): StateInFile {
    return new StateInFile(this.fd, this.bytes);
  }

  [Symbol.dispose](): void {
    this.fd[Symbol.dispose]();
  }
}

/** A state file with these bytes. */
export function stateFile(bytes: Uint8Array): StateFile {
  const file = new StateFile(undefined);
  writeBytesAt(file.fd, bytes, 0);
  file.bytes = bytes.length;
  return file;
}

/** A copy of the state in a file of its owner's, which appears whole or not at all. */
export function keepState(state: StateFile, path: string): void {
  using file = createNewFile({ path, existing: "refuse", inputs: [] });
  fchmodSync(file.fd.number, OWNER_ONLY);
  using pieces = borrow(PIECE_BYTES);
  const { address } = pieces.region;
  for (let at = 0; at < state.bytes; at += PIECE_BYTES) {
    const bytes = readAt(state.fd, address, Math.min(PIECE_BYTES, state.bytes - at), at);
    writeAt(file.fd, address, bytes, at);
  }
  file.commit();
}
