// Saving, loading and copying a device state, for back ends that no guest is attached to, directly
// or through their proxy.
//
// The stages are those of passt's own migration, and stand in this order:
//
//   source pre    it is there, can move its state, and nothing of it would be lost without a word
//   target pre    it is there, fresh, offers what the source offers, and reads such a state
//   source        the state is taken and looked at whole: no target sees a byte of a bad one
//   target        the state is loaded, the target says that it is good, its flows are counted
//   source post   only now the source is asked whether all was well: a passt of 2025 then ends
//
// A source cannot be rolled back: passt closes its sockets while it saves. What is left after a
// failure is the state itself, which its caller has in a file.

import { RefusedError } from "../base/index.ts";
import type { Fd } from "../sys/index.ts";
import { NO_JOURNAL, type Outcome, runTransitionNow } from "../transition/index.ts";
import { BackEnd, dangerOfSaving, type StateEnd } from "./back-end.ts";
import {
  commandOf,
  isPasst,
  repairHelperOf,
  tcpConnectionsOf,
  waitForRepairHelper,
} from "./back-end-process.ts";
import { connectControl, ControlClient } from "./control-client.ts";
import { describeFeatures } from "./messages.ts";
import { VERSIONS } from "./passt-layout.ts";
import { checkedPasstState, emptyPasstState, isPasstState } from "./passt-state.ts";
import { StateInFile } from "./state-bytes.ts";
import { type StateFile, stateFile } from "./state-file.ts";

/** A back end by its own socket, or through its proxy by the proxy's control socket. */
export function openStateEnd(
  path: string,
  { waitMs, losesConnections }: { readonly waitMs: number; readonly losesConnections: boolean },
): StateEnd {
  const control = connectControl(path, waitMs);
  if (control === undefined) return new BackEnd({ path, waitMs });
  control.losesConnections = losesConnections;
  return control;
}

export interface StateSummary {
  readonly kind: "passt" | "unknown";
  readonly bytes: number;
  /** Flows of passt. */
  readonly flows: number | undefined;
}

/** Looks at a whole state. Throws StreamError for one of passt that is not as it must be. */
export function summaryOf(fd: Fd, bytes: number): StateSummary {
  using state = new StateInFile(fd, bytes);
  if (!isPasstState(state)) return { kind: "unknown", bytes, flows: undefined };
  return { kind: "passt", bytes, flows: checkedPasstState(state).seen?.flows ?? 0 };
}

export interface SaveSummary extends StateSummary {
  /**
   * Command line of the back end: flag bits in a state differ between releases, and it tells none.
   */
  readonly program: string | undefined;
}

export interface TransferOptions {
  readonly path: string;
  readonly waitMs: number;
  /** Go on although TCP connections will be lost. */
  readonly losesConnections: boolean;
}

/**
 * Saves into an empty file. `accept` runs when all is there and good, before the source is told.
 */
export function saveState(options: TransferOptions, file: Fd, accept: () => void): SaveSummary {
  using source = openStateEnd(options.path, options);
  refuse("save", reasonsAgainstSource(source, options));
  const held = source.pid === undefined ? undefined : tcpConnectionsOf(source.pid);
  const program = source.pid === undefined ? undefined : commandOf(source.pid);
  const summary = summaryOf(file, source.save(file));
  refuse("save", reasonsAgainstSummary(summary, held, options));
  accept();
  try {
    source.check();
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    throw new RefusedError(`${error.message}; what it gave is kept`, { cause: error });
  }
  return { ...summary, program };
}

export interface LoadSummary extends StateSummary {
  /** Flows that the target's process holds afterwards; undefined where it cannot be looked at. */
  readonly flowsAfter: number | undefined;
}

/** Loads `bytes` bytes of a file, after it was looked at whole. */
export function loadState(options: TransferOptions, file: Fd, bytes: number): LoadSummary {
  const summary = summaryOf(file, bytes);
  using target = openStateEnd(options.path, options);
  refuse("load", reasonsAgainstTarget(target, options, summary));
  target.load(file, bytes);
  return { ...summary, flowsAfter: flowsAfter(target, summary) };
}

export interface CopyOptions {
  readonly source: TransferOptions;
  readonly target: TransferOptions;
  /** Of the old version and fresh: gets the state when the target does not take it. */
  readonly fallback: TransferOptions | undefined;
  /** Where the state is, also after a failure. */
  readonly state: StateFile;
}

export interface CopyResult {
  readonly outcome: Outcome;
  readonly summary: LoadSummary | undefined;
}

