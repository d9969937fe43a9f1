// What other rooms may use of sys.
export { setAlarm } from "./alarm.ts";
export { borrow, reserve } from "./arena.ts";
export type { Loan, Region } from "./arena.ts";
export { sha256Of } from "./checksum.ts";
export { isByteLocked, lockByte } from "./byte-lock.ts";
export type { ByteLock } from "./byte-lock.ts";
export { cloneFile } from "./clone-file.ts";
export { CAPABILITY, hasCapability, hasOnlyCapability, keepOneForExec } from "./capabilities.ts";
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
export { exchangeFiles } from "./exchange-files.ts";
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
  openForBoth,
  openForReading,
  openForWriting,
  openOrCreate,
  openToAppend,
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
export { FolderWatch } from "./folder-watch.ts";
export { Loop, READY_MASK } from "./loop.ts";
export type { ReadyHandler, Timer } from "./loop.ts";
export { isRangeCached, mapWindow, Window, WINDOW_BYTES_MAX } from "./mapping.ts";
export type { MapResult } from "./mapping.ts";
export { makeFolders, removeName } from "./make-folders.ts";
export { createMemfd, resizeFile, SEAL_MASK, sealMemfd, sealsOf } from "./memfd.ts";
export { createNewFile, NewFile } from "./new-file.ts";
export type { Existing, FileIdentity, NewFileOptions } from "./new-file.ts";
export { hasEnded, openPidfd, SIGNAL, signalPidfd } from "./pidfd.ts";
export {
  enlargePipe,
  makeFifo,
  makePipe,
  openNull,
  PIPE_BYTES_WANTED,
  pokeFifo,
  spliceFully,
} from "./pipe.ts";
export type { Pipe, SpliceResult } from "./pipe.ts";
export { PollSet } from "./poll-set.ts";
export type { Wanted } from "./poll-set.ts";
export { waitReadable, waitWritable } from "./poll.ts";
export { becomeIdle } from "./priority.ts";
export { processName, processNameOf, setProcessName } from "./process-name.ts";
export type { IdlePriority } from "./priority.ts";
export { canChooseClass, giveWay, schedulingClass, setSchedulingClass } from "./scheduling.ts";
export type { SchedulingClass } from "./scheduling.ts";
export { isDescriptorName, notifyManager, passedDescriptors } from "./service-manager.ts";
export type { Notification, PassedDescriptor } from "./service-manager.ts";
export { mapShared, mapSharedRange, SharedMemory, SharedRange } from "./shared-memory.ts";
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
export { dieBySignal, holdSignals, releaseSignals } from "./signals.ts";
export { OOM_SCORE_FIRST, oomKills, oomScoreOf, setOomScore } from "./memory-pressure.ts";
export { compareMemory, copyMemory } from "./memory-words.ts";
export { BufferPool } from "./buffer-pool.ts";
export type { PoolBuffer } from "./buffer-pool.ts";
export { createGrowingMemory, GrowingMemory, mapGrowingMemory } from "./growing-memory.ts";
export { mapSharedPage } from "./shared-page.ts";
export {
  EVENT_CHANNEL_PATH,
  EventChannels,
  openEventChannels,
  VIRQ_DOMAIN_EXCEPTION,
} from "./event-channels.ts";
export {
  isListening,
  peerProcessOf,
  receiveNow,
  sendNow,
  SOCKET_GONE,
  SOCKET_WAIT,
} from "./stream-socket.ts";
export type { PeerProcess } from "./stream-socket.ts";
export { releaseProgramText } from "./program-text.ts";
export { DomainStates, PRIVILEGED_COMMAND_PATH } from "./xen-domains.ts";
export type { DomainState } from "./xen-domains.ts";
export { GRANT_DEVICE_PATH, GrantDevice, mapOwnRing, openGrantDevice } from "./xen-rings.ts";
export type { OwnRing } from "./xen-rings.ts";
export { sendToSyslog, SYSLOG_PATH } from "./syslog.ts";
export type { LogLines, Severity } from "./syslog.ts";
export { bindTcp } from "./tcp-socket.ts";
export type { TcpAddress } from "./tcp-socket.ts";
export { isInRepair, REPAIR, setRepair, TCP_STATE, tcpStateOf } from "./tcp-repair.ts";
export type { RepairMode } from "./tcp-repair.ts";
export {
  abandon,
  bytesWaiting,
  CANNOT_SPLICE,
  duplicateForChild,
  makeBlocking,
  makeNonBlocking,
  PIPE_STEP_BYTES,
  readerGone,
  readReady,
  shutdownConnection,
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
  punchHole,
  spliceFromFile,
  spliceFromPipe,
  syncData,
  syncFile,
  writeAt,
  writeBytesAt,
  writeError,
  writeFully,
} from "./write.ts";
export type { FileRange } from "./write.ts";
