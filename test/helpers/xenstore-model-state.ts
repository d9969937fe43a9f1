// What the small model of the store is made of: nodes, clients and domains in maps, who may see
// what, how events are told.

import { OPERATION } from "../../lib/xenstore/index.ts";

export interface Entry {
  readonly letter: string;
  readonly domid: number;
  ignored: boolean;
}
export interface Node {
  value: string;
  list: Entry[];
  children: string[];
  generation: number;
}
export interface Copy {
  /** Generation at the first touch; -1: it was not there. */
  readonly base: number;
  readonly listBefore: readonly Entry[];
  node: Node | undefined;
  isModified: boolean;
  fires: "no" | "exact" | "subtree";
}
export interface Transaction {
  readonly copies: Map<string, Copy>;
  hasCreated: boolean;
  hasFailed: boolean;
}
export interface Watch {
  readonly path: string;
  readonly token: string;
  readonly depth: number;
  readonly skip: number;
}
export interface Client {
  readonly domid: number;
  readonly isSocket: boolean;
  target: number;
  readonly watches: Watch[];
  readonly transactions: Map<number, Transaction>;
  nextId: number;
  /** "type text" */
  queue: string[];
}
export interface ModelQuotas {
  readonly nodes: number;
  readonly watches: number;
  readonly transactions: number;
  readonly transactionNodes: number;
  readonly permissions: number;
  readonly nodeBytes: number;
}

const ANY = 0x7ff5;
/** Thrown inside the model: the error the client gets. */
export class Refused extends Error {}
export const refuse = (name: string): never => {
  throw new Refused(name);
};

export const parentOf = (path: string): string => {
  const slash = path.indexOf("/", 1) < 0 ? 0 : path.lastIndexOf("/");
  return slash <= 0 ? "/" : path.slice(0, slash);
};
export const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
export const childOf = (path: string, name: string): string =>
  path === "/" ? `/${name}` : `${path}/${name}`;
const copyNode = (node: Node): Node => ({
  value: node.value,
  list: node.list.map((entry) => ({ ...entry })),
  children: [...node.children],
  generation: node.generation,
});
const levels = (path: string): number =>
  path === "/" ? 0 : path.split("/").length - (path.startsWith("@") ? 0 : 1);

export class ModelState {
  readonly nodes = new Map<string, Node>();
  readonly clients = new Map<number, Client>();
  /** Generations at which domains became known. */
  readonly domains = new Map<number, number>();
  readonly introduced = new Set<number>();
  generation = 0;
  readonly exists: (domid: number) => boolean;
  readonly quotas: ModelQuotas;

  constructor(quotas: ModelQuotas, exists: (domid: number) => boolean) {
    this.quotas = quotas;
    this.exists = exists;
    this.domains.set(0, 0);
    const add = (path: string, children: string[], list: Entry[]): void => {
      this.nodes.set(path, { value: "", list, children, generation: ++this.generation });
    };
    const own = (): Entry => ({ letter: "n", domid: 0, ignored: false });
    add("/", ["tool"], [own()]);
    add("/tool", ["xenstored"], [own()]);
    add("/tool/xenstored", [], [own()]);
    add("@releaseDomain", [], [own(), { letter: "r", domid: ANY, ignored: false }]);
    add("@introduceDomain", [], [own()]);
  }
  // ---- Clients and domains -------------------------------------------------------------------

  connect(number: number, domid: number, isSocket: boolean): void {
    this.clients.set(number, {
      domid,
      isSocket,
      target: -1,
      watches: [],
      transactions: new Map(),
      nextId: 0,
      queue: [],
    });
  }

  introduce(number: number, domid: number): void {
    if (!this.domains.has(domid)) this.domains.set(domid, this.generation);
    this.introduced.add(domid);
    this.connect(number, domid, false);
    if (domid !== 0) this.fireSpecial("@introduceDomain", domid);
  }

  nodesOf(domid: number): number {
    return [...this.nodes.values()].filter(({ list }) => list[0]!.domid === domid).length;
  }
  // ---- Permissions ----

