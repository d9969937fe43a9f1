// What this binary is. build.ts bakes the three constants in; from source they say so.

declare const AGENT_VERSION: string | undefined;
declare const AGENT_COMMIT: string | undefined;
declare const AGENT_TARGET: string | undefined;

export const VERSION = typeof AGENT_VERSION === "string" ? AGENT_VERSION : "0.0.0-source";
export const COMMIT = typeof AGENT_COMMIT === "string" ? AGENT_COMMIT : "unknown";
export const TARGET = typeof AGENT_TARGET === "string" ? AGENT_TARGET : "source";

/** "agent 0.1.0 (1234abcd, linux-x64, Bun 1.4.5)" */
export const versionLine = (): string =>
  `agent ${VERSION} (${COMMIT}, ${TARGET}, Bun ${Bun.version})`;
