// What `agent extract` and `agent assemble` take against cp of the stream, alone and with the disk
// waited for, which they always do; a memory image too; and their memory. Each run writes over what
// the one before has written, as cp does.

import { rmSync } from "node:fs";
import { PAGE_BYTES } from "../../lib/stream/libxc/index.ts";
import { NO_INPUT, type Pairs, type Runner } from "./runner.ts";

export interface ImageBench {
  readonly runner: Runner;
  readonly agent: string;
  /** A stream of `memoryBytes` with page contents. */
  readonly stream: string;
  readonly place: (name: string) => string;
  readonly memoryBytes: number;
  readonly pairs: number;
}

export interface ImagePairs {
  readonly what: string;
  readonly pairs: Pairs;
  readonly wanted: { readonly least: number } | null;
}

export interface ImageMemory {
  readonly what: string;
  readonly ownKib: number;
  readonly mostKib: number;
}

export interface ImageFigures {
  readonly throughput: readonly ImagePairs[];
  readonly memory: readonly ImageMemory[];
}

const MEMORY_KIB_MAX = 48 * 1024;
const LEAST = { least: 0.6 };

export function imageFigures(bench: ImageBench): ImageFigures {
  const { runner, agent, stream, place, memoryBytes, pairs } = bench;
  const [folder, again, copy, image] = ["apart", "again", "copy", "image"].map(place);
  const script = (text: string) => ["sh", "-c", text, agent, stream, folder!, again!, image!];
  const extract = 'rm -rf "$2"; exec "$0" extract -q "$1" --to "$2"';
  const assemble = 'exec "$0" assemble -q "$2" --to "$3"';
  const memory = 'exec "$0" extract -q "$1" --as elf --memory "$4"';
  const cp = 'cp --reflink=never "$0" "$1"';
  const against = (what: string, text: string, wanted: ImagePairs["wanted"]): ImagePairs[] =>
    [
      ["cp", cp],
      ["cp and sync", `${cp} && sync "$1"`],
    ].map(([peer, command]) => ({
      what: `throughput of ${what}, against ${peer}`,
      pairs: runner.pairs(pairs, {
        ours: script(text),
        peer: ["sh", "-c", command!, stream, copy!],
        input: NO_INPUT,
      }),
      wanted,
    }));
  const pages = memoryBytes / PAGE_BYTES;
  const peak = (what: string, command: string[], bitsPerPage: number): ImageMemory => ({
    what: `peak memory of ${what}, against 48 MiB and ${bitsPerPage} bits a pfn`,
    ownKib: runner.memory(command, NO_INPUT).ownKib,
    mostKib: MEMORY_KIB_MAX + (pages * bitsPerPage) / 8 / 1024,
  });
  const throughput = [
    ...against("extract", extract, LEAST),
    ...against("assemble", assemble, LEAST),
    ...against("extract --memory --as elf", memory, null),
  ];
  rmSync(folder!, { recursive: true });
  const found = {
    throughput,
    memory: [
      peak("extract", [agent, "extract", "-q", stream, "--to", folder!], 1),
      peak("assemble", [agent, "assemble", "-q", folder!, "--to", again!], 1),
      peak("extract --memory", [agent, "extract", "-q", stream, "--as", "elf", "-m", image!], 80),
    ],
  };
  for (const path of [folder, again, copy, image]) rmSync(path!, { recursive: true, force: true });
  return found;
}