  isStale(entry: Entry, generation: number): boolean {
    if (entry.ignored || entry.domid === ANY) return false;
    const known = this.domains.get(entry.domid);
    return known === undefined || known > generation;
  }

  /** The list as a read finds it: entries that stopped to count are marked. */
  adjusted(list: readonly Entry[], generation: number): Entry[] {
    return list.map((entry, index) => ({
      ...entry,
      ignored: entry.ignored || (index > 0 && this.isStale(entry, generation)),
    }));
  }

  may(client: Client, list: readonly Entry[]): string {
    if (client.domid === 0) return "rwo";
    const isMe = ({ domid }: Entry): boolean =>
      domid === client.domid || domid === client.target || domid === ANY;
    if (isMe(list[0]!)) return "rwo";
    const entry = list.slice(1).find((one) => !one.ignored && isMe(one)) ?? list[0]!;
    return { n: "", r: "r", w: "w", b: "rw" }[entry.letter]!;
  }

  // ---- Reading ----

  /** The node as a transaction sees it. */
  look(client: Client, transaction: Transaction | undefined, path: string): Node | undefined {
    const stored = this.nodes.get(path);
    if (transaction === undefined) {
      return stored && { ...copyNode(stored), list: this.adjusted(stored.list, stored.generation) };
    }
    let copy = transaction.copies.get(path);
    if (copy === undefined) {
      const limit = client.domid === 0 ? Infinity : this.quotas.transactionNodes;
      if (transaction.copies.size + 1 > limit) {
        transaction.hasFailed = true;
        refuse("ENOSPC");
      }
      const node = stored && copyNode(stored);
      if (node) node.list = this.adjusted(node.list, node.generation);
      const listBefore = node ? node.list.map((entry) => ({ ...entry })) : [];
      copy = { base: node?.generation ?? -1, listBefore, node, isModified: false, fires: "no" };
      transaction.copies.set(path, copy);
    }
    return copy.node && copyNode(copy.node);
  }

  take(client: Client, transaction: Transaction | undefined, path: string, wanted: string): Node {
    const node = this.look(client, transaction, path);
    let error = "ENOENT";
    if (node) {
      const may = this.may(client, node.list);
      if ([...wanted].every((one) => may.includes(one))) return node;
      error = "EACCES";
    }
    let above = parentOf(path);
    let parent = this.look(client, transaction, above);
    while (parent === undefined) {
      above = parentOf(above);
      parent = this.look(client, transaction, above);
    }
    const allowed = this.may(client, parent.list);
    return refuse([...wanted].some((one) => allowed.includes(one)) ? error : "EACCES");
  }

  path(client: Client, text: string | undefined, allowSpecial: boolean): string {
    if (text === undefined || !/^[A-Za-z0-9\-/_@]*$/.test(text)) return refuse("EINVAL");
    if (text.startsWith("@") && !allowSpecial) return refuse("EINVAL");
    const path = /^[/@]/.test(text) ? text : `/local/domain/${client.domid}/${text}`;
    if ((path.endsWith("/") && path !== "/") || path.includes("//")) return refuse("EINVAL");
    const uncounted = /^\/local\/domain\/\d{1,5}\//.exec(path)?.[0].length ?? 0;
    if (client.domid !== 0 && path.length - uncounted > 2048) return refuse("EINVAL");
    return path;
  }

  // ---- Writing -------------------------------------------------------------------------------

  checkSize(client: Client, node: Node): void {
    const names = node.children.reduce((sum, name) => sum + name.length + 1, 0);
    const bytes = 16 + 8 * node.list.length + node.value.length + names;
    if (client.domid !== 0 && bytes > this.quotas.nodeBytes) refuse("ENOSPC");
  }

  put(transaction: Transaction | undefined, path: string, node: Node): void {
    node.generation = ++this.generation;
    if (transaction === undefined) {
      this.nodes.set(path, node);
      return;
    }
    const copy = transaction.copies.get(path)!;
    copy.node = node;
    copy.isModified = true;
  }

