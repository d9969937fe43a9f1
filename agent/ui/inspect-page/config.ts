// The guest's config as xl saved it, and what xenopsd keeps beside a suspend image.

import { hex } from "../../../lib/base/index.ts";
import type { InspectReport } from "../../../lib/stream/index.ts";
import { cut, type Html, html, NOTHING } from "../html/escape.ts";
import { collapsible, pairs, type Section } from "../html/section.ts";
import { table, textCell } from "../html/table.ts";
import { formatBytes } from "../numbers.ts";
import { many } from "./words.ts";

/** A usual config has 1 to 3 KiB. */
const TEXT_CHARACTERS_MAX = 32_768;

export function configSection(report: InspectReport): Section | undefined {
  const { config, suspend_image: image } = report;
  if (config === null && image === null) return undefined;
  const aside =
    config === null
      ? undefined
      : `${many(config.settings.length + config.settings_left_off, "setting")}, ${formatBytes(
          config.bytes,
        )} at ${hex(config.offset)}`;
  return {
    id: "config",
    title: "Config",
    aside,
    body: [
      config === null ? NOTHING : configParts(config),
      image === null ? NOTHING : imageParts(image),
    ],
  };
}

function configParts(config: NonNullable<InspectReport["config"]>): Html {
  const { settings, settings_left_off: leftOff, text, is_json: isJson } = config;
  const rows = settings.map(({ name, value }) => [textCell(name), textCell(value)]);
  return html`${
    settings.length > 0 &&
    table({
      id: "config-table",
      caption: "Settings of the config",
      isCaptionHidden: true,
      columns: [
        { title: "Setting", kind: "code" },
        { title: "Value", kind: "code" },
      ],
      rows,
      leftOff,
    })
  }${collapsible({
    title: "As it stands in the stream",
    aside: isJson ? "JSON" : "not JSON",
    isOpen: settings.length === 0,
    body: html`<pre>${cut(text, TEXT_CHARACTERS_MAX)}</pre>`,
  })}`;
}

function imageParts({
  time,
  word_size: width,
  vm,
}: NonNullable<InspectReport["suspend_image"]>): Html {
  const facts: [string, string][] = [];
  if (time !== null) facts.push(["Suspended", time]);
  if (width !== null) facts.push(["Word width", width]);
  return html`${pairs(facts, { isCode: false })}${
    vm !== null &&
    collapsible({
      title: "Metadata of xenopsd",
      aside: undefined,
      isOpen: false,
      body: html`<pre>${cut(vm, TEXT_CHARACTERS_MAX)}</pre>`,
    })
  }`;
}
