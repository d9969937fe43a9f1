// A small model of the store, in maps and strings, with the C daemon's semantics: what the arena is
// compared with. Slow and plain on purpose.

import { OPERATION } from "../../lib/xenstore/index.ts";
import {
  childOf,
  type Client,
  type Entry,
  ModelState,
  nameOf,
  type Node,
  parentOf,
  refuse,
  Refused,
  type Transaction,
} from "./xenstore-model-state.ts";

const ANY = 0x7ff5;

export class Model {
  readonly state: ModelState;

  constructor(state: ModelState) {
    this.state = state;
  }

  // ---- Clients and domains ----

  gone(domid: number): void {
    for (const [number, client] of this.state.clients) {
      if (!client.isSocket && client.domid === domid) this.state.clients.delete(number);
      if (client.target === domid) client.target = -1;
    }
    this.disown("/", domid);
    for (const special of ["@releaseDomain", "@introduceDomain"]) this.strip(special, domid);
    this.state.domains.delete(domid);
    if (this.state.introduced.delete(domid)) this.state.fireSpecial("@releaseDomain", domid);
  }

  private disown(path: string, domid: number): void {
    const node = this.state.nodes.get(path)!;
    if (node.list[0]!.domid === domid && path !== "/") {
      this.removeTree(undefined, path);
      return;
    }
    this.strip(path, domid);
    for (const name of [...node.children]) this.disown(childOf(path, name), domid);
  }

  private strip(path: string, domid: number): void {
    const node = this.state.nodes.get(path)!;
    node.list = node.list.filter((entry, index) => index === 0 || entry.domid !== domid);
    if (node.list[0]!.domid === domid) node.list[0] = { ...node.list[0]!, domid: 0 };
  }

  // ---- Writing ----

