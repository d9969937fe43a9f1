// Compiles the agent into one file: bun build.ts [--target TARGET] [--out FILE]
//
// The product is built under a temporary name beside FILE, looked at, and then renamed: FILE is
// whole or untouched. Another machine's TARGET needs that machine's Bun: its npm package, pinned
// and hashed in bun.lock, is installed under node_modules/.cache. (A musl host also needs its
// package libstdc++.)

import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";

const ROOT = import.meta.dir;
const CACHE = join(ROOT, "node_modules/.cache");

const TARGETS = {
  "linux-x64": { cpu: "x64", libc: "glibc", package: "bun-linux-x64", elfMachine: 62 },
  "linux-arm64": { cpu: "arm64", libc: "glibc", package: "bun-linux-aarch64", elfMachine: 183 },
  "linux-x64-musl": { cpu: "x64", libc: "musl", package: "bun-linux-x64-musl", elfMachine: 62 },
  "linux-arm64-musl": {
    cpu: "arm64",
    libc: "musl",
    package: "bun-linux-aarch64-musl",
    elfMachine: 183,
  },
} as const;
type Target = keyof typeof TARGETS;

/** Ends the code that Bun adds to its runtime. The runtime's own text has it once already. */
const PAYLOAD_END = "\n---- Bun! ----\n";

class BuildError extends Error {}

interface Manifest {
  readonly version: string;
  readonly devDependencies: Readonly<Record<string, string>>;
}

