// The proxy's life as a program: begun anew, or in the place of another one of it, and replaced in
// its turn by a new binary while its guest goes on.

import { RefusedError } from "../base/index.ts";
import {
  type Claimed,
  claimHandover,
  loopWaiter,
  type SelfCommand,
  type TakenOver,
  takeOver,
  type UpdateOrder,
  Updater,
} from "../handover/index.ts";
import { type Environment, type Loop } from "../sys/index.ts";
import type { Reply, UpdateRequest } from "./control-server.ts";
import { Proxy, type ProxyOptions } from "./proxy.ts";
import { PROXY_KIND, PROXY_STATE_VERSION, proxyHeir, proxySurvivor } from "./proxy-survivor.ts";

const PREPARE_MS = 60_000;
const PAUSE_MS = 5000;

export interface ProxyServiceOptions {
  readonly loop: Loop;
  readonly proxy: ProxyOptions;
  readonly environment: Environment;
  readonly self: SelfCommand;
  readonly argv0: string;
  /** The words behind it that make this program a proxy. */
  readonly words: readonly string[];
  readonly version: string;
}

/** Runs until SIGTERM or SIGINT. Throws what makes it end otherwise. */
export async function runProxy(options: ProxyServiceOptions): Promise<void> {
  const service = new Service(options);
  const claimed = claimHandover(options.environment);
  if (claimed === undefined) service.begin();
  else service.takeOver(claimed);
  await options.loop.run();
  service.end();
}

class Service {
  private readonly options: ProxyServiceOptions;
  private proxy: Proxy | undefined;
  private failure: string | undefined;
  private updater: Updater | undefined;
  private taken: TakenOver | undefined;

  constructor(options: ProxyServiceOptions) {
    this.options = options;
  }

  begin(): void {
    const proxy = new Proxy(this.options.proxy);
    this.proxy = proxy;
    this.watchSignals();
    this.replaceable(proxy, 0);
  }

  takeOver(claimed: Claimed): void {
    const { loop, proxy: options, version } = this.options;
    let served: Proxy | undefined;
    const onServing = (proxy: Proxy): void => {
      served = proxy;
      this.watchSignals(); // Before those that wait since the exec are let in.
    };
    this.taken = takeOver({
      claimed,
      waiter: loopWaiter(loop),
      heirs: {
        [PROXY_KIND]: {
          stateVersions: [PROXY_STATE_VERSION],
          start: () => proxyHeir({ loop, proxy: options, onServing }),
        },
      },
      version,
      onServing: (_, generation) => {
        if (served === undefined) return;
        this.proxy = served;
        this.replaceable(served, generation);
      },
      onEnd: (failure) => {
        this.failure = failure;
        loop.stop();
      },
    });
  }

  end(): void {
    if (this.failure !== undefined) throw new RefusedError(this.failure);
    this.proxy?.[Symbol.dispose]();
  }

  private replaceable(proxy: Proxy, generation: number): void {
    const { loop, self, argv0, words, environment } = this.options;
    const updater = new Updater({
      survivor: proxySurvivor(proxy),
      waiter: loopWaiter(loop),
      self,
      argv0,
      words: [...words],
      environment,
      generation,
    });
    this.updater = updater;
    proxy.control.onUpdate = (request, reply) => {
      updater.start(orderOf(request), (end) => {
        if (end.kind === "failed") reply({ answer: "refused", reason: end.reason });
        if (end.kind === "rehearsed") rehearsed(generation, reply);
      });
    };
  }

  private watchSignals(): void {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const reason = `the proxy was told to end by ${signal}`;
      this.options.loop.onSignal(signal, () => this.stop(reason));
    }
  }

  /** Neither who was here before nor who comes behind us may serve on without us. */
  private stop(reason: string): void {
    const stop = (): void => this.options.loop.stop();
    const quit = (): void => this.updater?.quit(reason, stop);
    if (this.taken === undefined) quit();
    else this.taken.finish(quit);
  }
}

/** A dry run: this program serves on. */
const rehearsed = (generation: number, reply: Reply): void =>
  reply({ answer: "updated", generation, pause_ms: null });

const orderOf = ({ binary, way, dry_run: isDryRun }: UpdateRequest): UpdateOrder => ({
  binary,
  words: undefined,
  way,
  isDryRun,
  sha256: undefined,
  pauseMsMax: undefined,
  prepareMs: PREPARE_MS,
  pauseMs: PAUSE_MS,
});
