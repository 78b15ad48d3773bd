import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { ConsoleService } from "../gen/connectquic/worker/v1/console_pb.js";

/** Calls to the worker that has served this page. */
export const consoleClient: Client<typeof ConsoleService> = createClient(
  ConsoleService,
  createConnectTransport({ baseUrl: location.origin }),
);

/** Why a call has failed, for people. */
export function describeFailure(error: unknown): string {
  const text = ConnectError.from(error).rawMessage;
  return text === "Failed to fetch" ? "the worker does not answer" : text;
}
