// The holder's side alone: the heir is the test, so that what it says and when is in its hands.

import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  type CarriedDescriptor,
  loopWaiter,
  type Survivor,
  type Way,
} from "../../lib/handover/index.ts";
import type { Goal, HolderEnd } from "../../lib/handover/holder-options.ts";
import { Holder } from "../../lib/handover/holder.ts";
import { decodeMessage, encodeMessage, type Message } from "../../lib/handover/messages.ts";
import {
  createMemfd,
  type Fd,
  Loop,
  makeNonBlocking,
  makeSocketPair,
  MESSAGE_BYTES_MAX,
  receiveDescriptors,
  sendDescriptors,
} from "../../lib/sys/index.ts";

const SLOW_START_MS = 200;

let stack: DisposableStack;
beforeEach(() => void (stack = new DisposableStack()));
afterEach(() => stack.dispose());

/** A program without state, and what it was asked. */
class Asked {
  readonly calls: string[] = [];
  readonly carried = [this.file("first")];

  private readonly stands: boolean;

  constructor(stands: boolean) {
    this.stands = stands;
  }

  file(key: string): CarriedDescriptor {
    return { key, fd: stack.use(createMemfd(key)) };
  }

  survivor(): Survivor {
    const { calls, carried } = this;
    const nothing = new Uint8Array(0);
    const note = <T>(name: string, value: T): T => {
      calls.push(name);
      return value;
    };
    const standby = {
      roster: () => note("roster", nothing),
      changes: () => note("changes", { difference: nothing, added: carried.slice(1), gone: [] }),
    };
    return {
      kind: "test",
      stateVersion: 1,
      settings: "",
      obstacles: () => [],
      counts: () => ({}),
      snapshot() {
        const file = createMemfd("copy");
        return {
          file,
          digest: "d",
          advance: () => true,
          [Symbol.dispose]: () => file[Symbol.dispose](),
        };
      },
      descriptors: () => note("descriptors", carried),
      pause: () => note("pause", undefined),
      resume: () => note("resume", undefined),
      difference: () => note("difference", nothing),
      ...(this.stands ? { standby } : {}),
      digest: () => "d",
      probe: () => ({ opening: Buffer.from("?"), next: () => ({ kind: "more" }) }),
      adoptAgain: () => note("adoptAgain", undefined),
      leave: () => note("leave", undefined),
    };
  }
}

/** The heir: a process that can be watched and killed, whose words are the test's. */
class Played {
  readonly ends: HolderEnd[] = [];
  readonly holder: Holder;
  private readonly loop = stack.use(new Loop());
  private readonly process = Bun.spawn(["sleep", "60"]);
  private readonly channel: Fd;

  constructor(asked: Asked, goal: Goal, way: Way) {
    stack.defer(() => this.process.kill());
    const [ours, theirs] = makeSocketPair("seqpacket");
    makeNonBlocking(ours);
    makeNonBlocking(theirs);
    this.channel = stack.use(theirs);
    this.holder = new Holder({
      goal,
      way,
      survivor: asked.survivor(),
      waiter: loopWaiter(this.loop),
      launched: { channel: ours, launcher: undefined },
      generation: 1,
      binary: "played",
      prepareMs: 20_000,
      pauseMs: 20_000,
      pauseMsMax: undefined,
      known: undefined,
      becomeProgram: undefined,
      onEnd: (end) => void this.ends.push(end),
    });
    stack.defer(() => this.holder.cancel("the test is over"));
  }

  hello(): void {
    const { pid } = this.process;
    this.say({ type: "hello", protocol: [3, 3], version: "played", pid, kinds: { test: [1] } });
  }

  say(message: Message): void {
    sendDescriptors(this.channel, encodeMessage(message), []);
  }

  async turns(): Promise<void> {
    this.loop.after(5, () => this.loop.stop());
    await this.loop.run();
  }

  /** Until the holder has said that, or has come to its end. */
  async hears(wanted: Message["type"]): Promise<void> {
    while (this.ends.length === 0) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other is the point.
      await this.turns();
      const received = receiveDescriptors(this.channel, MESSAGE_BYTES_MAX);
      if (received === undefined || received.bytes.length === 0) continue;
      stack.use(received); // With its end of the probe's connection, which is not answered.
      if (decodeMessage(received.bytes).type === wanted) return;
    }
  }

  /** Says what an heir says up to the holder's decision. */
  async prepare(): Promise<void> {
    await this.hears("copy");
    this.say({ type: "rehearsed", digest: "d", duration_ms: 1 });
    await this.hears("descriptors");
    this.say({ type: "got", count: 1 });
    await this.hears("stand_by");
    this.say({ type: "standing" });
  }
}

test("in the pause nobody waits for a batch's answer: nothing is described anew", async () => {
  const asked = new Asked(true);
  const heir = new Played(asked, "promote", "promote");
  heir.hello();
  await heir.prepare();
  // It connects after the heir was told for whom to stand by.
  asked.carried.push(asked.file("late"));
  await heir.hears("final");
  const { describe } = heir.holder.report().phases_ms;
  const before = [...asked.calls];
  heir.say({ type: "got", count: 1 });
  await heir.turns();
  expect(asked.calls).toEqual(before);
  expect(heir.holder.report().phases_ms.describe).toBe(describe!);
  heir.say({ type: "refused", reason: "enough" });
  while (heir.ends.length === 0) await heir.turns();
  expect(heir.ends).toMatchObject([{ kind: "failed", reason: "enough" }]);
});

test.each([
  ["a promotion, its dry run", true, "promote", "changes"],
  ["a promotion of one for whom nobody stands by", false, "promote", "difference"],
  ["an update in place, its dry run", true, "in_place", "difference"],
] as const)(
  "the pause is predicted by what is done in it: %s",
  async (_, stands, way, measured) => {
    const asked = new Asked(stands);
    const heir = new Played(asked, "rehearse", way);
    await Bun.sleep(SLOW_START_MS);
    heir.hello();
    await heir.prepare();
    while (heir.ends.length === 0) await heir.turns();
    const [end] = heir.ends;
    expect(end?.kind).toBe("rehearsed");
    const trials = asked.calls.filter((call) => call === "changes" || call === "difference");
    expect(trials).toEqual([measured]);
    const { phases_ms: phases, pause_ms: pause } = end!.report;
    // Only in place does everybody wait for the start of the new program.
    expect(pause.predicted! > phases.start!).toBe(way === "in_place");
  },
);

test("where nobody stands by, a promotion is predicted by all that goes over", async () => {
  const asked = new Asked(false);
  const heir = new Played(asked, "promote", "promote");
  heir.hello();
  await heir.prepare();
  await heir.hears("final");
  expect(asked.calls.filter((call) => ["difference", "pause"].includes(call))).toEqual([
    "difference",
    "pause",
    "difference",
  ]);
});

const MANY = 64 * 40;

test("an heir that does not read what it is told in the pause is named so at once", async () => {
  const asked = new Asked(true);
  const heir = new Played(asked, "promote", "promote");
  heir.hello();
  await heir.prepare();
  // More batches than its line has room for, at the same time.
  const { fd } = asked.file("one of many");
  for (let key = 0; key < MANY; key++) asked.carried.push({ key: `${key}`.padStart(600), fd });
  while (heir.ends.length === 0) await heir.turns();
  expect(heir.ends).toMatchObject([
    {
      kind: "failed",
      reason: expect.stringMatching(/does not read, and there is no room for "descriptors"$/),
    },
  ]);
  expect(asked.calls.at(-1)).toBe("resume");
}, 30_000);
