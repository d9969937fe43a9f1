// What `agent relay` and the save helper take, against programs that look at nothing: a C program
// that splices blindly, cat, and the helper's stand-in alone; and the relay's memory.

import { closeSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { PAGE_BYTES } from "../../lib/stream/libxc/index.ts";
import { writeBigStream } from "./big-stream.ts";
import { compileC, type Pairs, type Runner } from "./runner.ts";

/** Of a real save: what stands before the libxc image in what writeBigStream writes. */
const LIBXC_AT = 923 + 16 + 8;
const END_RECORD_BYTES = 8;
const COPY_BYTES = 4 * 1024 * 1024;
const MEMORY_KIB_MAX = 48 * 1024;
const SAVE_WORDS = "--save-domain 14 11 1 0 136 0";

export interface RelayBench {
  readonly runner: Runner;
  readonly agent: string;
  /** Splices its standard input to nowhere. */
  readonly drain: string;
  readonly folder: string;
  readonly place: (name: string) => string;
  /** A stream for pipes, and one whose bytes are all there. */
  readonly flow: string;
  readonly stream: string;
  readonly memoryBytes: number;
  /** Of the guest that the save helper saves. */
  readonly savedBytes: number;
  readonly pairs: number;
}

export interface RelayPairs {
  readonly what: string;
  readonly pairs: Pairs;
  readonly wanted: { readonly least: number };
}

export function relayPairs(bench: RelayBench): RelayPairs[] {
  const { runner, agent, drain, folder, place, flow, stream, pairs } = bench;
  const blind = compileC("splice-on", folder);
  const socket = compileC("socket-stdin", folder);
  const out = place("relayed");
  const found = [
    {
      what: "throughput of relay, pipe to pipe, against a blind splice in C",
      pairs: runner.pairs(pairs, {
        ours: ["sh", "-c", '"$0" relay -q | "$1"', agent, drain],
        peer: ["sh", "-c", '"$0" | "$1"', blind, drain],
        input: { feed: "write", path: flow },
      }),
      wanted: { least: 0.8 },
    },
    {
      what: "throughput of relay, socket to file, against cat",
      pairs: runner.pairs(Math.ceil(pairs / 3), {
        ours: ["sh", "-c", '"$0" "$1" "$2" relay -q >"$3"', socket, stream, agent, out],
        peer: ["sh", "-c", '"$0" "$1" cat >"$2"', socket, stream, out],
        input: { feed: "none", path: "/dev/null" },
      }),
      wanted: { least: 0.8 },
    },
  ] as const;
  rmSync(out, { force: true });
  return [...found];
}

/** Time over that of the stand-in alone. */
export function helperPairs(bench: RelayBench): Pairs {
  const { runner, agent, folder, place, savedBytes, pairs } = bench;
  const standIn = compileC("save-stand-in", folder);
  const [whole, libxc, out] = [place("saved"), place("saved.libxc"), place("saved.out")];
  writeBigStream(whole, { memoryBytes: savedBytes, contents: "written" });
  copyLibxc(whole, libxc);
  rmSync(whole);
  const setting = `AGENT_REAL_SAVE_HELPER="$1" STAND_IN_STREAM="$2"`;
  const script = `exec 14>"$3"; ${setting} exec "$0" ${SAVE_WORDS}`;
  const found = runner.pairs(pairs, {
    ours: ["bash", "-c", script, agent, standIn, libxc, out],
    peer: ["bash", "-c", script, standIn, standIn, libxc, out],
    input: { feed: "none", path: "/dev/null" },
  });
  for (const path of [libxc, out]) rmSync(path, { force: true });
  return found;
}

/** The libxc part of a save file: what the helper writes. */
function copyLibxc(from: string, to: string): void {
  const [source, target] = [openSync(from, "r"), openSync(to, "wx", 0o600)];
  try {
    const buffer = new Uint8Array(COPY_BYTES);
    let held = 0;
    let at = LIBXC_AT;
    for (;;) {
      const got = readSync(source, buffer, held, COPY_BYTES - held, at);
      if (got === 0) break;
      at += got;
      held += got;
      writeSync(target, buffer, 0, held - END_RECORD_BYTES); // libxl's END may be the last of it.
      buffer.copyWithin(0, held - END_RECORD_BYTES, held);
      held = END_RECORD_BYTES;
    }
  } finally {
    closeSync(source);
    closeSync(target);
  }
}

export interface RelayMemory {
  readonly what: string;
  readonly ownKib: number;
  readonly mostKib: number;
}

export function relayMemory({ runner, agent, stream, memoryBytes }: RelayBench): RelayMemory {
  return {
    what: "peak memory of relay, a pipe, against 48 MiB and a bit a pfn",
    ownKib: runner.memory([agent, "relay", "-q"], { feed: "write", path: stream }).ownKib,
    mostKib: MEMORY_KIB_MAX + memoryBytes / PAGE_BYTES / 8 / 1024,
  };
}
