// A restore from a file can be checked before it begins: the rest of the image is there. Only heads
// are read and the descriptor's offset stays, so that the helper reads what it would have read.

import { openInput, type SelfCommand, type VerifyReport, verifyStream } from "../stream/index.ts";
import { kindOf, statOf } from "../sys/index.ts";
import type { HelperCall } from "./helper-call.ts";

/**
 * What is to be said of the image that `call` restores; undefined where it does not come from a
 * file, or goes on by checkpoints. Throws SystemError.
 */
export function verifyStoredImage(
  call: HelperCall,
  options: { readonly selfCommand: SelfCommand; readonly limit: number },
): VerifyReport | undefined {
  if (call.direction !== "restore" || call.streamType !== "plain") return undefined;
  if (kindOf(statOf(call.ioFd)) !== "file") return undefined;
  const { source, compression, close } = openInput(String(call.ioFd), options);
  try {
    return verifyStream(source, {
      format: "libxc",
      compression,
      limit: options.limit,
      onProgress() {},
      listener: {},
      tailsElsewhere: true,
    });
  } finally {
    void close();
  }
}
