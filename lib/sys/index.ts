// What other rooms may use of sys.
export { setAlarm } from "./alarm.ts";
export { borrow, reserve } from "./arena.ts";
export type { Loan, Region } from "./arena.ts";
export { sha256Of } from "./checksum.ts";
export { monotonicMs, monotonicNs, realtimeMs } from "./clock.ts";
export { errnoName, systemError } from "./errno.ts";
export {
  cleanEnvironment,
  closeOnExec,
  isClosedOnExec,
  keepOnExec,
  replaceProgram,
  replaceProgramByFd,
} from "./exec.ts";
export type { Environment, Program } from "./exec.ts";
export { kernelFeatures, libcVersion } from "./features.ts";
export type { KernelFeature } from "./features.ts";
export {
  descriptorLimit,
  descriptorTarget,
  fileIdentityOf,
  keepOnlyOnExec,
  limitDescriptors,
  openDescriptorNumbers,
} from "./fd-table.ts";
export type { DescriptorLimit } from "./fd-table.ts";
export {
  adviseDrop,
  adviseRandom,
  currentOffset,
  duplicate,
  Fd,
  isNonBlocking,
  isTerminal,
  kindOf,
  moveOffset,
  openForReading,
  openForWriting,
  pathOf,
  readAt,
  readFully,
  sizeBySeeking,
  statOf,
  STDERR_FD,
  STDIN_FD,
  STDOUT_FD,
} from "./file.ts";
export type { FileKind } from "./file.ts";
export { createNewFolder, NewFolder, openInFolder, PLAIN_NAME } from "./folder.ts";
export { Loop, READY_MASK } from "./loop.ts";
export type { ReadyHandler, Timer } from "./loop.ts";
export { isRangeCached, mapWindow, Window, WINDOW_BYTES_MAX } from "./mapping.ts";
export type { MapResult } from "./mapping.ts";
export { createMemfd, resizeFile, SEAL_MASK, sealMemfd, sealsOf } from "./memfd.ts";
export { createNewFile, NewFile } from "./new-file.ts";
export type { Existing, FileIdentity, NewFileOptions } from "./new-file.ts";
export { hasEnded, openPidfd, SIGNAL, signalPidfd } from "./pidfd.ts";
export { enlargePipe, makePipe, openNull, PIPE_BYTES_WANTED, spliceFully } from "./pipe.ts";
export type { Pipe, SpliceResult } from "./pipe.ts";
export { PollSet } from "./poll-set.ts";
export type { Wanted } from "./poll-set.ts";
export { waitReadable, waitWritable } from "./poll.ts";
export { becomeIdle } from "./priority.ts";
export type { IdlePriority } from "./priority.ts";
export { schedulingClass, setSchedulingClass } from "./scheduling.ts";
export type { SchedulingClass } from "./scheduling.ts";
export { isDescriptorName, notifyManager, passedDescriptors } from "./service-manager.ts";
export type { Notification, PassedDescriptor } from "./service-manager.ts";
export { mapShared, SharedMemory } from "./shared-memory.ts";
export {
  acceptUnix,
  bindUnix,
  connectUnix,
  DESCRIPTORS_MAX,
  makeSocketPair,
  MESSAGE_BYTES_MAX,
  receiveDescriptors,
  sendDescriptors,
} from "./socket.ts";
export type { Connection, Received, SocketKind, UnixAddress } from "./socket.ts";
export { dieBySignal } from "./signals.ts";
export { sendToSyslog, SYSLOG_PATH } from "./syslog.ts";
export type { LogLines, Severity } from "./syslog.ts";
export {
  abandon,
  bytesWaiting,
  CANNOT_SPLICE,
  duplicateForChild,
  makeNonBlocking,
  PIPE_STEP_BYTES,
  readerGone,
  readReady,
  shutdownWrites,
  spliceReady,
  stepBytes,
  teeReady,
  TRY_AGAIN,
  writeReady,
} from "./transfer.ts";
export type { Blame, Bytes } from "./transfer.ts";
export {
  beginWriteback,
  copyFileRange,
  spliceFromFile,
  spliceFromPipe,
  syncFile,
  writeAt,
  writeError,
  writeFully,
} from "./write.ts";
export type { FileRange } from "./write.ts";
