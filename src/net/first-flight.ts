/** Datagrams kept: a first flight has one or two, and the timers send them again. */
const maxDatagrams = 4;

/** What was sent to a peer that has not answered yet, so that it can be sent to addresses that are found later. */
export class FirstFlight {
  #datagrams: { readonly bytes: Uint8Array; readonly segmentSize: number }[] = [];

  /** Copies `bytes`. Only the newest are kept. */
  add(bytes: Uint8Array, segmentSize: number): void {
    this.#datagrams.push({ bytes: bytes.slice(), segmentSize });
    this.#datagrams = this.#datagrams.slice(-maxDatagrams);
  }

  replay(send: (bytes: Uint8Array, segmentSize: number) => void): void {
    for (const { bytes, segmentSize } of this.#datagrams) {
      send(bytes, segmentSize);
    }
  }

  clear(): void {
    this.#datagrams = [];
  }
}
