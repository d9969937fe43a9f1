// A call of libxl's save helper (tools/libs/light/libxl_save_callout.c): what its arguments say.
//
//   --save-domain    IO_FD RECV_FD      DOMID XCFLAGS CBFLAGS STREAM_TYPE
//   --restore-domain IO_FD SEND_BACK_FD DOMID STORE_EVTCHN STORE_DOMID CONSOLE_EVTCHN CONSOLE_DOMID
//                    CBFLAGS STREAM_TYPE
//
// All decimal. IO_FD is the stream. The second descriptor means something for COLO only: elsewhere
// its number may be that of an unrelated descriptor, which is left alone.

const IO_FD_AT = 1;
const BACK_FD_AT = 2;

const MODES = {
  "--save-domain": { direction: "save", words: 7 },
  "--restore-domain": { direction: "restore", words: 10 },
} as const;

const STREAM_TYPES = ["plain", "remus", "colo"] as const;
export type StreamType = (typeof STREAM_TYPES)[number];

export interface HelperCall {
  readonly direction: "save" | "restore";
  readonly ioFd: number;
  readonly backFd: number;
  readonly domid: number;
  readonly streamType: StreamType;
}

/** undefined for a call of another shape: that of a Xen we do not know. */
export function parseHelperCall(argv: readonly string[]): HelperCall | undefined {
  const mode = MODES[argv[0] as keyof typeof MODES];
  if (mode === undefined || argv.length !== mode.words) return undefined;
  if (!argv.slice(1).every((word) => /^-?[0-9]+$/.test(word))) return undefined;
  const numbers = argv.map(Number);
  const streamType = STREAM_TYPES[numbers.at(-1)!]; // There are words: their number was checked.
  const ioFd = numbers[IO_FD_AT]!;
  if (streamType === undefined || ioFd < 0) return undefined;
  const [backFd, domid] = [numbers[BACK_FD_AT]!, numbers[BACK_FD_AT + 1]!];
  return { direction: mode.direction, ioFd, backFd, domid, streamType };
}

/** The same call with the stream at another descriptor. */
export const withIoFd = (argv: readonly string[], ioFd: number): string[] =>
  argv.map((word, index) => (index === IO_FD_AT ? String(ioFd) : word));
