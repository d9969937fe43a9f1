// The words that a stock daemon is started with when it takes our place: ours where we were started
// under its name, else what means the same there. Quotas go with the state, or are in its own
// configuration.

import { basename } from "node:path";
import {
  EVENT_TIMEOUT_MS,
  type ServiceOptions,
  type StockKind,
} from "../../../lib/store-daemon/index.ts";

const NAME: Readonly<Record<StockKind, string>> = { c: "xenstored", oxenstored: "oxenstored" };
const MS_PER_SECOND = 1000;

export interface StockWordsOptions {
  readonly programName: string;
  readonly words: readonly string[];
  readonly isForeground: boolean;
  readonly service: Pick<
    ServiceOptions,
    "pidFile" | "ownDomid" | "privilegedDomid" | "eventTimeoutMs" | "keepOrphans" | "traces"
  >;
}

export function stockWords(kind: StockKind, options: StockWordsOptions): readonly string[] {
  const { programName, words, isForeground, service } = options;
  if (basename(programName) === NAME[kind]) return words;
  const { pidFile, ownDomid, privilegedDomid, eventTimeoutMs, keepOrphans, traces } = service;
  const given = (word: string, value: string | undefined): readonly string[] =>
    value === undefined ? [] : [word, value];
  if (kind === "oxenstored") {
    return [
      ...(isForeground ? ["--no-fork"] : []),
      ...given("--pid-file", pidFile),
      ...given("-T", traces.traceFile),
    ];
  }
  const seconds = Math.round(eventTimeoutMs / MS_PER_SECOND);
  const isUsualTime = eventTimeoutMs === EVENT_TIMEOUT_MS;
  return [
    ...(isForeground ? ["-N"] : []),
    ...given("-F", pidFile),
    ...given("-T", traces.traceFile),
    ...given("-w", isUsualTime ? undefined : `watch-event=${seconds}`),
    ...given("-m", ownDomid === 0 ? undefined : String(ownDomid)),
    ...given("-p", privilegedDomid === 0 ? undefined : String(privilegedDomid)),
    ...(keepOrphans ? ["-K"] : []),
  ];
}
