// What the holder hands over, and how far it is with that: descriptors in batches while it serves,
// then everything that is not going to change, for an heir that stands by, and in the pause what is
// otherwise by then. A keeper is told all of it in the pause.

import { assert, RefusedError } from "../base/index.ts";
import { type Fd, processName } from "../sys/index.ts";
import { CarriedList } from "./carried.ts";
import type { Channel } from "./channel.ts";
import { type Final, type FinalHead, writeFinal } from "./final-file.ts";
import type { Message } from "./messages.ts";
import { SharedPage } from "./shared-page.ts";
import type { Changes, Survivor } from "./survivor.ts";

/** Connections that may come between standing by and the pause: more than a backlog has. */
const MARKS_MORE = 4000;

/** What the holder adds to the head. */
export type Circumstances = Pick<FinalHead, "paused_at_ms" | "pause_limit_ms" | "report">;

/** Owns the final file and the shared page. */
export class HandedState implements Disposable {
  private readonly survivor: Survivor;
  private readonly channel: Channel;
  private readonly carried = new CarriedList();
  /** Of the final state, once it was sent. */
  head: FinalHead | undefined;
  final: Fd | undefined;
  page: SharedPage | undefined;
  private marks = 0;
  private readonly processName = processName();

  constructor(survivor: Survivor, channel: Channel) {
    this.survivor = survivor;
    this.channel = channel;
  }

  /** The keys of connections that the heir has had traffic on. */
  touched(): Set<string> {
    const { page } = this;
    return this.carried.touched((index) => page?.isTouched(index) === true);
  }

  /** The next batch of descriptors. False: there are none that were not sent. */
  sendBatch(): boolean {
    const { keys, fds } = this.carried.nextBatch(this.survivor.descriptors());
    if (keys.length > 0) this.tell({ type: "descriptors", keys }, fds);
    return keys.length > 0;
  }

  /** Everything that is not going to change, as it is now: clients come and go from here on. */
  makeStandBy(told: Circumstances): void {
    const listed = this.list({ added: this.survivor.descriptors(), gone: [] });
    this.page ??= this.makePage(MARKS_MORE);
    const difference = this.survivor.standby?.roster() ?? new Uint8Array(0);
    this.standBy = { head: this.headOf(listed, "", told), difference };
  }
  private standBy: Final | undefined;

  sendStandBy(): void {
    const { standBy, page } = this;
    assert(standBy && page, "what to stand by for is made before it is sent");
    using file = writeFinal(standBy);
    this.standBy = undefined;
    this.tell({ type: "stand_by" }, [file, page.file]);
  }

  /** To an heir that stands by; with its end of the probe's connection. */
  sendFinal(told: Circumstances, probe: Fd): void {
    const changes = this.survivor.standby?.changes() ?? this.changes();
    const listed = this.list(changes);
    const count = this.carried.listedCount;
    if (count > this.marks) {
      const found = `found ${count}`;
      throw new RefusedError(`Cannot hand over: wanted ${this.marks} connections, ${found}`);
    }
    this.send("final", { listed, told, difference: changes.difference, second: probe });
  }

  private changes(): Changes {
    const difference = this.survivor.difference();
    return { difference, ...this.carried.changesOf(this.survivor.descriptors()) };
  }

  sendFinalKeep(told: Circumstances): void {
    const listed = this.list({ added: this.survivor.descriptors(), gone: [] });
    this.page ??= this.makePage(0);
    const difference = this.survivor.difference();
    this.send("final_keep", { listed, told, difference, second: this.page.file });
  }

  private send(
    type: "final" | "final_keep",
    rest: {
      readonly listed: Listed;
      readonly told: Circumstances;
      readonly difference: Uint8Array;
      readonly second: Fd;
    },
  ): void {
    const digest = this.survivor.digest();
    const head = this.headOf(rest.listed, digest, rest.told);
    this.head = head;
    this.final = writeFinal({ head, difference: rest.difference });
    this.tell({ type, digest }, [this.final, rest.second]);
  }

  /** Without any of it the heir cannot take over. Throws RefusedError. */
  private tell(message: Message, fds: readonly Fd[]): void {
    if (this.channel.send(message, fds)) return;
    const why = `the new program does not read, and there is no room for "${message.type}"`;
    throw new RefusedError(`Cannot hand over: ${why}`);
  }

  /** Sends those that were not sent yet. */
  private list({ added, gone }: Pick<Changes, "added" | "gone">): Listed {
    for (;;) {
      const { keys, fds } = this.carried.nextBatch(added);
      if (keys.length === 0) break;
      this.tell({ type: "descriptors", keys }, fds);
    }
    return { descriptors: this.carried.list(added), gone };
  }

  private makePage(marksMore: number): SharedPage {
    this.marks = this.carried.listedCount + marksMore;
    return SharedPage.create(this.marks);
  }

  private headOf(listed: Listed, digest: string, told: Circumstances): FinalHead {
    const { kind, settings } = this.survivor;
    const names = { kind, settings, process_name: this.processName, digest };
    return { ...listed, marks: this.marks, ...names, ...told };
  }

  [Symbol.dispose](): void {
    this.final?.[Symbol.dispose]();
    this.page?.[Symbol.dispose]();
  }
}

type Listed = Pick<FinalHead, "descriptors" | "gone">;
