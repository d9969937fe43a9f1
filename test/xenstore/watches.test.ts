// Who is told of what: events of watches, of commits, of domains that come and go.

import { describe, expect, test } from "bun:test";
import { OPERATION } from "../../lib/xenstore/index.ts";
import { TestStore } from "../helpers/xenstore-core.ts";

/** A store, a socket that acts and one that watches (path, token, perhaps a depth). */
function watching(...watches: readonly string[]): readonly [TestStore, number, number] {
  const store = new TestStore();
  const actor = store.socket();
  const watcher = store.socket();
  for (const watch of watches) store.ask(watcher, "WATCH", watch);
  store.events(watcher);
  return [store, actor, watcher];
}

describe("a watch", () => {
  test("is answered first, then fires once for itself", () => {
    const store = new TestStore();
    const one = store.socket();
    const said = store.send(one, "WATCH", "rel/x\0tok\0").map(({ type, text }) => [type, text]);
    expect(said).toEqual([
      [OPERATION.WATCH, "OK\0"],
      [OPERATION.WATCH_EVENT, "rel/x\0tok\0"],
    ]);
  });

  test.each([
    ["/a\0t\0", ["/a t", "/a/b t", "/a/b/c t"]],
    ["/\0t\0", ["/a t", "/a/b t", "/a/b/c t", "/ab t"]],
    ["/a/b\0t\0", ["/a/b t", "/a/b/c t"]],
    ["/a\0t\0" + "0\0", ["/a t"]],
    ["/a\0t\0" + "1\0", ["/a t", "/a/b t"]],
    ["/\0t\0" + "0\0", []],
    ["/\0t\0" + "1\0", ["/a t", "/ab t"]],
    ["/x\0t\0", []],
    ["@a\0t\0", []],
  ])("%s sees what happens at it and below", (watch, expected) => {
    const [store, actor, watcher] = watching(watch);
    for (const path of ["/a", "/a/b", "/a/b/c", "/ab"]) store.ask(actor, "WRITE", `${path}\0`);
    expect(store.events(watcher)).toEqual(expected);
  });

  test("that is relative hears relative paths", () => {
    const [store, actor, watcher] = watching("x\0t\0");
    store.ask(actor, "WRITE", "/local/domain/0/x/y\0");
    expect(store.events(watcher)).toEqual(["x/y t"]);
  });

  test("is told apart by path and token", () => {
    const [store, , watcher] = watching("/a\0t\0", "/a\0u\0");
    expect(store.ask(watcher, "WATCH", "/a\0t\0")).toBe("!EEXIST");
    expect(store.ask(watcher, "WATCH", "/a\0t\0" + "1\0")).toBe("!EEXIST");
    expect(store.ask(watcher, "UNWATCH", "/a\0v\0")).toBe("!ENOENT");
    expect(store.ask(watcher, "UNWATCH", "/b\0t\0")).toBe("!ENOENT");
    expect(store.ask(watcher, "UNWATCH", "/a\0t\0")).toBe("OK\0");
    expect(store.ask(watcher, "UNWATCH", "/a\0t\0")).toBe("!ENOENT");
  });

  test("fires in the order of registration, whatever the paths", () => {
    const [store, actor, watcher] = watching("/\0one\0", "/a/b\0two\0", "/a\0three\0", "/\0four\0");
    store.ask(actor, "WRITE", "/a/b\0");
    expect(store.events(watcher)).toEqual(["/a/b one", "/a/b two", "/a/b three", "/a/b four"]);
  });

  test("hears once of what it has not read yet", () => {
    const [store, actor, watcher] = watching("/a\0t\0", "/a/b\0t\0", "/a\0u\0");
    for (let count = 0; count < 3; count++) store.ask(actor, "WRITE", "/a/b\0");
    expect(store.events(watcher)).toEqual(["/a/b t", "/a/b u"]);
    store.ask(actor, "WRITE", "/a/b\0");
    expect(store.events(watcher)).toEqual(["/a/b t", "/a/b u"]);
  });

  test("hears once also where one client has very many and reads none", () => {
    const tokens = Array.from({ length: 3000 }, (_, index) => `t${index}`);
    const [store, actor, watcher] = watching(...tokens.map((token) => `/a\0${token}\0`));
    for (const path of ["/a", "/a/b", "/a", "/a/b", "/a"]) store.ask(actor, "WRITE", `${path}\0`);
    expect(store.events(watcher)).toEqual(
      ["/a", "/a/b"].flatMap((path) => tokens.map((token) => `${path} ${token}`)),
    );
  });

  test("with a path and token too long for an event stays silent", () => {
    const store = new TestStore();
    const one = store.socket();
    store.ask(one, "WATCH", `/${"p".repeat(2000)}\0${"t".repeat(2000)}\0`);
    const deep = `/${"p".repeat(2000)}/${"q".repeat(200)}`;
    expect(store.send(one, "WRITE", `${deep}\0`)).toHaveLength(1);
  });

  test("goes with its client", () => {
    const [store, actor, watcher] = watching("/a\0t\0");
    store.store.disconnect(watcher);
    store.ask(actor, "WRITE", "/a\0");
    expect(store.store.counts().watches).toBe(0);
    expect(store.host.drain(watcher)).toEqual([]);
  });
});

