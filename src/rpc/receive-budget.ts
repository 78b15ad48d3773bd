/** How a {@link ReceiveBudget} holds a request back. Both may be called when it is so already. */
export interface ReceiveFlow {
  pause(): void;
  /** May take, and end, within this call; what has to come later anyway may come later. */
  resume(): void;
}

/**
 * What the requests of one connection may hold together of messages that are not complete, and so keep to themselves.
 * Above `maxBytes` only the one that holds most goes on, so that there is always one that comes to its end; the others
 * wait until what is held is below the limit again. The excess is at most that one message, and of the others what had
 * arrived with their first bytes.
 */
export class ReceiveBudget {
  readonly #maxBytes: number;
  readonly #shares = new Set<ReceiveShare>();
  #heldBytes = 0;
  /** The one that goes on above the limit. */
  #leader: ReceiveShare | undefined;
  /** "again": one that was resumed has ended within that. */
  #resuming: "no" | "yes" | "again" = "no";

  constructor(maxBytes: number = defaultReceiveBudget) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes of all requests that have not ended. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** A request that begins; it is paused right away when there is no room. */
  open(flow: ReceiveFlow): ReceiveShare {
    const share = new ReceiveShare(flow, (bytes) => this.#changed(share, bytes));
    this.#shares.add(share);
    if (this.#leader !== undefined) {
      share.hold(true);
    }
    return share;
  }

  #changed(share: ReceiveShare, bytes: number): void {
    const somebodyWaits = this.#leader !== undefined;
    this.#heldBytes += bytes;
    if (share.ended) {
      this.#shares.delete(share);
      if (share === this.#leader) {
        this.#leader = undefined;
      }
    }
    if (this.#heldBytes <= this.#maxBytes) {
      if (somebodyWaits) {
        this.#resumeAll();
      }
    } else if (this.#leader === undefined) {
      this.#lead(largest(this.#shares));
    }
  }

  #lead(leader: ReceiveShare | undefined): void {
    this.#leader = leader;
    for (const share of this.#shares) {
      if (share !== leader) {
        share.hold(true);
      }
    }
    leader?.hold(false);
  }

  /** In the order in which they came, as long as there is room. */
  #resumeAll(): void {
    this.#leader = undefined;
    if (this.#resuming !== "no") {
      this.#resuming = "again";
      return;
    }
    do {
      this.#resuming = "yes";
      for (const share of this.#shares) {
        if (this.#heldBytes > this.#maxBytes) {
          break;
        }
        share.hold(false);
      }
    } while (this.#isResuming("again"));
    this.#resuming = "no";
  }

  /** A method, because `hold` may have changed it since the compiler last looked. */
  #isResuming(state: "again"): boolean {
    return this.#resuming === state;
  }
}

/** What one request holds. */
export class ReceiveShare {
  /** Nothing is counted for it any more. */
  ended = false;
  heldBytes = 0;
  readonly #flow: ReceiveFlow;
  readonly #onChange: (bytes: number) => void;
  #onHold = false;

  /** @internal Made by {@link ReceiveBudget.open}. */
  constructor(flow: ReceiveFlow, onChange: (bytes: number) => void) {
    this.#flow = flow;
    this.#onChange = onChange;
  }

  /** More of its message has arrived. */
  take(bytes: number): void {
    if (!this.ended) {
      this.heldBytes += bytes;
      this.#onChange(bytes);
    }
  }

  /** The message is complete and handed on, or nobody wants it any more. Idempotent. */
  end(): void {
    if (!this.ended) {
      this.ended = true;
      this.#onChange(-this.heldBytes);
    }
  }

  /** @internal */
  hold(onHold: boolean): void {
    if (onHold !== this.#onHold && !this.ended) {
      this.#onHold = onHold;
      if (onHold) {
        this.#flow.pause();
      } else {
        this.#flow.resume();
      }
    }
  }
}

function largest(shares: Iterable<ReceiveShare>): ReceiveShare | undefined {
  let most: ReceiveShare | undefined;
  for (const share of shares) {
    if (most === undefined || share.heldBytes > most.heldBytes) {
      most = share;
    }
  }
  return most;
}

/** 64 MiB: four of the largest messages that a router takes by default. */
export const defaultReceiveBudget = 67_108_864;
