/** Something that programs of a laboratory did, one after the other. */
export interface LabStep {
  readonly what: string;
  /** How long that took, in milliseconds. */
  readonly ms: number;
}

export class LabSteps {
  readonly taken: LabStep[] = [];

  /** Rejects with the name of the step. */
  async take<T>(what: string, task: Promise<T>): Promise<T> {
    const startedAt = performance.now();
    try {
      const outcome = await task;
      this.taken.push({ what, ms: performance.now() - startedAt });
      return outcome;
    } catch (cause) {
      const problem = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`not so: ${what}: ${problem}`, { cause });
    }
  }
}
