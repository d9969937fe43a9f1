// A monitor: whatever runs QMP commands for us, and the ways it fails.

import type { Fd } from "../sys/index.ts";

/** What a monitor is reached by; also how a journal names it. */
export type MonitorAddress =
  | { readonly kind: "qmp"; readonly path: string }
  | { readonly kind: "libxl"; readonly domid: number; readonly path: string }
  | { readonly kind: "virsh"; readonly domain: string; readonly uri: string | null };

export type Arguments = Readonly<Record<string, unknown>>;

export interface ExecuteOptions {
  readonly timeoutMs?: number;
  /** Goes with the command, for those that take one: a monitor that cannot carry it refuses. */
  readonly fd?: Fd;
}

export interface Monitor {
  /** For messages: `QMP socket "/run/web.qmp"`. */
  readonly name: string;
  /**
   * Runs one command. Throws MonitorError. Commands may be sent without waiting for each other's
   * replies; QEMU runs them in order.
   */
  execute(command: string, given?: Arguments, options?: ExecuteOptions): Promise<unknown>;
  /** Lets others use it until the next command: QEMU talks to one at a time. */
  release(): Promise<void>;
  close(): Promise<void>;
}

/**
 * refused: QEMU said no, so nothing was done. gone: nobody listens there (any more). busy: somebody
 * listens and does not talk to us. lost: the request went out, and what became of it is not known:
 * a deadline passed, the connection broke, or garbage came back.
 */
export type MonitorFailure = "refused" | "gone" | "busy" | "lost";

export class MonitorError extends Error {
  override readonly name = "MonitorError"; // A literal: minifying renames the class itself.
  readonly failure: MonitorFailure;
  /** QEMU's error class; only of what was refused. */
  readonly qemuClass: string | undefined;
  constructor(
    message: string,
    options: { readonly failure: MonitorFailure; readonly qemuClass?: string; cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.failure = options.failure;
    this.qemuClass = options.qemuClass;
  }
}

export function cannotCarry(monitor: string, command: string): MonitorError {
  const text = `${monitor} cannot pass a descriptor on with ${command}`;
  return new MonitorError(text, { failure: "refused" });
}

export const isRefused = (error: unknown): error is MonitorError =>
  error instanceof MonitorError && error.failure === "refused";
export const isGone = (error: unknown): error is MonitorError =>
  error instanceof MonitorError && error.failure === "gone";

export const isLost = (error: unknown): error is MonitorError =>
  error instanceof MonitorError && error.failure === "lost";

/** The same monitor in words. */
export function describeMonitor(address: MonitorAddress): string {
  if (address.kind === "qmp") return `QMP socket "${address.path}"`;
  if (address.kind === "libxl") return `libxl's QMP socket "${address.path}"`;
  return `virsh's monitor of domain "${address.domain}"`;
}
