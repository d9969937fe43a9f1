// A store daemon as a service: from what it was started with to its end.
//
//   arena      from the service manager (LISTEN_FDS), which keeps it over a crash; else a new one
//   listeners  from the service manager; else the socket path
//   ready      told to the manager once requests are answered; SIGTERM and SIGINT end it, SIGHUP
//              opens the logs anew

import { RefusedError } from "../base/index.ts";
import {
  createGrowingMemory,
  type Environment,
  type Fd,
  type GrowingMemory,
  isListening,
  Loop,
  mapGrowingMemory,
  notifyManager,
  passedDescriptors,
  releaseProgramText,
  sealsOf,
} from "../sys/index.ts";
import {
  adoptStore,
  type ControlAnswer,
  type ControlRequest,
  formatStore,
  type Host,
  type QuotaName,
  type StoreMemory,
} from "../xenstore/index.ts";
import { FileHypervisor } from "./file-hypervisor.ts";
import { type Hypervisor, noHypervisor } from "./hypervisor.ts";
import { ownSocket } from "./listen-socket.ts";
import { PidFile } from "./pid-file.ts";
import { answerControl } from "./control.ts";
import { StoreDaemon } from "./store-daemon.ts";
import { type TraceOptions, Traces } from "./traces.ts";
import { XenHypervisor } from "./xen-hypervisor.ts";

/** Room for a small store; it grows. */
const ARENA_BYTES = 1024 * 1024;
const ARENA_NAME = "arena";
const LISTENER_NAME = "listen";
const TIDY_MS = 1000;
/** Starting is over by then, and the first requests have been compiled. */
const SETTLED_MS = 2000;
const USEC_PER_MS = 1000;

export interface ServiceOptions {
  /** Undefined: no socket. */
  readonly socketPath: string | undefined;
  readonly pidFile: string | undefined;
  /** The devices of a dom0, none, or files in a folder that play them. */
  readonly hypervisor: "xen" | "none" | { readonly folder: string };
  readonly ownDomid: number;
  readonly privilegedDomid: number;
  /** Whether the domain we run in is connected at the start. */
  readonly introduceOwn: boolean;
  readonly quotas: Partial<Readonly<Record<QuotaName, number>>>;
  readonly keepOrphans: boolean;
  readonly eventTimeoutMs: number;
  /** Look at every ring so often, for guests that forget to send events; 0: never. */
  readonly ringScanMs: number;
  readonly traces: TraceOptions;
  readonly environment: Environment;
  readonly log: (line: string) => void;
  /** CONTROL live-update, where this program can be replaced. */
  readonly liveUpdate:
    ((daemon: StoreDaemon, request: ControlRequest) => ControlAnswer) | undefined;
  /** Requests are answered from now on. */
  readonly ready: () => void;
}

/** Serves until SIGTERM or SIGINT. Throws SystemError, RefusedError. */
export async function runService(options: ServiceOptions): Promise<void> {
  const { environment, log, liveUpdate } = options;
  const passed = sortPassed(passedDescriptors(environment, process.pid));
  using pidFile = optional(options.pidFile, (path) => new PidFile(path, process.pid));
  const path = passed.listeners.length === 0 ? options.socketPath : undefined;
  using socket = optional(path, ownSocket);
  const listeners = socket === undefined ? passed.listeners : [socket.fd];
  using loop = new Loop();
  using hypervisor = openHypervisor(options);
  using memory = passed.arena ?? createGrowingMemory("xenstore", ARENA_BYTES);
  const traces = new Traces(options.traces, (trace) => (daemon.trace = trace));
  const daemon: StoreDaemon = new StoreDaemon({
    loop,
    hypervisor,
    memory,
    openStore: openStore(options, passed.arena !== undefined),
    ownDomid: options.ownDomid,
    eventTimeoutMs: options.eventTimeoutMs,
    control: (request) => {
      const { store } = daemon;
      const update = liveUpdate && ((asked: ControlRequest) => liveUpdate(daemon, asked));
      return answerControl(request, { store, traces, liveUpdate: update });
    },
    log: (line) => {
      traces.current?.note(line);
      log(line);
    },
    logging: (isOn) => traces.setLogging(isOn),
    logSwitches: (mask) => traces.setSwitches(mask),
  });
  if (passed.arena === undefined) {
    if (options.introduceOwn) daemon.introduceOwn();
  } else {
    daemon.adopt([], false);
    log(`the store of an earlier program is adopted: ${daemon.store.counts().nodes} nodes`);
  }
  daemon.trace = traces.current;
  for (const listener of listeners) daemon.listen(listener);
  watchSignals(loop, traces);
  every(loop, TIDY_MS, () => daemon.store.tidy()); // Compacts the arena, a little at a time.
  every(loop, options.ringScanMs, () => daemon.lookAtRings());
  keepWatchdogQuiet(loop, environment);
  daemon.resume();
  tellReady(options, memory.fd, listeners);
  loop.after(SETTLED_MS, releaseProgramText);
  await loop.run();
  notifyManager(environment, { STOPPING: 1 }, []);
  traces.current?.flush();
  void pidFile;
}

