// What an heir tells when it cannot take what comes: whoever asked for the update is to read that,
// and not only that the new program ended.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { type Heir, loopWaiter } from "../../lib/handover/index.ts";
import { HeirSide } from "../../lib/handover/heir.ts";
import { decodeMessage, encodeMessage, type Message } from "../../lib/handover/messages.ts";
import {
  createMemfd,
  Loop,
  makeNonBlocking,
  makeSocketPair,
  MESSAGE_BYTES_MAX,
  receiveDescriptors,
  sendDescriptors,
} from "../../lib/sys/index.ts";

let stack: DisposableStack;
beforeEach(() => void (stack = new DisposableStack()));
afterEach(() => stack.dispose());

const KIND = "test";

function unused(): never {
  throw new Error("It does not come so far");
}

const HEIR: Heir = {
  rehearse: () => "digest",
  adopt: unused,
  probe: unused,
  serveProbe: unused,
  serve: unused,
  onFirstServed: unused,
};

/** An heir whose holder is the test. */
class Told {
  readonly givenUp: string[] = [];
  private readonly loop = stack.use(new Loop());
  private readonly ends = makeSocketPair("seqpacket");

  constructor() {
    const [ours, theirs] = this.ends;
    stack.use(ours);
    makeNonBlocking(ours);
    makeNonBlocking(theirs);
    const side = new HeirSide({
      channel: theirs,
      waiter: loopWaiter(this.loop),
      heirs: { [KIND]: { stateVersions: [1], start: () => HEIR } },
      version: "test",
      onServing: unused,
      onGivenUp: (reason) => void this.givenUp.push(reason),
      onGuard: undefined,
    });
    stack.defer(() => side.channel[Symbol.dispose]());
    side.greet();
  }

  tell(message: Message | Uint8Array, descriptors = 0): void {
    using fds = new DisposableStack();
    const files = Array.from({ length: descriptors }, () => fds.use(createMemfd("not a state")));
    const bytes = message instanceof Uint8Array ? message : encodeMessage(message);
    sendDescriptors(
      this.ends[0],
      bytes,
      files.map(({ number }) => number),
    );
  }

  async refusals(): Promise<string[]> {
    this.loop.after(20, () => this.loop.stop());
    await this.loop.run();
    const reasons: string[] = [];
    for (;;) {
      const received = receiveDescriptors(this.ends[0], MESSAGE_BYTES_MAX);
      if (received === undefined || received.bytes.length === 0) return reasons;
      const message = decodeMessage(received.bytes);
      if (message.type === "refused") reasons.push(message.reason);
    }
  }
}

const WELCOME = {
  type: "welcome",
  protocol: 3,
  kind: KIND,
  state_version: 1,
  settings: "",
  process_name: "bun",
  pid: process.ppid,
  pause_ms: 1000,
} as const;

test.each([
  ["a greeting it does not understand", [[Buffer.from("{}"), 0]], /it said \{\}$/],
  ["a state of another version", [[{ ...WELCOME, state_version: 2 }, 0]], /Cannot continue a test/],
  [
    "a rehearsal without a copy",
    [
      [WELCOME, 0],
      [{ type: "copy", digest: "" }, 0],
    ],
    /no copy$/,
  ],
  [
    "keys without descriptors",
    [
      [WELCOME, 0],
      [{ type: "copy", digest: "" }, 1],
      [{ type: "descriptors", keys: ["a"] }, 0],
    ],
    /1 keys, 0 descriptors$/,
  ],
  [
    "a final file that is none",
    [
      [WELCOME, 0],
      [{ type: "copy", digest: "" }, 1],
      [{ type: "stand_by" }, 2],
    ],
    /state that was handed over: found 0 bytes$/,
  ],
] satisfies [string, [Message | Uint8Array, number][], RegExp][])(
  "%s is refused, with the reason",
  async (_, messages, reason) => {
    const heir = new Told();
    for (const [message, descriptors] of messages) heir.tell(message, descriptors);
    const told = await heir.refusals();
    expect(told.length).toBe(1);
    expect(told[0]).toMatch(reason);
    expect(heir.givenUp).toEqual(told);
  },
);
