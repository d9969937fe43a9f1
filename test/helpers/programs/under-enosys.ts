// under-enosys.ts FIRST LAST COMMAND...: executes COMMAND in a sandbox that answers ENOSYS to the
// system calls numbered FIRST to LAST, as an old kernel and a strict seccomp profile do.
//
// Nothing but the three calls at the end may stand between the sandbox and the exec: a thread that
// the runtime starts there would miss a call (rseq) that this process has used already, and abort.

import { cPath, pointer, reserve } from "../../../lib/sys/arena.ts";
import { errnoName } from "../../../lib/sys/errno.ts";
import { cleanEnvironment } from "../../../lib/sys/exec.ts";
import { lastErrno, libc } from "../../../lib/sys/libc.ts";
import { setWord, storeStrings } from "../../../lib/sys/memory-words.ts";

const SYS_PRCTL = process.arch === "arm64" ? 167 : 157;
const PR_SET_SECCOMP = 22;
const PR_SET_NO_NEW_PRIVS = 38;
const SECCOMP_MODE_FILTER = 2;
const ENOSYS = 38;

const LOAD_WORD = 0x20; // BPF_LD | BPF_W | BPF_ABS; word 0 of seccomp_data is the call's number.
const JUMP_IF_AT_LEAST = 0x35;
const JUMP_IF_ABOVE = 0x25;
const RETURN = 0x06;
const RETURN_ERRNO = 0x0005_0000;
const RETURN_ALLOW = 0x7fff_0000;

const [first = "", last = "", ...command] = process.argv.slice(2);
const FILTER = [
  { code: LOAD_WORD, whenTrue: 0, whenFalse: 0, value: 0 },
  { code: JUMP_IF_AT_LEAST, whenTrue: 0, whenFalse: 2, value: Number(first) },
  { code: JUMP_IF_ABOVE, whenTrue: 1, whenFalse: 0, value: Number(last) },
  { code: RETURN, whenTrue: 0, whenFalse: 0, value: RETURN_ERRNO + ENOSYS },
  { code: RETURN, whenTrue: 0, whenFalse: 0, value: RETURN_ALLOW },
];

const filter = reserve(FILTER.length * 8);
FILTER.forEach(({ code, whenTrue, whenFalse, value }, index) => {
  filter.view.setUint16(index * 8, code, true);
  filter.view.setUint8(index * 8 + 2, whenTrue);
  filter.view.setUint8(index * 8 + 3, whenFalse);
  filter.view.setUint32(index * 8 + 4, value, true);
});
const program = reserve(16); // struct sock_fprog
program.view.setUint16(0, FILTER.length, true);
setWord(program.view, 8, filter.address);

const strings = reserve(256 * 1024);
const variables = Object.entries(cleanEnvironment(process.env));
const environmentAt = storeStrings(strings, 0, command);
storeStrings(
  strings,
  environmentAt,
  variables.map(([name, value]) => `${name}=${value}`),
);
const path = cPath(command[0] ?? "");
const argv = pointer(strings.address);
const envp = pointer(strings.address + environmentAt);

const promised = libc.syscall(SYS_PRCTL, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0);
const filtered = libc.syscall(
  SYS_PRCTL,
  PR_SET_SECCOMP,
  SECCOMP_MODE_FILTER,
  program.address,
  0,
  0,
  0,
);
const executed = libc.execve(path, argv, envp);
const errno = errnoName(lastErrno());
throw new Error(`prctl gave ${promised}, then ${filtered}, execve ${executed} with ${errno}`);
