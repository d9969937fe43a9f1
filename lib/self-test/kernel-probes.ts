// Probes of the runtime and of the kernel calls that lib/sys makes.

import { readSync, writeSync } from "node:fs";
import {
  createMemfd,
  enlargePipe,
  Fd,
  isClosedOnExec,
  libcVersion,
  Loop,
  makePipe,
  makeSocketPair,
  mapWindow,
  monotonicMs,
  openNull,
  READY_MASK,
  receiveDescriptors,
  resizeFile,
  SEAL_MASK,
  sealMemfd,
  sealsOf,
  sendDescriptors,
  setAlarm,
  spliceFully,
} from "../sys/index.ts";
import { expect, failureOf, type Probe } from "./probe.ts";

const PAGE_BYTES = 4096;
const FD_NEVER_OPEN = 0x7fff_fff0;
const ERRNO_ROUNDS = 1000;
const ALARM_MS = 5;
/** Far more than a wake-up takes on a busy host: past it, the signal did not come. */
const GIVE_UP_MS = 5000;
const MAPPING_ABSENT = "absent on this kernel: files are read instead";

export const KERNEL_PROBES: readonly Probe[] = [
  { group: "runtime", name: "c_library", run: cLibrary },
  { group: "runtime", name: "errno", run: errno },
  { group: "runtime", name: "clocks", run: clocks },
  { group: "kernel", name: "mapped_window", run: mappedWindow },
  { group: "kernel", name: "truncation_guard", run: truncationGuard },
  { group: "kernel", name: "splice", run: splice },
  { group: "kernel", name: "memory_file_seals", run: seals },
  { group: "kernel", name: "descriptor_passing", run: descriptorPassing },
  { group: "kernel", name: "event_loop_and_signal", run: eventLoop },
];

function cLibrary(): string {
  return `${libcVersion()} through bun:ffi`;
}

function errno(): string {
  const closed = new Fd(FD_NEVER_OPEN, "a descriptor that is not open");
  for (let round = 0; round < ERRNO_ROUNDS; round++) {
    expect("errno of fcntl", { wanted: "EBADF", found: failureOf(() => isClosedOnExec(closed)) });
  }
  return `right ${ERRNO_ROUNDS} times of ${ERRNO_ROUNDS}`;
}

function clocks(): string {
  const before = monotonicMs();
  Bun.gc(true); // What the kernel writes must arrive after it as before.
  expect("the monotonic clock goes on", { wanted: true, found: monotonicMs() >= before });
  return "the monotonic clock goes on";
}

/** A memory file of two pages that hold 1, then 2. */
function twoPages(): Fd {
  const file = createMemfd("agent-check");
  const bytes = new Uint8Array(2 * PAGE_BYTES).fill(1, 0, PAGE_BYTES).fill(2, PAGE_BYTES);
  writeSync(file.number, bytes, 0, bytes.length, 0);
  return file;
}

function mappedWindow(): string {
  using file = twoPages();
  const result = mapWindow(file, PAGE_BYTES - 1, 2);
  if (result.kind === "unsupported") return MAPPING_ABSENT;
  expect("mapping two pages", { wanted: "window", found: result.kind });
  if (result.kind !== "window") return "";
  const { window } = result;
  expect("bytes across a page boundary", { wanted: "1,2", found: window.bytes.join() });
  window[Symbol.dispose]();
  expect("bytes left after unmapping", { wanted: 0, found: window.bytes.length });
  return "mapped across a page boundary, detached and unmapped";
}

function truncationGuard(): string {
  using file = twoPages();
  resizeFile(file, PAGE_BYTES);
  const result = mapWindow(file, 0, 2 * PAGE_BYTES);
  if (result.kind === "unsupported") return MAPPING_ABSENT;
  if (result.kind === "window") result.window[Symbol.dispose]();
  expect("mapping a file that was cut short", { wanted: "shrunk", found: result.kind });
  return "a file cut short while mapped is noticed";
}

function splice(): string {
  const pipe = makePipe();
  using readEnd = pipe.readEnd;
  using writeEnd = pipe.writeEnd;
  using nowhere = openNull();
  const pipeBytes = enlargePipe(readEnd);
  writeSync(writeEnd.number, new Uint8Array([1, 2, 3, 4]));
  const result = spliceFully(readEnd, nowhere, 3);
  if (result.kind === "unsupported") return "absent here: bytes are copied instead";
  expect("bytes spliced", { wanted: 3, found: result.bytes });
  const left = new Uint8Array(2);
  expect("bytes left in the pipe", { wanted: 1, found: readSync(readEnd.number, left) });
  expect("the byte left in the pipe", { wanted: 4, found: left[0] });
  return `pipes of ${pipeBytes / 1024} KiB`;
}

function seals(): string {
  using file = twoPages();
  sealMemfd(file, SEAL_MASK.all);
  expect("seals", { wanted: SEAL_MASK.all, found: sealsOf(file) });
  const write = (): number => writeSync(file.number, new Uint8Array(1));
  expect("writing to a sealed file", { wanted: "EPERM", found: failureOf(write) });
  const shrink = (): void => resizeFile(file, 0);
  expect("cutting a sealed file", { wanted: "EPERM", found: failureOf(shrink) });
  return "a sealed memory file cannot be changed or cut";
}

function descriptorPassing(): string {
  const [near, far] = makeSocketPair("seqpacket");
  using sender = near;
  using receiver = far;
  using file = twoPages();
  sendDescriptors(sender, new Uint8Array([7]), [file.number]);
  using message = receiveDescriptors(receiver, 16);
  const [passed] = message?.descriptors ?? [];
  if (passed === undefined) throw new Error("The descriptor did not arrive");
  expect("close-on-exec of what arrived", { wanted: true, found: isClosedOnExec(passed) });
  const byte = new Uint8Array(1);
  readSync(passed.number, byte, 0, 1, PAGE_BYTES);
  expect("the content behind it", { wanted: 2, found: byte[0] });
  return "a descriptor arrives with its file, close-on-exec";
}

/** A socket turns readable, a timer is due, and a signal interrupts epoll_wait. */
async function eventLoop(): Promise<string> {
  const [near, far] = makeSocketPair("stream");
  using sender = near;
  using receiver = far;
  using loop = new Loop();
  const seen: string[] = [];
  const note = (what: string): void => {
    seen.push(what);
    if (seen.length === 3) loop.stop();
  };
  loop.onSignal("SIGALRM", () => note("signal"));
  loop.watch(receiver, READY_MASK.readable, () => {
    loop.forget(receiver);
    note("socket");
  });
  loop.after(0, () => {
    sendDescriptors(sender, new Uint8Array(1), []);
    note("timer");
  });
  loop.after(GIVE_UP_MS, () => loop.stop());
  setAlarm(ALARM_MS);
  await loop.run();
  setAlarm(0); // Before the handler goes: the default action of SIGALRM is to end the process.
  expect("what came", { wanted: "signal,socket,timer", found: seen.toSorted().join() });
  return "socket, timer and signal arrive";
}
