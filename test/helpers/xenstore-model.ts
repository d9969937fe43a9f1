// A small model of the store, in maps and strings, with the C daemon's semantics: what the arena is
// compared with. Slow and plain on purpose.

import { OPERATION } from "../../lib/xenstore/index.ts";

interface Entry {
  readonly letter: string;
  readonly domid: number;
  ignored: boolean;
}
interface Node {
  value: string;
  list: Entry[];
  children: string[];
  generation: number;
}
interface Copy {
  /** Generation at the first touch; -1: it was not there. */
  readonly base: number;
  readonly listBefore: readonly Entry[];
  node: Node | undefined;
  isModified: boolean;
  fires: "no" | "exact" | "subtree";
}
interface Transaction {
  readonly copies: Map<string, Copy>;
  hasCreated: boolean;
  hasFailed: boolean;
}
interface Watch {
  readonly path: string;
  readonly token: string;
  readonly depth: number;
  readonly skip: number;
}
interface Client {
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
class Refused extends Error {}
const refuse = (name: string): never => {
  throw new Refused(name);
};

const parentOf = (path: string): string => {
  const slash = path.indexOf("/", 1) < 0 ? 0 : path.lastIndexOf("/");
  return slash <= 0 ? "/" : path.slice(0, slash);
};
const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
const childOf = (path: string, name: string): string =>
  path === "/" ? `/${name}` : `${path}/${name}`;
const copyNode = (node: Node): Node => ({
  value: node.value,
  list: node.list.map((entry) => ({ ...entry })),
  children: [...node.children],
  generation: node.generation,
});
const levels = (path: string): number =>
  path === "/" ? 0 : path.split("/").length - (path.startsWith("@") ? 0 : 1);

export class Model {
  readonly nodes = new Map<string, Node>();
  readonly clients = new Map<number, Client>();
  /** Generations at which domains became known. */
  readonly domains = new Map<number, number>();
  readonly introduced = new Set<number>();
  generation = 0;
  readonly exists: (domid: number) => boolean;
  private readonly quotas: ModelQuotas;

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

  // ---- Clients and domains ----

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

  gone(domid: number): void {
    for (const [number, client] of this.clients) {
      if (!client.isSocket && client.domid === domid) this.clients.delete(number);
      if (client.target === domid) client.target = -1;
    }
    this.disown("/", domid);
    for (const special of ["@releaseDomain", "@introduceDomain"]) this.strip(special, domid);
    this.domains.delete(domid);
    if (this.introduced.delete(domid)) this.fireSpecial("@releaseDomain", domid);
  }

  private disown(path: string, domid: number): void {
    const node = this.nodes.get(path)!;
    if (node.list[0]!.domid === domid && path !== "/") {
      this.removeTree(undefined, path);
      return;
    }
    this.strip(path, domid);
    for (const name of [...node.children]) this.disown(childOf(path, name), domid);
  }

  private strip(path: string, domid: number): void {
    const node = this.nodes.get(path)!;
    node.list = node.list.filter((entry, index) => index === 0 || entry.domid !== domid);
    if (node.list[0]!.domid === domid) node.list[0] = { ...node.list[0]!, domid: 0 };
  }

  nodesOf(domid: number): number {
    return [...this.nodes.values()].filter(({ list }) => list[0]!.domid === domid).length;
  }

  // ---- Permissions ----

  private isStale(entry: Entry, generation: number): boolean {
    if (entry.ignored || entry.domid === ANY) return false;
    const known = this.domains.get(entry.domid);
    return known === undefined || known > generation;
  }

  /** The list as a read finds it: entries that stopped to count are marked. */
  private adjusted(list: readonly Entry[], generation: number): Entry[] {
    return list.map((entry, index) => ({
      ...entry,
      ignored: entry.ignored || (index > 0 && this.isStale(entry, generation)),
    }));
  }

  private may(client: Client, list: readonly Entry[]): string {
    if (client.domid === 0) return "rwo";
    const isMe = ({ domid }: Entry): boolean =>
      domid === client.domid || domid === client.target || domid === ANY;
    if (isMe(list[0]!)) return "rwo";
    const entry = list.slice(1).find((one) => !one.ignored && isMe(one)) ?? list[0]!;
    return { n: "", r: "r", w: "w", b: "rw" }[entry.letter]!;
  }

  // ---- Reading ----

