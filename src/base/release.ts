/** With a method of ES2024, which Node.js 20 lacks. */
interface Transferable extends ArrayBuffer {
  transfer?(newLength: number): ArrayBuffer;
}

/**
 * Gives memory back now instead of when the garbage collector finds it, which costs more; and much memory that is dead but
 * not found makes V8 go through the whole heap again and again. Afterwards `bytes` is empty, as is whatever else
 * looks at its buffer. Does nothing to a piece of a larger buffer, nor to shared memory, and nothing at all in Node.js 20.
 */
export function release({ buffer, byteLength }: Uint8Array): void {
  if (byteLength > 0 && byteLength === buffer.byteLength && buffer instanceof ArrayBuffer) {
    (buffer as Transferable).transfer?.(0);
  }
}

/** From how many bytes on it pays for arrays of any kind: a small one may have no buffer as yet, or a piece of one. */
export const largeBytes = 4_096;

/** The same for what is that large. */
export function releaseLarge(bytes: Uint8Array): void {
  if (bytes.byteLength >= largeBytes) {
    release(bytes);
  }
}
