import { printable } from "./printable.ts";

/** Causes that are looked at. */
const maxDepth = 5;

/** The message of an error, and those of its causes that say more; fit for a terminal, whoever worded them. */
export function explain(error: unknown): string {
  const messages: string[] = [];
  let at = error;
  for (let depth = 0; depth < maxDepth; depth += 1) {
    const message = messageOf(at);
    if (!messages.some((said) => said.includes(message))) {
      messages.push(message);
    }
    if (!(at instanceof Error) || !(at.cause instanceof Error)) {
      break;
    }
    at = at.cause;
  }
  return printable(messages.join(": "));
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) {
    return String(error);
  }
  // A ConnectError has its code before its message.
  return "rawMessage" in error ? String(error.rawMessage) : error.message;
}
