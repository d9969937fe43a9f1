// States put into arenas in plain memory, without a daemon.

import {
  type Host,
  type MadeStore,
  storeFrom,
  type StoreMemory,
  type StoreState,
} from "../../lib/xenstore/index.ts";

const PAGE_BYTES = 4096;
const OPTIONS = { privilegedDomid: 0, storeDomid: 0, seed: 5, quotas: {}, keepOrphans: false };

/** Making a store of a state has no effects. */
const HOST = new Proxy({} as Host, {
  get: (_, name) => () => {
    throw new Error(`${String(name)} was called`);
  },
});

/** The store, and its memory as it is now. */
export function storeOfState(state: StoreState): MadeStore & { readonly bytes: Uint8Array } {
  const memory: StoreMemory & { buffer: ArrayBuffer } = {
    buffer: new ArrayBuffer(PAGE_BYTES),
    grow(bytes) {
      const buffer = new ArrayBuffer(Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES);
      new Uint8Array(buffer).set(new Uint8Array(memory.buffer));
      memory.buffer = buffer;
      return buffer;
    },
  };
  const made = storeFrom(state, memory, { host: HOST, options: OPTIONS });
  return { ...made, bytes: new Uint8Array(memory.buffer.slice(0)) };
}

export const arenaOfState = (state: StoreState): Uint8Array => storeOfState(state).bytes;
