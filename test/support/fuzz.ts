import fc from "fast-check";

/**
 * Runs `check` on many inputs, most of them bad; a throw is a failure and shows the input and the seed. The errors that
 * are thrown on the way have no stack traces: recording them would take most of the time.
 * @param runs default 30,000, which CI plays on four versions of Node.js, with other inputs on each
 */
export function fuzz<T>(inputs: fc.Arbitrary<T>, check: (input: T) => void, runs = 30_000): void {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    fc.assert(fc.property(inputs, check), { numRuns: runs });
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
