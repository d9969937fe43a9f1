// Every operation of the wire and its errors, row by row, on one store with a privileged socket and
// guests. What the rows say is what the C daemon answers.

import { describe, expect, test } from "bun:test";
import { OPERATION, QUOTAS } from "../../lib/xenstore/index.ts";
import { TestStore } from "../helpers/xenstore-core.ts";

/** Who, operation, payload, answer ("!" before an error). "T:" before who: in a transaction. */
type Row = readonly [
  who: string,
  operation: keyof typeof OPERATION | number,
  payload: string,
  answer: string,
];

/** dom0 is a socket; g1, g2 and g5 are guests. Each has a transaction open, for "T:". */
function play(rows: readonly Row[]): TestStore {
  const store = new TestStore();
  const clients: Record<string, number> = { dom0: store.socket() };
  for (const domid of [1, 2, 5]) clients[`g${domid}`] = store.guest(domid);
  const transactions: Record<string, number> = {};
  for (const [who, operation, payload, answer] of rows) {
    const name = who.replace("T:", "");
    const client = clients[name]!;
    if (operation === "TRANSACTION_START") {
      transactions[name] = store.begin(client);
      continue;
    }
    const id = who.startsWith("T:") ? (transactions[name] ?? 99) : 0;
    const said = store.ask(client, operation, payload, id);
    expect(`${who} ${operation} ${payload}: ${said}`).toBe(
      `${who} ${operation} ${payload}: ${answer}`,
    );
    expect(store.store.check()).toEqual([]);
  }
  return store;
}

const OK = "OK\0";