  fire(
    transaction: Transaction | undefined,
    path: string,
    kind: "exact" | "subtree",
    before: readonly Entry[],
  ): void {
    if (transaction === undefined) {
      this.fireNow(path, kind, this.nodes.get(path), this.nodes.get(parentOf(path)), before);
      return;
    }
    const copy = transaction.copies.get(path)!;
    if (copy.fires !== "subtree") copy.fires = kind;
  }

  // ---- Events --------------------------------------------------------------------------------

  send(client: Client, watch: Watch, path: string): void {
    const text = path.slice(watch.skip);
    const message = `${OPERATION.WATCH_EVENT} ${text}\0${watch.token}\0`;
    if (text.startsWith("@") || !client.queue.includes(message)) client.queue.push(message);
  }

  fireNow(
    path: string,
    kind: "exact" | "subtree" | "depth" | "noDepth",
    node: Node | undefined,
    parent: Node | undefined,
    before: readonly Entry[],
  ): void {
    for (const client of this.clients.values()) {
      const sees = (one: Node | undefined): boolean =>
        one !== undefined &&
        this.may(client, this.adjusted(one.list, one.generation)).includes("r");
      const isAllowed =
        (before.length > 0 && this.may(client, before).includes("r")) ||
        (node !== undefined && (sees(node) || sees(parent)));
      if (!isAllowed) continue;
      for (const watch of client.watches) {
        const isSame = watch.path === path;
        const isBelow =
          isSame ||
          path.startsWith(`${watch.path}/`) ||
          (watch.path === "/" && path.startsWith("/"));
        const below = levels(path) - levels(watch.path);
        const isMeant = {
          exact: isSame,
          subtree: isBelow && (watch.depth < 0 || below <= watch.depth),
          depth: isSame || (isBelow && watch.depth > 0 && below <= watch.depth),
          noDepth: isSame && watch.depth < 0,
        }[kind];
        if (isMeant) this.send(client, watch, path);
      }
    }
  }

  fireSpecial(name: string, domid: number): void {
    const node = this.nodes.get(name)!;
    const root = this.nodes.get("/")!;
    this.fireNow(name, "noDepth", node, root, []);
    this.fireNow(`${name}/${domid}`, "depth", node, root, []);
  }

  // ---- Commit --------------------------------------------------------------------------------

  end(client: Client, transaction: Transaction, isCommit: boolean): string {
    if (!isCommit) return "OK\0";
    if (transaction.hasFailed) return refuse("ENOMEM");
    this.checkOwners(transaction, transaction.hasCreated && client.domid !== 0);
    for (const [path, { base }] of transaction.copies) {
      if ((this.nodes.get(path)?.generation ?? -1) !== base) return refuse("EAGAIN");
    }
    for (const [path, copy] of transaction.copies) {
      if (!copy.isModified) continue;
      if (copy.node)
        this.nodes.set(path, { ...copyNode(copy.node), generation: ++this.generation });
      else this.nodes.delete(path);
      if (copy.fires === "no") continue;
      const node = this.nodes.get(path);
      this.fireNow(path, copy.fires, node, this.nodes.get(parentOf(path)), copy.listBefore);
    }
    return "OK\0";
  }

  checkOwners(transaction: Transaction, withQuota: boolean): void {
    const gains = new Map<number, number>();
    const gain = (list: readonly Entry[], by: number): void => {
      const { domid } = list[0]!;
      gains.set(domid, (gains.get(domid) ?? 0) + by);
    };
    for (const copy of transaction.copies.values()) {
      if (!copy.isModified) continue;
      if (copy.base !== -1) gain(copy.listBefore, -1);
      if (copy.node) gain(copy.node.list, 1);
    }
    for (const [domid, by] of gains) {
      if (!this.domains.has(domid) && !this.exists(domid)) refuse("ENOMEM");
      if (!withQuota) continue;
      if (domid !== 0 && by >= 0 && this.nodesOf(domid) + by >= this.quotas.nodes) refuse("ENOSPC");
    }
  }
}