interface Passed {
  readonly arena: GrowingMemory | undefined;
  readonly listeners: Fd[];
}

/** What the service manager gave us, by what it is: old managers keep no names. */
function sortPassed(descriptors: ReturnType<typeof passedDescriptors>): Passed {
  let arena: GrowingMemory | undefined;
  const listeners: Fd[] = [];
  for (const { fd } of descriptors) {
    if (isListening(fd.number)) listeners.push(fd);
    else if (arena === undefined && (sealsOf(fd) ?? 0) !== 0) arena = mapGrowingMemory(fd);
    else fd[Symbol.dispose](); // Kept open it would only keep something alive.
  }
  return { arena, listeners };
}

const openStore =
  ({ privilegedDomid, ownDomid, quotas, keepOrphans }: ServiceOptions, isAdopted: boolean) =>
  (memory: StoreMemory, host: Host) => {
    if (isAdopted) return adoptStore(memory, host);
    const [seed = 0] = crypto.getRandomValues(new Uint32Array(1));
    const domids = { privilegedDomid, storeDomid: ownDomid };
    return formatStore(memory, host, { ...domids, seed, quotas, keepOrphans });
  };

function openHypervisor({ hypervisor, ownDomid }: ServiceOptions): Hypervisor {
  if (hypervisor === "none") return noHypervisor();
  if (hypervisor === "xen") return new XenHypervisor(ownDomid, undefined);
  return new FileHypervisor(hypervisor.folder, undefined);
}

function watchSignals(loop: Loop, traces: Traces): void {
  loop.onSignal("SIGTERM", () => loop.stop());
  loop.onSignal("SIGINT", () => loop.stop());
  loop.onSignal("SIGHUP", () => traces.current?.reopen());
}

/** Runs the step again and again; an interval of 0 is never. */
function every(loop: Loop, intervalMs: number, step: () => void): void {
  if (intervalMs === 0) return;
  const again = (): void => {
    step();
    loop.after(intervalMs, again);
  };
  loop.after(intervalMs, again);
}

/** Tells the manager at half of its limit that we live. */
function keepWatchdogQuiet(loop: Loop, environment: Environment): void {
  const { WATCHDOG_USEC: limit, WATCHDOG_PID: pid } = environment;
  if (limit === undefined || (pid !== undefined && Number(pid) !== process.pid)) return;
  const limitMs = Number(limit) / USEC_PER_MS;
  if (!(limitMs > 0)) throw new RefusedError(`Cannot use WATCHDOG_USEC="${limit}"`);
  every(loop, limitMs / 2, () => void notifyManager(environment, { WATCHDOG: 1 }, []));
}

function tellReady(options: ServiceOptions, arena: Fd, listeners: readonly Fd[]): void {
  const { environment } = options;
  notifyManager(environment, { READY: 1, STATUS: "Serving xenstore" }, []);
  // It keeps them for the next one, should this one crash; where it keeps none it says nothing.
  notifyManager(environment, { FDSTORE: 1, FDNAME: ARENA_NAME }, [arena.number]);
  for (const { number } of listeners) {
    notifyManager(environment, { FDSTORE: 1, FDNAME: LISTENER_NAME }, [number]);
  }
  options.ready();
}

const optional = <T, R>(value: T | undefined, make: (value: T) => R): R | undefined =>
  value === undefined ? undefined : make(value);
