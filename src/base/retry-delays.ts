import type { Platform } from "./platform.ts";

/** The waits between attempts that fail in a row: growing, and left to chance, so that a fleet does not come back at once. */
export class RetryDelays {
  readonly #platform: Pick<Platform, "randomFill">;
  #failures = 0;

  constructor(platform: Pick<Platform, "randomFill">) {
    this.#platform = platform;
  }

  succeeded(): void {
    this.#failures = 0;
  }

  /** An attempt has failed: how long to wait. Milliseconds. */
  failed(): number {
    const mostMs = Math.min(maxMs, initialMs * 2 ** Math.min(this.#failures, 10));
    this.#failures += 1;
    return mostMs * (0.5 + 0.5 * randomFraction(this.#platform));
  }
}

/** From 0 up to, but not including, 1. */
export function randomFraction(platform: Pick<Platform, "randomFill">): number {
  const bytes = new Uint8Array(4);
  platform.randomFill(bytes);
  return new DataView(bytes.buffer).getUint32(0) / 2 ** 32;
}

const initialMs = 200;
const maxMs = 10_000;
