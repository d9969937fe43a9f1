// A store daemon as a service: from what it was started with to its end.
//
//   arena      from the service manager (LISTEN_FDS), which keeps it over a crash; else a new one
//   listeners  from the service manager; else the socket path
//   ready      told to the manager once requests are answered; SIGTERM and SIGINT end it, SIGHUP
//              opens the logs anew
//   end        the store is left to the next program. In the middle of an update that is taken
//              back first, or the new program ends where it serves already
//
// Or it is the successor of a daemon that is being replaced: then all of these come from that one.

import { RefusedError, SystemError } from "../base/index.ts";
import {
  type Claimed,
  claimHandover,
  type Heir,
  loopWaiter,
  type TakenOver,
  takeOver,
} from "../handover/index.ts";
import {
  createGrowingMemory,
  Loop,
  passedDescriptors,
  releaseProgramText,
  removeName,
} from "../sys/index.ts";
import {
  adoptStore,
  changePortOf,
  type ControlRequest,
  formatStore,
  type Host,
  StoreDamagedError,
  type StoreMemory,
  type StoreOptions,
} from "../xenstore/index.ts";
import { tagSockets } from "./adopt-clients.ts";
import { arenaPath, damagedFile, loadArena, saveArena } from "./arena-file.ts";
import { damagedMemory, sortPassed } from "./earlier.ts";
import { FileHypervisor } from "./file-hypervisor.ts";
import { type Hypervisor, noHypervisor } from "./hypervisor.ts";
import { idleClients, KeptClients } from "./kept-clients.ts";
import { listenOn, removeSocket } from "./listen-socket.ts";
import { type InheritedEvents, storeHeir } from "./live-heir.ts";
import {
  answerAsker,
  lineOf,
  STORE_KIND,
  STORE_STATE_VERSION,
  type StoreSurvivor,
  storeSurvivor,
} from "./live-survivor.ts";
import { LiveUpdate } from "./live-update.ts";
import { OwedResult } from "./owed-result.ts";
import {
  keepWatchdogQuiet,
  tellReady,
  tellReloading,
  tellReplaced,
  tellStopping,
} from "./manager.ts";
import { PidFile } from "./pid-file.ts";
import { answerControl } from "./control.ts";
import type { ServiceOptions } from "./service-options.ts";
import { Statistics } from "./statistics.ts";
import type { MakeDaemon, Running } from "./running.ts";
import { closeInheritedFiles, type StockDump } from "./stock-dump.ts";
import { stockHeir } from "./stock-heir.ts";
import { every } from "./repeat.ts";
import { StoreDaemon } from "./store-daemon.ts";
import { Traces } from "./traces.ts";
import { XenHypervisor } from "./xen-hypervisor.ts";

/** Room for a small store; it grows. */
const ARENA_BYTES = 1024 * 1024;
const TIDY_MS = 1000;
const KEEP_MS = 1000;
/** After a live update: those who have waited are answered by then. */
const CLIENTS_FIRST_MS = 1;
/** Starting is over by then, and the first requests have been compiled. */
const SETTLED_MS = 2000;

/** Serves until SIGTERM or SIGINT. Throws SystemError, RefusedError. */
export async function runService(options: ServiceOptions): Promise<void> {
  using loop = new Loop();
  const claimed = claimHandover(options.environment);
  const stock = claimed === undefined ? options.stock : undefined;
  if (stock !== undefined) closeInheritedFiles();
  const service = new Service(options, loop);
  if (claimed !== undefined) service.takeOver(claimed);
  else if (stock !== undefined) service.goOnWith(stock);
  else service.begin();
  await loop.run();
  service.end();
}

class Service {
  private readonly options: ServiceOptions;
  private readonly loop: Loop;
  private readonly traces: Traces;
  private readonly statistics = new Statistics();
  private running: Running | undefined;
  private update: LiveUpdate | undefined;
  private taken: TakenOver | undefined;
  /** How the update to this program went, for a client that asks for it. */
  private owed: OwedResult | undefined;
  /** The service manager made the socket, or keeps it for us: it stays where it is. */
  private isManagersSocket = false;
  /** We have taken the place of a program that the manager started. */
  private isSuccessor = false;
  /** Somebody else serves: what there is belongs to them. */
  private isOthers = false;
  /** Why nothing was served. */
  private failure: string | undefined;

  constructor(options: ServiceOptions, loop: Loop) {
    this.options = options;
    this.loop = loop;
    this.traces = new Traces(options.traces, (trace) => {
      if (this.running !== undefined) this.running.daemon.trace = trace;
    });
  }

