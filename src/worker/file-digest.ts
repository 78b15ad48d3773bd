import { createHash } from "node:crypto";

/** SHA-256 of what comes in parts. */
export class FileDigest {
  readonly #hash = createHash("sha256");

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  /** Of all parts so far. To be called once, at the end. */
  finish(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#hash.digest());
  }
}
