// Replacing the program of this very process: same pid, for a parent that waits for it.
//
// Theory of Operation. Nothing of the old program is left to go back to, so a keeper stands by: a
// process of the old binary with duplicates of every descriptor, which plays the holder from here
// on (keeper.ts). What the exec takes along is a list of descriptor numbers in one variable:
//
//   the channel to the keeper, the final file, the shared page, the old binary, and those that the
//   final file lists; every other descriptor is marked close-on-exec
//
// A failing exec returns, and the old program goes on. A new program that refuses the state before
// it has served executes the old binary again from the kept descriptor, with the same state. One
// that crashes or hangs is replaced by the keeper, under another pid. A signal that would end a
// program without handlers waits until the new one has them.

import * as v from "valibot";
import { RefusedError } from "../base/index.ts";
import {
  cleanEnvironment,
  closeOnExec,
  type Environment,
  Fd,
  holdSignals,
  keepOnlyOnExec,
  releaseSignals,
  replaceProgramByFd,
} from "../sys/index.ts";
import { type Final, readFinal } from "./final-file.ts";
import type { Inherited } from "./heir-options.ts";
import type { Handed } from "./holder-options.ts";
import type { Program } from "./launch.ts";
import { CHANNEL_FD, HANDOVER_VARIABLE } from "./launcher.ts";
import { SharedPage } from "./shared-page.ts";

const fdNumber = v.pipe(v.number(), v.integer(), v.minValue(0));

/** The variable's value, as JSON. */
const TokenSchema = v.object({
  channel: fdNumber,
  final: fdNumber,
  page: fdNumber,
  keeper_pid: fdNumber,
  /** The old binary, and how it was started; null once it is the one that runs. */
  back: v.nullable(v.object({ binary: fdNumber, argv: v.array(v.string()) })),
  stepped_back: v.nullable(v.string()),
  /** Signals that wait since the exec. */
  held_signals: v.array(fdNumber),
});
type Token = v.InferOutput<typeof TokenSchema>;

/** Becomes the program, or throws and leaves everything as it was. */
export function becomeProgram(
  program: Program,
  handed: Handed,
  old: Program,
  environment: Environment,
): never {
  const { channelNumber, final, page, head, keeperPid } = handed;
  const token: Token = {
    channel: channelNumber,
    final: final.number,
    page: page.file.number,
    keeper_pid: keeperPid,
    back: { binary: old.binary.number, argv: [...old.argv] },
    stepped_back: null,
    held_signals: [],
  };
  const listed = head.descriptors.map(([, , number]) => number);
  execute(program, { token, listed, environment });
}

interface Execution {
  readonly token: Token;
  readonly listed: readonly number[];
  readonly environment: Environment;
}

function execute({ binary, argv }: Program, { token, listed, environment }: Execution): never {
  const { channel, final, page, back } = token;
  const held = holdSignals();
  const ours = [channel, final, page, ...(back === null ? [] : [back.binary])];
  keepOnlyOnExec(new Set([...listed, ...ours]));
  const variables = {
    ...cleanEnvironment(environment),
    [HANDOVER_VARIABLE]: JSON.stringify({
      ...token,
      held_signals: [...token.held_signals, ...held],
    } satisfies Token),
  };
  try {
    replaceProgramByFd(binary, { argv, environment: variables });
  } catch (error) {
    keepOnlyOnExec(new Set());
    releaseSignals(held);
    throw error;
  }
}

/** What this process was started for, besides serving anew. */
export type Claimed =
  /** To take over from the process at the other end of the channel. */
  | { readonly kind: "heir"; readonly channel: Fd }
  | {
      readonly kind: "in_place";
      readonly channel: Fd;
      readonly inherited: Inherited;
      /** Executes the old program again. Throws where that is not possible. */
      readonly stepBack: (reason: string) => never;
    };

/** undefined for a program that was started to begin anew. Throws RefusedError. */
export function claimHandover(environment: Environment): Claimed | undefined {
  const told = environment[HANDOVER_VARIABLE];
  if (told === undefined) return undefined;
  if (told === "heir") {
    const channel = new Fd(CHANNEL_FD, "the line to the old program");
    closeOnExec(channel); // The runtime leaves an inherited 3 as it was.
    return { kind: "heir", channel };
  }
  const parsed = v.safeParse(TokenSchema, parseOrNothing(told));
  if (!parsed.success) throw new RefusedError(`Cannot take over: ${HANDOVER_VARIABLE} is no token`);
  return claimInPlace(parsed.output, environment);
}

function claimInPlace(token: Token, environment: Environment): Claimed {
  const own = (number: number, name: string): Fd => {
    const fd = new Fd(number, name);
    closeOnExec(fd);
    return fd;
  };
  const channel = own(token.channel, "the line to the keeper");
  const finalFile = own(token.final, "the final state");
  const final = readFinal(finalFile);
  const page = SharedPage.open(own(token.page, "the shared page"), final.head.marks);
  const descriptors = new Map(
    final.head.descriptors.map(([key, , number]) => [key, own(number, key)]),
  );
  const { back } = token;
  const binary = back === null ? undefined : own(back.binary, "the old program");
  const inherited: Inherited = {
    final,
    page,
    descriptors,
    keeperPid: token.keeper_pid,
    steppedBack: token.stepped_back ?? undefined,
    canStepBack: back !== null,
    onServing: () => {
      releaseSignals(token.held_signals);
      binary?.[Symbol.dispose]();
      finalFile[Symbol.dispose]();
    },
  };
  const stepBack = (reason: string): never => {
    if (back === null || binary === undefined) throw new RefusedError(reason);
    execute(
      { binary, argv: back.argv, name: "the old program" },
      {
        token: { ...token, back: null, stepped_back: reason },
        listed: listedNumbers(final),
        environment,
      },
    );
  };
  return { kind: "in_place", channel, inherited, stepBack };
}

const listedNumbers = ({ head }: Final): number[] => head.descriptors.map(([, , number]) => number);

function parseOrNothing(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // It is then no token.
  }
}
