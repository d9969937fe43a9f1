// A verdict in the system log: one line for the verdict, one for each problem.

import { sendToSyslog } from "../../lib/sys/index.ts";
import type { VerifyReport } from "../../lib/stream/index.ts";
import { reportLines } from "./verify-report.ts";

export interface LogTarget {
  /** SYSLOG_PATH but in tests. */
  readonly socketPath: string;
  readonly tag: string;
}

/** False where nobody takes the lines. */
export const sendReportToSyslog = ({ socketPath, tag }: LogTarget, report: VerifyReport): boolean =>
  sendToSyslog({
    socketPath,
    tag,
    severity: report.verdict === "good" ? "info" : "error",
    lines: reportLines(report).map((line) => line.trimStart()),
  });
