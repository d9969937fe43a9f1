// The program that goes on at the seam where another one was (seams.ts): it checks the state,
// adopts it, answers the probe, and then has the stream. The same code is the keeper's.

import { readSync } from "node:fs";
import { RefusedError } from "../base/index.ts";
import { type Fd, monotonicMs, statOf } from "../sys/index.ts";
import { carriedFd } from "./carried.ts";
import type { Claimed } from "./in-place.ts";
import { PollWaiter } from "./poll-waiter.ts";
import { answer, digestOf, probeFor, serveProbe } from "./seam-talk.ts";
import { ASKER, type SeamProgram, Seams, type SeamSettings } from "./seams.ts";
import type { Adoption, Heir, Outcome, Survivor } from "./survivor.ts";
import { takeOver } from "./take-over.ts";

const STATE_BYTES_MAX = 256 * 1024 * 1024;
/** A keeper that is not needed any more ends at once. */
const KEEPER_END_MS = 2000;

export interface SeamHeir<P extends SeamProgram> {
  readonly kind: string;
  readonly stateVersion: number;
  /** Throws RefusedError for a state that this program cannot go on with. Changes nothing. */
  check(state: Uint8Array): void;
  /** The program, at the seam where the other one was. Throws RefusedError. */
  adopt(state: Uint8Array, take: (key: string) => Fd): P;
}

/**
 * What claimHandover() found, to its end: the program and its seams; undefined where this process
 * was started to check or to keep, and is not needed any more. Throws RefusedError.
 */
export function continueAtSeam<P extends SeamProgram>(
  claimed: Claimed,
  heir: SeamHeir<P>,
  settings: SeamSettings,
): { readonly program: P; readonly seams: Seams } | undefined {
  const waiter = new PollWaiter();
  let adopted: P | undefined;
  let seams: Seams | undefined;
  let isServing = false;
  let end: { readonly failure: string | undefined } | undefined;
  const start = (): Heir =>
    startHeir({
      heir,
      waiter,
      onAdopted(program) {
        adopted = program;
      },
      onServe(program, generation) {
        seams = new Seams(program, settings, { waiter, generation });
        return seams.survivor();
      },
    });
  takeOver({
    claimed,
    waiter,
    heirs: { [heir.kind]: { stateVersions: [heir.stateVersion], start } },
    version: settings.version,
    onServing() {
      isServing = true;
    },
    onEnd(failure) {
      end = { failure };
    },
  });
  while (!isServing && end === undefined) waiter.turn(Infinity);
  if (adopted !== undefined && seams !== undefined && isServing) {
    awaitKeeper(waiter);
    return { program: adopted, seams };
  }
  waiter[Symbol.dispose]();
  // The program that is to be replaced tells why; in place there is no other one to tell.
  if (claimed.kind === "in_place" && end?.failure !== undefined) {
    throw new RefusedError(end.failure);
  }
  return undefined;
}

function awaitKeeper(waiter: PollWaiter): void {
  const untilMs = monotonicMs() + KEEPER_END_MS;
  while (!waiter.isIdle && monotonicMs() < untilMs) waiter.turn(untilMs - monotonicMs());
}

interface StartOptions<P extends SeamProgram> {
  readonly heir: SeamHeir<P>;
  readonly waiter: PollWaiter;
  readonly onAdopted: (program: P) => void;
  readonly onServe: (program: P, generation: number) => Survivor;
}

function startHeir<P extends SeamProgram>(options: StartOptions<P>): Heir {
  const { heir, waiter } = options;
  let program: P | undefined;
  let asker: Fd | undefined;
  const adopted = (): P => {
    if (program === undefined) throw new RefusedError("Cannot go on: nothing was adopted");
    return program;
  };
  return {
    rehearse(copy) {
      const bytes = contentOf(copy);
      heir.check(bytes);
      return digestOf(bytes);
    },
    adopt(adoption: Adoption) {
      asker = adoption.descriptors.get(ASKER);
      program = heir.adopt(adoption.difference, (key) => carriedFd(adoption, key));
      options.onAdopted(program);
      return digestOf(program.state());
    },
    probe: probeFor,
    serveProbe: (fd) => serveProbe(fd, waiter, () => adopted().state()),
    serve(outcome: Outcome) {
      if (asker !== undefined) answer(asker, outcome);
      asker = undefined;
      return options.onServe(adopted(), outcome.report.generation);
    },
    onFirstServed: (report) => void waiter.after(0, report),
  };
}

function contentOf(file: Fd): Uint8Array {
  const { size } = statOf(file.number);
  if (size > STATE_BYTES_MAX) throw new RefusedError("Cannot adopt: the state is too large");
  const bytes = new Uint8Array(size);
  readSync(file.number, bytes, 0, size, 0);
  return bytes;
}