const TABLES: Readonly<Record<string, readonly Row[]>> = {
  "a fresh store": [
    ["dom0", "DIRECTORY", "/\0", "tool\0"],
    ["dom0", "DIRECTORY", "/tool\0", "xenstored\0"],
    ["dom0", "READ", "/tool/xenstored\0", ""],
    ["dom0", "GET_PERMS", "@releaseDomain\0", "n0\0r32757\0"],
    ["dom0", "GET_PERMS", "@introduceDomain\0", "n0\0"],
  ],
  "values and directories": [
    ["dom0", "WRITE", "/a/b/c\0one", OK],
    ["dom0", "READ", "/a/b/c\0", "one"],
    ["dom0", "READ", "/a/b\0", ""],
    ["dom0", "WRITE", "/a/b/c\0\0bin\0\xff", OK],
    ["dom0", "READ", "/a/b/c\0", "\0bin\0\xff"],
    ["dom0", "WRITE", "/a/b/c\0", OK],
    ["dom0", "READ", "/a/b/c\0", ""],
    ["dom0", "MKDIR", "/a/b/c\0", OK],
    ["dom0", "MKDIR", "/a/d\0", OK],
    ["dom0", "DIRECTORY", "/a\0", "b\0d\0"],
    ["dom0", "WRITE", "rel/x\0v", OK],
    ["dom0", "READ", "/local/domain/0/rel/x\0", "v"],
    ["dom0", "RM", "/a/b\0", OK],
    ["dom0", "READ", "/a/b/c\0", "!ENOENT"],
    ["dom0", "RM", "/a/b\0", OK],
    ["dom0", "RM", "/a/b/c\0", "!ENOENT"],
    ["dom0", "RM", "/\0", "!EINVAL"],
    ["dom0", "DIRECTORY", "/a\0", "d\0"],
  ],
  "malformed payloads": [
    ["dom0", "READ", "", "!EINVAL"],
    ["dom0", "READ", "/a", "!EINVAL"],
    ["dom0", "READ", "/a\0\0", "!EINVAL"],
    ["dom0", "READ", "\0", "!EINVAL"],
    ["dom0", "READ", "/a/\0", "!EINVAL"],
    ["dom0", "READ", "//a\0", "!EINVAL"],
    ["dom0", "READ", "/a b\0", "!EINVAL"],
    ["dom0", "READ", "@releaseDomain\0", "!EINVAL"],
    ["dom0", "WRITE", "/a", "!EINVAL"],
    ["dom0", "WRITE", "@a\0x", "!EINVAL"],
    ["dom0", "RM", "/a\0x\0", "!EINVAL"],
    ["dom0", "DIRECTORY_PART", "/\0", "!EINVAL"],
    ["dom0", "SET_PERMS", "/\0", "!EINVAL"],
    ["dom0", "SET_PERMS", "/\0x0\0", "!EINVAL"],
    ["dom0", "SET_PERMS", "/\0n\0", "!EINVAL"],
    ["dom0", "SET_PERMS", "/\0n0x\0", "!EINVAL"],
    ["dom0", "WATCH", "/a\0", "!EINVAL"],
    ["dom0", "WATCH", "/a\0t\0-1\0", "!EINVAL"],
    ["dom0", "UNWATCH", "/a\0", "!EINVAL"],
    ["dom0", "TRANSACTION_END", "X\0", "!EINVAL"],
    ["dom0", "TRANSACTION_END", "T\0", "!ENOENT"],
    ["dom0", OPERATION.WATCH_EVENT, "/a\0t\0", "!ENOSYS"],
    ["dom0", OPERATION.ERROR, "EIO\0", "!ENOSYS"],
    ["dom0", 20, "\0", "!ENOSYS"],
    ["dom0", 27, "\0", "!ENOSYS"],
    ["dom0", 65535, "\0", "!ENOSYS"],
    ["dom0", 0xffff_ffff, "\0", "!ENOSYS"],
    ["T:dom0", "READ", "/\0", "!ENOENT"],
  ],
  "permissions hide what one may not see": [
    ["dom0", "WRITE", "/local/domain/1/data\0x", OK],
    ["dom0", "SET_PERMS", "/local/domain/1\0n1\0", OK],
    ["g2", "READ", "/local/domain/1/data\0", "!EACCES"],
    ["g2", "READ", "/local/domain/1/nothing\0", "!EACCES"],
    ["g1", "READ", "nothing\0", "!ENOENT"],
    ["g1", "READ", "data\0", "!EACCES"],
    ["g1", "WRITE", "mine/deep\0v", OK],
    ["g1", "GET_PERMS", "mine/deep\0", "n1\0"],
    ["g1", "SET_PERMS", "mine\0n1\0r2\0", OK],
    ["g2", "READ", "/local/domain/1/mine\0", ""],
    ["g2", "READ", "/local/domain/1/mine/other\0", "!ENOENT"],
    ["g2", "READ", "/local/domain/1/mine/deep\0", "!EACCES"],
    ["g2", "WRITE", "/local/domain/1/mine\0v", "!EACCES"],
    ["g2", "SET_PERMS", "/local/domain/1/mine\0n2\0", "!EACCES"],
    ["g1", "SET_PERMS", "mine\0n2\0", "!EPERM"],
    ["g1", "SET_PERMS", "mine\0n7\0", "!ENOENT"],
    ["g1", "SET_PERMS", "mine\0n1\0r7\0b0x2\0", OK],
    ["g1", "GET_PERMS", "mine\0", "n1\0r7\0b2\0"],
    ["g2", "WRITE", "/local/domain/1/mine\0by2", OK],
    ["dom0", "SET_PERMS", "/local/domain/1/mine\0n1\0w32757\0", OK],
    ["g5", "WRITE", "/local/domain/1/mine\0by5", OK],
    ["g5", "READ", "/local/domain/1/mine\0", "!EACCES"],
    ["g1", "GET_PERMS", "@releaseDomain\0", "n0\0r32757\0"],
    ["dom0", "SET_PERMS", "/local/domain/1/none\0n0\0", "!ENOENT"],
  ],
  "a domain acts for its target": [
    ["dom0", "WRITE", "/local/domain/1/data\0x", OK],
    ["dom0", "SET_PERMS", "/local/domain/1/data\0n1\0", OK],
    ["g2", "READ", "/local/domain/1/data\0", "!EACCES"],
    ["dom0", "SET_TARGET", "2\0" + "1\0", OK],
    ["g2", "READ", "/local/domain/1/data\0", "x"],
    ["dom0", "SET_TARGET", "9\0" + "1\0", "!ENOENT"],
    ["dom0", "SET_TARGET", "2\0" + "9\0", "!ENOENT"],
    ["dom0", "SET_TARGET", "2\0", "!EINVAL"],
    ["dom0", "RELEASE", "1\0", OK],
    ["g2", "READ", "/local/domain/1/data\0", "!EACCES"],
  ],
  "what only the privileged domain may ask": [
    ["g1", "CONTROL", "check\0", "!EACCES"],
    ["g1", "INTRODUCE", "7\0" + "1\0" + "1\0", "!EACCES"],
    ["g1", "RELEASE", "2\0", "!EACCES"],
    ["g1", "IS_DOMAIN_INTRODUCED", "2\0", "!EACCES"],
    ["g1", "RESUME", "2\0", "!EACCES"],
    ["g1", "SET_TARGET", "1\0" + "2\0", "!EACCES"],
    ["g1", "SET_FEATURE", "1\0" + "2\0", "!EACCES"],
    ["g1", "GET_QUOTA", "\0", "!EACCES"],
    ["g1", "SET_QUOTA", "nodes\0" + "2\0", "!EACCES"],
    ["g1", "GET_FEATURE", "2\0", "!EACCES"],
    ["g1", "GET_FEATURE", "", "14\0"],
    ["g1", "GET_DOMAIN_PATH", "2\0", "/local/domain/2\0"],
  ],
  "questions about domains": [
    ["dom0", "GET_DOMAIN_PATH", "12\0", "/local/domain/12\0"],
    ["dom0", "GET_DOMAIN_PATH", "65535\0", "/local/domain/65535\0"],
    ["dom0", "GET_DOMAIN_PATH", "65536\0", "!EINVAL"],
    ["dom0", "GET_DOMAIN_PATH", "-1\0", "!EINVAL"],
    ["dom0", "GET_DOMAIN_PATH", "1x\0", "!EINVAL"],
    ["dom0", "GET_DOMAIN_PATH", "", "!EINVAL"],
    ["dom0", "IS_DOMAIN_INTRODUCED", "1\0", "T\0"],
    ["dom0", "IS_DOMAIN_INTRODUCED", "9\0", "F\0"],
    ["dom0", "IS_DOMAIN_INTRODUCED", "32752\0", "T\0"],
    ["dom0", "RESUME", "1\0", OK],
    ["dom0", "RESUME", "0\0", "!EINVAL"],
    ["dom0", "RESUME", "9\0", "!ENOENT"],
    ["dom0", "RELEASE", "0\0", "!EINVAL"],
    ["dom0", "RELEASE", "9\0", "!ENOENT"],
    ["dom0", "INTRODUCE", "9\0" + "1\0", "!EINVAL"],
    ["dom0", "INTRODUCE", "9\0" + "1\0" + "0\0", "!EINVAL"],
    ["dom0", "INTRODUCE", "9\0" + "1\0" + "3\0", OK],
    ["dom0", "IS_DOMAIN_INTRODUCED", "9\0", "T\0"],
    ["dom0", "RELEASE", "9\0", OK],
    ["dom0", "IS_DOMAIN_INTRODUCED", "9\0", "F\0"],
  ],
  "features and quotas": [
    ["dom0", "GET_FEATURE", "", "14\0"],
    ["dom0", "GET_FEATURE", "1\0", "14\0"],
    ["dom0", "GET_FEATURE", "9\0", "!ENOENT"],
    ["dom0", "SET_FEATURE", "1\0" + "2\0", "!EBUSY"],
    ["dom0", "SET_FEATURE", "9\0" + "2\0", "!ENOENT"],
    ["dom0", "SET_FEATURE", "1\0", "!EINVAL"],
    ["dom0", "GET_QUOTA", "", `${QUOTAS.map(({ name }) => name).join(" ")}\0`],
    ["dom0", "GET_QUOTA", "nodes\0", "1000\0"],
    ["dom0", "GET_QUOTA", "1\0nodes\0", "1000\0"],
    ["dom0", "SET_QUOTA", "1\0nodes\0" + "7\0", OK],
    ["dom0", "GET_QUOTA", "1\0nodes\0", "7\0"],
    ["dom0", "SET_QUOTA", "nodes\0" + "12\0", OK],
    ["dom0", "GET_QUOTA", "1\0nodes\0", "7\0"],
    ["dom0", "GET_QUOTA", "2\0nodes\0", "12\0"],
    ["dom0", "GET_QUOTA", "9\0nodes\0", "!ENOENT"],
    ["dom0", "GET_QUOTA", "knots\0", "!EINVAL"],
    ["dom0", "SET_QUOTA", "knots\0" + "1\0", "!EINVAL"],
    ["dom0", "SET_QUOTA", "nodes\0", "!EINVAL"],
  ],
  transactions: [
    ["dom0", "WRITE", "/a\0" + "0", OK],
    ["dom0", "TRANSACTION_START", "", ""],
    ["T:dom0", "TRANSACTION_START", "\0", ""],
    ["T:dom0", "WRITE", "/a\0" + "1", OK],
    ["T:dom0", "WRITE", "/new/deep\0x", OK],
    ["T:dom0", "READ", "/a\0", "1"],
    ["dom0", "READ", "/a\0", "0"],
    ["dom0", "READ", "/new/deep\0", "!ENOENT"],
    ["T:dom0", "DIRECTORY", "/\0", "tool\0a\0new\0"],
    ["T:dom0", "TRANSACTION_END", "T\0", OK],
    ["dom0", "READ", "/a\0", "1"],
    ["dom0", "READ", "/new/deep\0", "x"],
    ["T:dom0", "READ", "/a\0", "!ENOENT"],
    ["dom0", "TRANSACTION_START", "", ""],
    ["T:dom0", "RM", "/new\0", OK],
    ["T:dom0", "WRITE", "/new/other\0y", OK],
    ["T:dom0", "DIRECTORY", "/new\0", "other\0"],
    ["T:dom0", "TRANSACTION_END", "F\0", OK],
    ["dom0", "DIRECTORY", "/new\0", "deep\0"],
    ["dom0", "TRANSACTION_START", "", ""],
    ["T:dom0", "READ", "/a\0", "1"],
    ["dom0", "WRITE", "/a\0" + "1", OK],
    ["T:dom0", "READ", "/a\0", "1"],
    ["T:dom0", "TRANSACTION_END", "T\0", "!EAGAIN"],
    ["T:dom0", "TRANSACTION_END", "T\0", "!ENOENT"],
    ["dom0", "TRANSACTION_START", "", ""],
    ["T:dom0", "READ", "/none\0", "!ENOENT"],
    ["dom0", "WRITE", "/none\0x", OK],
    ["T:dom0", "TRANSACTION_END", "T\0", "!EAGAIN"],
    ["dom0", "TRANSACTION_START", "", ""],
    ["T:dom0", "RM", "/new\0", OK],
    ["T:dom0", "WRITE", "/new/deep\0again", OK],
    ["T:dom0", "TRANSACTION_END", "T\0", OK],
    ["dom0", "READ", "/new/deep\0", "again"],
    ["dom0", "TRANSACTION_START", "", ""],
    ["T:dom0", "RESET_WATCHES", "\0", OK],
    ["T:dom0", "TRANSACTION_END", "T\0", "!ENOENT"],
  ],
  control: [
    ["dom0", "CONTROL", "", "!EINVAL"],
    ["dom0", "CONTROL", "nonsense\0", "!EINVAL"],
    ["dom0", "CONTROL", "toString\0", "!EINVAL"],
    ["dom0", "CONTROL", "check\0", OK],
    ["dom0", "CONTROL", "check\0x\0", "!EINVAL"],
    [
      "dom0",
      "CONTROL",
      "log\0",
      "Log switch settings:\nobj     : on\nio      : on\nwrl     : off\nacc     : off\ntdb     : off\n\0",
    ],
    ["dom0", "CONTROL", "log\0+acc\0", OK],
    ["dom0", "CONTROL", "log\0-io\0", OK],
    [
      "dom0",
      "CONTROL",
      "log\0",
      "Log switch settings:\nobj     : on\nio      : off\nwrl     : off\nacc     : on\ntdb     : off\n\0",
    ],
    ["dom0", "CONTROL", "log\0+none\0", "!EINVAL"],
    ["dom0", "CONTROL", "log\0off\0", OK],
    ["dom0", "CONTROL", "print\0hello\0", OK],
    ["dom0", "CONTROL", "print\0", "!EINVAL"],
    ["dom0", "CONTROL", "quota\0set\0nodes\0" + "5\0", OK],
    ["dom0", "CONTROL", "quota\0set\0nodes\0" + "0\0", "!EINVAL"],
    ["dom0", "CONTROL", "quota\0set\0knots\0" + "5\0", "!EINVAL"],
    [
      "dom0",
      "CONTROL",
      "quota-soft\0",
      "Quota settings:\nmemory           :  2097152 Total Xenstore memory per domain\n\0",
    ],
    ["dom0", "CONTROL", "quota-soft\0set\0memory\0" + "9\0", OK],
    ["dom0", "CONTROL", "quota-soft\0set\0nodes\0" + "9\0", "!EINVAL"],
    ["dom0", "CONTROL", "quota\0" + "99\0", "!ENOENT"],
    ["dom0", "CONTROL", "quota\0max\0x\0", "!EINVAL"],
    ["dom0", "CONTROL", "logfile\0/tmp/x\0", OK],
    ["dom0", "CONTROL", "logfile\0", "!EINVAL"],
    ["dom0", "CONTROL", "help\0x\0", "!EINVAL"],
  ],
};

