// The operations of a xenstore client over one connection. What the daemon refuses is a
// RefusedError with the operation, the path and the daemon's own word; ask() gives that word to
// callers who can do something about it.

import { RefusedError } from "../base/index.ts";
import type { Access, Permission } from "../xenstore/index.ts";
import { type Answer, type ConnectOptions, StoreConnection, textOf } from "./connection.ts";
import { latin1, type OperationName, type Request, stringsOf, terminated } from "./messages.ts";

const PERMISSION = /^([nrwb])([0-9]{1,5})$/;
/** What the daemon's word means, for people. */
const MEANING: Readonly<Record<string, string>> = {
  EACCES: "no permission",
  EAGAIN: "something else changed it meanwhile",
  E2BIG: "too long",
  EEXIST: "it is there already",
  EINVAL: "the daemon does not take this",
  ENOENT: "no such node",
  ENOSPC: "a quota is used up",
  ENOSYS: "the daemon does not know this operation",
  EQUOTA: "a quota is used up",
};

export class StoreClient implements Disposable {
  readonly connection: StoreConnection;

  /** Throws SystemError when nobody listens there. */
  constructor(options: ConnectOptions) {
    this.connection = new StoreConnection(options);
  }

  ask(operation: OperationName, payload: Uint8Array, transaction: number): Answer {
    return this.connection.ask({ operation, payload, transaction });
  }

  /** The reply's payload. Throws RefusedError. */
  must(request: Request, about: string): Uint8Array {
    const answer = this.connection.ask(request);
    if (answer.ok) return answer.payload;
    throw this.refusal(request.operation, about, answer.error);
  }

  read(path: string, transaction: number): Uint8Array {
    return this.must({ operation: "READ", payload: terminated(path), transaction }, path);
  }

  /** The value; undefined where there is no such node. */
  readIfThere(path: string, transaction: number): Uint8Array | undefined {
    const answer = this.ask("READ", terminated(path), transaction);
    if (answer.ok) return answer.payload;
    if (answer.error === "ENOENT") return undefined;
    throw this.refusal("READ", path, answer.error);
  }

  /** Names of the children, in the daemon's order. */
  directory(path: string, transaction: number): string[] {
    const answer = this.ask("DIRECTORY", terminated(path), transaction);
    if (answer.ok) return stringsOf(answer.payload);
    if (answer.error === "E2BIG") return this.directoryInParts(path, transaction);
    throw this.refusal("DIRECTORY", path, answer.error);
  }

  permissions(path: string, transaction: number): Permission[] {
    const request = { operation: "GET_PERMS", payload: terminated(path), transaction } as const;
    return this.permissionsOf(path, this.must(request, path));
  }

  write(path: string, value: Uint8Array, transaction: number): void {
    const payload = new Uint8Array(Buffer.concat([terminated(path), value]));
    this.must({ operation: "WRITE", payload, transaction }, path);
  }

  remove(path: string, transaction: number): void {
    this.must({ operation: "RM", payload: terminated(path), transaction }, path);
  }

  setPermissions(path: string, list: readonly Permission[], transaction: number): void {
    const words = list.map(({ access, domid }) => `${access}${domid}`);
    const payload = terminated(path, ...words);
    this.must({ operation: "SET_PERMS", payload, transaction }, path);
  }

  /** The daemon sends one event at once. `depth` in levels below the path; undefined: all. */
  watch(path: string, token: string, depth: number | undefined): void {
    const words = depth === undefined ? [path, token] : [path, token, String(depth)];
    this.must({ operation: "WATCH", payload: terminated(...words), transaction: 0 }, path);
  }

  startTransaction(): number {
    const payload = terminated("");
    const request = { operation: "TRANSACTION_START", payload, transaction: 0 } as const;
    const id = Number(textOf(this.must(request, "a transaction")));
    if (Number.isInteger(id) && id > 0) return id;
    throw this.refusal("TRANSACTION_START", "a transaction", "no number");
  }

  /** False: something it has read was changed meanwhile, and nothing of it was done. */
  endTransaction(transaction: number, isKept: boolean): boolean {
    const answer = this.ask("TRANSACTION_END", terminated(isKept ? "T" : "F"), transaction);
    if (answer.ok) return true;
    if (answer.error === "EAGAIN") return false;
    throw this.refusal("TRANSACTION_END", "a transaction", answer.error);
  }

  control(...words: readonly string[]): string {
    const request = {
      operation: "CONTROL",
      payload: terminated(...words),
      transaction: 0,
    } as const;
    return textOf(this.must(request, words.join(" ")));
  }

  permissionsOf(path: string, payload: Uint8Array): Permission[] {
    return stringsOf(payload).map((word) => {
      const [, access, domid] = PERMISSION.exec(word) ?? [];
      if (access === undefined) throw this.refusal("GET_PERMS", path, `the entry "${word}"`);
      return { access: access as Access, domid: Number(domid), isIgnored: false };
    });
  }

  refusal(operation: OperationName, about: string, error: string): RefusedError {
    const meaning = MEANING[error];
    const found = meaning === undefined ? error : `${error} (${meaning})`;
    const where = `the xenstore daemon at "${this.connection.path}"`;
    return new RefusedError(
      `Cannot ${VERBS[operation] ?? operation} "${about}" of ${where}: found ${found}`,
    );
  }

  [Symbol.dispose](): void {
    this.connection[Symbol.dispose]();
  }

  /** A list of children that does not fit one reply; from the start again when it changes. */
  private directoryInParts(path: string, transaction: number): string[] {
    let text = "";
    let generation = "";
    for (;;) {
      const request = terminated(path, String(text.length));
      const answer = this.ask("DIRECTORY_PART", request, transaction);
      if (!answer.ok) throw this.refusal("DIRECTORY_PART", path, answer.error);
      const reply = latin1(answer.payload);
      const end = reply.indexOf("\0");
      const counted = reply.slice(0, end);
      if (generation !== "" && counted !== generation) {
        [text, generation] = ["", ""];
        continue;
      }
      generation = counted;
      const part = reply.slice(end + 1);
      text += part;
      if (text === "\0" || text.endsWith("\0\0"))
        return stringsOf(Buffer.from(text.slice(0, -1), "latin1"));
      if (part === "") throw this.refusal("DIRECTORY_PART", path, "an empty part");
    }
  }
}

const VERBS: Readonly<Partial<Record<OperationName, string>>> = {
  READ: "read",
  WRITE: "write",
  RM: "remove",
  DIRECTORY: "list",
  DIRECTORY_PART: "list",
  GET_PERMS: "read the permissions of",
  SET_PERMS: "set the permissions of",
  WATCH: "watch",
  CONTROL: "run the control command",
  TRANSACTION_START: "start",
  TRANSACTION_END: "end",
};
