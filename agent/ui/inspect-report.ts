// What `agent inspect` prints for people: the sections in their order, each made by its own file.

import type { InspectReport } from "../../lib/stream/index.ts";
import { paint } from "./colour.ts";
import { contentsLines, iterationLines, memoryLines } from "./inspect-memory.ts";
import { guestLines, headerLines, recordLines, summaryLines } from "./inspect-overview.ts";
import {
  configLines,
  emulatorLines,
  hvmLines,
  policyLines,
  vcpuLines,
  xenstoreLines,
} from "./inspect-state.ts";
import type { TextStyle } from "./text-layout.ts";

interface Section {
  readonly title: string;
  /** Whether the stream has something of it: others are left out unless they are asked for. */
  has(report: InspectReport): boolean;
  /** `all`: the section was asked for, so that nothing is shortened. */
  lines(report: InspectReport, style: TextStyle, all: boolean): string[];
}

const hasPages = ({ memory }: InspectReport): boolean => memory.sent > 0;

/** In the order they are printed. */
const SECTIONS = {
  guest: { title: "Guest", has: ({ guest }) => guest.type !== null, lines: guestLines },
  headers: { title: "Headers", has: ({ headers }) => headers.length > 0, lines: headerLines },
  records: { title: "Records", has: ({ records }) => records > 0, lines: recordLines },
  memory: { title: "Memory", has: hasPages, lines: memoryLines },
  contents: { title: "Page contents", has: hasPages, lines: contentsLines },
  iterations: { title: "Iterations", has: hasPages, lines: iterationLines },
  vcpus: { title: "Vcpus", has: ({ vcpus }) => vcpus.length > 0, lines: vcpuLines },
  hvm: {
    title: "HVM parameters and context",
    has: ({ hvm_params: params, hvm_context: context }) => params.length > 0 || context !== null,
    lines: hvmLines,
  },
  emulators: {
    title: "Emulators",
    has: ({ emulators }) => emulators.length > 0,
    lines: emulatorLines,
  },
  xenstore: { title: "Xenstore", has: ({ xenstore }) => xenstore.length > 0, lines: xenstoreLines },
  policy: {
    title: "CPUID and MSR policy",
    has: ({ cpuid, msrs }) => cpuid !== null || msrs.length > 0,
    lines: policyLines,
  },
  config: {
    title: "Config",
    has: ({ config, suspend_image: image }) => config !== null || image !== null,
    lines: configLines,
  },
} as const satisfies Record<string, Section>;

export type InspectSection = keyof typeof SECTIONS;

/** What the stream is, and what is wrong with it. */
export const renderSummary = (report: InspectReport, style: TextStyle): string =>
  `${summaryLines(report, style).join("\n")}\n`;

/** The whole report, or one section of it. */
export function renderInspectReport(
  report: InspectReport,
  style: TextStyle,
  only: InspectSection | undefined,
): string {
  const sections: readonly Section[] =
    only === undefined
      ? Object.values(SECTIONS).filter((section: Section) => section.has(report))
      : [SECTIONS[only]];
  const lines = summaryLines(report, style);
  for (const section of sections) {
    const title = paint(section.title, "heading", style.coloured);
    lines.push("", title, ...section.lines(report, style, only !== undefined));
  }
  return `${lines.join("\n")}\n`;
}
