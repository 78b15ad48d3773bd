// The Huffman code of RFC 7541 Appendix B. It is canonical: shorter codes come before longer ones, and codes of one
// length count up in the order of their symbols, so the lengths alone give the whole code.

/** Code length in bits of each byte value, and last of EOS (256). */
// biome-ignore format: sixteen to a row, so that row and column are the digits of the byte
const codeLengths: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
   6, 10, 10, 12, 13,  6,  8, 11, 10, 10,  8, 11,  8,  6,  6,  6,
   5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8, 15,  6, 12, 10,
  13,  6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
   7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8, 13, 19, 13, 14,  6,
  15,  5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,
   6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];

const eos = 256;

/** The longest code, in bits: a string of n encoded bytes has at least floor(8n / 30) chars. */
export const longestHuffmanCode = 30;

const lengths = Uint8Array.from(codeLengths);
const codes = canonicalCodes();

// The decoder is a state machine that takes four bits at a time. A state is an inner node of the code tree: what was read
// of a symbol so far. No code is shorter than five bits, so a step completes one symbol at most.
//
//   step: emit (1 bit) | symbol (8 bits) | next state (8 bits)

const emit = 0x1_0000;
const invalidStep = 0xffff_ffff;
const { steps, validEnds } = decodingSteps();

/** Length in bytes of `text`, one char per byte, when Huffman-encoded. Throws RangeError for a char above U+00FF. */
export function huffmanLength(text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char > 0xff) {
      throw new RangeError(
        `cannot encode char ${JSON.stringify(text[i])}: a field holds bytes, one per char`,
      );
    }
    bits += lengths[char] ?? 0;
  }
  return (bits + 7) >>> 3;
}

/**
 * Huffman-encodes `text`, chars U+0000..U+00FF, into `bytes` from `offset` on, which must have room for `huffmanLength`
 * (RFC 7541 §5.2).
 */
export function encodeHuffman(text: string, bytes: Uint8Array, offset: number): void {
  let end = offset;
  // The low `count` bits of `pending` are yet to be written; what stands above them was.
  let pending = 0;
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    const code = codes[char] ?? 0;
    let length = lengths[char] ?? 0;
    if (length > 16) {
      // Up to 30 bits after up to 7 pending ones would not fit the 32 of an integer.
      length -= 16;
      pending = (pending << length) | (code >>> 16);
      for (count += length; count >= 8; ) {
        count -= 8;
        bytes[end++] = pending >>> count;
      }
      length = 16;
    }
    pending = (pending << length) | (code & 0xffff);
    for (count += length; count >= 8; ) {
      count -= 8;
      bytes[end++] = pending >>> count;
    }
  }
  if (count > 0) {
    bytes[end] = (pending << (8 - count)) | (0xff >>> count);
  }
}

/**
 * Decodes into `chars`, which must have room for 8/5 of the bytes. Returns the number of chars, or undefined when the
 * input holds EOS, or padding that is longer than 7 bits or not all ones (RFC 7541 §5.2).
 */
export function decodeHuffman(bytes: Uint8Array, chars: Uint8Array): number | undefined {
  let state = 0;
  let length = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    const high = steps[(state << 4) | (byte >>> 4)] ?? invalidStep;
    if (high === invalidStep) {
      return undefined;
    }
    if ((high & emit) !== 0) {
      chars[length++] = high >>> 8;
    }
    const low = steps[((high & 0xff) << 4) | (byte & 0xf)] ?? invalidStep;
    if (low === invalidStep) {
      return undefined;
    }
    if ((low & emit) !== 0) {
      chars[length++] = low >>> 8;
    }
    state = low & 0xff;
  }
  return validEnds[state] === 1 ? length : undefined;
}

function canonicalCodes(): Uint32Array {
  const result = new Uint32Array(lengths.length);
  let code = 0;
  for (let length = 1; length <= longestHuffmanCode; length++) {
    code *= 2;
    lengths.forEach((symbolLength, symbol) => {
      if (symbolLength === length) {
        result[symbol] = code++;
      }
    });
  }
  return result;
}

function decodingSteps(): { steps: Uint32Array; validEnds: Uint8Array } {
  // tree[2 * node + bit] is the inner node that follows, or ~symbol. Node 0 is the root, so 0 means: nothing there yet.
  const tree: number[] = [0, 0];
  for (let symbol = 0; symbol <= eos; symbol++) {
    let node = 0;
    for (let left = (lengths[symbol] ?? 0) - 1; left >= 0; left--) {
      const branch = 2 * node + (((codes[symbol] ?? 0) >>> left) & 1);
      if (left === 0) {
        tree[branch] = ~symbol;
      } else {
        if (tree[branch] === 0) {
          tree[branch] = tree.length / 2;
          tree.push(0, 0);
        }
        node = tree[branch] ?? 0;
      }
    }
  }

  const table = new Uint32Array(tree.length * 8);
  for (let state = 0; state < tree.length / 2; state++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      let node = state;
      let step = 0;
      for (let left = 3; left >= 0 && step !== invalidStep; left--) {
        const next = tree[2 * node + ((nibble >>> left) & 1)] ?? 0;
        if (next >= 0) {
          node = next;
        } else {
          node = 0;
          step = ~next === eos ? invalidStep : emit | (~next << 8);
        }
      }
      table[(state << 4) | nibble] = step === invalidStep ? invalidStep : step | node;
    }
  }

  // Padding is the beginning of EOS, which is all ones: up to seven steps on its way are a valid end.
  const ends = new Uint8Array(tree.length / 2);
  let node = 0;
  for (let bits = 0; bits <= 7; bits++) {
    ends[node] = 1;
    node = tree[2 * node + 1] ?? 0;
  }
  return { steps: table, validEnds: ends };
}
