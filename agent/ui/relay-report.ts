// What `agent relay` says at its end and on request: what went through, how it ended, and the
// verdict on the stream.

import { plural } from "../../lib/base/index.ts";
import type { RelayReport } from "../../lib/stream/index.ts";
import { formatBytes, formatDuration } from "./numbers.ts";
import { reportLines } from "./verify-report.ts";

const ENDINGS: Readonly<Record<RelayReport["ended"], string>> = {
  running: "is running",
  end: "came to its end",
  cut: "was cut: the stream is bad, the rest was not passed on",
  source_failed: "stopped: the source failed",
  target_failed: "stopped: the target failed",
  stopped: "was stopped",
  bug: "stopped because of a bug in agent",
};

const STAGES: Readonly<Record<NonNullable<RelayReport["handshake"]>["stage"], string>> = {
  silent: "the receiver has said nothing",
  ready: "the receiver is ready, and has not said that it received the domain",
  received: "the receiver has the domain, and no leave to run it",
  go: "the receiver may run the domain, and has not answered",
  result: "the receiver has answered",
  given_back: "the receiver has destroyed its copy: the domain is the sender's again",
  foreign: "the receiver's first words are not those of xl migrate-receive",
  broken: "the receiver began like xl migrate-receive and went on differently",
};

/** Plain lines, how it ended first. */
export function relayLines(report: RelayReport): string[] {
  const { bytes, duration_ms: ms, waited_ms: waited } = report;
  const perSecond = ms > 0 ? `, ${formatBytes((bytes.delivered / ms) * 1000)}/s` : "";
  const lines = [
    `relay ${ENDINGS[report.ended]}`,
    `  ${formatBytes(bytes.delivered)} (${plural(bytes.delivered, "byte")}) passed on in ` +
      `${seconds(ms)}${perSecond}; waited ${seconds(waited.source)} for the source, ` +
      `${seconds(waited.target)} for the target`,
  ];
  if (report.failure !== null) lines.push(`  ${report.failure}`);
  if (bytes.behind_the_end > 0) lines.push(`  ${plural(bytes.behind_the_end, "byte")} behind it`);
  const words = handshakeText(report);
  if (words !== undefined) lines.push(`  ${words}`);
  if (report.capture !== null) lines.push(`  ${captureText(report.capture)}`);
  return [...lines, ...verdictLines(report)];
}

const seconds = (ms: number): string =>
  ms < 60_000 ? `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 0)} s` : formatDuration(ms / 1000);

function handshakeText({ handshake }: RelayReport): string | undefined {
  if (handshake === null || handshake.stage === "silent") return undefined;
  const { stage, receiver_status: status } = handshake;
  if (stage !== "result" || status === null) return `handshake: ${STAGES[stage]}`;
  return status === 0
    ? "handshake: the receiver runs the domain"
    : `handshake: the receiver could not run the domain (status ${status})`;
}

function captureText(capture: NonNullable<RelayReport["capture"]>): string {
  const { path, state, bytes, reason } = capture;
  const size = formatBytes(bytes);
  if (state === "whole") return `capture: ${path}, ${size}`;
  if (state === "writing") return `capture: ${size} so far in ${path}.partial`;
  return `capture is broken, ${size} in ${path}.broken: ${reason ?? "unknown"}`;
}

function verdictLines(report: RelayReport): string[] {
  const { verify, errors, warnings, ended, verdict } = report;
  if (ended === "running") {
    return [`  ${plural(errors, "error")}, ${plural(warnings, "warning")} so far`];
  }
  if (verdict === "unknown" || verify === null) return ["  verdict: unknown"];
  return reportLines(verify);
}
