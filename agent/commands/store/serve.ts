// agent store serve: the xenstore daemon, in the foreground unless told otherwise.

import { dirname, resolve } from "node:path";
import * as v from "valibot";
import { EVENT_TIMEOUT_MS, socketPath } from "../../../lib/store-daemon/index.ts";
import { LOG_SWITCH, QUOTAS, type QuotaName } from "../../../lib/xenstore/index.ts";
import type { Invocation } from "../../commands.ts";
import { countOption, parseOptions, switchOption } from "../../options.ts";
import { detectHypervisor, startDaemon } from "./start.ts";

const ACCESS_LOG_LINES = 13215;
const ACCESS_LOG_FILES = 10;
const MS_PER_SECOND = 1000;
const NUMBER = /^[0-9]{1,9}$/;

const wholeNumber = v.pipe(
  v.string("wanted a whole number"),
  v.regex(NUMBER, "wanted a whole number"),
  v.transform(Number),
);

/** "nodes=2000,watches=500" */
const quotaOption = v.pipe(
  v.string("wanted NAME=COUNT"),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const quotas: Partial<Record<QuotaName, number>> = {};
    for (const part of dataset.value.split(",")) {
      const [name = "", count = ""] = part.split("=");
      const known = QUOTAS.find((quota) => quota.name === name);
      if (known === undefined || !NUMBER.test(count)) {
        const names = QUOTAS.map((quota) => quota.name).join(", ");
        addIssue({ message: `wanted NAME=COUNT with one of ${names}, found "${part}"` });
        return NEVER;
      }
      quotas[known.name] = Number(count);
    }
    return quotas;
  }),
);

const Options = v.strictObject({
  _: v.strictTuple([], "wanted none"),
  socket: v.optional(v.string()),
  "pid-file": v.optional(v.string()),
  background: switchOption,
  hypervisor: v.optional(v.string()),
  domid: v.optional(wholeNumber, "0"),
  quota: v.optional(quotaOption),
  "event-timeout": v.optional(wholeNumber),
  "keep-orphans": switchOption,
  trace: v.optional(v.string()),
  "access-log": v.optional(v.string()),
  "access-log-lines": v.optional(countOption),
  "access-log-files": v.optional(countOption),
  "access-log-reads": switchOption,
});

export async function run({ argv, spec, programName }: Invocation): Promise<number> {
  const options = parseOptions(Options, spec, argv);
  const { hypervisor = "auto", "access-log": accessLog, "event-timeout": seconds } = options;
  const path = resolve(options.socket ?? socketPath(process.env));
  return startDaemon({
    inBackground: options.background,
    printPid: false,
    programName,
    words: [...spec.name.split(" "), ...argv],
    notes: [],
    runFolder: dirname(path),
    service: {
      socketPath: path,
      pidFile: absolute(options["pid-file"]),
      hypervisor: hypervisorOf(hypervisor),
      ownDomid: options.domid,
      privilegedDomid: options.domid,
      introduceOwn: true,
      quotas: options.quota ?? {},
      keepOrphans: options["keep-orphans"],
      eventTimeoutMs: seconds === undefined ? EVENT_TIMEOUT_MS : seconds * MS_PER_SECOND,
      ringScanMs: 0,
      stock: undefined,
      traces: {
        traceFile: absolute(options.trace),
        traceMask: LOG_SWITCH.obj | LOG_SWITCH.io,
        accessLog:
          accessLog === undefined
            ? undefined
            : {
                path: resolve(accessLog),
                linesMax: options["access-log-lines"] ?? ACCESS_LOG_LINES,
                filesMax: options["access-log-files"] ?? ACCESS_LOG_FILES,
                charactersMax: 0,
                withReads: options["access-log-reads"],
              },
      },
    },
  });
}

const absolute = (path: string | undefined): string | undefined =>
  path === undefined ? undefined : resolve(path);

function hypervisorOf(word: string): "xen" | "none" | { readonly folder: string } {
  if (word === "auto") return detectHypervisor();
  return word === "xen" || word === "none" ? word : { folder: resolve(word) };
}
