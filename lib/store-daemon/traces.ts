// Which logs of requests are kept at the moment: CONTROL can begin one, or change its switches.

import { dirname } from "node:path";
import { SystemError } from "../base/index.ts";
import { AccessLog, type RequestTrace, traceTogether, WireTrace } from "./request-trace.ts";
import { makeFolders } from "../sys/index.ts";
import { LogFile } from "./log-file.ts";

export interface AccessLogOptions {
  readonly path: string;
  readonly linesMax: number;
  readonly filesMax: number;
  readonly charactersMax: number;
  readonly withReads: boolean;
}

export interface TraceOptions {
  /** The C daemon's trace, never turned over. */
  readonly traceFile: string | undefined;
  readonly traceMask: number;
  readonly accessLog: AccessLogOptions | undefined;
}

export class Traces {
  private wire: RequestTrace | undefined;
  private readonly access: RequestTrace | undefined;
  private mask: number;
  private path: string | undefined;
  private readonly changed: (trace: RequestTrace | undefined) => void;

  /** Throws SystemError when a file cannot be opened. */
  constructor(options: TraceOptions, changed: (trace: RequestTrace | undefined) => void) {
    this.mask = options.traceMask;
    this.changed = changed;
    if (options.traceFile !== undefined) this.wire = this.open(options.traceFile);
    const { accessLog } = options;
    if (accessLog === undefined) return;
    makeFolders(dirname(accessLog.path));
    this.access = new AccessLog(new LogFile(accessLog), accessLog.withReads);
  }

  get current(): RequestTrace | undefined {
    return traceTogether([this.wire, this.access].filter((trace) => trace !== undefined));
  }

  /** Traces to this file from now on. Throws SystemError. */
  traceTo(path: string): void {
    const wire = this.open(path);
    this.wire?.flush();
    this.wire = wire;
    this.changed(this.current);
  }

  /** CONTROL log on and off: the trace, where there is a file for it. */
  setLogging(isOn: boolean): void {
    this.wire?.flush();
    this.wire = undefined;
    try {
      if (isOn && this.path !== undefined) this.wire = this.open(this.path);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error; // It stays off: the command tells nothing.
    }
    this.changed(this.current);
  }

  setSwitches(mask: number): void {
    this.mask = mask;
    this.wire?.switches(mask);
  }

  private open(path: string): RequestTrace {
    this.path = path;
    return new WireTrace(
      new LogFile({ path, linesMax: 0, filesMax: 1, charactersMax: 0 }),
      this.mask,
    );
  }
}
