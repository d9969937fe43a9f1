// A receiver that goes on where another program was, at a commit: the folder says what was received
// (index and slots are made anew from the journal), the state says where the stream is, and the
// descriptors are the stream itself, the folder's lock and whoever is told of commits.

import { assert, RefusedError } from "../base/index.ts";
import { type Claimed, continueAtSeam, type SeamSettings } from "../handover/index.ts";
import { type Fd, kindOf, statOf } from "../sys/index.ts";
import { keepFolder } from "./keeper.ts";
import { scanFolder } from "./points.ts";
import {
  decodeState,
  RECEIVE_KIND,
  RECEIVE_STATE_VERSION,
  type ReceiveState,
} from "./receive-state.ts";
import {
  type Companion,
  type CarriedReceiver,
  Receiver,
  type ReceiveOptions,
  type ReceiveResult,
} from "./receiver.ts";

export interface GoOnOptions extends Omit<ReceiveOptions, "open" | "paused" | "companion"> {
  /** Whoever is told of commits, from what the other program's had. */
  readonly companion: (state: unknown, take: (key: string) => Fd) => Companion;
}

/**
 * Goes on with what claimHandover() found, to the stream's end. undefined: this process was started
 * to check or to keep, and is not needed any more. Throws as receiveStream() does.
 */
export function goOnReceiving(
  claimed: Claimed,
  options: GoOnOptions,
  settings: SeamSettings,
): ReceiveResult | undefined {
  using owned = new DisposableStack();
  const heir = {
    kind: RECEIVE_KIND,
    stateVersion: RECEIVE_STATE_VERSION,
    check: (bytes: Uint8Array) => check(options.folder, decodeState(bytes)),
    adopt: (bytes: Uint8Array, take: (key: string) => Fd) =>
      adopt(options, { state: decodeState(bytes), take, owned }),
  };
  const found = continueAtSeam(claimed, heir, settings);
  if (found === undefined) return undefined;
  const { program, seams } = found;
  owned.use(seams);
  program.replaceableBy(seams);
  return program.run();
}

/** Reads the folder as it stands; the other program writes to it. */
function check(folder: string, { paused }: ReceiveState): void {
  if (paused === null) return;
  const streams = scanFolder(folder).streams.map(({ files }) => files.stream);
  if (streams.includes(paused.stream)) return;
  throw new RefusedError(`Cannot go on: stream ${paused.stream} of "${folder}" cannot be read`);
}

interface Parts {
  readonly state: ReceiveState;
  readonly take: (key: string) => Fd;
  readonly owned: DisposableStack;
}

function adopt(options: GoOnOptions, { state, take, owned }: Parts): Receiver {
  const { paused } = state;
  assert(paused, "a receiver is replaced behind a commit");
  const lock = owned.use(take("lock"));
  const fd = owned.use(take("source"));
  fd.name = state.source;
  const companion = options.companion(state.companion, take);
  const all: ReceiveOptions = {
    ...options,
    companion,
    paused,
    open: () => ({ fd, kind: kindOf(statOf(fd.number)) }),
  };
  const keeper = owned.use(keepFolder(all, lock));
  const carried: CarriedReceiver = {
    commits: state.commits,
    waitedMs: state.waited_ms,
    listener: options.control === undefined ? undefined : take("control"),
  };
  return owned.use(new Receiver(all, { keeper, lock, carried }));
}
