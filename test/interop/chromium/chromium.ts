// Drives Chromium through the DevTools protocol on a pair of pipes: it ends when they close, so also when this process dies.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import type { Readable, Writable } from "node:stream";

const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** Where Chromium is on this machine: what CHROMIUM names, or else the first of its usual names in the PATH. */
export function findChromium(): string | undefined {
  const { CHROMIUM, PATH = "" } = process.env;
  if (CHROMIUM !== undefined && CHROMIUM !== "") {
    return CHROMIUM;
  }
  const folders = PATH.split(delimiter).filter((folder) => folder !== "");
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
}

/** What the page's `run` answered. */
type Evaluation = {
  readonly result: { readonly value?: unknown };
  readonly exceptionDetails?: {
    readonly text: string;
    readonly exception?: { readonly description?: string };
  };
};

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: unknown;
  readonly sessionId?: string;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** A headless browser with a profile of its own. */
export class Chromium implements AsyncDisposable {
  readonly #profile: string;
  readonly #process: ChildProcess;
  readonly #input: Writable;
  readonly #pending = new Map<number, Pending>();
  readonly #ended: Promise<unknown>;
  #failure: Error | undefined;
  #lastId = 0;
  #unread = "";
  #stderr = "";

  /** `flags`: besides those that every test needs. */
  constructor(program: string, flags: readonly string[]) {
    this.#profile = mkdtempSync(join(tmpdir(), "connect-quic-chromium-"));
    this.#process = spawn(
      program,
      [
        "--headless=new",
        // Tests run as root in containers.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-default-apps",
        "--disable-sync",
        "--no-first-run",
        "--no-proxy-server",
        "--remote-debugging-pipe",
        `--user-data-dir=${this.#profile}`,
        ...flags,
      ],
      { stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"] },
    );
    const [, , stderr, input, output] = this.#process.stdio as unknown as [
      null,
      null,
      Readable,
      Writable,
      Readable,
    ];
    this.#input = input;
    input.on("error", () => {});
    output.setEncoding("utf8").on("data", (text: string) => this.#receive(text));
    output.on("error", () => {});
    stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-4_000);
    });
    this.#process.once("error", (error) => this.#fail(error));
    this.#ended = once(this.#process, "close").then(
      () => this.#fail(new Error(`Chromium has ended: ${this.#stderr}`)),
      () => {},
    );
  }

  /** A tab with the page at `url`, once it is loaded. */
  async open(url: string): Promise<ChromiumPage> {
    const { targetId } = await this.send<{ targetId: string }>("Target.createTarget", {
      url: "about:blank",
    });
    const { sessionId } = await this.send<{ sessionId: string }>("Target.attachToTarget", {
      targetId,
      flatten: true,
    });
    const page = new ChromiumPage(this, targetId, sessionId);
    await page.navigate(url);
    return page;
  }

  /** A command of the DevTools protocol. Rejects when the browser has ended. */
  send<T>(method: string, params: object = {}, sessionId?: string): Promise<T> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      this.#pending.set(id, { resolve: resolve as Pending["resolve"], reject });
      this.#input.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Asked to, it takes the processes that it has started with it.
    await this.send("Browser.close").catch(() => {});
    this.#input.end();
    const kill = setTimeout(() => this.#process.kill("SIGKILL"), 10_000);
    await this.#ended;
    clearTimeout(kill);
    // Its helpers may still write for a moment.
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 20 });
  }

  #receive(text: string): void {
    const messages = (this.#unread + text).split("\0");
    this.#unread = messages.pop() ?? "";
    for (const json of messages) {
      const { id, result, error } = JSON.parse(json) as Message;
      const pending = id === undefined ? undefined : this.#pending.get(id);
      if (id !== undefined && pending !== undefined) {
        this.#pending.delete(id);
        if (error === undefined) {
          pending.resolve(result);
        } else {
          pending.reject(new Error(error.message));
        }
      }
    }
  }

  #fail(error: Error): void {
    this.#failure = error;
    for (const { reject } of this.#pending.values()) {
      reject(error);
    }
    this.#pending.clear();
  }
}

/** A tab. */
export class ChromiumPage implements AsyncDisposable {
  readonly #browser: Chromium;
  readonly #targetId: string;
  readonly #sessionId: string;

  constructor(browser: Chromium, targetId: string, sessionId: string) {
    this.#browser = browser;
    this.#targetId = targetId;
    this.#sessionId = sessionId;
  }

  async navigate(url: string): Promise<void> {
    const { errorText } = await this.#send<{ errorText?: string }>("Page.navigate", { url });
    if (errorText !== undefined) {
      throw new Error(`cannot open ${url}: ${errorText}`);
    }
    await this.evaluate(
      `document.readyState === "complete" || new Promise((done) => addEventListener("load", () => done(true)))`,
    );
  }

  /** The value of an expression, awaited, as JSON. Rejects with what the page throws. */
  async evaluate(expression: string): Promise<unknown> {
    const { result, exceptionDetails } = await this.#send<Evaluation>("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails !== undefined) {
      const { text, exception } = exceptionDetails;
      throw new Error(`the page failed: ${exception?.description ?? text}`);
    }
    return result.value;
  }

  /** Resolves with the value of an expression once it is true. */
  until(expression: string): Promise<unknown> {
    return this.evaluate(`new Promise((resolve) => {
      const look = () => {
        const value = ${expression};
        value ? resolve(value) : setTimeout(look, 50);
      };
      look();
    })`);
  }

  /** Makes the page believe that somebody looks at it, whatever tab is in front. */
  async lookAt(): Promise<void> {
    await this.#send("Emulation.setFocusEmulationEnabled", { enabled: true });
    await this.until("!document.hidden");
  }

  /** Types into what has the focus. */
  async type(text: string): Promise<void> {
    await this.#send("Input.insertText", { text });
  }

  async press(key: "Enter" | "Tab" | "Space"): Promise<void> {
    const { text, ...event } = keys[key];
    await this.#send("Input.dispatchKeyEvent", { type: "keyDown", ...event, text });
    await this.#send("Input.dispatchKeyEvent", { type: "keyUp", ...event });
  }

  /** The whole page as PNG, in a window of that width in CSS pixels. */
  async screenshot(options: {
    readonly width: number;
    readonly scheme: "light" | "dark";
  }): Promise<Buffer> {
    const { width, scheme } = options;
    await this.#send("Emulation.setDeviceMetricsOverride", {
      width,
      height: 900,
      deviceScaleFactor: 1,
      mobile: width < 600,
    });
    await this.#send("Emulation.setEmulatedMedia", {
      features: [{ name: "prefers-color-scheme", value: scheme }],
    });
    const height = Number(await this.evaluate("document.documentElement.scrollHeight"));
    const { data } = await this.#send<{ data: string }>("Page.captureScreenshot", {
      captureBeyondViewport: true,
      clip: { x: 0, y: 0, width, height, scale: 1 },
    });
    return Buffer.from(data, "base64");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.send("Target.closeTarget", { targetId: this.#targetId });
  }

  #send<T>(method: string, params: object): Promise<T> {
    return this.#browser.send(method, params, this.#sessionId);
  }
}

/** As the DevTools protocol has them. */
const keys = {
  Enter: { key: "Enter", code: "Enter", windowsVirtualKeyCode: 13, text: "\r" },
  Tab: { key: "Tab", code: "Tab", windowsVirtualKeyCode: 9, text: "" },
  Space: { key: " ", code: "Space", windowsVirtualKeyCode: 32, text: " " },
} as const;

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
