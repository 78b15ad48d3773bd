/** A peer has broken the protocol. The message says what it did, as the rest of a sentence about it. */
export class Violation extends Error {
  override readonly name = "Violation";
}
