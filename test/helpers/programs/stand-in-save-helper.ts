// A stand-in for libxl-save-helper: the arguments, the control protocol and the exit statuses of
// the real one, with a file in place of a guest. What it does is in STAND_IN, a JSON document:
//
//   parts        byte counts of the stream's parts; behind each but the last comes a checkpoint
//   isRemus      behind the last one too
//   file         save: what is sent; restore: where it puts what it got
//   diesAt       kills itself once so many bytes went through
//   pauseMs      waits so long before each part
//
// Like the real one it hears SIGTERM while it saves: its next write fails, it tells libxl so, and
// ends with status 0.

import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { Fd, PollSet, borrow, readReady, TRY_AGAIN, writeReady } from "../../../lib/sys/index.ts";
import { MESSAGE } from "../control-protocol.ts";

interface Orders {
  readonly parts: readonly number[];
  readonly isRemus?: boolean;
  readonly file: string;
  readonly diesAt?: number;
  readonly pauseMs?: number;
}

const STEP_BYTES = 4096; // What a blocking pipe takes when poll says that it takes something.
const READ_BYTES = 256 * 1024;
const EIO = 5;
const EBADF = 9;

const orders: Orders = JSON.parse(process.env["STAND_IN"] ?? "");
const [mode, ioWord] = process.argv.slice(2);
const io = new Fd(Number(ioWord), "the stream");
const isSave = mode === "--save-domain";
const { region } = borrow(READ_BYTES);
const poll = new PollSet();
let isTerminated = false;
let done = 0;
if (isSave) process.on("SIGTERM", () => void (isTerminated = true));

const yieldToRuntime = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

function send(number: number, ...words: number[]): void {
  const message = new Uint8Array(4 + words.length * 4);
  const view = new DataView(message.buffer);
  view.setUint16(0, 2 + words.length * 4, true);
  view.setUint16(2, number, true);
  for (const [index, word] of words.entries()) view.setInt32(4 + index * 4, word, true);
  writeSync(1, message);
}

/** The reply that a callback waits for; libxl's end of the pipe closed is the end of us too. */
function reply(): number {
  const bytes = new Uint8Array(4);
  if (readSync(0, bytes) !== 4) throw new Error("libxl has gone");
  return new DataView(bytes.buffer).getInt32(0, true);
}

class StreamFailure extends Error {
  readonly errno: number;
  constructor(errno: number) {
    super(`errno ${errno}`);
    this.errno = errno;
  }
}

/** Waits for the stream, and hears signals meanwhile. */
async function ready(wanted: "readable" | "writable"): Promise<void> {
  for (;;) {
    if (isTerminated) throw new StreamFailure(EBADF);
    poll.clear();
    const place = poll.add(io, wanted);
    const hasCome = poll.wait(20);
    if (hasCome && (poll.isReadable(place) || poll.isWritable(place))) return;
    await yieldToRuntime();
  }
}

function dieWhenDue(): void {
  if (orders.diesAt !== undefined && done >= orders.diesAt) process.kill(process.pid, "SIGKILL");
}

const left = (bytes: number): number =>
  orders.diesAt === undefined ? bytes : Math.max(1, Math.min(bytes, orders.diesAt - done));

async function savePart(from: number, bytes: number): Promise<void> {
  for (let at = 0; at < bytes;) {
    await ready("writable");
    const got = readSync(from, region.bytes, 0, left(Math.min(bytes - at, STEP_BYTES)), null);
    for (let put = 0; put < got;) {
      const part = { address: region.address + put, bytes: got - put };
      const moved = writeReady(io, "pipe", part);
      if (moved !== TRY_AGAIN) put += moved;
    }
    at += got;
    done += got;
    dieWhenDue();
    if (done % (64 * STEP_BYTES) === 0) await yieldToRuntime();
  }
}

async function restorePart(to: number, bytes: number): Promise<void> {
  for (let at = 0; at < bytes;) {
    await ready("readable");
    const got = readReady(io, region.address, left(Math.min(bytes - at, READ_BYTES)));
    if (got === TRY_AGAIN) continue;
    if (got === 0) throw new StreamFailure(EIO);
    writeSync(to, region.bytes, 0, got);
    at += got;
    done += got;
    dieWhenDue();
  }
}

async function run(file: number): Promise<void> {
  const { parts, pauseMs } = orders;
  send(MESSAGE.log, 1, 0);
  if (isSave) {
    send(MESSAGE.suspend);
    reply();
  }
  for (const [index, bytes] of parts.entries()) {
    if (pauseMs !== undefined) await Bun.sleep(pauseMs);
    await (isSave ? savePart(file, bytes) : restorePart(file, bytes));
    send(MESSAGE.progress, index, parts.length);
    if (index === parts.length - 1 && orders.isRemus !== true) return;
    send(MESSAGE.checkpoint);
    if (reply() !== 1) return; // The peer has died: go on from the last checkpoint.
  }
}

const file = openSync(orders.file, isSave ? "r" : "w");
try {
  dieWhenDue();
  await run(file);
  if (!isSave) send(MESSAGE.restoreResults, 11, 12);
  send(MESSAGE.complete, 0, 0);
} catch (error) {
  const errno =
    error instanceof StreamFailure
      ? error.errno
      : error instanceof Error && "failure" in error
        ? (error.failure as { errno: number }).errno
        : EIO;
  send(MESSAGE.complete, -1, errno);
} finally {
  closeSync(file);
}
process.exit(0);
