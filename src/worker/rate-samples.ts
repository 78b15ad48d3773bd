/**
 * How fast bytes went over equal spans of time, from the beginning on. When there are too many spans, two become one, so
 * that the whole always fits.
 */
export class RateSamples {
  readonly #max: number;
  /** Bytes in each span that is over. */
  #spans: number[] = [];
  #spanMs: number;
  /** Bytes in the span that is not. */
  #open = 0;
  #atMs = 0;
  #bytes = 0;

  constructor({ spanMs, max }: { readonly spanMs: number; readonly max: number }) {
    this.#spanMs = spanMs;
    this.#max = max;
  }

  /** There were `bytes` altogether at `atMs` since the beginning. Neither gets less. */
  add(bytes: number, atMs: number): void {
    let rest = bytes - this.#bytes;
    let fromMs = this.#atMs;
    this.#bytes = bytes;
    this.#atMs = atMs;
    for (;;) {
      const endMs = (this.#spans.length + 1) * this.#spanMs;
      if (atMs < endMs) {
        this.#open += rest;
        return;
      }
      // As if they had come evenly since the last time.
      const part = fromMs < atMs ? (rest * (endMs - fromMs)) / (atMs - fromMs) : rest;
      this.#push(this.#open + part);
      this.#open = 0;
      rest -= part;
      fromMs = endMs;
    }
  }

  /** Bytes a second in each span that is over. */
  rates(): number[] {
    return this.#spans.map((bytes) => (bytes * 1_000) / this.#spanMs);
  }

  #push(bytes: number): void {
    this.#spans.push(bytes);
    if (this.#spans.length === this.#max) {
      this.#spans = this.#spans.flatMap((one, at) =>
        at % 2 === 1 ? [one + (this.#spans[at - 1] ?? 0)] : [],
      );
      this.#spanMs *= 2;
    }
  }
}
