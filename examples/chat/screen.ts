import {
  clearScreenDown,
  createInterface,
  cursorTo,
  type Interface,
  moveCursor,
} from "node:readline";
import type { ReadStream, WriteStream } from "node:tty";

/** Standard input and output, or what stands for them. */
export interface Streams {
  readonly input: NodeJS.ReadableStream & Partial<Pick<ReadStream, "isTTY">>;
  readonly output: NodeJS.WritableStream & Partial<Pick<WriteStream, "isTTY">>;
}

/**
 * Where lines come from and go to. In a terminal, what comes in stands above the line that is being typed; with a pipe at
 * either end, lines are just read and written.
 */
export class Screen {
  /** What is typed, line by line; ends with Ctrl-D, the end of the pipe, or {@link close}. */
  readonly lines: AsyncIterableIterator<string>;
  readonly isTerminal: boolean;
  readonly #output: Streams["output"];
  readonly #reader: Interface;
  #isOpen = true;

  /**
   * @param onStop called at Ctrl-C, which a terminal that is read key by key hands over, and when whoever read the output
   * is gone, as with `| head`
   */
  constructor({ input, output }: Streams, onStop: () => void) {
    this.#output = output;
    this.isTerminal = input.isTTY === true && output.isTTY === true;
    this.#reader = this.isTerminal
      ? createInterface({ input, output, prompt: "", historySize: 100 })
      : createInterface({ input, terminal: false });
    this.#reader.on("SIGINT", onStop);
    this.#reader.once("close", () => {
      this.#isOpen = false;
      if (this.isTerminal) {
        // What the shell writes next begins a line.
        output.write("\n");
      }
    });
    // Made at once: it keeps lines from here on.
    this.lines = this.#reader[Symbol.asyncIterator]();
    output.on("error", () => {
      this.close();
      onStop();
    });
  }

  /** Shows what stands before the line that is to be typed, where that is a person's doing. */
  prompt(text: string): void {
    if (this.isTerminal && this.#isOpen) {
      this.#reader.setPrompt(text);
      this.#reader.prompt(true);
    }
  }

  /** Writes a line above the one that is being typed. */
  print(line: string): void {
    if (!this.isTerminal || !this.#isOpen) {
      this.#output.write(`${line}\n`);
      return;
    }
    moveCursor(this.#output, 0, -this.#reader.getCursorPos().rows);
    cursorTo(this.#output, 0);
    clearScreenDown(this.#output);
    this.#output.write(`${line}\n`);
    this.#reader.prompt(true);
  }

  /** Ends {@link lines}, and leaves the terminal as it was. Idempotent. */
  close(): void {
    this.#reader.close();
  }
}
