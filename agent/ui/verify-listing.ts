// `agent verify -v`: a line for each header and record, runs of page batches as one.

import type { VerifyListener } from "../../lib/stream/index.ts";

const BATCHES: readonly string[] = ["PAGE_DATA", "PAGE_BATCH"];

export function nativeListing(print: (text: string) => void): VerifyListener {
  let batches = { count: 0, bytes: 0, first: "" };
  const flush = (): void => {
    if (batches.count > 1)
      print(`${batches.first}  and ${batches.count - 1} more, ${batches.bytes} bytes\n`);
    else if (batches.count === 1) print(`${batches.first}  ${batches.bytes} bytes\n`);
    batches = { count: 0, bytes: 0, first: "" };
  };
  const place = (fileOffset: number, layer: string, record: string): string =>
    `${`0x${fileOffset.toString(16)}`.padStart(12)}  ${layer.padEnd(6)}  ${record}`;
  return {
    header({ fileOffset, layer, record }) {
      flush();
      print(`${place(fileOffset, layer, record)}\n`);
    },
    record({ fileOffset, layer, record, bodyBytes }) {
      if (BATCHES.includes(record)) {
        if (batches.count === 0) batches.first = place(fileOffset, layer, record);
        batches.count++;
        batches.bytes += bodyBytes;
        return;
      }
      flush();
      print(`${place(fileOffset, layer, record)}  ${bodyBytes} bytes\n`);
    },
  };
}
