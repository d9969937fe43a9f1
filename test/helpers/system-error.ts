// The message of a failure, for rows that state it exactly.

/** The message that `attempt` throws; "nothing" if it throws nothing. */
export function messageOf(attempt: () => unknown): string {
  try {
    attempt();
    return "nothing";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
