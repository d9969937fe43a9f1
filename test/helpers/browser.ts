// A headless Chromium for tests of pages, spoken to by its DevTools protocol over a WebSocket.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const CHROMIUM = Bun.which("chromium");

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-sync",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-dev-shm-usage",
  "--hide-scrollbars",
  "--remote-debugging-port=0",
];
const COMPLAINTS: readonly string[] = [
  "Runtime.exceptionThrown",
  "Runtime.consoleAPICalled",
  "Log.entryAdded",
  "Page.javascriptDialogOpening",
];
const TIMEOUT_MS = 20_000;

export interface Screen {
  readonly width: number;
  readonly height: number;
  readonly scheme: "light" | "dark";
  readonly isPhone: boolean;
}

/** What a protocol call answers with: as much of it as is used, and asserted by its use. */
type Answer = Readonly<Record<string, unknown>>;
interface Message {
  readonly id?: number;
  readonly sessionId?: string;
  readonly method?: string;
  readonly params?: Answer;
  readonly result?: Answer;
  readonly error?: { readonly message: string };
}

export class Browser implements AsyncDisposable {
  private readonly process: Bun.Subprocess;
  private readonly socket: WebSocket;
  private readonly profile: string;
  private readonly waiting = new Map<number, (message: Message) => void>();
  private readonly listeners = new Map<string, (method: string, params: Answer) => void>();
  private lastId = 0;

  private constructor(process: Bun.Subprocess, socket: WebSocket, profile: string) {
    this.process = process;
    this.socket = socket;
    this.profile = profile;
    socket.onmessage = ({ data }) => this.receive(JSON.parse(String(data)) as Message);
  }

