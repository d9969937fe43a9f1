// An operation that needs more of the undo log than there is: undone, the log enlarged, run again;
// blocks that it had taken from the free lists are back in them.

import { expect, test } from "bun:test";
import { createGrowingMemory } from "../../lib/sys/index.ts";
import { formatStore, type Host } from "../../lib/xenstore/index.ts";
import { Inbox, messageBytes, OP, type OpName } from "../helpers/store-wire.ts";

const OUTBOX_BYTES = 1024 * 1024;
const OPTIONS = { privilegedDomid: 0, storeDomid: 0, seed: 1, quotas: {}, keepOrphans: false };

test.each([[150], [400], [1500]])(
  "a transaction that adds %d levels leaves a sound store",
  (levels) => {
    const outbox = {
      bytes: new Uint8Array(OUTBOX_BYTES),
      start: 0,
      end: 0,
      reserve: () => true,
    };
    const nothing = () => undefined;
    const host: Host = {
      outboxOf: () => outbox,
      domainExists: (domid) => domid === 0,
      introduce: nothing,
      rebind: nothing,
      released: nothing,
      resumed: nothing,
      log: nothing,
      logging: nothing,
      logSwitches: nothing,
      control: () => ({ error: "EINVAL" }),
    };
    using memory = createGrowingMemory("store", OUTBOX_BYTES);
    const store = formatStore(memory, host, OPTIONS);
    const connection = store.connectSocket(3);
    const ask = (op: OpName, body: string, transaction: number): string | undefined => {
      const message = { type: OP[op], request: 1, transaction, body };
      outbox.end = 0;
      store.dispatch(connection, messageBytes(message), 0);
      const inbox = new Inbox();
      inbox.add(outbox.bytes.slice(0, outbox.end));
      return inbox.take()?.body;
    };
    const path = "/deep".repeat(levels).slice(0, 3000);
    for (let round = 0; round < 3; round++) {
      const transaction = Number.parseInt(ask("TRANSACTION_START", "\0", 0)!, 10);
      expect(ask("WRITE", `${path}\0value`, transaction)).toBe("OK\0");
      expect(store.check()).toEqual([]);
      expect(ask("TRANSACTION_END", "T\0", transaction)).toBe("OK\0");
      expect(store.check()).toEqual([]);
      expect(ask("READ", `${path}\0`, 0)).toBe("value");
      expect(ask("RM", "/deep\0", 0)).toBe("OK\0");
      expect(store.check()).toEqual([]);
    }
  },
);
