import type { Stage } from "./stage.ts";
import type { Capabilities } from "./subject.ts";

/** Registers one test; given to each topic. Names are unique within the suite, deviations refer to them. */
export type Register = (
  name: string,
  body: (stage: Stage) => Promise<void>,
  options?: TestOptions,
) => void;

export interface TestOptions {
  /** What the test cannot do without. */
  readonly needs?: readonly (keyof Capabilities)[];
  /** Milliseconds. Default 30_000. */
  readonly timeoutMs?: number;
}

/** The tests of one topic, for one cell of the matrix. */
export type Topic = (register: Register) => void;
