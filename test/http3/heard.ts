import assert from "node:assert/strict";
import type { H3Error } from "../../src/http3/h3-error.ts";
import type { FieldSection } from "../../src/http3/qpack/field.ts";
import type { MessageHandler } from "../../src/http3/request-stream.ts";

/**
 * What one side heard of a message, pieces of content joined. `check` it at the end: that the calls came in the order that
 * {@link MessageHandler} says, and that a message that was called complete is well-formed.
 */
export class Heard implements MessageHandler {
  readonly informationals: FieldSection[] = [];
  head: FieldSection | undefined;
  content = "";
  trailerFields: FieldSection | undefined;
  outcome: "open" | "complete" | "failed" | "given up" = "open";
  error: H3Error | undefined;
  readonly #kind: "request" | "response";
  readonly #mayHear: () => boolean;
  readonly #requestMethod: string;
  /** What a handler throws is taken care of, so it is kept for later. */
  readonly #faults: string[] = [];
  #wasComplete = false;

  /** @param mayHear false when nothing but `failed` may come any more, whatever the message */
  constructor(kind: "request" | "response", mayHear: () => boolean, requestMethod = "") {
    this.#kind = kind;
    this.#mayHear = mayHear;
    this.#requestMethod = requestMethod;
  }

  /** Its own side wants no more of it. */
  giveUp(): void {
    if (this.outcome === "open") {
      this.outcome = "given up";
    }
  }

  headers(fields: FieldSection): void {
    this.#check("headers", this.head === undefined);
    this.head = fields;
  }

  informational(fields: FieldSection): void {
    this.#check("informational", this.#kind === "response" && this.head === undefined);
    this.informationals.push(fields);
  }

  data(bytes: Uint8Array): void {
    const inPlace = this.head !== undefined && this.trailerFields === undefined;
    this.#check("data", inPlace && bytes.length > 0);
    this.content += String.fromCharCode(...bytes);
  }

  trailers(fields: FieldSection): void {
    this.#check("trailers", this.head !== undefined && this.trailerFields === undefined);
    this.trailerFields = fields;
  }

  end(): void {
    this.#check("end", this.head !== undefined);
    this.outcome = "complete";
  }

  failed(error: H3Error): void {
    if (this.outcome === "failed") {
      this.#faults.push("failed twice");
    }
    this.#wasComplete = this.outcome === "complete";
    this.outcome = "failed";
    this.error = error;
  }

  writable(): void {
    this.#checkSending("writable");
  }

  stopped(): void {
    this.#checkSending("stopped");
  }

  /** Fails when a call was out of place, or a message was called complete that is not well-formed. */
  check(): void {
    assert.deepEqual(this.#faults, []);
    if (this.outcome === "complete" || this.#wasComplete) {
      this.#checkWellFormed();
    }
  }

  /** All of the message that has come, the same for the same message. */
  get transcript(): string {
    return JSON.stringify(
      [this.informationals, this.head, this.content, this.trailerFields, this.outcome],
      (_, value: unknown) => value ?? null,
    );
  }

  #check(call: string, inPlace: boolean): void {
    if (!inPlace || this.outcome !== "open" || !this.#mayHear()) {
      this.#faults.push(`${call}, the message ${this.outcome}`);
    }
  }

  #checkSending(call: string): void {
    if (this.outcome === "failed" || !this.#mayHear()) {
      this.#faults.push(`${call}, the message ${this.outcome}`);
    }
  }

  /** RFC 9114 §4.1.2, written down once more and more simply than in the code under test. */
  #checkWellFormed(): void {
    const head = this.head ?? [];
    checkFields(head, this.#kind === "request" ? requestPseudo : responsePseudo);
    checkFields(this.trailerFields ?? [], []);
    const value = (name: string) => head.find((field) => field[0] === name)?.[1];
    if (this.#kind === "request" && value(":method") !== "CONNECT") {
      for (const name of [":method", ":scheme", ":path"]) {
        assert.notEqual(value(name) ?? "", "", `${name} of a request`);
      }
    } else if (this.#kind === "request") {
      assert.notEqual(value(":authority") ?? "", "", ":authority of a CONNECT");
      return;
    } else {
      assert.match(value(":status") ?? "", /^[2-9][0-9]{2}$/);
    }
    const length = value("content-length");
    const status = value(":status") ?? "";
    if (this.#requestMethod === "HEAD" || status === "204" || status === "304") {
      assert.equal(this.content, "");
    } else if (length !== undefined && this.#requestMethod !== "CONNECT") {
      assert.equal(this.content.length, Number(length), "content-length");
    }
  }
}

function checkFields(fields: FieldSection, pseudo: readonly string[]): void {
  const names = fields.map(([name]) => name);
  const leading = names.findIndex((name) => !name.startsWith(":"));
  const pseudoNames = leading === -1 ? names : names.slice(0, leading);
  assert.equal(new Set(pseudoNames).size, pseudoNames.length, "pseudo-header fields once");
  assert.ok(
    pseudoNames.every((name) => pseudo.includes(name)),
    `pseudo-header fields ${pseudoNames}`,
  );
  for (const [name, value] of fields.slice(pseudoNames.length)) {
    assert.match(name, /^[!#$%&'*+\-.^_`|~0-9a-z]+$/, "a field name is a token in lower case");
    assert.ok(!connectionSpecific.has(name), `connection-specific field ${name}`);
    assert.ok(!/[\0\r\n]/.test(value), `value of ${name}`);
  }
}

const requestPseudo = [":method", ":scheme", ":authority", ":path"];
const responsePseudo = [":status"];
const connectionSpecific = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);
