// The control protocol between libxl and its save helper: u16 length, u16 number, arguments; an int
// back for callbacks. The numbers are those of tools/libs/light/libxl_save_msgs_gen.pl; agent
// passes the bytes on and knows none of them.

export const MESSAGE = {
  log: 1,
  progress: 2,
  suspend: 3,
  postcopy: 4,
  checkpoint: 5,
  waitCheckpoint: 6,
  switchQemuLogdirty: 7,
  staticDataDone: 8,
  restoreResults: 9,
  complete: 10,
} as const;

export interface ControlMessage {
  readonly number: number;
  readonly words: readonly number[];
}

/** The whole messages at the start of `bytes`, and how many bytes they are. */
export function parseMessages(bytes: Uint8Array): { messages: ControlMessage[]; used: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages: ControlMessage[] = [];
  let used = 0;
  while (used + 2 <= bytes.byteLength) {
    const length = view.getUint16(used, true);
    if (used + 2 + length > bytes.byteLength) break;
    const words: number[] = [];
    for (let at = used + 4; at + 4 <= used + 2 + length; at += 4)
      words.push(view.getInt32(at, true));
    messages.push({ number: view.getUint16(used + 2, true), words });
    used += 2 + length;
  }
  return { messages, used };
}
