// The relay beside a save helper: see save-helper.ts.

import {
  type GatePipe,
  inheritedEnd,
  MessageGate,
  type OwnedEnd,
  ownEnd,
  relayStream,
  type RelayResult,
} from "../stream/index.ts";
import { Fd } from "../sys/index.ts";
import { WORKER_FD, type WorkerSettings } from "./save-helper.ts";

const FINDINGS_LIMIT = 100;

/** Relays one libxc stream; on restore not a byte beyond it is taken. */
export function relayForHelper(settings: WorkerSettings): RelayResult {
  const { direction, domid, isCheckpointed, onError, helperPid } = settings;
  const isSave = direction === "save";
  const stream = `the stream of domain ${domid}`;
  const source = ownEnd(new Fd(WORKER_FD.source, isSave ? `${stream} from the helper` : stream));
  const target = ownEnd(new Fd(WORKER_FD.target, isSave ? stream : `${stream} to the helper`));
  const gate = isCheckpointed ? openGate(direction) : closeGatePipes();
  return relayStream({
    source,
    target,
    back: undefined,
    format: "libxc",
    onError,
    limit: FINDINGS_LIMIT,
    rate: undefined,
    capture: undefined,
    control: undefined,
    lifeline: {
      fd: new Fd(WORKER_FD.lifeline, "the supervisor's line"),
      onStatus() {},
      onOrphaned: () => killHelper(helperPid),
    },
    isExact: !isSave,
    tailsElsewhere: true,
    gate,
    onProgress() {},
  });
}

/** Whoever ended the supervisor meant the helper: libxl knows no other pid. */
function killHelper(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "ESRCH") throw error;
  }
}

function openGate(direction: "save" | "restore"): MessageGate {
  const ends = new Map<GatePipe, readonly OwnedEnd[]>();
  const pipe = (from: OwnedEnd, to: OwnedEnd): GatePipe => {
    const made = { from, to };
    ends.set(made, [from, to]);
    return made;
  };
  return new MessageGate({
    direction,
    helperToLibxl: pipe(
      ownEnd(new Fd(WORKER_FD.fromHelper, "the helper's messages")),
      inheritedEnd(1, "libxl's end of the messages", "target"),
    ),
    libxlToHelper: pipe(
      inheritedEnd(0, "libxl's answers", "source"),
      ownEnd(new Fd(WORKER_FD.toHelper, "the helper's end of the answers")),
    ),
    letGo: (closed) => ends.get(closed)?.forEach((end) => end.letGo()),
  });
}

/** Without checkpoints nothing comes through them. */
function closeGatePipes(): undefined {
  for (const number of [WORKER_FD.toHelper, WORKER_FD.fromHelper]) {
    new Fd(number, "")[Symbol.dispose]();
  }
}
