/** With the meaning that shells give them. */
export const exitCode = {
  done: 0,
  failed: 1,
  /** What was typed makes no sense. */
  usage: 2,
  /** 128 and the number of the signal, by which a command ended that had no result yet. */
  SIGINT: 130,
  SIGTERM: 143,
} as const;

/** Why a command is to end. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  /** Unless there is a result. */
  readonly exitCode: number;

  constructor(signal: "SIGINT" | "SIGTERM") {
    super(`interrupted by ${signal}`);
    this.exitCode = exitCode[signal];
  }
}
