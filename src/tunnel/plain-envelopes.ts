import { Code, ConnectError } from "@connectrpc/connect";
import { EnvelopeSplitter } from "../rpc/envelope-splitter.ts";

/** Takes the envelopes of gRPC off messages that are not compressed. */
export class PlainEnvelopes {
  readonly #splitter = new EnvelopeSplitter(largestLength);

  /** Takes over `chunk`. The messages that are complete with it. */
  push(chunk: Uint8Array): Uint8Array[] {
    this.#splitter.push(chunk);
    const messages: Uint8Array[] = [];
    for (let next = this.#splitter.next(); next !== undefined; next = this.#splitter.next()) {
      if (next.flags !== 0) {
        throw new ConnectError("a tunnel carries no compressed messages", Code.Internal);
      }
      messages.push(next.data);
    }
    return messages;
  }
}

const largestLength = 0xffff_ffff;
