// What the arena does for itself: it grows, is compacted, runs full, is handed on.

import { expect, test } from "bun:test";
import { OPTIONS, PlainMemory, TestHost, TestStore } from "../helpers/xenstore-core.ts";
import { adoptStore, formatStore, OPERATION } from "../../lib/xenstore/index.ts";

const OK = "OK\0";

test("what one operation changes may be more than the undo log holds at first", () => {
  const store = new TestStore();
  const one = store.socket();
  const id = store.begin(one);
  for (let index = 0; index < 3000; index++) {
    store.ask(one, "WRITE", `/many/d${index % 50}/n${index}\0value ${index}`, id);
  }
  expect(store.ask(one, "TRANSACTION_END", "T\0", id)).toBe(OK);
  expect(store.ask(one, "READ", "/many/d7/n2957\0")).toBe("value 2957");
  expect(store.store.check()).toEqual([]);
  expect(store.store.counts().nodes).toBe(5 + 1 + 50 + 3000);
  expect(store.ask(one, "RM", "/many\0")).toBe(OK);
  expect(store.store.counts().nodes).toBe(5);
  expect(store.store.check()).toEqual([]);
});

test("compaction gives space back and changes nothing", () => {
  const store = new TestStore();
  const one = store.socket();
  for (let index = 0; index < 1000; index++) {
    store.ask(one, "WRITE", `/n${index}\0${"x".repeat(1500)}`);
  }
  for (let index = 0; index < 1000; index++) {
    if (index % 10 !== 0) store.ask(one, "RM", `/n${index}\0`);
  }
  const before = store.store.digest();
  const { usedBytes } = store.store.counts();
  for (let rounds = 0; store.store.tidy() && rounds < 10_000; rounds++) {
    expect(store.store.check()).toEqual([]);
  }
  expect(store.store.digest()).toBe(before);
  expect(store.store.counts().usedBytes).toBeLessThanOrEqual(usedBytes);
  expect(store.ask(one, "READ", "/n990\0")).toHaveLength(1500);
});

test("memory that cannot grow is ENOMEM, and nothing is lost", () => {
  const store = new TestStore({}, new PlainMemory(0, 512 * 1024));
  const one = store.socket();
  const value = "x".repeat(3000);
  let written = 0;
  while (store.ask(one, "WRITE", `/n${written}\0${value}`) === OK) written++;
  expect(store.ask(one, "WRITE", `/n${written}\0${value}`)).toBe("!ENOMEM");
  expect(store.store.check()).toEqual([]);
  expect(store.ask(one, "RM", "/n0\0")).toBe(OK);
  expect(store.ask(one, "WRITE", `/again\0${value}`)).toBe(OK);
  expect(store.store.check()).toEqual([]);
});

test("the next program finds everything: watches, transactions, domains", () => {
  const store = new TestStore();
  const one = store.socket();
  const guest = store.guest(3);
  store.ask(one, "WATCH", "/a\0t\0");
  const id = store.begin(guest);
  store.ask(guest, "READ", "/a\0", id);
  const other = store.begin(one);
  store.ask(one, "WRITE", "/b\0inside", other);
  const digest = store.store.digest();
  store.store.generation = 42;
  store.adopt();
  expect(store.store.digest()).toBe(digest);
  expect(store.store.generation).toBe(42);
  expect(store.store.connections().map(({ kind, domid }) => `${kind} ${domid}`)).toEqual([
    "socket 0",
    "ring 3",
  ]);
  expect(store.ask(one, "READ", "/b\0", other)).toBe("inside");
  expect(store.ask(one, "TRANSACTION_END", "T\0", other)).toBe(OK);
  expect(store.ask(one, "WRITE", "/a\0x")).toBe(OK);
  expect(store.ask(guest, "TRANSACTION_END", "T\0", id)).toBe("!EAGAIN");
  const again = store.begin(guest);
  expect(again).toBe(id + 1);
});

test("the digest does not depend on where things stand", () => {
  const fill = (store: TestStore, names: readonly string[]): void => {
    const one = store.socket();
    for (const name of names) store.ask(one, "WRITE", `/junk${name}\0${name.repeat(50)}`);
    for (const name of names) store.ask(one, "RM", `/junk${name}\0`);
    store.ask(one, "WRITE", "/a/b\0value");
    store.ask(one, "WATCH", "/a\0t\0");
  };
  const first = new TestStore({ seed: 1 });
  const second = new TestStore({ seed: 2 });
  fill(first, ["x", "yy", "zzz"]);
  fill(second, ["zzz", "x", "yy"]);
  expect(first.store.digest()).toBe(second.store.digest());
  second.ask(1, "WRITE", "/a/b\0valuf");
  expect(first.store.digest()).not.toBe(second.store.digest());
});

test("an answer that comes later goes to who asked, if it is still there", () => {
  const store = new TestStore();
  const one = store.socket();
  store.host.controlAnswer = "later";
  expect(store.send(one, "CONTROL", "live-update\0-s\0-t\0" + "5\0")).toEqual([]);
  const request = store.host.controlRequest!;
  expect(request).toMatchObject({ command: "live-update", parameters: ["-s", "-t", "5"] });
  const { connection, requestId, transactionId } = request;
  store.store.answerControl(connection, requestId, transactionId, { text: "done" });
  const [said] = store.host.drain(one);
  expect(said).toEqual({ type: OPERATION.CONTROL, requestId, transactionId, text: "done\0" });
  store.store.disconnect(one);
  store.store.answerControl(connection, requestId, transactionId, { error: "EIO" });
  expect(store.host.drain(one)).toEqual([]);
});

test("memory that is not fresh is not formatted over", () => {
  const memory = new PlainMemory(0);
  formatStore(memory, new TestHost(), OPTIONS);
  expect(() => formatStore(memory, new TestHost(), OPTIONS)).toThrow("fresh memory");
  expect(adoptStore(memory, new TestHost()).counts().nodes).toBe(5);
});

test("who adopts a store can do something else in between, the more often the larger it is", () => {
  const store = new TestStore();
  const one = store.socket();
  const breathsOf = (nodes: number): number => {
    for (let index = 0; index < nodes; index++) store.ask(one, "WRITE", `/of${nodes}/n${index}\0v`);
    let breaths = 0;
    adoptStore(store.memory, store.host, () => void breaths++);
    return breaths;
  };
  const few = breathsOf(1000);
  expect(few).toBeGreaterThan(0);
  expect(breathsOf(10_000)).toBeGreaterThan(5 * few);
});