  /** A fresh store, or the one that the service manager kept. */
  begin(): void {
    const { options, loop } = this;
    const { environment, log } = options;
    const passed = sortPassed(passedDescriptors(environment, process.pid), options.hypervisor);
    using undo = new DisposableStack(); // A start that fails leaves nothing behind.
    const pidFile = optional(options.pidFile, (path) => {
      return undo.use(new PidFile(path, process.pid, undefined));
    });
    const path = passed.listeners.length === 0 ? options.socketPath : undefined;
    this.isManagersSocket = path === undefined;
    const socket = optional(path, listenOn);
    if (path !== undefined) undo.defer(() => removeSocket(path));
    const listeners = socket === undefined ? passed.listeners : [socket];
    const file = optional(options.socketPath, arenaPath);
    const left = passed.arena ?? optional(file, loadArena);
    const memory = left ?? createGrowingMemory("xenstore", ARENA_BYTES);
    const changePort = changePortOf(memory) || undefined;
    const hypervisor = openHypervisor(options, passed.events && { fd: passed.events, changePort });
    const open = openStore(options, left === undefined ? undefined : passed.arena ? "" : file);
    const daemon = this.makeDaemon({ memory, hypervisor }, open);
    this.running = { loop, memory, hypervisor, listeners, pidFile, daemon, asker: undefined };
    if (left === undefined) {
      idleClients([], passed.sockets);
      if (options.introduceOwn) daemon.introduceOwn();
    } else {
      const known = daemon.store.connections();
      const clients = idleClients(known, passed.sockets);
      const rings = known.filter(({ kind }) => kind === "ring");
      hypervisor.repair(new Set(rings.map(({ tag }) => tag)));
      daemon.adopt(clients, passed.events !== undefined);
      const { nodes } = daemon.store.counts();
      log(`the store of an earlier program is adopted: ${nodes} nodes, ${clients.length} clients`);
    }
    for (const listener of listeners) daemon.listen(listener);
    this.replaceable(this.running, 0);
    this.serve(this.running);
    undo.move();
    if (file !== undefined) removeName(file);
    this.tellReady(this.running);
  }

  /** The store of a stock daemon, which was this process until now. */
  goOnWith(dump: StockDump): void {
    const { options, loop } = this;
    const { connections, ...heir } = stockHeir({
      dump,
      makeDaemon: this.makeDaemon,
      openHypervisor: (events) => openHypervisor(options, events),
      store: storeOptions(options),
      log: options.log,
    });
    const pidFile = optional(options.pidFile, (path) => pidFileOrNone(path, options.log));
    this.running = { loop, ...heir, pidFile, asker: undefined };
    if (dump.kind === "oxenstored") this.owed = new OwedResult("OK", connections);
    this.replaceable(this.running, 0);
    this.serve(this.running);
    removeName(dump.path); // Read again one day, it would bring back a store that is long gone.
    this.tellReady(this.running);
  }

  /** The store of a program that is being replaced. */
  takeOver(claimed: Claimed): void {
    const { options, loop } = this;
    this.isSuccessor = true;
    const start = (): Heir =>
      storeHeir({
        loop,
        makeDaemon: this.makeDaemon,
        openHypervisor: (events) => openHypervisor(options, events),
        pidFilePath: options.pidFile,
        onServing: (running, outcome) => {
          this.running = running;
          this.serve(running);
          answerAsker(running, outcome);
          loop.after(CLIENTS_FIRST_MS, () => {
            running.pidFile?.rewrite(process.pid, options.log);
            tellReplaced(options.environment);
            options.log(lineOf(outcome));
          });
          return this.survivorOf(running);
        },
      });
    this.taken = takeOver({
      claimed,
      waiter: loopWaiter(loop),
      heirs: { [STORE_KIND]: { stateVersions: [STORE_STATE_VERSION], start } },
      version: options.program?.version ?? "",
      onServing: (_, generation) => {
        if (this.running !== undefined) this.replaceable(this.running, generation);
      },
      onEnd: (failure) => {
        this.isOthers = true;
        this.failure = failure;
        loop.stop();
      },
    });
  }

  end(): void {
    const { options, running } = this;
    this.traces.current?.flush();
    if (this.failure !== undefined) throw new RefusedError(this.failure);
    if (this.isOthers || running === undefined) return;
    const { socketPath } = options;
    tellStopping(options.environment, !this.isManagersSocket);
    using behind = new DisposableStack();
    behind.use(running.memory);
    behind.use(running.hypervisor);
    behind.use(running.pidFile);
    if (socketPath === undefined) return;
    if (!this.isManagersSocket) behind.defer(() => removeSocket(socketPath));
    saveArena(arenaPath(socketPath), running.memory);
  }

  private serve(running: Running): void {
    const { loop, options, traces } = this;
    running.daemon.trace = traces.current;
    running.daemon.store.changePort = running.hypervisor.changePort;
    running.daemon.resume(); // First: after a live update everybody waits for it.
    this.watchSignals();
    keepWatchdogQuiet(loop, options.environment, this.isSuccessor);
    loop.after(CLIENTS_FIRST_MS, () => this.serveBeside(running));
  }

