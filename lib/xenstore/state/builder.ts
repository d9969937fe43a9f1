// Puts a state together piece by piece, as a reader meets the pieces, and tells at once what cannot
// be: what is wrong in itself (problems.ts), stands twice, or refers to what does not stand before.

import {
  channelName,
  EMPTY_STATE,
  type StateConnection,
  type StateDomain,
  type StateNode,
  type StateTransaction,
  type StateWatch,
  type StoreState,
  type TransactionNode,
  type UnknownPart,
} from "./model.ts";
import {
  connectionProblem,
  domainProblem,
  firstOf,
  nodeProblem,
  type Problem,
  quoted,
  quotasProblem,
  transactionIdProblem,
  transactionNodeProblem,
  twice,
  unknownProblem,
  watchProblem,
} from "./problems.ts";

/** A connection without what is added to it later, by its id. */
export type BareConnection = Omit<StateConnection, "watches" | "transactions">;

export interface StateBuilder {
  setGlobal(global: Partial<StoreState["global"]>): void;
  setQuotas(quotas: StoreState["quotas"]): Problem | undefined;
  addConnection(connection: BareConnection): Problem | undefined;
  addWatch(connectionId: number, watch: StateWatch): Problem | undefined;
  addTransaction(connectionId: number, id: number): Problem | undefined;
  addTransactionNode(owner: TransactionOwner, node: TransactionNode): Problem | undefined;
  addNode(node: StateNode): Problem | undefined;
  addDomain(domain: StateDomain): Problem | undefined;
  addUnknown(part: UnknownPart): Problem | undefined;
  build(): StoreState;
}

export interface TransactionOwner {
  readonly connectionId: number;
  readonly transactionId: number;
}

/** A state in the making. */
export function createStateBuilder(): StateBuilder {
  const { connections, ...connectionSteps } = connectionsInTheMaking();
  const { nodes, ...nodeSteps } = nodesInTheMaking();
  const domains = new Map<number, StateDomain>();
  const unknown: UnknownPart[] = [];
  let { global, quotas } = EMPTY_STATE;
  return {
    ...connectionSteps,
    ...nodeSteps,
    setGlobal(values) {
      global = { ...global, ...values };
    },
    setQuotas(values) {
      if (quotas !== EMPTY_STATE.quotas) return twice("quotas", "record of them");
      quotas = values;
      return quotasProblem([...values.perDomain, ...values.global]);
    },
    addDomain(domain) {
      const { domid } = domain;
      const problem = domains.has(domid) ? twice("domain", String(domid)) : domainProblem(domain);
      if (problem === undefined) domains.set(domid, domain);
      return problem;
    },
    addUnknown(part) {
      unknown.push(part);
      return unknownProblem(part);
    },
    build: () => ({
      global,
      quotas,
      connections: connections(),
      domains: [...domains.values()],
      nodes,
      unknown,
    }),
  };
}

// ---- Connections -------------------------------------------------------------------------------

interface OpenConnection {
  readonly bare: BareConnection;
  /** By path and token: a client cannot have the same watch twice. */
  readonly watches: Map<string, StateWatch>;
  /** By id, their nodes by path. */
  readonly transactions: Map<number, Map<string, TransactionNode>>;
}

const missing = (what: string, id: number): Problem => ({
  field: `${what} id`,
  expected: `a ${what} that stands before`,
  found: String(id),
});

type ConnectionSteps = Pick<
  StateBuilder,
  "addConnection" | "addWatch" | "addTransaction" | "addTransactionNode"
>;

function connectionsInTheMaking(): ConnectionSteps & { connections(): StateConnection[] } {
  const open = new Map<number, OpenConnection>();
  const channels = new Set<string>();
  return {
    connections: () => [...open.values()].map(finished),
    addConnection(bare) {
      const name = channelName(bare.channel);
      const problem = firstOf(
        connectionProblem(bare),
        open.has(bare.id) ? twice("connection id", String(bare.id)) : undefined,
        channels.has(name) ? twice("connection", name) : undefined,
      );
      if (problem !== undefined) return problem;
      channels.add(name);
      open.set(bare.id, { bare, watches: new Map(), transactions: new Map() });
      return undefined;
    },
    addWatch(connectionId, watch) {
      const watches = open.get(connectionId)?.watches;
      if (watches === undefined) return missing("connection", connectionId);
      const key = `${watch.path}\0${Buffer.from(watch.token).toString("latin1")}`;
      const again = watches.has(key) ? twice("watch", quoted(watch.path)) : undefined;
      const problem = firstOf(watchProblem(watch), again);
      if (problem === undefined) watches.set(key, watch);
      return problem;
    },
    addTransaction(connectionId, id) {
      const transactions = open.get(connectionId)?.transactions;
      if (transactions === undefined) return missing("connection", connectionId);
      const again = transactions.has(id) ? twice("transaction id", String(id)) : undefined;
      const problem = firstOf(transactionIdProblem(id), again);
      if (problem === undefined) transactions.set(id, new Map());
      return problem;
    },
    addTransactionNode({ connectionId, transactionId }, node) {
      const transactions = open.get(connectionId)?.transactions;
      if (transactions === undefined) return missing("connection", connectionId);
      const nodes = transactions.get(transactionId);
      if (nodes === undefined) return missing("transaction", transactionId);
      const again = nodes.has(node.path) ? twice("node", quoted(node.path)) : undefined;
      const problem = firstOf(transactionNodeProblem(node), again);
      if (problem === undefined) nodes.set(node.path, node);
      return problem;
    },
  };
}

const finished = ({ bare, watches, transactions }: OpenConnection): StateConnection => ({
  ...bare,
  watches: [...watches.values()],
  transactions: [...transactions].map(([id, nodes]): StateTransaction => ({
    id,
    nodes: [...nodes.values()],
  })),
});

// ---- Nodes -------------------------------------------------------------------------------------

/** "/" for "/tool", "/tool" for "/tool/xenstored". */
export const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/";

function nodesInTheMaking(): Pick<StateBuilder, "addNode"> & { readonly nodes: StateNode[] } {
  const nodes: StateNode[] = [];
  const paths = new Set<string>();
  const isThere = (path: string): boolean => path === "/" || paths.has(path);
  return {
    nodes,
    addNode(node) {
      const { path } = node;
      const isOrphan = path.startsWith("/") && !isThere(parentOf(path));
      const problem = firstOf(
        nodeProblem(node),
        paths.has(path) ? twice("node", quoted(path)) : undefined,
        isOrphan
          ? { field: "path", expected: "its parent before it", found: quoted(path) }
          : undefined,
      );
      if (problem !== undefined) return problem;
      paths.add(path);
      nodes.push(node);
      return undefined;
    },
  };
}