test.each(Object.entries(TABLES))("%s", (_, rows) => {
  play(rows);
});

describe("lists of children", () => {
  const names = Array.from({ length: 700 }, (_, index) => `child${index}`);

  function full(): TestStore {
    const store = new TestStore();
    const client = store.socket();
    for (const name of names) store.ask(client, "WRITE", `/dir/${name}\0`);
    return store;
  }

  /** As libxenstore puts the parts together. */
  function collect(store: TestStore, id: number): string[] {
    let list = "";
    for (;;) {
      const said = store.ask(1, "DIRECTORY_PART", `/dir\0${list.length}\0`, id);
      expect(said.length).toBeLessThanOrEqual(4096);
      const part = said.slice(said.indexOf("\0") + 1);
      if (part === "\0") return list.split("\0").slice(0, -1);
      if (part.endsWith("\0\0")) return (list + part.slice(0, -1)).split("\0").slice(0, -1);
      list += part;
    }
  }

  test("one that is too long for a reply comes in parts, in a transaction too", () => {
    const store = full();
    expect(store.ask(1, "DIRECTORY", "/dir\0")).toBe("!E2BIG");
    expect(collect(store, 0)).toEqual(names);
    expect(collect(store, store.begin(1))).toEqual(names);
  });

  test("a part may begin in the middle of a name, before the list or behind it", () => {
    const store = full();
    const part = (offset: string) =>
      store.ask(1, "DIRECTORY_PART", `/dir\0${offset}\0`).split("\0");
    expect(part("3").slice(1, 3)).toEqual(["ld0", "child1"]);
    expect(part(" +7x").slice(1, 3)).toEqual(["child1", "child2"]);
    expect(part("99999").slice(1)).toEqual(["", ""]);
    expect(part("-1").slice(1)).toEqual(["", ""]);
  });

  test("a list changes its count when a child comes or goes", () => {
    const store = full();
    const count = () => Number.parseInt(store.ask(1, "DIRECTORY_PART", "/dir\0" + "0\0"), 10);
    const before = count();
    store.ask(1, "WRITE", "/dir/more\0");
    const between = count();
    store.ask(1, "RM", "/dir/more\0");
    expect(between).toBeGreaterThan(before);
    expect(count()).toBeGreaterThan(between);
  });
});

