// Receiving a checkpointed stream into a folder.
//
// Theory of Operation. The walk reads the sender's stream to its end, and the recorder keeps it. At
// each CHECKPOINT_END the round is committed, before a byte more is read: so what was read and is
// not committed is never more than one round, and it is on the disk, not in memory. A sender that
// is faster than that finds its pipe or socket full. There is no other back-pressure: Remus has no
// acknowledgement.
//
// Everything that must survive is in the folder at any moment. There is nothing to be done at the
// end, and so no signal is caught: whatever ends this process, the last commit counts.
//
// Between two rounds a receiver can be replaced: nothing of the stream is held in memory then but
// its headers, which the next walk must see first. PausedReceiver and the descriptors are all that
// another process needs; index and slots it makes anew from the journal.

import { PollWaiter, Seams, type SeamSettings } from "../handover/index.ts";
import { lockForWriting, makeFolder } from "./folder.ts";
import { keepFolder } from "./keeper.ts";
import { Receiver, type ReceiveOptions, type ReceiveResult } from "./receiver.ts";

/**
 * Receives until the stream ends. `settings`: what it takes to be replaced on the way. Throws
 * RefusedError (a folder in use, or of a newer version; a COLO stream) and SystemError (the
 * folder's disk): the last commit stands all the same.
 */
export function receiveStream(options: ReceiveOptions, settings?: SeamSettings): ReceiveResult {
  makeFolder(options.folder);
  using lock = lockForWriting(options.folder);
  using keeper = keepFolder(options, lock);
  using receiver = new Receiver(options, { keeper, lock, carried: undefined });
  if (settings === undefined) return receiver.run();
  using seams = new Seams(receiver, settings, { waiter: new PollWaiter(), generation: 0 });
  receiver.replaceableBy(seams);
  return receiver.run();
}
