// A verdict in the system log: one line for the verdict, one for each problem.

import { sendToSyslog, SYSLOG_PATH } from "../../lib/sys/index.ts";
import type { VerifyReport } from "../../lib/stream/index.ts";
import { reportLines } from "./verify-report.ts";

/** False where nobody takes the lines. */
export const sendReportToSyslog = (tag: string, report: VerifyReport): boolean =>
  sendToSyslog({
    socketPath: SYSLOG_PATH,
    tag,
    severity: report.verdict === "good" ? "info" : "error",
    lines: reportLines(report).map((line) => line.trimStart()),
  });