describe("quotas of a guest", () => {
  const guest = (quotas: Record<string, number>): readonly [TestStore, number] => {
    const store = new TestStore({ quotas });
    const dom0 = store.socket();
    const number = store.guest(1);
    store.ask(dom0, "WRITE", "/local/domain/1\0");
    store.ask(dom0, "SET_PERMS", "/local/domain/1\0n1\0");
    return [store, number];
  };

  test("nodes, and what is refused leaves nothing behind", () => {
    const [store, one] = guest({ nodes: 4 });
    expect(store.ask(one, "WRITE", "a/b\0")).toBe(OK);
    expect(store.ask(one, "WRITE", "c/d/e\0")).toBe("!ENOSPC");
    expect(store.ask(one, "DIRECTORY", "/local/domain/1\0")).toBe("a\0");
    expect(store.ask(one, "WRITE", "c\0")).toBe(OK);
    expect(store.ask(one, "WRITE", "d\0")).toBe("!ENOSPC");
    expect(store.ask(one, "RM", "c\0")).toBe(OK);
    expect(store.ask(one, "WRITE", "d\0")).toBe(OK);
    expect(store.store.domainInfo(1)?.usage.nodes).toEqual({ used: 4, limit: 4 });
  });

  test("size of a node: value, permissions and names of children", () => {
    const [store, one] = guest({ "node-size": 100 });
    expect(store.ask(one, "WRITE", `a\0${"x".repeat(76)}`)).toBe(OK);
    expect(store.ask(one, "WRITE", `a\0${"x".repeat(77)}`)).toBe("!ENOSPC");
    expect(store.ask(one, "WRITE", `a/${"n".repeat(20)}\0`)).toBe("!ENOSPC");
    expect(store.ask(one, "SET_PERMS", "a\0n1\0r0\0")).toBe("!ENOSPC");
    expect(store.store.check()).toEqual([]);
  });

  test("permissions and path", () => {
    const [store, one] = guest({ "node-permissions": 2, "path-max": 10 });
    store.ask(one, "WRITE", "a\0");
    expect(store.ask(one, "SET_PERMS", "a\0n1\0r0\0r0\0")).toBe("!ENOSPC");
    expect(store.ask(one, "WRITE", "0123456789\0")).toBe(OK);
    expect(store.ask(one, "WRITE", "0123456789a\0")).toBe("!EINVAL");
    expect(store.ask(one, "READ", "/0123456789a\0")).toBe("!EINVAL");
  });

  test("a transaction that touches too much fails as a whole", () => {
    const [store, one] = guest({ "transaction-nodes": 3 });
    const id = store.begin(one);
    expect(store.ask(one, "WRITE", "a\0x", id)).toBe(OK);
    expect(store.ask(one, "READ", "b\0", id)).toBe("!ENOENT");
    expect(store.ask(one, "READ", "c\0", id)).toBe("!ENOSPC");
    expect(store.ask(one, "TRANSACTION_END", "T\0", id)).toBe("!ENOMEM");
    expect(store.ask(one, "READ", "a\0")).toBe("!ENOENT");
  });

  test("a guest that is over its memory or its requests is held", () => {
    const [store, one] = guest({ memory: 5000, outstanding: 3 });
    expect(store.store.hold(one, 2, 0)).toBe("none");
    expect(store.store.hold(one, 3, 0)).toBe("outstanding");
    expect(store.store.hold(one, 0, 5000)).toBe("memory");
    expect(store.store.hold(1, 1000, 1_000_000)).toBe("none");
    expect(store.ask(one, "WRITE", `a\0${"x".repeat(1500)}`)).toBe(OK);
    expect(store.ask(one, "WRITE", `b\0${"x".repeat(1500)}`)).toBe(OK);
    expect(store.ask(one, "WRITE", `c\0${"x".repeat(1900)}`)).toBe("!EIO");
    expect(store.ask(one, "READ", "c\0")).toBe("!ENOENT");
  });
});
