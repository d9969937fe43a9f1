// Live updates of a daemon of ours in tests: ordered as `agent live-update` does, by a client of
// its own, and whoever serves afterwards found by the socket.

import type { UpdateOutcome } from "../../agent/ui/live-update-report.ts";
import type { StoreOrder } from "../../lib/store-daemon/index.ts";
import { processes } from "./processes.ts";
import { Inbox, messageBytes, OP } from "./store-wire.ts";

/** Asks CONTROL and waits for the answer, however long it takes; undefined at a hang-up. */
export async function controlOf(socket: string, ...words: string[]): Promise<string | undefined> {
  const inbox = new Inbox();
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const body = words.map((word) => `${word}\0`).join("");
  const client = await Bun.connect({
    unix: socket,
    socket: {
      open: (peer) =>
        void peer.write(messageBytes({ type: OP.CONTROL, request: 7, transaction: 0, body })),
      data(_, bytes) {
        inbox.add(bytes);
        const message = inbox.take();
        if (message !== undefined) resolve(message.body.replace(/\0$/, ""));
      },
      close: () => resolve(undefined),
    },
  });
  const answer = await promise;
  client.end();
  return answer;
}

export async function updateStore(
  socket: string,
  order: Partial<StoreOrder> & Pick<StoreOrder, "binary" | "way">,
): Promise<UpdateOutcome> {
  const whole: StoreOrder = {
    dry_run: false,
    max_pause_ms: null,
    sha256: null,
    prepare_ms: 30_000,
    ...order,
  };
  const answer = await controlOf(socket, "live-update", "--order", JSON.stringify(whole));
  if (answer === undefined) throw new Error("Whoever was asked for the update has hung up");
  return JSON.parse(answer) as UpdateOutcome;
}

/** The processes that serve this socket: one, unless an update goes on. */
export const pidsOf = (socket: string): number[] =>
  processes()
    .filter(({ command }) => command.includes(`--socket ${socket}`))
    .map(({ pid }) => pid);

export async function settledPids(socket: string): Promise<number[]> {
  const untilMs = performance.now() + 10_000;
  while (performance.now() < untilMs && pidsOf(socket).length !== 1) await Bun.sleep(10);
  return pidsOf(socket);
}

export function killAll(socket: string): void {
  for (const pid of pidsOf(socket)) killOne(pid);
}

export function killOne(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended meanwhile.
  }
}
