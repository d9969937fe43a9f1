// The report of a relay, from what it has at any moment.

import { monotonicMs } from "../../sys/index.ts";
import type { VerifyReport } from "../verify/index.ts";
import type { Channel } from "./channel.ts";
import type { Handshake } from "./handshake.ts";
import type { RelayOptions } from "./relay-options.ts";
import type { RelayReport } from "./report.ts";

export interface ReportParts {
  readonly channel: Channel;
  readonly handshake: Handshake;
  readonly ended: RelayReport["ended"];
  readonly errors: number;
  readonly warnings: number;
  readonly hasBug: boolean;
  /** Where the rest began; undefined until then. */
  readonly streamEnd: number | undefined;
  readonly backBytes: number;
  readonly startedMs: number;
  readonly verify: VerifyReport | undefined;
}

export function reportOf(options: RelayOptions, parts: ReportParts): RelayReport {
  const { channel, handshake, ended, errors } = parts;
  const { capture } = options;
  const isThrough = ended === "end" && !parts.hasBug;
  const isBad = errors > 0 && ended !== "running";
  return {
    verdict: isBad ? "bad" : isThrough ? "good" : "unknown",
    ended,
    failure: channel.failure?.error.message ?? null,
    bytes: {
      taken: channel.takenBytes,
      delivered: channel.deliveredBytes,
      behind_the_end: isBad ? 0 : channel.takenBytes - (parts.streamEnd ?? channel.takenBytes),
      back: parts.backBytes,
    },
    duration_ms: Math.round(monotonicMs() - parts.startedMs),
    waited_ms: {
      source: Math.round(channel.sourceWaitMs),
      target: Math.round(channel.targetWaitMs),
    },
    errors,
    warnings: parts.warnings,
    handshake:
      options.back === undefined
        ? null
        : { stage: handshake.stage, receiver_status: handshake.receiverStatus ?? null },
    capture:
      capture === undefined
        ? null
        : {
            path: capture.path,
            state: capture.state,
            bytes: capture.capturedBytes,
            reason: capture.reason ?? null,
          },
    verify: parts.verify ?? null,
  };
}
