import { quote } from "./option-table.ts";
import { UsageError } from "./usage-error.ts";

/** For a command that takes options alone. Throws {@link UsageError}. */
export function rejectArguments(positionals: readonly string[]): void {
  const [unexpected] = positionals;
  if (unexpected !== undefined) {
    throw new UsageError(`unexpected argument ${quote(unexpected)}`);
  }
}

/** The one argument of a command that takes one; `what` names it. Throws {@link UsageError}. */
export function onlyArgument(positionals: readonly string[], what: string): string {
  const [argument, ...others] = positionals;
  if (argument === undefined) {
    throw new UsageError(`${what} is missing`);
  }
  rejectArguments(others);
  return argument;
}
