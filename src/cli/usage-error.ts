/** What was typed makes no sense: the message is for the person who typed it, and the exit code is 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