  static async start(): Promise<Browser> {
    if (CHROMIUM === null) throw new Error("Cannot start a browser: there is no chromium");
    const profile = mkdtempSync(join(tmpdir(), "agent-browser-"));
    const command = [CHROMIUM, ...FLAGS, `--user-data-dir=${profile}`, "about:blank"];
    const child = Bun.spawn(command, { stdout: "ignore", stderr: "pipe" });
    const socket = new WebSocket(await debuggerAddress(child.stderr));
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = () => reject(new Error("Cannot connect to the browser"));
    });
    return new Browser(child, socket, profile);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.close();
    this.process.kill();
    await this.process.exited;
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }

  call(method: string, params: Answer, sessionId?: string): Promise<Answer> {
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${method}: no answer`)), TIMEOUT_MS);
      this.waiting.set(id, ({ result = {}, error }) => {
        clearTimeout(timer);
        if (error === undefined) resolve(result);
        else reject(new Error(`${method}: ${error.message}`));
      });
      this.socket.send(JSON.stringify({ id, method, params, sessionId }));
    });
  }

  private receive(message: Message): void {
    const { id, sessionId = "", method, params = {} } = message;
    if (id !== undefined) {
      this.waiting.get(id)?.(message);
      this.waiting.delete(id);
    } else if (method !== undefined) {
      this.listeners.get(sessionId)?.(method, params);
    }
  }

  /** Loads `url` in a new tab and waits until it is complete. */
  async open(url: string, screen: Screen): Promise<Tab> {
    const { targetId } = await this.call("Target.createTarget", { url: "about:blank" });
    const attached = await this.call("Target.attachToTarget", { targetId, flatten: true });
    const session = String(attached["sessionId"]);
    const tab = new Tab((method, params) => this.call(method, params, session));
    this.listeners.set(session, (method, params) => tab.hear(method, params));
    await tab.load(url, screen);
    return tab;
  }
}

async function debuggerAddress(stderr: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const chunk of stderr) {
    text += new TextDecoder().decode(chunk);
    const found = /DevTools listening on (ws:\S+)/.exec(text)?.[1];
    if (found !== undefined) return found;
  }
  throw new Error(`Cannot start the browser:\n${text}`);
}

export class Tab {
  /** What the console says, exceptions, violations of the page's policy, dialogs. */
  readonly complaints: string[] = [];
  readonly requests: string[] = [];
  private readonly call: (method: string, params: Answer) => Promise<Answer>;
  private loaded: () => void = () => undefined;

  constructor(call: (method: string, params: Answer) => Promise<Answer>) {
    this.call = call;
  }

  hear(method: string, params: Answer): void {
    if (method === "Page.loadEventFired") this.loaded();
    if (method === "Network.requestWillBeSent") {
      this.requests.push((params["request"] as { url: string }).url);
    }
    if (COMPLAINTS.includes(method)) this.complaints.push(`${method} ${JSON.stringify(params)}`);
  }

  async load(url: string, { width, height, scheme, isPhone }: Screen): Promise<void> {
    for (const domain of ["Page", "Runtime", "Log", "Network", "Accessibility"]) {
      await this.call(`${domain}.enable`, {});
    }
    const deviceScaleFactor = isPhone ? 2 : 1;
    const metrics = { width, height, deviceScaleFactor, mobile: isPhone };
    await this.call("Emulation.setDeviceMetricsOverride", metrics);
    await this.setScheme(scheme);
    const done = new Promise<void>((resolve) => {
      this.loaded = resolve;
    });
    await this.call("Page.navigate", { url });
    await done;
  }

  async setScheme(scheme: Screen["scheme"]): Promise<void> {
    const features = [{ name: "prefers-color-scheme", value: scheme }];
    await this.call("Emulation.setEmulatedMedia", { media: "screen", features });
  }

  /** As it is printed by somebody whose screen is dark. */
  async setPaper(): Promise<void> {
    const features = [{ name: "prefers-color-scheme", value: "dark" }];
    await this.call("Emulation.setEmulatedMedia", { media: "print", features });
  }

  /** Whether scripts of pages run; ours by evaluate() need it too. */
  async setScripts(areOn: boolean): Promise<void> {
    await this.call("Emulation.setScriptExecutionDisabled", { value: !areOn });
  }

  /** The value of a JavaScript expression in the page. */
  async evaluate<T>(expression: string): Promise<T> {
    const answer = await this.call("Runtime.evaluate", {
      expression,
      returnByValue: true,
      awaitPromise: true,
    });
    if (answer["exceptionDetails"] !== undefined) {
      throw new Error(`${expression}: ${JSON.stringify(answer["exceptionDetails"])}`);
    }
    return (answer["result"] as { value: T }).value;
  }

  /** As a keyboard does it: "Tab", "Enter", "ArrowRight", or a text to type. */
  async press(key: string): Promise<void> {
    const named = KEYS[key];
    if (named === undefined) {
      await this.call("Input.insertText", { text: key });
      return;
    }
    const text = key === "Enter" ? { text: "\r" } : key === "Space" ? { text: " " } : {};
    const event = { key: key === "Space" ? " " : key, code: key, windowsVirtualKeyCode: named };
    await this.call("Input.dispatchKeyEvent", { type: "keyDown", ...event, ...text });
    await this.call("Input.dispatchKeyEvent", { type: "keyUp", ...event });
  }

  /** What a screen reader is told: role and name of every node that is not ignored. */
  async accessibility(): Promise<{ readonly role: string; readonly name: string }[]> {
    const { nodes } = await this.call("Accessibility.getFullAXTree", {});
    type Value = { readonly value: string };
    return (nodes as { ignored: boolean; role?: Value; name?: Value }[])
      .filter(({ ignored }) => !ignored)
      .map(({ role, name }) => ({ role: role?.value ?? "", name: name?.value ?? "" }));
  }

  /** A part of the page, from `top` on, as PNG. */
  async screenshot({ top, width, height }: Part): Promise<Buffer> {
    const answer = await this.call("Page.captureScreenshot", {
      format: "png",
      captureBeyondViewport: true,
      clip: { x: 0, y: top, width, height, scale: 1 },
    });
    return Buffer.from(String(answer["data"]), "base64");
  }
}
interface Part {
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

const KEYS: Readonly<Record<string, number>> = {
  Tab: 9,
  Enter: 13,
  Escape: 27,
  Space: 32,
  ArrowLeft: 37,
  ArrowUp: 38,
  ArrowRight: 39,
  ArrowDown: 40,
  Home: 36,
  End: 35,
};
