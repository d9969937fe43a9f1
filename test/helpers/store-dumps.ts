// Finds real dumps of xenstore daemons for tests, with what xenstore-ls -fp said of the same state:
// in the folder "xenstored" of $AGENT_TEST_STREAMS, or of ../shared/streams beside the repository.
// A test that needs one and does not find it counts as skipped and says why.

import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const REPOSITORY = resolve(import.meta.dir, "../..");
const FOLDER = join(
  resolve(REPOSITORY, process.env.AGENT_TEST_STREAMS ?? "../shared/streams"),
  "xenstored",
);

export const hasStoreDumps = existsSync(FOLDER);

/** "c/pv32.bin", "ocaml/pv32.before.txt" */
export const storeDump = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(join(FOLDER, name)));
export const storeDumpPath = (name: string): string => join(FOLDER, name);

/** A test's title, with the reason where it is skipped. */
export const storeDumpTitle = (title: string): string =>
  hasStoreDumps ? title : `${title} (skipped: no ${FOLDER})`;
