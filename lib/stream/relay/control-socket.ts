// The control socket: whoever connects is told how the relay stands, as one JSON document, and that
// is all. It is served between two steps of the stream.

import { unlinkSync } from "node:fs";
import { RefusedError, SystemError } from "../../base/index.ts";
import {
  acceptUnix,
  bindUnix,
  borrow,
  connectUnix,
  type Fd,
  type Loan,
  type PollSet,
  writeReady,
} from "../../sys/index.ts";
import type { Duty } from "./pump.ts";

const ANSWER_BYTES_MAX = 16 * 1024;

export class ControlSocket implements Duty, Disposable {
  private readonly path: string;
  private readonly answer: () => string;
  private readonly listener: Fd;
  private readonly loan: Loan = borrow(ANSWER_BYTES_MAX);
  private place = -1;

  /** Throws RefusedError or SystemError where it cannot listen. */
  constructor(path: string, answer: () => string) {
    this.path = path;
    this.answer = answer;
    removeStale(path);
    this.listener = bindUnix({ path, kind: "stream" });
  }

  enter(poll: PollSet): void {
    this.place = poll.add(this.listener, "readable");
  }

  serve(poll: PollSet): void {
    if (!poll.isReadable(this.place)) return;
    for (;;) {
      using client = acceptUnix(this.listener);
      if (client === undefined) return;
      this.tell(client);
    }
  }

  private tell(client: Fd): void {
    const { region } = this.loan;
    const { written } = new TextEncoder().encodeInto(this.answer(), region.bytes);
    try {
      writeReady(client, "socket", { address: region.address, bytes: written });
    } catch (error) {
      if (!(error instanceof SystemError)) throw error; // It went before it was answered.
    }
  }

  [Symbol.dispose](): void {
    this.listener[Symbol.dispose]();
    this.loan[Symbol.dispose]();
    remove(this.path);
  }
}

/** A socket that nobody listens on was left by a relay that was killed. */
function removeStale(path: string): void {
  try {
    using _ = connectUnix({ path, kind: "stream", waitMs: 1000 });
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (error.failure.code === "ECONNREFUSED") remove(path);
    return;
  }
  throw new RefusedError(`Cannot listen on "${path}": somebody else does`);
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "ENOENT") throw error;
  }
}