  /** The node as a transaction sees it. */
  private look(
    client: Client,
    transaction: Transaction | undefined,
    path: string,
  ): Node | undefined {
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

  private take(
    client: Client,
    transaction: Transaction | undefined,
    path: string,
    wanted: string,
  ): Node {
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

  private path(client: Client, text: string | undefined, allowSpecial: boolean): string {
    if (text === undefined || !/^[A-Za-z0-9\-/_@]*$/.test(text)) return refuse("EINVAL");
    if (text.startsWith("@") && !allowSpecial) return refuse("EINVAL");
    const path = /^[/@]/.test(text) ? text : `/local/domain/${client.domid}/${text}`;
    if ((path.endsWith("/") && path !== "/") || path.includes("//")) return refuse("EINVAL");
    const uncounted = /^\/local\/domain\/\d{1,5}\//.exec(path)?.[0].length ?? 0;
    if (client.domid !== 0 && path.length - uncounted > 2048) return refuse("EINVAL");
    return path;
  }

  // ---- Writing ----

  private checkSize(client: Client, node: Node): void {
    const names = node.children.reduce((sum, name) => sum + name.length + 1, 0);
    const bytes = 16 + 8 * node.list.length + node.value.length + names;
    if (client.domid !== 0 && bytes > this.quotas.nodeBytes) refuse("ENOSPC");
  }

  private put(transaction: Transaction | undefined, path: string, node: Node): void {
    node.generation = ++this.generation;
    if (transaction === undefined) {
      this.nodes.set(path, node);
      return;
    }
    const copy = transaction.copies.get(path)!;
    copy.node = node;
    copy.isModified = true;
  }

  private fire(
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

  private create(
    client: Client,
    transaction: Transaction | undefined,
    path: string,
    value: string,
  ): void {
    const missing = [path];
    let above = parentOf(path);
    let parent = this.look(client, transaction, above);
    while (parent === undefined) {
      missing.push(above);
      above = parentOf(above);
      parent = this.look(client, transaction, above);
    }
    if (transaction) transaction.hasCreated = true;
    const isLimited = client.domid !== 0;
    if (isLimited) {
      const nodes = this.nodesOf(client.domid);
      if (nodes + 1 > this.quotas.nodes) refuse("ENOSPC");
      if (nodes + missing.length > this.quotas.nodes) {
        if (transaction) transaction.hasFailed = true;
        refuse("ENOSPC");
      }
    }
    const made = missing.map((one, index): [string, Node] => {
      const list = parent.list.map((entry) => ({ ...entry }));
      if (isLimited) list[0] = { ...list[0]!, domid: client.domid };
      const children = index === 0 ? [] : [nameOf(missing[index - 1]!)];
      return [one, { value: index === 0 ? value : "", list, children, generation: 0 }];
    });
    parent.children.push(nameOf(missing.at(-1)!));
    made.push([above, parent]);
    try {
      for (const [, node] of made) this.checkSize(client, node);
    } catch (error) {
      if (transaction) transaction.hasFailed = true;
      throw error;
    }
    for (const [one, node] of made) this.put(transaction, one, node);
    this.fire(transaction, path, "subtree", []);
  }

  private write(
    client: Client,
    transaction: Transaction | undefined,
    path: string,
    value: string | undefined,
  ): string {
    let node: Node | undefined;
    try {
      node = this.take(client, transaction, path, "w");
    } catch (error) {
      if (!(error instanceof Refused) || error.message !== "ENOENT") throw error;
      this.create(client, transaction, path, value ?? "");
      return "OK\0";
    }
    if (value === undefined) return "OK\0";
    node.value = value;
    try {
      this.checkSize(client, node);
    } catch (error) {
      if (transaction) transaction.hasFailed = true;
      throw error;
    }
    this.put(transaction, path, node);
    this.fire(transaction, path, "subtree", []);
    return "OK\0";
  }

  /** Removes a node of the store, or of a transaction, children first. */
  private removeTree(
    transaction: { readonly it: Transaction; readonly client: Client } | undefined,
    top: string,
  ): void {
    const walk = (path: string): void => {
      const node = transaction
        ? this.look(transaction.client, transaction.it, path)
        : this.nodes.get(path);
      if (node === undefined) return refuse("EIO");
      for (const name of [...node.children]) walk(childOf(path, name));
      const kind = path === top ? "subtree" : "exact";
      this.generation += path === top ? 1 : 2;
      if (transaction) {
        const copy = transaction.it.copies.get(path)!;
        copy.node = undefined;
        copy.isModified = true;
        this.fire(transaction.it, path, kind, []);
      } else {
        this.fireNow(path, kind, node, this.nodes.get(parentOf(path)), []);
      }
    };
    walk(top);
    const above = parentOf(top);
    if (transaction) {
      const parent = this.look(transaction.client, transaction.it, above);
      // Somebody else made it since the transaction looked at its parent.
      if (!parent?.children.includes(nameOf(top))) return refuse("EIO");
      parent.children = parent.children.filter((name) => name !== nameOf(top));
      this.put(transaction.it, above, parent);
      return;
    }
    for (const path of [...this.nodes.keys()]) {
      if (path === top || path.startsWith(`${top}/`)) this.nodes.delete(path);
    }
    const parent = this.nodes.get(above)!;
    parent.children = parent.children.filter((name) => name !== nameOf(top));
    parent.list = this.adjusted(parent.list, parent.generation);
    parent.generation = ++this.generation;
  }

  private remove(client: Client, transaction: Transaction | undefined, path: string): string {
    try {
      this.take(client, transaction, path, "w");
    } catch (error) {
      if (!(error instanceof Refused) || error.message !== "ENOENT") throw error;
      if (this.look(client, transaction, parentOf(path))) return "OK\0";
      return refuse("ENOENT");
    }
    if (path === "/") return refuse("EINVAL");
    if (transaction) {
      if (this.look(client, transaction, parentOf(path)) === undefined) return refuse("EINVAL");
      try {
        this.removeTree({ it: transaction, client }, path);
      } catch (error) {
        if (error instanceof Refused) return refuse("EIO");
        throw error;
      }
      return "OK\0";
    }
    this.removeTree(undefined, path);
    return "OK\0";
  }

  private setPermissions(
    client: Client,
    transaction: Transaction | undefined,
    payload: string,
  ): string {
    const parts = payload.split("\0").slice(0, -1);
    if (parts.length < 2) return refuse("EINVAL");
    const [text, ...entries] = parts;
    if (client.domid !== 0 && entries.length > this.quotas.permissions) return refuse("ENOSPC");
    const list = entries.map((entry): Entry => {
      const found = /^([nrwb])(\d+)$/.exec(entry);
      if (found === null) return refuse("EINVAL");
      return { letter: found[1]!, domid: Number(found[2]), ignored: false };
    });
    const learned: number[] = [];
    for (const entry of list) {
      if (entry.domid === ANY || this.domains.has(entry.domid)) continue;
      if (this.exists(entry.domid)) learned.push(entry.domid);
      else entry.ignored = true;
    }
    if (list[0]!.ignored) return refuse("ENOENT");
    const known = new Map(this.domains);
    for (const domid of learned)
      if (!this.domains.has(domid)) this.domains.set(domid, this.generation);
    try {
      const path = this.path(client, text, true);
      const node = this.take(client, transaction, path, "wo");
      if (client.domid !== 0 && node.list[0]!.domid !== list[0]!.domid) return refuse("EPERM");
      const before = node.list;
      node.list = list;
      this.checkSize(client, node);
      this.put(transaction, path, node);
      this.fire(transaction, path, "subtree", before);
      return "OK\0";
    } catch (error) {
      if (transaction === undefined) {
        this.domains.clear(); // What fails leaves nothing behind.
        for (const [domid, generation] of known) this.domains.set(domid, generation);
      } else if (error instanceof Refused && error.message === "ENOSPC") {
        transaction.hasFailed = true;
      }
      throw error;
    }
  }

  // ---- Watches ----

  private send(client: Client, watch: Watch, path: string): void {
    const text = path.slice(watch.skip);
    const message = `${OPERATION.WATCH_EVENT} ${text}\0${watch.token}\0`;
    if (text.startsWith("@") || !client.queue.includes(message)) client.queue.push(message);
  }

  private fireNow(
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

  private fireSpecial(name: string, domid: number): void {
    const node = this.nodes.get(name)!;
    const root = this.nodes.get("/")!;
    this.fireNow(name, "noDepth", node, root, []);
    this.fireNow(`${name}/${domid}`, "depth", node, root, []);
  }

  private watch(client: Client, payload: string): void {
    const parts = payload.split("\0").slice(0, -1);
    if (parts.length !== 2 && parts.length !== 3) return refuse("EINVAL");
    const depth = parts.length === 3 ? Number.parseInt(parts[2]!, 10) || 0 : -1;
    if (parts.length === 3 && depth < 0) return refuse("EINVAL");
    const path = this.path(client, parts[0], true);
    const token = parts[1]!;
    if (client.watches.some((one) => one.path === path && one.token === token)) refuse("EEXIST");
    if (client.domid !== 0 && client.watches.length + 1 > this.quotas.watches + 1) refuse("ENOSPC");
    const skip = /^[/@]/.test(parts[0]!) ? 0 : path.length - parts[0]!.length;
    client.watches.push({ path, token, depth, skip });
    client.queue.push(`${OPERATION.WATCH} OK\0`);
    this.send(client, client.watches.at(-1)!, path);
  }

  private unwatch(client: Client, payload: string): string {
    const parts = payload.split("\0").slice(0, -1);
    if (parts.length !== 2) return refuse("EINVAL");
    const path = this.path(client, parts[0], true);
    const at = client.watches.findIndex((one) => one.path === path && one.token === parts[1]);
    if (at < 0) return refuse("ENOENT");
    client.watches.splice(at, 1);
    return "OK\0";
  }

  // ---- Transactions ----

  private start(client: Client): string {
    if (client.domid !== 0 && client.transactions.size + 1 > this.quotas.transactions + 1) {
      return refuse("ENOSPC");
    }
    this.generation++;
    while (client.nextId === 0 || client.transactions.has(client.nextId)) client.nextId++;
    const id = client.nextId++;
    client.transactions.set(id, { copies: new Map(), hasCreated: false, hasFailed: false });
    return `${id}\0`;
  }

  private end(client: Client, transaction: Transaction, isCommit: boolean): string {
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

  private checkOwners(transaction: Transaction, withQuota: boolean): void {
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

  // ---- Requests ----

  private answer(
    client: Client,
    type: number,
    payload: string,
    transaction: Transaction | undefined,
  ): string {
    const only = (): string | undefined => {
      const nul = payload.indexOf("\0");
      return nul >= 0 && nul === payload.length - 1 ? payload.slice(0, -1) : undefined;
    };
    switch (type) {
      case OPERATION.READ:
        return this.take(client, transaction, this.path(client, only(), false), "r").value;
      case OPERATION.DIRECTORY: {
        const node = this.take(client, transaction, this.path(client, only(), false), "r");
        return node.children.map((name) => `${name}\0`).join("");
      }
      case OPERATION.DIRECTORY_PART: {
        const parts = payload.split("\0");
        if (parts.length !== 3) return refuse("EINVAL");
        const node = this.take(client, transaction, this.path(client, parts[0], false), "r");
        const list = node.children.map((name) => `${name}\0`).join("");
        const offset = Number.parseInt(parts[1]!, 10) || 0;
        const rest = offset >= list.length || offset < 0 ? "" : list.slice(offset);
        return `${node.generation}\0${rest}\0`;
      }
      case OPERATION.GET_PERMS: {
        const node = this.take(client, transaction, this.path(client, only(), true), "r");
        return node.list.map(({ letter, domid }) => `${letter}${domid}\0`).join("");
      }
      case OPERATION.WRITE: {
        const nul = payload.indexOf("\0");
        if (nul < 0) return refuse("EINVAL");
        const path = this.path(client, payload.slice(0, nul), false);
        return this.write(client, transaction, path, payload.slice(nul + 1));
      }
      case OPERATION.MKDIR:
        return this.write(client, transaction, this.path(client, only(), false), undefined);
      case OPERATION.RM:
        return this.remove(client, transaction, this.path(client, only(), false));
      case OPERATION.SET_PERMS:
        return this.setPermissions(client, transaction, payload);
      case OPERATION.UNWATCH:
        return this.unwatch(client, payload);
      case OPERATION.RESET_WATCHES:
        client.watches.length = 0;
        client.transactions.clear();
        return "OK\0";
      case OPERATION.TRANSACTION_START:
        return transaction ? refuse("EBUSY") : this.start(client);
      default:
        return refuse("ENOSYS");
    }
  }

  /** Carries out a request; what it queues is in the clients' queues. */
  request(number: number, type: number, payload: string, id: number): void {
    const client = this.clients.get(number)!;
    const before = client.queue.length;
    try {
      const isOutside = type === OPERATION.WATCH || type === OPERATION.UNWATCH;
      const transaction = id === 0 || isOutside ? undefined : client.transactions.get(id);
      if (id !== 0 && !isOutside && transaction === undefined) refuse("ENOENT");
      if (type === OPERATION.WATCH) {
        this.watch(client, payload);
        return;
      }
      let text: string;
      if (type === OPERATION.TRANSACTION_END) {
        if (payload !== "T\0" && payload !== "F\0") refuse("EINVAL");
        if (transaction === undefined) return void refuse("ENOENT");
        client.transactions.delete(id);
        text = this.end(client, transaction, payload === "T\0");
      } else {
        text = this.answer(client, type, payload, transaction);
      }
      if (text.length > 4096) refuse("E2BIG");
      client.queue.push(`${type} ${text}`);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      client.queue.length = Math.max(before, client.queue.length);
      client.queue.push(`${OPERATION.ERROR} ${error.message}\0`);
    }
  }
}
