// The relay beside a save helper: see save-helper.ts.

import type { Claimed, SeamSettings } from "../handover/index.ts";
import {
  type GatePipe,
  goOnRelaying,
  inheritedEnd,
  MessageGate,
  type OwnedEnd,
  ownEnd,
  relayStream,
  type RelayResult,
} from "../stream/index.ts";
import { Fd, openNull } from "../sys/index.ts";
import { WORKER_FD, type WorkerSettings } from "./save-helper.ts";

const FINDINGS_LIMIT = 100;

/**
 * Relays one libxc stream; on restore not a byte beyond it is taken. undefined: this process was
 * started to check or to keep another one's state, and is not needed any more.
 */
export function relayForHelper(
  settings: WorkerSettings,
  { claimed, how }: { readonly claimed: Claimed | undefined; readonly how: SeamSettings },
): RelayResult | undefined {
  const { direction, domid } = settings;
  const isSave = direction === "save";
  if (claimed !== undefined) {
    return goOnRelaying(
      claimed,
      (ends) => ({
        ...commonOptions(settings, how, ends.lifeline),
        ...gateOptions(settings, (key, role) =>
          ends.has(key) ? ends.end(key, role) : ownEnd(openNull()),
        ),
        source: ends.end("source", "source"),
        target: ends.end("target", "target"),
      }),
      how,
    );
  }
  const stream = `the stream of domain ${domid}`;
  const { source, target, lifeline } = WORKER_FD;
  return relayStream({
    ...commonOptions(settings, how, new Fd(lifeline, "the supervisor's line")),
    ...gateOptions(settings, freshGateEnd),
    source: ownEnd(new Fd(source, isSave ? `${stream} from the helper` : stream)),
    target: ownEnd(new Fd(target, isSave ? stream : `${stream} to the helper`)),
  });
}

function commonOptions(
  { direction, onError, helperPid, control }: WorkerSettings,
  settings: SeamSettings,
  lifeline: Fd,
) {
  return {
    back: undefined,
    format: "libxc",
    onError,
    limit: FINDINGS_LIMIT,
    rate: undefined,
    capture: undefined,
    control: control ?? undefined,
    lifeline: {
      fd: lifeline,
      onStatus() {},
      onOrphaned: () => killHelper(helperPid),
    },
    isExact: direction === "restore",
    tailsElsewhere: true,
    settings,
    onProgress() {},
  } as const;
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

type GateKey = "messages_from" | "messages_to" | "replies_from" | "replies_to";
type GateEnd = (key: GateKey, role: "source" | "target") => OwnedEnd;

/** As the supervisor has given them. */
function freshGateEnd(key: GateKey): OwnedEnd {
  switch (key) {
    case "messages_from":
      return ownEnd(new Fd(WORKER_FD.fromHelper, "the helper's messages"));
    case "messages_to":
      return inheritedEnd(1, "libxl's end of the messages", "target");
    case "replies_from":
      return inheritedEnd(0, "libxl's answers", "source");
    case "replies_to":
      return ownEnd(new Fd(WORKER_FD.toHelper, "the helper's end of the answers"));
  }
}

function gateOptions({ direction, isCheckpointed }: WorkerSettings, endOf: GateEnd) {
  if (!isCheckpointed) return { gate: closeGatePipes(endOf), gateEnds: () => new Map() };
  const open = new Map<GateKey, OwnedEnd>();
  const keysOf = new Map<GatePipe, readonly GateKey[]>();
  const pipe = (fromKey: GateKey, toKey: GateKey): GatePipe => {
    const made = { from: endOf(fromKey, "source"), to: endOf(toKey, "target") };
    open.set(fromKey, made.from).set(toKey, made.to);
    keysOf.set(made, [fromKey, toKey]);
    return made;
  };
  const gate = new MessageGate({
    direction,
    helperToLibxl: pipe("messages_from", "messages_to"),
    libxlToHelper: pipe("replies_from", "replies_to"),
    letGo(closed) {
      for (const key of keysOf.get(closed) ?? []) {
        open.get(key)?.letGo();
        open.delete(key);
      }
    },
  });
  return { gate, gateEnds: () => open };
}

/** Without checkpoints nothing comes through them. */
function closeGatePipes(endOf: GateEnd): undefined {
  if (endOf !== freshGateEnd) return; // They were closed by the program before.
  for (const key of ["messages_from", "replies_to"] as const) freshGateEnd(key).letGo();
}