describe("removing", () => {
  test("tells watches of each node below, those above of the top alone, children first", () => {
    const [store, actor, watcher] = watching("/\0all\0", "/a/b\0b\0", "/a/b/c\0c\0", "/a/d\0d\0");
    for (const path of ["/a/b/c", "/a/d"]) store.ask(actor, "WRITE", `${path}\0`);
    store.events(watcher);
    store.ask(actor, "RM", "/a\0");
    expect(store.events(watcher)).toEqual(["/a/b/c c", "/a/b b", "/a/d d", "/a all"]);
  });
});

describe("a transaction", () => {
  test("tells nobody before its commit, and then each node once", () => {
    const [store, actor, watcher] = watching("/\0t\0");
    const id = store.begin(actor);
    store.ask(actor, "WRITE", "/a/b\0x", id);
    store.ask(actor, "WRITE", "/a/b\0y", id);
    store.ask(actor, "WRITE", "/c\0", id);
    store.ask(actor, "RM", "/c\0", id);
    expect(store.events(watcher)).toEqual([]);
    store.ask(actor, "TRANSACTION_END", "T\0", id);
    expect(store.events(watcher)).toEqual(["/a/b t"]);
  });

  test("that is dropped tells nobody", () => {
    const [store, actor, watcher] = watching("/\0t\0");
    const id = store.begin(actor);
    store.ask(actor, "WRITE", "/a\0x", id);
    store.ask(actor, "TRANSACTION_END", "F\0", id);
    expect(store.events(watcher)).toEqual([]);
  });
});

describe("a guest's watch", () => {
  test("hears of what it may read, or what it just lost", () => {
    const [store, actor] = watching();
    const guest = store.guest(3);
    store.ask(actor, "WRITE", "/seen\0");
    store.ask(actor, "SET_PERMS", "/seen\0n0\0r3\0");
    store.ask(guest, "WATCH", "/\0t\0");
    store.ask(actor, "WRITE", "/hidden\0");
    store.ask(actor, "WRITE", "/seen\0x");
    expect(store.events(guest)).toEqual(["/seen t"]);
    store.ask(actor, "SET_PERMS", "/seen\0n0\0");
    expect(store.events(guest)).toEqual(["/seen t"]);
    store.ask(actor, "WRITE", "/seen\0y");
    expect(store.events(guest)).toEqual([]);
  });

  test("hears of children of what it may read", () => {
    const [store, actor] = watching();
    const guest = store.guest(3);
    store.ask(actor, "SET_PERMS", "/tool\0n0\0r3\0");
    store.ask(guest, "WATCH", "/tool\0t\0");
    store.ask(actor, "WRITE", "/tool/new\0");
    store.ask(actor, "SET_PERMS", "/tool/new\0n0\0");
    store.events(guest);
    store.ask(actor, "RM", "/tool/new\0");
    expect(store.events(guest)).toEqual(["/tool/new t"]);
  });
});

