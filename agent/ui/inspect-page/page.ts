// The page of `agent inspect --html`: everything of the report, the most asked for first.

import type { InspectReport } from "../../../lib/stream/index.ts";
import { renderPage } from "../html/page.ts";
import type { Section } from "../html/section.ts";
import { pagesSection, recordSection } from "./asked.ts";
import { bytesSection } from "./bytes.ts";
import { configSection } from "./config.ts";
import { devicesSection, platformSection } from "./devices.ts";
import { iterationsSection } from "./iterations.ts";
import { memorySection } from "./memory.ts";
import { policySection, vcpusSection } from "./processors.ts";
import { recordsSection } from "./records.ts";
import { findings, hero, titleOf } from "./summary.ts";

/** A whole HTML document. */
export const renderInspectPage = (report: InspectReport): string =>
  renderPage({
    title: `${titleOf(report)} · agent inspect`,
    maker: "agent inspect",
    hero: hero(report),
    sections: sectionsOf(report).filter((section) => section !== undefined),
  });

function sectionsOf(report: InspectReport): (Section | undefined)[] {
  if (report.format === null) return [findings(report)];
  return [
    findings(report),
    recordSection(report),
    pagesSection(report),
    memorySection(report),
    iterationsSection(report),
    bytesSection(report),
    recordsSection(report),
    devicesSection(report),
    vcpusSection(report),
    platformSection(report),
    policySection(report),
    configSection(report),
  ];
}