export function copyState(options: CopyOptions): CopyResult {
  const { state } = options;
  const open = new DisposableStack();
  using _open = open;
  let source: StateEnd | undefined;
  let target: StateEnd | undefined;
  let fallback: StateEnd | undefined;
  let summary: LoadSummary | undefined;
  const end = (to: TransferOptions): StateEnd => open.use(openStateEnd(to.path, to));
  const outcome = runTransitionNow({
    journal: NO_JOURNAL,
    onFailure: "cancel",
    steps: [
      {
        name: "source",
        check() {
          source = end(options.source);
          return reasonsAgainstSource(source, options.source);
        },
        execute() {
          const held = source?.pid === undefined ? undefined : tcpConnectionsOf(source.pid);
          state.bytes = source?.save(state.fd) ?? 0;
          const found = summaryOf(state.fd, state.bytes);
          summary = { ...found, flowsAfter: undefined };
          refuse("copy", reasonsAgainstSummary(found, held, options.source));
        },
        commit: () => source?.check(),
        cancel() {
          if (state.bytes === 0 || summary?.flows === 0) return; // Nothing has left the source.
          if (fallback === undefined)
            throw new RefusedError("there is no fallback to load it into");
          fallback.load(state.rewind(), state.bytes);
        },
      },
      {
        name: "target",
        check() {
          target = end(options.target);
          return [
            ...reasonsAgainstTarget(target, options.target, expectedOf(source)),
            ...reasonsAgainstPair(source, target),
            ...reasonsOfProbe(source, target, options.target),
          ];
        },
        execute() {
          target?.load(state.rewind(), state.bytes);
        },
        update() {
          if (summary !== undefined && target !== undefined) {
            summary = { ...summary, flowsAfter: flowsAfter(target, summary) };
          }
        },
        cancel() {}, // It was fresh, and whoever started it ends it.
      },
      {
        name: "fallback",
        check() {
          if (options.fallback === undefined) return [];
          fallback = end(options.fallback);
          return reasonsAgainstTarget(fallback, options.fallback, expectedOf(source));
        },
      },
    ],
  });
  return { outcome, summary };
}

// ---- Reasons against it ------------------------------------------------------------------------

function refuse(what: string, reasons: readonly string[]): void {
  if (reasons.length > 0) throw new RefusedError(`Cannot ${what}: ${reasons.join("; ")}`);
}

/** Through a proxy it is the proxy that looks. */
function reasonsAgainstSource(source: StateEnd, options: TransferOptions): string[] {
  if (options.losesConnections || source instanceof ControlClient) return [];
  const danger = dangerOfSaving(source, options.path);
  return danger === undefined ? [] : [danger];
}

function reasonsAgainstSummary(
  { kind, flows }: StateSummary,
  held: number | undefined,
  { losesConnections }: TransferOptions,
): string[] {
  if (kind !== "passt" || held === undefined || losesConnections) return [];
  if (flows === undefined || flows >= held) return [];
  return [`the state holds ${flows} flows, but the back end held ${held} TCP connections`];
}

function reasonsAgainstTarget(
  target: StateEnd,
  { path, losesConnections }: TransferOptions,
  summary: StateSummary | undefined,
): string[] {
  const reasons: string[] = [];
  const { pid } = target;
  if (pid === undefined) return reasons;
  const held = tcpConnectionsOf(pid) ?? 0;
  if (held > 0) reasons.push(`"${path}" is not fresh: it holds ${held} TCP connections already`);
  if (isPasst(pid) && summary?.kind === "unknown") {
    reasons.push(`"${path}" is passt, and the state is none of passt`);
  }
  const isProxied = target instanceof ControlClient;
  const needsHelper = (summary?.flows ?? 0) > 0 && !losesConnections && !isProxied;
  if (needsHelper && repairHelperOf(pid, path) !== "connected") {
    reasons.push(
      `the state holds TCP connections, and no repair helper is connected to "${path}.repair" ` +
        "(start agent repair, or allow their loss with --lose-connections)",
    );
  }
  return reasons;
}

/** What can be told of a state before it is taken. */
function expectedOf(source: StateEnd | undefined): StateSummary | undefined {
  const pid = source?.pid;
  if (pid === undefined || !isPasst(pid)) return undefined;
  return { kind: "passt", bytes: 0, flows: tcpConnectionsOf(pid) };
}

function reasonsAgainstPair(source: StateEnd | undefined, target: StateEnd): string[] {
  const lacked = (source?.features ?? 0n) & ~target.features;
  return lacked === 0n ? [] : [`${target.name} lacks features: ${describeFeatures(lacked)}`];
}

/** passt tells only by trying whether it reads a version: an empty state does no harm. */
function reasonsOfProbe(
  source: StateEnd | undefined,
  target: StateEnd,
  { path, waitMs }: TransferOptions,
): string[] {
  const arePassts = [source?.pid, target.pid].every((pid) => pid !== undefined && isPasst(pid));
  if (!arePassts) return [];
  const version = VERSIONS[0].id;
  using probe = stateFile(emptyPasstState(version, version));
  target.load(probe.fd, probe.bytes); // What it says against it is thrown.
  const { pid } = target;
  const isNeeded = (expectedOf(source)?.flows ?? 0) > 0 && pid !== undefined;
  if (!isNeeded || waitForRepairHelper(pid, path, waitMs)) return [];
  return [`the repair helper of "${path}" has not come back after a first transfer`];
}

function flowsAfter({ pid }: StateEnd, { kind }: StateSummary): number | undefined {
  return kind === "passt" && pid !== undefined ? tcpConnectionsOf(pid) : undefined;
}
