// What a store daemon asks its successor: answered by every store, whatever is in it, and judged as
// soon as it is answered.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { storeHeir } from "../../lib/store-daemon/live-heir.ts";
import { storeProbe } from "../../lib/store-daemon/live-probe.ts";
import { storeSurvivor } from "../../lib/store-daemon/live-survivor.ts";
import { createGrowingMemory } from "../../lib/sys/index.ts";
import { DaemonHere, request } from "../helpers/store-in-process.ts";
import { messageBytes, OP, type OpName } from "../helpers/store-wire.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

let stack: DisposableStack;
beforeEach(() => void (stack = new DisposableStack()));
afterEach(() => stack.dispose());

function unused(): never {
  throw new Error("Nothing is served here");
}

/** A store with one client, the practice of a successor on a copy of it, and the probe of it. */
class Probed {
  private readonly memory = stack.use(createGrowingMemory("store", 256 * 1024));
  private readonly here = stack.use(
    new DaemonHere({ arena: this.memory, shim: stack.use(temporaryFolder()).path, isNew: true }),
  );
  private readonly client = this.here.connect();

  constructor() {
    this.here.daemon.resume();
  }

  async ask(bytes: Uint8Array): Promise<string[]> {
    this.client.send(bytes);
    await this.here.turns();
    return this.client.messages().map(({ body }) => body);
  }

  /** The digest of the copy, and what the successor finds. */
  rehearse(): readonly [string, string] {
    const { loop, hypervisor, daemon } = this.here;
    const rest = { listeners: [], pidFile: undefined, asker: undefined };
    const running = { loop, memory: this.memory, hypervisor, daemon, ...rest };
    const survivor = storeSurvivor({ running, makeDaemon: unused, leave: unused });
    using copy = survivor.snapshot();
    while (!copy.advance(5));
    const heir = storeHeir({
      loop,
      makeDaemon: unused,
      openHypervisor: unused,
      pidFilePath: undefined,
      onServing: unused,
    });
    return [copy.digest, heir.rehearse(copy.file)];
  }

  /** What a daemon answers to the probe, at once. */
  async answers(): Promise<Uint8Array> {
    const { opening } = storeProbe();
    const client = this.here.connect();
    client.send(opening);
    await this.here.turns();
    return Buffer.concat(
      client
        .messages()
        .map(({ type, request: id, transaction, body }) =>
          messageBytes({ type, request: id, transaction, body }),
        ),
    );
  }
}

/** Names of which so many are longer than an answer may be. */
const MANY_CHILDREN = 40;
const NAME = "child".repeat(24);

test("a store without /tool, and one with more children than an answer holds", async () => {
  const store = new Probed();
  const check = async (): Promise<void> => {
    const [wanted, found] = store.rehearse();
    expect(found).toBe(wanted);
    expect(storeProbe().next(await store.answers())).toEqual({ kind: "right" });
  };
  await check();
  expect(await store.ask(request("RM", 1, "/tool\0"))).toEqual(["OK\0"]);
  await check();
  for (let child = 0; child < MANY_CHILDREN; child++) {
    // oxlint-disable-next-line no-await-in-loop -- its requests must go in.
    await store.ask(request("MKDIR", 2, `/${NAME}${child}\0`));
  }
  expect(await store.ask(request("DIRECTORY", 3, "/\0"))).toEqual(["E2BIG\0"]);
  await check();
}, 60_000);

const reply = (op: OpName, body: string): Uint8Array =>
  messageBytes({ type: OP[op], request: 0x70726f62, transaction: 0, body });

const EVENT = reply("WATCH_EVENT", "/\0live-update-probe\0");
const RIGHT = [
  reply("READ", ""),
  reply("WATCH", "OK\0"),
  EVENT,
  reply("UNWATCH", "OK\0"),
  reply("TRANSACTION_START", "1\0"),
  reply("MKDIR", "OK\0"),
  reply("TRANSACTION_END", "OK\0"),
];

test("answers in part are waited for", () => {
  const bytes = Buffer.concat(RIGHT);
  for (let length = 0; length < bytes.length; length++) {
    expect(storeProbe().next(bytes.subarray(0, length))).toEqual({ kind: "more" });
  }
  expect(storeProbe().next(bytes)).toEqual({ kind: "right" });
});

test.each([
  [
    "a watch that is refused",
    RIGHT.filter((one) => one !== EVENT).with(1, reply("ERROR", "ENOSPC\0")),
    'WATCH "/\\u0000live-update-probe\\u0000": wanted "OK\\u0000", found ERROR "ENOSPC\\u0000"',
  ],
  ["no event", RIGHT.filter((one) => one !== EVENT), "the watch of the root: wanted one event"],
  ["an event twice", [EVENT, ...RIGHT], "the watch of the root: wanted one event"],
  ["another transaction", RIGHT.with(4, reply("TRANSACTION_START", "2\0")), 'wanted "1\\u0000"'],
  ["one answer more", [...RIGHT, RIGHT[0]!], "all: wanted one answer each"],
])("%s is wrong at once, and named", (_, answers, reason) => {
  const judge = (): unknown => storeProbe().next(Buffer.concat(answers));
  expect(judge).toThrow("the probe of the store: ");
  expect(judge).toThrow(reason);
});
