// Begins a new file, says so, and stays in one system call, as a long copy does: to be killed.
// Arguments: unnamed or temporary, then the path.

import { writeSync } from "node:fs";
import { createNamedFile, createNewFile } from "../../../lib/sys/new-file.ts";

const [kind, path = ""] = process.argv.slice(2);
const create = kind === "unnamed" ? createNewFile : createNamedFile;
using file = create({ path, existing: "replace", inputs: [] });
writeSync(file.fd.number, "half");
writeSync(1, "writing\n");
Bun.sleepSync(60_000);
