import type { CallOptions, Client } from "@connectrpc/connect";
import type { TestResponse, TestService } from "../../gen/connectquic/test/v1/test_pb.ts";
import { collect, messages } from "./messages.ts";
import type { RequestInit } from "./stage.ts";

/** A client of any of the services that share the methods of the TestService. */
export type KindsClient = Pick<
  Client<typeof TestService>,
  "unary" | "clientStream" | "serverStream" | "bidiStream"
>;

/** Calls a method of one kind with one request, waits for the end of the call, and resolves with its responses. */
export type OneCall = (
  caller: { readonly client: KindsClient },
  request: RequestInit,
  options?: CallOptions,
) => Promise<TestResponse[]>;

/** All kinds of methods, by their names in test titles. */
export const kinds: Readonly<Record<string, OneCall>> = {
  unary: async ({ client }, request, options) => [await client.unary(request, options)],
  "client stream": async ({ client }, request, options) => [
    await client.clientStream(messages([request]), options),
  ],
  "server stream": ({ client }, request, options) => collect(client.serverStream(request, options)),
  "bidirectional stream": ({ client }, request, options) =>
    collect(client.bidiStream(messages([request]), options)),
};
