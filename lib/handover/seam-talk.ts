// What is said over a connection of its own about a program that is replaced at a seam: the answer
// to whoever asked for it, and the probe. The probe asks for the digest of the state once more, as
// any client would ask: so the new program waits, reads and answers before it gets the stream.

import { createHash } from "node:crypto";
import { RefusedError, SystemError } from "../base/index.ts";
import {
  borrow,
  type Fd,
  makeNonBlocking,
  readReady,
  TRY_AGAIN,
  writeReady,
} from "../sys/index.ts";
import type { ProbeTalk } from "./survivor.ts";
import type { Waiter } from "./waiter.ts";

const ANSWER_BYTES_MAX = 64 * 1024;

export const digestOf = (bytes: Uint8Array): string =>
  createHash("sha256").update(bytes).digest("hex");

/** The digest of the state, asked for over a connection as any other client would ask. */
export function probeFor(state: Uint8Array): ProbeTalk {
  const wanted = digestOf(state);
  return {
    opening: Buffer.from("digest\n"),
    next(bytes) {
      const told = Buffer.from(bytes).toString("latin1");
      if (!told.endsWith("\n")) return { kind: "more" };
      if (told.trimEnd() === wanted) return { kind: "right" };
      throw new RefusedError(`wanted the digest ${wanted}, found ${told.slice(0, 80).trimEnd()}`);
    },
  };
}

export function serveProbe(fd: Fd, waiter: Waiter, state: () => Uint8Array): void {
  makeNonBlocking(fd);
  waiter.watch(fd, () => {
    using loan = borrow(ANSWER_BYTES_MAX);
    const got = readReady(fd, loan.region.address, ANSWER_BYTES_MAX);
    if (got === TRY_AGAIN) return;
    if (got > 0) return tell(fd, `${digestOf(state())}\n`);
    waiter.forget(fd);
    fd[Symbol.dispose]();
  });
}

// ---- Bytes ------------------------------------------------------------------------------------

/** Closes the connection: there is one answer. */
export function answer(asker: Fd, document: object): void {
  using _ = asker;
  tell(asker, `${JSON.stringify(document)}\n`);
}

/** Whoever has gone needs no answer. */
function tell(fd: Fd, text: string): void {
  using loan = borrow(ANSWER_BYTES_MAX);
  const bytes = Buffer.from(text);
  loan.region.bytes.set(bytes.subarray(0, ANSWER_BYTES_MAX));
  const part = { address: loan.region.address, bytes: Math.min(bytes.length, ANSWER_BYTES_MAX) };
  try {
    writeReady(fd, "socket", part);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
}
