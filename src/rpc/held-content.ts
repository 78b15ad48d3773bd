import type { RequestStream } from "../http3/request-stream.ts";
import { type Framing, MessageMeter } from "./message-meter.ts";
import type { ReceiveBudget, ReceiveFlow, ReceiveShare } from "./receive-budget.ts";

/** Lets several hold back what a stream receives: it goes on when none of them does. */
export class ReceiveGate {
  readonly #stream: Pick<RequestStream, "pause" | "resume">;
  #holders = 0;

  constructor(stream: Pick<RequestStream, "pause" | "resume">) {
    this.#stream = stream;
  }

  /** One more who may hold it back. */
  holder(): ReceiveFlow {
    let holds = false;
    return {
      pause: () => {
        if (!holds) {
          holds = true;
          this.#holders += 1;
          if (this.#holders === 1) {
            this.#stream.pause();
          }
        }
      },
      resume: () => {
        if (holds) {
          holds = false;
          this.#holders -= 1;
          if (this.#holders === 0) {
            this.#stream.resume();
          }
        }
      },
    };
  }
}

/** What a request holds of a message that is not complete, on account of its connection's budget. */
export class HeldContent {
  readonly #budget: ReceiveBudget;
  readonly #flow: ReceiveFlow;
  readonly #meter: MessageMeter;
  #held = 0;
  #share: ReceiveShare | undefined;
  #ended = false;

  constructor(budget: ReceiveBudget, flow: ReceiveFlow, framing: Framing) {
    this.#budget = budget;
    this.#flow = flow;
    this.#meter = new MessageMeter(framing);
  }

  /** More content has arrived. The request may be held back from now on. */
  add(bytes: Uint8Array): void {
    const change = this.#meter.add(bytes);
    this.#held += change;
    if (this.#ended) {
      return;
    }
    if (this.#share !== undefined) {
      this.#share.take(change);
    } else if (this.#held > uncountedBytes) {
      this.#share = this.#budget.open(this.#flow);
      this.#share.take(this.#held);
    }
  }

  /** No more will come, or nobody wants it. Idempotent. */
  end(): void {
    this.#ended = true;
    this.#share?.end();
  }
}

/** What each request may hold beside the budget: most messages are smaller, and need no account. Bytes. */
const uncountedBytes = 16_384;
