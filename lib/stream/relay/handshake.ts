// What two xl processes say to each other around a migration (tools/xl/xl_migrate.c), followed byte
// by byte from both directions.
//
//   receiver -> sender    the banner                              silent    -> ready
//   sender -> receiver    the stream
//   receiver -> sender    "domain received, ready to unpause"     ready     -> received
//   sender -> receiver    "domain is yours, ..."                  received  -> go      no way back
//   receiver -> sender    "my copy unpause results ...", status   go        -> result
//   receiver -> sender    "domain is yours, ..."                  result    -> given_back
//
// From "go" on the sender does not resume its guest by itself: the receiver's answer is then the
// most valuable thing on the line. Remus and COLO stop at "ready".

import { BANNER, GO_MESSAGE, RECEIVED_MESSAGE, RESULT_MESSAGE } from "../xl/index.ts";

export type Direction = "to_sender" | "to_receiver";
export type HandshakeStage =
  | "silent"
  | "ready"
  | "received"
  | "go"
  | "result"
  | "given_back"
  /** The receiver said something else first: it is not xl, or something speaks before it. */
  | "foreign"
  /** It began as xl does, and went on differently. */
  | "broken";

/** One step: who says what. The result's message is followed by a status byte of any value. */
const STEPS = [
  // from        direction       words             to
  ["silent", "to_sender", BANNER, "ready"],
  ["ready", "to_sender", RECEIVED_MESSAGE, "received"],
  ["received", "to_receiver", GO_MESSAGE, "go"],
  ["go", "to_sender", RESULT_MESSAGE, "result"],
  ["result", "to_sender", GO_MESSAGE, "given_back"],
] as const satisfies readonly (readonly [HandshakeStage, Direction, string, HandshakeStage])[];

export interface HandshakeState {
  readonly stage: HandshakeStage;
  readonly receiverStatus: number | null;
  readonly matched: number;
  readonly wantsStatus: boolean;
}

export class Handshake {
  stage: HandshakeStage = "silent";
  /** 0: the receiver's copy runs. */
  receiverStatus: number | undefined;
  private matched = 0;
  private wantsStatus = false;

  get state(): HandshakeState {
    const { stage, receiverStatus, matched, wantsStatus } = this;
    return { stage, receiverStatus: receiverStatus ?? null, matched, wantsStatus };
  }

  restore({ stage, receiverStatus, matched, wantsStatus }: HandshakeState): void {
    this.stage = stage;
    this.receiverStatus = receiverStatus ?? undefined;
    this.matched = matched;
    this.wantsStatus = wantsStatus;
  }

  /** The sender does not resume its guest any more, and the receiver has not answered yet. */
  get awaitsResult(): boolean {
    return this.stage === "go" || this.wantsStatus;
  }

  /** Not once something else was said: then nothing that follows means anything. */
  get isUnderstood(): boolean {
    return this.stage !== "foreign" && this.stage !== "broken";
  }

  /** Takes what went in one direction. Bytes of the stream itself are not shown to it. */
  feed(direction: Direction, bytes: Uint8Array): void {
    for (const byte of bytes) this.feedByte(direction, byte);
  }

  private feedByte(direction: Direction, byte: number): void {
    if (this.wantsStatus && direction === "to_sender") {
      this.receiverStatus = byte;
      this.wantsStatus = false;
      return;
    }
    const step = STEPS.find(([from, who]) => from === this.stage && who === direction);
    if (step === undefined) return this.mismatch(direction);
    const [, , words, to] = step;
    if (words.charCodeAt(this.matched) !== byte) return this.mismatch(direction);
    this.matched++;
    if (this.matched < words.length) return;
    this.matched = 0;
    this.stage = to;
    this.wantsStatus = to === "result";
  }

  private mismatch(direction: Direction): void {
    if (!this.isUnderstood) return;
    // Behind a stream that no xl receives, anything may stand.
    if (this.stage === "silent" && direction === "to_receiver") return;
    this.stage = this.stage === "silent" ? "foreign" : "broken";
  }
}
