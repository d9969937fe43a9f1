// Xen's verify-stream-v2 in one long-lived Python, so that hundreds of streams take seconds: the
// script is loaded as a module, and each line on standard input names a file to verify.

import { type ReferenceTool } from "../helpers/xen-utils.ts";

const DRIVER = `
import importlib.machinery, importlib.util, io, json, sys
loader = importlib.machinery.SourceFileLoader("verify_stream_v2", sys.argv[1])
tool = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
loader.exec_module(tool)
answers = sys.stdout
for line in sys.stdin:
    request = json.loads(line)
    sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
    tool.verbose = request["verbose"]
    with open(request["path"], "rb", 0) as stream:
        tool.fin = stream
        status = tool.read_stream(request["format"])
    answer = {"status": status, "output": sys.stdout.getvalue(), "errors": sys.stderr.getvalue()}
    print(json.dumps(answer), file = answers, flush = True)
`;

export type ReferenceFormat = "xl" | "libxl" | "libxc";

export interface Verdict {
  /** 0: good. 1: the stream is bad. 2: the script itself failed. */
  readonly status: number;
  readonly output: string;
  /** The last line of what it says about an error, without the class: "Data not NUL terminated". */
  readonly error: string;
}

export class Reference implements Disposable {
  private readonly child;
  private readonly answers;
  private pending = "";

  constructor(tool: ReferenceTool) {
    this.child = Bun.spawn([tool.python, "-c", DRIVER, tool.script], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { PYTHONPATH: tool.library, PYTHONDONTWRITEBYTECODE: "1", LC_ALL: "C.UTF-8" },
    });
    this.answers = this.child.stdout.getReader();
  }

  async verify(path: string, format: ReferenceFormat, verbose: boolean): Promise<Verdict> {
    this.child.stdin.write(`${JSON.stringify({ path, format, verbose })}\n`);
    await this.child.stdin.flush();
    const { status, output, errors } = JSON.parse(await this.line());
    return { status, output, error: lastError(errors) };
  }

  private async line(): Promise<string> {
    for (;;) {
      const end = this.pending.indexOf("\n");
      if (end !== -1) {
        const line = this.pending.slice(0, end);
        this.pending = this.pending.slice(end + 1);
        return line;
      }
      const { value, done } = await this.answers.read();
      if (done) throw new Error("Cannot ask verify-stream-v2: its Python has ended");
      this.pending += new TextDecoder().decode(value); // The answers are ASCII.
    }
  }

  [Symbol.dispose](): void {
    this.child.kill();
  }
}

/** Of a traceback the line with the error, its class included. */
const lastError = (errors: string): string =>
  errors.split("\n").findLast((line) => /^[\w.]*(Error|Exception|Warning)\b/.test(line)) ??
  errors.trim();
