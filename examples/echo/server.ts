// A peer that serves EchoService, until Ctrl-C.

import { parseArgs } from "node:util";
import type { Interceptor } from "@connectrpc/connect";
import { createPeerRouter, Endpoint, peerKey, SecretKey } from "connect-quic";
import { registerEchoService } from "../../gen/echo/v1/echo_quic.ts";
import { aborted, printRow, runProgram } from "./terminal.ts";

const usage = `Usage: node --import tsx examples/echo/server.ts [options]

Serves echo.v1.EchoService until Ctrl-C, and prints who and where it is.

Options
  --bind <ip:port>   where to listen, such as 0.0.0.0:4433 or [::]:4433; may be given twice, for IPv4 and IPv6
                     (default: all addresses, free ports)
  --key <file>       who to be: the key in this file, which is made if it does not exist
                     (default: a new key each time)
  --relay <url>      a relay server, with which clients reach this one wherever it is: part of the ticket; may be given
                     several times, the nearest is used
  --quiet            do not print the calls
  --help
`;

async function main(signal: AbortSignal): Promise<void> {
  const { values } = parseArgs({
    options: {
      bind: { type: "string", multiple: true },
      key: { type: "string" },
      relay: { type: "string", multiple: true, default: [] },
      quiet: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return;
  }
  await using endpoint = await Endpoint.bind({
    ...(values.bind === undefined ? {} : { bind: values.bind }),
    ...(values.key === undefined ? {} : { secretKey: await SecretKey.loadOrCreate(values.key) }),
    relays: values.relay,
  });
  const router = createPeerRouter(endpoint, { interceptors: values.quiet ? [] : [logCalls] });
  registerEchoService(router, {
    echo: (request) => ({ message: request.message }),
    async *repeat(request) {
      for (let number = 1; number <= request.count; number++) {
        yield { message: request.message, number };
      }
    },
    async collect(requests) {
      const messages: string[] = [];
      for await (const request of requests) {
        messages.push(request.message);
      }
      return { messages };
    },
    async *converse(requests) {
      for await (const request of requests) {
        yield { message: request.message };
      }
    },
  });
  printRow("id", endpoint.id.toString());
  await untilOnline(endpoint, signal);
  printRow("ticket", endpoint.ticket());

  await aborted(signal);
  printRow("stop", "no new calls; those that run may end");
  await router.close();
}

/** The ticket is to name the relay. Where none can be reached, it is good for direct addresses. */
async function untilOnline(endpoint: Endpoint, signal: AbortSignal): Promise<void> {
  const timeUp = AbortSignal.timeout(relayTimeoutMs);
  try {
    await endpoint.online({ signal: AbortSignal.any([signal, timeUp]) });
  } catch (error) {
    if (!timeUp.aborted) {
      throw error;
    }
    printRow("relay", `not reached in ${relayTimeoutMs / 1_000} s; it is tried on and on`);
  }
}

const relayTimeoutMs = 5_000;

/** Prints each call when it ends: who called, what, and how long it took. */
const logCalls: Interceptor = (next) => async (request) => {
  const start = performance.now();
  const caller = request.contextValues.get(peerKey)?.id.short ?? "nobody";
  const log = (): void =>
    printRow(
      caller,
      `${request.service.typeName}/${request.method.name}`,
      performance.now() - start,
    );
  const response = await next(request);
  if (!response.stream) {
    log();
    return response;
  }
  return { ...response, message: afterwards(response.message, log) };
};

async function* afterwards<T>(source: AsyncIterable<T>, action: () => void): AsyncGenerator<T> {
  try {
    yield* source;
  } finally {
    action();
  }
}

await runProgram("server", main);
