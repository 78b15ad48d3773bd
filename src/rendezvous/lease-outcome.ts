import { Code, ConnectError } from "@connectrpc/connect";
import type { RenewOutcome } from "./rendezvous-state.ts";

/** Throws ConnectError for a lease that is none any more. */
export function renewed(outcome: RenewOutcome): RenewOutcome & { readonly type: "renewed" } {
  switch (outcome.type) {
    case "renewed":
      return outcome;
    case "unknown":
    case "replaced":
      throw leaseLost(outcome.type);
  }
}

/** What a caller is told whose lease is none any more. */
export function leaseLost(how: "unknown" | "replaced"): ConnectError {
  return how === "unknown"
    ? new ConnectError("no such registration: it has ended, register again", Code.NotFound)
    : new ConnectError("somebody has registered with the same key since", Code.AlreadyExists);
}
