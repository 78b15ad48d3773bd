import assert from "node:assert/strict";
import { PassThrough, Writable } from "node:stream";
import { test } from "node:test";
import { Screen } from "../../../examples/chat/screen.ts";

/** As much of a terminal as readline needs: what is written where the cursor stands, and some ways to move it. */
class FakeTerminal extends Writable {
  readonly isTTY = true;
  readonly columns = 20;
  readonly rows = 50;
  readonly #rows: string[] = [""];
  #row = 0;
  #column = 0;

  constructor() {
    super({ decodeStrings: false });
  }

  override _write(text: string, _encoding: string, done: () => void): void {
    this.#show(text);
    done();
  }

  /** What a person sees, without blanks at the ends. */
  get shown(): string[] {
    return this.#rows.map((row) => row.trimEnd());
  }

  #show(text: string): void {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what a terminal obeys
    for (const [part, count, command] of text.matchAll(/\x1b\[(\d*)([A-Z])|./gs)) {
      switch (command ?? part) {
        case "A":
          this.#row -= Number(count || 1);
          break;
        case "B":
          this.#row += Number(count || 1);
          break;
        case "C":
          this.#column += Number(count || 1);
          break;
        case "D":
          this.#column -= Number(count || 1);
          break;
        case "G":
          this.#column = Number(count || 1) - 1;
          break;
        case "J":
          this.#rows.length = this.#row + 1;
          this.#rows[this.#row] = (this.#rows[this.#row] ?? "").slice(0, this.#column);
          break;
        case "K":
          this.#rows[this.#row] = (this.#rows[this.#row] ?? "").slice(0, this.#column);
          break;
        case "\r":
          this.#column = 0;
          break;
        case "\n":
          this.#row += 1;
          this.#column = 0;
          break;
        default:
          this.#put(part);
      }
      assert.ok(this.#row >= 0 && this.#column >= 0, `left the screen: ${JSON.stringify(text)}`);
    }
  }

  #put(character: string): void {
    if (this.#column === this.columns) {
      this.#row += 1;
      this.#column = 0;
    }
    while (this.#rows.length <= this.#row) {
      this.#rows.push("");
    }
    const row = (this.#rows[this.#row] ?? "").padEnd(this.#column);
    this.#rows[this.#row] = row.slice(0, this.#column) + character + row.slice(this.#column + 1);
    this.#column += 1;
  }
}

function keyboard(): PassThrough & { isTTY: true } {
  return Object.assign(new PassThrough(), { isTTY: true as const });
}

/** Keys are handled when they have been read. */
async function press(input: PassThrough, keys: string): Promise<void> {
  input.write(keys);
  await new Promise((resolve) => setImmediate(resolve));
}

test("Screen shows what comes in above the line that is being typed, which stays as it is", async (t) => {
  const input = keyboard();
  const output = new FakeTerminal();
  const screen = new Screen({ input, output }, () => {});
  t.after(() => screen.close());
  screen.print("ticket x");
  screen.prompt("> ");
  await press(input, "hel");
  screen.print("ada: good morning");
  assert.deepEqual(output.shown, ["ticket x", "ada: good morning", "> hel"]);
  await press(input, "lo\r");
  screen.prompt("> ");
  assert.deepEqual(await screen.lines.next(), { done: false, value: "hello" });
  screen.print("bob: hi");
  assert.deepEqual(output.shown, ["ticket x", "ada: good morning", "> hello", "bob: hi", ">"]);
});

test("Screen shows what comes in above a line that takes several rows, wherever the cursor is in it", async (t) => {
  const input = keyboard();
  const output = new FakeTerminal();
  const screen = new Screen({ input, output }, () => {});
  t.after(() => screen.close());
  screen.prompt("> ");
  await press(input, "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
  screen.print("ada: hi");
  const typed = ["> abcdefghijklmnopqr", "stuvwxyzabcdefghijkl", "mnopqrstuvwxyz"];
  assert.deepEqual(output.shown, ["ada: hi", ...typed]);
  // Home
  await press(input, "\x01");
  screen.print("bob: hi");
  assert.deepEqual(output.shown, ["ada: hi", "bob: hi", ...typed]);
  await press(input, "_");
  assert.equal(output.shown[2], "> _abcdefghijklmnopq");
});

test("Screen hands Ctrl-C over, and ends with Ctrl-D", async () => {
  const input = keyboard();
  let interrupts = 0;
  const output = new FakeTerminal();
  const screen = new Screen({ input, output }, () => {
    interrupts += 1;
  });
  screen.prompt("> ");
  await press(input, "\x03");
  assert.equal(interrupts, 1);
  await press(input, "\x04");
  assert.equal((await screen.lines.next()).done, true);
  screen.prompt("> ");
  screen.print("ada: bye");
  assert.deepEqual(output.shown, [">", "ada: bye"]);
});

test("Screen reads and writes plain lines where one end is a pipe, and ends when its reader is gone", async () => {
  const input = new PassThrough();
  const output = new PassThrough({ encoding: "utf8" });
  let stops = 0;
  const screen = new Screen({ input, output }, () => {
    stops += 1;
  });
  assert.equal(screen.isTerminal, false);
  input.write("one\r\ntwo");
  screen.prompt("> ");
  screen.print("ada: hi");
  assert.equal(output.read(), "ada: hi\n");
  assert.equal((await screen.lines.next()).value, "one");
  output.emit("error", Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
  input.write("\n");
  const rest: string[] = [];
  for await (const line of screen.lines) {
    rest.push(line);
  }
  assert.deepEqual(rest, []);
  assert.equal(stops, 1);
});
