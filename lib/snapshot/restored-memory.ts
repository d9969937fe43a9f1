// A guest of libxl that comes back with its disks: the save file that belongs to the snapshot goes
// to `xl restore`, with the disks' topmost images in the guest's config.
//
// The config in the file names the images of the day the guest was started; the disk is now a chain
// above them. An image of the config that is a link of a disk's chain is that disk. The guest comes
// up paused, and goes on only when there is no way back.

import { readSync } from "node:fs";
import * as v from "valibot";
import { read, sizeOf, write } from "../bytes/index.ts";
import { CONFIG_HEAD, CONFIG_JSON_MASK, SAVE_HEADER, SAVE_MAGIC } from "../stream/index.ts";
import { openForReading } from "../sys/index.ts";
import type { Step } from "../transition/index.ts";
import { messageOf, type Reason } from "./emulator.ts";
import { readChain, identityOf } from "./image-chain.ts";
import type { RevertedDisk, RevertedMemory, RevertPlan } from "./group-plan.ts";
import { SnapshotRefusal } from "./refusal.ts";
import { verifySave } from "./saved-memory.ts";
import { domainState, hasXl, runXl, unpauseDomain, type XlInput } from "./xl-toolstack.ts";

type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown;
/** Of ES2026, which the runtime has and its types not yet. */
declare global {
  interface JSON {
    parse(text: string, reviver: Reviver): unknown;
    rawJSON(text: string): unknown;
  }
}

const HEAD_BYTES = SAVE_MAGIC.byteLength + sizeOf(SAVE_HEADER);
const CONFIG_BYTES_MAX = 16 * 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;

/** Only what is used here; all else stays as it is. */
const Config = v.looseObject({
  c_info: v.looseObject({ name: v.string() }),
  disks: v.optional(
    v.array(
      v.looseObject({
        pdev_path: v.optional(v.string(), ""),
        vdev: v.optional(v.string(), ""),
        readwrite: v.optional(v.number(), 0),
      }),
    ),
    [],
  ),
});
type Config = v.InferOutput<typeof Config>;

interface SaveFile {
  readonly config: Config;
  readonly header: ReturnType<typeof read<typeof SAVE_HEADER>>;
  /** Where the libxl stream begins. */
  readonly streamAt: number;
}

/** What a revert needs of it, and every reason against it. Verifies the whole file. */
export async function planMemory(path: string, disks: readonly RevertedDisk[]) {
  const reasons: Reason[] = [];
  const against = (message: string) => void reasons.push({ subject: path, message });
  try {
    using fd = openForReading(path);
    verifySave(fd, path);
    const { config } = readHead(path);
    const { name } = config.c_info;
    if (!hasXl()) against("xl is not in PATH, and only xl can restore it");
    else if ((await domainState(name)) !== undefined) {
      against(`domain "${name}" is there: xl destroy ${name}`);
    }
    withDisks(config, disks);
    return { memory: { path, domain: name }, reasons };
  } catch (error) {
    against(messageOf(error));
    return { memory: null, reasons };
  }
}

export function restoreStep(plan: RevertPlan, memory: RevertedMemory): Step {
  const { domain } = memory;
  return {
    name: `restore ${domain}`,
    async execute() {
      await runXl(["restore", "-p", "/proc/self/fd/0"], feed(memory, plan.disks));
    },
    async update() {
      const state = await domainState(domain);
      if (state === "paused") return;
      throw new SnapshotRefusal(`domain "${domain}" is ${state ?? "not there"} after xl restore`);
    },
    cancel: () => removeRestored(memory),
    commit: () => unpauseDomain(domain),
  };
}

/** No domain of that name was there before. Also for another process that recovers. */
export async function removeRestored({ domain }: RevertedMemory): Promise<void> {
  if (hasXl() && (await domainState(domain)) !== undefined) await runXl(["destroy", domain]);
}

