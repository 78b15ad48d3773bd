// What a watcher shows to go on where it was: `<epoch>.<version>`, as bytes that mean something to us alone.

/** The version of a set with this epoch; undefined where the bytes are none, or of another set. */
export function readResumePoint(bytes: Uint8Array, epoch: string): number | undefined {
  if (bytes.length === 0 || bytes.length > maxBytes) {
    return undefined;
  }
  const [of, version = ""] = new TextDecoder().decode(bytes).split(".");
  return of === epoch && /^[0-9]{1,15}$/.test(version) ? Number(version) : undefined;
}

export function writeResumePoint(epoch: string, version: number): Uint8Array {
  return new TextEncoder().encode(`${epoch}.${version}`);
}

const maxBytes = 128;
