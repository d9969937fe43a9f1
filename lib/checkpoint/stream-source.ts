// The sender's stream as a source that has other duties while it waits: a status socket, a line to
// whoever wants to know of commits. It reads exactly what the walk asks for, so that nothing is
// carried over between two rounds; pages go straight from the descriptor to where the walk looks at
// them. What the sender has sent beyond that waits in its pipe or socket, which is full soon: that
// is all of the back-pressure there is, and all that is needed.

import { assert, SystemError } from "../base/index.ts";
import { PEEK_BYTES_MAX, type Sink, type Source, WHOLE_BODY_BYTES } from "../bytes/index.ts";
import {
  borrow,
  bytesWaiting,
  enlargePipe,
  type Fd,
  type FileKind,
  type Loan,
  monotonicMs,
  PollSet,
  readReady,
  TRY_AGAIN,
} from "../sys/index.ts";

/** Room for what was peeked and a whole body behind it. */
const BUFFER_BYTES = WHOLE_BODY_BYTES + 4096;
const FOR_EVER = -1;
/** Duties are looked after at least so often while the stream never has to wait. */
const BREATHE_MS = 50;

/** Something that is looked after while the stream is waited for. */
export interface Duty {
  /** Adds what it waits for. */
  enter(poll: PollSet): void;
  /** Does what can be done without waiting. */
  serve(poll: PollSet): void;
  /** In so many milliseconds it has to be looked after whatever comes; absent: never. */
  dueInMs?(): number;
}

export interface StreamSourceOptions {
  /** Stays the caller's to close. */
  readonly fd: Fd;
  readonly kind: FileKind;
  readonly duties: readonly Duty[];
  /** Where the stream goes on, for one that was taken over. */
  readonly position: number;
  /** Bytes that stand before what the descriptor gives. */
  readonly prefix: Uint8Array;
  /** Called once when nothing has come for so long. */
  readonly silence: { readonly afterMs: number; readonly tell: () => void };
}

export class StreamSource implements Source {
  readonly name: string;
  readonly bytesTotal = undefined;
  readonly shrunk = false;
  readonly isOursToTheEnd = true;
  readonly takeBytesMax = WHOLE_BODY_BYTES;
  readonly view: DataView;
  readonly bytes: Uint8Array;
  at = 0;
  position: number;
  /** When the first byte since `beginRound` came. */
  firstByteMs: number | undefined;
  /** Time in which the sender had nothing. */
  waitedMs = 0;
  /** Why the stream could not be read on: of the descriptor, not of what it carries. */
  failure: SystemError | undefined;

  private readonly fd: Fd;
  private readonly kind: FileKind;
  private readonly duties: readonly Duty[];
  private readonly silence: StreamSourceOptions["silence"];
  private isSilent = false;
  private readonly poll = new PollSet();
  private readonly loan: Loan = borrow(BUFFER_BYTES);
  private prefix: Uint8Array;
  private heldStart = 0;
  private heldBytes = 0;
  private servedAtMs = 0;
  private isOver = false;

  constructor({ fd, kind, duties, position, prefix, silence }: StreamSourceOptions) {
    this.fd = fd;
    this.name = fd.name;
    this.kind = kind;
    this.duties = duties;
    this.silence = silence;
    this.prefix = prefix;
    this.position = position - prefix.byteLength;
    this.view = this.loan.region.view;
    this.bytes = this.loan.region.bytes;
    if (kind === "pipe") enlargePipe(fd);
  }

  /** What has arrived here and was not looked at. */
  get waitingBytes(): number {
    return this.heldBytes + (this.kind === "file" ? 0 : bytesWaiting(this.fd));
  }

  /** Nothing was read beyond the position: another process can go on from here. */
  get isAtRest(): boolean {
    return this.heldBytes === 0 && this.prefix.byteLength === 0;
  }

  beginRound(): void {
    this.firstByteMs = undefined;
    this.isSilent = false;
  }

  take(bytes: number): number {
    assert(bytes <= this.takeBytesMax, "a take stays within takeBytesMax");
    const got = Math.min(this.hold(bytes), bytes);
    this.heldBytes -= got;
    this.heldStart = this.heldBytes === 0 ? 0 : this.heldStart + got;
    this.position += got;
    return got;
  }

  peek(bytes: number): number {
    assert(bytes <= PEEK_BYTES_MAX, "a peek stays within PEEK_BYTES_MAX");
    return Math.min(this.hold(bytes), bytes);
  }

  skip(bytes: number): number {
    for (let done = 0; done < bytes;) {
      const want = Math.min(bytes - done, this.takeBytesMax);
      const got = this.take(want);
      done += got;
      if (got < want) return done;
    }
    return bytes;
  }

  move(bytes: number, sink: Sink): number {
    for (let done = 0; done < bytes;) {
      const want = Math.min(bytes - done, this.takeBytesMax);
      const got = this.take(want);
      sink.write(this.bytes.subarray(this.at, this.at + got));
      done += got;
      if (got < want) return done;
    }
    return bytes;
  }

  private hold(bytes: number): number {
    if (bytes > this.heldBytes) {
      this.bytes.copyWithin(0, this.heldStart, this.heldStart + this.heldBytes);
      this.heldStart = 0;
      while (this.heldBytes < bytes && !this.isOver) this.fill(bytes - this.heldBytes);
    }
    this.at = this.heldStart;
    return this.heldBytes;
  }

  private fill(bytes: number): void {
    if (this.prefix.byteLength > 0) {
      const part = this.prefix.subarray(0, bytes);
      this.bytes.set(part, this.heldBytes);
      this.prefix = this.prefix.subarray(part.byteLength);
      this.heldBytes += part.byteLength;
      return;
    }
    try {
      this.waitReadable();
      const got = readReady(this.fd, this.loan.region.address + this.heldBytes, bytes);
      if (got === TRY_AGAIN) return;
      if (got === 0) this.isOver = true;
      else this.firstByteMs ??= monotonicMs();
      this.heldBytes += got;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.failure = error; // A reset connection ends a stream as any other end does.
      this.isOver = true;
    }
  }

  /** Waits for the sender, and looks after the duties meanwhile. */
  private waitReadable(): void {
    if (this.kind === "file") return;
    const { poll, duties } = this;
    const startedMs = monotonicMs();
    for (let timeoutMs = 0; ; timeoutMs = FOR_EVER) {
      poll.clear();
      const place = poll.add(this.fd, "readable");
      const isServing = timeoutMs !== 0 || startedMs - this.servedAtMs >= BREATHE_MS;
      if (isServing) for (const duty of duties) duty.enter(poll);
      poll.wait(timeoutMs === FOR_EVER ? this.patienceMs() : timeoutMs);
      if (monotonicMs() - startedMs >= this.silence.afterMs) this.tellSilence();
      if (isServing) {
        for (const duty of duties) duty.serve(poll);
        this.servedAtMs = startedMs;
      }
      if (poll.isReadable(place)) break;
    }
    this.waitedMs += monotonicMs() - startedMs;
  }

  private patienceMs(): number {
    const due = this.duties.map((duty) => duty.dueInMs?.() ?? Infinity);
    return Math.ceil(Math.min(this.silence.afterMs, ...due));
  }

  private tellSilence(): void {
    if (this.isSilent) return;
    this.isSilent = true;
    this.silence.tell();
  }

  [Symbol.dispose](): void {
    this.loan[Symbol.dispose]();
    this.poll[Symbol.dispose]();
  }
}