async function main(argv: string[]): Promise<void> {
  const startMs = performance.now();
  const { target, out } = parse(argv);
  const manifest: Manifest = await Bun.file(join(ROOT, "package.json")).json();
  requirePinnedBun(manifest);
  const version = { version: manifest.version, commit: commitOfCheckout(), target };
  const cross = target !== hostTarget();
  mkdirSync(dirname(out), { recursive: true });
  const staging = `${out}.${process.pid}.tmp`;
  mkdirSync(staging);
  try {
    const product = join(staging, "agent");
    await compile(product, version, cross ? runtimeFor(target) : undefined);
    verifyFile(product, target);
    if (!cross) verifyRun(product, version);
    chmodSync(product, 0o755);
    renameSync(product, out);
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  const megabytes = (statSync(out).size / 1e6).toFixed(1);
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  const note = cross ? "; not run: built for another machine" : "";
  console.log(`${versionLine(version)}\n${out}: ${megabytes} MB in ${seconds} s${note}`);
}

function parse(argv: string[]): { target: Target; out: string } {
  const options = { target: { type: "string" }, out: { type: "string" } } as const;
  const { values } = parseArgs({ args: argv, options, strict: true });
  const target = values.target ?? hostTarget();
  if (!(target in TARGETS)) {
    const known = Object.keys(TARGETS).join(", ");
    throw new BuildError(`Cannot build for "${target}": wanted one of ${known}`);
  }
  return { target: target as Target, out: resolve(values.out ?? join(ROOT, "dist/agent")) };
}

/** The target that this very Bun is of. */
function hostTarget(): string {
  const report = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  const musl = report.header.glibcVersionRuntime === undefined;
  return `${process.platform}-${process.arch}${musl ? "-musl" : ""}`;
}

function requirePinnedBun(manifest: Manifest): void {
  const pinned = manifest.devDependencies["bun"];
  if (Bun.version === pinned) return;
  throw new BuildError(
    `Cannot build with Bun ${Bun.version}: package.json pins ${pinned}, which becomes part of ` +
      "the binary. Run bun install --frozen-lockfile, then node_modules/.bin/bun build.ts",
  );
}

// ---- Compile --------------------------------------------------------------------------------

interface Version {
  readonly version: string;
  readonly commit: string;
  readonly target: Target;
}

async function compile(product: string, version: Version, runtime?: string): Promise<void> {
  const result = await Bun.build({
    entrypoints: [join(ROOT, "agent/main.ts")],
    root: ROOT,
    target: "bun",
    format: "esm",
    splitting: true, // A command's code, and the runtime modules it needs, load only when it runs.
    // Identifiers keep their names: they are what a stack trace shows, and cost 0.1 % of the file.
    minify: { whitespace: true, syntax: true, identifiers: false },
    // Embedded, compressed: traces name agent/main.ts:41, not column 9000 of line 1.
    sourcemap: "linked",
    // Bytecode made on one machine for another has crashed at start: there the source must do.
    bytecode: runtime === undefined,
    define: {
      AGENT_VERSION: JSON.stringify(version.version),
      AGENT_COMMIT: JSON.stringify(version.commit),
      AGENT_TARGET: JSON.stringify(version.target),
      AGENT_DATE: JSON.stringify(git("log", "-1", "--format=%cs") ?? today()), // For the man page.
    },
    compile: {
      outfile: product,
      ...(runtime === undefined
        ? {}
        : { executablePath: runtime, target: `bun-${version.target}` as Bun.Build.CompileTarget }),
      // Files in the directory where an operator happens to stand must not run code in the agent.
      autoloadDotenv: false,
      autoloadBunfig: false,
      // Refuses eval, and with it the code that BUN_OPTIONS=--preload would inject.
      execArgv: ["--disallow-code-generation-from-strings=strict"],
    },
    throw: false,
  });
  if (!result.success) throw new BuildError(`Cannot compile:\n${result.logs.join("\n")}`);
}

/** The Bun executable of another target, installed by bun.lock into the cache. */
function runtimeFor(target: Target): string {
  const { cpu, libc, package: name } = TARGETS[target];
  const folder = join(CACHE, `runtime-${target}`);
  mkdirSync(folder, { recursive: true });
  for (const file of ["package.json", "bun.lock"]) {
    Bun.spawnSync(["cp", join(ROOT, file), folder], { stdio: ["ignore", "inherit", "inherit"] });
  }
  const install = ["install", "--frozen-lockfile", "--ignore-scripts", "--backend", "copyfile"];
  const machine = ["--os", "linux", "--cpu", cpu, "--libc", libc];
  const command = [process.execPath, ...install, ...machine];
  const { exitCode, stderr } = Bun.spawnSync(command, { cwd: folder });
  if (exitCode !== 0) {
    throw new BuildError(`Cannot install Bun for ${target} in ${folder}:\n${stderr}`);
  }
  return join(folder, "node_modules/@oven", name, "bin/bun");
}

/**
 * "1a2b3c4d", with "-dirty" when tracked files differ; "unknown" without git or outside its
 * checkout.
 */
function commitOfCheckout(): string {
  const commit = git("rev-parse", "--short=8", "HEAD");
  const changes = git("status", "--porcelain", "--untracked-files=no");
  if (commit === undefined || changes === undefined) return "unknown";
  return changes === "" ? commit : `${commit}-dirty`;
}

/** What git says of this checkout; undefined without git, or unpacked inside another project. */
function git(...words: string[]): string | undefined {
  const ask = (...question: string[]): string | undefined => {
    try {
      const command = ["git", "-c", `safe.directory=${ROOT}`, "-C", ROOT, ...question];
      const { exitCode, stdout } = Bun.spawnSync(command, { stderr: "ignore" });
      return exitCode === 0 ? stdout.toString().trim() : undefined;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined; // No git here.
      throw error;
    }
  };
  return ask("rev-parse", "--show-prefix") === "" ? ask(...words) : undefined;
}

const today = (): string => new Date().toISOString().slice(0, 10);

// ---- Verify the product ---------------------------------------------------------------------

const versionLine = ({ version, commit, target }: Version): string =>
  `agent ${version} (${commit}, ${target}, Bun ${Bun.version})`;

function verifyFile(product: string, target: Target): void {
  const bytes = readFileSync(product);
  const machine =
    bytes.subarray(0, 4).toString("latin1") === "\x7fELF" ? bytes.readUInt16LE(18) : 0;
  if (machine !== TARGETS[target].elfMachine) {
    const wanted = TARGETS[target].elfMachine;
    throw new BuildError(`Cannot use the product: wanted ELF machine ${wanted}, found ${machine}`);
  }
  if (bytes.indexOf(PAYLOAD_END) === bytes.lastIndexOf(PAYLOAD_END)) {
    throw new BuildError("Cannot use the product: it is a bare Bun without the agent's code");
  }
}

/** A stripped or half-built product is still an executable: it is Bun's own command line. */
function verifyRun(product: string, version: Version): void {
  const { stdout, stderr, exitCode } = Bun.spawnSync([product, "--version"], { env: {} });
  const wanted = `${versionLine(version)}\n`;
  if (exitCode === 0 && stdout.toString() === wanted) return;
  throw new BuildError(
    `Cannot use the product: --version should print ${JSON.stringify(wanted)}, ` +
      `found ${JSON.stringify(stdout.toString())} with status ${exitCode}\n${stderr}`,
  );
}

await main(process.argv.slice(2)).catch((error: unknown) => {
  const parseFailure = error instanceof TypeError && "code" in error;
  if (!(error instanceof BuildError) && !parseFailure) throw error;
  console.error(`build.ts: ${error.message}`);
  process.exitCode = parseFailure ? 2 : 1;
});
