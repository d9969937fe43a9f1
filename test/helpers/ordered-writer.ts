// A writer beside a guest whose disks are exported by NBD: it writes a counter to each disk in
// turn.

import { join } from "node:path";
import type { DiskGuest } from "./disk-guest.ts";
import { tool } from "./disk-guest.ts";
import { programCommand } from "./run.ts";

/** For the writer to finish the round it is in. */
const LAST_ROUND_MS = 2000;

export interface OrderedWriter extends AsyncDisposable {
  /** Longest write in milliseconds, and rounds, since the last question. */
  ask(): Promise<{ readonly longestMs: number; readonly rounds: number }>;
}

interface Block {
  readonly device: string;
  readonly inserted: { readonly "node-name": string };
}

/** Exports all disks of the guest, and writes to `disks` of them (all without it). */
export async function startWriter(
  guest: DiskGuest,
  folder: string,
  disks?: readonly string[],
): Promise<OrderedWriter> {
  const path = join(folder, "nbd");
  const { monitor } = guest;
  await monitor.execute("nbd-server-start", { addr: { type: "unix", data: { path } } });
  for (const { device, inserted } of (await monitor.execute("query-block")) as Block[]) {
    const node = inserted["node-name"];
    const name = { id: `export-${device}`, name: device, "node-name": node };
    await monitor.execute("block-export-add", { type: "nbd", writable: true, ...name });
  }
  const chosen = disks ?? guest.disks.map(({ id }) => id);
  const words = chosen.flatMap((id) => [path, id]);
  const child = Bun.spawn(programCommand("ordered-writer", ...words), {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = linesOf(child.stdout);
  return {
    async ask() {
      child.stdin.write("\n");
      await child.stdin.flush();
      const line = (await lines.next()).value ?? "";
      const [longestUs = 0, rounds = 0] = line.split(" ").map(Number);
      return { longestMs: longestUs / 1000, rounds };
    },
    async [Symbol.asyncDispose]() {
      await child.stdin.end();
      await Promise.race([child.exited, Bun.sleep(LAST_ROUND_MS)]);
      child.kill(); // Its guest may be gone or stand still.
      await child.exited;
    },
  };
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const part of stream) {
    text += decoder.decode(part, { stream: true });
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n")) {
      yield text.slice(0, end);
      text = text.slice(end + 1);
    }
  }
  return undefined;
}

/** The counter in an image that nobody writes to any more, or in an internal snapshot of it. */
export function counterIn(path: string, format: string, snapshot?: string): number {
  if (format === "raw") {
    const hex = tool("od", "-An", "-tx1", "-N8", path).replaceAll(/\s/g, "");
    return Number(BigInt(`0x${hex}`));
  }
  const inside = snapshot === undefined ? [] : ["-l", `snapshot.name=${snapshot}`];
  const out = `${path}.counter`;
  tool("qemu-img", "convert", "-U", "-f", "qcow2", ...inside, "-O", "raw", path, out);
  try {
    return counterIn(out, "raw");
  } finally {
    tool("rm", "-f", out);
  }
}