  private create(
    client: Client,
    transaction: Transaction | undefined,
    path: string,
    value: string,
  ): void {
    const missing = [path];
    let above = parentOf(path);
    let parent = this.state.look(client, transaction, above);
    while (parent === undefined) {
      missing.push(above);
      above = parentOf(above);
      parent = this.state.look(client, transaction, above);
    }
    if (transaction) transaction.hasCreated = true;
    const isLimited = client.domid !== 0;
    if (isLimited) {
      const nodes = this.state.nodesOf(client.domid);
      if (nodes + 1 > this.state.quotas.nodes) refuse("ENOSPC");
      if (nodes + missing.length > this.state.quotas.nodes) {
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
      for (const [, node] of made) this.state.checkSize(client, node);
    } catch (error) {
      if (transaction) transaction.hasFailed = true;
      throw error;
    }
    for (const [one, node] of made) this.state.put(transaction, one, node);
    this.state.fire(transaction, path, "subtree", []);
  }

  private write(
    client: Client,
    transaction: Transaction | undefined,
    path: string,
    value: string | undefined,
  ): string {
    let node: Node | undefined;
    try {
      node = this.state.take(client, transaction, path, "w");
    } catch (error) {
      if (!(error instanceof Refused) || error.message !== "ENOENT") throw error;
      this.create(client, transaction, path, value ?? "");
      return "OK\0";
    }
    if (value === undefined) return "OK\0";
    node.value = value;
    try {
      this.state.checkSize(client, node);
    } catch (error) {
      if (transaction) transaction.hasFailed = true;
      throw error;
    }
    this.state.put(transaction, path, node);
    this.state.fire(transaction, path, "subtree", []);
    return "OK\0";
  }

  /** Removes a node of the store, or of a transaction, children first. */
  private removeTree(
    transaction: { readonly it: Transaction; readonly client: Client } | undefined,
    top: string,
  ): void {
    const walk = (path: string): void => {
      const node = transaction
        ? this.state.look(transaction.client, transaction.it, path)
        : this.state.nodes.get(path);
      if (node === undefined) return refuse("EIO");
      for (const name of [...node.children]) walk(childOf(path, name));
      const kind = path === top ? "subtree" : "exact";
      this.state.generation += path === top ? 1 : 2;
      if (transaction) {
        const copy = transaction.it.copies.get(path)!;
        copy.node = undefined;
        copy.isModified = true;
        this.state.fire(transaction.it, path, kind, []);
      } else {
        this.state.fireNow(path, kind, node, this.state.nodes.get(parentOf(path)), []);
      }
    };
    walk(top);
    const above = parentOf(top);
    if (transaction) {
      const parent = this.state.look(transaction.client, transaction.it, above);
      // Somebody else made it since the transaction looked at its parent.
      if (!parent?.children.includes(nameOf(top))) return refuse("EIO");
      parent.children = parent.children.filter((name) => name !== nameOf(top));
      this.state.put(transaction.it, above, parent);
      return;
    }
    for (const path of [...this.state.nodes.keys()]) {
      if (path === top || path.startsWith(`${top}/`)) this.state.nodes.delete(path);
    }
    const parent = this.state.nodes.get(above)!;
    parent.children = parent.children.filter((name) => name !== nameOf(top));
    parent.list = this.state.adjusted(parent.list, parent.generation);
    parent.generation = ++this.state.generation;
  }

  private remove(client: Client, transaction: Transaction | undefined, path: string): string {
    try {
      this.state.take(client, transaction, path, "w");
    } catch (error) {
      if (!(error instanceof Refused) || error.message !== "ENOENT") throw error;
      if (this.state.look(client, transaction, parentOf(path))) return "OK\0";
      return refuse("ENOENT");
    }
    if (path === "/") return refuse("EINVAL");
    if (transaction) {
      if (this.state.look(client, transaction, parentOf(path)) === undefined)
        return refuse("EINVAL");
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
    if (client.domid !== 0 && entries.length > this.state.quotas.permissions)
      return refuse("ENOSPC");
    const list = entries.map((entry): Entry => {
      const found = /^([nrwb])(\d+)$/.exec(entry);
      if (found === null) return refuse("EINVAL");
      return { letter: found[1]!, domid: Number(found[2]), ignored: false };
    });
    const learned: number[] = [];
    for (const entry of list) {
      if (entry.domid === ANY || this.state.domains.has(entry.domid)) continue;
      if (this.state.exists(entry.domid)) learned.push(entry.domid);
      else entry.ignored = true;
    }
    if (list[0]!.ignored) return refuse("ENOENT");
    const known = new Map(this.state.domains);
    for (const domid of learned)
      if (!this.state.domains.has(domid)) this.state.domains.set(domid, this.state.generation);
    try {
      const path = this.state.path(client, text, true);
      const node = this.state.take(client, transaction, path, "wo");
      if (client.domid !== 0 && node.list[0]!.domid !== list[0]!.domid) return refuse("EPERM");
      const before = node.list;
      node.list = list;
      this.state.checkSize(client, node);
      this.state.put(transaction, path, node);
      this.state.fire(transaction, path, "subtree", before);
      return "OK\0";
    } catch (error) {
      if (transaction === undefined) {
        this.state.domains.clear(); // What fails leaves nothing behind.
        for (const [domid, generation] of known) this.state.domains.set(domid, generation);
      } else if (error instanceof Refused && error.message === "ENOSPC") {
        transaction.hasFailed = true;
      }
      throw error;
    }
  }

  // ---- Watches ----

  private watch(client: Client, payload: string): void {
    const parts = payload.split("\0").slice(0, -1);
    if (parts.length !== 2 && parts.length !== 3) return refuse("EINVAL");
    const depth = parts.length === 3 ? Number.parseInt(parts[2]!, 10) || 0 : -1;
    if (parts.length === 3 && depth < 0) return refuse("EINVAL");
    const path = this.state.path(client, parts[0], true);
    const token = parts[1]!;
    if (client.watches.some((one) => one.path === path && one.token === token)) refuse("EEXIST");
    if (client.domid !== 0 && client.watches.length + 1 > this.state.quotas.watches + 1)
      refuse("ENOSPC");
    const skip = /^[/@]/.test(parts[0]!) ? 0 : path.length - parts[0]!.length;
    client.watches.push({ path, token, depth, skip });
    client.queue.push(`${OPERATION.WATCH} OK\0`);
    this.state.send(client, client.watches.at(-1)!, path);
  }

  private unwatch(client: Client, payload: string): string {
    const parts = payload.split("\0").slice(0, -1);
    if (parts.length !== 2) return refuse("EINVAL");
    const path = this.state.path(client, parts[0], true);
    const at = client.watches.findIndex((one) => one.path === path && one.token === parts[1]);
    if (at < 0) return refuse("ENOENT");
    client.watches.splice(at, 1);
    return "OK\0";
  }

  // ---- Transactions ----

  private start(client: Client): string {
    if (client.domid !== 0 && client.transactions.size + 1 > this.state.quotas.transactions + 1) {
      return refuse("ENOSPC");
    }
    this.state.generation++;
    while (client.nextId === 0 || client.transactions.has(client.nextId)) client.nextId++;
    const id = client.nextId++;
    client.transactions.set(id, { copies: new Map(), hasCreated: false, hasFailed: false });
    return `${id}\0`;
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
        return this.state.take(client, transaction, this.state.path(client, only(), false), "r")
          .value;
      case OPERATION.DIRECTORY: {
        const node = this.state.take(
          client,
          transaction,
          this.state.path(client, only(), false),
          "r",
        );
        return node.children.map((name) => `${name}\0`).join("");
      }
      case OPERATION.DIRECTORY_PART: {
        const parts = payload.split("\0");
        if (parts.length !== 3) return refuse("EINVAL");
        const node = this.state.take(
          client,
          transaction,
          this.state.path(client, parts[0], false),
          "r",
        );
        const list = node.children.map((name) => `${name}\0`).join("");
        const offset = Number.parseInt(parts[1]!, 10) || 0;
        const rest = offset >= list.length || offset < 0 ? "" : list.slice(offset);
        return `${node.generation}\0${rest}\0`;
      }
      case OPERATION.GET_PERMS: {
        const node = this.state.take(
          client,
          transaction,
          this.state.path(client, only(), true),
          "r",
        );
        return node.list.map(({ letter, domid }) => `${letter}${domid}\0`).join("");
      }
      case OPERATION.WRITE: {
        const nul = payload.indexOf("\0");
        if (nul < 0) return refuse("EINVAL");
        const path = this.state.path(client, payload.slice(0, nul), false);
        return this.write(client, transaction, path, payload.slice(nul + 1));
      }
      case OPERATION.MKDIR:
        return this.write(client, transaction, this.state.path(client, only(), false), undefined);
      case OPERATION.RM:
        return this.remove(client, transaction, this.state.path(client, only(), false));
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
    const client = this.state.clients.get(number)!;
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
        text = this.state.end(client, transaction, payload === "T\0");
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
