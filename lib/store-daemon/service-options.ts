// What a xenstore daemon is started with.

import type { Environment } from "../sys/index.ts";
import type { QuotaName } from "../xenstore/index.ts";
import type { StartedAs } from "./live-update.ts";
import type { StockDump } from "./stock-dump.ts";
import type { TraceOptions } from "./traces.ts";

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
  /** What a stock daemon has left that has become this program; undefined: none has. */
  readonly stock: StockDump | undefined;
  readonly log: (line: string) => void;
  /** How this program is started again; undefined where it cannot be replaced. */
  readonly program: StartedAs | undefined;
  /** Requests are answered from now on. */
  readonly ready: () => void;
}
