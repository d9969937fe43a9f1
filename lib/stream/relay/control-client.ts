// The other side of a control socket (control-socket.ts): an order to the program behind it.

import { SystemError } from "../../base/index.ts";
import {
  borrow,
  connectUnix,
  type Fd,
  makeSocketPair,
  PollSet,
  readReady,
  sendDescriptors,
  TRY_AGAIN,
} from "../../sys/index.ts";

const STEP_BYTES = 64 * 1024;
const ANSWER_BYTES_MAX = 1024 * 1024;
/** The status comes between two steps of the stream. */
const STATUS_MS = 10_000;

/**
 * Its answer; undefined where no program of ours listens that has a control socket, or where it
 * went without an answer.
 */
export function askByControl(path: string, order: string, waitMs: number): string | undefined {
  try {
    using socket = connectUnix({ path, kind: "stream", waitMs: STATUS_MS });
    const status = readToTheEnd(socket, STATUS_MS);
    if (status === undefined || !status.startsWith("{")) return undefined;
    const [ours, theirs] = makeSocketPair("stream");
    using answers = ours;
    sendDescriptors(socket, Buffer.from(order), [theirs.number]);
    theirs[Symbol.dispose]();
    const answer = readToTheEnd(answers, waitMs);
    return answer === "" ? undefined : answer;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return undefined;
  }
}

/** undefined where it takes too long, or is too much. */
function readToTheEnd(fd: Fd, waitMs: number): string | undefined {
  using poll = new PollSet();
  using loan = borrow(STEP_BYTES);
  const { address, bytes } = loan.region;
  const parts: Uint8Array[] = [];
  const untilMs = performance.now() + waitMs;
  for (let total = 0; total < ANSWER_BYTES_MAX;) {
    poll.clear();
    const place = poll.add(fd, "readable");
    poll.wait(Math.max(0, Math.ceil(untilMs - performance.now())));
    if (!poll.isReadable(place)) {
      if (performance.now() >= untilMs) return undefined;
      continue;
    }
    const got = readReady(fd, address, STEP_BYTES);
    if (got === TRY_AGAIN) continue;
    if (got === 0) return Buffer.concat(parts).toString("utf8");
    parts.push(bytes.slice(0, got));
    total += got;
  }
  return undefined;
}
