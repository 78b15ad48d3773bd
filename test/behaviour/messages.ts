/** Sends these. */
export async function* messages<T>(all: Iterable<T>): AsyncGenerator<T, void> {
  yield* all;
}

/** Receives all. */
export async function collect<T>(all: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const message of all) {
    collected.push(message);
  }
  return collected;
}
