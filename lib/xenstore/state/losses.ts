// What of a state a format cannot carry: asked before a dump is written, told to the operator.

import { channelName, type StateConnection, type StoreState } from "./model.ts";
import { ringDomids, type StreamOptions } from "./stream-writer.ts";
import { isCarriedByText } from "./text.ts";

/** "text": oxenstored's. "stream", "stream-v2": the migration stream of version 1 or 2. */
export const STATE_FORMATS = ["text", "stream", "stream-v2", "json"] as const;
export type StateFormat = (typeof STATE_FORMATS)[number];
export const STREAM_VARIANTS = ["c", "design"] as const;

export interface StateTarget {
  readonly format: StateFormat;
  /** Of a stream (stream-writer.ts). */
  readonly variant: StreamOptions["variant"];
}

export interface Loss {
  /** "transactions", "watch depths" */
  readonly what: string;
  readonly count: number;
  /** What becomes of them. */
  readonly consequence: string;
  /** The first of them: "domain 5", "/tool". */
  readonly examples: readonly string[];
}

const EXAMPLES_MAX = 3;

interface LossKind {
  readonly what: string;
  readonly consequence: string;
  isLost(target: StateTarget): boolean;
  /** All that is concerned, each named. */
  found(state: StoreState, target: StateTarget): readonly string[];
}

const isText = ({ format }: StateTarget): boolean => format === "text";
const isStream = ({ format }: StateTarget): boolean => format.startsWith("stream");
const isNotJson = ({ format }: StateTarget): boolean => format !== "json";
const isDesign = (target: StateTarget): boolean => isStream(target) && target.variant === "design";

const connectionsWith =
  (test: (connection: StateConnection) => boolean) =>
  ({ connections }: StoreState): readonly string[] =>
    connections.filter(test).map(({ channel }) => channelName(channel));

const ringsWith = (
  test: (ring: Extract<StateConnection["channel"], { kind: "ring" }>) => boolean,
) => connectionsWith(({ channel }) => channel.kind === "ring" && test(channel));

const KINDS: readonly LossKind[] = [
  {
    what: "connections",
    consequence: "left out with their watches: a ring needs its frame number and a port there",
    isLost: isText,
    found: connectionsWith((connection) => !isCarriedByText(connection)),
  },
  {
    what: "transactions",
    consequence: "their clients will be told that there is no such transaction",
    isLost: (target) => isNotJson(target) && !isDesign(target),
    found: connectionsWith(({ transactions }) => transactions.length > 0),
  },
  {
    what: "transaction histories",
    consequence: "a conflict with what was written meanwhile cannot be seen any more",
    isLost: isDesign,
    found: connectionsWith(({ transactions }) =>
      transactions.some(({ nodes }) => nodes.some(({ generation }) => generation !== null)),
    ),
  },
  {
    what: "requests not answered",
    consequence: "their clients wait for ever",
    isLost: isText,
    found: connectionsWith(({ input }) => input.length > 0),
  },
  {
    what: "output not sent",
    consequence: "their clients miss replies or events",
    isLost: isText,
    found: connectionsWith(({ output }) => output.length > 0),
  },
  {
    what: "watch depths",
    consequence: "these watches see all levels",
    isLost: (target) => isText(target) || (isStream(target) && !carriesDepth(target)),
    found: ({ connections }) =>
      connections.flatMap(({ watches }) =>
        watches.filter(({ depth }) => depth !== null).map(({ path }) => path),
      ),
  },
  {
    what: "targets",
    consequence: "these domains no longer act for another one",
    isLost: isText,
    found: ringsWith(({ target }) => target !== null),
  },
  {
    what: "unique ids of domains",
    consequence: "a new domain of the same number is not told from the old one",
    isLost: isText,
    found: connectionsWith(({ uniqueId }) => uniqueId !== null),
  },
  {
    what: "frames of shared pages",
    consequence: "the reader takes entry 1 of the domain's grant table",
    isLost: isStream,
    found: ringsWith(({ gfn, domid }) => gfn !== null && domid !== 0),
  },
  {
    what: "local ports",
    consequence: "the reader has to be told the event channel",
    isLost: isStream,
    found: ringsWith(({ localPort }) => localPort === null),
  },
  {
    what: "remote ports",
    consequence: "an event channel that is not inherited cannot be bound again",
    isLost: isStream,
    found: ringsWith(({ remotePort }) => remotePort !== null),
  },
  {
    what: "port of dying domains",
    consequence: "the reader binds VIRQ_DOM_EXC anew",
    isLost: isStream,
    found: ({ global }) =>
      global.domainExceptionPort === null ? [] : [`port ${global.domainExceptionPort}`],
  },
  {
    what: "ignored permissions",
    consequence: "left out: there they would count again (an owner stays)",
    isLost: isText,
    found: ({ nodes }) =>
      nodes
        .filter(({ permissions }) => permissions.some(({ isIgnored }) => isIgnored))
        .map(({ path }) => path),
  },
  {
    what: "quotas",
    consequence: "the reader has its own",
    isLost: isText,
    found: ({ quotas }) => [...quotas.perDomain, ...quotas.global].map(({ name }) => name),
  },
  {
    what: "settings of domains",
    consequence: "the reader gives its own quotas and features",
    isLost: (target) => isNotJson(target) && !isDesign(target),
    found: (state, target) => {
      const known = isText(target) ? new Set<number>() : ringDomids(state);
      return state.domains
        .filter(({ domid }) => !known.has(domid))
        .map(({ domid }) => `domain ${domid}`);
    },
  },
  {
    what: "features of domains",
    consequence: "the reader offers its own",
    isLost: ({ format }) => format === "stream",
    found: ({ domains }) =>
      domains.filter(({ features }) => features !== 0).map(({ domid }) => `domain ${domid}`),
  },
  {
    what: "generations of nodes",
    consequence: "they are counted anew",
    isLost: isNotJson,
    found: ({ nodes }) =>
      nodes.filter(({ generation }) => generation !== null).map(({ path }) => path),
  },
  {
    what: "reads of nodes that are not there",
    consequence: "a transaction can no longer conflict over them",
    isLost: isDesign,
    found: ({ connections }) =>
      connections.flatMap(({ transactions }) =>
        transactions.flatMap(({ nodes }) =>
          nodes
            .filter(({ content, isRead, isWritten }) => content === null && (isRead || !isWritten))
            .map(({ path }) => path),
        ),
      ),
  },
  {
    what: "parts of unknown kinds",
    consequence: "only the format they came from has them",
    isLost: isNotJson,
    found: ({ unknown }, target) =>
      unknown
        .filter(({ kind }) => kind !== (isText(target) ? "line" : "record"))
        .map((part) => (part.kind === "line" ? part.text.split(",")[0]! : `type ${part.type}`)),
  },
];

const carriesDepth = ({ format, variant }: StateTarget): boolean =>
  format === "stream-v2" && variant === "design";

/** Everything of `state` that is not in a dump for `target`; empty: it carries all. */
export const losses = (state: StoreState, target: StateTarget): readonly Loss[] =>
  KINDS.filter((kind) => kind.isLost(target)).flatMap(({ what, consequence, found }) => {
    const names = found(state, target);
    const examples = names.slice(0, EXAMPLES_MAX);
    return names.length === 0 ? [] : [{ what, count: names.length, consequence, examples }];
  });

/** "watch depths are lost: 5 (device, cpu, memory ...); these watches see all levels" */
export function describeLoss({ what, count, consequence, examples }: Loss): string {
  const more = count > examples.length ? " ..." : "";
  return `${what} are lost: ${count} (${examples.join(", ")}${more}); ${consequence}`;
}