describe("domains", () => {
  const SPECIALS = [
    "@introduceDomain\0i\0",
    "@releaseDomain\0r\0",
    "@releaseDomain\0d\0" + "1\0",
    "@releaseDomain/4\0f\0",
    "@other\0o\0",
  ];

  test("that come are announced, the privileged one is not", () => {
    const [store, , watcher] = watching(...SPECIALS);
    store.guest(0);
    expect(store.events(watcher)).toEqual([]);
    store.guest(4);
    expect(store.events(watcher)).toEqual(["@introduceDomain i"]);
  });

  test("that shut down are told once, again after RESUME", () => {
    const [store, actor, watcher] = watching(...SPECIALS);
    store.guest(4);
    store.events(watcher);
    const expected = ["@releaseDomain/4 d", "@releaseDomain/4 f", "@releaseDomain r"];
    store.store.domainsShutdown([4]);
    store.store.domainsShutdown([4]);
    expect(store.events(watcher)).toEqual(expected);
    store.ask(actor, "RESUME", "4\0");
    store.store.domainsShutdown([4]);
    expect(store.events(watcher)).toEqual(expected);
  });

  test("that die take their nodes along, and their place in permissions", () => {
    const [store, actor, watcher] = watching(...SPECIALS, "/local\0t\0");
    const guest = store.guest(4);
    store.ask(actor, "WRITE", "/local/domain/4\0");
    store.ask(actor, "SET_PERMS", "/local/domain/4\0n4\0");
    store.ask(guest, "WRITE", "a/b\0x");
    store.ask(actor, "SET_PERMS", "/local/domain\0n0\0r4\0r0\0");
    store.ask(guest, "WATCH", "/local\0g\0");
    store.events(watcher);
    store.store.domainGone(4);
    expect(store.events(watcher)).toEqual([
      "/local/domain/4 t",
      "@releaseDomain r",
      "@releaseDomain/4 d",
      "@releaseDomain/4 f",
    ]);
    expect(store.ask(actor, "READ", "/local/domain/4\0")).toBe("!ENOENT");
    expect(store.ask(actor, "GET_PERMS", "/local/domain\0")).toBe("n0\0r0\0");
    expect(store.store.domainInfo(4)).toBeUndefined();
    expect(store.host.calls.at(-1)).toBe(`released 4 ${guest}`);
    expect(store.store.check()).toEqual([]);
  });

  test("that come again with the same number do not inherit", () => {
    const [store, actor] = watching();
    store.guest(4);
    store.ask(actor, "WRITE", "/shared\0x");
    store.ask(actor, "SET_PERMS", "/shared\0n0\0r4\0");
    store.store.domainGone(4);
    const again = store.guest(4);
    expect(store.ask(again, "READ", "/shared\0")).toBe("!EACCES");
  });

  test("whose nodes are kept give them to the privileged one", () => {
    const store = new TestStore({ keepOrphans: true });
    const actor = store.socket();
    const guest = store.guest(4);
    store.ask(actor, "WRITE", "/local/domain/4\0");
    store.ask(actor, "SET_PERMS", "/local/domain/4\0n4\0");
    store.ask(guest, "WRITE", "a\0x");
    store.store.domainGone(4);
    expect(store.ask(actor, "GET_PERMS", "/local/domain/4/a\0")).toBe("n0\0");
    expect(store.store.check()).toEqual([]);
  });

  test("that are introduced again lose watches and transactions", () => {
    const [store, actor] = watching();
    const guest = store.guest(4);
    store.ask(guest, "WATCH", "/a\0t\0");
    const id = store.begin(guest);
    expect(store.ask(actor, "INTRODUCE", "4\0" + "1\0" + "9\0")).toBe("OK\0");
    expect(store.host.calls.at(-1)).toBe(`rebind 4 ${guest} 9`);
    expect(store.store.counts()).toMatchObject({ watches: 0, transactions: 0 });
    expect(store.ask(guest, "TRANSACTION_END", "T\0", id)).toBe("!ENOENT");
  });

  test("whose ring cannot be mapped are not introduced", () => {
    const [store, actor, watcher] = watching(...SPECIALS);
    store.host.refusal = "EINVAL";
    expect(store.ask(actor, "INTRODUCE", "4\0" + "1\0" + "9\0")).toBe("!EINVAL");
    expect(store.ask(actor, "IS_DOMAIN_INTRODUCED", "4\0")).toBe("F\0");
    expect(store.events(watcher)).toEqual([]);
    expect(store.store.check()).toEqual([]);
  });
});
