/** What the decoders of text (hex, base32) throw. */
export class EncodingError extends Error {
  override readonly name = "EncodingError";
  /** Index of the character at fault in the text that was given; undefined when its length is. */
  readonly index: number | undefined;

  /** @param index appended to the message, counted from 1 as people do */
  constructor(problem: string, index?: number) {
    super(index === undefined ? problem : `${problem} (character ${index + 1})`);
    this.index = index;
  }
}

/** For a character that is no digit of the encoding. */
export function notADigit(text: string, index: number, encoding: string): EncodingError {
  const symbol = String.fromCodePoint(text.codePointAt(index) ?? 0);
  return new EncodingError(`${JSON.stringify(symbol)} is not a digit of ${encoding}`, index);
}
