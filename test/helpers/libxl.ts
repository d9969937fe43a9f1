// libxl as its save helper sees it (tools/libs/light/libxl_save_callout.c): real pipes at 0 and 1,
// the stream at IO_FD, the arguments that xl 4.20 was seen to pass, an answer to each callback.

import { spawn } from "node:child_process";
import { chmodSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { makePipe } from "../../lib/sys/index.ts";
import { builtBinary } from "./binary.ts";
import { type ControlMessage, MESSAGE, parseMessages } from "./control-protocol.ts";

const IO_FD = 14;
const ARGUMENTS = {
  save: ["--save-domain", String(IO_FD), "11", "1", "0", "136"],
  restore: ["--restore-domain", String(IO_FD), "-1", "2", "1", "0", "2", "0", "768"],
} as const;

const WANT_REPLY: readonly number[] = [
  MESSAGE.suspend,
  MESSAGE.postcopy,
  MESSAGE.checkpoint,
  MESSAGE.waitCheckpoint,
  MESSAGE.staticDataDone,
];

export interface Orders {
  readonly parts: readonly number[];
  readonly isRemus?: boolean;
  readonly file: string;
  readonly diesAt?: number;
  readonly pauseMs?: number;
}

export interface HelperRunOptions {
  readonly direction: "save" | "restore";
  /** The descriptor that becomes IO_FD; stays ours. */
  readonly io: number;
  readonly orders: Orders;
  /** Where the script that starts the stand-in is put. */
  readonly folder: string;
  /** 0 plain, 1 Remus. */
  readonly streamType: 0 | 1;
  readonly environment?: Record<string, string>;
  /** LIBXL_SAVE_HELPER; agent where undefined. */
  readonly program?: string;
  /** Called before a message is answered. Returns the answer. */
  readonly onMessage?: (message: ControlMessage) => number | Promise<number>;
  readonly onStart?: (pid: number) => void;
}

export interface HelperRan {
  readonly messages: readonly ControlMessage[];
  readonly status: number | null;
  readonly signal: string | null;
  readonly stderr: string;
}

/** The real helper's path: one word, as AGENT_REAL_SAVE_HELPER takes it. */
export function writeStandIn(folder: string): string {
  const path = join(folder, "real-helper");
  const program = join(import.meta.dir, "programs/stand-in-save-helper.ts");
  writeFileSync(path, `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`);
  chmodSync(path, 0o755);
  return path;
}

/** Runs LIBXL_SAVE_HELPER once, and waits for its end. */
export async function runHelper(options: HelperRunOptions): Promise<HelperRan> {
  const { direction, io, orders, folder, streamType, environment, program } = options;
  const [toHelper, fromHelper] = [makePipe(), makePipe()];
  const stdio: ("ignore" | "pipe" | number)[] = [
    toHelper.readEnd.number,
    fromHelper.writeEnd.number,
    "pipe",
  ];
  while (stdio.length < IO_FD) stdio.push("ignore");
  stdio.push(io);
  const helper = writeStandIn(folder);
  const words = [...ARGUMENTS[direction], String(streamType)];
  const child = spawn(program ?? builtBinary(), words, {
    stdio,
    detached: true, // A group of its own: whoever is left in it afterwards was left behind.
    env: {
      PATH: process.env["PATH"] ?? "",
      AGENT_REAL_SAVE_HELPER: helper,
      STAND_IN: JSON.stringify(orders),
      ...environment,
    },
  });
  options.onStart?.(child.pid!); // It was started: another failure has thrown.
  toHelper.readEnd[Symbol.dispose]();
  fromHelper.writeEnd[Symbol.dispose]();
  let stderr = "";
  child.stderr?.on("data", (bytes: Buffer) => void (stderr += bytes.toString()));
  const ended = new Promise<[number | null, string | null]>((resolve) => {
    child.on("exit", (status, signal) => resolve([status, signal]));
  });
  const messages: ControlMessage[] = [];
  const answering = answer(fromHelper.readEnd.number, async (message) => {
    messages.push(message);
    const value = (await options.onMessage?.(message)) ?? 1;
    if (!WANT_REPLY.includes(message.number)) return;
    try {
      writeSync(toHelper.writeEnd.number, Int32Array.of(value));
    } catch {
      // The helper has gone: its end tells the rest.
    }
  });
  const [status, signal] = await ended;
  await Promise.race([answering, Bun.sleep(2000)]); // Whoever still has the pipe is left behind.
  toHelper.writeEnd[Symbol.dispose]();
  return { messages, status, signal, stderr };
}

async function answer(fd: number, take: (message: ControlMessage) => Promise<void>): Promise<void> {
  let rest: Uint8Array = new Uint8Array();
  for await (const chunk of Bun.file(fd).stream()) {
    const all = new Uint8Array(rest.byteLength + chunk.byteLength);
    all.set(rest);
    all.set(chunk, rest.byteLength);
    const { messages, used } = parseMessages(all);
    rest = all.slice(used);
    for (const message of messages) await take(message);
  }
}

/** "complete 0" or "complete -1 32", the last word of a helper. */
export function completion({ messages }: HelperRan): string {
  const last = messages.find(({ number }) => number === MESSAGE.complete);
  if (last === undefined) return "none";
  const [retval, errno] = last.words;
  return retval === 0 ? "complete 0" : `complete ${retval} ${errno}`;
}
