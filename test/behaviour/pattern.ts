/**
 * Made up data that both sides know: `size` bytes, other ones for each `index`, so that a message which is lost, doubled,
 * torn or out of order does not go unnoticed. It compresses about as well as text.
 */
export function pattern(index: number, size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  let state = (index + 1) * 0x9e37_79b1;
  for (let i = 0; i < size; i++) {
    // Xorshift; 16 different bytes, so half of the bits carry nothing.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = 0x61 + (state & 0x0f);
  }
  return bytes;
}
