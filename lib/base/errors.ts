// The error classes every room shares. Data first: the message is derived from it, once, here.
// agent/exit.ts maps each class to an exit status.

/** Our own mistake: a failed assertion. Never caught, never expected. */
export class Bug extends Error {
  override readonly name = "Bug"; // A literal: minifying renames the class itself.
  constructor(whatMustHold: string) {
    super(`Assertion failed: ${whatMustHold}`);
  }
}

/** The command line or a configuration is wrong; nothing was touched. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The operation was refused or failed and nothing was changed. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";
}

export interface SystemFailure {
  /** The libc function or system call. */
  readonly call: string;
  /** Positive errno as the kernel gave it. */
  readonly errno: number;
  /** Its symbolic name, such as "ENOENT". */
  readonly code: string;
  /** What it was asked to work on: a path, "fd 7 (pipe)". */
  readonly object: string;
}

/** A system call failed. Names the call, the errno and the object. */
export class SystemError extends Error {
  override readonly name = "SystemError";
  readonly failure: SystemFailure;
  constructor(attempt: string, failure: SystemFailure, options?: ErrorOptions) {
    const { call, code, errno, object } = failure;
    super(`${attempt}: ${call} on ${object} failed with ${code} (errno ${errno})`, options);
    this.failure = failure;
  }
}
