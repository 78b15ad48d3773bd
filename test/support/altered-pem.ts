import fc from "fast-check";

/** Texts made of these in PEM: some characters altered, or some bytes inside of a block, or parts of several joined. */
export function alteredPem(texts: readonly string[]): fc.Arbitrary<string> {
  const text = fc.constantFrom(...texts);
  const alteredText = fc
    .tuple(text, fc.nat(), fc.nat({ max: 6 }), fc.string({ maxLength: 6 }))
    .map(([whole, at, drop, put]) => {
      const start = at % whole.length;
      return whole.slice(0, start) + put + whole.slice(start + drop);
    });
  const alteredBytes = fc
    .tuple(text, fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 3 }))
    .map(([whole, at, put]) =>
      whole.replace(/(?<=-----\n)[^-]+/, (base64) => {
        const bytes = Buffer.from(base64, "base64");
        bytes.set(put.subarray(0, bytes.length), at % Math.max(1, bytes.length - put.length));
        return `${bytes.toString("base64")}\n`;
      }),
    );
  const cut = fc
    .tuple(text, text, fc.nat())
    .map(([one, other, at]) => one.slice(0, at % one.length) + other);
  return fc.oneof(fc.string(), alteredText, { arbitrary: alteredBytes, weight: 3 }, cut);
}
