import { type ContextKey, createContextKey } from "@connectrpc/connect";

/** What interceptors on either side leave in the context of a call. */
export const contextNote: ContextKey<string> = createContextKey<string>("", {
  description: "a note for the handler",
});
