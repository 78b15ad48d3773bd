// The short way of unary calls against the general one: the same bytes on the wire, the same outcome on both sides.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type CallOptions, Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import {
  bothGeneral,
  connectWays,
  describeContext,
  describeError,
  otherWays,
  sameWire,
  type Ways,
  type WaysOptions,
  type Wire,
} from "../../test/support/both-ways.ts";
import { EchoService } from "../../test/support/echo-service.ts";
import { stayAlive } from "../../test/support/stay-alive.ts";
import { defaultCompressions } from "./compressions.ts";
import type { Protocol } from "./protocol-transport.ts";

stayAlive();

interface Scenario extends Pick<WaysOptions, "transport" | "service"> {
  readonly message?: string;
  readonly call?: CallOptions;
  readonly echo?: ServiceImpl<typeof EchoService>["echo"];
  /** Who stops before the end, which may be at once or when all was sent: a matter of time. */
  readonly stopped?: "client" | "both";
}

const scenarios: Readonly<Record<string, Scenario>> = {
  "a plain call": {},
  "an empty message": { message: "" },
  "a message in JSON": { transport: { useBinaryFormat: false } },
  "a message of 70,000 bytes": { message: "x".repeat(70_000) },
  "headers and a deadline": {
    call: {
      headers: { "x-custom": "1", "x-bytes-bin": "AAEC", "user-agent": "me" },
      timeoutMs: 60_000,
    },
  },
  "a deadline for all calls": { transport: { defaultTimeoutMs: 60_000 } },
  "no deadline": { call: { timeoutMs: 0 }, transport: { defaultTimeoutMs: 60_000 } },
  "headers and trailers of the answer": {
    echo: ({ message }, { responseHeader, responseTrailer }) => {
      responseHeader.set("x-header", "h");
      responseHeader.append("set-cookie", "a=1");
      responseHeader.append("set-cookie", "b=2");
      responseTrailer.set("x-trailer", "t");
      return { message };
    },
  },
  "what a handler sees": {
    call: { headers: { "x-custom": "1" }, timeoutMs: 60_000 },
    echo: (_request, context) => ({ message: JSON.stringify(describeContext({ ...context })) }),
  },
  "an answer that is compressed": {
    message: "x".repeat(5_000),
    transport: { acceptCompression: [...defaultCompressions] },
    service: { acceptCompression: [...defaultCompressions] },
  },
  "an answer too short to compress": {
    transport: { acceptCompression: [...defaultCompressions] },
    service: { acceptCompression: [...defaultCompressions] },
  },
  "a request that is compressed": {
    message: "x".repeat(5_000),
    transport: { sendCompression: defaultCompressions[0] ?? null },
    service: { acceptCompression: [...defaultCompressions] },
  },
  "an error with details and metadata": {
    echo: (_request, { responseHeader, responseTrailer }) => {
      responseHeader.set("x-header", "h");
      responseTrailer.set("x-trailer", "t");
      const details = [{ desc: EchoService.method.echo.input, value: { message: "why" } }];
      throw new ConnectError("no", Code.FailedPrecondition, { "x-meta": "m" }, details);
    },
  },
  "an error that is none of Connect": {
    echo: () => {
      throw new TypeError("secret");
    },
  },
  "a long error that is compressed": {
    transport: { acceptCompression: [...defaultCompressions] },
    service: { acceptCompression: [...defaultCompressions] },
    echo: () => Promise.reject(new ConnectError("x".repeat(5_000), Code.Aborted)),
  },
  "a refusal": { stopped: "client", service: { authorize: () => false } },
  "a consent": { service: { authorize: async () => true } },
  "a request that the server finds too large": {
    stopped: "client",
    message: "x".repeat(5_000),
    service: { readMaxBytes: 1_000 },
  },
  "an answer that the server finds too large": {
    message: "x".repeat(5_000),
    service: { writeMaxBytes: 1_000 },
  },
  "a request that the client finds too large": {
    stopped: "both",
    message: "x".repeat(5_000),
    transport: { writeMaxBytes: 1_000 },
  },
  "an answer that the client finds too large": {
    stopped: "both",
    message: "x".repeat(5_000),
    transport: { readMaxBytes: 1_000 },
  },
  "a deadline that the server does not take": {
    stopped: "client",
    call: { timeoutMs: 60_000 },
    service: { maxTimeoutMs: 1_000 },
  },
  "an answer that is no message": { echo: () => ({ message: 5 as unknown as string }) },
  "a request that is none": { message: "\ud800" },
};

for (const protocol of ["connect", "grpc"] as const) {
  describe(`unary calls of ${protocol}: the short way and the general way are the same for`, () => {
    for (const [name, scenario] of Object.entries(scenarios)) {
      test(name, async () => {
        const general = await play(scenario, protocol, bothGeneral);
        for (const ways of otherWays) {
          const played = await play(scenario, protocol, ways);
          const which = `${ways.client} to ${ways.server}`;
          assert.deepEqual(played.outcome, general.outcome, which);
          assert.ok(sameWire(played.wire, general.wire, scenario.stopped), which);
        }
      });
    }
  });
}

interface Played {
  /** What the caller got. */
  readonly outcome: unknown;
  readonly wire: Wire;
}

async function play(
  { message = "hello", call, transport, service, echo }: Scenario,
  protocol: Protocol,
  ways: Ways,
): Promise<Played> {
  const implementation = echo === undefined ? {} : { echo };
  const { client, wire, end } = await connectWays(ways, {
    protocol,
    ...(transport === undefined ? {} : { transport }),
    ...(service === undefined ? {} : { service }),
    implementation,
  });
  const seen: Record<string, unknown> = {};
  let outcome: unknown;
  try {
    const answer = await client.echo(
      { message },
      {
        ...call,
        onHeader: (header) => {
          seen.header = [...header];
        },
        onTrailer: (trailer) => {
          seen.trailer = [...trailer];
        },
      },
    );
    outcome = { ...seen, message: answer.message };
  } catch (error) {
    outcome = { ...seen, error: describeError(error) };
  }
  await end();
  return { outcome, wire };
}