  private serveBeside(running: Running): void {
    const { loop, options } = this;
    const whenServing = (step: (daemon: StoreDaemon) => void) => (): void => {
      if (running.daemon.isServing) step(running.daemon);
    };
    whenServing((daemon) => tagSockets(daemon.store, daemon.allClients()))();
    // Compacts the arena, a little at a time.
    every(
      loop,
      TIDY_MS,
      whenServing((daemon) => void daemon.store.tidy()),
    );
    every(
      loop,
      options.ringScanMs,
      whenServing((daemon) => daemon.lookAtRings()),
    );
    const kept = new KeptClients(options.environment);
    every(
      loop,
      KEEP_MS,
      whenServing((daemon) => kept.look(daemon)),
    );
    loop.after(SETTLED_MS, releaseProgramText);
  }

  private watchSignals(): void {
    const { loop, traces } = this;
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      loop.onSignal(signal, () => this.stop(`the store daemon was told to end by ${signal}`));
    }
    loop.onSignal("SIGHUP", () => traces.current?.reopen());
    // A store that ends costs the host a restart: what means nothing here does not end it.
    for (const signal of ["SIGUSR1", "SIGUSR2"] as const) loop.onSignal(signal, () => undefined);
  }

  /** Neither who was here before nor who comes behind us may serve on without us. */
  private stop(reason: string): void {
    const stop = (): void => this.loop.stop();
    const quit = (): void => (this.update === undefined ? stop() : this.update.quit(reason, stop));
    if (this.taken === undefined) quit();
    else this.taken.finish(quit);
  }

  private tellReady({ memory, hypervisor, listeners }: Running): void {
    const { environment, ready } = this.options;
    tellReady(environment, { arena: memory.fd, events: hypervisor.eventFd, listeners });
    ready();
  }

  private readonly makeDaemon: MakeDaemon = ({ memory, hypervisor }, open) => {
    const { loop, options, traces } = this;
    const { log } = options;
    const daemon: StoreDaemon = new StoreDaemon({
      loop,
      hypervisor,
      memory,
      openStore: open,
      ownDomid: options.ownDomid,
      eventTimeoutMs: options.eventTimeoutMs,
      control: (request) => {
        const { update } = this;
        const liveUpdate =
          update && ((asked: ControlRequest) => this.owed?.take(asked) ?? update.control(asked));
        const { store } = daemon;
        const statistics = (parameters: readonly string[]) =>
          this.statistics.answer(parameters, daemon);
        return answerControl(request, { store, traces, liveUpdate, statistics });
      },
      log: (line) => {
        traces.current?.note(line);
        log(line);
      },
      logging: (isOn) => traces.setLogging(isOn),
      logSwitches: (mask) => traces.setSwitches(mask),
    });
    return daemon;
  };

  private survivorOf(running: Running): StoreSurvivor {
    return storeSurvivor({
      running,
      makeDaemon: this.makeDaemon,
      leave: () => {
        this.isOthers = true;
        this.loop.stop();
      },
    });
  }

  private replaceable(running: Running, generation: number): void {
    const { program, log, environment } = this.options;
    if (program === undefined) return;
    const survivor = this.survivorOf(running);
    const announce = (isBegun: boolean): void => {
      if (isBegun) tellReloading(environment);
      else tellReplaced(environment);
    };
    this.update = new LiveUpdate({ running, survivor, program, generation, log, announce });
  }
}

/** `left` is the file that the store was left in, "" for the manager, undefined for a new one. */
const openStore =
  (options: ServiceOptions, left: string | undefined) => (memory: StoreMemory, host: Host) => {
    if (left === undefined) return formatStore(memory, host, storeOptions(options));
    try {
      return adoptStore(memory, host);
    } catch (error) {
      if (!(error instanceof StoreDamagedError)) throw error;
      throw left === "" ? damagedMemory(error.message) : damagedFile(left, error.message);
    }
  };

function storeOptions(options: ServiceOptions): StoreOptions {
  const { privilegedDomid, ownDomid: storeDomid, quotas, keepOrphans } = options;
  const [seed = 0] = crypto.getRandomValues(new Uint32Array(1));
  return { privilegedDomid, storeDomid, seed, quotas, keepOrphans };
}

/** Clients that are there already do without it. */
function pidFileOrNone(path: string, log: ServiceOptions["log"]): PidFile | undefined {
  try {
    return new PidFile(path, process.pid, undefined);
  } catch (error) {
    if (!(error instanceof SystemError || error instanceof RefusedError)) throw error;
    log(error.message);
    return undefined;
  }
}

function openHypervisor(
  { hypervisor, ownDomid }: ServiceOptions,
  inherited: InheritedEvents | undefined,
): Hypervisor {
  if (hypervisor === "none") return noHypervisor();
  if (hypervisor === "xen") return new XenHypervisor(ownDomid, inherited);
  return new FileHypervisor(hypervisor.folder, inherited?.fd);
}

const optional = <T, R>(value: T | undefined, make: (value: T) => R): R | undefined =>
  value === undefined ? undefined : make(value);