const feed =
  ({ path }: RevertedMemory, disks: readonly RevertedDisk[]): XlInput =>
  async (send) => {
    const { config, header, streamAt } = readHead(path);
    await send(headBytes(withDisks(config, disks), header));
    using fd = openForReading(path);
    for (let at = streamAt; ;) {
      const chunk = new Uint8Array(CHUNK_BYTES); // A new one: it is sent later.
      const bytes = readSync(fd.number, chunk, 0, CHUNK_BYTES, at);
      if (bytes === 0) return;
      await send(chunk.subarray(0, bytes));
      at += bytes;
    }
  };

function readHead(path: string): SaveFile {
  using fd = openForReading(path);
  const head = new Uint8Array(HEAD_BYTES + sizeOf(CONFIG_HEAD));
  readSync(fd.number, head, 0, head.byteLength, 0);
  const view = new DataView(head.buffer);
  const header = read(SAVE_HEADER, view, SAVE_MAGIC.byteLength);
  const { config_len: bytes } = read(CONFIG_HEAD, view, HEAD_BYTES);
  const isJson = (header.mandatory_flags & CONFIG_JSON_MASK) !== 0;
  if (!isJson || bytes > CONFIG_BYTES_MAX) {
    throw new SnapshotRefusal(`"${path}" has no config in JSON, and its disks cannot be told`);
  }
  const text = Buffer.alloc(bytes);
  readSync(fd.number, text, 0, bytes, head.byteLength);
  const parsed = v.safeParse(Config, parseExactly(text.toString("utf8").replace(/\0+$/, "")));
  if (!parsed.success) {
    const [{ message }] = parsed.issues;
    throw new SnapshotRefusal(`"${path}" has a config that xl did not write: ${message}`);
  }
  return { config: parsed.output, header, streamAt: HEAD_BYTES + header.optional_data_len };
}

/** libxl's numbers have 64 bits: what a double cannot hold is kept as it is written. */
const parseExactly = (text: string): unknown =>
  JSON.parse(text, (_key, value: unknown, { source }) => {
    const isRounded = typeof value === "number" && !Number.isSafeInteger(value);
    return isRounded && source !== undefined ? JSON.rawJSON(source) : value;
  });

/** Bytes of the header and the config, for `xl restore`. */
function headBytes(config: Config, header: SaveFile["header"]): Uint8Array {
  const text = Buffer.from(`${JSON.stringify(config)}\0`);
  const head = Buffer.alloc(HEAD_BYTES + sizeOf(CONFIG_HEAD));
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  head.set(SAVE_MAGIC);
  const length = sizeOf(CONFIG_HEAD) + text.byteLength;
  write(SAVE_HEADER, view, SAVE_MAGIC.byteLength, { ...header, optional_data_len: length });
  write(CONFIG_HEAD, view, HEAD_BYTES, { config_len: text.byteLength });
  return Buffer.concat([head, text]);
}

/** Every writable disk of the config must be one of `disks`. Throws SnapshotRefusal. */
function withDisks(config: Config, disks: readonly RevertedDisk[]): Config {
  const tops = disks.map(({ image, format }) => ({
    image,
    format,
    links: new Set(linksOf(image, format)),
  }));
  return {
    ...config,
    disks: config.disks.map((disk) => {
      if (disk.readwrite === 0 || disk.pdev_path === "") return disk;
      const identity = identityOf(disk.pdev_path);
      const found = tops.filter(({ links }) => links.has(identity));
      const [top] = found;
      if (top !== undefined && found.length === 1) {
        return { ...disk, pdev_path: top.image, format: top.format };
      }
      const which = `disk ${disk.vdev} of the guest, "${disk.pdev_path}"`;
      const how = top === undefined ? "none" : "more than one";
      throw new SnapshotRefusal(`${which}, belongs to ${how} of the disks of the group`);
    }),
  };
}

const linksOf = (image: string, format: string): string[] =>
  format === "qcow2" ? readChain(image).map(({ path }) => identityOf(path)) : [identityOf(image)];
