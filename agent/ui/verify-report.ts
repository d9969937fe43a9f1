// What `agent verify` prints for people: the verdict first, then what the stream is, then every
// problem and what to do about it.

import { hex, plural } from "../../lib/base/index.ts";
import type { VerifyReport } from "../../lib/stream/index.ts";
import { STDOUT_FD } from "../../lib/sys/index.ts";
import { paint, wantsColour } from "./colour.ts";
import { FORMAT_NAMES } from "./format-names.ts";
import { formatCount } from "./numbers.ts";

type ReportFinding = VerifyReport["findings"][number];

/** The whole report with colours where standard output is a terminal. */
export function renderVerifyReport(report: VerifyReport): string {
  const coloured = wantsColour(STDOUT_FD);
  const style = report.verdict === "good" ? "good" : "bad";
  const [first, ...rest] = reportLines(report);
  const verdict = first!.slice(0, report.verdict.length); // The first line begins with it.
  const lines = [`${paint(verdict, style, coloured)}${first!.slice(verdict.length)}`];
  for (const line of rest)
    lines.push(line.startsWith("  error") ? paintError(line, coloured) : line);
  return `${lines.join("\n")}\n`;
}

const paintError = (line: string, coloured: boolean): string =>
  line.replace("error", paint("error", "bad", coloured));

/** Plain lines, the verdict first. */
export function reportLines(report: VerifyReport): string[] {
  const lines = [`${report.verdict}: ${report.input}: ${whatItIs(report)}`];
  if (report.format !== null) lines.push(`  ${whatItHolds(report)}`);
  const checkpoints = checkpointText(report);
  if (checkpoints !== undefined) lines.push(`  ${checkpoints}`);
  if (report.trailing !== null) {
    lines.push(`  behind the end at ${hex(report.trailing.offset)}: ${report.trailing.what}`);
  }
  for (const finding of report.findings) {
    lines.push(`  ${finding.severity.padEnd(7)}  ${findingText(finding)}`);
  }
  const shown = report.findings.length;
  const all = report.errors + report.warnings;
  if (all > shown) lines.push(`  ... and ${all - shown} more problems: see --limit`);
  if (all > 0)
    lines.push(`  ${plural(report.errors, "error")}, ${plural(report.warnings, "warning")}`);
  const advice = adviceFor(report);
  return advice === undefined ? lines : [...lines, `  ${advice}`];
}

function whatItIs(report: VerifyReport): string {
  if (report.format === null) return "not a guest-state stream";
  const { type, name, xen, libxc_version: version } = report.guest;
  const parts: string[] = [FORMAT_NAMES[report.format]];
  if (report.compression !== null) parts[0] = `${parts[0]} (${report.compression})`;
  if (report.kind !== "plain")
    parts.push(`checkpointed by ${report.kind === "colo" ? "COLO" : "Remus"}`);
  if (type !== null) {
    const quoted = name === null ? "" : ` "${printable(name)}"`;
    parts.push(`${type.toUpperCase()} guest${quoted}`);
  }
  if (xen !== null) parts.push(`from Xen ${xen}`);
  if (version !== null) parts.push(`libxc v${version}`);
  return parts.join(", ");
}

function whatItHolds({ format, records, pages, end_offset: end }: VerifyReport): string {
  if (format === "colo-back") {
    const dirty = `${formatCount(pages.sent)} dirty pfns told`;
    return `${plural(records, "record")}, ${dirty}, ends at ${hex(end)}`;
  }
  const distinct = pages.distinct === null ? "" : `, ${formatCount(pages.distinct)} distinct`;
  const withData = `${formatCount(pages.with_data)} with contents`;
  const sent = `${formatCount(pages.sent)} pages sent (${withData}${distinct})`;
  return `${plural(records, "record")}, ${sent}, ends at ${hex(end)}`;
}

function checkpointText({ checkpoints, kind }: VerifyReport): string | undefined {
  if (kind === "plain") return undefined;
  const { complete, last_end_offset: last, failover } = checkpoints;
  const where = last === null ? "" : `, the last one at ${hex(last)}`;
  const outcome =
    failover === null
      ? ""
      : failover
        ? `; failover would go on from checkpoint ${complete}`
        : "; failover is not possible";
  return `${plural(complete, "complete checkpoint")}${where}${outcome}`;
}

/** `libxc PAGE_DATA.count at offset 0x38 (record 7): expected at least 1, found 0` */
function findingText(finding: ReportFinding): string {
  const { layer, record, record_number: number, field, offset, expected, found } = finding;
  const numbered = number > 0 ? ` (record ${number})` : "";
  const where = `${layer} ${record}.${field} at offset ${hex(offset)}${numbered}`;
  return printable(`${where}: expected ${expected}, found ${found}`);
}

/** What somebody with this report on the screen can do. */
function adviceFor(report: VerifyReport): string | undefined {
  if (report.verdict === "good") return undefined;
  if (report.end_offset === 0 && report.format === null) return adviceForStranger(report);
  if (report.records === 0 && report.findings[0]?.offset === 0) {
    return "It does not begin as that format does: leave --format out to have it detected.";
  }
  const cut = report.findings.some(({ found }) => found.startsWith("the end of the input"));
  if (cut && report.checkpoints.failover === true) {
    return "The stream stops inside a checkpoint; a receiver would fail over to the one before.";
  }
  if (cut)
    return "The stream is cut short: save or copy the guest again, and check for a full disk.";
  return "Do not restore it: save the guest again, or look for a damaged copy or disk.";
}

function adviceForStranger({ findings }: VerifyReport): string {
  const isEmpty = findings.some(({ found }) => found.startsWith("no bytes at all"));
  if (isEmpty) return "Check the path, and that whatever wrote it came to its end.";
  return "Check the path; name the framing with --format if you know better.";
}

/** Control characters in names from the stream must not reach a terminal. */
const printable = (text: string): string =>
  // oxlint-disable-next-line no-control-regex -- they are what is looked for.
  text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
