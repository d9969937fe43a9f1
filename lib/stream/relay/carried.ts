// What of a relay goes over to another program beside its own counters: its ends, its capture.

import type { CarriedDescriptor } from "../../handover/index.ts";
import type { Capture } from "./capture.ts";
import type { HeldBytes } from "./relay-source.ts";
import type { OwnedEnd, RelayOptions } from "./relay-options.ts";
import type { EndState, RelayState } from "./relay-state.ts";

const STANDARD_MAX = 2;

/** Why a relay cannot be gone on with by another program now. */
export function obstaclesOf(
  { target, isExact }: RelayOptions,
  {
    isOver,
    hasBug,
    isForeign,
  }: { readonly isOver: boolean; readonly hasBug: boolean; readonly isForeign: boolean },
): string[] {
  const obstacles: string[] = [];
  if (isOver) obstacles.push("the stream is over, or the relay is being stopped");
  if (hasBug) obstacles.push("the stream is passed on unseen, because its check has failed");
  if (target.how === "new_file")
    obstacles.push(`"${target.fd.name}" is a file that is not there yet`);
  if (isForeign && !isExact) {
    obstacles.push("only streams of xl, libxl and libxc can be gone on with, and this is none");
  }
  return obstacles;
}

function endsOf({ source, target, back, gateEnds }: RelayOptions, isBackOver: boolean) {
  const all = new Map<string, OwnedEnd>([
    ["source", source],
    ["target", target],
  ]);
  if (back !== undefined && !isBackOver) all.set("back_from", back.from).set("back_to", back.to);
  for (const [key, end] of gateEnds?.() ?? []) all.set(key, end);
  return all;
}

export function endStates(options: RelayOptions, isBackOver: boolean): RelayState["ends"] {
  const states: Record<string, EndState> = {};
  for (const [key, { fd, how }] of endsOf(options, isBackOver)) {
    states[key] = {
      name: fd.name,
      how: how === "owned" ? "owned" : "inherited",
      number: fd.number > STANDARD_MAX ? null : standard(fd.number),
    };
  }
  return states;
}

const standard = (number: number): 0 | 1 | 2 => (number === 0 ? 0 : number === 1 ? 1 : 2);

/** The standard ones go through an exec by themselves, and every process of ours has them. */
export function endDescriptors(options: RelayOptions, isBackOver: boolean): CarriedDescriptor[] {
  const { lifeline, capture } = options;
  const ends = [...endsOf(options, isBackOver)].map(([key, { fd }]) => ({ key, fd }));
  return [
    ...ends.filter(({ fd }) => fd.number > STANDARD_MAX),
    ...(lifeline === undefined ? [] : [{ key: "lifeline", fd: lifeline.fd }]),
    ...(capture?.state === "writing" ? [{ key: "capture", fd: capture.file }] : []),
  ];
}

export const captureState = (capture: Capture | undefined): RelayState["capture"] =>
  capture === undefined
    ? null
    : { state: capture.state, reason: capture.reason ?? null, bytes: capture.capturedBytes };

export const heldOf = ({ held }: RelayState): HeldBytes => ({
  ...held,
  bytes: Buffer.from(held.bytes, "base64"),
});
